/**
 * What is inside a pool, shared by all its views: its workers' schedulers, its state, and how a call becomes a
 * job.
 */
import type { CodeBook } from "../serialize/codebook.ts";
import { learnCallers } from "../serialize/inspector.ts";
import type { ServerStatus } from "./host_place.ts";
import { abortError } from "./errors.ts";
import { MapHandle } from "./handle.ts";
import { Job } from "./job.ts";
import {
  abortReason,
  type MapOptions,
  type Progress,
  type ResolvedOptions,
  resolveOptions,
} from "./options.ts";
import { progressLine } from "./progress.ts";
import type { ItemFunction } from "./runner.ts";
import { type Observer, Scheduler } from "./scheduler.ts";
import { serialStarter } from "./serial_worker.ts";
import { arraySink, deferred, type Sink, streamSink } from "./sinks.ts";
import { type Input, openSource } from "./source.ts";
import type { StartWorker } from "./worker.ts";

/** Versions of functions a pool remembers before it forgets them all, when it is idle. */
const MAX_CODES = 256;

/** A line that a worker's code printed. */
export interface OutputLine {
  /** Who printed it, such as `"thread 2"`. */
  worker: string;
  /** Where it belongs. */
  stream: "stdout" | "stderr";
  /** The line, without its end. */
  text: string;
}

/** Options that all pools take. */
export interface PoolOptions {
  /** Runs once in every new worker, before anything else there. */
  initializer?: () => unknown;
  /** A worker is replaced after so many items (against leaks in what it calls). Default: never. */
  maxTasksPerWorker?: number;
  /**
   * What to do with lines that workers print: `"plain"` (default) prints them here, `"tagged"` with the
   * worker's name before them, `"off"` drops them, a function gets them.
   */
  output?: "plain" | "tagged" | "off" | ((line: OutputLine) => void);
}

/** What differs between kinds of pools. */
export interface PoolKind {
  /** Number of workers. */
  workers: number;
  /** How functions and values travel; undefined if they stay in this thread. */
  book: CodeBook | undefined;
  start: StartWorker;
  /** Other places than this machine: they are opened by the first map and closed with the workers. */
  elsewhere?: Elsewhere;
  /** Maps over inputs of a known length are cut into so many equal parts. Default: the parts are adapted to the workers. */
  parts?: number;
}

/** Places that are not this machine. */
export interface Elsewhere {
  /** A map begins: see to it that the places open. Throws if there is no place to run it, nor will be. */
  begin(scheduler: Scheduler): void;
  /** All maps are over. */
  rest(): void;
  /** Closes the places. Resolves when nothing is left of them here. */
  stop(): Promise<void>;
  /** How they are doing. */
  status(): ServerStatus[];
}

type Method = (...args: never[]) => unknown;

/** Where the user called a method: errors say so, since they are made much later. */
export interface Site {
  stack?: string;
}

/** The inside of a pool, shared by all its views. */
export interface Engine {
  kind: PoolKind;
  options: PoolOptions;
  scheduler: Scheduler;
  serial: Scheduler | undefined;
  state: "open" | "closed" | "terminated" | "restarting";
  codes: Set<string>;
  idle: (() => void)[];
  /** Who is told what happens. */
  observers: Set<Observer>;
  /** Called once, when the pool was closed and its workers have ended. */
  ended: (() => Promise<void>)[];
}

/** A view of a pool: its inside, and the options for its maps. */
export interface Given {
  engine: Engine;
  options: MapOptions;
}

/** The inside of a new pool. */
export function newEngine(kind: PoolKind, options: PoolOptions): Engine {
  const engine: Engine = {
    kind,
    options,
    scheduler: undefined as unknown as Scheduler,
    serial: undefined,
    state: "open",
    codes: new Set(),
    idle: [],
    observers: new Set(),
    ended: [],
  };
  engine.scheduler = newScheduler(engine);
  return engine;
}

/** Notes where the user called `method`. Called by that method itself: the user's function is the next on the stack. */
export function callSite(engine: Engine, method: Method): Site {
  if (engine.kind.book) learnCallers();
  const site: Site = {};
  Error.captureStackTrace(site, method);
  return site;
}

/** Begins a map whose results are collected in an array. */
export function collect<R>(
  { engine, options: given }: Given,
  site: Site,
  fn: ItemFunction,
  inputs: readonly Input<unknown>[],
): { promise: Promise<R>; job: Job | undefined } {
  let job: Job | undefined;
  const promise = settle(() => {
    const options = resolveOptions(given);
    const source = openSource(inputs, undefined);
    if (options.out && source.total !== undefined && source.total > options.out.length) {
      throw new RangeError(
        `the option "out" has room for ${options.out.length} results, and there are ${source.total}`,
      );
    }
    if (options.out && options.collect) {
      throw new TypeError('"out" holds numbers only: it cannot be combined with onError: "collect"');
    }
    const { sink, results } = arraySink(source.total, options.collect, options.out);
    job = begin(engine, site, fn, source, sink, options);
    return results as Promise<R>;
  });
  return { promise, job };
}

/** Begins a single call. */
export function call<R>(
  pool: Given,
  site: Site,
  fn: ItemFunction,
  args: unknown[],
): { promise: Promise<R>; job: Job | undefined } {
  const inputs = args.length === 0 ? [[undefined]] : args.map((arg) => [arg]);
  const { promise, job } = collect<R[]>(pool, site, fn, inputs);
  return { promise: promise.then((results) => results[0]), job };
}

/** A handle on what was begun. */
export function handle<R>({ promise, job }: { promise: Promise<R>; job: Job | undefined }): MapHandle<R> {
  promise.catch(() => {}); // whoever wants the error asks the handle
  return new MapHandle(promise, {
    cancel: (reason) => job?.fail(reason),
    progress: () => job?.progress ?? NO_PROGRESS,
  });
}

/** A map whose results are taken one by one; it begins when the first is asked for. */
export function stream<R>(
  { engine, options: given }: Given,
  site: Site,
  ordered: boolean,
  fn: ItemFunction,
  inputs: readonly Input<unknown>[],
): AsyncIterableIterator<R> {
  let job: Job | undefined;
  let scheduler: Scheduler | undefined;
  let ended = false;
  const options = resolveOptions(given);
  const { sink, next } = streamSink(ordered, options.collect, () => scheduler?.pump());
  return {
    next: () => {
      if (ended) return Promise.resolve({ done: true, value: undefined });
      if (!job) {
        try {
          if (options.out) throw new TypeError('the option "out" is for map');
          job = begin(engine, site, fn, openSource(inputs, undefined), sink, options);
          scheduler = options.inline ? engine.serial : engine.scheduler;
        } catch (error) {
          ended = true;
          return Promise.reject(error);
        }
      }
      return next() as Promise<IteratorResult<R>>;
    },
    return: () => {
      ended = true;
      job?.fail(abortError("the loop over the results was left"));
      return Promise.resolve({ done: true, value: undefined });
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/** Begins a job. */
export function begin(
  engine: Engine,
  site: Site,
  fn: ItemFunction,
  source: ReturnType<typeof openSource>,
  sink: Sink,
  options: ResolvedOptions,
  reduce?: (a: unknown, b: unknown) => unknown,
): Job {
  if (typeof fn !== "function") {
    throw new TypeError(`the first argument of a map must be a function, not ${describeType(fn)}`);
  }
  if (engine.state !== "open") {
    const what = engine.state === "restarting"
      ? "wait for restart()"
      : "call restart() to use it again, or make a new one";
    throw new Error(`the pool is ${engine.state}: ${what}`);
  }
  if (options.signal?.aborted) throw abortReason(options.signal);
  const { book } = engine.kind;
  const travels = book !== undefined && !options.inline;
  const scheduler = options.inline ? engine.serial ??= serialScheduler(engine) : engine.scheduler;
  if (travels && source.total !== 0) {
    engine.kind.elsewhere?.begin(engine.scheduler);
    scheduler.prepare();
  }
  const code = travels ? book.encodeCode(fn) : undefined;
  const reduceCode = travels && reduce ? book.encodeCode(reduce) : undefined;
  for (const payload of [code, reduceCode]) if (payload) engine.codes.add(payload.hash);
  const line = options.progress ? progressLine() : undefined;
  const onProgress = line
    ? (progress: Progress): void => {
      line.draw(progress);
      options.onProgress?.(progress);
    }
    : options.onProgress;
  const job: Job = new Job({
    site,
    fn,
    reduce,
    code,
    reduceCode,
    source,
    sink,
    options: { ...options, onProgress, ...equalParts(engine.kind, source.total, options) },
    workers: scheduler.slots,
    over() {
      line?.done();
      scheduler.remove(job);
    },
  });
  scheduler.add(job);
  return job;
}

/** Chunks of equal size, and all of them at once, for a pool that cuts its inputs into parts. */
function equalParts(
  { parts }: PoolKind,
  total: number | undefined,
  { chunkSize, lookahead }: ResolvedOptions,
): Partial<ResolvedOptions> {
  if (parts === undefined || !total) return {};
  return { chunkSize: chunkSize ?? Math.ceil(total / parts), lookahead: lookahead ?? total };
}

const NO_PROGRESS: Progress = {
  done: 0,
  total: undefined,
  failed: 0,
  running: 0,
  elapsed: 0,
  rate: 0,
  remaining: undefined,
};

/** What `start` throws becomes a rejection: a map never throws at once. */
export function settle<R>(start: () => Promise<R>): Promise<R> {
  try {
    return start();
  } catch (error) {
    return Promise.reject(error);
  }
}

function describeType(value: unknown): string {
  return value === null ? "null" : Array.isArray(value) ? "an array" : typeof value;
}

function newScheduler(engine: Engine): Scheduler {
  const { kind, options } = engine;
  return new Scheduler({
    place: { host: "local", start: kind.start },
    workers: kind.workers,
    observers: engine.observers,
    maxTasksPerWorker: options.maxTasksPerWorker,
    output: (worker, stream, text) => print(options.output ?? "plain", { worker, stream, text }),
    idle: () => becameIdle(engine),
  });
}

function serialScheduler(engine: Engine): Scheduler {
  return new Scheduler({
    place: { host: "local", start: serialStarter(engine.options.initializer) },
    workers: 1,
    observers: new Set(),
    maxTasksPerWorker: undefined,
    output() {},
    idle: () => becameIdle(engine),
  });
}

function print(output: NonNullable<PoolOptions["output"]>, line: OutputLine): void {
  if (typeof output === "function") output(line);
  else if (output !== "off") {
    const text = output === "tagged" ? `[${line.worker}] ${line.text}` : line.text;
    if (line.stream === "stdout") console.log(text);
    else console.error(text);
  }
}

export function isIdle({ scheduler, serial }: Engine): boolean {
  return scheduler.isIdle && (serial?.isIdle ?? true);
}

function becameIdle(engine: Engine): void {
  if (!isIdle(engine)) return;
  engine.kind.elsewhere?.rest();
  if (engine.codes.size > MAX_CODES) forgetCode(engine);
  if (engine.state === "closed" || engine.state === "terminated") stopWorkers(engine);
  for (const resolve of engine.idle.splice(0)) resolve();
}

export function whenIdle(engine: Engine): Promise<void> {
  if (isIdle(engine)) return Promise.resolve();
  const { promise, resolve } = deferred<void>();
  engine.idle.push(resolve);
  return promise;
}

export async function stopWorkers(engine: Engine): Promise<void> {
  const { scheduler, serial, kind } = engine;
  await Promise.all([scheduler.stop(), serial?.stop(), kind.elsewhere?.stop()]);
  if (engine.state === "closed" || engine.state === "terminated") {
    await Promise.all(engine.ended.splice(0).map((end) => end()));
  }
}

export function abortAll({ scheduler, serial }: Engine, why: string): void {
  for (const job of [...scheduler.jobs, ...serial?.jobs ?? []]) job.fail(abortError(why));
}

function forgetCode(engine: Engine): void {
  engine.codes.clear();
  engine.kind.book?.forget();
  engine.scheduler.forget();
}

/** The pool is as new: no workers, no code, no figures. Its workers must have ended. */
export function renew(engine: Engine): void {
  forgetCode(engine);
  engine.scheduler = newScheduler(engine);
  engine.serial = undefined;
  engine.state = "open";
}
