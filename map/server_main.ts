/**
 * The server as the main program of a process on another host, started over ssh (deploy.ts). It tells its port
 * and token in one line on standard output, and ends when its standard input does (the ssh connection is gone)
 * or its lease is over (the connection is there but nobody speaks).
 */
import {
  builtin,
  cpuCount,
  exit,
  newToken,
  programArgs,
  stderr,
  stdinLines,
  stdout,
} from "../runtime/mod.ts";
import { openServer } from "./server.ts";
import { LEASE_MS, MAX_FRAME } from "./session.ts";

/** Under this symbol the worker program finds its own text if it is to be a server. */
export const SERVER_SYMBOL = "pathos.server";

/** What begins a line that is for us: anything else on standard output comes from the login of the host. */
export const SAY = "@@PATHOS";

/** The environment variable with the token that a server is to have; without it, it makes one. */
export const TOKEN_VARIABLE = "PATHOS_SERVER_TOKEN";

/** How a server is to be, as JSON in its first argument. */
export interface RemoteServerOptions {
  workers?: number;
  lease?: number;
}

/** What a server tells when it is ready. */
export interface Ready {
  port: number;
  token: string;
}

/** Makes this process a server whose workers run `program`. */
export async function runServer(program: string): Promise<void> {
  try {
    const { workers = cpuCount(), lease = LEASE_MS } = JSON.parse(programArgs()[0]) as RemoteServerOptions;
    const variables = builtin<{ env: Record<string, string | undefined> }>("node:process").env;
    const token = variables[TOKEN_VARIABLE] ?? newToken();
    delete variables[TOKEN_VARIABLE]; // the workers need not know it
    const address = { host: "127.0.0.1", port: 0 };
    const server = await openServer({
      address,
      token,
      workers,
      lease,
      maxFrame: MAX_FRAME,
      program,
      noConfig: true,
    });
    const { port } = server.address as { port: number };
    await stdout.write(`${SAY} ready ${JSON.stringify({ port, token } satisfies Ready)}\n`);
    const inputEnded = (async () => {
      for await (const _ of stdinLines()); // nothing is expected: its end is the message
    })().catch(() => {});
    await Promise.race([inputEnded, server.closed]);
    await server.close();
    exit(0);
  } catch (error) {
    stderr.write(`pathos server: ${(error as Error).message}\n`);
    exit(1);
  }
}
