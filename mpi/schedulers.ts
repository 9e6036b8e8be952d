/**
 * The batch schedulers by name, each as a function that makes a {@linkcode Scheduler}, and what finds out which scheduler and
 * which launcher there are, by their programs.
 */
import { execute, type HostLike } from "../ssh/mod.ts";
import { type LauncherName, mpiFlavour } from "./launchers.ts";
import { lsfDialect } from "./lsf.ts";
import { moabDialect } from "./moab.ts";
import { openpbsDialect, torqueDialect } from "./pbs.ts";
import type { SchedulerDialect } from "./scheduler.ts";
import { sgeDialect, type SgeNames } from "./sge.ts";
import { slurmDialect } from "./slurm.ts";
import { Scheduler, type SchedulerOptions } from "./submit.ts";

/** The names of the schedulers. */
export type SchedulerName = "slurm" | "pbs" | "openpbs" | "torque" | "moab" | "lsf" | "sge";

function maker(dialect: SchedulerDialect): (options?: SchedulerOptions) => Scheduler {
  return (options = {}) => new Scheduler(dialect, options);
}

/**
 * Slurm, on this machine or on a login node.
 *
 * @example
 * ```ts
 * import { slurm } from "@pathos/pathos/mpi";
 * import { assertEquals } from "@std/assert";
 *
 * const { argv, stdin } = slurm().dryRun({ command: "./solve", walltime: 60_000 });
 * assertEquals(argv, ["sbatch", "--parsable"]);
 * assertEquals(stdin, "#!/bin/sh\n#SBATCH --time=00:01:00\n./solve\n");
 * ```
 */
export const slurm: (options?: SchedulerOptions) => Scheduler = maker(slurmDialect);

/** OpenPBS and PBS Professional, on this machine or on a login node. */
export const openpbs: (options?: SchedulerOptions) => Scheduler = maker(openpbsDialect);

/** The same as {@linkcode openpbs}. */
export const pbs: (options?: SchedulerOptions) => Scheduler = openpbs;

/** Torque, on this machine or on a login node. */
export const torque: (options?: SchedulerOptions) => Scheduler = maker(torqueDialect);

/** Moab, on this machine or on a login node. */
export const moab: (options?: SchedulerOptions) => Scheduler = maker(moabDialect);

/** IBM Spectrum LSF, on this machine or on a login node. */
export const lsf: (options?: SchedulerOptions) => Scheduler = maker(lsfDialect);

/** Grid Engine, on this machine or on a login node, with the names that the site has given to things. */
export function sge({ names, ...options }: SchedulerOptions & { names?: SgeNames } = {}): Scheduler {
  return new Scheduler(sgeDialect(names), options);
}

/**
 * The schedulers by name.
 *
 * @example
 * ```ts
 * import { schedulers } from "@pathos/pathos/mpi";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(schedulers.lsf({ host: "me@cluster" }).dryRun({ command: "true" }).argv, ["bsub"]);
 * ```
 */
export const schedulers: Readonly<Record<SchedulerName, (options?: SchedulerOptions) => Scheduler>> = {
  slurm,
  pbs,
  openpbs,
  torque,
  moab,
  lsf,
  sge,
};

/** Where to look for programs. */
export interface WhichOptions {
  /** Login node, reached by ssh. Default: this machine. */
  host?: HostLike;
  /** Variables for the look, such as another `PATH`. */
  env?: Readonly<Record<string, string>>;
  /** Milliseconds it may take. Default: 60,000. */
  timeout?: number;
}

/** Says `name` for each of these programs that is there, and `name: words` for what the commands say. */
async function look(
  programs: readonly string[],
  versions: readonly string[],
  { timeout = 60_000, ...options }: WhichOptions,
): Promise<Map<string, string>> {
  const script = `for p in ${programs.join(" ")}; do
  if command -v "$p" >/dev/null 2>&1; then echo "$p: "; fi
done
for p in ${versions.join(" ")}; do
  if command -v "$p" >/dev/null 2>&1; then echo "$p: $("$p" --version 2>&1 </dev/null | tr '\\n' ' ')"; fi
done
echo "SLURM_JOB_ID: $SLURM_JOB_ID"`;
  const { stdout } = await execute(script, { ...options, timeout });
  const found = new Map<string, string>();
  for (const line of stdout.split("\n")) {
    const [, name, words] = /^([\w.]+): (.*)$/.exec(line) ?? [];
    if (name !== undefined) found.set(name, words);
  }
  return found;
}

/**
 * Which scheduler there is, by its programs: Slurm, LSF, Moab, Grid Engine, OpenPBS, Torque, the first that is found;
 * undefined if none is.
 *
 * @throws {SshError} If the host cannot be reached.
 *
 * @example
 * ```ts
 * import { whichScheduler } from "@pathos/pathos/mpi";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(await whichScheduler({ env: { PATH: "/nowhere" } }), undefined);
 * ```
 */
export async function whichScheduler(options: WhichOptions = {}): Promise<SchedulerName | undefined> {
  const found = await look(["sbatch", "bsub", "msub", "qconf", "qsub"], ["qstat"], options);
  if (found.has("sbatch")) return "slurm";
  if (found.has("bsub")) return "lsf";
  if (found.has("msub")) return "moab"; // it stands before Torque
  if (found.has("qconf")) return "sge";
  if (!found.has("qsub")) return undefined;
  return /pbs_version|pbs_pro|openpbs/i.test(found.get("qstat") ?? "") ? "openpbs" : "torque";
}

/**
 * Which launcher there is: in a Slurm job srun; else the mpirun or mpiexec of Open MPI, MPICH or Intel, told by what it says
 * of itself; else aprun, jsrun, flux, srun; and if there is none, `"serial"`.
 *
 * @throws {SshError} If the host cannot be reached.
 *
 * @example
 * ```ts
 * import { whichLauncher } from "@pathos/pathos/mpi";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(await whichLauncher({ env: { PATH: "/nowhere" } }), "serial");
 * ```
 */
export async function whichLauncher(options: WhichOptions = {}): Promise<LauncherName> {
  const found = await look(["srun", "aprun", "jsrun", "flux"], ["mpirun", "mpiexec"], options);
  if (found.get("SLURM_JOB_ID") && found.has("srun")) return "srun";
  for (const program of ["mpirun", "mpiexec"]) {
    const flavour = mpiFlavour(found.get(program) ?? "");
    if (flavour) return flavour;
  }
  return (["aprun", "jsrun", "flux", "srun"] as const).find((name) => found.has(name)) ?? "serial";
}
