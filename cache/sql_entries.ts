/**
 * A table of entries, and the statements on it: what both SQL stores do with a database, one statement a call. Rows keep
 * the order of first writing, and the value is the last column, so that listing does not read it.
 *
 * The value is what the archive's codec gives, as SQLite keeps such: bytes as BLOB, text as TEXT, numbers as REAL or
 * INTEGER, NaN as NULL. `expires` is NULL for entries that do not grow old, and `tags` is a JSON array, or NULL for none.
 */
import { quoted } from "./sql_name.ts";
import { EntryMemory } from "./sql_memory.ts";
import type { Column, Database, Row, Statement } from "./sqlite.ts";
import {
  type Decoder,
  type Entry,
  type EntryInfo,
  type EntryMeta,
  sizeOf,
  type StoredValue,
} from "./store.ts";

/** Rows that are listed at once: the database is not locked while a caller looks at them. */
const PAGE = 250;
const NO_TAGS: readonly string[] = Object.freeze([]);

/** The columns that a table of entries has. */
export const ENTRY_COLUMNS = ["id", "key", "stored", "expires", "grace", "size", "tags", "value"];

/** What a limit has to know of a row. */
export interface Place {
  readonly id: number;
  readonly size: number;
}

/** A table of entries in an open database. */
export class EntryTable {
  readonly #database: Database;
  readonly #memory: EntryMemory | undefined;
  readonly #quoted: string;
  readonly #read: Statement;
  readonly #use: Statement;
  readonly #write: Statement;
  readonly #writeIf: Statement;
  readonly #remove: Statement;
  readonly #others = new Map<string, Statement>();

  /**
   * The table has to be there: {@linkcode createEntryTable} makes it.
   *
   * @param memory Bytes of entries that are kept in memory.
   * @param condition An SQL expression that {@linkcode EntryTable.writeIf} asks for.
   */
  constructor(database: Database, table: string, memory: number, condition: string = "1") {
    this.#database = database;
    this.#memory = memory > 0 ? new EntryMemory(memory) : undefined;
    const t = this.#quoted = quoted(table);
    this.#read = database.prepare(`SELECT id, stored, expires, grace, tags, value FROM ${t} WHERE key = ?`);
    this.#use = database.prepare(`SELECT id, expires, value FROM ${t} WHERE key = ?`);
    const write = (row: string) =>
      database.prepare(
        `INSERT INTO ${t} (key, stored, expires, grace, size, tags, value) ${row}
         ON CONFLICT (key) DO UPDATE SET stored = excluded.stored, expires = excluded.expires, grace = excluded.grace,
         size = excluded.size, tags = excluded.tags, value = excluded.value`,
      );
    this.#write = write("VALUES (?, ?, ?, ?, ?, ?, ?)");
    this.#writeIf = write(`SELECT ?, ?, ?, ?, ?, ?, ? WHERE ${condition}`);
    this.#remove = database.prepare(`DELETE FROM ${t} WHERE key = ?`);
  }

  /** Reads an entry; `used` gets the row's id. */
  read(key: string, used?: (id: number) => void): Entry | undefined {
    const row = this.#read;
    try {
      if (!row.seek(key)) return undefined;
      used?.(row.number(0));
      return entryOf(row);
    } finally {
      row.done();
    }
  }

  /** The value of an entry that is fresh at `now`: `Store.use`. */
  use(key: string, now: number, decoder: Decoder, used?: (id: number) => void): unknown {
    const database = this.#database;
    const memory = database.inTransaction ? undefined : this.#memory;
    const kept = memory?.has(key) ? memory.get(key, database.version()) : undefined;
    if (kept) {
      if (kept.expires <= now) return undefined;
      used?.(kept.id);
      return decoder.decode(kept.value, key);
    }
    const row = this.#use;
    try {
      if (!row.seek(key)) return undefined;
      const expires = row.number(1) || Infinity; // nothing has expired in 1970
      if (expires <= now) return undefined;
      const id = row.number(0), value = (row.view(2) ?? NaN) as StoredValue;
      used?.(id);
      if (memory?.wants(id)) memory.keep(key, { id, expires, value: copyOf(value) }, database.version());
      return decoder.decode(value, key);
    } finally {
      row.done();
    }
  }

  /** Writes an entry, whose value takes up `size` bytes. */
  write(key: string, entry: Entry, size: number = sizeOf(entry.value)): void {
    this.#put(this.#write, key, entry, size);
  }

  /** Writes an entry if the table's condition holds; whether it did. One statement, and so one transaction. */
  writeIf(key: string, entry: Entry): boolean {
    this.#put(this.#writeIf, key, entry, sizeOf(entry.value));
    return this.#database.changes > 0;
  }

  #put(statement: Statement, key: string, { value, meta }: Entry, size: number): void {
    const { stored, expires, grace, tags } = meta;
    statement.run(
      key,
      stored,
      expires === Infinity ? null : expires,
      grace,
      size,
      tags.length === 0 ? null : JSON.stringify(tags),
      this.#column(value),
    );
  }

  /** Removes an entry; true if there was one. */
  remove(key: string): boolean {
    this.#remove.run(key);
    return this.#database.changes > 0;
  }

  /** Where an entry is. */
  find(key: string): Place | undefined {
    const row = this.#statement("SELECT id, size FROM TABLE WHERE key = ?").get(key);
    return row && placeOf(row);
  }

  /** Removes a row by its id. */
  removeAt(id: number): void {
    this.#statement("DELETE FROM TABLE WHERE id = ?").run(id);
  }

  /** Describes an entry. */
  info(key: string): EntryInfo | undefined {
    const row = this.#statement("SELECT id, stored, expires, grace, tags, size FROM TABLE WHERE key = ?").get(
      key,
    );
    return row && { ...metaOf(row), size: row[5] as number };
  }

  /** Keys and descriptions, in the order of first writing. */
  *infos(): Generator<[string, EntryInfo]> {
    const page = this.#statement(
      `SELECT id, stored, expires, grace, tags, size, key FROM TABLE WHERE id > ? ORDER BY id LIMIT ${PAGE}`,
    );
    for (let last = -Infinity;;) {
      const rows = page.all(last);
      for (const row of rows) yield [row[6] as string, { ...metaOf(row), size: row[5] as number }];
      if (rows.length < PAGE) return;
      last = rows[PAGE - 1][0] as number;
    }
  }

  count(): number {
    return this.#statement("SELECT count(*) FROM TABLE").get()![0] as number;
  }

  /** Bytes of all values. */
  bytes(): number {
    return this.#statement("SELECT ifnull(sum(size), 0) FROM TABLE").get()![0] as number;
  }

  countFresh(now: number): number {
    const old = this.#statement("SELECT count(*) FROM TABLE WHERE expires <= ?").get(now)![0] as number;
    return this.count() - old;
  }

  clear(): void {
    this.#statement("DELETE FROM TABLE").run();
  }

  /** Removes what carries a tag; tells where it was. */
  removeTagged(tag: string): Place[] {
    return this.#statement(
      `DELETE FROM TABLE WHERE tags IS NOT NULL AND EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?)
       RETURNING id, size`,
    ).all(tag).map(placeOf);
  }

  /** Removes what has expired and has no grace left; tells where it was. */
  removeExpired(now: number): Place[] {
    return this.#statement(
      "DELETE FROM TABLE WHERE expires <= ?1 AND expires + grace <= ?1 RETURNING id, size",
    )
      .all(now).map(placeOf);
  }

  /** Gives the statements back. */
  close(): void {
    for (
      const statement of [
        this.#read,
        this.#use,
        this.#write,
        this.#writeIf,
        this.#remove,
        ...this.#others.values(),
      ]
    ) {
      statement.finalize();
    }
  }

  /** A statement, prepared when it is first needed, with the table's name in place of `TABLE`. */
  #statement(sql: string): Statement {
    let statement = this.#others.get(sql);
    if (!statement) {
      statement = this.#database.prepare(sql.replace("TABLE", this.#quoted));
      this.#others.set(sql, statement);
    }
    return statement;
  }

  #column(value: StoredValue): Column {
    if (typeof value === "string" || typeof value === "number" || value instanceof Uint8Array) return value;
    throw new TypeError(
      `${this.#database.path}: an SQL archive keeps bytes, texts and numbers as they are, not arrays of numbers: ` +
        "leave serialized out, or take an HdfArchive",
    );
  }
}

/** Makes a table of entries, if there is none of that name. */
export function createEntryTable(database: Database, table: string): void {
  database.exec(
    `CREATE TABLE IF NOT EXISTS ${quoted(table)} (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE,
       stored INTEGER NOT NULL, expires INTEGER, grace INTEGER NOT NULL, size INTEGER NOT NULL, tags TEXT, value);
     CREATE INDEX IF NOT EXISTS ${quoted(`${table}_expires`)} ON ${
      quoted(table)
    } (expires) WHERE expires IS NOT NULL;
     CREATE INDEX IF NOT EXISTS ${quoted(`${table}_tags`)} ON ${quoted(table)} (tags) WHERE tags IS NOT NULL`,
  );
}

function copyOf(value: StoredValue): StoredValue {
  return value instanceof Uint8Array ? value.slice() : value;
}

/** From a row of id, stored, expires, grace, tags, value. */
function entryOf(row: Statement): Entry {
  const tags = row.column(4);
  return {
    value: (row.column(5) ?? NaN) as StoredValue,
    meta: {
      stored: row.number(1),
      expires: row.number(2) || Infinity,
      grace: row.number(3),
      tags: tags === null ? NO_TAGS : JSON.parse(tags as string),
    },
  };
}

/** From a row that begins with id, stored, expires, grace, tags. */
function metaOf(row: Row): EntryMeta {
  return {
    stored: row[1] as number,
    expires: (row[2] ?? Infinity) as number,
    grace: row[3] as number,
    tags: row[4] === null ? NO_TAGS : JSON.parse(row[4] as string),
  };
}

function placeOf([id, size]: Row): Place {
  return { id: id as number, size: size as number };
}
