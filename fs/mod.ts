/**
 * Files, folders, programs and variables, wherever a script runs: what pox does, in this process.
 *
 * ```ts
 * import { find, which } from "@pathos/pathos/fs";
 *
 * console.log(await which("sh"), await find("*.csv;*.parquet", { root: "." }));
 * ```
 *
 * @module
 */
export { find, type FindOptions, type FindType } from "./find.ts";
export { type FoundPaths, type SearchOptions, walk, type WalkOptions } from "./walk.ts";
export { WalkError } from "./walk_error.ts";
export { whereis, which, type WhichOptions, whichSync } from "./which.ts";
export { where, whereSync } from "./where.ts";
export { findpackage, type FindPackageOptions } from "./findpackage.ts";
export { whichRuntime, type WhichRuntimeOptions } from "./which_runtime.ts";
export { mkdir, type MkdirOptions } from "./mkdir.ts";
export { rmtree, type RmtreeOptions } from "./rmtree.ts";
export { diskUsed, type DiskUsedOptions, kbytes } from "./disk_used.ts";
export { waitFor, type WaitForOptions } from "./wait_for.ts";
export { homedir, shelltype, username } from "./user.ts";
export { rootdir, sep, type Separator } from "./system.ts";
export { env, type EnvOptions } from "./env.ts";
export { minpath } from "./minpath.ts";
export { expandvars, getvars, type Variables } from "./variables.ts";
export { pattern } from "./pattern.ts";
export { convert, type ConvertOptions } from "./convert.ts";
export { replace, type Replacements, type ReplaceOptions } from "./replace.ts";
export { indexJoin, type IndexSlice, indexSlice, type IndexSliceOptions } from "./index_slice.ts";
export { select, selectdict, type SelectListOptions, type SelectOptions } from "./select.ts";
export {
  parseRemote,
  type ParseRemoteOptions,
  remote,
  type RemoteOptions,
  type RemotePlace,
} from "./remote.ts";
export { shellsub } from "./shellsub.ts";
