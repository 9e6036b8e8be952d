/**
 * `pathos find`, `pathos which` and `pathos env`, run as processes.
 *
 * @module
 */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { spawnSync } from "node:child_process";
import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { runtime, type TempDir, tempDir, test } from "./harness.ts";

const COMMAND = runtime === "node"
  ? [process.execPath, join(process.cwd(), "node_modules/@pathos/pathos/cli.js")]
  : [process.execPath, "run", "-A", "--quiet", fileURLToPath(new URL("../cli.ts", import.meta.url))];

interface Run {
  status: number | null;
  stdout: string;
  stderr: string;
}

function pathos(args: string[], options: { cwd?: string; env?: Record<string, string> } = {}): Run {
  const [program, ...rest] = [...COMMAND, ...args];
  const { status, stdout, stderr } = spawnSync(program, rest, {
    cwd: options.cwd,
    env: { ...process.env, NO_COLOR: "1", ...options.env },
    timeout: 120_000,
  });
  return { status, stdout: stdout.toString(), stderr: stderr.toString() };
}

function tree(...names: string[]): TempDir {
  const folder = tempDir();
  for (const name of names) {
    mkdirSync(dirname(join(folder.path, name)), { recursive: true });
    writeFileSync(join(folder.path, name), "");
  }
  return folder;
}

test("pathos find prints absolute paths, by pattern, kind and depth", () => {
  using folder = tree("a.ts", "b.js", "sub/c.ts", "sub/deep/d.ts", "x/-v.ts");
  const cwd = realpathSync(folder.path);
  symlinkSync("../sub", join(cwd, "x/link"));
  const find = (...args: string[]) => {
    const { status, stdout, stderr } = pathos(["find", ...args], { cwd });
    assertEquals([status, stderr], [0, ""]);
    return stdout.split("\n").slice(0, -1).map((path) => path.slice(cwd.length + 1)).sort();
  };
  assertEquals(find("*.ts"), ["a.ts", "sub/c.ts", "sub/deep/d.ts", "x/-v.ts"]);
  assertEquals(find("*.js;d*", "sub"), ["b.js", "sub", "sub/deep", "sub/deep/d.ts"]);
  assertEquals(find("*", "--no-recurse", "--type", "f"), ["a.ts", "b.js"]);
  assertEquals(find("*.ts", "--depth", "2"), ["a.ts", "sub/c.ts", "x/-v.ts"]);
  assertEquals(find("*.ts", "--root", "x", "--follow"), ["x/-v.ts", "x/link/c.ts", "x/link/deep/d.ts"]);
  assertEquals(find("*.ts", "--root", "x", "--root", "sub/deep"), ["sub/deep/d.ts", "x/-v.ts"]);
  assertEquals(find("--type=l", "*"), ["x/link"]);
  assertEquals(find("--", "-v*"), ["x/-v.ts"]);
  assertEquals(find("nothing"), []);
});

test("pathos find ends paths with zero bytes, or prints them as JSON, for names of every kind", () => {
  const names = ["plain.x", "new\nline.x", 'quo"te.x', "-x.x", " .x", "ä\u{1f600}.x"];
  using folder = tree(...names);
  const paths = names.map((name) => join(realpathSync(folder.path), name)).sort();
  const run = (flag: string) => pathos(["find", "*.x", flag, "--root", realpathSync(folder.path)]).stdout;
  assertEquals(run("--null").split("\0").sort(), ["", ...paths]);
  assertEquals(run("-0").split("\0").sort(), ["", ...paths]);
  const lines = run("--json").split("\n").slice(0, -1);
  assertEquals(lines.map((line) => JSON.parse(line).path).sort(), paths);
});

test("pathos find tells of what it cannot name, and ends when nobody reads on", () => {
  using folder = tree(...Array.from({ length: 3000 }, (_, i) => `d${i % 30}/${"long".repeat(20)}${i}.x`));
  const [program, ...rest] = COMMAND;
  const script = `"$@" | head -n 2; : > "$(printf 'bad\\377.x')"`;
  const piped = spawnSync("sh", ["-c", script, "sh", program, ...rest, "find", "*.x"], {
    cwd: folder.path,
  });
  assertEquals(piped.stdout.toString().split("\n").length, 3);
  if (piped.status !== 0) return; // this file system has only names in UTF-8
  assertEquals(piped.stderr.toString(), "");
  const { status, stdout, stderr } = pathos(["find", "*.x"], { cwd: folder.path });
  assertEquals([status, stdout.split("\n").length], [1, 3001]);
  assertMatch(stderr, /^pathos find: .*bad.*not UTF-8.*\n$/);
});

test("pathos which prints where programs are, and says which are not there", () => {
  const sh = spawnSync("sh", ["-c", "command -v sh"]).stdout.toString();
  assertEquals(pathos(["which", "sh"]), { status: 0, stdout: sh, stderr: "" });
  const some = pathos(["which", "no-such-program-1", "sh", "--json"]);
  assertEquals(some.status, 1);
  assertEquals(some.stdout.split("\n").slice(0, 2).map((line) => JSON.parse(line)), [
    { name: "no-such-program-1", paths: [] },
    { name: "sh", paths: [sh.trim()] },
  ]);
  assertEquals(some.stderr, "pathos which: there is no program no-such-program-1 on PATH\n");
  using folder = tempDir();
  for (const name of ["a", "b"]) {
    mkdirSync(join(folder.path, name));
    writeFileSync(join(folder.path, name, "tool"), "", { mode: 0o755 });
  }
  const env = { PATH: `${folder.path}/a:${folder.path}/b` };
  assertEquals(pathos(["which", "tool"], { env }).stdout, `${folder.path}/a/tool\n`);
  assertEquals(
    pathos(["which", "-a", "tool"], { env }).stdout,
    `${folder.path}/a/tool\n${folder.path}/b/tool\n`,
  );
});

test("pathos env prints variables by pattern", () => {
  const env = { T_B: "2", T_A: "1=1", T_PATH: "/a:/b:/a", T_TEXT: "two\nlines" };
  assertEquals(pathos(["env", "T_[AB]"], { env }), { status: 0, stdout: "T_A=1=1\nT_B=2\n", stderr: "" });
  assertEquals(pathos(["env", "T_PATH"], { env }).stdout, "T_PATH=/a:/b:/a\n");
  assertEquals(pathos(["env", "T_*H", "--minimal"], { env }).stdout, "T_PATH=/a:/b\n");
  assertEquals(JSON.parse(pathos(["env", "T_*", "--json"], { env }).stdout), env);
  assertEquals(pathos(["env", "NO_SUCH_*"]), { status: 1, stdout: "", stderr: "" });
  assertStringIncludes(pathos(["env"], { env }).stdout, "\nT_A=1=1\n");
});

test("find, which and env say what is wrong with a command line, and have help", () => {
  using folder = tree("file");
  const cwd = folder.path;
  const mistakes: [string[], string][] = [
    [["find"], "which names?"],
    [["find", ";"], "which names?"],
    [["find", "src/*.ts"], "--root FOLDER"],
    [["find", "*", "--type", "x"], "f, d, l"],
    [["find", "*", "--depth", "0"], "whole number from 1"],
    [["find", "*", "--depth", "2", "--no-recurse"], "exclude each other"],
    [["find", "*", "--null", "--json"], "exclude each other"],
    [["find", "*", "--root", "missing"], "no such folder"],
    [["find", "*", "--root", "file"], "it is no folder"],
    [["find", "*", "--folow"], "did you mean --follow?"],
    [["which"], "which program?"],
    [["env", "A", "B"], "one pattern"],
    [["fnd", "x"], "did you mean find?"],
  ];
  for (const [args, said] of mistakes) {
    const { status, stdout, stderr } = pathos(args, { cwd });
    assertEquals([status, stdout, stderr.split("\n").length], [2, "", 2], `${args}: ${stderr}`);
    assertStringIncludes(stderr, said);
  }
  const overview = pathos(["--help"]).stdout;
  for (const verb of ["find", "which", "env"]) {
    assertMatch(overview, new RegExp(`^  ${verb} `, "m"));
    const { status, stdout } = pathos([verb, "--help"]);
    assertEquals(status, 0);
    for (const part of [`Usage: pathos ${verb}`, "--json", "Exit status:", "Examples:"]) {
      assertStringIncludes(stdout, part);
    }
  }
});

test.needs(
  ["bash"],
  "a command whose output cannot be written says so, and ends",
  () => {
    for (const verb of [["find", "*", "--root", "/usr/lib"], ["env"], ["--help"]]) {
      const { status, stderr } = spawnSync("bash", [
        "-c",
        'exec "$@" > /dev/full',
        "bash",
        ...COMMAND,
        ...verb,
      ], {
        env: { ...process.env, NO_COLOR: "1" },
        timeout: 60_000,
      });
      assertMatch(stderr.toString(), /^pathos.*: cannot write the results: .*\n$/, verb[0]);
      assertEquals(status, 2, verb[0]);
    }
  },
);

test("flags that objects have by nature are unknown like others", () => {
  for (const flag of ["--constructor", "--__proto__", "--toString=1"]) {
    const { status, stderr } = pathos(["find", flag, "x"]);
    assertMatch(stderr, /^pathos find: there is no flag --\w+; pathos find --help lists them\n$/);
    assertEquals(status, 2);
  }
});
