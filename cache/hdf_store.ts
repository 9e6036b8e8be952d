/**
 * All entries in one HDF5 file, beside it the log of what has changed since (hdf_log.ts).
 *
 * The HDF5 file is never changed in place, and what is at its path is a whole one at any moment, for other programs too. It is
 * brought up to date by `flush`, by `close`, and when the log has become larger than it (and than 64 MB): where entries
 * were only added, to a copy of the old file, else by writing all entries into a new one; then the new one is renamed
 * into place and the log emptied. A crash between those two is seen by the next opener, because a file names the log that
 * it contains (`folded`), and the log the file to which it belongs.
 *
 * Readers take no lock. Who finds that the log was emptied by another opens the new file, for which it takes the writers' lock.
 */
import {
  builtin,
  copyFile,
  fileKind,
  fileState,
  isNeighbour,
  listFolder,
  newToken,
  openDiskFile,
  realPath,
  removeFile,
  replaceFile,
} from "../runtime/mod.ts";
import { CorruptDataError } from "../serialize/mod.ts";
import { entryOf } from "./codec.ts";
import { withFileLock } from "./file_lock.ts";
import { hdf5 } from "./hdf5.ts";
import { Hdf5File, requireBytes } from "./hdf5_file.ts";
import { bytesValue } from "./hdf5_value.ts";
import { HdfLog, LOG_START, type LogRecord } from "./hdf_log.ts";
import type { Entry, EntryInfo, Store } from "./store.ts";
import { cannot } from "./system_errors.ts";
import type { ArchiveOptions } from "./types.ts";

/** A log that is larger than this, and than the HDF5 file, is not left to grow until the archive is closed. */
const LARGE_LOG = 64 * 2 ** 20;

/** Options of {@linkcode HdfArchive}. */
export interface HdfOptions extends ArchiveOptions {
  /** Milliseconds to wait for other processes' writes. Default: 60,000. */
  timeout?: number;
}

/** Where an entry is: in the log, or in the HDF5 file, which is asked for the description when that is needed. */
type Place = { log: NonNullable<LogRecord["value"]> } | { log?: undefined; info?: EntryInfo };

/** Writes that become visible together: where the log will end, and how to undo them here. */
interface Batch {
  end: number;
  undo: (() => void)[];
}

/** The store. */
export class HdfStore implements Store {
  readonly name: string;
  readonly meeting: string;
  readonly #path: string;
  readonly #options: HdfOptions;
  readonly #compression: number;
  #log: HdfLog | undefined;
  #file: Hdf5File | undefined;
  #places: Map<string, Place> = new Map();
  /** The generation and the end of the log up to which `#places` is known. */
  #generation = -1;
  #end = LOG_START;
  /** Keys that the HDF5 file holds, and how many of them still stand for what is there. */
  #inFile = 0;
  #valid = 0;
  #batch: Batch | undefined;
  #largeLog = LARGE_LOG;

  constructor(path: string, options: HdfOptions) {
    this.name = path;
    this.#options = options;
    this.#compression = options.serialized === false ? options.compression ?? 0 : 0;
    try {
      this.#path = this.meeting = realPath(path);
      if (fileKind(this.#path) === "folder") {
        throw new Error(`${path} is a folder: HdfDirArchive keeps entries in one`);
      }
      hdf5(); // not only when it is needed: that may be in close()
      this.#update();
    } catch (error) {
      this.#closeFiles();
      throw cannot(error, `${path} cannot be opened`);
    }
  }

  read(key: string): Entry | undefined {
    for (;;) {
      this.#update();
      const place = this.#places.get(key);
      if (place === undefined) return undefined;
      if (!place.log) return this.#file!.read(key);
      const { at, size, kind, meta } = place.log;
      const bytes = this.#log!.value(at, size);
      if (!this.#isCurrent()) continue;
      const value = bytes.length === size ? bytesValue(kind, bytes) : undefined;
      if (value === undefined) throw new CorruptDataError(`${entryOf(this.name, key)} is damaged in its log`);
      return { value, meta };
    }
  }

  write(key: string, { value, meta }: Entry): void {
    const packed = requireBytes(value, key, this.name);
    this.#change(() => this.#append(key, { ...packed, meta }));
  }

  remove(key: string): boolean {
    this.#update();
    if (!this.#places.has(key)) return false;
    return this.#change(() => {
      const there = this.#places.has(key);
      if (there) this.#append(key);
      return there;
    });
  }

  clear(): void {
    this.#change(() => {
      if (this.#places.size > 0) this.#append(undefined);
    });
  }

  count(): number {
    this.#update();
    return this.#places.size;
  }

  info(key: string): EntryInfo | undefined {
    this.#update();
    const place = this.#places.get(key);
    return place && this.#infoAt(key, place);
  }

  *infos(): Iterable<[string, EntryInfo]> {
    this.#update();
    for (const key of [...this.#places.keys()]) {
      const place = this.#places.get(key);
      if (place) yield [key, this.#infoAt(key, place)];
    }
  }

  batch<T>(body: () => T): T {
    return this.#change(body);
  }

  another(name: string): Store {
    if (realPath(name) === this.#path) {
      throw new RangeError(`${name} is ${this.name} itself: name another file`);
    }
    return new HdfStore(name, this.#options);
  }

  /** Brings the HDF5 file up to date. */
  flush(): void {
    if (this.#batch) throw new Error(`${this.name} is in a transaction: let that end before flush()`);
    this.#update();
    if (this.#end === LOG_START) return;
    this.#locked(() => this.#fold());
  }

  drop(): void {
    withFileLock(this.#logPath, this.#lockOptions, (lock) => {
      this.#closeFiles();
      const log = HdfLog.open(this.#logPath, undefined);
      log?.reset({ hasFile: false, token: newFileToken() }); // so that others who have it open notice
      log?.close();
      removeFile(this.#path);
      lock.remove();
    });
  }

  close(): void {
    try {
      if (this.#log && !this.#log.readOnly) this.flush();
    } finally {
      this.#closeFiles();
    }
  }

  #closeFiles(): void {
    this.#file?.discard();
    this.#log?.close();
    this.#file = this.#log = undefined;
    this.#places = new Map();
    this.#generation = -1;
  }

  get #logPath(): string {
    return `${this.#path}-log`;
  }

  get #lockOptions(): { timeout?: number; mode?: number } {
    return { timeout: this.#options.timeout, mode: this.#options.permissions };
  }

  #infoAt(key: string, place: Place): EntryInfo {
    if (!place.log) return place.info ??= this.#file!.info(key);
    const { meta, size } = place.log;
    return { ...meta, size };
  }

  /** Runs `body` with the lock, everything known, and makes what it appends visible together. */
  #change<T>(body: () => T): T {
    if (this.#batch) return this.#undone(this.#batch, body);
    return this.#locked(() => {
      const batch: Batch = this.#batch = { end: this.#end, undo: [] };
      try {
        const result = this.#undone(batch, () => {
          const result = body();
          if (batch.end > this.#end) this.#io("written", () => this.#log!.commit(batch.end));
          return result;
        });
        this.#end = batch.end;
        return result;
      } finally {
        this.#batch = undefined;
        this.#shorten();
      }
    });
  }

  /** Runs `body`; if it throws, what was changed meanwhile is as before. */
  #undone<T>(batch: Batch, body: () => T): T {
    const { end, undo: { length } } = batch;
    try {
      return body();
    } catch (error) {
      for (const undo of batch.undo.splice(length).reverse()) undo();
      if (batch.end > end) this.#log!.rollback(end);
      batch.end = end;
      throw error;
    }
  }

  #append(key: string | undefined, value?: Parameters<HdfLog["write"]>[2]): void {
    const batch = this.#batch!;
    const { record, end } = this.#io("written", () => this.#log!.write(batch.end, key, value));
    batch.end = end;
    batch.undo.push(this.#apply(record));
  }

  #io<T>(what: "opened" | "written", body: () => T): T {
    try {
      return body();
    } catch (error) {
      throw cannot(error, `${this.name} cannot be ${what}`);
    }
  }

  /** Takes a record into `#places`; gives what undoes that. */
  #apply({ key, value }: LogRecord): () => void {
    const places = this.#places, valid = this.#valid;
    if (key === undefined) {
      this.#places = new Map();
      this.#valid = 0;
    } else {
      const before = places.get(key);
      if (before && !before.log) this.#valid--;
      places.delete(key); // what is written again comes last
      if (value) places.set(key, { log: value });
      return () => {
        if (before) places.set(key, before);
        else places.delete(key);
        this.#valid = valid;
      };
    }
    return () => {
      this.#places = places;
      this.#valid = valid;
    };
  }

  #isCurrent(): boolean {
    return this.#batch !== undefined || !this.#log || this.#log.state().generation === this.#generation;
  }

  /** Takes in what others have written. */
  #update(locked = false): void {
    if (this.#batch) return;
    if (this.#log) {
      const { generation, end } = this.#log.state();
      if (generation === this.#generation && end >= this.#end) {
        if (end > this.#end) this.#read(end);
        return;
      }
    }
    if (locked) return this.#open();
    this.#log ??= HdfLog.open(this.#logPath, this.#options.permissions);
    if (this.#log && !this.#log.readOnly) return this.#locked(() => {});
    // nothing may be written here, so it will hardly change, and who changes it cannot be shut out
    this.#open();
  }

  #read(end: number): void {
    for (const record of this.#log!.records(this.#end, end)) this.#apply(record);
    this.#end = end;
  }

  #locked<T>(body: () => T): T {
    return withFileLock(this.#logPath, this.#lockOptions, () => {
      if (this.#log && (this.#log.readOnly || !this.#log.isCurrent())) {
        this.#log.close(); // it was dropped, and perhaps begun anew
        this.#log = undefined;
      }
      this.#log ??= HdfLog.open(this.#logPath, this.#options.permissions);
      this.#update(true);
      return body();
    });
  }

  /** Opens the HDF5 file and reads the whole log. */
  #open(): void {
    this.#file?.discard();
    this.#file = undefined;
    this.#generation = -1;
    const log = this.#log;
    const token = this.#openFile(log);
    const counts = log !== undefined && this.#logCounts(log, token);
    const { generation, end } = log?.state() ?? { generation: 0, end: LOG_START };
    this.#places = new Map(this.#file ? (this.#file as Hdf5File).keys().map((key) => [key, {}]) : []);
    this.#inFile = this.#valid = this.#places.size;
    this.#end = counts ? LOG_START : end;
    if (counts) this.#read(end);
    this.#generation = generation;
  }

  #openFile(log: HdfLog | undefined): string | undefined {
    if (fileKind(this.#path) === undefined) {
      if (log) return undefined;
      throw new Error(`${this.name} is not there, and its folder is read-only`);
    }
    this.#file = new Hdf5File(this.#path, this.name, "read");
    return this.#file.attribute("generation") ?? "";
  }

  /** Whether the log belongs to the file that is there; if nothing is lost by it, the log is begun anew for that. */
  #logCounts(log: HdfLog, token: string | undefined): boolean {
    const hasFile = token !== undefined;
    const owner = log.begun ? log.owner() : undefined;
    if (owner && hasFile === owner.hasFile && (!hasFile || token === owner.token)) return true;
    const empty = log.state().end === LOG_START;
    const contained = hasFile && this.#file!.attribute("folded") === owner?.token;
    if (empty || contained) {
      if (!log.readOnly) log.reset({ hasFile, token: token || newFileToken() });
      return false;
    }
    throw new CorruptDataError(
      hasFile
        ? `${this.name} is not the file to which the changes in ${this.#logPath} belong. Put that one back; or remove the log, ` +
          "and with it those changes"
        : `${this.name} is gone, and ${this.#logPath} holds changes to it. Put it back; or remove the log, and with it those changes`,
    );
  }

  /** Brings the HDF5 file up to date if the log has become large. */
  #shorten(): void {
    if (this.#end <= Math.max(this.#largeLog, fileState(this.#path)?.size ?? 0)) return;
    try {
      this.#fold();
    } catch {
      this.#largeLog = 2 * this.#end; // what was written is safe; flush() and close() tell what is wrong
    }
  }

  /** Brings the HDF5 file up to date. Only with the lock, everything known, outside of a batch. */
  #fold(): void {
    if (this.#end === LOG_START) return;
    try {
      this.#tidy();
      this.#replaceFile();
    } catch (error) {
      const { message } = cannot(error, this.#path) as Error;
      throw new Error(
        `${this.name} cannot be brought up to date: ${message}; the changes are safe in ${this.#logPath}, and the next flush() ` +
          "or close() tries again",
        { cause: error },
      );
    }
    this.#update(true);
  }

  #replaceFile(): void {
    const owner = { hasFile: true, token: newFileToken() };
    const folded = this.#log!.owner().token;
    replaceFile(this.#path, (neighbour) => {
      const onlyAdded = this.#file !== undefined && this.#valid === this.#inFile;
      if (onlyAdded) copyFile(this.#path, neighbour);
      const made = new Hdf5File(neighbour, this.name, onlyAdded ? "write" : "new", this.#options.permissions);
      try {
        for (const [key, place] of this.#places) {
          if (place.log || !onlyAdded) made.add(key, this.read(key)!, this.#compression);
        }
        made.setAttribute("generation", owner.token);
        made.setAttribute("folded", folded);
        made.close();
      } finally {
        made.discard();
      }
      const file = openDiskFile(neighbour);
      try {
        file.sync();
      } finally {
        file.close();
      }
    });
    this.#log!.reset(owner);
  }

  /** Removes what a killed process has left of a new file. */
  #tidy(): void {
    const { basename, dirname } = builtin<Record<"basename" | "dirname", (path: string) => string>>(
      "node:path",
    );
    const folder = dirname(this.#path);
    for (const { name } of listFolder(folder)) {
      if (isNeighbour(name, basename(this.#path))) removeFile(`${folder}/${name}`);
    }
  }
}

/** A new token; 16 characters. */
function newFileToken(): string {
  return newToken(96);
}
