/**
 * Estimates pi with random points, with an error bar. Each item is a stream of random numbers of its own, made from
 * the seed and the number of the stream, so the result is the same however many workers there are.
 *
 *     deno run -A examples/monte_carlo.ts
 *     deno run -A examples/monte_carlo.ts --points 1e9 --seed 7 --workers 2
 */
import { ThreadPool } from "@pathos/pathos";
import { parseArgs } from "node:util";

const { values: options } = parseArgs({
  options: {
    points: { type: "string", default: "1e8" },
    streams: { type: "string", default: "64" },
    seed: { type: "string", default: "1" },
    workers: { type: "string" },
  },
});
const streams = Number(options.streams);
const pointsPerStream = Math.ceil(Number(options.points) / streams);
const seed = Number(options.seed);

/**
 * Random numbers in [0, 1): sfc32 by Chris Doty-Humphrey (PractRand), 128 bits of state, keyed with seed and
 * stream and run in for 20 steps.
 */
function random(seed: number, stream: number): () => number {
  let a = seed | 0, b = stream | 0, c = 0x9e3779b9 | 0, counter = 1;
  const next = () => {
    const sum = (a + b + counter++) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21 | c >>> 11) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 20; i++) next();
  return next;
}

/** The share of the points of one stream that fall into the quarter circle, times 4. */
function estimate(stream: number): number {
  const next = random(seed, stream);
  let inside = 0;
  for (let i = 0; i < pointsPerStream; i++) {
    const x = next(), y = next();
    if (x * x + y * y < 1) inside++;
  }
  return 4 * inside / pointsPerStream;
}

await using pool = new ThreadPool({
  workers: options.workers === undefined ? undefined : Number(options.workers),
});
const began = performance.now();
const estimates = await pool.map(estimate, Array.from({ length: streams }, (_, i) => i));
const seconds = (performance.now() - began) / 1000;

// The streams are independent, so the scatter of their estimates gives the error of the mean.
const mean = estimates.reduce((sum, x) => sum + x, 0) / streams;
const variance = estimates.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (streams - 1);
const error = Math.sqrt(variance / streams);

console.log(`pi = ${mean.toFixed(6)} +- ${error.toFixed(6)} (one standard error)`);
console.log(
  `off by ${(mean - Math.PI).toFixed(6)}, ${Math.abs((mean - Math.PI) / error).toFixed(1)} standard errors`,
);
console.log(
  `${(streams * pointsPerStream).toExponential(1)} points in ${streams} streams, seed ${seed}, ` +
    `${seconds.toFixed(2)} s with ${pool.workers} threads`,
);
