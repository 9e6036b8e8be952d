/**
 * Any number of named caches in one SQLite file: each is a table of entries (sql_entries.ts) with a policy of its own
 * (sql_policy.ts). Several processes, threads and archives may have one file open, and what any of them has written is there for all.
 */
import { StoreArchive } from "./archive.ts";
import { type Policy, type PolicyLike, policyOf } from "./policy.ts";
import { createEntryTable, EntryTable, type Place } from "./sql_entries.ts";
import { quoted } from "./sql_name.ts";
import { CacheLimits, type CacheState, createCaches, isLimited } from "./sql_policy.ts";
import { ask, hasTable, memoryOf, type SqlFileOptions, TableStore } from "./sql_store.ts";
import { type Database, SqliteError } from "./sqlite.ts";
import { leaseDatabase } from "./sqlite_shared.ts";
import { type Decoder, type Entry, sizeOf } from "./store.ts";
import type { ArchiveKey } from "./types.ts";

/** Options of {@linkcode SqlArchive}. */
export interface SqlOptions extends SqlFileOptions {
  /** Which of the caches in the file. Default: `"default"`. */
  name?: string;
  /**
   * What has to go when a limit is reached: `lru(1000)`, `lfu({ bytes: 1e9 })`. It is written into the file and in force for all
   * who open this cache, also later and without naming it. Default: what the file says, and no limit in a new one.
   */
  policy?: PolicyLike;
}

class SqlStore extends TableStore {
  readonly cache: string;
  readonly #options: SqlOptions;
  readonly #id: number;
  protected readonly entries: EntryTable;
  readonly #limits: CacheLimits;
  /** What the file says of this cache, during a transaction. */
  #state: CacheState | undefined;

  constructor(path: string, options: SqlOptions) {
    const { name = "default", policy } = options;
    const wanted = policy && policyOf(policy);
    super(path, name === "default" ? undefined : name, options);
    this.cache = name;
    this.#options = options;
    [this.#id, this.entries, this.#limits] = this.opening(() => {
      const id = this.#find() ?? this.#create();
      const unlimited = `EXISTS (SELECT 1 FROM caches WHERE id = ${id} AND policy = 'inf')`;
      const entries = new EntryTable(this.database, `cache_${id}`, memoryOf(options), unlimited);
      return [id, entries, new CacheLimits(this.database, entries, id)] as const;
    });
    if (wanted && !same(wanted, this.policy)) {
      this.opening(() => this.database.transaction(() => this.#limits.change(wanted)));
    }
  }

  /** The policy that is in force. */
  get policy(): Policy {
    return this.#load().policy;
  }

  #find(): number | undefined {
    if (!hasTable(this.database, "caches")) return undefined;
    const [row] = ask(this.database, "SELECT id FROM caches WHERE name = ?", this.cache);
    return row?.[0] as number | undefined;
  }

  #create(): number {
    if (this.database.readOnly) {
      const there = namesIn(this.database).join(", ") || "none";
      throw new SqliteError(
        "SQLITE_READONLY",
        this.database.path,
        `has no cache named ${JSON.stringify(this.cache)} that could be read (there is ${there})`,
      );
    }
    return this.database.transaction(() => {
      createCaches(this.database);
      const found = this.#find();
      if (found !== undefined) return found; // another process was quicker
      ask(this.database, "INSERT INTO caches (name) VALUES (?)", this.cache);
      const id = this.#find()!;
      createEntryTable(this.database, `cache_${id}`);
      return id;
    });
  }

  #load(): CacheState {
    const state = this.#limits.load();
    if (state) return state;
    throw new SqliteError(
      "SQLITE_ERROR",
      this.database.path,
      `has no cache ${
        JSON.stringify(this.cache)
      } any more: it was dropped; open it again to have an empty one`,
    );
  }

  /** Runs what changes entries in a transaction, or in that which is under way. */
  #change<T>(body: (state: CacheState) => T): T {
    if (this.#state) return body(this.#state);
    return this.database.transaction(() => {
      const state = this.#state = this.#load();
      const { entries, bytes } = state;
      try {
        const value = body(state);
        this.#limits.writeUses();
        if (state.entries !== entries || state.bytes !== bytes) this.#limits.save(state);
        return value;
      } finally {
        this.#state = undefined;
      }
    });
  }

  batch<T>(body: () => T): T {
    const outer = this.#state;
    if (!outer) return this.#change(body);
    const { entries, bytes } = outer;
    try {
      return this.database.transaction(body);
    } catch (error) {
      Object.assign(outer, { entries, bytes });
      throw error;
    }
  }

  read(key: string, use: boolean = true): Entry | undefined {
    return this.entries.read(key, use ? this.#limits.used : undefined);
  }

  use(key: string, now: number, decoder: Decoder): unknown {
    return this.entries.use(key, now, decoder, this.#limits.used);
  }

  write(key: string, entry: Entry): void {
    // outside transactions, a cache that has no limit is mostly written to: that takes a third less than the rest
    if (!this.#state && this.#limits.policy === "inf" && this.entries.writeIf(key, entry)) return;
    this.#change((state) => {
      if (!isLimited(state.policy)) return this.entries.write(key, entry);
      const size = sizeOf(entry.value);
      const old = this.entries.find(key);
      const room = this.#limits.makeRoom(state, size, old);
      if (room) {
        this.entries.write(key, entry, size);
        this.#limits.written(state, this.entries.find(key)!, room.old);
      } else if (old) {
        this.entries.removeAt(old.id);
        this.#limits.removed(state, old);
      }
    });
  }

  remove(key: string): boolean {
    return this.#change((state) => {
      if (!isLimited(state.policy)) return this.entries.remove(key);
      const place = this.entries.find(key);
      if (!place) return false;
      this.entries.removeAt(place.id);
      this.#limits.removed(state, place);
      return true;
    });
  }

  clear(): void {
    this.#change((state) => {
      this.entries.clear();
      if (isLimited(state.policy)) this.#limits.cleared(state);
    });
  }

  removeTagged(tag: string): number {
    return this.#removeMany(() => this.entries.removeTagged(tag));
  }

  removeExpired(now: number): number {
    return this.#removeMany(() => this.entries.removeExpired(now));
  }

  #removeMany(remove: () => Place[]): number {
    return this.#change((state) => {
      const places = remove();
      if (isLimited(state.policy)) { for (const place of places) this.#limits.removed(state, place); }
      return places.length;
    });
  }

  protected reopened(path: string): SqlStore {
    return new SqlStore(path, { ...this.#options, name: this.cache, policy: this.policy });
  }

  protected dropTables(): void {
    const { database } = this;
    database.transaction(() => {
      database.exec(`DROP TABLE IF EXISTS ${quoted(`cache_${this.#id}`)}`);
      this.#limits.drop();
      ask(database, "DELETE FROM caches WHERE id = ?", this.#id);
    });
  }

  protected override closing(): void {
    try {
      if (this.#limits.hasUses && !this.database.readOnly) this.#change(() => {});
    } catch (error) {
      // which entries were used is only a hint, and the disk may be full
      if (!(error instanceof SqliteError)) throw error;
    } finally {
      this.#limits.close();
    }
  }
}

/**
 * An archive in an SQLite file, which any number of processes and threads may have open: nothing that `set` has returned from
 * is lost when one of them is killed, or when the disk is full. One file takes any number of archives with names of their own.
 *
 * A memory limit by count or bytes is kept in the file ({@linkcode SqlOptions.policy}). Beside `c.sqlite` lie `c.sqlite-journal` and
 * the folder `c.sqlite-locks`. Other programs such as `sqlite3` can read and write the file while nobody has it open here. In
 * Node the locks need the npm package `koffi` (installed with this one) or, slowly, the program `flock`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { lru, SqlArchive } from "@pathos/pathos/cache";
 *
 * const path = `${Deno.makeTempDirSync()}/c.sqlite`;
 * using models = new SqlArchive(path, { name: "models", policy: lru({ bytes: 1e9 }) });
 * models.set("a", { weights: new Float64Array(3) }, { tags: ["2026"] });
 * using notes = new SqlArchive<string, string>(path, { name: "notes" });
 * notes.update([["x", "one"], ["y", "two"]]);
 * assertEquals(models.size, 1);
 * assertEquals(notes.names(), ["models", "notes"]);
 * ```
 */
export class SqlArchive<K extends ArchiveKey = ArchiveKey, V = unknown> extends StoreArchive<K, V> {
  /**
   * Opens a cache in a file; makes what is not there.
   *
   * @param path The file; its folder has to be there. `":memory:"` is a database in memory of its own.
   * @param options How it is opened, and how entries are written.
   * @throws {SqliteError} If it cannot be opened: another process has it exclusively, it is damaged, it is another program's,
   * or a newer version of this library wrote it. It is left as it is.
   */
  constructor(path: string, options: SqlOptions = {}) {
    super(new SqlStore(path, options), options);
  }

  /** The policy that is in force. */
  get policy(): Policy {
    return (this.store as SqlStore).policy;
  }

  /** The names of all caches in the file. */
  names(): string[] {
    return namesIn((this.store as SqlStore).database);
  }

  /** Gives the room of removed entries back to the disk, which rewrites the file. */
  vacuum(): void {
    (this.store as SqlStore).database.exec("VACUUM");
  }

  /**
   * The names of all caches in a file.
   *
   * @param path The file.
   * @returns The names, sorted.
   * @throws {SqliteError} If there is no such file, or it is none of ours.
   */
  static names(path: string): string[] {
    const { database, release } = leaseDatabase(path, { readOnly: true });
    try {
      return namesIn(database);
    } finally {
      release();
    }
  }
}

function namesIn(database: Database): string[] {
  if (!hasTable(database, "caches")) return [];
  return ask(database, "SELECT name FROM caches ORDER BY name").map(([name]) => name as string);
}

function same(a: Policy, b: Policy): boolean {
  return a.name === b.name && a.count === b.count && a.bytes === b.bytes;
}
