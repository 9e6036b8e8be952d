// The rows of the table: who competes, in which runtime, in which columns, and with how many items where the full
// number would take minutes (rates are comparable all the same).
import { ROOT } from "../../tasks/process.ts";
import { PEERS } from "./setup.ts";

export const COLUMNS = [
  "a",
  "a-chunks",
  "a-typed",
  "b",
  "b-nap",
  "c",
  "c-nap",
  "d",
  "d-moved",
  "start",
  "memory",
] as const;
export type Column = typeof COLUMNS[number];

/** One contender. */
export interface Row {
  /** Unique, and what `--rows` looks in: runtime and contender. */
  name: string;
  runtime: "deno" | "node" | "python";
  family: "serial" | "ideal" | "ours" | "npm" | "python";
  command: string[];
  columns: readonly Column[];
  /** Items of column (a) in a counted run. */
  trivialItems: number;
}

const MILLION = 1_000_000;
const POOL: Column[] = ["a", "b", "b-nap", "c", "c-nap", "d", "start", "memory"];
const WITH_TYPED: Column[] = ["a-typed", ...POOL];
const NPM: Column[] = ["a-chunks", "d-moved", ...WITH_TYPED];
const deno = [Deno.execPath(), "run", "-A", "--quiet"];

function javascript(runtime: "deno" | "node"): Row[] {
  const program = (folder: string, file: string) =>
    runtime === "deno" ? [...deno, `${folder}/${file}`] : ["node", `${folder}/${file}`];
  const row = (
    family: Row["family"],
    who: string,
    command: string[],
    columns: Column[],
    items: number,
  ): Row => ({
    name: `${runtime} ${who}`,
    runtime,
    family,
    command,
    columns,
    trivialItems: items,
  });
  const control = program(PEERS, "control.mjs");
  // In Deno our pools come from the checkout, in Node from the installed package.
  const ours = program(runtime === "deno" ? `${ROOT}/bench/map` : PEERS, "ours.mjs");
  const npm = program(PEERS, "npm_pools.mjs");
  return [
    row("serial", "serial loop", [...control, "serial"], ["a", "a-typed", "b", "c", "d"], MILLION),
    row("ideal", "ideal control", [...control, "ideal"], ["d-moved", ...WITH_TYPED], MILLION),
    row(
      "ours",
      "ours SerialPool",
      [...ours, "SerialPool"],
      ["a", "a-typed", "b", "c", "d", "start"],
      MILLION,
    ),
    row("ours", "ours ThreadPool", [...ours, "ThreadPool"], WITH_TYPED, MILLION),
    row("ours", "ours ProcessPool", [...ours, "ProcessPool"], WITH_TYPED, MILLION),
    ...["piscina", "tinypool", "workerpool"].map((peer) => row("npm", peer, [...npm, peer], NPM, 20_000)),
  ];
}

function python(who: string, argument: string, columns: Column[], items: number): Row {
  return {
    name: `python ${who}`,
    runtime: "python",
    family: argument === "serial" ? "serial" : "python",
    command: ["/usr/bin/python3", `${PEERS}/python_pools.py`, argument],
    columns,
    trivialItems: items,
  };
}

export const ROWS: readonly Row[] = [
  ...javascript("deno"),
  ...javascript("node"),
  python("serial loop", "serial", ["a", "b", "c"], MILLION),
  python("Pool.map", "pool", POOL, MILLION),
  python("Pool.map chunksize=1", "pool-1", ["a", "b", "b-nap", "c", "c-nap", "d"], 20_000),
  python("ProcessPoolExecutor best chunksize", "executor", POOL, MILLION),
  python("ProcessPoolExecutor chunksize=1", "executor-1", ["a", "b", "b-nap", "c", "c-nap", "d"], 10_000),
  python("joblib", "joblib", POOL, 200_000),
  python("dask.distributed", "dask", POOL, 1_000),
  python("dask.distributed chunks by hand", "dask-chunks", ["a", "b", "b-nap"], 100_000),
];
