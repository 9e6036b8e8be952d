/**
 * The language of IBM Spectrum LSF 10.1: bsub, bjobs, bkill, bstop, bresume and brequeue of its command reference, "Job
 * arrays", "Job states" and "Termination reasons". Not run against a server. States are asked for as JSON, which bjobs
 * has since Fix Pack 2; memory is reserved for each host (`rusage[mem=../host]`, Fix Pack 9) with its unit, since a bare
 * number means what the site has configured. LSF writes a report of the job into its output file too, unless it is to be
 * mailed (options: `["-N"]`).
 */
import {
  assemble,
  checkJob,
  directive,
  formatIndices,
  inUnits,
  type JobDescription,
  JobError,
  layout,
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

const CONDITIONS = { ok: "done", notok: "exit", any: "ended", started: "started" } as const;

const STATES: Readonly<Record<string, JobStatus>> = {
  PEND: "pending",
  WAIT: "pending",
  FWD_PEND: "pending",
  PROV: "pending",
  PSUSP: "held",
  RUN: "running",
  USUSP: "suspended",
  SSUSP: "suspended",
  DONE: "completed",
  EXIT: "failed",
  ZOMBI: "node-fail",
};

const TERMINATED: readonly (readonly [RegExp, JobStatus])[] = [
  [/TERM_(RUNLIMIT|DEADLINE|CPULIMIT|PREEMPT_TIME)/, "timeout"],
  [/TERM_(MEMLIMIT|SWAP)/, "out-of-memory"],
  [/TERM_(OWNER|ADMIN|FORCE_OWNER|FORCE_ADMIN|BUCKET_KILL|REMOVE_HUNG_JOB)/, "cancelled"],
];

function hoursAndMinutes(milliseconds: number): string {
  const minutes = Math.ceil(milliseconds / 60_000);
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}`;
}

function directives(job: JobDescription): string[] {
  const { nodes, tasks, tasksPerNode } = layout(job);
  const { array, gpus, memory, mail, signal } = job;
  const lines: string[] = [];
  const add = (option: string, value: string | number | undefined) => {
    if (value !== undefined) lines.push(`-${option} ${directive(String(value))}`);
  };
  const path = (text: string | undefined) => text?.replaceAll("{job}", "%J").replaceAll("{task}", "%I");
  if (array) {
    if (array.indices.includes(0)) {
      throw new JobError(
        "job: array.indices has 0; LSF counts from 1, since index 0 means a job without array",
      );
    }
    const limit = array.limit === undefined ? "" : `%${array.limit}`;
    lines.push(`-J "${job.name ?? "job"}[${formatIndices(array.indices)}]${limit}"`);
  } else add("J", job.name);
  add("n", tasks ?? nodes);
  if (nodes !== undefined) lines.push(`-R "span[ptile=${tasksPerNode ?? 1}]"`);
  if (memory) lines.push(`-R "rusage[mem=${inUnits(memory, 1)}KB/host]"`);
  if (job.cpus) lines.push(`-R "affinity[core(${job.cpus})]"`);
  if (gpus) lines.push(`-gpu "num=${gpus}/host"`);
  add("W", job.walltime && hoursAndMinutes(job.walltime));
  add("q", job.queue);
  add("P", job.account);
  add("sla", job.qos);
  if (job.dependencies?.length) {
    const conditions = job.dependencies.flatMap(({ after, jobs }) =>
      jobs.map((id) => `${CONDITIONS[after]}(${id})`)
    );
    lines.push(`-w "${conditions.join(" && ")}"`);
  }
  if (mail) {
    if (mail.on.includes("begin")) lines.push("-B");
    if (mail.on.some((when) => when !== "begin")) lines.push("-N");
    add("u", mail.to);
  }
  add("cwd", job.workdir);
  add("o", path(job.stdout));
  add("e", path(job.stderr));
  if (job.requeue !== undefined) lines.push(job.requeue ? "-r" : "-rn");
  if (signal) lines.push(`-wa ${signal.name}`, `-wt ${Math.ceil(signal.before / 60_000)}`);
  if (job.hold) lines.push("-H");
  return lines;
}

type LsfRecord = Readonly<Record<string, string | undefined>>;

function toState(record: LsfRecord): JobState {
  const { JOBID: job = "", JOBINDEX: index = "0", STAT: raw = "", EXIT_REASON: ended = "" } = record;
  const task = /^[1-9]\d*$/.test(index) ? Number(index) : undefined;
  const code = record.EXIT_CODE ? Number(record.EXIT_CODE) : undefined;
  let status = STATES[raw] ?? "unknown";
  if (raw === "EXIT") status = TERMINATED.find(([words]) => words.test(ended))?.[1] ?? "failed";
  return state({
    id: task === undefined ? job : `${job}[${task}]`,
    job,
    task,
    status,
    raw,
    exitCode: raw === "DONE" ? 0 : code,
    signal: code === undefined ? undefined : signalOf(code),
    reason: ended || record.PEND_REASON,
    name: record.JOB_NAME,
    nodes: record.EXEC_HOST,
  });
}

/** LSF. */
export const lsfDialect: SchedulerDialect = {
  name: "lsf",
  script(job) {
    checkJob(job);
    const before = [
      ...job.array ? [`export PATHOS_TASK="$LSB_JOBINDEX"`] : [],
      ...job.workdir === undefined ? [] : [`cd ${quote(job.workdir)} || exit`],
    ];
    return assemble(job, "#BSUB", directives(job), before);
  },
  submit(job) {
    return { argv: ["bsub"], stdin: this.script(job) };
  },
  parseSubmit(output) {
    return submittedId("bsub", output, /Job <(\d+)> is submitted/);
  },
  status: (jobs) => [[
    "bjobs",
    "-a",
    "-json",
    "-o",
    "jobid jobindex stat exit_code exit_reason pend_reason job_name exec_host",
    ...jobs,
  ]],
  history: () => [],
  parseStatus(output: CommandOutput) {
    // "Please wait" lines may come before the text
    const begin = output.stdout.indexOf("{");
    if (begin < 0) {
      if (/is not found|no (matching )?job found/i.test(output.stderr + output.stdout)) return [];
      throw commandFailed("bjobs did not tell the state of jobs", output);
    }
    const { RECORDS = [] } = JSON.parse(output.stdout.slice(begin)) as { RECORDS?: LsfRecord[] };
    return RECORDS.filter((record) => record.STAT !== undefined).map(toState);
  },
  cancel: (jobs) => ["bkill", ...jobs],
  hold: (jobs) => ["bstop", ...jobs],
  release: (jobs) => ["bresume", ...jobs],
  requeue: (jobs) => ["brequeue", ...jobs],
  taskId: (job, task) => `${job}[${task}]`,
  jobNumber: (job) => job,
};
