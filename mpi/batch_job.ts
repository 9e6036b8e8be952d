/** A batch job that was submitted: its id, and what can be done with it. */
import type { JobDescription } from "./job.ts";
import { JobError } from "./job.ts";
import type { JobState } from "./scheduler.ts";
import type { JobLog, Scheduler, WaitOptions } from "./submit.ts";

/**
 * A job of a scheduler. Made by {@linkcode Scheduler.job} and {@linkcode Scheduler.attach}.
 *
 * @example
 * ```ts ignore
 * import { slurm } from "@pathos/pathos/mpi";
 *
 * const job = await slurm({ host: "me@cluster" }).job({ command: "./solve", tasks: 8, stdout: "out-{job}" });
 * const [{ status }] = await job.wait();
 * console.log(job.id, status, (await job.logs())[0].text);
 * ```
 */
export class Job {
  /** As the scheduler gave it. */
  readonly id: string;
  /** Where it was submitted. */
  readonly scheduler: Scheduler;
  /** What was submitted, if that is known. */
  readonly description: JobDescription | undefined;

  /** @internal */
  constructor(scheduler: Scheduler, id: string, description?: JobDescription) {
    this.scheduler = scheduler;
    this.id = id;
    this.description = description;
  }

  /** Its state; of an array that of each task. See {@linkcode Scheduler.status}. */
  status(signal?: AbortSignal): Promise<JobState[]> {
    return this.scheduler.status(this.id, signal);
  }

  /** Waits for its end. See {@linkcode Scheduler.wait}. */
  wait(options?: WaitOptions): Promise<JobState[]> {
    return this.scheduler.wait(this.id, options);
  }

  /** Cancels it; if it has ended already that is no error. */
  cancel(): Promise<void> {
    return this.scheduler.cancel(this.id);
  }

  /** Holds it, while it waits. */
  hold(): Promise<void> {
    return this.scheduler.hold(this.id);
  }

  /** Releases it. */
  release(): Promise<void> {
    return this.scheduler.release(this.id);
  }

  /** Stops it and lets it wait again. */
  requeue(): Promise<void> {
    return this.scheduler.requeue(this.id);
  }

  /**
   * What it wrote. See {@linkcode Scheduler.logs}.
   *
   * @throws {JobError} If its description is not known, or does not say where output goes.
   */
  async logs(stream: "stdout" | "stderr" = "stdout"): Promise<JobLog[]> {
    if (!this.description) {
      throw new JobError(`logs: the description of job ${this.id} is not known; give it to attach`);
    }
    return await this.scheduler.logs(this.id, this.description, stream);
  }

  /** The text of a file beside the scheduler. See {@linkcode Scheduler.fetch}. */
  fetch(path: string): Promise<string | undefined> {
    return this.scheduler.fetch(path);
  }
}
