// Others who run work over ssh: dask's SSHCluster as a contender (dask_cluster.py), GNU parallel as a command, and pathos'
// own ppft as a figure, because it cannot be installed from Debian.
import { must, run } from "../../tasks/process.ts";
import type { Sshd } from "../../tests/sshd.ts";
import { ROOT } from "../../tasks/process.ts";
import type { Row } from "./rig.ts";

/** Trivial items a second through a server of ppft, as measured by the project before this benchmark was written. */
export const PPFT_RATE = 44;

/** dask's SSHCluster over the sshd: a scheduler and one worker. */
export function dask(sshd: Sshd): Row {
  const { port, user, identity, knownHosts } = sshd;
  return {
    name: "dask SSHCluster",
    command: [
      "/usr/bin/python3",
      `${ROOT}/bench/remote/dask_cluster.py`,
      JSON.stringify({ port, user, identity, knownHosts }),
    ],
  };
}

/** Trivial jobs a second of GNU parallel, 8 at a time. */
export async function parallelRate(sshd: Sshd, jobs: number): Promise<number> {
  const login = `8/ssh -F ${sshd.config} host1`;
  const inputs = Array.from({ length: jobs }, (_, i) => String(i));
  const begin = performance.now();
  const output = await must("parallel", [
    "--will-cite",
    "--sshlogin",
    login,
    "-j8",
    "echo",
    "{}",
    ":::",
    ...inputs,
  ], { env: { HOME: sshd.home } });
  const ms = performance.now() - begin;
  if (output.trim().split("\n").length !== jobs) throw new Error("parallel lost jobs");
  return jobs / ms * 1000;
}

/** The versions of the peers that are there, in words. */
export async function peerVersions(): Promise<string> {
  const said = await Promise.all([
    run("/usr/bin/python3", [
      "-W",
      "ignore",
      "-c",
      "import distributed, asyncssh; print('dask.distributed', distributed.__version__, 'over asyncssh', asyncssh.__version__)",
    ], { quiet: true }),
    run("parallel", ["--version"], { quiet: true }).catch(() => ({ ok: false, stdout: "" })),
  ]);
  const names = [
    "dask: not installed (Debian: python3-distributed, python3-asyncssh)",
    "GNU parallel: not installed",
  ];
  return said.map(({ ok, stdout }, i) => ok ? stdout.trim().split("\n")[0] : names[i]).join("; ");
}
