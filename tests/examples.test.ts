/**
 * The examples, run with small parameters: they end well and print what their comments promise.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { tempDir, test } from "./harness.ts";

const CHECKOUT = "runs the TypeScript files of the checkout";

async function example(
  name: string,
  args: string[],
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const path = fileURLToPath(new URL(`../examples/${name}.ts`, import.meta.url));
  const child = spawn(process.execPath, ["run", "-A", "--quiet", path, ...args], {
    env: { ...process.env, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), 50_000);
  let stdout = "", stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text);
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  clearTimeout(timer);
  return { code, stdout, stderr };
}

test.deno(
  "examples/wordcount counts words, skips what is not text and tells the speed-up",
  CHECKOUT,
  async () => {
    using folder = tempDir();
    mkdirSync(`${folder.path}/sub`);
    writeFileSync(`${folder.path}/a.txt`, "To be, or not to be: that is the question.");
    writeFileSync(`${folder.path}/sub/b.txt`, "Sein oder nicht sein - to be");
    writeFileSync(`${folder.path}/sub/c.bin`, new Uint8Array([0, 1, 2, 255]));
    symlinkSync("a.txt", `${folder.path}/link.txt`);
    const { code, stdout } = await example("wordcount", [folder.path, "--workers", "2", "--top", "2"]);
    assertEquals(code, 0);
    assertMatch(stdout, /^(be|to) +3\n(be|to) +3\n/);
    assertMatch(stdout, /2 text files, .* 11 different words .* 2 threads: [\d.]+ MB\/s/);
    assertStringIncludes(
      stdout,
      "1 binary files, 0 unreadable files, 0 unreadable folders, 1 symbolic links",
    );
    assertMatch(stdout, /speed-up over SerialPool: [\d.]+/);
  },
);

test.deno("examples/mandelbrot writes a PNG picture", CHECKOUT, async () => {
  using folder = tempDir();
  const out = `${folder.path}/m.png`;
  const { code, stdout } = await example("mandelbrot", ["--width", "150", "--out", out, "--workers", "2"]);
  assertEquals(code, 0);
  assertStringIncludes(stdout, "150 x 100 pixels");
  const picture = readFileSync(out);
  assertEquals([...picture.subarray(0, 8)], [137, 80, 78, 71, 13, 10, 26, 10]);
  assertEquals([picture.readUInt32BE(16), picture.readUInt32BE(20)], [150, 100]);
});

test.deno(
  "examples/monte_carlo gives the same pi whatever the number of workers, within its error",
  CHECKOUT,
  async () => {
    const run = (workers: string) =>
      example("monte_carlo", ["--points", "1e6", "--workers", workers]).then(({ code, stdout }) => {
        assertEquals(code, 0);
        return /^pi = ([\d.]+) \+- ([\d.]+)/.exec(stdout)!.slice(1).map(Number);
      });
    const [pi, error] = await run("1");
    assertEquals(await run("3"), [pi, error]);
    assert(error > 0 && Math.abs(pi - Math.PI) < 5 * error);
  },
);

test.deno(
  "examples/cached computes nothing twice, in this run or the next",
  CHECKOUT,
  async () => {
    using folder = tempDir();
    const run = async () => {
      const { code, stdout, stderr } = await example("cached", [
        "--to",
        "2e5",
        "--file",
        `${folder.path}/c.sqlite`,
      ]);
      assertEquals([code, stderr], [0, ""]);
      assertStringIncludes(stdout, "starts at 156159 and has 383 numbers");
      return /blocks, (\d+) of them known/.exec(stdout)![1];
    };
    assertEquals([await run(), await run()], ["0", "8"]);
  },
);

test.deno(
  "examples/hosts draws one picture on three machines and counts who did what",
  CHECKOUT,
  async () => {
    using folder = tempDir();
    const out = `${folder.path}/h.png`;
    const { code, stdout, stderr } = await example("hosts", ["--width", "900", "--out", out]);
    assertEquals([code, stderr], [0, ""]);
    assertMatch(
      stdout,
      /216 tiles in .* s\nthis machine +\d+ tiles .*\nhost 1 +\d+ tiles .*\nhost 2 +\d+ tiles/,
    );
    const counts = [...stdout.matchAll(/(\d+) tiles {2}/g)].map(([, count]) => Number(count));
    assertEquals(counts.reduce((sum, count) => sum + count), 216);
    assertEquals(readFileSync(out).readUInt32BE(16), 900);
  },
);

test.deno("examples/errors shows every failure and ends well", CHECKOUT, async () => {
  const { code, stdout } = await example("errors", []);
  assertEquals(code, 0);
  for (
    const part of [
      "ParseError: line 3 is not a number",
      "examples/errors.ts:",
      "rejected line 3 is not a number",
      "took more than 300 ms",
      "killed by SIGKILL",
      "signal: SIGKILL",
      "a WeakMap exists only in this process",
      "AbortError",
      "[ 2, 3, 4 ] [ 2, 4, 6 ]",
    ]
  ) assertStringIncludes(stdout, part);
});
