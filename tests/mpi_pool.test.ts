/** MpiPool on real ranks: inside an MPI job, and from outside, on Open MPI and MPICH, over ssh, and in Slurm jobs. */
import { TaskError, TimeoutError, WorkerLostError } from "@pathos/pathos";
import { type Launcher, MpiPool, Scheduler, slurmDialect } from "@pathos/pathos/mpi";
import { disconnect } from "@pathos/pathos/ssh";
import { assert, assertEquals, assertLess, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, symlinkSync } from "node:fs";
import { homedir, networkInterfaces } from "node:os";
import { join } from "node:path";
import process from "node:process";
import {
  runScript,
  runtime,
  type ScriptOptions,
  type ScriptResult,
  tempDir,
  test,
  until,
} from "./harness.ts";
import { type Mpi, MPIS } from "./mpi.ts";
import { processesWith, signalAll } from "./processes.ts";
import { PMIX_PROGRAMS, SLURM_PROGRAMS, startSlurm } from "./slurm.ts";
import { SSHD_PROGRAMS, startSshd } from "./sshd.ts";

/** Where programs of ranks, and folders of batch jobs, are kept. */
const cacheFolder = (): string => join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "pathos");
const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const AS_ROOT = { OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" };

/** Runs a script as so many ranks; it finds `MpiPool` and a few helpers. None of them is left. */
async function inside(
  mpi: Mpi,
  ranks: number,
  code: string,
  options: ScriptOptions = {},
): Promise<ScriptResult> {
  const mark = crypto.randomUUID();
  const result = await runScript(
    `
    import { deepStrictEqual as same, ok } from "node:assert";
    import process from "node:process";
    import { MpiPool, world } from "@pathos/pathos/mpi";
    const range = (n) => Array.from({ length: n }, (_, i) => i);
    ${code}`,
    { ...options, env: { ...AS_ROOT, PATHOS_TEST_MARK: mark, ...options.env }, within: mpi.words(ranks) },
  );
  assertEquals(result.expired, false, result.stderr);
  await until(() => processesWith(`PATHOS_TEST_MARK=${mark}`).length === 0, 30_000, "no rank is left");
  return result;
}

const ended = ({ stdout, stderr, code }: ScriptResult) => ({ stdout, stderr, code });

for (const mpi of MPIS) {
  const { name, program } = mpi;

  test.needs(
    [program],
    `${name}: inside a job every method maps on the other ranks, and only rank 0 goes on`,
    async () => {
      const result = await inside(
        mpi,
        4,
        `
      const pool = new MpiPool();
      const k = 3, helper = (x) => x * k;
      same(await pool.map((x) => helper(x) + 1, range(1000)), range(1000).map((x) => 3 * x + 1));
      const ordered = [];
      for await (const x of pool.imap((x) => -x, range(50))) ordered.push(x);
      same(ordered, range(50).map((x) => -x));
      const any = [];
      for await (const x of pool.uimap(async (x) => x, range(50))) any.push(x);
      same(any.sort((a, b) => a - b), range(50));
      same(await pool.amap((x, y) => x + y, [1, 2, 3], [10, 20]).get(), [11, 22]);
      same(await pool.pipe((a, b) => a * b, 6, 7), 42);
      same(await pool.mapReduce((x) => x, (a, b) => a + b, range(1001)), 500500);
      same(pool.workers, 3);
      const ranks = new Set(await pool.with({ chunkSize: 1 }).map((x) => {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
        return globalThis.process?.env.PMI_RANK ?? globalThis.Deno?.env.get("OMPI_COMM_WORLD_RANK") ?? globalThis.process?.env.OMPI_COMM_WORLD_RANK;
      }, range(12)));
      same([...ranks].sort(), ["1", "2", "3"]);
      await pool.map((x) => console.log("said by an item", x), [7]);
      console.log("done by rank", world().rank);
    `,
      );
      assertEquals(ended(result), { stdout: "said by an item 7\ndone by rank 0\n", stderr: "", code: 0 });
    },
  );

  test.needs([program], `${name}: errors name the rank and its machine, and the ranks live on`, async () => {
    const { stdout, code, stderr } = await inside(
      mpi,
      3,
      `
      const pool = new MpiPool();
      const error = await pool.map((x) => { if (x === 5) throw new RangeError("five"); return x; }, range(10)).catch((e) => e);
      same([error.name, error.index, error.cause.name, error.cause.message], ["TaskError", 5, "RangeError", "five"]);
      console.log(error.worker);
      const settled = await pool.with({ onError: "collect" }).map((x) => { if (x % 2) throw new Error("odd"); return x; }, range(6));
      same(settled.map(({ status }) => status), range(6).map((x) => x % 2 ? "rejected" : "fulfilled"));
      for await (const x of pool.imap((x) => x, (function* () { for (let n = 0;; n++) yield n; })())) if (x === 20) break;
      same(await pool.map((x) => x, range(10)), range(10));
    `,
    );
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /^rank [12] \(\S+\)\n$/);
  });

  test.needs(
    [program],
    `${name}: large values cross in parts, and "scatter" cuts the items in equal parts`,
    async () => {
      const result = await inside(
        mpi,
        3,
        `
      const pool = new MpiPool({ strategy: "scatter" });
      const lengths = await pool.map((x) => new Float64Array(x).fill(x), [0, 1, 100, 3000, 100_000, 2_000_000]);
      same(lengths.map((a) => [a.length, a.at(-1)]), [[0, undefined], ...[1, 100, 3000, 100_000, 2_000_000].map((n) => [n, n])]);
      const big = new Uint8Array(30_000_000).fill(5);
      same(await pool.pipe((bytes) => bytes.reduce((a, b) => a + b, 0), big), 150_000_000);
      same(await pool.map((x) => x + 1, new Float64Array([1, 2, 3])), [2, 3, 4]);
      await pool.clear();
      same(await pool.map((x) => x * 2, range(30)), range(30).map((x) => 2 * x));
      same(pool.stats().chunks, 3);
      pool.close();
      await pool.join();
      const again = new MpiPool();
      same(await again.map((x) => x, range(3)), range(3));
      console.log("ok");
    `,
      );
      assertEquals(ended(result), { stdout: "ok\n", stderr: "", code: 0 });
    },
  );

  test.needs(
    [program],
    `${name}: an item over its time is given up, and its rank left out until it comes back`,
    async () => {
      const result = await inside(
        mpi,
        3,
        `
      const pool = new MpiPool();
      const nap = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
      const work = (x) => { const end = Date.now() + (x === 1 ? 4000 : 1); while (Date.now() < end); return x; };
      const error = await pool.with({ timeout: 200 }).map(work, [0, 1, 2]).catch((e) => e);
      same([error.name, error.index], ["TimeoutError", 1]);
      const begun = performance.now();
      same(await pool.map((x) => x, range(5)), range(5));
      ok(performance.now() - begun < 3000);
      await new Promise((resolve) => setTimeout(resolve, 5000));
      await pool.with({ chunkSize: 1 }).map((x) => { const end = Date.now() + 50; while (Date.now() < end); }, range(8));
      same(pool.workers, 2);
      console.log("ok");
    `,
      );
      assertEquals(ended(result), { stdout: "ok\n", stderr: "", code: 0 });
    },
  );

  test.needs([program], `${name}: one rank alone works itself`, async () => {
    const result = await inside(
      mpi,
      1,
      `const pool = new MpiPool(); console.log(await pool.map((x) => x + 1, [1, 2]), pool.workers);`,
    );
    assertEquals(ended(result), { stdout: "[ 2, 3 ] 1\n", stderr: "", code: 0 });
  });

  test.needs([program], `${name}: what ends a rank in the middle ends the job, and is said`, async () => {
    const exits = await inside(
      mpi,
      3,
      `const pool = new MpiPool();
       await pool.map(async (x) => { if (x === 3) (await import("node:process")).exit(0); }, range(5));`,
    );
    assert(exits.code !== 0);
    assertMatch(
      exits.stderr,
      /rank [12] of 3 on \S+ ends the MPI job: its program ended \(exit status 0\) while it worked/,
    );
    const killed = await inside(
      mpi,
      3,
      `const pool = new MpiPool();
       await pool.map(async (x) => { const { kill, pid } = await import("node:process"); if (x === 3) kill(pid, "SIGKILL"); }, range(5));`,
    );
    assert(killed.code !== 0);
    const throws = await inside(
      mpi,
      3,
      `const pool = new MpiPool();
       await pool.map((x) => { if (x === 3) setTimeout(() => { throw new Error("later"); }, 1); return new Promise((r) => setTimeout(r, 300)); }, range(5));`,
    );
    assert(throws.code !== 0);
    assertMatch(throws.stderr, /rank [12] of 3 on \S+ ends the MPI job by an error:\nError: later/);
  });

  test.needs(
    [program],
    `${name}: ranks that make no pool are told of, and the others go on without them`,
    async () => {
      const { stdout, stderr, code } = await inside(
        mpi,
        3,
        `
      if (world().rank === 1) await new Promise((resolve) => setTimeout(resolve, 1500)); // and ends
      else {
        const pool = new MpiPool({ timeout: 400 });
        console.log(await pool.map((x) => { const end = Date.now() + 300; while (Date.now() < end); return x; }, range(4)));
      }
    `,
      );
      assertEquals(stdout, "[ 0, 1, 2, 3 ]\n");
      assertMatch(
        stderr,
        /of the 2 other ranks these do not serve after 400 ms: 1\. Every rank must make an MpiPool/,
      );
      assertMatch(stderr, /rank 1 \(never heard of\) did not end within 5 s: the MPI job is aborted/);
      assert(code !== 0);
    },
  );

  test.needs([program], `${name}: many pools and maps one after the other`, async () => {
    const result = await inside(
      mpi,
      4,
      `
      for (let round = 0; round < 40; round++) {
        const pool = new MpiPool({ onall: round % 2 === 0, strategy: round % 3 ? "pool" : "scatter" });
        same(await pool.map((x) => x + round, range(100)), range(100).map((x) => x + round));
        same(await pool.with({ chunkSize: 1 }).map((x) => x, range(200)), range(200));
        await Promise.all([pool.map((x) => -x, range(300)), pool.pipe(() => 1)]);
        if (round % 4) { pool.close(); await pool.join(); } else await pool.terminate();
      }
      console.log("ok");
    `,
    );
    assertEquals(ended(result), { stdout: "ok\n", stderr: "", code: 0 });
  });

  // ---- from outside ----

  /** Starts ranks with this MPI. */
  const launcher: Launcher = ({ command, tasks }) => ({ argv: [...mpi.words(tasks!), ...command], env: {} });

  test.needs(
    [program],
    `${name}: from outside the ranks are started, used by every method, and gone`,
    async () => {
      const before = ranksHere();
      {
        await using pool = new MpiPool({ nodes: 3, launcher });
        const k = 2, helper = (x: number) => x * k;
        assertEquals(
          await pool.map((x: number) => helper(x) + 1, range(500)),
          range(500).map((x) => 2 * x + 1),
        );
        const seen: number[] = [];
        for await (const x of pool.imap((x: number) => x, range(20))) seen.push(x);
        assertEquals(seen, range(20));
        assertEquals(await pool.mapReduce((x: number) => x, (a, b) => a + b, range(101)), 5050);
        assertEquals(pool.workers, 3);
        const workers = pool.stats().workers.map(({ worker }) => worker.replace(/\(.*\)/, "(host)"));
        assertEquals(workers, ["rank 0 (host)", "rank 1 (host)", "rank 2 (host)"]);
        const error = await assertRejects(
          () =>
            pool.map((x: number) => {
              if (x === 2) throw new RangeError("two");
              return x;
            }, range(4)),
          TaskError,
          "RangeError: two",
        );
        assertMatch(error.worker, /^rank \d \(\S+\)$/);
        const big = await pool.map((x: number) => new Uint8Array(x).fill(1), [5_000_000, 10]);
        assertEquals(big.map(({ length }) => length), [5_000_000, 10]);
      }
      {
        await using pool = new MpiPool({ nodes: "2:ppn=1", launcher, onall: false });
        assertEquals(await pool.map((x: number) => x, range(3)), range(3));
        assertEquals(pool.stats().workers.map(({ worker }) => worker.slice(0, 6)), ["rank 1"]);
      }
      await until(() => ranksHere() <= before, 30_000, "no rank is left");
    },
  );

  test.needs(
    [program],
    `${name}: from outside a lost worker, a slow item and a killed rank end neither job nor map`,
    async () => {
      await using pool = new MpiPool({ nodes: 2, launcher });
      const lost = await assertRejects(
        () =>
          pool.map(async (x: number) => {
            if (x === 1) (await import("node:process")).exit(3);
            return x;
          }, range(3)),
        WorkerLostError,
      );
      assertEquals([lost.exitCode, lost.index], [3, 1]);
      await assertRejects(
        () =>
          pool.with({ timeout: 300 }).map((x: number) => {
            while (x === 0);
            return x;
          }, [0]),
        TimeoutError,
      );
      assertEquals(await pool.map((x: number) => x, range(4)), range(4));
      const rank = await pool.pipe(async () => (await import("node:process")).ppid);
      const mapping = pool.with({ chunkSize: 1 }).map(async (x: number) => {
        await new Promise((resolve) => setTimeout(resolve, 100));
        return x;
      }, range(16));
      setTimeout(() => process.kill(rank, "SIGKILL"), 250);
      assertEquals(await mapping, range(16));
    },
    { timeout: 90_000 },
  );
}

/** Ranks, and what started them, that run on this machine. */
function ranksHere(): number {
  return processesWith("OMPI_MCA_rmaps_base_oversubscribe=1").length;
}

const { program: mpirun } = MPIS[0];
const openmpi: Launcher = ({ command, tasks }) => ({ argv: [...MPIS[0].words(tasks!), ...command], env: {} });

test.needs([mpirun], "options of an MpiPool that make no sense are refused", () => {
  assertThrows(() => new MpiPool({ nodes: "2:ppn=0" }), RangeError, "ppn is not a positive whole number");
  assertThrows(
    () => new MpiPool({ strategy: "spread" as "pool" }),
    TypeError,
    'it must be "pool" or "scatter"',
  );
  assertThrows(() => new MpiPool({ workers: 3 } as never), TypeError, 'there is no pool option "workers"');
  assertThrows(() => new MpiPool({ nodes: 1, onall: false }), RangeError, "one rank that deals");
  assertThrows(
    () => new MpiPool({ launcher: "mpistart" as "serial" }),
    TypeError,
    'there is no launcher "mpistart"',
  );
});

test.needs([mpirun], "ranks that never start are an error that says why", async () => {
  const bad = async (launcher: Launcher, timeout: number): Promise<Error> => {
    await using pool = new MpiPool({ nodes: 2, launcher, timeout });
    return await assertRejects(() => pool.map((x: number) => x, [1, 2])) as Error;
  };
  const began = performance.now();
  const silent = await bad(() => ({ argv: ["sh", "-c", "exec sleep 300", "@"], env: {} }), 500);
  assertMatch(silent.message, /the job of 2 ranks did not start within 0\.5 s/);
  const missing = await bad(({ command }) => ({ argv: ["no-such-mpirun", ...command], env: {} }), 20_000);
  assertMatch(missing.message, /no-such-mpirun/);
  assertLess(performance.now() - began, 15_000);
});

test.needs([mpirun], "kill -9 of the program that has started ranks ends them", async () => {
  const before = ranksHere();
  const { signal, stdout } = await runScript(
    `
    import { MpiPool } from "@pathos/pathos/mpi";
    import process from "node:process";
    const pool = new MpiPool({ nodes: 3, launcher: ({ command, tasks }) => ({ argv: [...${
      JSON.stringify(MPIS[0].words(3))
    }, ...command], env: {} }) });
    console.log(await pool.map((x) => x, [1, 2, 3]));
    pool.map(() => new Promise(() => {}), [1, 2, 3]);
    setTimeout(() => process.kill(process.pid, "SIGKILL"), 200);
  `,
  );
  assertEquals([signal, stdout], ["SIGKILL", "[ 1, 2, 3 ]\n"]);
  await until(() => ranksHere() <= before, 30_000, "no rank is left");
});

test.needs([mpirun, ...SSHD_PROGRAMS], "ranks are started on a host by ssh", async () => {
  await using sshd = await startSshd({ hosts: 1 });
  {
    const host = { ...sshd.host(), env: { PATHOS_TEST_PROFILE: "of the host" } };
    await using pool = new MpiPool({ nodes: 2, host, launcher: openmpi });
    const k = 4;
    assertEquals(await pool.map((x: number) => x * k, range(100)), range(100).map((x) => x * k));
    assertEquals(await pool.pipe(async () => (await import("node:process")).env.HOME), sshd.home);
    const variable = async () => (await import("node:process")).env.PATHOS_TEST_PROFILE;
    assertEquals(await pool.pipe(variable), "of the host");
  }
  await disconnect();
  await until(() => sshd.processes().length === 0, 30_000, "nothing runs on the host");
});

test.needs(
  [mpirun, ...SLURM_PROGRAMS, ...PMIX_PROGRAMS],
  "ranks run in a Slurm job on several nodes, which ends with the pool",
  async () => {
    await using cluster = await startSlurm({ nodes: 3, cpus: 2 });
    const slurm = new Scheduler(slurmDialect, { env: cluster.env, polling: [50, 500] });
    const folders = (): string[] =>
      existsSync(cacheFolder()) ? readdirSync(cacheFolder()).filter((name) => name.startsWith("ranks-")) : [];
    const before = folders().length;
    const node = async (): Promise<string | undefined> => (await import("node:process")).env.SLURMD_NODENAME;
    {
      await using pool = new MpiPool({
        nodes: "3:ppn=1",
        scheduler: slurm,
        job: { name: "ranks", walltime: 600_000 },
        launcher: ({ command, tasks }) => ({
          argv: ["mpirun.openmpi", "-n", `${tasks}`, ...command],
          env: {},
        }),
      });
      const k = 5;
      assertEquals(await pool.map((x: number) => x * k, range(50)), range(50).map((x) => x * k));
      const found = await pool.with({ chunkSize: 1 }).map(async (_: number) => {
        await new Promise((resolve) => setTimeout(resolve, 100));
        return (await import("node:process")).env.SLURMD_NODENAME;
      }, range(9));
      assertEquals([...new Set(found)].sort(), ["n1", "n2", "n3"]);
    }
    let name: string | undefined;
    await until(
      async () => {
        const [state] = await slurm.status("1");
        name = state.name;
        return state.status === "cancelled";
      },
      30_000,
      "the job is cancelled",
    );
    assertEquals(name, "ranks");
    assertEquals(folders().length, before);
    {
      const launcher: Launcher = ({ command, tasks }) => ({
        argv: ["srun", "--mpi=pmix", `--ntasks=${tasks}`, ...command],
        env: {},
      });
      await using pool = new MpiPool({ nodes: 2, scheduler: slurm, launcher });
      assertMatch(await pool.pipe(node) ?? "", /^n[123]$/);
    }
    {
      await using pool = new MpiPool({
        nodes: 2,
        scheduler: slurm,
        launcher: () => ({ argv: ["no-such-launcher", "@"], env: {} }),
      });
      const error = await assertRejects(() => pool.map((x: number) => x, [1])) as Error;
      assertMatch(
        error.message,
        /ended \((failed|completed)\) before its ranks were there.*said: .*no-such-launcher/s,
      );
    }
    assertEquals(folders().length, before);
  },
  { timeout: 120_000 },
);

test.needs(
  [MPIS[1].program, "unshare"],
  "rank 0 on another machine is reached over the network, encrypted",
  async () => {
    const words = (
      tasks: number,
    ) => ["unshare", "-u", "sh", "-c", 'hostname far-node && exec "$@"', "sh", ...MPIS[1].words(tasks)];
    const launcher: Launcher = ({ command, tasks }) => ({ argv: [...words(tasks!), ...command], env: {} });
    await using pool = new MpiPool({ nodes: 2, launcher });
    assertEquals(await pool.map((x: number) => x * 2, range(10)), range(10).map((x) => x * 2));
    assertEquals(pool.stats().workers.map(({ worker }) => worker), [
      "rank 0 (far-node)",
      "rank 1 (far-node)",
    ]);
    assertEquals((await pool.pipe((n: number) => new Uint8Array(n), 10_000_000)).length, 10_000_000);
  },
  { notHere: whyNoFarNode() },
);

/** A machine is another one if it has another name; that needs root, and an address that is not loopback. */
function whyNoFarNode(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root";
  const other = Object.values(networkInterfaces()).flat().some((one) =>
    one?.family === "IPv4" && !one.internal
  );
  return other ? undefined : "needs a network besides loopback";
}

test.needs([mpirun], "with source no file of the ranks is kept", async () => {
  const kept = (): string[] => readdirSync(cacheFolder()).filter((name) => name.startsWith("ranksource"));
  await using pool = new MpiPool({ nodes: 2, source: true, launcher: openmpi, workdir: "/" });
  assertEquals(await pool.pipe(async () => (await import("node:process")).cwd()), "/");
  assertEquals(kept(), []);
});

test.needs(
  [mpirun, ...SLURM_PROGRAMS, ...SSHD_PROGRAMS],
  "from a laptop a Slurm job's ranks map, also when the connection is lost meanwhile",
  async () => {
    await using cluster = await startSlurm({ nodes: 2, cpus: 2 });
    await using sshd = await startSshd({ hosts: 1, env: { ...cluster.env, ...AS_ROOT } });
    const slurm = new Scheduler(slurmDialect, { host: sshd.host(), polling: [50, 500] });
    {
      await using pool = new MpiPool({ nodes: "2:ppn=1", scheduler: slurm, launcher: openmpi });
      const k = 7;
      assertEquals(await pool.map((x: number) => x * k, range(20)), range(20).map((x) => x * k));
      const mapping = pool.with({ chunkSize: 1 }).map(async (x: number) => {
        await new Promise((resolve) => setTimeout(resolve, 100));
        return x * k;
      }, range(30));
      await new Promise((resolve) => setTimeout(resolve, 500));
      signalAll("SIGKILL", sshd.sessions());
      assertEquals(await mapping, range(30).map((x) => x * k));
      assertEquals(pool.servers.map(({ state }) => state), ["ready"]);
      const [job] = await slurm.status("1");
      assertEquals(job.status, "running"); // it is the same job
      assertEquals((await slurm.status("2"))[0].status, "unknown");
    }
    await disconnect();
    await until(() => sshd.processes().length === 0, 30_000, "nothing runs on the host");
  },
  { timeout: 120_000 },
);

test("without any MPI the ranks of a pool are started all the same, on this machine", async () => {
  using folder = tempDir();
  const needed = ["sh", "uname", "id", "mkdir", "head", "wc", "cat", "chmod", "mv", "rm", "find", runtime];
  for (const name of needed) {
    const path = execFileSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim();
    symlinkSync(path, join(folder.path, name));
  }
  const { stdout, stderr, code } = await runScript(
    `
    import { MpiPool } from "@pathos/pathos/mpi";
    const pool = new MpiPool({ nodes: 3 });
    console.log(await pool.map((x) => x * 2, [1, 2, 3]), pool.workers);
    pool.close();
    await pool.join();
  `,
    { env: { PATH: folder.path } },
  );
  assertEquals([stdout, code], ["[ 2, 4, 6 ] 3\n", 0], stderr);
  assertMatch(stderr, /^pathos: 3 ranks talk over TCP on this machine: no launcher of MPI started the ranks/);
});
