/**
 * Closures as batch arrays on a real Slurm of our own: three nodes on this machine that share a folder and, where that can
 * be, nothing else; and from a laptop, over ssh to a login node.
 */
import {
  BatchMap,
  type BatchOptions,
  isOver,
  JobError,
  openpbsDialect,
  type Scheduler,
  SchedulerError,
  schedulers,
  slurm,
  TaskError,
  TimeoutError,
  whichLauncher,
  whichScheduler,
  WorkerLostError,
} from "@pathos/pathos/mpi";
import { UntrustedCodeError } from "@pathos/pathos";
import { disconnect, Host } from "@pathos/pathos/ssh";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { execFileSync, spawn } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { missing, runScript, runtime, tempDir, test, until } from "./harness.ts";
import { processesWith } from "./processes.ts";
import { SLURM_PROGRAMS, startSlurm, whyNoSeparateTmp } from "./slurm.ts";
import { type Sshd, SSHD_PROGRAMS, startSshd } from "./sshd.ts";

const here = missing(SLURM_PROGRAMS).length === 0;
const separateTmp = here && missing(["unshare"]).length === 0 && whyNoSeparateTmp() === undefined;
const cluster = (here ? await startSlurm({ nodes: 3, cpus: 8, separateTmp }) : undefined)!;
const home = here ? join(cluster.folder, "home") : "";
if (here) mkdirSync(home);

const QUICK = { polling: [50, 400] as [number, number], patience: 4_000 };
let folders = 0;
/** A folder that all nodes see, for what functions leave behind. */
function fresh(): string {
  const path = join(cluster.folder, `b${++folders}`);
  mkdirSync(path);
  return path;
}

/** The cluster as one that works on it sees it; nobody's real home folder is touched. */
const local = () => slurm({ env: { ...cluster.env, HOME: home }, cwd: cluster.folder, ...QUICK });

function batch(name: string, body: () => Promise<void>, programs: readonly string[] = []): void {
  test.needs([...SLURM_PROGRAMS, ...programs], `batch map: ${name}`, body, { timeout: 120_000 });
}

function scontrol(...words: string[]): void {
  execFileSync("scontrol", words, { env: { ...process.env, ...cluster.env } });
}

/** Lets a job begin soon when it was requeued: Slurm would let it wait two minutes, and a node refuses what it has just killed. */
async function letRequeuedBegin(scheduler: Scheduler, id: string): Promise<void> {
  const seen = await until(
    async () => {
      const [{ status }] = await scheduler.status(id);
      return status === "requeued" || isOver(status) ? status : undefined;
    },
    60_000,
    `${id} waits again`,
  );
  if (seen === "requeued") scontrol("update", `jobid=${id}`, "StartTime=now+2");
}

const lines = (path: string) => existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : [];
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const LONG = { timeout: 50_000 };

/** Slurm looks for jobs that are over their time twice a minute: these have that time while others are tested. */
const late = here ? await submitLate() : undefined!;

async function submitLate() {
  const folder = fresh();
  const scheduler = local();
  const log = join(folder, "runs");
  const stuck = await scheduler.map(
    async (x: number) => {
      appendFileSync(log, `${x}\n`);
      if (x === 2 && !existsSync(`${log}-go`)) await sleep(300_000);
      return x * x;
    },
    [0, 1, 2, 3],
    { tasks: 1, job: { walltime: 1_000 } },
  );
  const slow = await scheduler.map(
    async (x: number) => {
      if (!process.env.SLURM_RESTART_COUNT) await sleep(500);
      return [x, process.env.SLURM_RESTART_COUNT ?? "0"];
    },
    Array.from({ length: 150 }, (_, i) => i),
    { tasks: 1, job: { walltime: 60_000, signal: { name: "USR2", before: 55_000 } } },
  );
  const command = await scheduler.job({
    command: "echo run >>commands; [ -e again ] || { touch again; sleep 300; }",
    walltime: 1_000,
    workdir: folder,
    requeue: true,
  });
  for (const { id } of [stuck, command]) {
    await until(async () => (await scheduler.status(id))[0].status === "running", 30_000, `${id} runs`);
  }
  await until(() => lines(log).length === 3, 30_000, "the third item runs");
  for (const { id } of [stuck, command]) scontrol("update", `jobid=${id}`, "EndTime=now+1");
  return { scheduler, stuck, log, slow, command, folder };
}

batch(
  "a closure runs as an array on three nodes, and its results come in the order of the items",
  async () => {
    class Point {
      constructor(readonly x: number, readonly y: number) {}
      plus(other: Point): Point {
        return new Point(this.x + other.x, this.y + other.y);
      }
    }
    const by = new Point(10, 20);
    const run = await local().map(
      async (point: Point, name: string) => {
        await sleep(1);
        console.log(`${name} is ${point.x}`);
        return { name, point: point.plus(by), node: process.env.SLURMD_NODENAME };
      },
      [1, 2, 3, 4, 5].map((x) => new Point(x, 0)),
      new Set(["a", "b", "c", "d", "e", "f"]),
      { tasks: 3, workers: 1, job: { cpus: 5 } },
    );
    assertInstanceOf(run, BatchMap);
    assertMatch(run.id, /^\d+$/);
    assertMatch(run.folder, new RegExp(`^${home}/.cache/pathos/jobs/[0-9a-f]+$`));
    assertEquals(statSync(run.folder).mode & 0o777, 0o700);
    const results = await run.results(LONG);
    assertEquals(results.map(({ name }) => name), ["a", "b", "c", "d", "e"]);
    assertEquals(results.map(({ point }) => [point.x, point.y]), [11, 12, 13, 14, 15].map((x) => [x, 20]));
    assert(results.every(({ point }) => point instanceof Point), "instances of the caller's own class");
    assertEquals(new Set(results.map(({ node }) => node)).size, 3);
    const logs = await run.logs();
    assertEquals(logs.map(({ task }) => task), [1, 2, 3]);
    assertEquals(logs.map(({ text }) => text).join(""), "a is 1\nb is 2\nc is 3\nd is 4\ne is 5\n");
    assertEquals(await run.progress(), { total: 5, done: 5, failed: 0, tasks: [] });
    assertEquals(await run.resubmit(), []);
    await run.remove();
    assertEquals(existsSync(run.folder), false);
  },
);

batch("what would be submitted can be seen first, with nothing in it that was not asked for", async () => {
  const seen = await local().map((x: number) => x, [1, 2, 3], {
    tasks: 2,
    limit: 1,
    setup: "module load deno",
    runtime: "/opt/deno",
    folder: "/shared/run",
    job: { account: "physics", walltime: 60_000 },
    dryRun: true,
  });
  assertEquals([seen.argv, seen.tasks], [["sbatch", "--parsable"], 2]);
  const asked = seen.stdin.split("\n").filter((line) => line.startsWith("#SBATCH"));
  assertMatch(asked.join("\n"), /^#SBATCH --job-name=pathos-[0-9a-f]+$/m);
  assertEquals(asked.slice(1), [
    "#SBATCH --time=00:01:00",
    "#SBATCH --account=physics",
    "#SBATCH --array=1-2%1",
    "#SBATCH --output=/shared/run/log/1-%a.txt",
  ]);
  assertStringIncludes(seen.stdin, "\nmodule load deno\n");
  assertStringIncludes(seen.stdin, "\nfor c in /opt/deno; do\n");
  assertEquals(existsSync("/shared/run"), false);
});

batch("an item that throws comes back as itself; resubmit runs only what has no result", async () => {
  const folder = fresh();
  class OddError extends RangeError {
    override name = "OddError";
    constructor(readonly value: number) {
      super(`${value} is odd`);
    }
  }
  const run = await local().map(
    (x: number) => {
      appendFileSync(`${folder}/${x}`, "run\n");
      if (x % 2 === 1 && !existsSync(`${folder}/forgiven`)) throw new OddError(x);
      return x;
    },
    [0, 1, 2, 3, 4, 6],
    { tasks: 3 },
  );
  const error = await assertRejects(() => run.results(LONG), TaskError);
  assert([1, 3].includes(error.index));
  const settled = await run.settled(LONG);
  assertEquals(settled.map(({ status }) => status), [
    "fulfilled",
    "rejected",
    "fulfilled",
    "rejected",
    "fulfilled",
    "fulfilled",
  ]);
  const first = run.outcomes[1]!.error!;
  assertMatch(first.message, /^item 1 failed in slurm \d+_1 on node n[123]: OddError: 1 is odd$/);
  assertMatch(first.worker, new RegExp(`^slurm ${run.id}_1 on node n[123]$`));
  assertInstanceOf(first.cause, OddError);
  assertEquals(first.cause.value, 1);
  if (runtime === "deno") assertStringIncludes(first.stack!, "mpi_batch.test.ts");

  writeFileSync(`${folder}/forgiven`, "");
  const before = run.id;
  assertEquals(await run.resubmit(), [1, 2]);
  assert(run.id !== before);
  assertEquals(await run.results(LONG), [0, 1, 2, 3, 4, 6]);
  assertEquals([0, 1, 2, 3, 4, 6].map((x) => lines(`${folder}/${x}`).length), [1, 2, 1, 2, 1, 1]);
  assertEquals(run.jobs.map(({ id }) => id), [before, run.id]);
});

batch("a killed process costs its item, a killed task what it had not written", async () => {
  const folder = fresh();
  const run = await local().map(
    async (x: number) => {
      appendFileSync(`${folder}/${x}`, "run\n");
      if (existsSync(`${folder}/calm`)) return x;
      if (x === 1) process.kill(process.pid, "SIGKILL");
      if (x === 4) {
        // until what came before is written, then the task itself
        while (!readdirSync(`${folder}/map/out`).some((name) => /^2\..*\.part$/.test(name))) await sleep(20);
        process.kill(process.ppid, "SIGKILL");
        await sleep(10_000);
      }
      return x;
    },
    [0, 1, 2, 3, 4, 5],
    { tasks: 2, save: 50, folder: `${folder}/map` },
  );
  const settled = await run.settled(LONG);
  assertEquals(settled.map(({ status }) => status[0]).join(""), "frffrr");
  const [lost, killed] = [run.outcomes[1]!.error!, run.outcomes[5]!.error!];
  assertInstanceOf(lost, WorkerLostError);
  assertEquals(lost.signal, "SIGKILL");
  assertMatch(
    lost.message,
    /^slurm \d+_1 on node n\d: the process was killed by SIGKILL.* while it ran item 1$/,
  );
  assertInstanceOf(killed, WorkerLostError);
  assertMatch(
    killed.message,
    /^item 5 has no result: slurm \d+_2 on node n\d has ended \(FAILED, .*signal 9/,
  );
  writeFileSync(`${folder}/calm`, "");
  assertEquals(await run.resubmit(), [1, 2]);
  assertEquals(await run.results(LONG), [0, 1, 2, 3, 4, 5]);
  assertEquals([0, 1, 2, 3, 4, 5].map((x) => lines(`${folder}/${x}`).length), [1, 2, 1, 1, 2, 1]);
});

batch("a task that is warned writes down what it has and waits in the queue again, alone", async () => {
  const folder = fresh();
  const scheduler = local();
  const run = await scheduler.map(
    async (x: number) => {
      appendFileSync(`${folder}/${x}`, "run\n");
      if (x === 2 && !process.env.SLURM_RESTART_COUNT) await sleep(60_000);
      while (x === 4 && !existsSync(`${folder}/go`)) await sleep(20);
      return x;
    },
    [0, 1, 2, 3, 4, 5],
    { tasks: 2, job: { walltime: 60_000, signal: { name: "USR1", before: 1_000 } } },
  );
  await until(() => existsSync(`${folder}/2`) && existsSync(`${folder}/4`), 30_000, "both are busy");
  execFileSync("scancel", ["--batch", "--signal=USR1", `${run.id}_1`], {
    env: { ...process.env, ...cluster.env },
  });
  await letRequeuedBegin(scheduler, `${run.id}_1`);
  assertEquals((await scheduler.status(`${run.id}_2`))[0].status, "running");
  assert((await run.progress()).done >= 2, "the results before the warning are there");
  writeFileSync(`${folder}/go`, "");
  assertEquals(await run.results(LONG), [0, 1, 2, 3, 4, 5]);
  assertEquals([0, 1, 2, 3, 4, 5].map((x) => lines(`${folder}/${x}`).length), [1, 1, 2, 1, 1, 1]);
});

batch("a task that finishes nothing before it is warned is not queued for ever", async () => {
  const folder = fresh();
  const run = await local().map(
    async (x: number) => {
      writeFileSync(`${folder}/runs`, "");
      await sleep(60_000);
      return x;
    },
    [1],
    { job: { walltime: 60_000, signal: { name: "USR1", before: 100 } } },
  );
  await until(() => existsSync(`${folder}/runs`), 30_000, "it runs");
  execFileSync("scancel", ["--batch", "--signal=USR1", run.id], { env: { ...process.env, ...cluster.env } });
  const error = await assertRejects(() => run.results(LONG), WorkerLostError);
  assertEquals(error.exitCode, 75);
  assertStringIncludes(error.message, "give it more walltime");
});

batch("processes of a task work side by side, and results are data", async () => {
  const folder = fresh();
  const meet = async (x: number) => {
    writeFileSync(`${folder}/${x}`, "");
    while (!existsSync(`${folder}/${1 - x}`)) await sleep(10);
    return x === 0 ? new Map([["when", new Date(0)]]) : () => x;
  };
  const run = await local().map(meet, [0, 1], { tasks: 1, workers: 2 });
  const [first, second] = await run.settled(LONG);
  assertEquals(first, { status: "fulfilled", value: new Map([["when", new Date(0)]]) });
  const { reason } = second as PromiseRejectedResult;
  assertInstanceOf(reason, TaskError);
  assertMatch(
    reason.message,
    /item 1 has a result that cannot be read here; it comes from slurm .* on node n/,
  );
  assertInstanceOf(reason.cause, UntrustedCodeError);
});

batch("another program goes on after the one that submitted was killed", async () => {
  const folder = fresh();
  const { stdout, signal } = await runScript(
    `
    import { slurm } from "@pathos/pathos/mpi";
    import process from "node:process";
    class Pair { constructor(a, b) { this.a = a; this.b = b; } }
    const pair = new Pair(1, 2);
    const run = await slurm(${JSON.stringify({ env: { ...cluster.env, HOME: home }, ...QUICK })})
      .map((x) => ({ double: 2 * x, a: pair.a }), [1, 2, 3], { folder: ${JSON.stringify(`${folder}/map`)} });
    console.log(run.id);
    process.kill(process.pid, "SIGKILL");
    await run.results();`,
  );
  assertEquals(signal, "SIGKILL");
  const run = await local().reattach<{ double: number; a: number }>(`${folder}/map`);
  assertEquals(run.id, stdout.trim());
  assertEquals(await run.results(LONG), [2, 4, 6].map((double) => ({ double, a: 1 })));
  const error = await assertRejects(() => schedulers.lsf().reattach(`${folder}/map`), JobError);
  assertStringIncludes(error.message, "was submitted to slurm, not to lsf");
  await assertRejects(() => local().reattach(folder), SchedulerError, "is no folder of a batch map");
});

batch(
  "an answer of the scheduler that was never heard is said, and the map can be submitted again",
  async () => {
    const folder = fresh();
    const run = await local().map((x: number) => x + 1, [1, 2], {
      folder: `${folder}/map`,
      job: { hold: true },
    });
    await run.cancel();
    for (const kind of ["code", "out"]) rmSync(`${folder}/map/attempt-1.${kind}`);
    const again = await local().reattach(`${folder}/map`);
    assertEquals(again.id, "");
    const { tasks } = await again.progress();
    assertMatch(tasks[0].reason!, /was not heard.*whether it took the job is not known: look for pathos-/s);
    assertEquals(await again.resubmit({ hold: false }), [1, 2]);
    assertEquals(await again.results(LONG), [2, 3]);
  },
);

batch(
  "results are there as they come, at most so many tasks at once, and the rest can be cancelled",
  async () => {
    const folder = fresh();
    const run = await local().map(
      async (x: number) => {
        mkdirSync(`${folder}/busy${x}`);
        const busy = readdirSync(folder).filter((name) => name.startsWith("busy")).length;
        if (x === 3) await sleep(60_000);
        else await sleep(100);
        rmSync(`${folder}/busy${x}`, { recursive: true });
        return busy;
      },
      [0, 1, 2, 3],
      { limit: 2 },
    );
    const seen: number[] = [];
    for await (const { index, value, error } of run) {
      seen.push(index);
      if (error) {
        assertEquals(index, 3);
        assertInstanceOf(error, WorkerLostError);
        assertStringIncludes(error.message, "CANCELLED");
      } else assertLess(value, 3);
      if (seen.length === 3) {
        await until(() => existsSync(`${folder}/busy3`), 30_000, "the last one runs");
        await run.cancel();
      }
    }
    assertEquals([seen.slice(0, 3).sort(), seen[3]], [[0, 1, 2], 3]);
  },
);

batch("waiting ends when told, and the tasks go on", async () => {
  const folder = fresh();
  const run = await local().map(async (x: number) => {
    while (!existsSync(`${folder}/go`)) await sleep(20);
    return x;
  }, [7]);
  assertEquals(run.jobs[0].description!.array, undefined); // one task is a plain job
  const late = await assertRejects(() => run.results({ timeout: 300 }), DOMException);
  assertEquals(late.name, "TimeoutError");
  assertStringIncludes(late.message, "1 of 1 items are open");
  const stop = new AbortController();
  setTimeout(() => stop.abort(new Error("enough")), 100);
  await assertRejects(() => run.settled({ signal: stop.signal }), Error, "enough");
  writeFileSync(`${folder}/go`, "");
  assertEquals(await run.results(LONG), [7]);
});

batch("what makes no sense is refused before anything is submitted", async () => {
  const scheduler = local();
  const refused = (options: unknown, items: unknown[] = [1]) =>
    assertRejects(() => scheduler.map((x: unknown) => x, items, options as BatchOptions));
  assertStringIncludes((await refused({ task: 3 }) as Error).message, 'there is no option "task"');
  assertStringIncludes((await refused({ tasks: 0 }) as Error).message, "tasks is 0");
  assertStringIncludes((await refused({}, []) as Error).message, "there are no items");
  assertInstanceOf(await refused({ job: { walltime: -1 } }), JobError);
  const folder = fresh();
  writeFileSync(`${folder}/mine`, "");
  const error = await refused({ folder });
  assertInstanceOf(error, SchedulerError);
  assertStringIncludes(error.message, "is not empty");
  const rejected = await refused({ job: { queue: "nowhere" }, folder: `${folder}/new` });
  assertInstanceOf(rejected, SchedulerError);
  assertMatch(rejected.message, /invalid partition specified: nowhere/);
  assertEquals(existsSync(`${folder}/new`), false);
});

/** A test on a laptop, whose login node is reached by ssh. */
function laptop(
  name: string,
  body: (sshd: Sshd, scheduler: Scheduler) => Promise<void>,
  path?: string[],
): void {
  batch(`from a laptop: ${name}`, async () => {
    const bin = `${cluster.folder}/bin-${++folders}`;
    if (path) {
      mkdirSync(bin);
      for (const program of path) {
        symlinkSync(
          execFileSync("/bin/sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim(),
          `${bin}/${program}`,
        );
      }
    }
    const own = `${cluster.folder}/home-${++folders}`;
    mkdirSync(own);
    const env = { ...cluster.env, HOME: own, ...path ? { PATH: bin } : {} };
    await using sshd = await startSshd({ env });
    try {
      await body(sshd, slurm({ host: new Host(sshd.host()), ...QUICK }));
    } finally {
      await disconnect();
    }
  }, SSHD_PROGRAMS);
}

laptop("a closure runs over one connection, which may be lost", async (sshd, scheduler) => {
  const go = join(fresh(), "go");
  const factor = 3;
  const run = await scheduler.map(
    async (x: number) => {
      while (x > 1 && !existsSync(go)) await sleep(20);
      return factor * x;
    },
    [1, 2, 3],
    { folder: "~/runs/first" },
  );
  assertStringIncludes(run.folder, "/runs/first");
  await until(async () => (await run.progress()).done === 1, 30_000, "the first result is here");
  const logins = () => sshd.log().match(/Accepted publickey/g)?.length;
  assertEquals(logins(), 1);
  const results = run.results(LONG);
  await sshd.down();
  writeFileSync(go, "");
  await sleep(500);
  await sshd.up();
  assertEquals(await results, [3, 6, 9]);
  const [state] = await scheduler.attach(run.id).status();
  assert(isOver(state.status) || state.status === "running");
  const program = statSync(`${run.folder}/program.mjs`).ino;
  await run.remove();
  const second = await scheduler.map((x: number) => x, [1]);
  assertEquals(statSync(`${second.folder}/program.mjs`).ino, program);
  assertEquals(await second.results(LONG), [1]);
});

// Deno itself where the tests run in it, so that it must be sent
laptop(
  "a login node with nothing but sh and Slurm gets a runtime",
  async (_, scheduler) => {
    const run = await scheduler.map((x: number) => [x + 1, process.execPath], [1, 2], { tasks: 1 });
    const [[two, path], [three]] = await run.results(LONG) as [number, string][];
    assertEquals([two, three], [2, 3]);
    assertStringIncludes(path, `/.cache/pathos/${runtime}-`);
    const second = await scheduler.map(() => process.execPath, [1], { runtime: "send" });
    assertEquals(await second.results(LONG), [path]);
    const kept = readdirSync(join(run.folder, "..", "..")).map((name) => name.split("-")[0]);
    assertEquals(kept.sort(), ["batch", "jobs", runtime].sort());
  },
  ("sh cat chmod cp find gzip head id ln ls mkdir mv rm sleep sort tail uname uniq wc xargs " +
    "sbatch squeue sacct scontrol scancel").split(" "),
);

/** Stands in for OpenPBS: runs the script for each index, and has forgotten the job when it is asked. */
const QSUB = `#!/bin/sh
id=$$
cat >"$0.$id"
range=$(sed -n 's/^#PBS -J //p' "$0.$id")
step=\${range#*:}
[ "$step" != "$range" ] || step=1
ends=\${range%:*}
for i in $(seq "\${ends%-*}" "$step" "\${ends#*-}"); do
  PBS_O_WORKDIR=$PWD PBS_JOBID="$id[$i].server" PBS_ARRAY_INDEX=$i sh "$0.$id" </dev/null >/dev/null 2>&1 &
done
echo "$id[].server"
`;

test("batch map: where an array must be one range, what is submitted again is renumbered", async () => {
  using folder = tempDir();
  const { path } = folder;
  for (const [name, text] of [["qsub", QSUB], ["qstat", "#!/bin/sh\n"]]) {
    writeFileSync(`${path}/${name}`, text);
    chmodSync(`${path}/${name}`, 0o755);
  }
  const env = { PATH: `${path}:${process.env.PATH}`, HOME: path };
  const scheduler = schedulers.pbs({ env, cwd: path, ...QUICK });
  const run = await scheduler.map(
    (x: number) => {
      if (x !== 20 && !existsSync(`${path}/go`)) throw new Error("not yet");
      return [x, Number(process.env.PATHOS_TASK)];
    },
    [10, 20, 30, 40],
    { folder: `${path}/map` },
  );
  assertEquals((await run.settled(LONG)).map(({ status }) => status[0]).join(""), "rfrr");
  assertMatch(run.outcomes[2]!.error!.message, /^item 2 failed in openpbs \d+\[3\]\.server on node /);
  writeFileSync(`${path}/go`, "");
  assertEquals(await run.resubmit(), [1, 3, 4]);
  assertEquals(await run.results(LONG), [[10, 1], [20, 2], [30, 2], [40, 3]]);
  assertEquals((await run.logs()).map(({ task }) => task), [1, 2, 3, 4, 1, 3, 4]);
  const again = await scheduler.reattach(run.folder);
  assertEquals(await again.results(LONG), [[10, 1], [20, 2], [30, 2], [40, 3]]);
  await until(() => processesWith(`HOME=${path}`).length === 0, 30_000, "its processes have ended");
});

test("schedulers have names, and what there is is found by its programs", async () => {
  using folder = tempDir();
  const programs = (...names: [name: string, says?: string][]) => {
    rmSync(`${folder.path}/bin`, { recursive: true, force: true });
    mkdirSync(`${folder.path}/bin`);
    for (const [name, says = ""] of names) {
      writeFileSync(`${folder.path}/bin/${name}`, `#!/bin/sh\necho '${says}'\n`);
      chmodSync(`${folder.path}/bin/${name}`, 0o755);
    }
    const tr = execFileSync("/bin/sh", ["-c", "command -v tr"], { encoding: "utf8" }).trim();
    symlinkSync(tr, `${folder.path}/bin/tr`);
    return { env: { PATH: `${folder.path}/bin`, SLURM_JOB_ID: "" } };
  };
  assertEquals(schedulers.pbs().dialect, openpbsDialect);
  assertEquals(Object.values(schedulers).map((make) => make().dialect.name), [
    "slurm",
    "openpbs",
    "openpbs",
    "torque",
    "moab",
    "lsf",
    "gridengine",
  ]);
  assertEquals(await whichScheduler(programs(["sbatch"], ["qsub"])), "slurm");
  assertEquals(await whichScheduler(programs(["bsub"])), "lsf");
  assertEquals(await whichScheduler(programs(["msub"], ["qsub"])), "moab");
  assertEquals(await whichScheduler(programs(["qsub"], ["qconf"])), "sge");
  assertEquals(await whichScheduler(programs(["qsub"], ["qstat", "pbs_version = 22.05.11"])), "openpbs");
  assertEquals(await whichScheduler(programs(["qsub"], ["qstat", "Version: 6.1.2"])), "torque");
  assertEquals(await whichScheduler(programs()), undefined);
  assertEquals(await whichLauncher(programs(["srun"], ["mpirun", "mpirun (Open MPI) 4.1.4"])), "openmpi");
  const { env } = programs(["srun"], ["mpiexec", "HYDRA build details:"]);
  assertEquals(await whichLauncher({ env }), "mpich");
  assertEquals(await whichLauncher({ env: { ...env, SLURM_JOB_ID: "12" } }), "srun");
  assertEquals(await whichLauncher(programs(["flux"])), "flux");
  assertEquals(await whichLauncher(programs()), "serial");
});

batch(
  "a task that hits its walltime leaves its results; a command can be queued again for that",
  async () => {
    const { stuck, log, command, folder } = late;
    const settled = await stuck.settled({ timeout: 100_000 });
    assertEquals(settled.map(({ status }) => status[0]).join(""), "ffrr");
    const error = stuck.outcomes[2]!.error!;
    assertInstanceOf(error, TimeoutError);
    assertMatch(
      error.message,
      /^item 2 has no result: slurm \d+ on node n\d has ended \(TIMEOUT, .*TimeLimit\)/,
    );
    writeFileSync(`${log}-go`, "");
    assertEquals(await stuck.resubmit({ walltime: 60_000 }), [1]);
    assertEquals(await stuck.results(LONG), [0, 1, 4, 9]);
    assertEquals(lines(log), ["0", "1", "2", "2", "3"]);

    const seen: string[] = [];
    const [{ status }] = await command.wait({
      timeout: 50_000,
      requeues: 1,
      onChange({ status }) {
        seen.push(status);
        if (status === "requeued") scontrol("update", `jobid=${command.id}`, "StartTime=now+2");
      },
    });
    assertEquals(status, "completed", seen.join());
    assertEquals(lines(`${folder}/commands`), ["run", "run"]);
    assertEquals((await command.status())[0].status, "completed");
  },
);

batch("a task that Slurm warns before the walltime goes on in a second run", async () => {
  const { scheduler, slow } = late;
  await letRequeuedBegin(scheduler, slow.id);
  const results = await slow.results(LONG) as [number, string][];
  assertEquals(results.map(([x]) => x), Array.from({ length: 150 }, (_, i) => i));
  assertMatch(results.map(([, run]) => run).join(""), /^0+1+$/);
});

test.deno(
  "examples/mpi_slurm finds where water comes through",
  "runs the TypeScript files of the checkout",
  async () => {
    if (missing([...SLURM_PROGRAMS, ...SSHD_PROGRAMS]).length > 0) return;
    const path = fileURLToPath(new URL("../examples/mpi_slurm.ts", import.meta.url));
    const child = spawn(process.execPath, ["run", "-A", "--quiet", path, "--size", "40", "--samples", "40"], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "", errors = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => said += text);
    child.stderr.setEncoding("utf8").on("data", (text: string) => errors += text);
    const code = await new Promise((resolve) => child.on("close", resolve));
    assertEquals([code, errors], [0, ""]);
    assertMatch(said, /^job 1; go on with --again .*\n(0\.\d{3} [01]\.\d{3} #*\n){16}half of the grids/);
  },
);
