/** ParallelPool over real ssh connections to a private sshd: results, errors, and everything that can go wrong. */
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { ParallelPool, TaskError, WorkerLostError } from "@pathos/pathos";
import { disconnect } from "@pathos/pathos/ssh";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import process from "node:process";
import { FAR_LINK_PROGRAMS, farLink, whyNoFarLink } from "./far_link.ts";
import { isAlive, processesBelow, runScript, runtime, test, until } from "./harness.ts";
import { type Sshd, SSHD_PROGRAMS, startSshd } from "./sshd.ts";

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const nap = (ms: number) => (x: number): number => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  return x;
};
/** Sends a signal; a process that has just ended by itself needs none. */
function kill(pid: number, signal: string): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as { code?: string }).code !== "ESRCH") throw error;
  }
}

/** A test with an sshd of its own, which must be left without anything that still runs. */
function remote(name: string, body: (sshd: Sshd) => Promise<void>): void {
  test.needs(SSHD_PROGRAMS, name, async () => {
    const before = leftovers();
    await using sshd = await startSshd({ hosts: 3 });
    await body(sshd);
    await disconnect();
    await until(() => sshd.processes().length === 0, 60_000, `nothing of "${name}" runs on the host`);
    await until(() => leftovers() <= before, 60_000, "no socket or temporary file is left here");
  }, { timeout: 300_000 });
}

/** Temporary files of ours on this side. */
function leftovers(): number {
  return readdirSync(tmpdir()).filter((name) => /^pathos-(?!sshd-|test-)/.test(name)).length;
}

/** The processes of ssh on this side that lead to the sshd. */
const clients = (sshd: Sshd) =>
  processesBelow(process.pid).filter(({ command }) => command.includes(sshd.config));
/** The servers on the host. */
const servers = (sshd: Sshd) => sshd.processes().filter(({ command }) => /server-\w+\.mjs/.test(command));

remote("a bare host gets the program once, runs the map, and names itself in errors", async (sshd) => {
  const cache = `${sshd.home}/.cache/pathos`;
  assert(!existsSync(cache));
  const k = 3;
  const helper = (x: number): number => x * k;
  {
    await using pool = new ParallelPool({ workers: 0, servers: [sshd.host()] });
    assertEquals(await pool.map((x: number) => helper(x) + 1, range(100)), range(100).map((x) => x * 3 + 1));
    const error = await assertRejects(
      () =>
        pool.map((x: number) => {
          if (x === 2) throw new RangeError("two");
          return x;
        }, range(4)),
      TaskError,
    ) as TaskError;
    assertEquals([error.index, (error.cause as Error).name], [2, "RangeError"]);
    assertStringIncludes(error.worker, "host1");
    assertMatch((error.cause as Error).stack!, /map_remote\.test/);
    assertEquals(await pool.mapReduce((x: number) => x, (a, b) => a + b, range(100)), 4950);
    const [status] = pool.servers;
    assertEquals([status.server, status.state], ["host1", "ready"]);
    assertMatch(status.runtime!, /^(deno|node) \d/);
  }
  const [program, ...others] = readdirSync(cache);
  assertEquals(others, []);
  assertMatch(program, /^server-[0-9a-f]{32}\.mjs$/);
  const { mtimeMs, mode } = statSync(`${cache}/${program}`);
  assertEquals([mode & 0o077, statSync(cache).mode & 0o077], [0, 0]);
  await using again = new ParallelPool({ workers: 0, servers: [sshd.host()] });
  assertEquals(await again.map((x: number) => -x, [1]), [-1]);
  assertEquals(statSync(`${cache}/${program}`).mtimeMs, mtimeMs);
});

remote("this machine and two hosts share a map, each item once", async (sshd) => {
  await using pool = new ParallelPool({
    workers: 1,
    servers: [sshd.host(1), { ...sshd.host(2), workers: 1 }],
  });
  await pool.map(nap(1), range(3)); // connects
  const itemsOf = (host: string): number =>
    pool.stats().workers.filter((worker) => worker.host === host).reduce((sum, { items }) => sum + items, 0);
  await until(
    async () => {
      assertEquals(await pool.with({ chunkSize: 1 }).map(nap(10), range(120)), range(120));
      return ["local", "host1", "host2"].every((host) => itemsOf(host) > 5);
    },
    60_000,
    "all three take part",
  );
  assertEquals(pool.workers, 1 + pool.servers[0].workers + 1);
});

remote("variables, environment, modules: what reaches the code on a host", async (sshd) => {
  await using pool = new ParallelPool({
    workers: 0,
    servers: [{ ...sshd.host(), workers: 1, env: { PATHOS_COLOUR: 'it\'s "green" $HOME' } }],
  });
  const [colour, home, base] = await pool.pipe(async () => {
    const { env } = await import("node:process");
    const { basename } = await import("node:path");
    return [env.PATHOS_COLOUR, env.HOME, basename("/a/b")];
  });
  assertEquals([colour, home, base], ['it\'s "green" $HOME', sshd.home, "b"]);
});

remote("a host without Deno or Node gets the runtime of this program, once", async (sshd) => {
  const bin = `${sshd.folder}/bin`;
  mkdirSync(bin);
  const tools = [
    "sh",
    "cat",
    "chmod",
    "find",
    "gzip",
    "head",
    "id",
    "mkdir",
    "mv",
    "rm",
    "sleep",
    "uname",
    "wc",
  ];
  for (const tool of [...tools, "kill"]) {
    const path = execFileSync("/bin/sh", ["-c", `command -v ${tool}`], { encoding: "utf8" }).trim();
    if (path.startsWith("/")) symlinkSync(path, `${bin}/${tool}`);
  }
  writeFileSync(`${sshd.home}/.profile`, "");
  const host = { ...sshd.host(), workers: 1, env: { PATH: bin } };
  const cache = `${sshd.home}/.cache/pathos`;
  const kept = () =>
    readdirSync(cache).map((name) => `${name.split("-")[0]} ${statSync(`${cache}/${name}`).mtimeMs}`).sort();
  let first: string[] | undefined;
  for (let time = 0; time < 2; time++) {
    await using pool = new ParallelPool({ workers: 0, servers: [host] });
    assertEquals(await pool.map((x: number) => x + 1, [1]), [2]);
    assertEquals(kept(), first ??= kept());
  }
  assertEquals(first!.map((name) => name.split(" ")[0]), [runtime, "server"].sort());
});

remote("a pool that ends while a host is being connected does not wait for it", async (sshd) => {
  const sockets = new Set<Socket>();
  const silent = createServer((socket) => {
    sockets.add(socket.on("error", () => {}).on("close", () => sockets.delete(socket)).resume());
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => silent.once("listening", resolve));
  const { port } = silent.address() as { port: number };
  for (const transport of ["openssh", "ssh2"] as const) {
    const host = { host: "127.0.0.1", port, user: sshd.user, knownHosts: sshd.knownHosts, transport };
    const pool = new ParallelPool({ workers: 1, servers: [{ ...host, connectTimeout: 60_000 }] });
    assertEquals(await pool.map((x: number) => x + 1, [1]), [2]);
    assertEquals(pool.servers[0].state, "connecting");
    const began = performance.now();
    await pool.terminate();
    assert(performance.now() - began < 30_000, `${transport} was not waited for`);
  }
  for (const socket of sockets) socket.end(); // npm:ssh2 would wait on
  await new Promise((resolve) => silent.close(resolve));
});

remote("the same over npm:ssh2, without an ssh program", async (sshd) => {
  const host = {
    host: "127.0.0.1",
    name: "other",
    port: sshd.port,
    user: sshd.user,
    identity: sshd.identity,
    knownHosts: sshd.knownHosts,
    transport: "ssh2" as const,
    workers: 1,
  };
  await using pool = new ParallelPool({ workers: 0, servers: [host] });
  const k = 5;
  assertEquals(await pool.map((x: number) => x * k, range(500)), range(500).map((x) => x * 5));
  const running = pool.with({ chunkSize: 1 }).map(nap(10), range(100));
  await new Promise((resolve) => setTimeout(resolve, 200));
  for (const { pid } of sshd.sessions()) kill(pid, "SIGKILL");
  assertEquals(await running, range(100));
});

remote("kill -9 of ssh, of the server, of a worker: every item has its result", async (sshd) => {
  await using pool = new ParallelPool({ workers: 1, servers: [{ ...sshd.host(), workers: 2 }] });
  await pool.map(nap(1), range(10));
  const victims: [string, () => { pid: number } | undefined][] = [
    ["ssh", () => clients(sshd)[0]],
    ["server", () => servers(sshd).at(-1)],
    ["worker", () => sshd.processes().find(({ command }) => /data:text|-e const f/.test(command))],
  ];
  for (const [what, victim] of victims) {
    let killed = false;
    const items = function* () {
      for (let i = 0; !killed || i < 150; i++) yield i; // the map lasts until there was somebody to kill
    };
    const running = pool.with({ chunkSize: 1 }).map(nap(15), items());
    await until(() => pool.servers[0].state === "ready", 60_000, `the host is back before ${what} is killed`);
    await new Promise((resolve) => setTimeout(resolve, 100));
    kill((await until(victim, 60_000, `there is a ${what} to kill`)).pid, "SIGKILL");
    killed = true;
    const results = await running;
    assert(results.length >= 150);
    assertEquals(results, range(results.length), `after kill -9 of ${what}`);
  }
  assert(pool.stats().lost >= 3);
});

remote("a function that ends its process fails alone, with the host in the error", async (sshd) => {
  await using pool = new ParallelPool({ workers: 0, servers: [{ ...sshd.host(), workers: 1 }] });
  const error = await assertRejects(
    () => pool.with({ retries: 1 }).map(async (x: number) => (await import("node:process")).exit(x), [7]),
    WorkerLostError,
  ) as WorkerLostError;
  assertEquals([error.exitCode, error.index], [7, 0]);
  assertStringIncludes(error.message, "host1");
  assertEquals(await pool.map((x: number) => x, [1]), [1]);
});

remote("timeouts and cancellation stop what runs on a host", async (sshd) => {
  await using pool = new ParallelPool({ workers: 0, servers: [{ ...sshd.host(), workers: 1 }] });
  const forever = (): never => {
    for (;;);
  };
  await pool.map((x: number) => x, [1]);
  const error = await assertRejects(() => pool.with({ timeout: 200 }).map(forever, [1]));
  assertEquals((error as Error).name, "TimeoutError");
  const stop = new AbortController();
  const stopped = pool.with({ signal: stop.signal }).map(forever, [1]).catch((error) => error);
  await new Promise((resolve) => setTimeout(resolve, 300));
  stop.abort();
  assertEquals((await stopped).name, "AbortError");
  assertEquals(await pool.map((x: number) => x + 1, [1]), [2]);
});

remote("kill -9 of the client: nothing stays on the host, nor here", async (sshd) => {
  let sshs: number[] = [];
  const { signal } = await runScript(
    `import { ParallelPool } from "@pathos/pathos";
     const pool = new ParallelPool({ workers: 1, servers: [${
      JSON.stringify({ ...sshd.host(), workers: 2 })
    }] });
     await pool.map(() => { for (;;); }, Array.from({ length: 50 }));`,
    {
      async onStart(pid) {
        await until(() => servers(sshd).length > 0 && sshd.processes().length >= 4, 90_000);
        sshs = processesBelow(pid).map((info) => info.pid);
        kill(pid, "SIGKILL");
      },
    },
  );
  assertEquals(signal, "SIGKILL");
  assert(sshs.length > 0);
  await until(() => !sshs.some(isAlive), 60_000, "nothing is left here");
});

remote("a connection that freezes is given up, its items run again, and it comes back", async (sshd) => {
  await using pool = new ParallelPool({ workers: 1, servers: [{ ...sshd.host(), workers: 1 }] });
  await pool.map(nap(1), range(10));
  const running = pool.with({ chunkSize: 1 }).map(nap(20), range(450));
  await until(() => pool.servers[0].state === "ready", 60_000);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const frozen = sshd.sessions().map(({ pid }) => pid);
  for (const pid of frozen) kill(pid, "SIGSTOP");
  await until(() => pool.servers[0].state !== "ready", 30_000, "the freeze is noticed");
  assertEquals(await running, range(450));
  for (const pid of frozen) kill(pid, "SIGCONT");
});

remote("a host that reboots is used again", async (sshd) => {
  await using pool = new ParallelPool({ workers: 0, servers: [{ ...sshd.host(), workers: 2 }] });
  await pool.map(nap(1), range(10));
  const running = pool.with({ chunkSize: 1 }).map(nap(10), range(200));
  await new Promise((resolve) => setTimeout(resolve, 300));
  await sshd.down();
  for (const { pid } of sshd.processes()) kill(pid, "SIGKILL");
  await new Promise((resolve) => setTimeout(resolve, 5000));
  await sshd.up();
  assertEquals(await running, range(200));
});

remote("a wrong host key, and a host that is not there: said, and the others work", async (sshd) => {
  const wrong = `${sshd.folder}/wrong_known_hosts`;
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", `${sshd.folder}/other`]);
  const key = readFileSync(`${sshd.folder}/other.pub`, "utf8");
  writeFileSync(wrong, `[127.0.0.1]:${sshd.port} ${key}`);
  const bad = { ...sshd.host(1), knownHosts: wrong };
  const alone = new ParallelPool({ workers: 0, servers: [bad] });
  const error = await assertRejects(() => alone.map((x: number) => x, [1])) as Error;
  assertMatch(error.message, /host1.*host key/is);
  await assertRejects(() => alone.map((x: number) => x, [1]), Error, "host key");
  await alone.terminate();
  await using pool = new ParallelPool({ workers: 0, servers: [bad, sshd.host(2)] });
  assertEquals(await pool.map((x: number) => x + 1, range(10)), range(10).map((x) => x + 1));
  await until(() => pool.servers[0].state === "failed");
  assertEquals(pool.servers[1].state, "ready");
});

remote("a pool does not keep the program from ending, and leaves nothing", async (sshd) => {
  const { code, stdout, stderr } = await runScript(
    `import { ParallelPool } from "@pathos/pathos";
     const pool = new ParallelPool({ workers: 0, servers: [${
      JSON.stringify({ ...sshd.host(), workers: 1 })
    }] });
     console.log(await pool.map((x) => x + 1, [1, 2]), Date.now());`,
  );
  const ended = Date.now();
  assertEquals([code, stderr], [0, ""]);
  const [, done] = /^\[ 2, 3 \] (\d+)\n$/.exec(stdout)!;
  assert(ended - Number(done) < 20_000, "it did not wait for the lease of the server");
});

test.needs(SSHD_PROGRAMS, "20 hosts at once", async () => {
  await using sshd = await startSshd({ hosts: 20 });
  {
    const hosts = range(20).map((i) => ({ ...sshd.host(i + 1), workers: 1 }));
    await using pool = new ParallelPool({ workers: 0, servers: hosts });
    await until(
      async () => {
        assertEquals(await pool.with({ chunkSize: 1 }).map(nap(2), range(60)), range(60));
        return pool.servers.every(({ state }) => state === "ready");
      },
      200_000,
      "all 20 hosts are connected",
    );
    assertEquals(await pool.with({ chunkSize: 1 }).map(nap(20), range(200)), range(200));
    const busy = new Set(pool.stats().workers.filter(({ items }) => items > 0).map(({ host }) => host));
    assertEquals(busy.size, 20);
  }
  await disconnect();
  await until(() => sshd.processes().length === 0, 60_000, "nothing is left on the hosts");
}, { timeout: 400_000 });

test.needs(
  [...SSHD_PROGRAMS, ...FAR_LINK_PROGRAMS],
  "30 ms and 1% loss: every item once, in order, errors and all",
  async () => {
    await using far = await farLink({ delay: 15, loss: 1 });
    await using sshd = await startSshd({ far });
    {
      await using pool = new ParallelPool({ workers: 1, servers: [{ ...sshd.host(), workers: 2 }] });
      await until(async () => {
        await pool.map(nap(5), range(20));
        return pool.servers[0].state === "ready";
      }, 60_000);
      assert(pool.servers[0].latency! > 25);
      assertEquals(await pool.map(nap(2), range(1000)), range(1000));
      const big = await pool.map((x: number) => new Float64Array(20_000).fill(x), range(30));
      assertEquals(big.map((array) => array[19_999]), range(30));
      const settled = await pool.with({ onError: "collect", chunkSize: 1 }).map((x: number) => {
        if (x % 10 === 3) throw new RangeError(`${x}`);
        return x;
      }, range(200)) as unknown as PromiseSettledResult<number>[];
      assertEquals(settled.filter(({ status }) => status === "rejected").length, 20);
      assertEquals(
        await pool.mapReduce((x: number) => `${x},`, (a, b) => a + b, range(300)),
        range(300).join() + ",",
      );
    }
    await disconnect();
  },
  { timeout: 300_000, notHere: whyNoFarLink() },
);
