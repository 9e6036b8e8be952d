/** Hosts, commands on them and here, and what is found out about processes and ports, against a private sshd. */
import {
  CommandError,
  connect,
  disconnect,
  execute,
  getchild,
  getpid,
  getppid,
  Host,
  hosts,
  kill,
  Pipe,
  PipeError,
  quote,
  randomPort,
} from "@pathos/pathos/ssh";
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { inspect } from "node:util";
import { processesBelow, runScript, tempDir, test, until } from "./harness.ts";
import { type Sshd, SSHD_PROGRAMS, type SshdOptions, startSshd } from "./sshd.ts";

type Transport = "openssh" | "ssh2";

/** Runs `body` with a server and a host that leads to it, and looks whether anything stays of what it ran. */
async function withHost(
  transport: Transport,
  body: (host: Host, sshd: Sshd) => Promise<void>,
  options?: SshdOptions,
): Promise<void> {
  await using sshd = await startSshd(options);
  try {
    await body(new Host({ ...sshd.host(), transport }), sshd);
  } finally {
    await disconnect();
  }
  await until(() => sshd.processes().length === 0, 30_000, "nothing is left on the host").catch((error) => {
    throw new Error(`${error.message}: ${inspect(sshd.processes())}`);
  });
  await until(() => sshd.sessions().length === 0, 30_000, "no connection is left");
}

/** A test for both clients. */
function both(
  name: string,
  body: (host: Host, sshd: Sshd) => Promise<void>,
  options?: SshdOptions,
): void {
  for (const transport of ["openssh", "ssh2"] as const) {
    test.needs(SSHD_PROGRAMS, `${transport}: ${name}`, () => withHost(transport, body, options));
  }
}

function openssh(
  name: string,
  body: (host: Host, sshd: Sshd) => Promise<void>,
  options?: SshdOptions,
): void {
  test.needs(SSHD_PROGRAMS, `openssh: ${name}`, () => withHost("openssh", body, options));
}

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const elapsed = async (work: Promise<unknown>) => {
  const start = performance.now();
  await work;
  return performance.now() - start;
};

test("a host is read as it is written", () => {
  const parts = (text: string) => {
    const { user, hostname, port } = new Host(text);
    return [user, hostname, port];
  };
  assertEquals(parts("alias"), [undefined, "alias", undefined]);
  assertEquals(parts("me@host"), ["me", "host", undefined]);
  assertEquals(parts("me@host:2222"), ["me", "host", 2222]);
  assertEquals(parts("::1"), [undefined, "::1", undefined]);
  assertEquals(parts("[::1]:22"), [undefined, "::1", 22]);
  assertEquals(parts("me@[fe80::1%eth0]:22"), ["me", "fe80::1%eth0", 22]);
  assertEquals(parts("ssh://me@host:22"), ["me", "host", 22]);
  assertEquals(parts("ssh://[::1]/"), [undefined, "::1", undefined]);
  assertEquals(`${new Host("me@[::1]:22")}`, "me@[::1]:22");
  assertEquals(new Host({ host: "me@host:1", port: 2 }).port, 2);
});

test("a name that ssh or a shell could take for something else is refused", () => {
  for (
    const name of [
      "-oProxyCommand=x",
      "me@-v",
      "",
      "me@",
      "@host",
      "a b",
      "a\nb",
      "a;b",
      "$(x)",
      "host:x",
      "host:99999",
      "`x`",
    ]
  ) {
    assertThrows(() => new Host(name), TypeError);
  }
  assertThrows(() => new Host({ host: "h", user: "-l" }), TypeError);
  assertThrows(() => new Host({ host: "h", env: { "A=B": "" } }), TypeError);
  assertThrows(() => new Host({ host: "h", prot: 1 } as never), TypeError, 'no option "prot"');
});

test("a host is immutable, and shows no secrets", () => {
  const host = new Host({ host: "me@h:1", password: "xyzzy", passphrase: () => "xyzzy" });
  const other = host.with({ port: 2, workers: 3 });
  assertEquals([host.port, other.port, other.workers, other.password], [1, 2, 3, "xyzzy"]);
  assertEquals([`${other}`, other.name, host.with({ workers: 1 }).name], ["me@h:2", "me@h:2", "me@h:1"]);
  assertThrows(() => (host as { port: number }).port = 5, TypeError);
  for (const text of [inspect(host, { showHidden: true, depth: 9 }), JSON.stringify(host), `${host}`]) {
    assert(!text.includes("xyzzy"), text);
  }
});

test("profiles come from hosts.yaml, and mistakes in it are told with file and line", () => {
  using folder = tempDir();
  const before = process.env.PATHOS_HOSTS;
  const path = process.env.PATHOS_HOSTS = `${folder.path}/pathos/hosts.yaml`;
  try {
    assertEquals(hosts.all(), {});
    hosts.register("gpu1", { host: "me@gpu1.example:2222", workers: 8, env: { N: "1" } });
    hosts.register("gpu2", { workers: 2 });
    assertEquals(hosts.get("gpu2"), { host: "gpu2", workers: 2 });
    const host = Host.from("gpu1");
    assertEquals([host.name, `${host}`, host.workers, host.env.N], ["gpu1", "me@gpu1.example:2222", 8, "1"]);
    assertEquals(Host.from({ host: "gpu1", workers: 1 }).workers, 1);
    assertEquals(Host.from("other").hostname, "other");
    hosts.register("gpu2", undefined);
    assertEquals(Object.keys(hosts.all()), ["gpu1"]);
    for (
      const [text, says] of [
        ["a:\n  workers: 2\n  wokers: 3\n", 'line 3: a: host: there is no option "wokers"'],
        ["a:\n  port: 0\n", "line 2: a: host: port is 0"],
        ["\na: 5\n", "line 2: a: its settings must be a mapping"],
        ["a:\n  host: b\n  password: x\n", "line 3: a: a password does not belong in a file"],
        ["a:\n  env: [1]\n", "line 2: a: env must be a mapping"],
        ["- a\n", "the aliases must be the keys"],
        ["a: [\n", "not YAML"],
      ]
    ) {
      writeFileSync(path, text);
      const { message } = assertThrows(() => Host.from("x"), TypeError);
      assertStringIncludes(message, path);
      assertStringIncludes(message, says);
    }
  } finally {
    if (before === undefined) delete process.env.PATHOS_HOSTS;
    else process.env.PATHOS_HOSTS = before;
  }
});

const WORDS = [
  "a  b",
  "$HOME",
  "`id`",
  "it's",
  '"',
  "\\",
  "\\'",
  "\n",
  "a\n\nb\n",
  "",
  "-n",
  "--",
  "~",
  "*",
  "!x",
  "#",
  "ünï😀",
  "\x01\x1e\x7f",
  "%s",
  "A=b",
  ";|&<>(){}[]?",
  "\r\t ",
];

test("arguments reach a program here exactly", async () => {
  const { stdout } = await execute(["printf", "%s\\0", ...WORDS]);
  assertEquals(stdout.split("\0").slice(0, -1), WORDS);
  assertEquals((await execute(`printf '%s\\0' ${quote(WORDS)}`)).stdout, stdout);
});

both("arguments reach a program on the host exactly", async (host) => {
  const { stdout } = await execute(["printf", "%s\\0", ...WORDS], { host });
  assertEquals(stdout.split("\0").slice(0, -1), WORDS);
  assertEquals((await execute(`printf '%s\\0' ${quote(WORDS)}`, { host })).stdout, stdout);
});

for (const shell of ["tcsh", "fish", "zsh", "dash", "busybox sh"]) {
  test.needs(
    [...SSHD_PROGRAMS, shell.split(" ")[0]],
    `the login shell may be ${shell}`,
    () =>
      withHost("openssh", async (host) => {
        const { stdout, code } = await execute(["printf", "%s\\0", ...WORDS], { host });
        assertEquals(stdout.split("\0").slice(0, -1), WORDS);
        assertEquals(code, 0);
        assertEquals(
          (await execute("n=5\nfor i in 1 2; do\n n=$((n + i))\ndone\necho $n; exit 7", { host })).code,
          7,
        );
        await assertRejects(() => execute("sleep 100", { host, timeout: 200 }), DOMException);
      }, { shell }),
  );
}

const ENDINGS: [string, number | null, string | null][] = [
  ["exit 0", 0, null],
  ["exit 3", 3, null],
  ["exit 255", 255, null],
  ["exit 143", 143, null],
  ["exit 137", 137, null],
  ["kill -TERM $$", null, "SIGTERM"],
  ["kill -KILL $$", null, "SIGKILL"],
  ["kill -INT $$", null, "SIGINT"],
  ["kill -PIPE $$", null, "SIGPIPE"],
  ["no-such-program-there", 127, null],
];

test("exit codes and signals are told apart here", async () => {
  for (const [command, code, signal] of ENDINGS) {
    const end = await execute(command);
    assertEquals([command, end.code, end.signal], [command, code, signal]);
  }
});

both("exit codes and signals are told apart from each other and from ssh's own 255", async (host) => {
  const ends = await Promise.all(ENDINGS.map(([command]) => execute(command, { host })));
  assertEquals(ends.map(({ code, signal }, i) => [ENDINGS[i][0], code, signal]), ENDINGS);
});

both("20 MB of any bytes go in and come out unchanged", async (host) => {
  const data = randomBytes(20 << 20);
  const { code, stdout } = await execute(["cat"], { host, stdin: data, encoding: "bytes" });
  assertEquals([code, stdout.length, sha256(stdout)], [0, data.length, sha256(data)]);
});

both("both streams come apart, text is whole however it is cut", async (host) => {
  const pieces: string[] = [];
  const { stdout, stderr } = await execute(
    "echo oops >&2; printf '\\303'; sleep 0.1; printf '\\274\\036'; printf '\\036' >&2",
    { host, onStdout: (text) => void pieces.push(text) },
  );
  assertEquals([stdout, stderr, pieces.join("")], ["", "oops\n\x1e", "ü\x1e"]);
});

both("what the login shell's files print is not output of the command", async (host, sshd) => {
  writeFileSync(`${sshd.home}/.bashrc`, "echo hello; echo dear user >&2\n");
  assertEquals(await execute("echo x", { host }), { code: 0, signal: null, stdout: "x\n", stderr: "" });
});

both("environment and folder are set, and other users see no variable's value", async (host, sshd) => {
  const secret = `it's $x\n ${randomBytes(8).toString("hex")}`;
  mkdirSync(`${sshd.home}/a b`);
  const options = { host: host.with({ env: { A: "from host", B: "2" } }), env: { A: secret } };
  assertEquals((await execute('printf %s "$A$B"', options)).stdout, `${secret}2`);
  assertEquals((await execute(["pwd"], { host, cwd: "~/a b" })).stdout, `${sshd.home}/a b\n`);
  assertEquals((await execute("pwd", { host, cwd: `${sshd.home}/a b` })).stdout, `${sshd.home}/a b\n`);
  assertEquals((await execute("pwd", { host, cwd: "/none" })).stdout, "");
  const token = secret.slice(-16);
  await execute("cat", {
    ...options,
    stdin: "x",
    onStdout() {
      const running = [...sshd.processes(), ...processesBelow(process.pid)];
      assert(running.some(({ command }) => command.includes("cat")));
      assert(!running.some(({ command }) => command.includes(token)));
    },
  });
});

test("environment and folder are set here too", async () => {
  const { stdout } = await execute('echo "$A"; pwd', { env: { A: "x" }, cwd: "/usr" });
  assertEquals(stdout, "x\n/usr\n");
  await assertRejects(() => execute(["no-such-program-here"]), Error);
});

both("a reader who is slow holds the writer back", async (host, sshd) => {
  let done = "not yet";
  let sizes = 0;
  await execute(`head -c 60000000 /dev/zero; echo done >${quote(`${sshd.home}/done`)}`, {
    host,
    encoding: "bytes",
    async onStdout({ length }) {
      if (sizes === 0) {
        await new Promise((resolve) => setTimeout(resolve, 400));
        done = existsSync(`${sshd.home}/done`) ? "too early" : "later";
      }
      sizes += length;
    },
  });
  assertEquals([done, sizes], ["later", 60_000_000]);
});

both("a program that does not read yet holds the input back", async (host) => {
  let given = 0, early = 0;
  async function* input() {
    const piece = new Uint8Array(1 << 20);
    for (; given < 60; given++) yield await Promise.resolve(piece);
  }
  const counting = execute("sleep 0.5; echo ready >&2; wc -c", {
    host,
    stdin: input(),
    onStderr: () => void (early = given),
  });
  assertEquals((await counting).stdout.trim(), String(60 << 20));
  assert(early < 40, `${early} MB were taken while nobody read`);
});

both("a time limit ends the command on the host, and an abort too", async (host, sshd) => {
  const late = await elapsed(
    assertRejects(
      () => execute("sleep 100", { host, timeout: 300 }),
      DOMException,
      "longer than its limit of",
    ),
  );
  assert(late < 2_000, `${late} ms`);
  const stop = new AbortController();
  const stopped = assertRejects(
    () => execute("sleep 100 | sleep 100", { host, signal: stop.signal }),
    Error,
    "enough",
  );
  await until(() => sshd.processes().filter(({ command }) => command === "sleep 100").length === 2);
  stop.abort(new Error("enough"));
  await stopped;
  await until(() => !sshd.processes().some(({ command }) => command.includes("sleep 100")));
  await assertRejects(() => execute("true", { host, signal: stop.signal }), Error, "enough");
});

both("a command that ignores SIGTERM is killed two seconds later", async (host, sshd) => {
  await execute("true", { host }); // connected, so that the command has begun to ignore it in time
  const stop = new AbortController();
  const stubborn = assertRejects(
    () => execute("trap '' TERM; sleep 100", { host, signal: stop.signal }),
    Error,
    "stop",
  );
  await until(() => sshd.processes().some(({ command }) => command === "sleep 100"));
  stop.abort(new Error("stop"));
  const took = await elapsed(stubborn);
  assert(took > 1_900 && took < 3_500, `${took} ms`);
  await until(() => !sshd.processes().some(({ command }) => command.includes("sleep 100")));
});

test("a time limit holds here too, for the whole process group", async () => {
  await assertRejects(() => execute("sleep 99.5 | cat", { timeout: 200 }), DOMException);
  await until(() => !processesBelow(process.pid).some(({ command }) => command.includes("sleep 99.5")));
});

both("what a callback throws ends the command and is thrown", async (host) => {
  const work = () =>
    execute("yes", {
      host,
      onStdout() {
        throw new RangeError("no more");
      },
    });
  await assertRejects(work, RangeError, "no more");
});

both("check makes a failure an error that says what, where and why", async (host) => {
  const error = await assertRejects(
    () => execute("echo gone >&2; exit 4", { host, check: true }),
    CommandError,
  );
  assertEquals(error.message, "host1: echo gone >&2; exit 4 ended with code 4: gone");
  assertEquals(error.result.code, 4);
});

both("commands share one connection, and many run at once", async (host, sshd) => {
  const results = await Promise.all(
    Array.from({ length: 20 }, (_, i) => execute(`sleep 0.2; echo ${i}`, { host })),
  );
  assertEquals(results.map(({ stdout }) => Number(stdout)), [...Array(20).keys()]);
  assertEquals(sshd.log().match(/Accepted publickey/g)?.length, 1);
});

openssh("more commands than the host admits sessions wait their turn", async (host) => {
  const results = await Promise.all(
    Array.from({ length: 12 }, (_, i) => execute("cat", { host, stdin: `${i}` })),
  );
  assertEquals(results.map(({ stdout }) => Number(stdout)), [...Array(12).keys()]);
}, { maxSessions: 3 });

for (const transport of ["openssh", "ssh2"] as const) {
  test.needs(
    SSHD_PROGRAMS,
    `${transport}: 20 hosts at once answer in their order, and one that cannot says why`,
    async () => {
      // a host this busy turns away some of those who come while others log in
      await using sshd = await startSshd({ hosts: 20, extraConfig: "MaxStartups 3:50:12" });
      const list = Array.from({ length: 20 }, (_, i) => new Host({ ...sshd.host(i + 1), transport }));
      list[7] = new Host({ host: "no-such-host.invalid", name: "nowhere", transport });
      const results = await execute("echo $((6 * 7))", { hosts: list });
      await disconnect();
      assertEquals(results.map(({ host }) => host), list.map(({ name }) => name));
      assertEquals(results.filter(({ result }) => result?.stdout === "42\n").length, 19);
      assertStringIncludes(results[7].error!.message, "nowhere");
      assertEquals(sshd.log().match(/Accepted publickey/g)?.length, 19);
      await until(() => sshd.processes().length === 0);
    },
  );
}

both("a session holds its connection open", async (host, sshd) => {
  await using session = await connect(host);
  assertEquals((await session.execute("echo hi")).stdout, "hi\n");
  await disconnect();
  assertEquals(sshd.sessions().length, 1);
  assertEquals(
    (await session.execute(["cat"], { stdin: new Uint8Array([255]), encoding: "bytes" })).stdout[0],
    255,
  );
});

both("a host behind another is reached as ssh_config says", async (host, sshd) => {
  const config = `${sshd.folder}/jump_config`;
  const inner = readFileSync(sshd.config, "utf8").replace(/^Host .*/, "Host inner\n  ProxyJump host1");
  writeFileSync(config, readFileSync(sshd.config, "utf8") + inner);
  const { stdout } = await execute("echo $SSH_CONNECTION", { host: host.with({ host: "inner", config }) });
  assert(stdout.startsWith("127.0.0.1 "));
  assertEquals(sshd.log().match(/Accepted publickey/g)?.length, 2);
});

openssh("an idle connection closes by itself", async (host, sshd) => {
  await execute("true", { host });
  assertEquals(sshd.sessions().length, 1);
  await until(() => sshd.sessions().length === 0, 30_000);
});

both("a pipe is launched in the background, tells its process id and is killed", async (host, sshd) => {
  const pipe = new Pipe({ command: ["sleep", "77"], host, background: true });
  await assertRejects(() => pipe.response(), PipeError, "launch it");
  await pipe.launch();
  const pid = pipe.pid();
  await until(() => sshd.processes().some((found) => found.pid === pid && found.command === "sleep 77"));
  await assertRejects(() => pipe.launch(), PipeError, "still runs");
  pipe.kill();
  await assertRejects(() => pipe.response(), PipeError, "killed");
  const quick = await pipe.with({ command: "cat; echo more", stdin: "in\n", background: false }).launch();
  assertEquals([await quick.response(), quick.pid()], ["in\nmore\n", undefined]);
  await assertRejects(
    async () =>
      await (await pipe.with({ command: "echo no >&2; exit 2", background: false }).launch()).response(),
    PipeError,
    "code 2: no",
  );
});

both("processes are found and ended on the host", async (host) => {
  const pipe = await new Pipe({ command: "sleep 66.5; true", host, background: true }).launch();
  const shell = pipe.pid()!;
  const sleep = await until(async () =>
    (await getpid("sleep 66.5", { host, all: true })).find((pid) => pid !== shell)
  );
  assertEquals(await getppid(sleep, { host }), shell);
  assertEquals(await getchild(shell, { host }), [sleep]);
  const group = await getppid(sleep, { host, group: true });
  assertEquals(await getppid(shell, { host, group: true }), group);
  assert((await getchild(sleep, { host, group: true })).includes(shell));
  await kill(sleep, { host });
  await pipe.response();
  assertEquals(await getpid("sleep 66.5", { host, all: true }), []);
  await assertRejects(() => getpid("sleep 66.5", { host }), Error, "host1");
  await assertRejects(() => kill(4_000_000, { host }), CommandError, "host1");
});

both("a free port of the host is found", async (host) => {
  const port = await randomPort({ host });
  assert(port > 1023 && port < 65536);
});

for (const transport of ["openssh", "ssh2"] as const) {
  const script = `
    import { execute } from "@pathos/pathos/ssh";
    const host = { ...JSON.parse(process.env.HOST_OPTIONS), transport: "${transport}" };
    console.log((await execute("echo ready", { host })).stdout.trim());
    if (process.argv[2] === "stay") {
      await Promise.all([execute("sleep 55.5", { host }), execute("trap '' TERM HUP; sleep 55.5 | sleep 55.5", { host })]);
    }`;
  const client = async (sshd: Sshd, args: string[], onStart?: (pid: number) => Promise<void>) => {
    using temp = tempDir();
    const env = { HOST_OPTIONS: JSON.stringify(sshd.host()), TMPDIR: temp.path };
    const result = await runScript(`import process from "node:process";${script}`, { args, env, onStart });
    const left = async () => (await execute(["ls", "-A", temp.path])).stdout;
    await until(async () => await left() === "", 30_000, "no temporary file is left").catch(async (error) => {
      throw new Error(`${error.message}: ${await left()}`);
    });
    return result;
  };

  test.needs(SSHD_PROGRAMS, `${transport}: a program that has nothing left to do ends at once`, async () => {
    await using sshd = await startSshd();
    const start = performance.now();
    const { code, stdout, stderr } = await client(sshd, []);
    assertEquals([code, stdout, stderr], [0, "ready\n", ""]);
    const took = performance.now() - start;
    assert(took < 4_500, `it took ${took} ms: did it wait for an idle connection?`);
    await until(() => sshd.processes().length === 0);
  });

  test.needs(
    SSHD_PROGRAMS,
    `${transport}: kill -9 of the program leaves nothing, here or there`,
    async () => {
      await using sshd = await startSshd();
      let below: number[] = [];
      await client(sshd, ["stay"], async (pid) => {
        await until(
          () => sshd.processes().filter(({ command }) => command === "sleep 55.5").length === 3,
          30_000,
        );
        below = processesBelow(pid).map((info) => info.pid);
        process.kill(pid, "SIGKILL");
      });
      await until(() => sshd.processes().length === 0);
      await until(() =>
        below.every((pid) =>
          !existsSync(`/proc/${pid}`) || /\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"))
        )
      );
      await until(() => sshd.sessions().length === 0);
    },
  );
}
