/** How the servers of a ParallelPool are named, and what each form means. */
import type { ByteSocket, HttpAddress } from "../runtime/mod.ts";
import { DISCOVERY_PORT } from "./discover.ts";
import { Host, type HostOptions } from "../ssh/host.ts";

/**
 * A server of a {@linkcode ParallelPool}:
 *
 * - `"user@host:port"`, or an alias of the ssh configuration or of `hosts.yaml`: reached by ssh, nothing needs
 *   to be installed there but Deno or Node;
 * - `"http://127.0.0.1:8080/?token=..."`, `"http+unix:///path?token=..."`: a server that runs already, as `serve()`
 *   or `pathos serve` tell its URL;
 * - an object, for a host with options;
 * - `"autodetect"`: all servers on the network segment that share the pool's key (`"autodetect:60001"`: those that
 *   are asked for on another UDP port than 60000).
 */
export type ServerSpec = string | (HostOptions & { host: string }) | Host;

/** A server, understood. */
export type ServerTarget =
  | { kind: "url"; name: string; address: HttpAddress; token: string }
  | { kind: "ssh"; name: string; host: Host }
  /** A server that was found: `dial` connects to it. */
  | { kind: "stream"; name: string; dial(): Promise<ByteSocket> };

/** The URL of a server: what {@linkcode parseServer} understands. */
export function serverUrl(address: HttpAddress, token: string): string {
  const query = `?token=${encodeURIComponent(token)}`;
  if ("path" in address) {
    return `http+unix://${encodeURI(address.path).replace(/[?#]/g, encodeURIComponent)}${query}`;
  }
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `http://${host}:${address.port}/${query}`;
}

/** The UDP port of `"autodetect"` or `"autodetect:PORT"`; undefined if it is something else. */
export function autodetectPort(spec: ServerSpec): number | undefined {
  const match = typeof spec === "string" ? spec.match(/^autodetect(?::(.*))?$/s) : null;
  if (!match) return undefined;
  const port = Number(match[1] ?? DISCOVERY_PORT);
  if (Number.isInteger(port) && port >= 1 && port <= 65535) return port;
  throw new TypeError(`the server ${spec} has no port from 1 to 65535 behind autodetect:`);
}

/**
 * Understands a server.
 *
 * @throws {TypeError} If it is none.
 * @throws {RangeError} If it is to have no workers.
 */
export function parseServer(spec: ServerSpec): ServerTarget {
  if (typeof spec === "string" && /^[a-z+]+:\/\//i.test(spec) && !/^ssh:/i.test(spec)) return parseUrl(spec);
  if (typeof spec !== "string" && (typeof spec !== "object" || spec === null)) {
    throw new TypeError(
      `a server is ${spec}: it must be "user@host", an alias, the url of a server, or { host, ... }`,
    );
  }
  const host = spec instanceof Host ? spec : Host.from(spec);
  if (host.workers === 0) {
    throw new RangeError(`the server ${host.name} has 0 workers: leave the option out for one a core`);
  }
  return { kind: "ssh", name: host.name, host };
}

function parseUrl(spec: string): ServerTarget {
  const shown = spec.replace(/\?.*$/s, "");
  const bad = (problem: string): TypeError =>
    new TypeError(`the server ${shown} ${problem}: give the url that serve() or pathos serve told`);
  let url: URL;
  try {
    url = new URL(spec);
  } catch {
    throw bad("is not a URL");
  }
  if (!/^http(\+unix)?:$/.test(url.protocol)) throw bad("does not begin with http:// or http+unix://");
  const token = url.searchParams.get("token");
  if (!token) throw bad("has no ?token=");
  if (url.protocol === "http+unix:") {
    const path = decodeURIComponent(url.pathname);
    if (!path.startsWith("/")) throw bad("has no path of a socket");
    return { kind: "url", name: path, address: { path }, token };
  }
  const host = url.hostname.replace(/^\[|\]$/g, "");
  return {
    kind: "url",
    name: url.host,
    address: { host, port: Number(url.port || 80) },
    token,
  };
}
