/**
 * The stand-ins for `@std`: they must say no where the originals do, or every other test is worth nothing, and the
 * command line must be parsed as the originals parse it, or the published package behaves differently.
 *
 * @module
 */
import {
  assert,
  assertAlmostEquals,
  assertArrayIncludes,
  assertEquals,
  assertInstanceOf,
  AssertionError,
  assertNotEquals,
  assertObjectMatch,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { parseArgs } from "@std/cli/parse-args";
import { parse, stringify } from "@std/yaml";
import { test } from "./harness.ts";

class Point {
  constructor(readonly x: number) {}
}

test("assertEquals accepts what is deeply equal", () => {
  assertEquals(NaN, NaN);
  assertEquals([1, [2, { a: "b" }]], [1, [2, { a: "b" }]]);
  assertEquals(new Map([[{ a: 1 }, new Set([1n])]]), new Map([[{ a: 1 }, new Set([1n])]]));
  assertEquals(new Float64Array([NaN, -0]), new Float64Array([NaN, -0]));
  assertEquals(new Date(5), new Date(5));
  assertEquals(/a/gu, /a/gu);
  assertEquals(new Point(1), new Point(1));
  assertEquals(new RangeError("a", { cause: 1 }), new RangeError("a", { cause: 1 }));
  const ring: { self?: unknown } = {}, other: { self?: unknown } = {};
  ring.self = ring;
  other.self = other;
  assertEquals(ring, other);
});

test("assertEquals refuses what differs", () => {
  const pairs: [unknown, unknown][] = [
    [0, -0],
    [1, 1n],
    [1, "1"],
    [null, undefined],
    [[undefined], [,]],
    [{ a: undefined }, {}],
    [[1, 2], [2, 1]],
    [new Map([[1, 0]]), new Map([[1, -0]])],
    [new Set([1]), new Set([2])],
    [new Uint8Array([1]), new Int8Array([1])],
    [new Float64Array([0]), new Float64Array([-0])],
    [new Uint8Array([1]).buffer, new Uint8Array([2]).buffer],
    [new Date(1), new Date(2)],
    [/a/g, /a/u],
    [new Point(1), { x: 1 }],
    [new Error("a"), new Error("b")],
    [new Error("a"), new TypeError("a")],
    [new URL("http://a/"), new URL("http://b/")],
    [{ [Symbol.iterator]: 1 }, {}],
    [() => 1, () => 1],
  ];
  for (const [a, b] of pairs) {
    assertThrows(() => assertEquals(a, b), AssertionError, "not equal");
    assertNotEquals(a, b);
  }
});

test("the other assertions refuse too", async () => {
  const refused = (assertion: () => unknown) => assertThrows(assertion, AssertionError);
  refused(() => assert(0));
  refused(() => assertStrictEquals({}, {}));
  refused(() => assertAlmostEquals(1, 1.1, 0.01));
  refused(() => assertArrayIncludes([{ a: 1 }], [{ a: 2 }]));
  refused(() => assertObjectMatch({ a: { b: 1, c: 2 } }, { a: { b: 2 } }));
  refused(() => assertInstanceOf({}, Point));
  refused(() => assertThrows(() => {}));
  refused(() =>
    assertThrows(() => {
      throw new Error("a");
    }, TypeError)
  );
  refused(() =>
    assertThrows(
      () => {
        throw new Error("a");
      },
      Error,
      "b",
    )
  );
  await assertRejects(() => assertRejects(() => Promise.resolve()), AssertionError, "reject");
  await assertRejects(() => assertRejects(() => Promise.reject(new Error("a")), Error, "b"), AssertionError);
  assertObjectMatch({ a: { b: 1, c: 2 }, d: [1, { e: 2, f: 3 }] }, { a: { b: 1 }, d: [1, { e: 2 }] });
});

test("parseArgs keeps strings, counts numbers, collects, negates and stops at --", () => {
  const args = parseArgs(
    ["map", "-w", "4", "--name=007", "--name", "b", "--tag", "x", "--no-color", "--no-such", "--", "-z"],
    {
      string: ["name", "tag"],
      boolean: ["color"],
      collect: ["tag"],
      negatable: ["color"],
      alias: { w: "workers" },
      "--": true,
    },
  );
  assertEquals<Record<string, unknown>>({ ...args }, {
    _: ["map"],
    "--": ["-z"],
    w: 4,
    workers: 4,
    name: "b",
    tag: ["x"],
    color: false,
    "no-such": true,
  });
});

test("parseArgs tells of unknown flags with key and value, and leaves out what is refused", () => {
  const unknown: unknown[][] = [];
  const args = parseArgs(["a", "--wokers=3", "-q", "--ok"], {
    boolean: ["ok"],
    unknown: (arg, key, value) => {
      unknown.push([arg, key, value]);
      return key === undefined;
    },
  });
  assertEquals(unknown, [["a", undefined, undefined], ["--wokers=3", "wokers", "3"], ["-q", "q", true]]);
  assertEquals<Record<string, unknown>>({ ...args }, { _: ["a"], ok: true });
});

test("parseArgs gives defaults, empty collections and false flags", () => {
  const args = parseArgs([], { boolean: ["quiet"], string: ["out"], collect: ["out"], default: { size: 3 } });
  assertEquals<Record<string, unknown>>({ ...args }, { _: [], quiet: false, out: [], size: 3 });
});

test("yaml is read and written", () => {
  const text = "hosts:\n  - name: a\n    port: 22\n";
  assertEquals(parse(text), { hosts: [{ name: "a", port: 22 }] });
  assertEquals(stringify(parse(text)), text);
  assertEquals(parse("# nothing\n"), null);
  assertEquals(parse("a: 1\na: 2\n", { allowDuplicateKeys: true }), { a: 2 });
  for (const bad of ["a: [1", "a: 1\na: 2\n", "a: 1\n---\nb: 2\n"]) {
    assertThrows(() => parse(bad), SyntaxError);
  }
});
