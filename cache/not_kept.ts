/**
 * The error for a result that was computed and could not be archived.
 */

/**
 * The result was computed, but the archive could not take it (disk full, permission, a value that cannot be written). Nothing is
 * lost: it is in `result`, and in memory as far as the policy keeps it there, so that calling again gives it.
 *
 * @example
 * ```ts
 * import { DictArchive, memoize, ResultNotKeptError } from "@pathos/pathos/cache";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const archive = new DictArchive(undefined, { serialized: true });
 * const jobs = memoize((n: number) => [n, new WeakSet()], { archive });
 * const error = assertThrows(() => jobs(1), ResultNotKeptError);
 * assertEquals(error.result, jobs(1)); // from memory
 * ```
 */
export class ResultNotKeptError extends Error {
  /** `"ResultNotKeptError"`. */
  override readonly name = "ResultNotKeptError";
  /** What the function gave. */
  readonly result: unknown;

  /**
   * Makes the error.
   *
   * @param message What could not be written, and where.
   * @param result What the function gave.
   * @param options Why: the archive's error as `cause`.
   */
  constructor(message: string, result: unknown, options?: ErrorOptions) {
    super(message, options);
    this.result = result;
  }
}
