/**
 * What a cache in a SQLite file has to withstand, shown with real processes: many writers at once, kills in the middle of
 * transactions, full and read-only disks, damaged and foreign files, other versions, workers of pools. Under Node the
 * processes are Node's and Deno's by turns.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertMatch, assertThrows } from "@std/assert";
import { SqlArchive, SqliteError } from "@pathos/pathos/cache";
import { ProcessPool, ThreadPool } from "@pathos/pathos/map";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { processesBelow, runScript, RUNTIMES, type ScriptResult, tempDir, test, until } from "./harness.ts";

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const mayMount = process.getuid?.() === 0 ? undefined : "only root may mount";

/** SQLite's own program looks at a file that nobody has open. */
function integrity(path: string): string {
  return execFileSync("sqlite3", [path, "pragma integrity_check"], { encoding: "utf8" }).trim();
}

/** A small disk of its own. */
function smallDisk(size: string): { path: string; remount(how: string): void; [Symbol.dispose](): void } {
  const folder = tempDir();
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "none", folder.path]);
  return {
    path: folder.path,
    remount: (how) => void execFileSync("mount", ["-o", `remount,${how}`, folder.path]),
    [Symbol.dispose]() {
      execFileSync("umount", [folder.path]);
      folder[Symbol.dispose]();
    },
  };
}

function assertEnded(...runs: ScriptResult[]): void {
  for (const { code, signal, stderr } of runs) assertEquals([code, signal, stderr], [0, null, ""]);
}

test.needs(
  ["sqlite3"],
  "safety: 8 processes write 1,000 entries each while they read, and nothing is lost",
  async () => {
    using folder = tempDir();
    const path = join(folder.path, "c.sqlite");
    const script = `
    import { SqlArchive } from "@pathos/pathos/cache";
    import process from "node:process";
    const [path, who] = process.argv.slice(2);
    const archive = new SqlArchive(path);
    for (let i = 0; i < 1000; i++) {
      archive.set(who + ":" + i, { who, i, text: "x".repeat(200) });
      const j = Math.floor(Math.random() * (i + 1));
      const found = archive.get(who + ":" + j);
      if (found?.i !== j || found.who !== who) throw new Error("entry " + j + " is " + JSON.stringify(found));
      const other = Math.floor(Math.random() * 8) + ":" + j;
      const foreign = archive.get(other);
      if (foreign !== undefined && foreign.i !== j) throw new Error("entry " + other + " is " + JSON.stringify(foreign));
      if (i % 250 === 0 && archive.size < i) throw new Error("too few");
    }
    archive.close();`;
    assertEnded(
      ...await Promise.all(
        range(8).map((i) =>
          runScript(script, {
            args: [path, String(i)],
            runtime: RUNTIMES[i % RUNTIMES.length],
            timeout: 100_000,
          })
        ),
      ),
    );
    assertEquals(integrity(path), "ok");
    using archive = new SqlArchive<string, { who: string; i: number }>(path);
    assertEquals(archive.size, 8_000);
    for (const [key, { who, i }] of archive) assertEquals(key, `${who}:${i}`);
  },
  { timeout: 120_000 },
);

test("safety: processes that open new files at the same time share them", async () => {
  using folder = tempDir();
  const script = `
    import { SqlArchive } from "@pathos/pathos/cache";
    import { existsSync, writeFileSync } from "node:fs";
    import process from "node:process";
    const [folder, who] = process.argv.slice(2);
    new SqlArchive(":memory:").set("a", 1);
    writeFileSync(folder + "/ready" + who, "");
    while (![0, 1, 2].every((i) => existsSync(folder + "/ready" + i)));
    const start = Date.now() + 50;
    for (let i = 0; i < 40; i++) {
      while (Date.now() < start + 25 * i);
      const archive = new SqlArchive(folder + "/" + i + ".sqlite");
      archive.set(who, i);
      archive.close();
    }`;
  assertEnded(
    ...await Promise.all(
      range(3).map((i) =>
        runScript(script, { args: [folder.path, String(i)], runtime: RUNTIMES[i % RUNTIMES.length] })
      ),
    ),
  );
  for (const i of range(40)) {
    using archive = new SqlArchive(join(folder.path, `${i}.sqlite`));
    assertEquals(archive.size, 3);
  }
});

/**
 * A process that writes transactions without end, once the file `<path>.go<number>` is there: every entry gets the number of the
 * transaction, which is said after it. Large ones do not fit into SQLite's memory, so the file is changed before the end.
 */
const VICTIM = `
  import { SqlArchive } from "@pathos/pathos/cache";
  import { existsSync, writeFileSync, writeSync } from "node:fs";
  import process from "node:process";
  const [path, number, mode, entries, bytes] = process.argv.slice(2);
  const value = new Uint8Array(Number(bytes));
  const write = (archive, n) => {
    new Uint32Array(value.buffer).fill(n);
    archive.transaction(() => {
      for (let e = 0; e < Number(entries); e++) archive.set("e" + e, value);
    });
  };
  const warm = new SqlArchive(":memory:");
  for (let n = 5; n-- > 0;) write(warm, n); // and the last of them is 0
  warm.close();
  writeFileSync(path + ".ready" + number, "");
  while (!existsSync(path + ".go" + number)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
  const archive = new SqlArchive(path, { mode });
  writeFileSync(path + ".began" + number, "");
  for (let n = 1 + new DataView((archive.get("e0") ?? value).buffer).getUint32(0, true);; n++) {
    write(archive, n);
    writeSync(1, n + "\\n");
  }`;

/**
 * Kills victims one after the other, each in the middle of its work: so many, and more (up to four times as many) until enough of
 * them had left a journal to roll back and had finished transactions before. On a slow machine a victim that is killed soon has
 * done nothing, so those that come after it are given more time.
 */
async function kills(
  rounds: number,
  { mode = "shared", entries, bytes, within, journals: wanted }: {
    mode?: "shared" | "exclusive";
    entries: number;
    bytes: number;
    /** Milliseconds after its start during which a victim is killed. */
    within: number;
    /** How many have to leave a journal. */
    journals: number;
  },
): Promise<void> {
  using folder = tempDir(existsSync("/dev/shm") ? "/dev/shm" : tmpdir());
  const path = join(folder.path, "c.sqlite");
  const victim = (number: number) => {
    let pid = 0;
    const run = runScript(VICTIM, {
      args: [path, String(number), mode, String(entries), String(bytes)],
      runtime: RUNTIMES[number % RUNTIMES.length],
      timeout: 100_000,
      onStart: (started) => void (pid = started),
    });
    return { kill: () => process.kill(pid, "SIGKILL"), run };
  };
  const ready = (number: number) => until(() => existsSync(`${path}.ready${number}`), 30_000);
  const waiting = [victim(0), victim(1)];
  let journals = 0, acknowledged = 0, round = 0;
  const enough = () => round >= rounds && journals > wanted && acknowledged > rounds / 5;
  for (; !enough() && round < 4 * rounds; round++) {
    const { kill, run } = waiting.shift()!;
    waiting.push(victim(round + 2));
    await ready(round);
    writeFileSync(`${path}.go${round}`, "");
    await until(() => existsSync(`${path}.began${round}`), 30_000);
    await pause(Math.random() * within);
    kill();
    const { stdout, stderr, signal } = await run;
    assertEquals([signal, stderr], ["SIGKILL", ""]);
    if (stdout === "") within *= 1.05;
    if (existsSync(`${path}-journal`) && statSync(`${path}-journal`).size > 0) journals++;
    if (existsSync(`${path}-wal`) && statSync(`${path}-wal`).size > 0) journals++;
    acknowledged = Math.max(acknowledged, Number(stdout.trimEnd().split("\n").at(-1)));

    using archive = new SqlArchive<string, Uint8Array<ArrayBuffer>>(path);
    if (archive.size === 0) {
      assertEquals(acknowledged, 0);
      continue;
    }
    const numbers = [...archive].map(([, value]) => {
      const words = new Uint32Array(value.buffer);
      assertEquals([value.length, words.every((word) => word === words[0])], [bytes, true]);
      return words[0];
    });
    assertEquals(numbers, Array(entries).fill(numbers[0]), "a transaction is there whole or not at all");
    assert(
      numbers[0] === acknowledged || numbers[0] === acknowledged + 1,
      `${numbers[0]} after ${acknowledged}`,
    );
    acknowledged = numbers[0];
    archive.close();
    if (round % 5 === 0) assertEquals(integrity(path), "ok");
  }
  for (const { kill, run } of waiting) {
    await ready(round++);
    kill();
    await run;
  }
  assertEquals(integrity(path), "ok");
  assertGreater(acknowledged, rounds / 5, "the victims have done something");
  assertGreater(journals, wanted, "victims have left a journal");
}

test.needs(
  ["sqlite3"],
  "safety: 50 kills in the middle of small transactions lose nothing and damage nothing",
  async () => {
    await kills(50, { entries: 30, bytes: 300, within: 80, journals: 0 });
  },
  { timeout: 240_000 },
);

test.needs(
  ["sqlite3"],
  "safety: 30 kills in the middle of transactions that have already changed the file do neither",
  async () => {
    await kills(30, { entries: 40, bytes: 1 << 20, within: 400, journals: 10 });
  },
  { timeout: 240_000 },
);

test.needs(["sqlite3"], "safety: 20 kills of one who has the file exclusively do neither", async () => {
  await kills(20, { mode: "exclusive", entries: 30, bytes: 300, within: 80, journals: 5 });
}, { timeout: 240_000 });

test.needs(
  ["mount"],
  "safety: a full disk is said to be full, takes nothing away, and is used again when there is room",
  () => {
    for (const mode of ["shared", "exclusive"] as const) {
      using disk = smallDisk("8m");
      const [path, filler] = [join(disk.path, "c.sqlite"), join(disk.path, "filler")];
      writeFileSync(filler, new Uint8Array(5 << 20));
      using archive = new SqlArchive<number, Uint8Array>(path, { mode });
      const value = (i: number) => new Uint8Array(100_000).fill(i);
      let written = 0;
      const error = assertThrows(() => {
        for (;; written++) archive.set(written, value(written));
      }, SqliteError);
      assertEquals(error.code, "SQLITE_FULL");
      assertMatch(error.message, /disk is full/);
      assert(error.message.includes(path));
      assertGreater(written, 5);
      const intact = () => {
        for (let i = 0; i < written; i++) assertEquals(archive.get(i), value(i));
        assertEquals(archive.size, written);
      };
      intact();
      assertThrows(() => archive.update(range(30).map((i) => [i, value(99)])), SqliteError, "disk is full");
      intact();
      rmSync(filler);
      archive.set(written, value(written));
      written++;
      intact();
      archive.close();
      if (mode === "shared") {
        writeFileSync(filler, "");
        assertThrows(() => {
          for (;;) writeFileSync(filler, new Uint8Array(4096), { flag: "a" });
        });
        assertMatch(
          assertThrows(() => new SqlArchive(join(disk.path, "new.sqlite")), SqliteError).message,
          /new\.sqlite.*(disk is full|[Nn]o space left)/,
        );
      }
      using again = new SqlArchive<number, Uint8Array>(path);
      assertEquals(again.size, written);
    }
  },
  { notHere: mayMount },
);

test.needs(
  ["mount"],
  "safety: in a read-only folder entries can be read, and writing says why it cannot be",
  () => {
    using disk = smallDisk("4m");
    const path = join(disk.path, "c.sqlite");
    {
      using archive = new SqlArchive(path);
      archive.set("a", 1);
    }
    disk.remount("ro");
    using archive = new SqlArchive(path, { readOnly: true });
    assertEquals([archive.get("a"), archive.size, archive.get("b")], [1, 1, undefined]);
    const error = assertThrows(() => archive.set("b", 1), SqliteError);
    assertMatch(error.message, /read-?only/);
    assertThrows(() => new SqlArchive(join(disk.path, "new.sqlite")), SqliteError, "read-only");
    archive.close();
    disk.remount("rw");
    using writer = new SqlArchive(path);
    assertEquals(writer.set("b", 2).get("a"), 1);
  },
  { notHere: mayMount },
);

test.needs(
  ["sqlite3"],
  "safety: foreign, truncated and damaged files are refused and left as they are",
  () => {
    using folder = tempDir();
    const path = join(folder.path, "c.sqlite");
    {
      using archive = new SqlArchive<number, Uint8Array>(path);
      archive.update(range(50).map((i) => [i, new Uint8Array(10_000).fill(i)]));
    }
    const whole = readFileSync(path);
    const refused = (bytes: Uint8Array | string, words: RegExp) => {
      const other = join(folder.path, "other.sqlite");
      writeFileSync(other, bytes);
      const before = readFileSync(other);
      const error = assertThrows(() => {
        using archive = new SqlArchive<number, Uint8Array>(other);
        for (const [key, value] of archive) assertEquals(value, new Uint8Array(10_000).fill(key));
      }, SqliteError);
      assertMatch(error.message, words);
      assert(error.message.includes(other));
      assertEquals(readFileSync(other), before);
    };
    refused("years of work\n", /is not a database/);
    refused(whole.subarray(0, 50), /is not a database/);
    for (const length of [100, 5000, whole.length - 1]) {
      refused(
        whole.subarray(0, length),
        /truncated|damaged/,
      );
    }
    for (const part of [0.2, 0.5, 0.9]) {
      refused(whole.subarray(0, Math.floor(whole.length * part / 8192) * 8192), /truncated|damaged/);
    }
    const foreign = join(folder.path, "foreign.sqlite");
    execFileSync("sqlite3", [foreign, "create table thesis(chapter); insert into thesis values ('one')"]);
    refused(readFileSync(foreign), /another program/);
    execFileSync("sqlite3", [path, "pragma user_version = 99"]);
    refused(readFileSync(path), /newer version/);
  },
);

test("safety: who follows another protocol of locks is kept out, and what is there stays", () => {
  using folder = tempDir();
  const path = join(folder.path, "c.sqlite");
  {
    using archive = new SqlArchive(path);
    archive.set("a", 1);
  }
  const [protocol, before] = [join(`${path}-locks`, "protocol"), readFileSync(path)];
  const own = readFileSync(protocol, "utf8");
  writeFileSync(protocol, own.replace(/ 1$/m, " 2"));
  const error = assertThrows(() => new SqlArchive(path), SqliteError);
  assertMatch(error.message, /version|protocol/);
  assert(error.message.includes(path));
  assertEquals(readFileSync(path), before);
  writeFileSync(protocol, own);
  using archive = new SqlArchive(path);
  assertEquals(archive.get("a"), 1);
});

for (const Pool of [ThreadPool, ProcessPool]) {
  test(`safety: the workers of a ${Pool.name} and its owner use one file at the same time`, async () => {
    using folder = tempDir();
    const path = join(folder.path, "c.sqlite");
    const url = import.meta.resolve("@pathos/pathos/cache");
    using archive = new SqlArchive<string, number>(path);
    await using pool = new Pool({ workers: 3 });
    const squares = await pool.map(async (x: number) => {
      const { SqlArchive } = await import(url);
      const archive = new SqlArchive(path);
      try {
        for (let i = 0; i < 20; i++) archive.set(`${x}:${i}`, x * x);
        return archive.get("owner's") as number + archive.get(`${x}:19`);
      } finally {
        archive.close();
      }
    }, (archive.set("owner's", 1000), range(12)));
    assertEquals(squares, range(12).map((x) => 1000 + x * x));
    assertEquals(archive.size, 12 * 20 + 1);
  });
}

test("safety: no process of these tests is left", async () => {
  await until(() => processesBelow(process.pid).length === 0);
});
