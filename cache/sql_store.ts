/**
 * What stores in a table of an SQLite file have in common: the database, shared by all archives of the thread that are in that file,
 * and everything that needs the rows alone.
 */
import type { EntryTable } from "./sql_entries.ts";
import {
  type Column,
  Database,
  type DatabaseOptions,
  databasePath,
  type Row,
  SqliteError,
} from "./sqlite.ts";
import { type Lease, leaseDatabase } from "./sqlite_shared.ts";
import type { Entry, EntryInfo, Store } from "./store.ts";
import type { ArchiveOptions } from "./types.ts";

/** How the file of an SQL archive is opened. */
export interface SqlFileOptions extends ArchiveOptions {
  /**
   * `"shared"` (default): other processes and threads may have the file open too. `"exclusive"`: nobody else, from opening to
   * closing; several times as fast.
   */
  mode?: "shared" | "exclusive";
  /** Milliseconds to wait while other processes have the file locked. Default: 60,000. */
  timeout?: number;
  /** True opens a file that is there for reading only. */
  readOnly?: boolean;
  /**
   * Bytes of entries that are kept in memory as long as nobody changes the file: what is read again then costs a tenth. It is never
   * out of date. Default: 8 MiB; 0: none.
   */
  memory?: number;
}

/** The bytes that `memory` asks for. */
export function memoryOf({ memory = 2 ** 23 }: SqlFileOptions): number {
  if (memory >= 0) return memory;
  throw new RangeError(`memory is ${memory}; it is a number of bytes, at least 0`);
}

/** A store in a table. */
export abstract class TableStore implements Store {
  readonly name: string;
  readonly meeting: string | undefined;
  protected readonly lease: Lease;
  #open = true;

  /** `part` is what the name of the store has after that of the file, if anything. */
  constructor(path: string, part: string | undefined, private readonly fileOptions: SqlFileOptions) {
    this.name = part === undefined ? path : `${path}#${part}`;
    this.lease = leaseDatabase(path, fileOptions);
    this.meeting = this.database.path === ":memory:" ? undefined : this.database.path;
  }

  /** The rows. */
  protected abstract readonly entries: EntryTable;

  get place(): string {
    return this.database.path;
  }

  get database(): Database {
    return this.lease.database;
  }

  /** Does what has to be done when the store is opened; where that fails, the database is given back. */
  protected opening<T>(body: () => T): T {
    try {
      return body();
    } catch (error) {
      this.lease.release();
      throw error;
    }
  }

  abstract read(key: string, use?: boolean): Entry | undefined;
  abstract write(key: string, entry: Entry): void;
  abstract remove(key: string): boolean;
  abstract clear(): void;
  abstract removeTagged(tag: string): number;
  abstract removeExpired(now: number): number;
  abstract batch<T>(body: () => T): T;

  count(): number {
    return this.entries.count();
  }

  countFresh(now: number): number {
    return this.entries.countFresh(now);
  }

  info(key: string): EntryInfo | undefined {
    return this.entries.info(key);
  }

  infos(): Iterable<[string, EntryInfo]> {
    return this.entries.infos();
  }

  another(path: string): TableStore {
    if (databasePath(path) === this.meeting) {
      throw new RangeError(`${this.name} cannot be copied to ${path}, which is the same file`);
    }
    return this.reopened(path);
  }

  /** A store of the same kind and settings in another file. */
  protected abstract reopened(path: string): TableStore;

  drop(): void {
    this.dropTables();
    const last = this.lease.users() === 1;
    this.close();
    if (last) removeIfEmpty(this.database.path, this.fileOptions);
  }

  /** Removes what the store has in the file. */
  protected abstract dropTables(): void;

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    try {
      this.closing();
    } finally {
      this.entries.close();
      this.lease.release();
    }
  }

  /** What is still to be written. */
  protected closing(): void {}
}

/** Removes a database file that has no archive any more and that nobody has open. */
function removeIfEmpty(path: string, options: DatabaseOptions): void {
  if (path === ":memory:") return;
  let database: Database;
  try {
    database = new Database(path, { ...options, mode: "exclusive", timeout: 0 });
  } catch (error) {
    if (error instanceof SqliteError && error.code === "SQLITE_BUSY") return; // the empty file stays
    throw error;
  }
  const [[tables]] = ask(
    database,
    "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('caches', 'sqlite_sequence')",
  );
  if (tables === 0) database.remove();
  else database.close();
}

/** Whether there is a table of this name. */
export function hasTable(database: Database, name: string): boolean {
  return ask(database, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?", name).length > 0;
}

/** The columns of a table; none if it is not there. */
export function columnsOf(database: Database, table: string): string[] {
  return ask(database, "SELECT name FROM pragma_table_info(?)", table).map(([name]) => name as string);
}

/** Runs a statement that is needed once. */
export function ask(database: Database, sql: string, ...parameters: Column[]): Row[] {
  const statement = database.prepare(sql);
  try {
    return statement.all(...parameters);
  } finally {
    statement.finalize();
  }
}
