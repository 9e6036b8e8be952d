/**
 * Computes pi, the integral of 4 / (1 + x^2) from 0 to 1, by the midpoint rule. Each rank adds up its share of the steps, one
 * allreduce adds the shares, and a bound of the error, of method and rounding, tells how many digits to believe.
 *
 *     mpirun -n 4 deno run -A examples/mpi_pi.ts
 *     mpirun -n 4 deno run -A examples/mpi_pi.ts --steps 1e9
 *     srun -n 4 --mpi=pmix deno run -A examples/mpi_pi.ts
 *     deno run -A examples/mpi_pi.ts                             # one rank, without a launcher
 */
import { world } from "@pathos/pathos/mpi";
import { parseArgs } from "node:util";

const { values: options } = parseArgs({ options: { steps: { type: "string", default: "1e7" } } });
const steps = Number(options.steps);
const h = 1 / steps;

const comm = world();
const began = performance.now();

// Kahan's summation: what is lost when a small number is added to a large one is kept, and added with the next.
let sum = 0, lost = 0;
for (let i = comm.rank; i < steps; i += comm.size) {
  const x = (i + 0.5) * h;
  const term = 4 / (1 + x * x) - lost;
  const next = sum + term;
  lost = next - sum - term;
  sum = next;
}

// Every rank gets the sum of all shares; only rank 0 has something to say about it.
const pi = h * comm.allreduce(sum, "sum");
const seconds = comm.allreduce((performance.now() - began) / 1000, "max");

if (comm.rank === 0) {
  // The rule is off by at most h^2 / 24 times the largest second derivative, which is 8, at x = 0. Each term is rounded
  // 9 times at most on its way into a rank's sum, and the sums once for each rank.
  const method = h ** 2 / 24 * 8;
  const rounding = (9 + comm.size) * Math.PI * Number.EPSILON / 2;
  console.log(`pi = ${pi} +- ${(method + rounding).toExponential(1)}`);
  console.log(`off by ${Math.abs(pi - Math.PI).toExponential(1)}`);
  console.log(`${steps.toExponential()} steps on ${comm.size} ranks in ${seconds.toFixed(3)} s`);
}
