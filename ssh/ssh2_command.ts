/**
 * A command over a channel of an ssh2 connection, started and ended by the same scripts as with the OpenSSH
 * client (remote_shell.ts), so that its output, its status and what a signal does to it are the same.
 */
import type { RemoteEvents, RemoteProcess, RemoteStatus, RunOptions, SshError } from "./connection.ts";
import { sshError } from "./failures.ts";
import type { Host } from "./host.ts";
import { MarkCutter, newMark } from "./marks.ts";
import { LONGEST_COMMAND, readStatus, script, starter, wrapper } from "./remote_shell.ts";
import { carry, promised, type Session } from "./ssh2_channel.ts";

/** How much of what was said before a command began, or in its place, is kept for an error. */
const SAID = 1000;

/** Starts a command, or lets it wait for a session; failures are told by `exit`. */
export function startCommand(
  session: Session,
  command: string,
  events: RemoteEvents,
  options: RunOptions = {},
): RemoteProcess {
  const { client, name } = session;
  const mark = newMark();
  const decoder = new TextDecoder();
  let pid: string | undefined;
  let status: RemoteStatus | undefined;
  let said = "";
  let begun = false, ended = false;
  const early: string[] = []; // signals to deliver once it runs

  const deliver = (signal: string) => {
    if (ended || status) return;
    if (pid === undefined) early.push(signal);
    else if (!session.signal(signal.replace(/^SIG/, ""), pid)) process.kill(signal);
  };
  const stdout = new MarkCutter(
    mark,
    1,
    false,
    (bytes) => begun ? events.stdout(bytes) : undefined, // what the login shell's files print is not the command's
    () => begun = true,
  );
  const stderr = new MarkCutter(mark, 2, true, (bytes) => {
    if (pid !== undefined) return events.stderr(bytes);
    said = (said + decoder.decode(bytes)).slice(-SAID);
  }, (words) => {
    if (pid !== undefined) return void (status = readStatus(words));
    pid = words;
    for (const signal of early) deliver(signal);
  });
  const process = carry(session, {
    async open() {
      if (new TextEncoder().encode(command).length > LONGEST_COMMAND) {
        const what = `a command of more than ${LONGEST_COMMAND} bytes; send it as input of "sh" instead`;
        throw sshError(session.host, "setup", what);
      }
      return await promised((done) => client.exec(starter(name), done));
    },
    head: new TextEncoder().encode(script(name, wrapper(mark, command, options.env ?? {}))),
    stdout,
    stderr,
    judge(native) {
      if (status || session.over()) return status;
      if (pid === undefined) return notRun(session.host, native, said);
      session.signal("KILL", pid); // what the wrapper left
      return undefined;
    },
    exit(end) {
      ended = true;
      events.exit(end);
    },
  });
  return { ...process, kill: deliver };
}

/** Opens a subsystem, such as `"sftp"`; failures are told by `exit`. */
export function startSubsystem(session: Session, name: string, events: RemoteEvents): RemoteProcess {
  return carry(session, {
    open: () => promised((done) => session.client.subsys(name, done)),
    stdout: { push: events.stdout, end() {} },
    stderr: { push: events.stderr, end() {} },
    exit: events.exit,
  });
}

function notRun(host: Host, native: RemoteStatus | undefined, said: string): SshError {
  const how = native ? ` (it ended with ${native.code ?? native.signal})` : "";
  const what = `no command could be run${how}. Is there a POSIX sh, and may this user run commands?`;
  return sshError(host, "setup", what, said);
}
