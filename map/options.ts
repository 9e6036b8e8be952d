/**
 * Options of a map, as `pool.with(options)` takes them: checked once, with defaults filled in.
 */
import { abortError } from "./errors.ts";

/** A typed array of numbers. */
export type NumberArray =
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array;

/** How far a map is. */
export interface Progress {
  /** Items finished, failed ones included. */
  done: number;
  /** Items in all, if the input's length is known. */
  total: number | undefined;
  /** Items that failed (with `onError: "collect"`). */
  failed: number;
  /** Items being worked on. */
  running: number;
  /** Milliseconds since the map began. */
  elapsed: number;
  /** Items per second since the map began. */
  rate: number;
  /** Milliseconds until the end at this rate, if the total is known. */
  remaining: number | undefined;
}

/** Options of maps; see {@linkcode Pool.with}. All are optional. */
export interface MapOptions {
  /** Stops everything when aborted; the map rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Milliseconds that one item may take. Default: no limit. */
  timeout?: number;
  /**
   * How often an item is run again: a number for both causes, or each on its own.
   * Default `{ lost: 2, thrown: 0 }`: twice after a lost worker, never after an error it threw.
   */
  retries?: number | { lost?: number; thrown?: number };
  /** `"stop"` (default): the first failure rejects. `"collect"`: results as of `Promise.allSettled`. */
  onError?: "stop" | "collect";
  /** Items per chunk. Default: adapted to the time an item takes. */
  chunkSize?: number;
  /** Called with the figures at most every 50 ms, and at the end. */
  onProgress?: (progress: Progress) => void;
  /** Draws one line on standard error (plain lines when it is not a terminal). Default false. */
  progress?: boolean;
  /** At the end, idle workers run again what is slowest; the first result counts. For functions without side effects. */
  speculate?: boolean;
  /** Runs in the calling thread, without workers: for a debugger. Default false. */
  inline?: boolean;
  /**
   * Inputs read beyond the last result taken, for `imap` and `uimap`. Default: what keeps the workers busy,
   * at most 1024.
   */
  lookahead?: number;
  /**
   * Numeric results go into this array, which `map` then returns. Over a SharedArrayBuffer, threads write
   * into it directly.
   */
  out?: NumberArray;
}

/** Options with their defaults. */
export interface ResolvedOptions {
  signal: AbortSignal | undefined;
  timeout: number | undefined;
  retries: { lost: number; thrown: number };
  collect: boolean;
  chunkSize: number | undefined;
  onProgress: ((progress: Progress) => void) | undefined;
  progress: boolean;
  speculate: boolean;
  inline: boolean;
  lookahead: number | undefined;
  out: NumberArray | undefined;
}

const NAMES = [
  "signal",
  "timeout",
  "retries",
  "onError",
  "chunkSize",
  "onProgress",
  "progress",
  "speculate",
  "inline",
  "lookahead",
  "out",
];

/**
 * Checks options and fills in the defaults.
 *
 * @throws {TypeError} If an option is unknown or of the wrong kind.
 * @throws {RangeError} If a number is out of range.
 */
export function resolveOptions(options: MapOptions): ResolvedOptions {
  for (const name of Object.keys(options)) {
    if (!NAMES.includes(name)) {
      throw new TypeError(`there is no option "${name}"; the options of a map are ${NAMES.join(", ")}`);
    }
  }
  const { retries, onError } = options;
  if (onError !== undefined && onError !== "stop" && onError !== "collect") {
    throw new TypeError(`onError is ${JSON.stringify(onError)}: it must be "stop" or "collect"`);
  }
  const both = typeof retries === "number" ? retries : undefined;
  const each = typeof retries === "object" ? retries : {};
  return {
    signal: options.signal,
    timeout: positive("timeout", options.timeout),
    retries: {
      lost: count("retries.lost", both ?? each.lost ?? 2),
      thrown: count("retries.thrown", both ?? each.thrown ?? 0),
    },
    collect: onError === "collect",
    chunkSize: options.chunkSize === undefined ? undefined : atLeastOne("chunkSize", options.chunkSize),
    onProgress: options.onProgress,
    progress: options.progress ?? false,
    speculate: options.speculate ?? false,
    inline: options.inline ?? false,
    lookahead: options.lookahead === undefined ? undefined : atLeastOne("lookahead", options.lookahead),
    out: options.out,
  };
}

/** The reason to reject with when `signal` was aborted. */
export function abortReason(signal: AbortSignal): unknown {
  return signal.reason ?? abortError("the map was aborted by its signal");
}

function positive(name: string, value: number | undefined): number | undefined {
  if (value === undefined || value === Infinity) return undefined;
  if (typeof value !== "number" || !(value > 0)) {
    throw new RangeError(`${name} is ${value}: it must be a number of milliseconds above 0`);
  }
  return value;
}

function count(name: string, value: number): number {
  if (!Number.isInteger(value) || value < 0) {
    throw new RangeError(`${name} is ${value}: it must be a whole number from 0`);
  }
  return value;
}

/** Checks a whole number from 1. */
export function atLeastOne(name: string, value: number): number {
  if (!Number.isInteger(value) || value < 1) {
    throw new RangeError(`${name} is ${value}: it must be a whole number from 1`);
  }
  return value;
}
