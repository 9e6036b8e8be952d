// SQLite as native code, through what the runtime has (node:sqlite) or better-sqlite3, in the same modes as ours: alone with
// locking_mode=EXCLUSIVE and WAL, or shared with journal_mode=TRUNCATE; synchronous=NORMAL in both.
import { serve } from "./contender.mjs";

const PRAGMAS = {
  exclusive: ["locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=NORMAL"],
  shared: ["journal_mode=TRUNCATE", "synchronous=NORMAL"],
};

const sqlite = (load, bytes) => ({
  bytes,
  async open(folder, mode) {
    const Database = await load();
    const database = new Database(`${folder}/c.sqlite`);
    for (const pragma of PRAGMAS[mode]) database.exec(`PRAGMA ${pragma}`);
    database.exec("CREATE TABLE t (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID");
    const insert = database.prepare("INSERT OR REPLACE INTO t VALUES (?, ?)");
    const select = database.prepare("SELECT value FROM t WHERE key = ?");
    return {
      putAll(entries) {
        database.exec("BEGIN IMMEDIATE");
        for (const [key, value] of entries) insert.run(key, value);
        database.exec("COMMIT");
      },
      put: (key, value) => insert.run(key, value),
      get: (key) => select.get(key)?.value,
      close: () => database.close(),
    };
  },
});

serve({
  "node:sqlite": sqlite(async () => (await import("node:sqlite")).DatabaseSync),
  "better-sqlite3": sqlite(
    async () => (await import("better-sqlite3")).default,
    (array) => Buffer.from(array.buffer),
  ),
});
