/**
 * The communicator alone, without pools and batch jobs: for programs that talk MPI themselves, it starts in about half the time.
 *
 * ```ts ignore
 * // mpirun -n 4 deno run -A sum.ts
 * import { world } from "@pathos/pathos/mpi/world";
 *
 * const comm = world();
 * const sum = comm.allreduce(comm.rank, "sum");
 * if (comm.rank === 0) console.log(sum); // 6
 * ```
 *
 * @module
 */
export type { NumericArray } from "./arrays.ts";
export type { TypedArray } from "../runtime/mod.ts";
export type { ReduceName } from "./collectives.ts";
export { Communicator, type MpiLibrary } from "./communicator.ts";
export { MpiError, NoMpiError } from "./errors.ts";
export { ANY_SOURCE, ANY_TAG, PROC_NULL, type Status } from "./libmpi.ts";
export type { Message } from "./point_to_point.ts";
export { type MpiFamily, type RankEnv, rankFromEnv } from "./rank_env.ts";
export type { Reducer } from "./reducing.ts";
export type { Request } from "./requests.ts";
export { world } from "./world.ts";
