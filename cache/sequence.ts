/**
 * What an iterator gave, as it is kept: its values and what it returned. Whoever asks for it gets an iterator of their own.
 */

/** What an iterator gave. */
export interface Sequence {
  values: unknown[];
  result: unknown;
}

/** An iterator that gives a sequence again. */
export function* replay(sequence: unknown): Generator<unknown, unknown> {
  const { values, result } = sequence as Sequence;
  yield* values;
  return result;
}

/** The same, asynchronous. */
export async function* replayAsync(sequence: unknown): AsyncGenerator<unknown, unknown> {
  const { values, result } = sequence as Sequence;
  yield* values;
  return result;
}
