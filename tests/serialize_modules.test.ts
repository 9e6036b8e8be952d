/** Imports that a function uses: by reference where the receiver finds them, by value elsewhere. */
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { createHash } from "node:crypto";
import * as nodePath from "node:path";
import { readFileSync } from "node:fs";
import { dumps, importsOf, loads } from "@pathos/pathos/serialize";
import half, * as shapes from "./fixtures/shapes.ts";
import { scaled, settings, Square, unit } from "./fixtures/shapes.ts";
import { test } from "./harness.ts";

const trip = <T>(value: T): T => loads<T>(dumps(value), { trust: "code" });

test("imports from built-in modules go by reference and stay identical", () => {
  const f = () => [createHash, nodePath.posix.join, readFileSync];
  const bytes = dumps(f);
  const specifiers = importsOf(bytes).map((ref) => ref.specifier);
  assert(
    specifiers.includes("node:crypto") && specifiers.includes("node:path") && specifiers.includes("node:fs"),
    String(specifiers),
  );
  const [hash, join, read] = loads<typeof f>(bytes, { trust: "code" })();
  assertStrictEquals(hash, createHash);
  assertStrictEquals(join, nodePath.posix.join);
  assertStrictEquals(read, readFileSync);
});

test("imports from files go by value: functions, classes, constants, namespaces", () => {
  const f = (x: number) => [scaled(x), half(x), unit, settings.scale, new Square(x).area(), shapes.scaled(1)];
  const bytes = dumps(f);
  assertEquals(importsOf(bytes), []);
  assertEquals(loads<typeof f>(bytes, { trust: "code" })(4), f(4));
  assertEquals(trip(new Square(3)).area(), 9);
});

test("import() and import.meta in shipped code work as they did where it was written", async () => {
  const builtin = trip(async () => (await import("node:path")).posix.join("a", "b"));
  assertEquals(await builtin(), "a/b");
  const meta = trip(() => [import.meta.url, import.meta.resolve("./x.ts")]);
  assertEquals(meta(), [import.meta.url, new URL("./x.ts", import.meta.url).href]);
});

test.deno(
  "a relative import() resolves against the module where it was written",
  "the Node tests are one bundle",
  async () => {
    const f = trip(async () => (await import("./fixtures/shapes.ts")).scaled(1));
    assertEquals(await f(), 6);
  },
);

test.deno("byref says which files the receiver can import", "the Node tests are one bundle", () => {
  const f = (x: number) => [scaled(x), new Square(x).area(), settings.scale];
  const bytes = dumps(f, { byref: () => true });
  assertEquals(importsOf(bytes).map((ref) => ref.name).sort(), ["Square", "scaled"]);
  const back = loads<typeof f>(bytes, { trust: "code" });
  const before = shapes.calls;
  assertEquals(back(2), [12, 4, 3]);
  assertEquals(shapes.calls, before + 1, "the loaded function calls this program's own module");
  assertEquals(loads<() => unknown>(dumps(() => Square, { byref: () => true }), { trust: "code" })(), Square);
});
