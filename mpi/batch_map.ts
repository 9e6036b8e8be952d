/**
 * A function over items as a batch array, from its submission to its results. All there is to know lies in the folder beside
 * the scheduler; this side looks there, and asks the scheduler only about tasks that have not told everything. So
 * nothing is lost when this program or its connection ends, and another program can go on with it.
 *
 * When a task has ended and has not told about all its items, which a shared file system may show only a while later, the
 * others count as failed.
 */
import { pause } from "../runtime/mod.ts";
import type { CodeBook } from "../serialize/codebook.ts";
import { type Attempt, type BatchFolder, mayPass, type RunRecord } from "./batch_folder.ts";
import { Job } from "./batch_job.ts";
import { type BatchOutcome, Outcomes } from "./batch_outcomes.ts";
import { type AttemptJob, describeAttempt, logName } from "./batch_attempt.ts";
import { isOver, type JobState } from "./scheduler.ts";
import type { JobLog, Scheduler, SchedulerOptions } from "./submit.ts";

/** How far a batch map is. */
export interface BatchProgress {
  /** Items. */
  total: number;
  /** Items with a result. */
  done: number;
  /** Items that failed. */
  failed: number;
  /** What the scheduler last told of the tasks that were not finished. */
  tasks: JobState[];
}

/** How results are waited for. */
export interface FollowOptions {
  /** Milliseconds to wait at most. Default: no limit. */
  timeout?: number;
  /** Stops waiting; the tasks go on. */
  signal?: AbortSignal;
  /** Called after each look. */
  onProgress?: (progress: BatchProgress) => void;
}

/** The end of a task that did not finish well shows in the folder within so many milliseconds. */
const TRACES_MS = 2_000;
/** How many bytes of what a task printed its error tells, and of how many tasks at once. */
const TAIL = 4096;
const TAILS = 100;
/** The longest that a timer can wait. */
const LONGEST_MS = 2 ** 31 - 1;

interface BatchParts {
  scheduler: Scheduler;
  options: SchedulerOptions;
  folder: BatchFolder;
  run: RunRecord;
  attempts: readonly Attempt[];
  book: CodeBook;
  /** Where it was called. */
  site: { stack?: string };
}

/**
 * A map that a scheduler runs as an array of tasks. Made by {@linkcode Scheduler.map} and {@linkcode Scheduler.reattach}.
 *
 * A lost connection is made anew as long as somebody waits: a laptop may go to sleep.
 *
 * @example
 * ```ts ignore
 * import { slurm } from "@pathos/pathos/mpi";
 *
 * const k = 10;
 * const run = await slurm({ host: "me@cluster" }).map((x: number) => x * k, [1, 2, 3]);
 * console.log(run.folder); // enough to go on with it later: slurm(...).reattach(folder)
 * for await (const { index, value, error } of run) console.log(index, error ?? value);
 * console.log(await run.results());
 * await run.remove();
 * ```
 */
export class BatchMap<R> implements AsyncIterable<BatchOutcome<R>> {
  /** Where it was submitted. */
  readonly scheduler: Scheduler;
  readonly #options: SchedulerOptions;
  readonly #folder: BatchFolder;
  readonly #run: RunRecord;
  readonly #known: Outcomes<R>;
  #told: JobState[] = [];
  /** Tasks that the scheduler says have ended, or does not know, and since when. */
  readonly #ended = new Map<number, { state: JobState; since: number }>();
  #looking: Promise<void> | undefined;

  /** @internal */
  constructor({ scheduler, options, folder, run, attempts, book, site }: BatchParts) {
    this.scheduler = scheduler;
    this.#options = options;
    this.#folder = folder;
    this.#run = run;
    this.#known = new Outcomes(run, book, scheduler.dialect, site);
    for (const attempt of attempts) this.#known.add(attempt);
  }

  /** The folder, beside the scheduler. */
  get folder(): string {
    return this.#folder.path;
  }

  /** The id of the job that was submitted last; empty if it is not known. */
  get id(): string {
    return this.#known.attempts.at(-1)?.id ?? "";
  }

  /** The jobs that were submitted: one, and one more with each {@linkcode BatchMap.resubmit}. */
  get jobs(): Job[] {
    return this.#known.attempts.flatMap(({ id, description }) =>
      id === undefined ? [] : [new Job(this.scheduler, id, description)]
    );
  }

  /** What is known of each item, undefined for those that are open. Whatever waits or looks brings it up to date. */
  get outcomes(): readonly (BatchOutcome<R> | undefined)[] {
    return this.#known.items;
  }

  /**
   * Waits for all results, and gives them in the order of the items.
   *
   * @throws {TaskError} As soon as an item has failed; it names the item, the task and its node. The other tasks go on, and
   * {@linkcode BatchMap.outcomes} and {@linkcode BatchMap.settled} have their results.
   * @throws {DOMException} Named `TimeoutError`, if that took longer than `timeout`; or the reason of `signal`.
   */
  async results(options: FollowOptions = {}): Promise<R[]> {
    for await (const _ of this.#follow(options)) {
      const failed = this.outcomes.find((outcome) => outcome?.error);
      if (failed) throw failed.error;
    }
    return this.outcomes.map((outcome) => outcome!.value as R);
  }

  /**
   * Waits until all tasks have ended, and gives what became of each item, as `Promise.allSettled` does.
   *
   * @throws {DOMException} Named `TimeoutError`, if that took longer than `timeout`; or the reason of `signal`.
   */
  async settled(options: FollowOptions = {}): Promise<PromiseSettledResult<R>[]> {
    for await (const _ of this.#follow(options));
    return this.outcomes.map((outcome) =>
      outcome!.error
        ? { status: "rejected", reason: outcome!.error }
        : { status: "fulfilled", value: outcome!.value as R }
    );
  }

  /** Gives what becomes of the items, as it comes; what is known already comes first. */
  async *[Symbol.asyncIterator](): AsyncGenerator<BatchOutcome<R>, void, void> {
    const given = new Set<number>();
    for await (const _ of this.#follow({})) {
      for (const outcome of this.outcomes) {
        if (!outcome || given.has(outcome.index)) continue;
        given.add(outcome.index);
        yield outcome;
      }
    }
  }

  /** Looks how far it is. */
  async progress(): Promise<BatchProgress> {
    await this.#look();
    return this.#progress();
  }

  /**
   * Submits again the tasks that have ended and of whose items some have no result; those items alone are run.
   *
   * @param changes What is to be different this time: more walltime, say.
   * @returns The tasks, from 1; none if there was nothing to submit.
   * @throws {SchedulerError} If the scheduler refused them.
   */
  async resubmit(changes: AttemptJob = {}): Promise<number[]> {
    const over: number[] = [];
    for (const attempt of this.#known.attempts) {
      const tasks = this.#known.tasksOf(attempt).filter((task) => !this.#known.complete(task));
      if (tasks.length === 0) continue;
      const states = attempt.id === undefined ? [] : await this.scheduler.status(attempt.id);
      for (const task of tasks) {
        const { status } = stateOf(states, attempt, task);
        if (isOver(status) || status === "unknown") over.push(task);
      }
    }
    if (over.length === 0) return [];
    await this.#look(); // what they wrote before they ended
    const tasks = over.filter((task) => !this.#known.complete(task)).sort((a, b) => a - b);
    if (tasks.length === 0) return [];
    const { options } = this.#run;
    const run = { ...this.#run, options: { ...options, job: { ...options.job, ...changes } } };
    const attempt = this.#known.attempts.at(-1)!.attempt + 1;
    const { dialect } = this.scheduler;
    this.#known.add(
      await this.#folder.submit(dialect, describeAttempt(dialect, this.folder, run, attempt, tasks)),
    );
    for (const task of tasks) this.#ended.delete(task);
    return tasks;
  }

  /** Cancels the tasks that have not ended. Their results so far stay. */
  async cancel(): Promise<void> {
    const ids = this.jobs.map(({ id }) => id);
    if (ids.length > 0) await this.scheduler.cancel(ids);
  }

  /** What the tasks printed; for tasks that were submitted again, each time. */
  async logs(): Promise<JobLog[]> {
    const files = await this.#folder.logs();
    return this.#known.attempts.flatMap(({ attempt, tasks, indices }) =>
      tasks.map((task, i) => {
        const name = logName(attempt, indices[i]);
        const text = files.get(name);
        return { task, path: `${this.folder}/log/${name}`, ...text === undefined ? {} : { text } };
      })
    );
  }

  /** Cancels what has not ended, and removes the folder with all that is in it. */
  async remove(): Promise<void> {
    if (!this.outcomes.every(Boolean)) await this.cancel();
    await this.#folder.remove();
  }

  #progress(): BatchProgress {
    const failed = this.outcomes.filter((outcome) => outcome?.error).length;
    const known = this.outcomes.filter(Boolean).length;
    return { total: this.#run.items, done: known - failed, failed, tasks: this.#told };
  }

  /** Looks again and again until nothing is open, ever more seldom while nothing comes. */
  async *#follow({ timeout, signal, onProgress }: FollowOptions): AsyncGenerator<void, void, void> {
    const [first, most] = this.#options.polling ?? [200, 15_000];
    const end = timeout === undefined ? Infinity : performance.now() + timeout;
    let interval = first, before = -1, away: unknown;
    for (;;) {
      signal?.throwIfAborted();
      try {
        await unless(this.#look(), end - performance.now(), signal);
        away = undefined;
      } catch (error) {
        if (signal?.aborted || !mayPass(error)) throw error;
        away = error;
      }
      const progress = this.#progress();
      onProgress?.(progress);
      yield;
      const known = progress.done + progress.failed;
      if (known === progress.total) return;
      interval = known > before ? first : Math.min(most, interval * 1.5);
      before = known;
      const left = end - performance.now();
      if (left <= 0) {
        throw new DOMException(
          `waited ${timeout} ms for ${this.folder}: ${
            progress.total - known
          } of ${progress.total} items are open` +
            (away ? `; ${(away as Error).message}` : ""),
          "TimeoutError",
        );
      }
      await pause(Math.min(interval, left), signal);
    }
  }

  /** One look serves all who wait. */
  #look(): Promise<void> {
    return this.#looking ??= this.#lookAtAll().finally(() => this.#looking = undefined);
  }

  async #lookAtAll(): Promise<void> {
    const ended = [...this.#ended]; // known before the parts are listed
    for (let more = true; more;) {
      const fetched = await this.#folder.parts(this.#known.seen);
      this.#known.take(fetched.bytes);
      more = fetched.more;
    }
    const { patience = 30_000 } = this.#options;
    const now = performance.now();
    await this.#lose(ended.filter(([task, { state, since }]) => {
      const well = state.status === "completed" || state.status === "unknown";
      return this.#known.open(task) && now - since >= (well ? patience : Math.min(patience, TRACES_MS));
    }));
    this.#told = [];
    for (const attempt of this.#known.attempts) {
      const open = this.#known.tasksOf(attempt).filter((task) => this.#known.open(task));
      if (open.length === 0) continue;
      const states = attempt.id === undefined ? [] : await this.scheduler.status(attempt.id);
      for (const task of open) this.#note(task, stateOf(states, attempt, task));
    }
  }

  #note(task: number, state: JobState): void {
    this.#told.push(state);
    if (!isOver(state.status) && state.status !== "unknown") this.#ended.delete(task);
    else if (this.#ended.get(task)?.state.status !== state.status) {
      this.#ended.set(task, { state, since: performance.now() });
    }
  }

  async #lose(lost: readonly [task: number, ended: { state: JobState }][]): Promise<void> {
    if (lost.length === 0) return;
    const name = (task: number) => {
      const { attempt, tasks, indices } = this.#known.attemptOf(task);
      return logName(attempt, indices[tasks.indexOf(task)]);
    };
    const printed = await this.#folder.logs(lost.slice(0, TAILS).map(([task]) => name(task)), TAIL);
    for (const [task, { state }] of lost) {
      this.#known.lose(task, state, printed.get(name(task)) ?? "");
      this.#ended.delete(task);
    }
  }
}

/** Of the states of an attempt's job that of one task. */
function stateOf(
  states: readonly JobState[],
  { tasks, indices, description, problem }: Attempt,
  task: number,
): JobState {
  const index = description.array ? indices[tasks.indexOf(task)] : undefined;
  return states.find((state) => state.task === index) ?? states.find((state) => state.task === undefined) ??
    {
      id: "",
      job: "",
      status: "unknown",
      raw: "",
      reason: problem?.message ?? "the scheduler does not know it",
    };
}

/** The promise, or a rejection when the time is over or the signal aborts; the work goes on all the same. */
function unless<T>(promise: Promise<T>, milliseconds: number, signal: AbortSignal | undefined): Promise<T> {
  if (milliseconds === Infinity && !signal) return promise;
  return new Promise((resolve, reject) => {
    const late = () => reject(new DOMException("there was no answer in time", "TimeoutError"));
    const timer = setTimeout(late, Math.min(LONGEST_MS, Math.max(0, milliseconds)));
    const abort = () => reject(signal!.reason);
    signal?.addEventListener("abort", abort);
    promise.then(resolve, reject).finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    });
  });
}
