/** From calls to keys: arguments that do not count, `this`, rounding, keys in memory and in archives. */
import { assert, assertEquals, assertNotEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { type KeyOptions, makeKeyer } from "../cache/keyer.ts";
import { hashmap, stringmap } from "../cache/keymaps.ts";
import { UnkeyableError } from "../cache/unkeyable.ts";
import { test } from "./harness.ts";

type Fn = (...args: never[]) => unknown;

/** Whether two calls have the same keys, in memory and in archives. */
function alike(fn: Fn, options: KeyOptions, a: unknown[], b: unknown[]): boolean {
  const keyer = makeKeyer(fn, { keymap: stringmap(), ...options });
  const inMemory = keyer.pre(a) === keyer.pre(b);
  assertEquals(keyer.key(a) === keyer.key(b), inMemory);
  return inMemory;
}

test("arguments that are left out, by name, by number, all the rest, in patterns and in objects, do not count", () => {
  const f = (x: number, verbose?: boolean, ...more: number[]) => [x, verbose, more];
  assert(!alike(f, {}, [1, true], [1, false]));
  assert(alike(f, { ignore: "verbose" }, [1, true], [1, false]));
  assert(alike(f, { ignore: ["verbose"] }, [1, true], [1]));
  assert(!alike(f, { ignore: "verbose" }, [1, true], [2, true]));
  assert(alike(f, { ignore: 0 }, [1, true], [2, true]));
  assert(!alike(f, { ignore: [0] }, [1, true, 3], [2, true, 4]));
  assert(alike(f, { ignore: "*" }, [1, true, 3], [1, true]));
  assert(alike(f, { ignore: "more" }, [1, true, 3], [1, true, 4, 5]));
  assert(!alike(f, { ignore: "*" }, [1, true, 3], [1, false, 3]));
  assert(alike(f, { ignore: [0, "verbose", "*"] }, [1, true, 3], [2]));
  const g = (path: string, { size, log }: { size?: number; log?: unknown } = {}) => [path, size, log];
  assert(alike(g, { ignore: "log" }, ["p", { size: 1, log: 2 }], ["p", { size: 1, log: 3 }]));
  assert(!alike(g, { ignore: "log" }, ["p", { size: 1, log: 2 }], ["p", { size: 2, log: 2 }]));
  assert(alike(g, { ignore: "**" }, ["p", { size: 1, other: 2 }], ["p", { size: 1 }]));
  assert(!alike(g, { ignore: "**" }, ["p", { size: 1, log: 2 }], ["p", { size: 1 }]));
  const h = (options: { a: { b: number; c: number } }) => options;
  assert(alike(h, { ignore: "options.a.b" }, [{ a: { b: 1, c: 2 } }], [{ a: { b: 3, c: 2 } }]));
  assert(!alike(h, { ignore: "options.a.b" }, [{ a: { b: 1, c: 2 } }], [{ a: { b: 1, c: 3 } }]));
  assert(alike(h, { ignore: "options.a.b" }, [undefined], []));
  const given = { a: { b: 1, c: 2 } };
  makeKeyer(h, { ignore: "options.a.b" }).key([given]);
  assertEquals(given, { a: { b: 1, c: 2 } });
});

test("what a function does not have cannot be left out", () => {
  const f = (x: number, { size }: { size: number }) => [x, size];
  assertThrows(() => makeKeyer(f, { ignore: "y" }), TypeError, 'f(x, { size }) has nothing that "y" names');
  assertThrows(() => makeKeyer((x: number) => x, { ignore: "**" }), TypeError, '"**"');
  assertThrows(() => makeKeyer(Math.max, { ignore: "x" }), TypeError, "give the index");
  assertThrows(() => makeKeyer(f, { ignore: -1 }), TypeError, "-1");
  class Options {
    size = 1;
  }
  assertThrows(
    () => makeKeyer(f, { ignore: "size" }).pre([1, new Options()]),
    UnkeyableError,
    "an instance of Options",
  );
});

test("this counts if it is given, unless it is left out", () => {
  const method = function (this: unknown, x: number) {
    return x;
  };
  const key = makeKeyer(method, {});
  assertNotEquals(key.pre([1], { id: 1 }), key.pre([1], { id: 2 }));
  assertNotEquals(key.key([1], { id: 1 }), key.key([1], { id: 2 }));
  assertNotEquals(key.pre([1], { id: 1 }), key.pre([1]));
  assertEquals(key.pre([1], { id: 1 }), key.pre([1], { id: 1 }));
  for (const ignore of ["this", "self"]) {
    const without = makeKeyer(method, { ignore });
    assertEquals(without.pre([1], { id: 1 }), without.pre([1]));
    assertEquals(without.key([1], { id: 1 }), without.key([1]));
  }
  // From text, since bundlers rename parameters that are called as a global is.
  const python = new Function("self", "x", "return self + x") as (self: number, x: number) => number;
  assert(alike(python, { ignore: "self" }, [1, 2], [3, 2]));
});

test("arguments left out at the end are undefined ones", () => {
  const f = (a?: unknown, b?: unknown) => [a, b];
  assert(alike(f, {}, [1], [1, undefined]));
  assert(alike(f, {}, [], [undefined, undefined]));
  assert(!alike(f, {}, [1], [undefined, 1]));
  assert(!alike(f, {}, [null], []));
});

test("keys in memory tell all calls apart that keys in archives tell apart", () => {
  const f = (...args: unknown[]) => args;
  const { pre } = makeKeyer(f, {});
  const calls = [
    [],
    [1],
    ["1"],
    [1n],
    [[1]],
    ["[1]"],
    ["\0[1]"],
    ["\0[]"],
    [""],
    [null],
    [1, 2],
    ["1,2"],
    [true],
    ["true"],
    [NaN],
    ["NaN"],
    ["x".repeat(5_000)],
    ["x".repeat(5_001)],
    ["\0" + "x".repeat(10)],
  ];
  const keys = new Map(calls.map((args) => [pre(args), args]));
  assertEquals(keys.size, calls.length);
  assertEquals([keys.get(pre([NaN])), keys.get(pre([-0 + 1]))], [[NaN], [1]]);
  assertStrictEquals(new Map([[pre([0]), 1]]).get(pre([-0])), 1);
  const typed = makeKeyer(f, { typed: true });
  assertEquals(new Map([[typed.pre([0]), 1]]).has(typed.pre([-0])), false);
  assertThrows(() => makeKeyer(f, { typed: true, keymap: hashmap() }), TypeError, "hashmap({ typed: true })");
});

test("without flat, arguments go by name, so that parameters may change places", () => {
  const options = { keymap: stringmap({ flat: false }) };
  const before = makeKeyer((width: number, height: number) => width * height, options);
  const after = makeKeyer((height: number, width: number) => width * height, options);
  assertEquals(before.key([2, 3]), after.key([3, 2]));
  assertNotEquals(before.key([2, 3]), after.key([2, 3]));
  const rest = makeKeyer((a: number, { b }: { b: number }, ...c: number[]) => [a, b, c], options);
  assertEquals(rest.key([1, { b: 2 }, 3]), '[[3],{"1":{"b":2},"a":1}]');
});

test("a function of one's own can make the keys, of arguments that otherwise have none", () => {
  const f = (job: { id: number; done: Promise<void> }) => job.id;
  const keyer = makeKeyer(f, { keymap: ([job]) => (job as { id: number }).id });
  const job = (id: number) => ({ id, done: Promise.resolve() });
  assertEquals(keyer.key([job(1)]), 1);
  assertEquals(keyer.pre([job(1)]), keyer.pre([job(1)]));
  assertNotEquals(keyer.pre([job(1)]), keyer.pre([job(2)]));
  assertThrows(() => makeKeyer(f).pre([job(1)]), UnkeyableError, "args[0].done is a Promise");
});

test("calls with nearly the same numbers have one key", () => {
  const f = (x: number, y?: unknown) => [x, y];
  assert(alike(f, { tol: 1 }, [1.01], [1.02]));
  assert(!alike(f, { tol: 2 }, [1.01], [1.02]));
  assert(!alike(f, { tol: 1 }, [1, [1.01]], [1, [1.02]]));
  assert(alike(f, { tol: 1, deep: true }, [1, [1.01]], [1, [1.02]]));
  assert(alike(f, { tol: -1 }, [12], [14]));
  assertThrows(() => makeKeyer(f, { tol: 0.5 }), RangeError);
});

test("keys of primitives are made fast enough for two million hits a second", () => {
  const { pre } = makeKeyer((a: unknown, b: unknown) => [a, b], {});
  const memory = new Map<unknown, number>();
  for (let i = 0; i < 64; i++) memory.set(pre([i]), i).set(pre([i, "b"]), i);
  const fastest = (call: (i: number) => unknown) => {
    const times = [0, 0, 0, 0, 0].map(() => {
      const start = performance.now();
      for (let i = 0; i < 100_000; i++) call(i & 63);
      return (performance.now() - start) * 10;
    });
    return Math.min(...times);
  };
  // Nanoseconds; some 10 and 110 on the machine where this was written.
  const [one, two] = [fastest((i) => memory.get(pre([i]))), fastest((i) => memory.get(pre([i, "b"])))];
  assert(one < 400 && two < 1_000, `${one.toFixed()} and ${two.toFixed()} ns`);
});
