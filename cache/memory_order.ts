/**
 * Who goes first: one order for each policy, over slots that carry their place in it. Every operation takes constant time.
 */
import type { Slot } from "./memory.ts";
import type { PolicyName } from "./policy.ts";

/** What a memory tells its order, and asks it. */
export interface Order {
  /** A slot has come. */
  add(slot: Slot): void;
  /** A slot was used. */
  use(slot: Slot): void;
  /** A slot has gone. */
  remove(slot: Slot): void;
  /** All have gone. */
  clear(): void;
  /** Who goes next; undefined where the order does not mind. */
  victim(): Slot | undefined;
}

/** The order of a policy. */
export function orderOf(name: PolicyName): Order {
  switch (name) {
    case "lru":
      return recency("oldest");
    case "mru":
      return recency("newest");
    case "lfu":
      return frequency();
    case "rr":
      return chance();
    case "inf":
    case "none":
      return { add() {}, use() {}, remove() {}, clear() {}, victim: () => undefined };
  }
}

/** A list from the newest use to the oldest. */
function recency(first: "newest" | "oldest"): Order {
  let newest: Slot | undefined, oldest: Slot | undefined;
  const add = (slot: Slot) => {
    slot.before = undefined;
    slot.after = newest;
    if (newest === undefined) oldest = slot;
    else newest.before = slot;
    newest = slot;
  };
  const remove = (slot: Slot) => {
    const { before, after } = slot;
    if (before === undefined) newest = after;
    else before.after = after;
    if (after === undefined) oldest = before;
    else after.before = before;
    slot.before = slot.after = undefined;
  };
  return {
    add,
    remove,
    use: (slot) => {
      if (slot === newest) return;
      remove(slot);
      add(slot);
    },
    clear: () => void (newest = oldest = undefined),
    victim: () => first === "oldest" ? oldest : newest,
  };
}

/** The slots that were used equally often, from the one whose last use is longest ago. */
export interface Bucket {
  uses: number;
  readonly slots: Set<Slot>;
  fewer: Bucket | undefined;
  more: Bucket | undefined;
}

/** A list of buckets by number of uses, in which none is empty. */
function frequency(): Order {
  let fewest: Bucket | undefined;
  const bucketAfter = (fewer: Bucket | undefined, uses: number): Bucket => {
    const more = fewer === undefined ? fewest : fewer.more;
    if (more?.uses === uses) return more;
    const bucket = { uses, slots: new Set<Slot>(), fewer, more };
    if (fewer === undefined) fewest = bucket;
    else fewer.more = bucket;
    if (more !== undefined) more.fewer = bucket;
    return bucket;
  };
  const put = (slot: Slot, bucket: Bucket) => {
    bucket.slots.add(slot);
    slot.bucket = bucket;
  };
  const leave = (slot: Slot, bucket: Bucket) => {
    bucket.slots.delete(slot);
    slot.bucket = undefined;
    if (bucket.slots.size > 0) return;
    const { fewer, more } = bucket;
    if (fewer === undefined) fewest = more;
    else fewer.more = more;
    if (more !== undefined) more.fewer = fewer;
  };
  return {
    add: (slot) => put(slot, bucketAfter(undefined, 1)),
    use: (slot) => {
      const bucket = slot.bucket!;
      const uses = bucket.uses + 1;
      if (bucket.slots.size === 1 && bucket.more?.uses !== uses) {
        bucket.uses = uses;
        return;
      }
      const next = bucketAfter(bucket, uses);
      leave(slot, bucket);
      put(slot, next);
    },
    remove: (slot) => leave(slot, slot.bucket!),
    clear: () => fewest = undefined,
    victim: () => fewest?.slots.values().next().value,
  };
}

/** An array in which every slot knows its index. */
function chance(): Order {
  let slots: Slot[] = [];
  return {
    add: (slot) => slot.index = slots.push(slot) - 1,
    use: () => {},
    remove: (slot) => {
      const last = slots.pop()!;
      if (last === slot) return;
      slots[slot.index] = last;
      last.index = slot.index;
    },
    clear: () => slots = [],
    victim: () => slots[Math.floor(Math.random() * slots.length)],
  };
}
