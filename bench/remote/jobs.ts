// The work of our own rows. Each function is shipped by a pool as it stands.

/** Sends back what it got. */
export function same<T>(value: T): T {
  return value;
}

/** One trivial item. */
export function trivial(x: number): number {
  return x * 2 + 1;
}

/** Says in the environment of a slow host how many times longer naps are there. */
export const SLOWNESS = "PATHOS_BENCH_SLOWNESS";
/** How many times slower yet a slow host becomes when it stalls. */
export const STALL = 20;

/**
 * Makes a function that sleeps for so many milliseconds, longer on a slow host and much longer there after `stallAt`
 * (of `Date.now()`). It uses no processor, so that workers do not share cores, and returns the work that it did: the
 * milliseconds that it really slept, as they would have been on a host of full speed.
 */
export function naps(stallAt: number): (ms: number) => number {
  return (ms) => {
    const slowness = Number(Deno.env.get(SLOWNESS) ?? 1);
    const factor = slowness > 1 && Date.now() > stallAt ? slowness * STALL : slowness;
    const begin = performance.now();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms * factor);
    return (performance.now() - begin) / factor;
  };
}
