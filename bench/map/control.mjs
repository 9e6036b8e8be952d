// The controls: what the machine itself can do, without any pool.
// `serial` is a plain loop. `ideal` is two raw workers, one message each, with the best static split that hindsight
// allows: equal halves for equal items, longest-first (LPT) for skewed ones, numbers packed by hand into
// transferred Float64Arrays. In Deno the raw workers are Web Workers from a data: URL, in Node worker_threads.
import { Worker as NodeWorker } from "node:worker_threads";
import { serve, WORKERS } from "./contender.mjs";
import { nap, source, spin, touch, trivial } from "./jobs.mjs";

const program = `${source}
const kinds = {
  numbers: (xs) => {
    for (let i = 0; i < xs.length; i++) xs[i] = trivial(xs[i]);
    return [xs, [xs.buffer]];
  },
  shared: (part) => [trivialShared(part)],
  spin: (xs) => [xs.map(spin)],
  nap: (xs) => [xs.map(nap)],
  payload: (xs) => [xs.map(touch), xs.map((x) => x.buffer)],
};
const answer = ([kind, work], post) => {
  const [result, transfer = []] = kinds[kind](work);
  post(result, transfer);
};
`;
const webProgram = program + "onmessage = (e) => answer(e.data, (r, t) => postMessage(r, t));";
const nodeProgram = program +
  'const { parentPort } = require("node:worker_threads");' +
  "parentPort.on('message', (m) => answer(m, (r, t) => parentPort.postMessage(r, t)));";

function startWorker() {
  if (globalThis.Deno) {
    const worker = new Worker("data:text/javascript," + encodeURIComponent(webProgram), { type: "module" });
    return (message, transfer) =>
      new Promise((resolve, reject) => {
        worker.onmessage = (event) => resolve(event.data);
        worker.onerror = (event) => reject(new Error(event.message));
        worker.postMessage(message, transfer);
      });
  }
  const worker = new NodeWorker(nodeProgram, { eval: true });
  return (message, transfer) =>
    new Promise((resolve, reject) => {
      worker.removeAllListeners();
      worker.once("message", resolve);
      worker.once("error", reject);
      worker.postMessage(message, transfer);
    });
}

let ask = [];

function halves(xs) {
  const middle = Math.ceil(xs.length / WORKERS);
  return [xs.slice(0, middle), xs.slice(middle)];
}

/** Indices of `costs` dealt to the workers, the longest first, each to the least loaded. */
function longestFirst(costs) {
  const hands = Array.from({ length: WORKERS }, () => ({ load: 0, items: [] }));
  const order = costs.map((_, i) => i).sort((a, b) => costs[b] - costs[a]);
  for (const i of order) {
    const hand = hands.reduce((least, h) => h.load < least.load ? h : least);
    hand.load += costs[i];
    hand.items.push(i);
  }
  return hands.map((hand) => hand.items);
}

async function inHalves(kind, xs, transfer = () => []) {
  return (await Promise.all(halves(xs).map((part, w) => ask[w]([kind, part], transfer(part))))).flat();
}

async function skewed(kind, costs) {
  const hands = longestFirst(costs);
  const parts = await Promise.all(hands.map((hand, w) => ask[w]([kind, hand.map((i) => costs[i])], [])));
  const results = new Array(costs.length);
  hands.forEach((hand, w) => hand.forEach((index, i) => results[index] = parts[w][i]));
  return results;
}

async function packedNumbers(xs) {
  const half = Math.ceil(xs.length / WORKERS);
  const asked = [];
  for (let w = 0; w < WORKERS; w++) {
    const part = new Float64Array(Math.min(half, xs.length - w * half));
    for (let i = 0, from = w * half; i < part.length; i++) part[i] = xs[from + i];
    asked.push(ask[w](["numbers", part], [part.buffer]));
  }
  const results = new Array(xs.length);
  let next = 0;
  for (const done of asked) {
    const part = await done;
    for (let i = 0; i < part.length; i++) results[next++] = part[i];
  }
  return results;
}

async function sharedNumbers(input) {
  const output = new Float64Array(new SharedArrayBuffer(input.byteLength));
  const half = Math.ceil(input.length / WORKERS);
  await Promise.all(ask.map((tell, w) => {
    const part = { input, output, from: w * half, to: Math.min(input.length, (w + 1) * half) };
    return tell(["shared", part], []);
  }));
  return output;
}

const buffers = (payloads) => payloads.map((payload) => payload.buffer);

// One loop a job: a shared loop would see several functions and lose their inlining.
const serialRuns = {
  trivial(xs) {
    const out = new Array(xs.length);
    for (let i = 0; i < xs.length; i++) out[i] = trivial(xs[i]);
    return out;
  },
  typed(xs) {
    const out = new Float64Array(xs.length);
    for (let i = 0; i < xs.length; i++) out[i] = trivial(xs[i]);
    return out;
  },
  spin: (xs) => xs.map((x) => spin(x)),
  nap: (xs) => xs.map((x) => nap(x)),
  skewed: (xs) => xs.map((x) => spin(x)),
  skewedNap: (xs) => xs.map((x) => nap(x)),
  payload: (xs) => xs.map((x) => touch(x.slice())),
};

await serve({
  serial: {
    runs: serialRuns,
    extras: {
      // Steps of `spin` in a millisecond, the best of several tries.
      calibrate() {
        let best = Infinity;
        for (let i = 0; i < 15; i++) {
          const begin = performance.now();
          spin(5_000_000);
          best = Math.min(best, performance.now() - begin);
        }
        return { stepsPerMs: 5_000_000 / best };
      },
    },
  },
  ideal: {
    open() {
      ask = Array.from({ length: WORKERS }, startWorker);
    },
    runs: {
      trivial: packedNumbers,
      typed: sharedNumbers,
      spin: (xs) => inHalves("spin", xs),
      nap: (xs) => inHalves("nap", xs),
      skewed: (xs) => skewed("spin", xs),
      skewedNap: (xs) => skewed("nap", xs),
      payload: (xs) => inHalves("payload", xs),
      moved: (xs) => inHalves("payload", xs, buffers),
    },
  },
});
