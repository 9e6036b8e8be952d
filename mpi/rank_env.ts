/**
 * Which rank this process is, from the variables that launchers put into the environment, before any MPI library is loaded. It
 * decides which library is tried first, and finds out when that was not the one that the launcher belongs to.
 *
 * Run under mpirun of Open MPI 4.1 and mpiexec of MPICH 4.0; the other rows are what the launchers are known to set.
 */
import { env } from "../runtime/mod.ts";

/** The two binary interfaces of MPI libraries: Open MPI's, and MPICH's, which Intel MPI, MVAPICH and Cray MPICH share. */
export type MpiFamily = "openmpi" | "mpich";

/** The place of this process in its job. */
export interface RankEnv {
  /** 0 for the first. */
  rank: number;
  /** Number of processes; undefined where the launcher does not tell. */
  size?: number;
  /** Rank among those on this machine; undefined where the launcher does not tell. */
  localRank?: number;
  /** Number of processes on this machine; undefined where the launcher does not tell. */
  localSize?: number;
  /** What the launcher calls the job: the same in all of its processes, and in no other job's; undefined where it does not tell. */
  job?: string;
  /** What started it; `"pathos"`: whoever has set `PATHOS_RANK` and `PATHOS_SIZE`. */
  launcher: "pathos" | "openmpi" | "mpich" | "mvapich" | "slurm" | "pals" | "jsm" | "flux" | "alps" | "pmix";
  /** Whose library the launcher belongs to; undefined where it starts both. */
  family?: MpiFamily;
}

interface Row extends Pick<RankEnv, "launcher" | "family"> {
  rank: string;
  /** The first that is set counts. */
  size: readonly string[];
  localRank: string;
  localSize?: string;
  /** Together the name of the job; all must be set. */
  job?: readonly string[];
  /** Must be set too. */
  needs?: string;
}

// mpirun inside an allocation inherits the variables of the allocation's own launcher, so launchers of libraries come first
const ROWS: readonly Row[] = [
  {
    launcher: "pathos",
    rank: "PATHOS_RANK",
    size: ["PATHOS_SIZE"],
    localRank: "PATHOS_LOCAL_RANK",
    localSize: "PATHOS_LOCAL_SIZE",
    job: ["PATHOS_JOB"],
  },
  {
    launcher: "openmpi",
    family: "openmpi",
    rank: "OMPI_COMM_WORLD_RANK",
    size: ["OMPI_COMM_WORLD_SIZE"],
    localRank: "OMPI_COMM_WORLD_LOCAL_RANK",
    localSize: "OMPI_COMM_WORLD_LOCAL_SIZE",
    job: ["PMIX_NAMESPACE"],
  },
  {
    launcher: "mvapich",
    family: "mpich",
    rank: "MV2_COMM_WORLD_RANK",
    size: ["MV2_COMM_WORLD_SIZE"],
    localRank: "MV2_COMM_WORLD_LOCAL_RANK",
    localSize: "MV2_COMM_WORLD_LOCAL_SIZE",
  },
  {
    launcher: "pals",
    family: "mpich",
    rank: "PALS_RANKID",
    size: ["PMI_SIZE"],
    localRank: "PALS_LOCAL_RANKID",
    localSize: "PALS_LOCAL_SIZE",
    job: ["PALS_APID"],
  },
  {
    launcher: "jsm",
    family: "openmpi",
    rank: "JSM_NAMESPACE_RANK",
    size: ["JSM_NAMESPACE_SIZE"],
    localRank: "JSM_NAMESPACE_LOCAL_RANK",
    localSize: "JSM_NAMESPACE_LOCAL_SIZE",
    job: ["PMIX_NAMESPACE"],
  },
  {
    launcher: "flux",
    rank: "FLUX_TASK_RANK",
    size: ["FLUX_JOB_SIZE"],
    localRank: "FLUX_TASK_LOCAL_ID",
    job: ["FLUX_JOB_ID"],
  },
  {
    launcher: "alps",
    family: "mpich",
    rank: "ALPS_APP_PE",
    size: ["PMI_SIZE"],
    localRank: "ALPS_LOCAL_RANK",
    job: ["ALPS_APP_ID"],
  },
  // SLURM_PROCID=0 is set in a batch script too, which is no rank of anything: only a step of srun is one
  {
    launcher: "slurm",
    rank: "SLURM_PROCID",
    size: ["SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"],
    localRank: "SLURM_LOCALID",
    job: ["SLURM_JOB_ID", "SLURM_STEP_ID"],
    needs: "SLURM_STEP_ID",
  },
  {
    launcher: "mpich",
    family: "mpich",
    rank: "PMI_RANK",
    size: ["PMI_SIZE"],
    localRank: "MPI_LOCALRANKID",
    localSize: "MPI_LOCALNRANKS",
  },
  {
    launcher: "pmix",
    family: "openmpi",
    rank: "PMIX_RANK",
    size: [],
    localRank: "PMIX_LOCAL_RANK",
    job: ["PMIX_NAMESPACE"],
  },
];

/**
 * The rank that a launcher gave this process, or undefined if none started it.
 *
 * @param variable Looks up a variable. Default: the environment of this process.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { rankFromEnv } from "@pathos/pathos/mpi";
 *
 * const variables: Record<string, string> = { PMI_RANK: "1", PMI_SIZE: "4", MPI_LOCALRANKID: "1" };
 * const found = rankFromEnv((name) => variables[name]);
 * assertEquals(found, { rank: 1, size: 4, localRank: 1, launcher: "mpich", family: "mpich" });
 * ```
 */
export function rankFromEnv(variable: (name: string) => string | undefined = env): RankEnv | undefined {
  const number = (name: string): number | undefined => {
    const text = variable(name);
    return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
  };
  for (const { launcher, family, needs, ...names } of ROWS) {
    const rank = number(names.rank);
    if (rank === undefined || (needs && number(needs) === undefined)) continue;
    const place: RankEnv = { rank, launcher };
    const size = names.size.map(number).find((size) => size !== undefined);
    const localRank = number(names.localRank), localSize = names.localSize && number(names.localSize);
    const job = names.job?.map(variable);
    if (size !== undefined) place.size = size;
    if (localRank !== undefined) place.localRank = localRank;
    if (typeof localSize === "number") place.localSize = localSize;
    if (job?.every((part) => part)) place.job = job.join(".");
    const known = family ?? familyOfInterface(variable);
    if (known) place.family = known;
    return place;
  }
  return undefined;
}

/** srun and flux say by their process management interface which libraries they can start. */
function familyOfInterface(variable: (name: string) => string | undefined): MpiFamily | undefined {
  if (variable("PMIX_RANK") !== undefined) return "openmpi";
  if (variable("PMI_RANK") !== undefined || variable("PMI_FD") !== undefined) return "mpich";
  return undefined;
}
