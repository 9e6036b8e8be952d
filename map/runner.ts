/**
 * Runs a function over the items of a chunk, in a worker or in place. Items run one after another; a
 * promise is awaited before the next item starts.
 */
import type { NumberArray } from "./options.ts";

/** A function over the arguments of one item. */
export type ItemFunction = (...args: unknown[]) => unknown;

/** What is to be run. */
export interface ChunkTask {
  columns: readonly ArrayLike<unknown>[];
  count: number;
  /** Stop at the first error, or go on with the next item. */
  stopAtError: boolean;
  /** Numeric results go here, from its first element on. */
  out?: NumberArray;
  /** Called before an item starts, with its position; true stops the chunk. */
  before?: (at: number) => boolean;
  /** Call `before` for each item, not just now and then. */
  everyItem: boolean;
  /** Milliseconds for one item: used where nobody outside can stop it. */
  timeout?: number;
}

/** What became of a chunk. */
export interface ChunkOutcome {
  /** Results by position; those of failed items are meaningless. */
  values: ArrayLike<unknown>;
  failures: { at: number; error: unknown }[];
  /** Items that were run, from the first. */
  ran: number;
}

/** Why a loop stopped at item `at`. */
type Stop =
  | { why: "end"; at: number }
  | { why: "cancelled"; at: number }
  | { why: "promise"; at: number; result: unknown }
  | { why: "value"; at: number; result: unknown };

type Loop = (
  fn: ItemFunction,
  columns: readonly ArrayLike<unknown>[],
  from: number,
  count: number,
  values: unknown[] | NumberArray,
  before: ((at: number) => boolean) | undefined,
  mask: number,
  at: { value: number },
) => Stop;

/** Items shorter than this many milliseconds are run by a loop that the engine can inline the function into. */
const TINY_MS = 0.02;

/**
 * A runner for one function. For tiny items the loop is compiled anew for each function, so that the engine sees
 * one callee at the call and can inline it: for `x => x + 1` that is most of the time. For longer ones inlining
 * gains nothing, and V8 15 was seen to make a function with a loop of its own 1.6 times slower by it, so they are
 * run by loops that all functions share.
 */
export function makeRunner(fn: ItemFunction): (task: ChunkTask) => ChunkOutcome | Promise<ChunkOutcome> {
  const own = new Map<string, Loop>();
  let perItem = Infinity; // milliseconds, in the chunk before
  const loop = (args: number, numeric: boolean): Loop =>
    perItem < TINY_MS ? loopFrom(own, args, numeric) : sharedLoop(args, numeric);

  return function run(task) {
    const { columns, count, before } = task;
    const mask = before === undefined ? -1 : task.everyItem || count <= 256 ? 0 : 63;
    const failures: { at: number; error: unknown }[] = [];
    const at = { value: 0 };
    let values: unknown[] | NumberArray = task.out ?? new Float64Array(count);
    let numeric = true;
    const outcome = (ran: number): ChunkOutcome => ({ values, failures, ran });

    /** Runs from `from` to the end, or to the first promise. */
    function go(from: number): ChunkOutcome | { at: number; promise: PromiseLike<unknown> } {
      for (;;) {
        let stop: Stop;
        try {
          stop = loop(columns.length, numeric)(fn, columns, from, count, values, before, mask, at);
        } catch (error) {
          failures.push({ at: at.value, error });
          if (task.stopAtError) return outcome(at.value + 1);
          from = at.value + 1;
          continue;
        }
        if (stop.why === "end" || stop.why === "cancelled") return outcome(stop.at);
        if (stop.why === "promise") return { at: stop.at, promise: stop.result as PromiseLike<unknown> };
        if (task.out) {
          failures.push({ at: stop.at, error: notANumber(stop.result) });
          if (task.stopAtError) return outcome(stop.at + 1);
        } else {
          values = generalize(values, stop.at, count, failures);
          numeric = false;
          values[stop.at] = stop.result;
        }
        from = stop.at + 1;
      }
    }

    async function goAsync(first: { at: number; promise: PromiseLike<unknown> }): Promise<ChunkOutcome> {
      let step: ReturnType<typeof go> = first;
      while ("promise" in step) {
        const position: number = step.at;
        try {
          const value = await limited(step.promise, task.timeout);
          if (task.out) {
            if (typeof value !== "number") throw notANumber(value);
            task.out[position] = value;
          } else {
            if (numeric) values = generalize(values, position, count, failures);
            numeric = false;
            (values as unknown[])[position] = value;
          }
        } catch (error) {
          failures.push({ at: position, error });
          if (task.stopAtError) return outcome(position + 1);
        }
        step = go(position + 1);
      }
      return step;
    }

    const began = performance.now();
    const step = go(0);
    if (count > 0) perItem = (performance.now() - began) / count;
    return "promise" in step ? goAsync(step) : step;
  };
}

/** From packed numbers to any values: what was collected so far is kept, failed positions stay empty. */
function generalize(
  values: unknown[] | NumberArray,
  upTo: number,
  count: number,
  failures: { at: number }[],
): unknown[] {
  if (Array.isArray(values)) return values;
  const list: unknown[] = new Array(count);
  for (let i = 0; i < upTo; i++) list[i] = values[i];
  for (const { at } of failures) list[at] = undefined;
  return list;
}

function notANumber(value: unknown): TypeError {
  return new TypeError(
    `the option "out" needs numbers, and the function gave ${value === null ? "null" : typeof value}`,
  );
}

/** Sent back for an item whose promise did not settle in time; the scheduler turns it into a TimeoutError. */
export class ItemTimeout extends Error {}

function limited(promise: PromiseLike<unknown>, timeout: number | undefined): PromiseLike<unknown> {
  if (timeout === undefined) return promise;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new ItemTimeout()), timeout);
    promise.then(resolve, reject).then(() => clearTimeout(timer));
  });
}

const shared = new Map<string, Loop>();
/** Calls that make the engine start to keep feedback about a call; it keeps none of the very first. */
const PRIMING = 64;

/** The loop for all functions; having called different ones, the engine will not inline any. */
function sharedLoop(args: number, numeric: boolean): Loop {
  const known = shared.size;
  const loop = loopFrom(shared, args, numeric);
  if (shared.size > known) {
    const columns = Array.from({ length: args }, () => new Array(PRIMING).fill(0));
    const different = [() => 0, () => 1, () => 2, () => 3, () => 4];
    for (let round = 0; round < different.length * 4; round++) {
      const values: unknown[] = [];
      loop(different[round % different.length], columns, 0, PRIMING, values, undefined, -1, { value: 0 });
    }
  }
  return loop;
}

function loopFrom(loops: Map<string, Loop>, args: number, numeric: boolean): Loop {
  const key = `${args}${numeric}`;
  let found = loops.get(key);
  if (!found) loops.set(key, found = compileLoop(args, numeric));
  return found;
}

let compiled = 0;

function compileLoop(args: number, numeric: boolean): Loop {
  const names = Array.from({ length: args }, (_, i) => `a${i}`);
  // A numeric loop stores numbers without boxing and hands out at the first value that is none.
  const store = numeric
    ? `if (typeof result === "number") { values[i] = result; continue; }
       return { why: isPromise(result) ? "promise" : "value", at: i, result };`
    : `if (isPromise(result)) return { why: "promise", at: i, result };
       values[i] = result;`;
  // The unique comment keeps the engine from sharing one compiled function, and its type feedback, among all.
  const body = `"use strict"; // ${++compiled}
    const isPromise = (value) => value !== null && typeof value === "object" && typeof value.then === "function";
    return function (fn, columns, from, count, values, before, mask, position) {
      const [${names.join(", ")}] = columns;
      let i = from;
      try {
        for (; i < count; i++) {
          if ((i & mask) === 0 && before !== undefined && before(i)) return { why: "cancelled", at: i };
          const result = fn(${names.map((name) => `${name}[i]`).join(", ")});
          ${store}
        }
      } catch (error) {
        position.value = i;
        throw error;
      }
      return { why: "end", at: count };
    };
    //# sourceURL=pathos-worker-loop`;
  return new Function(body)() as Loop;
}

/** Folds results from left to right; promises are awaited. Throws what `reduce` throws. */
export function fold(
  values: ArrayLike<unknown>,
  count: number,
  reduce: (a: unknown, b: unknown) => unknown,
): unknown {
  let result = values[0];
  for (let i = 1; i < count; i++) {
    result = reduce(result, values[i]);
    if (isPromise(result)) return foldAsync(values, i, count, reduce, result);
  }
  return result;
}

async function foldAsync(
  values: ArrayLike<unknown>,
  from: number,
  count: number,
  reduce: (a: unknown, b: unknown) => unknown,
  first: PromiseLike<unknown>,
): Promise<unknown> {
  let result = await first;
  for (let i = from + 1; i < count; i++) result = await reduce(result, values[i]);
  return result;
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return value !== null && typeof value === "object" &&
    typeof (value as { then?: unknown }).then === "function";
}
