/**
 * A command on this machine, with the interface of one on a host, so that whatever runs commands need not ask
 * which it is. It runs in a process group of its own: signals reach all of the group, as they do on a host, and
 * the group ends with this program.
 */
import { signalGroup, spawn, type Spawned, unwatch, watch } from "../runtime/mod.ts";
import type { RemoteEvents, RemoteProcess, RemoteStatus, RunOptions } from "./connection.ts";

/**
 * Starts a command: a line for `sh`, or a program and its arguments.
 *
 * @throws {Error} If it cannot be started.
 */
export function startLocal(
  command: string | readonly string[],
  events: Omit<RemoteEvents, "exit"> & { exit(status: RemoteStatus): void },
  options: RunOptions & { cwd?: string },
): RemoteProcess {
  const [program, ...args] = typeof command === "string" ? ["/bin/sh", "-c", command] : command;
  const { env, cwd } = options;
  const child: Spawned = spawn(program, args, { cwd, env: { ...env }, detached: true }, {
    stdout: (bytes) => events.stdout(bytes),
    stderr: (bytes) => events.stderr(bytes),
    exit: (status) => void unwatch(-child.pid).then(() => events.exit(status)),
  });
  watch(-child.pid);
  return {
    write: (bytes) => child.write([bytes]),
    closeInput: () => child.closeInput(),
    kill: (signal) => signalGroup(child.pid, signal),
    keepAlive: (on) => child.keepAlive(on),
  };
}
