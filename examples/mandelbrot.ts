/**
 * Draws the Mandelbrot set, one row an item, and writes it as a PNG file. The rows differ a hundredfold in what they
 * cost; the pool evens that out by itself.
 *
 *     deno run -A examples/mandelbrot.ts
 *     deno run -A examples/mandelbrot.ts --width 3840 --out big.png --workers 4
 */
import { ThreadPool } from "@pathos/pathos";
import { parseArgs } from "node:util";
import { writePng } from "./png.ts";

const { values: options } = parseArgs({
  options: {
    width: { type: "string", default: "1200" },
    iterations: { type: "string", default: "1000" },
    workers: { type: "string" },
    out: { type: "string", default: "mandelbrot.png" },
  },
});
const width = Number(options.width);
const height = Math.round(width * 2 / 3);
const limit = Number(options.iterations);

/** RGB bytes of a row, behind PNG's filter byte 0. */
function row(y: number): Uint8Array {
  const bytes = new Uint8Array(1 + 3 * width);
  const ci = (y / (height - 1) - 0.5) * 2.4;
  for (let x = 0; x < width; x++) {
    bytes.set(colour(steps(x / (width - 1) * 3.6 - 2.5, ci)), 1 + 3 * x);
  }
  return bytes;
}

/** Steps until z leaves the circle of radius 16, made continuous; 0 where it never does. */
function steps(cr: number, ci: number): number {
  let zr = 0, zi = 0;
  for (let n = 1; n <= limit; n++) {
    const square = zr * zr - zi * zi + cr;
    zi = 2 * zr * zi + ci;
    zr = square;
    const size = zr * zr + zi * zi;
    if (size > 256) return n + 1 - Math.log2(Math.log2(size) / 2);
  }
  return 0;
}

/** Black inside the set; outside a palette that goes round with the logarithm of the steps. */
function colour(n: number): [number, number, number] {
  if (n === 0) return [0, 0, 0];
  const wave = (shift: number) => 127.5 - 127.5 * Math.cos(2.2 * Math.log(n + 1) + shift);
  return [wave(-0.6), wave(-0.2), wave(0.6)];
}

await using pool = new ThreadPool({
  workers: options.workers === undefined ? undefined : Number(options.workers),
});
const began = performance.now();
const rows = await pool.map(row, Array.from({ length: height }, (_, y) => y));
const seconds = (performance.now() - began) / 1000;

writePng(options.out, width, height, rows);
console.log(
  `${options.out}: ${width} x ${height} pixels in ${seconds.toFixed(2)} s with ${pool.workers} threads`,
);
