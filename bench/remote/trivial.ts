// Trivial items through one server with one worker: what a call costs when the library may pack items together, and
// when it may not.
import { startContender } from "../contender.ts";
import type { Sshd } from "../../tests/sshd.ts";
import { dask, parallelRate, PPFT_RATE } from "./peers.ts";
import { client, type Row } from "./rig.ts";
import { newSection, type Section, type Target, target } from "../table.ts";

const RATE = "items/s";
const OURS = "ours: map";
const EACH = "ours: map, chunkSize 1";
const PARALLEL = "GNU parallel --sshlogin, 8 at a time";

/** How much to measure. */
export interface TrivialWork {
  items: number;
  /** Items of dask, which takes milliseconds for each. */
  daskItems: number;
  /** Jobs of GNU parallel, each of which is an ssh connection. */
  jobs: number;
  repetitions: number;
  peers: boolean;
}

/** Measures trivial items a second. */
export async function measureTrivial(sshd: Sshd, work: TrivialWork): Promise<Section> {
  const section = newSection(`${work.items.toLocaleString("en")} trivial items`, [
    { title: RATE, better: "more" },
  ]);
  const ours = client(OURS, "pool", { workers: 0, servers: [{ ...sshd.host(), workers: 1 }] });
  const contenders = [ours, ...(work.peers ? [dask(sshd)] : [])].map((row) => startContender(row));
  const failed = new Set<Row>();
  const once = async (contender: typeof contenders[number], name: string, each: boolean, counts: boolean) => {
    if (failed.has(contender.row)) return;
    const n = contender.row === ours ? work.items : work.daskItems;
    const reply = await contender.ask({ command: "trivial", n, each })
      .catch((error) => ({ error: error.message, rate: NaN }));
    if (reply.error !== undefined) {
      failed.add(contender.row);
      section.fail(name, reply.error);
    } else if (counts) section.add(name, RATE, reply.rate as number);
  };
  try {
    for (let repetition = -1; repetition < work.repetitions; repetition++) {
      const counts = repetition >= 0; // the first one connects and warms up
      for (const contender of contenders) {
        const isOurs = contender.row === ours;
        await once(contender, contender.row.name, false, counts);
        if (isOurs) await once(contender, EACH, true, counts);
      }
    }
  } finally {
    await Promise.all(contenders.map((contender) => contender.stop()));
  }
  if (work.peers) {
    try {
      section.add(PARALLEL, RATE, await parallelRate(sshd, work.jobs));
    } catch (error) {
      section.fail(PARALLEL, error);
    }
    section.notes.push(
      `GNU parallel: ${work.jobs} jobs, once; ppft: ${PPFT_RATE} items/s, measured elsewhere`,
    );
  }
  return section;
}

/** What they must reach. */
export function trivialTargets(section: Section): Target[] {
  const least = 100 * PPFT_RATE;
  const of = (what: string, row: string) =>
    target(what, ">=", least, section.median(row, RATE), section.best(row, RATE));
  return [of("trivial items/s through one server", OURS), of("the same, each in a message of its own", EACH)];
}
