/**
 * The error for arguments of which no key can be made.
 */

/**
 * No key can be made of a call: an argument holds something that is never the same again, or that JavaScript hides.
 *
 * @example
 * ```ts
 * import { assertEquals, assertThrows } from "@std/assert";
 * import { canonical, UnkeyableError } from "@pathos/pathos/cache";
 *
 * const error = assertThrows(() => canonical([{ job: new WeakMap() }]), UnkeyableError);
 * assertEquals(error.path, "args[0].job");
 * ```
 */
export class UnkeyableError extends TypeError {
  /** Where the culprit is, such as `args[0].options.signal`. */
  readonly path: string;
  /** Why it has no key, ending with what to do instead. */
  readonly reason: string;

  /**
   * Makes the error.
   *
   * @param path Where the culprit is.
   * @param reason Why it has no key and what to do instead.
   * @param options The underlying error as `cause`, where there is one.
   */
  constructor(path: string, reason: string, options?: ErrorOptions) {
    super(`cannot make a key: ${path} ${reason}`, options);
    this.name = "UnkeyableError";
    this.path = path;
    this.reason = reason;
  }
}
