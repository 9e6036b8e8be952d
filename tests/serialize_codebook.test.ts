/** Code keeps its identity between two sides that talk for a while. */
import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { CodeBook, preloadImports } from "../serialize/codebook.ts";
import { test } from "./harness.ts";

class Point {
  constructor(readonly x: number, readonly y: number) {}
  plus(other: Point): Point {
    return new Point(this.x + other.x, this.y + other.y);
  }
}
class Wallet {
  #cents: number;
  constructor(cents: number) {
    this.#cents = cents;
  }
  add(n: number): Wallet {
    this.#cents += n;
    return this;
  }
  total(): number {
    return this.#cents;
  }
}

function sides(options = {}) {
  return {
    caller: new CodeBook({ share: true, ...options }),
    worker: new CodeBook({ share: true, trust: true, inline: true }),
  };
}

function refusesCode(action: () => unknown): void {
  assertEquals((assertThrows(action) as Error).name, "UntrustedCodeError");
}

test("an instance of a shipped class comes back as an instance of the caller's own", async () => {
  const { caller, worker } = sides();
  const payload = caller.encodeCode((p: Point) => p instanceof Point ? p.plus(new Point(1, 1)) : undefined);
  await preloadImports(payload.imports);
  const f = worker.loadCode(payload);
  const item = caller.encode([new Point(1, 2)]);
  assertEquals(item.needs, [payload.hash]);
  const [p] = worker.decode(item) as Point[];
  const back = caller.decode(worker.encode(f(p))) as Point;
  assert(back instanceof Point);
  assertEquals([back.x, back.y], [2, 3]);
});

test("a class that only the items have is shipped once and keeps its identity", () => {
  const { caller, worker } = sides();
  const items = [caller.encode(new Point(1, 2)), caller.encode(new Point(3, 4))];
  assertEquals(items[0].needs, items[1].needs);
  for (const hash of items[0].needs) worker.loadCode(caller.payload(hash)!);
  const [a, b] = items.map((item) => worker.decode(item)) as Point[];
  assertStrictEquals(a.constructor, b.constructor);
  assert(caller.decode(worker.encode(a.plus(b))) instanceof Point);
});

test("private state survives the way there and back", () => {
  const { caller, worker } = sides();
  const f = worker.loadCode(caller.encodeCode((w: Wallet) => w.add(5)));
  const item = caller.encode(new Wallet(10));
  for (const hash of item.needs) worker.loadCode(caller.payload(hash)!);
  const wallet = worker.decode(item) as Wallet;
  assertEquals(wallet.total(), 10);
  const back = caller.decode(worker.encode(f(wallet))) as Wallet;
  assert(back instanceof Wallet);
  assertEquals(back.total(), 15);
});

test("equal code is one payload; changed captures are another", () => {
  const { caller, worker } = sides();
  let k = 1;
  const f = () => k;
  const first = caller.encodeCode(f);
  assertStrictEquals(caller.encodeCode(f), first);
  k = 2;
  const second = caller.encodeCode(f);
  assert(first.hash !== second.hash);
  assertEquals([worker.loadCode(first)(), worker.loadCode(second)()], [1, 2]);
  assertStrictEquals(worker.loadCode(first), worker.loadCode(first));
});

test("of several payloads that define a class, the preferred one is referred to", () => {
  const { caller, worker } = sides();
  const first = caller.encodeCode((p: unknown) => p instanceof Point);
  const second = caller.encodeCode((p: unknown) => p instanceof Point && "second");
  const [f, g] = [worker.loadCode(first), worker.loadCode(second)];
  assertEquals(f(worker.decode(caller.encode(new Point(1, 1), { prefer: first.hash }))), true);
  assertEquals(g(worker.decode(caller.encode(new Point(1, 1), { prefer: second.hash }))), "second");
});

test("a side that does not trust takes references to its own code but no other code", () => {
  const { caller, worker } = sides();
  const f = worker.loadCode(caller.encodeCode(() => [new Point(1, 2), class Foreign {}]));
  const [point, Foreign] = f() as [Point, new () => object];
  assert(caller.decode(worker.encode(point)) instanceof Point);
  refusesCode(() => caller.decode(worker.encode(new Foreign())));
  refusesCode(() => caller.decode(worker.encode(() => 1)));
  refusesCode(() => caller.loadCode(worker.encodeCode(() => 2)));
});

test("buffers travel beside the bytes, once, and are not copied", () => {
  const { caller, worker } = sides();
  const data = new Float64Array(1000).fill(2), shared = new Int32Array(new SharedArrayBuffer(8));
  const encoded = caller.encode({ data, tail: data.subarray(900), shared });
  assertEquals(encoded.buffers.length, 2);
  assertStrictEquals(encoded.buffers[0], data.buffer);
  assertStrictEquals(encoded.buffers[1], shared.buffer);
  const back = worker.decode(encoded) as { data: Float64Array; tail: Float64Array; shared: Int32Array };
  assertStrictEquals(back.data.buffer, back.tail.buffer);
  assertStrictEquals(back.shared.buffer, shared.buffer);
  assertEquals(back.tail.length, 100);
});

test("forget starts anew", () => {
  const { caller, worker } = sides();
  const payload = caller.encodeCode(() => 1);
  worker.loadCode(payload);
  caller.forget();
  assertEquals(caller.payload(payload.hash), undefined);
});
