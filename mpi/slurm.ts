/**
 * Slurm's language: sbatch(1), squeue(1), sacct(1), scontrol(1), scancel(1) of slurm.schedmd.com, versions 20.11 and
 * later; run for real against 22.05. States come from squeue, which tells of ended jobs for some minutes (MinJobAge),
 * afterwards from sacct where the cluster keeps accounts.
 */
import {
  assemble,
  checkJob,
  clock,
  directive,
  formatIndices,
  inUnits,
  type JobDescription,
  parseIndices,
} from "./job.ts";
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

const STATES: Readonly<Record<string, JobStatus>> = {
  PENDING: "pending",
  CONFIGURING: "pending",
  RESV_DEL_HOLD: "held",
  REQUEUE_HOLD: "held",
  SPECIAL_EXIT: "held",
  REQUEUED: "requeued",
  REQUEUE_FED: "requeued",
  RUNNING: "running",
  COMPLETING: "running",
  STAGE_OUT: "running",
  SIGNALING: "running",
  RESIZING: "running",
  SUSPENDED: "suspended",
  STOPPED: "suspended",
  COMPLETED: "completed",
  FAILED: "failed",
  BOOT_FAIL: "node-fail",
  NODE_FAIL: "node-fail",
  CANCELLED: "cancelled",
  REVOKED: "cancelled",
  PREEMPTED: "cancelled",
  TIMEOUT: "timeout",
  DEADLINE: "timeout",
  OUT_OF_MEMORY: "out-of-memory",
};

const CONDITIONS = { ok: "afterok", notok: "afternotok", any: "afterany", started: "after" } as const;
const FIELDS = [
  "JobArrayID:64",
  "State:32",
  "exit_code:16",
  "Reason:128",
  "RestartCnt:8",
  "NodeList:256",
  "Name:128",
];

function directives(job: JobDescription): string[] {
  const lines: string[] = [];
  const add = (option: string, value: string | number | undefined) => {
    if (value !== undefined) lines.push(`--${option}=${directive(String(value))}`);
  };
  const path = (text: string | undefined) =>
    text?.replaceAll("%", "%%").replaceAll("{job}", job.array ? "%A" : "%j").replaceAll("{task}", "%a");
  add("job-name", job.name);
  add("nodes", job.nodes);
  add("ntasks", job.tasks);
  add("ntasks-per-node", job.tasksPerNode);
  add("cpus-per-task", job.cpus);
  add("mem", job.memory && `${inUnits(job.memory, 1)}K`);
  add("gpus-per-node", job.gpus);
  add("time", job.walltime && clock(job.walltime));
  add("partition", job.queue);
  add("account", job.account);
  add("qos", job.qos);
  if (job.dependencies?.length) {
    add(
      "dependency",
      job.dependencies.map(({ after, jobs }) => [CONDITIONS[after], ...jobs].join(":")).join(","),
    );
    add("kill-on-invalid-dep", "yes"); // else it would wait for ever for what cannot come
  }
  if (job.array) {
    const { indices, limit } = job.array;
    add("array", `${formatIndices(indices)}${limit === undefined ? "" : `%${limit}`}`);
  }
  if (job.mail) {
    add("mail-type", job.mail.on.map((when) => when.toUpperCase()).join(","));
    add("mail-user", job.mail.to);
  }
  add("chdir", job.workdir);
  add("output", path(job.stdout));
  add("error", path(job.stderr));
  if (job.requeue !== undefined) lines.push(job.requeue ? "--requeue" : "--no-requeue");
  // B: the script itself gets it, not only what srun has started
  if (job.signal) add("signal", `B:${job.signal.name}@${Math.ceil(job.signal.before / 1000)}`);
  if (job.hold) lines.push("--hold");
  return lines;
}

function statusOf(raw: string, reason: string, restarts: number): JobStatus {
  const status = STATES[raw.split(/[ +]/, 1)[0]] ?? "unknown";
  if (status !== "pending") return status;
  if (/held|hold/i.test(reason)) return "held";
  return restarts > 0 ? "requeued" : "pending";
}

/** squeue gives the status of wait(2), sacct `code:signal`. */
function ending(text: string, status: JobStatus): { exitCode?: number; signal?: number } {
  const pair = /^(\d+):(\d+)$/.exec(text);
  const [code, signal] = pair ? [Number(pair[1]), Number(pair[2])] : [Number(text) >> 8, Number(text) & 127];
  if (signal > 0) return { signal };
  return code > 0 || status === "completed" ? { exitCode: code, signal: signalOf(code) } : {};
}

const ENDED: ReadonlySet<JobStatus> = new Set([
  "completed",
  "failed",
  "timeout",
  "out-of-memory",
  "cancelled",
]);

function parseLine(line: string): JobState[] {
  const fields = line.split("|").map((field) => field.trim());
  const accounted = fields[2].includes(":");
  const [id, raw, exit, reason] = fields;
  const [nodes, ...name] = fields.slice(accounted ? 4 : 5);
  const status = statusOf(raw, reason, accounted ? 0 : Number(fields[4]));
  const common = {
    status,
    raw,
    ...ENDED.has(status) ? ending(exit, status) : {},
    // the accounts keep why a job last waited, also when it has ended
    reason: reason === "None" || (accounted && ENDED.has(status)) ? undefined : reason,
    name: name.join("|"),
    nodes: nodes === "None assigned" ? undefined : nodes,
  };
  const [, job, tasks] = /^([^_]+)(?:_\[?([^\]]*)\]?)?$/.exec(id) ?? [id, id];
  if (tasks === undefined || tasks === "N/A") return [state({ id, job, ...common })];
  return parseIndices(tasks).map((task) => state({ id: `${job}_${task}`, job, task, ...common }));
}

/** Slurm. */
export const slurmDialect: SchedulerDialect = {
  name: "slurm",
  script(job) {
    checkJob(job);
    const before = job.array ? [`export PATHOS_TASK="$SLURM_ARRAY_TASK_ID"`] : [];
    return assemble(job, "#SBATCH", directives(job), before);
  },
  submit(job) {
    return { argv: ["sbatch", "--parsable"], stdin: this.script(job) };
  },
  parseSubmit(output) {
    // warnings come before it; "12;cluster" where there are several clusters
    return submittedId("sbatch", output, /^(\d+)(?:;\S+)?$/m);
  },
  status: (jobs) => [[
    "squeue",
    "--noheader",
    "--array",
    "--states=all",
    `--jobs=${jobs.join(",")}`,
    `--Format=${FIELDS.map((field) => `${field}|`).join(",").slice(0, -1)}`,
  ]],
  history: (jobs) => [[
    "sacct",
    "--noheader",
    "--parsable2",
    "--allocations",
    `--jobs=${jobs.join(",")}`,
    "--format=JobID,State,ExitCode,Reason,NodeList,JobName",
  ]],
  parseStatus(output: CommandOutput) {
    if (output.code !== 0) {
      // without accounts there is no history, and squeue takes one forgotten job alone for an error
      if (!/invalid job id specified|accounting storage is disabled/i.test(output.stderr)) {
        throw commandFailed("Slurm did not tell the state of jobs", output);
      }
    }
    return output.stdout.split("\n").filter((line) => line.split("|").length >= 6).flatMap(parseLine);
  },
  cancel: (jobs) => ["scancel", ...jobs],
  hold: (jobs) => ["scontrol", "hold", jobs.join(",")],
  release: (jobs) => ["scontrol", "release", jobs.join(",")],
  requeue: (jobs) => ["scontrol", "requeue", ...jobs.length > 0 ? [jobs.join(",")] : []],
  ownId: "SLURM_JOB_ID",
  taskId: (job, task) => `${job}_${task}`,
  jobNumber: (job) => job,
};
