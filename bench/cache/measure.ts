// Measures a part: every row gets a process, does a small run to warm up, and then the rows take turns, one run each per
// repetition, while all other processes are idle.
import { type Contender, startContender } from "../contender.ts";
import { type Column, newSection, type Section } from "../table.ts";
import type { Part, Row } from "./rows.ts";
import { PEERS } from "./setup.ts";

/** How much to measure. */
export interface Work {
  /** Calls of a memoized function. */
  calls: number;
  /** Entries of 200 bytes. */
  entries: number;
  /** Those that are written one by one. */
  singles: number;
  /** Entries of 1 MB. */
  blobs: number;
  repetitions: number;
}

const ONE = "x => ..., number", TWO = "(x, y) => ..., number and text";
const TITLES: Record<Part, string> = {
  hit: "memory hit of a memoized function",
  exclusive: "store that one process has alone",
  shared: "store that processes share",
};
const COLUMNS: Record<Part, string[]> = {
  hit: [ONE, TWO],
  exclusive: ["batch", "put", "get", "get again", "put 1 MB", "get 1 MB"],
  shared: ["batch", "put", "get", "get again", "put 1 MB", "get 1 MB"],
};
const NOTES: Record<Part, string[]> = {
  hit: ["50 hot keys of at most 100; klepto and diskcache with their own default settings"],
  exclusive: ["locking_mode=EXCLUSIVE, WAL and synchronous=NORMAL for all"],
  shared: [
    "ours, node:sqlite and better-sqlite3: journal_mode=TRUNCATE, synchronous=NORMAL; diskcache: WAL, synchronous=NORMAL; " +
    "keyv, klepto: their own",
    "batch: 200 bytes each in one transaction, where there are transactions; put and get: one by one",
    "get: each key for the first time; get again: for the third",
  ],
};

/** Measures one part of the run for the rows that have it; `folder` is where stores are written. */
export async function measure(
  part: Part,
  rows: readonly Row[],
  work: Work,
  folder: string,
): Promise<Section> {
  const columns = COLUMNS[part].map((title): Column => ({ title, better: "more" }));
  const section = newSection(TITLES[part], columns);
  section.notes.push(...NOTES[part]);
  const contenders = rows.filter((row) => row.parts.includes(part)).map((row) => startContender(row, PEERS));
  const failed = new Set<string>();
  const run = async (contender: Contender<Row>, share: number, record: boolean) => {
    const { name } = contender.row;
    if (failed.has(name)) return;
    try {
      const figures = part === "hit"
        ? await hits(contender, work, share)
        : await store(contender, part, work, share, folder);
      if (!record) return;
      for (const [column, figure] of Object.entries(figures)) section.add(name, column, figure);
    } catch (error) {
      failed.add(name);
      section.fail(name, error);
    }
  };
  try {
    for (const contender of contenders) await run(contender, 0.1, false);
    for (let repetition = 0; repetition < work.repetitions; repetition++) {
      for (const contender of contenders) await run(contender, 1, true);
    }
  } finally {
    for (const contender of contenders) await contender.stop();
  }
  return section;
}

async function hits(
  contender: Contender<Row>,
  work: Work,
  share: number,
): Promise<Record<string, number>> {
  const calls = Math.ceil(work.calls * share * contender.row.share / 50) * 50;
  const figures: Record<string, number> = {};
  for (const [args, column] of [[1, ONE], [2, TWO]] as const) {
    figures[column] = (await ask(contender, { part: "hit", calls, args })).hit;
  }
  return figures;
}

async function store(
  contender: Contender<Row>,
  mode: Part,
  work: Work,
  share: number,
  folder: string,
): Promise<Record<string, number>> {
  const some = (count: number) => Math.ceil(count * share * contender.row.share);
  const own = await Deno.makeTempDir({ dir: folder });
  try {
    return await ask(contender, {
      part: "store",
      mode,
      folder: own,
      bytes: 200,
      blobBytes: 1_000_000,
      entries: some(work.entries),
      singles: some(work.singles),
      blobs: some(work.blobs),
    });
  } finally {
    await Deno.remove(own, { recursive: true });
  }
}

async function ask(
  contender: Contender<Row>,
  request: Record<string, unknown>,
): Promise<Record<string, number>> {
  const reply = await contender.ask(request, 300_000);
  if (reply.error !== undefined) throw new Error(reply.error);
  return reply.figures as Record<string, number>;
}

export { ONE as HIT };
