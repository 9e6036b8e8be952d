/**
 * The `pathos` command, run as a process in a folder of its own with the user's modules and data in it: what it
 * writes where, how it ends, and that nothing is left of it.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { isAlive, processesBelow, runtime, tempDir, test, until } from "./harness.ts";

const COMMAND = runtime === "node"
  ? [process.execPath, join(process.cwd(), "node_modules/@pathos/pathos/cli.js")]
  : [process.execPath, "run", "-A", "--quiet", fileURLToPath(new URL("../cli.ts", import.meta.url))];

const WORK = `
import { readFileSync } from "node:fs";
const decoder = new TextDecoder(); // cannot travel: every worker has to import the module
export const size = (path) => decoder.decode(readFileSync(path)).length;
export const numbers = [1, 2, 0, 4];
export async function* squares() { for (let n = 0; n < 300; n++) yield n * n; }
export const empty = () => 5;
export function* endless() { for (let n = 0;; n++) yield n; }
export default function invert(x) {
  console.log("seen", x);
  if (x === 0) throw new RangeError("zero has no inverse");
  return 1 / x;
}
export const nap = (x) => new Promise((done) => setTimeout(() => done(x), 100));
export const nap30 = (x) => new Promise((done) => setTimeout(() => done(x), x === 0 ? 5000 : 1));
export const spin = (x) => { while (x === 2); return x; };
export const odd = (x) => [10n, NaN, new Map([["a", 1]]), undefined, () => 1, { s: new Set([1]) }][x];
export const six = [0, 1, 2, 3, 4, 5];
export const text = "text";
`;

const FILES: Record<string, string> = {
  "work.mjs": WORK,
  "pure.mjs": "const k = 10; export const scale = (x) => x * k;",
  "data/b.csv": "bb",
  "data/a.csv": "a",
  "data/sub/c.csv": "ccc",
  "data/sub/d.txt": "dddd",
  "data/.hidden/e.csv": "eeeee",
};

interface Run {
  code: number | null;
  stdout: string;
  stderr: string;
  /** Its standard output as JSON, line by line. */
  lines: Line[];
  pid: number;
}

interface Line {
  index: number;
  input: unknown;
  value?: unknown;
  error?: { name: string; message: string; stack?: string };
}

interface RunOptions {
  stdin?: string;
  files?: Record<string, string>;
  /** Called when it runs, with what it wrote to standard output so far. */
  started?: (pid: number, folder: string, written: () => string) => Promise<void>;
  /** A shell command that reads its output. */
  into?: string;
}

async function pathos(args: string[], { stdin = "", files, started, into }: RunOptions = {}): Promise<Run> {
  using folder = tempDir();
  for (const [name, text] of Object.entries({ ...FILES, ...files })) {
    mkdirSync(dirname(join(folder.path, name)), { recursive: true });
    writeFileSync(join(folder.path, name), text);
  }
  const command = [...COMMAND, ...args];
  const [program, ...rest] = into === undefined
    ? command
    : ["bash", "-c", `"$@" | ${into}; exit \${PIPESTATUS[0]}`, "bash", ...command];
  const child = spawn(program, rest, { cwd: folder.path, env: { ...process.env, NO_COLOR: "1" } });
  const timer = setTimeout(() => child.kill("SIGKILL"), 120_000);
  let stdout = "", stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text);
  child.stdin.on("error", () => {});
  child.stdin.end(stdin);
  const closed = new Promise<number | null>((resolve) => child.on("close", resolve));
  try {
    await started?.(child.pid!, folder.path, () => stdout);
    const code = await closed;
    const lines = stdout.split("\n").filter((line) => line.startsWith('{"index"')).map((line) =>
      JSON.parse(line)
    );
    return { code, stdout, stderr, lines, pid: child.pid! };
  } finally {
    clearTimeout(timer);
  }
}

const two = ["--workers", "2"];

test("pathos map runs an export over the files of a pattern, sorted, hidden ones left out", async () => {
  const { code, stdout } = await pathos(["map", "./work.mjs:size", "data/**/*.csv", ...two]);
  assertEquals(code, 0);
  assertEquals(
    stdout,
    '{"index":0,"input":"data/a.csv","value":1}\n{"index":1,"input":"data/b.csv","value":2}\n' +
      '{"index":2,"input":"data/sub/c.csv","value":3}\n',
  );
});

for (
  const [pattern, ...found] of [
    ["data/*.csv", "data/a.csv", "data/b.csv"],
    ["./data/[bz].csv", "./data/b.csv"],
    ["data/sub/?.{txt,csv}", "data/sub/c.csv", "data/sub/d.txt"],
    ["{data,nowhere}/sub/*", "data/sub/c.csv", "data/sub/d.txt"],
    ["data/.hidden/*", "data/.hidden/e.csv"],
    ["data/b.csv", "data/b.csv"],
  ]
) {
  test(`pathos map finds ${found.length} file(s) for ${pattern}`, async () => {
    const { lines } = await pathos(["map", "work.mjs:size", pattern, "--serial"]);
    assertEquals(lines.map(({ input }) => input), found);
  });
}

test("pathos map reads JSON lines from standard input and the default export", async () => {
  const { code, stdout, stderr } = await pathos(["map", "work.mjs", "-", "--values", ...two], {
    stdin: "1\n2\n\n4",
  });
  assertEquals([code, stdout], [0, "1\n0.5\n0.25\n"]);
  assertStringIncludes(stderr, "seen 4"); // what the function prints does not mix with the results
});

test("pathos map runs over what a module's generator yields, in processes, in order", async () => {
  const { code, lines } = await pathos(["map", "pure.mjs:scale", "work.mjs:squares", "--processes", ...two]);
  assertEquals(code, 0);
  assertEquals(lines.map(({ value }) => value), Array.from({ length: 300 }, (_, n) => n * n * 10));
  assertEquals(lines.map(({ index }) => index), Array.from({ length: 300 }, (_, n) => n));
});

test.deno(
  "pathos map --permissions none sends the function by value",
  "Node has no permissions",
  async () => {
    const { code, lines } = await pathos([
      ...["map", "pure.mjs:scale", "work.mjs:numbers", "--processes", "--permissions", "none"],
      ...two,
    ]);
    assertEquals([code, lines.map(({ value }) => value)], [0, [10, 20, 0, 40]]);
  },
);

test("pathos map --unordered writes a slow item's result after later ones, with its own index", async () => {
  const { code, lines } = await pathos(
    ["map", "work.mjs:nap30", "work.mjs:six", "--unordered", "--chunk-size", "1", ...two],
  );
  assertEquals(code, 0);
  assertEquals(lines.at(-1)!.index, 0);
  for (const { index, input, value } of lines) assertEquals([input, value], [index, index]);
  assertEquals(lines.length, 6);
});

test("pathos map writes a failure as a line with index, input and error, goes on, and exits with 1", async () => {
  const { code, lines, stderr } = await pathos(["map", "work.mjs", "work.mjs:numbers", ...two]);
  assertEquals(code, 1);
  assertEquals(lines.map(({ value }) => value), [1, 0.5, undefined, 0.25]);
  const { index, input, error } = lines[2];
  assertEquals([index, input, error!.name, error!.message], [2, 0, "RangeError", "zero has no inverse"]);
  assertMatch(error!.stack!, /work\.mjs:\d+/);
  assertStringIncludes(stderr, "1 of 4 items failed");
});

test("pathos map --fail-fast stops at the first failure", async () => {
  const { code, lines } = await pathos(["map", "work.mjs", "work.mjs:numbers", "--fail-fast", ...two]);
  assertEquals(code, 1);
  assertEquals(lines.map(({ index }) => index), [0, 1, 2]);
});

test("a result that JSON cannot carry fails its own item", async () => {
  const { code, lines } = await pathos(["map", "work.mjs:odd", "work.mjs:six", ...two]);
  assertEquals(code, 1);
  assertEquals(lines.map(({ error }) => error?.message.replace(/:.*/, "")), [
    "JSON cannot carry a BigInt",
    "JSON cannot carry NaN",
    undefined,
    undefined,
    "JSON cannot carry a function",
    undefined,
  ]);
  assertEquals([lines[2].value, lines[3].value, lines[5].value], [{ a: 1 }, null, { s: [1] }]);
});

test("an item over its --timeout fails, the others are done", async () => {
  const { code, lines } = await pathos(
    ["map", "work.mjs:spin", "work.mjs:six", "--processes", "--timeout", "3s", ...two],
  );
  assertEquals(code, 1);
  assertEquals(lines.map(({ error }) => error?.name), [
    undefined,
    undefined,
    "TimeoutError",
    undefined,
    undefined,
    undefined,
  ]);
});

test("--resume skips what is done, repeats what failed and what was cut, and writes new lines only", async () => {
  const earlier = [
    '{"index":0,"input":1,"value":"kept"}',
    '{"index":2,"input":0,"error":{"name":"RangeError","message":"zero has no inverse"}}',
    '{"index":1,"inp',
  ].join("\n");
  const { code, stdout, lines, stderr } = await pathos(
    ["map", "pure.mjs:scale", "work.mjs:numbers", "--resume", "out.jsonl", ...two],
    { files: { "out.jsonl": earlier } },
  );
  assertEquals(code, 0);
  assertEquals(stdout[0], "\n"); // ends the line that was cut
  assertEquals(lines.map(({ index, value }) => [index, value]), [[1, 20], [2, 0], [3, 40]]);
  assertStringIncludes(stderr, "1 items are done");
  const again = await pathos(
    ["map", "pure.mjs:scale", "work.mjs:numbers", "--resume", "out.jsonl", ...two],
    { files: { "out.jsonl": earlier + stdout } },
  );
  assertEquals([again.code, again.stdout], [0, ""]);
});

for (
  const [what, earlier, message] of [
    ["other inputs", '{"index":1,"input":7,"value":7}\n', /belongs to other inputs: item 1 is 2 now/],
    ["more inputs", '{"index":9,"input":7,"value":7}\n', /has an item 9, and there are 4 inputs/],
    ["something else", "a,b\n1,2\n", /line 1 of out\.jsonl was not written by pathos map/],
  ] as [string, string, RegExp][]
) {
  test(`--resume refuses the output of ${what}`, async () => {
    const { code, stderr } = await pathos(
      ["map", "pure.mjs:scale", "work.mjs:numbers", "--resume", "out.jsonl", "--serial"],
      { files: { "out.jsonl": earlier } },
    );
    assertEquals(code, 2);
    assertMatch(stderr, message);
  });
}

for (const kind of ["--threads", "--processes", "--serial"]) {
  test(`pathos map ${kind} over endless inputs ends quietly when its reader does`, async () => {
    const { code, stdout, stderr } = await pathos(
      ["map", "pure.mjs:scale", "work.mjs:endless", kind, "--values"],
      { into: "head -2" },
    );
    assertEquals([code, stdout, stderr], [0, "0\n10\n", ""]);
  });
}

for (const kind of ["--threads", "--processes"]) {
  test(`Ctrl-C ends pathos map ${kind} with status 130, whole lines and no process left`, async () => {
    let below: number[] = [];
    const { code, stdout, lines } = await pathos(["map", "work.mjs:nap", "work.mjs:endless", kind, ...two], {
      async started(pid, _folder, written) {
        await until(() => written().includes("\n"), 90_000, "results come");
        below = processesBelow(pid).map((info) => info.pid);
        process.kill(pid, "SIGINT");
      },
    });
    assertEquals(code, 130);
    assert(lines.length > 0);
    assert(stdout.endsWith("\n"));
    assertEquals(lines.map(({ value }) => value), lines.map(({ index }) => index));
    await until(() => below.every((pid) => !isAlive(pid)), 60_000, "the workers are gone");
  });
}

test("progress is drawn on demand only, with the total of a pattern", async () => {
  const args = ["map", "work.mjs:size", "data/**/*.csv", "--serial"];
  assertEquals((await pathos(args)).stderr, "");
  assertMatch((await pathos([...args, "--progress"])).stderr, /100% 3\/3/);
  assertEquals((await pathos([...args, "--no-progress"])).stderr, "");
});

for (
  const [what, args, message] of [
    ["an unknown verb", ["mpa"], /there is no verb mpa; did you mean map\?/],
    [
      "an unknown flag",
      ["map", "f.mjs", "-", "--worker=3"],
      /there is no flag --worker; did you mean --workers\?/,
    ],
    [
      "an unknown short flag",
      ["map", "f.mjs", "-", "-x"],
      /there is no flag -x; pathos map --help lists them/,
    ],
    [
      "a flag without its value",
      ["map", "f.mjs", "-", "--timeout"],
      /--timeout needs a value: --timeout TIME/,
    ],
    ["a switch with a value", ["map", "f.mjs", "-", "--serial=yes"], /--serial takes no value/],
    [
      "a bad number",
      ["map", "f.mjs", "-", "--workers", "0"],
      /--workers is "0": it must be a whole number from 1/,
    ],
    ["a bad duration", ["map", "f.mjs", "-", "--timeout", "5x"], /--timeout is "5x": .* 500ms, 5s or 2m/],
    ["two kinds of pool", ["map", "f.mjs", "-", "--threads", "--serial"], /--threads and --serial exclude/],
    ["no function", ["map"], /which function\?/],
    ["no inputs", ["map", "work.mjs"], /over which inputs\?/],
    ["no such module", ["map", "wrok.mjs", "-"], /there is no file wrok\.mjs/],
    ["no such export", ["map", "work.mjs:sise", "-"], /has no export sise; .*did you mean size\?/],
    ["an export that is no function", ["map", "work.mjs:six", "-"], /work\.mjs:six is not a function/],
    [
      "a pattern without files",
      ["map", "work.mjs:size", "data/*.csv", "data/*.xml"],
      /no file matches data\/\*\.xml/,
    ],
    ["a missing file", ["map", "work.mjs:size", "data/z.csv"], /there is no file data\/z\.csv/],
    ["a folder", ["map", "work.mjs:size", "data"], /data is a folder: give a pattern such as 'data\/\*\*'/],
    ["inputs that are not iterable", ["map", "work.mjs", "work.mjs:empty"], /work\.mjs:empty returned 5/],
    ["a text as inputs", ["map", "work.mjs", "work.mjs:text"], /work\.mjs:text is text/],
  ] as [string, string[], RegExp][]
) {
  test(`${what} is a mistake with status 2 and nothing on standard output`, async () => {
    const { code, stdout, stderr } = await pathos(args);
    assertEquals([code, stdout], [2, ""]);
    assertMatch(stderr, message);
  });
}

test("a line of standard input that is not JSON stops with its number", async () => {
  const { code, stderr } = await pathos(["map", "pure.mjs:scale", "-", "--serial"], { stdin: "1\nx\n" });
  assertEquals(code, 2);
  assertMatch(stderr, /line 2 of standard input is not JSON/);
});

test("pathos alone, --help and help list the verbs", async () => {
  const { code, stdout } = await pathos([]);
  assertEquals(code, 0);
  assertMatch(stdout, /^ {2}map {2,}\S/m);
  assertEquals((await pathos(["--help"])).stdout, stdout);
  assertEquals((await pathos(["help"])).stdout, stdout);
});

test("every verb has its help, with flags, defaults and examples", async () => {
  const { stdout: overview } = await pathos(["help"]);
  const verbs = [...overview.matchAll(/^ {2}([a-z]+) {2,}\S/gm)].map(([, verb]) => verb);
  assert(verbs.includes("map"));
  for (const verb of verbs) {
    const { code, stdout } = await pathos(["help", verb]);
    assertEquals(code, 0);
    for (const part of [`Usage: pathos ${verb}`, "Flags:", "default", "Examples:"]) {
      assertStringIncludes(stdout, part);
    }
    assertEquals((await pathos([verb, "--help"])).stdout, stdout);
  }
});

test("--version tells the version and the runtime", async () => {
  const { code, stdout } = await pathos(["--version"]);
  assertEquals(code, 0);
  assertMatch(stdout, /^pathos \d+\.\d+\.\d+ \((deno|node) \d+\.\d+\.\d+\)\n$/);
});
