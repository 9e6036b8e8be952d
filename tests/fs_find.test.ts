/**
 * Searching folder trees: `find` and `walk` by name, kind and depth, whatever is in the way.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { find, type FindType, walk, WalkError } from "@pathos/pathos/fs";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { basename, dirname, join, relative } from "node:path";
import process from "node:process";
import { runScript, type TempDir, tempDir, test } from "./harness.ts";

/** A folder with these files; a name that ends in "/" is a folder, `a -> b` a link. */
function tree(...names: string[]): TempDir {
  const folder = tempDir();
  for (const name of names) {
    const [path, target] = name.split(" -> ");
    const place = join(folder.path, path);
    mkdirSync(path.endsWith("/") ? place : dirname(place), { recursive: true });
    if (target !== undefined) symlinkSync(target, place);
    else if (!path.endsWith("/")) writeFileSync(place, "");
  }
  return folder;
}

/** Paths below a folder, sorted. */
function below(root: string, paths: readonly string[]): string[] {
  return paths.map((path) => relative(root, path)).sort();
}

/** A folder in memory, where there is one: 100,000 files are made there in a second. */
const MEMORY = existsSync("/dev/shm") ? "/dev/shm" : undefined;

const CAPABILITIES = "-dac_override,-dac_read_search";
/** Words before a command by which root may read no more than others. */
const AS_ANYBODY = process.getuid?.() === 0
  ? ["setpriv", `--inh-caps=${CAPABILITIES}`, `--bounding-set=${CAPABILITIES}`]
  : [];
const noAnybody =
  AS_ANYBODY.length > 0 && spawnSync(AS_ANYBODY[0], [...AS_ANYBODY.slice(1), "true"]).status !== 0
    ? "root cannot give up its rights here"
    : undefined;

test("find gives the absolute paths of what has one of several names", async () => {
  using folder = tree("a.ts", "b.js", "sub/c.ts", "sub/.hidden.ts", "sub/deep/d.tsx", "e.ts/f");
  const root = folder.path;
  assertEquals(below(root, await find("*.ts", { root })), ["a.ts", "e.ts", "sub/.hidden.ts", "sub/c.ts"]);
  assertEquals(below(root, await find("*.js;*.tsx;?", { root })), ["b.js", "e.ts/f", "sub/deep/d.tsx"]);
  assertEquals(below(root, await find("a*;*.ts;", { root, type: "f" })), [
    "a.ts",
    "sub/.hidden.ts",
    "sub/c.ts",
  ]);
  assertEquals(below(root, await find(["*.js"], { root: relative(process.cwd(), root) })), ["b.js"]);
  assertEquals(await find("nothing*", { root }), []);
});

test("a pattern has stars, question marks and sets as find(1) has them", async () => {
  const names = [
    "a",
    "b",
    "ab",
    "abc",
    "aXbXc",
    "A",
    ".a",
    "a]",
    "[a]",
    "a*b",
    "-x",
    "ä",
    "a😀b",
    "x y",
    "a\nb",
  ];
  using folder = tree(...names);
  const expected: [string, string[]][] = [
    ["*", names],
    ["a*", ["a", "ab", "abc", "aXbXc", "a]", "a*b", "a😀b", "a\nb"]],
    ["*b", ["b", "ab", "a*b", "a😀b", "a\nb"]],
    ["*b*", ["b", "ab", "abc", "aXbXc", "a*b", "a😀b", "a\nb"]],
    ["a*b*c", ["abc", "aXbXc"]],
    ["a**c", ["abc", "aXbXc"]],
    ["?", ["a", "b", "A", "ä"]],
    ["a?b", ["a*b", "a😀b", "a\nb"]],
    ["?b", ["ab"]],
    ["[ab]", ["a", "b"]],
    ["[!a]", ["b", "A", "ä"]],
    ["[a-c]", ["a", "b"]],
    ["[c-a]", []],
    ["a[]]", ["a]"]],
    ["[[]a]", ["[a]"]],
    ["a[*]b", ["a*b"]],
    ["[a", []],
    ["*[!a-zA-Z]*", [".a", "a]", "[a]", "a*b", "-x", "ä", "a😀b", "x y", "a\nb"]],
    ["*?c", ["abc", "aXbXc"]],
    ["", []],
    ["a", ["a"]],
    ["-*", ["-x"]],
    ["* *", ["x y"]],
  ];
  for (const [pattern, wanted] of expected) {
    const found = await find([pattern], { root: folder.path });
    assertEquals(below(folder.path, found), [...wanted].sort(), pattern);
  }
});

test("a pattern with many stars takes no time to speak of", async () => {
  using folder = tree("a".repeat(200));
  const begin = performance.now();
  assertEquals(await find(`${"*a".repeat(60)}*b`, { root: folder.path }), []);
  assert(performance.now() - begin < 20_000); // trying every way would take longer than the world is old
});

test("patterns that cannot match and types that do not exist are refused", () => {
  assertThrows(() => find(""), TypeError, "no pattern");
  assertThrows(() => find(";"), TypeError, "no pattern");
  assertThrows(() => find([]), TypeError, "no pattern");
  assertThrows(() => find("src/*.ts"), TypeError, "root");
  assertThrows(() => find("*", { type: "x" as FindType }), TypeError, "f, file, d, dir");
  assertThrows(() => find("*", { recurse: -1 }), TypeError, "recurse");
  assertThrows(() => walk(".", { recurse: NaN }), TypeError, "recurse");
});

test("find tells kinds apart, and links from what they lead to", async () => {
  using folder = tree("file", "folder/in", "to-file -> file", "to-folder -> folder", "dangling -> nowhere");
  const root = folder.path;
  const server = createServer().listen(join(root, "socket"));
  await new Promise((resolve) => server.once("listening", resolve));
  assertEquals(spawnSync("mkfifo", [join(root, "pipe")]).status, 0);
  try {
    const expected: [FindType, string[]][] = [
      ["f", ["file", "folder/in"]],
      ["file", ["file", "folder/in"]],
      ["d", ["folder"]],
      ["dir", ["folder"]],
      ["l", ["dangling", "to-file", "to-folder"]],
      ["link", ["dangling", "to-file", "to-folder"]],
      ["s", ["socket"]],
      ["socket", ["socket"]],
      ["p", ["pipe"]],
      ["b", []],
      ["c", []],
    ];
    for (const [type, names] of expected) {
      assertEquals(below(root, await find("*", { root, type })), names, type);
    }
    const follow = async (type: FindType) => below(root, await find("*", { root, type, follow: true }));
    assertEquals(await follow("f"), ["file", "folder/in", "to-file"]);
    assertEquals(await follow("d"), ["folder", "to-folder"]);
    assertEquals(await follow("l"), ["dangling"]);
    assertEquals(await find("null", { root: "/dev", type: "char", recurse: false }), ["/dev/null"]);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

test("recursion can be switched off, or limited to a number of levels", async () => {
  using folder = tree("0.x", "a/1.x", "a/b/2.x", "a/b/c/3.x");
  const levels = async (recurse: boolean | number) =>
    below(folder.path, await find("*.x", { root: folder.path, recurse })).length;
  assertEquals([await levels(false), await levels(0), await levels(1), await levels(2), await levels(true)], [
    1,
    1,
    2,
    3,
    4,
  ]);
});

test("walk gives files and links below a folder as it was named, folders when asked", async () => {
  using folder = tree("a.py", "sub/b.py", "sub/link -> b.py", "sub/deep/");
  const root = folder.path;
  assertEquals(below(root, await walk(root)), ["a.py", "sub/b.py", "sub/link"]);
  assertEquals(below(root, await walk(root, { links: false, patterns: "*.py" })), ["a.py", "sub/b.py"]);
  assertEquals(below(root, await walk(root, { files: false, folders: true, links: false })), [
    "sub",
    "sub/deep",
  ]);
  assertEquals(below(root, await walk(root, { files: false })), ["sub/link"]);
  const relativeRoot = relative(process.cwd(), root);
  assertEquals(await walk(`./${relativeRoot}/`, { patterns: "a.*", recurse: false }), [
    join(relativeRoot, "a.py"),
  ]);
  const name = basename(root);
  assertEquals(
    await walk(join(root, "..", name, ".."), { patterns: name, recurse: false, folders: true, files: false }),
    [root],
  );
});

test("results can be taken one by one, and each search is a new one", async () => {
  using folder = tree(...Array.from({ length: 50 }, (_, i) => `d${i}/f${i}.x`));
  const root = folder.path;
  const search = find("*.x", { root });
  const all: string[] = [];
  for await (const path of search) all.push(path);
  assertEquals(all.sort(), (await search).sort());
  assertEquals(all.length, 50);
  for (const patterns of ["f?.x", "*7.x;f1.x", "*5*;d4", "f4[89].x;*.y;f3.x", "f1.x;f"]) {
    const tests = patterns.split(";").map((pattern) =>
      new RegExp(`^${pattern.replaceAll("*", ".*").replaceAll("?", ".")}$`)
    );
    const wanted = Array.from({ length: 50 }, (_, i) => [`d${i}`, `d${i}/f${i}.x`]).flat()
      .filter((path) => tests.some((test) => test.test(basename(path))));
    assertEquals(below(root, await find(patterns, { root })), wanted.sort(), patterns);
  }
  const iterator = search[Symbol.asyncIterator]();
  assertEquals((await iterator.next()).done, false);
  assertEquals(await iterator.return!(), { done: true, value: undefined });
  assertEquals(await iterator.next(), { done: true, value: undefined });
  rmSync(join(root, "d1"), { recursive: true });
  assertEquals((await search).length, 49);
});

test("links that lead in circles end no search and double no result", async () => {
  using folder = tree(
    "a/file.x",
    "a/self -> .",
    "a/up -> ..",
    "b/to-a -> ../a",
    "a/to-b -> ../b",
    "x -> y",
    "y -> x",
    "me -> me",
    "b/one.x",
    "z/again -> ../a",
  );
  const root = folder.path;
  const problems: WalkError[] = [];
  const options = { root, onError: (error: WalkError) => void problems.push(error) };
  const wanted = ["a/file.x", "b/one.x"];
  assertEquals(below(root, await find("*.x", options)), wanted);
  assertEquals(below(root, await find("*.x", { ...options, follow: true })), wanted);
  assertEquals(below(root, await find("x;y;me", { ...options, follow: true, type: "l" })), ["me", "x", "y"]);
  assertEquals(problems, []);
  const inside = await find("*.x", { root: join(root, "z"), follow: true });
  assertEquals(below(root, inside), ["z/again/file.x", "z/again/to-b/one.x"]);
});

test("a link as root is entered, and so is what is behind links when it is asked for", async () => {
  using folder = tree("real/in.x", "root/link -> ../real", "root/sub/");
  assertEquals(await find("*.x", { root: join(folder.path, "root") }), []);
  const followed = await find("*.x", { root: join(folder.path, "root"), follow: true });
  assertEquals(below(folder.path, followed), ["root/link/in.x"]);
  assertEquals(below(folder.path, await find("*.x", { root: join(folder.path, "root/link") })), [
    "root/link/in.x",
  ]);
});

test("a root that cannot be searched is an error, unless somebody listens to errors", async () => {
  using folder = tree("file");
  const missing = join(folder.path, "missing");
  const error = await assertRejects(
    async () => await find("*", { root: missing }),
    WalkError,
    "no such folder",
  );
  assertEquals([error.code, error.path], ["ENOENT", missing]);
  await assertRejects(() => walk(join(folder.path, "file")), WalkError, "not a folder");
  assertEquals(await find("*", { root: missing }).catch((error) => error.code), "ENOENT");
  await assertRejects(async () => {
    for await (const _ of find("*", { root: missing })) assert(false);
  }, WalkError);
  const told: (string | undefined)[] = [];
  assertEquals(await find("*", { root: missing, onError: ({ code }) => void told.push(code) }), []);
  assertEquals(told, ["ENOENT"]);
});

test.needs(
  AS_ANYBODY.slice(0, 1),
  "folders that may not be read are told, and the search goes on",
  async () => {
    using folder = tree("a/1.x", "closed/2.x", "z/3.x");
    const { path: root } = folder;
    const { code, stdout, stderr } = await runScript(
      `
    import { chmodSync } from "node:fs";
    import { find, diskUsed } from "@pathos/pathos/fs";
    const root = process.argv[2];
    chmodSync(root + "/closed", 0);
    const told = [];
    const onError = ({ name, code, path, message }) => void told.push([name, code, path, message]);
    const found = await find("*.x", { root, onError });
    const silent = await find("*.x", { root });
    const thrown = await find("*.x", { root, onError(error) { throw error; } }).then(String, (error) => error.code);
    const closed = await find("*.x", { root: root + "/closed" }).then(String, (error) => error.code);
    const used = await diskUsed(root).then(String, (error) => error.code);
    const rest = await diskUsed(root, { onError: () => {} });
    chmodSync(root + "/closed", 0o700);
    console.log(JSON.stringify({ found: found.sort(), silent: silent.sort(), told, thrown, closed, used, rest: rest > 0 }));
    `,
      { args: [root], within: AS_ANYBODY },
    );
    assertEquals([code, stderr], [0, ""]);
    const found = [`${root}/a/1.x`, `${root}/z/3.x`];
    const message = `cannot read the folder ${root}/closed: this user may not read it`;
    assertEquals(JSON.parse(stdout), {
      found,
      silent: found,
      told: [["WalkError", "EACCES", `${root}/closed`, message]],
      thrown: "EACCES",
      closed: "EACCES",
      used: "EACCES",
      rest: true,
    });
  },
  { notHere: noAnybody },
);

/** Makes a file whose name is not UTF-8, which neither runtime can; false where the file system refuses it. */
function makeUnnameable(folder: string): boolean {
  const script =
    `mkdir "$(printf 'dir\\376')" && : > "$(printf 'bad\\377.x')" && : > "$(printf 'dir\\376')/in.x"`;
  return spawnSync("sh", ["-c", script], { cwd: folder }).status === 0;
}

const ODD = [
  "new\nline.x",
  "two\r\nlines.x",
  "it's.x",
  'quo"te.x',
  "-rf.x",
  "--help.x",
  " .x",
  "$HOME.x",
  "`id`.x",
];
const ODDER = [
  "a;b.x",
  "back\\slash.x",
  "ä€😀.x",
  "lost\ufffd.x",
  "\u202etxt.x",
  "*.x",
  "~.x",
  "tab\t.x",
  "%s.x",
];

test("odd names are found as they are, and those that are not UTF-8 are told of", async () => {
  const names = [...ODD, ...ODDER, `${"long".repeat(60)}.x`];
  using folder = tree(...names, ...names.map((name) => `${name}.d/in.x`));
  const root = folder.path;
  const wanted = [...names, ...names.map((name) => `${name}.d/in.x`)].sort();
  const hasBad = makeUnnameable(root);
  // folders are read in one way at first, and in a faster one when there are many
  for (let round = 0; round < 2; round++) {
    if (round > 0) {
      using empty = tempDir();
      for (let i = 0; i < 1100; i++) await find("*", { root: empty.path });
    }
    const told: WalkError[] = [];
    assertEquals(below(root, await find("*.x", { root, onError: (error) => void told.push(error) })), wanted);
    if (!hasBad) continue;
    assertEquals(told.map(({ code }) => code), ["EILSEQ", "EILSEQ"]);
    assertEquals(told.map(({ path }) => path.startsWith(root)), [true, true]);
    for (const { message } of told) assertStringIncludes(message, "not UTF-8");
  }
  assertEquals(await find(["a;b.x"], { root }), [join(root, "a;b.x")]);
});

test.deno(
  "a search gives the same with and without foreign functions, and keeps to what may be read",
  "has permissions",
  async () => {
    const names = [...ODD, ...ODDER];
    using folder = tree(...names, ...Array.from({ length: 40 }, (_, i) => `d${i}/f${i}.x`));
    const root = folder.path;
    makeUnnameable(root);
    const script = `
    import { find } from "@pathos/pathos/fs";
    const root = Deno.args[0];
    const found = (await find("*", { root, onError: () => {} })).sort();
    const outside = await find("passwd", { root: "/etc", recurse: false }).then(String, () => "refused");
    console.log(JSON.stringify([found, outside]));
  `;
    const all: unknown[] = [];
    for (
      const permissions of [["-A"], ["--allow-read"], [`--allow-read=${root}`], [
        "--allow-ffi",
        `--allow-read=${root}`,
      ]]
    ) {
      const { code, stdout, stderr } = await runScript(script, { args: [root], permissions });
      assertEquals([code, stderr], [0, ""]);
      const [found, outside] = JSON.parse(stdout);
      all.push(found);
      assertEquals(outside, permissions.some((flag) => flag.includes("=")) ? "refused" : "/etc/passwd");
    }
    const [first, ...others] = all;
    assertEquals((first as string[]).length, names.length + 80);
    for (const other of others) assertEquals(other, first);
  },
);

test("a search can be aborted before, while and after", async () => {
  using folder = tree(...Array.from({ length: 30 }, (_, i) => `d${i}/f.x`));
  const root = folder.path;
  const reason = new Error("enough");
  await assertRejects(
    async () => await find("*", { root, signal: AbortSignal.abort(reason) }),
    Error,
    "enough",
  );
  const stop = new AbortController();
  let taken = 0;
  await assertRejects(
    async () => {
      for await (const _ of find("*.x", { root, signal: stop.signal })) {
        if (++taken === 3) stop.abort(reason);
      }
    },
    Error,
    "enough",
  );
  assert(taken < 30);
});

test(
  "a tree of 100,000 files is searched completely, in slices, while others write and delete in it",
  async () => {
    using folder = tempDir(MEMORY);
    const root = realpathSync(folder.path);
    for (let i = 0; i < 1000; i++) {
      const inside = join(root, `a${i % 10}`, `b${i % 100}`, `c${i}`);
      mkdirSync(inside, { recursive: true });
      for (let j = 0; j < 100; j++) writeFileSync(join(inside, `${j}.${j % 10 === 0 ? "ts" : "dat"}`), "");
    }
    let turns = 0, isOver = false;
    const turn = () => {
      turns++;
      if (!isOver) setImmediate(turn);
    };
    turn();
    const found = await find("*.ts", { root });
    isOver = true;
    assertEquals(found.length, 10_000);
    assertEquals(new Set(found).size, 10_000);
    assert(turns > 1, `${turns} turns of the event loop`);
    assertEquals((await find("*", { root, type: "d" })).length, 1110);

    const told: string[] = [];
    const onError = ({ message }: WalkError) => void told.push(message);
    let taken = 0;
    for await (const path of find("*.ts", { root, onError })) {
      if (taken++ > 0) continue;
      for (let i = 3; i < 10; i++) {
        if (path.startsWith(join(root, `a${i}/`))) continue;
        rmSync(join(root, `a${i}/b${i}`), { recursive: true });
        writeFileSync(join(root, `a${i}/b${i}`), "a file, where a folder was");
      }
    }
    const before = (await find("*.ts", { root, onError })).length;
    assert(taken >= before && taken <= 10_000, `${taken}, ${before}`);

    const script = "rm -rf a0 a1 a2; mkdir -p a0/b0/new && : > a0/b0/new/1.ts";
    const remover = spawn("sh", ["-c", script], { cwd: root });
    let isGone = false;
    remover.once("close", () => isGone = true);
    while (!isGone) {
      const left = (await find("*.ts", { root, onError })).length;
      assert(left >= before - 3000 && left <= before, String(left));
      await new Promise((go) => setImmediate(go));
    }
    assertEquals(told, []);
    assertEquals((await find("*.ts", { root })).length, before - 3000 + 1);
  },
  { timeout: 180_000 },
);
