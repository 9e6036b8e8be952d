/**
 * All entries in one file, which is rewritten whole at every change: for small archives that are to be carried about as one
 * file, and for texts and JSON that people read. A change costs as much as the file is large; a transaction costs one.
 *
 * The file is a line that says what it is, then records (record.ts), each followed by the end of a line. Writers take turns by a
 * lock on the side file `<path>-lock`, read again what others have written, and rename the new file into place. Readers
 * take no lock: they look whether the file has changed, which its time of change shows, since every writer sets that
 * later than it was.
 */
import {
  builtin,
  concat,
  fileKind,
  fileState,
  readFile,
  realPath,
  removeFile,
  writeFile,
} from "../runtime/mod.ts";
import { StoreArchive } from "./archive.ts";
import { type HeldLock, withFileLock } from "./file_lock.ts";
import { damaged, readHead, readRecord, type RecordHead, writeRecord } from "./record.ts";
import type { Entry, EntryInfo, Store } from "./store.ts";
import { cannot, orAbsent } from "./system_errors.ts";
import type { ArchiveKey, ArchiveOptions } from "./types.ts";

/** How the first line begins; the number of entries follows. */
const MARK = '{"pathos":"file 1';
const LINE_END = new Uint8Array([10]);

/** An entry as it lies in the file: its bytes, the line's end included, and what its first line says. */
interface Kept {
  bytes: Uint8Array;
  head: RecordHead;
}

/** Options of {@linkcode FileArchive}. */
export interface FileOptions extends ArchiveOptions {
  /** Milliseconds to wait for other processes' writes. Default: 60,000. */
  timeout?: number;
}

class FileStore implements Store {
  readonly name: string;
  readonly meeting: string;
  readonly #path: string;
  readonly #options: FileOptions;
  #entries: Map<string, Kept> = new Map();
  /** The file that `#entries` are of; undefined while there is none. */
  #state: ReturnType<typeof fileState>;
  /** The batch that runs, with the lock held: `#entries` are then ahead of the file. */
  #batch: { changed: boolean } | undefined;

  constructor(path: string, options: FileOptions) {
    this.name = path;
    this.#options = options;
    try {
      this.#path = this.meeting = realPath(path);
      const kind = fileKind(this.#path);
      if (kind === "folder") throw new Error(`${path} is a folder: DirArchive keeps entries in one`);
      const { dirname } = builtin<{ dirname(path: string): string }>("node:path");
      if (fileKind(dirname(this.#path)) !== "folder") {
        throw new Error(`${path} cannot be opened: there is no folder ${dirname(this.#path)}`);
      }
      this.#refresh();
    } catch (error) {
      throw cannot(error, `${path} cannot be opened as a file of entries`);
    }
  }

  read(key: string): Entry | undefined {
    this.#refresh();
    const kept = this.#entries.get(key);
    return kept && readRecord(kept.bytes, kept.head, this.name);
  }

  write(key: string, entry: Entry): void {
    const bytes = concat([writeRecord(key, entry, this.name), LINE_END]);
    const head = readHead(bytes, 0, this.name)!;
    this.#change((entries) => {
      entries.set(key, { bytes, head });
      return true;
    });
  }

  remove(key: string): boolean {
    return this.#change((entries) => entries.delete(key));
  }

  clear(): void {
    this.#change((entries) => {
      const any = entries.size > 0;
      entries.clear();
      return any;
    });
  }

  count(): number {
    this.#refresh();
    return this.#entries.size;
  }

  info(key: string): EntryInfo | undefined {
    this.#refresh();
    return this.#entries.get(key)?.head.info;
  }

  *infos(): Iterable<[string, EntryInfo]> {
    this.#refresh();
    for (const [key, { head }] of [...this.#entries]) yield [key, head.info];
  }

  batch<T>(body: () => T): T {
    const run = (): T => {
      const before = this.#entries;
      this.#entries = new Map(before);
      try {
        return body();
      } catch (error) {
        this.#entries = before;
        throw error;
      }
    };
    if (this.#batch) return run();
    return this.#locked(() => {
      this.#refresh();
      const inFile = this.#entries;
      const batch = this.#batch = { changed: false };
      try {
        const result = run();
        if (batch.changed) this.#save();
        return result;
      } catch (error) {
        this.#entries = inFile;
        throw error;
      } finally {
        this.#batch = undefined;
      }
    });
  }

  another(name: string): Store {
    if (realPath(name) === this.#path) {
      throw new RangeError(`${name} is ${this.name} itself: name another file`);
    }
    return new FileStore(name, this.#options);
  }

  drop(): void {
    this.#locked((lock) => {
      removeFile(this.#path);
      lock.remove();
    });
  }

  close(): void {
    this.#entries = new Map();
  }

  /** Makes one change; `change` tells whether it did. */
  #change(change: (entries: Map<string, Kept>) => boolean): boolean {
    if (!this.#batch) return this.batch(() => this.#change(change));
    const changed = change(this.#entries);
    if (changed) this.#batch.changed = true;
    return changed;
  }

  #locked<T>(body: (lock: HeldLock) => T): T {
    const { timeout, permissions } = this.#options;
    return withFileLock(`${this.#path}-lock`, { timeout, mode: permissions }, body);
  }

  /** Reads the file again if it is another than the one that was read. */
  #refresh(): void {
    if (this.#batch) return;
    try {
      const state = fileState(this.#path);
      const same = state?.modified === this.#state?.modified && state?.inode === this.#state?.inode &&
        state?.size === this.#state?.size;
      if (same) return;
      this.#entries = parse(orAbsent(() => readFile(this.#path)), this.name);
      this.#state = state;
    } catch (error) {
      throw cannot(error, `${this.name} cannot be read`);
    }
  }

  #save(): void {
    const records = Array.from(this.#entries.values(), ({ bytes }) => bytes);
    const first = new TextEncoder().encode(`${MARK}","entries":${records.length}}\n`);
    try {
      writeFile(this.#path, concat([first, ...records]), {
        mode: this.#options.permissions ?? this.#state?.mode,
        modified: Math.max(Date.now(), Math.floor(this.#state?.modified ?? 0) + 1),
      });
      this.#state = fileState(this.#path);
    } catch (error) {
      throw cannot(error, `${this.name} cannot be written`);
    }
  }
}

function parse(bytes: Uint8Array | undefined, name: string): Map<string, Kept> {
  const entries: Map<string, Kept> = new Map();
  if (!bytes || bytes.length === 0) return entries;
  const count = countInFirstLine(bytes, name);
  let at = bytes.indexOf(10) + 1;
  while (at < bytes.length) {
    const head = readHead(bytes, at, name);
    const end = head ? head.at + head.info.size + 1 : Infinity;
    if (!head || end > bytes.length) throw damaged(name, "its last entry was cut short");
    entries.set(head.key, { bytes: bytes.subarray(at, end), head: { ...head, at: head.at - at } });
    at = end;
  }
  if (entries.size !== count) throw damaged(name, `it has ${entries.size} entries of ${count}`);
  return entries;
}

function countInFirstLine(bytes: Uint8Array, name: string): number {
  const line = new TextDecoder().decode(bytes.subarray(0, 100));
  const [, version, count] = /^\{"pathos":"file (\d+)","entries":(\d+)\}\n/.exec(line) ?? [];
  if (version === undefined) {
    throw new Error(`${name} is a file of something else, and was left as it is: name another file`);
  }
  if (version !== "1") {
    throw new Error(`${name} was written by a newer version of this library (file ${version})`);
  }
  return Number(count);
}

/**
 * An archive in one file: small ones, to be carried about, sent, or read by people.
 *
 * Any number of processes may use the file at once. Every change rewrites it: give many entries to `update`, or write
 * them in a `transaction`; for more than some thousand entries take a `SqlArchive`. With `protocol: "json"` the file is lines of
 * JSON: one that says what it is, then for each entry a line about it and a line with its value.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { FileArchive } from "@pathos/pathos/cache";
 *
 * const path = `${Deno.makeTempDirSync()}/settings.pathos`;
 * using archive = new FileArchive<string, number>(path, { protocol: "json" });
 * archive.update(Object.entries({ width: 640, height: 480 }));
 *
 * using again = new FileArchive<string, number>(path);
 * assertEquals(new Map(again), new Map([["width", 640], ["height", 480]]));
 * ```
 */
export class FileArchive<K extends ArchiveKey = ArchiveKey, V = unknown> extends StoreArchive<K, V> {
  /**
   * Opens the archive; a file that is not there is made by the first write.
   *
   * @param path The file.
   * @param options How entries are written and read, and how long to wait for others.
   * @throws {Error} If there is no such folder, or something else at the path.
   * @throws {CorruptDataError} If the file is damaged, or of a newer version.
   */
  constructor(path: string, options: FileOptions = {}) {
    super(new FileStore(path, options), options);
  }
}
