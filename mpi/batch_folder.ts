/**
 * The folder of a batch map, from this side: runs the scripts of batch_scripts.ts beside the scheduler, on this machine or,
 * over the one connection that is shared with everything else, on its login node. A connection that is lost meanwhile is made
 * anew; to submit is the one thing that is not simply done again, because it may have happened: then the folder tells.
 */
import { concat, execPath, pause } from "../runtime/mod.ts";
import { newProgram, type Program } from "../map/bring.ts";
import { sendRuntime } from "../map/provision.ts";
import { WORKER_PROGRAM } from "../map/worker_bundle.ts";
import { type CommandInput, type CommandResult, execute, Host, SshError } from "../ssh/mod.ts";
import { connectTo } from "../ssh/shared.ts";
import { BATCH_PROGRAM } from "./batch_bundle.ts";
import { WORKER_SYMBOL } from "./batch_format.ts";
import {
  FETCH_BYTES,
  fetchScript,
  logScript,
  prepareScript,
  programScript,
  readFiles,
  readScript,
  removeScript,
  submitScript,
} from "./batch_scripts.ts";
import { formatIndices, type JobDescription, parseIndices } from "./job.ts";
import { type SchedulerDialect, SchedulerError } from "./scheduler.ts";
import type { SchedulerOptions } from "./submit.ts";

/** What `run.json` says. */
export interface RunRecord {
  version: 1;
  id: string;
  /** Name of the dialect. */
  scheduler: string;
  items: number;
  /** Among how many tasks they are divided: see {@linkcode shareOf}. */
  tasks: number;
  /** The runtime that was found beside the scheduler. */
  runtime?: string;
  /** What attempts are made from. */
  options: RunOptions;
}

/** What the attempts of a map have in common. */
export interface RunOptions {
  job: Omit<Partial<JobDescription>, "command" | "array">;
  limit?: number;
  workers: number;
  save: number;
  setup?: string;
  /** The runtime that was asked for. */
  runtime?: string;
}

/** The items of a task, which counts from 1. */
export function shareOf({ items, tasks }: { items: number; tasks: number }, task: number) {
  const start = Math.floor((task - 1) * items / tasks);
  return { start, count: Math.floor(task * items / tasks) - start };
}

/** An attempt, before it is submitted. */
export interface AttemptPlan {
  attempt: number;
  /** The tasks it runs, and their indices in the array. */
  tasks: readonly number[];
  indices: readonly number[];
  description: JobDescription;
}

/** An attempt, with what the scheduler answered. */
export interface Attempt extends AttemptPlan {
  /** Id of the job; undefined if it was not taken, or that is not known. */
  id?: string;
  /** Why there is none. */
  problem?: Error;
}

/** What is in a folder. */
export interface FolderContent {
  path: string;
  run: RunRecord;
  attempts: Attempt[];
}

/** How often something is tried again after a lost connection, and the first and last pause, in milliseconds. */
const TRIES = 6;
const PAUSES = [500, 8_000] as const;
/** So slow a connection may be, in bytes per second. */
const SLOW = 64 << 10;
/** Milliseconds after which an attempt without an answer is one that was cut off. */
const CUT_OFF_MS = 10_000;

let script: Program | undefined;

/** The program of tasks, with the workers' program in it. */
const program = (): Program =>
  script ??= newProgram(
    "batch",
    `globalThis[Symbol.for("${WORKER_SYMBOL}")]=${JSON.stringify(WORKER_PROGRAM)};\n${BATCH_PROGRAM}\n`,
  );

/** Whether the same may succeed later: the connection was lost, or nobody answered. */
export function mayPass(error: unknown): boolean {
  return error instanceof SshError && error.mayPass ||
    error instanceof SchedulerError && error.failure === "unreachable" ||
    error instanceof DOMException && error.name === "TimeoutError";
}

/** The folder of a batch map, beside a scheduler. */
export class BatchFolder {
  /** Its path there. */
  readonly path: string;
  readonly #beside: SchedulerOptions;

  constructor(beside: SchedulerOptions, path: string) {
    this.#beside = beside;
    this.path = path;
  }

  /**
   * Makes a folder, `path` or one of its own, puts the program there, and looks for a runtime, which is sent if there is none.
   *
   * @throws {SchedulerError} If it cannot be made, or is not empty.
   * @throws {SshError} If the host cannot be reached.
   */
  static async make(
    beside: SchedulerOptions,
    id: string,
    path: string | undefined,
    runtime: string | undefined,
  ): Promise<{ folder: BatchFolder; runtime: string | undefined }> {
    const { name, text } = program();
    const any = runtime === undefined || runtime === "send";
    // here it is the very program that runs this, unless that is something compiled
    const wanted = any && beside.host === undefined
      ? /\/(deno|node)[^/]*$/.test(execPath()) ? execPath() : undefined
      : runtime;
    const prepare = async () => {
      const { stdout } = await persistently(() =>
        run(beside, "the folder of the batch map cannot be made", prepareScript(id, path, name, wanted))
      );
      const lines = new TextDecoder().decode(stdout).split("\n");
      const value = (word: string) =>
        lines.find((line) => line.startsWith(`${word} `))?.slice(word.length + 1);
      return { path: value("folder")!, kept: value("kept"), runtime: value("runtime"), bare: value("bare") };
    };
    let found = await prepare();
    const folder = new BatchFolder(beside, found.path);
    if (!found.kept) {
      await persistently(() =>
        run(
          beside,
          `the program of the batch map cannot be put into ${found.path}`,
          programScript(found.path, name, text.byteLength),
          { stdin: [text] },
        )
      );
    }
    if (beside.host !== undefined && found.bare !== undefined && any) {
      const { host, env } = beside, machine = found.bare;
      await persistently(() => sendTo(Host.from(host), machine, env));
      found = await prepare();
    }
    return { folder, runtime: found.runtime };
  }

  /**
   * Submits an attempt; with the first one the work is sent.
   *
   * @throws {SchedulerError} If the scheduler refused it, or it is not known whether it took it.
   */
  async submit(
    dialect: SchedulerDialect,
    plan: AttemptPlan,
    work?: { run: RunRecord; bytes: readonly Uint8Array[] },
  ): Promise<Attempt> {
    const { argv, stdin: job } = dialect.submit(plan.description);
    const bytes = work?.bytes.reduce((sum, { byteLength }) => sum + byteLength, 0) ?? 0;
    const text = submitScript(this.path, {
      attempt: plan.attempt,
      record: writePlan(plan),
      work: work && { run: JSON.stringify(work.run), bytes },
      cwd: this.#beside.cwd,
      command: argv,
      job,
    });
    const { timeout = 60_000 } = this.#beside;
    const what = `the batch map in ${this.path} cannot be submitted`;
    const options = { stdin: work?.bytes, timeout: timeout + bytes / SLOW * 1000 };
    const attempt = await persistently(async () => {
      const { code, stdout } = await run(this.#beside, what, text, options, [5]);
      const attempts = code === 5
        ? await this.#answered(dialect, plan.attempt)
        : parse(dialect, stdout).attempts;
      return attempts.find(({ attempt }) => attempt === plan.attempt)!;
    });
    if (attempt.problem) throw attempt.problem;
    return { ...attempt, description: plan.description };
  }

  /** The attempts, when there is an answer to this one, or none will come. */
  async #answered(dialect: SchedulerDialect, attempt: number): Promise<Attempt[]> {
    const end = performance.now() + CUT_OFF_MS;
    for (;;) {
      const { attempts } = await this.read(dialect);
      const open = attempts.some((other) => other.attempt === attempt && other.problem instanceof CutOff);
      if (!open || performance.now() > end) return attempts;
      await pause(PAUSES[0]);
    }
  }

  /**
   * What is in the folder.
   *
   * @throws {SchedulerError} If it is none of a batch map.
   * @throws {SshError} If the host cannot be reached.
   */
  async read(dialect: SchedulerDialect): Promise<FolderContent> {
    const what = `${this.path} is no folder of a batch map`;
    const { stdout } = await persistently(() => run(this.#beside, what, readScript(this.path)));
    return parse(dialect, stdout);
  }

  /** The bytes of parts that are not among `seen`, and whether there may be more. */
  async parts(seen: Iterable<string>): Promise<{ bytes: Uint8Array; more: boolean }> {
    const names = [...seen].map((name) => `${name}\n`).join("");
    const { timeout = 60_000 } = this.#beside;
    const { code, stdout: bytes } = await run(
      this.#beside,
      `results cannot be fetched from ${this.path}`,
      fetchScript(this.path),
      { stdin: names, timeout: timeout + FETCH_BYTES / SLOW * 1000 },
      [0, 1, 2, 123],
    );
    if (code === 2) throw new Error(`${this.path} is not there any more: was it removed?`);
    return { bytes, more: bytes.byteLength >= FETCH_BYTES / 2 };
  }

  /** What tasks printed, by the name of the file; the last bytes of some files, or all. */
  async logs(names?: readonly string[], last?: number): Promise<Map<string, string>> {
    const { stdout } = await persistently(() =>
      run(this.#beside, `the logs in ${this.path} cannot be read`, logScript(this.path, names, last))
    );
    return readFiles(stdout).files;
  }

  /** Removes it. */
  async remove(): Promise<void> {
    await persistently(() => run(this.#beside, `${this.path} cannot be removed`, removeScript(this.path)));
  }
}

/** The scheduler's answer has not come, and will not. */
class CutOff extends SchedulerError {}

/** `attempt-N.json`: lists of numbers are short there, because a script has no room for much. */
function writePlan({ attempt, tasks, indices, description }: AttemptPlan): string {
  const { array, ...job } = description;
  return JSON.stringify({
    attempt,
    tasks: formatIndices(tasks),
    indices: formatIndices(indices),
    limit: array?.limit,
    array: array !== undefined,
    job: { ...job, command: "" },
  });
}

function readPlan(text: string): AttemptPlan {
  const { attempt, tasks, indices, limit, array, job } = JSON.parse(text);
  const own = parseIndices(indices);
  return {
    attempt,
    tasks: parseIndices(tasks),
    indices: own,
    description: array ? { ...job, array: { indices: own, limit } } : job,
  };
}

function parse(dialect: SchedulerDialect, said: Uint8Array): FolderContent {
  const { folder, files } = readFiles(said);
  const attempts: Attempt[] = [];
  for (const [name, text] of files) {
    if (!/^attempt-\d+\.json$/.test(name)) continue;
    const plan = readPlan(text);
    const file = (kind: string) => files.get(`attempt-${plan.attempt}.${kind}`);
    attempts.push({ ...plan, ...answer(dialect, folder, plan, file) });
  }
  attempts.sort((a, b) => a.attempt - b.attempt);
  return { path: folder, run: JSON.parse(files.get("run.json")!), attempts };
}

function answer(
  dialect: SchedulerDialect,
  folder: string,
  { attempt, description }: AttemptPlan,
  file: (kind: string) => string | undefined,
): { id?: string; problem?: Error } {
  const code = file("code");
  const output = { code: code ? Number(code) : null, stdout: file("out") ?? "", stderr: file("err") ?? "" };
  try {
    if (code || output.stdout !== "") {
      return { id: dialect.parseSubmit({ ...output, code: output.code ?? 0 }) };
    }
  } catch (problem) {
    if (code) return { problem: problem as Error };
  }
  return {
    problem: new CutOff(
      `the answer of ${dialect.name} to attempt ${attempt} of the batch map in ${folder} was not heard`,
      "unreachable",
      output,
      `whether it took the job is not known: look for ${description.name}; resubmit() submits it again`,
    ),
  };
}

async function sendTo(host: Host, machine: string, env: SchedulerOptions["env"]): Promise<void> {
  const { connection, release } = await connectTo(host);
  try {
    await sendRuntime(connection, machine, { ...host.env, ...env });
  } finally {
    await release();
  }
}

/** Tries again after a lost connection. */
async function persistently<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1, rest = PAUSES[0] as number;; tries++, rest = Math.min(rest * 2, PAUSES[1])) {
    try {
      return await work();
    } catch (error) {
      if (!mayPass(error) || tries >= TRIES) throw error;
    }
    await pause(rest);
  }
}

/** Runs a script beside the scheduler. Another exit code than the good ones is an error. */
async function run(
  { host, env, timeout = 60_000 }: SchedulerOptions,
  what: string,
  script: string,
  options: { stdin?: CommandInput; timeout?: number } = {},
  good: readonly number[] = [],
): Promise<CommandResult<Uint8Array>> {
  const result = await execute(script, { timeout, ...options, host, env, encoding: "bytes" });
  if (result.code === 0 || good.includes(result.code!)) return result;
  const text = new TextDecoder();
  const stdout = text.decode(concat([result.stdout]).subarray(0, 4096));
  throw new SchedulerError(what, "failed", { code: result.code, stdout, stderr: text.decode(result.stderr) });
}
