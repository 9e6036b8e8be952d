// `deno task bench mpi`: our communicator and MpiPool beside mpi4py and beside MPI called from C, in jobs of two ranks, in one
// run. The contenders take turns within a repetition. Needs Open MPI or MPICH, `node`, npm and /usr/bin/python3; installs
// mpi4py and NumPy from Debian on first use (see mpi/setup.ts). Takes some ten minutes; `--quick` takes two and is for
// development only. Targets are printed beside the figures, not asserted.
import { parseArgs } from "@std/cli";
import { measure, type Work } from "./mpi/measure.ts";
import { type Part, PARTS, ROWS } from "./mpi/rows.ts";
import { MPICH, type Need, OPEN_MPI, setUp, versions } from "./mpi/setup.ts";
import { targets } from "./mpi/targets.ts";
import { type Section, targetLines } from "./table.ts";

const HELP = `deno task bench mpi [--quick] [--mpich] [--only a,b] [--rows ours,mpi4py] [--json FILE]

  --quick      fewer batches and repetitions, for development
  --mpich      with MPICH instead of Open MPI; without mpi4py, which Debian builds for Open MPI
  --only LIST  parts: ${PARTS.join(", ")}
  --rows LIST  rows whose name contains one of these, such as "deno", "mpi4py"
  --json FILE  writes all figures, every batch included
`;

const args = parseArgs(Deno.args, {
  boolean: ["quick", "mpich", "help"],
  string: ["only", "rows", "json"],
  unknown(arg: string) {
    console.error(`there is no ${JSON.stringify(arg)} here\n\n${HELP}`);
    Deno.exit(2);
  },
});
if (args.help) {
  console.log(HELP);
  Deno.exit(0);
}

const mpi = args.mpich ? MPICH : OPEN_MPI;
const parts = PARTS.filter((part) => !args.only || args.only.split(",").includes(part));
const wanted = ROWS.filter(({ name, parts: has }) =>
  has.some((part) => parts.includes(part)) &&
  (!args.rows || args.rows.split(",").some((piece) => name.includes(piece)))
);
if (wanted.length === 0) {
  console.error(`--only and --rows leave nothing to measure\n\n${HELP}`);
  Deno.exit(2);
}
const batches = (warm: number, count: number) => ({ warm, count });
const common = { trips: 1000, items: 1_000_000, single: 20_000, hundreds: 1_000_000 };
const work: Work = args.quick
  ? { ...common, repetitions: 2, small: batches(30, 50), large: batches(5, 10), maps: batches(3, 3) }
  : { ...common, repetitions: 7, small: batches(50, 200), large: batches(8, 20), maps: batches(6, 5) };

const failures = await setUp(mpi, new Set(wanted.flatMap(({ needs }) => needs ?? [])));
const present = wanted.filter(({ needs }) => needs === undefined || failures[needs] === undefined);
const loadBefore = Deno.loadavg()[0];
const begin = performance.now();
const sections: Partial<Record<Part, Section>> = {};
for (const part of parts) {
  const start = performance.now();
  sections[part] = await measure(part, present, work, mpi);
  console.error(`measured ${part} in ${((performance.now() - start) / 1000).toFixed(0)} s`);
}

const found = targets(sections);
const what = await versions(mpi);
console.log(
  `median/best of each; 2 ranks; ${navigator.hardwareConcurrency} cores; load average ${
    loadBefore.toFixed(1)
  } before, ${Deno.loadavg()[0].toFixed(1)} after; ${((performance.now() - begin) / 1000).toFixed(0)} s` +
    `${args.quick ? "; quick run, not for conclusions" : ""}\n${what}\n`,
);
for (const section of Object.values(sections)) console.log(`${section.lines().join("\n")}\n`);
for (const [need, why] of Object.entries(failures) as [Need, string][]) {
  console.log(`left out for want of ${need}: ${why.split("\n").slice(0, 2).join(" ").slice(0, 300)}\n`);
}
if (found.length > 0) console.log(targetLines(found).join("\n"));
if (args.json) {
  const result = { quick: args.quick, versions: what, work, sections, targets: found };
  await Deno.writeTextFile(args.json, JSON.stringify(result, null, 1) + "\n");
}
