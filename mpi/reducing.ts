/**
 * Reduction of values by a function of the program. The ranks form a binomial tree: in step k every rank that is an odd multiple of
 * 2^k sends what it has to the one 2^k below, which combines the two, its own first. So the function runs size - 1 times in all,
 * log2(size) times one after the other, and sees the ranks in order: it must be associative, it need not be commutative.
 */
import { dumps } from "../serialize/mod.ts";
import { isNumericArray, likeArray, type NumericArray } from "./arrays.ts";
import { allreduce, bcast, reduce, type ReduceName } from "./collectives.ts";
import { type Channel, decode, recvBytes, send } from "./point_to_point.ts";

/** Combines what two groups of ranks have, that of the lower ranks first. It must be associative. */
export type Reducer<T> = (lower: T, higher: T) => T;

/** A reducer of whatever type. */
export type AnyReducer = (lower: never, higher: never) => unknown;

const BIGINTS: Record<ReduceName, Reducer<bigint>> = {
  sum: (a, b) => a + b,
  prod: (a, b) => a * b,
  min: (a, b) => a < b ? a : b,
  max: (a, b) => a > b ? a : b,
};

/** `inner` is the same group of ranks with messages of its own, which no receive of the program can get. */
export function reduceAny(
  channel: Channel,
  inner: () => Channel,
  data: unknown,
  op: ReduceName | AnyReducer,
  root: number,
): unknown {
  if (typeof op === "function") return reduceValues(inner(), data, op as unknown as Reducer<unknown>, root);
  known(op);
  if (isNumericArray(data)) return reduce(channel, data, op, root);
  if (typeof data === "number") return reduce(channel, Float64Array.of(data), op, root)?.[0];
  if (typeof data === "bigint") {
    return reduceValues(inner(), data, BIGINTS[op] as unknown as Reducer<unknown>, root);
  }
  throw needsFunction(data, op);
}

/** The same with the result on every rank. */
export function allreduceAny(
  channel: Channel,
  inner: () => Channel,
  data: unknown,
  op: ReduceName | AnyReducer,
  into: NumericArray | undefined,
): unknown {
  if (typeof op !== "function") {
    known(op);
    if (isNumericArray(data)) {
      return allreduce(channel, data, op, into ?? likeArray(data, data.length));
    }
    if (typeof data === "number") {
      const cell = Float64Array.of(data);
      return allreduce(channel, cell, op, cell)[0];
    }
  }
  return bcast(channel, reduceAny(channel, inner, data, op, 0), 0);
}

function known(op: ReduceName): void {
  if (Object.hasOwn(BIGINTS, op)) return;
  throw new TypeError(`there is no reduction ${JSON.stringify(op)}: it is sum, prod, min, max or a function`);
}

function needsFunction(data: unknown, op: string): TypeError {
  const what = data === null
    ? "null"
    : typeof data === "object"
    ? data.constructor?.name ?? "an object"
    : typeof data;
  return new TypeError(
    `"${op}" reduces numbers, bigints and numeric arrays; for ${what} give a function (lower, higher) => combined`,
  );
}

function reduceValues(channel: Channel, data: unknown, combine: Reducer<unknown>, root: number): unknown {
  const { rank, size } = channel;
  let value = data;
  for (let step = 1; step < size; step *= 2) {
    if (rank % (2 * step) === step) {
      send(channel, dumps(value), rank - step, 0);
      break;
    }
    if (rank + step < size) value = combine(value, decode(recvBytes(channel, rank + step, 0).value));
  }
  if (root === 0) return rank === 0 ? value : undefined;
  if (rank === 0) send(channel, dumps(value), root, 1);
  return rank === root ? decode(recvBytes(channel, 0, 1).value) : undefined;
}
