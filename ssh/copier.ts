/**
 * A copy that is set up first and started later, as pathos.secure has it: configured once, launched as often as
 * needed.
 */
import { copy, type CopyOptions, type CopyReport } from "./copy.ts";
import type { CopyPlace } from "./copy_place.ts";

/** What a {@linkcode Copier} copies, and how. */
export interface CopierConfig extends CopyOptions {
  /** What to copy. */
  source?: CopyPlace | readonly CopyPlace[];
  /** Where to. */
  destination?: CopyPlace;
}

/**
 * Copies a configured source to a configured destination in the background.
 *
 * @example
 * ```ts
 * import { Copier } from "@pathos/pathos/ssh";
 * import { assertEquals } from "@std/assert";
 *
 * const folder = await Deno.makeTempDir();
 * await Deno.writeTextFile(`${folder}/a`, "hello");
 * const copier = new Copier({ source: `${folder}/a`, destination: `${folder}/b` }).launch();
 * assertEquals((await copier.response()).bytes, 5);
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export class Copier {
  #config: CopierConfig;
  #running: { stop: AbortController; report: Promise<CopyReport> } | undefined;
  #busy = false;

  /** Sets it up; what is missing {@linkcode Copier.config} can add. */
  constructor(config: CopierConfig = {}) {
    this.#config = config;
  }

  /** Changes what the next launch does, and returns what it is now. */
  config(changes: CopierConfig = {}): Readonly<CopierConfig> {
    this.#config = { ...this.#config, ...changes };
    return this.#config;
  }

  /**
   * Starts copying; {@linkcode Copier.response} tells how it ends.
   *
   * @throws {TypeError} If there is no source or no destination.
   * @throws {Error} If it is copying already.
   */
  launch(): this {
    const { source, destination, signal, ...options } = this.#config;
    if (source === undefined || destination === undefined) {
      throw new TypeError("Copier: source and destination must be set before it is launched");
    }
    if (this.#busy) throw new Error("Copier: it is copying already; wait for response(), or kill() it");
    const stop = new AbortController();
    const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
    this.#busy = true;
    const report = copy(source, destination, { ...options, signal: either }).finally(() =>
      this.#busy = false
    );
    report.catch(() => {}); // response() tells
    this.#running = { stop, report };
    return this;
  }

  /** Whether it is copying. */
  get running(): boolean {
    return this.#busy;
  }

  /**
   * Resolves when what was launched is copied.
   *
   * @throws {Error} What {@linkcode copy} throws, or that nothing was launched.
   */
  response(): Promise<CopyReport> {
    return this.#running?.report ?? Promise.reject(new Error("Copier: nothing was launched yet"));
  }

  /** Ends the copy, if one is going on, and resolves when nothing of it is left. */
  async kill(): Promise<void> {
    this.#running?.stop.abort();
    await this.#running?.report.catch(() => {});
  }
}
