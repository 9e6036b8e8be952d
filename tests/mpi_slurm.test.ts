/** Batch jobs on a real Slurm of our own: two nodes on this machine. */
import {
  type JobDescription,
  type JobState,
  launchers,
  parseNodes,
  Scheduler,
  SchedulerError,
  type SchedulerOptions,
  slurmDialect,
} from "@pathos/pathos/mpi";
import { disconnect, Host, quote } from "@pathos/pathos/ssh";
import { assert, assertEquals, assertLess, assertMatch, assertRejects } from "@std/assert";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { missing, test, until } from "./harness.ts";
import { SLURM_PROGRAMS, startSlurm } from "./slurm.ts";
import { SSHD_PROGRAMS, startSshd } from "./sshd.ts";

const here = missing(SLURM_PROGRAMS).length === 0;
const cluster = (here ? await startSlurm({ nodes: 2, cpus: 4 }) : undefined)!;

let folders = 0;
/** A scheduler that submits from an empty folder, which is given too. */
function fresh(options: SchedulerOptions = {}): { slurm: Scheduler; folder: string } {
  const folder = join(cluster.folder, `w${++folders}`);
  mkdirSync(folder);
  return {
    slurm: new Scheduler(slurmDialect, { env: cluster.env, cwd: folder, polling: [50, 500], ...options }),
    folder,
  };
}

function scontrol(...words: string[]): string {
  return execFileSync("scontrol", words, { encoding: "utf8", env: { ...process.env, ...cluster.env } });
}

const running = (slurm: Scheduler, id: string) =>
  until(async () => (await slurm.status(id))[0].status === "running", 30_000, "it runs");
const ended = ({ status, exitCode, signal }: JobState) => ({ status, exitCode, signal });

/** Slurm looks for jobs that are over their time twice a minute: these have that time while others are tested. */
const late = here ? await submitLate() : undefined!;

async function submitLate(): Promise<{ slurm: Scheduler; over: string; warned: string }> {
  const { slurm } = fresh();
  const over = await slurm.submit({ command: "sleep 300", walltime: 1_000 });
  const warned = await slurm.submit({
    command: "trap 'exit 7' USR1; while :; do sleep 0.1; done",
    walltime: 60_000,
    signal: { name: "USR1", before: 55_000 },
  });
  await running(slurm, over);
  scontrol("update", `jobid=${over}`, "EndTime=now+1"); // its limits are whole minutes
  return { slurm, over, warned };
}

test.needs(
  SLURM_PROGRAMS,
  "slurm: a job ends well, and its output, variables and folder are as described",
  async () => {
    const { slurm, folder } = fresh();
    mkdirSync(join(folder, "a folder"));
    const value = `it's "quoted" $HOME, 100%\nand a second line`;
    const job: JobDescription = {
      name: "full-1.0",
      command:
        `printf %s "$VALUE" && pwd >&2 && echo "$SLURM_JOB_NUM_NODES $SLURM_NTASKS $SLURM_CPUS_PER_TASK" >&2`,
      nodes: 2,
      tasks: 2,
      tasksPerNode: 1,
      cpus: 1,
      memory: 20 * 1024 ** 2,
      walltime: 90_000,
      queue: "main",
      environment: { VALUE: value },
      workdir: join(folder, "a folder"),
      stdout: "100% of {job}.txt",
      stderr: "errors {job}",
      requeue: false,
      options: ["--comment=hello"],
    };
    const id = await slurm.submit(job);
    const [state] = await slurm.wait(id, { timeout: 20_000 });
    assertEquals({ ...state, nodes: undefined }, {
      id,
      job: id,
      status: "completed",
      raw: "COMPLETED",
      exitCode: 0,
      name: "full-1.0",
      nodes: undefined,
    });
    assertEquals(state.nodes, "n[1-2]");
    assertEquals(await slurm.logs(id, job), [{
      path: join(folder, "a folder", `100% of ${id}.txt`),
      text: value,
    }]);
    assertEquals((await slurm.logs(id, job, "stderr"))[0].text, `${join(folder, "a folder")}\n2 2 1\n`);
    const told = scontrol("show", "job", id);
    for (
      const part of ["TimeLimit=00:02:00", "MinMemoryNode=20M", "Requeue=0", "Comment=hello", "CPUs/Task=1"]
    ) {
      assert(told.includes(part), `${part} in ${told}`);
    }
  },
);

test.needs(SLURM_PROGRAMS, "slurm: what is not given is not asked for", async () => {
  const { slurm } = fresh();
  assertEquals(slurm.dryRun({ command: "true" }), {
    argv: ["sbatch", "--parsable"],
    stdin: "#!/bin/sh\ntrue\n",
  });
  const id = await slurm.submit({ command: "true" });
  assertMatch(scontrol("show", "job", id), /TimeLimit=01:00:00/); // the partition's own
  await slurm.wait(id);
});

test.needs(SLURM_PROGRAMS, "slurm: exit codes and signals come back", async () => {
  const { slurm } = fresh();
  const ids = await Promise.all([
    slurm.submit({ command: ["sh", "-c", "exit 42"] }),
    slurm.submit({ command: "kill -9 $$" }),
    slurm.submit({ command: ["/no/such/program"] }),
  ]);
  const states = await slurm.wait(ids, { timeout: 20_000 });
  assertEquals(states.map(ended), [
    { status: "failed", exitCode: 42, signal: undefined },
    { status: "failed", exitCode: undefined, signal: 9 },
    { status: "failed", exitCode: 127, signal: undefined },
  ]);
});

test.needs(SLURM_PROGRAMS, "slurm: an array keeps to its limit and tells of each task", async () => {
  const { slurm, folder } = fresh();
  const job: JobDescription = {
    command:
      `mkdir "busy$PATHOS_TASK"; ls -d busy* | wc -l; sleep 0.2; rmdir "busy$PATHOS_TASK"; exit "$PATHOS_TASK"`,
    array: { indices: [0, 1, 2, 7], limit: 1 },
    stdout: "{job}-{task}.log",
  };
  const id = await slurm.submit(job);
  const waiting = await slurm.status(id);
  assertEquals(waiting.map(({ task }) => task), [0, 1, 2, 7]);
  const seen: string[] = [];
  const states = await slurm.wait(id, {
    timeout: 40_000,
    onChange: ({ id, status }) => seen.push(`${id} ${status}`),
  });
  assertEquals(
    states.map(({ id, job, task }) => [id, job, task]),
    [0, 1, 2, 7].map((t) => [`${id}_${t}`, id, t]),
  );
  assertEquals(
    states.map(ended),
    [0, 1, 2, 7].map((exitCode) => ({
      status: exitCode === 0 ? "completed" as const : "failed" as const,
      exitCode,
      signal: undefined,
    })),
  );
  assertEquals((await slurm.logs(id, job)).map(({ task, text }) => [task, text]), [
    [0, "1\n"],
    [1, "1\n"],
    [2, "1\n"],
    [7, "1\n"],
  ]);
  assert(seen.includes(`${id}_7 failed`), seen.join());
  assertEquals(readdirSync(folder).sort(), [0, 1, 2, 7].map((t) => `${id}-${t}.log`));
});

test.needs(
  SLURM_PROGRAMS,
  "slurm: dependencies hold jobs back, and one that cannot be met ends the job",
  async () => {
    const { slurm, folder } = fresh();
    const first = await slurm.submit({ command: "sleep 0.5; touch done" });
    const bad = await slurm.submit({ command: "exit 1" });
    const ids = [
      await slurm.submit({ command: "test -e done", dependencies: [{ after: "ok", jobs: [first] }] }),
      await slurm.submit({
        command: "true",
        dependencies: [{ after: "notok", jobs: [bad] }, { after: "any", jobs: [first] }],
      }),
      await slurm.submit({ command: "touch never", dependencies: [{ after: "ok", jobs: [first, bad] }] }),
    ];
    assertEquals((await slurm.status(ids[0]))[0].reason, "Dependency");
    const states = await slurm.wait(ids, { timeout: 30_000 });
    assertEquals(states.map(({ status }) => status), ["completed", "completed", "cancelled"]);
    assertEquals(existsSync(join(folder, "never")), false);
  },
);

test.needs(SLURM_PROGRAMS, "slurm: a held job waits until it is released; a cancelled one ends", async () => {
  const { slurm } = fresh();
  const id = await slurm.submit({ command: ["sleep", "60"], hold: true });
  assertEquals((await slurm.status(id))[0].status, "held");
  await slurm.release(id);
  await running(slurm, id);
  await slurm.cancel(id);
  const [end] = await slurm.wait(id, { timeout: 20_000 });
  assertEquals(end.status, "cancelled");
  assert([9, 15].includes(end.signal!), `${end.signal}`); // Slurm waits 2 s before it kills
  await slurm.cancel([id, "999999"]); // what has ended, or never was, is no error
  const second = await slurm.submit({
    command: "sleep 60",
    dependencies: [{ after: "any", jobs: [late.over] }],
  });
  await slurm.hold(second);
  assertEquals((await slurm.status(second))[0].status, "held");
  await slurm.cancel(second);
  const error = await assertRejects(() => slurm.hold("999999"), SchedulerError, "could not hold 999999");
  assertEquals(error.failure, "rejected");
});

test.needs(SLURM_PROGRAMS, "slurm: one task of an array is cancelled and the others go on", async () => {
  const { slurm } = fresh();
  const id = await slurm.submit({
    command: `[ $PATHOS_TASK = 1 ] && sleep 60; true`,
    array: { indices: [1, 2] },
  });
  await until(async () => (await slurm.status(id))[1].status === "completed", 30_000, "the other is done");
  await slurm.cancel(slurmDialect.taskId(id, 1));
  assertEquals((await slurm.wait(id, { timeout: 20_000 })).map(({ status }) => status), [
    "cancelled",
    "completed",
  ]);
  assertEquals((await slurm.status(`${id}_2`)).map(({ task }) => task), [2]);
});

test.needs(SLURM_PROGRAMS, "slurm: a requeued job runs a second time", async () => {
  const { slurm } = fresh();
  const job: JobDescription = {
    command: "echo run >>runs; [ -e again ] || { touch again; sleep 60; }",
    requeue: true,
  };
  const id = await slurm.submit(job);
  await until(async () => await slurm.fetch("again") !== undefined, 30_000, "it runs");
  await slurm.requeue(id);
  await until(async () => (await slurm.status(id))[0].status === "requeued", 30_000, "it waits again");
  // Slurm would let it wait two minutes; within the same second a node refuses the job as one it has just killed
  scontrol("update", `jobid=${id}`, "StartTime=now+2");
  assertEquals((await slurm.wait(id, { timeout: 30_000 })).map(ended), [
    { status: "completed", exitCode: 0, signal: undefined },
  ]);
  assertEquals(await slurm.fetch("runs"), "run\nrun\n");
});

test.needs(SLURM_PROGRAMS, "slurm: srun as described by the launcher spreads ranks over nodes", async () => {
  const { slurm } = fresh();
  const { nodes, tasksPerNode } = parseNodes("2:ppn=2");
  const { argv } = launchers.srun({
    command: ["sh", "-c", 'echo "$SLURMD_NODENAME $SLURM_PROCID $SLURM_NTASKS"'],
    nodes,
    tasksPerNode,
  });
  const job: JobDescription = { command: quote(argv), nodes, tasksPerNode, stdout: "out" };
  const id = await slurm.submit(job);
  assertEquals((await slurm.wait(id, { timeout: 30_000 }))[0].status, "completed");
  const [{ text }] = await slurm.logs(id, job);
  assertEquals(text!.trim().split("\n").sort(), ["n1 0 4", "n1 1 4", "n2 2 4", "n2 3 4"]);
});

test.needs(SLURM_PROGRAMS, "slurm: a refusal comes with Slurm's words, and is not repeated", async () => {
  const { slurm } = fresh();
  const error = await assertRejects(
    () => slurm.submit({ command: "true", queue: "nowhere" }),
    SchedulerError,
  );
  assertEquals(error.failure, "rejected");
  assertMatch(
    error.message,
    /sbatch did not take the job \(exit code 1\).*invalid partition specified: nowhere/s,
  );
});

test.needs(SLURM_PROGRAMS, "slurm: jobs it does not know are unknown, beside those it knows", async () => {
  const { slurm } = fresh({ patience: 300 });
  const id = await slurm.submit({ command: "true" });
  await slurm.wait(id);
  const states = await slurm.status(["888888", id]);
  assertEquals(states.map(({ id, status }) => [id, status]), [["888888", "unknown"], [id, "completed"]]);
  assertEquals((await slurm.status("888888"))[0].reason, "slurm does not know it");
  assertEquals((await slurm.wait("888888"))[0].status, "unknown");
});

test.needs(
  SLURM_PROGRAMS,
  "slurm: a hanging controller is asked again, and waited for no longer than told",
  async () => {
    const { slurm } = fresh({ timeout: 400, retries: 20 });
    const id = await slurm.submit({ command: "true" });
    process.kill(cluster.controller(), "SIGSTOP");
    try {
      const impatient = fresh({ timeout: 300, retries: 1 }).slurm;
      const began = performance.now();
      const error = await assertRejects(() => impatient.status(id), SchedulerError, "squeue hangs");
      assertEquals(error.failure, "unreachable");
      assertLess(performance.now() - began, 9_000);
      setTimeout(() => process.kill(cluster.controller(), "SIGCONT"), 500);
      assertEquals((await slurm.wait(id, { timeout: 20_000 }))[0].status, "completed");
    } finally {
      process.kill(cluster.controller(), "SIGCONT");
    }
  },
);

test.needs(
  [...SLURM_PROGRAMS, ...SSHD_PROGRAMS],
  "slurm: jobs are submitted, followed and fetched on a login node over ssh",
  async () => {
    await using sshd = await startSshd();
    try {
      const { slurm, folder } = fresh({ host: new Host(sshd.host()) });
      const job: JobDescription = {
        command: `echo "there $PATHOS_TASK"`,
        array: { indices: [1, 2] },
        stdout: "o-{task}",
      };
      const id = await slurm.submit(job);
      assertEquals((await slurm.wait(id, { timeout: 30_000 })).map(({ status }) => status), [
        "completed",
        "completed",
      ]);
      assertEquals((await slurm.logs(id, job)).map(({ text }) => text), ["there 1\n", "there 2\n"]);
      assertEquals(readFileSync(join(folder, "o-1"), "utf8"), "there 1\n");
    } finally {
      await disconnect();
    }
  },
);

test.needs(SLURM_PROGRAMS, "slurm: waiting can be given up without the job", async () => {
  const { slurm } = fresh();
  const id = await slurm.submit({ command: "sleep 60", hold: true });
  const stop = new AbortController();
  setTimeout(() => stop.abort(new Error("enough")), 200);
  await assertRejects(() => slurm.wait(id, { signal: stop.signal }), Error, "enough");
  await assertRejects(() => slurm.wait(id, { timeout: 100 }), DOMException, `${id} held`);
  assertEquals((await slurm.status(id))[0].status, "held");
  await slurm.cancel(id);
});

test.needs(
  SLURM_PROGRAMS,
  "slurm: a job that is over its time ends as timeout; one that asked was warned",
  async () => {
    const { slurm, over, warned } = late;
    const states = await slurm.wait([over, warned], { timeout: 70_000 });
    assertEquals(states.map(({ status, reason }) => [status, reason]), [
      ["timeout", "TimeLimit"],
      ["failed", "NonZeroExitCode"],
    ]);
    assertEquals(states[1].exitCode, 7);
  },
  { timeout: 80_000 },
);
