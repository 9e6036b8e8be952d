/**
 * Worker processes of ranks, started and talked to from rank 0. Each rank but rank 0 is a relay: it starts a process when it
 * is told to, passes messages on both ways, and tells how the process ended. So a worker can be killed, limited and replaced
 * without ending the rank, and the rank always listens.
 */
import { Packr } from "msgpackr/pack";
import { Unpackr } from "msgpackr/unpack";
import { exit } from "../runtime/mod.ts";
import { type Child, type ChildEvents, type Limits, startChild } from "../map/child.ts";
import type { Served, StartServed } from "../map/server.ts";
import type { Loss } from "../map/worker.ts";
import type { Communicator } from "./communicator.ts";
import { mustStay } from "./farewell.ts";
import { openFrames } from "./rank_frames.ts";

/** To a relay. */
type ToRelay =
  | { do: "start"; worker: number; limits: Limits }
  | { do: "tell" | "end" | "kill"; worker: number }
  /** The job is over: kill what runs, answer, and end. */
  | { do: "bye" };

/** From a relay; the other parts of the frame are the worker's message. */
type FromRelay =
  | { say: "here"; host: string }
  | { say: "tell"; worker: number }
  | { say: "output"; worker: number; stream: "stdout" | "stderr"; line: string }
  | { say: "died"; worker: number; loss: Loss }
  | { say: "bye" };

const packer = new Packr({ useRecords: false });
const unpacker = new Unpackr({ useRecords: false });

/** Makes this rank a relay; it ends when rank 0 says so, and the job if it ends otherwise. */
export function relay(comm: Communicator, program: string): void {
  const children = new Map<number, Child>();
  let over = false;
  const say = (head: FromRelay, parts: readonly Uint8Array[] = []): void =>
    frames.send(0, [packer.pack(head), ...parts]);
  function start(worker: number, limits: Limits): void {
    const died = (loss: Loss): void => {
      children.delete(worker);
      if (!over) say({ say: "died", worker, loss });
    };
    try {
      children.set(
        worker,
        startChild(program, { ...limits, noConfig: true }, {
          message: (parts) => say({ say: "tell", worker }, parts),
          output: (stream, line) => say({ say: "output", worker, stream, line }),
          died,
        }),
      );
    } catch (error) {
      died({
        reason: `could not be started: ${(error as Error).message}`,
        signal: null,
        exitCode: null,
        stderr: "",
      });
    }
  }
  async function end(): Promise<void> {
    over = true;
    await Promise.all([...children.values()].map((child) => child.kill()));
    say({ say: "bye" });
    await frames.unsent();
    exit(0);
  }
  const frames = openFrames(comm, (_source, [packed, ...parts]) => {
    const head = unpacker.unpack(packed) as ToRelay;
    if (head.do === "bye") return void end();
    if (head.do === "start") return start(head.worker, head.limits);
    const child = children.get(head.worker);
    if (head.do === "tell") child?.send(parts);
    else if (head.do === "end") child?.end();
    else child?.kill();
  });
  mustStay(comm, () => over, "before the pool");
  say({ say: "here", host: comm.host });
  frames.listen(true);
}

/** All ranks of a job, seen from rank 0. */
export interface Relays {
  /** Machines of the ranks that have workers, in the order of the pool's slots; with rank 0 first if it works too. */
  readonly names: string[];
  readonly start: StartServed;
  /** Ends the other ranks. */
  close(): Promise<void>;
}

/**
 * Waits until all other ranks are there.
 *
 * @param onall Whether rank 0 has a worker too; it has if it is alone.
 */
export function openRelays(comm: Communicator, program: string, onall: boolean): Promise<Relays> {
  const withFirst = onall || comm.size === 1;
  const first = withFirst ? 0 : 1;
  const hosts: (string | undefined)[] = Array.from({ length: comm.size });
  hosts[0] = comm.host;
  const workers = new Map<number, ChildEvents & { tellGone: () => void }>();
  let numbers = 0;
  let left = comm.size - 1; // ranks that are still to come, or later to go
  let arrived: () => void;
  const all = new Promise<void>((resolve) => arrived = resolve);
  const tell = (rank: number, head: ToRelay, parts: readonly Uint8Array[] = []): void =>
    frames.send(rank, [packer.pack(head), ...parts]);
  const one = (): void => {
    if (--left === 0) arrived();
  };
  let gone = one;
  const frames = openFrames(comm, (source, [packed, ...parts]) => {
    const head = unpacker.unpack(packed) as FromRelay;
    if (head.say === "here") {
      hosts[source] = head.host;
      return one();
    }
    if (head.say === "bye") return gone();
    const events = workers.get(head.worker);
    if (head.say === "tell") return events?.message(parts);
    if (head.say === "output") return events?.output(head.stream, head.line);
    workers.delete(head.worker);
    events?.tellGone();
    events?.died(head.loss);
  });

  function onRank(rank: number, limits: Limits, events: ChildEvents): Served {
    const worker = ++numbers;
    let tellGone = (): void => {};
    const isGone = new Promise<void>((resolve) => tellGone = resolve);
    workers.set(worker, { ...events, tellGone });
    tell(rank, { do: "start", worker, limits });
    const stop = (how: "end" | "kill"): Promise<void> => {
      tell(rank, { do: how, worker });
      return isGone;
    };
    return {
      send: (parts) => tell(rank, { do: "tell", worker }, parts),
      end: () => stop("end"),
      kill: () => stop("kill"),
    };
  }

  frames.listen(true);
  if (left === 0) arrived!();
  return all.then(() => ({
    names: hosts.slice(first).map((host, i) => `rank ${i + first} (${host})`),
    start(slot, limits, events) {
      const rank = slot + first;
      if (rank === 0) return startChild(program, { ...limits, noConfig: true }, events);
      return onRank(rank, limits, events);
    },
    async close() {
      left = comm.size - 1;
      const ended = left === 0 ? Promise.resolve() : new Promise<void>((resolve) =>
        gone = () => {
          if (--left === 0) resolve();
        }
      );
      for (let rank = 1; rank < comm.size; rank++) tell(rank, { do: "bye" });
      await ended;
      frames.listen(false);
    },
  }));
}
