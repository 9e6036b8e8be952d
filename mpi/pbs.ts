/**
 * The language of OpenPBS (and PBS Professional) and of Torque, as the manual pages qsub, qstat, qdel, qhold, qrls and
 * qrerun that come with the sources of OpenPBS 23 and Torque 6 have it, and the sources themselves for exit statuses and
 * messages. Not run against either server.
 *
 * Both read `#PBS` lines and print the same `qstat -f`; they differ in how nodes, arrays and folders are asked for. In
 * OpenPBS an array is held and released as a whole, its jobs are always rerunnable, and to let running jobs wait again
 * is for operators. Neither server tells of jobs that have ended unless its history is switched on.
 */
import {
  asRange,
  assemble,
  checkJob,
  clock,
  directive,
  formatIndices,
  inUnits,
  type JobDescription,
  JobError,
  layout,
  unsupported,
} from "./job.ts";
import { quote } from "../ssh/mod.ts";
import {
  commandFailed,
  type CommandOutput,
  type JobState,
  type JobStatus,
  type SchedulerDialect,
  signalOf,
  state,
  submittedId,
} from "./scheduler.ts";

const CONDITIONS = { ok: "afterok", notok: "afternotok", any: "afterany", started: "after" } as const;
const ARRAY = /\[\]/;
/** Torque has other words where the job to wait for is an array. */
const ARRAY_CONDITIONS = {
  ok: "afterokarray",
  notok: "afternotokarray",
  any: "afteranyarray",
  started: "afterstartarray",
} as const;
const MAIL = { begin: "b", end: "e", fail: "a" } as const;

/** The lines that mean the same to OpenPBS, Torque and Moab. */
export function commonDirectives(job: JobDescription, arrayConditions = false): string[] {
  const lines: string[] = [];
  const add = (option: string, value: string | undefined) => {
    if (value !== undefined) lines.push(`-${option} ${directive(value)}`);
  };
  add("N", job.name);
  if (job.walltime) add("l", `walltime=${clock(job.walltime)}`);
  add("q", job.queue);
  add("A", job.account);
  if (job.dependencies?.length) {
    const conditions = job.dependencies.flatMap(({ after, jobs }) => {
      const arrays = jobs.filter((id) => arrayConditions && ARRAY.test(id));
      const others = jobs.filter((id) => !arrays.includes(id));
      return [
        ...others.length > 0 ? [[CONDITIONS[after], ...others].join(":")] : [],
        ...arrays.length > 0 ? [[ARRAY_CONDITIONS[after], ...arrays].join(":")] : [],
      ];
    });
    add("W", `depend=${conditions.join(",")}`);
  }
  if (job.mail) {
    add("m", job.mail.on.map((when) => MAIL[when]).join(""));
    add("M", job.mail.to);
  }
  if (placed(job)) lines.push("-o /dev/null", "-e /dev/null");
  else {
    add("o", under(job, job.stdout));
    add("e", under(job, job.stderr));
  }
  if (job.stdout !== undefined && job.stderr === undefined) lines.push("-j oe");
  if (job.requeue !== undefined) lines.push(`-r ${job.requeue ? "y" : "n"}`);
  if (job.hold) lines.push("-h");
  return lines;
}

/** Whether output goes to files that bear the job's id: only the running script knows it. */
function placed(job: JobDescription): boolean {
  return /\{(job|task)\}/.test(`${job.stdout}${job.stderr}`);
}

/** qsub takes a relative path from where it runs, not from the job's folder. */
function under({ workdir }: JobDescription, path: string | undefined): string | undefined {
  return path === undefined || workdir === undefined || path.startsWith("/") ? path : `${workdir}/${path}`;
}

/** What the script does first: its folder, its output files, the index of its task. */
export function preamble(job: JobDescription, number: string, index: string): string[] {
  const lines = [`cd ${job.workdir === undefined ? '"$PBS_O_WORKDIR"' : quote(job.workdir)} || exit`];
  if (job.array) lines.push(`export PATHOS_TASK="${index}"`);
  if (placed(job)) {
    const path = (text: string) =>
      `"${text.replaceAll("{job}", "${pathos_job}").replaceAll("{task}", "${PATHOS_TASK}")}"`;
    lines.push(`pathos_job=${number}`);
    if (job.stdout !== undefined) lines.push(`exec >${path(job.stdout)}`);
    if (job.stderr !== undefined || job.stdout !== undefined) {
      lines.push(`exec 2>${job.stderr === undefined ? "&1" : path(job.stderr)}`);
    }
  }
  return lines;
}

/** `-l select=2:ncpus=4:mpiprocs=4`; a last chunk takes the ranks that are left over. */
function select(job: JobDescription): string[] {
  const { nodes, tasks, tasksPerNode } = layout(job);
  const { cpus = 1, memory, gpus } = job;
  if (nodes === undefined && tasks === undefined && !job.cpus && !memory && !gpus) return [];
  const chunk = (count: number, ranks: number | undefined) =>
    [
      count,
      ...ranks || job.cpus ? [`ncpus=${(ranks ?? 1) * cpus}`] : [],
      ...ranks ? [`mpiprocs=${ranks}`] : [],
      ...job.cpus && ranks ? [`ompthreads=${cpus}`] : [],
      ...memory ? [`mem=${inUnits(memory, 1)}kb`] : [],
      ...gpus ? [`ngpus=${gpus}`] : [],
    ].join(":");
  if (nodes === undefined) {
    if (tasks && tasks > 1) {
      needNodes(job, "OpenPBS");
      return [`-l select=${chunk(tasks, 1)}`];
    }
    return [`-l select=${chunk(1, tasks)}`];
  }
  const spread = ["-l place=scatter"];
  if (!tasks || !tasksPerNode || tasks === nodes * tasksPerNode) {
    return [`-l select=${chunk(nodes, tasksPerNode)}`, ...spread];
  }
  const most = Math.floor(tasks / tasksPerNode), rest = tasks - most * tasksPerNode;
  return [`-l select=${chunk(most, tasksPerNode)}${rest ? `+${chunk(1, rest)}` : ""}`, ...spread];
}

function needNodes({ memory, gpus }: JobDescription, scheduler: string): void {
  if (memory || gpus) {
    throw new JobError(
      `job: memory and gpus are for each node, and ${scheduler} must know how many; give nodes or tasksPerNode too`,
    );
  }
}

/** Torque's and Moab's `-l nodes=2:ppn=4:gpus=1`, and memory, which they count for the whole job. */
export function nodesRequest(job: JobDescription, scheduler: string): string[] {
  const { nodes, tasks, tasksPerNode } = layout(job);
  const { cpus = 1, memory, gpus } = job;
  const lines: string[] = [];
  if (nodes === undefined && tasks && tasks > 1) {
    needNodes(job, scheduler);
    return [`-l procs=${tasks * cpus}`];
  }
  if (nodes || tasks || job.cpus || gpus) {
    const perNode = (tasksPerNode ?? tasks ?? 1) * cpus;
    const ppn = tasksPerNode || tasks || job.cpus ? `:ppn=${perNode}` : "";
    lines.push(`-l nodes=${nodes ?? 1}${ppn}${gpus ? `:gpus=${gpus}` : ""}`);
  }
  if (memory) lines.push(`-l mem=${inUnits(memory, 1) * (nodes ?? 1)}kb`);
  return lines;
}

/** The digits of `12[3].server`, in the script and here. */
const NUMBER = '"${PBS_JOBID%%[!0-9]*}"';
const digits = (job: string) => /^\d*/.exec(job)![0];

type Fields = Record<string, string>;

/** `qstat -f`: `name = value` below `Job Id:`; long values go on in lines that begin with a tab. */
function parseFull(text: string): { id: string; fields: Fields }[] {
  const jobs: { id: string; fields: Fields }[] = [];
  let last = "";
  for (const line of text.split("\n")) {
    const begin = /^Job Id:\s*(\S+)/.exec(line), pair = /^ {4}(\S+) = (.*)$/.exec(line);
    const fields = jobs[jobs.length - 1]?.fields;
    if (begin) jobs.push({ id: begin[1], fields: {} });
    else if (pair && fields) fields[last = pair[1]] = pair[2];
    else if (fields && last && /^\s/.test(line)) fields[last] += line.trim();
  }
  return jobs;
}

const LETTERS: Readonly<Record<string, JobStatus>> = {
  Q: "pending",
  W: "pending",
  T: "pending",
  M: "pending",
  H: "held",
  R: "running",
  B: "running",
  E: "running",
  S: "suspended",
  U: "suspended",
};

/** What negative exit statuses mean, by server: job.h of OpenPBS, "Job exit status" of Torque. */
const KILLED: Readonly<Record<"openpbs" | "torque", Readonly<Record<string, JobStatus>>>> = {
  openpbs: { "-26": "out-of-memory", "-27": "out-of-memory", "-28": "timeout", "-29": "timeout" },
  torque: { "-10": "out-of-memory", "-11": "timeout", "-12": "timeout" },
};

function seconds(text: string | undefined): number {
  return text === undefined ? NaN : text.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
}

function finished(fields: Fields, kind: "openpbs" | "torque"): Partial<JobState> & { status: JobStatus } {
  const text = fields.Exit_status ?? fields.exit_status;
  const used = seconds(fields["resources_used.walltime"]), limit = seconds(fields["Resource_List.walltime"]);
  if (text === undefined) return { status: "cancelled" }; // deleted before it ran
  const code = Number(text);
  if (code === 0) return { status: "completed", exitCode: 0 };
  if (code < 0) return { status: KILLED[kind][text] ?? "failed", exitCode: code };
  // 256 and more: the server ended it by a signal, which it also does when time is over
  const signal = code >= 256 ? code - 256 : undefined;
  if (signal === undefined) {
    return {
      status: fields.substate === "91" ? "cancelled" : "failed",
      exitCode: code,
      signal: signalOf(code),
    };
  }
  return { status: used >= limit ? "timeout" : signal === 15 ? "cancelled" : "failed", signal };
}

function toState({ id, fields }: { id: string; fields: Fields }, kind: "openpbs" | "torque"): JobState {
  const raw = fields.job_state ?? "";
  const index = /\[(\d+)\]/.exec(id)?.[1] ?? /^\d+-(\d+)/.exec(id)?.[1];
  const runs = Number(fields.run_count ?? fields.start_count ?? 0);
  const end = /^[CFX]$/.test(raw) ? finished(fields, kind) : undefined;
  const status = end?.status ?? (raw === "Q" && runs > 0 ? "requeued" : LETTERS[raw] ?? "unknown");
  return state({
    id,
    job: index === undefined ? id : id.replace(/\[\d+\]/, "[]").replace(/^(\d+)-\d+/, "$1[]"),
    task: index === undefined ? undefined : Number(index),
    raw,
    reason: fields.comment,
    name: fields.Job_Name,
    nodes: fields.exec_host,
    ...end,
    status,
  });
}

function parseStatus(output: CommandOutput, kind: "openpbs" | "torque"): JobState[] {
  const states = parseFull(output.stdout).map((job) => toState(job, kind));
  if (output.code !== 0 && !/unknown (job|array) ?id|job has finished/i.test(output.stderr)) {
    throw commandFailed("qstat did not tell the state of jobs", output);
  }
  // the line of an array tells of all its tasks, which have lines of their own
  return states.filter(({ id }) =>
    !ARRAY.test(id) || !states.some((other) => other.task !== undefined && other.job === id)
  );
}

function parseSubmit(output: CommandOutput): string {
  return submittedId("qsub", output, /^(\d+(?:\[\])?(?:\.\S+)?)\s*$/m);
}

const shared = {
  parseSubmit,
  history: () => [],
  cancel: (jobs: readonly string[]) => ["qdel", ...jobs],
  hold: (jobs: readonly string[]) => ["qhold", ...jobs],
  release: (jobs: readonly string[]) => ["qrls", ...jobs],
  requeue: (jobs: readonly string[]) => ["qrerun", ...jobs],
  taskId: (job: string, task: number) => job.replace("[]", `[${task}]`),
  jobNumber: digits,
};

/** OpenPBS and PBS Professional. */
export const openpbsDialect: SchedulerDialect = {
  ...shared,
  name: "openpbs",
  script(job) {
    checkJob(job);
    if (job.qos !== undefined) unsupported("OpenPBS", "qos", "put what the site has for it in options");
    if (job.signal) unsupported("OpenPBS", "signal before the end", "let the program watch its own time");
    if (job.array && job.requeue === false) {
      unsupported("OpenPBS", "array that is not rerunnable", "leave requeue out, or submit single jobs");
    }
    const lines = [...commonDirectives(job), ...select(job)];
    if (job.array) lines.push(`-J ${pbsRange(job.array)}`);
    return assemble(job, "#PBS", lines, preamble(job, NUMBER, "$PBS_ARRAY_INDEX"));
  },
  submit(job) {
    return { argv: ["qsub"], stdin: this.script(job) };
  },
  status: (jobs) => [["qstat", "-x", "-f", "-t", "-w", ...jobs]],
  parseStatus: (output) => parseStatus(output, "openpbs"),
};

/** An array is one range, of two indices at least; a step past the end makes it one. */
function pbsRange({ indices, limit }: NonNullable<JobDescription["array"]>): string {
  const range = asRange(indices);
  if (!range) {
    throw new JobError(
      `job: array.indices ${
        formatIndices(indices)
      } are not one range with a step, as OpenPBS needs; submit a job for each range`,
    );
  }
  const { first, last, step } = range;
  const text = first === last ? `${first}-${first + 1}:2` : `${first}-${last}${step === 1 ? "" : `:${step}`}`;
  return `${text}${limit === undefined ? "" : `%${limit}`}`;
}

/** Torque. */
export const torqueDialect: SchedulerDialect = {
  ...shared,
  name: "torque",
  script(job) {
    checkJob(job);
    if (job.signal) unsupported("Torque", "signal before the end", "let the program watch its own time");
    if (job.name && !/^[A-Za-z]/.test(job.name)) {
      throw new JobError(`job: name is ${JSON.stringify(job.name)}; Torque's names begin with a letter`);
    }
    const lines = [...commonDirectives(job, true), ...nodesRequest(job, "Torque")];
    if (job.qos !== undefined) lines.push(`-W x=QOS:${job.qos}`);
    if (job.array) {
      const { indices, limit } = job.array;
      lines.push(`-t ${formatIndices(indices)}${limit === undefined ? "" : `%${limit}`}`);
    }
    return assemble(job, "#PBS", lines, preamble(job, NUMBER, "$PBS_ARRAYID"));
  },
  submit(job) {
    return { argv: ["qsub"], stdin: this.script(job) };
  },
  status: (jobs) => [["qstat", "-f", "-t", "-1", ...jobs]],
  parseStatus: (output) => parseStatus(output, "torque"),
};
