/**
 * Every rank of an MPI job says who and where it is, and rank 0 prints it in their order.
 *
 *     mpirun -n 4 deno run -A examples/mpi_hello.ts
 *     srun -n 4 --mpi=pmix deno run -A examples/mpi_hello.ts
 *     deno run -A examples/mpi_hello.ts                          # one rank, without a launcher
 */
import { world } from "@pathos/pathos/mpi";

const comm = world();

// A value of each rank comes to rank 0, as an array in the order of ranks; the others get undefined.
const greetings = comm.gather(`hello from rank ${comm.rank} of ${comm.size} on ${comm.host}`);

if (greetings) {
  console.log(greetings.join("\n"));
  console.log(`MPI is ${comm.library.version}`);
}
