/**
 * The policy of a named cache in an SQL file: it is stored beside the entries, with their number and bytes as they were after
 * the last transaction, and is in force for everybody who opens the cache, until somebody opens it with another.
 *
 * Room is made before an entry is written, by what has expired first and then by the policy; the entry that is written never makes room
 * for itself, and one that is larger than the limit is not kept. Uses are remembered in memory and written down with the next write or
 * when the cache is closed, so that reading stays reading: a use that another process has not written down yet does not count,
 * and a killed process takes its last ones with it.
 */
import type { Policy, PolicyName } from "./policy.ts";
import type { EntryTable, Place } from "./sql_entries.ts";
import { quoted } from "./sql_name.ts";
import type { Database, Statement } from "./sqlite.ts";

/** Entries whose uses are remembered; beyond that the earliest are forgotten. */
const MOST_USES = 100_000;

/** What the file says of a cache. */
export interface CacheState {
  readonly policy: Policy;
  /** Number and bytes of the entries; only counted where there is a limit. */
  entries: number;
  bytes: number;
}

/** Whether a policy ever removes anything. */
export function isLimited({ count, bytes }: Policy): boolean {
  return count !== Infinity || bytes !== Infinity;
}

/** Makes the table of all caches, if it is not there. */
export function createCaches(database: Database): void {
  // ids are not used again: who has a cache open that was dropped must not write into another
  database.exec(
    `CREATE TABLE IF NOT EXISTS caches (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
       policy TEXT NOT NULL DEFAULT 'inf', max_count INTEGER, max_bytes INTEGER,
       entries INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0)`,
  );
}

/** The limits of one cache, and the uses of its entries. */
export class CacheLimits {
  readonly #database: Database;
  readonly #entries: EntryTable;
  readonly #id: number;
  readonly #uses: string;
  readonly #load: Statement;
  readonly #save: Statement;
  readonly #counters = new Map<number, { accessed: number; hits: number }>();
  #now = 0;
  #policy: PolicyName = "inf";
  #statements: Map<string, Statement> = new Map();

  constructor(database: Database, entries: EntryTable, id: number) {
    this.#database = database;
    this.#entries = entries;
    this.#id = id;
    this.#uses = `uses_${id}`;
    this.#load = database.prepare(
      "SELECT policy, max_count, max_bytes, entries, bytes FROM caches WHERE id = ?",
    );
    this.#save = database.prepare("UPDATE caches SET entries = ?, bytes = ? WHERE id = ?");
  }

  /** What the file says now; undefined if another process has dropped the cache. */
  load(): CacheState | undefined {
    const row = this.#load.get(this.#id);
    if (row === undefined) return undefined;
    const [name, count, bytes, entries, size] = row as [
      PolicyName,
      number | null,
      number | null,
      number,
      number,
    ];
    this.#policy = name;
    return { policy: { name, count: count ?? Infinity, bytes: bytes ?? Infinity }, entries, bytes: size };
  }

  /** Writes number and bytes down. */
  save({ entries, bytes }: CacheState): void {
    this.#save.run(entries, bytes, this.#id);
  }

  /** The policy's name as it was when the file was asked last. */
  get policy(): PolicyName {
    return this.#policy;
  }

  /** What notes that an entry was used; undefined where the policy does not ask for it. */
  get used(): ((id: number) => void) | undefined {
    return ordered(this.#policy) ? this.#note : undefined;
  }

  readonly #note = (id: number): void => {
    const known = this.#counters.get(id);
    if (known) {
      known.hits++;
      known.accessed = this.#tick();
      return;
    }
    this.#counters.set(id, { accessed: this.#tick(), hits: 1 });
    if (this.#counters.size > MOST_USES) this.#counters.delete(this.#counters.keys().next().value!);
  };

  /** Whether there are uses that are not written down. */
  get hasUses(): boolean {
    return this.#counters.size > 0;
  }

  /** Writes the uses down; inside a transaction. */
  writeUses(): void {
    if (this.#counters.size === 0) return;
    if (ordered(this.#policy)) {
      const statement = this.#statement(
        "UPDATE USES SET accessed = max(accessed, ?), hits = hits + ? WHERE id = ?",
      );
      for (const [id, { accessed, hits }] of this.#counters) statement.run(accessed, hits, id);
    }
    this.#counters.clear();
  }

  /**
   * Makes room for an entry of `size` bytes in the place of `old`, if that is still there afterwards; undefined if the entry is
   * larger than the limit. Inside a transaction.
   */
  makeRoom(state: CacheState, size: number, old: Place | undefined): { old: Place | undefined } | undefined {
    const { policy } = state;
    if (policy.count < 1 || size > policy.bytes) return undefined;
    const tooMuch = () =>
      state.entries + (old ? 0 : 1) > policy.count || state.bytes - (old?.size ?? 0) + size > policy.bytes;
    if (!tooMuch()) return { old };
    for (const place of this.#entries.removeExpired(Date.now())) {
      if (place.id === old?.id) old = undefined;
      this.removed(state, place);
    }
    if (!tooMuch()) return { old };
    this.writeUses();
    while (tooMuch()) {
      const victim = this.#victim(policy.name, old?.id ?? 0);
      if (victim === undefined) {
        throw new Error(`${this.#database.path}: the counts of cache ${this.#id} are wrong`);
      }
      this.#entries.removeAt(victim.id);
      this.removed(state, victim);
    }
    return { old };
  }

  /** Counts an entry that was written in the place of `old`. Inside a transaction. */
  written(state: CacheState, place: Place, old: Place | undefined): void {
    state.entries += old ? 0 : 1;
    state.bytes += place.size - (old?.size ?? 0);
    if (!ordered(state.policy.name)) return;
    this.#statement(
      "INSERT INTO USES (id, accessed, hits) VALUES (?, ?, 0) ON CONFLICT (id) DO UPDATE SET accessed = excluded.accessed",
    ).run(place.id, this.#tick());
  }

  /** Counts an entry that was removed from its table. Inside a transaction. */
  removed(state: CacheState, place: Place): void {
    state.entries--;
    state.bytes -= place.size;
    this.#counters.delete(place.id);
    if (ordered(state.policy.name)) this.#statement("DELETE FROM USES WHERE id = ?").run(place.id);
  }

  /** Counts that all entries were removed. Inside a transaction. */
  cleared(state: CacheState): void {
    state.entries = state.bytes = 0;
    this.#counters.clear();
    if (ordered(state.policy.name)) this.#statement("DELETE FROM USES").run();
  }

  /** Puts another policy in force, and removes what is too much for it. Inside a transaction. */
  change(policy: Policy): void {
    const { name, count, bytes } = policy;
    this.load();
    this.writeUses();
    const limit = (value: number) => value === Infinity ? null : value;
    const statement = this.#database.prepare(
      "UPDATE caches SET policy = ?, max_count = ?, max_bytes = ? WHERE id = ?",
    );
    statement.run(name, limit(count), limit(bytes), this.#id);
    statement.finalize();
    this.#policy = name;
    this.#prepareUses(name);
    if (!isLimited(policy)) return;
    // without a limit nobody has counted
    const state = { policy, entries: this.#entries.count(), bytes: this.#entries.bytes() };
    if (count < 1) {
      this.#entries.clear();
      this.cleared(state);
    }
    while (state.entries > count || state.bytes > bytes) {
      const victim = this.#victim(name, 0)!;
      this.#entries.removeAt(victim.id);
      this.removed(state, victim);
    }
    this.save(state);
  }

  /** Removes the table of uses. Inside a transaction. */
  drop(): void {
    this.#database.exec(`DROP TABLE IF EXISTS ${quoted(this.#uses)}`);
    this.#counters.clear();
  }

  /** Gives the statements back. */
  close(): void {
    for (const statement of [this.#load, this.#save, ...this.#statements.values()]) statement.finalize();
  }

  /** The table of uses with the index that the policy needs, and a row for each entry. */
  #prepareUses(name: PolicyName): void {
    const uses = quoted(this.#uses), index = quoted(`${this.#uses}_order`);
    if (!ordered(name)) return this.drop();
    const order = name === "lfu" ? "hits, accessed" : "accessed";
    this.#database.exec(
      `CREATE TABLE IF NOT EXISTS ${uses} (id INTEGER PRIMARY KEY, accessed INTEGER NOT NULL, hits INTEGER NOT NULL);
       DROP INDEX IF EXISTS ${index};
       CREATE INDEX ${index} ON ${uses} (${order});
       INSERT OR IGNORE INTO ${uses} SELECT id, stored * 1000, 0 FROM ${quoted(`cache_${this.#id}`)}`,
    );
  }

  /** What goes next, but not the row `kept`. */
  #victim(name: PolicyName, kept: number): Place | undefined {
    const order = { lru: "accessed", mru: "accessed DESC", lfu: "hits, accessed" }[name as string];
    if (order !== undefined) {
      const row = this.#statement(
        `SELECT u.id, e.size FROM USES u JOIN ENTRIES e ON e.id = u.id WHERE u.id <> ? ORDER BY ${order} LIMIT 1`,
      ).get(kept);
      return row && { id: row[0] as number, size: row[1] as number };
    }
    const any = this.#statement("SELECT id, size FROM ENTRIES WHERE id >= ? AND id <> ? ORDER BY id LIMIT 1");
    const last = this.#statement("SELECT max(id) FROM ENTRIES").get()![0] as number | null;
    const row = any.get(Math.ceil(Math.random() * (last ?? 0)), kept) ?? any.get(0, kept);
    return row && { id: row[0] as number, size: row[1] as number };
  }

  /** Microseconds since 1970, later each time: uses in the same millisecond have an order too. */
  #tick(): number {
    return this.#now = Math.max(
      this.#now + 1,
      Math.floor((performance.timeOrigin + performance.now()) * 1000),
    );
  }

  #statement(sql: string): Statement {
    let statement = this.#statements.get(sql);
    if (!statement) {
      const text = sql.replace("USES", quoted(this.#uses)).replace("ENTRIES", quoted(`cache_${this.#id}`));
      this.#statements.set(sql, statement = this.#database.prepare(text));
    }
    return statement;
  }
}

/** Whether a policy needs to know of uses. */
function ordered(name: PolicyName): boolean {
  return name === "lru" || name === "mru" || name === "lfu";
}
