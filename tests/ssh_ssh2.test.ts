/**
 * The ssh2 backend against a real sshd on loopback: commands, forwards, and how connections end. How they begin is in
 * ssh_ssh2_login.test.ts.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { createHash } from "node:crypto";
import { connect, createServer, type Socket } from "node:net";
import process from "node:process";
import { type Connection, type RemoteProcess, type RemoteStatus, SshError } from "../ssh/connection.ts";
import { Host, type HostOptions } from "../ssh/host.ts";
import { connectSsh2 } from "../ssh/ssh2.ts";
import { runtime, test, until } from "./harness.ts";
import { signalAll } from "./processes.ts";
import { type Sshd, SSHD_PROGRAMS, startSshd } from "./sshd.ts";

const utf8 = new TextEncoder();

interface Result {
  end: RemoteStatus | SshError;
  stdout: string;
  stderr: string;
}

interface Running {
  process: RemoteProcess;
  result: Promise<Result>;
}

function start(connection: Connection, command: string, input?: string | Uint8Array): Running {
  let tell: (result: Result) => void;
  const result = new Promise<Result>((resolve) => tell = resolve);
  const out: Uint8Array[] = [], err: Uint8Array[] = [];
  const text = (parts: Uint8Array[]) => new TextDecoder().decode(concat(parts));
  const process = connection.run(command, {
    stdout: (bytes) => void out.push(bytes.slice()),
    stderr: (bytes) => void err.push(bytes.slice()),
    exit: (end) => tell({ end, stdout: text(out), stderr: text(err) }),
  });
  if (input !== undefined) {
    process.write(typeof input === "string" ? utf8.encode(input) : input);
    process.closeInput();
  }
  return { process, result };
}

function run(connection: Connection, command: string, input?: string | Uint8Array): Promise<Result> {
  return start(connection, command, input).result;
}

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

async function connected(
  where: HostOptions,
  body: (connection: Connection) => Promise<void>,
): Promise<void> {
  const connection = await connectSsh2(new Host(where));
  try {
    await body(connection);
  } finally {
    await connection.close();
  }
}

/** Registers a test that gets a fresh sshd and a connection to it. */
function over(name: string, body: (connection: Connection, sshd: Sshd) => Promise<void>, options = {}): void {
  test.needs(SSHD_PROGRAMS, name, async () => {
    await using sshd = await startSshd(options);
    await connected(sshd.host(), (connection) => body(connection, sshd));
    await until(() => sshd.processes().length === 0, 30_000, "nothing runs on the host any more");
  });
}

/** A server here that answers each connection with what it got, in capitals, when its client has said all. */
async function shouting(
  where: { port: number } | { path: string },
): Promise<{ port: number; close(): Promise<void> }> {
  const server = createServer({ allowHalfOpen: true }, (socket: Socket) => {
    let said = "";
    socket.on("error", () => {});
    socket.on("data", (bytes) => said += bytes).on("end", () => socket.end(said.toUpperCase()));
  });
  await new Promise<void>((resolve) => server.listen({ ...where, host: "127.0.0.1" }, resolve));
  const address = server.address();
  return {
    port: typeof address === "object" && address ? address.port : 0,
    close: () => new Promise((resolve) => void server.close(() => resolve())),
  };
}

/** Says something to a port or path, ends, and gives the answer; `before` may speak first. */
function ask(
  where: { port: number; host?: string } | { path: string },
  words: string,
  before?: (socket: Socket) => Promise<void>,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...where, allowHalfOpen: true });
    socket.on("error", reject);
    socket.on("connect", async () => {
      let said = "";
      await before?.(socket);
      socket.on("data", (bytes) => said += bytes).on("close", () => resolve(said)).on(
        "end",
        () => socket.end(),
      );
      socket.end(words);
    });
  });
}

over("a command's output, errors and exit code come back", async (connection) => {
  const { end, stdout, stderr } = await run(connection, "echo out; echo err >&2; exit 3");
  assertEquals([end, stdout, stderr], [{ code: 3, signal: null }, "out\n", "err\n"]);
  assertEquals((await run(connection, "exit 255")).end, { code: 255, signal: null });
});

over("a command ended by a signal is told from one that exits with the same number", async (connection) => {
  assertEquals((await run(connection, "kill -TERM $$")).end, { code: null, signal: "SIGTERM" });
  assertEquals((await run(connection, "exit 143")).end, { code: 143, signal: null });
  assertEquals((await run(connection, "kill -KILL $$")).end, { code: null, signal: "SIGKILL" });
});

over("words of every kind survive the way to the host", async (connection) => {
  const command = `printf '%s|' 'a  b' "it's" '\\n' '!x' '$HOME' 'é' ''\nprintf '%s' "$0 $#"`;
  assertEquals((await run(connection, command)).stdout, "a  b|it's|\\n|!x|$HOME|é||sh 0");
});

over("20 MB go through a command and back, exactly", async (connection) => {
  const data = new Uint8Array(20_000_000);
  for (let i = 0; i < data.length; i++) data[i] = (i * 2654435761) >>> 13;
  const hash = createHash("sha256");
  const end = new Promise<RemoteStatus | SshError>((resolve) => {
    const process = connection.run("cat", {
      stdout: (bytes) => void hash.update(bytes),
      stderr() {},
      exit: resolve,
    });
    (async () => {
      for (let at = 0; at < data.length; at += 100_000) await process.write(data.subarray(at, at + 100_000));
      process.closeInput();
    })();
  });
  assertEquals(await end, { code: 0, signal: null });
  assertEquals(hash.digest("hex"), createHash("sha256").update(data).digest("hex"));
});

over("a slow reader holds the command back, not the memory here", async (connection) => {
  let bytes = 0, goOn = () => {};
  const stop = new Promise<void>((resolve) => goOn = resolve);
  const end = new Promise<RemoteStatus | SshError>((resolve) => {
    connection.run("head -c 40000000 /dev/zero", {
      stdout: (piece) => {
        bytes += piece.length;
        return stop;
      },
      stderr() {},
      exit: resolve,
    });
  });
  await until(() => bytes > 0);
  assertEquals((await run(connection, "echo others go on")).stdout, "others go on\n");
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert(bytes < 4_000_000, `${bytes} bytes were handed on to a reader that waits`);
  goOn();
  assertEquals(await end, { code: 0, signal: null });
  assertEquals(bytes, 40_000_000);
});

over("a command that does not read holds the writer back", async (connection) => {
  const { process, result } = start(connection, "sleep 100");
  let written = 0;
  const writing = (async () => {
    while (written < 40_000_000) {
      await process.write(new Uint8Array(100_000));
      written += 100_000;
    }
  })();
  let before = -1;
  await until(async () => {
    const still = written > 0 && written === before;
    before = written;
    await new Promise((resolve) => setTimeout(resolve, 200));
    return still;
  });
  assert(written < 8_000_000, `${written} bytes were accepted`);
  process.kill("SIGKILL");
  assertEquals((await result).end, { code: null, signal: "SIGKILL" });
  await writing; // what nobody can get any more is dropped
});

over(
  "signals reach a command, also when its input has ended, and before it has begun",
  async (connection) => {
    const early = start(connection, "sleep 100");
    early.process.kill("SIGTERM");
    assertEquals((await early.result).end, { code: null, signal: "SIGTERM" });
    const { process, result } = start(
      connection,
      "trap 'echo got it; exit 7' USR1; echo ready; while :; do sleep 0.05; done",
    );
    process.closeInput();
    await new Promise((resolve) => setTimeout(resolve, 300));
    process.kill("SIGUSR1");
    const { end, stdout } = await result;
    assertEquals([end, stdout], [{ code: 7, signal: null }, "ready\ngot it\n"]);
  },
);

over("many commands at once share a connection", async (connection) => {
  const all = await Promise.all(
    Array.from({ length: 20 }, (_, i) => run(connection, `echo ${i}; exit ${i}`)),
  );
  assertEquals(all.map(({ stdout }) => Number(stdout)), Array.from({ length: 20 }, (_, i) => i));
  assertEquals(all.map(({ end }) => (end as RemoteStatus).code), Array.from({ length: 20 }, (_, i) => i));
});

over("commands beyond what the host admits at once wait for their turn", async (connection) => {
  const all = await Promise.all(
    Array.from({ length: 8 }, (_, i) => run(connection, `sleep 0.05; echo ${i}`)),
  );
  assertEquals(all.map(({ stdout }) => Number(stdout)), [0, 1, 2, 3, 4, 5, 6, 7]);
}, { maxSessions: 3 });

over("environment variables are those that were given", async (connection) => {
  const result = await new Promise<string>((resolve) => {
    let text = "";
    connection.run('echo "$A"', {
      stdout: (bytes) => void (text += new TextDecoder().decode(bytes)),
      stderr() {},
      exit: () => resolve(text),
    }, { env: { A: 'it\'s "x"' } });
  });
  assertEquals(result, 'it\'s "x"\n');
});

over("a reader that throws is an error of its own, and the connection lives on", async (connection) => {
  const thrown = new Promise((resolve) => {
    if (runtime === "node") {
      const runners = process.listeners("uncaughtException"); // which would take it for a failure
      process.removeAllListeners("uncaughtException");
      process.once("uncaughtException", (error) => {
        for (const runner of runners) process.on("uncaughtException", runner);
        resolve(error);
      });
    } else {
      globalThis.addEventListener("error", (event) => {
        event.preventDefault();
        resolve(event.error);
      }, { once: true });
    }
  });
  connection.run("echo x", {
    stdout() {
      throw new Error("mine");
    },
    stderr() {},
    exit() {},
  });
  assertEquals((await thrown as Error).message, "mine");
  assertEquals((await run(connection, "echo y")).stdout, "y\n");
});

over("a command that is too long for the host is refused before it is sent", async (connection) => {
  const { end } = await run(connection, `: ${"x".repeat(140_000)}`);
  assert(end instanceof SshError);
  assertMatch(end.message, /more than 131071 bytes; send it as input/);
  assertEquals((await run(connection, "sh", `: ${"x".repeat(140_000)}; echo done`)).stdout, "done\n");
});

over("a subsystem speaks its own protocol", async (connection) => {
  const hello = new Uint8Array([0, 0, 0, 5, 1, 0, 0, 0, 3]); // SFTP: version 3
  let answer = new Uint8Array();
  const end = new Promise<RemoteStatus | SshError>((resolve) => {
    const sftp = connection.subsystem!("sftp", {
      stdout(bytes) {
        answer = concat([answer, bytes]);
        if (answer.length >= 9) sftp.closeInput();
      },
      stderr() {},
      exit: resolve,
    });
    sftp.write(hello);
  });
  assertEquals(await end, { code: 0, signal: null });
  assertEquals([...answer.subarray(4, 9)], [2, 0, 0, 0, 3]);
  const none = await new Promise<RemoteStatus | SshError>((resolve) => {
    connection.subsystem!("none", { stdout() {}, stderr() {}, exit: resolve });
  });
  assert(none instanceof SshError);
  assertEquals(none.failure, "refused");
});

over(
  "a local forward carries connections to the host's side, ports and unix sockets alike",
  async (connection, sshd) => {
    const tcp = await shouting({ port: 0 });
    const unix = await shouting({ path: `${sshd.folder}/target` });
    const targets = [{ port: tcp.port }, { path: `${sshd.folder}/target` }];
    for (const target of targets) {
      for (const listen of [{ port: 0 }, { path: `${sshd.folder}/here` }]) {
        const forward = await connection.forward({ kind: "local", listen, target });
        const answers = await Promise.all(
          ["a", "b".repeat(1_000_000)].map((words) => ask(forward.listen, words)),
        );
        assertEquals(answers, ["A", "B".repeat(1_000_000)]);
        await forward.close();
        await assertRejects(() => ask(forward.listen, "x"));
      }
    }
    await tcp.close();
    await unix.close();
  },
);

over("a remote forward carries connections from the host to here", async (connection, sshd) => {
  const tcp = await shouting({ port: 0 });
  for (const listen of [{ port: 0 }, { path: `${sshd.folder}/there` }]) {
    const forward = await connection.forward({ kind: "remote", listen, target: { port: tcp.port } });
    assertEquals(await ask(forward.listen, "hello"), "HELLO");
    await forward.close();
    await assertRejects(() => ask(forward.listen, "x"));
  }
  await tcp.close();
  const nobody = await connection.forward({
    kind: "remote",
    listen: { port: 0 },
    target: { port: tcp.port },
  });
  assertEquals(await ask(nobody.listen, "x").catch(() => ""), "");
}, { extraConfig: "StreamLocalBindUnlink yes" });

over("a dynamic forward is a SOCKS proxy", async (connection) => {
  const tcp = await shouting({ port: 0 });
  const { listen } = await connection.forward({ kind: "dynamic", listen: { port: 0 } });
  const socks = (host: number[], port: number, command = 1) => async (socket: Socket) => {
    const read = () =>
      new Promise<Uint8Array>((resolve) => socket.once("data", (bytes) => resolve(bytes as Uint8Array)));
    socket.write(new Uint8Array([5, 1, 0]));
    assertEquals([...await read()], [5, 0]);
    socket.write(new Uint8Array([5, command, 0, ...host, port >> 8, port & 255]));
    answer = (await read())[1];
  };
  let answer = -1;
  const name = [...utf8.encode("localhost")];
  assertEquals(await ask(listen, "by address", socks([1, 127, 0, 0, 1], tcp.port)), "BY ADDRESS");
  assertEquals(await ask(listen, "by name", socks([3, name.length, ...name], tcp.port)), "BY NAME");
  await tcp.close();
  await ask(listen, "x", socks([1, 127, 0, 0, 1], tcp.port)).catch(() => {});
  assertEquals(answer, 4);
  await ask(listen, "x", socks([1, 127, 0, 0, 1], tcp.port, 2)).catch(() => {});
  assertEquals(answer, 7);
});

over("an address that is taken, or a target that is not there, is refused in words", async (connection) => {
  const tcp = await shouting({ port: 0 });
  const taken = { port: tcp.port };
  const local = await assertRejects(
    () => connection.forward({ kind: "local", listen: taken, target: { port: 1 } }),
    SshError,
  );
  assertEquals(local.failure, "refused");
  assertMatch(local.message, new RegExp(`host1: 127.0.0.1 port ${tcp.port} here is taken`));
  const remote = await assertRejects(
    () => connection.forward({ kind: "remote", listen: taken, target: { port: 1 } }),
    SshError,
  );
  assertEquals(remote.failure, "refused");
  await tcp.close();
  const forward = await connection.forward({ kind: "local", listen: { port: 0 }, target: taken });
  assertEquals(await ask(forward.listen, "x").catch(() => ""), "");
});

test.needs(SSHD_PROGRAMS, "a lost link ends commands and forwards with an error that says so", async () => {
  await using sshd = await startSshd();
  const connection = await connectSsh2(new Host(sshd.host()));
  const forward = await connection.forward({ kind: "local", listen: { port: 0 }, target: { port: 1 } });
  const { result } = start(connection, "echo begun; sleep 100");
  await until(() => sshd.processes().some(({ command }) => command === "sleep 100"));
  signalAll("SIGKILL", sshd.sessions());
  const { end, stdout } = await result;
  assert(end instanceof SshError);
  assertEquals([end.failure, end.host, stdout], ["unreachable", "host1", "begun\n"]);
  assertEquals(await connection.ended, end);
  await assertRejects(() => ask(forward.listen, "x"));
  await assertRejects(() => connection.forward({ kind: "dynamic", listen: { port: 0 } }), SshError);
  assertEquals((await run(connection, "true")).end, end);
  await connection.close();
  await until(() => sshd.processes().length === 0, 30_000, "nothing runs on the host any more");
});

test.needs(SSHD_PROGRAMS, "a link that says nothing any more is found lost within 8 s", async () => {
  await using sshd = await startSshd();
  const connection = await connectSsh2(new Host(sshd.host()));
  signalAll("SIGSTOP", sshd.sessions());
  const begun = performance.now();
  const reason = await connection.ended;
  assert(performance.now() - begun < 15_000, `${performance.now() - begun} ms`);
  assertMatch(reason!.message, /host1: the link was lost/);
  signalAll("SIGCONT", sshd.sessions());
  await connection.close();
});

test.needs(SSHD_PROGRAMS, "closing ends what runs, on both sides, and is no failure", async () => {
  await using sshd = await startSshd();
  const connection = await connectSsh2(new Host(sshd.host()));
  const { result } = start(connection, "sleep 100");
  await until(() => sshd.processes().some(({ command }) => command === "sleep 100"));
  await connection.close();
  assertEquals(await connection.ended, undefined);
  const { end } = await result;
  assert(end instanceof SshError);
  assertMatch(end.message, /closed here/);
  await connection.close();
  await until(() => sshd.processes().length === 0, 30_000, "nothing runs on the host any more");
});
