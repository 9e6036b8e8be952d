/**
 * Brings the server to a host that has nothing but Deno or Node, and starts it, over one ssh connection (bring.ts says
 * how): some 300 kB, once for each release, and where there is neither Deno nor Node the very program that runs this
 * (100 MB, once).
 */
import type { HttpAddress } from "../runtime/mod.ts";
import type { Connection } from "../ssh/connection.ts";
import { quote } from "../ssh/quote.ts";
import { bring, bringScript, knowingItself, newProgram, type Program } from "./bring.ts";
import { execRuntime, findRuntime } from "./provision.ts";
import { type Ready, type RemoteServerOptions, SERVER_SYMBOL, TOKEN_VARIABLE } from "./server_main.ts";
import { WORKER_PROGRAM } from "./worker_bundle.ts";

/** A server on a host. */
export interface Deployed {
  /** Where to reach it from here. */
  address: HttpAddress;
  token: string;
  /** Resolves when it has ended, to the reason in words. */
  ended: Promise<string>;
  /** Lets it keep this program alive, or not. */
  keepAlive(on: boolean): void;
  /** Ends it. */
  close(): Promise<void>;
}

/** How a server is started on a host. */
export interface DeployOptions extends RemoteServerOptions {
  /** Path of Deno or Node there. Default: what is found. */
  runtime?: string;
  /** Environment variables of the server and what it runs. */
  env?: Record<string, string>;
  /** A command to start it with, such as `nice -n 10`. */
  launcher?: string;
  /** The token it is to have. Default: one that it makes. */
  token?: string;
  /** Where it is to be reached from here. Default: any free port. */
  port?: number;
}

let script: Program | undefined;

const program = (): Program => script ??= newProgram("server", knowingItself(SERVER_SYMBOL, WORKER_PROGRAM));

/**
 * A script that tells, as lines of `name value`, what a server on the host would find, and changes nothing there:
 * `runtime` (path), `version` (what that says), `kept` (yes, if the worker program of this release is there).
 */
export function lookScript(runtime: string | undefined): string {
  return `d=\${XDG_CACHE_HOME:-$HOME/.cache}/pathos
[ -d "$d" ] || d=/tmp/pathos-$(id -u)
${
    findRuntime(runtime)
  }[ -z "$r" ] || printf 'runtime %s\\nversion %s\\n' "$r" "$("$r" --version </dev/null 2>&1 | head -n 1)"
[ ! -s "$d/${program().name}" ] || echo 'kept yes'
`;
}

function startScript({ runtime, launcher, workers, lease }: DeployOptions): string {
  const server = quote(JSON.stringify({ workers, lease } satisfies RemoteServerOptions));
  return bringScript(program(), execRuntime('"$f"', server, launcher), runtime);
}

/** What goes there in the environment, because arguments can be seen by others. */
function environment({ env, token }: DeployOptions): Record<string, string> {
  return { ...env, ...(token === undefined ? {} : { [TOKEN_VARIABLE]: token }) };
}

/**
 * Starts a server on the host of a connection.
 *
 * @throws {SshError} If the connection is lost, or the host refuses the forward.
 * @throws {Error} If the server does not start there; the message has what it said.
 */
export async function deploy(connection: Connection, options: DeployOptions): Promise<Deployed> {
  const server = await bring(
    (script, events, more) => connection.run(script, events, more),
    program(),
    startScript(options),
    { place: String(connection.host), connection, env: environment(options) },
  );
  const { process, ended } = server;
  const ready: Ready = JSON.parse(server.ready);
  const forward = await connection.forward({
    kind: "local",
    listen: { host: "127.0.0.1", port: options.port ?? 0 },
    target: { host: "127.0.0.1", port: ready.port },
  }).catch((error) => {
    process.closeInput();
    throw error;
  });
  const { port } = forward.listen as { port: number };
  return {
    address: { host: "127.0.0.1", port },
    token: ready.token,
    ended,
    keepAlive: (on) => process.keepAlive(on),
    async close() {
      process.keepAlive(true);
      process.closeInput();
      const late = setTimeout(() => process.kill("SIGKILL"), 5000);
      await Promise.all([ended, forward.close()]);
      clearTimeout(late);
    },
  };
}
