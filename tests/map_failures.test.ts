/** What can go wrong in a worker, and that nothing hangs, is lost or stays behind. */
import { assert, assertEquals, assertInstanceOf, assertMatch, assertRejects } from "@std/assert";
import { ProcessPool, TaskError, ThreadPool, TimeoutError, WorkerLostError } from "@pathos/pathos/map";
import { join } from "node:path";
import process from "node:process";
import { isAlive, processesBelow, runScript, runtime, tempDir, test, until } from "./harness.ts";

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const settled = (results: unknown) => results as PromiseSettledResult<number>[];
const endless = (): never => {
  for (;;);
};

for (const Pool of [ThreadPool, ProcessPool]) {
  const kind = Pool.name;

  test(`${kind}: an item that ends its worker is isolated, all others get results`, async () => {
    await using pool = new Pool({ workers: 2 });
    const results = settled(
      await pool.with({ onError: "collect", chunkSize: 10 }).map((x) => {
        if (x === 23) process.exit(7);
        return x * 2;
      }, range(50)),
    );
    assertEquals(results.filter((result) => result.status === "fulfilled").length, 49);
    const { reason } = results[23] as PromiseRejectedResult;
    assertInstanceOf(reason, WorkerLostError);
    assertEquals([reason.index, reason.exitCode, reason.signal], [23, 7, null]);
    assertMatch(reason.message, /exit code 7 while it ran item 23; the 3 workers that tried were all lost/);
    assertEquals(await pool.map((x) => x, [1]), [1], "the pool goes on");
  });

  test(`${kind}: with no retries a lost worker fails the map at once`, async () => {
    await using pool = new Pool({ workers: 2 });
    const error = await assertRejects(
      () => pool.with({ retries: 0, chunkSize: 1 }).map((x) => x === 3 ? process.exit(4) : x, range(10)),
      WorkerLostError,
    );
    assertEquals([error.index, error.exitCode], [3, 4]);
  });

  test(`${kind}: a worker that dies of an unhandled error`, async () => {
    await using pool = new Pool({ workers: 1, output: "off" });
    const error = await assertRejects(() =>
      pool.with({ retries: 0 }).map(() => {
        setTimeout(() => {
          throw new Error("from a timer");
        });
        return new Promise(() => {});
      }, [1]), WorkerLostError);
    assertMatch(error.message, /from a timer/);
  });

  test(`${kind}: an endless loop is over its time; the others get results`, async () => {
    const pool = new Pool({ workers: 2 });
    const results = settled(
      await pool.with({ timeout: 1500, onError: "collect" }).map((x) => {
        if (x === 5) { for (;;); }
        return x;
      }, range(12)),
    );
    assertEquals(results.filter((result) => result.status === "fulfilled").length, 11);
    const { reason } = results[5] as PromiseRejectedResult;
    assertInstanceOf(reason, TimeoutError);
    assertEquals(reason.index, 5);
    const unstoppable = Pool === ThreadPool && runtime === "deno";
    assertEquals(/cannot be stopped/.test(reason.message), unstoppable);
    assertEquals(pool.stats().abandoned, unstoppable ? 1 : 0);
    await pool.terminate();
  }, { leaks: "Deno cannot end a thread that never returns" });

  test(`${kind}: an abort ends what runs, promptly`, async () => {
    const pool = new Pool({ workers: 2 });
    const abort = new AbortController();
    const map = pool.with({ signal: abort.signal }).map(endless, [1, 2, 3, 4]);
    setTimeout(() => abort.abort(new RangeError("enough")), 50);
    const began = performance.now();
    await assertRejects(() => map, RangeError, "enough");
    assert(performance.now() - began < 15_000);
    assertEquals(await pool.map((x) => x, [1, 2]), [1, 2]);
    await pool.terminate();
  }, { leaks: "Deno cannot end a thread that never returns" });

  test(`${kind}: results and errors that cannot travel say which and why`, async () => {
    await using pool = new Pool({ workers: 2 });
    const error = await assertRejects(
      () => pool.map((x) => x === 2 ? new WeakMap() : x, range(4)),
      TaskError,
    );
    assertEquals(error.index, 2);
    assertMatch((error.cause as Error).message, /WeakMap/);
    const thrown = await assertRejects(() =>
      pool.map(() => {
        throw Object.assign(new Error("with a handle"), { handle: new WeakMap() });
      }, [1]), TaskError);
    assertEquals((thrown.cause as Error).message, "with a handle");
  });

  test(`${kind}: an input that cannot travel fails alone`, async () => {
    await using pool = new Pool({ workers: 2 });
    const results = settled(
      await pool.with({ onError: "collect", chunkSize: 5 }).map((x) => typeof x, [
        1,
        "a",
        new WeakMap(),
        2n,
        null,
      ]),
    );
    assertEquals(results.map((result) => result.status), [
      "fulfilled",
      "fulfilled",
      "rejected",
      "fulfilled",
      "fulfilled",
    ]);
  });

  test(`${kind}: a function that cannot travel is refused with path and fix`, async () => {
    await using pool = new Pool({ workers: 2 });
    const cache = { inner: new WeakMap() };
    const error = await pool.map(() => cache, [1]).catch((error) => error);
    assertEquals(error.name, "UnserializableError");
    assertMatch(error.path, /cache/);
  });

  test(`${kind}: a reduction survives lost workers`, async () => {
    await using pool = new Pool({ workers: 2 });
    using folder = tempDir();
    const died = join(folder.path, "died");
    const all = await pool.with({ chunkSize: 5 }).mapReduce(
      async (x) => {
        const { existsSync, writeFileSync } = await import("node:fs");
        if (x === 40 && !existsSync(died)) { // its worker has already reduced some
          writeFileSync(died, "");
          process.exit(1);
        }
        return [x];
      },
      (a, b) => [...a, ...b],
      range(100),
    );
    assertEquals(all, range(100));
    assertEquals(pool.stats().lost, 1);
  });
}

test("ProcessPool: kill -9 of a worker in the middle", async () => {
  await using pool = new ProcessPool({ workers: 2 });
  const map = pool.with({ chunkSize: 1 }).amap((x) => {
    const end = performance.now() + 20;
    while (performance.now() < end);
    return x;
  }, range(40));
  await until(() => pool.stats().items > 3, 60_000);
  const [{ pid }] = processesBelow(process.pid).filter(({ command }) => !command.includes("sh"));
  process.kill(pid, "SIGKILL");
  assertEquals(await map, range(40));
  assertEquals(pool.stats().lost, 1);
});

test("ProcessPool: WorkerLostError carries signal and standard error", async () => {
  await using pool = new ProcessPool({ workers: 1, output: "off" });
  const error = await assertRejects(() =>
    pool.with({ retries: 0 }).map(async () => {
      const { writeSync } = await import("node:fs");
      writeSync(2, "last words\n");
      process.kill(process.pid, "SIGKILL");
    }, [1]), WorkerLostError);
  assertEquals(error.signal, "SIGKILL");
  assertEquals(error.stderr, "last words");
});

test("ProcessPool: more memory than allowed is a lost worker that says so", async () => {
  await using pool = new ProcessPool({ workers: 1, maxMemory: 256 << 20, output: "off" });
  const error = await assertRejects(() =>
    pool.with({ retries: 0 }).map(async () => {
      const kept: Uint8Array[] = [];
      for (;;) {
        kept.push(new Uint8Array(16 << 20).fill(1));
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }, [1]), WorkerLostError);
  assertMatch(error.message, /maxMemory/);
});

test("ProcessPool: a heap that is full is a lost worker", async () => {
  await using pool = new ProcessPool({ workers: 1, maxMemory: 200 << 20, output: "off" });
  const error = await assertRejects(() =>
    pool.with({ retries: 0 }).map(() => {
      const kept: unknown[] = [];
      for (;;) kept.push({ a: [1, 2, 3] });
    }, [1]), WorkerLostError);
  assert(error.signal !== null || error.exitCode !== 0);
});

test("ProcessPool: what user code writes to standard output by itself does not break the line", async () => {
  const lines: string[] = [];
  await using pool = new ProcessPool({ workers: 1, output: ({ text }) => lines.push(text) });
  const results = await pool.map(async (x) => {
    const { writeSync } = await import("node:fs");
    writeSync(1, `raw ${x}\n`);
    return x;
  }, range(5));
  assertEquals(results, range(5));
  assertEquals(lines, range(5).map((x) => `raw ${x}`));
});

test("ProcessPool: results of many megabytes", async () => {
  await using pool = new ProcessPool({ workers: 2 });
  const results = await pool.map((n) => new Uint8Array(n).fill(n % 251), [0, 1, 1 << 20, 40 << 20]);
  assertEquals(results.map((bytes) => bytes.length), [0, 1, 1 << 20, 40 << 20]);
  assertEquals(results[3][123], (40 << 20) % 251);
});

test.deno("ProcessPool: permissions are those given", "Node cannot limit a process", async () => {
  await using none = new ProcessPool({ workers: 1, permissions: "none" });
  const error = await assertRejects(
    () => none.map(() => Deno.readTextFileSync("/etc/hostname"), [1]),
    TaskError,
  );
  assertEquals((error.cause as Error).name, "NotCapable");
  await using some = new ProcessPool({ workers: 1, permissions: { read: ["/etc"] } });
  assert((await some.pipe(() => Deno.readTextFileSync("/etc/hostname"))).length > 0);
  await assertRejects(() => some.pipe(() => Deno.readTextFileSync("/proc/version")), TaskError);
});

test.node("ProcessPool: permissions that Node cannot keep are refused", "Deno keeps them", async () => {
  const pool = new ProcessPool({ workers: 1, permissions: "none" });
  await assertRejects(() => pool.map((x) => x, [1]), Error, "Node cannot limit");
});

test.deno(
  "ProcessPool: a sandboxed worker cannot send code to its parent",
  "Node cannot limit a process",
  async () => {
    await using pool = new ProcessPool({ workers: 1, permissions: "none" });
    const error = await assertRejects(() => pool.map(() => new Function("return 1"), [1]));
    assert(error instanceof Error);
  },
);

const HEAD = `import { ThreadPool, ProcessPool } from "@pathos/pathos/map";
const range = (n) => Array.from({ length: n }, (_, i) => i);
`;

for (const kind of ["ThreadPool", "ProcessPool"]) {
  test(`${kind}: a pool left open does not keep the program alive`, async () => {
    const { code, stdout, stderr } = await runScript(`${HEAD}
      const pool = new ${kind}({ workers: 2 });
      console.log((await pool.map((x) => x + 1, range(10))).length);`);
    assertEquals([code, stdout, stderr], [0, "10\n", ""]);
  });

  test(`${kind}: a map that is not awaited is finished before the program ends`, async () => {
    const { code, stdout } = await runScript(`${HEAD}
      new ${kind}({ workers: 2 }).map((x) => x, range(10)).then((xs) => console.log(xs.length));`);
    assertEquals([code, stdout], [0, "10\n"]);
  });

  test(`${kind}: SIGINT leaves no process`, async () => {
    let below: number[] = [];
    const { signal, expired } = await runScript(
      `${HEAD}
      const pool = new ${kind}({ workers: 2 });
      setTimeout(() => console.log("running"), 300);
      await pool.map(() => { for (;;); }, range(4));`,
      {
        onStart: async (pid) => {
          const wanted = kind === "ProcessPool" ? 3 : 0;
          await until(() => processesBelow(pid).length >= wanted, 60_000);
          await new Promise((resolve) => setTimeout(resolve, 400));
          below = processesBelow(pid).map((child) => child.pid);
          process.kill(pid, "SIGINT");
        },
      },
    );
    assertEquals([signal, expired], ["SIGINT", false]);
    await until(() => below.every((pid) => !isAlive(pid)), 60_000);
  });
}

test("ProcessPool: kill -9 of the program leaves no process", async () => {
  let below: number[] = [];
  await runScript(
    `${HEAD}
    const pool = new ProcessPool({ workers: 2 });
    await pool.map(() => { for (;;); }, range(4));`,
    {
      onStart: async (pid) => {
        await until(() => processesBelow(pid).length >= 3, 60_000);
        await new Promise((resolve) => setTimeout(resolve, 300));
        below = processesBelow(pid).map((child) => child.pid);
        process.kill(pid, "SIGKILL");
      },
    },
  );
  assert(below.length >= 3);
  await until(() => below.every((pid) => !isAlive(pid)), 60_000);
});

test("a thousand maps and a hundred pools leave nothing behind", async () => {
  const { code, stdout, stderr } = await runScript(
    `${HEAD}
    import { readdirSync, readFileSync } from "node:fs";
    const threads = () => readdirSync("/proc/self/task").length;
    const files = () => readdirSync("/proc/self/fd").length;
    const memory = () => Number(/VmRSS:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) / 1024;
    const children = () => readFileSync("/proc/self/task/" + process.pid + "/children", "utf8").trim().split(" ").filter(Boolean).length;
    const pool = new ThreadPool({ workers: 2 });
    const maps = async (n) => { for (let i = 0; i < n; i++) await pool.map((x) => [x, i], [1, 2, 3]); };
    const pools = async (n) => {
      for (let i = 0; i < n; i++) {
        const one = i % 5 === 0 ? new ProcessPool({ workers: 1 }) : new ThreadPool({ workers: 1 });
        await one.map((x) => x, [1]);
        await one.terminate();
      }
    };
    const wait = () => new Promise((resolve) => setTimeout(resolve, 500));
    await maps(300); await pools(20); await wait();
    const before = [threads(), files(), children(), memory()];
    await maps(1000); await pools(100);
    let after;
    for (let i = 0; i < 100; i++) { // what ends may take a moment to be gone
      await wait();
      after = [threads(), files(), children(), memory()];
      if (after[0] <= before[0] + 2 && after[1] <= before[1] + 2 && after[2] === 0) break;
    }
    console.log(JSON.stringify([before, after]));
    await pool.terminate();`,
    { timeout: 400_000 },
  );
  assertEquals([code, stderr], [0, ""]);
  const [before, after] = JSON.parse(stdout) as number[][];
  assert(after[0] <= before[0] + 2, `threads: ${before[0]} before, ${after[0]} after`);
  assert(after[1] <= before[1] + 2, `files: ${before[1]} before, ${after[1]} after`);
  assertEquals(after[2], 0, "processes");
  assert(after[3] <= before[3] * 1.5 + 40, `MiB: ${before[3]} before, ${after[3]} after`);
}, { timeout: 420_000 });
