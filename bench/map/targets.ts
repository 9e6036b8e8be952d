// The figures that the project set itself, each beside what was measured in this run. Nothing is asserted: the
// machine decides how much noise there is, the reader what it means.
import type { Cells } from "./measure.ts";
import type { Column } from "./rows.ts";

export type Table = Partial<Record<Column, Cells>>;

/** One target: `measured` of medians, `best` of the best repetitions. */
export interface Target {
  what: string;
  target: string;
  measured: number;
  best: number;
  met: boolean;
}

const NPM = ["piscina", "tinypool", "workerpool"];

/** Targets whose rows were measured. */
export function targets(table: Table): Target[] {
  const found: Target[] = [];
  const figure = (column: Column, row: string, which: "median" | "best") =>
    table[column]?.get(row)?.[which] ?? NaN;
  /** Time of the fastest of `others` over time of `ours`: above 1 we are faster. */
  const ratio = (
    what: string,
    least: number,
    ours: string,
    others: string[],
    columns: Column[],
    oursIn: Column = columns[0],
  ) => {
    const of = (which: "median" | "best") => {
      const rivals = columns.flatMap((column) => others.map((other) => figure(column, other, which)));
      const known = rivals.filter((ms) => !Number.isNaN(ms));
      return known.length ? Math.min(...known) / figure(oursIn, ours, which) : NaN;
    };
    const measured = of("median");
    if (!Number.isNaN(measured)) {
      found.push({ what, target: `>= ${least}x`, measured, best: of("best"), met: measured >= least });
    }
  };
  for (const runtime of ["deno", "node"]) {
    const ours = `${runtime} ours ThreadPool`;
    const npm = NPM.map((peer) => `${runtime} ${peer}`);
    ratio(`(a) ${ours} / npm peers per item`, 500, ours, npm, ["a"]);
    ratio(`(a) ${ours} / Pool.map`, 8, ours, ["python Pool.map"], ["a"]);
    ratio(`(a) ${ours} / joblib`, 30, ours, ["python joblib"], ["a"]);
    ratio(`(a) ${ours} typed / serial typed loop`, 1.5, ours, [`${runtime} serial loop`], ["a-typed"]);
    for (const pool of [ours, `${runtime} ours ProcessPool`]) {
      ratio(`(b) ${pool} / ideal control`, 0.95, pool, [`${runtime} ideal control`], ["b"]);
      ratio(`(c) ${pool} / best static split`, 0.95, pool, [`${runtime} ideal control`], ["c"]);
      ratio(`(c) ${pool} / best npm peer`, 0.98, pool, npm, ["c"]);
    }
    const least = runtime === "deno" ? 20 : 1;
    ratio(`(d) ${ours} / piscina, copied`, least, ours, [`${runtime} piscina`], ["d"]);
    // Moved buffers are lost to the caller, which our pools never do; the comparison is in piscina's favour.
    ratio(`(d) ${ours} / piscina, given away`, least, ours, [`${runtime} piscina`], ["d-moved"], "d");
  }
  const start = (which: "median" | "best") => figure("start", "deno ours ThreadPool", which);
  if (!Number.isNaN(start("median"))) {
    const [measured, best] = [start("median"), start("best")];
    const what = "start to first result, deno ours ThreadPool, ms";
    found.push({ what, target: "<= 50", measured, best, met: measured <= 50 });
  }
  return found;
}
