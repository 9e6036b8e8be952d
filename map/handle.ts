/**
 * A handle on a map that goes on in the background.
 */
import { abortError, TimeoutError } from "./errors.ts";
import type { Progress } from "./options.ts";

/**
 * What `amap` and `apipe` return at once: a promise of the results that can also be asked, waited for and
 * cancelled.
 *
 * @typeParam R What it resolves to.
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { SerialPool } from "@pathos/pathos";
 *
 * const handle = new SerialPool().amap((x: number) => x * x, [1, 2, 3]);
 * assertEquals(handle.ready(), false);
 * assertEquals(await handle, [1, 4, 9]);
 * assertEquals(handle.successful(), true);
 * ```
 */
export class MapHandle<R> implements PromiseLike<R> {
  readonly #promise: Promise<R>;
  readonly #control: { cancel(reason: unknown): void; progress(): Progress };
  #state: "pending" | "fulfilled" | "rejected" = "pending";

  /** Made by pools. */
  constructor(promise: Promise<R>, control: { cancel(reason: unknown): void; progress(): Progress }) {
    this.#promise = promise;
    this.#control = control;
    promise.then(() => this.#state = "fulfilled", () => this.#state = "rejected");
  }

  /** Whether it has ended, well or badly. */
  ready(): boolean {
    return this.#state !== "pending";
  }

  /**
   * Whether it has ended without an error.
   *
   * @throws {Error} If it has not ended yet.
   */
  successful(): boolean {
    if (this.#state === "pending") {
      throw new Error("the map has not ended yet: ask ready() first, or await it");
    }
    return this.#state === "fulfilled";
  }

  /**
   * The results.
   *
   * @param timeout Milliseconds to wait at most; default for ever.
   * @throws {TimeoutError} If they are not there in time (`index` -1). The map goes on.
   * @throws {TaskError} What the map rejects with.
   */
  async get(timeout?: number): Promise<R> {
    if (!await this.wait(timeout)) {
      throw new TimeoutError(`no result within ${timeout} ms; the map goes on (cancel() stops it)`, {
        index: -1,
        worker: "the pool",
      });
    }
    return this.#promise;
  }

  /**
   * Waits until it has ended.
   *
   * @param timeout Milliseconds to wait at most; default for ever.
   * @returns Whether it has ended.
   */
  async wait(timeout?: number): Promise<boolean> {
    const ended = this.#promise.then(() => true, () => true);
    if (timeout === undefined || timeout === Infinity) return ended;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<boolean>((resolve) => timer = setTimeout(() => resolve(false), timeout));
    try {
      return await Promise.race([ended, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Stops it: what has not started never will, what runs is stopped.
   *
   * @param reason What the handle rejects with. Default: a DOMException named `"AbortError"`.
   */
  cancel(reason: unknown = abortError("the map was cancelled")): void {
    this.#control.cancel(reason);
  }

  /** How far it is. */
  get progress(): Progress {
    return this.#control.progress();
  }

  /** As of a promise. */
  then<A = R, B = never>(
    fulfilled?: ((value: R) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#promise.then(fulfilled, rejected);
  }

  /** As of a promise. */
  catch<B = never>(rejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<R | B> {
    return this.#promise.catch(rejected);
  }

  /** As of a promise. */
  finally(settled?: (() => void) | null): Promise<R> {
    return this.#promise.finally(settled);
  }
}
