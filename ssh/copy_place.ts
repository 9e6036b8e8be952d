/**
 * How the two sides of a copy are written: a path here, `host:path` as scp has it, an ssh:// address, or an
 * object where none of these can be misread.
 */
import type { Host } from "./host.ts";

/**
 * A file or folder here or on a host:
 * - `"data/x"`, `"./a:b"`: here. A colon before the first slash means a host, so put `./` before such a name.
 * - `"user@host:path"`, `"alias:path"`, `"[::1]:path"`: on a host; relative to the home folder, as is `~/path`.
 * - `"ssh://user@host:port/path"`: on a host, absolute; `ssh://host/~/path` is relative to the home folder.
 * - `{ path, host }`: taken literally; without `host` it is here.
 */
export type CopyPlace = string | { path: string; host?: string | Host };

/** A place, taken apart. */
export interface ParsedPlace {
  /** The host, or undefined for here. */
  host: string | Host | undefined;
  /** The path there; on a host relative to the home folder, if it does not begin with a slash. */
  path: string;
}

/**
 * Takes a place apart.
 *
 * @throws {TypeError} If it names no path, or the path contains a NUL character.
 *
 * @example Places here and elsewhere
 * ```ts
 * import { parsePlace } from "@pathos/pathos/ssh";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parsePlace("me@web1:data/in"), { host: "me@web1", path: "data/in" });
 * assertEquals(parsePlace("ssh://me@web1:2222/data"), { host: "ssh://me@web1:2222", path: "/data" });
 * assertEquals(parsePlace("./10:30.log"), { host: undefined, path: "./10:30.log" });
 * ```
 */
export function parsePlace(place: CopyPlace): ParsedPlace {
  const { host, path } = typeof place === "string" ? parse(place) : { host: place.host, path: place.path };
  if (path.includes("\0")) throw new TypeError(`${JSON.stringify(path)}: a path has no NUL character`);
  if (host === "") throw new TypeError(`${JSON.stringify(place)}: there is no host before the colon`);
  if (host === undefined) {
    if (path === "") throw new TypeError('the path is empty; write "." for the current folder');
    return { host, path };
  }
  const fromHome = path === "~" ? "" : path.startsWith("~/") ? path.slice(2) : path;
  return { host, path: fromHome === "" ? "." : fromHome };
}

function parse(place: string): { host: string | undefined; path: string } {
  const address = /^(ssh:\/\/[^/]*)(?:\/(.*))?$/s.exec(place);
  if (address) {
    const [, host, path = ""] = address;
    const decoded = decode(path);
    return { host, path: /^~(\/|$)/.test(decoded) || decoded === "" ? decoded : "/" + decoded };
  }
  const remote = /^((?:[^/:[\]]*@)?\[[^\]/]*\]|[^/:]*):(.*)$/s.exec(place);
  return remote ? { host: remote[1], path: remote[2] } : { host: undefined, path: place };
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path; // a percent sign that is one
  }
}

/** The name that a copy of this path gets inside a folder; empty where the contents are meant (`.`, `/`). */
export function nameOf(path: string): string {
  const name = path.replace(/\/+$/, "").split("/").pop()!;
  return name === "." || name === ".." ? "" : name;
}
