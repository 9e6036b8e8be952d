/**
 * A folder with a file for each entry. Processes need no lock: each file is written whole and renamed into its place, so who reads
 * sees the old entry or the new one, and of two writers the later wins. Several writes cannot be made visible together.
 *
 * The folder is marked as an archive's by the file `pathos-archive.json`. A folder that is neither empty nor marked is refused,
 * and files in it that are not the archive's are neither read nor removed.
 */
import {
  exists,
  fileKind,
  fileState,
  isNeighbour,
  listFolder,
  makeFolder,
  readFile,
  readFileStart,
  realPath,
  removeEmptyFolder,
  removeFile,
  writeFile,
} from "../runtime/mod.ts";
import { StoreArchive } from "./archive.ts";
import { entryOf } from "./codec.ts";
import { textToFileName } from "./file_name.ts";
import { damaged, readHead, readRecord, type RecordHead, writeRecord } from "./record.ts";
import type { Entry, EntryInfo, Store } from "./store.ts";
import { cannot, orAbsent } from "./system_errors.ts";
import type { ArchiveKey, ArchiveOptions } from "./types.ts";

/** Marks the folder as an archive's. */
export const MARKER = "pathos-archive.json";

/** How entries lie in their files. */
export interface EntryFormat {
  /** What the marker says the folder is, without the version, which is 1. */
  readonly folder: string;
  /** What the files' names end with. */
  readonly ending: string;
  /** Writes an entry's file, whole or not at all; `name` is the archive, for errors. */
  write(path: string, key: string, entry: Entry, name: string, mode: number | undefined): void;
  /** Reads a file's key and entry; undefined if there is no file. */
  read(path: string): { key: string; entry: Entry } | undefined;
  /** Reads a file's key and description; undefined if there is no file. */
  head(path: string): { key: string; info: EntryInfo } | undefined;
}

/** A first line is mostly shorter than this. */
const HEAD_BYTES = 1024;
/** Milliseconds after which a neighbour is what a killed process has left, and not one that is being written. */
const ABANDONED = 3_600_000;

/** Entries as records (record.ts). */
const RECORDS: EntryFormat = {
  folder: "folder",
  ending: ".entry",
  write: (path, key, entry, name, mode) => writeFile(path, writeRecord(key, entry, name), { mode }),
  read(path) {
    const bytes = orAbsent(() => readFile(path));
    if (!bytes) return undefined;
    const head = completeHead(readHead(bytes, 0, path), path);
    return { key: head.key, entry: readRecord(bytes, head, path) };
  },
  head: (path) =>
    orAbsent(() =>
      readHead(readFileStart(path, HEAD_BYTES), 0, path) ??
        completeHead(readHead(readFile(path), 0, path), path)
    ),
};

function completeHead(head: RecordHead | undefined, path: string): RecordHead {
  if (!head) throw damaged(path, "its first line has no end");
  return head;
}

/** A folder of entries, a file for each. */
export class DirStore implements Store {
  readonly name: string;
  readonly meeting: string;
  readonly #folder: string;
  readonly #mode: number | undefined;
  readonly #format: EntryFormat;

  constructor(path: string, mode: number | undefined, format: EntryFormat = RECORDS) {
    this.name = path;
    this.#mode = mode;
    this.#format = format;
    try {
      this.#folder = this.meeting = realPath(path);
      this.#open();
    } catch (error) {
      throw cannot(error, `${path} cannot be opened as a folder of entries`);
    }
  }

  #open(): void {
    const kind = fileKind(this.#folder);
    if (kind === undefined) makeFolder(this.#folder, folderMode(this.#mode));
    else if (kind !== "folder") {
      throw new Error(
        `${this.name} is a ${kind}, and an archive of this kind is a folder. FileArchive keeps all in one file`,
      );
    }
    const marker = `${this.#folder}/${MARKER}`;
    const foreign = listFolder(this.#folder).some(({ name }) =>
      name !== MARKER && !isNeighbour(name, MARKER)
    );
    if (exists(marker)) return this.#check(marker);
    if (foreign) {
      throw new Error(
        `${this.name} is a folder of something else (there is no ${MARKER}): name an empty or a new folder`,
      );
    }
    const line = JSON.stringify({ pathos: `${this.#format.folder} 1` }) + "\n";
    writeFile(marker, new TextEncoder().encode(line), { mode: this.#mode });
  }

  #check(marker: string): void {
    const text = new TextDecoder().decode(readFile(marker));
    const [, folder, version] = /^\{"pathos":"([a-z ]+) (\d+)"\}\n$/.exec(text) ?? [];
    if (folder === undefined) throw damaged(marker, "it is not what marks a folder of entries");
    if (folder !== this.#format.folder) {
      throw new Error(
        `${this.name} is an archive of another kind (${folder}): DirArchive's is "folder", HdfDirArchive's "hdf folder"`,
      );
    }
    if (version === "1") return;
    throw new Error(`${this.name} was written by a newer version of this library (${folder} ${version})`);
  }

  read(key: string): Entry | undefined {
    const path = this.#path(key);
    const found = this.#format.read(path);
    if (found && found.key !== key) throw damaged(path, "it holds the entry of another key");
    return found?.entry;
  }

  write(key: string, entry: Entry): void {
    try {
      this.#format.write(this.#path(key), key, entry, this.name, this.#mode);
    } catch (error) {
      throw cannot(error, `${entryOf(this.name, key)} cannot be written`);
    }
  }

  remove(key: string): boolean {
    try {
      return removeFile(this.#path(key));
    } catch (error) {
      throw cannot(error, `${entryOf(this.name, key)} cannot be removed`);
    }
  }

  clear(): void {
    this.#tidy(ABANDONED);
    for (const name of this.#files()) removeFile(`${this.#folder}/${name}`);
  }

  count(): number {
    return this.#files().length;
  }

  info(key: string): EntryInfo | undefined {
    const head = this.#format.head(this.#path(key));
    return head?.key === key ? head.info : undefined;
  }

  *infos(): Iterable<[string, EntryInfo]> {
    for (const name of this.#files()) {
      const head = this.#format.head(`${this.#folder}/${name}`);
      // else it is gone meanwhile, or somebody's copy of an entry under another name
      if (head && textToFileName(head.key) + this.#format.ending === name) yield [head.key, head.info];
    }
  }

  removeExpired(now: number): number {
    this.#tidy(ABANDONED);
    let count = 0;
    for (const [key, info] of this.infos()) {
      if (info.expires + info.grace <= now && this.remove(key)) count++;
    }
    return count;
  }

  another(name: string): Store {
    if (realPath(name) === this.#folder) {
      throw new RangeError(`${name} is ${this.name} itself: name another folder`);
    }
    return new DirStore(name, this.#mode, this.#format);
  }

  drop(): void {
    this.clear();
    this.#tidy(0);
    removeFile(`${this.#folder}/${MARKER}`);
    removeEmptyFolder(this.#folder); // it stays if it holds files that are not ours
  }

  close(): void {}

  #path(key: string): string {
    return `${this.#folder}/${textToFileName(key)}${this.#format.ending}`;
  }

  /** The files of entries. */
  #files(): string[] {
    const listed = orAbsent(() => listFolder(this.#folder)) ?? [];
    const { ending } = this.#format;
    return listed.filter(({ name, kind }) => kind === "file" && name.endsWith(ending)).map(({ name }) =>
      name
    );
  }

  /** Removes what writers that were killed have left, if it is older than so many milliseconds. */
  #tidy(age: number): void {
    for (const { name } of orAbsent(() => listFolder(this.#folder)) ?? []) {
      const [, target] = /^(.*)\.\d+-\d+\.tmp$/.exec(name) ?? [];
      if (target === undefined || !(target.endsWith(this.#format.ending) || target === MARKER)) continue;
      const state = fileState(`${this.#folder}/${name}`);
      if (state && state.modified + age <= Date.now()) removeFile(`${this.#folder}/${name}`);
    }
  }
}

function folderMode(mode: number | undefined): number | undefined {
  return mode === undefined ? undefined : mode | ((mode & 0o444) >> 2);
}

/**
 * An archive in a folder, one file for each entry: for few and large values, for folders that are shared by network, and for values
 * that other programs read.
 *
 * Any number of processes may use the folder at once. A file is named after its key and holds one line of JSON about the entry,
 * then the value: with `serialized: false` or `protocol: "json"` what follows the first line is the plain text, bytes or
 * JSON (`tail -n +2 key.entry`). Other files in the folder are left alone.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { DirArchive } from "@pathos/pathos/cache";
 *
 * const path = `${Deno.makeTempDirSync()}/models`;
 * using archive = new DirArchive<string, Float64Array>(path, { compression: 6 });
 * archive.set("weights/1", new Float64Array(1000));
 *
 * using again = new DirArchive<string, Float64Array>(path);
 * assertEquals(again.get("weights/1")?.length, 1000);
 * again.drop();
 * ```
 */
export class DirArchive<K extends ArchiveKey = ArchiveKey, V = unknown> extends StoreArchive<K, V> {
  /**
   * Opens the archive; a folder that is not there is made.
   *
   * @param path The folder.
   * @param options How entries are written and read.
   * @throws {Error} If there is something else at the path, a folder with files of others, or one of a newer version.
   */
  constructor(path: string, options: ArchiveOptions = {}) {
    super(new DirStore(path, options.permissions), options);
  }
}
