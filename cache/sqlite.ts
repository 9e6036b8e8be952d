/**
 * A small synchronous SQLite: databases, prepared statements, transactions. Files are shared by any number of processes and
 * threads (sqlite_locks.ts), and stay whole when a process is killed or the disk is full.
 *
 * `mode: "shared"` (default) is open among others: rollback journal, `synchronous=NORMAL`. `mode: "exclusive"` keeps everybody
 * else out from opening to closing and is several times as fast: write-ahead log, whose last transactions a power
 * failure can take back. Neither can be damaged by one. An open `Database` belongs to its thread.
 *
 * A file that some other program made, that is damaged, or that a newer version of this library wrote is refused before
 * anything in it is changed.
 */
import {
  builtin,
  type DiskFile,
  fileKind,
  fileSize,
  openDiskFile,
  realPath,
  removeFile,
  sleepSync,
  systemCode,
} from "../runtime/mod.ts";
import { SqliteError, sqliteError } from "./sqlite_error.ts";
import { DatabaseLocks, LockedError, type SharingMode } from "./sqlite_locks.ts";
import { Statement } from "./sqlite_statement.ts";
import { type DatabaseFiles, mainFile, withFiles } from "./sqlite_vfs.ts";
import { sqliteModule } from "./sqlite_wasm.ts";

export { SqliteError } from "./sqlite_error.ts";
export type { SharingMode } from "./sqlite_locks.ts";
export { type Column, type Row, Statement } from "./sqlite_statement.ts";

/** How a database is opened. */
export interface DatabaseOptions {
  /** `"shared"` (default) among others, `"exclusive"` alone until it is closed. */
  mode?: SharingMode;
  /** True opens a file that is there for reading only. */
  readOnly?: boolean;
  /** Milliseconds to wait for other processes' locks. Default: 60,000. */
  timeout?: number;
  /** Mode of new files, such as 0o600. Default: what the umask leaves of 0o666. */
  permissions?: number;
}

/** What marks our files: the application id "pths", and the version of what is written in them. */
const APPLICATION = 0x70746873, FORMAT = 1;
const OPEN_READONLY = 1, OPEN_READWRITE = 2, OPEN_CREATE = 4;
const MEMORY = ":memory:";
/** Where the file's change counter is (https://www.sqlite.org/fileformat.html, 1.3.7). */
const CHANGE_COUNTER = 24;
const HEADER = 100, MAGIC = "SQLite format 3\0";

/** The open databases, by the number that SQLite gives the busy handler. */
const databases: (Database | undefined)[] = [];
let busyHandler: number | undefined;

/** An open database. */
export class Database {
  /** The file, by its full path without links; `":memory:"` for a database in memory. */
  readonly path: string;
  readonly timeout: number;
  readonly mode: SharingMode;
  readonly readOnly: boolean;
  readonly #locks: DatabaseLocks | undefined;
  readonly #statements = new Set<Statement>();
  readonly #number: number;
  readonly #counter = new Uint8Array(4);
  readonly #counterView = new DataView(this.#counter.buffer);
  #files: DatabaseFiles | undefined;
  #main: DiskFile | undefined;
  #begin: Statement | undefined;
  #commit: Statement | undefined;
  #pointer = 0;
  #depth = 0;
  #waiting = 0;

  /**
   * Opens a database file, and makes it if it is not there; `":memory:"` makes one in memory.
   *
   * @throws {SqliteError} If it cannot be opened; what is there is then as it was.
   */
  constructor(path: string, options: DatabaseOptions = {}) {
    const { mode = "shared", readOnly = false, timeout = 60_000, permissions } = options;
    if (mode !== "shared" && mode !== "exclusive") {
      throw new TypeError(`mode: ${JSON.stringify(mode)} is neither "shared" nor "exclusive"`);
    }
    if (readOnly && mode === "exclusive") {
      throw new TypeError('mode: "exclusive" is for who writes; it cannot be had with readOnly');
    }
    this.path = databasePath(path);
    this.timeout = timeout;
    this.mode = mode;
    this.readOnly = readOnly;
    let number = databases.indexOf(undefined);
    if (number < 0) number = databases.length;
    this.#number = number;
    databases[number] = this;
    try {
      if (path === MEMORY) {
        this.#open(undefined);
      } else {
        this.#header(); // nothing is to be made beside a file that is not ours
        const locks = this.#locks = new DatabaseLocks(this.path, mode, { readOnly, timeout, permissions });
        this.#bringIntoOrder(locks, permissions);
        this.#open({ path: this.path, locks, permissions, mayLog: mode === "exclusive" });
      }
      if (mode === "exclusive") this.exec("PRAGMA locking_mode=EXCLUSIVE");
      this.#identify();
      if (!readOnly) this.exec(`PRAGMA journal_mode=${mode === "exclusive" ? "WAL" : "TRUNCATE"}`);
      this.exec("PRAGMA synchronous=NORMAL");
    } catch (error) {
      this.#release();
      throw asSqliteError(error, this.path);
    }
  }

  /** SQLite's pointer; 0 once closed. */
  get pointer(): number {
    return this.#pointer;
  }

  /** Rows that the last statement inserted, updated or deleted. */
  get changes(): number {
    return sqliteModule().api.sqlite3_changes(this.#pointer);
  }

  /** Runs statements that give no rows. */
  exec(sql: string): void {
    const { api, newText } = sqliteModule();
    this.#needOpen();
    const text = newText(sql);
    try {
      const result = api.sqlite3_exec(this.#pointer, text, 0, 0, 0);
      if (result !== 0) throw sqliteError(result, this.#pointer, this.path, this.timeout);
    } finally {
      api.free(text);
    }
  }

  /** Prepares a statement, which the database finalizes when it is closed. */
  prepare(sql: string): Statement {
    this.#needOpen();
    const statement = new Statement(this, sql);
    this.#statements.add(statement);
    return statement;
  }

  /** Told of each statement that is finalized. */
  forget(statement: Statement): void {
    this.#statements.delete(statement);
  }

  /**
   * Runs `body`, whose writes become visible together, or not at all if it throws; inside another transaction they become
   * part of that one. The body must be synchronous.
   */
  transaction<T>(body: () => T): T {
    const inner = this.#depth > 0 ? `s${this.#depth}` : undefined;
    if (inner) this.exec(`SAVEPOINT ${inner}`);
    else (this.#begin ??= this.prepare("BEGIN IMMEDIATE")).run();
    this.#depth++;
    try {
      const value = body();
      if (value instanceof Promise) {
        value.catch(() => {}); // it failed or not, what it wrote so far is taken back
        throw new TypeError("the body of a transaction has to be synchronous, and this one gave a promise");
      }
      if (inner) this.exec(`RELEASE ${inner}`);
      else (this.#commit ??= this.prepare("COMMIT")).run();
      return value;
    } catch (error) {
      // after a full disk and the like SQLite has rolled back all by itself
      if (sqliteModule().api.sqlite3_get_autocommit(this.#pointer) === 0) {
        this.exec(inner ? `ROLLBACK TO ${inner}; RELEASE ${inner}` : "ROLLBACK");
      }
      throw error;
    } finally {
      this.#depth--;
    }
  }

  /** Whether the path still leads to the file that was opened: it has not been removed or replaced. */
  isCurrent(): boolean {
    return this.#files === undefined || (mainFile(this.#files)?.isCurrent() ?? false);
  }

  /**
   * A number that is another one after each change of the content: the file's change counter, which every transaction
   * raises while it is committed, before that is complete. Asked for without a lock it may be that of a transaction under way,
   * or of one that is going to be taken back; while a statement reads it is that of what is read.
   */
  version(): number {
    this.#needOpen();
    if (this.mode === "exclusive" || this.#files === undefined) {
      return sqliteModule().api.sqlite3_total_changes(this.#pointer); // nobody else changes anything
    }
    this.#main ??= mainFile(this.#files)!;
    return this.#main.read(this.#counter, CHANGE_COUNTER) === 4 ? this.#counterView.getUint32(0) : -1;
  }

  /** Whether a transaction is under way. */
  get inTransaction(): boolean {
    return this.#depth > 0;
  }

  /** Closes the database. Closing twice is no error. */
  close(): void {
    if (this.#pointer === 0) return;
    if (this.#depth > 0) throw new Error(`${this.path} cannot be closed inside a transaction`);
    try {
      // others can only open it without a write-ahead log
      if (this.mode === "exclusive" && this.#locks) this.exec("PRAGMA journal_mode=TRUNCATE");
    } finally {
      this.#release();
    }
  }

  /** Closes the database and removes the file and all that belongs to it. Only for who has it exclusively. */
  remove(): void {
    if (this.mode !== "exclusive") {
      throw new Error(`${this.path}: only who has a database exclusively can remove it`);
    }
    this.#closeFile();
    try {
      // the database first: a journal without one means nothing
      for (const suffix of ["", "-journal", "-wal"]) removeFile(this.path + suffix);
      this.#locks?.remove();
    } catch (error) {
      throw asSqliteError(error, this.path);
    } finally {
      this.#release();
    }
  }

  /** Waits a little for another process's lock: SQLite's busy handler. False when that has lasted too long. */
  wait(times: number): boolean {
    const now = performance.now();
    if (times === 0) this.#waiting = now;
    if (now - this.#waiting > this.timeout) return false;
    // At random, lest some always come too late; rarely at first, since writing takes others some 0.3 ms.
    sleepSync(0.05 + Math.random() * Math.min(4, 0.3 * 1.2 ** times));
    return true;
  }

  #needOpen(): void {
    if (this.#pointer === 0) throw new SqliteError("SQLITE_MISUSE", this.path, "is closed");
  }

  #open(files: DatabaseFiles | undefined): void {
    this.#files = files;
    this.#main = undefined;
    const { api, newText } = sqliteModule();
    const flags = this.readOnly ? OPEN_READONLY : OPEN_READWRITE | OPEN_CREATE;
    const path = newText(this.path), out = api.malloc(4);
    const open = () => api.sqlite3_open_v2(path, out, flags, 0);
    try {
      const result = files ? withFiles(files, open) : open();
      this.#pointer = sqliteModule().ints[out >> 2];
      if (result !== 0) throw sqliteError(result, this.#pointer, this.path, this.timeout);
    } finally {
      api.free(path);
      api.free(out);
    }
    api.sqlite3_extended_result_codes(this.#pointer, 1);
    busyHandler ??= sqliteModule().functions([{
      parameters: "ii",
      call: (number: number, times: number) => databases[number]!.wait(times) ? 1 : 0,
    }])[0];
    api.sqlite3_busy_handler(this.#pointer, busyHandler, this.#number);
  }

  /**
   * Looks at the file itself before SQLite does, which would roll back another program's journal and might disturb that at
   * work; and ends the write-ahead log of an exclusive process that was killed, which SQLite cannot read among others.
   */
  #bringIntoOrder(locks: DatabaseLocks, permissions: number | undefined): void {
    while (this.#header()?.log && this.mode === "shared") {
      if (this.readOnly) {
        const what = "was left in disorder by a process that was killed: open it once for writing";
        throw new SqliteError("SQLITE_READONLY", this.path, what);
      }
      locks.reenter("exclusive");
      if (this.#header()?.log) {
        this.#open({ path: this.path, locks, permissions, mayLog: true });
        this.exec("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=TRUNCATE");
        this.#closeFile();
      }
      locks.reenter("shared");
    }
  }

  /** Whether the file has a write-ahead log; undefined if there is no file, or an empty one. */
  #header(): { log: boolean } | undefined {
    const header = new Uint8Array(HEADER);
    let bytes: number;
    try {
      const file = openDiskFile(this.path, { readOnly: true });
      try {
        bytes = file.read(header, 0);
      } finally {
        file.close();
      }
    } catch (error) {
      if (systemCode(error) === "ENOENT" && !this.readOnly) return undefined;
      throw error;
    }
    if (bytes === 0) return undefined;
    if (bytes < HEADER || new TextDecoder().decode(header.subarray(0, MAGIC.length)) !== MAGIC) {
      throw new SqliteError("SQLITE_NOTADB", this.path, "is not a database; nothing in it was changed");
    }
    if (new DataView(header.buffer).getUint32(68) !== APPLICATION) {
      throw new SqliteError(
        "SQLITE_NOTADB",
        this.path,
        "is a database of another program; nothing in it was changed",
      );
    }
    return { log: header[18] === 2 };
  }

  /** Checks that the file is ours, whole and not of a newer version; marks a new one. */
  #identify(): void {
    const [pages, pageBytes, version] = this.#describe();
    if (pages === 0) {
      if (this.readOnly) return;
      this.transaction(() => {
        if (this.#describe()[2] > 0) return; // another process was quicker
        this.exec(`PRAGMA application_id=${APPLICATION}; PRAGMA user_version=${FORMAT}`);
      });
    } else if (version > FORMAT) {
      throw new SqliteError(
        "SQLITE_MISMATCH",
        this.path,
        `was written by a newer version of this library (format ${version}; this one writes ${FORMAT}): update it`,
      );
    } else if (this.#locks && (fileSize(this.path) ?? 0) % pageBytes > 0) {
      throw new SqliteError("SQLITE_CORRUPT", this.path, "is truncated in the middle of a page");
    }
  }

  /** Pages, bytes of a page, and version of the format, as of one moment. */
  #describe(): number[] {
    const ask = (pragma: string) => {
      const statement = new Statement(this, `PRAGMA ${pragma}`);
      try {
        return statement.get()![0] as number;
      } finally {
        statement.finalize();
      }
    };
    const questions = ["page_count", "page_size", "user_version"];
    if (this.inTransaction) return questions.map(ask);
    this.exec("BEGIN");
    try {
      return questions.map(ask);
    } finally {
      this.exec("COMMIT");
    }
  }

  #closeFile(): void {
    for (const statement of this.#statements) statement.finalize();
    this.#statements.clear();
    this.#begin = this.#commit = undefined;
    if (this.#pointer !== 0) sqliteModule().api.sqlite3_close_v2(this.#pointer);
    this.#pointer = 0;
  }

  #release(): void {
    this.#closeFile();
    this.#locks?.close();
    if (databases[this.#number] === this) databases[this.#number] = undefined;
  }
}

/** The full path without links, so that the locks and the journal lie beside the file whatever name it is opened by. */
export function databasePath(path: string): string {
  if (path === MEMORY) return path;
  try {
    const full = realPath(path);
    const folder = builtin<{ dirname(path: string): string }>("node:path").dirname(full);
    if (fileKind(folder) === "folder") return full;
  } catch (error) {
    throw asSqliteError(error, path);
  }
  throw new SqliteError("SQLITE_CANTOPEN", path, "cannot be opened: its folder is not there");
}

function asSqliteError(error: unknown, path: string): unknown {
  if (error instanceof SqliteError) return error;
  if (error instanceof LockedError) {
    return new SqliteError("SQLITE_BUSY", path, error.message, { cause: error });
  }
  if (error instanceof Error && (systemCode(error) !== undefined || error.name === "NotCapable")) {
    return new SqliteError("SQLITE_CANTOPEN", path, `cannot be opened: ${error.message}`, { cause: error });
  }
  return error;
}
