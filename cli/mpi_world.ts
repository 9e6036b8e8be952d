/**
 * `pathos mpi world`: a line for each rank. A rank of an MPI job says its own; else a launcher starts this program again as so many ranks.
 */
import { builtin, cpuCount, programCommand, stderr, stdout } from "../runtime/mod.ts";
import { NoMpiError } from "../mpi/errors.ts";
import { type Launcher, type LauncherOptions, launchers } from "../mpi/launchers.ts";
import { parseNodes } from "../mpi/nodes.ts";
import { rankFromEnv } from "../mpi/rank_env.ts";
import { whichLauncher } from "../mpi/schedulers.ts";
import { world } from "../mpi/world.ts";
import { execute } from "../ssh/execute.ts";
import { type Parsed, UsageError } from "./flags.ts";
import { interruptible } from "./interruption.ts";
import { launcherNamed } from "./rank_pool.ts";
import { usage } from "./remote.ts";
import { table } from "./table.ts";

/** Prints the ranks that there are, or those that the flags ask for. */
export async function mpiWorld(args: Parsed): Promise<number> {
  return rankFromEnv() === undefined ? await startWorld(args) : await tellWorld();
}

async function tellWorld(): Promise<number> {
  try {
    const comm = world();
    const { version, name } = comm.library;
    const all = comm.gather([comm.rank, comm.size, comm.host, name, version.split(",")[0]]);
    if (all) await stdout.write(table([["RANK", "SIZE", "HOST", "LIBRARY", "VERSION"], ...all]));
    comm.finalize();
    return 0;
  } catch (error) {
    if (!(error instanceof NoMpiError)) throw error;
    stderr.write(`pathos mpi world: ${error.message}\n`);
    return 1;
  }
}

async function startWorld(args: Parsed): Promise<number> {
  const nodes = args.text("nodes");
  const { nodes: count, tasksPerNode = 1 } = nodes === undefined
    ? { nodes: cpuCount() }
    : usage(() => parseNodes(nodes));
  const { launch, options } = await launcher(args);
  const request = {
    command: [...programCommand(), "mpi", "world"],
    workdir: args.text("workdir"),
    tasks: count * tasksPerNode,
  };
  const { argv, env, cwd } = usage(() => launch(request, options));
  const interruption = interruptible();
  try {
    const { code } = await execute(argv, {
      env,
      cwd,
      signal: interruption.signal,
      encoding: "bytes",
      onStdout: (bytes) => stdout.write(bytes),
      onStderr: (bytes) => stderr.write(bytes),
    });
    return code === 0 ? 0 : 1;
  } catch (error) {
    if (interruption.status === undefined) throw error;
    return interruption.status;
  } finally {
    interruption.dispose();
  }
}

/** Names of their programs where both are installed; one of them has the plain name too. */
const PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  openmpi: ["mpirun.openmpi"],
  mpich: ["mpiexec.mpich", "mpiexec.hydra"],
};

/** The launcher that was named, or the one that is there. */
async function launcher(args: Parsed): Promise<{ launch: Launcher; options: LauncherOptions }> {
  const named = launcherNamed(args);
  const name = named ?? await whichLauncher();
  if (name === "serial" && named === undefined) {
    throw new UsageError(
      "there is no mpirun, mpiexec or srun here to start ranks with: install Open MPI or MPICH, or load their module",
    );
  }
  const { stdout: found } = await execute(
    [...(PROGRAMS[name] ?? []).map((program) => `command -v ${program}`), ":"].join(" || "),
    { timeout: 30_000 },
  );
  const { getuid } = builtin<{ getuid?(): number }>("node:process");
  const program = found.trim() === "" ? {} : { program: found.trim() };
  return {
    launch: launchers[name],
    options: { oversubscribe: true, allowRoot: getuid?.() === 0, ...program },
  };
}
