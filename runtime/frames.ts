/**
 * Messages over a byte stream that others may write into as well.
 *
 * A frame is: an 8-byte mark, a u32 count of parts, a u32 length for each part, then the parts (all little
 * endian). The mark is random for each process, so that bytes which user code printed to the same stream
 * (a stray `Deno.stdout.write`, output of a native library) are told apart from frames and handed on as
 * output instead of breaking the connection.
 */
import { concat } from "./bytes.ts";

const MARK_BYTES = 8;
const MAX_PARTS = 1 << 20;

/** A new random mark. */
export function newMark(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(MARK_BYTES));
}

/** The pieces to write, in order, for one frame: small parts are joined, large ones are not copied. */
export function frame(mark: Uint8Array, parts: readonly Uint8Array[]): Uint8Array[] {
  const head = new Uint8Array(MARK_BYTES + 4 + 4 * parts.length);
  head.set(mark);
  const view = new DataView(head.buffer);
  view.setUint32(MARK_BYTES, parts.length, true);
  parts.forEach((part, i) => {
    if (part.byteLength > 0xffff_ffff) {
      throw new RangeError("one value of more than 4 GiB cannot be sent to a process");
    }
    view.setUint32(MARK_BYTES + 4 + 4 * i, part.byteLength, true);
  });
  const pieces: Uint8Array[] = [];
  let small: Uint8Array[] = [head];
  for (const part of parts) {
    if (part.byteLength < 1 << 16) small.push(part);
    else {
      pieces.push(concat(small), part);
      small = [];
    }
  }
  if (small.length > 0) pieces.push(concat(small));
  return pieces;
}

/**
 * Gathers what is written in one turn of the event loop: small pieces leave as one, since each write costs a
 * call of the system here and another on the other side.
 */
export function gather(write: (bytes: Uint8Array) => void): (pieces: readonly Uint8Array[]) => void {
  let small: Uint8Array[] = [];
  const flush = (): void => {
    if (small.length === 0) return;
    const bytes = concat(small);
    small = [];
    write(bytes);
  };
  return (pieces) => {
    for (const piece of pieces) {
      if (piece.byteLength < 1 << 16) {
        if (small.push(piece) === 1) queueMicrotask(flush);
      } else {
        flush();
        write(piece);
      }
    }
  };
}

/**
 * Cuts a byte stream into frames; bytes outside frames go to `stray`. What a frame announces is taken on trust
 * unless `maxFrame` limits it: memory for it is set aside at once.
 */
export class FrameReader {
  #mark: Uint8Array;
  #onFrame: (parts: Uint8Array[]) => void;
  #onStray: (bytes: Uint8Array) => void;
  #maxFrame: number;
  #head: Uint8Array = new Uint8Array(0); // bytes seen since the last frame's end, no whole header yet
  #parts: Uint8Array[] | undefined; // the frame being filled
  #part = 0;
  #filled = 0;

  constructor(
    mark: Uint8Array,
    onFrame: (parts: Uint8Array[]) => void,
    onStray: (bytes: Uint8Array) => void,
    maxFrame = Infinity,
  ) {
    this.#maxFrame = maxFrame;
    this.#mark = mark;
    this.#onFrame = onFrame;
    this.#onStray = onStray;
  }

  /** Takes the next bytes of the stream. They are copied: the caller may reuse the array. */
  push(bytes: Uint8Array): void {
    let rest = bytes;
    while (rest.byteLength > 0) rest = this.#parts ? this.#fill(rest) : this.#begin(rest);
  }

  /** The stream ended: what is left outside a frame is output. Returns whether it ended inside a frame. */
  end(): boolean {
    if (this.#head.byteLength > 0 && !this.#parts) this.#onStray(this.#head);
    this.#head = new Uint8Array(0);
    return this.#parts !== undefined;
  }

  #begin(bytes: Uint8Array): Uint8Array {
    let head = this.#head.byteLength === 0 ? bytes : concat([this.#head, bytes]);
    const start = this.#findMark(head);
    if (start > 0) {
      this.#onStray(head.slice(0, start));
      head = head.subarray(start);
    }
    const keep = (): Uint8Array => {
      this.#head = head.slice();
      return new Uint8Array(0);
    };
    if (head.byteLength < MARK_BYTES + 4) return keep();
    const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
    const count = view.getUint32(MARK_BYTES, true);
    if (count > MAX_PARTS) throw new Error(`a frame announces ${count} parts: the stream is damaged`);
    const headBytes = MARK_BYTES + 4 + 4 * count;
    if (head.byteLength < headBytes) return keep();
    const lengths = Array.from({ length: count }, (_, i) => view.getUint32(MARK_BYTES + 4 + 4 * i, true));
    const total = lengths.reduce((sum, length) => sum + length, headBytes);
    if (total > this.#maxFrame) {
      throw new Error(`a frame announces ${total} bytes, and ${this.#maxFrame} is the limit`);
    }
    this.#head = new Uint8Array(0);
    this.#parts = lengths.map((length) => new Uint8Array(length));
    this.#part = this.#filled = 0;
    this.#finishFull();
    return head.subarray(headBytes);
  }

  #fill(bytes: Uint8Array): Uint8Array {
    const part = this.#parts![this.#part];
    const take = Math.min(part.byteLength - this.#filled, bytes.byteLength);
    part.set(take === bytes.byteLength ? bytes : bytes.subarray(0, take), this.#filled);
    this.#filled += take;
    this.#finishFull();
    return bytes.subarray(take);
  }

  #finishFull(): void {
    const parts = this.#parts!;
    while (this.#part < parts.length && this.#filled === parts[this.#part].byteLength) {
      this.#part++;
      this.#filled = 0;
    }
    if (this.#part < parts.length) return;
    this.#parts = undefined;
    this.#onFrame(parts);
  }

  /** Index of the mark, or of a beginning of it at the very end, or the length when there is none. */
  #findMark(bytes: Uint8Array): number {
    const mark = this.#mark;
    for (let i = bytes.indexOf(mark[0]); i >= 0; i = bytes.indexOf(mark[0], i + 1)) {
      let k = 1;
      while (k < MARK_BYTES && i + k < bytes.length && bytes[i + k] === mark[k]) k++;
      if (k === MARK_BYTES || i + k === bytes.length) return i;
    }
    return bytes.length;
  }
}
