/**
 * What all pools have in common, which is everything a caller sees: the maps, their options, the life of the
 * pool. A pool is this class with a way to start its workers.
 */
import { CodeBook } from "../serialize/codebook.ts";
import { learnCallers } from "../serialize/inspector.ts";
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
import { type PoolStats, Scheduler } from "./scheduler.ts";
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

/** The arguments of the function of a map over these inputs: one element of each. */
export type Elements<Inputs extends readonly Input<unknown>[]> = {
  -readonly [K in keyof Inputs]: Inputs[K] extends Input<infer T> ? T : never;
};

/** What differs between kinds of pools. */
export interface PoolKind {
  /** Number of workers. */
  workers: number;
  /** How functions and values travel; undefined if they stay in this thread. */
  book: CodeBook | undefined;
  start: StartWorker;
}

type Method = (...args: never[]) => unknown;

/** Where the user called a method: errors say so, since they are made much later. */
interface Site {
  stack?: string;
}

/** Merges two results into one; may be async. */
export type Reducer<R> = (a: R, b: R) => R | PromiseLike<R>;

/** The inside of a pool, shared by all its views. */
interface Engine {
  kind: PoolKind;
  options: PoolOptions;
  scheduler: Scheduler;
  serial: Scheduler | undefined;
  state: "open" | "closed" | "terminated";
  codes: Set<string>;
  idle: (() => void)[];
}

/**
 * A pool of workers. {@linkcode SerialPool}, {@linkcode ThreadPool} and {@linkcode ProcessPool} are pools and
 * differ only in where the work is done.
 *
 * The function given to a map is an ordinary one: what it mentions of its surroundings travels with it, as it
 * is at the time of the call. Inputs are arrays or any iterables, sync or async, several for a function of
 * several parameters; the shortest decides. Promises that the function returns are awaited.
 */
export abstract class Pool {
  /** @internal */
  protected readonly engine: Engine;
  /** @internal */
  protected readonly options: MapOptions;

  /** @internal */
  constructor(kind: PoolKind, options: PoolOptions) {
    const engine: Engine = {
      kind,
      options,
      scheduler: undefined as unknown as Scheduler,
      serial: undefined,
      state: "open",
      codes: new Set(),
      idle: [],
    };
    engine.scheduler = newScheduler(engine);
    this.engine = engine;
    this.options = {};
  }

  /** Number of workers. They start when there is something to do. */
  get workers(): number {
    return this.engine.kind.workers;
  }

  /**
   * The results of `fn` for every item, in the order of the inputs.
   *
   * With the option `onError: "collect"` the results are those of `Promise.allSettled`; with `out` they are
   * in that array.
   *
   * @throws {TaskError} If `fn` throws for an item; `cause` is what it threw.
   * @throws {WorkerLostError} If an item ends its worker each time it is tried.
   * @throws {TimeoutError} If an item is over the option `timeout`.
   * @throws {UnserializableError} If `fn` mentions something that cannot travel.
   * @example
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { ThreadPool } from "@pathos/pathos";
   *
   * await using pool = new ThreadPool({ workers: 2 });
   * const k = 3;
   * const helper = (x: number) => x + 1;
   * assertEquals(await pool.map((x: number) => helper(x) * k, [1, 2, 3]), [6, 9, 12]);
   * assertEquals(await pool.map((x: number, y: string) => y.repeat(x), [1, 2], ["a", "b"]), ["a", "bb"]);
   * ```
   */
  map<Inputs extends readonly Input<unknown>[], R>(
    fn: (...args: Elements<Inputs>) => R,
    ...inputs: Inputs
  ): Promise<Awaited<R>[]> {
    return this.collect<Awaited<R>[]>(this.site(this.map), fn as ItemFunction, inputs).promise;
  }

  /**
   * The results one by one in the order of the inputs, while the rest is being worked on. Inputs are read as
   * they are needed: an endless generator works. At most `lookahead` inputs are read beyond the last result
   * taken (by default what keeps the workers busy for some 16 ms, at least 2 for each, at most 1024). Leaving the loop
   * stops the map.
   *
   * @example
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { SerialPool } from "@pathos/pathos";
   *
   * function* naturals() {
   *   for (let n = 0;; n++) yield n;
   * }
   * const seen: number[] = [];
   * for await (const square of new SerialPool().imap((n: number) => n * n, naturals())) {
   *   if (square > 20) break;
   *   seen.push(square);
   * }
   * assertEquals(seen, [0, 1, 4, 9, 16]);
   * ```
   */
  imap<Inputs extends readonly Input<unknown>[], R>(
    fn: (...args: Elements<Inputs>) => R,
    ...inputs: Inputs
  ): AsyncIterableIterator<Awaited<R>> {
    return this.stream<Awaited<R>>(this.site(this.imap), true, fn as ItemFunction, inputs);
  }

  /**
   * As {@linkcode Pool.imap}, but each result as soon as it is there.
   *
   * @example
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { ThreadPool } from "@pathos/pathos";
   *
   * await using pool = new ThreadPool({ workers: 2 });
   * const seen: number[] = [];
   * for await (const x of pool.uimap((x: number) => -x, [1, 2, 3])) seen.push(x);
   * assertEquals(seen.sort(), [-1, -2, -3]);
   * ```
   */
  uimap<Inputs extends readonly Input<unknown>[], R>(
    fn: (...args: Elements<Inputs>) => R,
    ...inputs: Inputs
  ): AsyncIterableIterator<Awaited<R>> {
    return this.stream<Awaited<R>>(this.site(this.uimap), false, fn as ItemFunction, inputs);
  }

  /**
   * As {@linkcode Pool.map}, but returns a handle at once. The handle can be awaited.
   *
   * @example
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { SerialPool } from "@pathos/pathos";
   *
   * const handle = new SerialPool().amap((x: number) => x + 1, [1, 2]);
   * assertEquals(await handle.get(5000), [2, 3]);
   * assertEquals(handle.progress.done, 2);
   * ```
   */
  amap<Inputs extends readonly Input<unknown>[], R>(
    fn: (...args: Elements<Inputs>) => R,
    ...inputs: Inputs
  ): MapHandle<Awaited<R>[]> {
    return this.handle(this.collect<Awaited<R>[]>(this.site(this.amap), fn as ItemFunction, inputs));
  }

  /**
   * Calls `fn` once, in a worker.
   *
   * @example
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { SerialPool } from "@pathos/pathos";
   *
   * assertEquals(await new SerialPool().pipe((a: number, b: number) => a * b, 6, 7), 42);
   * ```
   */
  pipe<Args extends unknown[], R>(fn: (...args: Args) => R, ...args: Args): Promise<Awaited<R>> {
    return this.call<Awaited<R>>(this.site(this.pipe), fn as ItemFunction, args).promise;
  }

  /**
   * As {@linkcode Pool.pipe}, but returns a handle at once.
   *
   * @example
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { SerialPool } from "@pathos/pathos";
   *
   * const handle = new SerialPool().apipe((a: number) => a + 1, 41);
   * assertEquals(await handle.get(), 42);
   * ```
   */
  apipe<Args extends unknown[], R>(fn: (...args: Args) => R, ...args: Args): MapHandle<Awaited<R>> {
    return this.handle(this.call<Awaited<R>>(this.site(this.apipe), fn as ItemFunction, args));
  }

  /**
   * Maps and reduces: `reduce(reduce(fn(x0), fn(x1)), fn(x2)) ...`. The workers reduce what they map, then
   * their results are merged in the workers too, so only one value comes back. `reduce` must be associative
   * (it may be called in any grouping); the order of the items is kept. Both may be async.
   *
   * @throws {TypeError} If there are no items: a reduction of nothing has no value.
   * @throws {TaskError} If `fn` or `reduce` throws.
   * @example
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { ThreadPool } from "@pathos/pathos";
   *
   * await using pool = new ThreadPool({ workers: 2 });
   * const total = await pool.mapReduce((s: string) => s.length, (a, b) => a + b, ["to", "be", "or"]);
   * assertEquals(total, 6);
   * ```
   */
  mapReduce<Inputs extends readonly Input<unknown>[], R>(
    fn: (...args: Elements<Inputs>) => R,
    reduce: Reducer<Awaited<R>>,
    ...inputs: Inputs
  ): Promise<Awaited<R>> {
    const site = this.site(this.mapReduce as Method);
    return settle(() => {
      const options = resolveOptions(this.options);
      if (options.collect) {
        throw new TypeError(
          'mapReduce gives one value, so it cannot collect errors: leave out onError: "collect"',
        );
      }
      if (typeof reduce !== "function") {
        throw new TypeError("the second argument of mapReduce must be a function (a, b) => c");
      }
      const { sink, results } = arraySink(1, false, undefined);
      const source = openSource(inputs, options.inline ? 1 : this.workers);
      this.begin(
        site,
        fn as ItemFunction,
        source,
        sink,
        { ...options, out: undefined, speculate: false },
        reduce as Reducer<unknown>,
      );
      return results.then((values) => (values as Awaited<R>[])[0]);
    });
  }

  /**
   * The same pool with options for its maps: a new view, the old one stays as it was. Views share the
   * workers, and options add up.
   *
   * @throws {TypeError} If an option is unknown or of the wrong kind.
   * @throws {RangeError} If a number is out of range.
   * @example
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { SerialPool } from "@pathos/pathos";
   *
   * const pool = new SerialPool();
   * const results = await pool.with({ onError: "collect" }).map((x: number) => {
   *   if (x === 0) throw new Error("zero");
   *   return 1 / x;
   * }, [1, 0]);
   * assertEquals(results.map((result) => (result as PromiseSettledResult<number>).status), ["fulfilled", "rejected"]);
   * ```
   */
  with(options: MapOptions): this {
    const merged = { ...this.options, ...options };
    resolveOptions(merged);
    return Object.create(Object.getPrototypeOf(this), {
      engine: { value: this.engine },
      options: { value: merged },
    });
  }

  /** What the workers have done since the pool was made, or since `clear()`. Figures of a `SerialPool` are those of its one worker. */
  stats(): PoolStats {
    return this.engine.scheduler.stats;
  }

  /** No new maps are taken; those under way go on, then the workers end. */
  close(): void {
    if (this.engine.state === "open") this.engine.state = "closed";
    if (isIdle(this.engine)) stopWorkers(this.engine);
  }

  /** Waits until all maps under way are over and, after {@linkcode Pool.close}, the workers have ended. */
  async join(): Promise<void> {
    await whenIdle(this.engine);
    if (this.engine.state !== "open") await stopWorkers(this.engine);
  }

  /** Ends the workers at once; maps under way reject with an AbortError. Resolves when the workers are gone. */
  async terminate(): Promise<void> {
    this.engine.state = "terminated";
    abortAll(this.engine, "the pool was terminated");
    await stopWorkers(this.engine);
  }

  /** Opens the pool again, with new workers; maps under way reject with an AbortError. */
  async restart(): Promise<void> {
    abortAll(this.engine, "the pool was restarted");
    await stopWorkers(this.engine);
    this.engine.state = "open";
  }

  /**
   * Waits for the maps under way, ends the workers and forgets functions and figures. The pool is as new: the
   * next map starts new workers.
   */
  async clear(): Promise<void> {
    await whenIdle(this.engine);
    await stopWorkers(this.engine);
    forgetCode(this.engine);
    this.engine.scheduler = newScheduler(this.engine);
    this.engine.serial = undefined;
    this.engine.state = "open";
  }

  /** Closes the pool and waits for what is under way, at the end of `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.join();
  }

  // ---- inside ----

  /** Notes where the user called `method`. Called by that method itself: the user's function is the next on the stack. */
  private site(method: Method): Site {
    if (this.engine.kind.book) learnCallers();
    const site: Site = {};
    Error.captureStackTrace(site, method);
    return site;
  }

  private collect<R>(
    site: Site,
    fn: ItemFunction,
    inputs: readonly Input<unknown>[],
  ): { promise: Promise<R>; job: Job | undefined } {
    let job: Job | undefined;
    const promise = settle(() => {
      const options = resolveOptions(this.options);
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
      job = this.begin(site, fn, source, sink, options);
      return results as Promise<R>;
    });
    return { promise, job };
  }

  private call<R>(
    site: Site,
    fn: ItemFunction,
    args: unknown[],
  ): { promise: Promise<R>; job: Job | undefined } {
    const inputs = args.length === 0 ? [[undefined]] : args.map((arg) => [arg]);
    const { promise, job } = this.collect<R[]>(site, fn, inputs);
    return { promise: promise.then((results) => results[0]), job };
  }

  private handle<R>({ promise, job }: { promise: Promise<R>; job: Job | undefined }): MapHandle<R> {
    promise.catch(() => {}); // whoever wants the error asks the handle
    return new MapHandle(promise, {
      cancel: (reason) => job?.fail(reason),
      progress: () => job?.progress ?? NO_PROGRESS,
    });
  }

  private stream<R>(
    site: Site,
    ordered: boolean,
    fn: ItemFunction,
    inputs: readonly Input<unknown>[],
  ): AsyncIterableIterator<R> {
    let job: Job | undefined;
    let scheduler: Scheduler | undefined;
    let ended = false;
    const options = resolveOptions(this.options);
    const { sink, next } = streamSink(ordered, options.collect, () => scheduler?.pump());
    return {
      next: () => {
        if (ended) return Promise.resolve({ done: true, value: undefined });
        if (!job) {
          try {
            if (options.out) throw new TypeError('the option "out" is for map');
            job = this.begin(site, fn, openSource(inputs, undefined), sink, options);
            scheduler = options.inline ? this.engine.serial : this.engine.scheduler;
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

  private begin(
    site: Site,
    fn: ItemFunction,
    source: ReturnType<typeof openSource>,
    sink: Sink,
    options: ResolvedOptions,
    reduce?: (a: unknown, b: unknown) => unknown,
  ): Job {
    const { engine } = this;
    if (typeof fn !== "function") {
      throw new TypeError(`the first argument of a map must be a function, not ${describeType(fn)}`);
    }
    if (engine.state !== "open") {
      throw new Error(`the pool is ${engine.state}: call restart() to use it again, or make a new one`);
    }
    if (options.signal?.aborted) throw abortReason(options.signal);
    const { book } = engine.kind;
    const travels = book !== undefined && !options.inline;
    const scheduler = options.inline ? engine.serial ??= serialScheduler(engine) : engine.scheduler;
    if (travels && source.total !== 0) scheduler.prepare();
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
      options: { ...options, onProgress },
      workers: options.inline ? 1 : engine.kind.workers,
      over() {
        line?.done();
        scheduler.remove(job);
      },
    });
    scheduler.add(job);
    return job;
  }
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
function settle<R>(start: () => Promise<R>): Promise<R> {
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
    start: kind.start,
    workers: kind.workers,
    maxTasksPerWorker: options.maxTasksPerWorker,
    output: (worker, stream, text) => print(options.output ?? "plain", { worker, stream, text }),
    idle: () => becameIdle(engine),
  });
}

function serialScheduler(engine: Engine): Scheduler {
  return new Scheduler({
    start: serialStarter(engine.options.initializer),
    workers: 1,
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

function isIdle({ scheduler, serial }: Engine): boolean {
  return scheduler.isIdle && (serial?.isIdle ?? true);
}

function becameIdle(engine: Engine): void {
  if (!isIdle(engine)) return;
  if (engine.codes.size > MAX_CODES) forgetCode(engine);
  if (engine.state !== "open") stopWorkers(engine);
  for (const resolve of engine.idle.splice(0)) resolve();
}

function whenIdle(engine: Engine): Promise<void> {
  if (isIdle(engine)) return Promise.resolve();
  const { promise, resolve } = deferred<void>();
  engine.idle.push(resolve);
  return promise;
}

async function stopWorkers({ scheduler, serial }: Engine): Promise<void> {
  await Promise.all([scheduler.stop(), serial?.stop()]);
}

function abortAll({ scheduler, serial }: Engine, why: string): void {
  for (const job of [...scheduler.jobs, ...serial?.jobs ?? []]) job.fail(abortError(why));
}

function forgetCode(engine: Engine): void {
  engine.codes.clear();
  engine.kind.book?.forget();
  engine.scheduler.forget();
}
