/** The pools of one machine. */
import { CodeBook } from "../serialize/codebook.ts";
import type { ModuleRef } from "../serialize/modules.ts";
import { granted, type Permissions } from "../runtime/mod.ts";
import { grantWorkers, partOf } from "./budget.ts";
import type { Beginning } from "./link.ts";
import { atLeastOne } from "./options.ts";
import type { PoolOptions } from "./engine.ts";
import { Pool } from "./pool.ts";
import { processStarter } from "./process_worker.ts";
import { serialStarter } from "./serial_worker.ts";
import { threadStarter } from "./thread_worker.ts";

/** Options of a {@linkcode ThreadPool}. */
export interface ThreadPoolOptions extends PoolOptions {
  /** Number of threads. Default: the cores this process may use. */
  workers?: number;
}

/** Options of a {@linkcode ProcessPool}. */
export interface ProcessPoolOptions extends PoolOptions {
  /** Number of processes. Default: the cores this process may use. */
  workers?: number;
  /**
   * What the processes may do (Deno only): `"inherit"` (default) what this one may, `"none"` nothing, or kind
   * by kind, such as `{ read: true, net: ["example.org"] }`.
   */
  permissions?: Permissions;
  /** Bytes of memory one process may hold; one that holds more is killed, and its item is lost. Default: no limit. */
  maxMemory?: number;
}

/**
 * Runs maps in the calling thread, one item after another: for debugging, and as the measure of what the
 * other pools gain. Functions and inputs are used as they are; nothing is copied.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { SerialPool } from "@pathos/pathos";
 *
 * assertEquals(await new SerialPool().map((x: number) => x * x, [1, 2, 3]), [1, 4, 9]);
 * ```
 */
export class SerialPool extends Pool {
  /** Makes a pool of one worker: this thread. */
  constructor(options: PoolOptions = {}) {
    checkPool(options, ["initializer", "maxTasksPerWorker", "output"]);
    super({ workers: 1, book: undefined, start: serialStarter(options.initializer) }, options);
  }
}

/**
 * Runs maps in threads of this process. Threads start in some 10 ms and share memory with the caller: a typed
 * array over a SharedArrayBuffer is not copied.
 *
 * A thread cannot be limited in memory, and in Deno one that never returns cannot be stopped: use a
 * {@linkcode ProcessPool} for code that may do either.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { ThreadPool } from "@pathos/pathos";
 *
 * await using pool = new ThreadPool({ workers: 2 });
 * const offset = 100;
 * assertEquals(await pool.map((x: number) => x + offset, [1, 2, 3]), [101, 102, 103]);
 * ```
 */
export class ThreadPool extends Pool {
  /**
   * Makes a pool; its threads start with its first map.
   *
   * @throws {RangeError} If a number is out of range.
   * @throws {TypeError} If an option is unknown.
   */
  constructor(options: ThreadPoolOptions = {}) {
    checkPool(options, ["workers", "initializer", "maxTasksPerWorker", "output"]);
    const workers = grantWorkers(options.workers);
    const read = granted("read");
    const book = new CodeBook({ trust: true, share: true, byref: (ref) => isPackage(ref) || read });
    super({ workers, book, start: threadStarter(book, beginnings(book, workers, true, options)) }, options);
  }
}

/**
 * Runs maps in processes of their own: they can be killed, limited in memory and denied permissions, and what
 * one of them does to itself does not reach the caller.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { ProcessPool } from "@pathos/pathos";
 *
 * await using pool = new ProcessPool({ workers: 2, permissions: "none" });
 * assertEquals(await pool.map((x: number) => x * 2, [1, 2, 3]), [2, 4, 6]);
 * ```
 */
export class ProcessPool extends Pool {
  /**
   * Makes a pool; its processes start with its first map. Needs `--allow-run`.
   *
   * @throws {RangeError} If a number is out of range.
   * @throws {TypeError} If an option is unknown.
   */
  constructor(options: ProcessPoolOptions = {}) {
    checkPool(options, ["workers", "permissions", "maxMemory", "initializer", "maxTasksPerWorker", "output"]);
    const workers = grantWorkers(options.workers);
    const { permissions = "inherit", maxMemory } = options;
    if (maxMemory !== undefined) atLeastOne("maxMemory", maxMemory);
    // What comes back from a process that was denied something must not be run here, where it is allowed.
    const trust = permissions === "inherit";
    const read = trust ? granted("read") : typeof permissions === "object" && permissions.read === true;
    const book = new CodeBook({ trust, byref: (ref) => ref.specifier.startsWith("node:") || read });
    const start = processStarter(book, beginnings(book, workers, trust, options), { permissions, maxMemory });
    super({ workers, book, start }, options);
  }
}

function beginnings(
  book: CodeBook,
  workers: number,
  takesCode: boolean,
  { initializer }: PoolOptions,
): () => Beginning {
  const share = partOf(workers);
  return () => ({ share, takesCode, initializer: initializer && book.encodeCode(initializer).hash });
}

function isPackage({ specifier }: ModuleRef): boolean {
  return !/^(\.|\/|file:)/.test(specifier);
}

/** Checks the options that all pools take, and that there is none the pool does not know. */
export function checkPool(options: object, names: string[]): void {
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) {
      throw new TypeError(`there is no pool option "${name}"; the options are ${names.join(", ")}`);
    }
  }
  const { maxTasksPerWorker } = options as PoolOptions;
  if (maxTasksPerWorker !== undefined) atLeastOne("maxTasksPerWorker", maxTasksPerWorker);
}
