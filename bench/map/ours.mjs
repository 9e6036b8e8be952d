// Our own pools, used as anybody would: the function goes to `map`, nothing else is prepared. The typed column
// hands over a shared Float64Array and asks for the results in another. Runs in Deno from the checkout, in Node from
// the npm package.
import { serve, WORKERS } from "./contender.mjs";
import { nap, spin, touch, trivial } from "./jobs.mjs";

function contender(className) {
  let library;
  let pool;
  return {
    async load() {
      library = await import("@pathos/pathos/map");
    },
    open() {
      pool = new library[className](className === "SerialPool" ? {} : { workers: WORKERS });
    },
    runs: {
      trivial: (xs) => pool.map(trivial, xs),
      typed: (xs) =>
        pool.with({ out: new Float64Array(new SharedArrayBuffer(xs.byteLength)) }).map(trivial, xs),
      spin: (xs) => pool.map(spin, xs),
      nap: (xs) => pool.map(nap, xs),
      skewed: (xs) => pool.map(spin, xs),
      skewedNap: (xs) => pool.map(nap, xs),
      payload: (xs) => pool.map(touch, xs),
    },
    extras: { closure },
  };
}

/** Microseconds to `dumps` and to `loads` a small closure, warm: the median of many. */
async function closure() {
  const { dumps, loads } = await import("@pathos/pathos/serialize");
  const k = 3;
  const offset = { by: 1 };
  const helper = (x) => x * k;
  const fn = (x) => helper(x) + offset.by;
  const bytes = dumps(fn);
  return {
    dumps: medianMicroseconds(() => dumps(fn)),
    loads: medianMicroseconds(() => loads(bytes, { trust: "code" })),
    size: bytes.length,
  };
}

function medianMicroseconds(once) {
  const times = [];
  for (let i = 0; i < 2000; i++) {
    const begin = performance.now();
    once();
    times.push((performance.now() - begin) * 1000);
  }
  return times.sort((a, b) => a - b)[times.length >> 1];
}

await serve({
  SerialPool: contender("SerialPool"),
  ThreadPool: contender("ThreadPool"),
  ProcessPool: contender("ProcessPool"),
});
