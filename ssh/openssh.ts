/**
 * A connection through the OpenSSH client, so that ssh_config, the agent, jump hosts, certificates and
 * known_hosts mean what they mean to the user's own ssh.
 *
 * One master process holds the connection; its own session is the holder (remote_shell.ts), because a
 * connection without a session keeps Nagle's algorithm on. Commands and forwards are short-lived ssh processes
 * that talk to the master through a socket in a private folder; should the master be gone they fail, and never
 * connect by themselves. The master ends with its standard input, hence with this program; what cannot end by
 * itself the reaper kills, and removes the folder. A lost link shows within about 8 s: ssh asks the host for a
 * sign of life every 2 s and gives up after the third missed.
 */
import {
  type ExitStatus,
  makeTempDir,
  platform,
  removeTree,
  signalGroup,
  spawn,
  type Spawned,
  tempFolder,
  unwatch,
  watch,
} from "../runtime/mod.ts";
import type { Connection, SshError } from "./connection.ts";
import { failureOf, sshError } from "./failures.ts";
import type { Host } from "./host.ts";
import { MarkCutter, newMark, randomHex } from "./marks.ts";
import { startCommand } from "./openssh_command.ts";
import { placeForward } from "./openssh_forward.ts";
import { startSubsystem } from "./openssh_subsystem.ts";
import { startTransfer } from "./openssh_transfer.ts";
import { holder, script, starter } from "./remote_shell.ts";

/** What commands and forwards need of the connection that they belong to. */
export interface Link {
  readonly host: Host;
  /** Its name in the host's list of processes. */
  readonly name: string;
  /** Arguments for an ssh process that talks to the master: to run a command, or with `flags` of its own. */
  clientArgs(flags: readonly string[], command?: string): string[];
  /** Why it is over; undefined while it is not. */
  over(): SshError | undefined;
  /** Whether the host still answers. Resolves as soon as that is known; while it waits, the program stays alive. */
  alive(): Promise<boolean>;
  /** Tells the holder something: `TERM 123`, say (see remote_shell.ts). */
  tell(line: string): void;
  /** What removes the local sockets of forwards when the connection ends. */
  readonly leftovers: Set<() => void>;
  /** What the master said last. */
  said(): string;
  /** Resolves when no other free port of the host is being asked for. */
  portQuestion: Promise<unknown>;
  /** Sessions that the host admits at once, as far as it is known, and those in use and waiting for one. */
  readonly sessions: { limit: number; used: number; readonly waiting: (() => void)[] };
}

const NO_SHELL = "Is there a POSIX sh, and may this user run commands?";
/** Longest that a socket's path may be (macOS; Linux has 108), less what ssh appends while it binds it. */
const LONGEST_PATH = 103 - 17;
/** Milliseconds that the host has to answer a question; ssh itself has noticed a lost link before. */
const ANSWER_LIMIT = 10_000;
/** Milliseconds that what ssh started (a ProxyCommand) may hold its output open after its end. */
const LINGER = 300;
const SAID_LIMIT = 8192;

/**
 * Connects through the OpenSSH client. Resolves when commands can run.
 *
 * @throws {SshError} If it cannot connect.
 */
export async function connectOpenSsh(host: Host, signal?: AbortSignal): Promise<Connection> {
  const name = `pathos-${randomHex(8)}`;
  const mark = newMark();
  const folder = socketFolder();
  const socket = `${folder}/c`;
  const utf8 = new TextEncoder();
  let said = "", over: SshError | undefined, closing = false, ready = false;
  let keptAlive = true, questions = 0, asked = 0;
  const leftovers = new Set<() => void>();
  const answers = new Map<string, (alive: boolean) => void>();
  let tellReady: () => void, tellEnd: (reason: SshError | undefined) => void;
  const readiness = new Promise<void>((resolve) => tellReady = resolve);
  const ended = new Promise<SshError | undefined>((resolve) => tellEnd = resolve);

  watch(folder);
  const cutter = new MarkCutter(mark, Infinity, true, () => {}, (words) => {
    ready = true;
    tellReady();
    answers.get(words)?.(true);
  });
  const decoder = new TextDecoder();
  let master: Spawned | undefined;
  const finish = ({ code, signal }: ExitStatus) => {
    clearTimeout(lingering);
    if (gone) return;
    gone = true;
    const otherwise = ready ? "the connection was lost" : "the connection ended before it was ready";
    const how = signal
      ? `: its ssh process was killed by ${signal}`
      : code === 255
      ? ""
      : `: ssh ended with ${code}`;
    const shellless = !ready && signal === null && code !== 255;
    over ??= closing
      ? sshError(host, "unreachable", "the connection was closed here")
      : shellless
      ? sshError(host, "setup", `no command could be run (it ended with ${code}). ${NO_SHELL}`, said)
      : failureOf(host, said, otherwise + how);
    signalGroup(master!.pid, "SIGKILL"); // the ssh to a jump host, say
    removeTree(folder);
    for (const remove of leftovers) remove();
    Promise.all([unwatch(folder), unwatch(-master!.pid)]).then(() => tellEnd(closing ? undefined : over));
    for (const answer of answers.values()) answer(false);
    tellReady();
  };
  let gone = false, lingering: ReturnType<typeof setTimeout> | undefined;
  try {
    master = spawn("ssh", masterArgs(host, socket, starter(name)), { env: { LC_ALL: "C" }, detached: true }, {
      stdout: (bytes) => cutter.push(bytes),
      stderr: (bytes) => void (said = (said + decoder.decode(bytes, { stream: true })).slice(-SAID_LIMIT)),
      ended: (status) => lingering = setTimeout(finish, LINGER, status),
      exit: finish,
    });
  } catch (cause) {
    removeTree(folder);
    await unwatch(folder);
    throw sshError(
      host,
      "setup",
      'no ssh program could be started here: install the OpenSSH client, or use transport: "ssh2"',
      "",
      cause,
    );
  }
  const started = master;
  watch(-started.pid);
  started.write([utf8.encode(script(name, holder(mark)))]);

  const timer = setTimeout(() => {
    over = sshError(
      host,
      "timeout",
      `it was not ready within ${host.connectTimeout} ms (connectTimeout). Is it busy, or does its login shell wait for something?`,
      said,
    );
    started.kill("SIGKILL");
  }, host.connectTimeout + 500); // ssh's own limit tells more, and comes first
  const giveUp = () => {
    over = sshError(host, "unreachable", "the attempt to connect was given up here");
    master.kill("SIGKILL");
  };
  if (signal?.aborted) giveUp();
  signal?.addEventListener("abort", giveUp);
  await readiness;
  signal?.removeEventListener("abort", giveUp);
  clearTimeout(timer);
  if (over) {
    await ended;
    throw over;
  }

  const tell = (line: string) => void started.write([utf8.encode(`${line}\n`)]);
  const keepAlive = () => started.keepAlive(keptAlive || questions > 0);
  const alive = () =>
    new Promise<boolean>((resolve) => {
      if (over) return resolve(false);
      const question = String(++asked);
      questions++;
      keepAlive();
      const silence = setTimeout(() => started.kill("SIGKILL"), ANSWER_LIMIT);
      answers.set(question, (yes) => {
        answers.delete(question);
        clearTimeout(silence);
        questions--;
        keepAlive();
        resolve(yes);
      });
      tell(`? ${question}`);
    });
  const link: Link = {
    host,
    name,
    clientArgs: (flags, command) => clientArgs(host, socket, flags, command),
    over: () => over,
    alive,
    tell,
    leftovers,
    portQuestion: Promise.resolve(),
    said: () => said,
    sessions: { limit: Infinity, used: 0, waiting: [] },
  };
  return {
    host,
    ended,
    over: link.over,
    run: (command, events, options = {}) => startCommand(link, command, options.env ?? {}, events),
    transfer: (command, file, events) => startTransfer(link, command, file, events),
    subsystem: (name, events) => startSubsystem(host, link.clientArgs(["-s"], name), events),
    forward: (spec) => placeForward(link, spec),
    keepAlive(on) {
      keptAlive = on;
      keepAlive();
    },
    async close() {
      if (!closing && !over) {
        closing = true;
        started.keepAlive(true);
        started.closeInput(); // the holder ends what still runs there
        started.kill("SIGTERM");
        const insist = setTimeout(() => started.kill("SIGKILL"), 1000);
        await ended;
        clearTimeout(insist);
      }
      await ended;
    },
  };
}

/** A private folder whose path is short and plain enough for ssh's `ControlPath`. */
function socketFolder(): string {
  const usual = tempFolder();
  const fits = usual.length + "/pathos-XXXXXX/c".length <= LONGEST_PATH && /^[A-Za-z0-9/._+-]+$/.test(usual);
  return makeTempDir("pathos-", fits || platform() === "win32" ? usual : "/tmp");
}

function settings(pairs: Readonly<Record<string, string | number>>): string[] {
  return Object.entries(pairs).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
}

/** Who and where, as every ssh process is told. For ssh the first value of a setting counts: these come last. */
function placeArgs(host: Host): string[] {
  return [
    ...(host.config === undefined ? [] : ["-F", host.config]),
    ...settings(host.options),
    ...(host.user === undefined ? [] : ["-l", host.user]),
    ...(host.port === undefined ? [] : ["-p", String(host.port)]),
    "--",
    host.hostname,
  ];
}

/** What must hold whatever ssh_config says: nobody to ask, no forwards or commands but ours. */
const PLAIN = {
  BatchMode: "yes",
  RemoteCommand: "none",
  PermitLocalCommand: "no",
  EscapeChar: "none",
};

/** Arguments of an ssh process that connects by itself: a master with its socket, or one that stays alone. */
export function masterArgs(host: Host, socket: string | undefined, command: string): string[] {
  const { connectTimeout, identity, knownHosts, acceptNew, agent } = host;
  return [
    "-T",
    "-x",
    ...settings({
      ...PLAIN,
      ClearAllForwardings: "yes",
      ControlMaster: socket === undefined ? "no" : "yes",
      ControlPath: socket ?? "none",
      ControlPersist: "no",
    }),
    ...(identity.length > 0 ? settings({ IdentitiesOnly: "yes" }) : []),
    ...identity.flatMap((path) => ["-i", path]),
    ...settings({
      ...(knownHosts !== undefined
        ? { UserKnownHostsFile: JSON.stringify(knownHosts), GlobalKnownHostsFile: "/dev/null" }
        : {}),
      ...(acceptNew ? { StrictHostKeyChecking: "accept-new" } : {}),
      ...(agent !== undefined ? { IdentityAgent: JSON.stringify(agent) } : {}),
      ...host.options,
      LogLevel: "INFO",
      ConnectTimeout: Math.ceil(connectTimeout / 1000),
      ServerAliveInterval: 2,
      ServerAliveCountMax: 3,
    }),
    ...placeArgs(host),
    command,
  ];
}

function clientArgs(host: Host, socket: string, flags: readonly string[], command?: string): string[] {
  return [
    "-T",
    "-x",
    ...flags,
    ...settings({
      ...PLAIN,
      ...(command === undefined ? {} : { ClearAllForwardings: "yes" }), // would clear the one that a flag asks for
      ControlMaster: "no",
      ControlPath: socket,
      ProxyCommand: "false", // without the master this process must fail, not connect
      LogLevel: "ERROR",
    }),
    // a forward is not to bring those of ssh_config with it
    ...(command === undefined ? ["-F", "/dev/null", "--", host.hostname] : [...placeArgs(host), command]),
  ];
}
