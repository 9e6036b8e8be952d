/**
 * What users see of archives: the options and the two interfaces, synchronous and asynchronous.
 */
import type { EntryInfo } from "./store.ts";

/** How entries of an archive are written and read. */
export interface ArchiveOptions {
  /**
   * `"pathos"` (default) takes any data and, with `trust` or `key`, functions and classes; `"json"` is what
   * `JSON.stringify` takes, readable by any program.
   */
  protocol?: "pathos" | "json";
  /**
   * False: values are kept as they are, for other programs to read: strings, numbers and `Uint8Array`; in HDF also numeric
   * arrays. Default true.
   */
  serialized?: boolean;
  /** Level of compression (deflate), 0 to 9. Default 0: none. */
  compression?: number;
  /** Mode of new files, such as `0o600`. Default: what the umask leaves of 0o666. */
  permissions?: number;
  /** True keeps what was read and written in memory too; other processes' later changes of those keys are then not seen. */
  cached?: boolean;
  /** `"code"` accepts functions and classes among the values that are read: they may then do whatever this program may. */
  trust?: "code";
  /** Signs what is written (HMAC-SHA-256), and accepts only what is signed with it, code included. */
  key?: string | Uint8Array;
  /** Milliseconds after which entries expire, unless `set` says otherwise. Default: never. */
  ttl?: number;
}

/** What can be said of one entry. */
export interface SetOptions {
  /** Milliseconds after which it expires. Default: the archive's. */
  ttl?: number;
  /** Milliseconds after that during which it is kept for who wants a stale value rather than none. Default 0. */
  grace?: number;
  /** Names under which it can be removed together with others ({@linkcode Archive.invalidate}). */
  tags?: readonly string[];
}

/** A key of an archive: an ordinary string mostly. Equal keys are the same key, arrays and objects included. */
export type ArchiveKey =
  | string
  | number
  | bigint
  | boolean
  | null
  | undefined
  | Uint8Array
  | Date
  | readonly ArchiveKey[]
  | { readonly [name: string]: ArchiveKey };

/** A map whose entries are kept somewhere: in memory, in files, in a database file. Expired entries are as if absent. */
export interface Archive<K extends ArchiveKey = ArchiveKey, V = unknown>
  extends Iterable<[K, V]>, Disposable {
  /** Path or name. */
  readonly name: string;
  /** A path beside which processes that share it can meet; undefined if only this process sees it. */
  readonly meeting?: string;
  /** Milliseconds after which entries expire, unless `set` says otherwise; undefined: never. */
  readonly ttl?: number;
  /** Number of entries. */
  readonly size: number;
  /** The value of an entry; undefined if there is none. */
  get(key: K): V | undefined;
  /** Writes an entry in place of what is there. */
  set(key: K, value: V, options?: SetOptions): this;
  /** Whether there is an entry. */
  has(key: K): boolean;
  /** True if there was such an entry. */
  delete(key: K): boolean;
  /** Removes all entries. */
  clear(): void;
  /** The keys. */
  keys(): IterableIterator<K>;
  /** The values. */
  values(): IterableIterator<V>;
  /** Keys and values. */
  entries(): IterableIterator<[K, V]>;
  /** Calls a function with every value and key. */
  forEach(callback: (value: V, key: K, archive: this) => void): void;
  /** Writes many entries, all or none where the store can. */
  update(entries: Iterable<readonly [K, V]>, options?: SetOptions): this;
  /** Removes entries and gives their values; where one is absent, `fallback`, or without one an error before anything is removed. */
  popkeys(keys: Iterable<K>, fallback?: V): V[];
  /** A copy of all entries under another name (a path); without one in memory. What is there under that name is replaced. */
  copy(name?: string): Archive<K, V>;
  /** Expiry, tags and size of an entry, expired ones that are still kept included. */
  entry(key: K): EntryInfo | undefined;
  /** Value and description of an entry, expired ones that are still kept included. */
  read(key: K): { value: V; info: EntryInfo } | undefined;
  /** Removes the entries that carry a tag; gives their number. */
  invalidate(tag: string): number;
  /** Removes what has expired; gives the number. */
  purge(): number;
  /** Runs `body` so that its writes become visible together, or not at all if it throws; where the store cannot, one by one. */
  transaction<T>(body: () => T): T;
  /** Removes the archive altogether, and closes it. */
  drop(): void;
  /** Lets go of files. */
  close(): void;
}

/** An archive behind a network: the names of {@linkcode Archive}, giving promises. */
export interface AsyncArchive<K extends ArchiveKey = ArchiveKey, V = unknown>
  extends AsyncIterable<[K, V]>, AsyncDisposable {
  /** URL or name, without passwords. */
  readonly name: string;
  /** Milliseconds after which entries expire, unless `set` says otherwise; undefined: never. */
  readonly ttl?: number;
  /** Number of entries. */
  size(): Promise<number>;
  /** The value of an entry; undefined if there is none. */
  get(key: K): Promise<V | undefined>;
  /** Writes an entry in place of what is there. */
  set(key: K, value: V, options?: SetOptions): Promise<void>;
  /** Whether there is an entry. */
  has(key: K): Promise<boolean>;
  /** Removes an entry; true if there was one. */
  delete(key: K): Promise<boolean>;
  /** Removes all entries. */
  clear(): Promise<void>;
  /** The keys. */
  keys(): AsyncIterableIterator<K>;
  /** The values. */
  values(): AsyncIterableIterator<V>;
  /** Keys and values. */
  entries(): AsyncIterableIterator<[K, V]>;
  /** Writes many entries, all or none. */
  update(entries: Iterable<readonly [K, V]>, options?: SetOptions): Promise<void>;
  /** Removes entries and gives their values; where one is absent, `fallback`, or without one an error before anything is removed. */
  popkeys(keys: Iterable<K>, fallback?: V): Promise<V[]>;
  /** A copy of all entries under another name; without one in memory. What is there under that name is replaced. */
  copy(name?: string): Promise<Archive<K, V> | AsyncArchive<K, V>>;
  /** Expiry, tags and size of an entry, expired ones that are still kept included. */
  entry(key: K): Promise<EntryInfo | undefined>;
  /** Value and description of an entry, expired ones that are still kept included. */
  read(key: K): Promise<{ value: V; info: EntryInfo } | undefined>;
  /** Removes the entries that carry a tag; gives their number. */
  invalidate(tag: string): Promise<number>;
  /** Removes what has expired; gives the number. */
  purge(): Promise<number>;
  /** Lets one holder at a time compute what is to be written under a key: null if another has it, else what ends it. */
  hold?(key: K): Promise<(() => Promise<void>) | null>;
  /** Removes the archive altogether, and closes it. */
  drop(): Promise<void>;
  /** Lets go of connections. */
  close(): Promise<void>;
}
