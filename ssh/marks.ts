/**
 * Finds the wrapper's words (see remote_shell.ts) in a stream of bytes and hands on the rest unchanged and at
 * once: only bytes that may be the beginning of a mark wait for the next ones. A mark begins with a character
 * that appears nowhere else in it, and is random, so that no output contains it by chance.
 */
import { builtin, concat } from "../runtime/mod.ts";

/** A new mark. */
export function newMark(): string {
  return `\x1e${randomHex(12)}`;
}

/** That many random bytes, in hexadecimal. */
export function randomHex(bytes: number): string {
  return builtin<{ randomBytes(size: number): { toString(encoding: string): string } }>("node:crypto")
    .randomBytes(bytes).toString("hex");
}

/** Takes bytes, in order. */
type Give = (bytes: Uint8Array) => void | Promise<void>;

/**
 * Cuts so many marks out of a stream. With `lines`, a mark reaches to the end of its line and `marked` gets the rest
 * of that line; without, the mark is all there is.
 */
export class MarkCutter {
  readonly #mark: Uint8Array;
  #rest = new Uint8Array();
  #left: number;

  constructor(
    mark: string,
    marks: number,
    readonly lines: boolean,
    readonly give: Give,
    readonly marked: (words: string) => void,
  ) {
    this.#left = marks;
    this.#mark = new TextEncoder().encode(mark);
  }

  /** Takes the next bytes; the promise is that of the last `give`. */
  push(bytes: Uint8Array): void | Promise<void> {
    let data = this.#rest.length > 0 ? concat([this.#rest, bytes]) : bytes;
    this.#rest = new Uint8Array();
    let room: void | Promise<void> = undefined;
    const hand = (part: Uint8Array) => {
      if (part.length > 0) room = this.give(part);
    };
    for (let from = 0;;) {
      const at = this.#left > 0 ? data.indexOf(this.#mark[0], from) : -1;
      if (at < 0) {
        hand(data);
        return room;
      }
      const matched = this.#matches(data, at);
      if (matched === 0) {
        from = at + 1;
        continue;
      }
      const end = matched < this.#mark.length
        ? -1 // its beginning is the end of what is there
        : this.lines
        ? data.indexOf(10, at + matched)
        : at + matched - 1;
      if (end < 0) {
        this.#rest = data.slice(at);
        hand(data.subarray(0, at));
        return room;
      }
      hand(data.subarray(0, at));
      this.#left--;
      this.marked(new TextDecoder().decode(data.subarray(at + matched, end)).trim());
      data = data.subarray(end + 1);
      from = 0;
    }
  }

  /** No more bytes come: hands on what waited. */
  end(): void | Promise<void> {
    const rest = this.#rest;
    this.#rest = new Uint8Array();
    return rest.length > 0 ? this.give(rest) : undefined;
  }

  /** How many bytes of the mark are at `at`; 0 if they differ before the data ends. */
  #matches(data: Uint8Array, at: number): number {
    let n = 0;
    while (n < this.#mark.length && at + n < data.length) {
      if (data[at + n] !== this.#mark[n]) return 0;
      n++;
    }
    return n;
  }
}
