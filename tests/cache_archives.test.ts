/**
 * What every kind of archive does: one table of behaviours, run over all of them. What is true of one kind alone is in
 * the test file of that kind.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertNotStrictEquals,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import {
  type ArchiveKey,
  type ArchiveOptions,
  DictArchive,
  memoize,
  NullArchive,
  type StoreArchive,
} from "@pathos/pathos/cache";
import { type Kind, KINDS, message, walk } from "./archives.ts";
import { tempDir, test, until } from "./harness.ts";

/** Keys that something could stumble over; no two are the same. */
const AWKWARD: ArchiveKey[] = [
  ..."a A aa b. .b . .. ... / // a/b a\\b ~ ~a %41 %2f %% = == =1 =x 0 -0 1 NaN null CON con nul.txt aux. com1 LPT9"
    .split(" "),
  ...["", " ", "a ", " a", "\0", "a\0b", "\n", "\r\n", "\t", "\x7f", "'", '"', "`", "*?<>|:;&$", "--", "-rf"],
  ...["é", "e\u0301", "É", "ß", "SS", "日本語", "😀", "\ud800", "\udc00\ud800", "\ufeff", "\u202e", "İ", "i̇"],
  ...[
    "x".repeat(199),
    "x".repeat(200),
    "x".repeat(201),
    "X".repeat(201),
    "é".repeat(300),
    "y".repeat(100_000),
  ],
  ...[
    0,
    1,
    -1,
    1.5,
    1e300,
    5e-324,
    NaN,
    Infinity,
    -Infinity,
    0n,
    1n,
    -(2n ** 100n),
    true,
    false,
    null,
    undefined,
  ],
  ...[
    new Date(0),
    new Date(NaN),
    new Date(-1),
    new Uint8Array(),
    new Uint8Array([0, 255]),
    new Uint8Array(300),
  ],
  ...[[], [[]], ["a"], ["a", "b"], ["a,b"], [["a"], "b"], [1], ["1"], [null], [undefined], {}, { a: 1 }, {
    a: "1",
  }],
  ...[{ a: undefined }, { a: { b: [1n] } }, { "": 0 }, { constructor: 1 }, JSON.parse('{"__proto__":1}'), [
    NaN,
    0,
  ]],
];

/** Values of every sort of data. */
function values(): unknown[] {
  const cycle: Record<string, unknown> = { name: "cycle" };
  cycle.self = cycle;
  return [
    undefined,
    null,
    true,
    false,
    0,
    -0,
    NaN,
    Infinity,
    1.5,
    10n,
    "",
    "text",
    "\0é😀",
    "\ud800",
    "x".repeat(5000),
    new Uint8Array(),
    new Uint8Array([1, 2, 3]),
    new Uint8Array(300_000).fill(7),
    new Float64Array([1, NaN, -0]),
    [],
    [1, [2, [3]]],
    [undefined],
    {},
    { a: 1, b: { c: "d" } },
    new Map<unknown, unknown>([[{ a: 1 }, new Set([1])]]),
    new Date(5),
    /x/g,
    new URL("https://example.org/"),
    cycle,
    Object.create(null),
  ]; // deno-fmt-ignore
}

for (const [name, kind] of Object.entries(KINDS)) {
  /** Runs a test with an archive of this kind, in a folder of its own. */
  const each = (
    behaviour: string,
    body: (place: { path: string; open: Kind["open"]; folder: string }) => void | Promise<void>,
  ): void =>
    test(`${name}: ${behaviour}`, async () => {
      using folder = tempDir();
      const opened: StoreArchive[] = [];
      const path = join(folder.path, "archive");
      const open = <V>(path: string, options?: ArchiveOptions) => {
        const archive = kind.open<V>(path, options);
        opened.push(archive as StoreArchive);
        return archive;
      };
      try {
        await body({ path, open, folder: folder.path });
      } finally {
        for (const archive of opened) archive.close();
      }
    });

  each("is used as a Map is", ({ path, open }) => {
    const archive = open<number>(path);
    assertEquals([archive.size, archive.get("a"), archive.has("a"), archive.delete("a")], [
      0,
      undefined,
      false,
      false,
    ]);
    assertStrictEquals(archive.set("a", 1).set("b", 2), archive);
    archive.set("a", 3);
    assertEquals([archive.size, archive.get("a"), archive.has("a"), archive.has("c")], [2, 3, true, false]);
    assertEquals([...archive.keys()].sort(), ["a", "b"]);
    assertEquals([...archive.values()].sort(), [2, 3]);
    assertEquals(new Map(archive), new Map([["a", 3], ["b", 2]]));
    assertEquals(new Map(archive.entries()), new Map(archive));
    const seen: unknown[] = [];
    archive.forEach((value, key, of) => seen.push([key, value, of === archive]));
    assertEquals(seen.length, 2);
    assertEquals(seen.every((row) => (row as unknown[])[2]), true);
    assertEquals([archive.delete("a"), archive.delete("a"), archive.size], [true, false, 1]);
    archive.clear();
    assertEquals([archive.size, [...archive], archive.get("b")], [0, [], undefined]);
    assertEquals(archive.name, path);
  });

  each("keeps data of every sort, undefined included", ({ path, open }) => {
    const archive = open(path, { serialized: true });
    for (const [i, value] of values().entries()) {
      archive.set(i, value);
      assertEquals(archive.get(i), value);
      assertEquals(archive.has(i), true);
    }
    assertEquals(new Map(archive).size, values().length);
    assertEquals(archive.read(0), { value: undefined, info: archive.entry(0)! });
    assertEquals(archive.get("absent"), undefined);
    assertEquals(archive.has("absent"), false);
  });

  each("gives bytes in a buffer that is the caller's alone", ({ path, open }) => {
    const archive = open<Uint8Array>(path, { serialized: true });
    archive.set("a", new Uint8Array([1, 2, 3]));
    const first = archive.get("a")!;
    assertEquals(first.buffer.byteLength, 3);
    first[0] = 9;
    assertEquals(archive.get("a"), new Uint8Array([1, 2, 3]));
  });

  each(
    "keeps a thousand keys apart that something could stumble over, and gives them back",
    ({ path, open }) => {
      const keys = [...AWKWARD];
      for (let n = 0; keys.length < 1000; n++) {
        const text = String.fromCodePoint(...[n * 7 + 1, n * 131 + 1, n].map((c) => c % 0xd800));
        keys.push(n % 3 ? text + n : [text, n]);
      }
      open<number>(path).update(keys.map((key, i) => [key, i]));
      const archive = kind.inMemory
        ? open<number>(path).update(keys.map((key, i) => [key, i]))
        : open<number>(path);
      assertEquals(archive.size, 1000);
      for (const [i, key] of keys.entries()) assertEquals(archive.get(key), i, `the value of key ${i}`);
      const found = [...archive].sort(([, a], [, b]) => a - b);
      for (const [i, [key]] of found.entries()) {
        if (key instanceof Date) assertEquals(key.getTime(), (keys[i] as Date).getTime()); // one is invalid
        else assertEquals(key, keys[i]);
      }
      for (const key of AWKWARD) assertEquals(archive.delete(key), true);
      assertEquals(archive.size, 1000 - AWKWARD.length);
    },
  );

  each("takes equal keys for one, and refuses what is no key", ({ path, open }) => {
    const archive = open<number>(path);
    archive.set([-0, { b: 1, a: [2] }], 1).set([0, { a: [2], b: 1 }], 2).set(new Date(3), 3).set(NaN, 4);
    assertEquals(archive.size, 3);
    assertEquals(archive.get([0, { b: 1, a: [2] }]), 2);
    assertEquals(archive.get(new Date(3)), 3);
    const cycle: unknown[] = [];
    cycle.push(cycle);
    for (
      const key of [
        () => 1,
        Symbol("s"),
        new Map(),
        /x/,
        cycle,
        { [Symbol.iterator]: 1 },
        new Float64Array(1),
      ]
    ) {
      const said = assertThrows(() => archive.set(key as ArchiveKey, 1), TypeError).message;
      assertStringIncludes(said, "keymap");
    }
    assertEquals(archive.size, 3);
  });

  each("forgets entries whose time has come", async ({ path, open }) => {
    const archive = open<number>(path, { ttl: 60_000 });
    archive.set("a", 1).set("b", 2, { ttl: 15 }).set("c", 3, { ttl: Infinity }).set("d", 4, { ttl: 0 });
    const { stored, expires, grace, tags } = archive.entry("a")!;
    assertEquals([expires - stored, grace, tags], [60_000, 0, []]);
    assert(Math.abs(Date.now() - stored) < 5_000);
    assertEquals([archive.get("d"), archive.has("d"), archive.entry("d")], [undefined, false, undefined]);
    await until(() => archive.get("b") === undefined);
    assertEquals([archive.has("b"), archive.size, archive.read("b")], [false, 2, undefined]);
    assertEquals(new Map(archive), new Map([["a", 1], ["c", 3]]));
    assertEquals(archive.entry("c")!.expires, Infinity);
    assertEquals(archive.delete("b"), false);
    archive.set("e", 5, { ttl: 0 });
    assertEquals(archive.purge(), 2);
    assertEquals(archive.purge(), 0);
    archive.set("d", 6);
    assertEquals(archive.get("d"), 6);
  });

  each("gives an expired entry within its grace to who asks for it", ({ path, open }) => {
    const archive = open<number>(path);
    archive.set("a", 1, { ttl: 0, grace: 60_000 }).set("b", 2, { ttl: 0, grace: Infinity });
    assertEquals([archive.get("a"), archive.has("a"), archive.size, [...archive]], [undefined, false, 0, []]);
    assertEquals(archive.read("a")?.value, 1);
    assertEquals(archive.entry("a")?.grace, 60_000);
    assertEquals(archive.read("b")?.info.grace, Infinity);
    assertEquals(archive.purge(), 0);
    assertEquals(archive.read("a")?.value, 1);
  });

  each("removes entries by tag", ({ path, open }) => {
    const archive = open<number>(path);
    archive.set("a", 1, { tags: ["x", "y", "x"] }).set("b", 2, { tags: ["y"] }).set("c", 3, {
      tags: ["é\0'"],
    }).set("d", 4);
    assertEquals(archive.entry("a")?.tags, ["x", "y"]);
    assertEquals(archive.invalidate("x"), 1);
    assertEquals([...archive.keys()].sort(), ["b", "c", "d"]);
    assertEquals([archive.invalidate("z"), archive.invalidate("é\0'"), archive.invalidate("y")], [0, 1, 1]);
    assertEquals([...archive], [["d", 4]]);
    archive.set("d", 5, { tags: ["t"] }).set("d", 6);
    assertEquals(archive.invalidate("t"), 0);
  });

  each("pops several entries, or none if one is absent", ({ path, open }) => {
    const archive = open<number>(path).update([["a", 1], ["b", 2], ["c", 3]]);
    const said = assertThrows(() => archive.popkeys(["a", "x"]), RangeError).message;
    assertStringIncludes(said, '"x"');
    assertEquals(archive.size, 3);
    assertEquals(archive.popkeys(["c", "a"]), [3, 1]);
    assertEquals(archive.popkeys(["a", "b", "b"], 0), [0, 2, 0]);
    assertEquals(archive.popkeys(["a"], undefined), [undefined] as unknown[]);
    assertEquals(archive.size, 0);
  });

  each("updates all or nothing when a value cannot be written", ({ path, open }) => {
    const archive = open(path, { serialized: true });
    archive.set("a", 1);
    assertThrows(() => archive.update([["a", 2], ["b", 3], ["c", Promise.resolve()]]), TypeError);
    assertEquals([...archive], [["a", 1]]);
  });

  if (!kind.oneByOne) {
    each("takes back the writes of a transaction that fails", ({ path, open }) => {
      const archive = open<number>(path).update([["a", 1], ["b", 2]]);
      assertThrows(
        () =>
          archive.transaction(() => {
            archive.set("a", 9).delete("b");
            archive.set("c", 3);
            assertEquals(new Map(archive), new Map([["a", 9], ["c", 3]]));
            throw new Error("no");
          }),
        Error,
        "no",
      );
      assertEquals(new Map(archive), new Map([["a", 1], ["b", 2]]));
      assertEquals(archive.transaction(() => archive.set("c", 3).size), 3);
      archive.transaction(() => {
        archive.set("d", 4);
        assertThrows(() =>
          archive.transaction(() => {
            archive.clear();
            throw new Error("inner");
          })
        );
      });
      assertEquals(archive.size, 4);
      const said = assertThrows(() =>
        archive.transaction(async () => void await archive.set("e", 5)), TypeError).message;
      assertStringIncludes(said, "synchronous");
      assertEquals(archive.has("e"), false);
    });
  }

  each("is copied with expiry and tags, in memory or to another place", ({ path, open, folder }) => {
    const archive = open<unknown>(path, { serialized: true });
    archive.set("a", new Map([[1, 2]]), { tags: ["t"] }).set(["b"], 2, { ttl: 60_000, grace: 5 }).set(
      "old",
      3,
      { ttl: 0 },
    );
    const other = kind.open(join(folder, "other"));
    other.set("was there", 1);
    other.close();
    for (const copy of [archive.copy(), archive.copy(join(folder, "other"))]) {
      assertEquals(new Map(copy), new Map<ArchiveKey, unknown>([["a", new Map([[1, 2]])], [["b"], 2]]));
      const { size: _, ...info } = archive.entry(["b"])!;
      assertEquals({ ...copy.entry(["b"]), size: 0 }, { ...info, size: 0 });
      assertEquals(copy.entry("a")?.tags, ["t"]);
      copy.set("a", 1);
      assertEquals(archive.get("a"), new Map([[1, 2]]));
      copy.close();
    }
    assertInstanceOf(archive.copy(), DictArchive);
    const again = archive.copy(join(folder, "third"));
    assertStrictEquals(again.constructor, archive.constructor);
    again.drop();
    assertThrows(() => archive.copy(path), RangeError);
    assertEquals(archive.size, 2);
  });

  each("is iterated while it changes", ({ path, open }) => {
    const archive = open<number>(path).update(Array.from({ length: 20 }, (_, i) => [i, i]));
    const seen: ArchiveKey[] = [];
    for (const [key] of archive) {
      seen.push(key);
      archive.delete((key as number) + 1);
      archive.delete((key as number) - 1);
    }
    assert(seen.length >= 7 && seen.length <= 20, `${seen}`);
    assertEquals(archive.size > 0, true);
    for (const value of archive.values()) if (archive.size < 100) archive.set(`more ${value}`, 1);
    archive.clear();
    for (const _ of archive) assert(false);
  });

  each("shows with cached what was read and written, and its own changes", ({ path, open }) => {
    const archive = open<{ n: number }>(path, { cached: true, serialized: true });
    const value = { n: 1 };
    archive.set("a", value, { tags: ["t"] }).set("b", value).set("c", value, { ttl: 0, grace: 9e9 });
    assertStrictEquals(archive.get("a"), value);
    assertEquals(archive.get("c"), undefined);
    assertStrictEquals(archive.read("c")?.value, value);
    assertEquals(archive.entry("a")?.tags, ["t"]);
    assertEquals([archive.size, [...archive.keys()].sort()], [2, ["a", "b"]]);
    archive.invalidate("t");
    assertEquals([archive.get("a"), archive.delete("b"), archive.get("b")], [undefined, true, undefined]);
    archive.set("a", value);
    assertEquals([archive.popkeys(["a"]), archive.get("a")], [[value], undefined]);
    archive.set("a", value).clear();
    assertEquals(archive.get("a"), undefined);
    if (kind.inMemory) return;
    archive.set("a", { n: 1 });
    const other = open<{ n: number }>(path);
    other.set("a", { n: 2 });
    assertEquals(archive.get("a"), { n: 1 });
    if (!kind.oneByOne) {
      assertThrows(() =>
        archive.transaction(() => {
          archive.set("a", { n: 3 });
          throw new Error("no");
        })
      );
      assertEquals(archive.get("a"), { n: 2 });
    }
  });

  each("reads what was written with another compression or protocol", ({ path, open }) => {
    const text = "all work and no play ".repeat(1000);
    const value = { text, list: [1, null] };
    for (
      const written of [
        { compression: 9 },
        { compression: 1, protocol: "json" },
        { protocol: "json" },
        {},
      ] as const
    ) {
      const archive = open(path, { serialized: true, ...written });
      archive.set("a", value).set("b", text).set("c", undefined).set(
        "d",
        new TextEncoder().encode(text).length,
      );
      assertEquals(archive.get("a"), value);
      const { size } = archive.entry("a")!;
      assertEquals(size < text.length / 10, (written as ArchiveOptions).compression !== undefined, `${size}`);
      if (kind.inMemory) continue;
      const other = open(path);
      assertEquals([other.get("a"), other.get("b"), other.get("c"), other.has("c")], [
        value,
        text,
        undefined,
        true,
      ]);
      if (name !== "FileArchive" && name !== "DirArchive") archive.close();
    }
  });

  each("runs no code that it reads, unless it is told to", ({ path, open }) => {
    const writer = open<(x: number) => number>(path, { serialized: true, trust: "code" });
    writer.set("f", (x) => x + 1);
    assertEquals(writer.get("f")!(1), 2);
    if (kind.inMemory) return;
    const refused = assertThrows(() => open(path).set("g", [() => 1]), Error);
    assertEquals(refused.name, "UnserializableError");
    assertStringIncludes(refused.message, 'trust: "code"');
    const error = assertThrows(() => open(path).get("f"), Error);
    assertEquals(error.name, "UntrustedCodeError");
    assertStringIncludes(error.message, path);
    assertStringIncludes(error.message, '"f"');
    assertStringIncludes(error.message, 'trust: "code"');
  });

  each("accepts with a key only what is signed with it, in its own place", ({ path, open }) => {
    const signed = open(path, { key: "k".repeat(16) });
    signed.set("f", (x: number) => x * 2).set("text", "text").set("bytes", new Uint8Array([1]));
    assertEquals((signed.get("f") as (x: number) => number)(2), 4);
    assertEquals([signed.get("text"), signed.get("bytes")], ["text", new Uint8Array([1])]);
    if (kind.inMemory) return;
    const rename = (options: ArchiveOptions) =>
      assertThrows(() => open(path, options).get("text"), Error).name;
    assertEquals(rename({ key: "another key of some length" }), "UntrustedCodeError");
    for (
      const [options, value] of [[{}, "plain"], [{}, { a: 1 }], [{ protocol: "json" }, 1], [
        {},
        new Uint8Array(1),
      ]] as const
    ) {
      const plain = open(path, options);
      plain.set("text", value);
      plain.close();
      const error = assertThrows(() => signed.get("text"), Error);
      assertEquals(error.name, "UntrustedCodeError");
      assertStringIncludes(error.message, '"text"');
    }
  });

  each("says which entry a value could not be written under", ({ path, open }) => {
    const archive = open(path, { serialized: true });
    const said = message(() => archive.set("the key", { deep: [new WeakMap()] }));
    assertStringIncludes(said, '"the key"');
    assertStringIncludes(said, path);
    assertStringIncludes(said, "$.deep[0]");
    assertEquals(archive.has("the key"), false);
    const json = open(`${path}-json`, { protocol: "json" });
    assertStringIncludes(message(() => json.set("k", { n: 1n })), '"k"');
    assertStringIncludes(message(() => json.set("k", () => 1)), "JSON");
    json.drop();
  });

  each("refuses options that are wrong or contradict one another", ({ path, open }) => {
    for (const ttl of [NaN, -1, "1" as unknown as number]) {
      assertThrows(() => open(path, { ttl }), RangeError, "ttl");
      const archive = open(path);
      assertThrows(() => archive.set("a", 1, { ttl }), RangeError, "ttl");
      assertThrows(() => archive.set("a", 1, { grace: ttl }), RangeError, "grace");
      assertEquals(archive.has("a"), false);
    }
    const archive = open(path);
    for (const tags of ["tag", [1], [["a"]], ["\ud800"]]) {
      assertThrows(() => archive.set("a", 1, { tags: tags as string[] }), TypeError, "tags");
    }
    assertThrows(() => open(path, { compression: 10 }), RangeError, "compression");
    assertThrows(() => open(path, { protocol: "xml" as "json" }), TypeError, "protocol");
    assertThrows(() => open(path, { protocol: "json", key: "secret" }), TypeError, "signature");
  });

  each("can be used no more once it is closed", ({ path, open }) => {
    const archive = open(path);
    archive.set("a", 1);
    archive.close();
    archive.close();
    for (
      const use of [() => archive.get("a"), () => archive.set("a", 1), () => archive.size, () => [...archive]]
    ) {
      assertStringIncludes(message(use), "was closed");
    }
    assertEquals(archive.name, path);
  });

  if (kind.inMemory) continue;

  each("is there again when it is opened again", ({ path, open }) => {
    const archive = open(path);
    archive.set("a", { n: 1 }, { tags: ["t"], ttl: 60_000, grace: 7 });
    const info = archive.entry("a");
    archive.close();
    assertEquals(open(path).read("a"), { value: { n: 1 }, info: info! });
  });

  each("shows at once what another has changed", ({ path, open }) => {
    const [one, two] = [open<number>(path), open<number>(path)];
    for (let i = 0; i < 50; i++) {
      one.set("a", i);
      assertEquals(two.get("a"), i);
      two.set("b", i);
      assertEquals(one.get("b"), i);
    }
    one.delete("a");
    assertEquals([two.has("a"), two.size], [false, 1]);
    two.clear();
    assertEquals(one.size, 0);
  });

  each("keeps texts, numbers and bytes as they are where it is asked to", ({ path, open }) => {
    const archive = open(path, { serialized: false });
    const all = [
      "text\nlines\0é",
      "",
      1.5,
      -0,
      NaN,
      Infinity,
      new Uint8Array([0, 10, 255]),
      new Uint8Array(),
    ];
    for (const [i, value] of all.entries()) {
      archive.set(i, value);
      assertEquals(archive.get(i), value);
    }
    assertEquals(archive.entry(4)!.size > 0, true);
    for (const value of [undefined, null, true, {}, ["a"]]) {
      assertStringIncludes(message(() => archive.set("k", value)), "serialized");
    }
    assertEquals(archive.has("k"), false);
  });

  each("gives new files the mode that is asked for", ({ path, open, folder }) => {
    const archive = open(path, { permissions: 0o600 });
    archive.set("a", 1);
    const wrong = [...walk(folder)].filter(([path, isFolder]) =>
      (statSync(path).mode & 0o777) !== (isFolder ? 0o700 : 0o600)
    );
    assertEquals(wrong, []);
  });

  each("leaves nothing of itself when it is dropped", ({ path, open, folder }) => {
    const archive = open(path);
    archive.set("a", 1).set("b", 2);
    assertEquals(memoize((n: number) => n + 1, { archive, name: "one more" })(1), 2);
    assertEquals(archive.size, 3);
    archive.drop();
    assertEquals(readdirSync(folder), []);
    assertStringIncludes(message(() => archive.get("a")), "was closed");
    assertEquals(open(path).size, 0);
  });
}

test("DictArchive keeps the very values that were set", () => {
  const archive = new DictArchive<string, unknown>();
  const value = { socket: new WeakMap(), f: () => 1 };
  assertStrictEquals(archive.set("a", value).get("a"), value);
  assertStrictEquals(archive.copy().get("a"), value);
  assertNotStrictEquals(new DictArchive("d", { serialized: true }).set("a", [1]).get("a"), value);
});

test("NullArchive takes everything and keeps nothing", () => {
  const archive = new NullArchive("nothing", { cached: true });
  archive.set("a", 1).update([["b", 2]]);
  assertEquals([archive.size, archive.get("a"), archive.has("b"), [...archive]], [0, undefined, false, []]);
  assertEquals(archive.popkeys(["a"], 5), [5]);
  assertEquals(archive.transaction(() => archive.set("c", 1).size), 0);
  archive.drop();
});
