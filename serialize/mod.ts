/**
 * Values *and functions with what they capture* to bytes and back: JavaScript's counterpart of Python's dill.
 *
 * ```ts
 * import { dumps, loads } from "@pathos/pathos/serialize";
 *
 * const k = 10;
 * const bytes = dumps((x: number) => x * k);
 * const f = loads<(x: number) => number>(bytes, { trust: "code" });
 * console.log(f(4)); // 40
 * ```
 *
 * `loads` runs no code unless told that the bytes are trusted.
 *
 * @module
 */
export { capture } from "./capture.ts";
export {
  copy,
  dump,
  type DumpOptions,
  dumps,
  importsOf,
  load,
  type LoadOptions,
  loads,
  pickles,
  preload,
} from "./dumps.ts";
export { CorruptDataError, UnserializableError, UntrustedCodeError } from "./errors.ts";
export type { ModuleRef } from "./modules.ts";
export { register, type RegisteredClass, type Registration } from "./registry.ts";
export type { CodeFunction } from "./types.ts";
export type { Key } from "./wire.ts";
