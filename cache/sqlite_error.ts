/** Errors of the database engine: SQLite's code by its name, the file, and what the system said, in one message. */
import { sqliteModule } from "./sqlite_wasm.ts";
import { takeFailure } from "./sqlite_vfs.ts";

const NAMES: Readonly<Record<number, string>> = {
  1: "SQLITE_ERROR",
  5: "SQLITE_BUSY",
  6: "SQLITE_LOCKED",
  7: "SQLITE_NOMEM",
  8: "SQLITE_READONLY",
  10: "SQLITE_IOERR",
  11: "SQLITE_CORRUPT",
  13: "SQLITE_FULL",
  14: "SQLITE_CANTOPEN",
  17: "SQLITE_SCHEMA",
  18: "SQLITE_TOOBIG",
  19: "SQLITE_CONSTRAINT",
  20: "SQLITE_MISMATCH",
  21: "SQLITE_MISUSE",
  25: "SQLITE_RANGE",
  26: "SQLITE_NOTADB",
};

/**
 * A database file that cannot be opened, read or written.
 *
 * @example
 * ```ts
 * import { SqlArchive, SqliteError } from "@pathos/pathos/cache";
 * import { assertThrows } from "@std/assert";
 *
 * const error = assertThrows(() => new SqlArchive("/no/such/folder/c.sqlite"), SqliteError);
 * console.log(error.code, error.path);
 * ```
 */
export class SqliteError extends Error {
  /** `"SqliteError"`. */
  override name: string = "SqliteError";
  /**
   * SQLite's name of what is wrong: `"SQLITE_BUSY"` (locked by another process, or open exclusively), `"SQLITE_FULL"` (disk),
   * `"SQLITE_CANTOPEN"`, `"SQLITE_IOERR"`, `"SQLITE_NOTADB"` (no database, or another program's), `"SQLITE_CORRUPT"`
   * (damaged, truncated), `"SQLITE_MISMATCH"` (written by a newer version of this library), and so on.
   */
  readonly code: string;
  /** The database file. */
  readonly path: string;

  /**
   * Makes an error.
   *
   * @param code SQLite's name of what is wrong.
   * @param path The database file.
   * @param message What is wrong with it, to be read after its path.
   * @param options Its cause.
   */
  constructor(code: string, path: string, message: string, options?: ErrorOptions) {
    super(`${path} ${message}`, options);
    this.code = code;
    this.path = path;
  }
}

/** The error for a code that SQLite gave, with what the system said where it is to blame. */
export function sqliteError(result: number, db: number, path: string, timeout: number): SqliteError {
  const { api, text } = sqliteModule();
  const primary = result & 0xff;
  const code = NAMES[primary] ?? `SQLITE_${primary}`;
  const said = text(db === 0 ? api.sqlite3_errstr(result) : api.sqlite3_errmsg(db));
  const failure = takeFailure();
  const system = failure && `${failure.path}: ${(failure.error as Error).message}`;
  const options = failure && { cause: failure.error };
  switch (code) {
    case "SQLITE_BUSY":
      return new SqliteError(code, path, `stayed locked by another process for ${timeout} ms`);
    case "SQLITE_FULL":
      return new SqliteError(code, path, `cannot grow, the disk is full (${system ?? said})`, options);
    case "SQLITE_NOTADB":
      return new SqliteError(code, path, "is not a database; nothing in it was changed");
    case "SQLITE_CORRUPT":
      return new SqliteError(
        code,
        path,
        `is damaged or truncated (${said}); put a copy in its place, or remove it if it can be computed again`,
      );
    case "SQLITE_IOERR":
    case "SQLITE_CANTOPEN":
    case "SQLITE_READONLY":
      return new SqliteError(code, path, `cannot be read or written: ${system ?? said}`, options);
    default:
      if (said.startsWith("no such table")) {
        return new SqliteError(code, path, "has no such archive any more: another process dropped it");
      }
      return new SqliteError(code, path, `failed: ${said}`);
  }
}
