/**
 * Heat spreads over a square plate whose edges are held at given temperatures, until it changes no more. The plate is cut into bands of
 * rows, one for each rank. In each step neighbours exchange the rows at their common border, and compute all other rows meanwhile. Rank 0
 * draws the plate. The result does not depend on the number of ranks, not even in the last bit.
 *
 *     mpirun -n 4 deno run -A examples/mpi_heat.ts
 *     mpirun -n 4 deno run -A examples/mpi_heat.ts --points 400 --tolerance 1e-8 --out heat.png
 *     srun -n 4 --mpi=pmix deno run -A examples/mpi_heat.ts
 *     deno run -A examples/mpi_heat.ts                           # one rank, without a launcher
 *
 * The equation is dT/dt = d2T/dx2 + d2T/dy2 on the unit square, in finite differences with the longest stable time step, h^2 / 4: the new
 * temperature of a point is the mean of its four neighbours.
 */
import { PROC_NULL, world } from "@pathos/pathos/mpi";
import { parseArgs } from "node:util";
import { writePng } from "./png.ts";

const { values: options } = parseArgs({
  options: {
    points: { type: "string", default: "160" }, // on each side, edges included
    tolerance: { type: "string", default: "1e-7" }, // the largest change in a step at which it is steady
    out: { type: "string", default: "heat.png" },
  },
});
const n = Number(options.points);
const h = 1 / (n - 1);
const tolerance = Number(options.tolerance);

/** The steady state: harmonic, so it is known where only the edges are given. */
function steady(x: number, y: number): number {
  const wave = (k: number, along: number, away: number) =>
    Math.sin(k * Math.PI * along) * Math.sinh(k * Math.PI * away) / Math.sinh(k * Math.PI);
  return wave(1, x, 1 - y) + wave(3, y, x) - wave(2, x, y) + wave(4, y, 1 - x);
}

const comm = world();
const { rank, size } = comm;
if (size > n - 2) throw new RangeError(`${n - 2} inner rows are too few for ${size} ranks`);

// The inner rows of this rank are 1 to `rows` of its band. Rows 0 and `rows + 1` belong to its neighbours, or are edges of the plate: there
// the neighbour is PROC_NULL, to which nothing is sent, and from which nothing comes.
const first = 1 + Math.floor((n - 2) * rank / size);
const rows = Math.floor((n - 2) * (rank + 1) / size) - first + 1;
const above = rank > 0 ? rank - 1 : PROC_NULL;
const below = rank < size - 1 ? rank + 1 : PROC_NULL;

interface Band {
  all: Float64Array;
  row: Float64Array[]; // views of `all`
}

/** A cold plate with its edges. */
function newBand(): Band {
  const all = new Float64Array((rows + 2) * n);
  const row = Array.from({ length: rows + 2 }, (_, i) => all.subarray(i * n, (i + 1) * n));
  row.forEach((cells, i) => {
    const y = first - 1 + i;
    for (let x = 0; x < n; x++) {
      if (x === 0 || x === n - 1 || y === 0 || y === n - 1) cells[x] = steady(x * h, y * h);
    }
  });
  return { all, row };
}

/** Computes rows `from` to `to` after a step; gives the largest change. */
function step({ all: old }: Band, { all: next }: Band, from: number, to: number): number {
  let change = 0;
  for (let y = from; y <= to; y++) {
    for (let i = y * n + 1; i < y * n + n - 1; i++) {
      next[i] = 0.25 * (old[i - 1] + old[i + 1] + old[i - n] + old[i + n]);
      change = Math.max(change, Math.abs(next[i] - old[i]));
    }
  }
  return change;
}

let plate = newBand(), next = newBand();
let steps = 0, change = Infinity;
const began = performance.now();

while (change > tolerance) {
  const { row } = plate;
  const exchange = [
    comm.irecv(row[0], above),
    comm.irecv(row[rows + 1], below),
    comm.isend(row[1], above),
    comm.isend(row[rows], below),
  ];
  const inner = step(plate, next, 2, rows - 1);
  for (const request of exchange) request.wait();
  const border = Math.max(step(plate, next, 1, 1), step(plate, next, rows, rows));
  [plate, next] = [next, plate];
  steps++;
  // All ranks go on or none; to ask each other in every step would cost more than it saves.
  if (steps % 50 === 0) change = comm.allreduce(Math.max(inner, border), "max");
}

let error = 0;
for (let y = 1; y <= rows; y++) {
  plate.row[y].forEach((t, x) => error = Math.max(error, Math.abs(t - steady(x * h, (first - 1 + y) * h))));
}
error = comm.allreduce(error, "max");
const seconds = (performance.now() - began) / 1000;

// The first and the last rank add the edges of the plate.
const mine = plate.all.subarray(above === PROC_NULL ? 0 : n, (below === PROC_NULL ? rows + 2 : rows + 1) * n);
const bands = comm.gatherv(mine);

if (bands) {
  const picture = bands.flatMap((band) =>
    Array.from({ length: band.length / n }, (_, y) => coloured(band.subarray(y * n, (y + 1) * n)))
  );
  writePng(options.out, n, n, picture);
  console.log(`steady after ${steps} steps, to ${change} in a step`);
  console.log(`at most ${error} from the exact solution`);
  console.log(`${options.out}: ${n} x ${n} points on ${size} ranks in ${seconds.toFixed(2)} s`);
}

/** RGB bytes of a row, behind PNG's filter byte 0: blue at -1, white at 0, red at 1, in steps of 0.1 that show the isotherms. */
function coloured(temperatures: Float64Array): Uint8Array {
  const bytes = new Uint8Array(1 + 3 * n);
  temperatures.forEach((t, x) => {
    const level = Math.round(t * 10) / 10;
    const fade = (strength: number) => 255 * (1 - strength * Math.min(1, Math.abs(level)));
    bytes.set(level > 0 ? [fade(0.15), fade(0.8), fade(0.9)] : [fade(0.9), fade(0.6), fade(0.1)], 1 + 3 * x);
  });
  return bytes;
}
