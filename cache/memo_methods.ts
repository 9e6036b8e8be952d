/**
 * What can be asked of a memoized function besides calling it: how it does, what it has, where it keeps it.
 */
import { keyToText } from "./key_text.ts";
import type { Memo } from "./memo.ts";
import type { Slot } from "./memory.ts";
import { type AnyArchive, isAsyncArchive, type Shelf } from "./shelf.ts";
import type { Archive, ArchiveKey, AsyncArchive } from "./types.ts";

/** How a memoized function has done so far. */
export interface CacheInfo {
  /** Calls that were answered from memory, or by another call's computation. */
  hit: number;
  /** Calls for which the function was called. */
  miss: number;
  /** Calls that were answered by the archive. */
  load: number;
  /** Entries that memory may hold; `Infinity`: no limit. */
  maxsize: number;
  /** Entries in memory. */
  size: number;
  /** Bytes that values in memory may have; `Infinity`: no limit. */
  maxbytes: number;
  /** Bytes of the values in memory by `sizeOf`; 0 where nothing limits them. */
  bytes: number;
  /** How many of the hits and loads were stale results, within `staleWhileRevalidate`. */
  stale: number;
  /** How often something failed without the caller being told: a refresh, and with `safe` keys and archives. */
  failed: number;
}

/** The methods of a memoized function, before types are given to them. */
export function methodsOf(memo: Memo, newShelf: (archive: AnyArchive) => Shelf) {
  const { keyer, memory } = memo;
  /** The archives, if they are used and one of them is behind a network. */
  const isFar = () => memo.shelf?.far !== undefined;

  function info(): CacheInfo {
    const { policy, size, bytes } = memory;
    const { hits: hit, misses: miss, loads: load, stale, failed } = memo;
    return { hit, miss, load, maxsize: policy.count, size, maxbytes: policy.bytes, bytes, stale, failed };
  }

  function clear(keepstats = false): void {
    memo.clear();
    if (!keepstats) {
      memo.hits =
        memo.misses =
        memo.loads =
        memo.stale =
        memo.failed =
          0;
    }
  }

  function key(this: unknown, ...args: unknown[]): ArchiveKey {
    return keyer.key(args, memo.self(this));
  }

  function lookup(this: unknown, ...args: unknown[]): unknown {
    const self = memo.self(this);
    const slot = memory.slots.get(keyer.pre(args, self));
    if (slot !== undefined && slot.expires > Date.now()) return memo.present(slot);
    const shelf = memo.shelved;
    if (shelf === undefined) return undefined;
    const address = () => keyer.key(args, self);
    const place = shelf.place(address());
    if (shelf.far) return lookAway(shelf, place, address);
    const found = shelf.read(place, false);
    return found && memo.present(memo.newSlot("", address, found));
  }

  async function lookAway(shelf: Shelf, place: string, address: () => ArchiveKey): Promise<unknown> {
    const found = await shelf.readAll(place, false);
    return found && memo.present(memo.newSlot("", address, found));
  }

  /** Fresh slots by the texts of their keys. */
  function byText(): Map<string, Slot> {
    const slots: Map<string, Slot> = new Map();
    for (const slot of memory.slots.values()) {
      if (slot.form !== "error" && slot.expires > Date.now()) slots.set(keyToText(slot.address()), slot);
    }
    return slots;
  }

  function load(...keys: ArchiveKey[]): number | Promise<number> {
    const shelf = memo.shelved;
    if (shelf === undefined) return isFar() ? Promise.resolve(0) : 0;
    const had = byText();
    const wanted = keys.filter((key) => !had.has(keyToText(key)));
    if (shelf.far) return loadAway(shelf, shelf.far, keys.length > 0 ? wanted : undefined, had);
    let number = 0;
    for (const key of keys.length > 0 ? wanted : absentKeys(shelf, had)) {
      const found = shelf.read(shelf.place(key), false);
      if (found === undefined) continue;
      memo.addStray(key, found);
      number++;
    }
    return number;
  }

  function* absentKeys(shelf: Shelf, had: Map<string, Slot>): Generator<ArchiveKey> {
    for (const place of (shelf.archive as Archive).keys()) {
      const found = shelf.keyAt(place);
      if (found && !had.has(keyToText(found.key))) yield found.key;
    }
  }

  async function loadAway(
    shelf: Shelf,
    far: AsyncArchive,
    wanted: ArchiveKey[] | undefined,
    had: Map<string, Slot>,
  ): Promise<number> {
    if (wanted === undefined) {
      wanted = [];
      for await (const place of far.keys()) {
        const found = shelf.keyAt(place);
        if (found && !had.has(keyToText(found.key))) wanted.push(found.key);
      }
    }
    let number = 0;
    for (const key of wanted) {
      const found = await shelf.readAll(shelf.place(key), false);
      if (found === undefined) continue;
      memo.addStray(key, found);
      number++;
    }
    return number;
  }

  function dump(...keys: ArchiveKey[]): number | Promise<number> {
    const shelf = memo.shelved;
    if (shelf === undefined) return isFar() ? Promise.resolve(0) : 0;
    const slots = byText();
    const chosen = keys.length === 0
      ? [...slots]
      : keys.map(keyToText).flatMap((text) => slots.has(text) ? [[text, slots.get(text)!] as const] : []);
    const entries = chosen.map(([, slot]) => [shelf.place(slot.address()), slot] as const);
    if (shelf.far) return dumpAway(shelf, entries);
    const write = () => {
      for (const [place, slot] of entries) memo.write(shelf, place, slot);
    };
    (shelf.archive as Archive).transaction(write);
    return entries.length;
  }

  async function dumpAway(shelf: Shelf, entries: (readonly [string, Slot])[]): Promise<number> {
    for (const [place, slot] of entries) await memo.writeAll(shelf, place, slot);
    return entries.length;
  }

  function archive(next?: AnyArchive): AnyArchive | undefined {
    if (next !== undefined) {
      if (isAsyncArchive(next) !== isFar()) {
        throw new TypeError(
          `${memo.title} was memoized ${
            isFar() ? "with" : "without"
          } an asynchronous archive, and its callers rely on ` +
            `that; memoize(fn, { archive }) makes another function for ${next.name}`,
        );
      }
      memo.shelf = newShelf(next);
      memo.on = true;
      for (const slot of memory.slots.values()) slot.kept = false;
    }
    return memo.shelf?.archive;
  }

  function archived(on?: boolean): boolean {
    if (on !== undefined) memo.on = on;
    return memo.shelved !== undefined;
  }

  function invalidate(tag: string): number | Promise<number> {
    memo.forgetRunning();
    const number = memory.removeTagged(tag);
    return memo.shelved?.invalidate(tag) ?? (isFar() ? Promise.resolve(number) : number);
  }

  return { info, clear, key, lookup, load, dump, archive, archived, invalidate };
}
