/**
 * The errors of maps. Every failure of an item is a {@linkcode TaskError} or one of its two special cases, so
 * that `error.index` and `error.worker` are always there.
 */

/**
 * The function threw for one input. The error it threw is `cause`: its own class, message, own fields and the
 * stack inside the user's function.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { SerialPool, TaskError } from "@pathos/pathos";
 *
 * const error = await new SerialPool().map((x: number) => {
 *   if (x === 2) throw new RangeError("two");
 *   return x;
 * }, [1, 2, 3]).catch((error) => error);
 * assertEquals(error instanceof TaskError, true);
 * assertEquals(error.index, 1);
 * assertEquals(error.cause instanceof RangeError, true);
 * ```
 */
export class TaskError extends Error {
  /** The name of the class. */
  override name = "TaskError";
  /** Position of the input, from 0; -1 where no single input is to blame. */
  readonly index: number;
  /** The worker that ran it, such as `"thread 2"` or `"process 1 (pid 4242)"`. */
  readonly worker: string;

  /** Made by pools. */
  constructor(message: string, details: { index: number; worker: string; cause?: unknown }) {
    super(message, "cause" in details ? { cause: details.cause } : undefined);
    this.index = details.index;
    this.worker = details.worker;
  }
}

/**
 * The worker that ran an item ended in the middle: killed, out of memory, or the function ended its process.
 * Such items are run again elsewhere first (`retries`, 2 by default), alone.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { ProcessPool, WorkerLostError } from "@pathos/pathos";
 *
 * await using pool = new ProcessPool({ workers: 1 });
 * const error = await pool.with({ retries: 0 }).map((code: number) => Deno.exit(code), [3]).catch((e) => e);
 * assertEquals(error instanceof WorkerLostError, true);
 * assertEquals(error.exitCode, 3);
 * ```
 */
export class WorkerLostError extends TaskError {
  /** The name of the class. */
  override name = "WorkerLostError";
  /** The signal that ended the process, such as `"SIGKILL"`, or null. */
  readonly signal: string | null;
  /** The exit code, or null if a signal ended it or a thread died. */
  readonly exitCode: number | null;
  /** The last of what the process wrote to standard error, at most 4 KiB. */
  readonly stderr: string;

  /** Made by pools. */
  constructor(
    message: string,
    details: {
      index: number;
      worker: string;
      signal: string | null;
      exitCode: number | null;
      stderr: string;
    },
  ) {
    super(message, details);
    this.signal = details.signal;
    this.exitCode = details.exitCode;
    this.stderr = details.stderr;
  }
}

/**
 * An item ran longer than the `timeout` of its map, or a handle's `get(timeout)` was not answered in time
 * (then `index` is -1 and the map goes on).
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { ProcessPool, TimeoutError } from "@pathos/pathos";
 *
 * await using pool = new ProcessPool({ workers: 1 });
 * const forever = () => {
 *   for (;;);
 * };
 * const error = await pool.with({ timeout: 100 }).map(forever, [1]).catch((error) => error);
 * assertEquals(error instanceof TimeoutError, true);
 * ```
 */
export class TimeoutError extends TaskError {
  /** The name of the class. */
  override name = "TimeoutError";
}

/** What rejects work that was cancelled: a DOMException named `"AbortError"`, as the web platform does. */
export function abortError(what: string): DOMException {
  return new DOMException(what, "AbortError");
}
