/**
 * A server on a host reached by ssh, and a session with it: started there over one connection (deploy.ts), and
 * gone on both sides when it is closed, when the connection is lost, or when this program ends in any way.
 */
import type { HttpAddress } from "../runtime/mod.ts";
import type { Host } from "../ssh/host.ts";
import { connectTo } from "../ssh/shared.ts";
import type { WorkerRequest } from "./child.ts";
import { deploy } from "./deploy.ts";
import { type DirectLines, openDirectLines } from "./direct_lines.ts";
import { type Channel, type ChannelEvents, openSession, type Session } from "./session_client.ts";

/** How long a server may take to answer, in milliseconds. */
export const CONNECT_MS = 15_000;
/** So long another reason for a loss, which tells more, is waited for, in milliseconds. */
const REASON_MS = 300;
/** A host that has not made direct lines possible so long after its server answered does without, in milliseconds. */
const LINES_MS = 2000;

/** A session with a server, and what carries it. */
export interface HostLink {
  readonly session: Session;
  /** Where the server is reached from here. */
  readonly address: HttpAddress;
  readonly token: string;
  /** Starts a worker there. */
  start(request: WorkerRequest, events: ChannelEvents): Channel;
  /** Lets it keep this program alive, or not. */
  keepAlive(on: boolean): void;
  /** Why it was lost, as far as can be told; `reason` if nothing else is known. */
  why(reason: string): Promise<string>;
  /** Ends the session and the server. Resolves when nothing of them is left here. */
  close(): Promise<void>;
}

/**
 * Starts a server on a host; under this token and at this port here, if they are given. `signal` ends the attempt.
 * With `direct` its workers have lines of their own (direct_lines.ts), if the host allows that.
 *
 * @throws {SshError} If the host cannot be reached, or refuses the forward.
 * @throws {Error} If the server does not start there.
 */
export async function openHost(
  host: Host,
  { signal, direct = false, ...fixed }: {
    direct?: boolean;
    token?: string;
    port?: number;
    signal?: AbortSignal;
  } = {},
): Promise<HostLink> {
  const { workers, runtime, env, launcher } = host;
  const { connection, release } = await connectTo(host, signal);
  const opening = direct ? openDirectLines(connection).catch(() => undefined) : undefined;
  const closeLines = async (): Promise<void> => await (await opening)?.close();
  try {
    const server = await deploy(connection, { workers, runtime, env, launcher, ...fixed });
    try {
      const session = await openSession(server.address, server.token, CONNECT_MS);
      const lines = await soon(opening);
      return {
        session,
        start: (request, events) =>
          lines ? lines.start(session, request, events) : session.start(request, events),
        address: server.address,
        token: server.token,
        keepAlive(on) {
          for (const part of [session, server, connection]) part.keepAlive(on);
        },
        why: (reason) =>
          Promise.race([
            connection.ended.then((error) => error?.message ?? reason),
            server.ended,
            new Promise<string>((resolve) => setTimeout(resolve, REASON_MS, reason)),
          ]),
        async close() {
          session.close();
          await Promise.all([server.close(), closeLines()]);
          await release();
        },
      };
    } catch (error) {
      await server.close();
      throw error;
    }
  } catch (error) {
    await closeLines();
    await release();
    throw error;
  }
}

function soon(lines: Promise<DirectLines | undefined> | undefined): Promise<DirectLines | undefined> {
  if (!lines) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, LINES_MS, undefined);
    lines.then((opened) => {
      clearTimeout(timer);
      resolve(opened);
    });
  });
}

/** The link, or a rejection as soon as nobody wants it any more; one that comes too late is closed. */
export function unlessAborted<Link extends { close(): Promise<void> }>(
  link: Promise<Link>,
  signal: AbortSignal | undefined,
): Promise<Link> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      reject(signal!.reason);
      link.then((late) => late.close(), () => {});
    };
    signal?.addEventListener("abort", abort);
    link.then(resolve, reject).finally(() => signal?.removeEventListener("abort", abort));
  });
}
