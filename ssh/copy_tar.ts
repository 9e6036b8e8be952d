/**
 * A tree of files as a stream of bytes, in the tar format that every host's `tar` reads and writes: encoding
 * in the GNU flavour (names and sizes of any length), decoding of ustar, GNU and pax.
 *
 * Names are bytes on disk. Here they are strings in which a byte that is not part of valid UTF-8 stands as
 * the lone surrogate U+DC80 to U+DCFF, so that every name survives the round trip. Decoding trusts nothing:
 * names that are absolute, lead upwards or pass through a link are refused, whoever sent them.
 */
import { CopyError } from "./copy_error.ts";

/** What is at a place in a tree. */
export interface Entry {
  /** Path below the root of the tree, parts separated by `/`; empty for the root. */
  path: string;
  /** `again` is a second name (hard link) of the file `target` of the same tree. */
  kind: "file" | "folder" | "link" | "again" | "other";
  /** Permission bits (0 to 0o777). */
  mode: number;
  /** Time of last change, in seconds since 1970. */
  mtime: number;
  /** Bytes of a file. */
  size: number;
  /** Where a link leads. */
  target: string;
}

/** A tree: each entry, a file's bytes after it; folders before what is in them. */
export type Tree = AsyncIterable<Entry | Uint8Array>;

const encoder = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const BLOCK = 512;
const LONG_HEADER = 1 << 20; // no name or pax header is longer

/** Text to bytes; lone surrogates U+DC80 to U+DCFF to the bytes they stand for. */
export function encodeName(name: string): Uint8Array {
  if (!/[\udc80-\udcff]/.test(name)) return encoder.encode(name);
  const bytes: number[] = [];
  for (const part of name.split(/((?<![\ud800-\udbff])[\udc80-\udcff])/)) {
    if (isRaw(part)) bytes.push(part.charCodeAt(0) & 0xff);
    else bytes.push(...encoder.encode(part));
  }
  return Uint8Array.from(bytes);
}

/** Bytes to text; the inverse of {@linkcode encodeName}. */
export function decodeName(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    let text = "";
    for (let at = 0; at < bytes.length;) {
      const length = validLength(bytes, at);
      text += length
        ? strict.decode(bytes.subarray(at, at + length))
        : String.fromCharCode(0xdc00 | bytes[at]);
      at += length || 1;
    }
    return text;
  }
}

/** Whether a name holds bytes that are not valid UTF-8. */
export function hasRawBytes(name: string): boolean {
  return /(?<![\ud800-\udbff])[\udc80-\udcff]/.test(name);
}

function isRaw(part: string): boolean {
  return part.length === 1 && part >= "\udc80" && part <= "\udcff";
}

/** Length of the valid UTF-8 sequence at a position, or 0. */
function validLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at];
  const length = first < 0x80
    ? 1
    : first < 0xc2
    ? 0
    : first < 0xe0
    ? 2
    : first < 0xf0
    ? 3
    : first < 0xf5
    ? 4
    : 0;
  try {
    strict.decode(bytes.subarray(at, at + length));
    return at + length <= bytes.length ? length : 0;
  } catch {
    return 0;
  }
}

const TYPES = { file: "0", again: "1", link: "2", folder: "5", other: "?" } as const;

/** The tar header of an entry under the given path, with what precedes it where the path is long. */
export function tarHeader(path: string, entry: Entry, linkTarget = entry.target): Uint8Array {
  const name = encodeName(entry.kind === "folder" ? path + "/" : path);
  const target = entry.kind === "link" || entry.kind === "again" ? encodeName(linkTarget) : new Uint8Array();
  const size = entry.kind === "file" ? entry.size : 0;
  const parts: Uint8Array[] = [];
  if (target.length > 100) parts.push(...longName("K", target));
  if (name.length > 100) parts.push(...longName("L", name));
  parts.push(header(name, TYPES[entry.kind], target, entry.mode, entry.mtime, size));
  return parts.length === 1 ? parts[0] : join(parts);
}

/** How many zero bytes follow a file of that size. */
export function tarPadding(size: number): number {
  return (BLOCK - size % BLOCK) % BLOCK;
}

/** What ends an archive. */
export const TAR_END: Uint8Array = new Uint8Array(2 * BLOCK);

function longName(type: string, bytes: Uint8Array): Uint8Array[] {
  const name = encoder.encode("././@LongLink");
  const size = bytes.length + 1;
  const content = new Uint8Array(size + tarPadding(size));
  content.set(bytes);
  return [header(name, type, new Uint8Array(), 0o644, 0, size), content];
}

function header(
  name: Uint8Array,
  type: string,
  target: Uint8Array,
  mode: number,
  mtime: number,
  size: number,
): Uint8Array {
  const block = new Uint8Array(BLOCK);
  const text = (at: number, value: string) => {
    for (let i = 0; i < value.length; i++) block[at + i] = value.charCodeAt(i);
  };
  block.set(name.subarray(0, 100));
  text(100, octal(mode & 0o777, 7));
  text(108, "0000000\0" + "0000000\0");
  number(block, 124, size);
  number(block, 136, Math.max(0, Math.floor(mtime)));
  text(156, type);
  block.set(target.subarray(0, 100), 157);
  text(257, "ustar  \0");
  text(148, "        ");
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += block[i];
  text(148, octal(sum, 6) + "\0 ");
  return block;
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, "0");
}

/** Twelve bytes: eleven octal digits, or base 256 for what does not fit (8 GiB and more). */
function number(block: Uint8Array, at: number, value: number): void {
  if (value < 2 ** 33) {
    const digits = octal(value, 11);
    for (let i = 0; i < digits.length; i++) block[at + i] = digits.charCodeAt(i);
    return;
  }
  block[at] = 0x80;
  let rest = BigInt(value);
  for (let i = 11; i > 0; i--, rest >>= 8n) block[at + i] = Number(rest & 0xffn);
}

function join(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * Reads an archive whose root is `.`. Ends at the archive's end mark.
 *
 * @throws {CopyError} If it is cut short or damaged, or names something outside the tree; `place` names its origin.
 */
export async function* readTar(bytes: AsyncIterable<Uint8Array>, place: string): Tree {
  const input = new Input(bytes, place);
  const guard = new Guard(place);
  let next: { path?: string; target?: string; size?: number; mtime?: number } = {};
  for (;;) {
    const block = await input.take(BLOCK);
    if (block[0] === 0 && block.every((byte) => byte === 0)) return;
    const stated = parseNumber(block.subarray(148, 156));
    let sum = 8 * 32;
    for (let i = 0; i < BLOCK; i++) if (i < 148 || i >= 156) sum += block[i];
    if (sum !== stated) throw input.damaged("a header's sum is wrong");
    const type = String.fromCharCode(block[156] || 48);
    const size = next.size ?? parseNumber(block.subarray(124, 136));
    if (!Number.isSafeInteger(size) || size < 0) throw input.damaged("a size makes no sense");
    if ("LKxg".includes(type)) {
      if (size > LONG_HEADER) throw input.damaged("a header is too long");
      const content = (await input.take(size)).slice();
      await input.take(tarPadding(size));
      if (type === "L") next.path = decodeName(untilZero(content));
      else if (type === "K") next.target = decodeName(untilZero(content));
      else if (type === "x") next = { ...next, ...parsePax(content) };
      continue; // what holds for all entries (g) is a comment of the program that wrote it
    }
    const prefix = String.fromCharCode(...block.subarray(257, 263)) === "ustar\0"
      ? decodeName(untilZero(block.subarray(345, 500)))
      : "";
    const short = decodeName(untilZero(block.subarray(0, 100)));
    const kind = ({ 0: "file", 7: "file", 1: "again", 2: "link", 5: "folder" } as const)[type] ?? "other";
    const path = next.path ?? (prefix ? `${prefix}/${short}` : short);
    const entry: Entry = guard.admit({
      path: kind === "folder" || !path.endsWith("/") ? path : path.slice(0, -1),
      kind: kind === "file" && path.endsWith("/") ? "folder" : kind,
      mode: parseNumber(block.subarray(100, 108)) & 0o777,
      mtime: next.mtime ?? parseNumber(block.subarray(136, 148)),
      size: kind === "file" ? size : 0,
      target: next.target ?? decodeName(untilZero(block.subarray(157, 257))),
    });
    next = {};
    yield entry;
    for (let left = size; left > 0;) {
      const piece = await input.some(left);
      left -= piece.length;
      if (kind === "file") yield piece;
    }
    await input.take(tarPadding(size));
  }
}

/** Lets only those entries pass that lie in the tree, in folders that the tree itself has made. */
class Guard {
  readonly #place: string;
  readonly #seen = new Map<string, Entry["kind"]>();

  constructor(place: string) {
    this.#place = place;
  }

  admit(entry: Entry): Entry {
    const path = this.#clean(entry.path);
    const refuse = (why: string) =>
      new CopyError(
        `${this.#place} sent ${
          JSON.stringify(entry.path)
        }, ${why}: refused, as it could write outside the target`,
        { failure: "unsafe", place: this.#place },
      );
    if (path === undefined) throw refuse("which is not a path inside the folder");
    const parent = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
    if (path !== "" && this.#seen.get(parent) !== "folder") {
      throw refuse("which is in no folder that it sent");
    }
    if (path === "" && entry.kind !== "folder") throw refuse("which is not a folder");
    if (this.#seen.has(path)) throw refuse("twice");
    this.#seen.set(path, entry.kind);
    if (entry.kind !== "again") return { ...entry, path };
    const target = this.#clean(entry.target);
    const known = target === undefined ? undefined : this.#seen.get(target);
    if (known !== "file" && known !== "again") throw refuse("as another name of a file that it did not send");
    return { ...entry, path, target: target! };
  }

  #clean(path: string): string | undefined {
    if (path.startsWith("/") || path.includes("\0")) return undefined;
    const parts = path.split("/").filter((part) => part !== "" && part !== ".");
    return parts.includes("..") ? undefined : parts.join("/");
  }
}

/** Cuts a stream of bytes to measure. */
class Input {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #place: string;
  #rest = new Uint8Array();

  constructor(bytes: AsyncIterable<Uint8Array>, place: string) {
    this.#chunks = bytes[Symbol.asyncIterator]();
    this.#place = place;
  }

  damaged(why: string): CopyError {
    return new CopyError(`reading ${this.#place}: the stream from its tar is damaged or cut short: ${why}`, {
      failure: "other",
      place: this.#place,
    });
  }

  /** Exactly so many bytes. */
  async take(length: number): Promise<Uint8Array> {
    if (this.#rest.length >= length) {
      const taken = this.#rest.subarray(0, length);
      this.#rest = this.#rest.subarray(length);
      return taken;
    }
    const parts = [];
    for (let left = length; left > 0;) {
      const piece = await this.some(left);
      parts.push(piece);
      left -= piece.length;
    }
    return join(parts);
  }

  /** Some bytes, at least one and at most so many. */
  async some(most: number): Promise<Uint8Array> {
    while (this.#rest.length === 0) {
      const { done, value } = await this.#chunks.next();
      if (done) throw this.damaged("its end is missing");
      this.#rest = value as Uint8Array<ArrayBuffer>;
    }
    const taken = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(taken.length);
    return taken;
  }
}

function untilZero(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

function parseNumber(field: Uint8Array): number {
  if (field[0] & 0x80) {
    let value = field[0] & 0x40 ? -1n : 0n; // base 256, two's complement
    for (const [i, byte] of field.entries()) {
      value = value << 8n | BigInt(i === 0 && value === 0n ? byte & 0x7f : byte);
    }
    return Number(value);
  }
  const text = String.fromCharCode(...untilZero(field)).trim();
  return text === "" ? 0 : /^[0-7]+$/.test(text) ? parseInt(text, 8) : NaN;
}

/** Records "length key=value\n" of a pax header. */
function parsePax(content: Uint8Array): { path?: string; target?: string; size?: number; mtime?: number } {
  const found: { path?: string; target?: string; size?: number; mtime?: number } = {};
  for (let at = 0; at < content.length;) {
    const space = content.indexOf(32, at);
    const length = space < 0 ? NaN : Number(decodeName(content.subarray(at, space)));
    if (!(length > space - at)) return found;
    const record = content.subarray(space + 1, at + length - 1);
    const equals = record.indexOf(61);
    const key = decodeName(record.subarray(0, equals));
    const value = record.subarray(equals + 1);
    if (key === "path") found.path = decodeName(value);
    else if (key === "linkpath") found.target = decodeName(value);
    else if (key === "size") found.size = Number(decodeName(value));
    else if (key === "mtime") found.mtime = Number(decodeName(value));
    at += length;
  }
  return found;
}
