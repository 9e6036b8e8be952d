/**
 * The job that the flags of a command line describe. Only what is given is asked for, but for one thing: output goes to a
 * file with the job's id in its name, so that `pathos job logs` finds it whatever the scheduler.
 */
import {
  type ArrayRequest,
  type Dependency,
  type JobDescription,
  type MailRequest,
  parseIndices,
  type SignalRequest,
} from "../mpi/job.ts";
import { parseNodes } from "../mpi/nodes.ts";
import { duration, type Parsed, size, UsageError, variables, wholeNumber } from "./flags.ts";
import { didYouMean } from "./nearest.ts";
import { usage } from "./remote.ts";

/**
 * The job that the flags describe.
 *
 * @param command What it runs. One word alone is a line for the shell.
 * @throws {UsageError} If a flag cannot be understood.
 */
export function describeJob(args: Parsed, command: readonly string[]): JobDescription {
  const array = arrayOf(args.text("array"));
  const name = args.text("name");
  const environment = variables("env", args.texts("env"));
  const dependencies = args.texts("after").map(dependency);
  return given({
    command: command.length === 1 ? command[0] : command,
    shell: args.text("shell"),
    name,
    ...nodes(args),
    tasks: wholeNumber("tasks", args.text("tasks"), 1),
    ...jobResources(args),
    dependencies: dependencies.length > 0 ? dependencies : undefined,
    array,
    environment: Object.keys(environment).length > 0 ? environment : undefined,
    mail: mail(args),
    workdir: args.text("workdir"),
    stdout: args.text("stdout") ?? `${name ?? "pathos"}-{job}${array ? "-{task}" : ""}.out`,
    stderr: args.text("stderr"),
    requeue: args.on("requeue"),
    signal: warning(args.text("signal")),
    hold: args.on("hold"),
  }) as JobDescription;
}

/**
 * What a job is given, and who pays for it: of all descriptions the part that does not depend on what it runs.
 *
 * @throws {UsageError} If a flag cannot be understood.
 */
export function jobResources(args: Parsed): Partial<JobDescription> {
  const number = (flag: string) => wholeNumber(flag, args.text(flag), 1);
  const options = args.texts("option");
  return given({
    cpus: number("cpus"),
    memory: size("memory", args.text("memory")),
    gpus: number("gpus"),
    walltime: walltime(args.text("walltime")),
    queue: args.text("queue"),
    account: args.text("account"),
    qos: args.text("qos"),
    options: options.length > 0 ? options : undefined,
  });
}

/** Drops what is undefined. */
function given(
  fields: { [K in keyof JobDescription]?: JobDescription[K] | undefined },
): Partial<JobDescription> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function nodes(args: Parsed): Pick<JobDescription, "nodes" | "tasksPerNode" | "queue"> {
  const text = args.text("nodes");
  const asked = text === undefined ? undefined : usage(() => parseNodes(text));
  if (asked?.type !== undefined) {
    throw new UsageError(
      `--nodes ${text}: give the kind ${asked.type} in the scheduler's own words, by --option`,
    );
  }
  const perNode = wholeNumber("tasks-per-node", args.text("tasks-per-node"), 1);
  const once = (flag: string, here: unknown, there: unknown) => {
    if (here !== undefined && there !== undefined) {
      throw new UsageError(`--nodes ${text} and --${flag} say the same twice`);
    }
  };
  once("tasks-per-node", asked?.tasksPerNode, perNode);
  once("queue", asked?.partition, args.text("queue"));
  return given({
    nodes: asked?.nodes,
    tasksPerNode: asked?.tasksPerNode ?? perNode,
    queue: asked?.partition,
  });
}

/** `H:MM:SS`, or a duration with its unit; schedulers do not agree on what a bare number, or `1:30`, would be. */
function walltime(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, hours, minutes, seconds] = /^(\d+):([0-5]\d):([0-5]\d)$/.exec(text) ?? [];
  if (hours !== undefined) {
    const time = (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000;
    if (time > 0) return time;
  } else if (/[a-z]$/i.test(text)) return duration("walltime", text);
  throw new UsageError(
    `--walltime is ${
      JSON.stringify(text)
    }: it must be HOURS:MM:SS, such as 1:30:00, or a duration such as 90m or 2h`,
  );
}

function arrayOf(text: string | undefined): ArrayRequest | undefined {
  if (text === undefined) return undefined;
  const [, ranges, limit] =
    /^(\d+(?:-\d+(?::[1-9]\d*)?)?(?:,\d+(?:-\d+(?::[1-9]\d*)?)?)*)(?:%(\d+))?$/.exec(text) ?? [];
  const indices = ranges === undefined ? [] : parseIndices(ranges);
  if (indices.length === 0) {
    throw new UsageError(
      `--array is ${
        JSON.stringify(text)
      }: it must be indices such as 0-9 or 1,4,7, and %N for N at once at most`,
    );
  }
  return { indices, ...(limit === undefined ? {} : { limit: Number(limit) }) };
}

const CONDITIONS = ["ok", "notok", "any", "started"] as const;

function dependency(text: string): Dependency {
  const [, when, ids] = /^([^:]*):(.+)$/.exec(text) ?? [];
  const after = CONDITIONS.find((condition) => condition === when);
  if (after) return { after, jobs: ids.split(",") };
  const meant = didYouMean(when ?? "", CONDITIONS);
  throw new UsageError(
    `--after is ${JSON.stringify(text)}: it must be ok:ID, notok:ID, any:ID or started:ID${meant}`,
  );
}

const OCCASIONS = ["begin", "end", "fail"] as const;

function mail(args: Parsed): MailRequest | undefined {
  const text = args.text("mail"), to = args.text("mail-to");
  if (text === undefined) {
    if (to !== undefined) {
      throw new UsageError("--mail-to needs to know when to write: add --mail begin,end,fail");
    }
    return undefined;
  }
  const on = text.split(",").map((word) => {
    const occasion = OCCASIONS.find((known) => known === word);
    if (occasion) return occasion;
    throw new UsageError(
      `--mail is ${JSON.stringify(text)}: it must be of begin, end and fail${didYouMean(word, OCCASIONS)}`,
    );
  });
  return { on, ...(to === undefined ? {} : { to }) };
}

function warning(text: string | undefined): SignalRequest | undefined {
  if (text === undefined) return undefined;
  const [, name, before] = /^(?:SIG)?([A-Z][A-Z0-9]*)@(.+)$/.exec(text) ?? [];
  const time = name === undefined || !/[a-z]$/.test(before) ? undefined : duration("signal", before);
  if (time !== undefined) return { name, before: time };
  throw new UsageError(`--signal is ${JSON.stringify(text)}: it must be a name and a time, such as USR1@2m`);
}
