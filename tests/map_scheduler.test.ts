/** The scheduler with workers that do what the test says, when it says so: orders of events that real workers rarely show. */
import { assert, assertEquals } from "@std/assert";
import { Job } from "../map/job.ts";
import { resolveOptions } from "../map/options.ts";
import { Scheduler } from "../map/scheduler.ts";
import { arraySink } from "../map/sinks.ts";
import { openSource } from "../map/source.ts";
import type { Chunk, Worker, WorkerEvents } from "../map/worker.ts";
import { test } from "./harness.ts";

const LOSS = { reason: "was lost", signal: null, exitCode: null, stderr: "", blameless: true };
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

/** A worker that lists items: its value of a run is the items in it. */
interface Manual {
  worker: Worker;
  /** Chunks it was given and has not answered. */
  given: Chunk[];
  /** Answers the first of them. */
  answer(): void;
  /** Dies. */
  die(): void;
  /** Lets what was asked about a reduction be answered. */
  release(): void;
  /** How many such questions wait. */
  readonly asked: number;
}

function manual(name: string, events: WorkerEvents): Manual {
  const given: Chunk[] = [];
  let segments: { start: number; end: number; items: number[] }[] = [];
  const questions: { ask(): void; fail(): void }[] = [];
  const later = <T>(work: () => T): Promise<T> =>
    new Promise((resolve, reject) =>
      questions.push({
        ask() {
          try {
            resolve(work());
          } catch (error) {
            reject(error);
          }
        },
        fail: () => reject(new Error("lost")),
      })
    );
  const worker: Worker = {
    name,
    latency: 0.1,
    revocable: false,
    killable: true,
    run: (chunk) => given.push(chunk),
    revoke: () => false,
    drop() {},
    position: () => undefined,
    export: (_job, start) =>
      later(() => {
        const at = segments.findIndex((segment) => segment.start === start);
        return segments.splice(at, 1)[0].items;
      }),
    merge: (_job, start, end, items) =>
      later(() => {
        const left = segments.find((segment) => segment.start === start)!;
        left.items.push(...items as number[]);
        left.end = end;
      }),
    open: (items) => items,
    forget() {},
    end: () => Promise.resolve(),
    kill: () => Promise.resolve(),
    keepAlive: () => true,
  };
  return {
    worker,
    given,
    answer() {
      const chunk = given.shift()!;
      const { start, count } = chunk;
      const items = Array.from({ length: count }, (_, i) => start + i);
      const before = segments.find((segment) => segment.end === start);
      if (before) {
        before.items.push(...items);
        before.end += count;
      } else segments.push({ start, end: start + count, items });
      segments = segments.sort((a, b) => a.start - b.start);
      events.done(chunk, {
        values: undefined,
        failures: [],
        ran: count,
        busy: 1,
        bytes: 0,
        segments: segments.map(({ start, end }) => [start, end]),
      });
    },
    die() {
      events.lost(LOSS);
      for (const { fail } of questions.splice(0)) fail();
    },
    release() {
      for (const { ask } of questions.splice(0)) ask();
    },
    get asked() {
      return questions.length;
    },
  };
}

/** Reduces `items` items with manual workers; `current` are those in the slots. */
function reduction(items: number, workers: number) {
  const current: Manual[] = [];
  const started: Manual[] = [];
  const place = {
    host: "here",
    start(slot: number, events: WorkerEvents): Worker {
      const one = manual(`worker ${started.length + 1}`, events);
      started.push(one);
      current[slot] = one;
      return one.worker;
    },
  };
  const scheduler = new Scheduler({
    place,
    workers,
    observers: new Set(),
    maxTasksPerWorker: undefined,
    output() {},
    idle() {},
  });
  const { sink, results } = arraySink(1, false, undefined);
  const numbers = Array.from({ length: items }, (_, i) => i);
  const job: Job = new Job({
    site: {},
    fn: (x) => x,
    reduce: (a) => a,
    source: openSource([numbers], workers),
    sink,
    options: resolveOptions({ chunkSize: 1 }),
    workers,
    over: () => scheduler.remove(job),
  });
  scheduler.add(job);
  const value = results.then((all) => (all as number[][])[0]);
  /** All answer what they have, until nobody has anything or a reduction is being put together. */
  const work = async (): Promise<void> => {
    for (; current.some(({ given }) => given.length > 0); await turn()) {
      for (const one of current) if (one.given.length > 0) one.answer();
    }
  };
  return { current, value, work, numbers };
}

test("a reduction misses nothing when a worker is lost that was about to be given another one's value", async () => {
  for (const victim of [0, 1, 2, 3]) {
    for (const after of [0, 1, 2]) { // rounds of questions answered before
      const { current, value, work, numbers } = reduction(8, 4);
      await work();
      for (let round = 0; round < after; round++) {
        for (const one of [...current]) one.release();
        await turn();
      }
      const asked = current.filter((one) => one.asked > 0).length;
      if (after === 0) assert(asked > 0, "values are on their way");
      current[victim].die();
      let settled = false;
      value.finally(() => settled = true).catch(() => {});
      for (let turns = 0; !settled && turns < 100; turns++) {
        await work();
        for (const one of [...current]) one.release();
        await turn();
      }
      assertEquals(await value, numbers, `worker ${victim} was lost after ${after} rounds`);
    }
  }
});
