/**
 * A subsystem of a host's ssh server, such as SFTP: over the shared connection, or, as a host that offers nothing else
 * runs no holder (openssh.ts), over a connection of its own. The arguments of ssh decide.
 */
import { spawn, unwatch, watch } from "../runtime/mod.ts";
import type { RemoteEvents, RemoteProcess } from "./connection.ts";
import { failureOf } from "./failures.ts";
import type { Host } from "./host.ts";

/** Opens the subsystem that the arguments, `-s` among them, name; failures are told by `exit`. */
export function startSubsystem(host: Host, args: string[], events: RemoteEvents): RemoteProcess {
  let said = "";
  const child = spawn("ssh", args, {
    env: { LC_ALL: "C" },
    detached: true,
  }, {
    stdout: events.stdout,
    stderr: (bytes) => void (said = (said + new TextDecoder().decode(bytes)).slice(-4096)),
    async exit({ code, signal }) {
      await unwatch(child.pid);
      if (code === 0) return events.exit({ code, signal });
      const how = signal
        ? `its ssh process here was killed by ${signal}`
        : `the subsystem ended with ${code}`;
      events.exit(failureOf(host, said, how));
    },
  });
  watch(child.pid);
  return {
    write: (bytes) => child.write([bytes]),
    closeInput: () => child.closeInput(),
    kill: () => child.kill("SIGTERM"),
    keepAlive: (on) => child.keepAlive(on),
  };
}
