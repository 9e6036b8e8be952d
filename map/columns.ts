/**
 * The values of a chunk on their way between two isolates. One argument (or the result) of all items of the
 * chunk is a column, and a column takes the cheapest form that loses nothing:
 *
 * - `few`: a few numbers: in the head itself, since a buffer of its own would cost more than they do;
 * - `numbers`: all values are numbers: one Float64Array;
 * - `typed`: a piece of a typed array: a copy of that piece;
 * - `shared`: a piece of a typed array over a SharedArrayBuffer, between threads: no copy at all;
 * - `nothing`: all values are undefined;
 * - `any`: whatever serialize/ can carry, with large buffers beside the bytes.
 *
 * The caller's buffers are never taken away: what must cross is copied once, and the copy is moved.
 */
import { type TypedArray, typedArrays } from "../runtime/mod.ts";
import type { CodeBook } from "../serialize/codebook.ts";
import type { NumberArray } from "./options.ts";

/** Description of a column; its buffers travel beside it, in order. */
export type ColumnHead =
  | { form: "few"; values: number[] }
  | { form: "numbers" }
  | { form: "typed"; type: string }
  | { form: "shared"; type: string; offset: number; length: number }
  | { form: "nothing" }
  | { form: "any"; buffers: number; needs: string[]; shared: number[] };

/** A column ready to travel. */
export interface PackedColumn {
  head: ColumnHead;
  /** Memory that goes with it; all but SharedArrayBuffers may be moved, they belong to nobody else. */
  buffers: (ArrayBuffer | SharedArrayBuffer)[];
}

/** Up to so many numbers travel in the head. */
const FEW = 16;

function typeName(items: ArrayLike<unknown>): string | undefined {
  const name = ArrayBuffer.isView(items)
    ? (items as unknown as { [Symbol.toStringTag]: string })[Symbol.toStringTag]
    : "";
  return name in typedArrays && items.constructor === typedArrays[name] ? name : undefined;
}

/**
 * Packs `items[offset .. offset + count)`.
 *
 * @param sharing Whether the receiver is a thread of this process.
 * @param code Hash of the function that gets the values: their classes are those it knows.
 * @throws {UnserializableError} If a value cannot travel.
 */
export function packColumn(
  items: ArrayLike<unknown>,
  offset: number,
  count: number,
  book: CodeBook,
  sharing: boolean,
  code?: string,
): PackedColumn {
  const type = typeName(items);
  if (type !== undefined) {
    const array = items as TypedArray;
    if (sharing && array.buffer instanceof SharedArrayBuffer) {
      const at = array.byteOffset + offset * array.BYTES_PER_ELEMENT;
      return { head: { form: "shared", type, offset: at, length: count }, buffers: [array.buffer] };
    }
    const piece = new typedArrays[type](new ArrayBuffer(count * array.BYTES_PER_ELEMENT)) as NumberArray;
    piece.set(array.subarray(offset, offset + count) as NumberArray);
    return { head: { form: "typed", type }, buffers: [piece.buffer] };
  }
  const few = asFew(items, offset, count);
  if (few) return { head: { form: "few", values: few }, buffers: [] };
  const numbers = asNumbers(items, offset, count);
  if (numbers) return { head: { form: "numbers" }, buffers: [numbers.buffer as ArrayBuffer] };
  if (isNothing(items, offset, count)) return { head: { form: "nothing" }, buffers: [] };
  const list = offset === 0 && count === items.length && Array.isArray(items)
    ? items
    : Array.prototype.slice.call(items, offset, offset + count);
  const { bytes, buffers, needs } = book.encode(list, { prefer: code });
  const shared: number[] = [];
  const parts = [
    ownBuffer(bytes),
    ...buffers.map((buffer, i) => {
      if (buffer instanceof SharedArrayBuffer) {
        if (sharing) return buffer;
        shared.push(i);
        return new Uint8Array(buffer).slice().buffer;
      }
      return buffer.slice(0);
    }),
  ];
  return { head: { form: "any", buffers: buffers.length, needs, shared }, buffers: parts };
}

/** MessagePack, which carries heads to processes, has no -0. */
function asFew(items: ArrayLike<unknown>, offset: number, count: number): number[] | undefined {
  if (count > FEW) return undefined;
  const values: number[] = [];
  for (let i = 0; i < count; i++) {
    const value = items[offset + i];
    if (typeof value !== "number" || Object.is(value, -0)) return undefined;
    values.push(value);
  }
  return values;
}

function asNumbers(items: ArrayLike<unknown>, offset: number, count: number): Float64Array | undefined {
  if (count === 0 || typeof items[offset] !== "number") return undefined;
  const numbers = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const value = items[offset + i];
    if (typeof value !== "number") return undefined;
    numbers[i] = value;
  }
  return numbers;
}

function isNothing(items: ArrayLike<unknown>, offset: number, count: number): boolean {
  for (let i = 0; i < count; i++) if (items[offset + i] !== undefined) return false;
  return true;
}

function ownBuffer(bytes: Uint8Array): ArrayBuffer {
  const whole = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength;
  return (whole ? bytes.buffer : bytes.slice().buffer) as ArrayBuffer;
}

/** How many buffers a column takes from the list beside it. */
export function buffersOf(head: ColumnHead): number {
  return head.form === "nothing" || head.form === "few" ? 0 : head.form === "any" ? 1 + head.buffers : 1;
}

/** The values of a column of `count` items. `trust`: may they hold code by value (default: as the book was made). */
export function unpackColumn(
  head: ColumnHead,
  buffers: readonly (ArrayBuffer | SharedArrayBuffer)[],
  count: number,
  book: CodeBook,
  trust?: boolean,
): ArrayLike<unknown> {
  switch (head.form) {
    case "few":
      return head.values;
    case "numbers":
      return new Float64Array(buffers[0]);
    case "typed":
      return new typedArrays[head.type](buffers[0]);
    case "shared":
      return new typedArrays[head.type](buffers[0], head.offset, head.length);
    case "nothing":
      return new Array(count).fill(undefined);
    case "any": {
      const [bytes, ...rest] = buffers;
      const given = rest.map((buffer, i) => head.shared.includes(i) ? sharedCopy(buffer) : buffer);
      return book.decode({ bytes: new Uint8Array(bytes), buffers: given }, trust) as unknown[];
    }
  }
}

function sharedCopy(buffer: ArrayBuffer | SharedArrayBuffer): SharedArrayBuffer {
  const copy = new SharedArrayBuffer(buffer.byteLength);
  new Uint8Array(copy).set(new Uint8Array(buffer));
  return copy;
}
