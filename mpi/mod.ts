/**
 * The map over MPI ranks and batch schedulers: launchers and schedulers as data, and jobs from submitting to output.
 *
 * ```ts ignore
 * import { slurm } from "@pathos/pathos/mpi";
 *
 * const cluster = slurm({ host: "me@cluster" });
 * const id = await cluster.submit({ command: "srun ./solve", nodes: 2, tasksPerNode: 16, walltime: 3_600_000 });
 * console.log(await cluster.wait(id));
 * ```
 *
 * @module
 */
export * from "./communication.ts";
export { MpiPool, type MpiPoolOptions } from "./mpi_pool.ts";
export type { AttemptJob } from "./batch_attempt.ts";
export { Job } from "./batch_job.ts";
export { BatchMap, type BatchProgress, type FollowOptions } from "./batch_map.ts";
export type { BatchOutcome } from "./batch_outcomes.ts";
export type { BatchDryRun, BatchOptions } from "./batch_submit.ts";
export type { CodeFunction } from "../serialize/types.ts";
export type { Elements } from "../map/pool.ts";
export type { Input } from "../map/source.ts";
export { TaskError, TimeoutError, WorkerLostError } from "../map/errors.ts";
export {
  type ArrayRequest,
  checkJob,
  type Dependency,
  type JobDescription,
  JobError,
  type MailRequest,
  type SignalRequest,
} from "./job.ts";
export {
  type LaunchCommand,
  type Launcher,
  type LauncherName,
  type LauncherOptions,
  launchers,
  type LaunchRequest,
  mpiFlavour,
} from "./launchers.ts";
export { lsfDialect } from "./lsf.ts";
export { moabDialect } from "./moab.ts";
export { formatNodes, type NodeRequest, parseNodes } from "./nodes.ts";
export { openpbsDialect, torqueDialect } from "./pbs.ts";
export {
  type CommandOutput,
  isOver,
  type JobState,
  type JobStatus,
  type SchedulerDialect,
  SchedulerError,
  type SchedulerFailure,
  type SubmitCommand,
} from "./scheduler.ts";
export {
  lsf,
  moab,
  openpbs,
  pbs,
  type SchedulerName,
  schedulers,
  sge,
  slurm,
  torque,
  whichLauncher,
  type WhichOptions,
  whichScheduler,
} from "./schedulers.ts";
export { sgeDialect, type SgeNames } from "./sge.ts";
export { slurmDialect } from "./slurm.ts";
export {
  type JobLog,
  type RunCommand,
  Scheduler,
  type SchedulerOptions,
  type WaitOptions,
} from "./submit.ts";
export type { HostLike } from "../ssh/mod.ts";
