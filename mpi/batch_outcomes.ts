/**
 * What is known of the items of a batch map. An item is open until its result or its failure is known. A result is for good; a
 * failure holds for the attempt it comes from, and is forgotten when its task is submitted again. What only the scheduler
 * told, that a task has ended, gives way to what the task itself tells later.
 */
import type { CodeBook } from "../serialize/codebook.ts";
import { buffersOf, unpackColumn } from "../map/columns.ts";
import { TaskError, TimeoutError, WorkerLostError } from "../map/errors.ts";
import type { FromWorker } from "../map/protocol.ts";
import { tidyRemote } from "../map/report.ts";
import { unpackMessage } from "../map/wire.ts";
import { type Attempt, shareOf } from "./batch_folder.ts";
import { type AnswerNote, type LossNote, type PartNote, readNotes } from "./batch_format.ts";
import type { JobState, SchedulerDialect } from "./scheduler.ts";

/** What became of one item: a value, or an error. */
export type BatchOutcome<R> =
  | { index: number; value: R; error?: undefined }
  | { index: number; value?: undefined; error: TaskError };

/** The outcomes of all items. */
export class Outcomes<R> {
  /** By item; undefined for those that are open. */
  readonly items: (BatchOutcome<R> | undefined)[];
  /** Names of the parts that were read. */
  readonly seen = new Set<string>();
  readonly attempts: Attempt[] = [];
  readonly #run: { items: number; tasks: number };
  readonly #book: CodeBook;
  readonly #dialect: SchedulerDialect;
  /** Where the map was called: the errors' own stacks show that, since they are made much later. */
  readonly #site: string[];
  /** How much an item's failure counts: the attempt it comes from, or half of one less for the scheduler's word. */
  readonly #weight: number[];
  /** The attempt that each task is in, from 1. */
  readonly #current: number[] = [];

  constructor(
    run: { items: number; tasks: number },
    book: CodeBook,
    dialect: SchedulerDialect,
    site: { stack?: string },
  ) {
    this.#site = site.stack?.split("\n").filter((line) => /^\s+at /.test(line)) ?? [];
    this.items = new Array(run.items).fill(undefined);
    this.#weight = new Array(run.items).fill(0);
    this.#run = run;
    this.#book = book;
    this.#dialect = dialect;
  }

  /** The attempt that a task is in. */
  attemptOf(task: number): Attempt {
    return this.attempts.find(({ attempt }) => attempt === this.#current[task - 1])!;
  }

  /** The tasks of an attempt that are in no later one. */
  tasksOf({ attempt, tasks }: Attempt): number[] {
    return tasks.filter((task) => this.#current[task - 1] === attempt);
  }

  /** Whether something of a task is open. */
  open(task: number): boolean {
    return this.#items(task).some((item) => !this.items[item]);
  }

  /** Whether a task's items all have results. */
  complete(task: number): boolean {
    return this.#items(task).every((item) => this.items[item] && !this.items[item]!.error);
  }

  /** An attempt was submitted. */
  add(attempt: Attempt): void {
    this.attempts.push(attempt);
    for (const task of attempt.tasks) {
      this.#current[task - 1] = attempt.attempt;
      for (const item of this.#items(task)) {
        if (this.items[item]?.error) this.items[item] = undefined;
      }
    }
  }

  /**
   * Takes what parts tell.
   *
   * @throws {Error} If they are damaged.
   */
  take(bytes: Uint8Array): void {
    let part: PartNote | undefined;
    for (const { note, message } of readNotes(bytes)) {
      if (note.say === "part") {
        part = note;
        this.seen.add(part.name);
      } else if (part && note.say === "answer") this.#answer(part, note, message);
      else if (part && note.say === "loss") this.#loss(part, note);
    }
  }

  /** A task has ended, says the scheduler, and nothing more is heard of its open items. */
  lose(task: number, state: JobState, stderr: string): void {
    const { attempt } = this.attemptOf(task);
    const worker = this.#worker(task, attempt, state.nodes);
    const how = [
      state.raw || state.status,
      ...state.exitCode === undefined ? [] : [`exit code ${state.exitCode}`],
      ...state.signal === undefined ? [] : [`signal ${state.signal}`],
      ...state.reason === undefined ? [] : [state.reason],
    ].join(", ");
    const said = stderr.trim() === "" ? "" : `\n  it said: ${stderr.trim().replaceAll("\n", "\n    ")}`;
    const signal = state.signal === undefined ? null : `${state.signal}`;
    for (const index of this.#items(task)) {
      if (this.items[index]) continue;
      const text =
        `item ${index} has no result: ${worker} has ended (${how}); resubmit() runs it again${said}`;
      const details = { index, worker, signal, exitCode: state.exitCode ?? null, stderr };
      this.items[index] = {
        index,
        error: state.status === "timeout"
          ? new TimeoutError(text, details)
          : new WorkerLostError(text, details),
      };
      this.#weight[index] = attempt - 0.5;
    }
  }

  #items(task: number): number[] {
    const { start, count } = shareOf(this.#run, task);
    return Array.from({ length: count }, (_, i) => start + i);
  }

  #answer(part: PartNote, { start, count }: AnswerNote, parts: Uint8Array[]): void {
    const worker = this.#worker(part.task, part.attempt, part.node);
    const fail = (index: number, cause: unknown, how: string) => {
      const what = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
      this.#fail(part, new TaskError(`item ${index} ${how} ${worker}: ${what}`, { index, worker, cause }));
    };
    const each = (call: (index: number) => void) => {
      for (let i = 0; i < count; i++) call(start + i);
    };
    try {
      const { message, buffers } = unpackMessage<FromWorker>(parts);
      if (message.say === "refused") {
        const cause = tidyRemote(unpackColumn(message.error, buffers, 1, this.#book, false)[0]);
        each((index) => fail(index, cause, "could not be run in"));
      } else if (message.say === "done") {
        const { failures, ran } = message;
        const values = unpackColumn(message.values, buffers, ran, this.#book, false);
        const errorBuffers = buffers.slice(buffersOf(message.values));
        const errors = unpackColumn(message.errors, errorBuffers, failures.length, this.#book, false);
        failures.forEach((at, i) => fail(start + at, tidyRemote(errors[i]), "failed in"));
        const failed = new Set(failures);
        each((index) => {
          if (!failed.has(index - start)) this.items[index] = { index, value: values[index - start] as R };
        });
      }
    } catch (cause) {
      each((index) => fail(index, cause, "has a result that cannot be read here; it comes from"));
    }
  }

  #loss(part: PartNote, { start, count, reason, signal, exitCode, stderr }: LossNote): void {
    const worker = this.#worker(part.task, part.attempt, part.node);
    const items = count === 1 ? `item ${start}` : `items ${start} to ${start + count - 1}`;
    const said = stderr === "" ? "" : `\n  standard error: ${stderr.replaceAll("\n", "\n    ")}`;
    const text = `${worker}: the process ${reason} while it ran ${items}${said}`;
    for (let index = start; index < start + count; index++) {
      this.#fail(part, new WorkerLostError(text, { index, worker, signal, exitCode, stderr }));
    }
  }

  #fail({ task, attempt }: PartNote, error: TaskError): void {
    const { index } = error;
    const known = this.items[index];
    if (attempt < this.#current[task - 1]) return; // it is run again
    if (known && (!known.error || this.#weight[index] >= attempt)) return;
    this.#keep(error, attempt);
  }

  #keep(error: TaskError, weight: number): void {
    const stack = [`${error.name}: ${error.message}`, ...this.#site].join("\n");
    Object.defineProperty(error, "stack", { value: stack, configurable: true, writable: true });
    this.items[error.index] = { index: error.index, error };
    this.#weight[error.index] = weight;
  }

  #worker(task: number, attempt: number, node: string | undefined): string {
    const found = this.attempts.find((other) => other.attempt === attempt);
    const index = found?.indices[found.tasks.indexOf(task)];
    const id = found?.id === undefined || index === undefined
      ? `task ${task}`
      : found.description.array
      ? this.#dialect.taskId(found.id, index)
      : found.id;
    return `${this.#dialect.name} ${id}${node === undefined ? "" : ` on node ${node}`}`;
  }
}
