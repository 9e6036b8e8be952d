/**
 * Partial results of a reduction: values of runs of consecutive items. Neighbours are merged as soon as they
 * meet in one worker, so a reduction needs to be associative but not commutative.
 */
import { fold } from "./runner.ts";

/** The reduced value of the items `[start, end)`. */
export interface Segment {
  start: number;
  end: number;
  value: unknown;
}

/** The segments with one more, joined with the neighbours it touches. Throws what `reduce` throws. */
export function addSegment(
  segments: readonly Segment[],
  added: Segment,
  reduce: (a: unknown, b: unknown) => unknown,
): Segment[] | Promise<Segment[]> {
  const left = segments.find(({ end }) => end === added.start);
  const right = segments.find(({ start }) => start === added.end);
  const parts = [left, added, right].filter((part) => part !== undefined);
  const value = fold(parts.map((part) => part.value), parts.length, reduce);
  const joined = (value: unknown): Segment[] => [
    ...segments.filter((other) => other !== left && other !== right),
    { start: parts[0].start, end: parts[parts.length - 1].end, value },
  ];
  return value instanceof Promise ? value.then(joined) : joined(value);
}
