/**
 * The state of one memoized function, and what every kind of function does with it: keys, the memory, the archives, counters.
 * How a call goes is in memo_sync.ts, memo_async.ts and memo_generator.ts.
 *
 * Invariants. What is in memory was found under that key or computed for it. A result whose computation began before
 * `clear` or `invalidate` is given to who waits for it, and kept nowhere: `generation` tells. Without an archive no identity is
 * made and nothing is written.
 */
import type { CodeFunction } from "../serialize/types.ts";
import type { Keyer, MemoryKey } from "./keyer.ts";
import { keyToText } from "./key_text.ts";
import { Memory, Slot } from "./memory.ts";
import { ResultNotKeptError } from "./not_kept.ts";
import type { Policy } from "./policy.ts";
import { replay, replayAsync } from "./sequence.ts";
import type { Form, Found, Shelf } from "./shelf.ts";
import type { ArchiveKey, SetOptions } from "./types.ts";

/** How a call answers: with a value, a promise, an iterator or an asynchronous iterator. */
export type Kind = "sync" | "async" | "generator" | "asyncGenerator";

/** What went wrong behind a call that was answered nevertheless. */
export type Trouble = "key" | "read" | "write" | "refresh";

/** Settings of a memoized function, checked and complete. */
export interface Settings {
  readonly policy: Policy;
  readonly purge: boolean;
  readonly sizeOf: (value: unknown) => number;
  /** Milliseconds; undefined: as the archive says. */
  readonly ttl: number | undefined;
  readonly grace: number;
  readonly tags: readonly string[] | ((...args: unknown[]) => readonly string[]);
  /** Milliseconds for which errors are kept; 0: not at all. */
  readonly errors: number;
  readonly lease: number;
  readonly safe: boolean;
  readonly onError: ((error: unknown, during: Trouble) => void) | undefined;
  /** Whether `this` is part of the key. */
  readonly selfCounts: boolean;
}

/** A promise that several callers share; undefined until the function has been called. */
export interface Flying {
  promise: Promise<unknown> | undefined;
  /** That of the memo when it began. */
  readonly generation: number;
}

/** One memoized function. */
export class Memo {
  hits = 0;
  misses = 0;
  loads = 0;
  stale = 0;
  failed = 0;
  /** Grows when what is being computed shall not be kept any more. */
  generation = 0;
  /** Whether the archive is used. */
  on = true;
  readonly memory: Memory;
  /** Promises under way, by key. */
  readonly flying: Map<MemoryKey, Flying> = new Map();
  /** Runs of a generator function under way. Weak, since a consumer may drop its iterator without a word. */
  readonly runs: Map<MemoryKey, WeakRef<object>> = new Map();
  /** Keys whose refresh is under way (sync). */
  readonly refreshing: Set<MemoryKey> = new Set();
  /** The memoized function, whose own methods have it as `this`. */
  wrapper: CodeFunction | undefined;
  /** Whether `load` has brought slots that perhaps no call has asked for yet. */
  #strays = false;

  constructor(
    readonly fn: CodeFunction,
    readonly keyer: Keyer,
    /** What the function is; what `kind` becomes where a plain function turns out to give promises. */
    readonly declared: Kind,
    public kind: Kind,
    public shelf: Shelf | undefined,
    readonly settings: Settings,
  ) {
    this.memory = new Memory(settings.policy, settings.purge, settings.sizeOf, (slot) => this.#leaving(slot));
  }

  /** The function's name, for errors. */
  get title(): string {
    return `${this.fn.name || "the memoized function"}()`;
  }

  /** The archives, if they are used. */
  get shelved(): Shelf | undefined {
    return this.on ? this.shelf : undefined;
  }

  /** Calls the function. */
  call(self: unknown, args: readonly unknown[]): unknown {
    return Reflect.apply(this.fn, self, args);
  }

  /** The part of `this` in keys. */
  self(self: unknown): unknown {
    return this.settings.selfCounts && self !== this.wrapper ? self : undefined;
  }

  /** The key of a call in archives: made at once, unless it can be made of the same arguments as well later. */
  address(self: unknown, args: readonly unknown[]): () => ArchiveKey {
    const counted = this.self(self);
    if (this.shelved === undefined && counted === undefined && args.every(isPrimitive)) {
      return () => this.keyer.key(args);
    }
    const key = this.keyer.key(args, counted);
    return () => key;
  }

  /** Whether arguments have been changed since the key was made of them. */
  hasChanged(key: MemoryKey, self: unknown, args: readonly unknown[]): boolean {
    if (args.every(isPrimitive)) return false;
    try {
      return this.keyer.pre(args, this.self(self)) !== key;
    } catch {
      return true; // now there is something in them of which no key can be made
    }
  }

  /** What a caller gets. */
  present(slot: Slot): unknown {
    return slot.show === undefined ? slot.shown : slot.show(slot.value);
  }

  /** Tags of a result. */
  tagsOf(args: readonly unknown[]): readonly string[] {
    const { tags } = this.settings;
    return typeof tags === "function" ? [...tags(...args)] : tags;
  }

  /** A slot for a value, by what a call of this kind answers. */
  newSlot(
    key: MemoryKey,
    address: () => ArchiveKey,
    found: Omit<Found, "form"> & { form: Form | "error" },
    promise?: Promise<unknown>,
  ): Slot {
    const { form, value, expires, grace, tags } = found;
    if (form === "promise" && this.kind === "sync") this.kind = "async";
    const isAsync = this.kind === "async";
    let show: Slot["show"];
    if (form === "error") show = isAsync ? rejected : thrown;
    else if (form === "sequence") show = this.kind === "asyncGenerator" ? replayAsync : replay;
    const shown = isAsync && show === undefined ? promise ?? Promise.resolve(value) : value;
    return new Slot({ key, form, value, show, shown, expires, grace, tags, address });
  }

  /** Takes what an archive had into memory. */
  adopt(key: MemoryKey, address: () => ArchiveKey, found: Found): Slot {
    this.loads++;
    const slot = this.newSlot(key, address, found);
    slot.kept = true;
    this.memory.add(slot);
    return slot;
  }

  /** Takes what was computed into memory. */
  remember(
    key: MemoryKey,
    address: () => ArchiveKey,
    form: Form,
    value: unknown,
    tags: readonly string[],
    promise?: Promise<unknown>,
  ): Slot {
    const ttl = this.settings.ttl ?? this.shelved?.ttl ?? Infinity;
    const grace = form === "sequence" ? 0 : this.settings.grace;
    const slot = this.newSlot(key, address, { form, value, expires: Date.now() + ttl, grace, tags }, promise);
    this.memory.add(slot);
    return slot;
  }

  /** Takes an error into memory, if errors are kept; not in place of a result that is stale but usable. */
  rememberError(key: MemoryKey, address: () => ArchiveKey, error: unknown, tags: readonly string[]): void {
    const { errors } = this.settings;
    const had = this.memory.slots.get(key);
    if (errors === 0 || (had !== undefined && had.expires + had.grace > Date.now())) return;
    const expires = Date.now() + errors;
    this.memory.add(this.newSlot(key, address, { form: "error", value: error, expires, grace: 0, tags }));
  }

  /** How a slot is written. */
  terms({ grace, tags }: Slot): SetOptions {
    return { ttl: this.settings.ttl, grace, tags };
  }

  /** Looks into the archives that answer at once. */
  read(shelf: Shelf, place: string, stale: boolean): Found | undefined {
    try {
      return shelf.read(place, stale);
    } catch (error) {
      this.trouble(error, "read");
      return undefined;
    }
  }

  /** Looks into all archives. */
  async readAll(shelf: Shelf, place: string, stale: boolean): Promise<Found | undefined> {
    try {
      return await shelf.readAll(place, stale);
    } catch (error) {
      this.trouble(error, "read");
      return undefined;
    }
  }

  /** Writes a slot into the archives that answer at once. */
  write(shelf: Shelf, place: string, slot: Slot): void {
    try {
      shelf.write(place, slot.form as Form, slot.value, this.terms(slot));
      slot.kept = true;
    } catch (error) {
      this.trouble(this.#notKept(shelf, slot, error), "write");
    }
  }

  /** Writes a slot into all archives. */
  async writeAll(shelf: Shelf, place: string, slot: Slot): Promise<void> {
    try {
      await shelf.writeAll(place, slot.form as Form, slot.value, this.terms(slot));
      slot.kept = true;
    } catch (error) {
      this.trouble(this.#notKept(shelf, slot, error), "write");
    }
  }

  #notKept(shelf: Shelf, slot: Slot, cause: unknown): ResultNotKeptError {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return new ResultNotKeptError(
      `${this.title} has computed, but the archive ${shelf.archive.name} could not take the result: ${reason}. The result is in ` +
        "this error's `result`; the option safe: true gives it to the caller all the same",
      slot.value,
      { cause },
    );
  }

  /** Whether a result cannot be kept because it is used up by who gets it. */
  refuses(value: unknown): boolean {
    if (!isIterator(value)) return false;
    const error = new TypeError(
      `${this.title} has given an iterator, which can be run through only once; memoize a generator function (function*), whose ` +
        "values are kept, or give an array",
    );
    this.trouble(error, "write");
    return true;
  }

  /** With `safe` the call goes on, and the trouble is counted and told; without, it is thrown. */
  trouble(error: unknown, during: Trouble): void {
    if (!this.settings.safe && during !== "refresh") throw error;
    this.failed++;
    this.settings.onError?.(error, during);
  }

  /** Notes that a refresh failed: the stale result is used on, and the next try is not made at once. */
  refreshFailed(slot: Slot, error: unknown): void {
    slot.patience = Date.now() + Math.min(1_000, slot.grace / 10);
    this.trouble(error, "refresh");
  }

  /** Notes slots that came by `load`, under their keys in archives. */
  addStray(key: ArchiveKey, found: Found): void {
    const slot = this.newSlot(strayKey(key), () => key, found);
    slot.kept = true;
    if (this.memory.add(slot)) this.#strays = true;
  }

  /** The slot that `load` has brought for a call, from now on under the call's own key. */
  stray(key: MemoryKey, address: () => ArchiveKey): Slot | undefined {
    if (!this.#strays) return undefined;
    const stray = this.memory.slots.get(strayKey(address()));
    if (stray === undefined) return undefined;
    this.memory.remove(stray.key);
    const slot = new Slot({ ...stray, key });
    slot.kept = true;
    this.memory.add(slot);
    return slot;
  }

  /** Empties the memory. */
  clear(): void {
    this.forgetRunning();
    this.memory.clear();
    this.#strays = false;
  }

  /** From now on nobody joins what is being computed, and it is not kept. */
  forgetRunning(): void {
    this.generation++;
    this.flying.clear();
    this.runs.clear();
  }

  /** A limit removes a slot: what was computed while the archive was not used goes there now. */
  #leaving(slot: Slot): void {
    const shelf = this.shelved;
    if (shelf === undefined || slot.kept || slot.form === "error") return;
    const tell = (error: unknown) => {
      this.failed++;
      this.settings.onError?.(error, "write");
    };
    try {
      const place = shelf.place(slot.address());
      shelf.writeAll(place, slot.form as Form, slot.value, this.terms(slot)).catch(tell);
    } catch (error) {
      tell(error); // not thrown: the call that needs the room has nothing to do with it
    }
  }
}

function strayKey(key: ArchiveKey): string {
  return `\0\0${keyToText(key)}`;
}

function isPrimitive(value: unknown): boolean {
  return (typeof value !== "object" || value === null) && typeof value !== "function";
}

function isIterator(value: unknown): boolean {
  return typeof value === "object" && value !== null && "next" in value && typeof value.next === "function" &&
    (Symbol.iterator in value || Symbol.asyncIterator in value);
}

function thrown(error: unknown): never {
  throw error;
}

function rejected(error: unknown): Promise<never> {
  return Promise.reject(error);
}
