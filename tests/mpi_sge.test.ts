/** Batch jobs on a real Grid Engine of our own, with one node. */
import {
  type JobDescription,
  type JobState,
  launchers,
  Scheduler,
  SchedulerError,
  type SchedulerOptions,
  sgeDialect,
} from "@pathos/pathos/mpi";
import { quote } from "@pathos/pathos/ssh";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { missing, test, type TestOptions, until } from "./harness.ts";
import { MPIS } from "./mpi.ts";
import { PARALLEL_ENVIRONMENT, SGE_PROGRAMS, startSge, whyNoSge } from "./sge.ts";

const here = missing(SGE_PROGRAMS).length === 0;
const notHere = here ? whyNoSge() : undefined;
const cluster = (here && notHere === undefined ? await startSge() : undefined)!;
const dialect = sgeDialect({ parallelEnvironment: PARALLEL_ENVIRONMENT });

function testSge(name: string, body: () => Promise<void>, programs: readonly string[] = []): void {
  const options: TestOptions = { timeout: 90_000, ...notHere === undefined ? {} : { notHere } };
  test.needs([...SGE_PROGRAMS, ...programs], `grid engine: ${name}`, body, options);
}

let folders = 0;
/** A scheduler that submits from an empty folder, which is given too. */
function fresh(options: SchedulerOptions = {}): { sge: Scheduler; folder: string } {
  const folder = join(cluster.folder, `w${++folders}`);
  mkdirSync(folder);
  return {
    sge: new Scheduler(dialect, { env: cluster.env, cwd: folder, polling: [50, 500], ...options }),
    folder,
  };
}

const ended = ({ status, exitCode, signal }: JobState) => ({ status, exitCode, signal });
const running = (sge: Scheduler, id: string) =>
  until(async () => (await sge.status(id))[0].status === "running", 30_000, `${id} runs`);

testSge("a job ends well, and its output, variables and folder are as described", async () => {
  const { sge, folder } = fresh();
  mkdirSync(join(folder, "a folder"));
  const value = `it's "quoted" $HOME, 100%\nand a second line`;
  const job: JobDescription = {
    name: "full-1.0",
    command: `printf %s "$VALUE" && pwd >&2`,
    walltime: 90_000,
    queue: "all.q",
    account: "proj",
    environment: { VALUE: value },
    mail: { on: ["begin", "end", "fail"], to: "me@here.org" },
    workdir: join(folder, "a folder"),
    stdout: "out of {job}.txt",
    stderr: "errors.{job}",
    requeue: false,
    options: ["-p -1"],
  };
  const id = await sge.submit(job);
  const [state] = await sge.wait(id, { timeout: 60_000 });
  assertEquals(state, {
    id,
    job: id,
    status: "completed",
    raw: "failed 0, exit_status 0",
    exitCode: 0,
    name: "full-1.0",
    nodes: "node1",
  });
  assertEquals(await sge.logs(id, job), [{
    path: join(folder, "a folder", `out of ${id}.txt`),
    text: value,
  }]);
  assertEquals((await sge.logs(id, job, "stderr"))[0].text, `${join(folder, "a folder")}\n`);
});

testSge("exit codes and signals come back", async () => {
  const { sge } = fresh();
  const ids = await Promise.all([
    sge.submit({ command: ["sh", "-c", "exit 42"] }),
    sge.submit({ command: "kill -9 $$" }),
    sge.submit({ command: ["/no/such/program"] }),
    sge.submit({ command: "sleep 300", walltime: 1_000 }),
  ]);
  assertEquals((await sge.wait(ids, { timeout: 60_000 })).map(ended), [
    { status: "failed", exitCode: 42, signal: undefined },
    { status: "failed", exitCode: 137, signal: 9 },
    { status: "failed", exitCode: 127, signal: undefined },
    { status: "timeout", exitCode: 137, signal: 9 },
  ]);
});

testSge("an array keeps to its limit and tells of each task", async () => {
  const { sge, folder } = fresh();
  const job: JobDescription = {
    command:
      `mkdir "busy$PATHOS_TASK"; ls -d busy* | wc -l; sleep 0.2; rmdir "busy$PATHOS_TASK"; exit "$PATHOS_TASK"`,
    array: { indices: [2, 4, 6], limit: 1 },
    stdout: "{job}-{task}.log",
  };
  const id = await sge.submit(job);
  assertMatch(id, /^\d+$/);
  assertEquals((await sge.status(id)).map(({ task }) => task), [2, 4, 6]);
  const states = await sge.wait(id, { timeout: 80_000 });
  assertEquals(states.map(({ id }) => id), [2, 4, 6].map((task) => `${id}.${task}`));
  assertEquals(
    states.map(ended),
    [2, 4, 6].map((exitCode) => ({
      status: "failed" as const,
      exitCode,
      signal: undefined,
    })),
  );
  assertEquals((await sge.logs(id, job)).map(({ task, text }) => [task, text]), [
    [2, "1\n"],
    [4, "1\n"],
    [6, "1\n"],
  ]);
  assertEquals(readdirSync(folder).sort(), [2, 4, 6].map((task) => `${id}-${task}.log`));
});

testSge("an array may have a single task", async () => {
  const { sge } = fresh();
  const job: JobDescription = { command: "echo $PATHOS_TASK", array: { indices: [5] }, stdout: "o" };
  const id = await sge.submit(job);
  assertEquals((await sge.wait(id, { timeout: 60_000 })).map(({ id, status }) => [id, status]), [
    [`${id}.5`, "completed"],
  ]);
  assertEquals((await sge.logs(id, job))[0].text, "5\n");
});

testSge("a job waits for the end of others, good or bad", async () => {
  const { sge, folder } = fresh();
  const first = await sge.submit({ command: "until [ -e go ]; do sleep 0.1; done; touch done; exit 3" });
  const next = await sge.submit({
    command: "test -e done",
    dependencies: [{ after: "any", jobs: [first] }],
  });
  assertEquals((await sge.status(next))[0].status, "held");
  writeFileSync(join(folder, "go"), "");
  assertEquals((await sge.wait([first, next], { timeout: 60_000 })).map(({ status }) => status), [
    "failed",
    "completed",
  ]);
  assert(existsSync(join(folder, "done")));
});

testSge("a held job waits until it is released; a cancelled one ends", async () => {
  const { sge } = fresh({ patience: 500 });
  const id = await sge.submit({ command: ["sleep", "60"], hold: true });
  assertEquals((await sge.status(id))[0].status, "held");
  await sge.release(id);
  await running(sge, id);
  await sge.cancel(id);
  // Grid Engine's accounts do not tell who killed it
  assertEquals((await sge.wait(id, { timeout: 60_000 })).map(ended), [
    { status: "failed", exitCode: 137, signal: 9 },
  ]);
  await sge.cancel([id, "999999"]); // what has ended, or never was, is no error
  const tasks = await sge.submit({ command: "sleep 60", array: { indices: [1, 2] }, hold: true });
  await sge.release(dialect.taskId(tasks, 1));
  assertEquals((await sge.status(dialect.taskId(tasks, 2)))[0].status, "held");
  await until(async () => (await sge.status(tasks))[0].status === "running", 30_000, "the first task runs");
  await sge.cancel(tasks);
  await until(async () => (await sge.status(tasks))[0].status !== "running", 30_000, "it is gone");
  for (const what of ["hold", "requeue"] as const) {
    const error = await assertRejects(() => sge[what]("999999"), SchedulerError, `could not ${what} 999999`);
    assertEquals(error.failure, "rejected");
  }
});

testSge("a requeued job runs a second time, and its last end is the one that counts", async () => {
  const { sge } = fresh();
  const job: JobDescription = {
    command: "echo run >>runs; [ -e again ] || { touch again; sleep 60; }; exit 5",
    requeue: true,
  };
  const id = await sge.submit(job);
  await until(async () => await sge.fetch("again") !== undefined, 30_000, "it runs");
  await running(sge, id);
  await sge.requeue(id);
  const seen: string[] = [];
  const states = await sge.wait(id, { timeout: 60_000, onChange: ({ status }) => seen.push(status) });
  assertEquals(states.map(ended), [{ status: "failed", exitCode: 5, signal: undefined }]);
  assertEquals(await sge.fetch("runs"), "run\nrun\n");
});

testSge("a refusal comes with Grid Engine's words, and is not repeated", async () => {
  const { sge } = fresh();
  const error = await assertRejects(() => sge.submit({ command: "true", queue: "nowhere" }), SchedulerError);
  assertEquals(error.failure, "rejected");
  assertMatch(error.message, /qsub did not take the job \(exit code 1\).*unknown queue "nowhere"/s);
  const other = new Scheduler(sgeDialect({ parallelEnvironment: "nowhere" }), { env: cluster.env });
  await assertRejects(() => other.submit({ command: "true", tasks: 2 }), SchedulerError, '"nowhere"');
});

testSge("jobs it does not know are unknown, beside those it knows", async () => {
  const { sge } = fresh({ patience: 300 });
  const id = await sge.submit({ command: "true" });
  await sge.wait(id, { timeout: 60_000 });
  const states = await sge.status(["888888", id]);
  assertEquals(states.map(({ id, status }) => [id, status]), [["888888", "unknown"], [id, "completed"]]);
  assertEquals((await sge.wait("888888"))[0].status, "unknown");
});

for (const mpi of MPIS) {
  testSge(`${mpi.name} finds its slots in a parallel environment`, async () => {
    const { sge, folder } = fresh();
    const { argv } = launchers[mpi.name === "MPICH" ? "mpich" : "openmpi"](
      { command: ["sh", "-c", 'echo "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}"'] },
      { program: mpi.program, ...mpi.name === "MPICH" ? {} : { allowRoot: true } },
    );
    const job: JobDescription = { command: quote(argv), tasks: 3, stdout: "out", stderr: "err" };
    const id = await sge.submit(job);
    const [state] = await sge.wait(id, { timeout: 80_000 });
    assertEquals(state.status, "completed", readFileSync(join(folder, "err"), "utf8"));
    const [{ text }] = await sge.logs(id, job);
    assertEquals(text!.trim().split("\n").sort(), ["0", "1", "2"]);
  }, [mpi.program]);
}
