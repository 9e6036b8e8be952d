/** Without the inspector: explicit capture, and refusals that say what to do. */
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { capture, copy, dumps, loads } from "@pathos/pathos/serialize";
import { test } from "./harness.ts";

const trip = <T>(value: T): T => loads<T>(dumps(value), { trust: "code" });

test("capture gives an arrow function its this", () => {
  class Scale {
    factor = 3;
    scaler() {
      return capture((x: number) => x * this.factor, (source) => new Function("self", `return ${source.replace("this", "self")}`)(this));
    }
  }
  const scale = new Scale();
  assertEquals(trip(scale.scaler())(14), 42);
  const again = copy(trip(scale.scaler()));
  assertEquals(again(2), 6);
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
