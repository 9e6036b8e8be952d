// From a pool that was just made to its first result, in a fresh process each time: on a bare host, which first gets the
// program, and on one that was used before.
import type { Sshd } from "../../tests/sshd.ts";
import { run } from "../../tasks/process.ts";
import { dask } from "./peers.ts";
import { client, type Row, withContender } from "./rig.ts";
import { newSection, type Section, type Target, target } from "../table.ts";

const MS = "first result, ms";
const BARE = "ours: a bare host";
const LATER = "ours: a host used before";

/** How much to measure. */
export interface StartWork {
  repetitions: number;
  peers: boolean;
}

/** Measures how long a first result takes. */
export async function measureStart(sshd: Sshd, work: StartWork): Promise<Section> {
  const section = newSection("start", [{ title: MS, better: "less" }]);
  const servers = [{ ...sshd.host(), workers: 1 }];
  const pool = (name: string) => client(name, "pool", { workers: 0, servers });
  const attempt = async (name: string, once: () => Promise<number>) => {
    try {
      section.add(name, MS, await once());
    } catch (error) {
      section.fail(name, error);
    }
  };
  const contender = (row: Row) => attempt(row.name, () => firstResult(row));
  const command = (name: string, words: string[]) => attempt(name, () => sshCommand(sshd, words));
  for (let repetition = 0; repetition < work.repetitions; repetition++) {
    await Deno.remove(`${sshd.home}/.cache/pathos`, { recursive: true }).catch(() => {}); // as a host that is new
    await contender(pool(BARE));
    await contender(pool(LATER));
    await command("ssh host true (cold)", ["true"]);
    await command("ssh host deno, which does nothing (cold)", [Deno.execPath(), "eval", "0"]);
    if (work.peers) await contender(dask(sshd));
  }
  return section;
}

async function firstResult(row: Row): Promise<number> {
  return await withContender(row, async (contender) => {
    const reply = await contender.ask({ command: "start" });
    if (reply.error !== undefined) throw new Error(reply.error);
    await contender.ask({ command: "close" });
    return reply.ms!;
  });
}

async function sshCommand(sshd: Sshd, words: string[]): Promise<number> {
  const begin = performance.now();
  const { ok, output } = await run("ssh", ["-F", sshd.config, "host1", ...words], { quiet: true });
  if (!ok) throw new Error(output);
  return performance.now() - begin;
}

/** What it must reach. */
export function startTargets(section: Section): Target[] {
  const of = (what: string, row: string, most: number) =>
    target(what, "<=", most, section.median(row, MS), section.best(row, MS));
  return [of("first task on a bare host, ms", BARE, 1000), of("first task later, ms", LATER, 500)];
}
