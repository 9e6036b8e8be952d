// One contender in a process of its own, driven line by line: a JSON request on stdin, a JSON reply on stdout.
// The process does nothing between two requests, so that the driver can alternate between contenders.
// A contender is { load, open, runs }: `load` imports its library, `open` makes its pool of 2 workers, and `runs`
// says what it can do, by kind. Inputs are made and results checked outside the measured time.
import process from "node:process";
import { createInterface } from "node:readline";

export const WORKERS = 2;

const columns = {
  "a": { kind: "trivial", input: ({ n }) => Array.from({ length: n }, (_, i) => i), check: sum },
  "a-chunks": { kind: "chunks", input: ({ n }) => Array.from({ length: n }, (_, i) => i), check: sum },
  "a-typed": { kind: "typed", input: ({ n }) => sharedFloats(n), check: sum },
  "b": { kind: "spin", input: steps, check: sum },
  "b-nap": { kind: "nap", input: naps, check: sum },
  "c": { kind: "skewed", input: steps, check: sum },
  "c-nap": { kind: "skewedNap", input: naps, check: sum },
  "d": { kind: "payload", input: payloads, check: lengths },
  "d-moved": { kind: "moved", input: payloads, check: lengths },
};

function steps({ n, weights, stepsPerMs }) {
  return (weights ?? new Array(n).fill(1)).map((ms) => Math.round(ms * stepsPerMs));
}

function naps({ n, weights }) {
  return weights ?? new Array(n).fill(1);
}

function payloads({ n, bytes }) {
  return Array.from({ length: n }, (_, i) => new Uint8Array(bytes).fill(i));
}

function sum(values) {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  return total;
}

function lengths(values) {
  let total = 0;
  for (const value of values) total += value.length + value[0];
  return total;
}

/** A Float64Array on shared memory that holds 0, 1, 2, ... */
export function sharedFloats(length) {
  const floats = new Float64Array(new SharedArrayBuffer(length * 8));
  for (let i = 0; i < length; i++) floats[i] = i;
  return floats;
}

/** Calls `task(chunk)` for consecutive chunks of `size` and waits for all; the results are joined. */
export async function inChunks(xs, size, task) {
  const tasks = [];
  for (let from = 0; from < xs.length; from += size) tasks.push(task(xs.slice(from, from + size)));
  return (await Promise.all(tasks)).flat();
}

/** Serves the contender named on the command line until stdin ends. */
export async function serve(contenders) {
  const contender = contenders[process.argv[2]];
  if (!contender) throw new Error(`no contender "${process.argv[2]}"; there are: ${Object.keys(contenders)}`);
  let open = false;
  const ready = async () => {
    if (!open) {
      await contender.load?.();
      await contender.open?.();
    }
    open = true;
  };
  const commands = {
    // Import of the library, two workers, and an answer from the pool to a map of two items.
    async start() {
      const begin = performance.now();
      await ready();
      await contender.runs.trivial([1, 2]);
      return { ms: performance.now() - begin };
    },
    async load() {
      await contender.load?.();
      return {};
    },
    // Twenty naps: long enough that both workers take part.
    async warm() {
      await contender.open?.();
      open = true;
      await contender.runs.nap(new Array(20).fill(5));
      return {};
    },
    async measure(request) {
      await ready();
      const column = columns[request.column];
      const input = column.input(request);
      const begin = performance.now();
      const output = await contender.runs[column.kind](input);
      const ms = performance.now() - begin;
      return { ms, items: input.length, check: column.check(output) };
    },
    async extra(request) {
      await ready();
      return await contender.extras[request.name](request);
    },
  };
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    let reply;
    try {
      reply = await commands[request.command](request);
    } catch (error) {
      reply = { error: String(error?.stack ?? error) };
    }
    process.stdout.write(JSON.stringify(reply) + "\n");
  }
  process.exit(0);
}
