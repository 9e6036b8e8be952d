/**
 * The verbs of the `pathos` command that deal with hosts, run as a user runs them, against a private sshd: what
 * they print where, how they end, and that nothing is left of them, here or on the host.
 *
 * @module
 */
import { ParallelPool } from "@pathos/pathos";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { isAlive, processesBelow, runtime, tempDir, test, until } from "./harness.ts";
import { type Sshd, SSHD_PROGRAMS, startSshd } from "./sshd.ts";

const COMMAND = runtime === "node"
  ? [process.execPath, join(process.cwd(), "node_modules/@pathos/pathos/cli.js")]
  : [process.execPath, "run", "-A", "--quiet", fileURLToPath(new URL("../cli.ts", import.meta.url))];

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A command that runs. */
class Running {
  stdout = "";
  stderr = "";
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;

  constructor(args: string[], cwd: string, env: Record<string, string>) {
    const [program, ...rest] = [...COMMAND, ...args];
    const child = this.#child = spawn(program, rest, { cwd, env: { ...process.env, NO_COLOR: "1", ...env } });
    child.stdout!.setEncoding("utf8").on("data", (text: string) => this.stdout += text);
    child.stderr!.setEncoding("utf8").on("data", (text: string) => this.stderr += text);
    child.stdin!.on("error", () => {});
    const timer = setTimeout(() => process.kill(child.pid!, "SIGKILL"), 120_000);
    this.ended = new Promise((resolve) =>
      child.on("close", (code) => {
        clearTimeout(timer);
        resolve({ code, stdout: this.stdout, stderr: this.stderr });
      })
    );
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Gives it this as its last input. */
  input(data: string | Uint8Array): void {
    this.#child.stdin!.end(data);
  }

  kill(signal: "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGKILL"): void {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    process.kill(this.pid, signal); // after the child's own kill(), Deno says that the signal ended it
  }

  /** What it printed, once that fits. */
  async prints(pattern: RegExp, where: "stdout" | "stderr" = "stdout"): Promise<RegExpExecArray> {
    let over = false;
    this.ended.then(() => over = true);
    return await until(
      () => {
        const found = pattern.exec(this[where]);
        if (!found && over) throw new Error(`it ended without ${pattern}: ${this.stdout}${this.stderr}`);
        return found;
      },
      60_000,
      `${where} has ${pattern}`,
    );
  }
}

interface Rig {
  sshd: Sshd;
  /** Where the commands run. */
  folder: string;
  start(...args: string[]): Running;
  /** Runs to the end. */
  run(args: string[], input?: string | Uint8Array): Promise<Ended>;
}

/** A rig without an sshd. */
async function here(body: (rig: Omit<Rig, "sshd">) => Promise<void>, profiles: Record<string, unknown> = {}) {
  using folder = tempDir();
  const path = (name: string) => join(folder.path, name);
  mkdirSync(path("tmp"));
  mkdirSync(path("work"));
  writeFileSync(path("hosts.yaml"), JSON.stringify(profiles));
  const running: Running[] = [];
  const start = (...args: string[]): Running => {
    const one = new Running(args, path("work"), { PATHOS_HOSTS: path("hosts.yaml"), TMPDIR: path("tmp") });
    running.push(one);
    return one;
  };
  try {
    await body({
      folder: path("work"),
      start,
      run(args, input = "") {
        const one = start(...args);
        one.input(input);
        return one.ended;
      },
    });
    await Promise.all(running.map(({ ended }) => ended));
    await until(() => readdirSync(path("tmp")).length === 0).catch(() => {
      throw new Error(`there is still ${inspect(readdirSync(path("tmp"), { recursive: true }))}`);
    });
  } finally {
    for (const one of running) one.kill("SIGKILL");
  }
}

/** A test with an sshd, which must be left without anything that still runs. */
function remote(name: string, body: (rig: Rig) => Promise<void>): void {
  test.needs(SSHD_PROGRAMS, name, async () => {
    await using sshd = await startSshd();
    await here(async (rig) => {
      await body({ ...rig, sshd });
      // an sshd that goes down may take what holds a connection with it before that has cleared up: its last pulse sleeps 15 s
      await until(() => sshd.processes().length === 0, 60_000).catch(() => {
        throw new Error(`on the host there runs still ${inspect(sshd.processes())}`);
      });
    }, { host1: sshd.host(1), host2: sshd.host(2), nobody: { ...sshd.host(1), user: "nobody" } });
  });
}

function local(name: string, body: (rig: Omit<Rig, "sshd">) => Promise<void>): void {
  test(name, () => here(body));
}

/** Command lines of everything that runs on this machine. */
function commandLines(): string {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
    } catch {
      return ""; // it ended
    }
  }).join("\n");
}

const tokenOf = (url: string): string => new URL(url).searchParams.get("token")!;

async function square(url: string): Promise<void> {
  await using pool = new ParallelPool({ workers: 0, servers: [url] });
  assertEquals(await pool.map((x: number) => x * x, [1, 2, 3]), [1, 4, 9]);
}

/** What a TCP or unix socket says, after it was told something. */
function talk(where: { port: number } | { path: string }, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    const socket = connect(where as { path: string });
    socket.setEncoding("utf8").on("data", (piece: string) => said += piece);
    socket.on("error", reject).on("close", () => resolve(said));
    socket.end(text);
  });
}

/** A server that says what it hears, in capitals. */
async function shouter(body: (port: number) => Promise<void>): Promise<void> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (bytes) => socket.end(String(bytes).toUpperCase()));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await body((server.address() as { port: number }).port);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

// serve

local("pathos serve prints a URL that pools can use, and ends at Ctrl-C with status 0", async ({ start }) => {
  const server = start("serve", "--workers", "1");
  const [url] = await server.prints(/^http:\S+$/m);
  assert(server.stdout.startsWith(url));
  await server.prints(/new ParallelPool/);
  await square(url);
  assert(!commandLines().includes(tokenOf(url)));
  server.kill("SIGINT");
  const { code, stderr } = await server.ended;
  assertEquals([code, stderr], [0, ""]);
});

local("pathos serve --json prints one line, and --stdin ends it with its input", async ({ start }) => {
  const server = start("serve", "--json", "--stdin", "--workers", "3");
  const [line] = await server.prints(/^.*\n/);
  const { url, workers, runtime: its, pid } = JSON.parse(line);
  assertEquals([workers, its.split(" ")[0], pid], [3, runtime, server.pid]);
  const health = await fetch(new URL("/health", url), {
    headers: { authorization: `Bearer ${tokenOf(url)}` },
  });
  assertEquals((await health.json()).workers, 3);
  server.input("");
  const { code, stdout, stderr } = await server.ended;
  assertEquals([code, stdout], [0, line]);
  assert(!stderr.includes(tokenOf(url)));
});

local(
  "pathos serve --socket listens on a socket of this user alone, which is gone afterwards, also after kill -9",
  async ({ start, folder }) => {
    const socket = join(folder, "a socket");
    for (const signal of ["SIGTERM", "SIGHUP", "SIGKILL"] as const) {
      const server = start("serve", "--socket", "a socket", "--workers", "1");
      const [url] = await server.prints(/^http\+unix:\S+$/m);
      assertEquals(statSync(socket).mode & 0o777, 0o600);
      if (signal === "SIGTERM") await square(url);
      server.kill(signal);
      assertEquals((await server.ended).code, signal === "SIGKILL" ? null : 0);
      await until(() => !existsSync(socket), 30_000, `the socket is gone after ${signal}`);
    }
  },
);

local(
  "pathos serve --token-file makes a token for this user alone and keeps to it",
  async ({ start, run, folder }) => {
    const first = start("serve", "--token-file", "token");
    const [url] = await first.prints(/^http:\S+$/m);
    assertEquals(statSync(join(folder, "token")).mode & 0o777, 0o600);
    first.kill("SIGINT");
    await first.ended;
    const second = start("serve", "--token-file", "token", "--port", new URL(url).port);
    assertEquals((await second.prints(/^http:\S+$/m))[0], url);
    const { code, stderr } = await run(["serve", "--port", new URL(url).port]);
    assertEquals(code, 1);
    assertMatch(stderr, /cannot listen on port \d+: somebody listens there already/);
    second.kill("SIGINT");
    writeFileSync(join(folder, "open"), "x".repeat(20), { mode: 0o644 });
    const open = await run(["serve", "--token-file", "open"]);
    assertEquals([open.code, open.stdout], [2, ""]);
    assertMatch(open.stderr, /others can read the token in open: chmod 600 open/);
  },
);

local("pathos serve --lease ends when nobody came", async ({ run }) => {
  const { code, stderr } = await run(["serve", "--lease", "200ms"]);
  assertEquals(code, 0);
  assertStringIncludes(stderr, "its lease is over");
});

// connect

remote(
  "pathos connect starts a server on a host, prints its URL here, and ends everything at Ctrl-C",
  async ({ start, sshd }) => {
    const connection = start("connect", "host1", "--workers", "1");
    const [url] = await connection.prints(/^http:\/\/127\.0\.0\.1:\S+$/m);
    await connection.prints(/1 worker on host1 \(\w+ \d.*ms away\)/);
    await square(url);
    await square(url); // a second pool, later
    assert(!commandLines().includes(tokenOf(url)));
    assert(sshd.processes().length > 0);
    connection.kill("SIGINT");
    const { code, stderr } = await connection.ended;
    assertEquals([code, stderr], [0, ""]);
  },
);

remote(
  "pathos connect says that its host was lost, and leaves nothing after kill -9",
  async ({ start, sshd }) => {
    const lost = start("connect", "host1", "--json");
    await lost.prints(/^\{"url":.*"host":"host1".*\}\n$/);
    await sshd.down();
    const { code, stderr } = await lost.ended;
    assertEquals(code, 1);
    assertMatch(stderr, /host1 was lost: /);
    await sshd.up();
    const killed = start("connect", "host1");
    await killed.prints(/^http/);
    const below = processesBelow(killed.pid);
    assert(below.length > 0);
    killed.kill("SIGKILL");
    await until(() => sshd.processes().length === 0, 60_000, "the server is gone");
    await until(
      () => !below.some(({ pid }) => isAlive(pid)),
      60_000,
      "what it started here is gone",
    );
  },
);

remote("pathos connect --keep starts the server again under the same URL", async ({ start, sshd }) => {
  const connection = start("connect", "host1", "--keep", "--workers", "1");
  const [url] = await connection.prints(/^http:\S+$/m);
  await using pool = new ParallelPool({ workers: 0, servers: [url] });
  assertEquals(await pool.map((x: number) => x + 1, [1]), [2]);
  await sshd.down();
  await connection.prints(/host1 was lost, trying again: /, "stderr");
  const later = pool.map((x: number) => x + 1, [2]);
  await sshd.up();
  assertEquals(await later, [3]);
  await connection.prints(/host1 is back/, "stderr");
  assert(!commandLines().includes(tokenOf(url)));
  assert(!connection.stderr.includes(tokenOf(url)));
  await pool.terminate();
  await sshd.down();
  await connection.prints(/is back[^]*was lost/, "stderr");
  connection.kill("SIGINT"); // while it tries
  assertEquals((await connection.ended).code, 0);
});

remote("Ctrl-C while it connects ends pathos connect at once", async ({ start, sshd }) => {
  writeFileSync(
    join(sshd.home, ".bashrc"),
    "sleep 20 # a login that takes its time",
  );
  const connection = start("connect", "host1");
  await until(() => processesBelow(connection.pid).some(({ command }) => command.includes("ssh")), 60_000);
  connection.kill("SIGINT");
  const began = performance.now();
  assertEquals((await connection.ended).code, 130);
  assert(performance.now() - began < 10_000);
});

// exec

remote("pathos exec gives a command its input, output, arguments and status as they are", async ({ run }) => {
  const bytes = randomBytes(300_000);
  const sum = await run(["exec", "host1", "--", "sha256sum | cut -c1-64; exit 7"], bytes);
  const { createHash } = await import("node:crypto");
  assertEquals([sum.code, sum.stdout.trim()], [7, createHash("sha256").update(bytes).digest("hex")]);
  const words = await run(["exec", "host1", "--", "printf", "%s|", "a  b", "$HOME", "it's", "--help", ""]);
  assertEquals([words.code, words.stdout, words.stderr], [0, "a  b|$HOME|it's|--help||", ""]);
  const both = await run(
    ["exec", "host1", "--cwd", "~", "--env", "PATHOS_X=a b", "--", 'pwd; echo "$PATHOS_X" >&2; kill -9 $$'],
  );
  assertEquals([both.code, both.stderr], [137, "a b\n"]);
  assertMatch(both.stdout, /\/home\n$/);
});

remote(
  "pathos exec writes what the command writes, byte by byte, and as it comes",
  async ({ start, folder }) => {
    const bytes = randomBytes(200_000);
    writeFileSync(join(folder, "data"), bytes);
    const child = spawn("sh", ["-c", `"$@" <data >out`, "sh", ...COMMAND, "exec", "host1", "--", "cat"], {
      cwd: folder,
      env: { ...process.env, PATHOS_HOSTS: join(folder, "../hosts.yaml"), TMPDIR: join(folder, "../tmp") },
    });
    assertEquals(await new Promise((resolve) => child.on("close", resolve)), 0);
    assert(readFileSync(join(folder, "out")).equals(bytes));
    const slow = start("exec", "host1", "--", "echo first; sleep 30");
    await slow.prints(/^first\n$/);
    slow.kill("SIGINT");
    assertEquals((await slow.ended).code, 130);
  },
);

remote(
  "pathos exec on several hosts puts the host before each line and tells which failed",
  async ({ run }) => {
    const command = 'echo out; echo err >&2; printf "no end"; [ "$PATHOS_N" = "" ]';
    const good = await run(["exec", "host1", "host2", "--", command]);
    assertEquals(good.code, 0);
    assertEquals(good.stdout.trim().split("\n").sort(), [
      "host1: no end",
      "host1: out",
      "host2: no end",
      "host2: out",
    ]);
    assertEquals(good.stderr.trim().split("\n").sort(), ["host1: err", "host2: err"]);
    const bad = await run(["exec", "host1", "nobody", "--limit", "1", "--", "exit 3"]);
    assertEquals([bad.code, bad.stdout], [1, ""]);
    assertMatch(bad.stderr, /^pathos exec: host1: exit status 3$/m);
    assertMatch(bad.stderr, /^pathos exec: nobody: it did not accept us as nobody/m);
  },
);

remote(
  "pathos exec ends what takes too long with 124, and a host that is not there with 255",
  async ({ run, sshd }) => {
    const late = await run(["exec", "host1", "--timeout", "8s", "--", "sleep 60"]);
    assertEquals(late.code, 124);
    assertMatch(late.stderr, /^pathos exec: host1: sleep 60 took longer than its limit of \d+ ms$/m);
    const config = ["--ssh-config", sshd.config];
    assertEquals((await run(["exec", "host2", ...config, "--", "true"])).code, 0);
    await sshd.down();
    const gone = await run(["exec", "host2", ...config, "--", "true"]);
    assertEquals(gone.code, 255);
    assertMatch(gone.stderr, /^pathos exec: host2: it refuses the connection. Does sshd run there/);
    await sshd.up();
  },
);

remote("a host whose key is not the known one gets nothing", async ({ run, sshd, folder }) => {
  writeFileSync(join(folder, "none"), "");
  writeFileSync(
    join(folder, "config"),
    readFileSync(sshd.config, "utf8").replace(sshd.knownHosts, join(folder, "none")),
  );
  const refused = await run(["exec", "host1", "--ssh-config", "config", "--", "true"]);
  assertEquals([refused.code, refused.stdout], [255, ""]);
  assertMatch(refused.stderr, /host1: its host key is not known/);
  const accepted = await run(["exec", "host1", "--ssh-config", "config", "--accept-new", "--", "true"]);
  assertEquals(accepted.code, 0);
  assertMatch(readFileSync(join(folder, "none"), "utf8"), /ssh-ed25519/);
});

// copy

remote("pathos copy brings folders there and back, and says what is wrong", async ({ run, sshd, folder }) => {
  mkdirSync(join(folder, "data/deep/er"), { recursive: true });
  writeFileSync(join(folder, "data/a b.txt"), "hello");
  writeFileSync(join(folder, "data/deep/er/big"), randomBytes(2_000_000));
  symlinkSync("a b.txt", join(folder, "data/link"));
  const there = await run(["copy", "data", "host1:", "--checksum", "--progress"]);
  assertEquals([there.code, there.stdout], [0, ""]);
  assertMatch(there.stderr, /^100% {2}2\.0 MB {2}2 files {2}\S+ \w+\/s {2}in 0:\d\d$/m);
  assertEquals(readFileSync(join(sshd.home, "data/link"), "utf8"), "hello");
  const back = await run(["copy", "host1:data/deep", "host1:data/a b.txt", "."]);
  assertEquals([back.code, back.stderr], [0, ""]);
  assert(readFileSync(join(folder, "deep/er/big")).equals(readFileSync(join(folder, "data/deep/er/big"))));
  assertEquals(readFileSync(join(folder, "a b.txt"), "utf8"), "hello");

  const fails = async (args: string[], message: RegExp) => {
    const { code, stderr } = await run(["copy", ...args]);
    assertEquals(code, 1);
    assertMatch(stderr, message);
    assert(!/^\s+at /m.test(stderr));
  };
  await fails(["data", "host1:x", "--no-recursive"], /^pathos copy: .*data.* is a folder/);
  await fails(["data/a b.txt", "host1:data", "--no-overwrite"], /host1:data.* exists already/);
  await fails(["host1:nothing", "."], /host1:nothing.*no such file/);
  await fails(["data/a b.txt", "nobody:"], /nobody: it did not accept us/);
});

remote(
  "Ctrl-C ends pathos copy and leaves nothing, or with --resume what arrived",
  async ({ start, run, sshd, folder }) => {
    const bytes = Buffer.alloc(200_000_000, "pathos");
    writeFileSync(join(folder, "big"), bytes);
    const interrupt = async (...flags: string[]) => {
      const size = () => {
        const [part] = readdirSync(sshd.home).filter((name) => /big/.test(name));
        return part && statSync(join(sshd.home, part), { throwIfNoEntry: false })?.size || 0;
      };
      for (let attempt = 0; attempt < 20; attempt++) {
        const copy = start("copy", "big", "host1:", ...flags);
        await until(() => size() > 20_000_000, 60_000, "some of it has arrived");
        copy.kill("SIGINT");
        const { code } = await copy.ended;
        if (code === 130) return;
        assertEquals(code, 0); // it was done before we saw it begin
        rmSync(join(sshd.home, "big"));
      }
      throw new Error("it was always done before it could be interrupted");
    };
    await interrupt();
    await until(
      () => !readdirSync(sshd.home).some((name) => /big/.test(name)),
      60_000,
      "nothing of it is there",
    );
    await interrupt("--resume");
    assert(readdirSync(sshd.home).includes(".big.pathos-part"));
    assertEquals((await run(["copy", "big", "host1:", "--resume"])).code, 0);
    assert(readFileSync(join(sshd.home, "big")).equals(bytes));
    assertEquals(readdirSync(sshd.home).filter((name) => /big/.test(name)), ["big"]);
  },
);

// tunnel

remote(
  "pathos tunnel forwards in all ways, comes back after a loss, and ends at Ctrl-C",
  async ({ start, sshd, folder }) => {
    await shouter(async (port) => {
      const socket = join(folder, "s");
      const tunnel = start(
        ...["tunnel", "host1", `L:0:localhost:${port}`, `L:${socket}:127.0.0.1:${port}`, "-R", `0:${port}`],
        ...["--dynamic", "0"],
      );
      await tunnel.prints(/(.*\n){4}/);
      const lines = tunnel.stdout.trim().split("\n");
      const ports = lines.map((line) => Number(/127\.0\.0\.1:(\d+) ->/.exec(line)?.[1]));
      assertEquals(lines[0], `L 127.0.0.1:${ports[0]} -> localhost:${port}`);
      assertEquals(lines[1], `L ${socket} -> 127.0.0.1:${port}`);
      assertEquals(lines[2].replace(/^R \S+/, "R"), `R -> localhost:${port}`);
      assertEquals(lines[3], `D 127.0.0.1:${ports[3]} -> SOCKS`);
      assertEquals(await talk({ port: ports[0] }, "local"), "LOCAL");
      assertEquals(await talk({ path: socket }, "socket"), "SOCKET");
      assertEquals(await talk({ port: ports[2] }, "remote"), "REMOTE");

      await sshd.down();
      await tunnel.prints(/L:0:localhost:\d+ was lost, trying again: host1: /, "stderr");
      await sshd.up();
      await tunnel.prints(/L:0:localhost:\d+ is back/, "stderr");
      assertEquals(await talk({ port: ports[0] }, "again"), "AGAIN");

      tunnel.kill("SIGINT");
      assertEquals((await tunnel.ended).code, 0);
      await until(() => !existsSync(socket), 60_000, "the socket is gone");
    });
  },
);

remote("pathos tunnel says which port is taken, and which host cannot be reached", async ({ run, start }) => {
  await shouter(async (port) => {
    const taken = await run(["tunnel", "host1", `L:${port}:80`]);
    assertEquals([taken.code, taken.stdout], [1, ""]);
    assertMatch(
      taken.stderr,
      new RegExp(`^pathos tunnel: host1: cannot forward from 127.0.0.1:${port} here`),
    );
    const refused = await run(["tunnel", "nobody", "D:0"]);
    assertEquals(refused.code, 1);
    assertMatch(refused.stderr, /^pathos tunnel: nobody: it did not accept us/);
    const killed = start("tunnel", "host1", `L:0:${port}`);
    await killed.prints(/->/);
    killed.kill("SIGKILL");
    await killed.ended;
  });
});

// hosts

remote(
  "pathos hosts lists the profiles and checks them, all at once, with the reasons in words",
  async ({ run, sshd }) => {
    const list = await run(["hosts"]);
    assertEquals(list.code, 0);
    assertMatch(list.stdout, /^ALIAS +HOST +WORKERS +RUNTIME\nhost1 +host1 +cores +found\n/);
    assertMatch(list.stdout, /^nobody +nobody@host1 /m);

    const check = await run(["hosts", "check"]);
    assertEquals(check.code, 1);
    const [head, first, second, third] = check.stdout.split("\n");
    assertMatch(head, /^HOST +STATE +RUNTIME +CORES +LOAD +LATENCY +CONNECT +THERE$/);
    const row = /^host1 +ok +(deno|node) \d+\.\d+\.\d+ +\d+ +[\d.]+ +[\d.]+ ms +[\d.]+ ms +runtime$/;
    assertMatch(first, row);
    assertMatch(second.replace("host2", "host1"), row);
    assertMatch(third, /^nobody +failed {2}it did not accept us as nobody/);
    assertEquals(readdirSync(sshd.home), []); // it only looked

    const json = await run(["hosts", "check", "host2", "--json"]);
    assertEquals(json.code, 0);
    const [report] = JSON.parse(json.stdout);
    assertEquals([report.host, report.ok, report.there], ["host2", true, "runtime"]);
    assert(report.latency < report.connect && report.cores >= 1 && report.load >= 0);
    assertMatch(report.system, /^Linux /);
  },
);

remote(
  "pathos hosts check tells a host that is silent, and one whose runtime is missing",
  async ({ run, folder, sshd }) => {
    const profiles = {
      wrong: { ...sshd.host(1), runtime: "/opt/no/deno" },
      old: { ...sshd.host(1), runtime: join(folder, "node") },
    };
    writeFileSync(join(folder, "../hosts.yaml"), JSON.stringify(profiles));
    writeFileSync(join(folder, "node"), "#!/bin/sh\necho v18.1.0\n", { mode: 0o755 });
    const { code, stdout } = await run(["hosts", "check", "wrong", "old"]);
    assertEquals(code, 1);
    assertMatch(
      stdout,
      /^wrong +failed {2}there is no \/opt\/no\/deno, which its profile names as runtime$/m,
    );
    assertMatch(stdout, /^old +failed {2}its node 18\.1\.0 is too old, node 20\.16 or newer is needed/m);
    const mute = createServer(() => {});
    await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
    const { port } = mute.address() as { port: number };
    const silent = await run(["hosts", "check", `127.0.0.1:${port}`, "--timeout", "1s"]);
    mute.close();
    assertEquals(silent.code, 1);
    assertMatch(silent.stdout, /^127\.0\.0\.1:\d+ +failed {2}.*(does not answer|not ready within)/m);
  },
);

// portpicker

remote("pathos portpicker prints a port, here and on a host", async ({ run }) => {
  for (const args of [[], ["--host", "host1"]]) {
    const { code, stdout } = await run(["portpicker", ...args]);
    assertEquals(code, 0);
    assertMatch(stdout, /^\d{4,5}\n$/);
  }
  const { code, stderr } = await run(["portpicker", "--host", "nobody"]);
  assertEquals(code, 1);
  assertMatch(stderr, /^pathos portpicker: nobody: it did not accept us/);
});

// map

const WORK = `
import { hostname } from "node:os";
const k = 10;
const helper = (x) => x * k;
export const scale = (x) => { if (x === 3) throw new RangeError("no three"); return helper(x); };
export const pid = async () => { await new Promise((done) => setTimeout(done, 20)); return process.pid; };
export const nap = (x) => new Promise((done) => setTimeout(() => done(x), 50));
export const numbers = Array.from({ length: 40 }, (_, n) => n);
export function* endless() { for (let n = 0;; n++) yield n; }
`;

remote(
  "pathos map --servers works on hosts, on servers and here, with the same lines",
  async ({ run, start, folder }) => {
    writeFileSync(join(folder, "work.mjs"), WORK);
    const server = start("serve", "--workers", "1");
    const [url] = await server.prints(/^http:\S+$/m);
    const { code, stdout, stderr } = await run(
      ["map", "work.mjs:scale", "work.mjs:numbers", "--workers", "0", "--servers", `host1,${url}`],
    );
    assertEquals(code, 1);
    const lines = stdout.trim().split("\n").map((line) => JSON.parse(line));
    assertEquals(lines.map(({ index }) => index), Array.from({ length: 40 }, (_, n) => n));
    assertEquals(lines[2], { index: 2, input: 2, value: 20 });
    assertEquals([lines[3].error.name, lines[3].error.message], ["RangeError", "no three"]);
    assertEquals(stderr, "pathos map: 1 of 40 items failed\n");
    const here = await run(
      [
        "map",
        "work.mjs:pid",
        "work.mjs:numbers",
        "--values",
        "-w",
        "1",
        "--servers",
        url,
        "--chunk-size",
        "1",
      ],
    );
    assertEquals([here.code, here.stderr], [0, ""]);
    assertEquals(new Set(here.stdout.trim().split("\n")).size, 2); // one worker here, one there
    server.kill("SIGINT");
  },
);

remote(
  "Ctrl-C ends pathos map --servers with whole lines, and nothing left anywhere",
  async ({ start, folder }) => {
    writeFileSync(join(folder, "work.mjs"), WORK);
    const map = start(
      "map",
      "work.mjs:nap",
      "work.mjs:endless",
      "--workers",
      "1",
      "--servers",
      "host1,host2",
    );
    await map.prints(/(.*\n){60}/);
    const below = processesBelow(map.pid);
    map.kill("SIGINT");
    const { code, stdout, stderr } = await map.ended;
    assertEquals([code, stderr, stdout.at(-1)], [130, "", "\n"]);
    await until(
      () => !below.some(({ pid }) => isAlive(pid)),
      60_000,
      "what it started here is gone",
    );
  },
);

remote("pathos map says why none of its servers can be used", async ({ run, folder }) => {
  writeFileSync(join(folder, "work.mjs"), WORK);
  const { code, stdout, stderr } = await run(
    ["map", "work.mjs:scale", "work.mjs:numbers", "--workers", "0", "--servers", "nobody"],
  );
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, /none of the servers can be used\n {2}nobody: .*did not accept us/);
  assert(!/^\s+at /m.test(stderr));
});

local("pathos map --dashboard prints the URL of the page", async ({ start, folder }) => {
  writeFileSync(join(folder, "work.mjs"), WORK);
  const map = start("map", "work.mjs:nap", "work.mjs:endless", "--dashboard");
  const [, url] = await map.prints(/^pathos map: the page is at (http:\S+)$/m, "stderr");
  assertStringIncludes(await (await fetch(url)).text(), "<html");
  map.kill("SIGINT");
  assertEquals((await map.ended).code, 130);
});

// mistakes

for (
  const [args, message] of [
    [["serve", "host1"], /serve takes flags only, not host1; pathos connect HOST serves on a host/],
    [["serve", "--port", "1", "--socket", "x"], /--socket and --port exclude each other/],
    [["serve", "--port", "70000"], /--port is 70000: the highest is 65535/],
    [["serve", "--worker", "2"], /there is no flag --worker; did you mean --workers\?/],
    [["connect"], /to which host\? pathos connect HOST/],
    [["connect", "a", "b"], /one host only/],
    [["connect", "--", "-oProxyCommand=x"], /cannot be a host name: it begins with "-"/],
    [["conect", "a"], /there is no verb conect; did you mean connect\?/],
    [["exec"], /on which host\?/],
    [["exec", "host1"], /which command\? It goes behind --/],
    [["exec", "host1", "ls", "-l"], /there is no flag -l; the command goes behind --/],
    [["exec", "host1", "host1", "--", "true"], /the host host1 is given twice/],
    [["exec", "host1", "--env", "A", "--", "true"], /--env is "A": it must be NAME=VALUE/],
    [["exec", "a b", "--", "true"], /"a b" cannot be a host name/],
    [["copy", "x"], /to where\? pathos copy x TARGET/],
    [["copy", "x", ":y"], /there is no host before the colon/],
    [["copy", "x", "h:y", "--protocol", "ftp"], /it must be auto, stream or sftp/],
    [["tunnel", "host1"], /which forward\?/],
    [["tunnel", "host1", "8080:localhost:80"], /must begin with L:, R: or D:/],
    [["tunnel", "host1", "L:8080"], /needs a place to listen and a target/],
    [["tunnel", "host1", "L:80800:80"], /needs a place to listen and a target/],
    [["tunnel", "host1", "-L", "8080:0"], /not a port/],
    [["hosts", "chekc"], /hosts can list and check, not chekc; did you mean check\?/],
    [["hosts", "list", "gpu"], /there is no gpu in .*hosts\.yaml/],
    [["hosts", "check"], /which hosts\? There are none in .*hosts\.yaml/],
    [["portpicker", "host1"], /did you mean --host host1\?/],
    [["map", "f.mjs", "-", "--servers", "a,,b"], /--servers has an empty place/],
    [["map", "f.mjs", "-", "--servers", "a", "--serial"], /--serial and --servers exclude each other/],
    [["map", "f.mjs", "-", "--servers", "http://h/?tok=SECRET"], /has no \?token=/],
    [["map", "f.mjs", "-", "--servers", "https://h/?token=SECRET"], /does not begin with http:/],
    [["map", "f.mjs", "-", "--ssh-config", "x"], /there are none: add --servers/],
    [["map", "f.mjs", "-", "--port", "80"], /add --dashboard/],
  ] as [string[], RegExp][]
) {
  local(`pathos ${args.join(" ")} is a mistake with status 2`, async ({ run, folder }) => {
    writeFileSync(join(folder, "f.mjs"), "export default (x) => x;");
    const { code, stdout, stderr } = await run(args);
    assertEquals([code, stdout], [2, ""]);
    assertMatch(stderr, message);
    assert(!stderr.includes("SECRET"));
    assert(!/^\s+at /m.test(stderr));
  });
}

local("a mistake in hosts.yaml is told with its line", async ({ run, folder }) => {
  writeFileSync(join(folder, "../hosts.yaml"), "gpu1:\n  wrokers: 3\n");
  for (const args of [["hosts"], ["exec", "gpu1", "--", "true"], ["copy", "x", "gpu1:"]]) {
    const { code, stderr } = await run(args);
    assertEquals(code, 2);
    assertMatch(stderr, /hosts\.yaml, line 2: gpu1: .*wrokers/);
  }
});
