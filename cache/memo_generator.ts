/**
 * How calls of generator functions go. What an iterator gives is recorded: its values, in order, and what it returns. Callers with
 * one key at one time share one run, each at its own position; whoever is ahead makes the run go on. Only a run that has come
 * to its end is kept. When the last caller stops early the run is ended, as it would be without memory, and forgotten.
 *
 * Nothing happens before the first `next`. What is passed to `next` does not reach the function. Sharing goes as far as the
 * process: a run may rest between two values for as long as its caller likes, and others elsewhere should not wait for that.
 */
import type { MemoryKey } from "./keyer.ts";
import type { Memo } from "./memo.ts";
import type { Slot } from "./memory.ts";
import type { Sequence } from "./sequence.ts";
import type { Found } from "./shelf.ts";

type Address = Slot["address"];

/** The iterator of a call of a generator function. */
export function* iterate(
  memo: Memo,
  key: MemoryKey,
  address: Address,
  self: unknown,
  args: readonly unknown[],
): Generator<unknown, unknown> {
  const kept = keptMeanwhile(memo, key);
  if (kept !== undefined) return yield* memo.present(kept) as Generator<unknown, unknown>;
  const run = runOf(memo, key) as SyncRun | undefined ?? new SyncRun(memo, key, address, self, args);
  run.users++;
  try {
    for (let position = 0;;) {
      if (position < run.values.length) yield run.values[position++];
      else if (run.state === "done") return run.result;
      else run.advance();
    }
  } finally {
    if (--run.users === 0 && run.state === "open") run.stop();
  }
}

/** The iterator of a call of an asynchronous generator function. */
export async function* iterateAsync(
  memo: Memo,
  key: MemoryKey,
  address: Address,
  self: unknown,
  args: readonly unknown[],
): AsyncGenerator<unknown, unknown> {
  const kept = keptMeanwhile(memo, key);
  if (kept !== undefined) return yield* memo.present(kept) as AsyncGenerator<unknown, unknown>;
  const run = runOf(memo, key) as AsyncRun | undefined ?? new AsyncRun(memo, key, address, self, args);
  run.users++;
  try {
    for (let position = 0;;) {
      if (position < run.values.length) yield run.values[position++];
      else if (run.state === "done") return run.result;
      else await run.advance();
    }
  } finally {
    if (--run.users === 0 && run.state === "open") await run.stop();
  }
}

/** Another caller's run may have come to its end between a call and its first `next`. */
function keptMeanwhile(memo: Memo, key: MemoryKey): Slot | undefined {
  const slot = memo.memory.use(key);
  if (slot === undefined || slot.expires <= Date.now()) return undefined;
  memo.hits++;
  return slot;
}

function runOf(memo: Memo, key: MemoryKey): Run | undefined {
  const run = memo.runs.get(key)?.deref() as Run | undefined;
  if (run !== undefined) memo.hits++;
  return run;
}

/** What the runs of both kinds have in common. */
abstract class Run implements Sequence {
  values: unknown[] = [];
  result: unknown;
  state: "open" | "done" | "failed" = "open";
  /** Callers that may go on. */
  users = 0;
  protected error: unknown;
  protected tags: readonly string[] = [];
  #generation: number;

  constructor(
    protected readonly memo: Memo,
    private readonly key: MemoryKey,
    protected readonly address: Address,
    private readonly self: unknown,
    private readonly args: readonly unknown[],
  ) {
    this.#generation = memo.generation;
    memo.runs.set(key, new WeakRef(this));
  }

  /** Calls the function. */
  protected begin(): unknown {
    const { memo, key, self, args } = this;
    if (memo.hasChanged(key, self, args)) this.#generation = NaN; // it runs with other arguments than the key was made of
    this.tags = memo.tagsOf(args);
    memo.misses++;
    return memo.call(self, args);
  }

  /** An archive has the whole. */
  protected arrive(found: Found): void {
    const { memo, key, address } = this;
    if (memo.generation === this.#generation) memo.adopt(key, address, found);
    const { values, result } = found.value as Sequence;
    this.values = values;
    this.#end(result);
  }

  /** The function has returned; gives the slot that is to be written into archives. */
  protected complete(result: unknown): Slot | undefined {
    const { memo, key, address, values, tags } = this;
    this.#end(result);
    if (memo.generation !== this.#generation) return undefined;
    return memo.remember(key, address, "sequence", { values, result }, tags);
  }

  protected fail(error: unknown): never {
    this.error = error;
    this.state = "failed";
    this.forget();
    throw error;
  }

  #end(result: unknown): void {
    this.result = result;
    this.state = "done";
    this.forget();
  }

  /** From now on no caller joins. */
  protected forget(): void {
    const { memo, key } = this;
    if (memo.runs.get(key)?.deref() === this) memo.runs.delete(key);
  }
}

class SyncRun extends Run {
  #source: Iterator<unknown, unknown> | undefined;

  /** Gets one more value, or all that an archive has, or the end. */
  advance(): void {
    if (this.state === "failed") throw this.error;
    let slot: Slot | undefined;
    try {
      if (this.#source === undefined) {
        const found = this.#look();
        if (found !== undefined) return this.arrive(found);
        this.#source = this.begin() as Iterator<unknown, unknown>;
      }
      const { value, done } = this.#source.next();
      if (!done) return void this.values.push(value);
      slot = this.complete(value);
    } catch (error) {
      this.fail(error);
    }
    const { memo, address } = this;
    const shelf = memo.shelved;
    if (slot !== undefined && shelf !== undefined) memo.write(shelf, shelf.place(address()), slot);
  }

  stop(): void {
    this.forget();
    this.#source?.return?.();
  }

  #look(): Found | undefined {
    const { memo, address } = this;
    const shelf = memo.shelved;
    return shelf && memo.read(shelf, shelf.place(address()), false);
  }
}

class AsyncRun extends Run {
  #source: AsyncIterator<unknown, unknown> | Iterator<unknown, unknown> | undefined;
  #step: Promise<void> | undefined;

  /** The same; callers that are equally far wait for the same step. */
  advance(): Promise<void> {
    return this.#step ??= this.#advance();
  }

  async #advance(): Promise<void> {
    await undefined; // so that #step is set before it is cleared
    try {
      if (this.state === "failed") throw this.error;
      const slot = await this.#next();
      const { memo, address } = this;
      const shelf = memo.shelved;
      if (slot !== undefined && shelf !== undefined) {
        await memo.writeAll(shelf, shelf.place(address()), slot);
      }
    } finally {
      this.#step = undefined;
    }
  }

  async #next(): Promise<Slot | undefined> {
    try {
      if (this.#source === undefined) {
        const found = await this.#look();
        if (found !== undefined) return void this.arrive(found);
        this.#source = this.begin() as AsyncIterator<unknown, unknown>;
      }
      const { value, done } = await this.#source.next();
      if (done) return this.complete(value);
      return void this.values.push(value);
    } catch (error) {
      this.fail(error);
    }
  }

  async stop(): Promise<void> {
    this.forget();
    await this.#source?.return?.();
  }

  async #look(): Promise<Found | undefined> {
    const { memo, address } = this;
    const shelf = memo.shelved;
    return shelf && await memo.readAll(shelf, shelf.place(address()), false);
  }
}
