/** Keys: one text for equal values and different ones for others, keymaps, rounding, parameters, identities of functions. */
import {
  canonical,
  deepRound,
  digest,
  hashmap,
  identity,
  isvalid,
  keymap,
  memoize,
  picklemap,
  roundTo,
  shallowRound,
  signature,
  simpleRound,
  stringmap,
  UnkeyableError,
  validate,
} from "@pathos/pathos/cache";
import { dumps, loads, register, UnserializableError } from "@pathos/pathos/serialize";
import { assert, assertEquals, assertMatch, assertNotEquals, assertThrows } from "@std/assert";
import { runScript, test } from "./harness.ts";

type Fn = (...args: never[]) => unknown;

const same = (a: unknown, b: unknown, typed = false) =>
  assertEquals(canonical(a, { typed }), canonical(b, { typed }));
const differ = (a: unknown, b: unknown, typed = false) =>
  assertNotEquals(canonical(a, { typed }), canonical(b, { typed }));

// deno-lint-ignore no-explicit-any -- cyclic values are made step by step
type Loose = any;

test("the order in which a Map, a Set or an object was filled does not count", () => {
  same(new Map([["a", 1], ["b", 2]]), new Map([["b", 2], ["a", 1]]));
  same(new Set([1, "1", [2], { x: 3 }]), new Set([{ x: 3 }, [2], "1", 1]));
  same({ a: 1, b: { c: 2, d: 3 } }, { b: { d: 3, c: 2 }, a: 1 });
  same(new Map([[{ k: 1 }, new Set([1, 2])]]), new Map([[{ k: 1 }, new Set([2, 1])]]));
  differ(new Map([["a", 1], ["b", 2]]), new Map([["a", 2], ["b", 1]]));
  differ(new Set([1, 2]), new Set([1, 2, 3]));
});

test("values that look alike have texts of their own", () => {
  const values = [
    [],
    {},
    [[]],
    [{}],
    [undefined],
    [null],
    [,], // deno-lint-ignore no-sparse-arrays
    [, ,],
    [1, , 2],
    [1, undefined, 2],
    [1, 2],
    ["1", 2],
    ["1,2"],
    ["1", "2"],
    [[1], 2],
    [1, [2]],
    [[1, 2]],
    [1n],
    [1],
    ["1n"],
    [true],
    ["true"],
    [NaN],
    ["NaN"],
    ["undefined"],
    ['"'],
    ["\\"],
    ['","'],
    ["a,b"],
    ["a", "b"],
    ['a","b'],
    ["\ud800"],
    ["\ufffd"],
    ["\\ud800"],
    ["\0"],
    [""],
    { a: 1 },
    { a: "1" },
    { a: undefined },
    { "a:1": 1 },
    [["a", 1]],
    new Map([["a", 1]]),
    new Map([["a", "1"]]),
    new Map<unknown, unknown>([[["a"], 1]]),
    new Set(["a", 1]),
    new Set([["a", 1]]),
    [new Map([["a", 1]])],
    new Uint8Array([1, 2]),
    new Uint8ClampedArray([1, 2]),
    new Int8Array([1, 2]),
    new Float64Array([1, 2]),
    new BigInt64Array([1n, 2n]),
    new Uint8Array([1, 2]).buffer,
    new DataView(new Uint8Array([1, 2]).buffer),
    new Date(0),
    new Date(NaN),
    0,
    "Date(0)",
    /a/,
    /a/g,
    "/a/",
    new URL("http://a/"),
    "http://a/",
    new URLSearchParams("a=1"),
    new Error("a"),
    new TypeError("a"),
    new Error("a", { cause: 1 }),
    new AggregateError([1], "a"),
    Symbol.for("a"),
    Symbol.iterator,
    Symbol.for("Symbol.iterator"),
    Object.assign(["a"], { extra: 1 }),
    Object.assign(new Date(0), { extra: 1 }),
    Object.fromEntries([["__proto__", 1]]),
    Object.create({ inherited: 1 }),
    { [Symbol.for("a")]: 1 },
  ];
  for (const typed of [false, true]) {
    const texts = values.map((value) => canonical(value, { typed }));
    const twice = texts.filter((text, i) => texts.indexOf(text) !== i);
    assertEquals(twice, []);
  }
});

test("there is one NaN, and -0 is 0 unless types count", () => {
  const oddNaN = new Float64Array(new BigUint64Array([0x7ff8000000000123n]).buffer);
  same(oddNaN[0], NaN);
  same(oddNaN, new Float64Array([NaN]));
  const large = (x: number) => new Float64Array(1_000).fill(x);
  same(large(oddNaN[0]), large(NaN));
  for (const put of [(x: number) => x, (x: number) => [{ x }], (x: number) => new Float32Array([x]), large]) {
    same(put(-0), put(0));
    differ(put(-0), put(0), true);
  }
});

test("boxed primitives and objects without prototype count as ordinary ones unless types count", () => {
  for (const value of [1, "a", true, 7n, Symbol.for("k")]) {
    same(value, Object(value));
    differ(value, Object(value), true);
  }
  const bare = Object.assign(Object.create(null), { a: 1 });
  same(bare, { a: 1 });
  differ(bare, { a: 1 }, true);
});

test("arrays of numbers count by type and content, whatever buffer they lie in", () => {
  for (const length of [3, 5_000]) {
    const numbers = Float64Array.from({ length }, (_, i) => i / 3);
    const inside = new Float64Array(new ArrayBuffer((length + 7) * 8), 16, length);
    inside.set(numbers);
    same(numbers, inside);
    same(numbers, new Float64Array(numbers));
    differ(numbers, new Float32Array(numbers));
    differ(numbers, numbers.subarray(1));
    const changed = numbers.slice();
    changed[length - 1] += 1e-9;
    differ(numbers, changed);
    differ(new Uint8Array(length), new Int8Array(length));
    differ(new Uint8Array(length), new Uint8Array(length).buffer);
    same(new Uint8Array(new SharedArrayBuffer(length)), new Uint8Array(length));
  }
});

test("instances count by class and content, private fields included", () => {
  class Point {
    #secret: number;
    constructor(readonly x: number, secret = 0) {
      this.#secret = secret;
    }
    get secret() {
      return this.#secret;
    }
  }
  const other = (() => {
    class Point {
      constructor(readonly x: number) {}
    }
    return Point;
  })();
  class Sub extends Point {}
  same(new Point(1), new Point(1));
  differ(new Point(1), new Point(2));
  differ(new Point(1, 1), new Point(1, 2));
  differ(new Sub(1, 1), new Sub(1, 2));
  differ(new Point(1), { x: 1 });
  differ(new Point(1), new other(1));
  differ(new Point(1), new Sub(1));
  class Bag extends Map<string, number> {}
  differ(new Bag([["a", 1]]), new Map([["a", 1]]));
  differ(new Bag([["a", 1]]), new Bag([["a", 2]]));
  class Locked extends Map<string, number> {
    constructor(readonly owner: string, readonly code: number) {
      super();
      this.#code = code;
    }
    #code: number;
    opens(code: number) {
      return code === this.#code;
    }
  }
  differ(new Locked("a", 1), new Locked("b", 1));
  const hide = (locked: Locked) => Object.defineProperty(locked, "code", { enumerable: false });
  differ(hide(new Locked("a", 1)), hide(new Locked("a", 2)));
  class Row extends Array<number> {}
  differ(Row.of(1, 2), [1, 2]);
  same(Row.of(1, 2), Row.of(1, 2));
  class Odd extends Error {}
  differ(new Odd("a"), new Error("a"));
});

test("an instance that went to another program and came back has the same text", () => {
  class Reading {
    #raw = 7;
    constructor(readonly unit: string) {}
    raise() {
      this.#raw++;
      return this;
    }
  }
  const back = loads(dumps(new Reading("K")), { trust: "code" });
  same(back, new Reading("K"));
  differ(back, new Reading("K").raise());
});

test("a registered class counts by its data", () => {
  class Handle {
    readonly socket = Promise.resolve();
    constructor(readonly host: string) {}
  }
  assertThrows(() => canonical([new Handle("a")]), UnkeyableError, "args[0].socket is a Promise");
  register(Handle, {
    name: "cache_keys/Handle",
    dump: ({ host }) => host,
    load: (host: string) => new Handle(host),
  });
  same(new Handle("a"), new Handle("a"));
  differ(new Handle("a"), new Handle("b"));
});

test("functions count by code and captures, accessors as functions that are not run", () => {
  const times = (k: number) => (x: number) => x * k;
  same([times(2)], [times(2)]);
  differ([times(2)], [times(3)]);
  differ([Math.max], [Math.min]);
  let runs = 0;
  const lazy = () => ({
    get x() {
      return ++runs;
    },
  });
  same(lazy(), lazy());
  differ(lazy(), { x: 1 });
  assertEquals(runs, 0);
});

test("a part that is shared and its equal copies have the same text", () => {
  const part = { a: [1] };
  same([part, part, { part }], [{ a: [1] }, { a: [1] }, { part: { a: [1] } }]);
  const map = new Map([["k", part]]);
  same([map, map], [new Map([["k", part]]), new Map([["k", { a: [1] }]])]);
});

test("cycles have a text, the same for graphs that are alike, different for others", () => {
  const ring = (n: number, last: unknown = 0) => {
    const first: Loose = { n: 0 };
    let at = first;
    for (let i = 1; i < n; i++) at = at.next = { n: i };
    at.next = first;
    first.last = last;
    return first;
  };
  same(ring(1), ring(1));
  same(ring(3), ring(3));
  differ(ring(3), ring(4));
  differ(ring(3), ring(3, 1));
  const [a, b]: Loose[] = [{}, {}];
  a.to = a;
  b.to = { to: b };
  differ(a, b);
  const pair = (swap: boolean) => {
    const x: Loose = { id: 1 }, y: Loose = { id: 2 };
    x.peers = swap ? [y, x] : [x, y];
    y.peers = x.peers;
    return x;
  };
  same(pair(false), pair(false));
  differ(pair(false), pair(true));
});

test("cycles through Maps and Sets have the same text in every order", () => {
  const graph = (order: number[]) => {
    const root: Loose = { nodes: new Set(), byName: new Map() };
    const nodes: Loose[] = [0, 1, 2].map((id) => ({ id, root, peers: new Set() }));
    for (const i of order) {
      root.nodes.add(nodes[i]);
      root.byName.set(`n${i}`, nodes[i]);
      for (const j of order) if (j !== i) nodes[i].peers.add(nodes[j]);
    }
    root.nodes.add(root.nodes);
    return root;
  };
  same(graph([0, 1, 2]), graph([2, 0, 1]));
  same(graph([1, 0, 2]), graph([2, 1, 0]));
  differ(graph([0, 1, 2]), graph([0, 1]));
});

test("a graph whose Sets refer to one another in all ways is refused rather than pondered for ever", () => {
  const nodes: Loose[] = Array.from({ length: 30 }, (_, id) => ({ id, peers: new Set() }));
  for (const a of nodes) for (const b of nodes) a.peers.add(b);
  assertThrows(() => canonical([nodes[0]]), UnkeyableError, "too many ways");
  for (const a of nodes) a.peers = nodes;
  assertMatch(canonical([nodes[0]]), /^\[/);
});

test("what is never the same again is refused, with its path and what to do", () => {
  const refusals: [unknown, string, string][] = [
    [{ a: { job: Promise.resolve() } }, "args[0].a.job", "is a Promise"],
    [new Map([["k", [new WeakMap()]]]), 'args[0].get("k")[0]', "is a WeakMap"],
    [new Set([1, new WeakRef({})]), "args[0][item 1]", "is a WeakRef"],
    [[Symbol("new")], "args[0][0]", "Symbol.for"],
    [{ [Symbol("new")]: 1 }, "args[0]", "Symbol.for"],
    [(function* () {})(), "args[0]", "generator"],
    [new Map().keys(), "args[0]", "iterator"],
    [{ "odd name": new AbortController() }, 'args[0]["odd name"]', "an AbortController"],
    [new Blob([]), "args[0]", "a Blob"],
  ];
  for (const [arg, path, text] of refusals) {
    const error = assertThrows(() => canonical([arg]), UnkeyableError, text);
    assertEquals(error.path, path);
    assertMatch(error.message, /^cannot make a key: args/);
  }
  const socket = Promise.resolve();
  const error = assertThrows(() => canonical([[], () => socket]), UnkeyableError);
  assertEquals(error.path, "args[1]");
  assertMatch(error.message, /⟨socket⟩/);
});

test("no nesting is too deep, no sharing too dense, no array too sparse", () => {
  const nested = (depth: number) => {
    let value: unknown = [];
    for (let i = 0; i < depth; i++) value = i % 2 ? { value } : [value];
    return value;
  };
  same(nested(100_000), nested(100_000));
  differ(nested(100_000), nested(100_001));
  let [a, b]: unknown[] = [[1], [2]];
  for (let i = 0; i < 200; i++) [a, b] = [[a, a], [b, b]];
  differ(a, b);
  const sparse = new Array(4e9);
  sparse[3e9] = 1;
  const other = new Array(4e9);
  other[3e9 + 1] = 1;
  differ(sparse, other);
});

test("texts stay short, whatever they are of", () => {
  const long = "x".repeat(1_000_000);
  const big = Array.from({ length: 200_000 }, (_, i) => i);
  const values = [
    long,
    [long],
    { [long]: 1 },
    big,
    new Set(big),
    new Map([[long, long]]),
    [[big]],
    10n ** 9_000n,
  ];
  for (const value of values) assert(canonical(value).length <= 4_096);
  differ([long], [`${long}y`]);
  differ(long, "x".repeat(999_999));
  differ(big, [...big.slice(0, -1), 0]);
  differ("x".repeat(5_000) + "\ud800", "x".repeat(5_000) + "\ufffd");
});

test("a random value and its shuffled copy have one text; changed in one place it has another", () => {
  let seed = 20_261_122;
  const random = (n: number) => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) % n;
  const leaf = () =>
    [
      random(9),
      String(random(9)),
      BigInt(random(9)),
      random(2) === 0,
      null,
      undefined,
      random(9) / 8,
    ][random(7)];
  const make = (depth: number): unknown => {
    const items = () => Array.from({ length: random(4) }, () => make(depth - 1));
    if (depth === 0) return leaf();
    switch (random(6)) {
      case 0:
        return leaf();
      case 1:
        return new Map(items().map((item, i) => [random(2) ? i : `k${i}`, item]));
      case 2:
        return new Set(items());
      case 3:
        return items();
      default:
        return Object.fromEntries(items().map((item, i) => [`p${i}`, item]));
    }
  };
  const shuffled = (value: unknown): unknown => {
    if (value instanceof Map) {
      return new Map([...value].reverse().map(([key, item]) => [shuffled(key), shuffled(item)]));
    }
    if (value instanceof Set) return new Set([...value].reverse().map(shuffled));
    if (Array.isArray(value)) return value.map(shuffled);
    return typeof value === "object" && value !== null
      ? Object.fromEntries(Object.entries(value).reverse().map(([key, item]) => [key, shuffled(item)]))
      : value;
  };
  const seen = new Map<string, string>();
  for (let i = 0; i < 3_000; i++) {
    const value = make(4);
    const text = canonical(value);
    assertEquals(canonical(shuffled(value)), text);
    // Another way to tell values apart has to find the same ones equal.
    const sorted = JSON.stringify(plainForm(value));
    assertEquals(seen.get(text) ?? sorted, sorted);
    seen.set(text, sorted);
    differ([value, 1], [value, 2]);
  }
  const texts = new Set(seen.values());
  assertEquals(texts.size, seen.size);
});

/** A value as nested arrays that JSON keeps apart, with Maps, Sets and objects in a fixed order. */
function plainForm(value: unknown): unknown {
  if (value instanceof Map) {
    return ["map", ...[...value].map((pair) => JSON.stringify(pair.map(plainForm))).sort()];
  }
  if (value instanceof Set) {
    return [
      "set",
      ...[...value].map((item) => JSON.stringify(plainForm(item))).sort(),
    ];
  }
  if (Array.isArray(value)) return ["array", ...value.map(plainForm)];
  return typeof value === "object" && value !== null
    ? ["object", ...Object.entries(value).map((pair) => JSON.stringify(pair.map(plainForm))).sort()]
    : [typeof value, String(value)];
}

test("texts and keys are the same in every process", async () => {
  const code = `
    import { canonical, hashmap, stringmap } from "@pathos/pathos/cache";
    class Point { #z = 3; constructor(x) { this.x = x; } }
    const value = [1, "a", new Map([["k", new Set([1n, null])]]), new Point(2), new Float64Array(1000).fill(0.5), (x) => x + 1];
    console.log(canonical(value), hashmap()(value), stringmap()([1]));
  `;
  const [a, b] = await Promise.all([runScript(code), runScript(`\n\n// moved\n${code}`)]);
  assertEquals(a.stderr, "");
  assert(a.stdout.length > 100);
  assertEquals(a.stdout, b.stdout);
});

test("keymap keeps the arguments, a lone primitive as it is", () => {
  const key = keymap();
  assertEquals([key(["a"]), key([1]), key([null]), key([["a"]])], ["a", 1, null, [["a"]]]);
  assertEquals(key([1, { x: [new Date(0)] }]), [1, { x: [new Date(0)] }]);
  assertEquals(key([1], { this: "me" }), [1, "\u001f", "this", "me"]);
  assertEquals(keymap({ sentinel: "|" })([1], { b: 2, a: 1 }), [1, "|", "a", 1, "b", 2]);
  assertEquals(keymap({ flat: false })([1], { b: 2 }), [[1], { b: 2 }]);
  assertEquals(keymap({ typed: true })([1, "a", -0]), [1, "a", -0, ["number", "string", "-0"]]);
  const error = assertThrows(() => key([1, { x: new Map() }]), UnkeyableError, "hashmap()");
  assertEquals(error.path, "args[1].x");
  const ring: Loose = [];
  ring.push(ring);
  assertThrows(() => key([ring]), UnkeyableError, "without an end");
});

test("hashmap, stringmap and picklemap make keys of any arguments", () => {
  assertMatch(hashmap()([new Map()]) as string, /^[0-9a-f]{64}$/);
  assertEquals(hashmap({ algorithm: "md5" })([1]), digest("[1]", "md5"));
  assertNotEquals(hashmap()([1]), hashmap()(["1"]));
  assertEquals(hashmap()([-0]), hashmap()([0]));
  assertNotEquals(hashmap({ typed: true })([-0]), hashmap({ typed: true })([0]));
  assertThrows(() => hashmap({ algorithm: "sha257" }), TypeError, "take sha256, sha512");
  assertEquals(stringmap()(["ä"]), '["ä"]');
  assertEquals(stringmap({ encoding: "hex" })(["ä"]), "5b22c3a4225d");
  assertEquals(stringmap({ encoding: "base64" })(["ä"]), "WyLDpCJd");
  assertThrows(() => stringmap({ encoding: "rot13" as "hex" }), TypeError, "take text, hex, base64");
  assertEquals(loads(picklemap()([new Map([[1, 2]])]) as Uint8Array), [new Map([[1, 2]])]);
  assertEquals(picklemap({ serializer: "json" })(["a", { x: [null, 1.5] }]), '["a",{"x":[null,1.5]}]');
  for (const lost of [new Map(), new Date(0), undefined, 1n, NaN, Symbol.for("a"), { x: () => 1 }]) {
    assertThrows(() => picklemap({ serializer: "json" })([lost]), UnkeyableError, "JSON does not keep");
  }
  assertEquals(picklemap({ serializer: (call) => call.length })([1, 2]), 2);
  assertThrows(() => picklemap({ serializer: "yaml" as "json" }), TypeError, "take pathos, json");
});

test("keymaps go one after another", () => {
  const chain = stringmap().then(hashmap({ algorithm: "sha1" }));
  assertEquals(chain([1, 2]), digest('["[1,2]"]', "sha1"));
  assertEquals(
    keymap().then(stringmap()).then(stringmap({ encoding: "hex" }))(["a"]),
    "5b225b5c22615c225d225d",
  );
  assertEquals([chain.inner?.([1]), chain.outer?.(["x"])], ["[1]", digest('["x"]', "sha1")]);
  assertThrows(() => keymap().then(((key: unknown) => key) as never), TypeError, "takes another keymap");
});

test("a keymap that is awaited by mistake is an error and not a wait without end", async () => {
  const error = await (async () => await (keymap() as unknown as Promise<unknown>))().catch((error) => error);
  assertMatch(String(error), /cannot be awaited/);
});

test("the parameters of any function are known by name", () => {
  class Base {
    constructor(public a: number, public b = 2) {}
    method(this: void, x: number, { deep = 1, ...others }: Record<string, number> = {}) {
      return [x, deep, others];
    }
    static make(...parts: number[]) {
      return parts;
    }
  }
  class Derived extends Base {}
  const names = (fn: Fn | (abstract new (...args: never[]) => unknown)) => {
    const { names, rest, least, most } = signature(fn);
    return [names, rest, least, most];
  };
  assertEquals(names((a: number, b = 1) => a + b), [["a", "b"], undefined, 1, 2]);
  assertEquals(
    names(async function f(a: number, ...rest: number[]) {
      await [a, rest];
    }),
    [["a"], "rest", 1, Infinity],
  );
  assertEquals(
    names(function* (a = 1, b: number) {
      yield [a, b];
    }),
    [["a", "b"], undefined, 0, 2],
  );
  assertEquals(names(Base), [["a", "b"], undefined, 1, 2]);
  assertEquals(names(Derived), [["a", "b"], undefined, 1, 2]);
  assertEquals(names(Base.make), [[], "parts", 0, Infinity]);
  assertEquals(names(Base.prototype.method), [["x", undefined], undefined, 1, 2]);
  assertEquals(signature(Base.prototype.method).parameters?.[1].properties, ["deep"]);
  assertEquals(names(Math.max), [[], undefined, 2, Infinity]);
});

test("too few and too many arguments are told", () => {
  const area = (width: number, height = width, ...others: number[]) => [width, height, others];
  assertEquals([isvalid(area, []), isvalid(area, [1]), isvalid(area, [1, 2, 3, 4])], [false, true, true]);
  assertEquals([isvalid(() => 1, []), isvalid(() => 1, [1])], [true, false]);
  validate(area, [1]);
  assertThrows(
    () => validate(area, []),
    TypeError,
    "area(width, height = …, ...others) takes at least 1 argument, and got 0",
  );
  assertThrows(
    () => validate((a: number, b = a) => b, [1, 2, 3]),
    TypeError,
    "takes 1 to 2 arguments, and got 3",
  );
});

test("numbers round to decimal places, halves to even as Python's round does", () => {
  const rounded: [number, number, number][] = [
    [0.5, 0, 0],
    [1.5, 0, 2],
    [2.5, 0, 2],
    [-2.5, 0, -2],
    [2.675, 2, 2.67],
    [0.125, 2, 0.12],
    [0.375, 2, 0.38],
    [9.995, 2, 9.99],
    [1e300, 3, 1e300],
    [1e-300, 3, 0],
    [123_456.789, 1, 123_456.8],
    [15, -1, 20],
    [25, -1, 20],
    [-1_250, -2, -1_200],
    [1_251, -2, 1_300],
    [0.1, -1, 0],
    [7e22, -22, 7e22],
    [79_958_915_710_449_220, -1, 79_958_915_710_449_220],
    [5, -400, 0],
    [0.1, 100, 0.1],
    [Infinity, 1, Infinity],
  ];
  for (const [x, tol, expected] of rounded) {
    assert(roundTo(x, tol) === expected, `${x} to ${tol} places: ${roundTo(x, tol)}`);
  }
  assert(Number.isNaN(roundTo(NaN, 2)));
  for (const bad of [1.5, NaN, 101]) assertThrows(() => roundTo(1, bad), RangeError, "decimal places");
});

test("rounding goes as deep as asked and changes nothing that it was given", () => {
  const args = [
    1.26,
    "1.26",
    7n,
    [1.26, { a: 1.26 }],
    new Map([["k", 1.26]]),
    new Set([[1.26]]),
    new Float64Array([1.26]),
  ];
  const before = canonical(args);
  assertEquals(simpleRound(args, 1), [1.3, ...args.slice(1)]);
  assertEquals(shallowRound(args, 1), [
    1.3,
    "1.26",
    7n,
    [1.3, { a: 1.26 }],
    new Map([["k", 1.3]]),
    new Set([[1.26]]),
    new Float64Array([1.3]),
  ]);
  assertEquals(deepRound(args, 1), [
    1.3,
    "1.26",
    7n,
    [1.3, { a: 1.3 }],
    new Map([["k", 1.3]]),
    new Set([[1.3]]),
    new Float64Array([1.3]),
  ]);
  assertEquals(canonical(args), before);
  const ring: Loose = { x: 1.26 };
  ring.self = ring;
  const [copy] = deepRound([ring], 1) as Loose[];
  assertEquals([copy.x, copy.self === copy, ring.x], [1.3, true, 1.26]);
  let nested: unknown = 1.26;
  for (let i = 0; i < 50_000; i++) nested = [nested];
  assertNotEquals(deepRound([nested], 1), undefined);
});

test("a function is told by its source, its captures and its version", () => {
  const times = (k: number) => (x: number) => x * k;
  const lookup = (table: Map<string, number>) => (x: string) => table.get(x);
  assertEquals(identity(times(2)), identity(times(2)));
  assertNotEquals(identity(times(2)), identity(times(3)));
  assertNotEquals(identity(lookup(new Map([["a", 1]]))), identity(lookup(new Map([["a", 2]]))));
  assertNotEquals(identity((x: number) => x + 1), identity((x: number) => x + 2));
  assertNotEquals(identity(times(2)), identity(times(2), { version: 1 }));
  assertNotEquals(identity(times(2), { version: 1 }), identity(times(2), { version: 2 }));
  assertNotEquals(identity(times(2), { version: 1 }), identity(times(3), { version: 1 }));
  assertMatch(identity(times), /^times-[0-9a-f]{12}$/);
  assertMatch(identity(times(2)), /^anonymous-/);
  assertMatch(identity(times, { name: "mine" }), /^mine-/);
  assertMatch(identity(Math.max), /^max-/);
  assertNotEquals(identity(Math.max).slice(3), identity(Math.min).slice(3));
});

test("a function is told by the functions it calls, and not by its own state", () => {
  const withHelper = (helper: (x: number) => number) => (x: number) => helper(x) + 1;
  assertNotEquals(identity(withHelper((x) => x * 2)), identity(withHelper((x) => x * 3)));
  assertEquals(identity(withHelper((x) => x * 2)), identity(withHelper((x) => x * 2)));
  let calls = 0;
  let table: Map<number, number> | undefined;
  const counted = (x: number) => {
    calls++;
    table ??= new Map();
    return table.set(x, x).size + calls;
  };
  const before = identity(counted);
  counted(1);
  counted(2);
  assertEquals(identity(counted), before);
});

test("a function that mentions memoized ones, itself included, is not told by what they remember", () => {
  for (const version of [undefined, 1]) {
    const raw = (n: number): number => n < 2 ? n : fib(n - 1) + fib(n - 2);
    const fib = memoize(raw, { version });
    const before = identity(raw, { version });
    fib(20);
    assertEquals(identity(raw, { version }), before);
    assertEquals(identity(fib), before);
    const calling = (k: number) => {
      const inner = memoize((n: number) => n * k, { version });
      return (n: number) => inner(n);
    };
    const used = calling(1);
    used(2);
    assertEquals(identity(used), identity(calling(1)));
    assertNotEquals(identity(calling(1)), identity(calling(2)));
  }
});

test("a memoized function has one identity here and where it was sent, and so has what mentions it", () => {
  const square = memoize((x: number) => x * x);
  const sum = (x: number) => square(x) + square(2);
  const [there, thereSum] = loads<[typeof square, typeof sum]>(dumps([square, sum]), { trust: "code" });
  assertEquals(there(3), 9);
  assertEquals(identity(there), identity(square));
  assertEquals(identity(thereSum), identity(sum));
});

test("keymaps go where functions go", () => {
  const chain = keymap({ flat: false }).then(
    picklemap({ serializer: (call) => `${call.length} ${double(2)}` }),
  );
  const double = (x: number) => 2 * x;
  const maps = [hashmap({ algorithm: "md5" }), stringmap({ encoding: "hex", typed: true }), chain];
  const there = loads<typeof maps>(dumps(maps), { trust: "code" });
  for (const [i, map] of maps.entries()) {
    assertEquals(there[i]([1, "a", -0]), map([1, "a", -0]));
    assertEquals([there[i].typed, there[i].flat], [map.typed, map.flat]);
  }
  const using = (algorithm: string) => {
    const map = hashmap({ algorithm });
    return (x: number) => map([x]);
  };
  assertEquals(identity(using("md5")), identity(using("md5")));
  assertNotEquals(identity(using("md5")), identity(using("sha1")));
});

test("what a function captures and cannot be written needs a version", () => {
  const socket = Promise.resolve(1);
  const ask = (x: number) => socket.then((y) => x + y);
  const error = assertThrows(() => identity(ask), UnserializableError, "version: 1");
  assertEquals(error.path, "$⟨socket⟩");
  assertEquals(identity(ask, { version: 1 }), identity(ask, { version: "1" }));
  assertNotEquals(identity(ask, { version: 1 }), identity(ask, { version: 2 }));
  assertNotEquals(
    identity(ask, { version: 1 }),
    identity((x: number) => socket.then(() => x), { version: 1 }),
  );
});

test("a method is told by its text, private names of its class included", () => {
  class Counter {
    #n = 1;
    add(x: number) {
      return x + this.#n;
    }
    sub(x: number) {
      return x - this.#n;
    }
  }
  assertNotEquals(identity(Counter.prototype.add), identity(Counter.prototype.sub, { name: "add" }));
  assertEquals(identity(Counter.prototype.add), identity(Counter.prototype.add));
});

test("a function keeps its identity when it is sent elsewhere", () => {
  const scale = { by: 3 };
  const f = (x: number) => x * scale.by;
  const there = loads<typeof f>(dumps(f), { trust: "code" });
  assertEquals(identity(there), identity(f));
  assertEquals(identity(loads<typeof f>(dumps(there), { trust: "code" })), identity(f));
});

test("a function keeps its identity in other processes and when its file moves, not when a helper changes", async () => {
  const lib = (factor: number) => `
    const table = new Map([["a", { n: 1 }]]);
    const helper = (x) => x * ${factor};
    export const slow = (x) => helper(x) + table.size;
    export class Model { #w = 2; predict(x) { return helper(x) * this.#w; } }
  `;
  const code = (path: string) => `
    import { identity } from "@pathos/pathos/cache";
    import { Model, slow } from ${JSON.stringify(path)};
    console.log(identity(slow), identity(Model), identity((x) => slow(x)));
  `;
  const [first, moved, changed] = await Promise.all([
    runScript(code("./lib.mjs"), { files: { "lib.mjs": lib(2) } }),
    runScript(`\n// a line\n${code("./a/b.mjs")}`, { files: { "a/b.mjs": `\n\n// moved\n${lib(2)}` } }),
    runScript(code("./lib.mjs"), { files: { "lib.mjs": lib(3) } }),
  ]);
  assertEquals(first.stderr, "");
  assertMatch(first.stdout, /^slow-\w{12} Model-\w{12} anonymous-\w{12}\n$/);
  assertEquals(moved.stdout, first.stdout);
  const before = first.stdout.split(" "), after = changed.stdout.split(" ");
  assertEquals(before.map((id, i) => id === after[i]), [false, false, false]);
});

test.deno(
  "without permission to read captures a function needs a version",
  "Node has no permissions",
  async () => {
    const code = `
    import { identity, canonical } from "@pathos/pathos/cache";
    const k = 2;
    console.log(identity((x) => Math.abs(x)), identity((x) => x * k, { version: 1 }));
    class Secret { #s = 1; }
    for (const refused of [() => identity((x) => x * k), () => canonical([new Secret()])]) {
      try { refused(); } catch (error) { console.log(error.message); }
    }
  `;
    const { stdout, stderr } = await runScript(code, { permissions: ["--allow-read", "--allow-env"] });
    assertEquals(stderr, "");
    assertMatch(
      stdout,
      /^anonymous-\w{12} anonymous-\w{12}\n.*--allow-sys.*version.*\n.*args\[0\] has private.*--allow-sys/,
    );
  },
);
