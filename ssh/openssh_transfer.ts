/**
 * A command whose input or output is a file here. The ssh process reads or writes that file itself: the bytes of a
 * large file would take a third longer through this program.
 *
 * So standard input cannot bring the command as it does for others (remote_shell.ts). It comes as an argument, in
 * octal, which no login shell takes for anything else; and how it ended is ssh's own exit code.
 */
import { spawn, unwatch, watch } from "../runtime/mod.ts";
import type { RemoteEvents, RemoteProcess } from "./connection.ts";
import { sshError } from "./failures.ts";
import type { Link } from "./openssh.ts";

/** Starts a command joined to a file; failures are told by `exit`. */
export function startTransfer(
  link: Link,
  command: string,
  file: { from: string } | { to: string },
  events: RemoteEvents,
): RemoteProcess {
  const octal = [...new TextEncoder().encode(command)].map((byte) => "\\0" + byte.toString(8)).join("");
  // its name comes last, so that the holder finds it
  const args = link.clientArgs([], `exec sh -c 'eval "$(printf %b "$0")"' '${octal}' ${link.name}`);
  const [joined, path] = "from" in file
    ? ['exec ssh "$@" <"$0"', file.from]
    : ['exec ssh "$@" </dev/null >>"$0"', file.to];
  const child = spawn("/bin/sh", ["-c", joined, path, ...args], { detached: true }, {
    stdout: events.stdout,
    stderr: events.stderr,
    async exit({ code, signal }) {
      unwatch(child.pid);
      if (signal === null && code !== 255) return events.exit({ code, signal });
      const alive = !link.over() && await link.alive();
      const reason = link.over() ??
        (alive ? undefined : sshError(link.host, "unreachable", "the connection was lost"));
      if (reason) events.exit(reason);
      else if (signal === null) events.exit({ code, signal });
      else events.exit(sshError(link.host, "unreachable", `its ssh process here was killed by ${signal}`));
    },
  });
  watch(child.pid);
  return {
    write: () => Promise.resolve(),
    closeInput() {},
    kill: () => child.kill("SIGTERM"), // the host sees its channel close
    keepAlive: (on) => child.keepAlive(on),
  };
}
