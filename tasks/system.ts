/**
 * Programs of the operating system that tests run against: real ones. On Debian and its relatives, as root, those that
 * are missing are installed; elsewhere the tests that need them are listed as not run.
 *
 * @module
 */
import { missing } from "../tests/programs.ts";
import { run } from "./process.ts";

const MINUTE = 60_000;

/** The Debian packages of the programs that tests need, separated by blanks where there are several. */
const PACKAGES: Readonly<Record<string, string>> = {
  "sshd": "openssh-server",
  "ssh": "openssh-client",
  "ip": "iproute2",
  "ps": "procps",
  "python3": "python3",
  "chromium": "chromium",
  "sqlite3": "sqlite3",
  "h5dump": "hdf5-tools",
  "pg_ctlcluster": "postgresql",
  // a cluster's batch scheduler
  "munged": "munge",
  "slurmctld": "slurmctld",
  "slurmd": "slurmd",
  "sbatch": "slurm-client",
  "slurmdbd": "slurmdbd slurm-wlm-mysql-plugin",
  "mariadbd": "mariadb-server-core",
  "my_print_defaults": "mariadb-client-core", // mariadb-install-db asks it
  "libpmix.so": "libpmix-dev", // srun --mpi=pmix loads it by this name
  "sge_qmaster": "gridengine-master",
  "sge_execd": "gridengine-exec",
  "qacct": "gridengine-client",
  "unshare": "util-linux",
  "mpirun.openmpi": "openmpi-bin",
  "mpiexec.mpich": "mpich",
  // login shells
  "busybox": "busybox",
  "fish": "fish",
  "tcsh": "tcsh",
  "zsh": "zsh",
};

/** Installs what is missing of these programs, where that can be done; says so when it cannot. */
export async function ensurePrograms(programs: readonly string[] = Object.keys(PACKAGES)): Promise<void> {
  const wanted = missing(programs);
  if (wanted.length === 0) return;
  const packages = wanted.flatMap((program) => (PACKAGES[program] ?? program).split(" "));
  if (Deno.uid() !== 0 || missing(["apt-get"]).length > 0) {
    console.log(
      `not here: ${wanted.join(", ")}; tests that need them are not run (Debian: ${packages.join(" ")})`,
    );
    return;
  }
  console.log(`installing ${packages.join(" ")}`);
  // a package that starts a service is not to do so: the tests start their own
  const policy = "/usr/sbin/policy-rc.d";
  const ours = missing(["policy-rc.d"]).length > 0;
  if (ours) await Deno.writeTextFile(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    const env = { DEBIAN_FRONTEND: "noninteractive" };
    const options = { env, quiet: true, limit: 10 * MINUTE };
    const install = () => run("apt-get", ["install", "-y", "--no-install-recommends", ...packages], options);
    let done = await install();
    if (!done.ok) { // the list of packages may be old, or absent
      await run("apt-get", ["update"], options);
      done = await install();
    }
    if (!done.ok) console.log(`apt-get could not install ${packages.join(" ")}:\n${done.output}`);
  } finally {
    if (ours) await Deno.remove(policy);
  }
}
