/** Data of every shape goes to bytes and back, without trust. */
import { assert, assertEquals, assertNotStrictEquals, assertStrictEquals } from "@std/assert";
import { copy, dumps, loads, pickles } from "@pathos/pathos/serialize";
import { test } from "./harness.ts";

// deno-lint-ignore no-explicit-any
const trip = (value: unknown): any => loads(dumps(value));

test("primitives keep their exact value", () => {
  for (
    const value of [
      undefined,
      null,
      true,
      false,
      0,
      -0,
      1.5,
      -1,
      NaN,
      Infinity,
      -Infinity,
      2 ** 31,
      2 ** 53,
      -(2 ** 40),
      5e-324,
    ]
  ) {
    assert(Object.is(trip(value), value), String(value));
    assert(Object.is(trip([value])[0], value), `[${value}]`);
    assert(Object.is(trip({ x: value, d: new Date(0) }).x, value), `{${value}}`);
  }
  for (const value of [0n, -1n, 2n ** 70n, -(2n ** 64n)]) assertStrictEquals(trip(value), value);
  for (const value of ["", "a", "ü€😀", "\ud800", "a\udc00b", "\u0000", "x".repeat(100_000)]) {
    assertStrictEquals(trip(value), value);
    assertStrictEquals(trip({ [value]: value })[value], value);
  }
});

test("symbols: registered, well-known, and unique ones within one dump", () => {
  const unique = Symbol("u");
  const [a, b, c, d] = trip([Symbol.for("k"), Symbol.iterator, unique, unique]);
  assertStrictEquals(a, Symbol.for("k"));
  assertStrictEquals(b, Symbol.iterator);
  assertStrictEquals(c, d);
  assertEquals(c.description, "u");
  const keyed = trip({ [Symbol.for("k")]: 1, [unique]: 2 });
  assertEquals(keyed[Symbol.for("k")], 1);
  assertEquals(Object.getOwnPropertySymbols(keyed).length, 2);
});

test("cycles and shared references", () => {
  // deno-lint-ignore no-explicit-any
  const o: any = { list: [] };
  o.self = o;
  o.list.push(o.list, o);
  const back = trip(o);
  assertStrictEquals(back.self, back);
  assertStrictEquals(back.list[0], back.list);
  assertStrictEquals(back.list[1], back);
  const leaf = { x: 1 },
    tree = { big: { leaf, rest: [1, 2, { leaf2: {} }] }, other: new Map([["leaf", leaf]]) };
  const t = trip(tree);
  assertStrictEquals(t.big.leaf, t.other.get("leaf"));
  // deno-lint-ignore no-explicit-any
  const m = new Map<any, any>();
  m.set(m, m);
  const m2 = trip(m);
  assertStrictEquals(m2.get(m2), m2);
});

test("an object inside plain data that is also met elsewhere stays one object", () => {
  const inner = { deep: [{ a: 1 }, { b: 2 }] };
  const value = [{ x: { y: inner, z: [[], {}] } }, new Set([inner.deep[1], inner]), inner.deep];
  const back = trip(value);
  const [second, whole] = [...back[1]];
  assertStrictEquals(whole, back[0].x.y);
  assertStrictEquals(second, back[0].x.y.deep[1]);
  assertStrictEquals(back[2], back[0].x.y.deep);
});

test("Map, Set, Date, RegExp, URL, boxed values", () => {
  assertEquals(
    trip(new Map<unknown, unknown>([[1, { a: 1 }], ["x", new Set([1, [2]])]])),
    new Map<unknown, unknown>([[1, { a: 1 }], ["x", new Set([1, [2]])]]),
  );
  assertEquals(trip(new Date(12345)).getTime(), 12345);
  assert(Number.isNaN(trip(new Date(NaN)).getTime()));
  const re = /a(?<n>b)+/giu;
  re.lastIndex = 3;
  const r = trip(re);
  assertEquals([r.source, r.flags, r.lastIndex], [re.source, re.flags, 3]);
  assertEquals(trip(new URL("https://example.org/a?b=c#d")).href, "https://example.org/a?b=c#d");
  assertEquals([...trip(new URLSearchParams("a=1&a=2"))], [["a", "1"], ["a", "2"]]);
  assertEquals([...trip(new Headers({ "x-a": "1" }))], [["x-a", "1"]]);
  for (const boxed of [Object(1), Object("text"), Object(false), Object(10n), Object(-0)]) {
    const back = trip(boxed);
    assert(typeof back === "object" && Object.is(back.valueOf(), boxed.valueOf()));
  }
});

test("arrays: holes, extra properties, frozen, sparse, subarrays", () => {
  // deno-lint-ignore no-sparse-arrays
  const holes = trip([1, , 3, undefined]);
  assertEquals([holes.length, 1 in holes, 3 in holes], [4, false, true]);
  const match = /(?<y>\d+)/.exec("in 2026")!;
  const m = trip(match);
  assertEquals([m[0], m.index, m.input, m.groups.y], ["2026", 3, "in 2026", "2026"]);
  const sparse: number[] = [];
  sparse[1_000_000] = 1;
  const s = trip(sparse);
  assertEquals([s.length, s[1_000_000], Object.keys(s).length], [1_000_001, 1, 1]);
  assertEquals(Object.isFrozen(trip(Object.freeze([1, [2]]))), true);
});

test("long arrays: holes, extra properties, hidden ones and symbols", () => {
  const long = Array.from({ length: 1000 }, (_, i) => i % 3 ? i : -i / 7);
  assertEquals(trip(long), long);
  assertEquals(Object.keys(trip(Object.assign([...long], { note: "kept" }))).at(-1), "note");
  const hidden = trip(Object.defineProperty([...long], "hidden", { value: [1] }));
  assertEquals(Object.getOwnPropertyDescriptor(hidden, "hidden")?.value, [1]);
  assertEquals(Object.getOwnPropertySymbols(trip(Object.assign([...long], { [Symbol.iterator]: null }))), [
    Symbol.iterator,
  ]);
  const holes = [...long];
  delete holes[500];
  assertEquals([500 in trip(holes), 501 in trip(holes), trip(holes).length], [false, true, 1000]);
  assertEquals(Object.isFrozen(trip(Object.freeze([...long]))), true);
});

test("objects: accessors, attributes, extensibility, prototypes", () => {
  const hidden = Object.defineProperty({ a: 1 }, "h", { value: 2, enumerable: false });
  assertEquals(Object.getOwnPropertyDescriptors(trip(hidden)), Object.getOwnPropertyDescriptors(hidden));
  assert(Object.isFrozen(trip(Object.freeze({ a: { b: 1 } }))));
  assert(Object.isSealed(trip(Object.seal({ a: 1 }))) && !Object.isFrozen(trip(Object.seal({ a: 1 }))));
  assert(!Object.isExtensible(trip(Object.preventExtensions({ a: 1 }))));
  assertStrictEquals(Object.getPrototypeOf(trip(Object.create(null))), null);
  const nulled = Object.assign(Object.create(null), { constructor: 1, toString: 2 });
  assertEquals(Object.keys(trip(nulled)), ["constructor", "toString"]);
  const accessor = {
    n: 1,
    get twice() {
      return this.n * 2;
    },
    set twice(v: number) {
      this.n = v;
    },
  };
  const back = loads<typeof accessor>(dumps(accessor), { trust: "code" });
  back.twice = 21;
  assertEquals(back.twice, 42);
  const proto = { inherited: 1 };
  const child = trip(Object.create(proto, { own: { value: 2, enumerable: true } }));
  assertEquals([child.inherited, child.own, Object.keys(child)], [1, 2, ["own"]]);
});

test("an own __proto__ key stays a key and pollutes nothing", () => {
  const value = JSON.parse(
    '{"__proto__": {"polluted": true}, "constructor": {"prototype": {"polluted": true}}}',
  );
  const back = trip(value);
  assert(Object.hasOwn(back, "__proto__"));
  assertEquals(back.__proto__, { polluted: true });
  assertStrictEquals(Object.getPrototypeOf(back), Object.prototype);
  assertEquals(({} as Record<string, unknown>).polluted, undefined);
});

test("errors: class, message, stack, cause, own fields, AggregateError", () => {
  const error = Object.assign(new RangeError("too far", { cause: new TypeError("inner") }), {
    code: "E_FAR",
  });
  const back = trip(error);
  assert(back instanceof RangeError && back.cause instanceof TypeError);
  assertEquals({ ...back }, { code: "E_FAR" });
  assertEquals([back.message, back.stack], [error.message, error.stack]);
  assertEquals(Object.keys(back), Object.keys(error));
  const many = trip(new AggregateError([new Error("a"), 1], "many"));
  assert(many instanceof AggregateError);
  assertEquals([many.errors.length, many.errors[0].message, many.message], [2, "a", "many"]);
});

test("DOMException keeps name, message and stack", () => {
  const error = new DOMException("stopped", "AbortError");
  const back = trip(error);
  assert(back instanceof DOMException);
  assertEquals([back.name, back.message, back.code, back.stack], ["AbortError", "stopped", 20, error.stack]);
});

test("typed arrays, DataView and buffers", () => {
  const kinds = [
    new Int8Array([-1]),
    new Uint8ClampedArray([255]),
    new Uint16Array([65535]),
    new Float32Array([1.5]),
    new Float64Array([NaN, -0]),
    new BigInt64Array([-1n]),
    new BigUint64Array([2n ** 64n - 1n]),
  ];
  if ("Float16Array" in globalThis) {
    // deno-lint-ignore no-explicit-any
    kinds.push(new (globalThis as any).Float16Array([1.5]));
  }
  for (const kind of kinds) {
    const back = trip(kind);
    assertStrictEquals(Object.getPrototypeOf(back), Object.getPrototypeOf(kind));
    assertEquals(back, kind);
  }
  const view = trip(new DataView(new Uint8Array([1, 2, 3, 4]).buffer, 1, 2));
  assertEquals([view.byteLength, view.getUint16(0)], [2, 0x0203]);
  assertEquals(new Uint8Array(trip(new Uint8Array([1, 2]).buffer)), new Uint8Array([1, 2]));
});

test("views that share a buffer keep sharing it; a small view does not drag a large buffer along", () => {
  const buffer = new ArrayBuffer(16);
  const { a, b, whole } = trip({
    a: new Uint8Array(buffer, 0, 8),
    b: new Uint32Array(buffer, 4, 2),
    whole: buffer,
  });
  assertStrictEquals(a.buffer, b.buffer);
  assertStrictEquals(a.buffer, whole);
  a[4] = 7;
  assertEquals(b[0], 7);
  const small = new Float64Array(100_000).subarray(10, 20).fill(3);
  const bytes = dumps(small);
  assert(bytes.length < 1_000, String(bytes.length));
  assertEquals(loads(bytes), new Float64Array(10).fill(3));
});

test("a SharedArrayBuffer arrives as a new one with its contents", () => {
  const shared = new SharedArrayBuffer(8);
  new Uint8Array(shared)[3] = 9;
  const back = trip({ s: new Uint8Array(shared) });
  assert(back.s.buffer instanceof SharedArrayBuffer);
  assertNotStrictEquals(back.s.buffer, shared);
  assertEquals(back.s[3], 9);
});

test("loads copies: the bytes can be changed afterwards", () => {
  const bytes = dumps(new Uint8Array([1, 2, 3]));
  const back = loads<Uint8Array>(bytes);
  bytes.fill(0);
  assertEquals(back, new Uint8Array([1, 2, 3]));
});

test("nesting of depth 100,000 in arrays, lists and Maps", () => {
  const depth = 100_000;
  let array: unknown[] = [];
  // deno-lint-ignore no-explicit-any
  let list: any = null;
  let map = new Map<string, unknown>();
  for (let i = 0; i < depth; i++) {
    array = [array];
    list = { i, next: list };
    map = new Map([["m", map]]);
  }
  const measure = (value: unknown, next: (v: unknown) => unknown) => {
    let n = 0;
    for (let v = value; v; v = next(v)) n++;
    return n;
  };
  assertEquals(measure(trip(array), (v) => (v as unknown[])[0]), depth + 1);
  assertEquals(measure(trip(list), (v) => (v as { next: unknown }).next), depth);
  assertEquals(measure(trip(map), (v) => (v as Map<string, unknown>).get("m")), depth + 1);
});

test("a chain of 100,000 closures, both ways", () => {
  let f = (_: number) => 0;
  for (let i = 0; i < 100_000; i++) f = ((previous) => (n: number) => n === 0 ? i : previous(n - 1))(f);
  const back = loads<(n: number) => number>(dumps(f), { trust: "code" });
  assertEquals(back(5), 99_994);
}, { timeout: 120_000 });

test("copy and pickles", () => {
  const original = { a: [1, new Date(0)] };
  assertEquals(copy(original), original);
  assertNotStrictEquals(copy(original).a, original.a);
  assertEquals([pickles(1), pickles(() => 1), pickles(new WeakMap())], [true, true, false]);
});

test("module namespaces and globalThis", async () => {
  const path = await import("node:path");
  const join = loads<(a: string, b: string) => string>(
    dumps((a: string, b: string) => path.posix.join(a, b)),
    { trust: "code" },
  );
  assertEquals(join("a", "b"), "a/b");
  assertStrictEquals(loads(dumps(globalThis), { trust: "code" }), globalThis);
});
