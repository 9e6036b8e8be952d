/**
 * Results that are kept: archives in memory, files and databases, and `memoize`, which looks there before it computes.
 *
 * @module
 */
export type { TypedArray } from "../runtime/mod.ts";
export type { Archive, ArchiveKey, ArchiveOptions, AsyncArchive, SetOptions } from "./types.ts";
export type {
  AsyncStore,
  Decoder,
  Entry,
  EntryInfo,
  EntryMeta,
  NumericArray,
  Store,
  StoredValue,
} from "./store.ts";
export { DictArchive, type DictOptions, StoreArchive } from "./archive.ts";
export { DirArchive } from "./dir.ts";
export { FileArchive, type FileOptions } from "./file.ts";
export { HdfArchive } from "./hdf.ts";
export type { HdfOptions } from "./hdf_store.ts";
export { HdfDirArchive } from "./hdf_dir.ts";
export { NullArchive } from "./null.ts";
export { SqlArchive, type SqlOptions } from "./sql.ts";
export type { SqlFileOptions } from "./sql_store.ts";
export { SqlTableArchive, type SqlTableOptions } from "./sqltable.ts";
export { SqliteError } from "./sqlite_error.ts";
export { AsyncStoreArchive } from "./async_archive.ts";
export { PostgresArchive, PostgresError, type PostgresOptions } from "./postgres.ts";
export {
  inf,
  lfu,
  type Limits,
  lru,
  mru,
  none,
  type Policy,
  type PolicyLike,
  type PolicyName,
  rr,
} from "./policy.ts";
export {
  type AsyncMemoized,
  type AsyncMemoizeOptions,
  type AsyncMemoMethods,
  type AsyncResult,
  type Callable,
  memoize,
  type Memoized,
  type MemoizeOptions,
  type MemoMethods,
} from "./memoize.ts";
export {
  type AsyncMemoizedOptions,
  memoized,
  type MemoizedContext,
  type MemoizedOptions,
  memoOf,
  type MethodOf,
} from "./memoized.ts";
export type { CacheInfo } from "./memo_methods.ts";
export type { Trouble } from "./memo.ts";
export { ResultNotKeptError } from "./not_kept.ts";
export type { CodeFunction } from "../serialize/types.ts";
export { canonical, type CanonicalOptions } from "./canonical.ts";
export { identity, type IdentityOptions } from "./identity.ts";
export type { Ignore } from "./ignore.ts";
export type { KeyOptions } from "./keyer.ts";
export {
  digest,
  hashmap,
  type HashmapOptions,
  type Keymap,
  keymap,
  type KeymapOptions,
  picklemap,
  type PicklemapOptions,
  stringmap,
  type StringmapOptions,
} from "./keymaps.ts";
export { deepRound, roundTo, shallowRound, simpleRound } from "./rounding.ts";
export { isvalid, type Parameter, type Signature, signature, validate } from "./signature.ts";
export { UnkeyableError } from "./unkeyable.ts";
import "./travel.ts"; // how all of this gets to workers
