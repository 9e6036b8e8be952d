/** What every pool does alike: each test runs on the calling thread, on threads, on processes and on a server. */
import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import {
  MapHandle,
  ParallelPool,
  type Pool,
  type PoolOptions,
  ProcessPool,
  type Progress,
  SerialPool,
  serve,
  TaskError,
  ThreadPool,
} from "@pathos/pathos/map";
import { join } from "node:path";
import { test } from "./harness.ts";

interface Made {
  pool: Pool;
  /** Ends the pool and what it runs on. */
  end(): Promise<void>;
}
type Make = (options: PoolOptions & { workers?: number }) => Promise<Made>;

const made = (pool: Pool): Promise<Made> => Promise.resolve({ pool, end: () => pool.terminate() });

const pools: Record<string, Make> = {
  SerialPool: () => made(new SerialPool()),
  ThreadPool: (options) => made(new ThreadPool({ workers: 2, ...options })),
  ProcessPool: (options) => made(new ProcessPool({ workers: 2, ...options })),
  ParallelPool: async ({ workers = 2, ...options }) => {
    const server = await serve({ workers });
    const pool = new ParallelPool({ workers: 0, servers: [server.url], ...options });
    return {
      pool,
      async end() {
        await pool.terminate();
        await server.close();
      },
    };
  },
};

/** Registers a test for each kind of pool; the pool is closed afterwards. */
function each(name: string, body: (pool: Pool) => Promise<void>): void {
  for (const [kind, make] of Object.entries(pools)) {
    test(`${kind}: ${name}`, async () => {
      const { pool, end } = await make({});
      try {
        await body(pool);
      } finally {
        await end();
      }
    });
  }
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const base = 10;
const addBase = (x: number): number => x + base;
class Point {
  constructor(readonly x: number, readonly y: number) {}
  get length(): number {
    return Math.hypot(this.x, this.y);
  }
}
class HttpError extends Error {
  override name = "HttpError";
  constructor(message: string, readonly status: number, options?: ErrorOptions) {
    super(message, options);
  }
}

each("map keeps the order and runs what surrounds the function", async (pool) => {
  const k = 3;
  assertEquals(await pool.map((x: number) => addBase(x) * k, [1, 2, 3]), [33, 36, 39]);
});

each("map over nothing gives nothing", async (pool) => {
  assertEquals(await pool.map((x: number) => x, []), []);
  assertEquals(await pool.map((x: number) => x, new Set<number>()), []);
});

each("several inputs stop at the shortest", async (pool) => {
  const letters = function* () {
    yield* ["a", "b", "c"];
  };
  assertEquals(
    await pool.map(
      (n: number, s: string, f: number) => `${n}${s}${f}`,
      range(9),
      letters(),
      new Float32Array([0.5, 1.5]),
    ),
    ["0a0.5", "1b1.5"],
  );
});

each("async inputs and promises are awaited", async (pool) => {
  const slowly = async function* () {
    for (const x of [1, 2, 3]) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      yield x;
    }
  };
  const results = await pool.map(async (x: number) => {
    await null;
    return x * 2;
  }, slowly());
  assertEquals(results, [2, 4, 6]);
});

each("any value arrives as it was", async (pool) => {
  const values = [
    undefined,
    null,
    -0,
    NaN,
    2n ** 70n,
    "\ud800",
    new Date(5),
    new Map([[{ a: 1 }, new Set([1, "x"])]]),
    [1, , 3],
    /x/gi,
    new Uint8Array([1, 2, 3]),
    { deep: { list: [1, [2, [3]]] } },
  ];
  const back = await pool.map((value: unknown) => value, values);
  assertEquals(back, values);
  assert(Object.is(back[2], -0));
  assertEquals(1 in (back[8] as unknown[]), false);
});

each("numbers arrive as they were, packed or not", async (pool) => {
  const numbers = [0, -0, NaN, Infinity, -Infinity, 1e-320, 2 ** 53, 0.1];
  const back = await pool.map((x: number) => x, numbers);
  back.forEach((x, i) => assert(Object.is(x, numbers[i])));
  const mixed = await pool.map((x: number) => x % 2 ? x : String(x), range(1000));
  assertEquals(mixed, range(1000).map((x) => x % 2 ? x : String(x)));
});

each("a million small items", async (pool) => {
  const results = await pool.map((x: number) => x + 1, range(1_000_000));
  assertEquals(results.length, 1_000_000);
  assert(results.every((x, i) => x === i + 1));
});

each("typed arrays as inputs give plain results", async (pool) => {
  assertEquals(await pool.map((x: number) => x * 2, new Float64Array([1, 2, 3])), [2, 4, 6]);
  assertEquals(await pool.map((x: bigint) => x * 2n, new BigInt64Array([1n, 2n])), [2n, 4n]);
  const shared = new Float64Array(new SharedArrayBuffer(8 * 1000)).map((_, i) => i);
  assertEquals(await pool.map((x: number) => x, shared), range(1000));
});

each("out receives numeric results, also over shared memory", async (pool) => {
  for (const buffer of [new ArrayBuffer(8 * 5000), new SharedArrayBuffer(8 * 5000)]) {
    const out = new Float64Array(buffer);
    const results = await pool.with({ out }).map((x: number) => x * x, range(5000));
    assertEquals(results as unknown, out);
    assertEquals([out[0], out[70], out[4999]], [0, 4900, 4999 ** 2]);
  }
  const error = await assertRejects(
    () => pool.with({ out: new Float64Array(3) }).map((x: number) => x === 1 ? "one" : x, [0, 1, 2]),
    TaskError,
  );
  assertEquals(error.index, 1);
});

each("the caller's arrays stay the caller's", async (pool) => {
  const bytes = new Uint8Array(100_000).fill(7);
  const [sum] = await pool.map((b: Uint8Array) => b.reduce((a, x) => a + x, 0), [bytes]);
  assertEquals(sum, 700_000);
  assertEquals(bytes.length, 100_000);
});

each("a result that the function keeps is not taken away from it", async (pool) => {
  const kept = new Map<string, Float64Array>();
  const cached = (): Float64Array => {
    if (!kept.has("a")) kept.set("a", new Float64Array(5000).fill(1));
    return kept.get("a")!;
  };
  const results = await pool.with({ chunkSize: 1 }).map(cached, range(10));
  assert(results.every((array) => array.length === 5000 && array[4999] === 1));
});

each("an instance of a shipped class comes back as one of the caller's class", async (pool) => {
  const moved = await pool.map(
    (p: Point) => p instanceof Point ? new Point(p.x + 1, p.length) : undefined,
    [new Point(3, 4), new Point(6, 8)],
  );
  assertInstanceOf(moved[0], Point);
  assertEquals(moved.map((p) => [p!.x, p!.y]), [[4, 5], [7, 10]]);
});

each("instances of a class the function does not mention keep their class too", async (pool) => {
  const [same] = await pool.map((value: unknown) => value, [new Point(1, 2)]);
  assertInstanceOf(same, Point);
});

each("an error arrives as itself, with index, worker and the user's line", async (pool) => {
  const fail = (x: number): number => {
    if (x === 2) throw new HttpError("no such page", 404, { cause: new RangeError("deep") });
    return x;
  };
  const error = await assertRejects(() => pool.map(fail, range(5)), TaskError);
  assertEquals(error.index, 2);
  assert(error.worker.length > 0);
  const cause = error.cause as HttpError;
  assertInstanceOf(cause, HttpError);
  assertEquals([cause.message, cause.status], ["no such page", 404]);
  assertInstanceOf(cause.cause, RangeError);
  const frame = cause.stack!.split("\n").find((line) => /^\s+at /.test(line))!;
  assert(/map_semantics\.test\.(ts|mjs):\d+:\d+/.test(frame), `not the user's file: ${frame}`);
  assert(/map_semantics\.test/.test(error.stack!), "the error itself shows where the map was called");
  assert(error.message.includes("input: 2"));
});

each("the line of an error is the line in the file as written", async (pool) => {
  const lineOf = (stack: string): number =>
    Number(/:(\d+):\d+\)?$/m.exec(stack.split("\n").find((l) => /^\s+at /.test(l))!)![1]);
  type Erased = { a: number; b: string };
  const here = lineOf(new Error().stack!);
  const fail = (x: Erased["a"]): number => {
    interface AlsoErased {
      c: number;
    }
    const y: AlsoErased = { c: x };
    throw new Error(`line ${y.c}`);
  };
  const error = await assertRejects(() => pool.map(fail, [1]), TaskError);
  assertEquals(lineOf((error.cause as Error).stack!), here + 6);
});

each("whatever is thrown arrives", async (pool) => {
  for (const thrown of ["text", 5, null, { code: 7 }]) {
    const error = await assertRejects(() =>
      pool.map((value: unknown) => {
        throw value;
      }, [thrown]), TaskError);
    assertEquals(error.cause, thrown);
  }
});

each("the first failure stops the map", async (pool) => {
  let pulled = 0;
  const inputs = function* () {
    for (; pulled < 100_000; pulled++) yield pulled;
  };
  await assertRejects(() =>
    pool.with({ chunkSize: 1 }).map((x: number) => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
      if (x === 3) throw new Error("stop");
      return x;
    }, inputs()), TaskError);
  assert(pulled < 1000, `${pulled} inputs were read after the failure`);
});

each("collect gives settled results", async (pool) => {
  const results = await pool.with({ onError: "collect" }).map((x: number) => {
    if (x % 2) throw new RangeError(`odd ${x}`);
    return x;
  }, range(4)) as unknown as PromiseSettledResult<number>[];
  assertEquals(results.map((result) => result.status), ["fulfilled", "rejected", "fulfilled", "rejected"]);
  const { reason } = results[3] as PromiseRejectedResult;
  assertInstanceOf(reason, TaskError);
  assertEquals(reason.index, 3);
  assertInstanceOf(reason.cause, RangeError);
});

each("thrown errors are retried when asked", async (pool) => {
  const seen = new Map<number, number>();
  const flaky = (x: number): number => {
    seen.set(x, (seen.get(x) ?? 0) + 1);
    if (x === 2 && seen.get(x)! < 2) throw new Error("not yet");
    return x;
  };
  const one = pool.with({ retries: { thrown: 3 } });
  assertEquals(await one.map(flaky, range(4)), range(4));
  const always = (): never => {
    throw new Error("never");
  };
  await assertRejects(() => one.map(always, [1]), TaskError);
});

each("imap reads an endless input no further than it says", async (pool) => {
  let pulled = 0;
  const naturals = function* () {
    for (;; pulled++) yield pulled;
  };
  const seen: number[] = [];
  for await (const x of pool.with({ lookahead: 20 }).imap((n: number) => n * 2, naturals())) {
    seen.push(x);
    assert(pulled - seen.length <= 20, `${pulled} read when ${seen.length} were taken`);
    if (seen.length === 100) break;
  }
  assertEquals(seen, range(100).map((n) => n * 2));
  const after = pulled;
  await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals(pulled, after, "leaving the loop stops the reading");
});

each("imap reads at most 1024 ahead by default", async (pool) => {
  let pulled = 0;
  const naturals = function* () {
    for (;; pulled++) yield pulled;
  };
  let taken = 0;
  for await (const _ of pool.imap((n: number) => n, naturals())) {
    taken++;
    assert(pulled - taken <= 1024, `${pulled} read when ${taken} were taken`);
    if (taken === 3000) break;
  }
});

each("leaving a loop closes the input", async (pool) => {
  let closed = false;
  const inputs = function* () {
    try {
      for (let n = 0;; n++) yield n;
    } finally {
      closed = true;
    }
  };
  for await (const x of pool.imap((n: number) => n, inputs())) if (x === 3) break;
  assert(closed);
});

each("uimap gives all results, once each", async (pool) => {
  const seen: number[] = [];
  for await (const x of pool.uimap((n: number) => n, range(500))) seen.push(x);
  assertEquals(seen.sort((a, b) => a - b), range(500));
});

each("imap gives what came before a failure, then throws", async (pool) => {
  const seen: number[] = [];
  await assertRejects(async () => {
    for await (
      const x of pool.with({ chunkSize: 1 }).imap((n: number) => {
        if (n === 5) throw new Error("five");
        return n;
      }, range(100))
    ) seen.push(x);
  }, TaskError);
  assert(seen.every((x, i) => x === i) && seen.length <= 5);
});

each("an input that throws rejects with its error", async (pool) => {
  const broken = function* () {
    yield 1;
    throw new SyntaxError("line 2 of the data");
  };
  await assertRejects(() => pool.map((x: number) => x, broken()), SyntaxError, "line 2 of the data");
});

each("handles", async (pool) => {
  const handle = pool.amap((x: number) => x + 1, range(100));
  assertInstanceOf(handle, MapHandle);
  assertEquals(handle.ready(), false);
  assertEquals(await handle.wait(), true);
  assertEquals([handle.ready(), handle.successful()], [true, true]);
  assertEquals((await handle.get()).length, 100);
  assertEquals((await handle).length, 100);
  assertEquals([handle.progress.done, handle.progress.total], [100, 100]);
  const failing = pool.amap(() => {
    throw new Error("no");
  }, [1]);
  assertEquals(await failing.wait(), true);
  assertEquals(failing.successful(), false);
  await assertRejects(() => failing.get(), TaskError);
});

each("a handle can be waited for with a limit, and cancelled", async (pool) => {
  const never = pool.amap(() => new Promise(() => {}), [1]);
  assertEquals(await never.wait(30), false);
  const late = await never.get(10).catch((error) => error);
  assertEquals([late.name, late.index], ["TimeoutError", -1]);
  never.cancel();
  const error = await never.get().catch((error) => error);
  assertEquals(error.name, "AbortError");
  assertEquals(await pool.map((x: number) => x, [1]), [1], "the pool goes on");
});

each("pipe and apipe call once", async (pool) => {
  assertEquals(await pool.pipe((a: number, b: string) => b + a, 1, "x"), "x1");
  assertEquals(await pool.pipe(() => "none"), "none");
  assertEquals(await pool.apipe((a: number[]) => a.length, [1, 2]).get(), 2);
});

each("an abort signal stops with its reason", async (pool) => {
  const abort = new AbortController();
  const { signal } = abort;
  setTimeout(() => abort.abort(new DOMException("enough", "TimeoutError")), 50);
  const began = performance.now();
  const error = await pool.with({ signal }).map(() => new Promise(() => {}), range(10)).catch((error) =>
    error
  );
  assertEquals(error.name, "TimeoutError");
  assert(performance.now() - began < 5000);
  const already = await pool.with({ signal: AbortSignal.abort(new RangeError("before")) }).map(
    (x: number) => x,
    [1],
  )
    .catch((error) => error);
  assertInstanceOf(already, RangeError);
});

each("a promise that never settles is over its time", async (pool) => {
  const error = await pool.with({ timeout: 60 }).map(
    (x: number) => x === 1 ? new Promise(() => {}) : x,
    range(3),
  )
    .catch((error) => error);
  assertEquals([error.name, error.index], ["TimeoutError", 1]);
  const results = await pool.with({ timeout: 60, onError: "collect" }).map(
    (x: number) => x === 1 ? new Promise<number>(() => {}) : x,
    range(20),
  ) as unknown as PromiseSettledResult<number>[];
  assertEquals(results.filter((result) => result.status === "fulfilled").length, 19);
});

each("mapReduce keeps the order of the items", async (pool) => {
  const all = await pool.mapReduce((x: number) => [x], (a, b) => [...a, ...b], range(300));
  assertEquals(all, range(300));
  assertEquals(await pool.mapReduce((x: number) => `${x}`, (a, b) => a + b, new Set([1, 2, 3])), "123");
  assertEquals(await pool.mapReduce((x: number) => x, (a, b) => Promise.resolve(a + b), range(100)), 4950);
});

each("mapReduce of nothing has no result", async (pool) => {
  await assertRejects(() => pool.mapReduce((x: number) => x, (a, b) => a + b, []), TypeError, "no items");
});

each("errors of a reduction arrive", async (pool) => {
  const reduce = (a: number, b: number): number => {
    if (b > 50) throw new RangeError("too much");
    return a + b;
  };
  const error = await assertRejects(() => pool.mapReduce((x: number) => x, reduce, range(100)), TaskError);
  assertInstanceOf(error.cause, RangeError);
});

each("mapReduce merges maps with many keys", async (pool) => {
  const merge = (a: Map<string, number>, b: Map<string, number>): Map<string, number> => {
    for (const [key, n] of b) a.set(key, (a.get(key) ?? 0) + n);
    return a;
  };
  const count = (from: number): Map<string, number> => {
    const words = new Map<string, number>();
    for (let i = 0; i < 5000; i++) words.set(`w${(from * 2500 + i) % 40_000}`, 1);
    return words;
  };
  const counts = await pool.mapReduce(count, merge, range(32));
  assertEquals(counts.size, 40_000);
  assertEquals([...counts.values()].reduce((a, b) => a + b, 0), 32 * 5000);
});

each("progress is told", async (pool) => {
  const told: Progress[] = [];
  await pool.with({ onProgress: (progress) => told.push(progress), chunkSize: 5 }).map(
    (x: number) => x,
    range(100),
  );
  const last = told[told.length - 1];
  assertEquals([last.done, last.total, last.failed], [100, 100, 0]);
  assert(told.every((progress, i) => i === 0 || progress.done >= told[i - 1].done));
});

each("statistics add up", async (pool) => {
  await pool.map((x: number) => x, range(1000));
  const stats = pool.stats();
  assertEquals(stats.items, 1000);
  assertEquals(stats.workers.length, pool.workers);
  assertEquals(stats.workers.reduce((sum, worker) => sum + worker.items, 0), 1000);
});

each("with is a view: options do not leak, workers are shared", async (pool) => {
  const collecting = pool.with({ onError: "collect" });
  await assertRejects(() =>
    pool.map(() => {
      throw new Error("stop");
    }, [1]), TaskError);
  const [result] = await collecting.map((x: number) => x, [1]) as unknown as PromiseSettledResult<number>[];
  assertEquals(result.status, "fulfilled");
  assert(collecting.stats().items >= 1);
  assertInstanceOf(collecting, Object.getPrototypeOf(pool).constructor);
});

each("inline runs in the calling thread", async (pool) => {
  let touched = 0;
  await pool.with({ inline: true }).map(() => touched++, range(3));
  assertEquals(touched, 3);
});

each("wrong calls say what is wrong", async (pool) => {
  await assertRejects(() => pool.map(5 as never, [1]), TypeError, "must be a function");
  await assertRejects(() => pool.map((x: unknown) => x, 5 as never), TypeError, "cannot be iterated");
  await assertRejects(
    () => (pool.map as (fn: unknown) => Promise<unknown>)((x: number) => x),
    TypeError,
    "at least one input",
  );
  for (
    const options of [{ timeout: -1 }, { chunkSize: 0 }, { retries: -1 }, { onError: "ignore" }, {
      tiemout: 5,
    }]
  ) {
    let error: unknown;
    try {
      pool.with(options as never);
    } catch (thrown) {
      error = thrown;
    }
    assert(error instanceof RangeError || error instanceof TypeError, JSON.stringify(options));
  }
});

each("maps at the same time share the pool", async (pool) => {
  const sums = await Promise.all(
    range(8).map((k) => pool.map((x: number) => x * k, range(200)).then((xs) => xs.reduce((a, b) => a + b))),
  );
  assertEquals(sums, range(8).map((k) => 19_900 * k));
});

each("closed, joined, terminated, restarted, cleared", async (pool) => {
  const running = pool.map((x: number) => x, range(10));
  pool.close();
  assertEquals((await running).length, 10);
  await pool.join();
  await assertRejects(() => pool.map((x: number) => x, [1]), Error, "restart()");
  await pool.restart();
  assertEquals(await pool.map((x: number) => x, [1]), [1]);
  const stopped = pool.amap(() => new Promise(() => {}), [1]);
  await pool.terminate();
  assertEquals((await stopped.get().catch((error) => error)).name, "AbortError");
  await pool.restart();
  await pool.map((x: number) => x, range(5));
  await pool.clear();
  assertEquals(pool.stats().items, 0);
  assertEquals(await pool.map((x: number) => x, [1]), [1]);
  const cleared = pool.clear();
  assertEquals(await pool.map((x: number) => x + 1, [1]), [2]);
  await cleared;
  const restarted = pool.restart();
  await assertRejects(() => pool.map((x: number) => x, [1]), Error, "restart()");
  await restarted;
  assertEquals(await pool.map((x: number) => x + 2, [1]), [3]);
});

each("speculation gives every item once", async (pool) => {
  const results = await pool.with({ speculate: true, chunkSize: 4 }).map((x: number) => {
    const until = performance.now() + (x % 16 === 0 ? 5 : 0);
    while (performance.now() < until);
    return x;
  }, range(64));
  assertEquals(results, range(64));
});

each("a function that changes is sent anew", async (pool) => {
  let k = 1;
  const times = (x: number): number => x * k;
  assertEquals(await pool.map(times, [1, 2]), [1, 2]);
  k = 5;
  assertEquals(await pool.map(times, [1, 2]), [5, 10]);
});

each("import() in a shipped function: builtin, and relative to its file", async (pool) => {
  const names = await pool.pipe(async () => {
    const { basename } = await import("node:path");
    return basename("/a/b");
  });
  assertEquals(names, "b");
});

for (const [kind, make] of Object.entries(pools).filter(([name]) => name !== "SerialPool")) {
  test(`${kind}: the initializer runs once in every worker`, async () => {
    const { pool, end } = await make({
      workers: 2,
      initializer: () => {
        const scope = globalThis as { started?: number };
        scope.started = (scope.started ?? 0) + 1;
      },
    });
    const counts = await pool.with({ chunkSize: 1 }).map(
      () => (globalThis as { started?: number }).started,
      range(20),
    );
    assert(counts.every((n) => n === 1));
    await end();
    const broken = await make({
      workers: 1,
      initializer: () => {
        throw new RangeError("no licence");
      },
    });
    const error = await assertRejects(() => broken.pool.map((x: number) => x, [1]), TaskError, "initializer");
    assertInstanceOf((error.cause as Error).cause, RangeError);
    await broken.end();
  });

  test(`${kind}: workers are replaced after maxTasksPerWorker`, async () => {
    const { pool, end } = await make({ workers: 1, maxTasksPerWorker: 3 });
    const count = (): number => {
      const scope = globalThis as { done?: number };
      return scope.done = (scope.done ?? 0) + 1;
    };
    assertEquals(await pool.with({ chunkSize: 1 }).map(count, range(7)), [1, 2, 3, 1, 2, 3, 1]);
    await end();
  });

  test(`${kind}: what workers print reaches the parent in whole lines, in order`, async () => {
    const lines: string[] = [];
    const { pool, end } = await make({
      workers: 1,
      output: ({ stream, text }) => lines.push(`${stream} ${text}`),
    });
    await pool.map((x: number) => {
      console.log("item", x, { nested: [1, 2] });
      console.error("two\nlines");
    }, [1]);
    assertEquals(lines, ["stdout item 1 { nested: [ 1, 2 ] }", "stderr two", "stderr lines"]);
    await end();
  });

  test(`${kind}: shared memory and the position of the file in shipped code`, async () => {
    const { pool, end } = await make({});
    const here = await pool.pipe(() => import.meta.url);
    assertEquals(here, import.meta.url);
    await end();
  });
}

test("threads share a captured SharedArrayBuffer", async () => {
  await using pool = new ThreadPool({ workers: 2 });
  const counter = new Int32Array(new SharedArrayBuffer(4));
  await pool.map(() => Atomics.add(counter, 0, 1), range(1000));
  assertEquals(counter[0], 1000);
});

test("pools inside workers divide the cores among them", async () => {
  await using pool = new ThreadPool({ workers: 2 });
  const url = new URL("../map/mod.ts", import.meta.url).href;
  const specifier = "Deno" in globalThis ? url : "@pathos/pathos/map";
  const inner = await pool.map(async (x: number) => {
    const { ThreadPool } = await import(specifier);
    const nested = new ThreadPool({ workers: 8 });
    const results = await nested.map((y: number) => y * x, [1, 2, 3]);
    await nested.terminate();
    return [nested.workers, ...results];
  }, [1, 10]);
  for (const [workers] of inner) assert((workers as number) < 8);
  assertEquals(inner.map(([, ...results]) => results), [[1, 2, 3], [10, 20, 30]]);
});

test("two pools are two pools", async () => {
  const first = new ThreadPool({ workers: 1 });
  first.close();
  await using second = new ThreadPool({ workers: 1 });
  assertEquals(await second.map((x: number) => x, [1]), [1]);
  await first.join();
});

test("a function of a builtin module travels by reference", async () => {
  await using pool = new ThreadPool({ workers: 1 });
  assertEquals(await pool.map((name: string) => join("a", name), ["b"]), ["a/b"]);
});
