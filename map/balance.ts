/**
 * How many items the next chunk for a worker should have. Pure functions of what was measured, so that the
 * policy can be tested without workers.
 *
 * The policy (weighted factoring on a fluid bound): let every worker w handle `rate_w` items per millisecond
 * with `latency_w` milliseconds of round trip. All could finish together at the time F that solves
 *
 *     sum over w of rate_w * max(0, F - latency_w) = items not yet done
 *
 * so `rate_w * (F - latency_w)` is w's fair share of what is left. A chunk brings w up to half its share (the
 * other half evens out what was misjudged), but keeps at least 1.5 round trips of work in hand, and is never
 * longer than TARGET_MS, or half a round trip, nor shorter than what pays for sending it. Rates are shrunk towards the pool's
 * mean until a worker has shown a few items; a worker nobody has seen counts at half the mean.
 */

/** What is known of a worker in one map. */
export interface Lane {
  /** Items it has done, recent ones weighing more. */
  items: number;
  /** Milliseconds they took, weighted alike. */
  time: number;
  /** Round trip in milliseconds. */
  latency: number;
  /** Items sent and not answered. */
  inFlight: number;
  /** It takes no work now: its host is away. */
  away: boolean;
}

/** What is known of a worker before its first item. */
export function newLane(): Lane {
  return { items: 0, time: 0, latency: 0, inFlight: 0, away: false };
}

/** Round trips longer than this, in milliseconds, are hidden by sending more ahead. */
const FAR_MS = 1;

/** Whether a worker is so far away that it would be idle between two chunks if nothing was sent ahead. */
export function isFar(latency: number): boolean {
  return latency > FAR_MS;
}

/** Records a finished chunk; older figures fade. */
export function record(lane: Lane, items: number, time: number): void {
  lane.items = lane.items * 0.8 + items;
  lane.time = lane.time * 0.8 + time;
}

/** Items per millisecond of the average worker, or undefined before the first chunk has come back. */
export function meanRate(lanes: readonly Lane[]): number | undefined {
  let items = 0;
  let time = 0;
  for (const lane of lanes) {
    items += lane.items;
    time += lane.time;
  }
  return items === 0 ? undefined : items / Math.max(time, 1e-6);
}

function rateOf(lane: Lane, mean: number): number {
  return lane.items === 0 ? mean / 2 : (lane.items + 4) / (lane.time + 4 / mean);
}

/** Long items in hand of one worker: the one it runs, and the next. */
const MAX_ALONE = 2;
/** Longest chunk in milliseconds. */
export const TARGET_MS = 8;
/** Items longer than this many milliseconds travel alone: a chunk of several would be longer than the longest chunk. */
const LONG_ITEM_MS = 8;
/** Shortest chunk worth a message, in milliseconds. */
const LEAST_MS = 0.4;

/**
 * Items for the next chunk of `lane`; 0 if it has enough in hand.
 *
 * @param lanes All workers of the map, `lane` among them.
 * @param left Items not yet given out, or undefined if nobody knows.
 */
export function chunkSize(lane: Lane, lanes: readonly Lane[], left: number | undefined): number {
  const mean = meanRate(lanes);
  if (mean === undefined) return lane.inFlight === 0 ? 1 : 0;
  const rate = rateOf(lane, mean);
  const onTheWay = rate * lane.latency * 1.5;
  const share = left === undefined ? Infinity : shareOf(lane, lanes, mean, left);
  if (mean * LONG_ITEM_MS < 1) {
    const most = isFar(lane.latency) ? Math.min(1 + Math.ceil(onTheWay), Math.max(1, share)) : MAX_ALONE;
    return lane.inFlight + 1 <= most ? 1 : 0;
  }
  const longest = rate * Math.max(TARGET_MS, lane.latency / 2);
  if (left === undefined) return Math.max(1, Math.floor(longest));
  const cover = Math.min(share, onTheWay);
  const room = Math.max(share / 2, cover) - lane.inFlight;
  const size = Math.min(longest, Math.max(room, Math.min(share - lane.inFlight, rate * LEAST_MS)));
  if (size >= 1) return Math.min(left, Math.floor(size));
  return lane.inFlight === 0 ? 1 : 0;
}

/** Items of those not yet done that `lane` should do. */
function shareOf(lane: Lane, lanes: readonly Lane[], mean: number, left: number): number {
  let undone = left;
  for (const other of lanes) undone += other.inFlight;
  const present = lanes.filter((other) => !other.away);
  return rateOf(lane, mean) * Math.max(0, finish(present, mean, undone) - lane.latency);
}

/** The time at which all workers could finish together. */
function finish(lanes: readonly Lane[], mean: number, undone: number): number {
  const byLatency = lanes.map((lane) => ({ latency: lane.latency, rate: rateOf(lane, mean) }))
    .sort((a, b) => a.latency - b.latency);
  // The sum is piecewise linear in F: add workers in the order of their latency until the next one is not needed.
  let rate = 0;
  let offset = 0;
  let time = 0;
  for (const [i, lane] of byLatency.entries()) {
    rate += lane.rate;
    offset += lane.rate * lane.latency;
    time = (undone + offset) / rate;
    if (i + 1 < byLatency.length && time <= byLatency[i + 1].latency) break;
  }
  return time;
}
