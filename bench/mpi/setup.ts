// Puts the contenders where they can run: our own npm package for Node in bench/.peers/mpi, mpi4py and NumPy as Debian has
// them, and the control in C, where there is a compiler.
import { buildPackage } from "../../tasks/npm.ts";
import { must, ROOT, run } from "../../tasks/process.ts";

/** Where our package for Node is. */
export const NODE = `${ROOT}/bench/.peers/mpi`;
/** The control in C. */
export const CONTROL = `${NODE}/control`;
export const PYTHON = "/usr/bin/python3";

/** What a contender needs; without an entry here it needs nothing. */
export type Need = "mpicc" | "mpi4py" | "node";

/** An MPI whose launcher and library are used. */
export interface Mpi {
  name: string;
  launcher: string;
  compiler: string;
  /** A Debian package that has the launcher. */
  package: string;
  /** Why mpi4py cannot take part. */
  withoutPython?: string;
}

export const OPEN_MPI: Mpi = {
  name: "Open MPI",
  launcher: "mpirun.openmpi",
  compiler: "mpicc.openmpi",
  package: "openmpi-bin",
};
export const MPICH: Mpi = {
  name: "MPICH",
  launcher: "mpiexec.mpich",
  compiler: "mpicc.mpich",
  package: "mpich",
  withoutPython: "Debian's mpi4py is built for Open MPI",
};

/** Runs as root and with more ranks than cores, should it have to. */
export const LAUNCH_ENV: Record<string, string> = {
  OMPI_ALLOW_RUN_AS_ROOT: "1",
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1",
  OMPI_MCA_rmaps_base_oversubscribe: "1",
};

/** Installs what is needed and says so on standard error. Gives why something could not be had. */
export async function setUp(mpi: Mpi, needs: ReadonlySet<Need>): Promise<Partial<Record<Need, string>>> {
  await Deno.mkdir(NODE, { recursive: true });
  if (!await isThere(mpi.launcher)) await install(mpi.package);
  const failures: Partial<Record<Need, string>> = {};
  const attempt = async (need: Need, work: () => Promise<void>) => {
    if (!needs.has(need)) return;
    try {
      await work();
    } catch (error) {
      failures[need] = error instanceof Error ? error.message : String(error);
      console.error(`set-up of ${need} failed, its rows are left out: ${failures[need]}`);
    }
  };
  await attempt("mpicc", async () => {
    await must(mpi.compiler, ["-O2", `${ROOT}/bench/mpi/control.c`, "-o", CONTROL]);
  });
  await attempt("mpi4py", async () => {
    if (mpi.withoutPython) throw new Error(mpi.withoutPython);
    const imports = ["-c", "import mpi4py, numpy"];
    if ((await run(PYTHON, imports, { quiet: true })).ok) return;
    await install("python3-mpi4py", "python3-numpy");
    await must(PYTHON, imports);
  });
  await attempt("node", async () => {
    say("building our npm package");
    // Without a package.json beside it the contender would belong to the checkout.
    await Deno.writeTextFile(`${NODE}/package.json`, '{ "private": true, "type": "module" }\n');
    for (const file of ["ours.mjs", "ours_pool.mjs"]) {
      await Deno.copyFile(`${ROOT}/bench/mpi/${file}`, `${NODE}/${file}`);
    }
    const tarball = await buildPackage(`${NODE}/package`);
    await must("npm", ["install", "--no-save", "--no-audit", "--no-fund", "--no-package-lock", tarball], {
      cwd: NODE,
    });
  });
  return failures;
}

function say(what: string): void {
  console.error(`set-up: ${what}`);
}

async function isThere(program: string): Promise<boolean> {
  try {
    return (await run(program, ["--version"], { quiet: true })).ok;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function install(...packages: string[]): Promise<void> {
  say(`installing ${packages.join(" ")} with apt`);
  await must("apt-get", ["update", "-qq"]);
  await must("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...packages]);
}

/** Versions of what takes part. */
export async function versions(mpi: Mpi): Promise<string> {
  const { output } = await run(mpi.launcher, ["--version"], { quiet: true });
  const [number] = /\d+\.\d+(\.\d+)?/.exec(output) ?? ["of an unknown version"];
  const found = [`${mpi.name} ${number}`, `Deno ${Deno.version.deno}`];
  const node = await run("node", ["--version"], { quiet: true });
  if (node.ok) found.push(`Node ${node.stdout.trim().slice(1)}`);
  const code = "import mpi4py, numpy; print(f'mpi4py {mpi4py.__version__}, NumPy {numpy.__version__}')";
  const python = await run(PYTHON, ["-c", code], { quiet: true });
  if (python.ok && !mpi.withoutPython) found.push(python.stdout.trim());
  return found.join("; ");
}
