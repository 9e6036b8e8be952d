/**
 * Large arrays that go through MPI are put into huge pages, as NumPy's are: a new one at once, one that the program has filled
 * already when twice its size has gone through MPI, when that has cost as much as the moving will.
 */
import { collapseToHugePages, hasHugePages, preferHugePages } from "../runtime/huge_pages.ts";

/** Bytes of a large buffer. */
const LARGE = 2 ** 22;
/** How often its size goes through MPI before it is moved. */
const PASSES = 2;

let wanted = false;
/** Bytes of large buffers that have gone through MPI; infinite when the buffer has been moved. */
const passed = new WeakMap<ArrayBufferLike, number>();

/** From now on; where C functions can be called. */
export function useHugePages(): void {
  wanted = hasHugePages();
}

/** Before an array goes through MPI, best before it is touched for the first time. Gives it back. */
export function inHugePages<A extends ArrayBufferView>(array: A): A {
  if (wanted && array.byteLength >= LARGE) note(array);
  return array;
}

function note({ buffer, byteLength }: ArrayBufferView): void {
  const before = passed.get(buffer), after = (before ?? 0) + byteLength;
  passed.set(buffer, after);
  if (before === undefined) return preferHugePages(new Uint8Array(buffer));
  if (after < PASSES * buffer.byteLength) return;
  passed.set(buffer, Infinity);
  if (before !== Infinity) collapseToHugePages(new Uint8Array(buffer));
}
