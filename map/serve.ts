/**
 * `serve`: offers the cores of this machine to pools elsewhere. What it guarantees is written in server.ts.
 */
import { cpuCount, guarded, newToken, unwatch, watch } from "../runtime/mod.ts";
import { announce, type Announced, type AnnounceOptions, checkAnnounce } from "./announce.ts";
import { atLeastOne } from "./options.ts";
import { openServer, type ServerStats } from "./server.ts";
import { serverUrl } from "./server_specs.ts";
import { MAX_FRAME, type ServerFacts } from "./session.ts";
import { WORKER_PROGRAM } from "./worker_bundle.ts";

/** Options of {@linkcode serve}. */
export interface ServeOptions {
  /** Worker processes offered to each pool. Default: the cores this process may use. */
  workers?: number;
  /** TCP port. Default 0: any free one. */
  port?: number;
  /** Address of the port: `"127.0.0.1"` (default) or `"::1"`. Others reach it through ssh. */
  host?: string;
  /** Listens on a unix socket at this path instead of a port. */
  path?: string;
  /** What pools have to show. Default: 192 random bits. */
  token?: string;
  /** Milliseconds of silence after which a pool is given up, and after which a server without pools ends. Default: never. */
  lease?: number;
  /** Largest message in bytes; whoever announces a larger one is disconnected. Default: 1 GiB. */
  maxBody?: number;
  /**
   * Makes it known to pools on the network segment that share a key, and serves those over encrypted connections:
   * `servers: "autodetect"`. Default: nobody on the network hears of it.
   */
  announce?: AnnounceOptions;
  /** Ends the server when it is aborted. */
  signal?: AbortSignal;
}

/** A server made by {@linkcode serve}. */
export interface PoolServer {
  /** What a `ParallelPool` takes in `servers`; it contains the token. */
  readonly url: string;
  /** What pools have to show. */
  readonly token: string;
  /** The port it listens on, if it is one. */
  readonly port: number | undefined;
  /** The unix socket it listens on, if it is one. */
  readonly path: string | undefined;
  /** How it is found on the network segment, if it is. */
  readonly announced: Announced | undefined;
  /** What it tells of itself. */
  readonly facts: ServerFacts;
  /** What it has done and is doing. */
  stats(): ServerStats;
  /** Resolves when it has ended. */
  readonly closed: Promise<void>;
  /** Ends it and its workers; pools that use it go on elsewhere. */
  close(): Promise<void>;
  /** As {@linkcode PoolServer.close}. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Starts the HTTP service that a {@linkcode ParallelPool} on another machine, or on this one, talks to. It
 * listens on loopback or a unix socket only, and answers only those who show its token. With `announce` it is also
 * found and used from the network segment, by those who share a key with it; all they say is encrypted. Who
 * learns the key later can read what was recorded earlier.
 *
 * @throws {RangeError} If a number is out of range, or the address is not one of this machine alone.
 * @throws {TypeError} If an option is unknown or of the wrong kind, or it is to be announced, and there is no key.
 * @throws {Error} If the address cannot be listened on.
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { ParallelPool, serve } from "@pathos/pathos";
 *
 * await using server = await serve({ workers: 1 });
 * await using pool = new ParallelPool({ workers: 0, servers: [server.url] });
 * assertEquals(await pool.map((x: number) => x * x, [1, 2, 3]), [1, 4, 9]);
 * ```
 */
export async function serve(options: ServeOptions = {}): Promise<PoolServer> {
  const { host = "127.0.0.1", port = 0, path, lease, maxBody = MAX_FRAME, signal } = options;
  const { workers = cpuCount(), token = newToken() } = options;
  const unknown = Object.keys(options).find((name) => !NAMES.includes(name));
  if (unknown !== undefined) {
    throw new TypeError(`serve has no option "${unknown}"; the options are ${NAMES.join(", ")}`);
  }
  atLeastOne("workers", workers);
  atLeastOne("maxBody", maxBody);
  if (lease !== undefined) atLeastOne("lease", lease);
  if (typeof token !== "string") throw new TypeError(`the token must be a text, not a ${typeof token}`);
  if (token.length < 16) {
    throw new RangeError("the token must have at least 16 characters: it is all that protects this machine");
  }
  if (!/^[\x21-\x7e]+$/.test(token)) throw new RangeError("the token must be printable ASCII without spaces");
  if (!["127.0.0.1", "::1", "localhost"].includes(host)) {
    throw new RangeError(
      `serve listens on this machine only (127.0.0.1, ::1 or a unix socket), not on ${host}: ` +
        'its traffic is not encrypted. Pools elsewhere reach it through ssh: servers: ["user@host"]',
    );
  }
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new RangeError(`port is ${port}: it must be a whole number from 0 to 65535`);
  }
  if (path !== undefined) checkSocketPath(path, options.port);
  const announcing = options.announce && checkAnnounce(options.announce);
  signal?.throwIfAborted();
  const server = await openServer({
    address: path === undefined ? { host, port } : { path },
    token,
    workers,
    lease,
    maxFrame: maxBody,
    program: WORKER_PROGRAM,
  });
  const announcement = announcing && await announce(announcing, server.admit).catch(async (error) => {
    await server.close();
    const { host, port } = announcing;
    throw new Error(`the server cannot be announced on ${host} port ${port}: ${error.message}`, {
      cause: error,
    });
  });
  const abort = (): void => void close();
  signal?.addEventListener("abort", abort);
  const { address } = server;
  if ("path" in address) {
    watch(address.path);
    await guarded(); // who learns of the server may kill it at once
  }
  const closed = server.closed.then(async () => {
    signal?.removeEventListener("abort", abort);
    await announcement?.close();
    if ("path" in address) await unwatch(address.path);
  });
  const close = (): Promise<void> => server.close().then(() => closed);
  return {
    url: serverUrl(address, token),
    token,
    port: "port" in address ? address.port : undefined,
    path: "path" in address ? address.path : undefined,
    announced: announcement?.announced,
    facts: server.facts,
    stats: () => server.stats,
    closed,
    close,
    [Symbol.asyncDispose]: close,
  };
}

const NAMES = ["workers", "port", "host", "path", "token", "lease", "maxBody", "announce", "signal"];

/** Bytes that the path of a unix socket may have. */
const MOST_PATH_BYTES = 107;

function checkSocketPath(path: string, port: number | undefined): void {
  if (typeof path !== "string" || path === "") throw new TypeError("path is empty: it names a unix socket");
  if (port !== undefined) throw new TypeError("port and path exclude each other: give one of them");
  const length = new TextEncoder().encode(path).byteLength;
  if (length > MOST_PATH_BYTES) {
    throw new RangeError(
      `the path ${path} has ${length} bytes, and that of a unix socket may have ${MOST_PATH_BYTES}: take a shorter one`,
    );
  }
}
