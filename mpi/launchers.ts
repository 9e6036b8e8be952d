/**
 * The programs that start the ranks of a parallel program, as pure functions from what is wanted to the words and
 * environment of one command. Nothing runs here. Values of variables go through the environment wherever the
 * launcher passes it on, so that they are not on a command line that other users can read.
 *
 * The options are those of the manuals: mpirun(1) of Open MPI 4 and 5, MPICH's "Using the Hydra Process Manager",
 * Slurm's srun(1), HPE's "Run Applications Using the aprun Command", IBM's "jsrun command", flux-run(1). Of all these,
 * srun and the two mpirun have been run. aprun, jsrun and flux run pass the environment on by themselves.
 */

/** What to start and how. Only `command` must be given; nothing else is invented. */
export interface LaunchRequest {
  /** Program and arguments of every rank. */
  command: readonly string[];
  /** Ranks in all. Default: nodes x tasksPerNode where both are given; else what the launcher makes of it. */
  tasks?: number;
  /** Nodes to spread them over. */
  nodes?: number;
  /** Ranks on each node. */
  tasksPerNode?: number;
  /** Cores for each rank. */
  cpusPerTask?: number;
  /** Variables that every rank gets. */
  env?: Readonly<Record<string, string>>;
  /** Folder the ranks start in. Default: that of the launcher. */
  workdir?: string;
}

/** A command line and the variables to add to its environment. */
export interface LaunchCommand {
  /** Program and arguments. */
  argv: string[];
  /** Variables to set for it. */
  env: Record<string, string>;
  /** Folder to run it in, where the launcher has no option for that. */
  cwd?: string;
}

/** What belongs to one launcher and not to the others. */
export interface LauncherOptions {
  /** The program, where it has another name or path. Default: the usual one. */
  program?: string;
  /** Open MPI: more ranks than cores (`--oversubscribe`). MPICH never refuses that. Default: false. */
  oversubscribe?: boolean;
  /** Open MPI refuses root without this (`--allow-run-as-root`). Default: false. */
  allowRoot?: boolean;
  /** Slurm: the process manager interface, such as `"pmix"` (`--mpi`). Default: the cluster's. */
  mpi?: string;
  /** Words placed before the command, such as `["--bind-to", "none"]`. */
  extra?: readonly string[];
}

/** A launcher: see {@linkcode launchers}. */
export type Launcher = (request: LaunchRequest, options?: LauncherOptions) => LaunchCommand;

/** The names of the launchers. */
export type LauncherName =
  | "openmpi"
  | "mpich"
  | "intelmpi"
  | "srun"
  | "aprun"
  | "jsrun"
  | "flux"
  | "serial";

/** A word and its value if there is a value. */
function option(flag: string, value: number | string | undefined): string[] {
  return value === undefined ? [] : [flag, String(value)];
}

function build(
  defaultProgram: string,
  request: LaunchRequest,
  options: LauncherOptions,
  words: readonly string[],
  more: Partial<LaunchCommand> = {},
): LaunchCommand {
  const { program = defaultProgram, extra = [] } = options;
  return {
    argv: [...program.split(" "), ...words, ...extra, ...request.command],
    env: { ...request.env },
    ...more,
  };
}

/** Checks a request, and gives it with the number of ranks that follows from it. */
function checked(request: LaunchRequest): LaunchRequest {
  if (request.command.length === 0) throw new RangeError("launch: the command is empty");
  for (const key of ["tasks", "nodes", "tasksPerNode", "cpusPerTask"] as const) {
    const value = request[key];
    if (value !== undefined && !(Number.isSafeInteger(value) && value > 0)) {
      throw new RangeError(`launch: ${key} is ${value}; it must be a positive whole number`);
    }
  }
  const { nodes, tasksPerNode, tasks = nodes && tasksPerNode && nodes * tasksPerNode } = request;
  if (tasks && nodes && tasksPerNode && tasks > nodes * tasksPerNode) {
    throw new RangeError(
      `launch: ${tasks} tasks do not fit on ${nodes} nodes with ${tasksPerNode} each; give more nodes or tasksPerNode`,
    );
  }
  return { ...request, tasks: tasks ?? nodes };
}

const openmpi: Launcher = (given, options = {}) => {
  const request = checked(given);
  const { tasks, nodes, tasksPerNode, cpusPerTask, workdir } = request;
  const perNode = tasksPerNode ?? (tasks && nodes && Math.ceil(tasks / nodes));
  const places = perNode ? `ppr:${perNode}:node` : "slot";
  return build("mpirun", request, options, [
    ...option("-n", tasks),
    ...cpusPerTask === undefined
      ? perNode ? ["--map-by", places] : []
      : ["--map-by", `${places}:PE=${cpusPerTask}`],
    ...options.oversubscribe ? ["--oversubscribe"] : [],
    ...options.allowRoot ? ["--allow-run-as-root"] : [],
    ...option("--wdir", workdir),
    ...Object.keys(request.env ?? {}).flatMap((name) => ["-x", name]),
  ]);
};

/** Hydra, MPICH's and Intel's: the whole environment reaches the ranks by itself. */
const hydra = (program: string): Launcher => (given, options = {}) => {
  const request = checked(given);
  const { tasks, nodes, tasksPerNode, cpusPerTask, workdir } = request;
  const perNode = tasksPerNode ?? (tasks && nodes && Math.ceil(tasks / nodes));
  const intel = program === "mpiexec.hydra";
  return build(program, request, options, [
    ...option("-n", tasks),
    ...option("-ppn", perNode),
    ...cpusPerTask === undefined || intel ? [] : ["-bind-to", `core:${cpusPerTask}`],
    ...option("-wdir", workdir),
  ], intel && cpusPerTask ? { env: { ...request.env, I_MPI_PIN_DOMAIN: String(cpusPerTask) } } : {});
};

const srun: Launcher = (given, options = {}) => {
  const request = checked(given);
  return build("srun", request, options, [
    ...option("--nodes", request.nodes),
    ...option("--ntasks", request.tasks),
    ...option("--ntasks-per-node", request.tasksPerNode),
    ...option("--cpus-per-task", request.cpusPerTask),
    ...option("--chdir", request.workdir),
    ...options.mpi === undefined ? [] : [`--mpi=${options.mpi}`],
  ]);
};

const aprun: Launcher = (given, options = {}) => {
  const request = checked(given);
  const { tasks, nodes, workdir: cwd } = request;
  const perNode = request.tasksPerNode ?? (tasks && nodes && Math.ceil(tasks / nodes));
  return build("aprun", request, options, [
    ...option("-n", tasks),
    ...option("-N", perNode),
    ...option("-d", request.cpusPerTask),
  ], cwd === undefined ? {} : { cwd });
};

/** Each rank is a resource set of its own, with its cores. */
const jsrun: Launcher = (given, options = {}) => {
  const request = checked(given);
  const { tasks, nodes, cpusPerTask } = request;
  const perNode = request.tasksPerNode ?? (tasks && nodes && Math.ceil(tasks / nodes));
  return build("jsrun", request, options, [
    ...option("--nrs", tasks),
    "--tasks_per_rs",
    "1",
    ...option("--cpu_per_rs", cpusPerTask),
    ...option("--rs_per_host", perNode),
    ...option("--chdir", request.workdir),
  ]);
};

const flux: Launcher = (given, options = {}) => {
  const request = checked(given);
  return build("flux run", request, options, [
    ...option("-N", request.nodes),
    ...option("-n", request.tasks),
    ...option("-c", request.cpusPerTask),
    ...request.workdir === undefined ? [] : [`--cwd=${request.workdir}`],
  ]);
};

const serial: Launcher = (given) => {
  const { command, env, workdir: cwd, tasks } = checked(given);
  if (tasks !== undefined && tasks > 1) {
    throw new RangeError(`launch: serial starts one process, not ${tasks}; take mpirun or srun`);
  }
  return { argv: [...command], env: { ...env }, ...cwd === undefined ? {} : { cwd } };
};

/**
 * The launchers by name: Open MPI's mpirun, MPICH's and Intel's mpiexec, Slurm's srun, ALPS' aprun, IBM's jsrun,
 * `flux run`, and `serial`, which is the command alone.
 *
 * @throws {RangeError} If a count is not a positive whole number, or the ranks do not fit on the nodes.
 *
 * @example
 * ```ts
 * import { launchers } from "@pathos/pathos/mpi";
 * import { assertEquals } from "@std/assert";
 *
 * const { argv } = launchers.srun({ command: ["./solve", "in.dat"], nodes: 2, tasksPerNode: 4 });
 * assertEquals(argv.join(" "), "srun --nodes 2 --ntasks 8 --ntasks-per-node 4 ./solve in.dat");
 * ```
 */
export const launchers: Readonly<Record<LauncherName, Launcher>> = {
  openmpi,
  mpich: hydra("mpiexec"),
  intelmpi: hydra("mpiexec.hydra"),
  srun,
  aprun,
  jsrun,
  flux,
  serial,
};

/**
 * Tells whose launcher a `mpirun` or `mpiexec` is by what it prints for `--version`; undefined for one not known.
 *
 * @example
 * ```ts
 * import { mpiFlavour } from "@pathos/pathos/mpi";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(mpiFlavour("mpirun (Open MPI) 4.1.4\n"), "openmpi");
 * assertEquals(mpiFlavour("HYDRA build details:\n    Version:  4.0.2\n"), "mpich");
 * ```
 */
export function mpiFlavour(version: string): "openmpi" | "mpich" | "intelmpi" | undefined {
  if (/Open ?MPI|OpenRTE|PRRTE/i.test(version)) return "openmpi";
  if (/Intel\(R\) MPI/i.test(version)) return "intelmpi";
  return /HYDRA build details|MPICH/i.test(version) ? "mpich" : undefined;
}
