/**
 * What a call of a memoized function does when memory has no fresh result: the way of plain functions, and for all kinds what
 * comes before they part.
 *
 * A plain function may turn out to give promises. It then goes the way of asynchronous functions from that call on, and its
 * results lie in archives with a note that says so.
 */
import { nextTurn } from "../runtime/mod.ts";
import { FileAttempt, type Flight, turnAtOnce, turnSync } from "./flight.ts";
import type { MemoryKey } from "./keyer.ts";
import type { Memo } from "./memo.ts";
import { callAsync, land, refreshAsync, takeOff } from "./memo_async.ts";
import { iterate, iterateAsync } from "./memo_generator.ts";
import type { Slot } from "./memory.ts";
import { UnkeyableError } from "./unkeyable.ts";

/** Answers a call whose result is not fresh in memory; `slot` is the stale one, if there is one. */
export function miss(
  memo: Memo,
  key: MemoryKey,
  slot: Slot | undefined,
  self: unknown,
  args: readonly unknown[],
): unknown {
  if (slot !== undefined && isUsable(slot)) {
    memo.hits++;
    return presentStale(memo, slot, self, args);
  }
  let address;
  try {
    address = memo.address(self, args);
  } catch (error) {
    return unkeyed(memo, error, self, args);
  }
  const stray = memo.stray(key, address);
  if (stray !== undefined && isUsable(stray)) {
    memo.hits++;
    return stray.expires > Date.now() ? memo.present(stray) : presentStale(memo, stray, self, args);
  }
  switch (memo.kind) {
    case "sync":
      return callSync(memo, key, address, self, args);
    case "async":
      return callAsync(memo, key, address, self, args);
    case "generator":
      return iterate(memo, key, address, self, args);
    case "asyncGenerator":
      return iterateAsync(memo, key, address, self, args);
  }
}

/** Answers a call of which no key can be made: with `safe` as the function does by itself. */
export function unkeyed(memo: Memo, error: unknown, self: unknown, args: readonly unknown[]): unknown {
  try {
    memo.trouble(keyError(memo, error), "key");
  } catch (told) {
    if (memo.kind === "async") return Promise.reject(told);
    throw told;
  }
  memo.misses++;
  if (memo.shelf?.far === undefined) return memo.call(self, args);
  return memo.kind === "async" ? (async () => await memo.call(self, args))() : (async function* () {
    return yield* memo.call(self, args) as AsyncGenerator<unknown, unknown>;
  })();
}

function keyError(memo: Memo, error: unknown): unknown {
  if (!(error instanceof UnkeyableError)) return error; // what a keymap of the user's threw
  return new UnkeyableError(
    error.path,
    `${error.reason} (in a call of ${memo.title}, which the option safe: true would make all the same)`,
    { cause: error },
  );
}

function isUsable(slot: Slot): boolean {
  return slot.expires + slot.grace > Date.now();
}

/** Gives what is stale but still usable, and sees to a fresh one. */
function presentStale(memo: Memo, slot: Slot, self: unknown, args: readonly unknown[]): unknown {
  memo.stale++;
  if (slot.patience <= Date.now()) {
    if (memo.kind === "async") refreshAsync(memo, slot, self, args);
    else if (memo.kind === "sync") refreshSoon(memo, slot, self, args);
  }
  return memo.present(slot);
}

function callSync(
  memo: Memo,
  key: MemoryKey,
  address: Slot["address"],
  self: unknown,
  args: readonly unknown[],
): unknown {
  const shelf = memo.shelved;
  if (shelf === undefined) return compute(memo, key, address, undefined, undefined, self, args);
  const place = shelf.place(address());
  const found = memo.read(shelf, place, true);
  if (found !== undefined) {
    const slot = memo.adopt(key, address, found);
    return slot.expires > Date.now() ? memo.present(slot) : presentStale(memo, slot, self, args);
  }
  const attempt = memo.settings.lease > 0 ? shelf.attempt(place) : undefined;
  if (!(attempt instanceof FileAttempt)) {
    return compute(memo, key, address, place, undefined, self, args);
  }
  const turn = turnSync(attempt, memo.settings.lease, () => memo.read(shelf, place, false));
  if (turn.found) return memo.present(memo.adopt(key, address, turn.found));
  return compute(memo, key, address, place, turn.flight, self, args);
}

/** Calls the function, keeps what it gives, and ends the flight. */
function compute(
  memo: Memo,
  key: MemoryKey,
  address: Slot["address"],
  place: string | undefined,
  flight: Flight | undefined,
  self: unknown,
  args: readonly unknown[],
): unknown {
  let holding = flight;
  try {
    const tags = memo.tagsOf(args);
    const { generation } = memo;
    memo.misses++;
    let value: unknown;
    try {
      value = memo.call(self, args);
    } catch (error) {
      if (memo.generation === generation) memo.rememberError(key, address, error, tags);
      throw error;
    }
    if (isThenable(value)) {
      memo.kind = "async";
      holding = undefined;
      return takeOff(
        memo,
        key,
        (flying) => land(memo, key, flying, address, place, flight, tags, () => value),
      );
    }
    if (!memo.refuses(value) && memo.generation === generation) {
      const slot = memo.remember(key, address, "value", value, tags);
      const shelf = memo.shelved;
      if (shelf !== undefined) memo.write(shelf, place ?? shelf.place(address()), slot);
    }
    return value;
  } finally {
    holding?.end();
  }
}

/** Makes a fresh result in a later turn of the event loop. */
function refreshSoon(memo: Memo, slot: Slot, self: unknown, args: readonly unknown[]): void {
  if (memo.refreshing.has(slot.key)) return;
  memo.refreshing.add(slot.key);
  nextTurn().then(() => refresh(memo, slot, self, args)).catch((error) => memo.refreshFailed(slot, error))
    .finally(() => memo.refreshing.delete(slot.key));
}

function refresh(memo: Memo, slot: Slot, self: unknown, args: readonly unknown[]): void {
  const { key, address } = slot;
  if (memo.memory.slots.get(key) !== slot || memo.hasChanged(key, self, args)) return;
  const shelf = memo.shelved;
  if (shelf === undefined) return void compute(memo, key, address, undefined, undefined, self, args);
  const place = shelf.place(address());
  const look = () => memo.read(shelf, place, false);
  const attempt = memo.settings.lease > 0 ? shelf.attempt(place) : undefined;
  const turn = attempt instanceof FileAttempt
    ? turnAtOnce(attempt, look)
    : { found: look(), flight: undefined };
  if (turn?.found) return void memo.adopt(key, address, turn.found);
  if (turn) return void compute(memo, key, address, place, turn.flight, self, args);
  attempt?.close();
  slot.patience = Date.now() + OTHERS_MS;
}

/** While another process makes the fresh result: until it is looked for again. */
const OTHERS_MS = 50;

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}
