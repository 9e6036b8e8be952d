/**
 * Code that runs in one loop, run on every core: ordinary functions, with whatever surrounds them, mapped over
 * any iterable in threads or processes; and functions and values as bytes.
 *
 * ```ts
 * import { ThreadPool } from "@pathos/pathos";
 *
 * await using pool = new ThreadPool();
 * const k = 3;
 * const helper = (x: number) => x * x;
 * console.log(await pool.map((x: number) => helper(x) + k, [1, 2, 3])); // [4, 7, 12]
 * ```
 *
 * The everyday names are here; everything else is in the namespaces `cache`, `fs`, `map`, `mpi`, `serialize` and `ssh`, which are also
 * exports of their own (`@pathos/pathos/map`).
 *
 * @module
 */
export * from "./map/mod.ts";
export {
  DictArchive,
  DirArchive,
  FileArchive,
  hashmap,
  HdfArchive,
  HdfDirArchive,
  inf,
  keymap,
  lfu,
  lru,
  memoize,
  memoized,
  mru,
  none,
  NullArchive,
  picklemap,
  PostgresArchive,
  rr,
  SqlArchive,
  SqlTableArchive,
  stringmap,
} from "./cache/mod.ts";
export {
  capture,
  CorruptDataError,
  dumps,
  loads,
  register,
  UnserializableError,
  UntrustedCodeError,
} from "./serialize/mod.ts";
export { MpiPool, world } from "./mpi/mod.ts";
export * as cache from "./cache/mod.ts";
export * as fs from "./fs/mod.ts";
export * as map from "./map/mod.ts";
export * as mpi from "./mpi/mod.ts";
export * as serialize from "./serialize/mod.ts";
export * as ssh from "./ssh.ts";
