/**
 * Slices of text and lists by what they begin and end with.
 */

/** Options of {@linkcode indexSlice}. */
export interface IndexSliceOptions {
  /** Every how many of them. Default: 1. */
  step?: number;
  /**
   * Whether the first `stop` of all counts, even one that comes before `start`, and then there is nothing between; else the first
   * from `start` on. Default: false for {@linkcode indexSlice}, true for {@linkcode indexJoin}.
   */
  sequential?: boolean;
  /** Whether `stop` belongs to the slice. Default: false for {@linkcode indexSlice}, true for {@linkcode indexJoin}. */
  inclusive?: boolean;
}

/** A slice: `sequence.slice(start, stop)`, of which every `step`-th. */
export interface IndexSlice {
  /** Undefined for the beginning. */
  start: number | undefined;
  /** Undefined for the end. */
  stop: number | undefined;
  /** From 1. */
  step: number;
}

/**
 * Where the part of a list or text is that begins with `start` and ends before `stop`. Where there is no `start` it begins at the
 * beginning, where there is no `stop` it ends at the end.
 *
 * Of a text, `stop` belongs to the inclusive slice as a whole; in pox its first character does.
 *
 * @throws {RangeError} If `step` is no whole number from 1.
 *
 * @example
 * ```ts
 * import { indexSlice } from "@pathos/pathos/fs";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(indexSlice(["a", "b", "c", "d"], "b", "d"), { start: 1, stop: 3, step: 1 });
 * const { start, stop } = indexSlice("x <body> y", "<", ">", { inclusive: true });
 * assertEquals("x <body> y".slice(start, stop), "<body>");
 * ```
 */
export function indexSlice<T>(
  sequence: string | readonly T[],
  start: T | string,
  stop: T | string,
  options: IndexSliceOptions = {},
): IndexSlice {
  const { step = 1, sequential = false, inclusive = false } = options;
  if (!(Number.isSafeInteger(step) && step >= 1)) {
    throw new RangeError(`step is ${step}: it must be a whole number from 1`);
  }
  const find = (wanted: T | string, from = 0): number | undefined => {
    const place = typeof sequence === "string"
      ? sequence.indexOf(String(wanted), from)
      : sequence.indexOf(wanted as T, from);
    return place < 0 ? undefined : place;
  };
  const begin = find(start);
  const end = find(stop, sequential ? 0 : begin);
  const length = inclusive ? typeof sequence === "string" ? String(stop).length : 1 : 0;
  return { start: begin, stop: end === undefined ? undefined : end + length, step };
}

/**
 * The part of a text, or of a list of texts put together, from `start` to `stop`, both included; the slice is that of
 * {@linkcode indexSlice}.
 *
 * @throws {RangeError} If `step` is no whole number from 1.
 *
 * @example
 * ```ts
 * import { indexJoin } from "@pathos/pathos/fs";
 * import { assertEquals } from "@std/assert";
 *
 * const lines = ["begin\n", "hello\n", "world\n", "end\n"];
 * assertEquals(indexJoin(lines, "hello\n", "world\n"), "hello\nworld\n");
 * ```
 */
export function indexJoin(
  sequence: string | readonly string[],
  start: string,
  stop: string,
  options: IndexSliceOptions = {},
): string {
  const slice = indexSlice(sequence, start, stop, { sequential: true, inclusive: true, ...options });
  return [...sequence.slice(slice.start, slice.stop)].filter((_, i) => i % slice.step === 0).join("");
}
