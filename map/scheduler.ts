/**
 * The scheduler: who runs what, for every kind of pool.
 *
 * A pool has slots. A slot belongs to a place (this machine, or a host) and holds a worker, or none until there
 * is something to do. Places open and close while maps are under way: a host connects, is lost, comes back. A
 * worker has chunks in flight, in the order they were sent; the first is the one it runs, the others wait in it.
 *
 * Who gets what. Whenever something changes (a map begins, a chunk is answered, a worker is lost, a source or
 * a reader is ready) `pump` runs. It goes over the slots with no chunk first, then over those with one, so
 * that no worker gets a second chunk while another has none. Maps take turns. How large a chunk is, balance.ts
 * says. A second chunk is sent ahead to hide the way there and back, but only where that cannot make an item
 * wait behind a long one: to workers that can give it back (threads), and otherwise while items are shorter
 * than a few milliseconds. Workers that are far away get more than one ahead, as much as balance.ts finds fair,
 * because they would be idle for a round trip otherwise.
 *
 * When nothing is left to give out, a worker with nothing takes a chunk back that waits in another one, or in
 * one that is still starting (`revoke` either succeeds, and then the other never runs it, or fails, and then it has begun). With
 * `speculate` it also runs again what others have had for the longest time; the first outcome of an item counts.
 *
 * When a worker is lost, its first chunk comes back marked, to be run in smaller pieces; the others come back
 * as they were. When the way to it broke, nothing is marked: no item is to blame. What it held of a reduction is
 * run again. The slot is empty and filled again on demand, while its place is open.
 *
 * When a map is over early, its chunks that wait are revoked, the worker that runs one is asked to stop, and
 * one that has not stopped after GRACE_MS is killed.
 *
 * Nothing waits without a limit or a sign of life: a worker either answers or is lost, its death is an event,
 * and an item over its `timeout` is found by looking at all workers every few milliseconds.
 */
import { every } from "../runtime/mod.ts";
import { isFar } from "./balance.ts";
import type { Job } from "./job.ts";
import type { Progress } from "./options.ts";
import type { Chunk, Loss, Place, Reply, Worker } from "./worker.ts";

/** How long a worker may go on with a chunk nobody wants any more before it is killed, in milliseconds. */
const GRACE_MS = 100;
/** Chunks in flight per worker, and for one that is far away. */
const NEAR_DEPTH = 2;
const FAR_DEPTH = 4;

/** What one worker of a pool has done. */
export interface WorkerStats {
  /** Its name; a slot whose worker was replaced shows the latest. */
  worker: string;
  /** Where it is: `"local"`, or the name of its host. */
  host: string;
  /** Items it finished. */
  items: number;
  /** Chunks it finished. */
  chunks: number;
  /** Milliseconds it worked. */
  busy: number;
  /** Bytes sent to it as inputs. */
  sent: number;
  /** Bytes received from it as results. */
  received: number;
}

/** What a pool has done since it was made, or since `clear()`. */
export interface PoolStats {
  /** Items finished, by all workers. */
  items: number;
  /** Chunks finished, by all workers. */
  chunks: number;
  /** Workers lost: killed, out of memory, ended by their own code. */
  lost: number;
  /** Threads given up while they were running, because nothing can stop them (Deno). */
  abandoned: number;
  /** One entry for each worker. */
  workers: WorkerStats[];
}

interface Slot {
  index: number;
  place: Place;
  /** Its number among the slots of its place. */
  number: number;
  /** Its place takes work. */
  open: boolean;
  worker: Worker | undefined;
  chunks: Chunk[];
  /** Items since its worker started. */
  tasks: number;
  /** The item it was seen at, and since when. */
  seen: { chunk: number; at: number; since: number } | undefined;
  /** When its first chunk became the first. */
  since: number;
  /** Calls off the killing of a worker that is given time to stop by itself. */
  spare: (() => void) | undefined;
  stats: WorkerStats;
}

/** Something that happened in a pool, for those who watch it. Times are those of `performance.now()`. */
export interface PoolEvent {
  type: "started" | "given" | "done" | "refused" | "lost" | "ended" | "opened" | "closed";
  at: number;
  host: string;
  worker: string;
  slot: number;
  /** The chunk, for `given`, `done`, `refused`. */
  job?: number;
  chunk?: number;
  /** Its first item, and how many there are. */
  start?: number;
  count?: number;
  /** Items that ran, milliseconds they took, how many failed and the first failure (`done`). */
  ran?: number;
  busy?: number;
  failures?: { at: number; error: unknown }[];
  /** How a worker was lost. */
  reason?: string;
}

/** A map ended. */
export interface OverEvent {
  type: "over";
  at: number;
  job: number;
  /** Name of its function. */
  name: string;
  progress: Progress;
  /** What ended it, if it ended badly: `"RangeError: two"`. */
  reason?: string;
}

/** Who is told what happens in a pool. It neither throws nor calls the pool. */
export type Observer = (event: PoolEvent | OverEvent) => void;

/** What a pool is at. */
export interface PoolSnapshot {
  jobs: { id: number; name: string; progress: Progress }[];
  workers: {
    slot: number;
    host: string;
    worker: string;
    /** `empty`: not started; `away`: its host is not there. */
    state: "empty" | "idle" | "busy" | "away";
    /** When it began what it is at. */
    since: number;
    items: number;
    chunks: number;
    busy: number;
  }[];
}

/** What the scheduler is to know of its pool. */
export interface SchedulerOptions {
  /** Where its first slots are. */
  place: Place;
  workers: number;
  /** Who is told what happens. */
  observers: ReadonlySet<Observer>;
  maxTasksPerWorker: number | undefined;
  output: (worker: string, stream: "stdout" | "stderr", line: string) => void;
  /** The last map is over. */
  idle: () => void;
}

/** Gives the chunks of jobs to workers. */
export class Scheduler {
  readonly #options: SchedulerOptions;
  #slots: Slot[] = [];
  #jobs: Job[] = []; // those not over, the next to be served first
  #waiting = new Set<Job>(); // those whose source has nothing yet
  #combining = new Set<Job>(); // what a worker holds of them must not change meanwhile: they get no chunks
  #pumping = false;
  #again = false;
  #stopWatch: (() => void) | undefined;
  #lost = 0;
  #abandoned = 0;
  #endings = new Set<Promise<void>>(); // workers that are about to be gone
  readonly #observers: ReadonlySet<Observer>;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#observers = options.observers;
    this.open(options.place, options.workers);
  }

  /** `place` has so many slots from now on, and takes work. */
  open(place: Place, workers: number): void {
    const own = this.#slots.filter((slot) => slot.place === place);
    for (let number = own.length; number < workers; number++) {
      const slot = newSlot(this.#slots.length, place, number);
      this.#slots.push(slot);
      own.push(slot);
    }
    for (const slot of own) this.#setOpen(slot, slot.number < workers);
    for (const job of this.#jobs) job.widen(this.#slots.length);
    if (this.#jobs.length > 0) this.pump();
  }

  /** `place` takes no work any more. Its workers end, or are told lost by themselves. */
  close(place: Place): void {
    for (const slot of this.#slots) if (slot.place === place) this.#setOpen(slot, false);
  }

  #setOpen(slot: Slot, open: boolean): void {
    if (slot.open === open) return;
    slot.open = open;
    for (const job of this.#jobs) if (job.lanes[slot.index]) job.lanes[slot.index].away = !open;
    this.#tell(slot, open ? "opened" : "closed");
  }

  /** How many workers there are or can be started at once. */
  get size(): number {
    return this.#slots.filter((slot) => slot.open).length;
  }

  /** How many slots there are, open or not. */
  get slots(): number {
    return this.#slots.length;
  }

  /**
   * Starts the first worker for a job that is about to come: it boots while the caller's thread captures the
   * function. If that is not possible, the job fails when it needs the worker.
   */
  prepare(): void {
    const slot = this.#slots.find((slot) => slot.open);
    if (!slot) return;
    try {
      slot.worker ??= this.#start(slot);
    } catch {
      return;
    }
    if (this.isIdle) this.#keepAlive(false);
  }

  /** Begins a job. */
  add(job: Job): void {
    if (this.#jobs.length === 0) this.#keepAlive(true);
    this.#jobs.push(job);
    job.widen(this.#slots.length);
    for (const slot of this.#slots) job.lanes[slot.index].away = !slot.open;
    if (job.timeout !== undefined) this.#watch();
    job.finishIfEmpty();
    this.pump();
  }

  /** The job is over: its caller was told. Stops what still runs for it. */
  remove(job: Job): void {
    this.#jobs = this.#jobs.filter((other) => other !== job);
    this.#waiting.delete(job);
    this.#tellOver(job);
    for (const slot of this.#slots) this.#drop(slot, job);
    if (this.#jobs.length === 0) {
      this.#stopWatch?.();
      this.#stopWatch = undefined;
      this.#keepAlive(false);
      this.#options.idle();
    } else {
      this.pump();
    }
  }

  get isIdle(): boolean {
    return this.#jobs.length === 0;
  }

  /** The jobs under way. */
  get jobs(): readonly Job[] {
    return this.#jobs;
  }

  /** Gives out what can be given out. */
  pump(): void {
    this.#again = true;
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      while (this.#again) {
        this.#again = false;
        const shallowest = Math.min(
          ...this.#slots.map(({ open, chunks }) => open ? chunks.length : Infinity),
        );
        for (let depth = shallowest, deepest = depth + 1; depth < deepest; depth++) {
          for (const slot of this.#slots) {
            if (!slot.open) continue;
            const most = depthOf(slot);
            deepest = Math.max(deepest, most);
            if (slot.chunks.length === depth && depth < most) this.#giveTo(slot, depth);
          }
        }
        for (const slot of this.#slots) if (slot.open && slot.chunks.length === 0) this.#steal(slot);
        for (const job of this.#jobs) if (job.reduce && job.isSettled) this.#combine(job);
      }
    } finally {
      this.#pumping = false;
    }
  }

  #tell(slot: Slot, type: PoolEvent["type"], details?: Partial<PoolEvent>): void {
    if (this.#observers.size === 0) return;
    const { index, place, stats } = slot;
    const event = {
      type,
      at: performance.now(),
      host: place.host,
      worker: stats.worker,
      slot: index,
      ...details,
    };
    for (const observer of this.#observers) observer(event);
  }

  #tellOver({ id, fn, progress, failure }: Job): void {
    if (this.#observers.size === 0) return;
    const reason = failure === undefined
      ? undefined
      : failure instanceof Error
      ? `${failure.name}: ${failure.message}`
      : String(failure);
    const event: OverEvent = {
      type: "over",
      at: performance.now(),
      job: id,
      name: fn.name,
      progress,
      reason,
    };
    for (const observer of this.#observers) observer(event);
  }

  /** What the pool is at. */
  get snapshot(): PoolSnapshot {
    return {
      jobs: this.#jobs.map((job) => ({
        id: job.id,
        name: job.fn.name || "anonymous",
        progress: job.progress,
      })),
      workers: this.#slots.map(({ index, place, open, worker, chunks, since, stats }) => ({
        slot: index,
        host: place.host,
        worker: stats.worker,
        state: !open ? "away" : !worker ? "empty" : chunks.length > 0 ? "busy" : "idle",
        since,
        items: stats.items,
        chunks: stats.chunks,
        busy: stats.busy,
      })),
    };
  }

  /** Ends all workers; those with something to do at once. Resolves when they are gone. */
  async stop(): Promise<void> {
    for (const slot of this.#slots) this.#release(slot, slot.chunks.length > 0 ? "kill" : "end");
    await Promise.all(this.#endings);
  }

  /** All workers forget the code they were sent. Call it only when idle. */
  forget(): void {
    for (const { worker } of this.#slots) worker?.forget();
  }

  get stats(): PoolStats {
    const workers = this.#slots.map((slot) => ({ ...slot.stats }));
    return {
      items: workers.reduce((sum, { items }) => sum + items, 0),
      chunks: workers.reduce((sum, { chunks }) => sum + chunks, 0),
      lost: this.#lost,
      abandoned: this.#abandoned,
      workers,
    };
  }

  // ---- giving out ----

  #giveTo(slot: Slot, depth: number): void {
    const { maxTasksPerWorker } = this.#options;
    if (maxTasksPerWorker !== undefined && depth > 0) return; // the next chunk may belong to the next worker
    for (const job of this.#jobs) {
      if (
        job.isOver || this.#waiting.has(job) || this.#combining.has(job) ||
        (depth > 0 && !slot.worker?.revocable && !isFar(slot.worker?.latency ?? 0) && !job.itemsAreShort) ||
        (depth >= NEAR_DEPTH && slot.worker?.depth !== undefined && !job.isSoonDone(slot.index))
      ) continue;
      const chunk = job.take(slot.index);
      if (chunk === "wait") {
        this.#waiting.add(job);
        job.ready().then(() => {
          this.#waiting.delete(job);
          this.pump();
        }, (error) => job.fail(error));
      } else if (typeof chunk === "object") {
        this.#jobs = [...this.#jobs.filter((other) => other !== job), job];
        this.#send(slot, chunk);
        return;
      }
      if (job.isOver) return this.pump(); // the list of jobs has changed
    }
  }

  #send(slot: Slot, chunk: Chunk): void {
    const job = chunk.job as Job;
    if (slot.chunks.length === 0) slot.since = performance.now();
    let worker: Worker;
    try {
      worker = slot.worker ??= this.#start(slot);
    } catch (error) {
      job.fail(
        new Error(`worker ${slot.index + 1} could not be started: ${(error as Error).message}`, {
          cause: error,
        }),
      );
      return;
    }
    try {
      const bytes = worker.run(chunk);
      slot.chunks.push(chunk);
      slot.stats.sent += bytes;
      job.lanes[slot.index].latency = worker.latency;
      job.sent(slot.index, chunk, bytes);
      if (this.#observers.size > 0) this.#tell(slot, "given", about(chunk));
    } catch (error) {
      job.refused(worker.name, chunk, error); // an input cannot travel
      this.#again = true;
    }
  }

  #start(slot: Slot): Worker {
    const current = (): boolean => slot.worker === worker;
    const worker: Worker = slot.place.start(slot.number, {
      done: (chunk, reply) => current() && this.#done(slot, chunk, reply),
      refused: (chunk, error) => current() && this.#refused(slot, chunk, error),
      lost: (loss) => current() && this.#workerLost(slot, loss),
      output: (stream, line) => this.#options.output(worker.name, stream, line),
    });
    slot.tasks = 0;
    slot.stats.worker = worker.name;
    worker.keepAlive(true);
    this.#tell(slot, "started");
    return worker;
  }

  /** A worker without work takes what waits in another. */
  #steal(slot: Slot): void {
    let victim: Slot | undefined;
    for (const other of this.#slots) {
      const waits = other.chunks.length >= 2 ||
        (other.chunks.length === 1 && other.tasks === 0 && slot.tasks > 0);
      if (waits && other.worker?.revocable && (!victim || other.since < victim.since)) victim = other;
    }
    const chunk = victim?.chunks.at(-1);
    if (chunk && victim!.worker!.revoke(chunk)) {
      victim!.chunks.pop();
      (chunk.job as Job).left(victim!.index, chunk);
      return this.#send(slot, chunk);
    }
    this.#speculate(slot);
  }

  /** A worker without work runs again what another has had for the longest time. */
  #speculate(slot: Slot): void {
    const slowestFirst = this.#slots.filter((other) => other !== slot && other.chunks.length > 0)
      .sort((a, b) => a.since - b.since);
    for (const other of slowestFirst) {
      for (const [at, chunk] of other.chunks.entries()) {
        const copy = chunk.job.reduce ? undefined : (chunk.job as Job).copyOf(chunk, at === 0);
        if (copy) return this.#send(slot, copy);
      }
    }
  }

  // ---- what comes back ----

  #done(slot: Slot, chunk: Chunk, reply: Reply): void {
    const job = this.#takeOut(slot, chunk);
    slot.tasks += reply.ran;
    slot.stats.items += reply.ran - reply.failures.length;
    slot.stats.chunks++;
    slot.stats.busy += reply.busy;
    slot.stats.received += reply.bytes;
    if (this.#observers.size > 0) {
      const { ran, busy, failures } = reply;
      this.#tell(slot, "done", { ...about(chunk), ran, busy, failures });
    }
    job.answered(slot.index, slot.worker!.name, chunk, reply);
    const { maxTasksPerWorker } = this.#options;
    if (maxTasksPerWorker !== undefined && slot.tasks >= maxTasksPerWorker && !this.#holds(slot)) {
      this.#release(slot, "end");
    }
    this.pump();
  }

  #refused(slot: Slot, chunk: Chunk, error: unknown): void {
    this.#tell(slot, "refused", about(chunk));
    this.#takeOut(slot, chunk).refused(slot.worker!.name, chunk, error);
    this.pump();
  }

  #takeOut(slot: Slot, chunk: Chunk): Job {
    const at = slot.chunks.indexOf(chunk);
    if (at >= 0) slot.chunks.splice(at, 1);
    slot.since = performance.now();
    spare(slot);
    const job = chunk.job as Job;
    job.left(slot.index, chunk);
    return job;
  }

  /** Whether the slot's worker holds values of a reduction. */
  #holds(slot: Slot): boolean {
    return this.#jobs.some((job) => job.held[slot.index].length > 0);
  }

  #workerLost(slot: Slot, loss: Loss): void {
    this.#lost++;
    const { name } = slot.worker!;
    this.#tell(slot, "lost", { reason: loss.reason });
    const [running, ...waiting] = this.#empty(slot);
    for (const chunk of waiting) (chunk.job as Job).giveBack(chunk);
    if (running && loss.blameless) (running.job as Job).giveBack(running);
    else if (running) (running.job as Job).lost(name, running, loss);
    this.pump();
  }

  /** The slot has no worker any more; returns what it had in flight. */
  #empty(slot: Slot): Chunk[] {
    const { chunks } = slot;
    slot.worker = undefined;
    slot.chunks = [];
    slot.seen = undefined;
    spare(slot);
    for (const chunk of chunks) (chunk.job as Job).left(slot.index, chunk);
    for (const job of this.#jobs) job.forgetHeld(slot.index);
    return chunks;
  }

  #release(slot: Slot, how: "end" | "kill"): Chunk[] {
    const { worker } = slot;
    if (!worker) return [];
    if (how === "end" || !slot.seen) this.#tell(slot, "ended");
    const ending = (how === "kill" ? worker.kill() : worker.end()).finally(() =>
      this.#endings.delete(ending)
    );
    this.#endings.add(ending);
    return this.#empty(slot);
  }

  // ---- ending early ----

  #drop(slot: Slot, job: Job): void {
    const { worker } = slot;
    if (!worker) return;
    slot.chunks = slot.chunks.filter((chunk) => chunk.job !== job || !worker.revoke(chunk));
    worker.drop(job.id);
    if (!slot.chunks.some((chunk) => chunk.job === job)) return;
    slot.spare ??= after(GRACE_MS + 2 * worker.latency, () => {
      slot.spare = undefined;
      if ((slot.chunks[0]?.job as Job | undefined)?.isOver) this.#kill(slot);
    });
  }

  /** Kills a worker in the middle of a chunk; what waited in it is given back. */
  #kill(slot: Slot): Chunk | undefined {
    if (!slot.worker!.killable) this.#abandoned++;
    const [running, ...waiting] = this.#release(slot, "kill");
    for (const chunk of waiting) (chunk.job as Job).giveBack(chunk);
    this.pump();
    return running;
  }

  /** Looks for items over their time. */
  #watch(): void {
    if (this.#stopWatch) return;
    const shortest = Math.min(...this.#jobs.map((job) => job.timeout ?? Infinity));
    const interval = Math.max(2, Math.min(50, shortest / 8));
    let looked = performance.now();
    let skipped = false;
    this.#stopWatch = every(interval, () => {
      const now = performance.now();
      // After this thread was busy, answers that came in time wait to be read: they are read before it is looked again.
      skipped = now - looked > 3 * interval && !skipped;
      looked = now;
      if (!skipped) { for (const slot of this.#slots) this.#lookAt(slot); }
    });
  }

  #lookAt(slot: Slot): void {
    const now = performance.now();
    const position = slot.worker?.position();
    const [chunk] = slot.chunks;
    if (!position || !chunk || position.chunk !== chunk.id) {
      slot.seen = undefined;
      return;
    }
    if (slot.seen?.chunk !== position.chunk || slot.seen.at !== position.at) {
      slot.seen = { ...position, since: now };
      return;
    }
    const job = chunk.job as Job;
    if (job.timeout === undefined || now - slot.seen.since <= job.timeout) return;
    const { name, killable } = slot.worker!;
    const { at } = slot.seen;
    this.#tell(slot, "ended", { reason: `item ${chunk.start + at} took more than ${job.timeout} ms` });
    const note = killable
      ? ""
      : "; what is busy there cannot be stopped: it goes on in the background (a ProcessPool can stop it)";
    this.#kill(slot);
    job.overdue(name, chunk, at, note);
    this.pump();
  }

  #keepAlive(on: boolean): void {
    for (const slot of this.#slots) {
      if (slot.worker && !slot.worker.keepAlive(on)) this.#release(slot, "end");
    }
  }

  // ---- putting a reduction together ----

  /** Merges the values that the workers hold, neighbours first and pairs side by side, until one is left. */
  async #combine(job: Job): Promise<void> {
    if (this.#combining.has(job)) return;
    this.#combining.add(job);
    try {
      for (;;) {
        const parts = job.segments
          .flatMap((own, slot) => own.map(([start, end]) => ({ start, end, slot: this.#slots[slot] })))
          .sort((a, b) => a.start - b.start);
        if (parts.length === 0) {
          job.fail(new TypeError("mapReduce of no items has no result: check that the input is not empty"));
          return;
        }
        if (parts.length === 1) {
          const worker = parts[0].slot.worker!;
          const parcel = await worker.export(job.id, parts[0].start);
          job.complete(worker.open(parcel));
          return;
        }
        const merges: Promise<void>[] = [];
        for (let i = 0; i + 1 < parts.length; i += 2) {
          const [left, right] = [parts[i], parts[i + 1]];
          merges.push(
            (async () => {
              const taker = left.slot.worker!;
              const parcel = await right.slot.worker!.export(job.id, right.start);
              if (left.slot.worker !== taker) return job.redo(right.slot.index, right.start); // it was lost
              if (!job.moved(right.slot.index, right.start, left.slot.index)) return;
              await taker.merge(job.id, left.start, right.end, parcel);
              job.merged(left.slot.index, left.start, right.end);
            })(),
          );
        }
        const failed = (await Promise.allSettled(merges)).find((merge) => merge.status === "rejected");
        if (job.isOver) return;
        if (!job.isSettled) return; // a worker was lost: its share runs again, then we are called again
        if (failed) throw failed.reason;
      }
    } catch (error) {
      if (job.isSettled) job.failReduction(error);
    } finally {
      this.#combining.delete(job);
      if (!job.isOver) this.pump();
    }
  }
}

function depthOf({ worker }: Slot): number {
  return worker?.depth ?? (worker && isFar(worker.latency) ? FAR_DEPTH : NEAR_DEPTH);
}

function about({ job, id, start, count }: Chunk): Partial<PoolEvent> {
  return { job: job.id, chunk: id, start, count };
}

/** Calls once, later, unless the returned function is called before. */
function after(milliseconds: number, call: () => void): () => void {
  const timer = setTimeout(call, milliseconds);
  return () => clearTimeout(timer);
}

function spare(slot: Slot): void {
  slot.spare?.();
  slot.spare = undefined;
}

function newSlot(index: number, place: Place, number: number): Slot {
  const stats = {
    worker: "not started",
    host: place.host,
    items: 0,
    chunks: 0,
    busy: 0,
    sent: 0,
    received: 0,
  };
  return {
    index,
    place,
    number,
    open: false,
    worker: undefined,
    chunks: [],
    tasks: 0,
    seen: undefined,
    since: 0,
    spare: undefined,
    stats,
  };
}
