/**
 * What archives in SQLite files do besides what all do: several in one file, policies that are kept with the entries, plain
 * columns, and other processes at the same time.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import {
  inf,
  lfu,
  lru,
  mru,
  none,
  type Policy,
  type PolicyLike,
  rr,
  SqlArchive,
  type SqlOptions,
  SqlTableArchive,
} from "@pathos/pathos/cache";
import { Database } from "../cache/sqlite.ts";
import { runScript, tempDir, test } from "./harness.ts";

/** A path for a file in a folder of its own, and what opens archives there. */
function atPath(
  use: (path: string, open: (options?: SqlOptions) => SqlArchive<string, unknown>) => void,
): void {
  using folder = tempDir();
  const path = join(folder.path, "c.sqlite");
  const opened: SqlArchive<string, unknown>[] = [];
  try {
    use(path, (options) => {
      const archive = new SqlArchive<string, unknown>(path, options);
      opened.push(archive);
      return archive;
    });
  } finally {
    for (const archive of opened) archive.close();
  }
}

/** What is left of a, b and c, of which a and c are used, when d comes and there is room for three. */
function left(policy: PolicyLike, use: string[] = ["a", "c"]): string {
  using archive = new SqlArchive<string>(":memory:", { policy });
  for (const key of ["a", "b", "c"]) archive.set(key, key);
  for (const key of use) archive.get(key);
  archive.set("d", "d");
  return [...archive.keys()].sort().join("");
}

test("each policy removes what it says when the limit is reached", () => {
  assertEquals(left(lru(3)), "acd");
  assertEquals(left(mru(3)), "abd");
  assertEquals(left(lfu(3)), "acd");
  assertEquals(left(lfu(3), ["b", "b", "c"]), "bcd");
  assertEquals(left(inf), "abcd");
  assertEquals(left(none), "");
  const survivors = new Set(Array.from({ length: 40 }, () => left(rr(3))));
  assertEquals([...survivors].sort(), ["abd", "acd", "bcd"]);
});

test("what is looked at without being used does not count as used", () =>
  atPath((_, open) => {
    const archive = open({ policy: lru(3) });
    for (const key of ["a", "b", "c"]) archive.set(key, key);
    assertEquals([archive.entry("a")!.size > 0, [...archive.values()].length], [true, 3]);
    archive.set("d", 1);
    assertEquals([...archive.keys()], ["b", "c", "d"]);
  }));

test("a policy and the uses are in force after the file is opened again, without being named", () =>
  atPath((_, open) => {
    const first = open({ policy: lru(3) });
    for (const key of ["a", "b", "c"]) first.set(key, key);
    first.get("a");
    first.close();
    const second = open();
    assertEquals(second.policy, { name: "lru", count: 3, bytes: Infinity } as Policy);
    second.set("d", 1);
    assertEquals([...second.keys()], ["a", "c", "d"]);
    second.get("a");
    second.close();
    const third = open({ mode: "exclusive" });
    third.set("e", 1);
    assertEquals([...third.keys()], ["a", "d", "e"]);
  }));

test("a policy that is named later is in force at once, for who has the cache open already too", () =>
  atPath((_, open) => {
    const early = open();
    for (const key of "abcdef") early.set(key, "x".repeat(10));
    const late = open({ policy: lfu(4) });
    assertEquals(late.size, 4);
    early.set("g", 1);
    assertEquals([early.size, early.policy.name], [4, "lfu"]);
    const free = open({ policy: inf });
    for (const key of "hijk") early.set(key, 1);
    assertEquals(free.size, 8);
  }));

test("bytes are limited too: several go for a large one, and one larger than the limit is not kept", () =>
  atPath((_, open) => {
    const archive = open({ policy: lru({ bytes: 1000 }), serialized: false });
    const put = (key: string, bytes: number) => archive.set(key, new Uint8Array(bytes));
    for (const key of ["a", "b", "c"]) put(key, 300);
    put("d", 500);
    assertEquals([...archive.keys()], ["c", "d"]);
    put("c", 100);
    put("e", 400);
    assertEquals([...archive.keys()], ["c", "d", "e"]);
    put("d", 1001);
    assertEquals([...archive.keys()], ["c", "e"]);
    archive.delete("c");
    put("f", 600);
    assertEquals([...archive.keys()], ["e", "f"]);
    archive.clear();
    put("g", 1000);
    assertEquals([...archive.keys()], ["g"]);
  }));

test("what has expired goes before what the policy would remove", () =>
  atPath((_, open) => {
    const archive = open({ policy: lru(3) });
    archive.set("a", 1).set("b", 1, { ttl: 0 }).set("c", 1);
    archive.set("d", 1);
    assertEquals([...archive.keys()], ["a", "c", "d"]);
    archive.set("e", 1, { tags: ["x"] }).set("f", 1, { tags: ["x", "y"] });
    assertEquals([archive.invalidate("x"), [...archive.keys()]], [2, ["d"]]);
    archive.set("g", 1).set("h", 1);
    assertEquals([...archive.keys()], ["d", "g", "h"]);
  }));

test("a transaction that fails leaves the counts of a limit right", () =>
  atPath((_, open) => {
    const archive = open({ policy: lru(3) });
    archive.set("a", 1).set("b", 1);
    const fail = () => {
      archive.update([["c", 1], ["d", 1], ["e", 1]]);
      throw new RangeError("no");
    };
    assertThrows(() => archive.transaction(fail), RangeError);
    archive.transaction(() => {
      assertThrows(() => archive.transaction(fail), RangeError);
      archive.set("c", 1);
    });
    assertEquals([...archive.keys()], ["a", "b", "c"]);
    archive.set("d", 1);
    assertEquals([...archive.keys()], ["b", "c", "d"]);
  }));

test("archives in one file keep apart, are listed, and share transactions", () =>
  atPath((path, open) => {
    const a = open({ name: "a" }), b = open({ name: "b" }), plain = open();
    a.set("k", "in a");
    b.set("k", "in b");
    assertEquals([a.get("k"), b.get("k"), plain.get("k")], ["in a", "in b", undefined]);
    assertThrows(() =>
      a.transaction(() => {
        a.set("k", 1);
        b.set("k", 1);
        throw new RangeError("no");
      }), RangeError);
    assertEquals([a.get("k"), b.get("k")], ["in a", "in b"]);
    assertEquals(a.names(), ["a", "b", "default"]);
    b.drop();
    assertEquals(SqlArchive.names(path), ["a", "default"]);
    assertEquals(a.get("k"), "in a");
  }));

test("dropping the last archive removes the file, but not while another process has it open", async () => {
  using folder = tempDir();
  const path = join(folder.path, "c.sqlite");
  const one = new SqlArchive(path), table = new SqlTableArchive(path, { table: "t" });
  one.set("a", 1);
  one.drop();
  assert(existsSync(path));
  table.drop();
  assertEquals(readdirSync(folder.path), []);

  const kept = new SqlArchive(path);
  const { stdout, stderr } = await runScript(
    `
    import { SqlArchive } from "@pathos/pathos/cache";
    const archive = new SqlArchive(process.argv[2]);
    archive.set("a", 1);
    archive.drop();
    console.log("dropped");
    `,
    { args: [path] },
  );
  assertEquals(stdout, "dropped\n", stderr);
  assertThrows(() => kept.set("b", 1), Error, "dropped");
  assertThrows(() => kept.get("b"), Error, "dropped");
  kept.close();
  using again = new SqlArchive(path);
  assertEquals(again.size, 0);
});

test("a file that was removed while it was open is a new one for who opens it next", () =>
  atPath((path, open) => {
    open().set("a", 1);
    rmSync(path);
    assertEquals(open().size, 0);
  }));

test("a copy is made in another file, with the policy, and never onto the archive itself", () =>
  atPath((path, open) => {
    const archive = open({ name: "n", policy: lru(5) });
    archive.set("a", 1, { tags: ["t"] });
    const copy = archive.copy(`${path}.copy`) as SqlArchive<string, unknown>;
    assertEquals([copy.policy.count, copy.entry("a")!.tags, copy.names()], [5, ["t"], ["n"]]);
    copy.drop();
    assertThrows(
      () => archive.copy(`${path}/../c.sqlite`.replace("c.sqlite/../", "./")),
      RangeError,
      "same file",
    );
    assertEquals(archive.get("a"), 1);
  }));

test("vacuum gives room back", () =>
  atPath((path, open) => {
    const archive = open();
    archive.set("a", new Uint8Array(3_000_000));
    archive.delete("a");
    assert(statSync(path).size > 2_000_000);
    archive.vacuum();
    assert(statSync(path).size < 100_000);
  }));

test("an archive that is only to be read says what is not there, and does not write", () =>
  atPath((path, open) => {
    open({ name: "a" }).set("k", 1);
    const reader = open({ name: "a", readOnly: true });
    assertEquals(reader.get("k"), 1);
    assertThrows(() => reader.set("k", 2), Error, "readonly");
    const message = assertThrows(() => open({ name: "b", readOnly: true }), Error).message;
    assertStringIncludes(message, 'no cache named "b"');
    assertStringIncludes(message, "there is a");
    assertThrows(() => new SqlTableArchive(path, { readOnly: true }), Error, 'no table "archive"');
  }));

test.needs(["sqlite3"], "the columns of a table are for any program", () => {
  using folder = tempDir();
  const path = join(folder.path, "c.sqlite");
  const sql = (text: string) => execFileSync("sqlite3", ["-json", path, text], { encoding: "utf8" });
  {
    using archive = new SqlTableArchive(path, { table: 'a "b" c', serialized: false });
    archive.set("text", "é", { ttl: 60_000, tags: ["x"] }).set("number", 1.5).set("whole", 7).set(
      "bytes",
      new Uint8Array(3),
    );
    archive.set(["a", 1], "key");
  }
  const rows = JSON.parse(
    sql('SELECT key, value, typeof(value) AS type, size, tags FROM "a ""b"" c" LIMIT 3'),
  );
  assertEquals(rows, [
    { key: "text", value: "é", type: "text", size: 2, tags: '["x"]' },
    { key: "number", value: 1.5, type: "real", size: 8, tags: null },
    { key: "whole", value: 7, type: "integer", size: 8, tags: null },
  ]);
  sql('UPDATE "a ""b"" c" SET value = \'changed\' WHERE key = \'text\'');
  sql("CREATE TABLE other (x)");
  using archive = new SqlTableArchive(path, { table: 'a "b" c', serialized: false });
  assertEquals([archive.get("text"), archive.get("bytes"), archive.get(["a", 1])], [
    "changed",
    new Uint8Array(3),
    "key",
  ]);
  assertThrows(() => new SqlTableArchive(path, { table: "other" }), Error, "of another kind");
  for (const table of ["", "sqlite_x", "caches", "cache_1", "a\0b"]) {
    assertThrows(() => new SqlTableArchive(path, { table }), TypeError, "cannot be called");
  }
});

test("values that a database cannot keep as they are are refused with advice", () => {
  using archive = new SqlArchive(":memory:", { serialized: false });
  assertThrows(() => archive.set("a", new Float64Array(2)), TypeError);
  for (const value of [NaN, -0, 2 ** 60, "a\0b", ""]) {
    archive.set("a", value);
    assertEquals(archive.get("a"), value);
  }
});

test("uses are written down with the next write, so that a reader writes nothing", () =>
  atPath((path, open) => {
    const archive = open({ policy: lru(3) });
    for (const key of ["a", "b", "c"]) archive.set(key, key);
    const before = readFileSync(path);
    for (let i = 0; i < 100; i++) archive.get("a");
    assertEquals(readFileSync(path).equals(before), true);
    archive.set("d", 1);
    assertEquals([...archive.keys()], ["a", "c", "d"]);
  }));

test("a limit holds while several processes write", async () => {
  using folder = tempDir();
  const path = join(folder.path, "c.sqlite");
  using archive = new SqlArchive(path, { policy: lru({ count: 50, bytes: 100_000 }) });
  const script = `
    import { SqlArchive } from "@pathos/pathos/cache";
    const [path, name] = process.argv.slice(2);
    const archive = new SqlArchive(path);
    for (let i = 0; i < 100; i++) {
      archive.set(name + i % 60, new Uint8Array(i * 37 % 4000));
      archive.get(name + (i * 7) % 60);
      if (i % 9 === 0) archive.delete(name + i % 60);
      if (archive.size > 50) throw new Error("too many: " + archive.size);
    }
    archive.close();
  `;
  const results = await Promise.all(["a", "b", "c"].map((name) => runScript(script, { args: [path, name] })));
  for (const { code, stderr } of results) assertEquals(code, 0, stderr);
  const sizes = [...archive.keys()].map((key) => archive.entry(key)!.size);
  assert(sizes.length <= 50 && sizes.reduce((sum, size) => sum + size, 0) <= 100_000);
  assert(sizes.length > 20, `${sizes.length}`);
  archive.close();
  const database = new Database(path);
  const [counted] = database.prepare(
    "SELECT entries, bytes, (SELECT count(*) FROM cache_1), (SELECT sum(size) FROM cache_1) FROM caches",
  ).all();
  database.close();
  assertEquals(counted.slice(0, 2), counted.slice(2));
});

for (const mode of ["shared", "exclusive"] as const) {
  test(`what is kept in memory is never out of date: ${mode}`, () =>
    atPath((_path, open) => {
      const one = open({ mode });
      const other = open({ mode, name: "other" });
      const again = open({ mode });
      one.set("a", 1).set("b", 2);
      assertEquals([one.get("a"), one.get("a"), again.get("a")], [1, 1, 1]);
      again.set("a", 10);
      assertEquals(one.get("a"), 10);
      other.set("a", "of the other");
      assertEquals([one.get("a"), other.get("a")], [10, "of the other"]);
      assertThrows(() =>
        one.transaction(() => {
          one.set("a", 11);
          assertEquals([one.get("a"), again.get("a")], [11, 11]);
          throw new RangeError("taken back");
        }), RangeError);
      assertEquals([one.get("a"), again.get("a")], [10, 10]);
      again.delete("a");
      assertEquals(one.get("a"), undefined);
      one.set("a", 12, { ttl: 0, grace: 1000 });
      assertEquals([one.get("a"), one.read("a")?.value], [undefined, 12]);
      again.clear();
      assertEquals([one.get("b"), one.size], [undefined, 0]);
    }));
}

test("bytes that an archive gives are the caller's own", () =>
  atPath((_path, open) => {
    const archive = open({ serialized: false });
    archive.set("a", new Uint8Array([1, 2]));
    for (let i = 0; i < 3; i++) {
      const bytes = archive.get("a") as Uint8Array;
      assertEquals(bytes, new Uint8Array([1, 2]));
      bytes[0] = 9;
    }
  }));

test("a reader of what another process counts up never sees it go back, nor less than was acknowledged", async () => {
  using folder = tempDir();
  const path = join(folder.path, "c.sqlite");
  using archive = new SqlArchive<string, number>(path);
  archive.set("n", 0);
  const script = `
    import { SqlArchive } from "@pathos/pathos/cache";
    import { readFileSync, writeFileSync } from "node:fs";
    const [path] = process.argv.slice(2);
    const archive = new SqlArchive(path);
    for (let n = 1; n <= 300; n++) {
      archive.set("n", n);
      writeFileSync(path + ".acknowledged", String(n));
    }
    archive.close();
  `;
  const running = runScript(script, { args: [path] });
  let over = false, last = 0, reads = 0;
  const ended = running.finally(() => over = true);
  while (!over) {
    for (let i = 0; i < 200; i++, reads++) {
      const acknowledged = Number(
        existsSync(`${path}.acknowledged`) && readFileSync(`${path}.acknowledged`, "utf8"),
      );
      const n = archive.get("n")!;
      assert(n >= last && n >= acknowledged, `${n} after ${last}, with ${acknowledged} acknowledged`);
      last = n;
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const { code, stderr } = await ended;
  assertEquals([code, stderr, archive.get("n")], [0, "", 300]);
  assert(reads > 300);
});
