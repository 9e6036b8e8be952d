/** The pool whose workers are MPI ranks. */
import { granted } from "../runtime/mod.ts";
import { CodeBook } from "../serialize/codebook.ts";
import { partOf } from "../map/budget.ts";
import type { PoolKind, PoolOptions } from "../map/engine.ts";
import type { ServerStatus } from "../map/host_place.ts";
import type { Beginning } from "../map/link.ts";
import { atLeastOne } from "../map/options.ts";
import { Pool } from "../map/pool.ts";
import { checkPool } from "../map/pools.ts";
import { threadStarter } from "../map/thread_worker.ts";
import type { HostLike } from "../ssh/mod.ts";
import type { Communicator } from "./communicator.ts";
import type { JobDescription } from "./job.ts";
import type { Launcher, LauncherName } from "./launchers.ts";
import { parseNodes } from "./nodes.ts";
import { rankFromEnv } from "./rank_env.ts";
import { rankPlaces } from "./rank_hub.ts";
import { launchedKind } from "./rank_job.ts";
import { serveRank } from "./rank_serve.ts";
import type { Scheduler } from "./submit.ts";
import { world } from "./world.ts";

/** Options of an {@linkcode MpiPool}. All but the first four are for pools that start their ranks themselves. */
export interface MpiPoolOptions extends PoolOptions {
  /**
   * How the items are given out. `"pool"` (default): piece by piece, to whoever is free. `"scatter"`: in equal parts, one for each
   * worker, where the number of items is known.
   */
  strategy?: "pool" | "scatter";
  /** Whether rank 0 works too. Default: yes; inside an MPI job only with the strategy `"scatter"`, or when it is alone. */
  onall?: boolean;
  /** Milliseconds in which the ranks must be there; in a batch job from its start on. Default: 60,000. */
  timeout?: number;
  /**
   * How many ranks, as pyina writes it: `4`, or `"4:ppn=2,partition=short"` for 4 nodes with 2 ranks each. Default: those of the
   * allocation that this program runs in, else one for each core.
   */
  nodes?: number | string;
  /** Starts the ranks: a name, or a function from request to command. Default: the mpirun or mpiexec, else the srun, that is there. */
  launcher?: LauncherName | Launcher;
  /** Runs the ranks in a batch job of this scheduler. Its host counts: the job is submitted there. */
  scheduler?: Scheduler;
  /** Starts the ranks on this host, by ssh. */
  host?: HostLike;
  /** More of the batch job: queue, account, walltime, memory. */
  job?: Partial<JobDescription>;
  /** Keeps no file for the ranks: their program is removed from `~/.cache/pathos` as soon as they run. Not in a batch job. Default: false. */
  source?: boolean;
  /** Folder that the ranks run in. Default: the current one; on a host, the home folder. */
  workdir?: string;
}

const NAMES = [
  "strategy",
  "onall",
  "timeout",
  "nodes",
  "launcher",
  "scheduler",
  "host",
  "job",
  "source",
  "workdir",
  "initializer",
  "maxTasksPerWorker",
  "output",
];

/**
 * Runs maps on MPI ranks, with every method of a pool. It is used in two ways, by the same line.
 *
 * *Inside* an MPI job (`mpirun -n 4 deno run -A script.ts`): every rank runs the script and makes the pool. Rank 0 maps, the
 * others work for it: in them no map ever resolves, what follows in the script is not run, and they end with rank 0. What
 * comes before the pool is run by all. Messages go through MPI.
 *
 * *From outside* (`deno run -A script.ts`): the pool starts the ranks when its first map begins, by `mpirun`, `srun` and so on,
 * here, on a host by ssh, or in a batch job, and ends them with itself. There the work is done in processes of the ranks, so that
 * what ends one of them ends neither the rank nor the job.
 *
 * @example
 * ```ts ignore
 * import { MpiPool } from "@pathos/pathos/mpi";
 *
 * await using pool = new MpiPool({ nodes: 4 });
 * const k = 3;
 * console.log(await pool.map((x: number) => x * k, [1, 2, 3])); // [3, 6, 9]
 * ```
 */
export class MpiPool extends Pool {
  /**
   * Makes a pool. Inside an MPI job it starts MPI; from outside, nothing is started before the first map.
   *
   * @throws {TypeError} If an option is unknown or of the wrong kind.
   * @throws {RangeError} If a number is out of range.
   * @throws {NoMpiError} If the launcher's MPI library is not the one that is found.
   */
  constructor(options: MpiPoolOptions = {}) {
    checkPool(options, NAMES);
    const { strategy = "pool", timeout = 60_000, nodes } = options;
    if (strategy !== "pool" && strategy !== "scatter") {
      throw new TypeError(`strategy is ${JSON.stringify(strategy)}: it must be "pool" or "scatter"`);
    }
    atLeastOne("timeout", timeout);
    if (nodes !== undefined) parseNodes(nodes);
    const kind = rankFromEnv() ? insideKind(world(), options, timeout) : launchedKind(options, timeout);
    super({ ...kind, parts: strategy === "scatter" ? kind.parts : undefined }, options);
  }

  /** How the job of ranks is doing that this pool has started; none inside an MPI job. */
  get servers(): ServerStatus[] {
    return this.engine.kind.elsewhere?.status() ?? [];
  }
}

function insideKind(comm: Communicator, options: MpiPoolOptions, timeout: number): PoolKind {
  const { onall = comm.size === 1 || options.strategy === "scatter" } = options;
  const read = granted("read");
  const book = new CodeBook({ trust: true, byref: (ref) => ref.specifier.startsWith("node:") || read });
  if (comm.rank > 0) {
    serveRank(comm);
    return { workers: 0, book, start: noWorker, elsewhere: NOWHERE };
  }
  const localWorkers = onall ? 1 : 0;
  const share = partOf(Math.max(1, comm.size - 1 + localWorkers));
  const { initializer } = options;
  const beginning = (): Beginning => ({
    share,
    takesCode: true,
    initializer: initializer && book.encodeCode(initializer).hash,
  });
  const elsewhere = comm.size === 1
    ? undefined
    : rankPlaces({ comm, book, beginning, timeout, localWorkers });
  if (!elsewhere && localWorkers === 0) {
    throw new RangeError("an MPI job of one rank has no other rank to work: leave out onall: false");
  }
  return {
    workers: localWorkers,
    book,
    start: threadStarter(book, beginning),
    elsewhere,
    parts: comm.size - 1 + localWorkers,
  };
}

const noWorker = (): never => {
  throw new Error("this rank works for rank 0");
};

/** Of a pool in a rank that serves: its maps wait for ever, and rank 0 ends the program. */
const NOWHERE: NonNullable<PoolKind["elsewhere"]> = {
  begin() {},
  rest() {},
  stop: () => Promise.resolve(),
  status: () => [],
};
