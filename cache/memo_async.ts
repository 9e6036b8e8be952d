/**
 * How calls go that answer with promises: those of asynchronous functions, and all calls over an archive behind a network.
 * Calls with one key at one time share one promise, and with it the error, if there is one.
 *
 * Where everything is at hand (memory, an archive that answers at once, nobody else in flight) the function starts before the
 * call returns, as it would by itself. Where it has to wait first, and its arguments have been changed meanwhile, its result
 * is given to the callers but not kept.
 */
import { FileAttempt, type Flight, turn, turnAtOnce } from "./flight.ts";
import type { MemoryKey } from "./keyer.ts";
import type { Flying, Memo } from "./memo.ts";
import type { Slot } from "./memory.ts";
import type { Found } from "./shelf.ts";

type Address = Slot["address"];

/** Answers a call whose result memory does not have. */
export function callAsync(
  memo: Memo,
  key: MemoryKey,
  address: Address,
  self: unknown,
  args: readonly unknown[],
): Promise<unknown> {
  const flying = memo.flying.get(key);
  if (flying?.promise !== undefined) {
    memo.hits++;
    return flying.promise;
  }
  // A function that, before it first waits, calls itself with the same arguments gets what it would get without memory.
  if (flying !== undefined) return (async () => await memo.call(self, args))();
  return takeOff(memo, key, (flying) => travel(memo, key, flying, address, self, args, true));
}

/** Makes a fresh result while callers are given the stale one. */
export function refreshAsync(memo: Memo, slot: Slot, self: unknown, args: readonly unknown[]): void {
  const { key, address } = slot;
  if (memo.flying.has(key)) return;
  takeOff(memo, key, (flying) => travel(memo, key, flying, address, self, args, false))
    .catch((error) => memo.refreshFailed(slot, error));
}

/** Starts what others can join until it is over. */
export function takeOff(
  memo: Memo,
  key: MemoryKey,
  start: (flying: Flying) => Promise<unknown>,
): Promise<unknown> {
  const flying: Flying = { promise: undefined, generation: memo.generation };
  memo.flying.set(key, flying);
  const promise = (async () => {
    try {
      return await start(flying);
    } finally {
      if (memo.flying.get(key) === flying) memo.flying.delete(key);
    }
  })();
  flying.promise = promise;
  return promise;
}

/** From archives, if they have it (stale too if `stale`), from another who computes it, or from the function. */
async function travel(
  memo: Memo,
  key: MemoryKey,
  flying: Flying,
  address: Address,
  self: unknown,
  args: readonly unknown[],
  stale: boolean,
): Promise<unknown> {
  const tags = memo.tagsOf(args);
  const shelf = memo.shelved;
  const { lease } = memo.settings;
  let place: string | undefined;
  let flight: Flight | undefined;
  if (shelf !== undefined) {
    place = shelf.place(address());
    const at = place;
    const found = shelf.far ? await memo.readAll(shelf, at, stale) : memo.read(shelf, at, stale);
    if (found !== undefined) return arrive(memo, key, flying, address, found, self, args);
    const attempt = lease > 0 ? shelf.attempt(at) : undefined;
    if (attempt !== undefined) {
      const had = attempt instanceof FileAttempt
        ? turnAtOnce(attempt, () => memo.read(shelf, at, false))
        : undefined;
      const taken = had ?? await turn(attempt, lease, () => memo.readAll(shelf, at, false));
      if (taken.found) return arrive(memo, key, flying, address, taken.found, self, args);
      flight = taken.flight;
    }
  }
  const asked = () => {
    memo.misses++;
    return memo.call(self, args);
  };
  const changed = shelf !== undefined && memo.hasChanged(key, self, args);
  return await land(memo, key, changed ? undefined : flying, address, place, flight, tags, asked);
}

/** Waits for what the function gives, keeps it (not without `flying`), and ends the flight. */
export async function land(
  memo: Memo,
  key: MemoryKey,
  flying: Flying | undefined,
  address: Address,
  place: string | undefined,
  flight: Flight | undefined,
  tags: readonly string[],
  given: () => unknown,
): Promise<unknown> {
  try {
    flight?.keepAlive(memo.settings.lease);
    let value: unknown;
    try {
      value = await given();
    } catch (error) {
      if (flying?.generation === memo.generation) memo.rememberError(key, address, error, tags);
      throw error;
    }
    if (memo.refuses(value) || flying?.generation !== memo.generation) return value;
    const shelf = memo.shelved;
    const form = memo.declared === "sync" && memo.shelf?.far === undefined ? "promise" : "value";
    const slot = memo.remember(key, address, form, value, tags, flying.promise);
    if (shelf !== undefined) await memo.writeAll(shelf, place ?? shelf.place(address()), slot);
    return value;
  } finally {
    await flight?.end();
  }
}

/** What an archive had is the result; a stale one is replaced in the background. */
function arrive(
  memo: Memo,
  key: MemoryKey,
  flying: Flying,
  address: Address,
  found: Found,
  self: unknown,
  args: readonly unknown[],
): unknown {
  if (memo.generation !== flying.generation) return found.value;
  const slot = memo.adopt(key, address, found);
  if (slot.expires <= Date.now()) {
    memo.stale++;
    memo.flying.delete(key);
    refreshAsync(memo, slot, self, args);
  }
  return slot.value;
}
