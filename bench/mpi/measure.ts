// Measures a part: the rows take turns within a repetition, each with a job of two ranks of its own, which warms up and then gives
// the figure of each of its batches. Medians and best figures are those of all batches of all repetitions.
import { must } from "../../tasks/process.ts";
import { type Column, newSection, type Section } from "../table.ts";
import type { Part, Row } from "./rows.ts";
import { CONTROL, LAUNCH_ENV, type Mpi } from "./setup.ts";

interface Batches {
  warm: number;
  count: number;
}

/** How much to measure. */
export interface Work {
  repetitions: number;
  /** Messages in a batch of small ones. */
  trips: number;
  /** Items of a map. */
  items: number;
  /** Items of a map with a message for each, or for each hundred. */
  single: number;
  hundreds: number;
  /** Such maps. */
  maps: Batches;
  small: Batches;
  large: Batches;
}

const LESS = (title: string): Column => ({ title, better: "less" });
const MORE = (title: string): Column => ({ title, better: "more" });
const POOL = [MORE("chunk 1"), MORE("chunk 100")];
const COLUMNS: Record<Part, readonly Column[]> = {
  messages: [LESS("8 B, us"), MORE("1 MB, GB/s"), MORE("16 MB, GB/s")],
  allreduce: [LESS("1M into, ms"), LESS("1M new, ms"), LESS("one number, us")],
  scatter: [MORE("values, items/s"), MORE("floats, items/s")],
  pool: POOL,
  tcp: [LESS("8 B, us"), ...POOL],
  start: [LESS("ms")],
};
const TITLES: Record<Part, string> = {
  messages: "messages, one way",
  allreduce: "sum of doubles",
  scatter: "static map of x * 2 + 1",
  pool: "pool, items/s",
  tcp: "by TCP, without libmpi",
  start: "to the first result",
};
const NOTES: Record<Part, string[]> = {
  messages: ["half a round trip of a Float64Array or numpy array, blocking send and receive"],
  allreduce: [
    "1M into: into an array that is there; 1M new: into a new one each time; one number: comm.allreduce(i)",
  ],
  scatter: [
    "values: comm.scatter of two lists of numbers, a loop, comm.gather of the lists, one list made of them",
    "floats: comm.scatter of a Float64Array, a loop, comm.gather; numpy: comm.Scatter, part * 2 + 1, comm.Gather",
    'MpiPool: map of a Float64Array into another with the strategy "scatter"',
  ],
  pool: ["one worker and the rank that gives out the work; the same function, written by the user, in all"],
  tcp: ["the same communicator and pool with PATHOS_MPI=tcp"],
  start: ["mpirun of two ranks that add up a number each, from start to end of the whole job"],
};

/** Measures one part of the run for the rows that have it. */
export async function measure(part: Part, rows: readonly Row[], work: Work, mpi: Mpi): Promise<Section> {
  const section = newSection(TITLES[part], COLUMNS[part]);
  section.notes.push(...NOTES[part]);
  const failed = new Set<string>();
  for (let repetition = 0; repetition < work.repetitions; repetition++) {
    for (const row of rows.filter(({ parts }) => parts.includes(part))) {
      if (failed.has(row.name)) continue;
      try {
        for (const [column, figures] of Object.entries(await job(part, row, work, mpi))) {
          for (const figure of figures) section.add(row.name, column, figure);
        }
      } catch (error) {
        failed.add(row.name);
        section.fail(row.name, error);
      }
    }
  }
  return section;
}

async function job(part: Part, row: Row, work: Work, mpi: Mpi): Promise<Record<string, number[]>> {
  const { trips, small, large } = work;
  const words = row.command[0] === CONTROL
    ? [trips, small.warm, small.count, large.warm, large.count].map(String)
    : [JSON.stringify(work)];
  const begin = performance.now();
  const output = await must(mpi.launcher, ["-n", "2", ...row.command, part, ...words], {
    env: { ...LAUNCH_ENV, ...part === "tcp" ? { PATHOS_MPI: "tcp" } : {} },
    limit: 300_000,
  });
  const ms = performance.now() - begin;
  return part === "start" ? { ms: [ms] } : JSON.parse(output);
}
