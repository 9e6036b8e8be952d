/**
 * MPI in this process, from the first call of `world()` to the end: which library, its start, and its end. A program that ends
 * well ends MPI; one that ends with an error, or that nobody catches an error of, ends the job (MPI_Abort), because the other ranks
 * would wait for it for ever.
 */
import { beforeCrash, beforeEnd } from "../runtime/ending.ts";
import { exit, sleepSync, stderr } from "../runtime/mod.ts";
import { Communicator } from "./communicator.ts";
import { NoMpiError } from "./errors.ts";
import { openMpi } from "./fallback.ts";
import { sayFarewells } from "./farewell.ts";
import type { Libmpi } from "./libmpi.ts";
import { rankFromEnv } from "./rank_env.ts";

/** What a rank has said last is lost if its launcher hears of the abort before it has read that. Milliseconds. */
const LAST_WORDS_MS = 200;

let all: Communicator | undefined;

/**
 * All ranks of the MPI job that this process is part of (MPI_COMM_WORLD). The first call loads the MPI library and starts MPI
 * (MPI_Init_thread, level FUNNELED), which blocks until all ranks do so; in a program that no launcher started there is one rank.
 *
 * When the program ends MPI is ended with it. When it ends with an exit status other than 0, or by an error that nobody catches, the job is
 * ended: the error goes to standard error with rank and host, and all other ranks are killed by the launcher.
 *
 * Where no MPI library can be loaded, the ranks talk over TCP, or where C functions cannot be called (in Deno without `--allow-ffi`, in
 * Node without the package koffi) through files; rank 0 says so on standard error. Everything else is the same, but slower. Then ranks
 * may be started by anything that sets `PATHOS_RANK` and `PATHOS_SIZE`; `PATHOS_MPI` = `mpi`, `tcp` or `files` asks for one way.
 * They meet in a folder that all of them see (`PATHOS_RENDEZVOUS`, else one in the user's cache).
 *
 * @throws {NoMpiError} If the MPI library is not the launcher's, or there is none and `PATHOS_MPI=mpi` asks for one: the message says
 * what to install or set.
 * @throws {MpiError} If the other ranks have not come after a minute (`PATHOS_RENDEZVOUS_TIMEOUT`, in milliseconds).
 *
 * @example
 * ```ts ignore
 * // mpirun -n 4 deno run -A pi.ts
 * import { world } from "@pathos/pathos/mpi";
 *
 * const comm = world(), n = 1e7;
 * let sum = 0;
 * for (let i = comm.rank; i < n; i += comm.size) sum += 4 / (1 + ((i + 0.5) / n) ** 2);
 * const pi = comm.allreduce(sum / n, "sum");
 * if (comm.rank === 0) console.log(pi);
 * ```
 */
export function world(): Communicator {
  return all ??= start();
}

function start(): Communicator {
  const place = rankFromEnv();
  const mpi = openMpi(place);
  const ours = mpi.init();
  const comm = new Communicator(mpi, mpi.handle.COMM_WORLD);
  if (ours) endWithProgram(mpi, comm);
  if (comm.size === 1 && place?.size !== undefined && place.size > 1) {
    throw new NoMpiError(
      `this is rank ${place.rank} of ${place.size} by its launcher (${place.launcher}), but ${mpi.name} (${comm.library.version}) ` +
        "knows of no other rank: the launcher belongs to another MPI. Start it with the mpirun of this library, or name the " +
        "launcher's library in the environment: PATHOS_MPI_LIB=/path/to/libmpi.so. PATHOS_MPI=tcp does without a library",
    );
  }
  return comm;
}

function endWithProgram(mpi: Libmpi, comm: Communicator): void {
  beforeCrash((error) => {
    if (mpi.finalized) return;
    sayWhy(comm, comm.host, error);
    sleepSync(LAST_WORDS_MS);
    comm.abort(1);
  });
  beforeEnd((code) => {
    if (mpi.finalized) return;
    sayFarewells(code);
    if (code !== 0) return comm.abort(code);
    const { host } = comm; // nobody tells it afterwards
    try {
      mpi.finalize();
    } catch (error) { // a rank was lost meanwhile; the runtime would say nothing of it here
      sayWhy(comm, host, error);
      exit(1);
    }
  });
}

function sayWhy(comm: Communicator, host: string, error: unknown): void {
  const what = error instanceof Error ? error.stack ?? String(error) : String(error);
  stderr.write(`rank ${comm.rank} of ${comm.size} on ${host} ends the MPI job by an error:\n${what}\n`);
}
