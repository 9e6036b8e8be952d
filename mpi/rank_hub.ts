/**
 * Rank 0's end of the lines to the ranks that serve (rank_serve.ts), one for the whole program: pools come and go, the
 * ranks stay until the program ends.
 *
 * A rank cannot be killed without ending the job. What is to be killed while it runs something is left out until it has
 * come to its end: the rank's place is closed, and opened again when it has answered all that it was given.
 */
import { stderr } from "../runtime/mod.ts";
import type { CodeBook } from "../serialize/codebook.ts";
import type { Elsewhere } from "../map/engine.ts";
import { type Beginning, openLink } from "../map/link.ts";
import type { FromWorker, ToWorker } from "../map/protocol.ts";
import type { Scheduler } from "../map/scheduler.ts";
import { packMessage, unpackMessage } from "../map/wire.ts";
import type { Place, Worker, WorkerEvents } from "../map/worker.ts";
import type { Communicator } from "./communicator.ts";
import { beforeFinalize } from "./farewell.ts";
import { openFrames, type RankFrames } from "./rank_frames.ts";
import { Kind, kindOf } from "./rank_serve.ts";

/** Ranks may take so long to end when the program of rank 0 has, in milliseconds. */
const BYE_MS = 5000;
/** A message to a rank and back takes so long, in milliseconds. */
const LATENCY_MS = 0.05;
/** Very short chunks go to a rank so many at a time. */
const DEPTH = 64;

interface Rank {
  readonly number: number;
  /** Name of its machine, once it serves. */
  host: string | undefined;
  /** Chunks it was given and has not answered. */
  open: number;
  /** What is told what it says; undefined while nobody uses it. */
  receive: ((message: FromWorker, buffers: ArrayBuffer[]) => void) | undefined;
  /** Called when it has answered everything. */
  freed: (() => void) | undefined;
  gone: boolean;
}

/** All serving ranks. */
interface Hub {
  readonly comm: Communicator;
  readonly frames: RankFrames;
  readonly ranks: readonly Rank[];
  /** Called when a rank has begun to serve. */
  arrived: ((rank: Rank) => void) | undefined;
  /** A pool has them. */
  taken: boolean;
}

let hub: Hub | undefined;

function openHub(comm: Communicator): Hub {
  const ranks: Rank[] = [];
  for (let number = 1; number < comm.size; number++) {
    ranks.push({ number, host: undefined, open: 0, receive: undefined, freed: undefined, gone: false });
  }
  const frames = openFrames(comm, (source, [kind, ...parts]) => {
    const rank = ranks[source - 1];
    if (kind[0] === Kind.MESSAGE) return hear(rank, parts);
    if (kind[0] === Kind.BYE) return void (rank.gone = true);
    rank.host = new TextDecoder().decode(parts[0]);
    opened.arrived?.(rank);
  });
  const opened: Hub = { comm, frames, ranks, arrived: undefined, taken: false };
  beforeFinalize((code) => code === 0 && release(opened));
  return opened;
}

function hear(rank: Rank, parts: Uint8Array[]): void {
  const { message, buffers } = unpackMessage<FromWorker>(parts);
  if (message.say === "done" || message.say === "refused") {
    if (--rank.open === 0) {
      const { freed } = rank;
      rank.freed = undefined;
      freed?.();
    }
  }
  rank.receive?.(message, buffers);
}

/** Lets the ranks go, now, without a turn of the event loop: the program is at its end. */
function release({ comm, frames, ranks }: Hub): void {
  for (const { number } of ranks) frames.send(number, [kindOf(Kind.BYE)]);
  const end = performance.now() + BYE_MS;
  while (ranks.some(({ gone }) => !gone)) {
    frames.poll();
    if (performance.now() < end) continue;
    const late = ranks.filter(({ gone }) => !gone).map(({ number, host }) =>
      `rank ${number} (${host ?? "never heard of"})`
    );
    stderr.write(
      `the program of rank 0 has ended, and ${late.join(", ")} did not end within ${
        BYE_MS / 1000
      } s: the MPI job is aborted. ` +
        "Wait for what the ranks do before the program ends, and make an MpiPool in every rank.\n",
    );
    comm.abort(1);
  }
}

/** What a pool is made of in rank 0. */
export interface RankPlacesParts {
  comm: Communicator;
  book: CodeBook;
  beginning(): Beginning;
  /** Milliseconds that the other ranks may take to begin to serve. */
  timeout: number;
  /** Workers that the pool has besides. */
  localWorkers: number;
}

/** The other ranks as the places of a pool, one place for each. */
export function rankPlaces({ comm, book, beginning, timeout, localWorkers }: RankPlacesParts): Elsewhere {
  let mine: Hub | undefined;
  let scheduler: Scheduler;
  const places = new Map<Rank, Place>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stuck: ReturnType<typeof setTimeout> | undefined;

  const missing = (): Rank[] => mine!.ranks.filter(({ host }) => host === undefined);
  const arrived = (rank: Rank): void => {
    const place = placeOf(rank);
    places.set(rank, place);
    scheduler.open(place, 1);
    if (missing().length === 0) clearTimeout(timer);
  };
  /** Those that have not come: the others go on without them. */
  const late = (): void => {
    const names = missing().map(({ number }) => number).join(", ");
    const what = `of the ${comm.size - 1} other ranks these do not serve after ${timeout} ms: ${names}. ` +
      "Every rank must make an MpiPool; one that ended before has ended the job";
    if (places.size > 0 || localWorkers > 0) return stderr.write(`pathos: ${what}\n`);
    for (const job of scheduler.jobs) job.fail(new Error(`there is no worker to run this: ${what}`));
  };

  /** The rank takes no work until it has come to the end of what it has. Without any rank the maps do not wait for ever. */
  function leaveOut(rank: Rank, place: Place): void {
    scheduler.close(place);
    clearTimeout(stuck);
    rank.freed = () => {
      if (!mine) return;
      clearTimeout(stuck);
      scheduler.open(place, 1);
    };
    if (localWorkers > 0 || mine!.ranks.some(({ host, freed }) => host !== undefined && !freed)) return;
    stuck = setTimeout(() => {
      const reason =
        `all ranks are still busy ${timeout} ms after they were told to stop, and MPI cannot end a rank alone: ` +
        "let the function look at its own time, or use MpiPool from outside mpirun, where each worker is a process of its own";
      for (const job of scheduler.jobs) job.fail(new Error(`there is no worker to run this: ${reason}`));
    }, timeout);
  }

  function placeOf(rank: Rank): Place {
    const name = `rank ${rank.number} (${rank.host})`;
    const place: Place = {
      host: rank.host!,
      start: (_slot, events) => startRank(rank, name, events, place),
    };
    return place;
  }

  function startRank(rank: Rank, name: string, events: WorkerEvents, place: Place): Worker {
    const { frames } = mine!;
    const { worker, receive } = openLink(
      {
        send(message: ToWorker, buffers) {
          if (message.do === "run") rank.open++;
          frames.send(rank.number, [kindOf(Kind.MESSAGE), ...packMessage(message, buffers)]);
        },
        end() {
          rank.receive = undefined;
          return Promise.resolve();
        },
        kill() {
          rank.receive = undefined;
          if (rank.open > 0) leaveOut(rank, place);
          return Promise.resolve();
        },
        keepAlive: () => true, // the pool's places do, for all of them
      },
      { name, latency: LATENCY_MS, depth: DEPTH, killable: false, sharing: false },
      beginning(),
      book,
      events,
    );
    rank.receive = receive;
    return worker;
  }

  return {
    begin(current) {
      scheduler = current;
      if (!mine) {
        hub ??= openHub(comm);
        if (hub.taken) {
          throw new Error(
            "the ranks work for another MpiPool: close that one, and wait for its end with join()",
          );
        }
        mine = hub;
        mine.taken = true;
        mine.arrived = arrived;
        mine.ranks.filter(({ host, open }) => host !== undefined && open === 0).forEach(arrived);
        for (const rank of mine.ranks) {
          if (rank.host !== undefined && rank.open > 0) rank.freed = () => mine && arrived(rank);
        }
      }
      clearTimeout(timer);
      if (missing().length > 0) timer = setTimeout(late, timeout);
      mine.frames.listen(true);
    },
    rest() {
      clearTimeout(timer);
      clearTimeout(stuck);
      mine?.frames.listen(false);
    },
    stop() {
      clearTimeout(timer);
      clearTimeout(stuck);
      if (!mine) return Promise.resolve();
      mine.frames.listen(false);
      mine.arrived = undefined;
      mine.taken = false;
      mine = undefined;
      places.clear();
      return Promise.resolve();
    },
    status: () => [],
  };
}
