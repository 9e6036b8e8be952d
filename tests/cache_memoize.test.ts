/**
 * Memoized functions in one process: what is computed, what is remembered, for how long, and what is told. Several processes are in
 * cache_flight.test.ts, keys in cache_keys.test.ts.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  type ArchiveKey,
  AsyncStoreArchive,
  DictArchive,
  inf,
  lfu,
  lru,
  memoize,
  memoized,
  memoOf,
  mru,
  none,
  type PolicyLike,
  ResultNotKeptError,
  rr,
} from "@pathos/pathos/cache";
import { test, until } from "./harness.ts";
import { MapStore } from "./map_store.ts";

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** The counters of a memoized function, in the order hit, miss, load. */
function counts(memo: { info(): { hit: number; miss: number; load: number } }): [number, number, number] {
  const { hit, miss, load } = memo.info();
  return [hit, miss, load];
}

test("a function is called once for arguments of equal content", () => {
  const calls: unknown[] = [];
  const area = memoize((box: { width: number; height: number }, unit = "m") => {
    calls.push(box);
    return `${box.width * box.height} ${unit}2`;
  });
  assertEquals(area({ width: 2, height: 3 }), "6 m2");
  assertEquals(area({ height: 3, width: 2 }), "6 m2");
  assertEquals(area({ height: 3, width: 2 }, "ft"), "6 ft2");
  assertEquals(calls.length, 2);
  assertEquals(counts(area), [1, 2, 0]);
});

test("a result that is undefined is remembered like any other", () => {
  let calls = 0;
  const archive = new DictArchive();
  const nothing = memoize((_x: number): undefined => void calls++, { cache: none, archive });
  assertEquals([nothing(1), nothing(1)], [undefined, undefined]);
  assertEquals(calls, 1);
  assertEquals(counts(nothing), [0, 1, 1]);
});

test("a function may call its memoized self", () => {
  const fib = memoize((n: number): number => n < 2 ? n : fib(n - 1) + fib(n - 2), {
    archive: new DictArchive(),
  });
  assertEquals(fib(90), 2880067194370816000);
  assertEquals(counts(fib), [88, 91, 0]);
});

test("name, length, this and the function itself stay", () => {
  function scale(this: { by: number }, x: number, y: number): number {
    return this.by * (x + y);
  }
  const memo = memoize(scale, { self: "key" });
  assertEquals([memo.name, memo.length, memo.wrapped], ["scale", 2, scale]);
  const [two, three] = [{ by: 2, memo }, { by: 3, memo }];
  assertEquals([two.memo(1, 2), three.memo(1, 2), two.memo(1, 2)], [6, 9, 6]);
  assertEquals(counts(memo), [1, 2, 0]);
  assertEquals(memo.lookup.call({ by: 3, memo }, 1, 2), 9);

  const blind = memoize(scale);
  assertEquals([blind.call({ by: 2 }, 1, 2), blind.call({ by: 3 }, 1, 2)], [6, 6]);
});

test("a policy may be given as the function that makes it, and defaults to 100 entries", () => {
  const limits = (cache?: PolicyLike) => {
    const { maxsize, maxbytes } = memoize((x: number) => x, { cache }).info();
    return [maxsize, maxbytes];
  };
  assertEquals(limits(), [100, Infinity]);
  assertEquals(limits(lfu), [100, Infinity]);
  assertEquals(limits(mru(7)), [7, Infinity]);
  assertEquals(limits(rr({ bytes: 50 })), [Infinity, 50]);
  assertEquals(limits(lru({ count: 3, bytes: 50 })), [3, 50]);
  assertEquals(limits(inf), [Infinity, Infinity]);
  assertEquals(limits(none), [0, 0]);
  assertThrows(() => lru(-1), RangeError, "lru(-1)");
  assertThrows(() => lfu({ bytes: NaN }), RangeError, "0 or more");
});

for (const [name, policy] of Object.entries({ lru, mru, lfu })) {
  test(`${name} keeps what a plain model of it keeps, through 3,000 random calls`, () => {
    const memo = memoize((x: number) => x, { cache: policy(8) });
    /** Key to [uses, time of last use], in no order. */
    const model: Map<number, [number, number]> = new Map();
    let seed = 1;
    const random = (n: number) => (seed = (seed * 48271) % 2147483647) % n;
    for (let now = 0; now < 3_000; now++) {
      const x = Math.min(random(20), random(20)); // small ones more often
      const entry = model.get(x);
      memo(x);
      if (entry) model.set(x, [entry[0] + 1, now]);
      else {
        const order = (a: [number, [number, number]], b: [number, [number, number]]) =>
          name === "lru" ? a[1][1] - b[1][1] : name === "mru" ? b[1][1] - a[1][1] : a[1][0] - b[1][0] ||
            a[1][1] - b[1][1];
        if (model.size === 8) model.delete([...model].sort(order)[0][0]);
        model.set(x, [1, now]);
      }
      if (now % 100 !== 0) continue;
      const kept = Array.from({ length: 20 }, (_, x) => x).filter((x) => memo.lookup(x) !== undefined);
      assertEquals(kept, [...model.keys()].sort((a, b) => a - b), `after call ${now}`);
    }
  });
}

test("rr keeps as many as its limit, and in the long run any of them", () => {
  const memo = memoize((x: number) => x, { cache: rr(10) });
  const survivors = new Set<number>();
  for (let round = 0; round < 200; round++) {
    for (let x = 0; x < 12; x++) memo(x);
    assertEquals(memo.info().size, 10);
    for (let x = 0; x < 12; x++) if (memo.lookup(x) !== undefined) survivors.add(x);
  }
  assertEquals(survivors.size, 12);
});

test("a limit of bytes holds at every moment, and a larger value is not taken", () => {
  const memo = memoize((n: number) => new Uint8Array(n), {
    cache: lru({ bytes: 1_000 }),
    sizeOf: (value) => (value as Uint8Array).length,
  });
  for (const n of [400, 500, 300]) memo(n);
  assertEquals([memo.info().size, memo.info().bytes], [2, 800]);
  memo(2_000);
  assertEquals([memo.info().size, memo.info().bytes], [2, 800]);
  assertEquals(memo.lookup(2_000), undefined);
});

test("the estimate of bytes counts what a value leads to, shared parts and cycles once", () => {
  const bytesOf = (value: unknown) => {
    const memo = memoize(() => value, { cache: lru({ bytes: 1e9 }) });
    memo();
    return memo.info().bytes;
  };
  assert(bytesOf(new Float64Array(1_000)) >= 8_000);
  assert(bytesOf("x".repeat(1_000)) >= 2_000);
  assert(bytesOf(new Map([["k", "x".repeat(500)]])) >= 1_000);
  const part = { text: "x".repeat(10_000) };
  assert(bytesOf([part, part, part]) < 2 * bytesOf(part));
  const loop: { self?: unknown } = {};
  loop.self = loop;
  assert(bytesOf(loop) < 200);
});

test("purge empties a full memory altogether", () => {
  const memo = memoize((x: number) => x, { cache: lru(3), purge: true });
  for (const x of [1, 2, 3]) memo(x);
  assertEquals(memo.info().size, 3);
  memo(4);
  assertEquals([1, 2, 3, 4].map((x) => memo.lookup(x)), [undefined, undefined, undefined, 4]);
});

test("clear empties the memory, and the counters unless it is told not to", () => {
  const memo = memoize((x: number) => x);
  memo(1), memo(1);
  memo.clear(true);
  assertEquals([memo.info().size, ...counts(memo)], [0, 1, 1, 0]);
  memo(1);
  assertEquals(counts(memo), [1, 2, 0]);
  memo.clear();
  assertEquals(counts(memo), [0, 0, 0]);
});

test("an error is not kept: the next call tries again", () => {
  let calls = 0;
  const memo = memoize(() => {
    if (++calls < 3) throw new Error(`failure ${calls}`);
    return calls;
  });
  assertThrows(memo, Error, "failure 1");
  assertThrows(memo, Error, "failure 2");
  assertEquals([memo(), memo()], [3, 3]);
});

test("errors are kept where that is asked for, as long as is asked for", async () => {
  let calls = 0;
  const fail = (): number => {
    throw new Error(`failure ${++calls}`);
  };
  const always = memoize(fail, { errors: true });
  assertThrows(always, Error, "failure 1");
  assertThrows(always, Error, "failure 1");

  const archive = new DictArchive();
  const briefly = memoize(async () => await Promise.resolve(fail()), { errors: 40, archive });
  await assertRejects(briefly, Error, "failure 2");
  await assertRejects(briefly, Error, "failure 2");
  assertEquals(archive.size, 0);
  await sleep(50);
  await assertRejects(briefly, Error, "failure 3");
});

test("a call of which no key can be made says so, and with safe is just made", () => {
  const take = (_job: { done: unknown }) => "taken";
  const strict = memoize(take);
  const error = assertThrows(() => strict({ done: new WeakMap() }), TypeError);
  assert(error.message.includes("take()") && error.message.includes("done"), error.message);
  const troubles: string[] = [];
  const safe = memoize(take, { safe: true, onError: (_, during) => troubles.push(during) });
  assertEquals([safe({ done: new WeakMap() }), safe({ done: new WeakMap() })], ["taken", "taken"]);
  assertEquals(counts(safe), [0, 2, 0]);
  assertEquals([troubles, safe.info().failed], [["key", "key"], 2]);
});

test("results grow old", async () => {
  let calls = 0;
  const memo = memoize(() => ++calls, { ttl: 40 });
  assertEquals([memo(), memo()], [1, 1]);
  await sleep(50);
  assertEquals(memo.lookup(), undefined);
  assertEquals([memo(), memo()], [2, 2]);
});

test("where the function says nothing, results grow old as the archive says", async () => {
  let calls = 0;
  const memo = memoize(() => ++calls, { archive: new DictArchive(undefined, { ttl: 40 }) });
  assertEquals([memo(), memo()], [1, 1]);
  await sleep(50);
  assertEquals(memo(), 2);
});

test("a stale result is given at once while one fresh result is made", async () => {
  let calls = 0;
  const plain = memoize(() => ++calls, { ttl: 30, staleWhileRevalidate: 60_000 });
  plain();
  await sleep(40);
  assertEquals([plain(), plain()], [1, 1]);
  await until(() => plain.lookup() === 2);
  assertEquals(calls, 2);
  assertEquals(plain.info().stale, 2);

  let asyncCalls = 0;
  const slow = memoize(async () => {
    await sleep(20);
    return ++asyncCalls;
  }, { ttl: 30, staleWhileRevalidate: 60_000 });
  await slow();
  await sleep(40);
  assertEquals([await slow(), await slow()], [1, 1]);
  await until(async () => await slow.lookup() === 2);
  assertEquals(asyncCalls, 2);
});

test("a stale result of the archive is used too", async () => {
  let calls = 0;
  const archive = new DictArchive();
  const make = () => memoize(() => ++calls, { archive, ttl: 30, staleWhileRevalidate: 60_000 });
  make()();
  await sleep(40);
  const later = make();
  assertEquals([later(), ...counts(later), later.info().stale], [1, 0, 0, 1, 1]);
  await until(() => later() === 2);
  assertEquals(counts(later).slice(1), [1, 1]);
});

test("a refresh that fails leaves the stale result until its time is over, and is told", async () => {
  let fails = false;
  const told: string[] = [];
  const memo = memoize(async () => {
    await Promise.resolve();
    if (fails) throw new Error("no network");
    return "news";
  }, {
    ttl: 20,
    staleWhileRevalidate: 60,
    onError: (error, during) => told.push(`${during}: ${(error as Error).message}`),
  });
  await memo();
  fails = true;
  await sleep(30);
  assertEquals(await memo(), "news");
  await until(() => told.length > 0);
  assertEquals(await memo(), "news");
  assertEquals([told[0], memo.info().failed > 0], ["refresh: no network", true]);
  await sleep(60);
  await assertRejects(memo, Error, "no network");
});

test("after a refresh that failed the next is not tried at once", async () => {
  let calls = 0;
  const memo = memoize(async () => {
    await Promise.resolve();
    if (++calls > 1) throw new Error("no network");
  }, { ttl: 10, staleWhileRevalidate: 60_000, errors: true });
  await memo();
  await sleep(20);
  for (let i = 0; i < 10; i++) {
    await memo();
    await sleep(2);
  }
  assertEquals([calls, memo.info().stale], [2, 10]);
});

test("calls of an asynchronous function at one time share one promise, and its error", async () => {
  let calls = 0;
  const memo = memoize(async (fails: boolean) => {
    calls++;
    await sleep(10);
    if (fails) throw new Error("once for all");
    return calls;
  });
  assertEquals(await Promise.all([memo(false), memo(false), memo(false)]), [1, 1, 1]);
  assertEquals(counts(memo), [2, 1, 0]);
  const outcomes = await Promise.allSettled([memo(true), memo(true)]) as PromiseRejectedResult[];
  assertEquals(calls, 2);
  assert(outcomes[0].reason === outcomes[1].reason);
  await assertRejects(() => memo(true), Error, "once for all");
  assertEquals(calls, 3);
});

test("an asynchronous function starts before the call returns, as it would by itself", () => {
  const started: string[] = [];
  for (const archive of [undefined, new DictArchive()]) {
    memoize(async (x: string) => {
      started.push(x);
      await Promise.resolve();
    }, { archive })(archive ? "with archive" : "without");
  }
  assertEquals(started, ["without", "with archive"]);
});

test("a plain function that gives promises is treated as an asynchronous one, in the archive too", async () => {
  let calls = 0;
  const archive = new DictArchive();
  const later = (x: number) => new Promise<number>((resolve) => setTimeout(() => resolve(x + ++calls), 5));
  const first = memoize(later, { archive });
  assertEquals(await Promise.all([first(10), first(10)]), [11, 11]);
  assertEquals(await first(10), 11);
  const second = memoize(later, { archive });
  const promise = second(10);
  assert(promise instanceof Promise);
  assertEquals(await promise, 11);
  assertEquals(counts(second), [0, 0, 1]);
});

test("invalidate removes what carries a tag from memory and archive", () => {
  const archive = new DictArchive();
  const memo = memoize((user: string, page: number) => `${user} ${page}`, {
    archive,
    tags: (user) => [`user ${user}`, "pages"],
  });
  for (const user of ["ann", "bob"]) for (const page of [1, 2]) memo(user, page);
  assertEquals(memo.invalidate("user ann"), 2);
  assertEquals([memo.info().size, archive.size], [2, 2]);
  assertEquals([memo.lookup("ann", 1), memo.lookup("bob", 1)], [undefined, "bob 1"]);
  assertEquals(memo.invalidate("pages"), 2);
});

test("what is being computed when it is invalidated is given to who waits, and not kept", async () => {
  let version = 1;
  const archive = new DictArchive();
  const memo = memoize(async () => {
    const seen = version;
    await sleep(seen === 1 ? 40 : 5); // the old one ends last
    return seen;
  }, { archive, tags: ["settings"] });
  const before = memo();
  version = 2;
  memo.invalidate("settings");
  assertEquals(await Promise.all([before, memo()]), [1, 2]);
  assertEquals([await memo(), memo.info().miss, ...archive.values()], [2, 2, 2]);
});

test("an archive gives results to later functions with the same source, captures and version", () => {
  const archive = new DictArchive();
  let calls = 0;
  const make = (factor: number, version?: string) =>
    memoize((x: number) => factor * x, { archive, version, sizeOf: () => calls++ });
  assertEquals(make(2)(21), 42);
  const again = make(2);
  assertEquals([again(21), ...counts(again)], [42, 0, 0, 1]);
  const other = make(3);
  assertEquals([other(21), ...counts(other)], [63, 0, 1, 0]);
  const newer = make(2, "v2");
  assertEquals([newer(21), ...counts(newer)], [42, 0, 1, 0]);
  assertEquals(archive.size, 3);
  assertEquals(archive.get(again.prefix + again.key(21)), 42);
});

test("load and dump move results between archive and memory, and archived switches the archive", () => {
  const archive = new DictArchive();
  const square = (x: number) => x * x;
  const memo = memoize(square, { archive });
  assertEquals(memo.archived(), true);
  assertEquals(memo.archived(false), false);
  for (const x of [1, 2, 3]) memo(x);
  assertEquals([archive.size, memo.dump()], [0, 0]);
  memo.archived(true);
  assertEquals(memo.dump(memo.key(2)), 1);
  assertEquals(memo.dump(), 3);
  assertEquals(archive.size, 3);

  const fresh = memoize(square, { archive, cache: inf });
  assertEquals(fresh.load(fresh.key(3), fresh.key(9)), 1);
  assertEquals(fresh.load(), 2);
  assertEquals(fresh.info().size, 3);
  fresh.archived(false);
  assertEquals([1, 2, 3].map((x) => fresh(x)), [1, 4, 9]);
  assertEquals([fresh.info().size, ...counts(fresh)], [3, 3, 0, 0]);
});

test("an archive may be given later, and gets with dump what memory has", () => {
  const memo = memoize((x: number, list: number[] = []) => x + list.length);
  const list = [1, 2];
  memo(1), memo(1, list);
  assertEquals([memo.archive(), memo.archived(), memo.dump()], [undefined, false, 0]);
  list.push(3); // does not change under which key [1, 2] was computed
  const archive = new DictArchive();
  assertEquals(memo.archive(archive), archive);
  assertEquals(memo.dump(), 2);
  assertEquals(archive.get(memo.prefix + memo.key(1, [1, 2])), 3);
  assertEquals(memo.lookup(1, [1, 2, 3]), undefined);
});

test("what a limit removes goes to the archive if it is not there yet", () => {
  const archive = new DictArchive();
  const memo = memoize((x: number) => x, { cache: lru(2), archive });
  memo.archived(false);
  memo(1), memo(2);
  memo.archived(true);
  memo(3);
  assertEquals([...archive.values()].sort(), [1, 3]);
});

test("a function without calls makes no identity: what it captures need not be serializable until then", () => {
  const socket = new WeakMap();
  const memo = memoize(() => socket, { archive: new DictArchive() });
  assertThrows(() => memo());
  assertEquals(memoize(() => socket)(), socket);
});

test("an archive that cannot take a result does not lose it", () => {
  const full = Object.assign(new DictArchive(), {
    set() {
      throw new Error("no space left on device");
    },
  });
  let calls = 0;
  const work = (x: number) => x + ++calls;
  const memo = memoize(work, { archive: full });
  const error = assertThrows(() => memo(1), ResultNotKeptError, "no space left");
  assertEquals([error.result, memo(1), calls], [2, 2, 1]);
  const told: unknown[] = [];
  const safe = memoize(work, { archive: full, safe: true, onError: (error) => told.push(error) });
  assertEquals([safe(1), told.length, safe.info().failed], [3, 1, 1]);
});

test("an archive that cannot be read is an error, or with safe no obstacle", () => {
  const broken = Object.assign(new DictArchive(), {
    read() {
      throw new Error("damaged");
    },
  });
  assertThrows(() => memoize(() => 1, { archive: broken })(), Error, "damaged");
  assertEquals(memoize(() => 1, { archive: broken, safe: true })(), 1);
});

test("a front is asked before the archive, and gets what that has", () => {
  const [archive, front] = [new DictArchive(), new DictArchive()];
  const square = (x: number) => x * x;
  memoize(square, { archive })(3);
  const memo = memoize(square, { archive, front, cache: none });
  assertEquals([memo(3), front.size], [9, 1]);
  archive.clear();
  assertEquals([memo(3), ...counts(memo)], [9, 0, 0, 2]);
  assertThrows(() => memoize(square, { front }), TypeError, "front");
});

test("over an asynchronous archive a memoized function gives promises", async () => {
  const archive = new AsyncStoreArchive(new MapStore());
  let calls = 0;
  const square = (x: number) => x * x + 0 * ++calls;
  const memo = memoize(square, { archive, ttl: 60_000, tags: ["squares"] });
  assertEquals(await Promise.all([memo(3), memo(3), memo(4)]), [9, 9, 16]);
  const front = new DictArchive();
  const later = memoize(square, { archive, front });
  assertEquals([await later.lookup(3), await later.lookup(5)], [9, undefined]);
  assertEquals([await later(3), await later(3), ...counts(later)], [9, 9, 1, 0, 1]);
  assertEquals([...front.values()], [9]);
  assertEquals(calls, 2);
  const loaded = memoize(square, { archive });
  assertEquals([await loaded.load(), await loaded(4), ...counts(loaded)], [2, 16, 1, 0, 0]);
  assertEquals(await memo.invalidate("squares"), 2);
  assertEquals(await archive.size(), 0);
  assertEquals([await loaded.dump(), await archive.size()], [2, 2]);
  assertThrows(() => (memo.archive as (next: unknown) => void)(new DictArchive()), TypeError, "asynchronous");
});

test("arguments that are changed before the function starts do not spoil the archive", async () => {
  const archive = new AsyncStoreArchive(new MapStore());
  const total = memoize((list: number[]) => list.reduce((sum, x) => sum + x, 0), { archive });
  const list = [1, 2];
  const promise = total(list);
  list.push(3);
  await promise;
  assertEquals(await archive.size(), 0);
  assertEquals(await total([1, 2]), 3);
});

test("the values of a generator function are kept, and its return value", () => {
  let runs = 0;
  const archive = new DictArchive();
  function* countdown(n: number): Generator<number, string> {
    runs++;
    while (n > 0) yield n--;
    return "lift-off";
  }
  const memo = memoize(countdown, { archive });
  const all = (iterator: Generator<number, string>) => {
    const values: unknown[] = [];
    for (let step = iterator.next();; step = iterator.next()) {
      values.push(step.value);
      if (step.done) return values;
    }
  };
  const expected = [3, 2, 1, "lift-off"];
  assertEquals([all(memo(3)), all(memo(3)), runs], [expected, expected, 1]);
  assertEquals([...memo(3), ...memo.lookup(3)!], [3, 2, 1, 3, 2, 1]);
  assertEquals(memo.lookup(4), undefined);
  const later = memoize(countdown, { archive });
  assertEquals([all(later(3)), runs, ...counts(later)], [expected, 1, 0, 0, 1]);
});

test("several consumers share one run of a generator, each at its own position", () => {
  const steps: number[] = [];
  const memo = memoize(function* (n: number) {
    for (let i = 0; i < n; i++) {
      steps.push(i);
      yield i;
    }
  });
  const [a, b] = [memo(3), memo(3)];
  const pull = (iterator: Generator<number>) => iterator.next().value;
  assertEquals([pull(a), pull(a), pull(b), pull(b), pull(b), pull(a), pull(a)], [
    0,
    1,
    0,
    1,
    2,
    2,
    undefined,
  ]);
  assertEquals(pull(b), undefined);
  assertEquals(steps, [0, 1, 2]);
  assertEquals(counts(memo), [1, 1, 0]);
});

test("a consumer that stops early spoils nothing: the others go on, and what is cut short is not kept", () => {
  let ended = 0;
  const archive = new DictArchive();
  const memo = memoize(function* (n: number) {
    try {
      for (let i = 0; i < n; i++) yield i;
    } finally {
      ended++;
    }
  }, { archive });
  const other = memo(4);
  other.next();
  for (const value of memo(4)) if (value === 1) break;
  assertEquals(ended, 0);
  other.return(undefined);
  assertEquals([ended, archive.size, memo.info().size], [1, 0, 0]);
  for (const value of memo(4)) if (value === 1) break;
  assertEquals([...memo(4)], [0, 1, 2, 3]);
  assertEquals([ended, archive.size], [3, 1]);
});

test("a generator that throws gives everybody its values and its error, and is not kept", () => {
  let runs = 0;
  const memo = memoize(function* () {
    runs++;
    yield 1;
    throw new Error("after one");
  });
  const [a, b] = [memo(), memo()];
  assertEquals([a.next().value, b.next().value], [1, 1]);
  assertThrows(() => a.next(), Error, "after one");
  assertThrows(() => b.next(), Error, "after one");
  assertThrows(() => [...memo()], Error, "after one");
  assertEquals(runs, 2);
});

test("asynchronous generators are shared and kept likewise", async () => {
  let runs = 0;
  const archive = new DictArchive();
  async function* ticks(n: number) {
    runs++;
    for (let i = 0; i < n; i++) {
      await sleep(2);
      yield i;
    }
  }
  const memo = memoize(ticks, { archive });
  const all = async (iterable: AsyncIterable<number>) => {
    const values: number[] = [];
    for await (const value of iterable) values.push(value);
    return values;
  };
  const stopsEarly = (async () => {
    for await (const value of memo(3)) return value;
    return undefined;
  })();
  assertEquals(await Promise.all([all(memo(3)), all(memo(3)), stopsEarly]), [[0, 1, 2], [0, 1, 2], 0]);
  assertEquals([await all(memo(3)), runs], [[0, 1, 2], 1]);
  assertEquals([await all(memoize(ticks, { archive })(3)), runs], [[0, 1, 2], 1]);

  const far = new AsyncStoreArchive(new MapStore());
  const plain = memoize(function* (n: number) {
    yield* Array(n).keys();
  }, { archive: far });
  assertEquals([await all(plain(2)), await all(plain(2)), await far.size()], [[0, 1], [0, 1], 1]);
});

test("a function that gives an iterator is refused, since that can be run through only once", () => {
  const memo = memoize((n: number) => Array(n).keys());
  assertThrows(() => memo(3), TypeError, "generator function");
  assertEquals([...memoize((n: number) => Array(n).keys(), { safe: true })(3)], [0, 1, 2]);
});

test("options out of range are refused, with the function's name", () => {
  function work() {}
  assertThrows(() => memoize(work, { ttl: 0 }), RangeError, "memoize(work): ttl is 0");
  assertThrows(() => memoize(work, { staleWhileRevalidate: -1 }), RangeError, "staleWhileRevalidate");
  assertThrows(() => memoize(work, { lease: NaN }), RangeError, "lease");
  assertThrows(() => memoize(work, { errors: -5 }), RangeError, "errors");
  assertThrows(() => memoize(5 as unknown as () => void), TypeError, "not a function");
});

test("@memoized gives every instance a cache of its own", () => {
  let calls = 0;
  class Model {
    constructor(readonly factor: number) {}

    @memoized({ cache: lru(5) })
    scaled(x: number): number {
      calls++;
      return x * this.factor;
    }

    @memoized()
    get square(): number {
      calls++;
      return this.factor ** 2;
    }

    @memoized()
    static make(factor: number): Model {
      return new Model(factor);
    }
  }
  const [two, three] = [new Model(2), new Model(3)];
  assertEquals([two.scaled(5), three.scaled(5), two.scaled(5), two.square, two.square], [10, 15, 10, 4, 4]);
  assertEquals(calls, 3);
  assertEquals([memoOf(two, "scaled").info().maxsize, ...counts(memoOf(two, "scaled"))], [5, 1, 1, 0]);
  assertEquals(memoOf(two, "scaled").lookup(5), 10);
  assertEquals(counts(memoOf(two, "square")), [1, 1, 0]);
  assertEquals(Model.make(7), Model.make(7));
  assertEquals(memoOf(Model, "make").info().hit, 1);
  assertEquals(Model.prototype.scaled.name, "scaled");
  assertThrows(() => memoOf(two, "factor"), TypeError, "factor");
});

test("@memoized over an archive tells instances apart by class and fields, or not at all", () => {
  const archive = new DictArchive<ArchiveKey, unknown>();
  let calls = 0;
  class Point {
    constructor(readonly x: number) {}

    @memoized({ archive })
    plus(y: number): number {
      calls++;
      return this.x + y;
    }

    @memoized({ archive, self: "ignore" })
    constant(): number {
      return ++calls;
    }
  }
  assertEquals([new Point(1).plus(1), new Point(1).plus(1), new Point(2).plus(1)], [2, 2, 3]);
  assertEquals(calls, 2);
  assertEquals([new Point(1).constant(), new Point(2).constant()], [3, 3]);
  assertEquals(memoOf(new Point(2), "plus").lookup(1), 3);
  assertThrows(
    () => memoized({ archive, self: "instance" })(() => 1, { kind: "method", name: "f" }),
    TypeError,
    "self",
  );
});
