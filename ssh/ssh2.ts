/**
 * A connection by npm:ssh2, for where there is no ssh program, or where this program has to give a password or
 * answer the host's questions. It behaves as the one through the OpenSSH client does: commands are started and
 * ended by the same scripts (remote_shell.ts), with a holder on the host that ends them when the link is lost.
 *
 * What differs: certificates, hardware keys and GSSAPI are not to be had, compression is not used. A host that
 * gives no sign of life for three intervals of 2 s counts as lost.
 */
import { every } from "../runtime/mod.ts";
import type { Connection, ForwardSpec, SshError } from "./connection.ts";
import { sshError } from "./failures.ts";
import { Host } from "./host.ts";
import { newMark, randomHex } from "./marks.ts";
import { holder, script, starter } from "./remote_shell.ts";
import { promised, type Session } from "./ssh2_channel.ts";
import { startCommand, startSubsystem } from "./ssh2_command.ts";
import { forwardsOf } from "./ssh2_forward.ts";
import { type Link, openCommand, openTcp, openThrough } from "./ssh2_link.ts";
import { login } from "./ssh2_login.ts";
import { settingsOf } from "./ssh2_settings.ts";
import { type Channel, type Client, loadSsh2, type Ssh2 } from "./ssh2_types.ts";

/** How often a host that says nothing is asked for a sign of life, in milliseconds, and how often in vain. */
const INTERVAL = 2_000;
const SILENT = 3;

/** Milliseconds that a connection has to say goodbye. */
const GOODBYE = 1_000;

/** As many jump hosts in a row are a loop in ssh_config. */
const JUMPS = 10;

/**
 * Connects to a host.
 *
 * @throws {SshError} If it cannot be reached, does not prove who it is, or does not accept us.
 */
export async function connectSsh2(host: Host): Promise<Connection> {
  const { client, link } = await reach(await loadSsh2(), host);
  return connectionOver(host, client, link);
}

interface Reached {
  client: Client;
  link: Link;
  label: string;
}

/** Logs in, by way of these jump hosts or of those that ssh_config says. */
async function reach(ssh2: Ssh2, host: Host, via?: string[], depth = 0): Promise<Reached> {
  if (depth > JUMPS) {
    throw sshError(
      host,
      "setup",
      `it is behind more than ${JUMPS} jump hosts; does ProxyJump lead in a circle?`,
    );
  }
  const settings = await settingsOf(host);
  const { hostname, port, proxyCommand } = settings;
  const jumps = via?.length ? via : settings.jumps;
  let link: Link;
  if (jumps.length > 0) {
    const jump = await reach(ssh2, jumpHost(host, jumps[jumps.length - 1]), jumps.slice(0, -1), depth + 1);
    link = await openThrough(jump, hostname, port, host.name);
  } else if (proxyCommand !== undefined) {
    link = openCommand(proxyCommand, host.name);
  } else {
    link = await openTcp(hostname, port, host.connectTimeout, host.name);
  }
  return { client: await login(ssh2, link, host, settings), link, label: host.name };
}

/** The way to a jump host is that to its host, as far as it is not the host's own. */
function jumpHost(
  { config, knownHosts, acceptNew, agent, connectTimeout, prompt }: Host,
  jump: string,
): Host {
  return new Host({
    host: jump,
    acceptNew,
    connectTimeout,
    ...(config !== undefined && { config }),
    ...(knownHosts !== undefined && { knownHosts }),
    ...(agent !== undefined && { agent }),
    ...(prompt && { prompt }),
  });
}

function connectionOver(host: Host, client: Client, link: Link): Connection {
  const name = `pathos-${randomHex(8)}`;
  let over: { reason?: SshError } | undefined;
  let cause: Error | undefined;
  let users = 1; // what keeps the program alive: the connection itself, commands, and what is under way
  let kept = true;
  let tellEnd: (reason?: SshError) => void;
  const ended = new Promise<SshError | undefined>((resolve) => tellEnd = resolve);
  const hold = (on: boolean) => {
    users += on ? 1 : -1;
    link.keepAlive(users > 0);
  };
  const signal = startHolder(client, name);
  const forwards = forwardsOf(host, client, signal);
  const stopAsking = askForLife(client, link, () => {
    finish(sshError(host, "unreachable", `the link was lost: no sign of life for ${INTERVAL * SILENT} ms`));
    link.close();
  });
  const finish = (reason?: SshError) => {
    if (over) return;
    over = { reason };
    stopAsking();
    void forwards.closeAll().then(() => tellEnd(reason));
  };
  client.on("error", (error) => cause ??= error);
  client.on("close", () => {
    finish(sshError(host, "unreachable", "the connection was lost", cause?.message, cause));
  });
  const session: Session = {
    host,
    client,
    name,
    signal,
    hold,
    over: () => over && (over.reason ?? sshError(host, "unreachable", "the connection was closed here")),
    sessions: { used: 0, freed: -Infinity, waiting: [] },
  };

  return {
    host,
    ended,
    over: session.over,
    run: (command, events, options) => startCommand(session, command, events, options),
    subsystem: (subsystem, events) => startSubsystem(session, subsystem, events),
    async forward(spec: ForwardSpec) {
      const gone = session.over();
      if (gone) throw gone;
      hold(true);
      try {
        return await Promise.race([
          forwards.place(spec),
          ended.then(() => Promise.reject(session.over())),
        ]);
      } finally {
        hold(false);
      }
    },
    keepAlive(on) {
      if (on === kept) return;
      kept = on;
      hold(on);
    },
    async close() {
      hold(true);
      const closed = new Promise<void>((resolve) => client.on("close", resolve));
      const lost = over !== undefined;
      finish();
      client.end();
      const timer = setTimeout(() => link.close(), GOODBYE);
      if (!lost) await closed;
      clearTimeout(timer);
      link.close();
      await ended;
      hold(false);
    },
  };
}

/** Starts the holder (remote_shell.ts). Returns what makes it send a signal: false where the host runs none. */
function startHolder(client: Client, name: string): (word: string, about: number | string) => boolean {
  let channel: Channel | undefined;
  let waiting: string[] | undefined = [];
  const say = (text: string) => channel!.write(new TextEncoder().encode(text));
  promised((done) => client.exec(starter(name), done)).then((opened) => {
    channel = opened;
    opened.on("data", () => {}).on("error", () => {}).on("close", () => channel = undefined);
    opened.stderr.on("data", () => {});
    say(script(name, holder(newMark())) + waiting!.join(""));
  }, () => {}).then(() => waiting = undefined);
  return (word, about) => {
    const line = `${word} ${about}\n`;
    if (channel) say(line);
    else waiting?.push(line);
    return channel !== undefined || waiting !== undefined;
  };
}

/** Calls `lost` when the host has been silent for too long. Returns what stops that. */
function askForLife(client: Client, link: Link, lost: () => void): () => void {
  let silent = 0;
  link.stream.on("data", () => silent = 0);
  const stop = every(INTERVAL, () => {
    if (++silent > SILENT - 1) {
      stop();
      return lost();
    }
    try {
      // any answer is a sign of life, and to cancel a forward that is not there is refused by every server
      client.unforwardIn("", 1, () => {});
    } catch {
      // it ends just now, which "close" tells
    }
  });
  return stop;
}
