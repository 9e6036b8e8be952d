/**
 * The store in memory: values stay what they are, nothing outlives the process, and nobody else sees it.
 */
import { type Entry, type EntryInfo, sizeOf, type Store } from "./store.ts";

/** A store in memory. */
export class DictStore implements Store {
  readonly name: string;
  #entries: Map<string, Entry> = new Map();
  /** What was there before the writes of the batch that runs. */
  #before: Map<string, Entry | undefined> | undefined;

  constructor(name: string) {
    this.name = name;
  }

  read(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  write(key: string, entry: Entry): void {
    this.#note(key);
    this.#entries.set(key, entry);
  }

  remove(key: string): boolean {
    this.#note(key);
    return this.#entries.delete(key);
  }

  clear(): void {
    if (this.#before) { for (const key of this.#entries.keys()) this.#note(key); }
    this.#entries.clear();
  }

  count(): number {
    return this.#entries.size;
  }

  info(key: string): EntryInfo | undefined {
    const entry = this.#entries.get(key);
    return entry && { ...entry.meta, size: sizeOf(entry.value) };
  }

  *infos(): Iterable<[string, EntryInfo]> {
    for (const [key, { meta, value }] of this.#entries) yield [key, { ...meta, size: sizeOf(value) }];
  }

  batch<T>(body: () => T): T {
    const outer = this.#before;
    const before: Map<string, Entry | undefined> = new Map();
    this.#before = before;
    try {
      return body();
    } catch (error) {
      for (const [key, entry] of before) {
        if (entry) this.#entries.set(key, entry);
        else this.#entries.delete(key);
      }
      before.clear();
      throw error;
    } finally {
      this.#before = outer;
      if (outer) { for (const [key, entry] of before) if (!outer.has(key)) outer.set(key, entry); }
    }
  }

  another(name: string): Store {
    return new DictStore(name);
  }

  drop(): void {
    this.#entries.clear();
  }

  close(): void {}

  #note(key: string): void {
    if (this.#before && !this.#before.has(key)) this.#before.set(key, this.#entries.get(key));
  }
}
