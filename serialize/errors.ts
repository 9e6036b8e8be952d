/**
 * The three ways in which serialization says no.
 *
 * A value that cannot travel is refused when it is written (`UnserializableError`), code is refused when nobody vouched
 * for it (`UntrustedCodeError`), and bytes that are not what `dumps` wrote are refused before anything of
 * them is used (`CorruptDataError`).
 */

/**
 * A value cannot be written: it holds state that does not exist outside this process, or that JavaScript hides.
 *
 * `path` leads from the value given to the culprit. `$` is that value, `.name` and `[3]` are properties, `.get(key)` an
 * entry of a Map, and `⟨name⟩` is the variable `name` captured by the function before it: `$.task⟨helper⟩⟨socket⟩`.
 *
 * @example
 * ```ts
 * import { assertEquals, assertThrows } from "@std/assert";
 * import { dumps, UnserializableError } from "@pathos/pathos/serialize";
 *
 * const error = assertThrows(() => dumps({ jobs: [new WeakMap()] }), UnserializableError);
 * assertEquals(error.path, "$.jobs[0]");
 * ```
 */
export class UnserializableError extends TypeError {
  /** Where in the given value the culprit is, such as `$.model.weights[3]` or `$⟨helper⟩⟨socket⟩`. */
  readonly path: string;
  /** Why it cannot travel, ending with what to do instead. */
  readonly reason: string;

  /**
   * Makes the error.
   *
   * @param path Where the culprit is.
   * @param reason Why it cannot travel and what to do instead.
   */
  constructor(path: string, reason: string) {
    super(`cannot serialize ${path}: ${reason}`);
    this.name = "UnserializableError";
    this.path = path;
    this.reason = reason;
  }
}

/**
 * Bytes hold code (a function, a class, or a reference to a module), and the reader did not say that it trusts them.
 *
 * @example
 * ```ts
 * import { assertThrows } from "@std/assert";
 * import { dumps, loads, UntrustedCodeError } from "@pathos/pathos/serialize";
 *
 * const bytes = dumps((x: number) => x + 1);
 * assertThrows(() => loads(bytes), UntrustedCodeError);
 * ```
 */
export class UntrustedCodeError extends Error {
  /**
   * Makes the error.
   *
   * @param message What was refused and how to allow it.
   */
  constructor(message: string) {
    super(message);
    this.name = "UntrustedCodeError";
  }
}

/**
 * Bytes are not a dump, are damaged or cut short, or were written by another version of the format.
 *
 * @example
 * ```ts
 * import { assertThrows } from "@std/assert";
 * import { CorruptDataError, dumps, loads } from "@pathos/pathos/serialize";
 *
 * const bytes = dumps({ x: 1 });
 * assertThrows(() => loads(bytes.subarray(0, 9)), CorruptDataError);
 * ```
 */
export class CorruptDataError extends Error {
  /**
   * Makes the error.
   *
   * @param message What is wrong with the bytes.
   * @param options The underlying error as `cause`, where there is one.
   */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "CorruptDataError";
  }
}
