/**
 * An entry as bytes in a file: one line of JSON with the key, the description and the length and check of the value, then the
 * value as it is. So what is kept as text or JSON can be read by other programs: it is what follows the first line. A record
 * that was cut short or changed is found out when its value is read.
 */
import { builtin, concat } from "../runtime/mod.ts";
import { CorruptDataError } from "../serialize/mod.ts";
import { entryOf } from "./codec.ts";
import type { Entry, EntryInfo, StoredValue } from "./store.ts";

/** The version of the format; the number grows when an older library could not read it. */
const MARK = "entry 1";

/** What a record's first line says. */
export interface RecordHead {
  key: string;
  info: EntryInfo;
  kind: "bytes" | "text" | "number";
  /** CRC-32 of the value. */
  check: number;
  /** Where the value begins. */
  at: number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Writes an entry; `name` is the archive, for errors. */
export function writeRecord(key: string, { value, meta }: Entry, name: string): Uint8Array {
  const [kind, bytes] = valueBytes(key, value, name);
  const { stored, expires, grace, tags } = meta;
  const head = {
    pathos: MARK,
    key,
    kind,
    size: bytes.length,
    check: crc32(bytes),
    stored,
    expires: expires === Infinity ? undefined : expires,
    grace: grace === 0 ? undefined : String(grace),
    tags: tags.length === 0 ? undefined : tags,
  };
  return concat([encoder.encode(JSON.stringify(head) + "\n"), bytes]);
}

function valueBytes(key: string, value: StoredValue, name: string): [RecordHead["kind"], Uint8Array] {
  if (value instanceof Uint8Array) return ["bytes", value];
  if (typeof value === "string") {
    if (value.isWellFormed()) return ["text", encoder.encode(value)];
    throw new TypeError(
      `${
        entryOf(name, key)
      }: its text is not well-formed Unicode and cannot be kept as it is; leave serialized out`,
    );
  }
  if (typeof value === "number") return ["number", encoder.encode(Object.is(value, -0) ? "-0" : `${value}`)];
  throw new TypeError(
    `${
      entryOf(name, key)
    }: numeric arrays are kept as they are by HdfArchive and HdfDirArchive alone; leave serialized out`,
  );
}

/**
 * Reads the first line of the record that begins at a position; undefined if the line has no end yet.
 *
 * @param where The file, for errors.
 * @throws {CorruptDataError} If it is no record.
 */
export function readHead(bytes: Uint8Array, start: number, where: string): RecordHead | undefined {
  const end = bytes.indexOf(10, start);
  if (end < 0) return undefined;
  const head = parsed(bytes.subarray(start, end), where);
  const { pathos, key, kind, size, check, stored, expires = Infinity, grace = "0", tags = [] } = head;
  if (typeof pathos === "string" && /^entry \d+$/.test(pathos) && pathos !== MARK) {
    throw new CorruptDataError(`${where} was written by a newer version of this library ("${pathos}")`);
  }
  const sound = pathos === MARK && typeof key === "string" && /^(bytes|text|number)$/.test(kind) &&
    Number.isSafeInteger(size) && size >= 0 && Number.isSafeInteger(check) && typeof stored === "number" &&
    typeof expires === "number" && typeof grace === "string" && Number(grace) >= 0 &&
    Array.isArray(tags) && tags.every((tag) => typeof tag === "string");
  if (!sound) throw damaged(where, "its first line is not that of an entry");
  return { key, kind, check, at: end + 1, info: { stored, expires, grace: Number(grace), tags, size } };
}

// deno-lint-ignore no-explicit-any -- whatever a file may hold; readHead looks at all of it
function parsed(line: Uint8Array, where: string): any {
  try {
    return Object(JSON.parse(decoder.decode(line)));
  } catch (error) {
    throw damaged(where, "its first line is not that of an entry", error);
  }
}

/**
 * The entry whose head was read, its value in a buffer of its own.
 *
 * @throws {CorruptDataError} If the value is not the one that was written.
 */
export function readRecord(bytes: Uint8Array, head: RecordHead, where: string): Entry {
  const { stored, expires, grace, tags, size } = head.info;
  const value = bytes.slice(head.at, head.at + size);
  if (value.length < size) throw damaged(where, `${size - value.length} bytes of the value are missing`);
  if (crc32(value) !== head.check) throw damaged(where, "the value is not the one that was written");
  const meta = { stored, expires, grace, tags };
  if (head.kind === "bytes") return { value, meta };
  const text = decoder.decode(value);
  return { value: head.kind === "number" ? Number(text) : text, meta };
}

/** The error of a file that is not as it was written. */
export function damaged(where: string, what: string, cause?: unknown): CorruptDataError {
  return new CorruptDataError(
    `${where} is damaged: ${what}; it was left as it is. Remove it, or put a copy back`,
    {
      cause,
    },
  );
}

function crc32(bytes: Uint8Array): number {
  return builtin<{ crc32(bytes: Uint8Array): number }>("node:zlib").crc32(bytes);
}
