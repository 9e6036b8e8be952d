/**
 * SQLite's files: a VFS named "pathos" that maps the calls of its pager to runtime/disk_file.ts and sqlite_locks.ts, by
 * writing the C structures sqlite3_vfs and sqlite3_io_methods into SQLite's memory.
 *
 * What the pager is promised, and what not:
 * - A journal that is there but empty is absent, as in SQLite's own os_unix.c: with `journal_mode=TRUNCATE` that is the normal state.
 * - No file is said to be undeletable while open (SQLITE_IOCAP_UNDELETABLE_WHEN_OPEN): the pager would then keep the
 *   journal open and trust it, and a journal left by a dead process would be played back over newer pages.
 * - Overwriting some bytes leaves their neighbours alone, also when power fails (SQLITE_IOCAP_POWERSAFE_OVERWRITE).
 * - There is no shared memory: WAL only works with `locking_mode=EXCLUSIVE`.
 * - There are no temporary files; SQLite is built to keep temporary tables in memory.
 * A call that fails tells SQLite a code; what the system said is kept for {@linkcode takeFailure}, so that the
 * user's error names the file and the reason.
 */
import {
  builtin,
  type DiskFile,
  fileSize,
  openDiskFile,
  removeFile,
  sleepSync,
  systemCode,
} from "../runtime/mod.ts";
import type { DatabaseLocks } from "./sqlite_locks.ts";
import { type Callback, sqliteModule } from "./sqlite_wasm.ts";

const OK = 0, BUSY = 5, NOTFOUND = 12, FULL = 13, CANTOPEN = 14;
const IOERR_READ = 266, IOERR_SHORT_READ = 522, IOERR_WRITE = 778, IOERR_FSYNC = 1034, IOERR_TRUNCATE = 1546;
const IOERR_FSTAT = 1802, IOERR_UNLOCK = 2058, IOERR_DELETE = 2570, IOERR_ACCESS = 3338;
const IOERR_CHECKRESERVEDLOCK = 3594, IOERR_LOCK = 3850, IOERR_CLOSE = 4106, IOERR_DELETE_NOENT = 5898;
const OPEN_READONLY = 1, OPEN_CREATE = 4, OPEN_EXCLUSIVE = 16, OPEN_MAIN_DB = 0x100;
const ACCESS_EXISTS = 0;
const POWERSAFE_OVERWRITE = 0x1000, SECTOR = 4096;
/** Bytes of sqlite3_file as we use it: a pointer to the methods and the number of the open file. */
const FILE_BYTES = 8, LONGEST_PATH = 4096;
/** 1970 as a Julian day, in milliseconds. */
const JULIAN_1970 = 210866760000000;

/** What a database's files share. */
export interface DatabaseFiles {
  readonly path: string;
  readonly locks: DatabaseLocks;
  /** Mode of new files; undefined for what the umask leaves. */
  readonly permissions: number | undefined;
  /** Whether a write-ahead log may be there: never while others may have the database open. */
  readonly mayLog: boolean;
}

/** What went wrong in the last call that SQLite was told to have failed. */
export interface Failure {
  readonly path: string;
  readonly error: unknown;
}

/** One of a database's files, open or not. */
interface NamedFile {
  readonly database: DatabaseFiles;
  readonly role: "main" | "journal" | "log";
  /** Whether its name is on the disk, and not only what is in it: a journal that is gone after a power failure is no help. */
  durable: boolean;
}

interface OpenFile extends Pick<NamedFile, "database"> {
  readonly disk: DiskFile;
  readonly file: NamedFile;
  readonly main: boolean;
}

const openFiles: (OpenFile | undefined)[] = [];
/** The files of all databases by the pointers to their names, which stay where they are. */
const byName = new Map<number, NamedFile>();
let opening: DatabaseFiles | undefined;
let failure: Failure | undefined;
let registered = false;

/**
 * Runs `open`, which has SQLite open a database by the VFS "pathos" whose files these are. They have to stay as they
 * are until SQLite has closed it.
 */
export function withFiles<T>(files: DatabaseFiles, open: () => T): T {
  if (!registered) register();
  registered = true;
  opening = files;
  try {
    return open();
  } finally {
    opening = undefined;
  }
}

/** The file of a database that SQLite has open. */
export function mainFile(files: DatabaseFiles): DiskFile | undefined {
  return openFiles.find((file) => file?.main && file.database === files)?.disk;
}

/** What went wrong since the last time this was asked. */
export function takeFailure(): Failure | undefined {
  const taken = failure;
  failure = undefined;
  return taken;
}

/** Keeps what the system said, and gives the code for SQLite: that of a full disk if it was that. */
function failed(code: number, path: string, error: unknown): number {
  failure = { path, error };
  const full = (code === IOERR_WRITE || code === IOERR_TRUNCATE || code === IOERR_FSYNC) &&
    ["ENOSPC", "EDQUOT", "EFBIG"].includes(systemCode(error) ?? "");
  return full ? FULL : code;
}

function register(): void {
  const sqlite = sqliteModule();
  const { api } = sqlite;

  const fileOf = (pointer: number): OpenFile => openFiles[sqlite.ints[(pointer >> 2) + 1]]!;

  const methods: Callback[] = [
    { // xClose
      parameters: "i",
      call(pointer: number) {
        const index = sqlite.ints[(pointer >> 2) + 1];
        const { disk, main, database } = openFiles[index]!;
        openFiles[index] = undefined;
        if (main) forget(database);
        try {
          disk.close();
          return OK;
        } catch (error) {
          return failed(IOERR_CLOSE, disk.path, error);
        }
      },
    },
    { // xRead
      parameters: "iiil",
      call(pointer: number, into: number, bytes: number, at: bigint) {
        const { disk } = fileOf(pointer);
        try {
          const target = sqlite.bytes.subarray(into, into + bytes);
          const count = disk.read(target, Number(at));
          if (count === bytes) return OK;
          target.fill(0, count);
          return IOERR_SHORT_READ;
        } catch (error) {
          return failed(IOERR_READ, disk.path, error);
        }
      },
    },
    { // xWrite
      parameters: "iiil",
      call(pointer: number, from: number, bytes: number, at: bigint) {
        const { disk } = fileOf(pointer);
        try {
          disk.write(sqlite.bytes.subarray(from, from + bytes), Number(at));
          return OK;
        } catch (error) {
          return failed(IOERR_WRITE, disk.path, error);
        }
      },
    },
    { // xTruncate
      parameters: "il",
      call(pointer: number, size: bigint) {
        const { disk } = fileOf(pointer);
        try {
          disk.truncate(Number(size));
          return OK;
        } catch (error) {
          return failed(IOERR_TRUNCATE, disk.path, error);
        }
      },
    },
    { // xSync
      parameters: "ii",
      call(pointer: number) {
        const { disk, file } = fileOf(pointer);
        try {
          disk.sync();
          if (!file.durable) syncFolder(disk.path);
          file.durable = true;
          return OK;
        } catch (error) {
          return failed(IOERR_FSYNC, disk.path, error);
        }
      },
    },
    { // xFileSize
      parameters: "ii",
      call(pointer: number, size: number) {
        const { disk } = fileOf(pointer);
        try {
          write64(size, disk.size());
          return OK;
        } catch (error) {
          return failed(IOERR_FSTAT, disk.path, error);
        }
      },
    },
    { // xLock
      parameters: "ii",
      call(pointer: number, level: number) {
        const { database, main } = fileOf(pointer);
        try {
          return !main || database.locks.lock(level) ? OK : BUSY;
        } catch (error) {
          return failed(IOERR_LOCK, database.path, error);
        }
      },
    },
    { // xUnlock
      parameters: "ii",
      call(pointer: number, level: number) {
        const { database, main } = fileOf(pointer);
        try {
          if (main) database.locks.unlock(level);
          return OK;
        } catch (error) {
          return failed(IOERR_UNLOCK, database.path, error);
        }
      },
    },
    { // xCheckReservedLock
      parameters: "ii",
      call(pointer: number, answer: number) {
        const { database } = fileOf(pointer);
        try {
          sqlite.ints[answer >> 2] = database.locks.isReserved() ? 1 : 0;
          return OK;
        } catch (error) {
          return failed(IOERR_CHECKRESERVEDLOCK, database.path, error);
        }
      },
    },
    { parameters: "iii", call: () => NOTFOUND }, // xFileControl: nothing beyond what is above
    { parameters: "i", call: () => SECTOR }, // xSectorSize
    { parameters: "i", call: () => POWERSAFE_OVERWRITE }, // xDeviceCharacteristics
  ];

  const calls: Callback[] = [
    { // xOpen
      parameters: "iiiii",
      call(_vfs: number, name: number, pointer: number, flags: number, flagsOut: number) {
        sqlite.ints[pointer >> 2] = 0; // nothing to close, should this fail
        const main = (flags & OPEN_MAIN_DB) !== 0;
        const database = main ? opening : byName.get(name)?.database;
        if (name === 0 || database === undefined) {
          return failed(CANTOPEN, "a temporary file", new Error("SQLite is to do without"));
        }
        if (main) remember(name, database);
        const file = byName.get(name)!;
        const path = sqlite.text(name);
        try {
          const disk = openNamed(path, file, flags);
          let index = openFiles.indexOf(undefined);
          if (index < 0) index = openFiles.length;
          openFiles[index] = { disk, file, database, main };
          sqlite.ints[pointer >> 2] = ioMethods;
          sqlite.ints[(pointer >> 2) + 1] = index;
          if (flagsOut !== 0) sqlite.ints[flagsOut >> 2] = flags;
          return OK;
        } catch (error) {
          if (main) forget(database);
          return failed(CANTOPEN, path, error);
        }
      },
    },
    { // xDelete
      parameters: "iii",
      call(_vfs: number, name: number, sync: number) {
        const path = sqlite.text(name);
        try {
          if (!removeFile(path)) return IOERR_DELETE_NOENT;
          if (sync !== 0) syncFolder(path);
          return OK;
        } catch (error) {
          return failed(IOERR_DELETE, path, error);
        }
      },
    },
    { // xAccess
      parameters: "iiii",
      call(_vfs: number, name: number, how: number, answer: number) {
        const known = byName.get(name);
        if (how !== ACCESS_EXISTS || known?.role === "log" && !known.database.mayLog) {
          sqlite.ints[answer >> 2] = 0;
          return OK;
        }
        const path = sqlite.text(name);
        try {
          sqlite.ints[answer >> 2] = (fileSize(path) ?? 0) > 0 ? 1 : 0;
          return OK;
        } catch (error) {
          return failed(IOERR_ACCESS, path, error);
        }
      },
    },
    { // xFullPathname: sqlite.ts gives full paths
      parameters: "iiii",
      call(_vfs: number, name: number, bytes: number, into: number) {
        const end = sqlite.bytes.indexOf(0, name) + 1;
        if (end - name > bytes) return CANTOPEN;
        sqlite.bytes.copyWithin(into, name, end);
        return OK;
      },
    },
    { // xRandomness
      parameters: "iii",
      call(_vfs: number, bytes: number, into: number) {
        crypto.getRandomValues(sqlite.bytes.subarray(into, into + bytes) as Uint8Array<ArrayBuffer>);
        return bytes;
      },
    },
    { // xSleep
      parameters: "ii",
      call(_vfs: number, microseconds: number) {
        sleepSync(microseconds / 1000);
        return microseconds;
      },
    },
    { // xCurrentTime
      parameters: "ii",
      call(_vfs: number, into: number) {
        new DataView(sqlite.bytes.buffer).setFloat64(into, (JULIAN_1970 + Date.now()) / 86_400_000, true);
        return OK;
      },
    },
    { parameters: "iii", call: () => 0 }, // xGetLastError: takeFailure says more
    { // xCurrentTimeInt64
      parameters: "ii",
      call(_vfs: number, into: number) {
        write64(into, JULIAN_1970 + Date.now());
        return OK;
      },
    },
  ];

  function write64(pointer: number, value: number): void {
    sqlite.ints[pointer >> 2] = value | 0;
    sqlite.ints[(pointer >> 2) + 1] = Math.floor(value / 2 ** 32);
  }

  /** SQLite keeps the name, its parameters, of which there are none, and the names of journal and log one after another. */
  function remember(name: number, database: DatabaseFiles): void {
    const journal = sqlite.bytes.indexOf(0, name) + 2;
    const log = sqlite.bytes.indexOf(0, journal) + 1;
    byName.set(name, { database, role: "main", durable: false });
    byName.set(journal, { database, role: "journal", durable: false });
    byName.set(log, { database, role: "log", durable: false });
  }

  /** Writes a structure: numbers as they are. */
  function struct(fields: number[]): number {
    const pointer = api.malloc(4 * fields.length);
    sqlite.ints.set(fields, pointer >> 2);
    return pointer;
  }

  const ioMethods = struct([1, ...sqlite.functions(methods)]);
  const [open, remove, access, fullPath, randomness, sleep, time, lastError, time64] = sqlite.functions(
    calls,
  );
  const name = sqlite.newText("pathos");
  const noLibraries = [0, 0, 0, 0]; // xDlOpen, xDlError, xDlSym, xDlClose
  const head = [2, FILE_BYTES, LONGEST_PATH, 0, name, 0]; // version, sizes, next, name, data
  const vfs = struct([
    ...head,
    open,
    remove,
    access,
    fullPath,
    ...noLibraries,
    randomness,
    sleep,
    time,
    lastError,
    time64,
  ]);
  api.sqlite3_vfs_register(vfs, 1);
}

function forget(database: DatabaseFiles): void {
  for (const [name, file] of byName) if (file.database === database) byName.delete(name);
}

/** Opens one of a database's files as SQLite's flags say. */
function openNamed(path: string, file: NamedFile, flags: number): DiskFile {
  const readOnly = (flags & OPEN_READONLY) !== 0;
  if (file.durable) {
    try {
      return openDiskFile(path, { readOnly });
    } catch (error) {
      if (systemCode(error) !== "ENOENT") throw error;
      file.durable = false; // somebody has removed it, and it is to be made again
    }
  }
  const create = (flags & OPEN_CREATE) === 0 ? undefined : (flags & OPEN_EXCLUSIVE) === 0 ? "missing" : "new";
  return openDiskFile(path, { readOnly, create, mode: file.database.permissions });
}

/** Brings the names of files that were made or removed beside this one to the disk. */
function syncFolder(path: string): void {
  const { dirname } = builtin<{ dirname(path: string): string }>("node:path");
  const folder = openDiskFile(dirname(path), { readOnly: true });
  try {
    folder.sync();
  } catch (error) {
    if (systemCode(error) !== "EINVAL") throw error; // a file system that has no such thing
  } finally {
    folder.close();
  }
}
