/**
 * A rank that works for the pool of rank 0: what a worker process does, in this process, with messages through MPI instead
 * of a pipe. It serves until rank 0 says that it is over, and then ends the process: nothing that follows in the program
 * is run here. If the program ends before, the job ends with an error, since rank 0 would wait for this rank for ever.
 */
import { exit, type Port } from "../runtime/mod.ts";
import { runWorker } from "../map/worker_main.ts";
import type { Communicator } from "./communicator.ts";
import { mustStay } from "./farewell.ts";
import { openFrames } from "./rank_frames.ts";

/** The first part of a frame is one byte that says what it is. */
export const Kind = {
  /** From a rank: it serves. The other part is the name of its machine. */
  HELLO: 1,
  /** The other parts are a message of the worker's protocol. */
  MESSAGE: 2,
  /** From rank 0: the program is over. The answer is the same. */
  BYE: 3,
} as const;

/** The first part of a frame. */
export const kindOf = (kind: number): Uint8Array => KINDS[kind];

const KINDS = [0, 1, 2, 3].map((kind) => new Uint8Array([kind]));

let serving = false;

/** Makes this rank a worker of rank 0. */
export function serveRank(comm: Communicator): void {
  if (serving) return;
  serving = true;
  let message: (parts: Uint8Array[]) => void = () => {};
  const frames = openFrames(comm, (_source, [kind, ...parts]) => {
    if (kind[0] === Kind.MESSAGE) return message(parts);
    serving = false;
    frames.send(0, [kindOf(Kind.BYE)]);
    Promise.resolve(frames.unsent()).then(() => exit(0));
  });
  const port: Port = {
    kind: "process",
    send: (parts, urgent) => frames.send(0, [kindOf(Kind.MESSAGE), ...parts], urgent),
    unsent: frames.unsent,
    listen: (receive) => message = receive,
    direct: () => Promise.resolve(false),
  };
  runWorker(port);
  mustStay(comm, () => !serving, "while it worked for the pool of rank 0");
  frames.send(0, [kindOf(Kind.HELLO), new TextEncoder().encode(comm.host)]);
  frames.listen(true);
}
