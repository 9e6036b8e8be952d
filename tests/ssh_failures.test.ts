/** What goes wrong with hosts and links, against a private sshd: what is said, how soon, and what stays. */
import { disconnect, execute, Host, type HostOptions, SshError, Tunnel } from "@pathos/pathos/ssh";
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import process from "node:process";
import { processesBelow, tempDir, test, until } from "./harness.ts";
import { signalAll } from "./processes.ts";
import { type Sshd, SSHD_PROGRAMS, startSshd } from "./sshd.ts";

type Transport = "openssh" | "ssh2";

function on(
  transports: Transport[],
  name: string,
  body: (host: Host, sshd: Sshd) => Promise<void>,
): void {
  for (const transport of transports) {
    test.needs(SSHD_PROGRAMS, `${transport}: ${name}`, async () => {
      await using sshd = await startSshd();
      try {
        await body(new Host({ ...sshd.host(), transport }), sshd);
      } finally {
        await disconnect();
      }
      await until(() => sshd.processes().length === 0, 30_000, "nothing is left on the host");
      await until(() => sshd.sessions().length === 0, 30_000, "no connection is left");
    });
  }
}

const both: Transport[] = ["openssh", "ssh2"];
const fails = (host: Host | HostOptions) => assertRejects(() => execute("true", { host }), SshError);
/** A command that is going to be lost: expected before it happens, or its error would have nobody to catch it. */
const losing = (host: Host, command: string) => assertRejects(() => execute(command, { host }), SshError);
const masters = () =>
  processesBelow(process.pid).filter(({ command }) => command.includes("ControlMaster=yes"));

on(
  both,
  "a host that shows another key is refused, and the line of known_hosts is named",
  async (host, sshd) => {
    using folder = tempDir();
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", `${folder.path}/other`]);
    const other = readFileSync(`${folder.path}/other.pub`, "utf8");
    writeFileSync(sshd.knownHosts, `# first\n[127.0.0.1]:${sshd.port} ${other}`);
    const { failure, message } = await fails(host);
    assertEquals(failure, "host-key");
    assertStringIncludes(message, "host1");
    assert(new RegExp(`line 2|${sshd.knownHosts}:2`).test(message), message);
    assertStringIncludes(message, sshd.knownHosts);
    assert(!sshd.log().includes("Accepted"));
  },
);

on(
  both,
  "a host whose key is not known is refused, unless new ones are accepted; that one is remembered",
  async (host, sshd) => {
    const known = readFileSync(sshd.knownHosts, "utf8");
    rmSync(sshd.knownHosts);
    const { failure, message } = await fails(host);
    assertEquals(failure, "host-key");
    assertStringIncludes(message, "acceptNew");
    assert(!existsSync(sshd.knownHosts));
    const trusting = host.with({ acceptNew: true, options: { StrictHostKeyChecking: "accept-new" } });
    assertEquals((await execute("echo in", { host: trusting })).stdout, "in\n");
    assertEquals(
      readFileSync(sshd.knownHosts, "utf8").trim().split(" ").slice(0, 3),
      known.trim().split(" ").slice(0, 3),
    );
  },
);

on(both, "a host that does not accept our key says so", async (host, sshd) => {
  writeFileSync(`${sshd.folder}/authorized_keys`, "");
  const { failure, message } = await fails(host);
  assertEquals(failure, "authentication");
  assertStringIncludes(message, "host1");
});

on(both, "no sshd, an unknown name and silence are told apart", async (host, sshd) => {
  await sshd.down();
  const refused = await fails(host);
  assertEquals(refused.failure, "unreachable");
  assert(/^host1: .*refuses/.test(refused.message), refused.message);
  const unknown = await fails({ host: "no-such-host.invalid", transport: host.transport });
  assertEquals(unknown.failure, "unreachable");
  assertStringIncludes(unknown.message, "name");
  const sockets = new Set<{ destroy(): void }>();
  const silent: Server = createServer((socket) => void sockets.add(socket.on("error", () => {})));
  await new Promise<void>((resolve) => silent.listen(sshd.port, "127.0.0.1", resolve));
  const start = performance.now();
  const mute = await fails(host.with({ connectTimeout: 1_000 }));
  assertEquals(mute.failure, "timeout");
  assert(performance.now() - start < 15_000);
  for (const socket of sockets) socket.destroy();
  await new Promise<void>((resolve) => silent.close(() => resolve()));
});

on(["openssh"], "a setting that ssh does not know is told", async (host) => {
  const { failure, message } = await fails(host.with({ options: { NoSuchSetting: "yes" } }));
  assertEquals(failure, "setup");
  assertStringIncludes(message, "nosuchsetting");
});

on(["openssh"], "a login shell that never comes to an end is given up", async (host, sshd) => {
  writeFileSync(`${sshd.home}/.bashrc`, "sleep 30\n");
  const start = performance.now();
  const { failure } = await fails(host.with({ connectTimeout: 1_000 }));
  assertEquals(failure, "timeout");
  assert(performance.now() - start < 15_000);
  signalAll("SIGKILL", sshd.processes()); // the login shell itself nobody else ends
});

on(
  ["openssh"],
  "kill -9 of the connection's ssh ends its commands with an error; the next one connects anew",
  async (host, sshd) => {
    const running = [1, 2, 3].map(() => losing(host, "trap '' HUP; sleep 60 & wait"));
    await until(() => sshd.processes().filter(({ command }) => command === "sleep 60").length === 3);
    signalAll("SIGKILL", masters());
    for (const command of running) {
      const { failure, message } = await command;
      assertEquals(failure, "unreachable");
      assertStringIncludes(message, "host1: the connection was lost");
    }
    assertEquals((await execute("echo again", { host })).stdout, "again\n");
    await until(() => !sshd.processes().some(({ command }) => command === "sleep 60"), 30_000);
  },
);

on(
  ["openssh"],
  "kill -9 of the ssh to a host behind another ends the one to that other too",
  async (host, sshd) => {
    const config = `${sshd.folder}/jump_config`;
    const there = readFileSync(sshd.config, "utf8");
    writeFileSync(config, there + there.replace(/^Host .*/, "Host inner\n  ProxyJump host1"));
    const command = losing(host.with({ host: "inner", config }), "sleep 60");
    await until(() => sshd.processes().some(({ command }) => command === "sleep 60"));
    signalAll("SIGKILL", masters());
    assertEquals((await command).failure, "unreachable");
    await until(() => sshd.sessions().length === 0);
  },
);

on(
  ["openssh"],
  "kill -9 of one command's ssh ends that command alone, here and there",
  async (host, sshd) => {
    const clients = () =>
      processesBelow(process.pid).filter(({ command }) => command.includes("ProxyCommand=false"));
    const one = losing(host, "trap '' PIPE HUP; sleep 60");
    const [client] = await until(() => clients().length === 1 ? clients() : undefined);
    const other = execute("sleep 1; echo fine", { host });
    await until(() => sshd.processes().some(({ command }) => command === "sleep 60"));
    signalAll("SIGKILL", [client]);
    assertStringIncludes((await one).message, "its ssh process here was killed by SIGKILL");
    await until(() => !sshd.processes().some(({ command }) => command === "sleep 60"));
    assertEquals((await other).stdout, "fine\n");
  },
);

on(both, "a command whose whole group is killed there was ended by a signal", async (host, sshd) => {
  const command = execute("sleep 60", { host });
  await until(() => sshd.processes().some(({ command }) => command === "sleep 60"));
  for (const { pid, command } of sshd.processes()) {
    if (command === "sleep 60") {
      const group = Number(readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ")[2]);
      process.kill(-group, "SIGKILL");
    }
  }
  assertEquals((await command).signal, "SIGKILL");
});

on(both, "a frozen link is noticed within ten seconds", async (host, sshd) => {
  const command = losing(host, "sleep 60");
  await until(() => sshd.processes().some(({ command }) => command === "sleep 60"));
  const start = performance.now();
  signalAll("SIGSTOP", sshd.sessions());
  const { failure, message } = await command;
  assertEquals(failure, "unreachable");
  assertStringIncludes(message, "host1");
  const took = performance.now() - start;
  assert(took < 10_000, `${took} ms`);
  signalAll("SIGCONT", sshd.sessions());
});

on(both, "a host that goes down and comes back is used again", async (host, sshd) => {
  const command = losing(host, "sleep 60");
  await until(() => sshd.processes().some(({ command }) => command === "sleep 60"));
  await sshd.down();
  assertEquals((await command).failure, "unreachable");
  assertEquals((await fails(host)).failure, "unreachable");
  await sshd.up();
  assertEquals((await execute("echo back", { host })).stdout, "back\n");
});

on(["openssh"], "a temporary folder with too long a name is no problem", async (host) => {
  using folder = tempDir();
  const before = process.env.TMPDIR;
  process.env.TMPDIR = `${folder.path}/${"x".repeat(90)}`;
  try {
    assertEquals((await execute("echo x", { host })).stdout, "x\n");
  } finally {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
  }
});

on(
  ["openssh"],
  "what the user's ssh_config says of masters, forwards and commands is not in the way",
  async (host, sshd) => {
    const config = `${sshd.folder}/mine`;
    const mine = `ControlMaster auto
ControlPath ${sshd.folder}/mine-%C
ControlPersist 60
LocalForward 127.0.0.1:${sshd.port} 127.0.0.1:1
RemoteCommand echo no
RequestTTY yes
SendEnv PATHOS_X
`;
    writeFileSync(config, mine + readFileSync(sshd.config, "utf8"));
    const own = host.with({ config });
    process.env.PATHOS_X = "sent";
    assertEquals(
      (await execute('echo "$PATHOS_X"; cat', { host: own, stdin: "~.\r\n\x03" })).stdout,
      "sent\n~.\r\n\x03",
    );
    delete process.env.PATHOS_X;
    await using tunnel = new Tunnel({ host: own, target: sshd.port });
    await tunnel.connect();
    assert(!existsSync(config.replace("mine", "mine-")));
  },
);

/** What the server behind a tunnel says first. */
function greeting(where: { port: number } | { path: string }): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(where as { path: string });
    socket.once("error", reject);
    socket.once("data", (data) => {
      resolve(data.toString());
      socket.destroy();
    });
    socket.once("close", () => reject(new Error("closed")));
  });
}

on(both, "a tunnel leads from here to a port of the host, and back", async (host, sshd) => {
  const local = await new Tunnel({ host, target: sshd.port }).connect();
  const remote = await new Tunnel({ host, kind: "remote", target: `127.0.0.1:${sshd.port}` }).connect();
  for (const tunnel of [local, remote]) {
    assertStringIncludes(await greeting({ port: tunnel.port! }), "SSH-2.0");
    await tunnel.disconnect();
    await assertRejects(() => greeting({ port: tunnel.port! }), Error);
    assertEquals(tunnel.state, "closed");
  }
});

on(both, "a tunnel of unix sockets leaves none behind", async (host, sshd) => {
  const paths = { local: `${sshd.folder}/here.sock`, remote: `${sshd.folder}/there.sock` };
  for (const kind of ["local", "remote"] as const) {
    const path = paths[kind];
    for (const end of ["disconnect", "lose"]) {
      const tunnel = new Tunnel({ host, kind, listen: path, target: sshd.port, reconnect: false });
      await tunnel.connect();
      assertStringIncludes(await greeting({ path }), "SSH-2.0");
      if (end === "disconnect") await tunnel.disconnect();
      else signalAll("SIGKILL", sshd.sessions());
      await until(
        () => !existsSync(path) && tunnel.state === "closed",
        30_000,
        `${kind} socket is gone after ${end}`,
      );
    }
  }
});

on(both, "a dynamic tunnel is a SOCKS proxy", async (host, sshd) => {
  await using tunnel = await new Tunnel({ host, kind: "dynamic" }).connect();
  const socket = connect(tunnel.port!);
  const said: string[] = [];
  socket.on("data", (data) => void said.push(data.toString("latin1")));
  socket.write(Buffer.from([5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, sshd.port >> 8, sshd.port & 255]));
  await until(() => said.join("").includes("SSH-2.0"));
  socket.destroy();
});

on(both, "a tunnel whose link is lost comes back on the same port", async (host, sshd) => {
  const states: string[] = [];
  await using tunnel = new Tunnel({ host, target: sshd.port, onChange: (state) => void states.push(state) });
  await tunnel.connect();
  const { port } = tunnel;
  await sshd.down();
  await until(() => tunnel.state === "reconnecting");
  await assertRejects(() => greeting({ port: port! }), Error);
  await sshd.up();
  await until(() => tunnel.state === "open", 30_000);
  assertEquals(tunnel.port, port);
  assertStringIncludes(await greeting({ port: port! }), "SSH-2.0");
  await tunnel.disconnect();
  assertEquals(states, ["open", "reconnecting", "open", "closed"]);
});

on(both, "a tunnel that is disconnected while it tries again stops trying", async (host, sshd) => {
  const tunnel = await new Tunnel({ host, target: sshd.port }).connect();
  await sshd.down();
  await until(() => tunnel.state === "reconnecting");
  await tunnel.disconnect();
  await sshd.up();
  await new Promise((resolve) => setTimeout(resolve, 700));
  assertEquals([tunnel.state, sshd.sessions().length], ["closed", 0]);
});

on(both, "a port that is taken is refused with a reason", async (host, sshd) => {
  const work = () => new Tunnel({ host, listen: sshd.port, target: 1 }).connect();
  const { failure, message } = await assertRejects(work, SshError);
  assertEquals(failure, "refused");
  assertStringIncludes(message, String(sshd.port));
});

test("a tunnel is described by places", () => {
  const host = "h";
  for (const target of [0, 70_000, "x", "relative.sock", "a:b", { port: -1 }, { path: "x" }]) {
    assertThrows(() => new Tunnel({ host, target }), TypeError, "target");
  }
  assertThrows(() => new Tunnel({ host }), TypeError, "target");
  assertThrows(() => new Tunnel({ host, kind: "dynamic", target: 1 }), TypeError, "no target");
  for (const target of [80, "80", "h:80", "[::1]:80", ":80", "/a b.sock", { port: 80 }, { path: "/x" }]) {
    assertEquals(new Tunnel({ host, target }).state, "closed");
  }
});
