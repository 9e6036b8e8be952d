// The npm peers, piscina, tinypool and workerpool, each at its best settings: two threads kept alive, tasks queued
// without limit, buffers moved where the column allows it. The same file runs in Node and in Deno.
// Their worker files are worker_piscina.mjs, worker_tinypool.mjs and worker_workerpool.mjs.
import { inChunks, serve, WORKERS } from "./contender.mjs";

const CHUNK = 10_000;
const workerFile = (name) => new URL(`./worker_${name}.mjs`, import.meta.url);

/** The columns in terms of one call: `call(job, input, moved)`; `moved` gives the input's buffer away. */
function runsOf(call) {
  const each = (job) => (xs) => Promise.all(xs.map((x) => call(job, x)));
  return {
    trivial: each("trivial"),
    chunks: (xs) => inChunks(xs, CHUNK, (chunk) => call("trivialChunk", chunk)),
    async typed(input) {
      const output = new Float64Array(new SharedArrayBuffer(input.byteLength));
      const half = Math.ceil(input.length / WORKERS);
      await Promise.all(Array.from({ length: WORKERS }, (_, w) => {
        const part = { input, output, from: w * half, to: Math.min(input.length, (w + 1) * half) };
        return call("trivialShared", part);
      }));
      return output;
    },
    spin: each("spin"),
    nap: each("nap"),
    skewed: each("spin"),
    skewedNap: each("nap"),
    payload: each("touch"),
    moved: (xs) => Promise.all(xs.map((x) => call("touchMoved", x, true))),
  };
}

function tinypoolLike(name, className, settings) {
  let library;
  let pool;
  return {
    async load() {
      library = await import(name);
    },
    open() {
      pool = new library[className]({
        filename: workerFile(name).href,
        minThreads: WORKERS,
        maxThreads: WORKERS,
        ...settings,
      });
    },
    runs: runsOf((job, input, moved) => {
      if (!moved) return pool.run(input, { name: job });
      return pool.run(library[className].move(input), { name: job });
    }),
  };
}

function workerpool() {
  let library;
  let pool;
  return {
    async load() {
      library = (await import("workerpool")).default;
    },
    open() {
      pool = library.pool(workerFile("workerpool").pathname, {
        minWorkers: WORKERS,
        maxWorkers: WORKERS,
        workerType: "thread",
      });
    },
    runs: runsOf((job, input, moved) =>
      pool.exec(job, [input], moved ? { transfer: [input.buffer] } : undefined)
    ),
  };
}

await serve({
  piscina: tinypoolLike("piscina", "Piscina", { atomics: "sync" }),
  // Under Deno tinypool's Atomics.wait loop misses the first two tasks and hangs, so it goes by messages there.
  tinypool: tinypoolLike("tinypool", "Tinypool", { isolateWorkers: false, useAtomics: !globalThis.Deno }),
  workerpool: workerpool(),
});
