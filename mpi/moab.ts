/**
 * The language of Moab Workload Manager, versions 7 to 9: msub, checkjob and mjobctl, "Job Arrays", "Job Holds" and
 * "Job States" of its administrator guide. Not run against a server. Scripts are those of Torque, read by msub; ids are
 * Moab's or those of the resource manager below it, as the site has set it. A site must have arrays switched on
 * (ENABLEJOBARRAYS).
 *
 * Of an array checkjob tells the state of each task, but not how it ended: whether a task that has completed ended
 * well is told when it is asked for by its own id.
 */
import { assemble, checkJob, formatIndices, unsupported } from "./job.ts";
import { commonDirectives, nodesRequest, preamble } from "./pbs.ts";
import {
  commandFailed,
  type CommandOutput,
  type JobState,
  type JobStatus,
  type SchedulerDialect,
  state,
  submittedId,
} from "./scheduler.ts";

const STATES: Readonly<Record<string, JobStatus>> = {
  Idle: "pending",
  NotQueued: "pending",
  Deferred: "pending",
  Blocked: "pending",
  Migrated: "pending",
  Staged: "pending",
  Canceling: "running",
  Starting: "running",
  Running: "running",
  Suspended: "suspended",
  Hold: "held",
  UserHold: "held",
  SystemHold: "held",
  BatchHold: "held",
  Vacated: "cancelled",
  Removed: "cancelled",
  Completed: "completed",
};

function statusOf(raw: string, code: string | undefined, held: boolean): JobStatus {
  const status = STATES[raw] ?? "unknown";
  if (status === "pending" && held) return "held";
  if (status !== "completed" || code === undefined || code === "0") return status;
  return code.startsWith("CNCLD") ? "cancelled" : "failed";
}

/** `checkjob`: the job, and for an array the states of its tasks. */
function parseCheck(text: string): JobState[] {
  return text.split(/^(?=job \S+)/m).flatMap((block) => {
    const id = /^job (\S+)/.exec(block)?.[1];
    if (id === undefined) return [];
    const field = (name: string) => new RegExp(`^\\s*${name}:\\s*(.*?)\\s*$`, "m").exec(block)?.[1];
    const members = [...block.matchAll(/^\s*(\d+)\s*:\s*(\S+)\s*:\s*(\w+)\s*$/gm)];
    if (members.length > 0) {
      return members.map(([, task, member, raw]) =>
        state({
          reason: raw === "Completed" ? "Moab does not tell of all tasks at once how they ended" : undefined,
          id: member,
          job: id.replace(/\[\]$/, ""),
          task: Number(task),
          raw,
          status: statusOf(raw, undefined, false),
        })
      );
    }
    const raw = /^State:\s*(\w+)/m.exec(block)?.[1] ?? "";
    const code = /\bCompletion Code:\s*(\S+)/.exec(block)?.[1]; // on the line of the state, or the next
    const holds = field("Holds"), number = code === undefined ? NaN : Number(/-?\d+/.exec(code)?.[0]);
    const status = statusOf(raw, code, holds !== undefined && /user|system|batch/i.test(holds));
    const task = /\[(\d+)\]$/.exec(id)?.[1];
    return [state({
      id,
      job: id.replace(/\[\d*\]$/, ""),
      task: task === undefined ? undefined : Number(task),
      raw,
      status,
      exitCode: number < 256 ? number : undefined,
      signal: number >= 256 ? number - 256 : undefined,
      reason: /^(?:BLOCK MSG|NOTE|Message\S*):\s*(.*)$/m.exec(block)?.[1] ??
        (status === "held" ? holds : undefined),
      name: field("AName"),
    })];
  });
}

/** mjobctl takes a list with commas, and what has brackets, as the id of a task, for a regular expression. */
function expression(jobs: readonly string[]): string {
  return jobs.map((id) => id.includes("[") ? `^${id.replace(/[.[\]]/g, "\\$&")}$` : id).join(",");
}

/** Moab. */
export const moabDialect: SchedulerDialect = {
  name: "moab",
  script(job) {
    checkJob(job);
    if (job.signal) unsupported("Moab", "signal before the end", "let the program watch its own time");
    const lines = [...commonDirectives(job), ...nodesRequest(job, "Moab")];
    if (job.qos !== undefined) lines.push(`-l qos=${job.qos}`);
    if (job.array) {
      const { indices, limit } = job.array;
      const name = job.name ?? "job";
      lines.push(`-t ${name}.[${formatIndices(indices)}]${limit === undefined ? "" : `%${limit}`}`, "-V");
    }
    const number = '"${MOAB_JOBID:-$PBS_JOBID}"; pathos_job="${pathos_job%%[[]*}"';
    return assemble(job, "#PBS", lines, preamble(job, number, "$MOAB_JOBARRAYINDEX"));
  },
  submit(job) {
    return { argv: ["msub"], stdin: this.script(job) };
  },
  parseSubmit(output) {
    // the id stands alone on a line, after an empty one
    return submittedId("msub", output, /^([\w-]+(?:\.[\w-]+)*(?:\[\])?)\s*$/m).replace(/\[\]$/, "");
  },
  status: (jobs) => jobs.map((job) => ["checkjob", "-v", job]),
  history: () => [],
  parseStatus(output: CommandOutput) {
    if (output.code !== 0 && !/^job \S+/m.test(output.stdout)) {
      if (/(cannot|could not) locate job|invalid job/i.test(output.stderr + output.stdout)) return [];
      throw commandFailed("checkjob did not tell the state of the job", output);
    }
    return parseCheck(output.stdout);
  },
  cancel: (jobs) => ["mjobctl", "-c", expression(jobs)],
  hold: (jobs) => ["mjobctl", "-h", "user", expression(jobs)],
  release: (jobs) => ["mjobctl", "-u", "user", expression(jobs)],
  requeue: (jobs) => ["mjobctl", "-R", expression(jobs)],
  taskId: (job, task) => `${job}[${task}]`,
  jobNumber: (job) => job,
};
