// Measures columns: every row of a column gets a fresh process, is warmed up, and then the rows take turns, one run
// each per repetition, while all other processes are idle. Results are checked against each other.
import { type Contender, type Reply, startContender } from "../contender.ts";
import type { Column, Row } from "./rows.ts";
import { PEERS } from "./setup.ts";

/** Figures of one row in one column. Milliseconds are scaled to the column's full number of items. */
export interface Cell {
  /** ms; bytes in the column "memory". Utilisation (0 to 1) of the workers in the nap columns. */
  median: number;
  /** The best repetition. */
  best: number;
  samples: number[];
  /** Items in a run as it was measured. */
  items: number;
  error?: string;
}

/** What a run asks of a column. */
export interface Workload {
  /** Items that the column is named for: figures are scaled to them. */
  nominal: number;
  /** Items of a run. */
  items: number;
  weights?: number[];
  repetitions: number;
}

/** Steps of `spin` in a millisecond. */
export interface Calibration {
  javascript: number;
  python: number;
}

/** Bytes of a payload in the columns (d). */
export const PAYLOAD = 1_000_000;

export type Cells = Map<string, Cell>;

/** Measures one column for all rows that have it. */
export async function measureColumn(
  column: Column,
  rows: readonly Row[],
  workload: Workload,
  steps: Calibration,
): Promise<Cells> {
  const cells: Cells = new Map();
  const present = rows.filter((row) => row.columns.includes(column));
  if (column === "start" || column === "memory") {
    for (let repetition = 0; repetition < workload.repetitions; repetition++) {
      for (const row of present) {
        await add(cells, row, 1, () => column === "start" ? startOnce(row) : memoryOnce(row));
      }
    }
    return finish(cells, column);
  }
  const contenders = present.map((row) => startContender(row, PEERS));
  const checks = new Map<string, number>();
  const once = async (contender: Contender<Row>, items: number): Promise<number> => {
    const { row } = contender;
    const reply = await contender.ask({
      command: "measure",
      column,
      n: items,
      weights: workload.weights,
      bytes: PAYLOAD,
      stepsPerMs: row.runtime === "python" ? steps.python : steps.javascript,
    });
    const ms = milliseconds(reply);
    if (column.endsWith("-nap")) return reply.check! / (2 * ms);
    const language = row.runtime === "python" ? "python" : "javascript";
    const key = `${language} ${reply.items}`;
    const expected = checks.get(key) ?? reply.check!;
    if (reply.check !== expected) throw new Error(`wrong results: sum ${reply.check}, others ${expected}`);
    checks.set(key, expected);
    return ms * workload.nominal / reply.items!;
  };
  try {
    for (const contender of contenders) {
      const items = itemsOf(contender.row, column, workload);
      const few = column === "b" || column === "b-nap" ? Math.min(items, 200) : items;
      // Compilers settle after a few runs; where a run is short, one is not enough.
      const warmUps = column === "a" || column === "a-typed" ? 3 : 1;
      for (let i = 0; i < warmUps; i++) {
        await add(cells, contender.row, items, async () => {
          await once(contender, few);
        });
      }
    }
    for (let repetition = 0; repetition < workload.repetitions; repetition++) {
      for (const contender of contenders) {
        const items = itemsOf(contender.row, column, workload);
        await add(cells, contender.row, items, () => once(contender, items));
      }
    }
  } finally {
    await Promise.all(contenders.map((contender) => contender.stop()));
  }
  return finish(cells, column);
}

/** Runs `once` and adds its figure to the row's cell; a row that failed once is left alone. */
async function add(cells: Cells, row: Row, items: number, once: () => Promise<number | void>): Promise<void> {
  const cell = cells.get(row.name) ?? { median: NaN, best: NaN, samples: [], items };
  cells.set(row.name, cell);
  if (cell.error !== undefined) return;
  try {
    const figure = await once();
    if (figure !== undefined) cell.samples.push(figure);
  } catch (error) {
    cell.error = error instanceof Error ? error.message : String(error);
  }
}

/** Loops that take seconds, and dask's single calls, run on fewer items. */
function itemsOf(row: Row, column: Column, { items }: Workload): number {
  if (column === "a") return Math.min(items, row.trivialItems);
  const slow = row.family === "serial" || row.name.endsWith("SerialPool") ||
    row.name.endsWith("dask.distributed");
  return slow && (column === "b" || column === "b-nap") ? Math.max(1, Math.floor(items / 10)) : items;
}

async function startOnce(row: Row): Promise<number> {
  return await withContender(
    row,
    async (contender) => milliseconds(await contender.ask({ command: "start" })),
  );
}

/** Growth of the whole process tree from "library loaded" to "two workers have worked", for one worker. */
async function memoryOnce(row: Row): Promise<number> {
  return await withContender(row, async (contender) => {
    checked(await contender.ask({ command: "load" }));
    const before = contender.memory();
    checked(await contender.ask({ command: "warm" }));
    return Math.max(0, contender.memory() - before) / 2;
  });
}

/** Asks a row that is not in the table for something. */
export async function extra(row: Row, name: string): Promise<Reply> {
  return await withContender(
    row,
    async (contender) => checked(await contender.ask({ command: "extra", name })),
  );
}

async function withContender<T>(row: Row, use: (contender: Contender<Row>) => Promise<T>): Promise<T> {
  const contender = startContender(row, PEERS);
  try {
    return await use(contender);
  } finally {
    await contender.stop();
  }
}

function checked(reply: Reply): Reply {
  if (reply.error !== undefined) throw new Error(reply.error);
  return reply;
}

function milliseconds(reply: Reply): number {
  return checked(reply).ms!;
}

function finish(cells: Cells, column: Column): Cells {
  for (const cell of cells.values()) {
    const sorted = [...cell.samples].sort((a, b) => a - b);
    if (column.endsWith("-nap")) sorted.reverse();
    cell.best = sorted[0];
    cell.median = sorted.length % 2
      ? sorted[sorted.length >> 1]
      : (sorted[sorted.length / 2 - 1] + sorted[sorted.length / 2]) / 2;
  }
  return cells;
}
