/**
 * What every batch scheduler is to the rest of this package: pure functions from a job to a script and command lines,
 * and from what the scheduler's programs print to states, in one vocabulary. Nothing runs here; `submit.ts` runs it,
 * on this machine or on a login node. One file implements this for each scheduler.
 */
import type { JobDescription } from "./job.ts";

/**
 * Where a job stands: waiting (`pending`; `held` until released; `requeued`, that is waiting again after it has
 * run), at work (`running`, `suspended`), or at its end (`completed` with exit code 0, and the others). `unknown`:
 * the scheduler does not tell, or no longer.
 */
export type JobStatus =
  | "pending"
  | "held"
  | "requeued"
  | "running"
  | "suspended"
  | "completed"
  | "failed"
  | "cancelled"
  | "timeout"
  | "out-of-memory"
  | "node-fail"
  | "unknown";

/** The state of a job, or of one task of an array. */
export interface JobState {
  /** As the scheduler names it: `"12"`, or of a task `"12_3"`, `"12[3]"`, `"12.3"`. */
  id: string;
  /** The id that submitting gave. */
  job: string;
  /** Index in the array. */
  task?: number;
  /** Where it stands. */
  status: JobStatus;
  /** The scheduler's own word for that. */
  raw: string;
  /** The exit code, once it has one. */
  exitCode?: number;
  /** The number of the signal that ended it, or its last command, which shells tell by exit codes over 128. */
  signal?: number;
  /** Why it waits, or what ended it, in the scheduler's words. */
  reason?: string;
  /** The name of the job. */
  name?: string;
  /** The nodes it runs or ran on, as the scheduler writes them. */
  nodes?: string;
}

/** What a scheduler's program said, and how it ended. */
export interface CommandOutput {
  /** Exit code, or null if a signal or a time limit ended it. */
  code: number | null;
  /** Standard output. */
  stdout: string;
  /** Standard error. */
  stderr: string;
}

/** A command with what it reads on standard input. */
export interface SubmitCommand {
  /** Program and arguments. */
  argv: string[];
  /** The script. */
  stdin: string;
}

/** A batch scheduler's language. Command lines are lists of words; all ids are those that `parseSubmit` gave. */
export interface SchedulerDialect {
  /** `"slurm"`, `"openpbs"`, `"torque"`, `"moab"`, `"lsf"`, `"gridengine"`. */
  readonly name: string;
  /**
   * The job's script.
   *
   * @throws {JobError} If the description is wrong, or this scheduler cannot express it.
   */
  script(job: JobDescription): string;
  /** What submits that script. */
  submit(job: JobDescription): SubmitCommand;
  /**
   * The id of the job that was submitted.
   *
   * @throws {SchedulerError} With the scheduler's words, if it was not.
   */
  parseSubmit(output: CommandOutput): string;
  /** Commands that tell the states of these jobs, arrays task by task. */
  status(jobs: readonly string[]): string[][];
  /** Commands that tell of jobs which `status` no longer tells of. May be none. */
  history(jobs: readonly string[]): string[][];
  /**
   * The states in what one of those commands said. No states where it says that it does not know the job.
   *
   * @throws {SchedulerError} If the scheduler could not answer.
   */
  parseStatus(output: CommandOutput): JobState[];
  /** Command that cancels jobs. Ids of tasks are understood too, here and below. */
  cancel(jobs: readonly string[]): string[];
  /** Command that holds waiting jobs. */
  hold(jobs: readonly string[]): string[];
  /** Command that releases held jobs. */
  release(jobs: readonly string[]): string[];
  /** Command that stops running jobs and lets them wait again. */
  requeue(jobs: readonly string[]): string[];
  /** The variable in which a running job finds an id of its own that `requeue` takes, where a job may ask that itself. */
  readonly ownId?: string;
  /** The id of one task of an array. */
  taskId(job: string, task: number): string;
  /** What `{job}` in the names of output files stands for. */
  jobNumber(job: string): string;
}

/** What is wrong with a scheduler: it said no, could not be reached, or failed at something else. */
export type SchedulerFailure = "rejected" | "unreachable" | "failed";

/** A scheduler's program did not do what it was asked. */
export class SchedulerError extends Error {
  /** The name of the class. */
  override name = "SchedulerError";
  /** What kind of failure; to ask again helps only when it was not reached. */
  readonly failure: SchedulerFailure;
  /** How its program ended. */
  readonly output: CommandOutput;

  /** Makes one; `what` is what could not be done. */
  constructor(what: string, failure: SchedulerFailure, output: CommandOutput, hint = "") {
    const said = [output.stderr, output.stdout].map((text) => text.trim()).filter(Boolean).join("\n").slice(
      -2000,
    );
    const advice = hint ||
      (failure === "unreachable" ? "the scheduler does not answer; ask again later" : "");
    super(
      `${what} (exit code ${output.code ?? "none"})${said && `: ${said}`}${advice && `\n${advice}`}`,
    );
    this.failure = failure;
    this.output = output;
  }
}

/** Whether a job with this status has come to its end. */
export function isOver(status: JobStatus): boolean {
  return !["pending", "held", "requeued", "running", "suspended", "unknown"].includes(status);
}

const UNREACHABLE = [
  /unable to (contact|communicate|send message)/i, // Slurm, Moab, Grid Engine
  /connection (refused|timed out|reset)|timed out|temporarily unavailable/i,
  /cannot connect to|can't connect to|communication failure/i, // PBS, Moab
  /please wait|daemon not responding/i, // LSF, while its daemon restarts
];

/** Whether the words of a scheduler's program mean that its server could not be reached, for now. */
export function cannotReach({ stdout, stderr }: CommandOutput): boolean {
  const said = `${stderr}\n${stdout}`;
  return UNREACHABLE.some((words) => words.test(said));
}

/** The error for a command that failed, with the kind of failure read from its words. */
export function commandFailed(
  what: string,
  output: CommandOutput,
  otherwise: SchedulerFailure = "failed",
): SchedulerError {
  return new SchedulerError(what, cannotReach(output) ? "unreachable" : otherwise, output);
}

/**
 * The id that a program printed for a job it took: the first group of `pattern` in what it wrote.
 *
 * @throws {SchedulerError} If it did not take the job, or printed no id.
 */
export function submittedId(program: string, output: CommandOutput, pattern: RegExp): string {
  const id = output.code === 0 ? pattern.exec(output.stdout)?.[1] : undefined;
  if (id === undefined) throw commandFailed(`${program} did not take the job`, output, "rejected");
  return id;
}

/** Drops what is undefined or empty. */
export function state(fields: { [K in keyof JobState]: JobState[K] | undefined }): JobState {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined && value !== ""),
  ) as unknown as JobState;
}

/** What an exit code over 128 says: a shell's way to tell of a signal. */
export function signalOf(code: number): number | undefined {
  return code > 128 && code <= 128 + 64 ? code - 128 : undefined;
}
