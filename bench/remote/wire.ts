// The wire when it is long and loses packets: our pool over the distances given. Reported, without a target.
import { startContender } from "../contender.ts";
import type { Network } from "./network.ts";
import { client } from "./rig.ts";
import { newSection, type Section } from "../table.ts";

/** A distance. */
export interface Distance {
  /** Milliseconds of round trip. */
  trip: number;
  /** Percent of packets lost each way. */
  loss: number;
}

/** How much to measure. */
export interface WireWork {
  distances: Distance[];
  repetitions: number;
}

const RATE = "calls/s";
const P50 = "p50 ms";
const P99 = "p99 ms";
const DEEP = "64 under way, calls/s";
const ITEMS = "10,000 items/s";
const PAYLOAD = "1 MB items, MB/s";

/** Measures our pool over each distance; results are checked by the client. */
export async function measureWire(network: Network, work: WireWork): Promise<Section> {
  const more = [DEEP, ITEMS, PAYLOAD].map((title) => ({ title, better: "more" as const }));
  const section = newSection(`ours over a ${network.how}`, [
    { title: RATE, better: "more" },
    { title: P50, better: "less" },
    { title: P99, better: "less" },
    ...more,
  ]);
  for (const { trip, loss } of work.distances) {
    const name = `${trip} ms round trip, ${loss}% loss`;
    const servers = [{ ...network.host(), workers: 1 }];
    let contender: ReturnType<typeof startContender<ReturnType<typeof client>>> | undefined;
    const ask = async (request: Record<string, unknown>) => {
      const reply = await contender!.ask(request);
      if (reply.error !== undefined) throw new Error(reply.error);
      return reply as unknown as { rate: number; p50: number; p99: number };
    };
    try {
      await network.set(trip / 2, loss);
      contender = startContender(client(name, "pool", { workers: 0, servers }));
      await ask({ command: "calls", n: 20, bytes: 1000 });
      for (let repetition = 0; repetition < work.repetitions; repetition++) {
        const { rate, p50, p99 } = await ask({ command: "calls", n: 100, bytes: 1000 });
        section.add(name, RATE, rate);
        section.add(name, P50, p50);
        section.add(name, P99, p99);
        section.add(name, DEEP, (await ask({ command: "deep", n: 1000, bytes: 1000 })).rate);
        section.add(name, ITEMS, (await ask({ command: "trivial", n: 10_000 })).rate);
        section.add(name, PAYLOAD, (await ask({ command: "payload", n: 4, bytes: 1_000_000 })).rate);
      }
    } catch (error) {
      section.fail(name, error);
    } finally {
      await contender?.stop();
    }
  }
  await network.set(0);
  return section;
}
