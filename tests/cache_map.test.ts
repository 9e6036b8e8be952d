/** Memoized functions and archives inside maps, in workers of every kind. */
import {
  DictArchive,
  DirArchive,
  FileArchive,
  hashmap,
  HdfArchive,
  keymap,
  lfu,
  memoize,
  ParallelPool,
  ProcessPool,
  SerialPool,
  serve,
  SqlArchive,
  SqlTableArchive,
  ThreadPool,
} from "@pathos/pathos";
import { assert, assertEquals } from "@std/assert";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { tempDir, test } from "./harness.ts";

/** Pools of every kind, each with two workers. */
const pools: [name: string, open: () => Promise<{ pool: SerialPool; close(): Promise<void> }>][] = [
  ["SerialPool", () => opened(new SerialPool())],
  ["ThreadPool", () => opened(new ThreadPool({ workers: 2 }))],
  ["ProcessPool", () => opened(new ProcessPool({ workers: 2 }))],
  ["a server elsewhere", async () => {
    const server = await serve({ workers: 2 });
    const { pool, close } = await opened(new ParallelPool({ workers: 0, servers: [server.url] }));
    return { pool, close: () => close().then(() => server.close()) };
  }],
];

function opened(pool: SerialPool | ThreadPool): Promise<{ pool: SerialPool; close(): Promise<void> }> {
  return Promise.resolve({
    pool: pool as unknown as SerialPool,
    close: async () => await pool[Symbol.asyncDispose](),
  });
}

const inputs = Array.from({ length: 40 }, (_, i) => i % 10);
const squares = inputs.map((x) => x * x);
const lines = (path: string) => existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : [];

for (const [name, open] of pools) {
  test(`${name}: workers that share an archive compute each result once`, async () => {
    using folder = tempDir();
    const { pool, close } = await open();
    try {
      for (
        const archive of [
          new SqlArchive(`${folder.path}/c.sqlite`),
          new SqlTableArchive(`${folder.path}/t.sqlite`, { table: "squares" }),
          new DirArchive(`${folder.path}/dir`),
          new FileArchive(`${folder.path}/file`),
        ]
      ) {
        const log = `${archive.name}.log`;
        const square = memoize((x: number) => {
          appendFileSync(log, `${x}\n`);
          return x * x;
        }, { archive });
        assertEquals(await pool.with({ chunkSize: 1 }).map((x: number) => square(x), inputs), squares);
        assertEquals(lines(log).sort().map(Number), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], archive.name);
        assertEquals(square(7), 49); // found here under the same identity
        assertEquals(lines(log).length, 10, archive.name);
        assertEquals(archive.size, 10);
        archive.close();
      }
    } finally {
      await close();
    }
  });

  test(`${name}: a memoized function can itself be mapped, call itself, and use every option`, async () => {
    const { pool, close } = await open();
    try {
      const fib = memoize((n: number): bigint => n < 2 ? BigInt(n) : fib(n - 1) + fib(n - 2));
      assertEquals(await pool.map(fib, [10, 90]), [55n, 2880067194370816120n]);
      const near = memoize((x: number, _log: string) => Math.round(x * 100), {
        cache: lfu(3),
        keymap: keymap().then(hashmap({ algorithm: "md5" })),
        ignore: ["_log"],
        tol: 1,
        tags: (x) => [`tag ${Math.round(x)}`],
      });
      const [value, keys, info] = await pool.pipe(() => {
        const value = [near(1.01, "a"), near(1.04, "b")];
        return [value, [near.key(1.02, "c"), near.key(1, "d")], near.info()] as const;
      });
      assertEquals([value, [info.hit, info.miss]], [[101, 101], [1, 1]]);
      assertEquals(keys, [near.key(1, ""), near.key(1, "")]);
    } finally {
      await close();
    }
  });

  test(`${name}: asynchronous and generator functions remember there too`, async () => {
    const { pool, close } = await open();
    try {
      let calls = 0;
      const later = memoize(async (x: number) => [await Promise.resolve(x), ++calls]);
      const count = memoize(function* (n: number) {
        for (let i = 0; i < n; i++) yield i + 1000 * calls++;
      });
      const [twice, counted] = await pool.pipe(async () => {
        return [[await later(5), await later(5)], [[...count(3)], [...count(3)]]];
      });
      assertEquals(twice, [[5, 1], [5, 1]]);
      assertEquals(counted[0], counted[1]);
    } finally {
      await close();
    }
  });

  test(`${name}: archives travel as places, or with what they hold`, async () => {
    using folder = tempDir();
    const { pool, close } = await open();
    const sql = new SqlArchive<string, number>(`${folder.path}/c.sqlite`, { name: "mine" });
    const hdf = new HdfArchive<string, number[]>(`${folder.path}/c.h5`);
    const dict = new DictArchive<string, number>();
    try {
      sql.set("a", 1);
      hdf.set("a", [1, 2]);
      dict.set("a", 3);
      const found = await pool.pipe(() => {
        sql.set("b", 10);
        const result = [sql.get("a"), hdf.get("a"), dict.get("a")];
        sql.close();
        hdf.close();
        return result;
      });
      assertEquals(found, [1, [1, 2], 3]);
      if (name !== "SerialPool") assertEquals(sql.get("b"), 10);
    } finally {
      if (name !== "SerialPool") sql.close(), hdf.close();
      await close();
    }
  });

  test(`${name}: what the library exports can be used inside the function`, async () => {
    using folder = tempDir();
    const { pool, close } = await open();
    try {
      const path = `${folder.path}/inside.sqlite`;
      const results = await pool.with({ chunkSize: 1 }).map((x: number) => {
        const archive = new SqlArchive<string, number>(path);
        archive.set(`key ${x}`, x);
        const half = memoize((x: number) => x / 2);
        archive.close();
        return half(x);
      }, [2, 4, 6]);
      assertEquals(results, [1, 2, 3]);
      const archive = new SqlArchive<string, number>(path);
      assertEquals([...archive.values()].sort(), [2, 4, 6]);
      archive.close();
    } finally {
      await close();
    }
  });
}

test("a worker that has no archive starts with an empty memory, and what it learns stays there", async () => {
  await using pool = new ThreadPool({ workers: 1 });
  const square = memoize((x: number) => x * x);
  square(3);
  const seen = await pool.map((x: number) => [square(x), square.info().size], [3, 4]);
  assertEquals(seen, [[9, 1], [16, 2]]);
  assertEquals(square.info().size, 1);
  assert(square.lookup(4) === undefined);
});
