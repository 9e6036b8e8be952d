/**
 * Ctrl-C and SIGTERM, and the hang-up of a terminal, as an AbortSignal: the verb stops what it does, cleans up, and ends with the status that
 * belongs to the signal. A second one ends the process at once; what it started ends with it.
 */
import { exit, guarded, onSignal } from "../runtime/mod.ts";

const STATUSES = [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const;

/** What has been heard so far. */
export interface Interruption {
  /** Aborted by the first of them. */
  readonly signal: AbortSignal;
  /** The exit status that belongs to it; undefined while there was none. */
  readonly status: number | undefined;
  /** Listens no more; the default actions are back. */
  dispose(): void;
}

/** Listens for signals that mean the end. `stop` is aborted by the first; by default nobody else aborts it. */
export function interruptible(stop = new AbortController()): Interruption {
  let status: number | undefined;
  const removers = STATUSES.map(([signal, its]) =>
    onSignal(signal, () => {
      if (status !== undefined) return void guarded().then(() => exit(its));
      status = its;
      stop.abort();
    })
  );
  return {
    signal: stop.signal,
    get status() {
      return status;
    },
    dispose: () => removers.forEach((remove) => remove()),
  };
}

/** Resolves when a signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
