/**
 * `serveOn`: a server on a host, for several programs here to share. A pool that is given the host itself needs
 * none: it starts its own, and connects again when that is lost.
 */
import type { HostLike } from "../ssh/execute.ts";
import { Host } from "../ssh/host.ts";
import { newPause, newToken } from "../runtime/mod.ts";
import { SshError } from "../ssh/connection.ts";
import { openHost, unlessAborted } from "./host_link.ts";
import { serverUrl } from "./server_specs.ts";
import type { ServerFacts } from "./session.ts";

/** Options of {@linkcode serveOn}. */
export interface ServeOnOptions {
  /** Worker processes offered to each pool. Default: what the host's profile says, else its cores. */
  workers?: number;
  /** Start it again when it was lost, under the same URL, until that succeeds. Default: false. */
  reconnect?: boolean;
  /** Told when it was lost, with the reason in words, and when it is there again. */
  onChange?: (state: "reconnecting" | "open", reason?: string) => void;
  /** Ends the server when it is aborted. */
  signal?: AbortSignal;
}

/** Pauses between attempts begin and end with so many milliseconds. */
const FIRST_PAUSE_MS = 250;
const LAST_PAUSE_MS = 10_000;

/** A server made by {@linkcode serveOn}. */
export interface HostServer extends AsyncDisposable {
  /** What a `ParallelPool` on this machine takes in `servers`; it contains the token. */
  readonly url: string;
  /** The host, as it is called in messages. */
  readonly host: string;
  /** What the server tells of itself. */
  readonly facts: ServerFacts;
  /** Milliseconds of a round trip to it, lately. */
  readonly latency: number;
  /** Resolves when it has ended for good: to undefined if it was closed here, else to the reason in words. */
  readonly closed: Promise<string | undefined>;
  /** Ends it, its workers, and the way to it. */
  close(): Promise<void>;
}

/**
 * Starts a server on a host over ssh, and gives it an address on this machine's loopback. Nothing needs to be
 * installed there but Deno or Node, and without them this program's own runtime is copied there once. It keeps
 * this program alive until it is closed, and ends with it.
 *
 * @throws {SshError} If the host cannot be reached.
 * @throws {Error} If the server does not start there; the message has what it said.
 * @throws {DOMException} What `signal` was aborted with, as a rule an `AbortError`.
 * @example
 * ```ts ignore
 * import { ParallelPool } from "@pathos/pathos";
 * import { serve } from "@pathos/pathos/ssh";
 *
 * await using server = await serve("me@cluster", { workers: 4 });
 * await using pool = new ParallelPool({ workers: 2, servers: [server.url] });
 * ```
 */
export async function serveOn(host: HostLike, options: ServeOnOptions = {}): Promise<HostServer> {
  const { workers, reconnect = false, onChange, signal } = options;
  signal?.throwIfAborted();
  const given = Host.from(host);
  const named = workers === undefined ? given : given.with({ workers });
  const token = newToken();
  let link = await unlessAborted(openHost(named, { token, signal }), signal);
  const { address, session: { facts } } = link;
  const port = (address as { port: number }).port;
  let wanted = true;
  const pause = newPause();

  /** Opens it again; gives the reason why that is hopeless, or undefined. */
  async function again(): Promise<string | undefined> {
    for (let delay = FIRST_PAUSE_MS; wanted; delay = Math.min(2 * delay, LAST_PAUSE_MS)) {
      await pause.wait(delay);
      if (!wanted) return undefined;
      try {
        link = await openHost(named, { token, port });
        if (!wanted) await link.close();
        return undefined;
      } catch (error) {
        if (error instanceof SshError && !error.mayPass) return error.message;
      }
    }
    return undefined;
  }

  async function stay(): Promise<string | undefined> {
    for (;;) {
      const lost = await link.session.over;
      const reason = lost === undefined ? undefined : await link.why(lost);
      await link.close();
      if (!wanted) return undefined;
      if (!reconnect) return reason;
      onChange?.("reconnecting", reason);
      const hopeless = await again();
      if (hopeless !== undefined) return hopeless;
      if (!wanted) return undefined;
      onChange?.("open");
    }
  }

  const closed = stay();
  const close = async (): Promise<void> => {
    wanted = false;
    pause.wake();
    link.session.close();
    await closed;
  };
  const abort = (): void => void close();
  signal?.addEventListener("abort", abort);
  closed.then(() => signal?.removeEventListener("abort", abort));
  return {
    url: serverUrl(address, token),
    host: named.name,
    facts,
    get latency() {
      return link.session.latency;
    },
    closed,
    close,
    [Symbol.asyncDispose]: close,
  };
}
