/** The examples of MPI, as ranks of real jobs: Open MPI and MPICH. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { runtime, tempDir, test } from "./harness.ts";
import { AS_ROOT, type Mpi, MPIS } from "./mpi.ts";

const LIMIT = 60_000;

/** Runs an example, by itself or as so many ranks; gives its output. It has to end well and say nothing else. */
async function example(name: string, args: string[], mpi?: Mpi, ranks = 1): Promise<string> {
  const path = fileURLToPath(new URL(`../examples/${name}.ts`, import.meta.url));
  const [program, ...words] = [
    ...mpi?.words(ranks) ?? [],
    process.execPath,
    "run",
    "-A",
    "--quiet",
    path,
    ...args,
  ];
  const child = spawn(program, words, {
    env: { ...process.env, ...AS_ROOT, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: LIMIT,
    killSignal: "SIGKILL",
  });
  let stdout = "", stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text);
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  assertEquals([code, stderr], [0, ""]);
  return stdout;
}

/** A test of examples, which only Deno runs, with the launchers that it needs. */
function check(programs: readonly string[], name: string, body: () => Promise<void>): void {
  test.needs(programs, name, body, {
    timeout: 2 * LIMIT,
    notHere: runtime === "node" ? "Deno only: runs the TypeScript files of the checkout" : undefined,
  });
}

/** Points and tolerance with which the plate is steady after some hundred steps. */
const SMALL = ["--points", "20", "--tolerance", "1e-4"];

/** The plate's picture, how many steps it took, and how far it is from the exact solution, to the last bit. */
async function heat(mpi?: Mpi, ranks = 1) {
  using folder = tempDir();
  const out = `${folder.path}/heat.png`;
  const said = await example("mpi_heat", [...SMALL, "--out", out], mpi, ranks);
  const [, steps, error] =
    /^steady after (\d+) steps, to \S+ in a step\nat most (\S+) from the exact solution\n/.exec(said)!;
  assertMatch(said, new RegExp(`heat\\.png: 20 x 20 points on ${ranks} ranks`));
  return { steps: Number(steps), error: Number(error), picture: readFileSync(out) };
}

for (const mpi of MPIS) {
  for (const ranks of [2, 4]) {
    check([mpi.program], `${mpi.name}: examples/mpi_hello greets from ${ranks} ranks in order`, async () => {
      const lines = (await example("mpi_hello", [], mpi, ranks)).split("\n");
      assertEquals(
        lines.slice(0, ranks).map((line) => line.replace(/ on \S+$/, "")),
        Array.from({ length: ranks }, (_, rank) => `hello from rank ${rank} of ${ranks}`),
      );
      assertMatch(lines[ranks], new RegExp(`^MPI is .*${mpi.name}`, "i"));
    });

    check(
      [mpi.program],
      `${mpi.name}: examples/mpi_pi is as near to pi on ${ranks} ranks as it says`,
      async () => {
        const said = await example("mpi_pi", ["--steps", "1e5"], mpi, ranks);
        const [, pi, bound] = /^pi = (\S+) \+- (\S+)\n/.exec(said)!.map(Number);
        assert(Math.abs(pi - Math.PI) <= bound && bound < 1e-10, said);
        assertMatch(said, new RegExp(`1e\\+5 steps on ${ranks} ranks`));
      },
    );

    check(
      [mpi.program],
      `${mpi.name}: examples/mpi_heat gives the same plate on ${ranks} ranks as on one, to the last bit`,
      async () => {
        const alone = await heat();
        assertEquals(await heat(mpi, ranks), alone);
        assert(alone.steps > 100 && alone.error < 0.05, JSON.stringify(alone));
        assertEquals([...alone.picture.subarray(1, 4)], [...new TextEncoder().encode("PNG")]);
        assertEquals([alone.picture.readUInt32BE(16), alone.picture.readUInt32BE(20)], [20, 20]);
      },
    );
  }
}

check(
  [],
  "examples/mpi_pi run without a launcher is one rank, and its error shrinks with the square of the step",
  async () => {
    const error = async (steps: string) => {
      const said = await example("mpi_pi", ["--steps", steps]);
      assertMatch(said, /steps on 1 ranks/);
      const [, pi, bound] = /^pi = (\S+) \+- (\S+)\n/.exec(said)!.map(Number);
      assert(Math.abs(pi - Math.PI) <= bound, said);
      return Math.abs(pi - Math.PI);
    };
    const ratio = await error("10") / await error("100");
    assert(ratio > 95 && ratio < 105, `${ratio}`);
  },
);
