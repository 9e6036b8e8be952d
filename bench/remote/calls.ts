// Calls of 1 kB through the tunnel: one at a time, and with many under way.
import { startContender } from "../contender.ts";
import type { Sshd } from "../../tests/sshd.ts";
import { client, forward, type Row, type Running, startEcho } from "./rig.ts";
import { newSection, type Section, type Target, target } from "../table.ts";

const RATE = "calls/s";
const P50 = "p50 ms";
const P99 = "p99 ms";
const DEEP = "64 under way, calls/s";
const OURS = "ours: pool.pipe over ssh";

/** How much to measure. */
export interface CallsWork {
  calls: number;
  repetitions: number;
  bytes: number;
}

/** Measures our calls beside `fetch` and bare TCP over forwards made by hand, and `extra` rows that answer alike. */
export async function measureCalls(sshd: Sshd, work: CallsWork, extra: readonly Row[]): Promise<Section> {
  const section = newSection(`calls of ${work.bytes} bytes`, [
    { title: RATE, better: "more" },
    { title: P50, better: "less" },
    { title: P99, better: "less" },
    { title: DEEP, better: "more" },
  ]);
  const running: Running<unknown>[] = [];
  const keep = async <T>(started: Promise<Running<T>>): Promise<T> => {
    const one = await started;
    running.push(one);
    return one.value;
  };
  const contenders: ReturnType<typeof startContender<Row>>[] = [];
  try {
    const echo = await keep(startEcho());
    const server = { ...sshd.host(), workers: 1 };
    const bare = await keep(forward(sshd, echo.http, "-N"));
    const withSession = await keep(forward(sshd, echo.http, "session"));
    const tcp = await keep(forward(sshd, echo.tcp, "session"));
    const rows: Row[] = [
      client(OURS, "pool", { workers: 0, servers: [server] }),
      client("ours: to a server here, without ssh", "pool", { workers: 0, servers: [echo.url] }),
      client("ours: to a process here, without a server", "pool", { workers: 1 }),
      client("fetch over ssh -N -L", "fetch", { port: bare }),
      client("fetch over ssh -L with a session", "fetch", { port: withSession }),
      client("TCP echo over ssh -L with a session (ideal)", "tcp", { port: tcp }),
      ...extra,
    ];
    const { bytes } = work;
    const failed = new Set<Row>();
    const attempt = async (row: Row, run: () => Promise<void>) => {
      if (failed.has(row)) return;
      try {
        await run();
      } catch (error) {
        failed.add(row);
        section.fail(row.name, error);
      }
    };
    contenders.push(...rows.map((row) => startContender(row)));
    const ask = async (contender: typeof contenders[number], command: string, n: number) => {
      const reply = await contender.ask({ command, n, bytes });
      if (reply.error !== undefined) throw new Error(reply.error);
      return reply as unknown as { rate: number; p50: number; p99: number };
    };
    for (const contender of contenders) {
      await attempt(contender.row, async () => {
        for (let i = 0; i < 2; i++) await ask(contender, "calls", Math.ceil(work.calls / 2));
        await ask(contender, "deep", Math.ceil(work.calls / 2));
      });
    }
    for (let repetition = 0; repetition < work.repetitions; repetition++) {
      for (const contender of contenders) {
        const { name } = contender.row;
        await attempt(contender.row, async () => {
          const { rate, p50, p99 } = await ask(contender, "calls", work.calls);
          section.add(name, RATE, rate);
          section.add(name, P50, p50);
          section.add(name, P99, p99);
          section.add(name, DEEP, (await ask(contender, "deep", work.calls)).rate);
        });
      }
    }
  } finally {
    await Promise.all(contenders.map((contender) => contender.stop()));
    await Promise.all(running.map((one) => one.stop()));
  }
  return section;
}

/** What the calls must reach. */
export function callTargets(section: Section): Target[] {
  const of = (what: string, least: ">=" | "<=", bound: number, column: string) =>
    target(what, least, bound, section.median(OURS, column), section.best(OURS, column));
  return [
    of("calls through the tunnel, one at a time, calls/s", ">=", 4000, RATE),
    of("their p99, ms", "<=", 10, P99),
  ];
}
