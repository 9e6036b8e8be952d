/**
 * What a person asks of a batch scheduler, in terms that all of them share, and the checks that need no scheduler.
 * Only what is given is asked for: no walltime, memory or queue is invented. What a scheduler cannot express is
 * refused by that scheduler with a {@linkcode JobError}, never dropped.
 */
import { quote } from "../ssh/mod.ts";

/** A condition on another job. */
export interface Dependency {
  /** Start when those jobs have ended well (`ok`), ended badly (`notok`), ended (`any`), or started (`started`). */
  after: "ok" | "notok" | "any" | "started";
  /** Their ids. */
  jobs: readonly string[];
}

/** A job that is run once for each index. */
export interface ArrayRequest {
  /** The indices, whole numbers from 0. */
  indices: readonly number[];
  /** How many may run at once. Default: no limit. */
  limit?: number;
}

/** Who is written to, and when. */
export interface MailRequest {
  /** When the job begins, ends, or fails. */
  on: readonly ("begin" | "end" | "fail")[];
  /** Address. Default: the user's, as the scheduler knows it. */
  to?: string;
}

/** A warning before the walltime is over. */
export interface SignalRequest {
  /** Without `SIG`, such as `"USR1"`. */
  name: string;
  /** Milliseconds before the end; schedulers may be up to a minute early. */
  before: number;
}

/** A batch job. Times are milliseconds, sizes bytes. */
export interface JobDescription {
  /** Lines for `shell`, or the words of one command. */
  command: string | readonly string[];
  /** Path of the shell that runs the script, one of the POSIX kind. Default: `/bin/sh`. */
  shell?: string;
  /** Letters, digits and `_ . + -`. Default: the scheduler's. */
  name?: string;
  /** Nodes. */
  nodes?: number;
  /** Ranks in all. */
  tasks?: number;
  /** Ranks on each node. */
  tasksPerNode?: number;
  /** Cores for each rank. */
  cpus?: number;
  /** Bytes of memory on each node; Grid Engine reserves it for each slot. */
  memory?: number;
  /** Accelerators on each node. */
  gpus?: number;
  /** Milliseconds after which the scheduler ends it. */
  walltime?: number;
  /** Queue, or partition. */
  queue?: string;
  /** Account or project that is charged. */
  account?: string;
  /** Quality of service. */
  qos?: string;
  /** Other jobs to wait for; all conditions must hold. */
  dependencies?: readonly Dependency[];
  /** Run once for each of several indices. The script finds its index in `PATHOS_TASK`. */
  array?: ArrayRequest;
  /** Variables that the script exports before the command. */
  environment?: Readonly<Record<string, string>>;
  /** Mail. */
  mail?: MailRequest;
  /** Folder to run in. Default: the one that the job is submitted from. */
  workdir?: string;
  /**
   * File of the output, in which `{job}` is the job's id and `{task}` the array's index. Default: the scheduler's.
   * With `stdout` and without `stderr`, errors go to the same file.
   */
  stdout?: string;
  /** File of what is said on standard error, as `stdout`. */
  stderr?: string;
  /** Whether the scheduler may start it again, after a node has failed. Default: the cluster's. */
  requeue?: boolean;
  /** A signal some time before the walltime is over. */
  signal?: SignalRequest;
  /** Wait until it is released. Default: false. */
  hold?: boolean;
  /** More options of the scheduler at hand, as they stand in its script lines: `["--constraint=haswell"]`. */
  options?: readonly string[];
}

/** A job description that makes no sense, or that a scheduler cannot express. */
export class JobError extends RangeError {
  /** The name of the class. */
  override name = "JobError";
}

const COUNTS = ["nodes", "tasks", "tasksPerNode", "cpus", "gpus"] as const;
const WORDS = ["queue", "account", "qos"] as const;
const PATHS = ["shell", "workdir", "stdout", "stderr"] as const;
/** Words that mean the same in a script line of every scheduler, and in a shell. */
const PLAIN = /^[A-Za-z0-9_@%+=:,./{}^[\]-]+$/;

/**
 * Checks a description.
 *
 * @throws {JobError} That says which field is wrong, and what it may be.
 */
export function checkJob(job: JobDescription): void {
  const refuse = (field: string, value: unknown, rule: string): never => {
    throw new JobError(`job: ${field} is ${JSON.stringify(value)}; ${rule}`);
  };
  const positive = (field: string, value: number | undefined, unit: string) => {
    if (value !== undefined && !(Number.isFinite(value) && value > 0)) {
      refuse(field, value, `it must be ${unit}, more than 0`);
    }
  };
  if (job.command.length === 0) refuse("command", job.command, "there must be something to run");
  for (const field of COUNTS) {
    const value = job[field];
    if (value !== undefined && !(Number.isSafeInteger(value) && value > 0)) {
      refuse(field, value, "it must be a positive whole number");
    }
  }
  positive("memory", job.memory, "bytes");
  positive("walltime", job.walltime, "milliseconds");
  if (job.name !== undefined && !/^[A-Za-z0-9_.+-]+$/.test(job.name)) {
    refuse("name", job.name, "it may have letters, digits, and _ . + -");
  }
  for (const field of WORDS) {
    const value = job[field];
    if (value !== undefined && !/^[^\s"'`$\\;|&<>]+$/.test(value)) {
      refuse(field, value, "it must be one word without quotes");
    }
  }
  for (const field of PATHS) {
    const value = job[field];
    // deno-lint-ignore no-control-regex
    if (value !== undefined && (value === "" || /[\x00-\x1f"\\`$]/.test(value))) {
      refuse(field, value, 'it must be a path without line ends and " \\ ` $');
    }
  }
  for (const text of job.options ?? []) {
    if (/[\r\n\0]/.test(text)) refuse("options", text, "each is one line");
  }
  if (job.stdout?.includes("{task}") && !job.array) {
    refuse("stdout", job.stdout, "{task} is for a job with an array");
  }
  checkShape(job, refuse);
  for (const name of Object.keys(job.environment ?? {})) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) refuse("environment", name, "that is no name of a variable");
  }
  for (const { jobs } of job.dependencies ?? []) {
    if (jobs.length === 0) refuse("dependencies", jobs, "each must name the jobs to wait for");
    for (const id of jobs) {
      if (!/^[A-Za-z0-9_.[\]-]+$/.test(id)) refuse("dependencies", id, "that is no job id");
    }
  }
  if (job.mail && job.mail.on.length === 0) {
    refuse("mail.on", job.mail.on, 'say when: "begin", "end", "fail"');
  }
  if (job.mail?.to !== undefined && !/^[^\s"'`$\\;|&<>]+$/.test(job.mail.to)) {
    refuse("mail.to", job.mail.to, "it must be an address");
  }
  if (job.signal) {
    if (!/^[A-Z][A-Z0-9]*$/.test(job.signal.name) || job.signal.name.startsWith("SIG")) {
      refuse("signal.name", job.signal.name, 'write it without SIG: "USR1"');
    }
    positive("signal.before", job.signal.before, "milliseconds");
  }
}

type Refuse = (field: string, value: unknown, rule: string) => never;

function checkShape({ nodes, tasks, tasksPerNode, array }: JobDescription, refuse: Refuse): void {
  if (nodes && tasks && tasksPerNode && tasks > nodes * tasksPerNode) {
    refuse("tasks", tasks, `that many do not fit on ${nodes} nodes with ${tasksPerNode} each`);
  }
  if (nodes && tasks && tasks < nodes) {
    refuse("tasks", tasks, `there are ${nodes} nodes, so at least that many`);
  }
  if (!array) return;
  const { indices, limit } = array;
  if (indices.length === 0) refuse("array.indices", indices, "there must be one at least");
  for (const index of indices) {
    if (!Number.isSafeInteger(index) || index < 0) {
      refuse("array.indices", index, "an index is a whole number from 0");
    }
  }
  if (new Set(indices).size < indices.length) refuse("array.indices", indices, "an index is there twice");
  if (limit !== undefined && !(Number.isSafeInteger(limit) && limit > 0)) {
    refuse("array.limit", limit, "it must be a positive whole number");
  }
}

/** Indices as schedulers write them: `0-4,7` for 0, 1, 2, 3, 4, 7. */
export function formatIndices(indices: readonly number[]): string {
  const sorted = [...indices].sort((a, b) => a - b);
  const runs: [number, number][] = [];
  for (const index of sorted) {
    const last = runs[runs.length - 1];
    if (last && index === last[1] + 1) last[1] = index;
    else runs.push([index, index]);
  }
  return runs.map(([first, last]) => first === last ? `${first}` : `${first}-${last}`).join(",");
}

/** The inverse of {@linkcode formatIndices}; a step (`0-8:2`) and a limit (`%4`) at the end are understood. */
export function parseIndices(text: string): number[] {
  return text.replace(/%\d+$/, "").split(",").flatMap((run) => {
    const [, first, last = first, step = "1"] = /^(\d+)(?:-(\d+)(?::(\d+))?)?$/.exec(run) ?? [];
    if (first === undefined) return [];
    const found: number[] = [];
    for (let i = Number(first); i <= Number(last); i += Number(step)) found.push(i);
    return found;
  });
}

/** Indices as one range with a step, where they are one: `{ first: 2, last: 6, step: 2 }`. */
export function asRange(
  indices: readonly number[],
): { first: number; last: number; step: number } | undefined {
  const sorted = [...indices].sort((a, b) => a - b);
  const first = sorted[0], last = sorted[sorted.length - 1], step = sorted.length > 1 ? sorted[1] - first : 1;
  return sorted.every((index, i) => index === first + i * step) ? { first, last, step } : undefined;
}

/** Milliseconds as `HH:MM:SS`, rounded up to a second; hours may be more than a day's. */
export function clock(milliseconds: number): string {
  const seconds = Math.ceil(milliseconds / 1000);
  return [seconds / 3600, seconds / 60 % 60, seconds % 60].map((part) =>
    String(Math.floor(part)).padStart(2, "0")
  )
    .join(":");
}

/** Bytes in units of 1024 to the power `power`, rounded up. */
export function inUnits(bytes: number, power: number): number {
  return Math.ceil(bytes / 1024 ** power);
}

/** A value as it stands in a script line of a scheduler: as it is, or in double quotes when it has spaces. */
export function directive(value: string): string {
  return PLAIN.test(value) ? value : `"${value}"`;
}

/** The nodes and ranks that follow from what is given; what cannot be derived stays away. */
export function layout(job: JobDescription): { nodes?: number; tasks?: number; tasksPerNode?: number } {
  const { tasksPerNode } = job;
  const tasks = job.tasks ?? (job.nodes && tasksPerNode && job.nodes * tasksPerNode);
  const nodes = job.nodes ?? (tasks && tasksPerNode && Math.ceil(tasks / tasksPerNode));
  return { nodes, tasks, tasksPerNode: tasksPerNode ?? (tasks && nodes && Math.ceil(tasks / nodes)) };
}

/** Refuses what a scheduler has no way to say. */
export function unsupported(scheduler: string, field: string, advice: string): never {
  throw new JobError(`job: ${scheduler} has no ${field}; ${advice}`);
}

/** Puts a job's script together: the shell, the scheduler's lines, the variables, and the command. */
export function assemble(
  job: JobDescription,
  prefix: string,
  directives: readonly string[],
  before: readonly string[] = [],
): string {
  const lines = [
    `#!${job.shell ?? "/bin/sh"}`,
    ...directives.map((line) => `${prefix} ${line}`),
    ...(job.options ?? []).map((line) => `${prefix} ${line}`),
    ...before,
    ...Object.entries(job.environment ?? {}).map(([name, value]) => `export ${name}=${quote(value)}`),
    typeof job.command === "string" ? job.command : `exec ${quote(job.command)}`,
  ];
  return `${lines.join("\n")}\n`;
}
