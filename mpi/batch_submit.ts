/**
 * From a function and items to a batch map: the function is captured as it is at the time of the call, items are packed into
 * tasks of about the same number, and all goes into a folder beside the scheduler, from which the tasks take it.
 */
import { CodeBook } from "../serialize/codebook.ts";
import { learnCallers } from "../serialize/inspector.ts";
import type { CodeFunction } from "../serialize/types.ts";
import { packColumn } from "../map/columns.ts";
import type { ToWorker } from "../map/protocol.ts";
import { type ArgColumn, type Input, openSource } from "../map/source.ts";
import { packMessage } from "../map/wire.ts";
import { concat } from "../runtime/mod.ts";
import { randomHex } from "../ssh/marks.ts";
import { type AttemptJob, describeAttempt } from "./batch_attempt.ts";
import { BatchFolder, type RunOptions, type RunRecord, shareOf } from "./batch_folder.ts";
import { packed, packWork } from "./batch_format.ts";
import { BatchMap } from "./batch_map.ts";
import { JobError } from "./job.ts";
import { SchedulerError, type SubmitCommand } from "./scheduler.ts";
import type { Scheduler, SchedulerOptions } from "./submit.ts";

/** How a function is mapped by a scheduler. All is optional, and nothing is asked of the scheduler that is not given. */
export interface BatchOptions {
  /** How many tasks the items are divided among. Default: one for each item, at most 100. */
  tasks?: number;
  /** How many tasks may run at once. Default: no limit. */
  limit?: number;
  /**
   * What each task needs: `walltime`, `memory`, `cpus`, `queue`, `account`, ... With `signal` the tasks stop in time before the
   * walltime, and on Slurm wait in the queue again, until all is done.
   */
  job?: AttemptJob;
  /** Name of the job. Default: `pathos-` and the id of the map. */
  name?: string;
  /** Processes in each task. Default: `job.cpus`, else 1. */
  workers?: number;
  /**
   * A new or empty folder beside the scheduler that all nodes can see; `~` at its beginning is the home folder. Default: one
   * of its own in `~/.cache/pathos/jobs`.
   */
  folder?: string;
  /** Path of Deno or Node on the nodes, or `"send"`: the very program that runs this is sent. Default: what is found there. */
  runtime?: string;
  /** Lines for `sh` that come first in each task, such as `module load deno`. */
  setup?: string;
  /** Milliseconds between two times that a task writes down its results, at most. The first comes after a second. Default: 300,000. */
  save?: number;
}

/** What {@linkcode Scheduler.map} would submit. */
export interface BatchDryRun extends SubmitCommand {
  /** How many tasks. */
  tasks: number;
}

const NAMES = ["tasks", "limit", "job", "name", "workers", "folder", "runtime", "setup", "save", "dryRun"];
const DEFAULT_TASKS = 100;
/** A task has at most so many chunks; with fewer items each is one of its own. */
const CHUNKS = 1000;
const JOB = 1;

/** What travels as a reference: what every runtime has. */
export function newBook(): CodeBook {
  return new CodeBook({ byref: (ref) => ref.specifier.startsWith("node:") });
}

/** Takes the options off the end of the arguments of a map. */
export function splitOptions(
  args: readonly unknown[],
): { inputs: Input<unknown>[]; options: BatchOptions & { dryRun?: boolean } } {
  const last = args.at(-1) as Record<PropertyKey, unknown> | null | undefined;
  const iterable = typeof last !== "object" || last === null || Symbol.iterator in last ||
    Symbol.asyncIterator in last;
  const options = iterable || ArrayBuffer.isView(last) ? {} : last;
  for (const name of Object.keys(options)) {
    if (!NAMES.includes(name)) {
      throw new TypeError(`map: there is no option "${name}"; the options are ${NAMES.join(", ")}`);
    }
  }
  const inputs = options === last ? args.slice(0, -1) : args;
  return { inputs: inputs as Input<unknown>[], options };
}

/** Submits a map. */
export async function submitMap(
  scheduler: Scheduler,
  beside: SchedulerOptions,
  fn: (...args: never[]) => unknown,
  args: readonly unknown[],
  site: { stack?: string },
): Promise<BatchMap<unknown> | BatchDryRun> {
  if (typeof fn !== "function") throw new TypeError("the first argument of a map must be a function");
  const { inputs, options } = splitOptions(args);
  if (beside.run) {
    throw new TypeError(
      "map: a scheduler with an option run cannot map, because that carries only text; use host, or none",
    );
  }
  const runOptions = checked(options);
  learnCallers();
  const book = newBook();
  const code = book.encodeCode(fn as CodeFunction);
  const { columns, total } = await readAll(inputs);
  if (total === 0) throw new RangeError("map: there are no items, so there is nothing to submit");
  const tasks = Math.min(total, options.tasks ?? DEFAULT_TASKS);
  const id = randomHex(8);
  const { dialect } = scheduler;
  const all = Array.from({ length: tasks }, (_, i) => i + 1);
  const draft = { id, items: total, tasks, options: runOptions };
  const place = options.folder ?? `~/.cache/pathos/jobs/${id}`;
  const dry = dialect.submit(describeAttempt(dialect, place, draft, 1, all).description);
  if (options.dryRun) return { ...dry, tasks };

  const work = pack(book, code, columns, all.map((task) => shareOf(draft, task)));
  const { folder, runtime } = await BatchFolder.make(beside, id, options.folder, options.runtime);
  const run: RunRecord = { version: 1, scheduler: dialect.name, runtime, ...draft };
  const record = describeAttempt(dialect, folder.path, run, 1, all);
  const attempt = await folder.submit(dialect, record, { run, bytes: work }).catch(async (error) => {
    if (error instanceof SchedulerError && error.failure === "rejected") await folder.remove();
    throw error;
  });
  return new BatchMap({ scheduler, options: beside, folder, run, attempts: [attempt], book, site });
}

/** Goes on with a map that was submitted before. */
export async function reattach(
  scheduler: Scheduler,
  beside: SchedulerOptions,
  path: string,
  code: readonly CodeFunction[],
  site: { stack?: string },
): Promise<BatchMap<unknown>> {
  learnCallers();
  const book = newBook();
  for (const known of code) book.encodeCode(known);
  const { dialect } = scheduler;
  const content = await new BatchFolder(beside, path).read(dialect);
  if (content.run.scheduler !== dialect.name) {
    throw new JobError(`${path} was submitted to ${content.run.scheduler}, not to ${dialect.name}`);
  }
  const folder = new BatchFolder(beside, content.path);
  const { run, attempts } = content;
  return new BatchMap({ scheduler, options: beside, folder, run, attempts, book, site });
}

function checked(options: BatchOptions): RunOptions {
  const { job = {}, limit, name, setup, runtime, save = 300_000 } = options;
  const { workers = job.cpus ?? 1, tasks } = options;
  for (const [key, value] of Object.entries({ tasks, workers, limit })) {
    if (value !== undefined && !(Number.isSafeInteger(value) && value > 0)) {
      throw new RangeError(`map: ${key} is ${value}; it must be a positive whole number`);
    }
  }
  if (!(save > 0)) throw new RangeError(`map: save is ${save}; it must be milliseconds, more than 0`);
  return { job: name === undefined ? job : { name, ...job }, limit, workers, save, setup, runtime };
}

async function readAll(
  inputs: readonly Input<unknown>[],
): Promise<{ columns: ArgColumn[]; total: number }> {
  const source = openSource(inputs, undefined);
  const columns: ArgColumn[] = inputs.map(() => ({ items: [], offset: 0 }));
  let total = 0;
  for (;;) {
    const batch = source.take(source.total ?? 1000, 0);
    if (batch === "done") return { columns, total };
    if (batch === "wait") {
      await source.ready();
      continue;
    }
    total += batch.count;
    if (source.total !== undefined) return { columns: batch.columns, total };
    batch.columns.forEach(({ items }, i) => (columns[i].items as unknown[]).push(...Array.from(items)));
  }
}

/** `work.bin`: the code, and for each task its chunks, as the messages that a worker gets. */
function pack(
  book: CodeBook,
  code: ReturnType<CodeBook["encodeCode"]>,
  columns: readonly ArgColumn[],
  tasks: readonly { start: number; count: number }[],
): Uint8Array[] {
  const messages: Uint8Array[] = [];
  const shipped = new Set<string>();
  const ship = (hash: string): void => {
    if (shipped.has(hash)) return;
    shipped.add(hash);
    const { bytes, imports, needs } = book.payload(hash)!;
    needs.forEach(ship);
    const message: ToWorker = { do: "code", hash, imports, needs };
    messages.push(packed(packMessage(message, [bytes.slice().buffer])));
  };
  ship(code.hash);
  const sections = tasks.map(({ start, count }) => {
    const size = Math.ceil(count / CHUNKS);
    const chunks: Uint8Array[] = [];
    for (let at = start; at < start + count; at += size) {
      const ran = Math.min(size, start + count - at);
      const packs = columns.map(({ items, offset }) =>
        packColumn(items, offset + at, ran, book, false, code.hash)
      );
      for (const { head } of packs) if (head.form === "any") head.needs.forEach(ship);
      const heads = packs.map(({ head }) => head);
      const run: ToWorker = {
        do: "run",
        job: JOB,
        chunk: at,
        claim: 0,
        start: at,
        count: ran,
        columns: heads,
      };
      chunks.push(packed(packMessage(run, packs.flatMap(({ buffers }) => buffers))));
    }
    return concat(chunks);
  });
  const job: ToWorker = {
    do: "job",
    job: JOB,
    code: code.hash,
    stopAtError: false,
    ticks: false,
    numbers: false,
  };
  return packWork(concat([...messages, packed(packMessage(job, []))]), sections);
}
