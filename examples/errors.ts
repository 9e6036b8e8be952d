/**
 * What failures look like, one after the other: an error in the function, collected errors, a timeout, a killed
 * worker, something that cannot travel, a cancelled map. Nothing hangs, and the pool works on afterwards.
 *
 *     deno run -A examples/errors.ts
 */
import {
  ProcessPool,
  TaskError,
  ThreadPool,
  TimeoutError,
  UnserializableError,
  WorkerLostError,
} from "@pathos/pathos";
import process from "node:process";

/** Runs something that must fail with this kind of error, and gives the error. */
async function failure<E extends Error>(
  kind: abstract new (...args: never[]) => E,
  work: () => unknown,
): Promise<E> {
  try {
    await work();
  } catch (error) {
    if (error instanceof kind) return error;
    throw error;
  }
  throw new Error(`expected a ${kind.name}, and nothing failed`);
}

const title = (text: string) => console.log(`\n--- ${text}`);

await using threads = new ThreadPool({ workers: 2 });
await using processes = new ProcessPool({ workers: 2 });

title("The function throws: a TaskError says which input and where; its cause is the error itself");
class ParseError extends Error {
  constructor(readonly line: number) {
    super(`line ${line} is not a number`);
    this.name = "ParseError";
  }
}
const lines = ["1", "2", "three", "4"];
const parse = (text: string, at: number) => {
  const number = Number(text);
  if (Number.isNaN(number)) throw new ParseError(at + 1);
  return number;
};
const task = await failure(TaskError, () => threads.map(parse, lines, lines.keys()));
console.log(task.message);
console.log("index:", task.index, " worker:", task.worker);
console.log("cause:", task.cause instanceof ParseError, (task.cause as ParseError).line);
console.log((task.cause as Error).stack);

title('onError: "collect": every item has its outcome, as of Promise.allSettled');
const settled = await threads.with({ onError: "collect" }).map(parse, lines, lines.keys()) as unknown;
for (const result of settled as PromiseSettledResult<number>[]) {
  console.log(result.status, result.status === "fulfilled" ? result.value : result.reason.cause.message);
}

title("An item takes too long: its process is killed and replaced, the others are done");
const spin = (x: number) => {
  while (x === 2);
  return x * 10;
};
const timed = await processes.with({ timeout: 300, onError: "collect" }).map(spin, [1, 2, 3]) as unknown;
for (const result of timed as PromiseSettledResult<number>[]) {
  if (result.status === "fulfilled") console.log("fulfilled", result.value);
  else console.log(result.reason instanceof TimeoutError, result.reason.message);
}

title("A process is killed in the middle: its item is tried elsewhere twice, then it is reported");
const die = (x: number) => x === 1 ? process.kill(process.pid, "SIGKILL") : x;
const lost = await failure(WorkerLostError, () => processes.map(die, [0, 1, 2]));
console.log(lost.message);
console.log("signal:", lost.signal, " exit code:", lost.exitCode);

title("The function mentions something that cannot travel: the path to it, and what to do");
const cache = { names: new WeakMap<object, string>() };
const lookup = (key: object) => cache.names.get(key);
const stuck = await failure(UnserializableError, () => threads.map(lookup, [{}]));
console.log(stuck.message);
console.log("path:", stuck.path);

title("A map is cancelled: what runs is stopped, what has not begun never will");
const handle = processes.amap((x: number) => {
  for (;;) x++;
}, [1, 2, 3, 4]);
setTimeout(() => handle.cancel(), 200);
const cancelled = await failure(DOMException, () => handle);
console.log(`${cancelled.name}: ${cancelled.message}`);

title("And the pools work on");
console.log(
  await threads.map((x: number) => x + 1, [1, 2, 3]),
  await processes.map((x: number) => x * 2, [1, 2, 3]),
);
