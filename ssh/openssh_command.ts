/**
 * A command over a connection of the OpenSSH client: an ssh process that the master gives a session to, and the
 * wrapper (remote_shell.ts) on the host, whose words tell how the command ended. If they are missing, the
 * question is whether the connection was lost or only the wrapper: the host itself is asked.
 *
 * A host admits so many sessions on a connection (sshd's MaxSessions, by default 10). One refused waits until
 * another ends; what was written to it meanwhile is kept until the command has started.
 */
import { spawn, type Spawned, unwatch, watch } from "../runtime/mod.ts";
import type { RemoteEvents, RemoteProcess, RemoteStatus, SshError } from "./connection.ts";
import { sshError } from "./failures.ts";
import { MarkCutter, newMark } from "./marks.ts";
import type { Link } from "./openssh.ts";
import { LONGEST_COMMAND, readStatus, script, starter, wrapper } from "./remote_shell.ts";

const NOISE_LIMIT = 4096;

/** Starts a command, or lets it wait for a session; failures are told by `exit`. */
export function startCommand(
  link: Link,
  command: string,
  env: Readonly<Record<string, string>>,
  events: RemoteEvents,
): RemoteProcess {
  const { sessions, host } = link;
  const mark = newMark();
  const utf8 = new TextEncoder();
  const head = utf8.encode(script(link.name, wrapper(mark, command, env)));
  const kept: Uint8Array[] = []; // input to repeat if the session is refused
  const early: string[] = []; // signals to deliver once it runs
  let child: Spawned | undefined, pid: number | undefined, status: RemoteStatus | undefined;
  let inputEnded = false, keptAlive = true, lastSignal: string | undefined;
  let tellBegun: () => void;
  const beginning = new Promise<void>((resolve) => tellBegun = resolve);

  const end = (how: RemoteStatus | SshError) => {
    tellBegun();
    sessions.used--;
    sessions.waiting.shift()?.();
    events.exit(how);
  };

  const start = () => {
    sessions.used++;
    const problem = link.over();
    if (problem) return end(problem);
    if (utf8.encode(command).length > LONGEST_COMMAND) {
      return end(
        sshError(
          host,
          "setup",
          `a command of more than ${LONGEST_COMMAND} bytes; send it as input of "sh" instead`,
        ),
      );
    }
    let begun = false;
    let noise = ""; // before the command's own output come ssh's errors and what the login shell's files print
    const note = (bytes: Uint8Array) =>
      void (noise = (noise + new TextDecoder().decode(bytes)).slice(-NOISE_LIMIT));
    const output = new MarkCutter(
      mark,
      1,
      false,
      (bytes) => begun ? events.stdout(bytes) : note(bytes),
      () => begun = true,
    );
    const errors = new MarkCutter(
      mark,
      2,
      true,
      (bytes) => pid === undefined ? note(bytes) : events.stderr(bytes),
      (words) => {
        if (pid !== undefined) return void (status = readStatus(words));
        pid = Number(words);
        kept.length = 0;
        tellBegun();
        for (const name of early) link.tell(`${name} ${pid}`);
      },
    );
    let process: Spawned;
    try {
      process = child = spawn("ssh", link.clientArgs([], starter(link.name)), { detached: true }, {
        stdout: (bytes) => output.push(bytes),
        stderr: (bytes) => errors.push(bytes),
        ended({ signal }) {
          // the master keeps the session of a client that was killed, and its output open, until the command ends
          if (signal !== null && pid !== undefined && !status) link.tell(`KILL ${pid}`);
        },
        async exit({ signal }) {
          unwatch(process.pid);
          await Promise.all([output.end(), errors.end()]);
          if (status) end(status);
          else if (pid === undefined && /refused by peer|open failed/i.test(noise) && sessions.used > 1) {
            again();
          } else end(await withoutWords(signal, noise));
        },
      });
    } catch (cause) {
      return end(sshError(host, "setup", "no ssh process could be started here", "", cause));
    }
    watch(process.pid);
    process.keepAlive(keptAlive);
    process.write([head, ...kept]);
    if (inputEnded) process.closeInput();
  };

  const again = () => {
    sessions.used--;
    sessions.limit = Math.max(1, sessions.used);
    child = undefined;
    sessions.waiting.unshift(start);
  };

  /** How a command ended whose wrapper said nothing at its end. */
  const withoutWords = async (killed: string | null, noise: string): Promise<RemoteStatus | SshError> => {
    if (!link.over() && await link.alive()) {
      if (pid === undefined) {
        return /refused by peer|open failed/i.test(noise)
          ? sshError(host, "refused", "it admits no more sessions (MaxSessions in its sshd_config)", noise)
          : sshError(
            host,
            "setup",
            "no command could be run. Is there a POSIX sh, and may this user run commands?",
            noise,
          );
      }
      link.tell(`KILL ${pid}`); // what the wrapper left
      if (killed === null) return { code: null, signal: lastSignal ?? "SIGKILL" };
      return sshError(
        host,
        "unreachable",
        `the command was ended: its ssh process here was killed by ${killed}`,
      );
    }
    const reason = link.over();
    return reason ?? sshError(host, "unreachable", "the connection was lost");
  };

  if (sessions.used < sessions.limit) queueMicrotask(start);
  else sessions.waiting.push(start);
  return {
    async write(bytes) {
      if (inputEnded) return;
      if (pid === undefined) kept.push(bytes);
      await (child ? child.write([bytes]) : beginning);
    },
    closeInput() {
      inputEnded = true;
      child?.closeInput();
    },
    kill(signal) {
      lastSignal = signal;
      const name = signal.replace(/^SIG/, "");
      if (pid === undefined) early.push(name);
      else if (!status) link.tell(`${name} ${pid}`);
    },
    keepAlive(on) {
      keptAlive = on;
      child?.keepAlive(on);
    },
  };
}
