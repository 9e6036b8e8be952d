// Our MpiPool inside a job of two ranks, used as anybody would: both make the pool, rank 0 maps, the other works for it. `ours_pool.mjs
// PART WORK`: prints the items a second of each map as one line of JSON. mpi4py_pool.py does the same.
import process from "node:process";
import { MpiPool } from "@pathos/pathos/mpi";

const [part, work] = [process.argv[2], JSON.parse(process.argv[3])];
const pool = new MpiPool({ strategy: part === "scatter" ? "scatter" : "pool" });

/** Items a second of each of so many maps; `warm` more go before them. */
async function rates(pool, items, { warm, count }) {
  const found = [];
  for (let i = 0; i < warm + count; i++) {
    const begin = performance.now();
    const results = await pool.map((x) => x * 2 + 1, items);
    const ms = performance.now() - begin;
    if (results.at(-1) !== 2 * items.length - 1) throw new Error(`the last result is ${results.at(-1)}`);
    if (i >= warm) found.push(items.length / ms * 1000);
  }
  return found;
}

async function scatter() {
  const floats = Float64Array.from({ length: work.items }, (_, i) => i);
  return {
    "floats, items/s": await rates(pool.with({ out: new Float64Array(work.items) }), floats, work.large),
  };
}

async function chunks() {
  const numbers = (length) => Array.from({ length }, (_, i) => i);
  return {
    "chunk 1": await rates(pool.with({ chunkSize: 1 }), numbers(work.single), work.maps),
    "chunk 100": await rates(pool.with({ chunkSize: 100 }), numbers(work.hundreds), work.maps),
  };
}

console.log(JSON.stringify(part === "scatter" ? await scatter() : await chunks()));
await pool[Symbol.asyncDispose]();
