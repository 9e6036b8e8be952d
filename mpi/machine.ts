/** A machine on which launchers and schedulers are run: this one, or a host reached by ssh. */
import { newToken, spawn, unwatch, watch } from "../runtime/mod.ts";
import type { RunScript } from "../map/bring.ts";
import type { Connection, RemoteEvents, RemoteProcess } from "../ssh/connection.ts";
import { Host, type HostLike } from "../ssh/mod.ts";
import { script as asInput, starter } from "../ssh/remote_shell.ts";
import { connectTo } from "../ssh/shared.ts";

/** Where a launcher runs. */
export interface Machine {
  name: string;
  run: RunScript;
  /** A port there, or on a machine that it reaches, as an address here. */
  reach(
    target: { host: string; port: number },
  ): Promise<{ address: { host: string; port: number }; close(): Promise<void> }>;
  connection?: Connection;
  /** Path of its Deno or Node, and variables for what runs there, as the host's profile says. */
  runtime?: string;
  env?: Readonly<Record<string, string>>;
  keepAlive(on: boolean): void;
  close(): Promise<void>;
}

/** Opens the way to it. `signal` ends the attempt. */
export async function openMachine(host: HostLike | undefined, signal?: AbortSignal): Promise<Machine> {
  if (host === undefined) {
    return {
      name: "this machine",
      run: runHere,
      reach: (address) => Promise.resolve({ address, close: () => Promise.resolve() }),
      keepAlive() {},
      close: () => Promise.resolve(),
    };
  }
  const named = Host.from(host);
  const { connection, release } = await connectTo(named, signal);
  return {
    name: String(connection.host),
    run: (script, events, more) => connection.run(script, events, more),
    async reach(target) {
      const forward = await connection.forward({
        kind: "local",
        listen: { host: "127.0.0.1", port: 0 },
        target,
      });
      return { address: { host: "127.0.0.1", ...forward.listen as { port: number } }, close: forward.close };
    },
    connection,
    runtime: named.runtime,
    env: named.env,
    keepAlive: (on) => connection.keepAlive(on),
    close: release,
  };
}

/** Runs a script on this machine, in a process group of its own, which ends with this program. */
function runHere(
  script: string,
  events: RemoteEvents,
  { env }: { env?: Readonly<Record<string, string>> },
): RemoteProcess {
  const mark = newToken(); // the script goes through standard input, because it may be too long for an argument
  const child = spawn("sh", ["-c", starter(mark)], { env: { ...env }, detached: true }, {
    stdout: events.stdout,
    stderr: events.stderr,
    exit: (status) => void unwatch(-child.pid).then(() => events.exit(status)),
  });
  watch(-child.pid);
  child.write([new TextEncoder().encode(asInput(mark, script))]);
  return {
    write: (bytes) => child.write([bytes]),
    closeInput: child.closeInput,
    kill: (signal) => child.kill(signal),
    keepAlive: child.keepAlive,
  };
}

/** Runs a script there to its end, whatever that is. */
export function runScript({ run }: Machine, script: string): Promise<void> {
  return new Promise((resolve) => {
    run(script, { stdout() {}, stderr() {}, exit: () => resolve() }, {});
  });
}
