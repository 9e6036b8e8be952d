/** Without the inspector: explicit capture, and refusals that say what to do. */
import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { capture, copy, dumps, loads, UnserializableError } from "@pathos/pathos/serialize";
import { runScript, test } from "./harness.ts";

const trip = <T>(value: T): T => loads<T>(dumps(value), { trust: "code" });

// Written as text, because a direct eval in this file would keep it from being bundled for Node.
const Scale = new Function(`"use strict";
  return class Scale {
    factor = 3;
    scaler(...extra) {
      return [(x) => [x * this.factor, ...arguments], (source) => eval(source)];
    }
  }`)() as new () => {
  factor: number;
  scaler(...extra: number[]): [fn: (x: number) => number[], evaluate: (source: string) => unknown];
};

test("capture gives an arrow function its this and arguments", () => {
  const scale = new Scale();
  const back = trip({ f: capture(...scale.scaler(7)), scale });
  assertEquals(back.f(14), [42, 7]);
  back.scale.factor = 1;
  assertEquals(back.f(14), [14, 7], "this is the object that travelled beside it");
  assertEquals(copy(back.f)(2), [2, 7]);
  assertThrows(() => dumps(scale.scaler()[0]), UnserializableError, "capture(");
});

test("capture returns the same function", () => {
  const f = () => 1;
  assertStrictEquals(capture(f, (source) => source), f);
});

test.deno(
  "without --allow-sys loaded functions can be dumped again, others need capture",
  "Node has no permissions by default",
  async () => {
    let n = 0;
    const bytes = dumps({ up: () => ++n, now: () => n });
    const { stdout, stderr } = await runScript(
      `
    import { capture, copy, dumps, loads } from "@pathos/pathos/serialize";
    const loaded = loads(new Uint8Array(${JSON.stringify([...bytes])}), { trust: "code" });
    const k = 5;
    const out = {
      first: loaded.up(),
      again: loads(dumps(loaded), { trust: "code" }).now(),
      plain: copy((x) => x + 1)(1),
      captured: copy(capture((x) => x * k, (source) => eval(source)))(2),
    };
    try {
      dumps(() => k);
    } catch (error) {
      out.refusal = error.message;
    }
    console.log(JSON.stringify(out));`,
      { permissions: ["--allow-read"] },
    );
    assert(stdout !== "", stderr);
    const { refusal, ...out } = JSON.parse(stdout);
    assertEquals(out, { first: 1, again: 1, plain: 2, captured: 10 });
    assert(
      refusal.includes("⟨k⟩") && refusal.includes("--allow-sys") && refusal.includes("capture("),
      refusal,
    );
  },
);
