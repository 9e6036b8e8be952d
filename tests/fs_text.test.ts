/**
 * Text, variables, slices and places: what scripts do with paths and files besides searching for them.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  convert,
  expandvars,
  getvars,
  homedir,
  indexJoin,
  indexSlice,
  minpath,
  parseRemote,
  pattern,
  remote,
  replace,
  select,
  selectdict,
  sep,
  shellsub,
} from "@pathos/pathos/fs";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  lstatSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { tempDir, test } from "./harness.ts";

test("pattern joins patterns", () => {
  assertEquals(pattern(["PYTHON*", "DEVELOPER"]), "PYTHON*;DEVELOPER");
  assertEquals(pattern(new Set(["a", "b"]), "|"), "a|b");
  assertEquals(pattern([]), "");
  assertEquals(pattern(), "");
});

test("minpath names each folder once, where it was first", () => {
  assertEquals(minpath(".:/foo/bin:.:/foo/bar/bin:/foo/bin"), ".:/foo/bin:/foo/bar/bin");
  assertEquals(minpath("a;b;a", ";"), "a;b");
  assertEquals(minpath(""), "");
  const path = process.env.PATH!;
  assert(minpath(path).split(":").length <= path.split(":").length);
});

test("sep knows the separators of this system, and no others", () => {
  assertEquals([sep(), sep("sep"), sep("path"), sep("pathsep")], ["/", "/", ":", ":"]);
  assertEquals([sep("ext"), sep("extsep"), sep("line"), sep("linesep")], [".", ".", "\n", "\n"]);
  assertEquals([sep("alt"), sep("altsep")], [undefined, undefined]);
  assertThrows(() => sep("foo" as "path"), TypeError, "no separator");
});

const VARIABLES = {
  MINE_STUFF: "${TOP}/tool-${MINE_VERSION}/stuff",
  MINE_VERSION: "0.0.1",
  OTHER_VERSION: "1.0",
  OTHER_DIR: "${HOME}/junk",
  THIRD_STUFF: "/a/b",
  TOP: "${HOME}/dev",
};

test("getvars gives the variables that text mentions, of the list or of the environment", () => {
  const HOME = process.env.HOME ??= homedir();
  assertEquals(getvars("/no/variables/here"), {});
  assertEquals(getvars("${TOP}/tool-${MINE_VERSION}/stuff", VARIABLES), {
    TOP: "${HOME}/dev",
    MINE_VERSION: "0.0.1",
  });
  assertEquals(getvars("$OTHER_DIR/stuff", VARIABLES), { OTHER_DIR: "${HOME}/junk" });
  assertEquals(getvars("${HOME}/stuff"), { HOME });
  assertEquals(getvars("$TOP$HOME-$OTHER_VERSION", VARIABLES), {
    TOP: "${HOME}/dev",
    HOME,
    OTHER_VERSION: "1.0",
  });
  assertThrows(() => getvars("$NO_SUCH_VARIABLE_1/x"), ReferenceError, "$NO_SUCH_VARIABLE_1");
  assertThrows(() => getvars("${toString}", {}), ReferenceError, "is not set");
});

test("expandvars replaces what it knows, in values too, and leaves the rest", () => {
  const home = process.env.HOME ??= homedir();
  assertEquals(expandvars(home), home);
  assertEquals(expandvars("${HOME}/stuff"), `${home}/stuff`);
  assertEquals(
    expandvars("${NO_SUCH_VARIABLE_1}/stuff $1 $ ${} $"),
    "${NO_SUCH_VARIABLE_1}/stuff $1 $ ${} $",
  );
  assertEquals(expandvars("${OTHER_DIR}/${TOP}/stuff", VARIABLES), "${HOME}/junk/${HOME}/dev/stuff");
  assertEquals(expandvars("$MINE_STUFF", VARIABLES, { HOME: "/h" }), "/h/dev/tool-0.0.1/stuff");
  assertEquals(
    expandvars("${TOP}/${MINE_VERSION}", undefined, VARIABLES),
    expandvars("${TOP}/${MINE_VERSION}", VARIABLES, process.env),
  );
  assertEquals(expandvars("$HOME", {}), "$HOME");
  assertEquals(expandvars("$A $B", { A: "<$B>", B: "($A)" }), "<($A)> (<$B>)");
  assertEquals(expandvars("$A", { A: "$$A:$A" }), "$$A:$A");
  assertEquals(expandvars("$constructor ${__proto__}", VARIABLES), "$constructor ${__proto__}");
  assertEquals(expandvars("$constructor ${toString}"), "$constructor ${toString}");
});

test("convert gives files the line ends of a platform, and touches no others", async () => {
  using folder = tempDir();
  const file = join(folder.path, "a file.txt"), other = join(folder.path, "other");
  const mixed = "one\ntwo\r\nthree\rfour\n\nfive\r\n\r\n\r";
  const ends: [string, string][] = [["unix", "\n"], ["windows", "\r\n"], ["mac", "\r"], ["macosx", "\n"], [
    "nt",
    "\r\n",
  ]];
  for (const [platform, end] of [...ends, ["linux", "\n"]]) {
    writeFileSync(file, mixed);
    writeFileSync(other, `ä${end}ö`);
    assertEquals(await convert([file, other], platform), [file]);
    assertEquals(readFileSync(file, "utf8"), `one|two|three|four||five|||`.replaceAll("|", end), platform);
    assertEquals(await convert([file], platform), []);
  }
  writeFileSync(file, mixed);
  chmodSync(file, 0o640);
  symlinkSync(file, join(folder.path, "link"));
  const { mtimeMs } = statSync(other);
  assertEquals(await convert(`${join(folder.path, "link")}:${other}`), [join(folder.path, "link")]);
  assertEquals([statSync(file).mode & 0o777, lstatSync(join(folder.path, "link")).isSymbolicLink()], [
    0o640,
    true,
  ]);
  assertEquals(statSync(other).mtimeMs, mtimeMs);
  assertEquals(readdirSync(folder.path).sort(), ["a file.txt", "link", "other"]);
});

test("convert refuses platforms that it does not know, and tells of files that it cannot convert", async () => {
  using folder = tempDir();
  const [good, wide, missing] = ["good", "wide", "missing"].map((name) => join(folder.path, name));
  writeFileSync(good, "a\r\n");
  writeFileSync(wide, "a\0\n\0");
  await assertRejects(() => convert([good], "foo"), TypeError, "no platform");
  assertEquals(readFileSync(good, "utf8"), "a\r\n");
  const error = await assertRejects(
    () => convert([missing, wide, good], "unix"),
    AggregateError,
    "zero bytes",
  );
  assertEquals(error.errors.length, 2);
  assertEquals([readFileSync(good, "utf8"), readFileSync(wide, "utf8")], ["a\n", "a\0\n\0"]);
});

test("replace changes text in a file by regular expressions, in order", async () => {
  using folder = tempDir();
  const file = join(folder.path, "text"), out = join(folder.path, "out");
  writeFileSync(file, "this is a test file.\n");
  chmodSync(file, 0o600);
  assertEquals(await replace(file, { " is ": " was " }), true);
  assertEquals(await replace(file, { "\\sfile.\\s": "." }), true);
  assertEquals(readFileSync(file, "utf8"), "this was a test.");
  assertEquals(await replace(file, [["a", "b"], ["b", "c"]], { outfile: out }), true);
  assertEquals([readFileSync(file, "utf8"), readFileSync(out, "utf8")], [
    "this was a test.",
    "this wcs c test.",
  ]);
  await replace(file, new Map([[/THIS (\w+)/i, "$1 $$ $&"]]));
  assertEquals(readFileSync(file, "utf8"), "was $ this was a test.");
  assertEquals(await replace(file, { "not there": "x" }), false);
  assertEquals(await replace(file, { "^.": "\u{feff}😀" }), true);
  await replace(file, { "😀.": "x" });
  assertEquals(readFileSync(file, "utf8"), "\u{feff}xs $ this was a test.");
  assertEquals(statSync(file).mode & 0o777, 0o600);
  await assertRejects(() => replace(file, { "(": "x" }), SyntaxError);
  await assertRejects(() => replace(join(folder.path, "missing"), { a: "b" }));
  writeFileSync(file, new Uint8Array([0x61, 0xff]));
  await assertRejects(() => replace(file, { a: "b" }), TypeError, "not text in UTF-8");
  assertEquals([...readFileSync(file)], [0x61, 0xff]);
});

test("indexSlice and indexJoin cut lists and text by what they begin and end with", () => {
  const list = ["begin ", "hello ", "world ", "string "];
  assertEquals(indexJoin(list, "hello ", "world "), "hello world ");
  assertEquals(indexJoin(list, "hello ", "world ", { inclusive: false }), "hello ");
  assertEquals(indexJoin(list, "no", "hello "), "begin hello ");
  assertEquals(indexJoin(list, "world ", "no"), "world string ");
  assertEquals(indexJoin(list, "begin ", "string ", { step: 2 }), "begin world ");
  assertEquals(indexJoin(list, "world ", "begin "), "");
  assertEquals(indexJoin(list, "world ", "begin ", { sequential: false }), "world string ");
  assertEquals(indexSlice([5, 1, 5, 2], 1, 5), { start: 1, stop: 2, step: 1 });
  assertEquals(indexSlice([5, 1, 5, 2], 1, 5, { sequential: true }), { start: 1, stop: 0, step: 1 });
  assertEquals(indexSlice([5, 1], 7, 8, { inclusive: true }), { start: undefined, stop: undefined, step: 1 });
  assertEquals(indexJoin("x {body} y", "{", "}"), "{body}");
  assertEquals(indexJoin("a BEGIN b END c", "BEGIN", "END"), "BEGIN b END");
  assertThrows(() => indexSlice([], 1, 1, { step: 0 }), RangeError, "step");
});

test("select takes those in which something is most frequent, or rarest", () => {
  const words = ["zero", "one", "two", "three", "4", "five", "six", "seven", "8", "9/81"];
  assertEquals(select(words), ["three", "seven"]);
  assertEquals(select(words, { minimum: true }), ["4", "8"]);
  assertEquals(select(words, { reverse: true, all: false }), "seven");
  assertEquals(words[0], "zero");
  assertEquals(select(words, { counter: "/", all: false }), "9/81");
  assertEquals(select(words, { counter: "e", minimum: true }), ["two", "4", "six", "8", "9/81"]);
  const lists = [[1, 2, 3], [4, 5, 6], [1, 3, 5]];
  assertEquals(select(lists), lists);
  assertEquals(select(lists, { counter: 3 }), [lists[0], lists[2]]);
  assertEquals(select(lists, { counter: 3, minimum: true }), [lists[1]]);
  assertEquals(select([1, 3, 3, "33"], { counter: 3 }), [3, 3]);
  assertEquals([select([]), select([], { all: false })], [[], undefined]);
});

test("selectdict takes the entries in whose values something is most frequent, or rarest", () => {
  const { OTHER_VERSION, THIRD_STUFF, MINE_STUFF } = VARIABLES;
  assertEquals(selectdict(VARIABLES, { minimum: true }), { OTHER_VERSION });
  assertEquals(selectdict(VARIABLES, { counter: "/" }), { THIRD_STUFF, MINE_STUFF });
  assertEquals(Object.keys(selectdict(VARIABLES, { counter: "/", all: false })).length, 1);
  assertEquals(selectdict({ a: [1, 2], b: [2, 2] }, { counter: 2 }), { b: [2, 2] });
  assertEquals(selectdict({}), {});
});

test("places on other machines are put together and taken apart", () => {
  const host = "login.cluster.example";
  assertEquals(remote("~/dev"), "~/dev");
  assertEquals(remote("~/dev", { loopback: true }), "localhost:~/dev");
  assertEquals(remote("~/dev", { host, user: "me" }), `me@${host}:~/dev`);
  assertEquals(remote("~/dev", { user: "me" }), "~/dev");
  assertEquals(remote("/a b:c", { host: "::1" }), "[::1]:/a b:c");
  const place = (user: string, host: string, path: string) => ({ user, host, path });
  assertEquals(parseRemote(`me@${host}:~/dev`, { loginFlag: true }), place("-l me", host, "~/dev"));
  assertEquals(parseRemote(`me@${host}:`), place("me", host, ""));
  assertEquals(parseRemote(`${host}:`, { loginFlag: true }), place("", host, ""));
  assertEquals(parseRemote("test.txt", { loopback: true }), place("", "localhost", "test.txt"));
  assertEquals(parseRemote("test.txt"), place("", "", "test.txt"));
  assertEquals(parseRemote("host:a:b"), place("", "host", "a:b"));
  assertEquals(parseRemote("./a:b"), place("", "", "./a:b"));
  assertEquals(parseRemote("x:x"), place("", "x", "x"));
  assertEquals(parseRemote("me@[fe80::1%eth0]:/data\n"), place("me", "fe80::1%eth0", "/data\n"));
  assertEquals(parseRemote("me@corp.example@host:f"), place("me@corp.example", "host", "f"));
  for (const place of [`me@${host}:~/a b`, "host:", "[::1]:/x", "plain"]) {
    const { path, ...rest } = parseRemote(place);
    assertEquals(remote(path, rest), place);
  }
});

test("shellsub brings a command through one more shell as it is written", () => {
  assertEquals(shellsub('${HOME}/bin/which foo("bar")'), '\\${HOME}/bin/which foo\\(\\"bar\\"\\)');
  assertEquals(shellsub("it's"), "it\\'s");
  for (const command of [`echo "$HOME" 'a'`, "echo $(echo \\\\)", "echo `echo x`"]) {
    const sh = (line: string) => spawnSync("sh", ["-c", line]).stdout.toString();
    assertEquals(sh(`printf %s ${shellsub(command).replaceAll(" ", "\\ ")}`), command);
  }
});
