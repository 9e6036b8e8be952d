/**
 * What all pools have in common, which is everything a caller sees: the maps, their options, the life of the
 * pool. A pool is this class with a way to start its workers.
 */
import type { Dashboard, DashboardOptions } from "./dashboard.ts";
import {
  abortAll,
  begin,
  call,
  callSite,
  collect,
  type Engine,
  handle,
  isIdle,
  newEngine,
  type PoolKind,
  type PoolOptions,
  renew,
  settle,
  stopWorkers,
  stream,
  whenIdle,
} from "./engine.ts";
import type { MapHandle } from "./handle.ts";
import { type MapOptions, resolveOptions } from "./options.ts";
import type { ItemFunction } from "./runner.ts";
import type { PoolStats } from "./scheduler.ts";
import { arraySink } from "./sinks.ts";
import { type Input, openSource } from "./source.ts";

/** The arguments of the function of a map over these inputs: one element of each. */
export type Elements<Inputs extends readonly Input<unknown>[]> = {
  -readonly [K in keyof Inputs]: Inputs[K] extends Input<infer T> ? T : never;
};

/** Merges two results into one; may be async. */
export type Reducer<R> = (a: R, b: R) => R | PromiseLike<R>;

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
  readonly engine: Engine;
  /** @internal */
  readonly options: MapOptions;

  /** @internal */
  constructor(kind: PoolKind, options: PoolOptions) {
    this.engine = newEngine(kind, options);
    this.options = {};
  }

  /** Number of workers. They start when there is something to do; those of hosts count while they are connected. */
  get workers(): number {
    return this.engine.scheduler.size;
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
    return collect<Awaited<R>[]>(this, callSite(this.engine, this.map), fn as ItemFunction, inputs).promise;
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
    return stream<Awaited<R>>(this, callSite(this.engine, this.imap), true, fn as ItemFunction, inputs);
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
    return stream<Awaited<R>>(this, callSite(this.engine, this.uimap), false, fn as ItemFunction, inputs);
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
    return handle(collect<Awaited<R>[]>(this, callSite(this.engine, this.amap), fn as ItemFunction, inputs));
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
    return call<Awaited<R>>(this, callSite(this.engine, this.pipe), fn as ItemFunction, args).promise;
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
    return handle(call<Awaited<R>>(this, callSite(this.engine, this.apipe), fn as ItemFunction, args));
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
    const site = callSite(this.engine, this.mapReduce as (...args: never[]) => unknown);
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
      const source = openSource(inputs, options.inline ? 1 : Math.max(1, this.workers));
      begin(
        this.engine,
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
   * const settled = results as unknown as PromiseSettledResult<number>[];
   * assertEquals(settled.map((result) => result.status), ["fulfilled", "rejected"]);
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

  /**
   * Serves a page on loopback that shows what the workers do: by host, over time, chunk by chunk, with what
   * fails. Open {@linkcode Dashboard.url} in a browser. It does not keep the program alive, and is closed with
   * the pool.
   *
   * @throws {RangeError} If `host` is not loopback or `port` is not a port.
   * @throws {Error} If the port is taken.
   * @example
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { ThreadPool } from "@pathos/pathos";
   *
   * await using pool = new ThreadPool({ workers: 1 });
   * const dashboard = await pool.dashboard();
   * console.log(`open ${dashboard.url}`);
   * assertEquals(await pool.map((x: number) => x + 1, [1]), [2]);
   * ```
   */
  async dashboard(options: DashboardOptions = {}): Promise<Dashboard> {
    const { engine } = this;
    const { serveDashboard } = await import("./dashboard.ts"); // the page is not loaded by those who do not want it
    const dashboard = await serveDashboard({
      title: this.constructor.name,
      observe(observer) {
        engine.observers.add(observer);
        return () => void engine.observers.delete(observer);
      },
      snapshot: () => engine.scheduler.snapshot,
    }, options);
    engine.ended.push(() => dashboard.close());
    return dashboard;
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
    this.engine.state = "restarting";
    abortAll(this.engine, "the pool was restarted");
    await stopWorkers(this.engine);
    this.engine.state = "open";
  }

  /**
   * Waits for the maps under way, ends the workers and forgets functions and figures. The pool is as new: the
   * next map starts new workers.
   */
  async clear(): Promise<void> {
    const { engine } = this;
    while (!isIdle(engine)) await whenIdle(engine);
    const stopped = { ...engine, state: "open" as const };
    renew(engine); // a map that begins from now on has new workers
    await stopWorkers(stopped);
  }

  /** Closes the pool and waits for what is under way, at the end of `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.join();
  }
}
