/** Classes and their instances go to bytes and back. */
import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { dumps, loads, register, UnserializableError } from "@pathos/pathos/serialize";
import { test } from "./harness.ts";

const trip = <T>(value: T): T => loads<T>(dumps(value), { trust: "code" });

class Animal {
  static count = 0;
  static kinds = new Set<string>();
  constructor(public name: string) {
    Animal.count++;
  }
  speak() {
    return `${this.name} makes a sound`;
  }
  get upper() {
    return this.name.toUpperCase();
  }
  static create(name: string) {
    return new this(name);
  }
}
class Dog extends Animal {
  tricks: string[] = [];
  override speak() {
    return `${super.speak()}: woof`;
  }
  static override create(name: string) {
    return super.create(name);
  }
}

test("a class with methods, accessors and statics", () => {
  const Copy = trip(Animal);
  const a = new Copy("Rex");
  assertEquals([a.speak(), a.upper, Copy.name, Copy.length], ["Rex makes a sound", "REX", Animal.name, 1]);
  assertEquals(Object.keys(Copy), Object.keys(Animal));
});

test("inheritance, super calls and super statics", () => {
  const [Base, Derived] = trip([Animal, Dog]);
  const d = Derived.create("Rex");
  assertEquals(d.speak(), "Rex makes a sound: woof");
  assert(d instanceof Base);
  assertStrictEquals(Object.getPrototypeOf(Derived), Base);
});

test("instances keep class, fields and identity", () => {
  const dog = new Dog("Rex");
  dog.tricks.push("roll");
  const before = Animal.count;
  const [a, b] = trip([dog, dog]);
  assertStrictEquals(a, b);
  assertEquals(a.speak(), "Rex makes a sound: woof");
  assertEquals(a.tricks, ["roll"]);
  assertEquals(Object.keys(a), Object.keys(dog));
  assertEquals(Animal.count, before, "no constructor ran");
});

test("static blocks and initialisers are not run again; their results travel", () => {
  let runs = 0;
  class Config {
    static value = ++runs;
    static table: Record<string, number>;
    static {
      this.table = { runs: ++runs };
    }
    static read() {
      return [Config.value, Config.table.runs];
    }
  }
  Config.value = 40;
  assertEquals(trip(Config).read(), [40, 2]);
});

class Account {
  #balance = 10;
  #log: string[] = [];
  static #opened = 3;
  static #secretName() {
    return "private static method";
  }
  owner: string;
  constructor({ owner }: { owner: string }, start = 5) {
    this.owner = owner;
    this.#balance += start;
  }
  deposit(n: number) {
    this.#note(`+${n}`);
    this.#balance += n;
    return this;
  }
  #note(text: string) {
    this.#log.push(text);
  }
  get #double() {
    return this.#balance * 2;
  }
  state() {
    return [this.owner, this.#balance, this.#log, this.#double];
  }
  static has(x: object) {
    return #balance in x;
  }
  static opened() {
    return [++this.#opened, this.#secretName()];
  }
}
class Savings extends Account {
  #rate = 0.5;
  #balance = "own field of the same name";
  rate() {
    return [this.#rate, this.#balance, this.state()[1]];
  }
}

test("private fields, methods, accessors and statics", () => {
  const Copy = trip(Account);
  const a = new Copy({ owner: "Ada" }, 1).deposit(4);
  assertEquals(a.state(), ["Ada", 15, ["+4"], 30]);
  assertEquals(Copy.opened(), [4, "private static method"]);
  assertEquals(Account.has(a), false);
  assertEquals(Copy.length, Account.length);
});

test("instances with private state, also through inheritance and twice", () => {
  const account = new Account({ owner: "Ada" }).deposit(1);
  const back = trip(account);
  assertEquals(back.state(), account.state());
  assertEquals(back.deposit(1).state()[1], 17);
  const savings = new Savings({ owner: "Bob" });
  const twin = trip(savings);
  assertEquals(twin.rate(), savings.rate());
  assertEquals(Object.keys(twin), Object.keys(savings));
  assertEquals(trip(twin).rate(), savings.rate());
});

test("subclasses of Map, Array and Error", () => {
  class Bag extends Map<string, number> {
    label = "bag";
    #hidden = 5;
    add(key: string) {
      return this.set(key, (this.get(key) ?? 0) + this.#hidden);
    }
  }
  const bag = trip(new Bag().add("x"));
  assertEquals([bag.get("x"), bag.label, bag.size, bag instanceof Map], [5, "bag", 1, true]);
  assertEquals(bag.add("x").get("x"), 10);
  class Stack extends Array<number> {
    top() {
      return this[this.length - 1];
    }
  }
  const stack = trip(Stack.from([1, 2, 3]) as Stack);
  assertEquals([stack.top(), stack.length, Array.isArray(stack)], [3, 3, true]);
  class HttpError extends Error {
    constructor(readonly status: number, options?: ErrorOptions) {
      super(`status ${status}`, options);
      this.name = "HttpError";
    }
    isClient() {
      return this.status < 500;
    }
  }
  const error = trip(new HttpError(404, { cause: new RangeError("low") }));
  assertEquals([error.message, error.status, error.isClient(), error.name], [
    "status 404",
    404,
    true,
    "HttpError",
  ]);
  assert(error instanceof Error && error.cause instanceof RangeError);
});

test("ES5 constructors and changed prototypes", () => {
  // deno-lint-ignore no-explicit-any
  function Shape(this: any, n: number) {
    this.n = n;
  }
  Shape.prototype.area = function () {
    return this.n ** 2;
  };
  // deno-lint-ignore no-explicit-any
  const back = trip(new (Shape as any)(3));
  assertEquals(back.area(), 9);
  assertEquals(back.constructor.name, "Shape");
  class Patched {
    old() {
      return "old";
    }
    gone() {}
  }
  Patched.prototype.old = () => "new";
  // deno-lint-ignore no-explicit-any
  delete (Patched.prototype as any).gone;
  // deno-lint-ignore no-explicit-any
  (Patched.prototype as any).extra = 1;
  // deno-lint-ignore no-explicit-any
  const p = trip(new Patched()) as any;
  assertEquals([p.old(), p.extra, "gone" in p], ["new", 1, false]);
});

test("computed and symbol-keyed members", () => {
  const name = "dyn" + "amic", tag = Symbol("unique");
  class C {
    [name]() {
      return 1;
    }
    static [tag] = 2;
    *[Symbol.iterator]() {
      yield* [1, 2];
    }
    get [Symbol.toStringTag]() {
      return "C!";
    }
    "quoted key"() {
      return 3;
    }
  }
  const [Copy, key, made] = trip([C, tag, new C()] as const);
  // deno-lint-ignore no-explicit-any
  const c = new Copy() as any;
  assertEquals([c.dynamic(), [...c], String(c), c["quoted key"]()], [1, [1, 2], "[object C!]", 3]);
  // deno-lint-ignore no-explicit-any
  assertEquals((Copy as any)[key], 2);
  assertEquals([...made], [1, 2]);
});

test("a class captured by a function is the class of the instances beside it", () => {
  class Point {
    constructor(readonly x: number) {}
  }
  const back = trip({ test: (p: unknown) => p instanceof Point, point: new Point(1) });
  assertEquals(back.test(back.point), true);
});

test("a method taken from a class works on its own", () => {
  class Text {
    words(this: unknown, s: string) {
      return s.split(" ").length;
    }
  }
  const { words } = Text.prototype;
  assertEquals(trip(() => words("a b c"))(), 3);
  const [Copy, method] = trip([Text, words] as const);
  assertStrictEquals(Copy.prototype.words, method);
});

test("anonymous classes, class expressions, extends null and factories", () => {
  const Mixin = (Base: new () => object) =>
    class extends Base {
      mixed() {
        return true;
      }
    };
  const Mixed = Mixin(class {});
  assertEquals(trip(new Mixed()).mixed(), true);
  const Null = class extends (null as unknown as ObjectConstructor) {};
  assertEquals(Object.getPrototypeOf(trip(Null).prototype), null);
});

test("registered classes travel as their data, without trust", () => {
  class Celsius {
    constructor(readonly degrees: number) {}
  }
  register(Celsius, { dump: (t) => ({ d: t.degrees }), load: ({ d }) => new Celsius(d) });
  const back = loads<{ t: Celsius }>(dumps({ t: new Celsius(21) }));
  assert(back.t instanceof Celsius);
  assertEquals(back.t.degrees, 21);
  assertThrows(
    () => register(class Other {}, { name: "Celsius", dump: () => 0, load: () => ({}) }),
    TypeError,
  );
});

test("instances of runtime classes with hidden state are refused, whatever they are", () => {
  const controller = new AbortController();
  for (
    const value of [
      controller,
      controller.signal,
      new WeakSet(),
      new Proxy({}, {}),
      new TextDecoder(),
      new Intl.NumberFormat(),
    ]
  ) {
    const error = assertThrows(() => dumps({ value }), UnserializableError) as UnserializableError;
    assertEquals(error.path, "$.value");
    assert(error.reason.length > 20);
  }
  function* g() {
    yield 1;
  }
  for (const value of [g(), Promise.resolve(1), [].values(), new Map().entries(), new WeakRef({})]) {
    assertThrows(() => dumps({ value }), UnserializableError);
  }
});
