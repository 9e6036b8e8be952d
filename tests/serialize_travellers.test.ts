/** Values that travel by their parts, with a script for readers that do not know them. */
import { loads, UntrustedCodeError } from "@pathos/pathos/serialize";
import { assertEquals, assertNotEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { encodeGraph } from "../serialize/encode.ts";
import { dumps } from "../serialize/dumps.ts";
import { type Traveller, travels } from "../serialize/travellers.ts";
import { test } from "./harness.ts";

interface Counter {
  next(): number;
  again?: Counter;
  step: (n: number) => number;
}

const script = {
  text: `((host) => host["travellers.ts"].defineTraveller({
    name: "test/counter",
    make: (hint) => ({ made: hint }),
    finish(counter, { step, again }) {
      let n = 0;
      Object.assign(counter, { step, again, next: () => n = step(n), files: Object.keys(host) });
    },
  })) // ${"long ".repeat(2_000)}`,
};
const counter: Traveller<Counter, unknown> = {
  name: "test/counter",
  hint: () => "here",
  parts: ({ step, again }) => ({ step, again }),
  essence: ({ step }) => step,
  make: () => {
    throw new Error("only the script makes these");
  },
  script,
};

function newCounter(by: number): Counter {
  let n = 0;
  const made: Counter = Object.assign(Object.create(null), {
    step: (x: number) => x + by,
    next: () => n = made.step(n),
  });
  return travels(made, counter);
}

test("a traveller is rebuilt from its parts by the script that came along, cycles and identity kept", () => {
  const one = newCounter(5);
  one.again = one;
  const [a, b, f] = loads<[Counter & { made: string }, Counter, () => Counter]>(
    dumps([one, one, () => one]),
    { trust: "code" },
  );
  assertStrictEquals(a, b);
  assertStrictEquals(a.again, a);
  assertStrictEquals(f(), a);
  assertEquals([a.made, a.next(), a.next()], ["here", 5, 10]);
});

test("a traveller is code: data alone does not make one", () => {
  assertThrows(() => loads(dumps(newCounter(1))), UntrustedCodeError);
});

test("the script of travellers is written once", () => {
  const grows = (n: number) => dumps(Array.from({ length: n }, () => newCounter(1))).length;
  assertEquals(grows(9) - grows(1) < script.text.length, true);
});

test("the essence of travellers is the same whatever their state, and differs with what they do", () => {
  const essence = (value: unknown) => encodeGraph(value, { essence: true }).body;
  const used = newCounter(2);
  used.next();
  assertEquals(essence({ c: used }), essence({ c: newCounter(2) }));
  assertNotEquals(essence({ c: used }), essence({ c: newCounter(3) }));
});
