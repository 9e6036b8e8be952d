/**
 * The language of Grid Engine (Sun's, Son of Grid Engine 8.1, Univa's): qsub(1), qstat(1), qacct(1), sge_status(5),
 * accounting(5) of Son of Grid Engine 8.1.9, against which it is run. qstat forgets a job when it ends, and qacct tells
 * of it a moment later; between the two nobody knows it, nor ever a job that was deleted before it ran. The accounts
 * do not tell a job that was deleted from one that was killed: both have `failed`, signal 9.
 *
 * Grid Engine itself takes a job that exits with 99 for one to run again, and one that exits with 100 for broken. To
 * let running jobs wait again is for its managers. What a parallel environment, memory and accelerators are called is
 * each site's choice: see {@linkcode SgeNames}.
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
  parseIndices,
  unsupported,
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

/** The names that a Grid Engine site has chosen. */
export interface SgeNames {
  /** Parallel environment for several slots; `qconf -spl` lists them. Default: none, such jobs are refused. */
  parallelEnvironment?: string;
  /** The resource that is memory, for each slot. Default: `"h_vmem"`. */
  memory?: string;
  /** The resource that is accelerators. Default: `"gpu"`. */
  gpu?: string;
}

const MAIL = { begin: "b", end: "e", fail: "a" } as const;

function directives(job: JobDescription, names: SgeNames): string[] {
  const { nodes, tasks } = layout(job);
  const lines: string[] = [];
  const add = (option: string, value: string | undefined) => {
    if (value !== undefined) lines.push(`-${option} ${directive(value)}`);
  };
  const path = (text: string | undefined) =>
    text?.replaceAll("{job}", "$JOB_ID").replaceAll("{task}", "$TASK_ID");
  if (job.name && /^\d/.test(job.name)) {
    throw new JobError(
      `job: name is ${JSON.stringify(job.name)}; Grid Engine's names do not begin with a digit`,
    );
  }
  lines.push("-S " + directive(job.shell ?? "/bin/sh")); // #! lines count only where the site says so
  add("N", job.name);
  const slots = (tasks ?? nodes ?? 1) * (job.cpus ?? 1);
  if (slots > 1) {
    if (names.parallelEnvironment === undefined) {
      throw new JobError(
        `job: ${slots} slots need a parallel environment; give its name (parallelEnvironment, "qconf -spl" lists them), which also decides how slots are spread over nodes`,
      );
    }
    lines.push(`-pe ${names.parallelEnvironment} ${slots}`);
  }
  const resources = [
    ...job.walltime ? [`h_rt=${clock(job.walltime)}`] : [],
    ...job.memory ? [`${names.memory ?? "h_vmem"}=${inUnits(job.memory, 1)}K`] : [],
    ...job.gpus ? [`${names.gpu ?? "gpu"}=${job.gpus}`] : [],
  ];
  if (resources.length > 0) add("l", resources.join(","));
  add("q", job.queue);
  add("A", job.account);
  for (const { after, jobs } of job.dependencies ?? []) {
    if (after !== "any") {
      unsupported(
        "Grid Engine",
        `dependency after "${after}"`,
        'it waits for the end of jobs however they end: "any"',
      );
    }
    add("hold_jid", jobs.join(","));
  }
  if (job.array) {
    const { first, last, step } = sgeRange(job.array.indices);
    add("t", first === last ? `${first}` : `${first}-${last}:${step}`);
    if (job.array.limit !== undefined) add("tc", String(job.array.limit));
  }
  if (job.mail) {
    add("m", job.mail.on.map((when) => MAIL[when]).join(""));
    add("M", job.mail.to);
  }
  if (job.workdir === undefined) lines.push("-cwd");
  else add("wd", job.workdir);
  if (job.stdout !== undefined) lines.push(`-o ${quotedPath(path(job.stdout)!)}`);
  if (job.stderr !== undefined) lines.push(`-e ${quotedPath(path(job.stderr)!)}`);
  else if (job.stdout !== undefined) lines.push("-j y");
  if (job.requeue !== undefined) lines.push(`-r ${job.requeue ? "y" : "n"}`);
  if (job.hold) lines.push("-h");
  return lines;
}

/** The pseudo variables in a path must stay bare. */
function quotedPath(path: string): string {
  return /\s/.test(path) ? `"${path}"` : path;
}

function sgeRange(indices: readonly number[]): { first: number; last: number; step: number } {
  const range = asRange(indices);
  if (!range || range.first === 0) {
    throw new JobError(
      `job: array.indices ${
        formatIndices(indices)
      } are not one range with a step from 1 up, as Grid Engine needs; submit a job for each range`,
    );
  }
  return range;
}

/** The letters of sge_status(5). */
function statusOf(letters: string): JobStatus {
  if (letters.includes("E")) return "failed";
  if (letters.includes("d")) return "running"; // being deleted, still there
  if (/[sST]/.test(letters)) return "suspended";
  if (/h/.test(letters) && /[qw]/.test(letters)) return "held";
  if (/[qw]/.test(letters)) return letters.includes("R") ? "requeued" : "pending";
  return /[rt]/.test(letters) ? "running" : "unknown";
}

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/** `qstat -xml`. */
function parseQueue(text: string): JobState[] {
  return [...text.matchAll(/<job_list[^>]*>([^]*?)<\/job_list>/g)].flatMap(([, body]) => {
    const field = (name: string) =>
      new RegExp(`<${name}>([^<]*)</${name}>`).exec(body)?.[1].replace(
        /&(\w+);/g,
        (all, e) => ENTITIES[e] ?? all,
      );
    const job = field("JB_job_number") ?? "", raw = field("state") ?? "", tasks = field("tasks");
    const common = {
      job,
      raw,
      status: statusOf(raw),
      name: field("JB_name"),
      nodes: field("queue_name"),
      reason: raw.includes("E")
        ? `in error state; "qstat -j ${job}" says why, "qmod -cj ${job}" lets it wait again`
        : undefined,
    };
    if (!tasks) return [state({ id: job, ...common })];
    return parseIndices(tasks).map((task) => state({ id: `${job}.${task}`, task, ...common }));
  });
}

/**
 * `qacct -j`: blocks between lines of `=`, a name and a value in each line. A job has a block for each time it was
 * started, and for each of its parts on other hosts; the last is its end.
 */
function parseAccounts(text: string): JobState[] {
  const states = new Map<string, JobState>();
  for (const block of text.split(/^=+$/m)) {
    const fields = new Map<string, string>();
    for (const line of block.split("\n")) {
      const pair = /^(\S+)\s+(.*?)\s*$/.exec(line);
      if (pair) fields.set(pair[1], pair[2]);
    }
    const job = fields.get("jobnumber");
    if (job === undefined) continue;
    const task = /^\d+$/.test(fields.get("taskid") ?? "") ? Number(fields.get("taskid")) : undefined;
    const exit = Number.parseInt(fields.get("exit_status") ?? "0"); // "137   (Killed)"
    const failed = fields.get("failed") ?? "0", id = task === undefined ? job : `${job}.${task}`;
    const status = endOf(exit, failed, fields);
    states.set(
      id,
      state({
        id,
        job,
        task,
        raw: `failed ${failed}, exit_status ${exit}`,
        status,
        exitCode: status === "requeued" ? undefined : exit,
        signal: status === "requeued" ? undefined : signalOf(exit),
        reason: /^0\b/.test(failed) ? undefined : failed,
        name: fields.get("jobname"),
        nodes: fields.get("hostname"),
      }),
    );
  }
  return [...states.values()];
}

function endOf(exit: number, failed: string, fields: ReadonlyMap<string, string>): JobStatus {
  const code = Number.parseInt(failed);
  if (code === 0) return exit === 0 ? "completed" : "failed";
  const limit = /h_rt=(\d+)/.exec(fields.get("category") ?? "")?.[1];
  // 37: qmaster enforced h_rt; 100: killed by a signal, which is also how execd ends what is over its time
  if (
    code === 37 ||
    (code === 100 && limit && Number.parseFloat(fields.get("ru_wallclock") ?? "0") >= Number(limit))
  ) {
    return "timeout";
  }
  const by = fields.get("deleted_by");
  if (by !== undefined && by !== "NONE") return "cancelled";
  return [24, 25].includes(code) ? "requeued" : "failed";
}

/** Grid Engine with a site's names. */
export function sgeDialect(names: SgeNames = {}): SchedulerDialect {
  return {
    name: "gridengine",
    script(job) {
      checkJob(job);
      if (job.qos !== undefined) unsupported("Grid Engine", "qos", "put what the site has for it in options");
      if (job.signal) {
        unsupported("Grid Engine", "signal with a time of one's own", 'options: ["-notify"] sends USR2');
      }
      const before = job.array ? [`export PATHOS_TASK="$SGE_TASK_ID"`] : [];
      return assemble(job, "#$", directives(job, names), before);
    },
    submit(job) {
      return { argv: ["qsub", "-terse"], stdin: this.script(job) };
    },
    parseSubmit(output) {
      // "12", or "12.1-10:1" for an array
      return submittedId("qsub", output, /^(\d+)(?:\.\S+)?\s*$/m);
    },
    status: () => [["qstat", "-xml", "-g", "d"]],
    history: (jobs) => jobs.map((job) => ["qacct", "-j", job]),
    parseStatus(output: CommandOutput) {
      if (output.code !== 0) {
        if (/job id .* not found|job name .* not found|no such file|do not exist/i.test(output.stderr)) {
          return [];
        }
        throw commandFailed("Grid Engine did not tell the state of jobs", output);
      }
      return output.stdout.includes("<job_info") ? parseQueue(output.stdout) : parseAccounts(output.stdout);
    },
    cancel: (jobs) => ["qdel", ...jobs],
    hold: (jobs) => ["qhold", ...jobs],
    release: (jobs) => ["qrls", ...jobs],
    requeue: (jobs) => ["qmod", "-rj", ...jobs],
    taskId: (job, task) => `${job}.${task}`,
    jobNumber: (job) => job,
  };
}
