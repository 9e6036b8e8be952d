/** Jobs and ranks on several nodes that share nothing but a folder: a real Slurm whose nodes have their own /tmp. */
import { type JobDescription, launchers, Scheduler, slurmDialect } from "@pathos/pathos/mpi";
import { quote } from "@pathos/pathos/ssh";
import { assert, assertEquals } from "@std/assert";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EVERYTHING } from "./fixtures/mpi_everything.ts";
import { missing, scriptCommand, test } from "./harness.ts";
import { AS_ROOT, type Mpi, MPIS, PRELUDE } from "./mpi.ts";
import { PMIX_PROGRAMS, SLURM_PROGRAMS, startSlurm, whyNoSeparateTmp } from "./slurm.ts";

const PROGRAMS = [...SLURM_PROGRAMS, "unshare"];
const notHere = missing(PROGRAMS).length === 0 ? whyNoSeparateTmp() : "";
const cluster =
  (notHere === undefined ? await startSlurm({ nodes: 3, cpus: 2, separateTmp: true }) : undefined)!;

function testNodes(name: string, body: () => Promise<void>, programs: readonly string[] = []): void {
  test.needs([...PROGRAMS, ...programs], `three nodes: ${name}`, body, {
    timeout: 120_000,
    ...notHere ? { notHere } : {},
  });
}

let folders = 0;
function fresh(): { slurm: Scheduler; folder: string } {
  const folder = join(cluster.folder, `w${++folders}`);
  mkdirSync(folder);
  return {
    slurm: new Scheduler(slurmDialect, { env: cluster.env, cwd: folder, polling: [50, 500] }),
    folder,
  };
}

testNodes(
  "a job that leaves nothing but its output in the shared folder is followed to its end",
  async () => {
    const { slurm, folder } = fresh();
    const job: JobDescription = {
      command: `srun sh -c 'hostname; touch /tmp/mine-$SLURMD_NODENAME; ls /tmp | grep mine'`,
      nodes: 3,
      tasksPerNode: 1,
      stdout: join(folder, "out.{job}"),
    };
    const id = await slurm.submit(job);
    assertEquals((await slurm.wait(id, { timeout: 60_000 })).map(({ status }) => status), ["completed"]);
    const [{ text }] = await slurm.logs(id, job);
    // each sees what it made itself, nobody sees what another made
    assertEquals(
      text!.trim().split("\n").sort(),
      ["mine-n1", "mine-n2", "mine-n3", "n1", "n2", "n3"],
    );
    assert(!existsSync("/tmp/mine-n1"));
  },
);

/** Rank 0 says the hosts of all ranks, and that all of MPI works between them. */
const SCRIPT = `${PRELUDE}
  const hosts = comm.gather(comm.host);
  if (rank === 0) console.log(hosts.join(" "));
  ${EVERYTHING}
`;

async function runOnNodes(mpi: Mpi, words: (command: string[]) => string[]): Promise<void> {
  const { slurm, folder } = fresh();
  const script = join(folder, "everything.mjs");
  writeFileSync(script, SCRIPT);
  const job: JobDescription = {
    command: quote(words(scriptCommand(script))),
    nodes: 3,
    tasksPerNode: 2,
    // the nodes are one machine, which may have no network but this
    environment: {
      ...AS_ROOT,
      HOSTS: "3",
      OMPI_MCA_btl_tcp_if_include: "lo",
      OMPI_MCA_oob_tcp_if_include: "lo",
    },
    stdout: "out",
    stderr: "err",
  };
  const id = await slurm.submit(job);
  const [{ status }] = await slurm.wait(id, { timeout: 100_000 });
  const [{ text }] = await slurm.logs(id, job), [errors] = await slurm.logs(id, job, "stderr");
  assertEquals(status, "completed", `${mpi.name}: ${text}\n${errors.text}`);
  assertEquals(text, "n1 n1 n2 n2 n3 n3\nall well\n", mpi.name);
}

for (const mpi of MPIS) {
  const family = mpi.name === "MPICH" ? "mpich" : "openmpi";
  const interfaceName = mpi.name === "MPICH" ? "pmi2" : "pmix";
  const needs = interfaceName === "pmix" ? PMIX_PROGRAMS : [];
  testNodes(`srun --mpi=${interfaceName} starts ranks of ${mpi.name}`, () =>
    runOnNodes(
      mpi,
      (command) => launchers.srun({ command, nodes: 3, tasksPerNode: 2 }, { mpi: interfaceName }).argv,
    ), [mpi.program, ...needs]);
  testNodes(`the launcher of ${mpi.name} starts its ranks in an allocation`, () =>
    runOnNodes(
      mpi,
      (command) => launchers[family]({ command, nodes: 3, tasksPerNode: 2 }, { program: mpi.program }).argv,
    ), [mpi.program]);
}
