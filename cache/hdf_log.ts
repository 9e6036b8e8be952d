/**
 * The changes of an HDF5 archive that are not in its HDF5 file yet: the file `<path>-log` beside it.
 *
 * HDF5 has no journal, so its file is never changed in place. A change is appended here and on the disk before the call
 * returns; from time to time, and when an archive is closed, hdf_store.ts makes a new HDF5 file of the old one and the log, renames
 * it into place, and empties the log.
 *
 * The file begins with a head of 64 bytes: what it is, the generation (one more whenever the log is emptied), where the
 * log ends, and whether there is an HDF5 file to which it belongs, and its token. Records follow: two lengths, JSON with the key and what
 * is known of the entry, the value's bytes. What lies behind the end is not there: a transaction writes its records and then
 * moves the end, once, so a crash leaves all or nothing. Writers hold the lock on this very file (file_lock.ts).
 * Readers hold none: they read the head, and again after a value; if the generation is the same, the value was the right one.
 */
import { concat, type DiskFile, openDiskFile, systemCode } from "../runtime/mod.ts";
import { CorruptDataError } from "../serialize/mod.ts";
import type { ValueKind } from "./hdf5_value.ts";
import type { EntryMeta } from "./store.ts";

const MAGIC = "pathos hdf log 1";
/** Where records begin. */
export const LOG_START = 64;
const GENERATION = 16, END = 24, HAS_FILE = 32, TOKEN = 40;
const TOKEN_LENGTH = 16;

/** Which log it is and how far it goes. */
export interface LogState {
  generation: number;
  end: number;
}

/** To which HDF5 file the log belongs. */
export interface LogOwner {
  /** Whether there was an HDF5 file when the log was emptied last. */
  hasFile: boolean;
  /** Its token; without a file, that which the first one is to name. */
  token: string;
}

/** A change: an entry was written, one was removed (no value), or all were (no key). */
export interface LogRecord {
  key?: string;
  value?: { kind: ValueKind; meta: EntryMeta; at: number; size: number };
}

interface Head {
  key?: string;
  kind?: ValueKind;
  stored?: number;
  expires?: number;
  grace?: string;
  tags?: string[];
}

/** The open file. */
export class HdfLog {
  #file: DiskFile;
  readonly #head = new Uint8Array(16);
  readonly #numbers = new DataView(this.#head.buffer);

  /**
   * Opens the file; gives undefined if there is none, and it cannot be made because nothing may be written there.
   *
   * @throws {CorruptDataError} If it is another file.
   */
  static open(path: string, mode: number | undefined): HdfLog | undefined {
    try {
      return new HdfLog(openDiskFile(path, { create: "missing", mode }), false);
    } catch (error) {
      if (!["EACCES", "EROFS", "EPERM"].includes(systemCode(error) ?? "")) throw error;
    }
    try {
      return new HdfLog(openDiskFile(path, { readOnly: true }), true);
    } catch (error) {
      if (systemCode(error) === "ENOENT") return undefined;
      throw error;
    }
  }

  private constructor(file: DiskFile, readonly readOnly: boolean) {
    this.#file = file;
    const magic = new Uint8Array(MAGIC.length);
    const count = file.read(magic, 0);
    const text = new TextDecoder().decode(magic.subarray(0, count));
    if (MAGIC.startsWith(text)) return; // also one whose making was cut short
    file.close();
    throw new CorruptDataError(
      `${file.path} is not the log of an HDF5 archive, or one of a newer version of this library; it was left as it is`,
    );
  }

  /** Whether the file has a head. */
  get begun(): boolean {
    return this.#file.size() >= LOG_START;
  }

  /** Whether it is still the file at its path. */
  isCurrent(): boolean {
    return this.#file.isCurrent();
  }

  /** Reads the generation and the end, which costs a microsecond or two. */
  state(): LogState {
    if (this.#file.read(this.#head, GENERATION) < 16) return { generation: 0, end: LOG_START };
    return { generation: this.#numbers.getFloat64(0, true), end: this.#numbers.getFloat64(8, true) };
  }

  /** To which HDF5 file it belongs. */
  owner(): LogOwner {
    const bytes = new Uint8Array(LOG_START);
    this.#file.read(bytes, 0);
    const token = new TextDecoder().decode(bytes.subarray(TOKEN, TOKEN + TOKEN_LENGTH));
    return { hasFile: bytes[HAS_FILE] === 1, token };
  }

  /** Empties the log, which belongs to this file from now on. Only with the lock. */
  reset({ hasFile, token }: LogOwner): void {
    const head = new Uint8Array(LOG_START);
    const numbers = new DataView(head.buffer);
    head.set(new TextEncoder().encode(MAGIC));
    numbers.setFloat64(GENERATION, this.state().generation + 1, true);
    numbers.setFloat64(END, LOG_START, true);
    head[HAS_FILE] = hasFile ? 1 : 0;
    head.set(new TextEncoder().encode(token), TOKEN);
    this.#file.write(head, 0);
    this.#file.truncate(LOG_START);
    this.#file.sync();
  }

  /** The records from one position to another. */
  *records(from: number, end: number): Generator<LogRecord> {
    let at = from;
    const lengths = new Uint8Array(8);
    const numbers = new DataView(lengths.buffer);
    while (at < end) {
      this.#file.read(lengths, at);
      const head = new Uint8Array(Math.min(numbers.getUint32(0, true), end - at));
      const size = numbers.getUint32(4, true);
      this.#file.read(head, at + 8);
      const valueAt = at + 8 + head.length;
      yield this.#record(head, valueAt, size);
      at = valueAt + size;
    }
    if (at > end) throw this.#damaged(from);
  }

  #record(bytes: Uint8Array, at: number, size: number): LogRecord {
    let head: Head;
    try {
      head = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
    } catch {
      throw this.#damaged(at);
    }
    const { key, kind, stored = 0, expires = Infinity, grace = "0", tags = [] } = head;
    if (kind === undefined) return { key };
    return { key, value: { kind, meta: { stored, expires, grace: Number(grace), tags }, at, size } };
  }

  #damaged(at: number): CorruptDataError {
    return new CorruptDataError(
      `${this.#file.path} is damaged near byte ${at}; it and the HDF5 file were left as they are. Without it the archive is as it ` +
        "was when it was last closed",
    );
  }

  /** The bytes of a value; fewer if the log was emptied meanwhile. */
  value(at: number, size: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(size);
    const count = this.#file.read(bytes, at);
    return count === size ? bytes : bytes.slice(0, count);
  }

  /** Writes a record where the log does not reach yet; gives the record as it will be read, and where it ends. */
  write(
    at: number,
    key: string | undefined,
    value?: { kind: ValueKind; bytes: Uint8Array; meta: EntryMeta },
  ): {
    record: LogRecord;
    end: number;
  } {
    const head: Head = { key };
    if (value) {
      const { stored, expires, grace, tags } = value.meta;
      head.kind = value.kind;
      head.stored = stored;
      if (expires !== Infinity) head.expires = expires;
      if (grace !== 0) head.grace = String(grace); // JSON has no Infinity
      if (tags.length > 0) head.tags = [...tags];
    }
    const text = new TextEncoder().encode(JSON.stringify(head));
    const bytes = value?.bytes ?? new Uint8Array(0);
    const lengths = new Uint8Array(8);
    new DataView(lengths.buffer).setUint32(0, text.length, true);
    new DataView(lengths.buffer).setUint32(4, bytes.length, true);
    this.#file.write(concat([lengths, text, bytes]), at);
    const valueAt = at + 8 + text.length;
    const size = bytes.length;
    return {
      record: { key, value: value && { kind: value.kind, meta: value.meta, at: valueAt, size } },
      end: valueAt + size,
    };
  }

  /** Moves the end: what was written up to there is in the log from now on, and on the disk. */
  commit(end: number): void {
    this.#file.sync();
    this.#setEnd(end);
    this.#file.sync();
  }

  /** Removes what was written behind this end. */
  rollback(end: number): void {
    this.#setEnd(end); // a commit may have failed after it was moved
    this.#file.truncate(end);
  }

  #setEnd(end: number): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setFloat64(0, end, true);
    this.#file.write(bytes, END);
  }

  /** Closes the file. */
  close(): void {
    this.#file.close();
  }
}
