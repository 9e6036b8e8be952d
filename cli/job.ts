/**
 * `pathos job`: batch jobs, on this machine's scheduler or on that of a cluster that ssh reaches. What it does is loaded when it is called.
 */
import { type Flag, isGiven, type Parsed, UsageError, type Verb } from "./flags.ts";
import { DESCRIPTION_FLAGS } from "./job_flags.ts";
import { didYouMean } from "./nearest.ts";
import { HOST_FLAGS, HOST_FORMS } from "./remote.ts";

/** What can be done, what its arguments are, and which flags it takes besides those that say where. */
const ACTIONS: Record<string, { takes: "command" | "ids" | "id" | "paths"; flags: readonly string[] }> = {
  submit: {
    takes: "command",
    flags: [...Object.keys(DESCRIPTION_FLAGS), "dry-run", "wait", "timeout", "json", "parallel-environment"],
  },
  status: { takes: "ids", flags: ["json"] },
  wait: { takes: "ids", flags: ["json", "timeout"] },
  logs: { takes: "id", flags: ["errors"] },
  cancel: { takes: "ids", flags: [] },
  hold: { takes: "ids", flags: [] },
  release: { takes: "ids", flags: [] },
  requeue: { takes: "ids", flags: [] },
  fetch: { takes: "paths", flags: ["wait", "timeout"] },
};

const PLACE_FLAGS: Record<string, Flag> = {
  scheduler: {
    value: "NAME",
    help: "slurm, openpbs, torque, moab, lsf or sge (default: the one whose programs are there)",
  },
  host: { value: "HOST", help: "The scheduler's login node, reached by ssh (default: this machine)" },
  ...HOST_FLAGS,
};

const FLAGS: Record<string, Flag> = {
  ...PLACE_FLAGS,
  ...DESCRIPTION_FLAGS,
  "parallel-environment": {
    value: "NAME",
    help: "Grid Engine: what its slots come from, if there are several",
  },
  "dry-run": { help: "submit: print the script, and submit nothing" },
  wait: { help: "submit: wait for its end, as pathos job wait does" },
  timeout: {
    value: "TIME",
    help: "wait, submit --wait: wait no longer than that: 30s, 5m (default: no limit)",
  },
  errors: { help: "logs: what went to standard error" },
  json: { help: "status, wait: print JSON, a line for each job or task" },
};

/** The verb `job`. */
export const jobVerb: Verb = {
  name: "job",
  summary: "Submit batch jobs here or on a cluster, follow them, see their output",
  usage: "job submit [flags] -- COMMAND... | job status|wait|logs|cancel|hold|release|requeue|fetch ID...",
  about: `
Commands for the batch scheduler of this machine, or of a host that ssh reaches:
  submit    gives a command to the scheduler and prints the id of the job
  status    prints where jobs stand; of arrays, each task
  wait      waits until they have ended, and prints how
  logs      prints the output of a job so far
  cancel, hold, release, requeue
            what they say; a task of an array goes by the id that status prints
  fetch     prints the files named, which lie beside the scheduler; of the folder of a batch map, the results
A job that was submitted by this command is known by its id alone: the others find its scheduler, its host and its
output by that. COMMAND reaches the program as it is; one word alone is a line for the shell, with all it may hold: quote it.
Nothing is asked of the scheduler but what the flags say. What it has no way to express is refused.
${HOST_FORMS}`,
  flags: FLAGS,
  takesRest: true,
  more: `
Ctrl-C ends waiting, not the jobs.

Exit status: 0 all is well (wait: all jobs ended well), 1 a job did not end well or is not known, or the scheduler refused or did
not answer, 2 a mistake in the command line, 124 waiting took too long, 130 Ctrl-C.`,
  examples: [
    [
      "On the cluster, from here",
      "pathos job submit --host me@cluster --tasks 64 --walltime 2h -- srun ./solve in.dat",
    ],
    ["How is it? What does it say?", "pathos job status 4711; pathos job logs 4711"],
    ["A hundred of them, four at once", "pathos job submit --array 0-99%4 -- './solve case$PATHOS_TASK.dat'"],
    ["After that one, and wait for it", "pathos job submit --after ok:4711 --wait -- ./collect"],
    ["What would be submitted", "pathos job submit --dry-run --scheduler lsf --memory 4G -- ./solve in.dat"],
  ],
  run,
};

async function run(args: Parsed): Promise<number> {
  const [name, ...words] = args.positional;
  const action = Object.hasOwn(ACTIONS, name ?? "") ? ACTIONS[name] : undefined;
  if (!action) {
    const all = Object.keys(ACTIONS);
    const what = name === undefined ? "job needs to know what to do" : `job cannot ${name}`;
    throw new UsageError(`${what}${didYouMean(name ?? "", all)}; it can ${all.join(", ")}`);
  }
  for (const flag of Object.keys(FLAGS)) {
    if (flag in PLACE_FLAGS || action.flags.includes(flag)) continue;
    if (isGiven(args, flag)) throw new UsageError(`job ${name} takes no --${flag}`);
  }
  if (args.text("timeout") !== undefined && name !== "wait" && !args.on("wait")) {
    throw new UsageError("--timeout is for waiting: add --wait");
  }
  checkWords(name, action.takes, words, args.rest);
  const { runJob } = await import("./job_run.ts");
  return await runJob(name, words, args);
}

function checkWords(
  name: string,
  takes: "command" | "ids" | "id" | "paths",
  words: readonly string[],
  rest: readonly string[] | undefined,
): void {
  if (takes === "command") {
    if (words.length > 0) {
      throw new UsageError(`${words[0]} stands before --: pathos job submit [flags] -- COMMAND...`);
    }
    if (!rest?.length) {
      throw new UsageError("which command? It goes behind --: pathos job submit [flags] -- COMMAND...");
    }
    return;
  }
  if (rest) throw new UsageError(`job ${name} runs no command: leave out --`);
  const noun = takes === "paths" ? "file" : "job";
  if (words.length === 0) {
    throw new UsageError(`which ${noun}? pathos job ${name} ${noun === "job" ? "ID" : "FILE"}`);
  }
  if (takes === "id" && words.length > 1) {
    throw new UsageError(`job ${name} takes one job, and got ${words.length}`);
  }
  const wrong = takes === "paths" ? undefined : words.find((id) => !/^[A-Za-z0-9_.[\]-]+$/.test(id));
  if (wrong !== undefined) throw new UsageError(`${JSON.stringify(wrong)} is no job id`);
}
