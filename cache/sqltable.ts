/**
 * An archive in one table of an SQLite file, with plain columns: for who wants to read and write it with SQL, or to have several
 * such tables in one file.
 */
import { StoreArchive } from "./archive.ts";
import { createEntryTable, ENTRY_COLUMNS, EntryTable } from "./sql_entries.ts";
import { quoted } from "./sql_name.ts";
import { columnsOf, memoryOf, type SqlFileOptions, TableStore } from "./sql_store.ts";
import { SqliteError } from "./sqlite.ts";
import type { Decoder, Entry } from "./store.ts";
import type { ArchiveKey } from "./types.ts";

/** Options of {@linkcode SqlTableArchive}. */
export interface SqlTableOptions extends SqlFileOptions {
  /** The table's name. Default: `"archive"`. */
  table?: string;
}

/** Names that SQLite and sql.ts have for themselves. */
const RESERVED = /^(sqlite_.*|caches|(cache|uses)_.*)$/is;

class SqlTableStore extends TableStore {
  readonly #table: string;
  readonly #options: SqlTableOptions;
  protected readonly entries: EntryTable;

  constructor(path: string, options: SqlTableOptions) {
    const { table = "archive" } = options;
    if (table === "" || RESERVED.test(table) || /\0/.test(table)) {
      throw new TypeError(`${path}: a table cannot be called ${JSON.stringify(table)}: take another name`);
    }
    super(path, table === "archive" ? undefined : table, options);
    this.#table = table;
    this.#options = options;
    this.entries = this.opening(() => {
      this.#prepare();
      return new EntryTable(this.database, table, memoryOf(options));
    });
  }

  #prepare(): void {
    const { database } = this;
    const columns = columnsOf(database, this.#table);
    if (columns.length > 0) {
      const missing = ENTRY_COLUMNS.filter((column) => !columns.includes(column));
      if (missing.length === 0) return;
      const what = `has a table ${JSON.stringify(this.#table)} of another kind, without the columns ${
        missing.join(", ")
      }`;
      throw new SqliteError("SQLITE_MISMATCH", database.path, what);
    }
    if (database.readOnly) {
      throw new SqliteError("SQLITE_READONLY", database.path, `has no table ${JSON.stringify(this.#table)}`);
    }
    database.transaction(() => createEntryTable(database, this.#table));
  }

  read(key: string): Entry | undefined {
    return this.entries.read(key);
  }

  use(key: string, now: number, decoder: Decoder): unknown {
    return this.entries.use(key, now, decoder);
  }

  write(key: string, entry: Entry): void {
    this.entries.write(key, entry);
  }

  remove(key: string): boolean {
    return this.entries.remove(key);
  }

  clear(): void {
    this.entries.clear();
  }

  removeTagged(tag: string): number {
    return this.entries.removeTagged(tag).length;
  }

  removeExpired(now: number): number {
    return this.entries.removeExpired(now).length;
  }

  batch<T>(body: () => T): T {
    return this.database.transaction(body);
  }

  protected reopened(path: string): SqlTableStore {
    return new SqlTableStore(path, this.#options);
  }

  protected dropTables(): void {
    this.entries.close();
    this.database.exec(`DROP TABLE IF EXISTS ${quoted(this.#table)}`);
  }
}

/**
 * An archive that is a table of an SQLite file. Its columns: `key` (text, that of other keys than strings begins with "="), `value`,
 * `stored` and `expires` (milliseconds since 1970; NULL: never), `grace`, `size` (bytes), `tags` (a JSON array or NULL), `id`.
 * With `protocol: "json"` or `serialized: false` the values are text and numbers for any program. Otherwise it is as
 * {@linkcode SqlArchive}, without a policy.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { SqlTableArchive } from "@pathos/pathos/cache";
 *
 * const path = `${Deno.makeTempDirSync()}/c.sqlite`;
 * using squares = new SqlTableArchive<number, number>(path, { table: "squares", protocol: "json" });
 * for (let x = 0; x < 3; x++) squares.set(x, x ** 2);
 * assertEquals([...squares], [[0, 0], [1, 1], [2, 4]]);
 * // sqlite3 c.sqlite 'SELECT key, value FROM squares'
 * ```
 */
export class SqlTableArchive<K extends ArchiveKey = ArchiveKey, V = unknown> extends StoreArchive<K, V> {
  /**
   * Opens a table in a file; makes what is not there.
   *
   * @param path The file; its folder has to be there. `":memory:"` is a database in memory of its own.
   * @param options How it is opened, and how entries are written.
   * @throws {SqliteError} If it cannot be opened, or the table is of another kind. It is left as it is.
   */
  constructor(path: string, options: SqlTableOptions = {}) {
    super(new SqlTableStore(path, options), options);
  }

  /** Gives the room of removed entries back to the disk, which rewrites the file. */
  vacuum(): void {
    (this.store as SqlTableStore).database.exec("VACUUM");
  }
}
