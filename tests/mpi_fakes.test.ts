/** Batch jobs from submitting to output with stand-ins for the schedulers that cannot be installed: see fake_schedulers.ts. */
import {
  type JobDescription,
  type JobState,
  launchers,
  lsfDialect,
  moabDialect,
  openpbsDialect,
  rankFromEnv,
  Scheduler,
  type SchedulerDialect,
  SchedulerError,
  type SchedulerOptions,
  torqueDialect,
} from "@pathos/pathos/mpi";
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { type FakeKind, fakeLaunchers, type FakeScheduler, fakeScheduler } from "./fake_schedulers.ts";
import { tempDir, test, until } from "./harness.ts";

const GB = 1024 ** 3;
const DIALECTS: Readonly<Record<FakeKind, SchedulerDialect>> = {
  openpbs: openpbsDialect,
  torque: torqueDialect,
  moab: moabDialect,
  lsf: lsfDialect,
};
const KINDS = Object.keys(DIALECTS) as FakeKind[];

interface Stage {
  fake: FakeScheduler;
  scheduler: Scheduler;
  folder: string;
  fresh(options: SchedulerOptions): Scheduler;
}

function testEach(name: string, body: (kind: FakeKind, stage: Stage) => Promise<void>): void {
  for (const kind of KINDS) {
    test.needs(["setsid"], `stand-in for ${kind}: ${name}`, async () => {
      using fake = fakeScheduler(kind);
      const folder = join(fake.folder, "work");
      mkdirSync(folder);
      const fresh = (options: SchedulerOptions) =>
        new Scheduler(DIALECTS[kind], {
          env: fake.env,
          cwd: folder,
          polling: [10, 50],
          patience: 200,
          ...options,
        });
      await body(kind, { fake, scheduler: fresh({}), folder, fresh });
    });
  }
}

const brief = ({ status, exitCode, signal }: JobState) => [status, exitCode, signal];

testEach("a job waits, runs and ends, with everything that can be asked for", async (kind, stage) => {
  const { scheduler, folder } = stage;
  mkdirSync(join(folder, "a folder"));
  const job: JobDescription = {
    name: "solve-1",
    command: 'printf %s "$VALUE"; pwd >&2',
    nodes: 2,
    tasksPerNode: 4,
    cpus: 2,
    memory: 8 * GB,
    gpus: 1,
    walltime: 90_000,
    queue: "long",
    account: "proj",
    mail: { on: ["begin", "end", "fail"], to: "me@here.org" },
    environment: { VALUE: `it's "so"` },
    workdir: join(folder, "a folder"),
    stdout: join(folder, "out"),
    stderr: join(folder, "err"),
    requeue: true,
    ...kind === "openpbs" ? {} : { qos: "high" },
    ...kind === "lsf" ? { signal: { name: "USR1", before: 60_000 } } : {},
  };
  const id = await scheduler.submit(job);
  const seen: string[] = [];
  const [state] = await scheduler.wait(id, { timeout: 30_000, onChange: ({ status }) => seen.push(status) });
  assertEquals(seen, ["pending", "running", "completed"]);
  assertEquals([state.id, state.name, state.exitCode], [id, "solve-1", 0]);
  assertMatch((await scheduler.logs(id, job))[0].text!, /^it's "so"/); // LSF adds a report
  assertEquals((await scheduler.logs(id, job, "stderr"))[0].text, `${join(folder, "a folder")}\n`);
});

testEach("output files bear the job's id, and exit codes come back", async (kind, { scheduler }) => {
  const job: JobDescription = { command: "echo out; echo err >&2; exit 3", stdout: "o.{job}" };
  const id = await scheduler.submit(job);
  assertEquals((await scheduler.wait(id, { timeout: 30_000 })).map(brief), [["failed", 3, undefined]]);
  const [{ text, path }] = await scheduler.logs(id, job);
  assertEquals(path, `o.${DIALECTS[kind].jobNumber(id)}`);
  assertStringIncludes(text!, "out\nerr\n");
});

testEach("an array keeps to its limit and tells of each task", async (kind, { scheduler, folder }) => {
  const indices = kind === "openpbs" ? [2, 4, 6] : [1, 2, 5];
  const job: JobDescription = {
    command:
      `mkdir "busy$PATHOS_TASK"; ls -d busy* | wc -l; sleep 0.05; rmdir "busy$PATHOS_TASK"; exit "$PATHOS_TASK"`,
    array: { indices, limit: 1 },
    stdout: join(folder, "{job}-{task}"),
  };
  const id = await scheduler.submit(job);
  const states = await scheduler.wait(id, { timeout: 30_000 });
  assertEquals(
    states.map(({ id, task, job }) => [id, task, job]),
    indices.map((task) => [
      DIALECTS[kind].taskId(id, task),
      task,
      id,
    ]),
  );
  // Moab tells how a task ended only when it is asked for alone
  const ends = kind === "moab" ? await scheduler.status(states.map(({ id }) => id)) : states;
  assertEquals(ends.map(brief), indices.map((exit) => ["failed", exit, undefined]));
  const logs = await scheduler.logs(id, job);
  assertEquals(
    logs.map(({ task, text }) => [task, text!.split("\n")[0]]),
    indices.map((task) => [task, "1"]),
  );
});

testEach("jobs wait for others, an array too", async (kind, { scheduler, folder }) => {
  const well = await scheduler.submit({ command: "touch done", array: { indices: [1, 2] } });
  const badly = await scheduler.submit({ command: "exit 1" });
  const next = await scheduler.submit({
    command: "test -e done",
    dependencies: [{ after: "ok", jobs: [well] }, { after: "notok", jobs: [badly] }],
    workdir: folder,
  });
  const last = await scheduler.submit({ command: "true", dependencies: [{ after: "any", jobs: [badly] }] });
  const never = await scheduler.submit({
    command: "touch never",
    dependencies: [{ after: "ok", jobs: [badly] }],
  });
  assertEquals(
    (await scheduler.status(next))[0].status,
    kind === "moab" || kind === "lsf" ? "pending" : "held",
  );
  const ended = kind === "lsf" ? [next, last] : [next, last, never]; // LSF lets it wait for ever
  const states = await scheduler.wait(ended, { timeout: 30_000 });
  assertEquals(states.slice(0, 2).map(brief), [["completed", 0, undefined], ["completed", 0, undefined]]);
  assert(!existsSync(join(folder, "never")));
});

testEach("a held job waits until it is released; a cancelled one ends", async (kind, { scheduler }) => {
  const id = await scheduler.submit({ command: ["sleep", "60"], hold: true });
  for (let look = 0; look < 3; look++) assertEquals((await scheduler.status(id))[0].status, "held");
  await scheduler.release(id);
  await until(async () => (await scheduler.status(id))[0].status === "running", 30_000, "it runs");
  await scheduler.cancel(id);
  const [end] = await scheduler.wait(id, { timeout: 20_000 });
  assertEquals(brief(end), kind === "lsf" ? ["cancelled", 130, 2] : ["cancelled", undefined, 15]);
  await scheduler.cancel(id); // it has ended: no error
  const second = await scheduler.submit({ command: "true" });
  await scheduler.hold(second);
  assertEquals((await scheduler.status(second))[0].status, "held");
  await scheduler.cancel(second);
  assertEquals((await scheduler.wait(second, { timeout: 20_000 }))[0].status, "cancelled");
});

testEach("one task of an array is cancelled and the others go on", async (kind, { scheduler, folder }) => {
  const id = await scheduler.submit({
    command: "[ $PATHOS_TASK = 1 ] && sleep 60; true",
    array: { indices: [1, 2] },
    workdir: folder,
  });
  const task = DIALECTS[kind].taskId(id, 1);
  await until(async () => (await scheduler.status(task))[0].status === "running", 30_000, "the task runs");
  await scheduler.cancel(task);
  assertEquals((await scheduler.wait(id, { timeout: 30_000 })).map(({ status }) => status), [
    "cancelled",
    "completed",
  ]);
});

testEach("a requeued job runs a second time", async (_kind, { scheduler, folder }) => {
  const id = await scheduler.submit({
    command: "echo run >>runs; [ -e again ] || { touch again; exec sleep 60; }",
    requeue: true,
    workdir: folder,
  });
  await until(async () => (await scheduler.status(id))[0].status === "running", 30_000, "it runs");
  await until(() => existsSync(join(folder, "again")), 30_000, "it has begun");
  await scheduler.requeue(id);
  assertEquals((await scheduler.wait(id, { timeout: 30_000 })).map(brief), [["completed", 0, undefined]]);
  assertEquals(await scheduler.fetch("runs"), "run\nrun\n");
});

testEach("a refusal comes with the scheduler's words, and is not repeated", async (kind, { scheduler }) => {
  const error = await assertRejects(
    () => scheduler.submit({ command: "true", queue: "nowhere" }),
    SchedulerError,
    kind === "lsf" ? "nowhere: No such queue. Job not submitted." : "Unknown queue",
  );
  assertEquals(error.failure, "rejected");
  const option = await assertRejects(
    () => scheduler.submit({ command: "true", options: ["-Z"] }),
    SchedulerError,
    kind === "lsf" ? "illegal option -- Z" : "invalid option -- 'Z'",
  );
  assertEquals(option.failure, "rejected");
});

testEach("a server out of reach is asked again, but nothing is submitted twice", async (kind, stage) => {
  const { fake, scheduler, fresh } = stage;
  const id = await scheduler.submit({ command: "true" });
  fake.down(2);
  assertEquals((await scheduler.status(id))[0].status, "pending");
  fake.down(3);
  const impatient = fresh({ retries: 1 });
  const error = await assertRejects(() => impatient.status(id), SchedulerError);
  assertEquals(error.failure, "unreachable");
  const refused = await assertRejects(() => scheduler.submit({ command: "true" }), SchedulerError);
  assertEquals([kind, refused.failure], [kind, "unreachable"]);
  assertEquals((await scheduler.wait(id, { timeout: 20_000 }))[0].status, "completed");
});

testEach("jobs it does not know are unknown, beside those it knows", async (kind, { fake, scheduler }) => {
  const ids = [await scheduler.submit({ command: "true" }), await scheduler.submit({ command: "true" })];
  fake.forget("1");
  assertEquals((await scheduler.status(ids)).map(({ id, status }) => [id, status]), [
    [ids[0], "unknown"],
    [ids[1], "pending"],
  ]);
  assertEquals((await scheduler.wait(ids, { timeout: 20_000 })).map(({ status }) => status), [
    "unknown",
    "completed",
  ]);
  await scheduler.cancel(ids[0]);
  const error = await assertRejects(() => scheduler.hold(ids[0]), SchedulerError, "could not hold");
  assertEquals([kind, error.failure], [kind, "rejected"]);
});

for (const name of ["aprun", "jsrun", "flux"] as const) {
  test(`stand-in for ${name}: ranks find their numbers, their variables and their folder`, () => {
    using folder = tempDir();
    mkdirSync(join(folder.path, "bin"));
    const { argv, env, cwd } = launchers[name]({
      command: ["sh", "-c", "pwd; env; echo =="],
      nodes: 2,
      tasksPerNode: 2,
      cpusPerTask: 3,
      env: { VALUE: "it's so" },
      workdir: folder.path,
    });
    const [program, ...words] = argv;
    const text = execFileSync(join(fakeLaunchers(join(folder.path, "bin")), program), words, {
      encoding: "utf8",
      env: { PATH: process.env.PATH, ...env },
      cwd,
    });
    // ranks write at the same time, but each line in one piece
    const numbers = [...text.matchAll(/^(?:ALPS_APP_PE|JSM_NAMESPACE_RANK|FLUX_TASK_RANK)=(\d+)$/gm)];
    assertEquals(numbers.map(([, rank]) => Number(rank)).sort(), [0, 1, 2, 3]);
    const variable = (name: string) => new RegExp(`^${name}=(.*)$`, "m").exec(text)?.[1];
    const found = rankFromEnv(variable)!;
    assertEquals([found.size, found.launcher], [
      4,
      { aprun: "alps", jsrun: "jsm", flux: "flux" }[name],
    ]);
    assertEquals(variable("VALUE"), "it's so");
    assertEquals(text.split("\n").filter((line) => line === folder.path).length >= 4, true);
  });
}
