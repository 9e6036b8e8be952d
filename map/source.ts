/**
 * The inputs of a map, read lazily: one or several iterables, sync or async, in step, stopping at the
 * shortest. Arrays and typed arrays are read in place, by index; everything else is pulled only as far as
 * it is asked for.
 */

/** The values of one argument for a run of consecutive items: item `i` of the run is `items[offset + i]`. */
export interface ArgColumn {
  items: ArrayLike<unknown>;
  offset: number;
}

/** A run of consecutive items. */
export interface Batch {
  start: number;
  count: number;
  columns: ArgColumn[];
}

/** Where the items of a map come from. */
export interface Source {
  /** How many there are, if that is known. */
  readonly total: number | undefined;
  /** How many are not yet taken, if that is known. */
  readonly left: number | undefined;
  /**
   * Takes at most `max` items for a worker. `"wait"`: none is there yet, {@linkcode Source.ready} tells when;
   * `"done"`: there are no more. Throws what the user's iterator throws.
   */
  take(max: number, worker: number): Batch | "wait" | "done";
  /** Resolves when `take` may have something new; rejects with what the user's iterator throws. */
  ready(): Promise<void>;
  /** No more will be taken: iterators are told, as at the end of a `for` loop that breaks. */
  close(): void;
}

/** An input of a map. */
export type Input<T> = Iterable<T> | AsyncIterable<T>;

/**
 * Opens the inputs of a map.
 *
 * @param regions Give each worker a region of its own, from which others take only when theirs is used up, so
 * that what one worker does lies together (for reductions). Works where the inputs are arrays.
 * @throws {TypeError} If an input cannot be iterated over.
 */
export function openSource(inputs: readonly Input<unknown>[], regions: number | undefined): Source {
  if (inputs.length === 0) throw new TypeError("a map needs at least one input to go over: map(fn, inputs)");
  if (inputs.every(isIndexed)) {
    const total = Math.min(...inputs.map((input) => (input as unknown[]).length));
    const arrays = inputs as unknown[][];
    return regions === undefined ? indexed(arrays, total) : regional(arrays, total, regions);
  }
  const iterators = inputs.map((input, i) => openIterator(input, i));
  return iterators.every((iterator) => iterator.sync) ? pulled(iterators) : awaited(iterators);
}

function isIndexed(input: unknown): boolean {
  return Array.isArray(input) || (ArrayBuffer.isView(input) && !(input instanceof DataView));
}

const columnsAt = (arrays: ArrayLike<unknown>[], offset: number): ArgColumn[] =>
  arrays.map((items) => ({ items, offset }));

function indexed(arrays: ArrayLike<unknown>[], total: number): Source {
  let next = 0;
  return {
    total,
    get left() {
      return total - next;
    },
    take(max) {
      if (next >= total) return "done";
      const start = next;
      next = Math.min(total, next + max);
      return { start, count: next - start, columns: columnsAt(arrays, start) };
    },
    ready: () => Promise.resolve(),
    close() {},
  };
}

function regional(arrays: ArrayLike<unknown>[], total: number, workers: number): Source {
  const regions = Array.from({ length: workers }, (_, i) => ({
    next: Math.floor(total * i / workers),
    end: Math.floor(total * (i + 1) / workers),
  }));
  const size = (region: { next: number; end: number }) => region.end - region.next;
  return {
    total,
    get left() {
      return regions.reduce((sum, region) => sum + size(region), 0);
    },
    take(max, worker) {
      while (regions.length <= worker) regions.push({ next: total, end: total }); // workers that joined later
      const own = regions[worker];
      if (size(own) === 0) {
        const largest = regions.reduce((a, b) => size(b) > size(a) ? b : a);
        if (size(largest) === 0) return "done";
        const half = largest.end - Math.ceil(size(largest) / 2);
        own.next = half;
        own.end = largest.end;
        if (largest !== own) largest.end = half;
      }
      const start = own.next;
      own.next = Math.min(own.end, start + max);
      return { start, count: own.next - start, columns: columnsAt(arrays, start) };
    },
    ready: () => Promise.resolve(),
    close() {},
  };
}

interface OpenIterator {
  sync: boolean;
  next(): IteratorResult<unknown> | Promise<IteratorResult<unknown>>;
  return?(): unknown;
}

function openIterator(input: Input<unknown>, index: number): OpenIterator {
  const asyncOpen = (input as AsyncIterable<unknown> | null)?.[Symbol.asyncIterator];
  const syncOpen = (input as Iterable<unknown> | null)?.[Symbol.iterator];
  if (typeof asyncOpen === "function") {
    const iterator = asyncOpen.call(input);
    return { sync: false, next: () => iterator.next(), return: () => iterator.return?.() };
  }
  if (typeof syncOpen === "function") {
    const iterator = syncOpen.call(input);
    return { sync: true, next: () => iterator.next(), return: () => iterator.return?.() };
  }
  const what = input === null || typeof input !== "object"
    ? String(input)
    : Object.prototype.toString.call(input);
  throw new TypeError(
    `input ${index + 1} of the map is ${what}, which cannot be iterated over: give an array or an iterable`,
  );
}

function closeAll(iterators: OpenIterator[]): void {
  for (const iterator of iterators) {
    const closed = iterator.return?.();
    if (closed instanceof Promise) closed.catch(() => {}); // as `break` out of a loop whose result nobody awaits
  }
}

function pulled(iterators: OpenIterator[]): Source {
  let next = 0;
  let done = false;
  return {
    total: undefined,
    get left() {
      return done ? 0 : undefined;
    },
    take(max) {
      if (done) return "done";
      const start = next;
      const columns: ArgColumn[] = iterators.map(() => ({ items: [], offset: 0 }));
      while (next - start < max && !done) {
        const row: unknown[] = [];
        for (const iterator of iterators) {
          const step = iterator.next() as IteratorResult<unknown>;
          if (step.done) {
            done = true;
            closeAll(iterators.filter((other) => other !== iterator));
            break;
          }
          row.push(step.value);
        }
        if (done) break;
        row.forEach((value, i) => (columns[i].items as unknown[]).push(value));
        next++;
      }
      return next === start ? "done" : { start, count: next - start, columns };
    },
    ready: () => Promise.resolve(),
    close() {
      if (!done) closeAll(iterators);
      done = true;
    },
  };
}

function awaited(iterators: OpenIterator[]): Source {
  let taken = 0;
  let wanted = 0;
  let done = false;
  let failure: { error: unknown } | undefined;
  let rows: unknown[][] = [];
  let pulling = false;
  let wake: (() => void) | undefined;

  async function pull(): Promise<void> {
    if (pulling) return;
    pulling = true;
    while (!done && !failure && rows.length < wanted) {
      try {
        const row: unknown[] = [];
        for (const iterator of iterators) {
          const step = await iterator.next();
          if (done) return;
          if (step.done) {
            done = true;
            closeAll(iterators.filter((other) => other !== iterator));
            break;
          }
          row.push(step.value);
        }
        if (!done) rows.push(row);
      } catch (error) {
        failure = { error };
      }
      wake?.();
    }
    pulling = false; // in the same turn as the last look at `wanted`: whoever asks later starts it again
  }

  return {
    total: undefined,
    get left() {
      return done ? rows.length : undefined;
    },
    take(max) {
      if (rows.length === 0) {
        if (failure) throw failure.error;
        if (done) return "done";
      }
      const batch = rows.splice(0, max);
      wanted = max - batch.length; // no more is read than may be taken
      pull();
      if (batch.length === 0) return "wait";
      const start = taken;
      taken += batch.length;
      return {
        start,
        count: batch.length,
        columns: iterators.map((_, i) => ({ items: batch.map((row) => row[i]), offset: 0 })),
      };
    },
    ready() {
      if (rows.length > 0 || done || failure) return Promise.resolve();
      return new Promise((resolve) => wake = resolve);
    },
    close() {
      if (!done) closeAll(iterators);
      done = true;
      rows = [];
      wake?.();
    },
  };
}
