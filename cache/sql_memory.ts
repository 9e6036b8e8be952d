/**
 * Values of a table that were read more than once, in memory, for as long as nothing in the file has changed.
 *
 * Each is kept with the version of the file (`Database.version`) at which it was read, under the lock of that reading; a hit
 * asks for the version again, without a lock. While that is the same, nothing has been committed since: a writer changes it
 * before its commit is complete. So a hit gives what a reading at that moment would have given, whoever writes meanwhile, at a
 * fraction of its cost. Any commit, of anybody, empties the memory.
 */
import type { StoredValue } from "./store.ts";

/** A value, with its row's id, and when its entry expires. */
export interface Kept {
  readonly id: number;
  readonly expires: number;
  readonly value: StoredValue;
}

/** About how many bytes an entry takes up besides its key and value. */
const OVERHEAD = 200;
/** The part of the memory that one entry may take up: many small ones are worth more than a large one. */
const SHARE = 1 / 16;
/** How many of the rows that were read last are remembered, to know one that is read again. A power of 2. */
const SEEN = 2 ** 14;

/** What was read last, up to so many bytes. */
export class EntryMemory {
  readonly #limit: number;
  readonly #kept = new Map<string, Kept>();
  readonly #seen = new Int32Array(SEEN);
  #bytes = 0;
  #version: number | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether a row is worth keeping: true the second time that it is read. */
  wants(id: number): boolean {
    const at = id & (SEEN - 1), known = this.#seen[at] === (id | 0);
    this.#seen[at] = id;
    return known;
  }

  /** Whether something was kept, at whichever version. */
  has(key: string): boolean {
    return this.#kept.has(key);
  }

  /** What was kept at this version of the file. */
  get(key: string, version: number): Kept | undefined {
    if (version === this.#version) return this.#kept.get(key);
    this.#kept.clear();
    this.#bytes = 0;
    this.#version = version;
    return undefined;
  }

  /** Keeps an entry that was read at this version; those kept longest make room. */
  keep(key: string, kept: Kept, version: number): void {
    const size = bytesOf(key, kept);
    // asking empties the memory if it is of another version
    if (this.get(key, version) !== undefined || size > this.#limit * SHARE) return;
    this.#kept.set(key, kept);
    this.#bytes += size;
    for (const [oldest, entry] of this.#kept) {
      if (this.#bytes <= this.#limit) return;
      this.#kept.delete(oldest);
      this.#bytes -= bytesOf(oldest, entry);
    }
  }
}

function bytesOf(key: string, { value }: Kept): number {
  const bytes = typeof value === "string" ? 2 * value.length : typeof value === "number" ? 8 : value.length;
  return 2 * key.length + bytes + OVERHEAD;
}
