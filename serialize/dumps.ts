/**
 * The everyday functions: a value to bytes, to a file, and back.
 */
import { readFile, writeFile } from "../runtime/mod.ts";
import { decodeGraph } from "./decode.ts";
import { encodeGraph } from "./encode.ts";
import { UnserializableError } from "./errors.ts";
import { type ModuleRef, preloadImports } from "./modules.ts";
import { checkBody, type Key, Op, seal, unpackBody, unseal } from "./wire.ts";

/** Options of `dumps` and `dump`. */
export interface DumpOptions {
  /** Signs the bytes with HMAC-SHA-256. `loads` with the same key then accepts code. */
  key?: Key;
  /**
   * Whether the reader can resolve a module reference by itself; what is not referred to is written in full. Default:
   * packages and built-in modules are referred to, files are not.
   */
  byref?: (ref: ModuleRef) => boolean;
}

/** Options of `loads` and `load`. */
export interface LoadOptions {
  /** `"code"` accepts functions, classes and module references: the bytes may then do whatever this program may. */
  trust?: "code";
  /** Accepts only bytes that were signed with this key, and code in them. */
  key?: Key;
}

/**
 * Writes a value to bytes: data of any shape, functions with the variables they capture, classes, instances.
 *
 * Synchronous, so the bytes hold the state of one moment. Identity, cycles, prototypes, property attributes, -0 and holes are kept. Of
 * the variables around a function only those that it mentions are written. What a function imports from packages is
 * written as a reference; what it imports from files of the program is written in full, and so is everything of the entry module.
 *
 * @param value The value.
 * @param options A signing key, and which modules to refer to.
 * @returns The bytes, in a buffer of their own.
 * @throws {UnserializableError} If something in the value exists only in this process, with the path to it and what to do.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { dumps, loads } from "@pathos/pathos/serialize";
 *
 * let count = 0;
 * const counter = { up: () => ++count, now: () => count };
 * const copy = loads<typeof counter>(dumps(counter), { trust: "code" });
 * copy.up();
 * assertEquals(copy.now(), 1);
 * assertEquals(counter.now(), 0);
 * ```
 */
export function dumps(value: unknown, options: DumpOptions = {}): Uint8Array {
  const { plain, code, body, buffers } = encodeGraph(value, { byref: options.byref });
  return seal({
    plain,
    code,
    body,
    buffers: buffers.map((b) => b instanceof Uint8Array ? b : new Uint8Array(b)),
  }, options.key);
}

/**
 * Reads a value from bytes that `dumps` wrote.
 *
 * Takes data only, unless `trust: "code"` or a `key` says that the bytes may hold code.
 *
 * @typeParam T What the value is taken for; it is not checked.
 * @param bytes The bytes; they are copied, not kept.
 * @param options Trust or a key.
 * @returns The value.
 * @throws {CorruptDataError} If the bytes are not a whole, undamaged dump of this version.
 * @throws {UntrustedCodeError} If they hold code and are not trusted, or a key was given and the signature does not match.
 * @throws {Error} If a module that the code refers to cannot be loaded, or a class is not registered here.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { dumps, loads } from "@pathos/pathos/serialize";
 *
 * const key = "a secret that both sides know";
 * const bytes = dumps((name: string) => `Hello, ${name}`, { key });
 * const greet = loads<(name: string) => string>(bytes, { key });
 * assertEquals(greet("Ada"), "Hello, Ada");
 * ```
 */
export function loads<T = unknown>(bytes: Uint8Array, options: LoadOptions = {}): T {
  const trusted = options.trust === "code" || options.key !== undefined;
  const { plain, body, buffers } = unseal(bytes, options.key, trusted);
  return decodeGraph(plain, body, buffers, { trusted }).value as T;
}

/**
 * Writes a value to a file, in one step: a reader sees the old file or the new one.
 *
 * @param value The value.
 * @param path Path of the file.
 * @param options As for `dumps`.
 * @throws {UnserializableError} As `dumps`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { dump, load } from "@pathos/pathos/serialize";
 *
 * const path = `${Deno.makeTempDirSync()}/model.pathos`;
 * dump(new Map([["weights", new Float64Array(3)]]), path);
 * assertEquals(load(path), new Map([["weights", new Float64Array(3)]]));
 * ```
 */
export function dump(value: unknown, path: string, options?: DumpOptions): void {
  writeFile(path, dumps(value, options));
}

/**
 * Reads a value from a file that `dump` wrote.
 *
 * @typeParam T What the value is taken for; it is not checked.
 * @param path Path of the file.
 * @param options As for `loads`.
 * @returns The value.
 * @throws {CorruptDataError} As `loads`.
 * @throws {UntrustedCodeError} As `loads`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { dump, load } from "@pathos/pathos/serialize";
 *
 * const path = `${Deno.makeTempDirSync()}/square.pathos`;
 * dump((x: number) => x * x, path);
 * assertEquals(load<(x: number) => number>(path, { trust: "code" })(7), 49);
 * ```
 */
export function load<T = unknown>(path: string, options?: LoadOptions): T {
  return loads<T>(readFile(path), options);
}

/**
 * A deep copy of a value, functions and their variables included.
 *
 * @typeParam T The value's type.
 * @param value The value.
 * @returns Its copy.
 * @throws {UnserializableError} As `dumps`.
 *
 * @example
 * ```ts
 * import { assertEquals, assertNotStrictEquals } from "@std/assert";
 * import { copy } from "@pathos/pathos/serialize";
 *
 * const original = { when: new Date(0), double: (x: number) => 2 * x };
 * const twin = copy(original);
 * assertEquals(twin.double(21), 42);
 * assertNotStrictEquals(twin.when, original.when);
 * ```
 */
export function copy<T>(value: T): T {
  const { plain, body, buffers } = encodeGraph(value, {});
  return decodeGraph(plain, body, buffers, { trusted: true }).value as T;
}

/**
 * Whether `dumps` takes a value.
 *
 * @param value The value.
 * @returns True if it can be written.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { pickles } from "@pathos/pathos/serialize";
 *
 * assertEquals(pickles(new Set([1n])), true);
 * assertEquals(pickles(Promise.resolve(1)), false);
 * ```
 */
export function pickles(value: unknown): boolean {
  try {
    encodeGraph(value, {});
    return true;
  } catch (error) {
    if (error instanceof UnserializableError) return false;
    throw error;
  }
}

/**
 * The modules that bytes refer to. Nothing is loaded, and nothing needs to be trusted.
 *
 * @param bytes The bytes that `dumps` wrote.
 * @returns One reference per binding.
 * @throws {CorruptDataError} If the bytes are not a whole, undamaged dump of this version.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { dumps, importsOf } from "@pathos/pathos/serialize";
 *
 * assertEquals(importsOf(dumps([1, 2, 3])), []);
 * ```
 */
export function importsOf(bytes: Uint8Array): ModuleRef[] {
  const { plain, body } = unseal(bytes, undefined, true);
  checkBody(body);
  if (plain) return [];
  const [, rows] = unpackBody(body) as [unknown, [number, [string, string, string]][]];
  return rows.filter(([op]) => op === Op.module).map(([, [base, specifier, name]]) => ({
    base,
    specifier,
    name,
  }));
}

/**
 * Imports the modules that bytes refer to and keeps them for `loads`, which is synchronous. Needed only where a module cannot be loaded
 * synchronously: one with a top-level `await`, or from the network.
 *
 * This runs the modules: call it only for bytes that you trust.
 *
 * @param bytes The bytes that `dumps` wrote.
 * @throws {Error} If a module cannot be imported.
 * @throws {CorruptDataError} If the bytes are not a whole, undamaged dump of this version.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { dumps, loads, preload } from "@pathos/pathos/serialize";
 *
 * const bytes = dumps((x: number) => x + 1);
 * await preload(bytes);
 * assertEquals(loads<(x: number) => number>(bytes, { trust: "code" })(1), 2);
 * ```
 */
export async function preload(bytes: Uint8Array): Promise<void> {
  await preloadImports(importsOf(bytes));
}
