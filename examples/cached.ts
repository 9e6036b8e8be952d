/**
 * Longest Collatz sequence below a million, block by block on every core, with results kept in one file: what is there is not
 * computed again, by any worker, in this run or the next. Stop it in the middle and start it anew.
 *
 *     deno run -A examples/cached.ts
 *     deno run -A examples/cached.ts --to 3e6 --file collatz.sqlite --workers 2
 *     deno run -A cli.ts cache ls collatz.sqlite
 */
import { memoize, SqlArchive, ThreadPool } from "@pathos/pathos";
import { parseArgs } from "node:util";

const { values: options } = parseArgs({
  options: {
    to: { type: "string", default: "1e6" },
    file: { type: "string", default: "collatz.sqlite" },
    workers: { type: "string" },
  },
});
const BLOCK = 25_000;
const to = Number(options.to);

/** Of the starting numbers in a block, the one with the longest sequence. */
const longest = memoize((block: number): { start: number; length: number } => {
  let best = { start: 0, length: 0 };
  for (let start = block * BLOCK + 1; start <= (block + 1) * BLOCK; start++) {
    let length = 1;
    for (let n = start; n !== 1; length++) n = n % 2 === 0 ? n / 2 : 3 * n + 1;
    if (length > best.length) best = { start, length };
  }
  return best;
}, { archive: new SqlArchive(options.file), tags: ["collatz"] });

await using pool = new ThreadPool({
  workers: options.workers === undefined ? undefined : Number(options.workers),
});
const blocks = Array.from({ length: Math.ceil(to / BLOCK) }, (_, block) => block);
const known = blocks.filter((block) => longest.lookup(block) !== undefined).length;
const began = performance.now();
const found = await pool.map((block: number) => longest(block), blocks);
const best = found.reduce((a, b) => b.length > a.length ? b : a);
console.log(`the longest sequence below ${to} starts at ${best.start} and has ${best.length} numbers`);
console.log(
  `${blocks.length} blocks, ${known} of them known, ${((performance.now() - began) / 1000).toFixed(2)} s`,
);
longest.archive()!.close();
