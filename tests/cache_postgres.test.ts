/** Archives in PostgreSQL, against a real server of our own. */
import {
  assert,
  assertEquals,
  assertGreater,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { type ArchiveKey, DictArchive, memoize, PostgresArchive, PostgresError } from "@pathos/pathos/cache";
import { ProcessPool, ThreadPool } from "@pathos/pathos/map";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import process from "node:process";
import { inspect } from "node:util";
import { missing, runScript, RUNTIMES, test, until } from "./harness.ts";
import { PASSWORD, POSTGRES_PROGRAMS, startPostgres } from "./postgres.ts";

const PROGRAMS = [...POSTGRES_PROGRAMS, "psql"];
const server = (missing(PROGRAMS).length === 0 ? await startPostgres() : undefined)!;

let tables = 0;
/** A URL that names a table which nobody has used. */
const newUrl = () => server.url(`t${++tables}`);

function psql(statement: string): string {
  const words = ["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement];
  const env = { ...process.env, PGPASSWORD: PASSWORD } as Record<string, string>;
  const where = ["-h", "127.0.0.1", "-p", String(server.port), "-U", "tester", "postgres"];
  return execFileSync("psql", [...words, ...where], { encoding: "utf8", env }).trim();
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

test.needs(PROGRAMS, "postgres: values of every kind are read as they were written", async () => {
  const url = newUrl();
  const values = [
    undefined,
    null,
    "",
    "text with NUL \0 and half a pair \ud800",
    0,
    -0,
    NaN,
    2n ** 70n,
    true,
    new Date(5),
    new Map([[{ a: 1 }, new Set([1])]]),
    new Uint8Array(0),
    new Uint8Array([0, 255, 92]),
    new Float64Array([1.5, NaN]),
    new Uint8Array(1 << 20).map((_, i) => i * 7),
    [1, [2, { x: [undefined] }]],
  ];
  {
    await using archive = new PostgresArchive(url);
    for (const [i, value] of values.entries()) await archive.set(i, value);
  }
  await using archive = new PostgresArchive(url, { connections: 2 });
  for (const [i, value] of values.entries()) {
    assertEquals(await archive.get(i), value);
    assert(await archive.has(i), "an entry is there, whatever its value");
  }
  assertEquals(await archive.get("absent"), undefined);
  assertEquals(await archive.has("absent"), false);
  assertEquals(await archive.size(), values.length);
});

test.needs(PROGRAMS, "postgres: keys of every kind keep apart and come back", async () => {
  const keys: ArchiveKey[] = [
    "",
    "a",
    "A",
    "ä",
    "a\u0308",
    "with ' \" \\ \\\\ \\0 % _ $1 ; --",
    "\0",
    "\\0",
    "a\0b",
    "\\h",
    "=",
    "\ud800",
    "\ud801",
    "😀",
    "x".repeat(2000),
    "x".repeat(2001),
    "x".repeat(100_000),
    "x".repeat(99_999) + "y",
    "\\".repeat(3000),
    "ü".repeat(1500),
    1,
    "1",
    1n,
    true,
    null,
    undefined,
    new Uint8Array([1]),
    new Date(0),
    ["a", 1],
    { x: { y: ["z"] } },
  ];
  await using archive = new PostgresArchive<ArchiveKey, number>(newUrl());
  for (const [i, key] of keys.entries()) await archive.set(key, i);
  for (const [i, key] of keys.entries()) assertEquals(await archive.get(key), i, inspect(key));
  const found = new Map((await all(archive)).map(([key, value]) => [value, key]));
  for (const [i, key] of keys.entries()) assertEquals(found.get(i), key);
  assertEquals(await archive.size(), keys.length);
  for (const key of keys) assertEquals([await archive.delete(key), await archive.delete(key)], [true, false]);
  assertEquals(await archive.size(), 0);
});

test.needs(PROGRAMS, "postgres: other programs read JSON, and values that are kept as they are", async () => {
  const [json, plain] = [newUrl(), newUrl()];
  await using a = new PostgresArchive(json, { protocol: "json" });
  await a.set("run", { x: [1, "two"], y: null });
  assertEquals(psql(`select text::json->'x'->>0 from ${json.split("=")[1]} where key = 'run'`), "1");
  assertEquals(await a.get("run"), { x: [1, "two"], y: null });

  await using b = new PostgresArchive<string, unknown>(plain, { serialized: false });
  const table = plain.split("=")[1];
  const values = {
    text: "grün",
    empty: "",
    number: -1.5,
    huge: Infinity,
    bytes: new Uint8Array([0, 1, 255]),
  };
  await b.update(Object.entries(values));
  for (const [key, value] of Object.entries(values)) assertEquals(await b.get(key), value);
  assertEquals(psql(`select text from ${table} where key = 'text'`), "grün");
  assertEquals(psql(`select number + 1 from ${table} where key = 'number'`), "-0.5");
  assertEquals(psql(`select encode(value, 'hex') from ${table} where key = 'bytes'`), "0001ff");
  await assertRejects(() => b.set("x", [1, 2]), TypeError, "no numeric arrays");
  await assertRejects(() => b.set("x", "a\0"), TypeError, "NUL");
  await assertRejects(() => b.set("x", { a: 1 }), TypeError, "serialized: false");
  assertEquals(await b.has("x"), false);
});

test.needs(PROGRAMS, "postgres: entries expire, are kept for their grace, and purged after it", async () => {
  await using archive = new PostgresArchive<string, number>(newUrl(), { ttl: 60_000 });
  await archive.set("archive's", 1);
  await archive.set("never", 2, { ttl: Infinity });
  await archive.set("at once", 3, { ttl: 0 });
  await archive.set("grace", 4, { ttl: 0, grace: 60_000 });
  const info = (await archive.entry("archive's"))!;
  assertLess(Math.abs(info.expires - Date.now() - 60_000), 5_000);
  assertEquals((await archive.entry("never"))!.expires, Infinity);
  assertEquals(await archive.size(), 2);
  assertEquals(await all(archive.keys()), ["archive's", "never"]);
  assertEquals(await all(archive.values()), [1, 2]);
  assertEquals([await archive.get("grace"), await archive.has("grace")], [undefined, false]);
  assertEquals((await archive.read("grace"))!.value, 4);
  assertEquals([await archive.read("at once"), await archive.entry("at once")], [undefined, undefined]);
  assertEquals(await archive.purge(), 1);
  assertEquals((await archive.read("grace"))!.value, 4);
  assertEquals(await archive.delete("grace"), false, "it was as if absent");
  assertEquals(await archive.purge(), 0);
  for (const ttl of [-1, NaN]) await assertRejects(() => archive.set("x", 1, { ttl }), RangeError, "ttl");
  assertThrows(() => new PostgresArchive(newUrl(), { ttl: -1 }), RangeError, "ttl");
});

test.needs(PROGRAMS, "postgres: a tag removes what carries it, whatever the tag", async () => {
  await using archive = new PostgresArchive<string, number>(newUrl());
  const odd = "a\"b\\c\0d,{}'e";
  await archive.set("a", 1, { tags: ["x", odd] });
  await archive.update([["b", 2], ["c", 3]], { tags: [odd, ""] });
  await archive.set("d", 4, { tags: ["x"] });
  await archive.set("e", 5);
  assertEquals((await archive.entry("a"))!.tags, ["x", odd]);
  assertEquals(await archive.invalidate("nobody's"), 0);
  assertEquals(await archive.invalidate(odd), 3);
  assertEquals(await all(archive.entries()), [["d", 4], ["e", 5]]);
  await archive.set("d", 4); // a new entry has the new tags
  assertEquals(await archive.invalidate("x"), 0);
});

test.needs(PROGRAMS, "postgres: update writes all entries or none, also of several pages", async () => {
  await using archive = new PostgresArchive<string | number, unknown>(newUrl());
  await archive.set("old", 0);
  await archive.update([["twice", 1], ["other", 2], ["twice", 3]]);
  assertEquals(await archive.get("twice"), 3);
  await archive.update([]);
  await assertRejects(() => archive.update([["new", 1], ["old", new WeakMap()]]), Error, '"old"');
  assertEquals([await archive.has("new"), await archive.get("old")], [false, 0]);
  const many = Array.from({ length: 2_500 }, (_, i): [number, string] => [i, `value ${i}`]);
  await archive.update(many);
  assertEquals(await archive.size(), 2_503);
  assertEquals((await all(archive)).filter(([key]) => typeof key === "number").length, 2_500);
  for (const i of [0, 999, 1000, 2_499]) assertEquals(await archive.get(i), `value ${i}`);
});

test.needs(PROGRAMS, "postgres: large entries are written and iterated a few at a time", async () => {
  await using archive = new PostgresArchive<number, Uint8Array>(newUrl());
  const large = (i: number) => new Uint8Array(1 << 20).fill(i);
  await archive.update(Array.from({ length: 12 }, (_, i) => [i, large(i)]));
  let seen = 0;
  for await (const [key, value] of archive) {
    assertEquals([value.length, value[0], value.at(-1)], [1 << 20, key, key]);
    if (++seen === 3) await archive.delete(11); // iteration tolerates what others do
  }
  assertGreater(seen, 9);
  for await (const _ of archive) break; // nor is anything left open by who stops early
});

test.needs(PROGRAMS, "postgres: popkeys takes all or nothing, and each value goes to one taker", async () => {
  const url = newUrl();
  await using archive = new PostgresArchive<string, number>(url);
  await using other = new PostgresArchive<string, number>(url);
  await archive.update([["a", 1], ["b", 2], ["c", 3]]);
  await archive.set("late", 4, { ttl: 0 });
  await assertRejects(() => archive.popkeys(["a", "absent", "b"]), RangeError, 'no entry "absent"');
  await assertRejects(() => archive.popkeys(["a", "a"]), RangeError, 'no entry "a"');
  await assertRejects(() => archive.popkeys(["a", "late"]), RangeError, 'no entry "late"');
  assertEquals(await archive.size(), 3);
  assertEquals(await archive.popkeys(["b", "absent", "a"], -1), [2, -1, 1]);
  assertEquals(await all(archive.keys()), ["c"]);

  const keys = Array.from({ length: 50 }, (_, i) => `k${i}`);
  await archive.update(keys.map((key, i) => [key, i]));
  const taken = await Promise.all([archive, other].map((from) => from.popkeys(keys.toReversed(), -1)));
  assertEquals(taken.flat().filter((value) => value >= 0).sort((a, b) => a - b), keys.map((_, i) => i));
});

test.needs(
  PROGRAMS,
  "postgres: a copy has all entries with their expiry and tags, and replaces what was there",
  async () => {
    const [url, elsewhere] = [newUrl(), newUrl()];
    await using archive = new PostgresArchive<string, unknown>(url);
    await archive.set("a", { x: 1 }, { ttl: 60_000, tags: ["t"] });
    await archive.set("b", new Uint8Array(3));
    await archive.set("gone", 1, { ttl: 0 });
    await using target = new PostgresArchive(elsewhere);
    await target.set("before", 1);

    await using copy = await archive.copy(elsewhere) as PostgresArchive<string, unknown>;
    assertInstanceOf(copy, PostgresArchive);
    assertEquals(copy.name, target.name);
    assertEquals(await all(copy), [["a", { x: 1 }], ["b", new Uint8Array(3)]]);
    assertEquals(await copy.entry("a"), await archive.entry("a"));
    assertEquals(await target.has("before"), false);

    await using named = await archive.copy('odd "table"') as PostgresArchive<string, unknown>;
    assertMatch(named.name, /table=odd/);
    assertEquals(await named.size(), 2);
    const memory = await archive.copy();
    assertInstanceOf(memory, DictArchive);
    assertEquals([...memory as DictArchive], [["a", { x: 1 }], ["b", new Uint8Array(3)]]);
    assertEquals((memory as DictArchive).entry("a")!.tags, ["t"]);
    await assertRejects(() => archive.copy(url), RangeError, "itself");
    assertEquals(await archive.size(), 2);
  },
);

test.needs(
  PROGRAMS,
  "postgres: what a key signed or code would need is refused, naming the entry",
  async () => {
    const url = newUrl();
    await using signed = new PostgresArchive<string, unknown>(url, { key: "secret" });
    await using plain = new PostgresArchive<string, unknown>(url);
    await signed.set("f", (x: number) => x + 1);
    assertEquals((await signed.get("f") as (x: number) => number)(1), 2);
    await assertRejects(() => plain.get("f"), Error, '"f"');
    await plain.set("unsigned", 1);
    await assertRejects(() => signed.get("unsigned"), Error, '"unsigned"');
  },
);

test.needs(PROGRAMS, "postgres: with cached, what was read is not read again", async () => {
  const url = newUrl();
  await using cached = new PostgresArchive<string, number>(url, { cached: true });
  await using other = new PostgresArchive<string, number>(url);
  await cached.set("a", 1, { tags: ["t"] });
  await other.set("b", 2, { tags: ["t"] });
  assertEquals([await cached.get("a"), await cached.get("b")], [1, 2]);
  await other.set("a", 10);
  assertEquals(await cached.get("a"), 1);
  assertEquals(await cached.invalidate("t"), 1);
  assertEquals([await cached.get("a"), await cached.get("b")], [10, undefined]);
  await cached.clear();
  assertEquals([await cached.get("a"), await other.size()], [undefined, 0]);
});

test.needs(
  PROGRAMS,
  "postgres: a table of another program or a newer version is refused and left alone",
  async () => {
    psql(
      "create table foreign_one (key text primary key, value bytea); insert into foreign_one values ('a', 'b')",
    );
    psql("create table newer (key text primary key); comment on table newer is 'pathos archive, version 9'");
    for (const [table, words] of [["foreign_one", "another program"], ["newer", "another version"]]) {
      await using archive = new PostgresArchive(server.url(), { table });
      await assertRejects(() => archive.get("a"), PostgresError, words);
      await assertRejects(() => archive.clear(), PostgresError, table);
      await assertRejects(() => archive.drop(), PostgresError, words);
    }
    assertEquals(psql("select convert_from(value, 'UTF8') from foreign_one"), "b");
    assertEquals(psql("select count(*) from newer"), "0");
  },
);

test.needs(PROGRAMS, "postgres: names and numbers that cannot be are refused at once", () => {
  assertThrows(() => new PostgresArchive(server.url(), { table: "ü".repeat(32) }), RangeError, "63 bytes");
  assertThrows(() => new PostgresArchive(server.url(), { table: "" }), RangeError, "table");
  assertThrows(() => new PostgresArchive(server.url(), { connections: 0 }), RangeError, "connections");
  assertThrows(() => new PostgresArchive(server.url(), { timeout: NaN }), RangeError, "timeout");
  for (const url of ["cache.sqlite", "http://u:geheim@h/db", "postgres://u:geheim@[/db", "postgres:///db"]) {
    const error = assertThrows(() => new PostgresArchive(url), TypeError, "no URL of a PostgreSQL server");
    assert(!inspect(error, { depth: 9 }).includes("geheim"));
  }
});

test.needs(
  PROGRAMS,
  "postgres: errors say which server, what is wrong and what to do, and never the password",
  async () => {
    const right = new URL(server.url());
    const changed = (change: (url: URL) => void) => {
      const url = new URL(right);
      change(url);
      return url.href;
    };
    psql("create role poor login password 'geheim'");
    const cases: [string, string, RegExp][] = [
      [
        changed((url) => url.password = "geheim"),
        "28P01",
        /password authentication failed .*are user and password right/,
      ],
      [changed((url) => url.password = ""), "", /wants a password/],
      [changed((url) => [url.username, url.password] = ["nobody", "geheim"]), "28P01", /nobody/],
      [changed((url) => url.pathname = "/nowhere"), "3D000", /"nowhere" does not exist.*createdb/],
      [changed((url) => url.host = "no-such-host.invalid"), "ENOTFOUND", /no such host|is the name right/],
      [changed((url) => url.port = "1"), "ECONNREFUSED", /127\.0\.0\.1:1.*is the server running/],
      [changed((url) => url.host = "%2Ftmp%2Fnowhere"), "ENOENT", /no such socket/],
      [
        changed((url) => [url.username, url.password] = ["poor", "geheim"]),
        "42501",
        /the user needs the right/,
      ],
    ];
    for (const [url, code, words] of cases) {
      await using archive = new PostgresArchive(url, { timeout: 30_000 });
      const start = performance.now();
      const error = await assertRejects(() => archive.set("secret key", 1), PostgresError);
      assertLess(performance.now() - start, 20_000, `${url}: what cannot help is not tried again`);
      assertMatch(error.message, words);
      if (code === "ENOTFOUND") assertMatch(error.code, /ENOTFOUND|EAI_AGAIN/);
      else assertEquals(error.code, code);
      assert(error.message.startsWith(archive.name));
      for (
        const shown of [
          inspect(error, { depth: 9 }),
          inspect(archive, { depth: 9 }),
          archive.name,
          String(error.stack),
        ]
      ) {
        for (const secret of ["geheim", PASSWORD, right.password]) assert(!shown.includes(secret), shown);
      }
    }
  },
);

test.needs(PROGRAMS, "postgres: over the unix socket, and with twenty calls at a time", async () => {
  await using archive = new PostgresArchive<number, number>(server.socketUrl("by_socket"), {
    connections: 2,
  });
  await Promise.all(Array.from({ length: 20 }, (_, i) => archive.set(i, i * i)));
  const read = await Promise.all(Array.from({ length: 200 }, (_, i) => archive.get(i % 20)));
  assertEquals(read, Array.from({ length: 200 }, (_, i) => (i % 20) ** 2));
  assertLess(Number(psql("select count(*) from pg_stat_activity where application_name = 'pathos'")), 4);
});

test.needs(
  PROGRAMS,
  "postgres: who makes a table at the same time shares it, and drop removes it",
  async () => {
    const url = newUrl();
    const archives = Array.from({ length: 6 }, () => new PostgresArchive<number, number>(url));
    await Promise.all(archives.map((archive, i) => archive.set(i, i)));
    assertEquals(await archives[0].size(), 6);
    await archives[0].drop();
    assertEquals(psql(`select to_regclass('${url.split("=")[1]}') is null`), "t");
    await assertRejects(() => archives[0].get(1), Error, "closed");
    await Promise.all(archives.slice(1, 4).map((archive, i) => archive.set(i, 10))); // made anew, also by who had it open
    assertEquals(await archives[5].size(), 3);
    for (const archive of archives) await archive.close();
  },
);

test.needs(
  PROGRAMS,
  "postgres: closing waits for the calls under way, ends all connections, and can be repeated",
  async () => {
    const archive = new PostgresArchive<string, number>(newUrl());
    const calls = Array.from({ length: 50 }, (_, i) => archive.set(`k${i}`, i));
    await archive.hold("x");
    await Promise.all([archive.close(), archive.close()]);
    await Promise.all(calls);
    for (
      const call of [
        () => archive.get("k1"),
        () => archive.set("x", 1),
        () => archive.hold("y"),
        () => archive.size(),
      ]
    ) {
      await assertRejects(async () => void await call(), Error, "this archive was closed");
    }
    await until(() =>
      psql("select count(*) from pg_stat_activity where application_name = 'pathos'") === "0"
    );
    const unused = new PostgresArchive(newUrl());
    await unused.close();
  },
);

test.needs(
  PROGRAMS,
  "postgres: one at a time holds a key; others may hold other keys and tables",
  async () => {
    const url = newUrl();
    await using a = new PostgresArchive(url);
    await using b = new PostgresArchive(url);
    await using elsewhere = new PostgresArchive(newUrl());
    const [first, second] = await Promise.all([a.hold(["k", 1]), a.hold(["k", 1])]);
    assert(first && second === null);
    assertEquals(await b.hold(["k", 1]), null);
    const others = await Promise.all([b.hold("k2"), a.hold("k3"), elsewhere.hold(["k", 1])]);
    assert(others.every((end) => end !== null));
    await first();
    await first(); // ending twice ends nobody else's
    const end = await b.hold(["k", 1]);
    assert(end);
    await first();
    assertEquals(await a.hold(["k", 1]), null);
    await b.close();
    assert(await a.hold(["k", 1]), "closing ends what was held");
  },
);

test.needs(PROGRAMS, "postgres: a killed holder holds no more", async () => {
  const url = newUrl();
  await using archive = new PostgresArchive(url);
  const script = `import { PostgresArchive } from "@pathos/pathos/cache";
    const archive = new PostgresArchive(${JSON.stringify(url)});
    await archive.set("held", Boolean(await archive.hold("k")));
    setInterval(() => {}, 1000);`;
  let killed = 0;
  const run = await runScript(script, {
    onStart: async (pid) => {
      await until(() => archive.has("held"), 30_000);
      assertEquals(await archive.hold("k"), null);
      process.kill(pid, "SIGKILL");
      killed = performance.now();
    },
  });
  assertEquals(run.signal, "SIGKILL", run.stderr);
  await until(() => archive.hold("k"), 30_000);
  assertLess(performance.now() - killed, 10_000);
});

test.needs(
  PROGRAMS,
  "postgres: a program ends by itself, whether it closes its archives or not",
  async () => {
    for (const close of ["", "await archive.close();"]) {
      const url = newUrl();
      const { code, stdout, stderr } = await runScript(
        `import { PostgresArchive } from "@pathos/pathos/cache";
       const archive = new PostgresArchive(${JSON.stringify(url)});
       await Promise.all([archive.set("a", 1), archive.set("b", 2), archive.hold("c")]);
       ${close}
       console.log("done");`,
        { timeout: 8_000 },
      );
      assertEquals([code, stdout, stderr], [0, "done\n", ""]);
    }
  },
);

test.needs(PROGRAMS, "postgres: two programs write and read one table at once", async () => {
  const url = newUrl();
  const script = (name: string) =>
    `import { PostgresArchive } from "@pathos/pathos/cache";
     const archive = new PostgresArchive(${JSON.stringify(url)});
     let seen = 0;
     for (let i = 0; i < 300; i++) {
       await archive.set("${name}" + i, { i });
       await archive.set("both", i);
       if (i % 50 === 0) for await (const [key] of archive) seen++;
     }
     await archive.update(Array.from({ length: 500 }, (_, i) => ["shared" + i, "${name}"]));
     await archive.close();`;
  const [runtime, other = runtime] = RUNTIMES;
  const runs = await Promise.all([
    runScript(script("a"), { runtime }),
    runScript(script("b"), { runtime: other }),
  ]);
  for (const { code, stderr } of runs) assertEquals([code, stderr], [0, ""]);
  await using archive = new PostgresArchive(url);
  assertEquals(await archive.size(), 300 + 300 + 1 + 500);
  assertEquals(await archive.get("both"), 299);
  const last = new Set(
    (await all(archive)).filter(([key]) => String(key).startsWith("shared")).map(([, value]) => value),
  );
  assertEquals(last.size, 1, "one update or the other, never a mixture");
});

test.needs(
  PROGRAMS,
  "postgres: a memoized function computes once among processes, and a front answers at once",
  async () => {
    const url = newUrl();
    const script = `import { DictArchive, memoize, PostgresArchive } from "@pathos/pathos/cache";
     const archive = new PostgresArchive(${JSON.stringify(url)});
     const front = new DictArchive();
     const slow = memoize(async (x) => {
       console.log("computed");
       await new Promise((resolve) => setTimeout(resolve, 300));
       return x * 2;
     }, { archive, front, name: "slow", version: 1 });
     const results = await Promise.all(Array.from({ length: 10 }, () => slow(21)));
     if (results.some((result) => result !== 42)) throw new Error(results);
     if (front.size !== 1) throw new Error("nothing in front");
     await archive.close();`;
    const runs = await Promise.all([script, script, script].map((code) => runScript(code)));
    for (const { code, stderr } of runs) assertEquals([code, stderr], [0, ""]);
    assertEquals(runs.map(({ stdout }) => stdout).join("").match(/computed/g)?.length, 1);
  },
);

for (const Pool of [ThreadPool, ProcessPool]) {
  test.needs(
    PROGRAMS,
    `postgres: the workers of a ${Pool.name} use the table of the archive, or of the copy, that they are given`,
    async () => {
      const named = `workers_of_${Pool.name}`;
      await using archive = new PostgresArchive<string, number>(server.url(), { table: named });
      await using copy = await archive.copy(`${named}_copy`) as typeof archive;
      for (const where of [archive, copy]) {
        const square = memoize((x: number) => Promise.resolve(x * x), { archive: where });
        await using pool = new Pool({ workers: 2 });
        assertEquals(await pool.map(square, [1, 2, 3, 1]), [1, 4, 9, 1]);
        assertEquals((await all(where.values())).sort(), [1, 4, 9]);
      }
    },
  );
}

test.needs(
  PROGRAMS,
  "postgres: a server that is killed and comes back loses nothing that was acknowledged, and no call fails",
  async () => {
    await using archive = new PostgresArchive<string, number>(newUrl());
    const acknowledged: string[] = [];
    let stop = false;
    const writers = Array.from({ length: 4 }, async (_, writer) => {
      for (let i = 0; !stop; i++) {
        await archive.set(`${writer}:${i}`, i);
        acknowledged.push(`${writer}:${i}`);
        if (i % 10 === 0) assertEquals(await archive.get(`${writer}:${i}`), i);
      }
    });
    for (let round = 0; round < 3; round++) {
      const before = acknowledged.length;
      await until(() => acknowledged.length > before + 50);
      await server.crash();
      await pause(100);
      await server.up();
    }
    const before = acknowledged.length;
    await until(() => acknowledged.length > before + 50);
    stop = true;
    await Promise.all(writers);
    const found = new Set(await all(archive.keys()));
    assertEquals(acknowledged.filter((key) => !found.has(key)), []);
    const end = await archive.hold("k");
    await server.crash();
    await server.up();
    assert(await archive.hold("k"), "the lock went with the server");
    await end!();
  },
  { leaks: "the server's own pipes were there before" },
);

test.needs(
  PROGRAMS,
  "postgres: a server that does not come back is given up in time, and an idle archive survives its restart",
  async () => {
    await using archive = new PostgresArchive<string, number>(newUrl(), { timeout: 700 });
    await archive.set("a", 1);
    await server.down();
    const start = performance.now();
    const error = await assertRejects(() => archive.get("a"), PostgresError, "is the server running");
    assertLess(performance.now() - start, 10_000);
    assertEquals(error.code, "ECONNREFUSED");
    await server.up();
    assertEquals(await archive.get("a"), 1);
  },
  { leaks: "the server's own pipes were there before" },
);

test.needs(
  PROGRAMS,
  "postgres: a server that does not answer is given up in time",
  async () => {
    await using archive = new PostgresArchive<string, number>(newUrl(), { timeout: 500 });
    await archive.set("a", 1);
    const { pid } = JSON.parse(
      psql("select json_build_object('pid', pid) from pg_stat_activity where application_name = 'pathos'"),
    );
    process.kill(pid, "SIGSTOP");
    try {
      await assertRejects(() => archive.get("a"), PostgresError, "option timeout");
    } finally {
      process.kill(pid, "SIGCONT");
    }
    assertEquals(await archive.get("a"), 1);
  },
);

test.needs(
  PROGRAMS,
  "postgres: nothing is left of the server of these tests",
  async () => {
    await server.stop();
    assert(!existsSync(server.folder));
  },
  { leaks: "it was started before the tests" },
);
