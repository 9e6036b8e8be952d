// `deno task bench map`: our pools beside an ideal control and the pools of npm and Python, in one run and one table.
// 2 workers everywhere. Each contender has a process of its own, and the contenders take turns within a repetition.
// Needs `node`, npm and /usr/bin/python3; installs the peers on first use (see map/setup.ts). Takes some 20 minutes;
// `--quick` takes two and is for development only. Targets are printed beside the figures, not asserted.
import { parseArgs } from "@std/cli";
import { type Calibration, extra, measureColumn, type Workload } from "./map/measure.ts";
import { type Column, COLUMNS, type Row, ROWS } from "./map/rows.ts";
import { setUp } from "./map/setup.ts";
import { greedyTime, longestFirstTime, skewedWeights } from "./map/skew.ts";
import { type Table, type Target, targets } from "./map/targets.ts";

const HELP = `deno task bench map [--quick] [--only a,b] [--rows ours,piscina] [--json FILE]

  --quick       fewer items and repetitions, for development
  --only LIST   columns: ${COLUMNS.join(", ")}; "a" stands for a, a-chunks and a-typed
  --rows LIST   rows whose name contains one of these, such as "deno ours", "control", "python"
  --json FILE   writes all figures, every repetition included
`;

const TITLES: Record<Column, string> = {
  "a": "(a) 1M trivial items/s",
  "a-chunks": "(a) chunks by hand items/s",
  "a-typed": "(a) shared floats items/s",
  "b": "(b) 10,000 x 1 ms, ms",
  "b-nap": "(b) naps, utilisation",
  "c": "(c) 100 skewed, ms",
  "c-nap": "(c) naps, utilisation",
  "d": "(d) 50 x 1 MB, ms",
  "d-moved": "(d) given away, ms",
  "start": "first result, ms",
  "memory": "MB a worker",
};

const args = parseArgs(Deno.args, {
  boolean: ["quick", "help"],
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

const columns = COLUMNS.filter((column) =>
  !args.only || args.only.split(",").some((only) => column === only || column.startsWith(`${only}-`))
);
const wanted = ROWS.filter(({ name }) =>
  !args.rows || args.rows.split(",").some((part) => name.includes(part))
);
if (!columns.length || !wanted.length) {
  console.error(`--only and --rows leave nothing to measure\n\n${HELP}`);
  Deno.exit(2);
}

const weights = skewedWeights();
const workloads = args.quick ? quick() : full();
const failures = await setUp({
  npm: wanted.some(({ family }) => family === "npm"),
  node: wanted.some(({ family, runtime }) => family === "ours" && runtime === "node"),
  python: wanted.some(({ runtime }) => runtime === "python"),
});
const rows = wanted.filter(({ family, runtime }) =>
  !(failures.npm && family === "npm" || failures.python && runtime === "python" ||
    failures.node && family === "ours" && runtime === "node")
);

const loadBefore = Deno.loadavg()[0];
const steps = await calibrate();
const table: Table = {};
for (const column of columns) {
  const begin = performance.now();
  table[column] = await measureColumn(column, rows, workloads[column], steps);
  console.error(`measured ${column} in ${((performance.now() - begin) / 1000).toFixed(0)} s`);
}
const closure = await measureClosures();
const met = [...targets(table), ...closure];

printTable();
printErrors();
printTargets();
if (args.json) {
  const cells = Object.fromEntries(columns.map((column) => [column, Object.fromEntries(table[column]!)]));
  const result = { quick: args.quick, weights, workloads, steps, cells, targets: met };
  await Deno.writeTextFile(args.json, JSON.stringify(result, null, 1) + "\n");
}
// A contender that hung may have left a handle open.
Deno.exit(0);

function full(): Record<Column, Workload> {
  const workload = (items: number, repetitions: number) => ({ nominal: items, items, repetitions });
  return {
    "a": workload(1_000_000, 7),
    "a-chunks": workload(1_000_000, 5),
    "a-typed": workload(1_000_000, 15),
    "b": workload(10_000, 3),
    "b-nap": workload(2_000, 5),
    "c": { ...workload(weights.length, 15), weights },
    "c-nap": { ...workload(weights.length, 7), weights },
    "d": workload(50, 5),
    "d-moved": workload(50, 5),
    "start": workload(1, 9),
    "memory": workload(1, 3),
  };
}

function quick(): Record<Column, Workload> {
  const fewer: Partial<Record<Column, number>> = { "b": 400, "b-nap": 200, "d": 10, "d-moved": 10 };
  const shortened = Object.entries(full()).map(([column, workload]) => [column, {
    ...workload,
    items: fewer[column as Column] ?? workload.items,
    repetitions: Math.ceil(workload.repetitions / 3),
  }]);
  return Object.fromEntries(shortened);
}

/** The same steps for all JavaScript contenders: those that take Node a millisecond. */
async function calibrate(): Promise<Calibration> {
  const steps: Calibration = { javascript: 0, python: 0 };
  if (!columns.some((column) => column === "b" || column === "c")) return steps;
  const serial = (runtime: Row["runtime"]) => ROWS.find((row) => row.name === `${runtime} serial loop`)!;
  steps.javascript = (await extra(serial("node"), "calibrate")).stepsPerMs as number;
  if (rows.some(({ runtime }) => runtime === "python")) {
    steps.python = (await extra(serial("python"), "calibrate")).stepsPerMs as number;
  }
  return steps;
}

/** Microseconds of `dumps` and `loads` of a small closure, where our rows take part. */
async function measureClosures(): Promise<Target[]> {
  const found: Target[] = [];
  for (const row of rows.filter(({ name }) => name.endsWith("ours SerialPool"))) {
    try {
      const figures = await extra(row, "closure");
      for (const [name, most] of [["dumps", 100], ["loads", 25]] as const) {
        const measured = figures[name] as number;
        const what = `warm ${name} of a small closure in ${row.runtime}, us`;
        found.push({ what, target: `<= ${most}`, measured, best: NaN, met: measured <= most });
      }
    } catch (error) {
      console.error(`closures in ${row.runtime}: ${(error as Error).message}`);
    }
  }
  return found;
}

function printTable(): void {
  const head = ["", ...columns.map((column) => TITLES[column])];
  const lines = rows.map((row) => [row.name, ...columns.map((column) => cellText(column, row))]);
  // The titles are folded to their words so that columns stay narrow.
  const folded = head.map((title) => title.split(" "));
  const height = Math.max(...folded.map((words) => words.length));
  const titles = Array.from({ length: height }, (_, i) => folded.map((words) => words[i] ?? ""));
  const widths = head.map((_, i) => Math.max(...[...titles, ...lines].map((line) => line[i].length)));
  const draw = (line: string[]) =>
    line.map((text, i) => i ? text.padStart(widths[i]) : text.padEnd(widths[i])).join("  ").trimEnd();
  console.log(
    `median/best of each; 2 workers; load average ${loadBefore.toFixed(1)} before, ` +
      `${Deno.loadavg()[0].toFixed(1)} after${args.quick ? "; quick run, not for conclusions" : ""}\n`,
  );
  for (const line of [...titles, widths.map((width) => "-".repeat(width)), ...lines]) console.log(draw(line));
}

function cellText(column: Column, row: Row): string {
  const cell = table[column]?.get(row.name);
  if (!cell) return "";
  if (cell.error !== undefined) return "failed";
  return `${format(column, cell.median)}/${format(column, cell.best)}`;
}

function format(column: Column, figure: number): string {
  if (column === "a" || column === "a-chunks" || column === "a-typed") {
    const rate = workloads[column].nominal / figure * 1000;
    return rate >= 1e6
      ? `${(rate / 1e6).toFixed(1)}M`
      : rate >= 1e4
      ? `${(rate / 1e3).toFixed(0)}k`
      : rate.toFixed(0);
  }
  if (column.endsWith("-nap")) return figure.toFixed(3).replace(/^0/, "");
  if (column === "memory") return (figure / 1e6).toFixed(1);
  return figure >= 100 ? figure.toFixed(0) : figure.toFixed(1);
}

function printErrors(): void {
  const where = new Map<string, Column[]>();
  for (const column of columns) {
    for (const [name, { error }] of table[column]!) {
      if (error === undefined) continue;
      const line = `${name}: ${error.split("\n").slice(0, 2).join(" ").slice(0, 300)}`;
      where.set(line, [...where.get(line) ?? [], column]);
    }
  }
  for (const [line, failed] of where) console.log(`\nfailed (${failed.join(", ")}): ${line}`);
}

function printTargets(): void {
  if (columns.includes("c")) {
    const greedy = longestFirstTime(weights) / greedyTime(weights);
    console.log(
      `\n(c) taking items in the given order can reach ${
        (greedy * 100).toFixed(1)
      }% of the best static split`,
    );
  }
  if (!met.length) return;
  const width = Math.max(...met.map(({ what }) => what.length));
  console.log(
    `\n${"target".padEnd(width)}  ${"wanted".padStart(8)}  ${"median".padStart(8)}  ${"best".padStart(8)}`,
  );
  for (const { what, target, measured, best, met: reached } of met) {
    const figures = [target, number(measured), Number.isNaN(best) ? "" : number(best)];
    console.log(
      `${what.padEnd(width)}  ${figures.map((f) => f.padStart(8)).join("  ")}  ${reached ? "met" : "missed"}`,
    );
  }
}

function number(figure: number): string {
  return figure >= 100 ? figure.toFixed(0) : figure.toFixed(2);
}
