/**
 * A private sshd on 127.0.0.1, for tests, benchmarks and examples: its own keys, port, configuration and known_hosts in
 * a temporary folder, an ssh_config through which `host1`, `host2`, ... lead to it, and an empty home folder for who
 * logs in. It runs as whoever starts it, who is also the only one that can log in; nothing of the system is touched. It
 * ends when it is disposed of, and also when the program that started it ends in any way.
 *
 * @module
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { processesBelow, processesWith, type ProcessInfo } from "./processes.ts";

/** Programs that the rig needs. */
export const SSHD_PROGRAMS = ["sshd", "ssh", "ssh-keygen"];

/** How {@linkcode startSshd} sets up the server. */
export interface SshdOptions {
  /** Lines of sshd_config that go before the rig's own, and so win. */
  extraConfig?: string;
  /** How many aliases lead to it. Default: 2. */
  hosts?: number;
  /** Kinds of host keys, and of client keys that may log in. Default: `["ed25519"]`. */
  keys?: ("ed25519" | "rsa" | "ecdsa")[];
  /** Sessions on one connection. Default: 64. */
  maxSessions?: number;
  /** Variables that everything it runs has. */
  env?: Record<string, string>;
  /** A shell that takes the place of the login shell, by name or path. */
  shell?: string;
  /** Where it runs: its address, and the words that go before a command to run there (far_link.ts). Default: here. */
  far?: { address: string; within: string[] };
}

/** A running sshd. */
export interface Sshd extends AsyncDisposable {
  readonly port: number;
  /** Where everything of it is. */
  readonly folder: string;
  /** The ssh_config with the aliases. */
  readonly config: string;
  readonly knownHosts: string;
  /** The client's first private key; those of other kinds are beside it, `id_rsa`, `id_ecdsa`. */
  readonly identity: string;
  /** The home folder of who logs in. */
  readonly home: string;
  readonly user: string;
  /** What a Host is made from that leads here; `n` counts from 1. */
  host(n?: number): { host: string; config: string };
  /** What it logged. */
  log(): string;
  /** The sshd processes that serve connections. */
  sessions(): ProcessInfo[];
  /** What was started through it and still runs, wherever it hangs in the tree of processes. */
  processes(): ProcessInfo[];
  /** Goes down as in a reboot: refuses connections, ends those there are. */
  down(): Promise<void>;
  /** Comes up again, on the same port. */
  up(): Promise<void>;
  /** Ends it and whatever was started through it, and removes the folder. */
  stop(): Promise<void>;
}

/** Starts a private sshd; resolves when it accepts connections. */
export async function startSshd(options: SshdOptions = {}): Promise<Sshd> {
  const { keys = ["ed25519"], hosts = 2, far = { address: "127.0.0.1", within: [] } } = options;
  const { address } = far;
  const folder = mkdtempSync(join(tmpdir(), "pathos-sshd-"));
  const path = (name: string) => join(folder, name);
  const home = path("home");
  const user = userInfo().username;
  const port = await freePort();
  const variable = `PATHOS_TEST_SSHD=${randomBytes(8).toString("hex")}`;
  mkdirSync(home);
  if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  for (const kind of keys) {
    const bits = kind === "rsa" ? ["-b", "2048"] : [];
    for (const name of [`host_${kind}`, `id_${kind}`]) {
      execFileSync("ssh-keygen", ["-q", "-t", kind, ...bits, "-N", "", "-C", "test", "-f", path(name)]);
    }
  }
  const publicKeys = (prefix: string) =>
    keys.map((kind) => readFileSync(path(`${prefix}_${kind}.pub`), "utf8"));
  writeFileSync(path("authorized_keys"), publicKeys("id").join(""));
  writeFileSync(path("known_hosts"), publicKeys("host").map((key) => `[${address}]:${port} ${key}`).join(""));
  const env = Object.entries({ HOME: home, PATH: process.env.PATH ?? "", ...options.env });
  writeFileSync(
    path("sshd_config"),
    `${options.extraConfig ?? ""}
Port ${port}
ListenAddress ${address}
${keys.map((kind) => `HostKey ${path(`host_${kind}`)}`).join("\n")}
PidFile none
AuthorizedKeysFile ${path("authorized_keys")}
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
AcceptEnv LANG LC_* PATHOS_*
SetEnv ${[variable, ...env.map(([name, value]) => `"${name}=${value}"`)].join(" ")}
MaxSessions ${options.maxSessions ?? 64}
MaxStartups 200
LogLevel VERBOSE
Subsystem sftp internal-sftp
PrintMotd no
${options.shell === undefined ? "" : `ForceCommand exec ${options.shell} -c "$SSH_ORIGINAL_COMMAND"`}
`,
  );
  const aliases = Array.from({ length: hosts }, (_, i) => `host${i + 1}`).join(" ");
  writeFileSync(
    path("ssh_config"),
    `Host ${aliases}
  HostName ${address}
  Port ${port}
  User ${user}
${keys.map((kind) => `  IdentityFile ${path(`id_${kind}`)}`).join("\n")}
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile ${path("known_hosts")}
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
`,
  );

  let keeper: ChildProcess | undefined, listener = 0;
  const up = async () => {
    // sshd ends with its keeper, and the keeper with its input, which is ours
    const script = '"$0" -D -e -f "$1" </dev/null >/dev/null 2>>"$2" & echo $!; cat >/dev/null; kill $!';
    const command = ["/bin/sh", "-c", script, sshdProgram(), path("sshd_config"), path("sshd.log")];
    const [program, ...args] = [...far.within, ...command];
    keeper = spawn(program, args, {
      stdio: ["pipe", "pipe", "ignore"],
      detached: true,
    });
    listener = await new Promise<number>((resolve) =>
      keeper!.stdout!.once("data", (text) => resolve(Number(text)))
    );
    const end = performance.now() + 60_000;
    while (!await accepts(address, port)) {
      if (performance.now() > end) {
        const log = sshd.log();
        await sshd.stop();
        throw new Error(`the private sshd did not start within 10 s: ${log}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  const down = async () => {
    if (!keeper) return;
    const gone = new Promise((resolve) => keeper!.once("close", resolve));
    for (const { pid } of [{ pid: listener }, ...processesBelow(listener)]) kill(pid);
    keeper.stdin!.end();
    keeper = undefined;
    await gone;
  };
  const stop = async () => {
    await down();
    for (const { pid } of processesWith(variable)) kill(pid);
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  };
  const sshd: Sshd = {
    port,
    folder,
    config: path("ssh_config"),
    knownHosts: path("known_hosts"),
    identity: path(`id_${keys[0]}`),
    home,
    user,
    host: (n = 1) => ({ host: `host${n}`, config: path("ssh_config") }),
    log: () => existsSync(path("sshd.log")) ? readFileSync(path("sshd.log"), "utf8") : "",
    sessions: () => processesBelow(listener).filter(({ command }) => command.startsWith("sshd: ")),
    processes: () => processesWith(variable),
    down,
    up,
    stop,
    [Symbol.asyncDispose]: stop,
  };
  await up();
  return sshd;
}

/** sshd insists on being started by its whole path. */
function sshdProgram(): string {
  const folders = [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/usr/local/sbin", "/sbin"];
  const found = folders.map((folder) => `${folder}/sshd`).find((path) =>
    path.startsWith("/") && existsSync(path)
  );
  if (!found) throw new Error("there is no sshd here: install Debian's openssh-server");
  return found;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject).listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

function accepts(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, address);
    socket.once("error", () => resolve(false));
    socket.once("data", () => {
      socket.destroy();
      resolve(true);
    });
  });
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // it ended by itself in the meantime
  }
}
