// The work of every JavaScript contender, written once so that all of them run the same instructions.
// Each function uses globals alone: it may be imported by a worker file, shipped by capture, or pasted as text
// into a raw worker (`source`). Nothing here depends on the runtime.

/** One trivial item. */
export function trivial(x) {
  return x * 2 + 1;
}

/** A chunk of trivial items cut by hand, for pools that call a function once per task. */
export function trivialChunk(xs) {
  const out = new Array(xs.length);
  for (let i = 0; i < xs.length; i++) out[i] = xs[i] * 2 + 1;
  return out;
}

/** Trivial items of a shared Float64Array from `from` to `to`, in place in a second one. */
export function trivialShared({ input, output, from, to }) {
  for (let i = from; i < to; i++) output[i] = input[i] * 2 + 1;
  return to - from;
}

/** Burns the processor for a number of steps; the driver says how many steps are a millisecond. */
export function spin(steps) {
  let x = 1;
  for (let i = 0; i < steps; i++) x = (Math.imul(x, 1664525) + 1013904223) | 0;
  return x;
}

/** Sleeps in the worker without using the processor; returns how long it really slept, in ms. */
export function nap(ms) {
  const start = performance.now();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  return performance.now() - start;
}

/** Receives a payload, writes to it and sends it back. */
export function touch(payload) {
  payload[0] += 1;
  return payload;
}

/** All jobs as program text, for workers that have no file. */
export const source = [trivial, trivialChunk, trivialShared, spin, nap, touch].map(String).join("\n");
