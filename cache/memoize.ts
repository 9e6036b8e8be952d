/**
 * `memoize`: a function that remembers what it gave. Here are its options, their checks, and the call as far as memory answers
 * it, which is the part that has to be fast: a key, one look into a `Map`, a counter. The rest is in memo_sync.ts and its
 * neighbours.
 */
import type { CodeFunction } from "../serialize/mod.ts";
import { identity, noteMemoized } from "./identity.ts";
import { type KeyOptions, makeKeyer } from "./keyer.ts";
import { type Kind, Memo, type Settings, type Trouble } from "./memo.ts";
import { type CacheInfo, methodsOf } from "./memo_methods.ts";
import { memoTravels } from "./memo_travel.ts";
import { miss, unkeyed } from "./memo_sync.ts";
import { lru, type PolicyLike, policyOf } from "./policy.ts";
import { type AnyArchive, isAsyncArchive, Shelf } from "./shelf.ts";
import { approximateSize } from "./value_size.ts";
import type { Archive, ArchiveKey, AsyncArchive } from "./types.ts";

/** Any function: plain, asynchronous, generator, method. */
export type Callable = (...args: never[]) => unknown;

/** Options of {@linkcode memoize}. */
export interface MemoizeOptions<F extends Callable = Callable> extends KeyOptions {
  /**
   * How much is kept in memory, and what goes first: `lru(1000)`, `lfu({ bytes: 1e6 })`, `mru`, `rr`, `inf` (everything), `none`
   * (nothing: the archive is asked each time). Default: `lru(100)`.
   */
  cache?: PolicyLike;
  /** True empties a full memory altogether instead of removing one entry. Default false. */
  purge?: boolean;
  /** Bytes of a value, for policies with a limit of bytes. Default: an estimate. */
  sizeOf?: (value: unknown) => number;
  /**
   * Where results are kept beyond memory; each is written there as soon as it is computed. Processes that share an archive in files
   * meet in the folder `<path>-flights` beside it. Default: nowhere.
   */
  archive?: Archive;
  /** An archive that is asked before `archive`, and gets what that has. Others' later changes are then not seen. */
  front?: Archive;
  /** Milliseconds after which a result is computed anew. Default: the archive's `ttl`, or never. */
  ttl?: number;
  /**
   * Milliseconds after `ttl` during which a caller gets the old result at once, while one new result is made in the background.
   * If that fails, callers get the old result until the time is over, and then the error. Not for generator functions. Default 0.
   */
  staleWhileRevalidate?: number;
  /** Names under which results can be removed together, or what makes them of the arguments. Default: none. */
  tags?: readonly string[] | ((...args: Parameters<F>) => readonly string[]);
  /** Part of the function's identity in the archive: change it when results change though the source does not. */
  version?: string | number;
  /** The function's name in the archive. Default: its own. */
  name?: string;
  /** True: where no key can be made, or the archive fails, the function is called and its result given. Default: an error. */
  safe?: boolean;
  /**
   * True keeps errors too, in memory, as long as results; a number of milliseconds, so long. Not for generator functions. Default:
   * an error is not kept, and the next call tries again.
   */
  errors?: boolean | number;
  /**
   * Milliseconds after which a process that computes a result without a sign of life is no longer waited for. Asynchronous
   * functions give signs of life, others cannot: give more than the longest of them takes. A process that dies is not waited for in
   * any case. 0: processes do not wait for one another. Default 60,000.
   */
  lease?: number;
  /** Whether `this` is part of the key, by its class and fields. Default `"ignore"`. */
  self?: "ignore" | "key";
  /** Told of what failed behind calls that were answered nevertheless: refreshes, and with `safe` keys and archives. */
  onError?: (error: unknown, during: Trouble) => void;
}

/** Options of {@linkcode memoize} with an archive behind a network. */
export interface AsyncMemoizeOptions<F extends Callable = Callable>
  extends Omit<MemoizeOptions<F>, "archive"> {
  /** Where results are kept beyond memory; each is written there before it is given to the caller. */
  archive: AsyncArchive;
}

/** What a memoized function has besides being called. */
export interface MemoMethods<F extends Callable> {
  /** How it has done so far. */
  info(): CacheInfo;
  /** Empties the memory, not the archive; and the counters, unless `keepstats`. */
  clear(keepstats?: boolean): void;
  /** Brings results from the archive into memory: those of the keys, or as many as there are. Gives their number. */
  load(...keys: ArchiveKey[]): number;
  /** Writes results from memory into the archive: those of the keys, or all. Gives their number. */
  dump(...keys: ArchiveKey[]): number;
  /** The archive; with an argument, the one that is used from now on. */
  archive(next?: Archive): Archive | undefined;
  /** Whether an archive is used; with an argument, whether from now on. */
  archived(on?: boolean): boolean;
  /** The key of a call, as the keymap makes it. In the archive it is a text that begins with `prefix`. */
  key(this: ThisParameterType<F> | void, ...args: Parameters<F>): ArchiveKey;
  /** What memory or archive have for a call, as the call would give it; undefined if they have nothing. Never computes. */
  lookup(this: ThisParameterType<F> | void, ...args: Parameters<F>): ReturnType<F> | undefined;
  /**
   * Removes the results that carry a tag from memory and archive, there also those of other functions; gives the number in the
   * archive, or without one in memory. What is being computed meanwhile is not kept.
   */
  invalidate(tag: string): number;
  /** What the texts of its keys in the archive begin with: name, a hash of the source and what it captures, and `:`. */
  readonly prefix: string;
  /** The function itself. */
  readonly wrapped: F;
}

/** The same over an archive behind a network. */
export interface AsyncMemoMethods<F extends Callable>
  extends Omit<MemoMethods<F>, "load" | "dump" | "archive" | "lookup" | "invalidate"> {
  /** Brings results from the archive into memory: those of the keys, or as many as there are. Gives their number. */
  load(...keys: ArchiveKey[]): Promise<number>;
  /** Writes results from memory into the archive: those of the keys, or all. Gives their number. */
  dump(...keys: ArchiveKey[]): Promise<number>;
  /** The archive; with an argument, the one that is used from now on. */
  archive(next?: AsyncArchive): AsyncArchive;
  /** What memory or archives have for a call; undefined if they have nothing. Never computes. */
  lookup(
    this: ThisParameterType<F> | void,
    ...args: Parameters<F>
  ): Promise<Awaited<AsyncResult<F>> | undefined>;
  /** Removes the results that carry a tag; gives the number in the archive. See {@linkcode MemoMethods.invalidate}. */
  invalidate(tag: string): Promise<number>;
}

/** A memoized function: the function, with {@linkcode MemoMethods}. */
export type Memoized<F extends Callable> = F & MemoMethods<F>;

/** What a function gives over an archive behind a network. */
export type AsyncResult<F extends Callable> = ReturnType<F> extends
  Generator<infer T, infer R> | AsyncGenerator<infer T, infer R> ? AsyncGenerator<T, R>
  : Promise<Awaited<ReturnType<F>>>;

/** A function memoized over an archive behind a network: it gives promises, or asynchronous iterators. */
export type AsyncMemoized<F extends Callable> =
  & ((this: ThisParameterType<F>, ...args: Parameters<F>) => AsyncResult<F>)
  & AsyncMemoMethods<F>;

/**
 * A function that gives what `fn` gives, and calls it only for arguments whose result it does not have: in memory, and with an
 * archive also from earlier runs and other processes. Arguments are compared by content (see `keymap`, `ignore`, `tol`), `this` is not
 * unless `self` says so; results are not copied, so a caller should not change them.
 *
 * `fn` may be asynchronous: calls at one time share one promise. It may be a generator function: values and return value are
 * recorded, and given to each caller from the first on. Among processes that share an archive, one computes and the others wait for
 * its result (not for generator functions). An error is thrown to all who wait, and not kept.
 *
 * @typeParam F The function's type.
 * @param fn Any function. What it captures is part of its identity in the archive, as it is at the first call.
 * @param options How keys are made, and what is kept where and for how long.
 * @returns The memoized function. Over an archive behind a network it gives promises.
 * @throws {RangeError} If a number among the options is out of range.
 * @throws {TypeError} If the options contradict one another.
 * @example A function of numbers
 * ```ts
 * import { memoize } from "@pathos/pathos/cache";
 * import { assertEquals } from "@std/assert";
 *
 * const fib = memoize((n: number): number => n < 2 ? n : fib(n - 1) + fib(n - 2));
 * assertEquals(fib(90), 2880067194370816000);
 * const { hit, miss } = fib.info();
 * assertEquals({ hit, miss }, { hit: 88, miss: 91 });
 * ```
 * @example Kept in an archive, for an hour
 * ```ts
 * import { DictArchive, lfu, memoize } from "@pathos/pathos/cache";
 * import { assertEquals } from "@std/assert";
 *
 * const archive = new DictArchive(); // or new SqlArchive("results.sqlite"), shared by processes
 * const area = memoize(async (width: number, height: number, verbose = false) => {
 *   if (verbose) console.log("computing");
 *   return await Promise.resolve(width * height);
 * }, { cache: lfu(50), archive, ignore: ["verbose"], ttl: 3_600_000, tags: (width) => [`width ${width}`] });
 * assertEquals(await area(2, 3), 6);
 * assertEquals(await area(2, 3, true), 6); // no need to compute
 * assertEquals(archive.get(area.prefix + area.key(2, 3)), 6);
 * assertEquals(area.invalidate("width 2"), 1);
 * assertEquals(area.lookup(2, 3), undefined);
 * ```
 */
export function memoize<F extends Callable>(fn: F, options?: MemoizeOptions<F>): Memoized<F>;
/**
 * The same over an archive behind a network: the memoized function gives promises, or asynchronous iterators.
 *
 * @typeParam F The function's type.
 * @param fn Any function.
 * @param options With the archive.
 * @returns The memoized function.
 */
export function memoize<F extends Callable>(fn: F, options: AsyncMemoizeOptions<F>): AsyncMemoized<F>;
export function memoize(
  fn: CodeFunction,
  options: Omit<MemoizeOptions, "archive"> & { archive?: AnyArchive } = {},
): unknown {
  const { archive, front, name, version } = options;
  const settings = settle(fn, options);
  const keyer = makeKeyer(fn, options);
  const newShelf = (archive: AnyArchive) => new Shelf(fn, archive, front, { name, version });
  const declared = kindOf(fn);
  const kind = archive && isAsyncArchive(archive) ? ASYNC[declared] : declared;
  const memo = new Memo(fn, keyer, declared, kind, archive && newShelf(archive), settings);
  const { memory } = memo;
  const selfCounts = settings.selfCounts;

  function memoized(this: unknown, ...args: unknown[]): unknown {
    let key;
    try {
      key = keyer.pre(args, selfCounts ? this : undefined);
    } catch (error) {
      return unkeyed(memo, error, this, args);
    }
    const slot = memory.use(key);
    if (slot === undefined || (slot.expires !== Infinity && slot.expires <= Date.now())) {
      return miss(memo, key, slot, this, args);
    }
    memo.hits++;
    return slot.show === undefined ? slot.shown : slot.show(slot.value);
  }

  Object.defineProperties(memoized, {
    name: { value: fn.name, configurable: true },
    length: { value: fn.length, configurable: true },
    prefix: { get: () => memo.shelf?.prefix ?? `${identity(fn, { name, version })}:` },
  });
  memo.wrapper = memoized;
  noteMemoized(memoized, fn, { name, version });
  Object.assign(memoized, methodsOf(memo, newShelf), { wrapped: fn });
  return memoTravels(memoized, () => ({
    memoize,
    fn,
    options: { ...options, archive: memo.shelf?.archive },
    archived: memo.on,
  }));
}

const ASYNC: Record<Kind, Kind> = {
  sync: "async",
  async: "async",
  generator: "asyncGenerator",
  asyncGenerator: "asyncGenerator",
};

function kindOf(fn: CodeFunction): Kind {
  if (typeof fn !== "function") throw new TypeError(`memoize(fn): fn is ${String(fn)}, not a function`);
  switch (Object.prototype.toString.call(fn)) {
    case "[object AsyncFunction]":
      return "async";
    case "[object GeneratorFunction]":
      return "generator";
    case "[object AsyncGeneratorFunction]":
      return "asyncGenerator";
    default:
      return "sync";
  }
}

function settle(
  fn: CodeFunction,
  options: Omit<MemoizeOptions, "archive"> & { archive?: AnyArchive },
): Settings {
  const { cache = lru, ttl, staleWhileRevalidate = 0, errors = false, lease = 60_000, tags = [] } = options;
  const title = `memoize(${fn.name || "fn"})`;
  const check = (name: string, value: number, least: number, strictly: boolean) => {
    if (typeof value === "number" && (strictly ? value > least : value >= least)) return;
    throw new RangeError(
      `${title}: ${name} is ${value}; it is a number of milliseconds, ${
        strictly ? "more than" : "at least"
      } ${least}`,
    );
  };
  if (ttl !== undefined) check("ttl", ttl, 0, true);
  check("staleWhileRevalidate", staleWhileRevalidate, 0, false);
  check("lease", lease, 0, false);
  if (typeof errors === "number") check("errors", errors, 0, true);
  if (options.front !== undefined && options.archive === undefined) {
    throw new TypeError(
      `${title}: a front stands before an archive, and there is none; give it as archive instead`,
    );
  }
  return {
    policy: policyOf(cache),
    purge: options.purge ?? false,
    sizeOf: options.sizeOf ?? approximateSize,
    ttl,
    grace: staleWhileRevalidate,
    tags: tags as Settings["tags"],
    errors: errors === true ? ttl ?? Infinity : Number(errors),
    lease,
    safe: options.safe ?? false,
    onError: options.onError,
    selfCounts: options.self === "key",
  };
}
