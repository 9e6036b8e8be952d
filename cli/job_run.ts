/**
 * What `pathos job` does: jobs from submitting to their output. It is loaded when it is needed.
 */
import { builtin, stderr, stdout } from "../runtime/mod.ts";
import { isOver, type JobState } from "../mpi/scheduler.ts";
import type { JobLog } from "../mpi/submit.ts";
import { execute } from "../ssh/execute.ts";
import type { Host } from "../ssh/host.ts";
import { describeError } from "./error_line.ts";
import { duration, type Parsed, UsageError } from "./flags.ts";
import { interruptible } from "./interruption.ts";
import { describeJob } from "./job_description.ts";
import { recall, remember, type Remembered } from "./job_memory.ts";
import {
  type Chosen,
  chosenScheduler,
  namedScheduler,
  schedulerNamed,
  schedulerOf,
} from "./job_scheduler.ts";
import { hostNamed, isRemoteFailure } from "./remote.ts";
import { table } from "./table.ts";
import { toJson } from "./work.ts";

/** Exit status where waiting took too long, as timeout(1) has it. */
const TIMED_OUT = 124;

/** The actions, by name. */
const ACTIONS: Record<string, (args: Parsed, words: readonly string[]) => Promise<number>> = {
  submit,
  status,
  wait,
  logs,
  cancel: control("cancel"),
  hold: control("hold"),
  release: control("release"),
  requeue: control("requeue"),
  fetch,
};

/** Does one of them, and turns what is wrong with the scheduler or its host into a message. */
export async function runJob(action: string, words: readonly string[], args: Parsed): Promise<number> {
  try {
    return await ACTIONS[action](args, words);
  } catch (error) {
    const { name, message } = error as Error;
    if (name === "JobError") throw new UsageError(message.replace(/^job: /, ""));
    if (/^Failed to spawn|could not be started/.test(message)) { // as Deno says it, and as Node's spawn is told
      throw new UsageError(`the scheduler's programs are not on the PATH here: ${message}`);
    }
    if (name !== "SchedulerError" && !isRemoteFailure(error)) throw error;
    say(message);
    return 1;
  }
}

async function submit(args: Parsed): Promise<number> {
  const job = describeJob(args, args.rest!);
  const cwd = builtin<{ cwd(): string }>("node:process").cwd();
  const chosen = await chosenScheduler(args, cwd, say);
  if (args.on("dry-run")) {
    const { argv, stdin } = chosen.scheduler.dryRun(job);
    say(`would run ${argv.join(" ")} with this script`);
    await print(stdin);
    return 0;
  }
  const id = await chosen.scheduler.submit(job);
  await print(`${id}\n`);
  const { name: scheduler, hostName: host } = chosen;
  const entry: Remembered = {
    id,
    scheduler,
    host,
    sshConfig: args.text("ssh-config"),
    cwd: host === undefined ? cwd : undefined,
    submitted: Date.now(),
    job,
  };
  try {
    remember(entry);
  } catch (error) {
    say(`the job is submitted, but later commands will need --scheduler: ${(error as Error).message}`);
  }
  return args.on("wait") ? await follow([{ ...chosen, ids: [id], entries: [entry] }], args) : 0;
}

async function status(args: Parsed, ids: readonly string[]): Promise<number> {
  const told = await Promise.all((await groups(ids, args)).map(async (group) => ({
    group,
    states: await group.scheduler.status(group.ids),
  })));
  await show(told, args);
  return told.some(({ states }) => states.some((state) => state.status === "unknown")) ? 1 : 0;
}

async function wait(args: Parsed, ids: readonly string[]): Promise<number> {
  return await follow(await groups(ids, args), args);
}

/** Waits for jobs to end, tells what happens, and at the end how they ended. */
async function follow(all: readonly Group[], args: Parsed): Promise<number> {
  const onChange = ({ id, status, reason }: JobState) => {
    if (!isOver(status)) say(`${id} is ${status}${reason === undefined ? "" : ` (${reason})`}`);
  };
  const goesOn = `the jobs go on; pathos job cancel ${all.flatMap(({ ids }) => ids).join(" ")} ends them`;
  return await patiently(args, goesOn, async (options) => {
    const told = await Promise.all(all.map(async (group) => ({
      group,
      states: await group.scheduler.wait(group.ids, { ...options, onChange }),
    })));
    await show(told, args);
    return told.every(({ states }) => states.every((state) => state.status === "completed"));
  });
}

/** The exit status of something that is waited for; `goesOn` is said when waiting ends before it. */
async function patiently(
  args: Parsed,
  goesOn: string,
  wait: (options: { timeout?: number; signal: AbortSignal }) => Promise<boolean>,
): Promise<number> {
  const timeout = duration("timeout", args.text("timeout"));
  const interruption = interruptible();
  try {
    return await wait({ timeout, signal: interruption.signal }) ? 0 : 1;
  } catch (error) {
    const late = (error as Error).name === "TimeoutError";
    if (interruption.status === undefined && !late) throw error;
    if (late) say((error as Error).message);
    say(goesOn);
    return interruption.status ?? TIMED_OUT;
  } finally {
    interruption.dispose();
  }
}

function control(what: "cancel" | "hold" | "release" | "requeue") {
  return async (args: Parsed, ids: readonly string[]): Promise<number> => {
    for (const { scheduler, ids: its } of await groups(ids, args)) await scheduler[what](its);
    return 0;
  };
}

async function logs(args: Parsed, [id]: readonly string[]): Promise<number> {
  const [{ scheduler, entries: [entry] }] = await groups([id], args);
  if (!entry) {
    throw new UsageError(
      `${id} was not submitted by pathos job submit as this user, so where its output went is not known; ` +
        "pathos job fetch FILE prints a file",
    );
  }
  const found = await scheduler.logs(entry.id, entry.job, args.on("errors") ? "stderr" : "stdout");
  const wanted = found.filter(({ task }) =>
    task === undefined || id === entry.id || id === scheduler.dialect.taskId(entry.id, task)
  );
  const there = wanted.filter((log): log is JobLog & { text: string } => log.text !== undefined);
  for (const { path } of wanted.filter(({ text }) => text === undefined)) say(`there is no ${path} (yet)`);
  for (const { path, text } of there) {
    await print(there.length === 1 ? text : `==> ${path} <==\n${text}${/\n$|^$/.test(text) ? "" : "\n"}`);
  }
  return there.length > 0 ? 0 : 1;
}

async function fetch(args: Parsed, paths: readonly string[]): Promise<number> {
  const name = args.text("host");
  const host = name === undefined ? undefined : hostNamed(name, args);
  let failed = 0;
  for (const path of paths) {
    const { code, stderr: bytes } = await execute(["cat", "--", path], {
      host,
      encoding: "bytes",
      onStdout: (bytes) => stdout.write(bytes),
    });
    if (code === 0) continue;
    const said = new TextDecoder().decode(bytes).trim();
    if (/is a directory/i.test(said)) failed = Math.max(failed, await fetchResults(args, host, path));
    else {
      failed = Math.max(failed, 1);
      say(said || `${path} cannot be read`);
    }
    if (failed > 1) break; // it was not waited for any longer
  }
  return failed;
}

/** Prints the results in the folder of a batch map; gives 0 if all are there and good. */
async function fetchResults(args: Parsed, host: Host | undefined, folder: string): Promise<number> {
  const { stdout: text } = await execute(["cat", "run.json"], { host, cwd: folder });
  const { scheduler } = parseObject(text) as { scheduler?: unknown };
  if (typeof scheduler !== "string") {
    throw new UsageError(`${folder} is a folder, and not that of a batch map: there is no run.json in it`);
  }
  const run = await schedulerNamed(scheduler, host, args).reattach(folder);
  return await patiently(args, "the jobs go on", async (options) => {
    if (args.on("wait")) await run.settled(options);
    else await run.progress();
    const { outcomes } = run;
    for (const outcome of outcomes) {
      if (!outcome) continue;
      const { index, error } = outcome;
      const what = error
        ? `"error":${JSON.stringify(describeError(error))}`
        : `"value":${toJson(outcome.value)}`;
      await print(`{"index":${index},${what}}\n`);
    }
    const open = outcomes.filter((outcome) => !outcome).length;
    const bad = outcomes.filter((outcome) => outcome?.error).length;
    if (open > 0) say(`${open} of ${outcomes.length} items are not done yet`);
    if (bad > 0) say(`${bad} of ${outcomes.length} items failed`);
    return open === 0 && bad === 0;
  });
}

function parseObject(text: string): object {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}

/** Jobs of one scheduler. */
interface Group extends Chosen {
  ids: string[];
  /** What is remembered of each of them, if anything is. */
  entries: (Remembered | undefined)[];
}

/**
 * Jobs by their schedulers: those that they were submitted with, or else the one that the flags name or that is there.
 *
 * @throws {UsageError} If an id is that of several jobs.
 */
async function groups(ids: readonly string[], args: Parsed): Promise<Group[]> {
  const all = new Map<string, Group>();
  const hostName = args.text("host"), name = namedScheduler(args);
  let other: Promise<Chosen> | undefined;
  for (const id of ids) {
    const known = recall(id).filter(({ host, scheduler }) =>
      (hostName === undefined || host === hostName) && (name === undefined || scheduler === name)
    );
    if (known.length > 1) {
      const where = known.map(({ scheduler, host }) =>
        `${scheduler} ${host === undefined ? "here" : `on ${host}`}`
      );
      throw new UsageError(`${id} is a job of ${where.join(" and of ")}: say which by --host or --scheduler`);
    }
    const [entry] = known;
    const chosen = entry ? schedulerOf(entry, args) : await (other ??= chosenScheduler(args, undefined, say));
    const key = JSON.stringify([chosen.name, chosen.hostName, entry?.cwd]);
    const group = all.get(key) ?? { ...chosen, ids: [], entries: [] };
    group.ids.push(id);
    group.entries.push(entry);
    all.set(key, group);
  }
  return [...all.values()];
}

async function show(told: { group: Group; states: JobState[] }[], args: Parsed): Promise<void> {
  if (args.on("json")) {
    const lines = told.flatMap(({ group: { name, hostName }, states }) =>
      states.map((state) => JSON.stringify({ ...state, scheduler: name, host: hostName }) + "\n")
    );
    return await print(lines.join(""));
  }
  const rows = told.flatMap(({ states }) =>
    states.map(({ id, status, exitCode, signal, nodes = "-", name = "-", reason = "" }) => [
      id,
      status,
      signal === undefined ? exitCode ?? "-" : `signal ${signal}`,
      nodes,
      name,
      reason,
    ])
  );
  await print(table([["JOB", "STATE", "EXIT", "NODES", "NAME", "REASON"], ...rows]));
}

async function print(text: string): Promise<void> {
  await stdout.write(text).catch((error) => {
    if (error.code !== "EPIPE") throw error; // the reader has seen enough
  });
}

function say(message: string): void {
  stderr.write(`pathos job: ${message}\n`);
}
