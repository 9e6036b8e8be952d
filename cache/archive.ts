/**
 * What users see of every synchronous archive: values, expiry, tags, iteration, copies, over a store that knows texts and bytes.
 *
 * A kind of archive is a store and a subclass whose constructor opens it; everything that an archive has beyond this file is
 * in its store, and subclasses have no fields of their own, so that `copy` can give one of the same class.
 *
 * `DictArchive` is here too, because a copy without a name is one.
 */
import { exists, removeTree } from "../runtime/mod.ts";
import { CorruptDataError } from "../serialize/mod.ts";
import { type Codec, identityCodec, newCodec } from "./codec.ts";
import { ClosedStore } from "./closed.ts";
import { DictStore } from "./dict.ts";
import { flightsOf } from "./flight.ts";
import { keyToText, showKey, textToKey } from "./key_text.ts";
import { checkTime, gone, newMeta } from "./meta.ts";
import { type Entry, type EntryInfo, type EntryMeta, sizeOf, type Store, type StoredValue } from "./store.ts";
import type { Archive, ArchiveKey, ArchiveOptions, SetOptions } from "./types.ts";

/** What the constructor of an archive was given, or of a copy would have been: where another program opens the same. */
export let originOf: (archive: StoreArchive) => { place: string; options: ArchiveOptions };

/** The store of an archive, for what looks at entries as they are kept. */
export let storeOf: (archive: StoreArchive) => Store;

/**
 * An archive over any store: what `DirArchive`, `SqlArchive` and the others have in common. Entries whose time has come are as if
 * absent; those with a grace are still given by `read` and `entry` until that is over too.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { DictArchive, StoreArchive } from "@pathos/pathos/cache";
 *
 * const archive = new DictArchive<string, number>();
 * archive.set("one", 1).set("two", 2, { ttl: 60_000, tags: ["even"] });
 * assertEquals([...archive.keys()], ["one", "two"]);
 * assertEquals(archive.invalidate("even"), 1);
 * assertEquals(archive.get("two"), undefined);
 * assertEquals(archive instanceof StoreArchive, true);
 * ```
 */
export class StoreArchive<K extends ArchiveKey = ArchiveKey, V = unknown> implements Archive<K, V> {
  #store: Store;
  #codec: Codec;
  #options: ArchiveOptions;
  /** What was read and written, with `cached`. */
  #front: Map<string, { value: V; info: EntryInfo }> | undefined;

  static {
    storeOf = (archive) => archive.#store;
    originOf = (archive) => ({ place: archive.#store.place ?? archive.name, options: archive.#options });
  }

  /**
   * Makes an archive of a store.
   *
   * @param store Where the entries are kept; the archive closes it.
   * @param options How they are written and read.
   * @param codec How values become what the store keeps, if not as the options say.
   * @throws {TypeError} If the options contradict one another.
   * @throws {RangeError} If a number among them is out of range.
   */
  constructor(store: Store, options: ArchiveOptions = {}, codec?: Codec) {
    try {
      if (options.ttl !== undefined) checkTime("ttl", options.ttl, store.name);
      this.#codec = codec ?? newCodec(options, store.name);
    } catch (error) {
      store.close();
      throw error;
    }
    this.#store = store;
    this.#options = options;
    this.#front = options.cached ? new Map() : undefined;
  }

  /** The store, for subclasses. */
  protected get store(): Store {
    return this.#store;
  }

  /** Path or name. */
  get name(): string {
    return this.#store.name;
  }

  /** A path beside which processes that share this archive can meet; undefined if only this process sees it. */
  get meeting(): string | undefined {
    return this.#store.meeting;
  }

  /** Milliseconds after which entries expire, unless `set` says otherwise; undefined: never. */
  get ttl(): number | undefined {
    return this.#options.ttl;
  }

  /** Number of entries. Where entries can expire this may have to look at each. */
  get size(): number {
    const now = Date.now();
    if (this.#store.countFresh) return this.#store.countFresh(now);
    let count = 0;
    for (const [, info] of this.#store.infos()) if (info.expires > now) count++;
    return count;
  }

  /**
   * The value of an entry, or undefined if there is none.
   *
   * @param key The key.
   * @returns The value.
   * @throws {UntrustedCodeError} If it holds code or lacks a signature, and the archive's options do not allow that.
   * @throws {CorruptDataError} If it is damaged.
   */
  get(key: K): V | undefined {
    return this.#fresh(keyToText(key));
  }

  /**
   * Writes an entry in place of what is there.
   *
   * @param key The key.
   * @param value The value, `undefined` included.
   * @param options Its expiry and tags.
   * @returns The archive.
   * @throws {UnserializableError} If the value cannot be written.
   * @throws {RangeError} If a time in the options is NaN or negative. 0 is a time: expired at once, there for its grace.
   */
  set(key: K, value: V, options?: SetOptions): this {
    const text = keyToText(key);
    const entry = { value: this.#codec.encode(value, text), meta: this.#meta(options) };
    this.#store.write(text, entry);
    this.#front?.set(text, { value, info: { ...entry.meta, size: sizeOf(entry.value) } });
    return this;
  }

  /**
   * Whether there is an entry; true also if its value is `undefined`.
   *
   * @param key The key.
   * @returns True if there is.
   */
  has(key: K): boolean {
    const info = this.entry(key);
    return info !== undefined && info.expires > Date.now();
  }

  /**
   * Removes an entry.
   *
   * @param key The key.
   * @returns True if there was one.
   */
  delete(key: K): boolean {
    const text = keyToText(key);
    const fresh = this.has(key);
    this.#front?.delete(text);
    return this.#store.remove(text) && fresh;
  }

  /** Removes all entries. */
  clear(): void {
    this.#front?.clear();
    this.#store.clear();
  }

  /**
   * The keys. What is written or removed meanwhile may or may not show.
   *
   * @returns An iterator.
   */
  *keys(): IterableIterator<K> {
    for (const text of this.#texts()) yield this.#key(text);
  }

  /**
   * The values, one at a time in memory.
   *
   * @returns An iterator.
   */
  *values(): IterableIterator<V> {
    for (const [, value] of this.entries()) yield value;
  }

  /**
   * Keys and values, one at a time in memory.
   *
   * @returns An iterator.
   */
  *entries(): IterableIterator<[K, V]> {
    for (const text of this.#texts()) {
      const found = this.#look(text, false);
      if (found !== undefined && found.info.expires > Date.now()) {
        yield [this.#key(text), found.value];
      }
    }
  }

  /**
   * Keys and values, as {@linkcode StoreArchive.entries}.
   *
   * @returns An iterator.
   */
  [Symbol.iterator](): IterableIterator<[K, V]> {
    return this.entries();
  }

  /**
   * Calls a function with every entry.
   *
   * @param callback Gets value, key and archive, as that of a Map.
   */
  forEach(callback: (value: V, key: K, archive: this) => void): void {
    for (const [key, value] of this.entries()) callback(value, key, this);
  }

  /**
   * Writes many entries: all or none, where the store can; else none if a value cannot be written.
   *
   * @param entries Keys and values: a Map, an archive, an array of pairs.
   * @param options Their expiry and tags.
   * @returns The archive.
   * @throws {UnserializableError} If a value cannot be written.
   */
  update(entries: Iterable<readonly [K, V]>, options?: SetOptions): this {
    if (this.#store.batch) {
      this.transaction(() => {
        for (const [key, value] of entries) this.set(key, value, options);
      });
      return this;
    }
    const meta = this.#meta(options);
    const encoded = Array.from(entries, ([key, value]) => {
      const text = keyToText(key);
      return { text, value, entry: { value: this.#codec.encode(value, text), meta } };
    });
    for (const { text, value, entry } of encoded) {
      this.#store.write(text, entry);
      this.#front?.set(text, { value, info: { ...meta, size: sizeOf(entry.value) } });
    }
    return this;
  }

  /**
   * Removes entries and gives their values.
   *
   * @param keys Which; of a key that is named twice the second is absent.
   * @param fallback What stands for the value of an absent one.
   * @returns The values, in the order of the keys.
   * @throws {RangeError} If one is absent and there is no fallback; then nothing is removed.
   */
  popkeys(keys: Iterable<K>, ...fallback: [fallback?: V]): V[] {
    return this.#batch(() => {
      const found: Set<string> = new Set();
      const values = Array.from(keys, (key) => {
        const text = keyToText(key);
        const entry = found.has(text) ? undefined : this.#look(text, true);
        if (entry !== undefined && entry.info.expires > Date.now()) {
          found.add(text);
          return entry.value;
        }
        if (fallback.length > 0) return fallback[0] as V;
        throw new RangeError(
          `${this.name} has no entry ${
            showKey(key)
          }, and nothing was removed; popkeys(keys, fallback) takes a value for ` +
            "those that are absent",
        );
      });
      for (const text of found) {
        this.#front?.delete(text);
        this.#store.remove(text);
      }
      return values;
    });
  }

  /**
   * A copy of all entries, with their expiry and tags.
   *
   * @param name Where: what this kind of archive takes as its path or name. What is there is replaced. Without it the copy is a
   * `DictArchive`.
   * @returns The copy.
   * @throws {RangeError} If the name is that of this archive.
   */
  copy(name?: string): Archive<K, V> {
    if (name === undefined) {
      const copy = new DictArchive<K, V>();
      this.#copyTo(
        copy,
        (entry, text) => ({ ...entry, value: this.#codec.decode(entry.value, text) as StoredValue }),
      );
      return copy;
    }
    if (name === this.name) throw new RangeError(`${name} cannot be copied to itself: name another place`);
    const copy: StoreArchive<K, V> = Reflect.construct(
      StoreArchive<K, V>,
      [this.#store.another(name), this.#options, this.#codec],
      this.constructor as typeof StoreArchive<K, V>,
    );
    try {
      this.#copyTo(copy, (entry) => entry);
    } catch (error) {
      copy.close();
      throw error;
    }
    return copy;
  }

  #copyTo(copy: StoreArchive<K, V>, convert: (entry: Entry, text: string) => Entry): void {
    copy.#batch(() => {
      copy.#store.clear();
      for (const [text, info] of this.#store.infos()) {
        const entry = gone(info) ? undefined : this.#store.read(text, false);
        if (entry) copy.#store.write(text, convert(entry, text));
      }
    });
  }

  /**
   * Describes an entry.
   *
   * @param key The key.
   * @returns Expiry, tags and size; undefined if there is no entry, or its time and grace are over.
   */
  entry(key: K): EntryInfo | undefined {
    const text = keyToText(key);
    let info = this.#front?.get(text)?.info;
    if (!info && this.#store.info) info = this.#store.info(text);
    else if (!info) {
      const entry = this.#store.read(text, false);
      info = entry && { ...entry.meta, size: sizeOf(entry.value) };
    }
    return info && !gone(info) ? info : undefined;
  }

  /**
   * Value and description of an entry, in one look.
   *
   * @param key The key.
   * @returns Both; undefined if there is no entry, or its time and grace are over.
   * @throws {UntrustedCodeError} As `get`.
   * @throws {CorruptDataError} As `get`.
   */
  read(key: K): { value: V; info: EntryInfo } | undefined {
    const found = this.#look(keyToText(key), true);
    return found && !gone(found.info) ? { ...found } : undefined;
  }

  /**
   * Removes the entries that carry a tag.
   *
   * @param tag The tag.
   * @returns How many there were.
   */
  invalidate(tag: string): number {
    if (this.#front) {
      for (const [text, { info }] of this.#front) if (info.tags.includes(tag)) this.#front.delete(text);
    }
    return this.#store.removeTagged?.(tag) ?? this.#removeWhere((info) => info.tags.includes(tag));
  }

  /**
   * Removes what has expired and has no grace left, which frees its place.
   *
   * @returns How many there were.
   */
  purge(): number {
    const now = Date.now();
    if (this.#front) {
      for (const [text, { info }] of this.#front) if (gone(info, now)) this.#front.delete(text);
    }
    return this.#store.removeExpired?.(now) ?? this.#removeWhere((info) => gone(info, now));
  }

  #removeWhere(condition: (info: EntryInfo) => boolean): number {
    return this.#batch(() => {
      const texts: string[] = [];
      for (const [text, info] of this.#store.infos()) if (condition(info)) texts.push(text);
      return texts.filter((text) => this.#store.remove(text)).length;
    });
  }

  /**
   * Runs `body` so that its writes become visible together, or not at all if it throws. Where the store cannot (a folder of
   * files) they are made one by one.
   *
   * @typeParam T What the body gives.
   * @param body Reads and writes this archive, synchronously.
   * @returns What the body gives.
   * @throws {TypeError} If the body is asynchronous.
   */
  transaction<T>(body: () => T): T {
    return this.#batch(() => {
      const result = body();
      if (result instanceof Promise) {
        result.catch(() => {}); // this error says more
        throw new TypeError(
          `${this.name}: the body of a transaction must be synchronous; await what it needs before`,
        );
      }
      return result;
    });
  }

  #batch<T>(body: () => T): T {
    const { batch } = this.#store;
    if (!batch) return body();
    try {
      return batch.call(this.#store, body) as T;
    } catch (error) {
      this.#front?.clear(); // it may hold what was not written
      throw error;
    }
  }

  /** Removes the archive altogether, files included, and closes it. */
  drop(): void {
    const { meeting } = this.#store;
    this.#store.drop();
    this.close();
    // what is still there is used by others: other caches in the same file, or files that are not the archive's
    if (meeting !== undefined && !exists(meeting)) removeTree(flightsOf(meeting));
  }

  /** Lets go of files. The archive can be used no more; closing it again is no error. */
  close(): void {
    this.#front = undefined;
    this.#store.close();
    if (!(this.#store instanceof ClosedStore)) this.#store = new ClosedStore(this.#store.name);
  }

  /** Closes the archive: `using archive = new DirArchive(path)`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #meta(options: SetOptions | undefined): EntryMeta {
    return newMeta(options, this.#options.ttl, this.name);
  }

  #key(text: string): K {
    try {
      return textToKey(text) as K;
    } catch (error) {
      throw new CorruptDataError(`${this.name}: ${(error as Error).message}`, { cause: error });
    }
  }

  /** The texts of keys whose entries are fresh. */
  *#texts(): Generator<string> {
    for (const [text, info] of this.#store.infos()) if (info.expires > Date.now()) yield text;
  }

  #fresh(text: string): V | undefined {
    if (this.#front) {
      const found = this.#look(text, true);
      return found && found.info.expires > Date.now() ? found.value : undefined;
    }
    const store = this.#store;
    if (store.use) return store.use(text, Date.now(), this.#codec) as V | undefined;
    const entry = store.read(text);
    if (entry === undefined) return undefined;
    const { expires } = entry.meta;
    if (expires !== Infinity && expires <= Date.now()) return undefined;
    return this.#codec.decode(entry.value, text) as V;
  }

  #look(text: string, use: boolean): { value: V; info: EntryInfo } | undefined {
    const known = this.#front?.get(text);
    if (known) return known;
    const entry = this.#store.read(text, use);
    if (!entry) return undefined;
    const value = this.#codec.decode(entry.value, text) as V;
    const found = { value, info: { ...entry.meta, size: sizeOf(entry.value) } };
    this.#front?.set(text, found);
    return found;
  }
}

/** Options of {@linkcode DictArchive}. */
export interface DictOptions extends ArchiveOptions {
  /** True: values are kept as bytes, so that what is read is a copy. Default false: they are kept as they are. */
  serialized?: boolean;
}

/**
 * An archive in memory. It has what every archive has (expiry, tags, keys of any kind), and outlives nothing.
 *
 * Values are kept as they are: `get` gives the very object that was set.
 *
 * @example
 * ```ts
 * import { assertEquals, assertStrictEquals } from "@std/assert";
 * import { DictArchive } from "@pathos/pathos/cache";
 *
 * const archive = new DictArchive<[string, number], object>();
 * const model = { weights: new Float64Array(3) };
 * archive.set(["model", 1], model);
 * assertStrictEquals(archive.get(["model", 1]), model);
 * assertEquals(archive.has(["model", 2]), false);
 * ```
 */
export class DictArchive<K extends ArchiveKey = ArchiveKey, V = unknown> extends StoreArchive<K, V> {
  /**
   * Makes an empty archive.
   *
   * @param name A name, for error messages. Default: `"dict"`.
   * @param options How entries are kept.
   */
  constructor(name: string = "dict", options: DictOptions = {}) {
    const store = new DictStore(name);
    const asBytes = options.serialized || options.key !== undefined || options.protocol ||
      options.compression;
    super(store, options, asBytes ? newCodec({ ...options, serialized: true }, name) : identityCodec);
  }
}
