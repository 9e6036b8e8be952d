/**
 * Batch jobs, from submitting to their output: a thin asynchronous layer that runs a dialect's commands, on this machine
 * or, with a host, on a login node that needs nothing installed. Commands of schedulers hang and fail when their server
 * is busy: questions have a time limit and are asked again; submitting is never repeated, for it may have happened.
 *
 * Jobs are known by their ids alone, so that another process can go on with them later.
 */
import { pause } from "../runtime/mod.ts";
import type { CodeFunction } from "../serialize/types.ts";
import type { Elements } from "../map/pool.ts";
import type { Input } from "../map/source.ts";
import { execute, type HostLike, SshError } from "../ssh/mod.ts";
import { Job } from "./batch_job.ts";
import type { BatchMap } from "./batch_map.ts";
import { type BatchDryRun, type BatchOptions, reattach, submitMap } from "./batch_submit.ts";
import { type JobDescription, JobError } from "./job.ts";
import {
  commandFailed,
  type CommandOutput,
  isOver,
  type JobState,
  type SchedulerDialect,
  SchedulerError,
  type SubmitCommand,
} from "./scheduler.ts";

/** Runs a command to its end. */
export type RunCommand = (
  argv: readonly string[],
  options: { stdin?: string; cwd?: string; timeout: number; signal?: AbortSignal },
) => Promise<CommandOutput>;

/** How a {@linkcode Scheduler} reaches its programs. */
export interface SchedulerOptions {
  /** Login node, reached by ssh. Default: this machine. */
  host?: HostLike;
  /** Runs its commands, instead of {@linkcode execute}. */
  run?: RunCommand;
  /** Variables for its commands. */
  env?: Readonly<Record<string, string>>;
  /** Folder to submit from. Default: the current one; on a host, the home folder. */
  cwd?: string;
  /** Milliseconds that one command may take. Default: 60,000. */
  timeout?: number;
  /** How often a question is asked again when there was no answer. Default: 4. */
  retries?: number;
  /** Milliseconds between two looks at a job: from the first to at most the second. Default: `[200, 15_000]`. */
  polling?: readonly [number, number];
  /**
   * Milliseconds that {@linkcode Scheduler.wait} gives a scheduler to tell of a job it does not know, since accounts are
   * written some time after the end. Default: 30,000.
   */
  patience?: number;
}

/** How {@linkcode Scheduler.wait} waits. */
export interface WaitOptions {
  /** Milliseconds to wait at most. Default: no limit. */
  timeout?: number;
  /** Stops waiting; the jobs go on. */
  signal?: AbortSignal;
  /**
   * How often a job or task of an array is put back into the queue when it has ended because its time was over or its node
   * failed. Default: 0. On Slurm; the others do not take jobs back that have ended.
   */
  requeues?: number;
  /** Called whenever a state has changed. */
  onChange?: (state: JobState) => void;
}

/** What a job wrote, by file. */
export interface JobLog {
  /** Index in the array. */
  task?: number;
  /** Path, from the folder that was submitted from. */
  path: string;
  /** Its text; undefined if there is no such file (yet). */
  text?: string;
}

/** What schedulers say of a job that they are to cancel when it has ended, or never was. */
const ENDED_ALREADY = new RegExp(
  [
    "already (finished|completed)|has finished|invalid for state", // LSF, Slurm, OpenPBS, Torque
    "invalid job|unknown (job|array)|cannot locate job", // Slurm, OpenPBS, Torque, Moab
    "not found|no matching job|does not exist", // LSF, Grid Engine
  ].join("|"),
  "i",
);

/** How many job ids go on one command line. */
const AT_ONCE = 200;
/**
 * A batch scheduler.
 *
 * @example
 * ```ts ignore
 * import { Scheduler, slurmDialect } from "@pathos/pathos/mpi";
 *
 * const slurm = new Scheduler(slurmDialect, { host: "me@cluster" });
 * const id = await slurm.submit({ command: ["./solve", "in.dat"], tasks: 8, walltime: 3_600_000 });
 * const [state] = await slurm.wait(id);
 * console.log(state.status, await slurm.logs(id, { command: "", stdout: "slurm-{job}.out" }));
 * ```
 */
export class Scheduler {
  /** The scheduler's language. */
  readonly dialect: SchedulerDialect;
  /** Its login node; undefined: this machine. */
  readonly host: HostLike | undefined;
  readonly #options: SchedulerOptions;
  readonly #run: RunCommand;

  /** Makes one; nothing is run yet. */
  constructor(dialect: SchedulerDialect, options: SchedulerOptions = {}) {
    this.dialect = dialect;
    this.#options = options;
    const { host, env } = options;
    this.host = host;
    this.#run = options.run ?? ((argv, more) => execute(argv, { ...more, env, host }));
  }

  /** What submitting would run: its words, and the script on its standard input. */
  dryRun(job: JobDescription): SubmitCommand {
    return this.dialect.submit(job);
  }

  /**
   * Submits a job and gives its id. A submission whose answer did not come is not repeated.
   *
   * @throws {JobError} If the description is wrong or this scheduler cannot express it.
   * @throws {SchedulerError} If the scheduler refused it, or could not be reached.
   */
  async submit(job: JobDescription): Promise<string> {
    const { argv, stdin } = this.dialect.submit(job);
    const hint = "whether it took the job is not known: look for it before submitting again";
    return this.dialect.parseSubmit(await this.#command(argv, { stdin, hint }));
  }

  /**
   * Submits a job, as {@linkcode Scheduler.submit}, and gives a handle.
   *
   * @throws {JobError} If the description is wrong or this scheduler cannot express it.
   * @throws {SchedulerError} If the scheduler refused it, or could not be reached.
   */
  async job(description: JobDescription): Promise<Job> {
    return new Job(this, await this.submit(description), description);
  }

  /** A handle on a job that was submitted before; nothing is asked yet. Logs need its description. */
  attach(id: string, description?: JobDescription): Job {
    return new Job(this, id, description);
  }

  /** What {@linkcode Scheduler.map} would submit: nothing is done. The folder in it is not the one that it would get. */
  map<Inputs extends readonly Input<unknown>[], R>(
    fn: (...args: Elements<Inputs>) => R,
    ...args: [...Inputs, BatchOptions & { dryRun: true }]
  ): Promise<BatchDryRun>;
  /**
   * Maps a function over items as a batch array, and resolves when that is submitted. The function is an ordinary one, and what
   * it mentions of its surroundings travels with it as it is at the time of the call, as with the pools; several iterables are
   * taken in step, as in `pool.map`. The last argument may be {@linkcode BatchOptions}.
   *
   * All that belongs to the map lies in a folder beside the scheduler, which the nodes must see. There, and on the nodes, only Deno
   * or Node is needed, and what is missing is sent: the program of the tasks, and a runtime where the scheduler's
   * host has none. Results that are there are never lost: not by a task that hits its walltime, and not by this program's end.
   *
   * Results are data: a function or an instance of a class that came into being there is refused here.
   *
   * @example
   * ```ts ignore
   * import { slurm } from "@pathos/pathos/mpi";
   *
   * const cluster = slurm({ host: "me@cluster" });
   * const k = 10;
   * const run = await cluster.map((x: number) => x * k, [1, 2, 3], { tasks: 3, limit: 2, job: { walltime: 600_000 } });
   * console.log(await run.results()); // [10, 20, 30]
   * ```
   *
   * @throws {UnserializableError} If the function or an item cannot travel.
   * @throws {JobError} If what is asked for makes no sense, or this scheduler cannot express it.
   * @throws {SchedulerError} If the scheduler refused it, or it is not known whether it took it.
   * @throws {SshError} If the host cannot be reached.
   */
  map<Inputs extends readonly Input<unknown>[], R>(
    fn: (...args: Elements<Inputs>) => R,
    ...args: [...Inputs, BatchOptions]
  ): Promise<BatchMap<Awaited<R>>>;
  /** Maps a function without options. */
  map<Inputs extends readonly Input<unknown>[], R>(
    fn: (...args: Elements<Inputs>) => R,
    ...inputs: Inputs
  ): Promise<BatchMap<Awaited<R>>>;
  async map(
    fn: (...args: never[]) => unknown,
    ...args: unknown[]
  ): Promise<unknown> {
    const site: { stack?: string } = {};
    Error.captureStackTrace(site, this.map);
    return await submitMap(this, this.#options, fn, args, site);
  }

  /**
   * Goes on with a map that was submitted before, by this program or another one: {@linkcode BatchMap.folder} tells what is needed.
   *
   * @param folder Its folder, beside the scheduler; `~` at its beginning is the home folder.
   * @param code Functions and classes that results may refer to: instances of a class of the program's own come back as such
   * only if it, or the mapped function that mentions it, is given.
   * @throws {SchedulerError} If that is no folder of a map.
   * @throws {JobError} If it was submitted to another kind of scheduler.
   */
  async reattach<R = unknown>(folder: string, code: readonly CodeFunction[] = []): Promise<BatchMap<R>> {
    const site: { stack?: string } = {};
    Error.captureStackTrace(site, this.reattach);
    return await reattach(this, this.#options, folder, code, site) as BatchMap<R>;
  }

  /**
   * The states of jobs, arrays task by task, in the order of the ids. A job that the scheduler does not know (any more)
   * has the status `unknown`.
   *
   * @throws {SchedulerError} If the scheduler does not answer, however often it is asked.
   */
  async status(jobs: string | readonly string[], signal?: AbortSignal): Promise<JobState[]> {
    const wanted = [...new Set(typeof jobs === "string" ? [jobs] : jobs)];
    const found = new Map<string, JobState[]>();
    const take = async (commands: string[][]) => {
      for (const argv of commands) {
        for (const state of await this.#ask(argv, signal)) {
          const id = wanted.find((id) => bare(id) === bare(state.id)) ??
            wanted.find((id) => bare(id) === bare(state.job));
          if (id === undefined) continue;
          const states = found.get(id);
          // accounts that are still being written may tell of a whole array as one job
          if (state.task === undefined && states?.some(({ task }) => task !== undefined)) continue;
          if (!states) found.set(id, [state]);
          else if (!states.some((other) => other.id === state.id)) states.push(state);
        }
      }
    };
    for (const ids of portions(wanted)) await take(this.dialect.status(ids));
    // of an array that still has tasks at work, those that ended long ago may be gone already
    const asked = wanted.filter((id) => found.get(id)?.some(({ task }) => task !== undefined) ?? true);
    for (const ids of portions(asked)) await take(this.dialect.history(ids));
    return wanted.flatMap((id) =>
      found.get(id)?.sort((a, b) => (a.task ?? 0) - (b.task ?? 0)) ??
        [{
          id,
          job: id,
          status: "unknown" as const,
          raw: "",
          reason: `${this.dialect.name} does not know it`,
        }]
    );
  }

  /**
   * Waits until jobs, and all tasks of arrays, have come to their ends, and gives their states, good or bad. What the
   * scheduler forgets meanwhile keeps the end it was seen to have; what it does not know for `patience` is `unknown`.
   * A connection to the host that is lost meanwhile is made anew, however long that takes.
   *
   * @throws {DOMException} Named `TimeoutError`, if that took longer than `timeout`; or the reason of `signal`.
   * @throws {SchedulerError} If the scheduler does not answer, however often it is asked.
   */
  async wait(jobs: string | readonly string[], options: WaitOptions = {}): Promise<JobState[]> {
    const { timeout, signal, requeues = 0, onChange } = options;
    const [first, most] = this.#options.polling ?? [200, 15_000];
    const end = timeout === undefined ? Infinity : performance.now() + timeout;
    const { patience = 30_000 } = this.#options;
    const seen = new Map<string, JobState>();
    const again = new Map<string, number>(); // how often each was put back
    let known = performance.now(); // when something was known of one that is open
    for (let interval = first;; interval = Math.min(most, interval * 1.5)) {
      signal?.throwIfAborted();
      const told = await this.status(jobs, signal).catch((error) => {
        if (seen.size > 0 && error instanceof SshError && error.mayPass) return undefined;
        throw error;
      });
      const states = told ? withForgotten(told, seen) : [...seen.values()];
      if (!told) known = performance.now();
      for (const state of states) {
        const before = seen.get(state.id);
        seen.set(state.id, state);
        if (before?.status === state.status) continue;
        if (before) interval = first; // things move: look soon again
        onChange?.(state);
      }
      const back = states.filter(({ id, status }) =>
        (status === "timeout" || status === "node-fail") && (again.get(id) ?? 0) < requeues
      );
      if (back.length > 0) {
        for (const { id } of back) again.set(id, (again.get(id) ?? 0) + 1);
        await this.requeue(back.map(({ id }) => id));
        for (const { id } of back) seen.delete(id);
        await pause(first, signal);
        continue;
      }
      const open = states.filter(({ status }) => !isOver(status));
      if (open.some(({ status }) => status !== "unknown")) known = performance.now();
      if (open.length === 0 || performance.now() - known > patience) return states;
      if (performance.now() + interval > end) {
        const names = open.slice(0, 5).map(({ id, status }) => `${id} ${status}`).join(", ");
        throw new DOMException(
          `waited ${timeout} ms for jobs: ${names} (${open.length} open)`,
          "TimeoutError",
        );
      }
      await pause(interval, signal);
    }
  }

  /** Cancels jobs or tasks. One that has ended already is no error. */
  async cancel(jobs: string | readonly string[]): Promise<void> {
    await this.#control(
      "cancel",
      jobs,
      ENDED_ALREADY,
    );
  }

  /** Holds waiting jobs or tasks. */
  async hold(jobs: string | readonly string[]): Promise<void> {
    await this.#control("hold", jobs);
  }

  /** Releases held jobs or tasks. */
  async release(jobs: string | readonly string[]): Promise<void> {
    await this.#control("release", jobs);
  }

  /** Stops running jobs or tasks and lets them wait again. */
  async requeue(jobs: string | readonly string[]): Promise<void> {
    await this.#control("requeue", jobs);
  }

  /**
   * The text of the output files that the description names, one for each task of an array.
   *
   * @throws {JobError} If it does not say where output goes.
   */
  async logs(id: string, job: JobDescription, stream: "stdout" | "stderr" = "stdout"): Promise<JobLog[]> {
    const name = stream === "stderr" ? job.stderr ?? job.stdout : job.stdout;
    if (name === undefined) {
      throw new JobError("logs: the job does not say where its output goes; give it stdout");
    }
    const tasks = name.includes("{task}") ? job.array!.indices : [undefined];
    return await Promise.all(tasks.map(async (task) => {
      const file = name.replaceAll("{job}", this.dialect.jobNumber(id)).replaceAll("{task}", `${task}`);
      const path = job.workdir === undefined || file.startsWith("/") ? file : `${job.workdir}/${file}`;
      const text = await this.fetch(path);
      return { ...task === undefined ? {} : { task }, path, ...text === undefined ? {} : { text } };
    }));
  }

  /** The text of a file beside the scheduler; undefined if there is none. Relative paths are from `cwd`. */
  async fetch(path: string): Promise<string | undefined> {
    const output = await this.#patiently(() => this.#command(["cat", "--", path]), undefined);
    if (output.code === 0) return output.stdout;
    if (/no such file/i.test(output.stderr)) return undefined;
    throw commandFailed(`${path} cannot be read`, output);
  }

  async #control(
    what: "cancel" | "hold" | "release" | "requeue",
    jobs: string | readonly string[],
    harmless?: RegExp,
  ): Promise<void> {
    for (const ids of portions(typeof jobs === "string" ? [jobs] : jobs)) {
      const output = await this.#command(this.dialect[what](ids));
      if (output.code !== 0 && !harmless?.test(output.stderr + output.stdout)) {
        throw commandFailed(
          `${this.dialect.name} could not ${what} ${ids.slice(0, 5).join(" ")}`,
          output,
          "rejected",
        );
      }
    }
  }

  async #ask(argv: string[], signal?: AbortSignal): Promise<JobState[]> {
    return await this.#patiently(
      async () => this.dialect.parseStatus(await this.#command(argv, { signal })),
      signal,
    );
  }

  async #patiently<T>(question: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const { retries = 4, polling = [200, 15_000] } = this.#options;
    for (let left = retries, interval = polling[0];; left--, interval *= 2) {
      try {
        return await question();
      } catch (error) {
        const passing = error instanceof SchedulerError && error.failure === "unreachable";
        if (left === 0 || !passing) throw error;
      }
      await pause(Math.min(interval, polling[1]), signal);
    }
  }

  async #command(
    argv: string[],
    { hint, ...options }: { stdin?: string; signal?: AbortSignal; hint?: string } = {},
  ): Promise<CommandOutput> {
    const { cwd, timeout = 60_000 } = this.#options;
    try {
      return await this.#run(argv, { ...options, cwd, timeout });
    } catch (error) {
      if (!(error instanceof DOMException && error.name === "TimeoutError")) throw error;
      const output = { code: null, stdout: "", stderr: `no answer within ${timeout} ms` };
      throw new SchedulerError(`${argv[0]} hangs`, "unreachable", output, hint);
    }
  }
}

/** Adds the tasks that were seen before and are not told of any more: ended as then, or unknown. */
function withForgotten(states: JobState[], seen: ReadonlyMap<string, JobState>): JobState[] {
  const told = new Set(states.map(({ id }) => id));
  const jobs = new Set(states.map(({ job }) => job));
  const gone = [...seen.values()].filter(({ id, job, task }) =>
    !told.has(id) && (task !== undefined || !jobs.has(job))
  );
  if (gone.length === 0) return states;
  const reason = "the scheduler does not know it any more";
  const added = gone.map((state) =>
    isOver(state.status) ? state : { ...state, status: "unknown" as const, reason }
  );
  // an array of which nothing is left is told of as one unknown job
  const hollow = new Set(added.map(({ job }) => job));
  return [...states.filter(({ id, status }) => !(status === "unknown" && hollow.has(id))), ...added]
    .sort((a, b) => a.job === b.job ? (a.task ?? 0) - (b.task ?? 0) : 0);
}

/** PBS writes the name of the server after an id, or does not. */
function bare(id: string): string {
  return id.replace(/^(\d+(?:\[\d*\])?)\.[A-Za-z].*$/, "$1");
}

function* portions(ids: readonly string[]): Generator<readonly string[]> {
  for (let i = 0; i < ids.length; i += AT_ONCE) yield ids.slice(i, i + AT_ONCE);
}
