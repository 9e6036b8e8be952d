/**
 * Programs, packages, the user and the environment.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import * as everything from "@pathos/pathos";
import {
  findpackage,
  homedir,
  rootdir,
  shelltype,
  username,
  where,
  whereSync,
  which,
  whichRuntime,
  whichSync,
} from "@pathos/pathos/fs";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { runScript, runtime, tempDir, test } from "./harness.ts";

function write(root: string, files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
}

function program(path: string, mode = 0o755): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, "#!/bin/sh\n");
  chmodSync(path, mode);
  return path;
}

test("everything is in the namespace fs too", () => {
  assertEquals(everything.fs.find.name, "find");
  const names = [
    "find which whereis walk where mkdir rmtree shelltype homedir rootdir username sep minpath env shellsub diskUsed kbytes",
    "waitFor pattern expandvars getvars convert replace indexSlice indexJoin findpackage select selectdict remote parseRemote",
    "whichRuntime whichSync whereSync",
  ].join(" ").split(" ");
  for (const name of names) {
    assertEquals(typeof everything.fs[name as keyof typeof everything.fs], "function", name);
  }
});

test("which finds executable files on PATH, in its order", async () => {
  using folder = tempDir();
  const root = folder.path;
  const first = program(join(root, "one/tool")), second = program(join(root, "two/tool"));
  program(join(root, "zero/tool"), 0o644);
  mkdirSync(join(root, "minus/tool"), { recursive: true });
  symlinkSync(first, join(root, "two/link"));
  symlinkSync("nowhere", join(root, "two/broken"));
  const path = ["minus", "zero", "missing", "one", "two", "one"].map((name) => join(root, name)).join(":");
  assertEquals(await which("tool", { path }), first);
  assertEquals(await which("tool", { path, all: true }), [first, second]);
  assertEquals(whichSync("tool", { path }), first);
  assertEquals(await which("link", { path }), join(root, "two/link"));
  assertEquals(await which("link", { path, allowLinks: false }), realpathSync(first));
  for (const name of ["broken", "nothing", "", "-a", "tool; echo"]) {
    assertEquals(
      [await which(name, { path }), await which(name, { path, all: true })],
      [undefined, []],
      name,
    );
  }
  const error = await assertRejects(
    () => which("nothing", { path, ignoreErrors: false }),
    Error,
    "no program nothing",
  );
  assertStringIncludes(error.message, join(root, "one"));
  assertEquals(await which(second), second);
  assertEquals(await which(join(root, "zero/tool")), undefined);
  assertEquals(await which("tool", { path: "" }), undefined);
});

test("which sees what the shell sees", async () => {
  const shell = spawnSync("sh", ["-c", "command -v sh"]).stdout.toString().trim();
  assertEquals(await which("sh"), shell);
  assertEquals((await which("sh", { all: true }))[0], shell);
  assertEquals(await which("no-such-program-1"), undefined);
  const { code, stdout } = await runScript(
    `
    import { which, whichSync } from "@pathos/pathos/fs";
    import { mkdirSync, writeFileSync } from "node:fs";
    writeFileSync("here", "", { mode: 0o755 });
    console.log((await which("here"))?.endsWith("/here"), whichSync("./here"), await which("sh"));
    `,
    { env: { PATH: "/nowhere::/also" } },
  );
  assertEquals([code, stdout], [0, "true ./here undefined\n"]);
});

const isRoot = process.getuid?.() === 0;
const KEEPING = "+dac_override,+dac_read_search";
/** Words before a command by which root becomes another user who may nevertheless read everything. */
const as = (uid: number, group: number) => [
  "setpriv",
  `--reuid=${uid}`,
  `--regid=${uid}`,
  `--groups=${group}`,
  `--inh-caps=${KEEPING}`,
  `--ambient-caps=${KEEPING}`,
];
const noUsers = isRoot && spawnSync("setpriv", [...as(1234, 60).slice(1), "true"]).status === 0
  ? undefined
  : "this user cannot become another";

test.needs(["setpriv"], "which asks whether this very user may execute a file", async () => {
  using folder = tempDir();
  const root = folder.path;
  for (const mode of ["700", "710", "701", "750", "755", "644"]) program(join(root, mode), parseInt(mode, 8));
  for (const mode of ["700", "710", "701"]) {
    spawnSync("chgrp", ["60", program(join(root, `group-${mode}`), parseInt(mode, 8))]);
  }
  const script = `
    import { which } from "@pathos/pathos/fs";
    import { readdirSync } from "node:fs";
    const found = [];
    for (const name of readdirSync(process.argv[2])) if (await which(name, { path: process.argv[2] })) found.push(name);
    console.log(found.sort().join());
  `;
  const asRoot = await runScript(script, { args: [root] });
  assertEquals(asRoot.stdout, "700,701,710,750,755,group-700,group-701,group-710\n");
  const other = await runScript(script, { args: [root], within: as(1234, 60) });
  assertEquals([other.stderr, other.stdout], ["", "701,755,group-710\n"]);
}, { notHere: noUsers });

test("whereis looks where programs usually are, whatever PATH says", async () => {
  using folder = tempDir();
  program(join(folder.path, "own"));
  const { code, stdout } = await runScript(
    `
    import { whereis } from "@pathos/pathos/fs";
    const all = await whereis("sh", { all: true });
    console.log(await whereis("sh"), all.length, all[0], await whereis("no-such-program-1"));
    console.log(await whereis("own"), (await whereis("own", { all: true })).length);
    `,
    { env: { PATH: folder.path, HOME: "/nonexistent" } },
  );
  assertEquals(code, 0);
  assertMatch(stdout, /^(\S+\/sh) [1-9] \1 undefined\n(\/\S+\/own) 1\n$/);
});

test("where finds what is first on a search path", async () => {
  using folder = tempDir();
  const root = folder.path;
  write(root, { "b/name": "", "c/name": "", "c/sub/x": "" });
  const path = ["a", "b", "c"].map((name) => join(root, name)).join(":");
  assertEquals(await where("name", path), join(root, "b/name"));
  assertEquals(await where("sub/x", path), join(root, "c/sub/x"));
  assertEquals(await where("sub", `${root};${root}/c`, ";"), join(root, "c/sub"));
  assertEquals(await where("missing", path), undefined);
  assertEquals(whereSync("name", path), join(root, "b/name"));
});

test.needs(["id", "getent"], "the user is known without any variable", async () => {
  const name = spawnSync("id", ["-un"]).stdout.toString().trim();
  assertEquals(username(), name);
  assertEquals(rootdir(), "/");
  assert(homedir().startsWith(rootdir()));
  if (process.env.HOME) assertEquals(homedir(), process.env.HOME);
  const { stdout, stderr, code } = await runScript(
    `
    import { homedir, shelltype, username } from "@pathos/pathos/fs";
    console.log([username(), homedir(), shelltype()].join());
    `,
    { env: { USER: undefined, LOGNAME: undefined, USERNAME: undefined, HOME: undefined, SHELL: undefined } },
  );
  const account = spawnSync("getent", ["passwd", name]).stdout.toString().trim().split(":");
  assertEquals([code, stderr, stdout], [0, "", `${name},${account[5]},${account[6].split("/").at(-1)}\n`]);
});

test.needs(["setpriv"], "a user id without an account has its number for a name, and no home", async () => {
  const { code, stdout, stderr } = await runScript(
    `
    import { homedir, rmtree, shelltype, username, whereis } from "@pathos/pathos/fs";
    const home = (() => { try { return homedir(); } catch (error) { return error.message; } })();
    console.log([username(), home, shelltype(), typeof await whereis("sh")].join("|"));
    `,
    {
      within: as(54321, 54321),
      env: {
        USER: undefined,
        LOGNAME: undefined,
        HOME: undefined,
        SHELL: undefined,
        DENO_DIR: process.env.DENO_DIR ?? join(homedir(), ".cache/deno"),
      },
    },
  );
  assertEquals([code, stderr], [0, ""]);
  assertEquals(stdout, "54321|there is no home folder: user id 54321 has no account; set $HOME||string\n");
}, { notHere: noUsers });

test("shelltype is the name of the login shell", async () => {
  const run = async (SHELL: string) =>
    (await runScript(
      `import { shelltype } from "@pathos/pathos/fs"; console.log(shelltype());`,
      { env: { SHELL } },
    )).stdout;
  assertEquals([await run("/usr/bin/zsh"), await run("fish")], ["zsh\n", "fish\n"]);
  assert(shelltype() === undefined || !shelltype()!.includes("/"));
});

test("env gives variables by pattern, one value, and search paths without repetitions", async () => {
  const script = `
    import { env } from "@pathos/pathos/fs";
    const names = (found) => Object.keys(found).sort().join();
    console.log(JSON.stringify([
      names(env("T_*")), names(env("T_?")), names(env("T_[AB]")), names(env("t_a")), names(env("T_A")), names(env("*NOTHING_OF_THAT*")),
      env("T_A", { all: false }), env("T_NO", { all: false }) ?? null, env("T_*PATH", { all: false, minimal: true }),
      env("*PATH", { minimal: true }).T_PATH, env("T_PATH").T_PATH, env("T_PATHS", { minimal: true }).T_PATHS,
      Object.keys(env()).length === Object.keys(process.env).length, env("toString"), env("T_TEXT").T_TEXT,
    ]));
  `;
  const variables = { T_A: "1", T_B: "", T_PATH: "/a:/b:/a", T_PATHS: "/a:/a", T_TEXT: "two\nlines=2 ä" };
  const { stdout, stderr } = await runScript(script, { env: variables });
  assertEquals(stderr, "");
  assertEquals(JSON.parse(stdout), [
    "T_A,T_B,T_PATH,T_PATHS,T_TEXT",
    "T_A,T_B",
    "T_A,T_B",
    "",
    "T_A",
    "",
    "1",
    null,
    "/a:/b",
    "/a:/b",
    "/a:/b:/a",
    "/a:/a",
    true,
    {},
    "two\nlines=2 ä",
  ]);
});

test.deno("what a program may not know is told as far as it may", "has permissions", async () => {
  const { code, stdout, stderr } = await runScript(
    `
    import { env, expandvars, find, username, which } from "@pathos/pathos/fs";
    console.log(username(), JSON.stringify(env("USER")), expandvars("$USER $HOME"));
    try { env("*"); } catch (error) { console.log(error.name); }
    `,
    { permissions: ["--allow-env=USER"], env: { USER: "somebody" } },
  );
  assertEquals([code, stderr], [0, ""]);
  assertEquals(stdout, 'somebody {"USER":"somebody"} somebody $HOME\nNotCapable\n');
});

test("findpackage finds what a program would import", async () => {
  using folder = tempDir();
  const root = realpathSync(folder.path);
  write(root, {
    "deno.jsonc": `{ // comments, "quoted" ones too
      "imports": { "lib": "./vendor/lib/mod.ts", "dir/": "./vendor/dir/", "gone": "./missing.ts", "far": "https://x.example/", "a": "npm:b@^1", },
      /* and members */ "workspace": ["./packages/one",], "links": ["./linked"] }`,
    "vendor/lib/mod.ts": "",
    "vendor/dir/x.ts": "",
    "packages/one/deno.json": `{ "name": "@me/one" }`,
    "linked/package.json": `{ "name": "two" }`,
    "node_modules/left/package.json": "{}",
    "node_modules/@scope/right/package.json": "{}",
    "node_modules/b/package.json": "{}",
    "src/deep/node_modules/left/package.json": "{}",
    "src/deep/file": "",
    "src/broken/deno.json": "{ not json",
  });
  const from = (name: string, root: string) => findpackage(name, { root });
  const places: [string, string][] = [
    ["lib", "vendor/lib"],
    ["dir", "vendor/dir"],
    ["@me/one", "packages/one"],
    ["two", "linked"],
    ["left", "node_modules/left"],
    ["@scope/right", "node_modules/@scope/right"],
    ["a", "node_modules/b"],
  ];
  for (const [name, place] of places) {
    assertEquals(await from(name, root), join(root, place), name);
    assertEquals(await from(name, join(root, "src/broken")), join(root, place), name);
  }
  assertEquals(await from("left", join(root, "src/deep")), join(root, "src/deep/node_modules/left"));
  assertEquals(await findpackage("left", { root: join(root, "src/deep"), all: true }), [
    join(root, "src/deep/node_modules/left"),
    join(root, "node_modules/left"),
  ]);
  assertEquals([await from("gone", root), await from("far", root)], [undefined, undefined]);
});

test("findpackage finds folders by name below another, the least deep first", async () => {
  using folder = tempDir();
  const root = realpathSync(folder.path);
  write(root, { "a/b/lib/tool-2/x": "", "lib/tool-1/x": "", "lib/other": "", "c/lib/x": "", "tool-1/x": "" });
  const look = (name: string, recurse?: boolean | number) => findpackage(name, { root, all: true, recurse });
  assertEquals(await look("lib/tool*"), [join(root, "lib/tool-1"), join(root, "a/b/lib/tool-2")]);
  assertEquals(await look("lib/tool*", 1), [join(root, "lib/tool-1")]);
  assertEquals(await look("tool-1"), [join(root, "tool-1"), join(root, "lib/tool-1")]);
  assertEquals(await look("tool-1", false), [join(root, "tool-1")]);
  assertEquals(await look("lib/other"), []);
  assertEquals(await findpackage("tool-2", { root }), join(root, "a/b/lib/tool-2"));
  assertEquals(await findpackage("python", { root: join(root, "missing"), all: true, recurse: false }), []);
  await assertRejects(
    () => findpackage("x", { root, signal: AbortSignal.abort(new Error("no")) }),
    Error,
    "no",
  );
});

test("whichRuntime names the program that runs this, another version, or the other runtime", async () => {
  const version = runtime === "node" ? process.versions.node : Deno.version.deno;
  assertEquals(await whichRuntime(), process.execPath);
  assertEquals(await whichRuntime({ version: true }), process.execPath);
  assertEquals(await whichRuntime({ version }), process.execPath);
  assertEquals(await whichRuntime({ version: `v${version.split(".")[0]}` }), process.execPath);
  assertEquals(await whichRuntime({ version: Number(version.split(".")[0]) }), process.execPath);
  assertEquals(await whichRuntime({ version: "0.0.77" }), undefined);
  await assertRejects(
    () => whichRuntime({ version: "0.0.77", ignoreErrors: false }),
    Error,
    `no ${runtime} 0.0.77`,
  );
  assertEquals(await whichRuntime({ lazy: true }), `\`which ${runtime}\``);
  assertEquals(await whichRuntime({ fullpath: false }), runtime);
  await assertRejects(() => whichRuntime({ version: true, lazy: true }), TypeError, "full path");
  using folder = tempDir();
  const nvm = join(folder.path, "versions/node");
  for (const [name, says] of [["v0.0.78", "v0.0.78"], ["v0.0.9", "v0.0.9"], ["v0.0.10", "nonsense"]]) {
    writeFileSync(program(join(nvm, name, "bin/node")), `#!/bin/sh\necho ${says}\n`);
  }
  const { stdout } = await runScript(
    `
    import { whichRuntime } from "@pathos/pathos/fs";
    for (const version of ["0.0.78", "0.0", "0.0.7", "0.0.10"]) console.log(await whichRuntime({ runtime: "node", version }));
    `,
    { env: { NVM_DIR: folder.path } },
  );
  assertEquals(stdout, `${nvm}/v0.0.78/bin/node\n${nvm}/v0.0.78/bin/node\nundefined\nundefined\n`);
});
