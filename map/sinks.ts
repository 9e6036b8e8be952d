/**
 * Where the results of a map go: into an array, or to a reader who takes them one by one. With
 * `onError: "collect"` every result is wrapped as `Promise.allSettled` does it.
 */
import type { NumberArray } from "./options.ts";

/** Takes the outcomes of a job. Runs of results come in any order; each item comes once. */
export interface Sink {
  /** Items that may still be taken, when `taken` have been and `window` may lie between taking and delivery. */
  room(taken: number, window: number): number;
  /** Results of `count` items from `start` on. */
  accept(start: number, values: ArrayLike<unknown>, count: number): void;
  /** Item `index` failed, and the map goes on. */
  reject(index: number, error: unknown): void;
  /** All items are in. */
  finish(): void;
  /** The map ended early. */
  fail(error: unknown): void;
}

/** A promise with its two ends. */
export interface Deferred<T> {
  promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

/** A promise to be settled from outside. */
export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

const fulfilled = (value: unknown): PromiseSettledResult<unknown> => ({ status: "fulfilled", value });
const rejected = (reason: unknown): PromiseSettledResult<unknown> => ({ status: "rejected", reason });

/** Collects all results in an array, in the order of the inputs, or in `out`. */
export function arraySink(
  total: number | undefined,
  collect: boolean,
  out: NumberArray | undefined,
): { sink: Sink; results: Promise<unknown> } {
  const { promise, resolve, reject } = deferred<unknown>();
  let results: unknown[] | undefined; // allocated when the workers are busy: a million places take milliseconds
  const sink: Sink = {
    room: () => Infinity,
    accept(start, values, count) {
      if (out) {
        if ((values as NumberArray).buffer === out.buffer) return; // written in place by a thread
        if (ArrayBuffer.isView(values)) out.set(values as unknown as NumberArray, start);
        else for (let i = 0; i < count; i++) out[start + i] = values[i] as number;
        return;
      }
      results ??= new Array(total ?? 0);
      if (collect) {
        for (let i = 0; i < count; i++) results[start + i] = fulfilled(values[i]);
      } else if (values instanceof Float64Array) {
        copyNumbers(values, results, start);
      } else {
        for (let i = 0; i < count; i++) results[start + i] = values[i];
      }
    },
    reject: (index, error) => (results ??= new Array(total ?? 0))[index] = rejected(error),
    finish: () => resolve(out ?? results ?? []),
    fail: reject,
  };
  return { sink, results: promise };
}

/** A loop of its own, so that the engine sees one kind of array in it: packed numbers are the most common by far. */
function copyNumbers(from: Float64Array, to: unknown[], start: number): void {
  for (let i = 0; i < from.length; i++) to[start + i] = from[i];
}

/** Hands results to a reader one by one: in the order of the inputs, or as they come. */
export function streamSink(
  ordered: boolean,
  collect: boolean,
  moreRoom: () => void,
): { sink: Sink; next: () => Promise<IteratorResult<unknown>> } {
  const runs = new Map<number, { values: ArrayLike<unknown>; count: number }>(); // by first item
  let current: { values: ArrayLike<unknown>; count: number; at: number } | undefined;
  let nextStart = 0; // of the run after the current one (ordered)
  let delivered = 0;
  let sinceRoom = 0;
  let end: { error?: unknown; failed: boolean } | undefined;
  const readers: Deferred<IteratorResult<unknown>>[] = [];

  function advance(): boolean {
    while (current === undefined || current.at === current.count) {
      const key = ordered ? nextStart : runs.keys().next().value;
      const run = key === undefined ? undefined : runs.get(key);
      if (!run) return false;
      runs.delete(key!);
      nextStart = key! + run.count;
      current = { ...run, at: 0 };
    }
    return true;
  }

  function take(): IteratorResult<unknown> {
    const value = current!.values[current!.at++];
    delivered++;
    if (++sinceRoom >= 16 || current!.at === current!.count) {
      sinceRoom = 0;
      moreRoom();
    }
    return { done: false, value };
  }

  function serve(): void {
    while (readers.length > 0 && advance()) readers.shift()!.resolve(take());
    if (!end || readers.length === 0) return;
    if (end.failed) {
      readers.shift()!.reject(end.error);
      end = { failed: false }; // an iterator throws once and is then at its end
    }
    for (const reader of readers.splice(0)) reader.resolve({ done: true, value: undefined });
  }

  const sink: Sink = {
    room: (taken, window) => window - (taken - delivered),
    accept(start, values, count) {
      const wrapped = collect ? Array.from({ length: count }, (_, i) => fulfilled(values[i])) : values;
      runs.set(start, { values: wrapped, count });
      serve();
    },
    reject(index, error) {
      runs.set(index, { values: [rejected(error)], count: 1 });
      serve();
    },
    finish() {
      end ??= { failed: false };
      serve();
    },
    fail(error) {
      end ??= { failed: true, error };
      serve();
    },
  };
  return {
    sink,
    next() {
      const reader = deferred<IteratorResult<unknown>>();
      readers.push(reader);
      serve();
      if (readers.length > 0) moreRoom();
      return reader.promise;
    },
  };
}
