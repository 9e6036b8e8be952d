/**
 * Operations that are under way. The memory that MPI reads or writes meanwhile is kept, even if the program drops its request:
 * the library holds every array request that has not been seen to end, and looks through them when they have become many.
 */
import type { Libmpi, Status } from "./libmpi.ts";
import type { NumericArray } from "./arrays.ts";
import { poll } from "./polling.ts";

/**
 * Something that was started and is to end: what `isend` and `irecv` give.
 *
 * @typeParam T What it ends with: a {@linkcode Status}, or the value that was received.
 *
 * @example
 * ```ts ignore
 * import { world } from "@pathos/pathos/mpi";
 *
 * const comm = world(), right = (comm.rank + 1) % comm.size;
 * const halo = new Float64Array(100);
 * const coming = comm.irecv(halo);
 * comm.isend(new Float64Array(100).fill(comm.rank), right);
 * const { source } = coming.wait(); // halo holds what `source` sent
 * ```
 */
export interface Request<T = Status> {
  /** Whether it has ended (MPI_Test, or MPI_Improbe for a value). Does not block. @throws {MpiError} If it failed. */
  test(): boolean;
  /** Blocks this thread until it has ended (MPI_Wait, or MPI_Mprobe for a value). @throws {MpiError} If it failed. */
  wait(): T;
  /** Resolves when it has ended; the event loop runs meanwhile. Rejects with an MpiError if it failed. */
  finished(): Promise<T>;
}

/** A request that ends when `attempt` or `block` give something; they are not called again after that. */
export function newRequest<T>(attempt: () => { result: T } | undefined, block: () => T): Request<T> {
  let ended: { result: T } | undefined;
  const look = () => ended ??= attempt();
  return {
    test: () => look() !== undefined,
    wait: () => (ended ??= { result: block() }).result,
    finished: async () => (await poll(look)).result,
  };
}

interface Pending {
  test(): boolean;
}

const underWay = new Set<Pending>();
let limit = 256;

/** The request of an operation on an array, which has just been started and wrote its handle into `memory`. */
export function arrayRequest(mpi: Libmpi, memory: Uint32Array, array: NumericArray): Request<Status> {
  const { BYTES_PER_ELEMENT } = array;
  let failure: { error: unknown } | undefined;
  const end = (code: number, call: string): Status => {
    underWay.delete(pending);
    try {
      mpi.check(code, call);
    } catch (error) {
      failure = { error };
      throw error;
    }
    return mpi.statusOf(BYTES_PER_ELEMENT);
  };
  const request = newRequest(
    () => {
      if (failure) throw failure.error;
      const code = mpi.call.MPI_Test(memory, mpi.flag, mpi.status);
      return code === 0 && mpi.flag[0] === 0 ? undefined : { result: end(code, "MPI_Test") };
    },
    () => {
      if (failure) throw failure.error;
      return end(mpi.call.MPI_Wait(memory, mpi.status), "MPI_Wait");
    },
  );
  const pending = { test: request.test, array };
  underWay.add(pending);
  if (underWay.size >= limit) sweep();
  return request;
}

function sweep(): void {
  for (const pending of underWay) {
    try {
      pending.test();
    } catch {
      // its request keeps the error for the one who asks
    }
  }
  limit = Math.max(256, 2 * underWay.size);
}
