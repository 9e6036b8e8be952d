/** Runs scripts as the ranks of real MPI jobs. */
import { runScript, type ScriptOptions, type ScriptResult } from "./harness.ts";

/** An MPI whose launcher the tests use. */
export interface Mpi {
  name: "Open MPI" | "MPICH";
  program: string;
  /** Name by which the dynamic loader finds its library on Debian. */
  library: string;
  words(ranks: number): string[];
}

/** The implementations that everything is tested with. */
export const MPIS: readonly Mpi[] = [
  {
    name: "Open MPI",
    program: "mpirun.openmpi",
    library: "libmpi.so.40",
    words: (ranks) => ["mpirun.openmpi", "--oversubscribe", "-n", `${ranks}`],
  },
  {
    name: "MPICH",
    program: "mpiexec.mpich",
    library: "libmpich.so.12",
    words: (ranks) => ["mpiexec.mpich", "-n", `${ranks}`],
  },
];

/** Lets root start ranks with Open MPI. */
export const AS_ROOT = { OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" };

/** What scripts begin with: `comm`, and `same` which throws unless two values are deeply equal. */
export const PRELUDE = `
  import { deepStrictEqual as same, ok, throws } from "node:assert";
  import process from "node:process";
  import { ANY_SOURCE, ANY_TAG, MpiError, PROC_NULL, world } from "@pathos/pathos/mpi/world";
  const comm = world(), { rank, size } = comm;
`;

/** Runs a script as so many ranks; it finds \`comm\`, \`rank\`, \`size\` and the functions of the prelude. */
export function runRanks(
  mpi: Mpi,
  ranks: number,
  code: string,
  options: ScriptOptions = {},
): Promise<ScriptResult> {
  return runScript(PRELUDE + code, {
    ...options,
    env: { ...AS_ROOT, ...options.env },
    within: mpi.words(ranks),
  });
}
