// Unequal workers: 2 on this machine and one on a host of half the speed, some way off. Items are naps, so that the
// workers do not share cores. The figure is the time of a map over the least time that anybody could need, the fluid
// bound: what every worker could do from the moment its first item can have reached it and its last result returned.
import { startContender } from "../contender.ts";
import { SLOWNESS, STALL } from "./jobs.ts";
import type { Network } from "./network.ts";
import { client } from "./rig.ts";
import { newSection, type Section, type Target, target } from "../table.ts";

/** How much to measure. */
export interface MixWork {
  tasks: number;
  repetitions: number;
  /** Milliseconds of round trip that the network adds, one column group each. */
  trips: number[];
}

const LOCAL = 2;
const SLOW = 2;
const LOADS = ["exp", "pareto"] as const;
type Load = typeof LOADS[number];

/** The rows of the mix: options of the map, by name. */
const OPTIONS: Record<string, (tasks: number) => Record<string, unknown>> = {
  "ours": () => ({}),
  "ours, speculate": () => ({ speculate: true }),
  "ours, chunkSize 32": () => ({ chunkSize: 32 }),
  "static split in equal parts": (tasks) => ({ chunkSize: Math.ceil(tasks / (LOCAL + 1)) }),
};

/** Milliseconds of naps with a mean of 1, always the same for a seed. */
export function weights(load: Load, tasks: number, seed: number): number[] {
  let state = seed;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  // Pareto with the exponent 2.5: the mean exists, the tail is long.
  const raw = Array.from(
    { length: tasks },
    () => load === "exp" ? -Math.log(uniform()) : uniform() ** (-1 / 2.5),
  );
  const scale = tasks / raw.reduce((a, b) => a + b);
  return raw.map((weight) => weight * scale);
}

/** Least time for so much work: the F of sum over w of rate_w * max(0, F - trip_w) = work. */
export function fluidBound(work: number, workers: readonly { rate: number; trip: number }[]): number {
  const nearFirst = [...workers].sort((a, b) => a.trip - b.trip);
  let rate = 0;
  let missed = 0;
  let time = Infinity;
  for (const worker of nearFirst) {
    if (time <= worker.trip) break;
    rate += worker.rate;
    missed += worker.rate * worker.trip;
    time = (work + missed) / rate;
  }
  return time;
}

/** Measures the mix for each round trip, and with a host that stalls. */
export async function measureMix(
  network: Network,
  work: MixWork,
): Promise<{ mix: Section; stall: Section }> {
  const title = (load: Load, trip: number) => `${load}, ${trip} ms`;
  const columns = work.trips.flatMap((trip) => LOADS.map((load) => title(load, trip)));
  const section = (name: string) => newSection(name, columns.map((title) => ({ title, better: "less" })));
  const mix = section("2 here + 1 of half speed, time / bound");
  const stall = section(`the same, stalls ${STALL}x midway, time / bound`);
  mix.notes.push(
    `${work.tasks} naps of 1 ms on average; the bound counts naps as long as they were; columns: distribution, ` +
      `round trip added by a ${network.how}`,
  );
  stall.notes.push("the bound is that of a host that does not stall, so 1.0 cannot be reached");
  for (const trip of work.trips) {
    await network.set(trip / 2);
    const host = { ...network.host(), workers: 1, env: { [SLOWNESS]: String(SLOW) } };
    const row = client("ours", "pool", { workers: LOCAL, servers: [host] });
    const contender = startContender(row);
    const workers = [
      ...Array.from({ length: LOCAL }, () => ({ rate: 1, trip: 0 })),
      { rate: 1 / SLOW, trip },
    ];
    const ask = async (request: Record<string, unknown>) => {
      const reply = await contender.ask(request);
      if (reply.error !== undefined) throw new Error(reply.error);
      return reply as unknown as { ms: number; work: number };
    };
    const measure = async (into: Section, name: string, load: Load, seed: number, stalls: boolean) => {
      const options = OPTIONS[name](work.tasks);
      const naps = weights(load, work.tasks, seed);
      const nominal = fluidBound(work.tasks, workers);
      await ask({ command: "ready" }); // a worker that was left in a stall is replaced first
      const reply = await ask({
        command: "mix",
        weights: naps,
        options,
        stall: stalls ? nominal / 2 : undefined,
      });
      into.add(name, title(load, trip), reply.ms / fluidBound(reply.work, workers));
    };
    try {
      for (let repetition = 0; repetition < work.repetitions; repetition++) {
        for (const load of LOADS) {
          for (const name of Object.keys(OPTIONS)) await measure(mix, name, load, 7 + repetition, false);
          for (const name of ["ours", "ours, speculate"]) {
            await measure(stall, name, load, 7 + repetition, true);
          }
        }
      }
    } catch (error) {
      for (const section of [mix, stall]) section.fail(row.name, error);
    } finally {
      await contender.stop();
    }
  }
  await network.set(0);
  return { mix, stall };
}

/** What the mix must reach, in the worst column. */
export function mixTargets({ mix, stall }: { mix: Section; stall: Section }): Target[] {
  const worst = (section: Section, row: string, which: "median" | "best") =>
    Math.max(...section.columns.map(({ title }) => section[which](row, title)));
  const one = (what: string, section: Section, row: string, bound: number) =>
    target(what, "<=", bound, worst(section, row, "median"), worst(section, row, "best"));
  return [
    one("mix of unequal workers, time / bound", mix, "ours", 1.10),
    one("the same, with speculate", mix, "ours, speculate", 1.10),
    one(`a host that stalls ${STALL}x, with speculate, time / bound`, stall, "ours, speculate", 1.5),
  ];
}
