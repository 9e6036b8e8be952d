/**
 * Collective operations of the MPI that needs no library, made of messages that no receive of the program can get: they have a context
 * of their own, and as tag the number of the operation. Broadcast and reduction go along a binomial tree, all others straight from rank
 * to rank. Ranks are those of the group; parts are bytes.
 */
import type { TypedArray } from "../runtime/mod.ts";
import type { Engine } from "./fallback_engine.ts";
import type { Group, Operation } from "./fallback_types.ts";

/** What the messages of one operation go through. */
interface Round {
  send(to: number, data: Uint8Array): Operation;
  receive(from: number, into: Uint8Array): Operation;
  all(operations: readonly Operation[]): void;
}

function nextRound(engine: Engine, group: Group): Round {
  const context = group.context + 1, tag = group.turn++ & 0x7fffffff;
  return {
    send: (to, data) => engine.send(group, context, group.ranks[to], tag, data),
    receive: (from, into) => engine.receive(group, context, group.ranks[from], tag, into),
    all: (operations) => operations.forEach((operation) => engine.wait(operation)),
  };
}

/** Starts to send a part to each of the others, and to receive one from each; this rank's own is copied. */
export function startExchange(
  engine: Engine,
  group: Group,
  outgoing: (to: number) => Uint8Array,
  incoming: (from: number) => Uint8Array,
): Operation[] {
  const { send, receive } = nextRound(engine, group), size = group.ranks.length;
  incoming(group.rank).set(outgoing(group.rank));
  // each begins with its neighbour, so that they do not all talk to the same one
  const others = Array.from({ length: size - 1 }, (_, i) => (group.rank + 1 + i) % size);
  const receives = others.map((from) => receive(from, incoming(from)));
  return [...receives, ...others.map((to) => send(to, outgoing(to)))];
}

/** The same, until it is done. */
export function exchange(
  engine: Engine,
  group: Group,
  outgoing: (to: number) => Uint8Array,
  incoming: (from: number) => Uint8Array,
): void {
  for (const operation of startExchange(engine, group, outgoing, incoming)) engine.wait(operation);
}

/** Brings the root's bytes to all. */
export function broadcast(engine: Engine, group: Group, data: Uint8Array, root: number): void {
  const { send, receive, all } = nextRound(engine, group), size = group.ranks.length;
  const place = (group.rank - root + size) % size;
  const rankAt = (place: number) => (place + root) % size;
  let step = 1;
  while (step < size && !(place & step)) step *= 2;
  if (place > 0) all([receive(rankAt(place - step), data)]);
  const operations: Operation[] = [];
  for (step /= 2; step >= 1; step /= 2) {
    if (place + step < size) operations.push(send(rankAt(place + step), data));
  }
  all(operations);
}

/** Gives each rank its part of what the root has. */
export function scatter(
  engine: Engine,
  group: Group,
  part: (of: number) => Uint8Array,
  into: Uint8Array,
  root: number,
): void {
  const { send, receive, all } = nextRound(engine, group);
  if (group.rank !== root) return all([receive(root, into)]);
  const others = group.ranks.map((_, rank) => rank).filter((rank) => rank !== root);
  into.set(part(root));
  all(others.map((to) => send(to, part(to))));
}

/** Brings each rank's part to the root. */
export function gather(
  engine: Engine,
  group: Group,
  part: Uint8Array,
  into: (from: number) => Uint8Array,
  root: number,
): void {
  const { send, receive, all } = nextRound(engine, group);
  if (group.rank !== root) return all([send(root, part)]);
  const others = group.ranks.map((_, rank) => rank).filter((rank) => rank !== root);
  into(root).set(part);
  all(others.map((from) => receive(from, into(from))));
}

/** Combines two arrays, element by element, into the first. */
export type Combine = (into: TypedArray, other: TypedArray) => void;

/** Combines the arrays of all, which must commute, on the root: there what `mine` holds is replaced; on others it is used up. */
export function reduce(engine: Engine, group: Group, mine: TypedArray, combine: Combine, root: number): void {
  const { send, receive, all } = nextRound(engine, group), size = group.ranks.length;
  const place = (group.rank - root + size) % size;
  let other: TypedArray | undefined;
  for (let step = 1; step < size; step *= 2) {
    if (place & step) return all([send((place - step + root) % size, bytesOf(mine))]);
    if (place + step >= size) continue;
    other ??= mine.slice();
    all([receive((place + step + root) % size, bytesOf(other))]);
    combine(mine, other);
  }
}

/** The memory of an array. */
export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** The reductions that MPI knows; integers wrap around. What is written for numbers does the same with bigints. */
export const COMBINE: Record<"SUM" | "PROD" | "MIN" | "MAX", Combine> = {
  SUM(into, other) {
    const a = into as Int8Array, b = other as Int8Array;
    for (let i = 0; i < a.length; i++) a[i] += b[i];
  },
  PROD(into, other) {
    const a = into as Int8Array, b = other as Int8Array;
    if (/Float|Big/.test(into.constructor.name)) {
      for (let i = 0; i < a.length; i++) a[i] *= b[i];
    } else { // the product of two doubles would lose the lower bits
      for (let i = 0; i < a.length; i++) a[i] = Math.imul(a[i], b[i]);
    }
  },
  MIN(into, other) {
    const a = into as Int8Array, b = other as Int8Array;
    for (let i = 0; i < a.length; i++) if (b[i] < a[i]) a[i] = b[i];
  },
  MAX(into, other) {
    const a = into as Int8Array, b = other as Int8Array;
    for (let i = 0; i < a.length; i++) if (b[i] > a[i]) a[i] = b[i];
  },
};
