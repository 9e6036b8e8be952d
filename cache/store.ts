/**
 * The seam between what an archive is to its users (archive.ts, async_archive.ts: values, expiry, tags, codecs) and where its
 * entries are kept (one file per kind of store: dict, dir, sqltable, hdf, ...). A store knows texts and bytes only.
 *
 * What every store guarantees: an entry is there whole or not at all, also after a crash in the middle of `write`; what `write` has
 * returned from is seen by every process that reads afterwards; a damaged or foreign file is refused with an error that names
 * it, and left as it is.
 */
import type { TypedArray } from "../runtime/mod.ts";

/** What is known of an entry besides its value. Times are milliseconds since 1970. */
export interface EntryMeta {
  /** When it was written. */
  readonly stored: number;
  /** Fresh until then; `Infinity` if it does not grow old. */
  readonly expires: number;
  /** Milliseconds after `expires` during which it is kept, to be used while a fresh one is made. */
  readonly grace: number;
  /** Names under which it can be removed together with others. */
  readonly tags: readonly string[];
}

/** What a store keeps for a key: bytes, or with `serialized: false` what the store keeps as it is. */
export type StoredValue = Uint8Array | string | number | NumericArray;

/** The arrays that a store may keep as they are, besides bytes. */
export type NumericArray = Exclude<TypedArray, Uint8Array> | number[];

/** An entry of a store. */
export interface Entry {
  /** What the archive's codec made of the value. */
  readonly value: StoredValue;
  /** What is known of it besides. */
  readonly meta: EntryMeta;
}

/** Description of an entry without its value. */
export interface EntryInfo extends EntryMeta {
  /** Bytes of the value as it is kept. */
  readonly size: number;
}

/** Bytes of a value as it is kept: those of text as UTF-8, 8 of a number; 0 for an object, of which it is not known. */
export function sizeOf(value: StoredValue): number {
  if (typeof value === "string") return new TextEncoder().encode(value).length;
  if (typeof value === "number") return 8;
  if (Array.isArray(value)) return 8 * value.length;
  return ArrayBuffer.isView(value) ? value.byteLength : 0;
}

/** What makes values of what is kept (codec.ts). */
export interface Decoder {
  /** The value, which does not share memory with bytes that it is made of. */
  decode(stored: StoredValue, key: string): unknown;
}

/** Where entries are kept. Keys are texts of any length and content, the empty one included (key_text.ts makes them). */
export interface Store {
  /** Path, URL or name, for errors and for `copy`. */
  readonly name: string;
  /** What its constructor takes for the same place, where that is not the name. */
  readonly place?: string;
  /** A path beside which processes that use this store can meet (flight.ts); undefined if only this process sees it. */
  readonly meeting?: string;
  /** Reads an entry, expired or not. `use: false` does not count as a use for the store's policy. */
  read(key: string, use?: boolean): Entry | undefined;
  /**
   * The value of an entry that is fresh at `now`, decoded, if the store has a way faster than `read`. Bytes that the decoder is
   * given are its to look at, not to keep.
   */
  use?(key: string, now: number, decoder: Decoder): unknown;
  /** Writes an entry in place of what is there. */
  write(key: string, entry: Entry): void;
  /** Removes an entry; true if there was one. */
  remove(key: string): boolean;
  /** Removes all entries. */
  clear(): void;
  /** Number of entries. */
  count(): number;
  /** Number of entries that are fresh at `now`, if the store has a way faster than `infos`. */
  countFresh?(now: number): number;
  /** Describes an entry without reading its value, and without counting as a use, if the store has a way faster than `read`. */
  info?(key: string): EntryInfo | undefined;
  /** All keys and descriptions, in order of writing where the store knows it. Changes meanwhile may or may not show. */
  infos(): Iterable<[key: string, info: EntryInfo]>;
  /** Removes what carries a tag, if the store has a way faster than `infos`; gives the number. */
  removeTagged?(tag: string): number;
  /** Removes what has expired and has no grace left, if the store has a way faster than `infos`; gives the number. */
  removeExpired?(now: number): number;
  /** Runs `body` so that its writes become visible together, or none if it throws. Without it writes are one by one. */
  batch?<T>(body: () => T): T;
  /** A new, empty store of the same kind with the same settings under another name, for `copy`. */
  another(name: string): Store;
  /** Removes the entries and all that the store occupies, and closes it. */
  drop(): void;
  /** Lets go of files. Closing twice is no error. */
  close(): void;
}

/** A store behind a network: the same methods, giving promises. Closing waits for the calls under way. */
export interface AsyncStore {
  /** URL or name without passwords, for errors and for `copy`. */
  readonly name: string;
  /** What its constructor takes for the same place, where that is not the name. */
  readonly place?: string;
  /** Reads an entry, expired or not. */
  read(key: string, use?: boolean): Promise<Entry | undefined>;
  /** Writes an entry in place of what is there. */
  write(key: string, entry: Entry): Promise<void>;
  /** Writes many entries, all or none; with `replace` in place of all that is there. */
  writeAll(
    entries: Iterable<[key: string, entry: Entry]> | AsyncIterable<[key: string, entry: Entry]>,
    replace?: boolean,
  ): Promise<void>;
  /** Removes an entry; true if there was one, and if a time is given, that was fresh then. */
  remove(key: string, now?: number): Promise<boolean>;
  /**
   * Removes the entries of these keys and gives what `body` makes of them, all at once: if it throws nothing is removed,
   * and who takes at the same time gets none of them.
   */
  take<T>(keys: readonly string[], body: (found: ReadonlyMap<string, Entry>) => T): Promise<T>;
  /** Removes all entries. */
  clear(): Promise<void>;
  /** Number of entries. */
  count(): Promise<number>;
  /** Number of entries that are fresh at `now`. */
  countFresh(now: number): Promise<number>;
  /** Describes an entry without reading its value. */
  info(key: string): Promise<EntryInfo | undefined>;
  /** All keys and descriptions. Changes meanwhile may or may not show. */
  infos(): AsyncIterable<[key: string, info: EntryInfo]>;
  /** All keys and entries, some at a time. Changes meanwhile may or may not show. */
  entries(): AsyncIterable<[key: string, entry: Entry]>;
  /** Removes what carries a tag; gives the number. */
  removeTagged(tag: string): Promise<number>;
  /** Removes what has expired and has no grace left; gives the number. */
  removeExpired(now: number): Promise<number>;
  /** Lets one holder at a time have a key's flight (memoize): null if another has it, else what ends it. */
  hold(key: string): Promise<(() => Promise<void>) | null>;
  /** A store of the same kind with the same settings under another name, for `copy`. */
  another(name: string): AsyncStore;
  /** Removes the entries and all that the store occupies, and closes it. */
  drop(): Promise<void>;
  /** Lets go of connections. Closing twice is no error. */
  close(): Promise<void>;
}
