/**
 * `pathos job` on a real Slurm, and `pathos mpi` and `pathos map --mpi` on ranks of Open MPI and MPICH, run as processes.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { slurm } from "@pathos/pathos/mpi";
import { quote } from "@pathos/pathos/ssh";
import { isAlive, missing, processesBelow, runtime, tempDir, test, until } from "./harness.ts";
import { AS_ROOT, MPIS } from "./mpi.ts";
import { PMIX_PROGRAMS, SLURM_PROGRAMS, startSlurm } from "./slurm.ts";
import { SSHD_PROGRAMS, startSshd } from "./sshd.ts";

const COMMAND = runtime === "node"
  ? [process.execPath, join(process.cwd(), "node_modules/@pathos/pathos/cli.js")]
  : [process.execPath, "run", "-A", "--quiet", fileURLToPath(new URL("../cli.ts", import.meta.url))];

const here = missing(SLURM_PROGRAMS).length === 0;
const cluster = (here ? await startSlurm({ nodes: 1, cpus: 4 }) : undefined)!;

const WORK = `
const decoder = new TextDecoder(); // cannot travel: every rank has to import the module
export default function invert(x) {
  console.log("seen", x);
  if (x === 0) throw new RangeError("zero has no inverse");
  return 1 / decoder.decode(new TextEncoder().encode(x));
}
export const numbers = [1, 2, 0, 4];
const k = 10;
export const scale = (x) => x * k;
export const who = () => process.pid;
export const nap = (x) => new Promise((done) => setTimeout(() => done(x), 50));
export const many = Array.from({ length: 40 }, (_, n) => n);
export function* endless() { for (let n = 0;; n++) yield n; }
`;

/** Milliseconds that one command may take on a machine that is busy with other things. */
const LIMIT = 100_000;

/** A test that needs programs, and takes long where many other things run. */
function check(programs: readonly string[], name: string, body: () => Promise<void>): void {
  test.needs(programs, name, body, { timeout: 2 * LIMIT });
}

interface Run {
  code: number | null;
  stdout: string;
  stderr: string;
}

interface RunOptions {
  stdin?: string;
  /** Words that go before the command. */
  within?: string[];
  env?: Record<string, string>;
  /** Called when it runs, with what it said on standard error so far. */
  started?: (pid: number, said: () => string) => Promise<void>;
}

/** A folder with the user's state in it, in which `pathos` is run. */
function workplace(): Disposable & {
  path: string;
  pathos(args: string[], options?: RunOptions): Promise<Run>;
} {
  const folder = tempDir();
  writeFileSync(join(folder.path, "work.mjs"), WORK);
  return {
    path: folder.path,
    pathos: (args, options) => pathos(folder.path, args, options),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

async function pathos(
  cwd: string,
  args: string[],
  { stdin = "", within = [], env, started }: RunOptions = {},
): Promise<Run> {
  const [program, ...rest] = [...within, ...COMMAND, ...args];
  const child = spawn(program, rest, {
    cwd,
    env: {
      ...process.env,
      ...cluster?.env,
      ...AS_ROOT,
      XDG_STATE_HOME: join(cwd, "state"),
      NO_COLOR: "1",
      ...env,
    },
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), LIMIT);
  let stdout = "", stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text);
  child.stdin.on("error", () => {});
  child.stdin.end(stdin);
  const closed = new Promise<number | null>((resolve) => child.on("close", resolve));
  try {
    await started?.(child.pid!, () => stderr);
    return { code: await closed, stdout, stderr };
  } finally {
    clearTimeout(timer);
    child.kill("SIGKILL"); // if what was expected of it did not come
  }
}

/** Columns of the lines under the heads of a table. */
const rows = (text: string): string[][] =>
  text.trim().split("\n").slice(1).map((line) => line.trim().split(/ {2,}/));

check(
  SLURM_PROGRAMS,
  "pathos job submits, waits and shows the output, with the scheduler that is there",
  async () => {
    using place = workplace();
    const submitted = await place.pathos([
      "job",
      "submit",
      "--name",
      "greet",
      "--tasks",
      "2",
      "--walltime",
      "0:02:00",
      "--env",
      "WHOM=you all",
      "--",
      'echo "hello $WHOM, $SLURM_NTASKS"; echo oops >&2',
    ]);
    assertEquals([submitted.code, submitted.stderr], [0, "pathos job: the scheduler here is slurm\n"]);
    const id = submitted.stdout.trim();
    assertMatch(id, /^\d+$/);
    const waited = await place.pathos(["job", "wait", id]);
    assertEquals(
      [waited.code, rows(waited.stdout)],
      [0, [[id, "completed", "0", "n1", "greet"]]],
      waited.stderr,
    );
    assertEquals(await place.pathos(["job", "logs", id]), {
      code: 0,
      stdout: "hello you all, 2\noops\n",
      stderr: "",
    });
    assertEquals(readFileSync(join(place.path, `greet-${id}.out`), "utf8"), "hello you all, 2\noops\n");
    const status = await place.pathos(["job", "status", "--json", id]);
    assertEquals([status.code, status.stderr], [0, ""]);
    const { scheduler, status: state, exitCode } = JSON.parse(status.stdout);
    assertEquals({ scheduler, state, exitCode }, { scheduler: "slurm", state: "completed", exitCode: 0 });
  },
);

check(
  SLURM_PROGRAMS,
  "pathos job submit --wait ends with 1 when the job ends badly, and errors can go apart",
  async () => {
    using place = workplace();
    const { code, stdout } = await place.pathos([
      "job",
      "submit",
      "--wait",
      "--stdout",
      "out-{job}",
      "--stderr",
      "err-{job}",
      "--",
      "sh",
      "-c",
      "echo fine; echo 'not \"fine\"' >&2; exit 3",
    ]);
    const [[id, state, exit]] = rows(stdout.slice(stdout.indexOf("\n") + 1));
    assertEquals([code, state, exit, stdout.split("\n")[0]], [1, "failed", "3", id]);
    assertEquals((await place.pathos(["job", "logs", id])).stdout, "fine\n");
    assertEquals((await place.pathos(["job", "logs", "--errors", id])).stdout, 'not "fine"\n');
    assertEquals(
      (await place.pathos(["job", "fetch", `out-${id}`, `err-${id}`])).stdout,
      'fine\nnot "fine"\n',
    );
    const missing = await place.pathos(["job", "fetch", "none"]);
    assertEquals([missing.code, missing.stdout], [1, ""]);
    assertMatch(missing.stderr, /none/);
  },
);

check(
  SLURM_PROGRAMS,
  "pathos job shows the tasks of an array, and the output of all or of one",
  async () => {
    using place = workplace();
    const submitted = await place.pathos([
      "job",
      "submit",
      "--array",
      "1-3:2,7%2",
      "--",
      "echo task $PATHOS_TASK; [ $PATHOS_TASK != 3 ]",
    ]);
    const id = submitted.stdout.trim();
    const waited = await place.pathos(["job", "wait", id]);
    assertEquals([waited.code, rows(waited.stdout).map(([task, state]) => [task, state])], [1, [
      [`${id}_1`, "completed"],
      [`${id}_3`, "failed"],
      [`${id}_7`, "completed"],
    ]]);
    const name = (task: number) => `pathos-${id}-${task}.out`;
    const all = [1, 3, 7].map((task) => `==> ${name(task)} <==\ntask ${task}\n`).join("");
    assertEquals((await place.pathos(["job", "logs", id])).stdout, all);
    assertEquals((await place.pathos(["job", "logs", `${id}_3`])).stdout, "task 3\n");
  },
);

check(
  SLURM_PROGRAMS,
  "pathos job holds, releases and cancels; Ctrl-C ends waiting, not the job",
  async () => {
    using place = workplace();
    const job = (...args: string[]) => place.pathos(["job", ...args]);
    const id = (await job("submit", "--hold", "--", "sleep", "300")).stdout.trim();
    assertEquals(rows((await job("status", id)).stdout)[0].slice(0, 2), [id, "held"]);
    assertEquals((await job("logs", id)).code, 1);
    assertEquals((await job("release", id)).code, 0);
    const interrupted = await place.pathos(["job", "wait", id], {
      async started(pid, said) {
        await until(() => said().includes(`${id} is running`), 30_000);
        process.kill(pid, "SIGINT");
      },
    });
    assertEquals(interrupted.code, 130);
    assertStringIncludes(interrupted.stderr, `the jobs go on; pathos job cancel ${id} ends them`);
    const late = await job("wait", "--timeout", "100ms", id);
    assertEquals([late.code, late.stdout], [124, ""]);
    assertEquals((await job("status", id)).stdout.includes("running"), true);
    assertEquals((await job("cancel", id)).code, 0);
    const ended = await job("wait", id);
    assertEquals([ended.code, rows(ended.stdout)[0][1]], [1, "cancelled"]);
  },
);

check(
  SLURM_PROGRAMS,
  "pathos job status of a job nobody knows ends with 1; a refusal comes in the scheduler's words",
  async () => {
    using place = workplace();
    const unknown = await place.pathos(["job", "status", "987654"]);
    assertEquals([unknown.code, rows(unknown.stdout)[0].slice(0, 2)], [1, ["987654", "unknown"]]);
    const logs = await place.pathos(["job", "logs", "987654"]);
    assertEquals(logs.code, 2);
    assertStringIncludes(logs.stderr, "pathos job fetch FILE");
    const refused = await place.pathos(["job", "submit", "--queue", "nowhere", "--", "true"]);
    assertEquals([refused.code, refused.stdout], [1, ""]);
    assertMatch(refused.stderr, /sbatch did not take the job .*invalid partition specified: nowhere/s);
  },
);

check(
  SLURM_PROGRAMS,
  "pathos job keeps no values of variables, and nobody else can read what it keeps",
  async () => {
    using place = workplace();
    const { stdout } = await place.pathos(["job", "submit", "--env", "TOKEN=sesame", "--", "true"]);
    const folder = join(place.path, "state/pathos/jobs");
    const [file] = readdirSync(folder);
    const text = readFileSync(join(folder, file), "utf8");
    assertEquals(JSON.parse(text).id, stdout.trim());
    assert(!text.includes("sesame"));
    assertEquals([statSync(folder).mode & 0o77, statSync(join(folder, file)).mode & 0o77], [0, 0]);
  },
);

check(
  [...SLURM_PROGRAMS, ...SSHD_PROGRAMS],
  "pathos job --host submits on a login node, and later commands find the way by the job's id",
  async () => {
    await using sshd = await startSshd({ env: { SLURM_CONF: cluster.env.SLURM_CONF } });
    using place = workplace();
    const nowhere = { env: { SLURM_CONF: "/nowhere" } }; // this machine knows no cluster
    const there = ["--host", "host1", "--ssh-config", sshd.config];
    const job = (...args: string[]) => place.pathos(["job", ...args], nowhere);
    const submitted = await job(
      "submit",
      ...there,
      "--workdir",
      place.path,
      "--",
      'pwd; echo "it is $SLURM_JOB_ID" >&2',
    );
    assertEquals([submitted.code, submitted.stderr], [0, "pathos job: the scheduler on host1 is slurm\n"]);
    const id = submitted.stdout.trim();
    const waited = await job("wait", id);
    assertEquals([waited.code, rows(waited.stdout)[0].slice(0, 2)], [0, [id, "completed"]], waited.stderr);
    const said = `${place.path}\nit is ${id}\n`;
    assertEquals(await job("logs", id), { code: 0, stdout: said, stderr: "" });
    assertEquals((await job("fetch", ...there, `${place.path}/pathos-${id}.out`)).stdout, said);
    const { host } = JSON.parse((await job("status", "--json", id)).stdout);
    assertEquals(host, "host1");
    const elsewhere = await job("status", "--host", "host2", "--ssh-config", sshd.config, id);
    assertStringIncludes(elsewhere.stderr, "the scheduler on host2 is slurm");
  },
);

check(
  SLURM_PROGRAMS,
  "pathos job fetch prints the results of a batch map that another program submitted",
  async () => {
    using place = workplace();
    const folder = join(place.path, "run");
    const run = await slurm({ env: cluster.env, cwd: place.path }).map(
      (x: number) => {
        if (x === 0) throw new RangeError("zero has no inverse");
        return 1 / x;
      },
      [1, 2, 0, 4],
      { tasks: 2, folder },
    );
    assertEquals(run.folder, folder);
    const { code, stdout, stderr } = await place.pathos(["job", "fetch", "--wait", folder]);
    assertEquals([code, stderr], [1, "pathos job: 1 of 4 items failed\n"]);
    const lines = stdout.trim().split("\n").map((line) => JSON.parse(line));
    assertEquals(lines.map(({ index, value }) => [index, value]), [[0, 1], [1, 0.5], [2, undefined], [
      3,
      0.25,
    ]]);
    assertEquals(lines[2].error.message, "zero has no inverse");
    const other = await place.pathos(["job", "fetch", place.path]);
    assertEquals(other.code, 2);
    assertStringIncludes(other.stderr, "not that of a batch map");
    await run.remove();
  },
);

test("pathos job --dry-run prints the script for any scheduler, and submits nothing", async () => {
  using place = workplace();
  const dry = (scheduler: string, ...flags: string[]) =>
    place.pathos([
      "job",
      "submit",
      "--dry-run",
      "--scheduler",
      scheduler,
      ...flags,
      "--",
      "./solve",
      "a b.dat",
    ]);
  const slurm = await dry(
    "slurm",
    "--nodes",
    "2:ppn=4,partition=long",
    "--memory",
    "4G",
    "--walltime",
    "1:30:00",
    "--gpus=1",
    "--option=--constraint=haswell",
    "--after",
    "ok:12,13",
    "--mail",
    "end,fail",
    "--signal",
    "USR1@2m",
    "--no-requeue",
  );
  assertEquals(slurm.code, 0, slurm.stderr);
  assertStringIncludes(slurm.stderr, "would run sbatch --parsable with this script");
  assertEquals(slurm.stdout.split("\n"), [
    "#!/bin/sh",
    "#SBATCH --nodes=2",
    "#SBATCH --ntasks-per-node=4",
    "#SBATCH --mem=4194304K",
    "#SBATCH --gpus-per-node=1",
    "#SBATCH --time=01:30:00",
    "#SBATCH --partition=long",
    "#SBATCH --dependency=afterok:12:13",
    "#SBATCH --kill-on-invalid-dep=yes",
    "#SBATCH --mail-type=END,FAIL",
    "#SBATCH --output=pathos-%j.out",
    "#SBATCH --no-requeue",
    "#SBATCH --signal=B:USR1@120",
    "#SBATCH --constraint=haswell",
    "exec ./solve 'a b.dat'",
    "",
  ]);
  assertMatch((await dry("pbs", "--queue", "q")).stdout, /^#PBS -q q$/m);
  assertMatch((await dry("lsf", "--walltime", "90m")).stdout, /^#BSUB -W 1:30$|^#BSUB -W 01:30$/m);
  assertMatch((await dry("sge", "--tasks", "4", "--parallel-environment", "mpi")).stdout, /^#\$ -pe mpi 4$/m);
  const refused = await dry("sge", "--qos", "high");
  assertEquals([refused.code, refused.stdout], [2, ""]);
  assertMatch(refused.stderr, /Grid Engine has no qos/);
  assertEquals(existsSync(join(place.path, "state")), false);
});

for (
  const [args, message] of [
    [["job"], /job needs to know what to do; it can submit, status/],
    [["job", "sbmit"], /job cannot sbmit; did you mean submit\?/],
    [["job", "submit"], /which command\? It goes behind --/],
    [["job", "submit", "./solve", "--", "a"], /\.\/solve stands before --/],
    [["job", "status"], /which job\? pathos job status ID/],
    [["job", "status", "1", "--tasks", "2"], /job status takes no --tasks/],
    [["job", "logs", "1", "2"], /job logs takes one job, and got 2/],
    [["job", "cancel", "--", "1"], /job cancel runs no command/],
    [["job", "cancel", "a b"], /"a b" is no job id/],
    [["job", "submit", "--walltime", "90", "--", "a"], /--walltime is "90": .*1:30:00, or a duration/],
    [["job", "submit", "--walltime", "1:30", "--", "a"], /--walltime is "1:30"/],
    [["job", "submit", "--array", "5-1", "--", "a"], /--array is "5-1"/],
    [["job", "submit", "--after", "okay:1", "--", "a"], /--after is "okay:1": .*; did you mean ok\?/],
    [["job", "submit", "--mail", "finish", "--", "a"], /--mail is "finish"/],
    [["job", "submit", "--nodes", "2:ppn=2", "--tasks-per-node", "2", "--", "a"], /say the same twice/],
    [["job", "submit", "--scheduler", "slrum", "--", "a"], /no scheduler slrum; did you mean slurm\?/],
    [["job", "submit", "--name", "a b", "--scheduler", "slurm", "--", "a"], /name is "a b"; it may have/],
    [["job", "submit", "--wall", "2h", "--", "a"], /there is no flag --wall; did you mean --walltime\?/],
  ] as [string[], RegExp][]
) {
  test(`pathos ${args.join(" ")} is a mistake with status 2`, async () => {
    using place = workplace();
    const { code, stdout, stderr } = await place.pathos(args, { env: { PATH: "/nowhere" } });
    assertEquals([code, stdout], [2, ""], stderr);
    assertMatch(stderr, message);
  });
}

test("pathos job submit where there is no scheduler says what it looked for", async () => {
  using place = workplace();
  mkdirSync(join(place.path, "bin"));
  const { code, stderr } = await place.pathos(["job", "submit", "--", "true"], {
    env: { PATH: join(place.path, "bin") },
  });
  assertEquals(code, 2);
  const named = await place.pathos(["job", "submit", "--scheduler", "lsf", "--", "true"], {
    env: { PATH: join(place.path, "bin") },
  });
  assertEquals([named.code, named.stdout], [2, ""]);
  assertMatch(named.stderr, /programs are not on the PATH here: .*bsub/);
  assertStringIncludes(
    stderr,
    "there is no batch scheduler here: none of sbatch, bsub, msub and qsub is on the PATH",
  );
});

/** The lines of results, with `what` in place of errors. */
function results(stdout: string): unknown[] {
  return stdout.trim().split("\n").map((line) => {
    const { index, input, value, error } = JSON.parse(line);
    return [index, input, error?.message ?? value];
  });
}

const INVERSES = [[0, 1, 1], [1, 2, 0.5], [2, 0, "zero has no inverse"], [3, 4, 0.25]];

for (const mpi of MPIS) {
  for (const ranks of [2, 4]) {
    check(
      [mpi.program],
      `${mpi.name}: pathos mpi world as ${ranks} ranks prints them in order`,
      async () => {
        using place = workplace();
        const { code, stdout, stderr } = await place.pathos(["mpi", "world"], { within: mpi.words(ranks) });
        assertEquals([code, stderr], [0, ""]);
        const told = rows(stdout);
        assertEquals(
          told.map(([rank, size]) => [Number(rank), Number(size)]),
          Array.from({ length: ranks }, (_, i) => [i, ranks]),
        );
        assertMatch(told[0][4], new RegExp(`^${mpi.name}`));
      },
    );

    for (const action of ["ezpool", "ezscatter"]) {
      check(
        [mpi.program],
        `${mpi.name}: pathos mpi ${action} as ${ranks} ranks maps on them; a failed item does not abort the job`,
        async () => {
          using place = workplace();
          const args = ["mpi", action, "work.mjs", "work.mjs:numbers"];
          const { code, stdout, stderr } = await place.pathos(args, { within: mpi.words(ranks) });
          assertEquals([code, results(stdout)], [1, INVERSES], stderr);
          assertStringIncludes(stderr, `pathos mpi ${action}: 1 of 4 items failed`);
          assert(!/MPI_ABORT/i.test(stderr), stderr);
        },
      );
    }
  }

  check([mpi.program], `${mpi.name}: pathos mpi world starts so many ranks itself`, async () => {
    using place = workplace();
    const launcher = mpi.name === "Open MPI" ? "openmpi" : "mpich";
    const { code, stdout, stderr } = await place.pathos([
      "mpi",
      "world",
      "--nodes",
      "3",
      "--launcher",
      launcher,
    ]);
    assertEquals([code, rows(stdout).map(([rank]) => rank)], [0, ["0", "1", "2"]], stderr);
  });

  check(
    [mpi.program],
    `${mpi.name}: pathos map --mpi under its launcher reads standard input`,
    async () => {
      using place = workplace();
      const stdin = "3\n4\n5\n";
      const { code, stdout, stderr } = await place.pathos(
        ["map", "work.mjs:scale", "-", "--mpi", "2", "--values"],
        { within: mpi.words(2), stdin },
      );
      assertEquals([code, stdout, stderr], [0, "30\n40\n50\n", ""]);
    },
  );
}

const MPIRUN = [MPIS[0].program, "mpirun"];

for (const action of ["ezpool", "ezscatter"]) {
  check(MPIRUN, `pathos mpi ${action} starts its ranks, and writes the results to a file`, async () => {
    using place = workplace();
    const { code, stdout, stderr } = await place.pathos(
      ["mpi", action, "work.mjs", "work.mjs:numbers", "--nodes", "2", "--output", "out.jsonl"],
    );
    assertEquals([code, stdout], [1, ""], stderr);
    assertEquals(results(readFileSync(join(place.path, "out.jsonl"), "utf8")), INVERSES);
    assertStringIncludes(stderr, "seen 4\n");
  });
}

check(MPIRUN, "pathos map --mpi --scatter uses every rank that it starts", async () => {
  using place = workplace();
  const { code, stdout, stderr } = await place.pathos(
    ["map", "work.mjs:who", "work.mjs:many", "--mpi", "1:ppn=3", "--scatter", "--values"],
  );
  assertEquals([code, stdout.trim().split("\n").length], [0, 40], stderr);
  assertEquals(new Set(stdout.trim().split("\n")).size, 3);
});

check(MPIRUN, "Ctrl-C ends pathos mpi ezpool with status 130, and no rank is left", async () => {
  using place = workplace();
  let below: number[] = [];
  const { code } = await place.pathos([
    "mpi",
    "ezpool",
    "work.mjs:nap",
    "work.mjs:endless",
    "--nodes",
    "2",
    "--output",
    "out",
  ], {
    async started(pid) {
      const out = join(place.path, "out");
      await until(() => existsSync(out) && statSync(out).size > 0, 40_000, "results come");
      below = processesBelow(pid).map((info) => info.pid);
      process.kill(pid, "SIGINT");
    },
  });
  assertEquals(code, 130);
  assert(below.length >= 4, "launcher, ranks and workers");
  await until(() => below.every((pid) => !isAlive(pid)), 20_000, "the ranks are gone");
});

check(
  [...SLURM_PROGRAMS, ...MPIRUN],
  "pathos map --mpi --scheduler maps on the ranks of a batch job",
  async () => {
    using place = workplace();
    const { code, stdout, stderr } = await place.pathos(
      [
        "map",
        "work.mjs",
        "work.mjs:numbers",
        "--mpi",
        "2",
        "--scheduler",
        "slurm",
        "--queue",
        "main",
        "--option=--comment=ranks",
      ],
    );
    assertEquals([code, results(stdout)], [1, INVERSES], stderr);
  },
);

check(
  [...SLURM_PROGRAMS, ...MPIRUN, ...PMIX_PROGRAMS],
  "pathos mpi in a batch job is the ranks that srun starts, and starts its own with mpirun",
  async () => {
    using place = workplace();
    const words = quote(COMMAND);
    const script =
      `srun --mpi=pmix ${words} mpi world && ${words} mpi ezpool work.mjs:scale work.mjs:numbers --values`;
    const { stdout, stderr } = await place.pathos([
      "job",
      "submit",
      "--tasks",
      "2",
      "--wait",
      "--stderr",
      "err",
      "--",
      script,
    ]);
    const id = stdout.split("\n")[0];
    const { stdout: said } = await place.pathos(["job", "logs", id]);
    const world = said.split("\n").slice(0, 3);
    assertEquals(
      rows(world.join("\n")).map(([rank, size]) => [rank, size]),
      [["0", "2"], ["1", "2"]],
      said + stderr,
    );
    assertMatch(said, /^10\n20\n0\n40$/m, readFileSync(join(place.path, "err"), "utf8") + stderr);
  },
);

check(
  [...SLURM_PROGRAMS, ...SSHD_PROGRAMS, ...MPIRUN],
  "pathos mpi ezpool --host maps on the ranks of a batch job on a cluster that ssh reaches",
  async () => {
    await using sshd = await startSshd({ env: { SLURM_CONF: cluster.env.SLURM_CONF } });
    using place = workplace();
    const { code, stdout, stderr } = await place.pathos([
      "mpi",
      "ezpool",
      "work.mjs:scale",
      "work.mjs:numbers",
      "--values",
      "--nodes",
      "2",
      "--scheduler",
      "slurm",
      "--host",
      "host1",
      "--ssh-config",
      sshd.config,
    ], { env: { SLURM_CONF: "/nowhere" } });
    assertEquals([code, stdout], [0, "10\n20\n0\n40\n"], stderr);
  },
);

for (
  const [args, message] of [
    [["mpi"], /mpi needs to know what to do; it can world, ezpool, ezscatter/],
    [["mpi", "ezpol"], /mpi cannot ezpol; did you mean ezpool\?/],
    [["mpi", "ezpool"], /which function\? pathos mpi ezpool FILE:EXPORT INPUT/],
    [["mpi", "ezpool", "work.mjs"], /over which inputs\?/],
    [["mpi", "ezpool", "work.mjs:who", "work.mjs:many", "--nodes", "4:pn=2"], /nodes "4:pn=2"/],
    [
      ["mpi", "ezpool", "work.mjs:who", "work.mjs:many", "--launcher", "mpirum"],
      /no launcher mpirum; did you mean mpirun\?/,
    ],
    [
      ["mpi", "ezpool", "work.mjs:who", "work.mjs:many", "--walltime", "1h"],
      /--walltime is about a batch job: add --scheduler/,
    ],
    [
      ["mpi", "ezpool", "work.mjs:who", "work.mjs:many", "--accept-new"],
      /--accept-new is about hosts, and there is none/,
    ],
    [
      ["mpi", "ezpool", "work.mjs:who", "work.mjs:many", "--output", "no/such/file"],
      /cannot write no\/such\/file/,
    ],
    [["mpi", "world", "--host", "h"], /mpi world takes no --host/],
    [["mpi", "world", "4"], /mpi world takes no arguments, and got 4/],
    [["map", "work.mjs:who", "work.mjs:many", "--scatter"], /--scatter is about MPI ranks: add --mpi N/],
    [
      ["map", "work.mjs:who", "work.mjs:many", "--launcher", "srun"],
      /--launcher is about MPI ranks: add --mpi N/,
    ],
    [
      ["map", "work.mjs:who", "work.mjs:many", "--mpi", "2", "--threads"],
      /--mpi and --threads exclude each other/,
    ],
    [["map", "work.mjs:who", "work.mjs:many", "--mpi", "0"], /nodes "0"/],
  ] as [string[], RegExp][]
) {
  test(`pathos ${args.join(" ")} is a mistake with status 2`, async () => {
    using place = workplace();
    const { code, stdout, stderr } = await place.pathos(args);
    assertEquals([code, stdout], [2, ""], stderr);
    assertMatch(stderr, message);
  });
}
