/**
 * The calling thread as a worker: functions and inputs are used as they are, nothing is copied. Between two
 * chunks the event loop gets a turn, so that progress, timers and aborts go on.
 */
import { nextTurn } from "../runtime/mod.ts";
import { tidyLocal } from "./report.ts";
import { fold, type ItemFunction, ItemTimeout, makeRunner } from "./runner.ts";
import { addSegment, type Segment } from "./segments.ts";
import type { Chunk, Reply, StartWorker, Worker, WorkerEvents } from "./worker.ts";

/** Starts the one worker of a serial pool. */
export function serialStarter(initializer: (() => unknown) | undefined): StartWorker {
  return (_slot, events) => startSerial(initializer, events);
}

function startSerial(initializer: (() => unknown) | undefined, events: WorkerEvents): Worker {
  const queue: Chunk[] = [];
  const segments = new Map<number, Segment[]>();
  const dropped = new Set<number>();
  let runner: { fn: ItemFunction; run: ReturnType<typeof makeRunner> } | undefined;
  let running: number | undefined; // the job of the chunk that runs
  let draining = false;
  let over = false;

  async function drain(): Promise<void> {
    draining = true;
    while (queue.length > 0 && !over) {
      const chunk = queue[0];
      await nextTurn();
      if (over) return;
      if (queue[0] !== chunk) continue; // revoked
      queue.shift();
      running = chunk.job.id;
      let reply: Reply;
      try {
        reply = await run(chunk);
      } catch (error) {
        if (!over) events.refused(chunk, error);
        continue;
      } finally {
        running = undefined;
        dropped.delete(chunk.job.id);
      }
      for (const failure of reply.failures) failure.error = tidyLocal(failure.error);
      if (!over) events.done(chunk, reply);
    }
    draining = false;
  }

  async function run({ job, start, count, columns }: Chunk): Promise<Reply> {
    if (initializer) {
      try {
        await initializer();
      } catch (error) {
        throw new Error("the initializer of the pool failed in this worker", { cause: error });
      }
      initializer = undefined;
    }
    const began = performance.now();
    if (runner?.fn !== job.fn) runner = { fn: job.fn, run: makeRunner(job.fn) };
    let itemBegan = began;
    const late: number[] = [];
    const task = {
      columns: columns.map(({ items, offset }) => offset === 0 ? items : piece(items, offset, count)),
      count,
      stopAtError: job.stopAtError,
      out: job.out?.subarray(start, start + count),
      everyItem: job.timeout !== undefined,
      timeout: job.timeout,
      before(at: number): boolean {
        if (job.timeout !== undefined && at > 0) {
          const now = performance.now();
          if (now - itemBegan > job.timeout) late.push(at - 1);
          itemBegan = now;
          if (late.length > 0 && job.stopAtError) return true;
        }
        return dropped.has(job.id);
      },
    };
    itemBegan = performance.now();
    const outcome = await runner.run(task);
    const { values, failures, ran } = outcome;
    if (job.timeout !== undefined && ran > 0 && performance.now() - itemBegan > job.timeout) {
      late.push(ran - 1);
    }
    for (const at of late) {
      if (!failures.some((failure) => failure.at === at)) failures.push({ at, error: new ItemTimeout() });
    }
    if (job.reduce && failures.length === 0 && ran > 0) {
      try {
        const value = await fold(values, ran, job.reduce);
        const added = { start, end: start + ran, value };
        segments.set(job.id, await addSegment(segments.get(job.id) ?? [], added, job.reduce));
      } catch (error) {
        failures.push({ at: 0, error });
      }
    }
    return {
      values: job.reduce ? undefined : values,
      failures,
      ran,
      busy: performance.now() - began,
      bytes: 0,
      segments: job.reduce && (segments.get(job.id) ?? []).map(({ start, end }) => [start, end]),
    };
  }

  const stop = (): Promise<void> => {
    over = true;
    return Promise.resolve();
  };

  const worker: Worker = {
    name: "this thread",
    latency: 0,
    revocable: true,
    killable: false,
    run(chunk) {
      queue.push(chunk);
      if (!draining) drain();
      return 0;
    },
    revoke(chunk) {
      const at = queue.indexOf(chunk);
      if (at >= 0) queue.splice(at, 1);
      return at >= 0;
    },
    drop(job) {
      if (running === job) dropped.add(job);
      segments.delete(job);
    },
    position: () => undefined, // a timeout is judged by the runner: nobody else gets a turn meanwhile
    export(job, start) {
      const own = segments.get(job)!;
      const at = own.findIndex((segment) => segment.start === start);
      return Promise.resolve(own.splice(at, 1)[0].value);
    },
    merge: () => Promise.reject(new Error("one worker has nobody to merge with")),
    open: (parcel) => parcel,
    forget() {},
    end: stop,
    kill: stop,
    keepAlive: () => true,
  };
  return worker;
}

function piece(items: ArrayLike<unknown>, offset: number, count: number): ArrayLike<unknown> {
  return ArrayBuffer.isView(items)
    ? (items as unknown as Float64Array).subarray(offset, offset + count)
    : Array.prototype.slice.call(items, offset, offset + count);
}
