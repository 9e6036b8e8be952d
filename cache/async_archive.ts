/**
 * What users see of every archive behind a network: what archive.ts is for synchronous ones, giving promises, over an
 * {@linkcode AsyncStore}. A kind of archive is a store and a subclass whose constructor makes it, and which has no fields of
 * its own, so that `copy` can give one of the same class.
 */
import { DictArchive, StoreArchive } from "./archive.ts";
import { type Codec, identityCodec, newCodec } from "./codec.ts";
import { DictStore } from "./dict.ts";
import { keyToText, showKey, textToKey } from "./key_text.ts";
import { checkTime, gone, newMeta } from "./meta.ts";
import { type AsyncStore, type Entry, type EntryInfo, sizeOf } from "./store.ts";
import type { Archive, ArchiveKey, ArchiveOptions, AsyncArchive, SetOptions } from "./types.ts";

/** What the constructor of an archive was given, or of a copy would have been: where another program opens the same. */
export let asyncOriginOf: (archive: AsyncStoreArchive) => { place: string; options: ArchiveOptions };

/**
 * An archive over any {@linkcode AsyncStore}: what `PostgresArchive` and others behind a network have in common. Entries whose time
 * has come are as if absent; those with a grace are still given by `read` and `entry` until that is over too.
 *
 * @example
 * ```ts ignore
 * import { AsyncStoreArchive, PostgresArchive } from "@pathos/pathos/cache";
 *
 * await using archive: AsyncStoreArchive<string, number> = new PostgresArchive("postgres://me@db.example.org/lab");
 * await archive.update([["one", 1], ["two", 2]], { ttl: 60_000, tags: ["numbers"] });
 * for await (const [key, value] of archive) console.log(key, value);
 * ```
 */
export class AsyncStoreArchive<K extends ArchiveKey = ArchiveKey, V = unknown> implements AsyncArchive<K, V> {
  readonly #store: AsyncStore;
  readonly #codec: Codec;
  readonly #options: ArchiveOptions;
  /** What was read and written, with `cached`. */
  readonly #front: Map<string, { value: V; info: EntryInfo }> | undefined;

  static {
    asyncOriginOf = (archive) => ({ place: archive.#store.place ?? archive.name, options: archive.#options });
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
  constructor(store: AsyncStore, options: ArchiveOptions = {}, codec: Codec = newCodec(options, store.name)) {
    if (options.ttl !== undefined) checkTime("ttl", options.ttl, store.name);
    this.#store = store;
    this.#codec = codec;
    this.#options = options;
    this.#front = options.cached ? new Map() : undefined;
  }

  /** The store, for subclasses. */
  protected get store(): AsyncStore {
    return this.#store;
  }

  /** URL or name, without passwords. */
  get name(): string {
    return this.#store.name;
  }

  /** Milliseconds after which entries expire, unless `set` says otherwise; undefined: never. */
  get ttl(): number | undefined {
    return this.#options.ttl;
  }

  /**
   * Number of entries.
   *
   * @returns It, at the time of the question.
   */
  size(): Promise<number> {
    return this.#store.countFresh(Date.now());
  }

  /**
   * The value of an entry, or undefined if there is none.
   *
   * @param key The key.
   * @returns The value.
   * @throws {UntrustedCodeError} If it holds code or lacks a signature, and the archive's options do not allow that.
   * @throws {CorruptDataError} If it is damaged.
   */
  async get(key: K): Promise<V | undefined> {
    const found = await this.#look(keyToText(key));
    return found && found.info.expires > Date.now() ? found.value : undefined;
  }

  /**
   * Writes an entry in place of what is there.
   *
   * @param key The key.
   * @param value The value, `undefined` included.
   * @param options Its expiry and tags.
   * @throws {UnserializableError} If the value cannot be written.
   * @throws {RangeError} If a time in the options is NaN or negative. 0 is a time: expired at once, there for its grace.
   */
  async set(key: K, value: V, options?: SetOptions): Promise<void> {
    const text = keyToText(key);
    const entry = { value: this.#codec.encode(value, text), meta: this.#meta(options) };
    this.#front?.delete(text); // if the write fails nobody knows what is there
    await this.#store.write(text, entry);
    this.#front?.set(text, { value, info: { ...entry.meta, size: sizeOf(entry.value) } });
  }

  /**
   * Whether there is an entry; true also if its value is `undefined`.
   *
   * @param key The key.
   * @returns True if there is.
   */
  async has(key: K): Promise<boolean> {
    const info = await this.entry(key);
    return info !== undefined && info.expires > Date.now();
  }

  /**
   * Removes an entry.
   *
   * @param key The key.
   * @returns True if there was one. When the connection was lost in the middle, false may also mean that the first attempt
   * had removed it.
   */
  async delete(key: K): Promise<boolean> {
    const text = keyToText(key);
    const removed = await this.#store.remove(text, Date.now());
    this.#front?.delete(text);
    return removed;
  }

  /** Removes all entries. */
  async clear(): Promise<void> {
    await this.#store.clear();
    this.#front?.clear();
  }

  /**
   * The keys. What is written or removed meanwhile may or may not show.
   *
   * @returns An iterator.
   */
  async *keys(): AsyncIterableIterator<K> {
    for await (const [text, info] of this.#store.infos()) {
      if (info.expires > Date.now()) yield textToKey(text) as K;
    }
  }

  /**
   * The values, some at a time in memory.
   *
   * @returns An iterator.
   */
  async *values(): AsyncIterableIterator<V> {
    for await (const [, value] of this.entries()) yield value;
  }

  /**
   * Keys and values, some at a time in memory.
   *
   * @returns An iterator.
   */
  async *entries(): AsyncIterableIterator<[K, V]> {
    for await (const [text, entry] of this.#store.entries()) {
      if (entry.meta.expires <= Date.now()) continue;
      const known = this.#front?.get(text);
      yield [textToKey(text) as K, known ? known.value : this.#codec.decode(entry.value, text) as V];
    }
  }

  /**
   * Keys and values, as {@linkcode AsyncStoreArchive.entries}.
   *
   * @returns An iterator.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<[K, V]> {
    return this.entries();
  }

  /**
   * Writes many entries, all or none.
   *
   * @param entries Keys and values: a Map, an archive, an array of pairs.
   * @param options Their expiry and tags.
   * @throws {UnserializableError} If a value cannot be written.
   */
  async update(entries: Iterable<readonly [K, V]>, options?: SetOptions): Promise<void> {
    const meta = this.#meta(options);
    const encoded = Array.from(entries, ([key, value]) => {
      const text = keyToText(key);
      const entry = { value: this.#codec.encode(value, text), meta };
      return { text, value, entry, info: { ...meta, size: sizeOf(entry.value) } };
    });
    if (this.#front) { for (const { text } of encoded) this.#front.delete(text); }
    await this.#store.writeAll(encoded.map(({ text, entry }): [string, Entry] => [text, entry]));
    if (this.#front) { for (const { text, value, info } of encoded) this.#front.set(text, { value, info }); }
  }

  /**
   * Removes entries and gives their values.
   *
   * @param keys Which; of a key that is named twice the second is absent.
   * @param fallback What stands for the value of an absent one.
   * @returns The values, in the order of the keys.
   * @throws {RangeError} If one is absent and there is no fallback; then nothing is removed.
   */
  async popkeys(keys: Iterable<K>, ...fallback: [fallback?: V]): Promise<V[]> {
    const asked = Array.from(keys, (key) => ({ key, text: keyToText(key) }));
    const texts = [...new Set(asked.map(({ text }) => text))];
    const values = await this.#store.take(texts, (found) => {
      const left = new Set(texts);
      const now = Date.now();
      return asked.map(({ key, text }) => {
        const entry = left.delete(text) ? found.get(text) : undefined;
        if (entry && entry.meta.expires > now) return this.#codec.decode(entry.value, text) as V;
        if (fallback.length > 0) return fallback[0] as V;
        throw new RangeError(
          `${this.name} has no entry ${
            showKey(key)
          }, and nothing was removed; popkeys(keys, fallback) takes a value for ` +
            "those that are absent",
        );
      });
    });
    if (this.#front) { for (const text of texts) this.#front.delete(text); }
    return values;
  }

  /**
   * A copy of all entries, with their expiry and tags.
   *
   * @param name Where: what this kind of archive takes as its name, for PostgreSQL a table of the same database or a URL. What is
   * there is replaced. Without it the copy is a `DictArchive`, in memory.
   * @returns The copy, an archive of the same class or a `DictArchive`.
   * @throws {RangeError} If the name is that of this archive.
   */
  async copy(name?: string): Promise<Archive<K, V> | AsyncArchive<K, V>> {
    if (name === undefined) return await this.#copyToMemory();
    const copy = Reflect.construct(
      AsyncStoreArchive,
      [this.#store.another(name), this.#options, this.#codec],
      this.constructor as typeof AsyncStoreArchive,
    ) as unknown as this;
    try {
      if (copy.name === this.name) {
        throw new RangeError(`${name} cannot be copied to itself: name another place`);
      }
      await copy.#store.writeAll(kept(this.#store.entries()), true);
    } catch (error) {
      await copy.close();
      throw error;
    }
    return copy;
  }

  async #copyToMemory(): Promise<Archive<K, V>> {
    const store = new DictStore("dict");
    for await (const [text, { value, meta }] of kept(this.#store.entries())) {
      store.write(text, { value: this.#codec.decode(value, text) as Entry["value"], meta });
    }
    return Reflect.construct(StoreArchive, [store, {}, identityCodec], DictArchive);
  }

  /**
   * Describes an entry.
   *
   * @param key The key.
   * @returns Expiry, tags and size; undefined if there is no entry, or its time and grace are over.
   */
  async entry(key: K): Promise<EntryInfo | undefined> {
    const text = keyToText(key);
    const info = this.#front?.get(text)?.info ?? await this.#store.info(text);
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
  async read(key: K): Promise<{ value: V; info: EntryInfo } | undefined> {
    const found = await this.#look(keyToText(key));
    return found && !gone(found.info) ? { ...found } : undefined;
  }

  /**
   * Removes the entries that carry a tag.
   *
   * @param tag The tag.
   * @returns How many there were.
   */
  async invalidate(tag: string): Promise<number> {
    const removed = await this.#store.removeTagged(tag);
    this.#forget((info) => info.tags.includes(tag));
    return removed;
  }

  /**
   * Removes what has expired and has no grace left, which frees its place.
   *
   * @returns How many there were.
   */
  async purge(): Promise<number> {
    const removed = await this.#store.removeExpired(Date.now());
    this.#forget((info) => gone(info));
    return removed;
  }

  /**
   * Lets one holder at a time, among all programs that use the archive, compute what belongs at a key. It keeps nobody from
   * writing the entry.
   *
   * @param key The key.
   * @returns null while another holds it, else what ends it. It also ends with the holder's connection, however that ends.
   */
  hold(key: K): Promise<(() => Promise<void>) | null> {
    return this.#store.hold(keyToText(key));
  }

  /** Removes the archive altogether, and closes it. */
  async drop(): Promise<void> {
    await this.#store.drop();
    await this.close();
  }

  /** Lets go of connections, once the calls under way have ended. The archive can be used no more; closing it again is no error. */
  async close(): Promise<void> {
    this.#front?.clear();
    await this.#store.close();
  }

  /** Closes the archive: `await using archive = new PostgresArchive(url)`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #meta(options: SetOptions | undefined) {
    return newMeta(options, this.#options.ttl, this.name);
  }

  #forget(condition: (info: EntryInfo) => boolean): void {
    if (!this.#front) return;
    for (const [text, { info }] of this.#front) if (condition(info)) this.#front.delete(text);
  }

  async #look(text: string): Promise<{ value: V; info: EntryInfo } | undefined> {
    const known = this.#front?.get(text);
    if (known) return known;
    const entry = await this.#store.read(text);
    if (!entry) return undefined;
    const value = this.#codec.decode(entry.value, text) as V;
    const found = { value, info: { ...entry.meta, size: sizeOf(entry.value) } };
    this.#front?.set(text, found);
    return found;
  }
}

/** Those whose time and grace are not over. */
async function* kept(entries: AsyncIterable<[string, Entry]>): AsyncIterable<[string, Entry]> {
  for await (const pair of entries) if (!gone(pair[1].meta)) yield pair;
}
