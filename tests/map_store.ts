/**
 * An asynchronous store in memory, for tests of what archives behind a network do for their users. It answers in a later turn of
 * the event loop, as a network would.
 *
 * @module
 */
import type { AsyncStore, Entry, EntryInfo } from "@pathos/pathos/cache";

/** A store that keeps its entries in a Map. */
export class MapStore implements AsyncStore {
  readonly name: string = "a map";
  #entries: Map<string, Entry> = new Map();
  #held: Set<string> = new Set();

  /** How many holds there are. */
  get held(): number {
    return this.#held.size;
  }

  async read(key: string): Promise<Entry | undefined> {
    await turn();
    return this.#entries.get(key);
  }

  async write(key: string, entry: Entry): Promise<void> {
    await turn();
    this.#entries.set(key, entry);
  }

  async writeAll(
    entries: Iterable<[string, Entry]> | AsyncIterable<[string, Entry]>,
    replace = false,
  ): Promise<void> {
    const all: [string, Entry][] = [];
    for await (const entry of entries) all.push(entry);
    if (replace) this.#entries.clear();
    for (const [key, entry] of all) this.#entries.set(key, entry);
  }

  async remove(key: string, now = -Infinity): Promise<boolean> {
    await turn();
    const entry = this.#entries.get(key);
    return this.#entries.delete(key) && entry!.meta.expires > now;
  }

  async take<T>(keys: readonly string[], body: (found: ReadonlyMap<string, Entry>) => T): Promise<T> {
    await turn();
    const found = keys.flatMap((key) =>
      this.#entries.has(key) ? [[key, this.#entries.get(key)!] as const] : []
    );
    const result = body(new Map(found));
    for (const key of keys) this.#entries.delete(key);
    return result;
  }

  async clear(): Promise<void> {
    await turn();
    this.#entries.clear();
  }

  async count(): Promise<number> {
    await turn();
    return this.#entries.size;
  }

  async countFresh(now: number): Promise<number> {
    await turn();
    return [...this.#entries.values()].filter(({ meta }) => meta.expires > now).length;
  }

  async info(key: string): Promise<EntryInfo | undefined> {
    await turn();
    return info(this.#entries.get(key));
  }

  async *infos(): AsyncIterable<[string, EntryInfo]> {
    for await (const [key, entry] of this.entries()) yield [key, info(entry)!];
  }

  async *entries(): AsyncIterable<[string, Entry]> {
    for (const entry of [...this.#entries]) {
      await turn();
      yield entry;
    }
  }

  removeTagged(tag: string): Promise<number> {
    return this.#removeWhere(({ meta }) => meta.tags.includes(tag));
  }

  removeExpired(now: number): Promise<number> {
    return this.#removeWhere(({ meta }) => meta.expires + meta.grace <= now);
  }

  async #removeWhere(condition: (entry: Entry) => boolean): Promise<number> {
    await turn();
    const keys = [...this.#entries].filter(([, entry]) => condition(entry)).map(([key]) => key);
    for (const key of keys) this.#entries.delete(key);
    return keys.length;
  }

  async hold(key: string): Promise<(() => Promise<void>) | null> {
    await turn();
    if (this.#held.has(key)) return null;
    this.#held.add(key);
    return async () => {
      await turn();
      this.#held.delete(key);
    };
  }

  another(): AsyncStore {
    return new MapStore();
  }

  drop(): Promise<void> {
    return this.clear();
  }

  async close(): Promise<void> {}
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function info(entry: Entry | undefined): EntryInfo | undefined {
  return entry && { ...entry.meta, size: (entry.value as Uint8Array).length };
}
