/** The job of an attempt at a batch map: an array with an index for each task, or, for one task alone, a plain job. */
import type { AttemptPlan, RunRecord } from "./batch_folder.ts";
import { taskScript } from "./batch_scripts.ts";
import { type JobDescription, JobError } from "./job.ts";
import type { SchedulerDialect } from "./scheduler.ts";

/** What of a job's description a batch map leaves to the caller. */
export type AttemptJob = Partial<Omit<JobDescription, "command" | "array">>;

/** The name of the file in which a task's output is, by its index. */
export function logName(attempt: number, index: number | string): string {
  return `${attempt}-${index}.txt`;
}

/**
 * Describes an attempt.
 *
 * @throws {JobError} If something in it is wrong, or the scheduler cannot express it.
 */
export function describeAttempt(
  dialect: SchedulerDialect,
  folder: string,
  run: Pick<RunRecord, "id" | "runtime" | "options">,
  attempt: number,
  tasks: readonly number[],
): AttemptPlan {
  const describe = (indices: readonly number[]): AttemptPlan => {
    const { job, limit, workers, save, setup, runtime } = run.options;
    const { signal } = job;
    const array = tasks.length === 1 ? undefined : { indices, limit };
    const plan = {
      folder,
      attempt,
      tasks: indices === tasks ? undefined : tasks,
      workers,
      save,
      warning: signal && { signal: signal.name, before: signal.before },
      requeue: dialect.ownId === undefined || job.requeue === false ? undefined : {
        argv: dialect.requeue([]),
        variable: dialect.ownId,
      },
    };
    const description: JobDescription = {
      name: `pathos-${run.id.slice(0, 8)}`, // Torque has room for 15 characters
      stdout: `${folder}/log/${logName(attempt, array ? "{task}" : indices[0])}`,
      ...job,
      command: taskScript({
        folder,
        plan,
        setup,
        asked: runtime,
        found: run.runtime,
      }),
      array,
      environment: { ...job.environment, ...array ? {} : { PATHOS_TASK: `${indices[0]}` } },
      requeue: job.requeue ?? (signal && dialect.ownId !== undefined ? true : undefined),
    };
    dialect.script(description);
    return { attempt, tasks, indices, description };
  };
  try {
    return describe(tasks);
  } catch (error) {
    if (!(error instanceof JobError)) throw error;
  }
  return describe(tasks.map((_, i) => i + 1)); // OpenPBS takes only one range
}
