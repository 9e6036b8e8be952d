/**
 * The database engine: its locks, its refusals, and that nothing is lost or damaged when a process is killed.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { SqlArchive } from "@pathos/pathos/cache";
import { Database, type DatabaseOptions, SqliteError } from "../cache/sqlite.ts";
import { DatabaseLocks, EXCLUSIVE, NONE, PENDING, RESERVED, SHARED } from "../cache/sqlite_locks.ts";
import { runScript, RUNTIMES, tempDir, test } from "./harness.ts";

/** A database with a table of numbers by name, in a folder of its own. */
function withDatabase(
  use: (database: Database, path: string) => void,
  options: DatabaseOptions = {},
): void {
  using folder = tempDir();
  const path = join(folder.path, "c.sqlite");
  const database = new Database(path, options);
  try {
    database.exec("CREATE TABLE t (name TEXT PRIMARY KEY, value)");
    use(database, path);
  } finally {
    database.close();
  }
}

const count = (database: Database): unknown => database.prepare("SELECT count(*) FROM t").get()![0];

/** Two holders of locks on one database; flock tells open files apart, not processes. */
function withLocks(use: (a: DatabaseLocks, b: DatabaseLocks) => void): void {
  using folder = tempDir();
  const path = join(folder.path, "c.sqlite");
  const a = new DatabaseLocks(path, "shared", { timeout: 0 });
  const b = new DatabaseLocks(path, "shared", { timeout: 0 });
  try {
    use(a, b);
  } finally {
    a.close();
    b.close();
  }
}

function refusal(open: () => unknown, code: string): string {
  const error = assertThrows(open, SqliteError);
  assertEquals(error.code, code, error.message);
  return error.message;
}

test("parameters and columns of every type come back as they were", () =>
  withDatabase((database) => {
    const echo = database.prepare("SELECT ?, typeof(?1)");
    const texts = ["", "a", "a\0b", "é".repeat(30), "x".repeat(100), "\ufeffx", "😀"];
    for (const text of texts) assertEquals(echo.get(text), [text, "text"]);
    for (const whole of [0, 1, -1, 2 ** 31, -(2 ** 53) + 1]) {
      assertEquals(echo.get(whole), [whole, "integer"]);
    }
    for (const real of [1.5, -0, 1e300, 2 ** 60, Infinity]) assertEquals(echo.get(real), [real, "real"]);
    assertEquals(echo.get(NaN), [null, "null"]);
    assertEquals(echo.get(2n ** 62n), [2n ** 62n, "integer"]);
    for (const bytes of [0, 1, 1000, 100_000]) {
      const blob = new Uint8Array(bytes).fill(7);
      assertEquals(echo.get(blob), [blob, "blob"]);
    }
  }));

test("the memory grows under a statement that is being bound and read", () =>
  withDatabase((database) => {
    const put = database.prepare("INSERT INTO t VALUES (?, ?)");
    const blob = new Uint8Array(30_000_000).map((_, i) => i % 251);
    for (const name of ["a", "b", "c"]) put.run(name, blob);
    assertEquals(database.prepare("SELECT value FROM t WHERE name = ?").get("b"), [blob]);
  }));

test("nothing breaks when the compiler optimizes what calls SQLite", async () => {
  // In Node 20 it would end the process (runtime/wasm.ts).
  const { code, signal, stderr } = await runScript(`
    import { SqlArchive } from "@pathos/pathos/cache";
    const archive = new SqlArchive(":memory:");
    for (let i = 0; i < 50_000; i++) {
      archive.set("k" + i % 100, new Uint8Array(i % 30));
      if (archive.get("k" + i % 100).length !== i % 30) throw new Error("wrong at " + i);
    }
  `);
  assertEquals([code, signal], [0, null], stderr);
});

test("a transaction that throws leaves nothing, one inside another takes back its own part only", () =>
  withDatabase((database) => {
    const put = database.prepare("INSERT INTO t VALUES (?, 1)");
    const failing = (name: string) => () =>
      database.transaction(() => {
        put.run(name);
        throw new RangeError(name);
      });
    assertThrows(failing("a"), RangeError, "a");
    assertEquals(count(database), 0);
    database.transaction(() => {
      put.run("b");
      assertThrows(failing("c"), RangeError, "c");
      database.transaction(() => put.run("d"));
    });
    assertEquals(database.prepare("SELECT name FROM t").all(), [["b"], ["d"]]);
    assertThrows(() => database.transaction(() => Promise.resolve(put.run("e"))), TypeError, "synchronous");
    assertEquals(count(database), 2);
  }));

test("a failing statement says what is wrong with it, and the next one works", () =>
  withDatabase((database, path) => {
    database.exec("INSERT INTO t VALUES ('a', 1)");
    const put = database.prepare("INSERT INTO t VALUES (?, ?)");
    const message = refusal(() => put.run("a", 2), "SQLITE_CONSTRAINT");
    assertEquals(message, `${path} failed: UNIQUE constraint failed: t.name`);
    put.run("b", 2);
    assertThrows(() => put.run("c"), TypeError, "1 parameters for 2");
    refusal(() => database.exec("SELEC 1"), "SQLITE_ERROR");
    assertEquals(count(database), 2);
  }));

test("readers share, one writer is admitted, and it waits for the readers", () =>
  withLocks((a, b) => {
    assert(a.lock(SHARED) && b.lock(SHARED));
    assert(a.lock(RESERVED));
    assertEquals([b.isReserved(), b.lock(RESERVED)], [true, false]);
    assertEquals(a.lock(EXCLUSIVE), false);
    b.unlock(NONE);
    assertEquals(b.lock(SHARED), false, "a new reader would let the writer starve");
    assert(a.lock(EXCLUSIVE));
    assertEquals(b.lock(SHARED), false);
    a.unlock(SHARED);
    assert(b.lock(SHARED) && b.lock(RESERVED));
  }));

test("who wants to roll back a dead one's journal steps back while others read, and keeps its own lock", () =>
  withLocks((a, b) => {
    assert(a.lock(SHARED) && b.lock(SHARED));
    assertEquals(a.lock(EXCLUSIVE), false);
    assert(b.lock(RESERVED), "nobody holds PENDING");
    assertEquals(b.lock(EXCLUSIVE), false, "a still reads");
    a.unlock(NONE);
    assert(b.lock(PENDING) && b.lock(EXCLUSIVE));
  }));

test("locks end with their holder", () =>
  withLocks((a, b) => {
    assert(a.lock(SHARED) && a.lock(RESERVED) && a.lock(EXCLUSIVE));
    assertEquals(b.lock(SHARED), false);
    a.close();
    assert(b.lock(SHARED) && b.lock(RESERVED) && b.lock(EXCLUSIVE));
  }));

test("who opens exclusively keeps others out at once, and names itself", () =>
  withDatabase((_, path) => {
    const start = performance.now();
    for (const mode of ["shared", "exclusive"] as const) {
      const message = refusal(() => new Database(path, { mode }), "SQLITE_BUSY");
      assertMatch(message, new RegExp(`process ${process.pid} has it open with mode: "exclusive"`));
    }
    assert(performance.now() - start < 4000);
  }, { mode: "exclusive" }));

test("exclusively opens nobody while others share", () =>
  withDatabase((database, path) => {
    const message = refusal(() => new Database(path, { mode: "exclusive", timeout: 0 }), "SQLITE_BUSY");
    assertMatch(message, /it is open elsewhere/);
    database.close();
    new Database(path, { mode: "exclusive", timeout: 0 }).close();
    new Database(path, { timeout: 0 }).close();
  }));

test("a locked database is waited for, and not for ever", () =>
  withDatabase((database, path) => {
    const other = new Database(path, { timeout: 50 });
    try {
      database.transaction(() => {
        assertEquals(count(other), 0);
        const start = performance.now();
        const message = refusal(() => other.exec("INSERT INTO t VALUES ('a', 1)"), "SQLITE_BUSY");
        assertMatch(message, /stayed locked by another process for 50 ms/);
        assert(performance.now() - start >= 50);
      });
      other.exec("INSERT INTO t VALUES ('a', 1)");
    } finally {
      other.close();
    }
    assertEquals(count(database), 1);
  }));

test("another version's lock protocol is refused, and the file is left alone", () =>
  withDatabase((database, path) => {
    database.close();
    const before = readFileSync(path);
    writeFileSync(`${path}-locks/protocol`, "pathos sqlite locks 2\n");
    for (const mode of ["shared", "exclusive"] as const) {
      const message = refusal(() => new Database(path, { mode }), "SQLITE_BUSY");
      assertMatch(message, /"pathos sqlite locks 2".*"pathos sqlite locks 1"/);
    }
    assertEquals(readFileSync(path), before);
    assertEquals(readFileSync(`${path}-locks/protocol`, "utf8"), "pathos sqlite locks 2\n");
  }));

test("a file that is no database, damaged, truncated or newer is refused and left as it is", () =>
  withDatabase((database, path) => {
    database.exec(`INSERT INTO t VALUES ('a', zeroblob(100000))`);
    database.close();
    const good = readFileSync(path);
    const newer = Uint8Array.from(good);
    newer[63] = 99;
    const cases: [content: Uint8Array, code: string, says: RegExp][] = [
      [new TextEncoder().encode("hello\n"), "SQLITE_NOTADB", /is not a database/],
      [new TextEncoder().encode("hello\n".repeat(5000)), "SQLITE_NOTADB", /is not a database/],
      [good.subarray(0, 50), "SQLITE_NOTADB", /is not a database/],
      [good.subarray(0, 5000), "SQLITE_CORRUPT", /truncated/],
      [good.subarray(0, good.length - 1), "SQLITE_CORRUPT", /truncated/],
      [good.subarray(0, good.length - 8192), "SQLITE_CORRUPT", /truncated/],
      [newer, "SQLITE_MISMATCH", /newer version.*format 99/],
    ];
    for (const [content, code, says] of cases) {
      for (const options of [{}, { mode: "exclusive" }, { readOnly: true }] as DatabaseOptions[]) {
        writeFileSync(path, content);
        assertMatch(refusal(() => new Database(path, options), code), says);
        assertEquals(readFileSync(path).equals(content), true);
      }
    }
    writeFileSync(path, good);
    new Database(path).close();
  }));

test.needs(
  ["sqlite3"],
  "another program's database is refused and left as it is, also with its journal",
  () => {
    using folder = tempDir();
    const path = join(folder.path, "c.sqlite");
    for (const mode of ["delete", "wal"]) {
      execFileSync("sqlite3", [path, `PRAGMA journal_mode=${mode}; CREATE TABLE IF NOT EXISTS t (x)`]);
      writeFileSync(`${path}-journal`, "journal");
      const before = readFileSync(path);
      for (const options of [{}, { mode: "exclusive" }, { readOnly: true }] as DatabaseOptions[]) {
        assertMatch(refusal(() => new Database(path, options), "SQLITE_NOTADB"), /another program/);
      }
      assertEquals(readFileSync(path), before);
      assertEquals(readFileSync(`${path}-journal`, "utf8"), "journal");
    }
  },
);

test.needs(
  ["sqlite3"],
  "sqlite3 reads and writes a file that nobody has open",
  () =>
    withDatabase((database, path) => {
      database.close();
      const sql = (text: string) => execFileSync("sqlite3", [path, text], { encoding: "utf8" }).trim();
      assertEquals(sql("INSERT INTO t VALUES ('a', 1); PRAGMA integrity_check"), "ok");
      for (const mode of ["shared", "exclusive"] as const) {
        const again = new Database(path, { mode });
        assertEquals(count(again), 1);
        again.close();
      }
      assertEquals(sql("PRAGMA journal_mode=WAL"), "wal");
      const again = new Database(path);
      assertEquals(count(again), 1);
      again.close();
      assertEquals(sql("PRAGMA journal_mode; PRAGMA integrity_check"), "delete\nok");
    }),
);

test("what cannot be opened is named with the reason", () => {
  using folder = tempDir();
  const missing = join(folder.path, "no", "c.sqlite");
  assertMatch(refusal(() => new Database(missing), "SQLITE_CANTOPEN"), /its folder is not there/);
  const absent = join(folder.path, "c.sqlite");
  assertMatch(refusal(() => new Database(absent, { readOnly: true }), "SQLITE_CANTOPEN"), /cannot be opened/);
  assertEquals(readdirSync(folder.path), []);
  mkdirSync(join(folder.path, "d"));
  refusal(() => new Database(join(folder.path, "d")), "SQLITE_CANTOPEN");
  assertThrows(() => new Database(absent, { mode: "both" as "shared" }), TypeError, '"both"');
});

test("a file is one database by whatever name it is opened", () =>
  withDatabase((database, path) => {
    symlinkSync(path, `${path}.link`);
    symlinkSync(`${path}.later`, `${path}.dangling`);
    refusal(() => new Database(`${path}.link`, { mode: "exclusive", timeout: 0 }), "SQLITE_BUSY");
    const later = new Database(`${path}.dangling`);
    assertEquals(later.path, `${database.path}.later`);
    later.close();
  }));

test("permissions are those of all files, whatever the umask", () =>
  withDatabase((database, path) => {
    database.exec("INSERT INTO t VALUES ('a', 1)");
    const files = [
      path,
      `${path}-journal`,
      ...readdirSync(`${path}-locks`).map((name) => `${path}-locks/${name}`),
    ];
    assertEquals(files.map((file) => statSync(file).mode & 0o777), files.map(() => 0o666));
  }, { permissions: 0o666 }));

test("a file that is only to be read is not written", () =>
  withDatabase((database, path) => {
    database.exec("INSERT INTO t VALUES ('a', 1)");
    database.close();
    const before = readFileSync(path);
    const reader = new Database(path, { readOnly: true });
    assertEquals(count(reader), 1);
    refusal(() => reader.exec("DELETE FROM t"), "SQLITE_READONLY");
    reader.close();
    assertEquals(readFileSync(path), before);
  }));

/** Overwrites, in one transaction, more than SQLite keeps in memory, and is killed before the end. */
const KILLED_WRITER = `
  import { SqlArchive } from "@pathos/pathos/cache";
  const [path, mode] = process.argv.slice(2);
  const archive = new SqlArchive(path, { mode });
  archive.transaction(() => {
    for (let i = 0; i < 25; i++) archive.set("k" + i, new Uint8Array(1_000_000).fill(2));
    process.kill(process.pid, "SIGKILL");
  });
`;

test("a journal that a killed process has left is rolled back by who had the file open all the time", async () => {
  for (const next of ["read", "write"] as const) {
    using folder = tempDir();
    const path = join(folder.path, "c.sqlite");
    using archive = new SqlArchive<string, Uint8Array>(path);
    archive.update(Array.from({ length: 25 }, (_, i) => [`k${i}`, new Uint8Array(1_000_000).fill(1)]));
    archive.set("own", new Uint8Array(1)); // this process has had a journal of its own
    const { signal } = await runScript(KILLED_WRITER, { args: [path, "shared"] });
    assertEquals(signal, "SIGKILL");
    assert(statSync(`${path}-journal`).size > 1_000_000, "the killed process must have spilled its pages");
    if (next === "write") archive.set("own", new Uint8Array(2));
    for (let i = 0; i < 25; i++) assertEquals(archive.get(`k${i}`)![999_999], 1);
    archive.set("own", new Uint8Array(3));
    archive.close();
    const database = new Database(path);
    assertEquals(database.prepare("PRAGMA integrity_check").all(), [["ok"]]);
    database.close();
  }
});

test("the log that a killed exclusive process has left is brought into order by who opens next", async () => {
  for (const mode of ["shared", "exclusive"] as const) {
    using folder = tempDir();
    const path = join(folder.path, "c.sqlite");
    const { signal } = await runScript(
      `
      import { SqlArchive } from "@pathos/pathos/cache";
      const archive = new SqlArchive(process.argv[2], { mode: "exclusive" });
      for (let i = 0; i < 100; i++) archive.set("k" + i, i);
      process.kill(process.pid, "SIGKILL");
    `,
      { args: [path] },
    );
    assertEquals(signal, "SIGKILL");
    assert(statSync(`${path}-wal`).size > 0);
    assertThrows(() => new SqlArchive(path, { readOnly: true }), Error, "left in disorder");
    using archive = new SqlArchive(path, { mode });
    assertEquals(archive.size, 100);
    if (mode === "shared") assertEquals(readdirSync(folder.path).includes("c.sqlite-wal"), false);
  }
});

test("processes of every runtime write into one file, and nothing is lost", async () => {
  using folder = tempDir();
  const path = join(folder.path, "c.sqlite");
  const writer = `
    import { SqlArchive } from "@pathos/pathos/cache";
    const [path, name] = process.argv.slice(2);
    const archive = new SqlArchive(path);
    for (let i = 0; i < 100; i++) {
      archive.set(name + i, i);
      if (archive.get(name + i) !== i) throw new Error("not there: " + name + i);
    }
    archive.close();
  `;
  const runtimes = [...RUNTIMES, ...RUNTIMES].slice(0, 4);
  const results = await Promise.all(
    runtimes.map((runtime, index) => runScript(writer, { runtime, args: [path, `${index}-`] })),
  );
  for (const { code, stderr } of results) assertEquals(code, 0, stderr);
  using archive = new SqlArchive(path);
  assertEquals(archive.size, 100 * runtimes.length);
});

test.node(
  "without koffi the program flock locks, and excludes the others",
  "Deno calls flock itself",
  async () => {
    using folder = tempDir();
    const path = join(folder.path, "c.sqlite");
    using archive = new SqlArchive<string, number>(path);
    const other = runScript(
      `
    import { SqlArchive } from "@pathos/pathos/cache";
    const archive = new SqlArchive(process.argv[2]);
    for (let i = 0; i < 10; i++) archive.set("other" + i, i);
    archive.close();
    `,
      { args: [path], env: { PATHOS_FLOCK: "program" } },
    );
    for (let i = 0; i < 100; i++) archive.set(`own${i}`, i);
    const { code, stderr } = await other;
    assertEquals(code, 0, stderr);
    assertEquals(archive.size, 110);
  },
);
