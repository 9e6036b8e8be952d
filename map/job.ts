/**
 * One map under way: where its items come from, where its results go, what is to be run again, and when it is
 * over. The scheduler decides who runs what; the job decides what that means for the caller.
 *
 * Semantics: an item may be run more than once (a worker was lost with it, it is retried, or the tail is
 * speculated on), and exactly one outcome per item reaches the caller.
 */
import type { CodePayload } from "../serialize/codebook.ts";
import { chunkSize, type Lane, meanRate, newLane, record, TARGET_MS } from "./balance.ts";
import { TaskError, TimeoutError, WorkerLostError } from "./errors.ts";
import type { NumberArray, Progress, ResolvedOptions } from "./options.ts";
import { abortReason } from "./options.ts";
import { describeItem } from "./report.ts";
import { type ItemFunction, ItemTimeout } from "./runner.ts";
import type { Sink } from "./sinks.ts";
import type { Source } from "./source.ts";
import type { Chunk, Loss, Reply, WorkerJob } from "./worker.ts";

/** Chunks are kept below this many bytes, if they have more than one item. */
const MAX_CHUNK_BYTES = 4 << 20;
/** Items shorter than this, in milliseconds, may wait a little behind others. */
const SHORT_ITEM_MS = 4;
/** Work that is done in less time, in milliseconds, is little beside what a message costs. */
const SOON_MS = 0.3;
/** `onProgress` is not called more often than this, in milliseconds. */
const PROGRESS_MS = 50;

/** What a map is made of. */
export interface JobParts {
  /** Where the map was called. */
  site: { stack?: string };
  fn: ItemFunction;
  reduce?: (a: unknown, b: unknown) => unknown;
  code?: CodePayload;
  reduceCode?: CodePayload;
  source: Source;
  sink: Sink;
  options: ResolvedOptions;
  /** Number of workers of the pool. */
  workers: number;
  /** Called once, when the job is over in any way. */
  over: () => void;
}

let jobs = 0;
let chunks = 0;

/** One map under way. */
export class Job implements WorkerJob {
  readonly id = ++jobs;
  readonly fn: ItemFunction;
  readonly reduce: ((a: unknown, b: unknown) => unknown) | undefined;
  readonly code: CodePayload | undefined;
  readonly reduceCode: CodePayload | undefined;
  readonly stopAtError: boolean;
  readonly timeout: number | undefined;
  readonly out: NumberArray | undefined;
  readonly options: ResolvedOptions;
  readonly lanes: Lane[] = [];
  /** Reductions: the chunks whose values a worker (by its slot) holds, and the runs of items they form. */
  readonly held: Chunk[][] = [];
  readonly segments: [number, number][][] = [];
  /** No more items will come out of the source. */
  exhausted = false;
  /** It ended, well or badly. */
  isOver = false;
  /** What ended it, if it ended badly. */
  failure: unknown;

  #site: { stack?: string };
  #source: Source;
  #sink: Sink;
  #over: () => void;
  #again: Chunk[] = []; // to be run again, before anything new
  #taken = 0;
  #settled = 0;
  #failed = 0;
  #began = performance.now();
  #bytesPerItem = 0;
  #told = 0;
  #doneItems: Set<number> | undefined; // only when speculating: who was first
  #copied = new WeakMap<Chunk, number>(); // the items from this one on run elsewhere too
  #stopListening: () => void;

  constructor(parts: JobParts) {
    const { options } = parts;
    this.fn = parts.fn;
    this.reduce = parts.reduce;
    this.code = parts.code;
    this.reduceCode = parts.reduceCode;
    this.options = options;
    this.stopAtError = !options.collect && options.retries.thrown === 0;
    this.timeout = options.timeout;
    this.out = options.out;
    this.widen(parts.workers);
    this.#site = parts.site;
    this.#source = parts.source;
    this.#sink = parts.sink;
    this.#over = parts.over;
    if (options.speculate) this.#doneItems = new Set();
    const { signal } = options;
    const abort = () => this.fail(abortReason(signal!));
    signal?.addEventListener("abort", abort);
    this.#stopListening = () => signal?.removeEventListener("abort", abort);
  }

  /** There are so many workers now. */
  widen(workers: number): void {
    while (this.lanes.length < workers) {
      this.lanes.push(newLane());
      this.held.push([]);
      this.segments.push([]);
    }
  }

  /** Items for the worker in `slot`: a chunk, nothing now, `"wait"` for the source, or nothing ever (`"done"`). */
  take(slot: number): Chunk | "none" | "wait" | "done" {
    const again = this.#again.shift();
    if (again) return again;
    if (this.exhausted) return "done";
    const room = this.#sink.room(this.#taken, this.#window());
    if (room <= 0) return "none";
    const lane = this.lanes[slot];
    let size = this.options.chunkSize ?? chunkSize(lane, this.lanes, this.#source.left);
    if (size === 0 && this.#source.left !== 0) return "none";
    if (this.#bytesPerItem > 0) {
      size = Math.min(size, Math.max(1, Math.floor(MAX_CHUNK_BYTES / this.#bytesPerItem)));
    }
    try {
      const batch = this.#source.take(Math.max(1, Math.min(size, room)), slot);
      if (batch === "wait") return batch;
      if (batch === "done") {
        this.exhausted = true;
        this.#finishIfDone();
        return "done";
      }
      this.#taken += batch.count;
      return { id: ++chunks, job: this, losses: 0, throws: 0, ...batch };
    } catch (error) {
      this.fail(error);
      return "done";
    }
  }

  /** Items that may be read beyond what was delivered: what keeps all workers busy. */
  #window(): number {
    if (this.options.lookahead !== undefined) return this.options.lookahead;
    const mean = meanRate(this.lanes) ?? 0;
    const workers = this.lanes.length;
    return Math.max(2 * workers, Math.min(1024, Math.ceil(2 * workers * mean * TARGET_MS)));
  }

  /** Resolves when the source may have more. */
  ready(): Promise<void> {
    return this.#source.ready();
  }

  /** Whether an item is short enough for chunks to be sent ahead to a worker that cannot give them back. */
  get itemsAreShort(): boolean {
    const mean = meanRate(this.lanes);
    return mean !== undefined && mean * SHORT_ITEM_MS > 1;
  }

  /** Whether what the worker in `slot` has takes less time than a message. */
  isSoonDone(slot: number): boolean {
    const mean = meanRate(this.lanes);
    return mean !== undefined && this.lanes[slot].inFlight < mean * SOON_MS;
  }

  /** A chunk was sent. */
  sent(slot: number, chunk: Chunk, bytes: number): void {
    this.lanes[slot].inFlight += chunk.count;
    if (bytes > 0) this.#bytesPerItem = Math.max(this.#bytesPerItem * 0.8, bytes / chunk.count);
  }

  /** A chunk is no longer with a worker, whatever the reason. */
  left(slot: number, chunk: Chunk): void {
    this.lanes[slot].inFlight -= chunk.count;
  }

  /** A chunk was answered by the worker `name` in `slot`. */
  answered(slot: number, name: string, chunk: Chunk, reply: Reply): void {
    if (this.isOver) return;
    record(this.lanes[slot], reply.ran, reply.busy);
    if (reply.bytes > 0) {
      this.#bytesPerItem = Math.max(this.#bytesPerItem, reply.bytes / Math.max(1, reply.ran));
    }
    if (this.reduce) this.#answeredReduction(slot, name, chunk, reply);
    else this.#deliver(name, chunk, reply);
    this.#tell(false);
    this.#finishIfDone();
  }

  #deliver(name: string, chunk: Chunk, { values, failures, ran }: Reply): void {
    if (failures.length === 0 && this.#doneItems === undefined) {
      this.#settled += ran;
      this.#sink.accept(chunk.start, values!, ran);
      return;
    }
    const failed = new Map(failures.map(({ at, error }) => [at, error]));
    for (let at = 0; at < ran && !this.isOver; at++) {
      if (failed.has(at)) this.#failedItem(name, chunk, at, failed.get(at));
      else if (this.#first(chunk.start + at)) this.#sink.accept(chunk.start + at, [values![at]], 1);
    }
  }

  /** Whether this is the first outcome of an item; counts it. */
  #first(index: number): boolean {
    if (this.#doneItems?.has(index)) return false;
    this.#doneItems?.add(index);
    this.#settled++;
    return true;
  }

  /** The function threw for item `at` of a chunk. */
  #failedItem(name: string, chunk: Chunk, at: number, thrown: unknown): void {
    const index = chunk.start + at;
    if (thrown instanceof ItemTimeout) return this.timedOut(name, chunk, at, "");
    if (chunk.throws < this.options.retries.thrown) {
      this.#again.push({ ...part(chunk, at, at + 1), throws: chunk.throws + 1 });
      return;
    }
    const cause = thrown;
    const what = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
    this.#failItem(
      index,
      new TaskError(`item ${index} failed in ${name}: ${what}\n  input: ${describeItem(chunk, at)}`, {
        index,
        worker: name,
        cause,
      }),
    );
  }

  #failItem(index: number, error: TaskError): void {
    if (this.#doneItems?.has(index)) return; // another worker was first, and had a result
    this.#locate(error);
    if (!this.options.collect) return this.fail(error);
    if (!this.#first(index)) return;
    this.#failed++;
    this.#sink.reject(index, error);
  }

  /** The error's own stack shows where the map was called; its cause shows where the function threw. */
  #locate(error: TaskError): void {
    const frames = this.#site.stack?.split("\n").filter((line) => /^\s+at /.test(line)) ?? [];
    const stack = [`${error.name}: ${error.message}`, ...frames].join("\n");
    Object.defineProperty(error, "stack", { value: stack, configurable: true, writable: true });
  }

  #answeredReduction(slot: number, name: string, chunk: Chunk, { failures, ran, segments }: Reply): void {
    if (failures.length === 0) {
      this.#settled += ran;
      this.held[slot].push(chunk);
      this.segments[slot] = segments!;
      return;
    }
    // Nothing of the chunk was kept: what threw is retried or fails the map, the rest goes again.
    const failed = new Map(failures.map(({ at, error }) => [at, error]));
    for (let at = 0; at < chunk.count && !this.isOver; at++) {
      if (failed.has(at)) this.#failedItem(name, chunk, at, failed.get(at));
      else this.#again.push(part(chunk, at, at + 1));
    }
  }

  /** The worker in `slot` is gone: what a reduction left there must be done again. */
  forgetHeld(slot: number): void {
    for (const chunk of this.held[slot]) {
      this.#settled -= chunk.count;
      this.#again.push(chunk);
    }
    this.held[slot] = [];
    this.segments[slot] = [];
  }

  /** A chunk comes back without having been run. */
  giveBack(chunk: Chunk): void {
    if (!this.isOver) this.#again.unshift(chunk);
  }

  /**
   * A worker was lost while it ran a chunk. Which item is to blame shows when the chunk is run in ever smaller
   * pieces, down to single items; only those can use up their retries.
   */
  lost(name: string, chunk: Chunk, loss: Loss): void {
    if (this.isOver) return;
    const { lost: retries } = this.options.retries;
    const losses = chunk.losses + 1;
    if (losses <= retries || (retries > 0 && chunk.count > 1)) {
      const piece = Math.ceil(chunk.count / 64);
      for (let at = 0; at < chunk.count; at += piece) {
        this.#again.push({
          ...part(chunk, at, Math.min(at + piece, chunk.count)),
          losses: Math.min(losses, retries),
        });
      }
      return;
    }
    for (let at = 0; at < chunk.count && !this.isOver; at++) {
      const index = chunk.start + at;
      const times = losses === 1 ? "" : `; the ${losses} workers that tried were all lost`;
      const item = chunk.count === 1
        ? `item ${index}`
        : `items ${chunk.start} to ${chunk.start + chunk.count - 1}`;
      const said = loss.stderr === "" ? "" : `\n  standard error: ${loss.stderr.replaceAll("\n", "\n    ")}`;
      this.#failItem(
        index,
        new WorkerLostError(
          `${name} ${loss.reason} while it ran ${item}${times}\n  input: ${describeItem(chunk, at)}${said}`,
          { index, worker: name, signal: loss.signal, exitCode: loss.exitCode, stderr: loss.stderr },
        ),
      );
    }
    this.#tell(false);
    this.#finishIfDone();
  }

  /** Item `at` of a chunk took too long and its worker is gone; the other items are run again. */
  overdue(name: string, chunk: Chunk, at: number, note: string): void {
    if (this.isOver) return;
    if (at > 0) this.#again.push(part(chunk, 0, at));
    if (at + 1 < chunk.count) this.#again.push(part(chunk, at + 1, chunk.count));
    this.timedOut(name, chunk, at, note);
    this.#tell(false);
    this.#finishIfDone();
  }

  /** Item `at` of a chunk took too long. */
  timedOut(name: string, chunk: Chunk, at: number, note: string): void {
    const index = chunk.start + at;
    this.#failItem(
      index,
      new TimeoutError(
        `item ${index} took more than ${this.timeout} ms in ${name}${note}\n  input: ${
          describeItem(chunk, at)
        }`,
        { index, worker: name },
      ),
    );
  }

  /** A chunk could not begin: alone each item shows whether it is to blame. */
  refused(name: string, chunk: Chunk, reason: unknown): void {
    if (this.isOver) return;
    if (chunk.count > 1) {
      for (let at = 0; at < chunk.count; at++) this.#again.push(part(chunk, at, at + 1));
      return;
    }
    const cause = reason;
    const { start: index } = chunk;
    const what = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
    this.#failItem(
      index,
      new TaskError(`item ${index} could not be run in ${name}: ${what}`, { index, worker: name, cause }),
    );
    this.#tell(false);
    this.#finishIfDone();
  }

  /**
   * What of a chunk is worth running elsewhere too, if all of it is not already: the last half of one that
   * runs, then the rest; all of one that waits.
   */
  copyOf(chunk: Chunk, runs: boolean): Chunk | undefined {
    if (!this.#doneItems || this.isOver) return undefined;
    const upTo = this.#copied.get(chunk) ?? chunk.count;
    if (upTo === 0) return undefined;
    const from = runs && upTo === chunk.count ? Math.floor(chunk.count / 2) : 0;
    this.#copied.set(chunk, from);
    const copy = part(chunk, from, upTo);
    this.#copied.set(copy, 0); // a copy is not copied
    return copy;
  }

  /** Ends the job: the caller gets `error`, nothing more is started. */
  fail(error: unknown): void {
    if (this.isOver) return;
    this.failure = error;
    this.#end();
    this.#sink.fail(error);
    this.#over();
  }

  /** Reductions: a worker gave away the value of a run, and who was to have it is gone: its chunks are run again. */
  redo(slot: number, start: number): void {
    for (const chunk of this.#takeRun(slot, start) ?? []) {
      this.#settled -= chunk.count;
      this.#again.push(chunk);
    }
  }

  /**
   * Reductions: the value of a run moves to another worker, and with it the duty to redo its chunks. False if the worker
   * that had it was lost meanwhile: its chunks run again, so the value must not be used.
   */
  moved(from: number, start: number, to: number): boolean {
    const chunks = this.#takeRun(from, start);
    if (chunks) this.held[to].push(...chunks);
    return chunks !== undefined;
  }

  /** Takes the chunks of the run that begins at `start` from a worker; nothing if that was lost meanwhile. */
  #takeRun(slot: number, start: number): Chunk[] | undefined {
    const at = this.segments[slot].findIndex(([first]) => first === start);
    if (at < 0) return undefined;
    const [[, end]] = this.segments[slot].splice(at, 1);
    const inside = (chunk: Chunk) => chunk.start >= start && chunk.start < end;
    const taken = this.held[slot].filter(inside);
    this.held[slot] = this.held[slot].filter((chunk) => !inside(chunk));
    return taken;
  }

  /** Reductions: the run that begins at `start` now reaches to `end`. */
  merged(slot: number, start: number, end: number): void {
    for (const segment of this.segments[slot]) if (segment[0] === start) segment[1] = end;
  }

  /** Reductions: two values could not be merged. */
  failReduction(error: unknown): void {
    const cause = error;
    const what = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
    this.fail(
      new TaskError(`the results could not be reduced: ${what}`, { index: -1, worker: "the pool", cause }),
    );
  }

  /** The results of a reduction are in: `value` goes to the caller. */
  complete(value: unknown): void {
    if (this.isOver) return;
    this.#end();
    this.#sink.accept(0, [value], 1);
    this.#sink.finish();
    this.#over();
  }

  /** Whether all items are settled (a reduction then still has to be put together). */
  get isSettled(): boolean {
    const noneLeft = this.exhausted || this.#source.left === 0;
    return noneLeft && this.#settled === this.#taken && this.#again.length === 0;
  }

  /** With no items there is nothing to wait for, not even a worker. */
  finishIfEmpty(): void {
    if (this.#source.total === 0) this.#finishIfDone();
  }

  #finishIfDone(): void {
    if (this.isOver || this.reduce || !this.isSettled) return;
    this.#end();
    this.#sink.finish();
    this.#over();
  }

  #end(): void {
    this.#tell(true);
    this.isOver = true;
    this.#again = [];
    this.#stopListening();
    this.#source.close();
  }

  /** How far it is. */
  get progress(): Progress {
    const elapsed = performance.now() - this.#began;
    const { total } = this.#source;
    const done = this.#settled;
    const rate = elapsed > 0 ? done / elapsed * 1000 : 0;
    return {
      done,
      total,
      failed: this.#failed,
      running: this.lanes.reduce((sum, lane) => sum + lane.inFlight, 0),
      elapsed,
      rate,
      remaining: total === undefined || rate === 0 ? undefined : (total - done) / rate * 1000,
    };
  }

  #tell(last: boolean): void {
    const { onProgress } = this.options;
    const now = performance.now();
    if (!onProgress || (!last && now - this.#told < PROGRESS_MS)) return;
    this.#told = now;
    try {
      onProgress(this.progress);
    } catch (error) {
      if (!last) this.fail(error);
      else throw error;
    }
  }
}

/** Items `[from, to)` of a chunk, as a chunk. */
function part(chunk: Chunk, from: number, to: number): Chunk {
  return {
    ...chunk,
    id: ++chunks,
    start: chunk.start + from,
    count: to - from,
    columns: chunk.columns.map(({ items, offset }) => ({ items, offset: offset + from })),
  };
}
