/**
 * The pool of MPI ranks that the flags of a command line ask for. What it needs is loaded when it is opened.
 */
import type { JobDescription } from "../mpi/job.ts";
import { type LauncherName, launchers } from "../mpi/launchers.ts";
import { parseNodes } from "../mpi/nodes.ts";
import { rankFromEnv } from "../mpi/rank_env.ts";
import { stderr } from "../runtime/mod.ts";
import { duration, type Flag, isGiven, type Parsed, UsageError } from "./flags.ts";
import { DESCRIPTION_FLAGS } from "./job_flags.ts";
import { didYouMean } from "./nearest.ts";
import type { PoolChoice } from "./pool.ts";
import { HOST_FLAGS, hostNamed, usage } from "./remote.ts";

/** How items are given out to ranks. */
export type Strategy = "pool" | "scatter";

const LAUNCHERS = Object.keys(launchers) as LauncherName[];

const { walltime, queue, account, qos, memory, cpus, gpus, option } = DESCRIPTION_FLAGS;
const JOB_FLAGS = { walltime, queue, account, qos, memory, cpus, gpus, option };

/** The flags that say how ranks are started, besides how many there are. */
export const RANK_FLAGS: Record<string, Flag> = {
  launcher: {
    value: "NAME",
    help: `What starts the ranks: ${
      LAUNCHERS.join(", ")
    } (default: the mpirun, mpiexec or srun that is there)`,
  },
  host: { value: "HOST", help: "Start the ranks there, by ssh; with --scheduler, submit the job there" },
  scheduler: {
    value: "NAME",
    help: "Run the ranks in a batch job: slurm, openpbs, torque, moab, lsf, sge",
  },
  ...Object.fromEntries(
    Object.entries(JOB_FLAGS).map((
      [name, flag],
    ) => [name, { ...flag, help: `Of the batch job: ${lower(flag.help)}` }]),
  ),
  onall: { negatable: true, help: "Rank 0 works too (default: with --scatter, or when it is alone)" },
  workdir: {
    value: "FOLDER",
    help: "Run the ranks in this folder (default: the current one; on a host, its home)",
  },
  "start-timeout": {
    value: "TIME",
    help: "The ranks must be there within this time, in a batch job from its start on (default: 60s)",
  },
  "parallel-environment": { value: "NAME", help: "Grid Engine: what the slots of the batch job come from" },
};

function lower(text: string): string {
  return text[0].toLowerCase() + text.slice(1);
}

/**
 * The pool of ranks that the flags ask for.
 *
 * @param nodes How many ranks, as `4` or `4:ppn=2`; undefined for the default.
 * @throws {UsageError} If the flags contradict each other.
 */
export function chooseRanks(args: Parsed, nodes: string | undefined, strategy: Strategy): PoolChoice {
  if (nodes !== undefined) usage(() => parseNodes(nodes));
  const launcher = launcherNamed(args);
  const timeout = duration("start-timeout", args.text("start-timeout"));
  const hostName = args.text("host");
  const scheduled = args.text("scheduler") !== undefined;
  for (const flag of [...Object.keys(JOB_FLAGS), "parallel-environment"]) {
    if (!scheduled && isGiven(args, flag)) {
      throw new UsageError(`--${flag} is about a batch job: add --scheduler`);
    }
  }
  for (const flag of Object.keys(HOST_FLAGS)) {
    if (hostName === undefined && isGiven(args, flag)) {
      throw new UsageError(`--${flag} is about hosts, and there is none: add --host`);
    }
  }
  const host = hostName === undefined ? undefined : hostNamed(hostName, args);
  return {
    imports: hostName === undefined,
    serves: (rankFromEnv()?.rank ?? 0) > 0,
    counts: strategy === "scatter",
    async open() {
      const [{ MpiPool }, { chosenScheduler }, { jobResources }] = await Promise.all([
        import("../mpi/mpi_pool.ts"),
        import("./job_scheduler.ts"),
        import("./job_description.ts"),
      ]);
      const scheduler = scheduled ? (await chosenScheduler(args, undefined, () => {})).scheduler : undefined;
      const job: Partial<JobDescription> | undefined = scheduled ? jobResources(args) : undefined;
      try {
        return new MpiPool({
          nodes,
          strategy,
          launcher,
          ...(scheduler ? { scheduler, job } : { host }),
          onall: args.on("onall"),
          workdir: args.text("workdir"),
          ...(timeout === undefined ? {} : { timeout }),
          output: ({ text }) => stderr.write(text + "\n"),
        });
      } catch (error) {
        const { name, message } = error as Error;
        if (["TypeError", "RangeError", "JobError", "NoMpiError"].includes(name)) {
          throw new UsageError(message);
        }
        throw error;
      }
    },
    finish: rankFromEnv() ? endMpi : undefined,
  };
}

/** Lets the other ranks go: an item that failed is no reason to abort the MPI job, as an exit status other than 0 would. */
async function endMpi(): Promise<void> {
  const [{ sayFarewells }, { world }] = await Promise.all([
    import("../mpi/farewell.ts"),
    import("../mpi/world.ts"),
  ]);
  sayFarewells(0);
  world().finalize();
}

/** The launcher given by `--launcher`; undefined: the one that is there. */
export function launcherNamed(args: Parsed): LauncherName | undefined {
  const given = args.text("launcher");
  if (given === undefined || given === "mpirun" || given === "mpiexec") return undefined; // whose it is, is found out
  const found = LAUNCHERS.find((name) => name === given);
  if (found) return found;
  const meant = didYouMean(given, [...LAUNCHERS, "mpirun", "mpiexec"]);
  throw new UsageError(`there is no launcher ${given}${meant || `; there are ${LAUNCHERS.join(", ")}`}`);
}
