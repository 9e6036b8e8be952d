/**
 * Places on other machines as scp(1) writes them: `[[user@]host:]path`.
 */
import { platform } from "../runtime/mod.ts";

/** Options of {@linkcode remote}. */
export interface RemoteOptions {
  /** Name or address of the machine. Default: none, the path is one here. */
  host?: string;
  /** Name of the user there; without a host it has no meaning. */
  user?: string;
  /** Without a host, take `localhost`. Default: false. */
  loopback?: boolean;
}

/**
 * A place, as scp and {@linkcode parseRemote} take it. An address of IPv6 gets the brackets that it needs.
 *
 * @example
 * ```ts
 * import { remote } from "@pathos/pathos/fs";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(remote("~/data", { host: "cluster", user: "me" }), "me@cluster:~/data");
 * assertEquals(remote("~/data", { loopback: true }), "localhost:~/data");
 * assertEquals(remote("~/data"), "~/data");
 * ```
 */
export function remote(path: string, { host, user, loopback = false }: RemoteOptions = {}): string {
  const machine = host || (loopback ? "localhost" : "");
  if (machine === "") return path;
  const name = machine.includes(":") && !machine.startsWith("[") ? `[${machine}]` : machine;
  return `${user ? `${user}@` : ""}${name}:${path}`;
}

/** The parts of a place; what is missing is `""`. */
export interface RemotePlace {
  /** Name of the user there. */
  user: string;
  /** Name or address of the machine. */
  host: string;
  /** The path there. */
  path: string;
}

/** Options of {@linkcode parseRemote}. */
export interface ParseRemoteOptions {
  /** Where there is no host, say `localhost`. Default: false. */
  loopback?: boolean;
  /** Write the user as a flag of ssh(1), `"-l me"`. Default: false. */
  loginFlag?: boolean;
}

/**
 * The parts of a place, written `[[user@]host:]path`. The first colon is the one that counts, and none behind a `/`, nor in the brackets of
 * an IPv6 address, nor, on Windows, behind the letter of a drive. pox takes the last one, and loses what is between.
 *
 * @example
 * ```ts
 * import { parseRemote } from "@pathos/pathos/fs";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseRemote("me@cluster:~/data"), { user: "me", host: "cluster", path: "~/data" });
 * assertEquals(parseRemote("data.csv"), { user: "", host: "", path: "data.csv" });
 * ```
 */
export function parseRemote(place: string, options: ParseRemoteOptions = {}): RemotePlace {
  const { loopback = false, loginFlag = false } = options;
  const { user, host, path } = split(place);
  return {
    user: loginFlag && user !== "" ? `-l ${user}` : user,
    host: host === "" && loopback ? "localhost" : host,
    path,
  };
}

function split(place: string): RemotePlace {
  const [, user = "", bracketed, plain, path] =
    /^(?:([^/:[]*)@)?(?:\[([^\]/]+)\]|([^@/:[]+)):(.*)$/s.exec(place) ?? [];
  const host = bracketed ?? plain;
  const isDrive = platform() === "win32" && user === "" && host?.length === 1;
  return host === undefined || isDrive ? { user: "", host: "", path: place } : { user, host, path };
}
