/**
 * Making, removing, measuring and waiting for files and folders.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { diskUsed, homedir, kbytes, mkdir, rmtree, waitFor } from "@pathos/pathos/fs";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import process from "node:process";
import { runScript, tempDir, test } from "./harness.ts";

function fill(root: string, ...files: string[]): void {
  for (const file of files) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    if (!file.endsWith("/")) writeFileSync(join(root, file), "x");
    else mkdirSync(join(root, file), { recursive: true });
  }
}

test("mkdir makes a folder with all above it and gives its absolute path, also when it is there", async () => {
  using folder = tempDir();
  const root = folder.path;
  assertEquals(await mkdir("a/b/c", { root }), join(root, "a/b/c"));
  assertEquals(await mkdir("a/b/c", { root }), join(root, "a/b/c"));
  assertEquals(await mkdir(join(root, "d")), join(root, "d"));
  assertEquals(await mkdir(join(relative(process.cwd(), root), "e")), join(root, "e"));
  assertEquals(readdirSync(root).sort(), ["a", "d", "e"]);
  await mkdir("private", { root, mode: 0o700 });
  assertEquals(statSync(join(root, "private")).mode & 0o777, 0o700);
  assertEquals(statSync(join(root, "a")).mode & 0o777, 0o775 & ~process.umask());
  writeFileSync(join(root, "file"), "");
  await assertRejects(() => mkdir("file", { root }));
  await assertRejects(() => mkdir("file/below", { root }));
});

test("rmtree removes a tree, or only what is in it, and never what links lead to", async () => {
  using folder = tempDir();
  const root = folder.path;
  fill(root, "keep/me", "tree/a", "tree/b/c/d", "tree/b/empty/", "tree/new\nline/-x");
  symlinkSync("../keep", join(root, "tree/link"));
  symlinkSync("..", join(root, "tree/b/up"));
  symlinkSync("nowhere", join(root, "tree/dangling"));
  await rmtree(join(root, "tree"), { self: false });
  assertEquals(readdirSync(join(root, "tree")), []);
  assertEquals(readdirSync(join(root, "keep")), ["me"]);
  fill(root, "tree/x/y/z");
  await rmtree(relative(process.cwd(), join(root, "tree")));
  assertEquals(readdirSync(root), ["keep"]);
});

test("rmtree refuses what is no folder, and says so", async () => {
  using folder = tempDir();
  const root = folder.path;
  fill(root, "file", "real/in");
  symlinkSync("real", join(root, "link"));
  await assertRejects(() => rmtree(join(root, "missing")), Error, "no such folder");
  const safe = { signal: AbortSignal.abort(new Error("went ahead")) };
  await assertRejects(() => rmtree("", safe), Error, "no such folder");
  await assertRejects(() => rmtree(join(root, "file")), Error, "it is no folder");
  await assertRejects(() => rmtree(join(root, "link")), Error, "it is a link");
  await rmtree(join(root, "missing"), { ignoreErrors: true });
  const told: string[] = [];
  await rmtree(join(root, "missing"), { onError: (_, path) => void told.push(path) });
  assertEquals(told, [join(root, "missing")]);
  assertEquals(readdirSync(root).sort(), ["file", "link", "real"]);
});

test("rmtree refuses the root, the home folder and what it is in, however they are written", async () => {
  using folder = tempDir();
  const root = folder.path;
  using elsewhere = tempDir();
  fill(root, "users/me/thesis.tex");
  const script = `
    import { rmtree } from "@pathos/pathos/fs";
    const said = [];
    for (const path of process.argv.slice(2)) {
      // an abort that comes too late for the refusal, and before anything is removed
      said.push(await rmtree(path, { signal: AbortSignal.abort(new Error("went ahead")) }).catch((error) => error.message));
      said.push(await rmtree(path, { self: false, signal: AbortSignal.abort(new Error("went ahead")) })
        .catch((error) => error.message));
    }
    console.log(JSON.stringify(said));
  `;
  symlinkSync("users", join(root, "also"));
  const paths = [
    "/",
    "/..",
    "//",
    `${root}/users/me`,
    `${root}/users/me/../me/`,
    `${root}/users`,
    `${root}/also/me`,
  ];
  const { code, stdout, stderr } = await runScript(script, {
    args: [...paths, `${root}/users/me/../..`, elsewhere.path],
    env: { HOME: join(root, "also/me") },
  });
  assertEquals([code, stderr], [0, ""]);
  const said: string[] = JSON.parse(stdout);
  assertEquals(said.slice(-2), ["went ahead", "went ahead"]);
  for (const message of said.slice(0, -2)) assert(message.includes("is not removed"), message);
  assert(said[0].includes("root of the file system"), said[0]);
  assert(said[6].includes("home folder"), said[6]);
  assert(existsSync(join(root, "users/me/thesis.tex")));
  assertThrows(() => statSync(join(homedir(), "no such file in the home folder")));
});

const UNSHARE = ["unshare", "--mount", "--propagation", "private"];
const noMounts =
  spawnSync(UNSHARE[0], [...UNSHARE.slice(1), "mount", "-t", "tmpfs", "none", "/mnt"]).status === 0
    ? undefined
    : "this user cannot mount here";

test.needs(
  ["unshare", "mount"],
  "rmtree refuses mount points and what has them in it, unless told",
  async () => {
    using folder = tempDir();
    const root = folder.path;
    fill(root, "tree/disk/", "tree/bound here/", "tree/plain/file", "data/precious");
    const mounts =
      `mount -t tmpfs none tree/disk && : > tree/disk/on-disk && mount --bind data 'tree/bound here' && exec "$@"`;
    const { code, stdout, stderr } = await runScript(
      `
    import { existsSync } from "node:fs";
    import { rmtree } from "@pathos/pathos/fs";
    const root = process.argv[2];
    const said = [];
    const attempt = async (name, options) => said.push(await rmtree(root + name, options).then(() => "removed", (error) => error.message));
    await attempt("/tree");
    await attempt("/tree", { self: false });
    await attempt("/tree/disk");
    await attempt("/tree/bound here", { self: false });
    await attempt("/tree/plain");
    said.push(existsSync(root + "/tree/disk/on-disk"));
    await attempt("/tree/disk", { self: false, force: true });
    said.push(existsSync(root + "/tree/disk/on-disk"));
    await attempt("/tree/disk", { force: true });
    console.log(JSON.stringify(said));
    `,
      { args: [root], within: [...UNSHARE, "sh", "-c", `cd "${root}" && ${mounts}`, "sh"] },
    );
    assertEquals([code, stderr], [0, ""]);
    const mounted = (path: string, where: string) =>
      `${root}/${path} is not removed: another file system is mounted on ${where}; with force: true it is`;
    const said = JSON.parse(stdout);
    const inTree = said[0].includes("bound here") ? "bound here" : "disk";
    assertEquals(said, [
      mounted("tree", `${root}/tree/${inTree}`),
      mounted("tree", `${root}/tree/${inTree}`),
      mounted("tree/disk", "it"),
      mounted("tree/bound here", "it"),
      "removed",
      true,
      "removed",
      false,
      `cannot remove ${root}/tree/disk: something uses it, or is mounted on it`,
    ]);
    assert(existsSync(join(root, "data/precious")));
  },
  { notHere: noMounts },
);

const CAPABILITIES = "-dac_override,-dac_read_search,-fowner";
const AS_ANYBODY = process.getuid?.() === 0
  ? ["setpriv", `--inh-caps=${CAPABILITIES}`, `--bounding-set=${CAPABILITIES}`]
  : [];
const noAnybody =
  AS_ANYBODY.length > 0 && spawnSync(AS_ANYBODY[0], [...AS_ANYBODY.slice(1), "true"]).status !== 0
    ? "root cannot give up its rights here"
    : undefined;

test.needs(
  AS_ANYBODY.slice(0, 1),
  "rmtree ends at what it may not remove, tells of it, or goes on without a word",
  async () => {
    using folder = tempDir();
    const root = folder.path;
    const { code, stdout, stderr } = await runScript(
      `
    import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
    import { rmtree } from "@pathos/pathos/fs";
    const root = process.argv[2];
    const make = () => {
      for (const name of ["a", "closed", "z"]) {
        mkdirSync(root + "/t/" + name, { recursive: true });
        writeFileSync(root + "/t/" + name + "/file", "");
      }
      chmodSync(root + "/t/closed", 0o500);
    };
    const said = [];
    make();
    said.push(await rmtree(root + "/t").then(() => "removed", (error) => error.message));
    said.push(existsSync(root + "/t/closed/file"));
    make();
    await rmtree(root + "/t", { onError: (error, path) => void said.push(path, error.message) });
    said.push(readdirSync(root + "/t"));
    make();
    await rmtree(root + "/t", { ignoreErrors: true });
    said.push(readdirSync(root + "/t"));
    chmodSync(root + "/t/closed", 0o700);
    await rmtree(root + "/t");
    said.push(existsSync(root + "/t"));
    console.log(JSON.stringify(said));
    `,
      { args: [root], within: AS_ANYBODY },
    );
    assertEquals([code, stderr], [0, ""]);
    const message = `cannot remove ${root}/t/closed/file: this user may not`;
    assertEquals(JSON.parse(stdout), [
      message,
      true,
      `${root}/t/closed/file`,
      message,
      ["closed"],
      ["closed"],
      false,
    ]);
  },
  { notHere: noAnybody },
);

test("rmtree removes what has a name that is not UTF-8 with its folder, and keeps no folder for it", async () => {
  using folder = tempDir();
  const root = folder.path;
  const script =
    `mkdir -p t/u "t/$(printf 'd\\376')/e" && : > "t/u/$(printf 'b\\377')" && : > "t/$(printf 'd\\376')/e/f"`;
  if (spawnSync("sh", ["-c", script], { cwd: root }).status !== 0) return; // this file system has no such names
  fill(root, "t/u/plain", "t/v");
  const told: string[] = [];
  await rmtree(join(root, "t"), { self: false, onError: ({ message }) => void told.push(message) });
  assertEquals(readdirSync(join(root, "t")).length, 1);
  assertEquals(told.length, 1);
  assert(told[0].includes("not UTF-8"), told[0]);
  await rmtree(join(root, "t"));
  assertEquals(readdirSync(root), []);
});

test("rmtree shares the event loop, can be aborted, and is not held up by others that write or remove", async () => {
  using folder = tempDir(existsSync("/dev/shm") ? "/dev/shm" : undefined);
  const root = join(folder.path, "t");
  for (let i = 0; i < 100; i++) {
    mkdirSync(join(root, `d${i}`), { recursive: true });
    for (let j = 0; j < 50; j++) writeFileSync(join(root, `d${i}`, `${j}`), "");
  }
  const stop = new AbortController();
  setTimeout(() => stop.abort(new Error("enough")), 1);
  await assertRejects(() => rmtree(root, { signal: stop.signal }), Error, "enough");
  assert(existsSync(root));
  const writing = setInterval(() => {
    if (existsSync(join(root, "d0"))) writeFileSync(join(root, "d0", "late"), "");
  }, 1);
  try {
    await Promise.all([rmtree(root), rmtree(root, { ignoreErrors: true })]);
  } finally {
    clearInterval(writing);
  }
  assertEquals(readdirSync(folder.path), []);
});

test.needs(
  ["du"],
  "diskUsed counts as du does: blocks, files with two names once, links as links",
  async () => {
    using folder = tempDir();
    const root = folder.path;
    fill(root, "a", "sub/b", "sub/deep/c", "new\nline");
    writeFileSync(join(root, "sub/big"), new Uint8Array(300_000).fill(1));
    writeFileSync(join(root, "sparse"), "");
    truncateSync(join(root, "sparse"), 50_000_000);
    linkSync(join(root, "sub/big"), join(root, "again"));
    symlinkSync(process.execPath, join(root, "link"));
    symlinkSync("..", join(root, "sub/up"));
    const du = (path: string) =>
      Number(spawnSync("du", ["-s", "--block-size=1", path]).stdout.toString().split("\t")[0]);
    assertEquals(await diskUsed(root), du(root));
    assertEquals(await diskUsed(join(root, "sub/big")), du(join(root, "sub/big")));
    assert(await diskUsed(root) < 2_000_000);
    assertEquals(await diskUsed(join(root, "link")), du(join(root, "link")));
    await assertRejects(() => diskUsed(join(root, "missing")), Error, "nothing at");
    await assertRejects(() => diskUsed(root, { signal: AbortSignal.abort(new Error("no")) }), Error, "no");
  },
);

test("kbytes reads sizes with a unit and refuses others", () => {
  const expected: [string, number][] = [["10K", 10], ["10G", 10_485_760], ["1.5M", 1536], ["2t", 2 ** 31]];
  for (
    const [text, size] of [...expected, ["1.5K", 1], ["50 MiB", 51_200], ["7kb", 7]] as [string, number][]
  ) {
    assertEquals(kbytes(text), size, text);
  }
  for (const text of ["", "10", "K", "10X", "-1K", "1e3K", "ten M"]) {
    assertThrows(() => kbytes(text), TypeError, "no size");
  }
});

test("waitFor resolves when the file is there, and gives up when told to", async () => {
  using folder = tempDir();
  const file = join(folder.path, "result");
  setTimeout(() => writeFileSync(file, ""), 30);
  assertEquals(await waitFor(file, { sleep: 5, tries: 2000 }), true);
  assertEquals(await waitFor(file), true);
  const missing = join(folder.path, "missing/file");
  const error = await assertRejects(
    () => waitFor(missing, { sleep: 1, tries: 3 }),
    DOMException,
    "did not appear",
  );
  assertEquals(error.name, "TimeoutError");
  assertEquals(await waitFor(missing, { sleep: 1, tries: 3, ignoreErrors: true }), false);
  assertEquals(await waitFor(missing, { tries: 0, ignoreErrors: true }), false);
  const stop = new AbortController();
  setTimeout(() => stop.abort(new Error("enough")), 20);
  await assertRejects(() => waitFor(missing, { signal: stop.signal }), Error, "enough");
  await assertRejects(
    () => waitFor(missing, { signal: AbortSignal.abort(new Error("before")) }),
    Error,
    "before",
  );
  await assertRejects(() => waitFor(missing, { sleep: -1 }), RangeError, "sleep");
});
