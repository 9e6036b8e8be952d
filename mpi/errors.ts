/** What goes wrong in MPI. */

/**
 * A call of MPI failed; the message is MPI's own text.
 *
 * @example
 * ```ts ignore
 * import { MpiError, world } from "@pathos/pathos/mpi";
 *
 * try {
 *   world().send(new Uint8Array(1), 99);
 * } catch (error) {
 *   if (error instanceof MpiError) console.error(error.call, error.message); // MPI_Send ... invalid rank
 * }
 * ```
 */
export class MpiError extends Error {
  /** `"MpiError"`. */
  override name = "MpiError";
  /**
   * Made where a call of MPI returns an error.
   *
   * @param call The C function that failed, such as `"MPI_Send"`.
   * @param code What it returned.
   * @param errorClass The standard's class of this error, such as 6 for an invalid rank; numbers are the library's.
   * @param text The library's text.
   */
  constructor(readonly call: string, readonly code: number, readonly errorClass: number, text: string) {
    super(`${call} failed: ${text}`);
  }
}

/** No MPI library could be loaded, or the one that was is not that of the launcher; the message says what to do. */
export class NoMpiError extends Error {
  /** `"NoMpiError"`. */
  override name = "NoMpiError";
}
