/** Functions and the variables they capture go to bytes and back. */
import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { dumps, loads, UnserializableError } from "@pathos/pathos/serialize";
import { test } from "./harness.ts";

const trip = <T>(value: T): T => loads<T>(dumps(value), { trust: "code" });
const refusal = (value: unknown) =>
  assertThrows(() => dumps(value), UnserializableError) as UnserializableError;

const moduleConstant = 7;
function twice(x: number): number {
  return x * 2;
}
function thrice(x: number): number {
  return twice(x) + x;
}
const fib = (n: number): number => n < 2 ? n : fib(n - 1) + fib(n - 2);
function isEven(n: number): boolean {
  return n === 0 ? true : isOdd(n - 1);
}
function isOdd(n: number): boolean {
  return n === 0 ? false : isEven(n - 1);
}
const makeCounter = () => {
  let n = 0;
  return { up: () => ++n, now: () => n };
};

test("a function without captures works after a round trip", () => {
  assertEquals(trip((a: number, b: number) => a + b)(2, 3), 5);
  // deno-lint-ignore prefer-const
  let f = function (this: { k: number }, x: number) {
    return this.k * x;
  };
  assertEquals(trip(f).call({ k: 3 }, 4), 12);
});

test("captured primitives, objects, Maps, typed arrays and module constants travel", () => {
  const k = 3, o = { deep: [1, { x: 2 }] }, m = new Map([["a", new Set([1])]]), t = new Float32Array([1, 2]);
  assertEquals(trip(() => [k, o.deep, m, t, moduleConstant])(), [k, o.deep, m, t, moduleConstant]);
});

test("helpers are followed, and what they capture", () => {
  assertEquals(trip(() => thrice(5))(), 15);
});

test("self recursion and mutual recursion", () => {
  assertEquals(trip(fib)(15), 610);
  assertEquals(trip(isEven)(10), true);
  assertEquals(trip(isEven)(11), false);
  const named = function fact(n: number): number {
    return n < 2 ? 1 : n * fact(n - 1);
  };
  assertEquals(trip(named)(5), 120);
});

test("a function declaration whose name was reassigned calls the new value", () => {
  const build = () => {
    function f(n: number): number {
      return n <= 0 ? 0 : 1 + f(n - 1);
    }
    const inner = f;
    // deno-lint-ignore no-explicit-any
    (f as any) = (n: number) => n <= 0 ? 100 : inner(n);
    return inner;
  };
  assertEquals(build()(1), trip(build())(1));
});

test("two closures keep sharing a variable", () => {
  const counter = trip(makeCounter());
  counter.up();
  counter.up();
  assertEquals(counter.now(), 2);
});

test("two counters stay apart, also with equal values", () => {
  const [a, b] = trip([makeCounter(), makeCounter()]);
  a.up();
  assertEquals([a.now(), b.now()], [1, 0]);
});

test("a closure and an object that hold each other", () => {
  const o: { self?: () => unknown } = {};
  o.self = () => o;
  const back = trip(o);
  assertStrictEquals(back.self!(), back);
});

test("async functions, generators and async generators", async () => {
  const k = 2;
  assertEquals(await trip(async (x: number) => (await x) * k)(4), 8);
  assertEquals([
    ...trip(function* (n: number) {
      for (let i = 0; i < n; i++) yield i * k;
    })(3),
  ], [0, 2, 4]);
  const seen = [];
  for await (
    const x of trip(async function* () {
      yield* [k, k + 1];
    })()
  ) seen.push(x);
  assertEquals(seen, [2, 3]);
});

test("methods of every spelling", () => {
  const key = "computed key", sym = Symbol.for("s");
  const o = {
    plain(x: number) {
      return x + moduleConstant;
    },
    "quoted name"() {
      return "q";
    },
    12() {
      return 12;
    },
    [key]() {
      return "c";
    },
    [sym]() {
      return "s";
    },
    async later() {
      return await 1;
    },
    *items() {
      yield 1;
    },
    get size() {
      return moduleConstant;
    },
    set size(v: number) {
      this.plain(v);
    },
    async() {
      return "async";
    },
    get() {
      return "get";
    },
    static() {
      return "static";
    },
  };
  const back = trip(o);
  assertEquals(back.plain(1), 8);
  assertEquals(back["quoted name"](), "q");
  assertEquals(back[12](), 12);
  assertEquals(back[key](), "c");
  assertEquals(back[key].name, key);
  assertEquals(back[sym](), "s");
  assertEquals([...back.items()], [1]);
  assertEquals(back.size, 7);
  assertEquals([back.async(), back.get(), back.static()], ["async", "get", "static"]);
  assertEquals(trip(o.plain).call(o, 1), 8);
});

test("super in the methods of an object", () => {
  const base = { hi: () => "base" };
  const derived = {
    __proto__: base,
    hi(): string {
      return "derived+" + (super.hi as () => string)();
    },
  } as unknown as { hi(): string };
  assertEquals(trip(derived).hi(), "derived+base");
  const lone = derived.hi;
  assert(refusal([() => lone]).reason.includes("super"));
});

test("bound functions and builtins by identity", () => {
  const add = function (this: { k: number }, a: number, b: number) {
    return this.k + a + b;
  };
  const bound = trip(add.bind({ k: 100 }, 10));
  assertEquals(bound(1), 111);
  assertEquals(bound.name, "bound add");
  const AsyncFunction = (async () => {}).constructor;
  const builtins = [Math.max, Array.prototype.map, AsyncFunction, Map, URL, globalThis, JSON, console.log];
  trip(builtins).forEach((value, i) => assertStrictEquals(value, builtins[i]));
  const isArray = Array.isArray;
  assertEquals(trip(() => isArray([]))(), true);
});

test("own properties, names, lengths and prototypes of functions", () => {
  const f = Object.assign((a: number, b: number) => a + b, { meta: { x: 1 } });
  const back = trip(f);
  assertEquals([back.meta, back.name, back.length], [{ x: 1 }, "", 2]);
  assertEquals(String(back), String(f));
  const renamed = Object.defineProperty(() => 1, "name", { value: "other" });
  assertEquals(trip(renamed).name, "other");
});

test("parameter defaults, destructuring, labels, shorthand, typeof and catch scopes", () => {
  const x = 1, y = 2, e = "outer";
  const f = (a = x, { y: renamed = y, ...rest }: Record<string, number> = {}, cb = () => x) => {
    // deno-lint-ignore no-unused-vars
    const y = 50;
    outer: for (const x of [1, 2, 3]) {
      for (;;) {
        if (x === 2) break outer;
        continue outer;
      }
    }
    let caught = "";
    try {
      throw new Error("inner");
    } catch (e) {
      caught = (e as Error).message;
    }
    // @ts-ignore: the name is undeclared on purpose
    const kind = typeof undeclaredAnywhere;
    return [a, renamed, rest, cb(), { x, e }, caught, kind];
  };
  assertEquals(trip(f)(), f());
});

test("only mentioned variables travel", () => {
  const secret = "correct horse battery staple", used = "used";
  const leak = () => secret;
  const f = () => used;
  assertEquals(leak(), secret);
  const bytes = dumps(f);
  assert(!new TextDecoder("latin1").decode(bytes).includes("battery"));
  assertEquals(loads<() => string>(bytes, { trust: "code" })(), used);
});

test("equal closures give equal bytes", () => {
  assertEquals(dumps(thrice), dumps(thrice));
  const counters = [makeCounter(), makeCounter()];
  assertEquals(dumps(counters), dumps(counters));
});

test("a loaded function can be dumped again, with its variables", () => {
  const first = trip(makeCounter());
  first.up();
  const second = trip(first);
  second.up();
  assertEquals([first.now(), second.now()], [1, 2]);
  assertEquals(trip(trip(fib))(10), 55);
});

test("closures over the same block and over nested blocks", () => {
  const make = () => {
    let a = 1;
    const parts: (() => number)[] = [];
    for (let i = 0; i < 3; i++) {
      let own = i * 10;
      parts.push(() => a++ + own++);
    }
    return { parts, a: () => a };
  };
  const want = make(), got = trip(make());
  assertEquals(got.parts.map((f) => f()), want.parts.map((f) => f()));
  assertEquals(got.parts.map((f) => f()), want.parts.map((f) => f()));
  assertEquals(got.a(), want.a());
});

test("functions from new Function, and sloppy ones stay sloppy", () => {
  assertEquals(trip(new Function("a", "b", "return a * b") as (a: number, b: number) => number)(6, 7), 42);
  const sloppy = new Function("return this === undefined ? 'strict' : 'sloppy'") as () => string;
  assertEquals(trip(sloppy)(), "sloppy");
  assertEquals(
    trip(function (this: unknown) {
      return this === undefined;
    })(),
    true,
  );
});

test("an arrow function that uses this is refused with the fix", () => {
  class Owner {
    k = 1;
    arrow = () => this.k;
  }
  const error = refusal({ job: new Owner().arrow });
  assertEquals(error.path, "$.job");
  assert(error.reason.includes("capture("));
  const nested = function (this: unknown) {
    return () => () => this;
  }.call({});
  assert(refusal(nested).reason.includes("this"));
});

test("refusals name the path through captured variables and data", () => {
  const handle = new WeakMap();
  const helper = () => handle;
  const job = () => helper();
  assertEquals(refusal({ list: [1, { job }] }).path, "$.list[1].job⟨helper⟩⟨handle⟩");
  assertEquals(refusal(new Map([["a b", handle]])).path, '$.get("a b")');
  assertEquals(refusal({ "not a name": [handle] }).path, '$["not a name"][0]');
});

test("direct eval, lone private methods and new.target of the outside are refused", () => {
  const evaluates = new Function("x", "return () => eval('x')")(1);
  assert(refusal(evaluates).reason.includes("eval"));
  class P {
    #secret = 1;
    read() {
      return this.#secret;
    }
  }
  const read = P.prototype.read;
  assert(refusal([() => read]).reason.includes("#secret"));
  const target = function () {
    return () => new.target;
  };
  assert(refusal(target()).reason.includes("new.target"));
});

test.deno(
  "a variable that is not initialised yet is refused",
  "Node's inspector shows such a variable as undefined",
  () => {
    const f = () => later;
    const error = refusal(f);
    assert(error.path.endsWith("⟨later⟩"));
    const later = 1;
    assertEquals(trip(f)(), later);
  },
);

test("a function that throws shows its own file and line", () => {
  const fails = () => {
    throw new Error("here");
  };
  const line = (f: () => void) => {
    try {
      f();
    } catch (error) {
      return /serialize_functions\S*?:\d+:\d+|:\d+:\d+/.exec((error as Error).stack!.split("\n")[1])?.[0];
    }
    return undefined;
  };
  const original = line(fails), rebuilt = line(trip(fails));
  assert(original !== undefined && rebuilt !== undefined);
  assert(rebuilt.startsWith("serialize_functions"), rebuilt);
});
