/**
 * Archives in a table of a PostgreSQL server: shared by any number of programs on any number of hosts.
 *
 * An archive is one table, made when it is first needed and marked by its comment; a table without the mark, or with that of
 * another version, is refused and left as it is. Every call is one statement or one transaction, so an entry is there whole or
 * not at all, and what a call has resolved for, everybody sees. What stands in the table: postgres_table.ts; how calls
 * survive a lost server: postgres_client.ts; who computes what: postgres_holds.ts.
 */
import { AsyncStoreArchive } from "./async_archive.ts";
import {
  codeOf,
  PostgresClient,
  PostgresError,
  type Result,
  type Session,
  type Statement,
  transaction,
  withoutPassword,
} from "./postgres_client.ts";
import { quoted } from "./sql_name.ts";
import { Holds } from "./postgres_holds.ts";
import {
  columnOf,
  definition,
  ENTRY,
  entryOf,
  escaped,
  insertion,
  KEY,
  keyOf,
  MARK,
  META,
  metaOf,
  SIZE,
  VERSION,
} from "./postgres_table.ts";
import type { AsyncStore, Entry, EntryInfo, StoredValue } from "./store.ts";
import type { ArchiveKey, ArchiveOptions } from "./types.ts";

export { PostgresError } from "./postgres_client.ts";

/** How a {@linkcode PostgresArchive} connects, and writes and reads its entries. */
export interface PostgresOptions extends Omit<ArchiveOptions, "permissions"> {
  /** The table, of at most 63 bytes. Default: what the URL says as `?table=`, else `"pathos"`. */
  table?: string;
  /** Connections at a time, at most. They are made when they are needed. Default: 4. */
  connections?: number;
  /** Milliseconds for which a connection, an answer, or the return of a lost server is waited for. Default: 30,000. */
  timeout?: number;
}

/** Entries that are read or written at a time. */
const PAGE = 1000;
/** Bytes of values that are read or written at a time, if there is more than one. */
const PAGE_BYTES = 4 << 20;

class PostgresStore implements AsyncStore {
  readonly name: string;
  /** The table included. */
  readonly #url: URL;
  readonly #options: PostgresOptions;
  readonly #client: PostgresClient;
  readonly #holds: Holds;
  readonly #table: string;
  /** The table's number, once it is known to be there and ours. */
  #ready?: Promise<string>;

  constructor(given: string, options: PostgresOptions) {
    const url = this.#url = parsed(given);
    const table = options.table ?? url.searchParams.get("table") ?? "pathos";
    if (table === "" || table.includes("\0") || new TextEncoder().encode(table).length > 63) {
      throw new RangeError(
        `the table ${JSON.stringify(table)}: PostgreSQL's names have 1 to 63 bytes, and no NUL`,
      );
    }
    const { connections = 4, timeout = 30_000 } = options;
    if (!Number.isInteger(connections) || connections < 2) {
      throw new RangeError(
        `connections is ${connections}: a whole number from 2 (one can be taken by holds)`,
      );
    }
    if (!(timeout > 0)) throw new RangeError(`timeout is ${timeout}: a number of milliseconds above 0`);
    this.#options = options;
    this.#table = quoted(table);
    url.searchParams.set("table", table);
    this.name = withoutPassword(url).href;
    const server = new URL(url);
    server.searchParams.delete("table"); // that is ours, not the server's
    this.#client = new PostgresClient(server, this.name, {
      connections,
      timeout: Math.min(timeout, 2 ** 31 - 1),
    });
    this.#holds = new Holds(this.#client);
  }

  get place(): string {
    return this.#url.href;
  }

  async read(key: string): Promise<Entry | undefined> {
    const { rows } = await this.#run("reading", {
      name: "pathos read",
      text: `select ${ENTRY} from ${this.#table} where key = $1`,
      values: [columnOf(key)],
    });
    return rows[0] && entryOf(rows[0]);
  }

  async write(key: string, entry: Entry): Promise<void> {
    await this.#run("writing", { name: "pathos write", ...insertion(this.#table, [[key, entry]]) });
  }

  async writeAll(
    entries: Iterable<[string, Entry]> | AsyncIterable<[string, Entry]>,
    replace = false,
  ): Promise<void> {
    // In one order, so that two who write the same keys at once wait for each other instead of blocking each other.
    const list = Symbol.iterator in entries
      ? [...new Map(entries)].sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0)
      : undefined;
    const doing = replace ? "replacing all entries" : "writing entries";
    // Nothing that is read once can be written twice, as after the loss of a connection.
    await this.#use(doing, async (session) => {
      if (list && !replace && list.length <= PAGE && bytesOf(list) <= PAGE_BYTES) {
        if (list.length > 0) await session.run(insertion(this.#table, list));
        return;
      }
      await transaction(session, async () => {
        if (replace) {
          await session.run({ text: `lock table ${this.#table} in exclusive mode` });
          await session.run({ text: `delete from ${this.#table}` });
        }
        for await (const page of pages(list ?? entries, ([, { value }]) => sizeIn(value))) {
          await session.run(insertion(this.#table, page));
        }
      });
    }, list === undefined);
  }

  async remove(key: string, now?: number): Promise<boolean> {
    const { rows } = await this.#run("removing", {
      name: "pathos remove",
      text: `delete from ${this.#table} where key = $1 returning expires`,
      values: [columnOf(key)],
    });
    return rows.length > 0 && (now === undefined || Number(rows[0][0]) > now);
  }

  take<T>(keys: readonly string[], body: (found: ReadonlyMap<string, Entry>) => T): Promise<T> {
    const columns = keys.map(columnOf);
    return this.#use("taking entries", (session) =>
      transaction(session, async () => {
        const { rows } = await session.run({
          text: `select ${ENTRY}, ${KEY} from ${this.#table} where key = any($1::text[]) ` +
            "order by key for update",
          values: [columns],
        });
        const result = body(new Map(rows.map((row) => [keyOf(row.slice(7)), entryOf(row)])));
        await session.run({
          text: `delete from ${this.#table} where key = any($1::text[])`,
          values: [columns],
        });
        return result;
      }), true);
  }

  async clear(): Promise<void> {
    await this.#run("removing all entries", { text: `delete from ${this.#table}` });
  }

  async count(): Promise<number> {
    return await this.countFresh(-Infinity);
  }

  async countFresh(now: number): Promise<number> {
    const { rows } = await this.#run("counting", {
      text: `select count(*) from ${this.#table} where expires > $1`,
      values: [now],
    });
    return Number(rows[0][0]);
  }

  async info(key: string): Promise<EntryInfo | undefined> {
    const { rows } = await this.#run("looking", {
      name: "pathos info",
      text: `select ${META}, ${SIZE} from ${this.#table} where key = $1`,
      values: [columnOf(key)],
    });
    return rows[0] && { ...metaOf(rows[0]), size: Number(rows[0][4]) };
  }

  async *infos(): AsyncIterable<[string, EntryInfo]> {
    for await (const page of this.#pages()) {
      for (const { key, info } of page) yield [key, info];
    }
  }

  async *entries(): AsyncIterable<[string, Entry]> {
    for await (const page of this.#pages()) {
      for await (const part of pages(page, ({ info }) => info.size)) {
        const { rows } = await this.#run("reading entries", {
          text: `select ${ENTRY}, ${KEY} from ${this.#table} where key = any($1::text[]) ` +
            "order by key",
          values: [part.map(({ column }) => column)],
        });
        for (const row of rows) yield [keyOf(row.slice(7)), entryOf(row)];
      }
    }
  }

  /** Descriptions in order of keys, a page at a time: what is written before the place that was reached does not show. */
  async *#pages(): AsyncIterable<{ key: string; column: string; info: EntryInfo }[]> {
    let last: string | undefined;
    for (;;) {
      const { rows } = await this.#run("listing", {
        text:
          `select ${META}, ${SIZE}, ${KEY} from ${this.#table} ${
            last === undefined ? "" : "where key > $1"
          } ` +
          `order by key limit ${PAGE}`,
        values: last === undefined ? [] : [last],
      });
      yield rows.map((row) => ({
        key: keyOf(row.slice(5)),
        column: row[5]!,
        info: { ...metaOf(row), size: Number(row[4]) },
      }));
      if (rows.length < PAGE) return;
      last = rows[rows.length - 1][5]!;
    }
  }

  async removeTagged(tag: string): Promise<number> {
    const { count } = await this.#run("removing by tag", {
      text: `delete from ${this.#table} where tags @> array[$1::text] and tags <> '{}'`,
      values: [escaped(tag)],
    });
    return count;
  }

  async removeExpired(now: number): Promise<number> {
    const { count } = await this.#run("removing what has expired", {
      text:
        `delete from ${this.#table} where expires <= $1 and expires < 'Infinity' and expires + grace <= $1`,
      values: [now],
    });
    return count;
  }

  async hold(key: string): Promise<(() => Promise<void>) | null> {
    return await this.#holds.take(await this.#whenReady(), key);
  }

  another(name: string): AsyncStore {
    const elsewhere = /^postgres(ql)?:/.test(name);
    const options = { ...this.#options, table: elsewhere ? undefined : name };
    return new PostgresStore(elsewhere ? name : this.#url.href, options);
  }

  async drop(): Promise<void> {
    await this.#run("dropping", { text: `drop table if exists ${this.#table}` });
    await this.close();
  }

  async close(): Promise<void> {
    await this.#holds.endAll();
    await this.#client.close();
  }

  #run(doing: string, statement: Statement): Promise<Result> {
    return this.#use(doing, (session) => session.run(statement));
  }

  async #use<T>(doing: string, body: (session: Session) => Promise<T>, once = false): Promise<T> {
    await this.#whenReady();
    try {
      return await this.#client.use(doing, body, once);
    } catch (error) {
      if (codeOf(error) !== "42P01" || once) throw error; // the table is gone: somebody has dropped it since
      this.#ready = undefined;
      await this.#whenReady();
      return await this.#client.use(doing, body);
    }
  }

  #whenReady(): Promise<string> {
    if (!this.#ready) {
      const ready = this.#ready = this.#client.use("opening the table", (session) => this.#open(session));
      ready.catch(() => {
        if (this.#ready === ready) this.#ready = undefined;
      });
    }
    return this.#ready;
  }

  /** Looks whether the table is ours, and makes it if there is none. */
  async #open(session: Session): Promise<string> {
    const found = await this.#find(session);
    if (found) return found;
    let lost: unknown;
    try {
      await transaction(session, async () => {
        for (const text of definition(this.#table)) await session.run({ text });
      });
    } catch (error) {
      // Somebody else has just made it, or its row type: the first error if it was there before, the others if at the same time.
      if (!["42P07", "23505", "42710"].includes(codeOf(error))) throw error;
      lost = error;
    }
    const made = await this.#find(session);
    if (!made) throw lost; // a type of that name is no table
    return made;
  }

  async #find(session: Session): Promise<string | undefined> {
    const { rows: [[number, mark]] } = await session.run({
      text: "select to_regclass($1)::oid, obj_description(to_regclass($1), 'pg_class')",
      values: [this.#table],
    });
    if (number === null) return undefined;
    if (!mark?.startsWith(MARK)) {
      throw new PostgresError(
        `${this.name}: that table belongs to another program, and was left as it is; name another (option table)`,
      );
    }
    if (Number(mark.slice(MARK.length)) !== VERSION) {
      throw new PostgresError(
        `${this.name}: that table was made by another version of this library (it says "${mark}", this one makes version ` +
          `${VERSION}), and was left as it is; use that version, or name another table`,
      );
    }
    return number;
  }
}

function parsed(given: string): URL {
  let url: URL | undefined;
  try {
    url = new URL(given);
  } catch {
    // told below: the parser's own error would show the password
  }
  if (!url || !/^postgres(ql)?:$/.test(url.protocol) || (url.host === "" && !url.searchParams.has("host"))) {
    throw new TypeError(
      "that is no URL of a PostgreSQL server: postgres://user:password@host:port/database?table=name; characters such as " +
        "@ and / in a password are written %40 and %2F, and a socket's folder as host is %2Frun%2Fpostgresql",
    );
  }
  return url;
}

/** Groups of items, each of a page's length and of a page's bytes at most, but of one item at least. */
async function* pages<T>(
  items: Iterable<T> | AsyncIterable<T>,
  sizeOf: (item: T) => number,
): AsyncIterable<T[]> {
  let page: T[] = [], bytes = 0;
  for await (const item of items) {
    const size = sizeOf(item);
    if (page.length > 0 && (page.length === PAGE || bytes + size > PAGE_BYTES)) {
      yield page;
      [page, bytes] = [[], 0];
    }
    page.push(item);
    bytes += size;
  }
  if (page.length > 0) yield page;
}

function sizeIn(value: StoredValue): number {
  return typeof value === "number" ? 8 : value.length;
}

function bytesOf(list: readonly (readonly [string, Entry])[]): number {
  return list.reduce((sum, [, { value }]) => sum + sizeIn(value), 0);
}

/**
 * An archive in a table of a PostgreSQL server, shared by programs on any number of hosts. It has what every archive has, giving
 * promises; `memoize` with it gives functions that return promises, and computes once among all hosts.
 *
 * It connects when it is first used, through `npm:pg`. Connections do not keep the program alive; `close` ends them.
 * While the server is away, calls wait for it for the time that the option `timeout` says. An entry takes what
 * PostgreSQL takes in a row, about 500 MB.
 *
 * @example
 * ```ts ignore
 * import { PostgresArchive } from "@pathos/pathos/cache";
 *
 * await using results = new PostgresArchive<string, number[]>("postgres://me@db.example.org/lab?table=results");
 * await results.set("run 1", [1.5, 2.5], { tags: ["draft"] });
 * console.log(await results.get("run 1"), await results.size());
 * await results.invalidate("draft");
 * ```
 */
export class PostgresArchive<K extends ArchiveKey = ArchiveKey, V = unknown> extends AsyncStoreArchive<K, V> {
  /**
   * Makes an archive; nothing is connected yet.
   *
   * @param url `postgres://user:password@host:port/database?table=name`. What is missing comes from the variables PGUSER, PGPASSWORD,
   * PGDATABASE and ~/.pgpass, as for every PostgreSQL program; `sslmode` and the other parameters of `npm:pg` are
   * understood.
   * @param options Table, connections, and how entries are written.
   * @throws {TypeError} If it is no such URL.
   * @throws {RangeError} If the table's name, or a number among the options, is out of range.
   */
  constructor(url: string, options: PostgresOptions = {}) {
    const { table: _, ...others } = options; // it is part of the store's place, and a copy's is another
    super(new PostgresStore(url, options), others);
  }
}
