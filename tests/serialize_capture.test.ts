/** Without the inspector: explicit capture, and refusals that say what to do. */
import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { capture, copy, dumps, loads, UnserializableError } from "@pathos/pathos/serialize";
import { test } from "./harness.ts";

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

test.deno("in a worker without permissions", "Node's threads have no permissions", async () => {
  const root = new URL("..", import.meta.url).href;
  const code = `
    import { capture, copy, dumps, loads } from ${JSON.stringify(root + "serialize/mod.ts")};
    onmessage = ({ data }) => {
      const out = {};
      try {
        const loaded = loads(data, { trust: "code" });
        out.first = loaded.up();
        out.again = loads(dumps(loaded), { trust: "code" }).now();
        out.plain = copy((x) => x + 1)(1);
        const k = 5;
        out.captured = copy(capture((x) => x * k, (source) => eval(source)))(2);
        try { dumps(() => k); } catch (error) { out.refusal = error.message; }
      } catch (error) { out.error = String(error.stack); }
      postMessage(out);
    };`;
  const worker = new Worker(`data:text/javascript,${encodeURIComponent(code)}`, {
    type: "module",
    // @ts-ignore: an unstable option
    deno: { permissions: { read: true, import: true } },
  });
  try {
    let n = 0;
    const out = await new Promise<Record<string, unknown>>((resolve, reject) => {
      worker.onmessage = (e) => resolve(e.data);
      worker.onerror = (e) => {
        e.preventDefault();
        reject(new Error(e.message));
      };
      worker.postMessage(dumps({ up: () => ++n, now: () => n }));
    });
    assertEquals(out.error, undefined);
    assertEquals([out.first, out.again, out.plain, out.captured], [1, 1, 2, 10]);
    assert(String(out.refusal).includes("--allow-sys") && String(out.refusal).includes("capture("));
  } finally {
    worker.terminate();
  }
});
