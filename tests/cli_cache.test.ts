/**
 * `pathos cache`, run as a process on archives of every kind that this process has written.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import {
  DirArchive,
  FileArchive,
  HdfArchive,
  HdfDirArchive,
  lru,
  SqlArchive,
  SqlTableArchive,
  type StoreArchive,
} from "@pathos/pathos/cache";
import { runtime, tempDir, test } from "./harness.ts";

const COMMAND = runtime === "node"
  ? [process.execPath, join(process.cwd(), "node_modules/@pathos/pathos/cli.js")]
  : [process.execPath, "run", "-A", "--quiet", fileURLToPath(new URL("../cli.ts", import.meta.url))];

interface Run {
  status: number | null;
  stdout: string;
  stderr: string;
  bytes: Uint8Array;
}

/** Runs `pathos cache` in a folder; the archives in it should be closed. */
function cache(folder: string, args: string[], input = ""): Run {
  const [program, ...rest] = [...COMMAND, "cache", ...args];
  const { status, stdout, stderr } = spawnSync(program, rest, {
    cwd: folder,
    input,
    env: { ...process.env, NO_COLOR: "1" },
    timeout: 30_000,
  });
  return { status, stdout: stdout.toString(), stderr: stderr.toString(), bytes: new Uint8Array(stdout) };
}

/** Runs it and expects that all is well. */
function ok(folder: string, args: string[], input?: string): Run {
  const run = cache(folder, args, input);
  assertEquals([run.status, args], [0, args], run.stderr);
  return run;
}

/** What there is of every kind, by the name of its file, with the same four entries. */
const KINDS: Record<string, (path: string) => StoreArchive> = {
  "c.sqlite": (path) => new SqlArchive(path),
  "file": (path) => new FileArchive(path),
  "folder": (path) => new DirArchive(path),
};

function fill(archive: StoreArchive): void {
  archive.set("text", "two\nlines").set(["a", 1], { x: [1, null] }, { tags: ["t", "u"], ttl: 3_600_000 });
  archive.set("old", 1, { ttl: 0 }).set("raw", new Uint8Array([0, 255]), { tags: ["t"] });
  archive.close();
}

for (const [file, make] of Object.entries(KINDS)) {
  test(`pathos cache lists, shows, removes and moves the entries of an archive: ${file}`, () => {
    using folder = tempDir();
    fill(make(join(folder.path, file)));
    const lines = ok(folder.path, ["ls", "--json", file]).stdout.trimEnd().split("\n").map((line) =>
      JSON.parse(line)
    );
    assertEquals(lines.map(({ key }) => key).sort(), ['=["a",1]', "old", "raw", "text"]);
    const { size, stored, expires, grace, tags } = lines.find(({ key }) => key === '=["a",1]');
    assertEquals([size > 5, Date.now() - stored < 30_000, expires - stored, grace, tags], [
      true,
      true,
      3_600_000,
      0,
      [
        "t",
        "u",
      ],
    ]);
    assertEquals(ok(folder.path, ["get", file, '=["a", 1]']).stdout, '{"x":[1,null]}\n');
    assertEquals(ok(folder.path, ["get", file, "raw"]).bytes, new Uint8Array([0, 255]));
    const exported = ok(folder.path, ["export", file]).stdout;
    assertEquals(cache(folder.path, ["rm", file, "text", "none"]).status, 1);
    assertEquals(
      ok(folder.path, ["rm", file, "--tag", "u", "--expired"]).stderr,
      "pathos cache: 2 removed\n",
    );
    const [{ entries, expired }] = JSON.parse(ok(folder.path, ["stat", "--json", file]).stdout).caches;
    assertEquals([entries, expired], [1, 0]);
    assertEquals(cache(folder.path, ["clear", file]).status, 2);
    ok(folder.path, ["clear", file, "--yes"]);
    assertStringIncludes(ok(folder.path, ["vacuum", file]).stderr, "0 expired");
    ok(folder.path, ["import", file], exported);
    assertEquals(ok(folder.path, ["export", file]).stdout, exported);
    using again = make(join(folder.path, file));
    assertEquals([again.get("text"), again.get(["a", 1])], ["two\nlines", { x: [1, null] }]);
  });
}

test("pathos cache reads HDF5 archives, numbers as they are kept", () => {
  using folder = tempDir();
  const inFile = new HdfArchive(join(folder.path, "h.h5"), { serialized: false });
  inFile.set("a", new Float64Array([1, 2.5])).close();
  const inFolder = new HdfDirArchive(join(folder.path, "hdf"));
  inFolder.set("a", { x: 1 }).close();
  assertEquals(ok(folder.path, ["get", "h.h5", "a"]).stdout, "[1,2.5]\n");
  assertEquals(ok(folder.path, ["get", "hdf", "a"]).stdout, '{"x":1}\n');
  const exported = ok(folder.path, ["export", "h.h5"]).stdout;
  assertStringIncludes(exported, '"array":"Float64Array"');
});

test("pathos cache ls is a table for people, whatever the keys hold", () => {
  using folder = tempDir();
  const archive = new DirArchive(join(folder.path, "d"));
  archive.set("=\u202e", 1).set("\x1b[31m", "x".repeat(5000), { ttl: 90_500 }).set("plain", 1, {
    tags: ["a\tb"],
    ttl: 0,
  });
  archive.set(["\u202e", 1], 1).close();
  const rows = ok(folder.path, ["ls", "d"]).stdout.trimEnd().split("\n");
  assertMatch(rows[0], /^KEY +SIZE +AGE +LEFT +TAGS$/);
  assertEquals(rows.length, 5);
  assertMatch(rows.find((row) => row.startsWith("plain"))!, /^plain +\d+ B +\ds +expired +a\\u0009b$/);
  assertMatch(rows.find((row) => row.includes("[31m"))!, /^="\\u001b\[31m" +5\.0 kB +\ds +1m$/);
  for (const row of rows.slice(1)) {
    const key = row.split("  ")[0];
    assert(!/[\p{C}]/u.test(row), row);
    assertEquals(cache(folder.path, ["get", "d", key]).status, key === "plain" ? 1 : 0, key);
  }
});

test("pathos cache knows the caches of a file by their names", () => {
  using folder = tempDir();
  const path = join(folder.path, "c.sqlite");
  for (const name of ["models", "notes"]) {
    new SqlArchive(path, { name, policy: lru(50) }).set(name, 1).close();
  }
  const table = ok(folder.path, ["stat", "c.sqlite"]).stdout;
  assertMatch(table, /c\.sqlite: sqlite, [\d.]+ kB[^]*models +1 +0 .*lru, 50 entries\nnotes/);
  assertMatch(
    ok(folder.path, ["ls", "c.sqlite"]).stdout,
    /^CACHE +KEY[^]*\nmodels +models[^]*\nnotes +notes/,
  );
  assertStringIncludes(
    cache(folder.path, ["get", "c.sqlite", "notes"]).stderr,
    "several caches (models, notes)",
  );
  assertEquals(ok(folder.path, ["get", "c.sqlite", "notes", "--name", "notes"]).stdout, "1\n");
  assertStringIncludes(
    cache(folder.path, ["ls", "c.sqlite", "--name", "model"]).stderr,
    "did you mean models?",
  );
  new SqlTableArchive(path, { table: "plain", protocol: "json" }).set("k", [2]).close();
  assertEquals(ok(folder.path, ["get", "c.sqlite", "k", "--name", "#plain"]).stdout, "[2]");
  new SqlTableArchive(path, { table: "plain" }).drop();
  const both = ok(folder.path, ["export", "c.sqlite"]).stdout;
  const refused = cache(folder.path, ["import", "d", "--new", "folder"], both);
  assertEquals(refused.status, 2);
  assertStringIncludes(refused.stderr, "place for one cache");
  ok(folder.path, ["import", "copy.sqlite", "--new", "sqlite"], both);
  assertEquals(ok(folder.path, ["export", "copy.sqlite"]).stdout, both);
  ok(folder.path, ["import", "copy.sqlite", "--name", "all"], both);
  using all = new SqlArchive(join(folder.path, "copy.sqlite"), { name: "all" });
  assertEquals(new Map(all), new Map([["models", 1], ["notes", 1]]));
});

test("pathos cache shows what was kept as it is, and code never", () => {
  using folder = tempDir();
  new DirArchive(join(folder.path, "code"), { trust: "code" }).set("f", () => 1).close();
  const { status, stderr, stdout } = cache(folder.path, ["get", "code", "f"]);
  assertEquals([status, stdout], [2, ""]);
  assertStringIncludes(stderr, "not run here");
  assert(ok(folder.path, ["get", "code", "f", "--raw"]).bytes.length > 50);
  const plain = new FileArchive(join(folder.path, "plain"), { serialized: false });
  plain.set("b", new Uint8Array([3, 1])).set("s", '{"x": 1}').set("n", -0).close();
  assertEquals(ok(folder.path, ["get", "plain", "b"]).bytes, new Uint8Array([3, 1]));
  assertEquals(ok(folder.path, ["get", "plain", "s"]).stdout, '{"x": 1}');
  new DirArchive(join(folder.path, "odd")).set("big", 10n).set("map", new Map([[1, 2]])).close();
  assertEquals(ok(folder.path, ["get", "odd", "big"]).stdout, "10n\n");
  assertEquals(ok(folder.path, ["get", "odd", "map"]).stdout, "Map(1) { 1 => 2 }\n");
});

test("pathos cache makes and changes nothing where there is no archive, and says what is wrong", () => {
  using folder = tempDir();
  writeFileSync(join(folder.path, "thesis.tex"), "years of work");
  new FileArchive(join(folder.path, "file")).set("a", 1).close();
  const before = readdirSync(folder.path);
  const mistakes: [string[], string][] = [
    [[], "it can ls, stat, get"],
    [["lst", "file"], "did you mean ls?"],
    [["ls"], "which archive?"],
    [["ls", "none"], "there is no none"],
    [["import", "none"], "--new sqlite makes one"],
    [["import", "file", "--new", "sqlite"], "is there already"],
    [["import", "x", "--new", "xml"], "sqlite, file, folder"],
    [["ls", "thesis.tex"], "no archive"],
    [["stat", "."], "no archive"],
    [["get", "file"], "takes one key"],
    [["get", "file", "=nonsense"], "is no key"],
    [["rm", "file"], "--tag TAG"],
    [["ls", "file", "a"], "takes no keys"],
    [["ls", "file", "--yes"], "takes no --yes"],
    [["get", "file", "a", "--tag", "t"], "takes no --tag"],
    [["ls", "file", "--name", "x"], "leave --name out"],
    [["clear", "file"], "remove 1 entries of file: add --yes"],
  ];
  for (const [args, said] of mistakes) {
    const { status, stderr } = cache(folder.path, args);
    assertEquals([status, args], [2, args], stderr);
    assertStringIncludes(stderr, said);
    assertEquals(stderr.trimEnd().split("\n").length, 1, stderr);
  }
  for (
    const [input, said] of [["", "nothing on standard input"], [
      "{}\n",
      "not what pathos cache export writes",
    ]]
  ) {
    assertStringIncludes(cache(folder.path, ["import", "file"], input).stderr, said);
  }
  const [first] = ok(folder.path, ["export", "file"]).stdout.split("\n");
  const broken = `${first}\n{"key":"b","stored":1,"number":"2"}\n{"key":"c","stored":1}\n`;
  assertStringIncludes(cache(folder.path, ["import", "file"], broken).stderr, "line 3");
  assertEquals(ok(folder.path, ["get", "file", "b"]).stdout, "2\n");
  assertEquals(readFileSync(join(folder.path, "thesis.tex"), "utf8"), "years of work");
  assertEquals(readdirSync(folder.path), before);
  const damaged = readFileSync(join(folder.path, "file")).subarray(0, -3);
  writeFileSync(join(folder.path, "file"), damaged);
  assertMatch(cache(folder.path, ["ls", "file"]).stderr, /^pathos cache: file is damaged: .*\n$/);
  assertEquals(statSync(join(folder.path, "file")).size, damaged.length);
  assert(!existsSync(join(folder.path, "x")));
});
