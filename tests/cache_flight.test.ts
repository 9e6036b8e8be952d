/**
 * One computation at a time among processes that share an archive: stampedes, holders that are killed or hang, and what is left
 * behind.
 *
 * @module
 */
import { appendFileSync, existsSync, readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { assert, assertEquals } from "@std/assert";
import { AsyncStoreArchive, DirArchive, memoize } from "@pathos/pathos/cache";
import { runScript, type ScriptOptions, tempDir, test, until } from "./harness.ts";
import { MapStore } from "./map_store.ts";

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** A script that memoizes a function over the archive `argv[2]`; the function notes each call in the file `argv[3]`. */
const HEAD = `
  import { DirArchive, memoize } from "@pathos/pathos/cache";
  import { appendFileSync } from "node:fs";
  import process from "node:process";
  const [path, log] = process.argv.slice(2);
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const block = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  const note = (word) => appendFileSync(log, word + " ");
`;

interface Place {
  path: string;
  log: string;
  run(code: string, options?: ScriptOptions): Promise<string>;
  /** What the functions have noted so far. */
  noted(): string[];
  /** Files of flights. */
  left(): string[];
  [Symbol.dispose](): void;
}

function place(): Place {
  const folder = tempDir();
  const [path, log] = [`${folder.path}/archive`, `${folder.path}/log`];
  return {
    path,
    log,
    async run(code, options) {
      const archive = code.includes("const archive") ? "" : "const archive = new DirArchive(path);";
      const { stdout, stderr, code: status } = await runScript(HEAD + archive + code, {
        args: [path, log],
        ...options,
      });
      if (status !== 0 && options?.onStart === undefined) throw new Error(stderr);
      return stdout.trim();
    },
    noted: () => existsSync(log) ? readFileSync(log, "utf8").trim().split(" ") : [],
    left: () =>
      [`${path}-flights`, `${path}.shared-flights`].flatMap((path) =>
        existsSync(path) ? readdirSync(path) : []
      ),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

for (const kind of ["DirArchive", "SqlArchive"]) {
  test(`50 callers in 4 processes that share a ${kind} compute once`, async () => {
    using here = place();
    const code = `
    import { ${kind} as Kind } from "@pathos/pathos/cache";
    const archive = new Kind(path + ".shared");
    const slow = memoize(async (x) => {
      note("computed");
      await sleep(400);
      return x * 2;
    }, { archive });
    note("ready");
    const results = await Promise.all(Array.from({ length: 13 }, () => slow(21)));
    const { hit, miss, load } = slow.info();
    console.log(JSON.stringify([new Set(results).size, results[0], hit + miss + load, miss]));
  `;
    const outputs = await Promise.all(Array.from({ length: 4 }, () => here.run(code)));
    const seen = outputs.map((output) => JSON.parse(output));
    assertEquals(
      seen.map(([different, result, calls]) => [different, result, calls]),
      Array(4).fill([1, 42, 13]),
    );
    assertEquals(seen.reduce((sum, [, , , misses]) => sum + misses, 0), 1);
    assertEquals(here.noted().filter((word) => word === "computed").length, 1);
    assertEquals(here.left(), []);
  });
}

test("plain functions in several processes compute once too, and each key has its own flight", async () => {
  using here = place();
  const code = `
    const slow = memoize((x) => {
      note("computed" + x);
      block(100);
      return x * 2;
    }, { archive });
    console.log([1, 2, 3].map(slow).join());
  `;
  const outputs = await Promise.all(Array.from({ length: 4 }, () => here.run(code)));
  assertEquals(outputs, Array(4).fill("2,4,6"));
  assertEquals(here.noted().sort(), ["computed1", "computed2", "computed3"]);
  assertEquals(here.left(), []);
});

for (const kind of ["asynchronous", "plain"]) {
  test(`where the holder is killed, a waiting ${kind} caller computes within a second`, async () => {
    using here = place();
    const slow = kind === "plain"
      ? `memoize((x) => { note("computing"); if (process.argv[4]) block(60_000); return x * 2; }, { archive })`
      : `memoize(async (x) => { note("computing"); if (process.argv[4]) await sleep(60_000); return x * 2; }, { archive })`;
    let pid = 0;
    const holder = here.run(`console.log(await ${slow}(21))`, {
      args: [here.path, here.log, "hang"],
      onStart: (started) => void (pid = started),
    });
    await until(() => here.noted().length === 1);
    let waiting = true;
    const waiter = here.run(`
      const slow = ${slow};
      note("waiting");
      console.log(await slow(21));
    `).finally(() => waiting = false);
    await until(() => here.noted().includes("waiting"));
    await sleep(150);
    assert(waiting, "the waiter waits");
    assertEquals(here.left().length, 1);
    process.kill(pid, "SIGKILL");
    const killed = performance.now();
    assertEquals(await waiter, "42");
    const took = performance.now() - killed;
    assert(took < 1_000, `took ${took} ms`);
    await holder;
    assertEquals(here.noted(), ["computing", "waiting", "computing"]);
    assertEquals(here.left(), []);
  });
}

test("a flight that a killed process left behind is taken and removed by the next", async () => {
  using here = place();
  let pid = 0;
  const code = (body: string) =>
    `console.log(memoize((x) => { ${body}; return x * 2; }, { archive, name: "f", version: 1 })(21))`;
  const holder = here.run(code(`note("computing"); if (process.argv[4]) block(60_000)`), {
    args: [here.path, here.log, "hang"],
    onStart: (started) => void (pid = started),
  });
  await until(() => here.noted().length === 1);
  process.kill(pid, "SIGKILL");
  await holder;
  assertEquals(here.left().length, 1);
  assertEquals(await here.run(code(`note("computing"); if (process.argv[4]) block(60_000)`)), "42");
  assertEquals(here.left(), []);
});

test("a holder without a sign of life for a lease is passed over; an asynchronous one gives them", async () => {
  using here = place();
  const hangs =
    `memoize((x) => { note("A"); if (process.argv[4]) block(10_000); return x * 2; }, { archive, lease: 300 })`;
  const holder = here.run(`console.log(${hangs}(21))`, { args: [here.path, here.log, "hang"] });
  await until(() => here.noted().length === 1);
  const start = performance.now();
  assertEquals(await here.run(`console.log(${hangs}(21))`), "42");
  assert(performance.now() - start < 8_000, "it did not wait for the holder");
  assertEquals(here.noted(), ["A", "A"]);

  const lives =
    `memoize(async (x) => { note("B"); await sleep(1_200); return x * 3; }, { archive, lease: 300 })`;
  const outputs = await Promise.all([1, 2].map(() => here.run(`console.log(await ${lives}(5))`)));
  assertEquals(outputs, ["15", "15"]);
  assertEquals(here.noted(), ["A", "A", "B"]);
  assertEquals(await holder, "42");
  assertEquals(here.left(), []);
});

test("two memoized functions of one process that share an archive compute once", async () => {
  using here = place();
  const { log, path } = here;
  async function slow(x: number): Promise<number> {
    appendFileSync(log, "computed ");
    await new Promise((resolve) => setTimeout(resolve, 60));
    return x + 1;
  }
  const [a, b] = [1, 2].map(() => memoize(slow, { archive: new DirArchive(path) }));
  assertEquals(await Promise.all([a(1), b(1)]), [2, 2]);
  assertEquals([here.noted(), a.info().miss + b.info().miss], [["computed"], 1]);
});

test("functions that share an archive behind a network compute once", async () => {
  const store = new MapStore();
  let calls = 0;
  const slow = async (x: number) => {
    calls++;
    await sleep(30);
    return x + 1;
  };
  const [a, b] = [1, 2].map(() => memoize(slow, { archive: new AsyncStoreArchive(store) }));
  assertEquals(await Promise.all([a(1), b(1), a(2)]), [2, 2, 3]);
  assertEquals([calls, store.held], [2, 0]);
});

test("an error ends the flight, and the next caller tries", async () => {
  using here = place();
  let calls = 0;
  const memo = memoize(async (x: number) => {
    await sleep(5);
    if (++calls === 1) throw new Error("first");
    return x;
  }, { archive: new DirArchive(here.path) });
  const [first, joined] = await Promise.allSettled([memo(1), memo(1)]);
  assertEquals([first.status, joined.status], ["rejected", "rejected"]);
  assertEquals([await memo(1), here.left()], [1, []]);
});

test("a recursive function holds many flights at once, more than are allowed included", () => {
  using here = place();
  const sum = memoize((n: number): number => n === 0 ? 0 : n + sum(n - 1), {
    archive: new DirArchive(here.path),
  });
  assertEquals(sum(300), 45_150);
  assertEquals(here.left(), []);
});

test("a plain function that calls itself with the same arguments does not wait for itself", () => {
  using here = place();
  let depth = 0;
  const memo = memoize((x: number): number => depth++ < 2 ? memo(x) + 1 : x, {
    archive: new DirArchive(here.path),
    lease: 5_000,
  });
  const start = performance.now();
  assertEquals(memo(10), 12);
  assert(performance.now() - start < 4_000); // less than the lease
});

test("where no flight can be had the function computes without one", async () => {
  using here = place();
  const archive = new DirArchive(here.path);
  appendFileSync(`${here.path}-flights`, "a file where the folder should be");
  assertEquals(memoize((x: number) => x + 1, { archive })(1), 2);
  assertEquals(await memoize(async (x: number) => await Promise.resolve(x + 2), { archive })(1), 3);
  assertEquals(archive.size, 2);
});
