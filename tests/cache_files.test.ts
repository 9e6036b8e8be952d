/**
 * What archives in one file and in a folder do besides what all do: their files, other people's files, damage, locks,
 * processes that are killed, and disks that are full.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { type ArchiveOptions, DirArchive, FileArchive } from "@pathos/pathos/cache";
import { KINDS, message, walk } from "./archives.ts";
import { runScript, tempDir, test, until } from "./harness.ts";

/** An archive in a folder, with two entries; `use` may open it again. */
function inFolder(
  use: (path: string, open: (options?: ArchiveOptions) => DirArchive) => void,
  options: ArchiveOptions = {},
): void {
  using folder = tempDir();
  const path = join(folder.path, "archive");
  using archive = new DirArchive(path, options);
  archive.set("a", 1).set("b", 2);
  use(path, (options) => new DirArchive(path, options));
}

test("DirArchive names files after keys, so that letters of either size stay apart on every file system", () =>
  inFolder((path, open) => {
    const archive = open();
    for (const key of ["", "A", "../x", "con", ".x", "nul.txt", "é", "x".repeat(300)]) archive.set(key, key);
    const files = readdirSync(path).filter((file) => file.endsWith(".entry"));
    assertEquals(new Set(files.map((file) => file.toLowerCase())).size, 10);
    const named = ["%", "%41", "%2e.%2fx", "%63on", "%2ex", "%6eul.txt", "%c3%a9"].map((file) =>
      `${file}.entry`
    );
    assertEquals(files.filter((file) => named.includes(file)).length, named.length, `${files}`);
    assertEquals(files.filter((file) => /^~[0-9a-f]{64}\.entry$/.test(file)).length, 1);
  }));

test("DirArchive writes what other programs read behind the first line", () =>
  inFolder((path, open) => {
    open({ serialized: false }).set("note", "two\nlines").set("n", 1.5).set("raw", new Uint8Array([0, 10]));
    open({ protocol: "json" }).set("json", { x: [1] });
    const rest = (file: string): string => readFileSync(join(path, file), "latin1").replace(/^.*\n/, "");
    const files = ["note.entry", "n.entry", "raw.entry", "json.entry"];
    assertEquals(files.map(rest), ["two\nlines", "1.5", "\0\n", '{"x":[1]}']);
    assertEquals(JSON.parse(readFileSync(join(path, "json.entry"), "utf8").split("\n")[0]).key, "json");
  }));

test("DirArchive refuses folders and files of others and leaves them as they are", () => {
  using folder = tempDir();
  writeFileSync(join(folder.path, "thesis.tex"), "years of work");
  assertStringIncludes(message(() => new DirArchive(folder.path)), "pathos-archive.json");
  assertStringIncludes(message(() => new DirArchive(join(folder.path, "thesis.tex"))), "is a file");
  assertStringIncludes(message(() => new DirArchive(join(folder.path, "thesis.tex", "x"))), "folder");
  assertEquals(readdirSync(folder.path), ["thesis.tex"]);
});

test("DirArchive neither reads nor removes files that others have put into its folder", () =>
  inFolder((path, open) => {
    for (const file of ["notes.txt", "a copy.entry", "x.entry.bak", "photo.1-2.tmp"]) {
      writeFileSync(join(path, file), readFileSync(join(path, "a.entry")));
    }
    const archive = open();
    assertEquals([archive.size, [...archive.keys()].sort()], [2, ["a", "b"]]);
    archive.clear();
    archive.drop();
    assertEquals(readdirSync(path).sort(), ["notes.txt", "photo.1-2.tmp", "x.entry.bak"].sort());
  }));

test("DirArchive tells which file is damaged, and leaves it as it is", () =>
  inFolder((path, open) => {
    const archive = open();
    const file = join(path, "a.entry");
    const whole = readFileSync(file);
    const at = whole.indexOf(10) + 1;
    const changed = Uint8Array.from(whole, (byte, i) => i === at + 2 ? byte ^ 1 : byte);
    const other = new TextEncoder().encode(whole.toString("latin1").replace('"key":"a"', '"key":"q"'));
    for (
      const bytes of [
        changed,
        other,
        whole.subarray(0, -1),
        whole.subarray(0, 20),
        new Uint8Array(),
        whole.subarray(5),
      ]
    ) {
      writeFileSync(file, bytes);
      const error = assertThrows(() => archive.get("a"), Error);
      assertEquals(error.name, "CorruptDataError");
      assertStringIncludes(error.message, file);
      assertEquals(archive.get("b"), 2);
      assertEquals(new Uint8Array(readFileSync(file)), new Uint8Array(bytes));
    }
    assertThrows(() => [...archive], Error, file);
    archive.set("a", 3);
    assertEquals(new Map(archive), new Map([["a", 3], ["b", 2]]));
  }));

test("DirArchive refuses texts of keys that this library never wrote", () =>
  inFolder((path, open) => {
    const archive = open();
    const entry = readFileSync(join(path, "a.entry"), "latin1");
    for (
      const text of [
        "=",
        "=[",
        "=[1",
        "=[1,]",
        "=x",
        '="',
        '="\\"',
        '="b"',
        "=01",
        "=[1, 2]",
        "=-0",
        "=1 ",
        "={1:2}",
        '={"a"}',
        "=date()",
        "=" + "[".repeat(1e5),
      ]
    ) {
      const name = encodeURIComponent(text).toLowerCase().replaceAll("(", "%28").replaceAll(")", "%29");
      const file = text.length < 60
        ? `${name}.entry`
        : `~${createHash("sha256").update(text).digest("hex")}.entry`;
      writeFileSync(join(path, file), entry.replace('"key":"a"', `"key":${JSON.stringify(text)}`), "latin1");
      assertStringIncludes(message(() => [...archive]), "is not the text of a key", text.slice(0, 20));
      unlinkSync(join(path, file));
    }
    assertEquals(archive.size, 2);
  }));

test("DirArchive does not take a signed value for that of another key", () =>
  inFolder((path, open) => {
    const archive = open({ key: "a key of some length" });
    archive.set("yes", true).set("no", false);
    const moved = readFileSync(join(path, "yes.entry"), "latin1").replace('"key":"yes"', '"key":"no"');
    writeFileSync(join(path, "no.entry"), moved, "latin1");
    assertEquals(assertThrows(() => archive.get("no"), Error).name, "UntrustedCodeError");
    assertEquals(archive.get("yes"), true);
  }));

test("DirArchive and FileArchive refuse what a newer version wrote", () =>
  inFolder((path, open) => {
    const entry = readFileSync(join(path, "a.entry"), "latin1");
    writeFileSync(join(path, "a.entry"), entry.replace("entry 1", "entry 2"), "latin1");
    assertStringIncludes(message(() => open().get("a")), "newer version");
    writeFileSync(join(path, "pathos-archive.json"), '{"pathos":"folder 2"}\n');
    assertStringIncludes(message(() => open()), "newer version");
    writeFileSync(`${path}.file`, '{"pathos":"file 2","entries":0}\n');
    assertStringIncludes(message(() => new FileArchive(`${path}.file`)), "newer version");
  }));

test("DirArchive removes what killed writers have left when it is purged, and not what is being written", () =>
  inFolder((path, open) => {
    for (const file of ["a.entry.77-1.tmp", "b.entry.77-2.tmp"]) writeFileSync(join(path, file), "half");
    utimesSync(join(path, "a.entry.77-1.tmp"), 1e9, 1e9);
    const archive = open();
    assertEquals([archive.size, archive.purge()], [2, 0]);
    assertEquals(readdirSync(path).filter((file) => file.endsWith(".tmp")), ["b.entry.77-2.tmp"]);
    archive.drop();
    assert(!existsSync(path));
  }));

test("FileArchive refuses files of others, folders and damaged files, and leaves them as they are", () => {
  using folder = tempDir();
  const path = join(folder.path, "archive");
  const [saved, foreign] = [`${path}.saved`, `${path}.txt`];
  using archive = new FileArchive(saved);
  archive.set("a", "x".repeat(100)).set("b", 2);
  const whole = readFileSync(saved);
  for (const bytes of ["years of work\n", "\x7fELF", '{"a":1}\n{"b":2}\n']) {
    writeFileSync(foreign, bytes);
    assertStringIncludes(message(() => new FileArchive(foreign)), foreign);
    assertEquals(readFileSync(foreign, "utf8"), bytes);
  }
  const lastEntry = whole.lastIndexOf(10, whole.length - 2); // between head and value
  for (
    const end of [whole.length - 1, lastEntry, lastEntry + 1, whole.lastIndexOf(10, lastEntry - 1) + 1, 33]
  ) {
    writeFileSync(foreign, whole.subarray(0, end));
    assertMatch(
      message(() => new FileArchive(foreign)),
      /is damaged: .*(cut short|entries of 2)/,
      `cut at ${end}`,
    );
    assertEquals(readFileSync(foreign).length, end);
  }
  assertStringIncludes(message(() => new FileArchive(folder.path)), "is a folder");
  assertStringIncludes(message(() => new FileArchive(join(folder.path, "none", "archive"))), "no folder");
  writeFileSync(foreign, "");
  using empty = new FileArchive(foreign);
  assertEquals(empty.set("a", 1).size, 1);
});

test("FileArchive is lines of JSON where the protocol is, written once for a whole transaction", () => {
  using folder = tempDir();
  const path = join(folder.path, "archive.jsonl");
  using archive = new FileArchive(path, { protocol: "json" });
  assert(!existsSync(path));
  archive.update([["a", [1]], ["b", { x: null }]]);
  const { ino } = statSync(path);
  const lines = readFileSync(path, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line));
  assertEquals(lines[0], { pathos: "file 1", entries: 2 });
  assertEquals([lines[1].key, lines[2], lines[3].key, lines[4]], ["a", [1], "b", { x: null }]);
  archive.transaction(() => archive.get("a"));
  assertEquals(archive.delete("c"), false);
  assertEquals(statSync(path).ino, ino, "nothing has changed, so nothing is written");
});

test("FileArchive keeps a file's mode, and is written where a link leads", () => {
  using folder = tempDir();
  const path = join(folder.path, "archive");
  using archive = new FileArchive(path, { permissions: 0o640 });
  archive.set("a", 1);
  symlinkSync(path, `${path}.link`);
  using linked = new FileArchive(`${path}.link`);
  linked.set("a", 2);
  assertEquals([statSync(path).mode & 0o777, archive.get("a")], [0o640, 2]);
  assertThrows(() => archive.copy(`${path}.link`), RangeError);
});

test("FileArchive says that it is locked when another holds it for too long", async () => {
  using folder = tempDir();
  const path = join(folder.path, "archive");
  using archive = new FileArchive(path, { timeout: 50 });
  using same = new FileArchive(path);
  assertStringIncludes(message(() => archive.transaction(() => same.set("a", 3))), "this very program");
  const holder = runScript(
    `import { FileArchive } from "@pathos/pathos/cache";
     import { existsSync, writeFileSync } from "node:fs";
     import process from "node:process";
     const path = process.argv[2];
     const archive = new FileArchive(path);
     archive.transaction(() => {
       archive.set("a", 1);
       writeFileSync(path + ".held", "");
       while (existsSync(path + ".held")) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
     });`,
    { args: [path] },
  );
  await until(() => existsSync(`${path}.held`), 30_000);
  assertStringIncludes(message(() => archive.set("a", 2)), "locked by another process");
  assertEquals(archive.get("a"), undefined, "readers need not wait");
  unlinkSync(`${path}.held`);
  assertEquals((await holder).stderr, "");
  assertEquals(archive.get("a"), 1);
});

/** A script that opens an archive: its class is the first argument, its path the second. */
const OPEN = `
  import { writeSync } from "node:fs";
  import process from "node:process";
  import * as cache from "@pathos/pathos/cache";
  const [kind, path, ...args] = process.argv.slice(2);
  const archive = new cache[kind](path);
`;

for (const kind of ["FileArchive", "DirArchive"] as const) {
  test(`${kind}: nothing is lost when several processes write at once`, async () => {
    using folder = tempDir();
    const path = join(folder.path, "archive");
    const code = `${OPEN}
      for (let i = 0; i < 100; i++) {
        archive.set(args[0] + i, i);
        if (archive.get(args[0] + i) !== i) throw new Error("not what was written");
      }`;
    const runs = await Promise.all(
      ["a", "b", "c"].map((who) => runScript(code, { args: [kind, path, who] })),
    );
    assertEquals(runs.map(({ code, stderr }) => [code, stderr]), Array(3).fill([0, ""]));
    using archive = KINDS[kind].open<number>(path);
    assertEquals(archive.size, 300);
    for (const [key, value] of archive) assertEquals(Number(String(key).slice(1)), value);
  });

  test(`${kind}: a kill in the middle of writing leaves the old entry or the new one`, async () => {
    using folder = tempDir();
    const path = join(folder.path, "archive");
    const code = `${OPEN}
      for (let i = 0;; i++) {
        archive.set("a", { i, text: String(i).repeat(50_000) });
        writeSync(1, i + "\\n");
      }`;
    for (let round = 0; round < 4; round++) {
      const { stdout } = await runScript(code, {
        args: [kind, path],
        onStart: async (pid) => {
          using archive = KINDS[kind].open<{ i: number }>(path);
          const from = archive.get("a")?.i;
          await until(() => (archive.get("a")?.i ?? from) !== from, 30_000);
          await new Promise((resolve) => setTimeout(resolve, 20 + 13 * round));
          process.kill(pid, "SIGKILL");
        },
      });
      using archive = KINDS[kind].open<{ i: number; text: string }>(path);
      const { i, text } = archive.get("a")!;
      const acknowledged = Number(stdout.trimEnd().split("\n").at(-1));
      assertEquals(text, String(i).repeat(50_000));
      assert(i === acknowledged || i === acknowledged + 1, `${i} after ${acknowledged}`);
      archive.set("a", { i: -1, text: "" });
    }
  });

  test.needs(["mount"], `${kind}: a full disk leaves what was there, and says so`, () => {
    using folder = tempDir();
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k", "none", folder.path]);
    try {
      const path = join(folder.path, "archive");
      using archive = KINDS[kind].open<Uint8Array | number>(path);
      archive.set("a", 1).set("b", 2);
      const said = message(() => archive.set("a", new Uint8Array(1 << 20)));
      assertStringIncludes(said, "disk is full");
      assertStringIncludes(said, path);
      assertEquals(new Map(archive), new Map([["a", 1], ["b", 2]]));
      assertEquals(archive.set("a", new Uint8Array(1000)).get("b"), 2);
      assertEquals([...walk(folder.path)].filter(([path]) => path.endsWith(".tmp")), []);
      execFileSync("mount", ["-o", "remount,ro", folder.path]);
      assertStringIncludes(message(() => archive.set("a", 2)), "read-only");
      using reader = KINDS[kind].open(path);
      assertEquals(reader.get("b"), 2);
    } finally {
      execFileSync("umount", [folder.path]);
    }
  }, { notHere: process.getuid?.() === 0 ? undefined : "only root may mount" });
}
