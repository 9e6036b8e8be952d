/**
 * Files and folders by name.
 */
import type { EntryKind } from "../runtime/folders.ts";
import { nameTest } from "./name_pattern.ts";
import { pathText } from "./paths.ts";
import { type FoundPaths, search, type SearchOptions } from "./walk.ts";

/** What {@linkcode find} can be asked for: files, folders, links, sockets, block and character devices, named pipes. */
export type FindType =
  | "f"
  | "file"
  | "d"
  | "dir"
  | "l"
  | "link"
  | "s"
  | "socket"
  | "b"
  | "block"
  | "c"
  | "char"
  | "p"
  | "pipe";

const TYPES: Readonly<Record<FindType, EntryKind>> = {
  f: "file",
  file: "file",
  d: "folder",
  dir: "folder",
  l: "link",
  link: "link",
  s: "socket",
  socket: "socket",
  b: "block",
  block: "block",
  c: "char",
  char: "char",
  p: "pipe",
  pipe: "pipe",
};

/** Options of {@linkcode find}. */
export interface FindOptions extends SearchOptions {
  /** The folder below which to look. Default: the current one. */
  root?: string;
  /** What to look for. Default: everything. */
  type?: FindType;
}

/**
 * The absolute paths of what has one of these names below a folder; the folder itself is not among them. Await it for all,
 * or iterate over it to get each as it is found, in no order.
 *
 * pox runs find(1) in a shell, and with it the root and the patterns as shell words; this does not leave the process and
 * takes names as they are. pox lists what two patterns fit twice, and takes a misspelt root for an empty one.
 *
 * @param patterns Patterns of `*` (any text, also after a leading dot), `?` and `[a-z]`, `[!a-z]`, joined by `;`, or a list of
 * patterns, in which `;` has no meaning. Without regard to case on Windows.
 * @throws {TypeError} If there is no pattern, one has a `/` in it, or there is no such type.
 * @throws {WalkError} When the root cannot be read and there is no `onError`.
 *
 * @example
 * ```ts
 * import { find } from "@pathos/pathos/fs";
 * import { assert } from "@std/assert";
 *
 * const sources = await find("*.ts;*.js", { root: "fs", type: "f" });
 * assert(sources.some((path) => path.endsWith("/fs/find.ts")));
 * for await (const path of find("mod.ts", { recurse: 1 })) {
 *   assert(path.startsWith("/"));
 *   break; // what is not asked for is not searched for
 * }
 * ```
 */
export function find(patterns: string | readonly string[], options: FindOptions = {}): FoundPaths {
  const { type, root = "." } = options;
  if (type !== undefined && !Object.hasOwn(TYPES, type)) {
    throw new TypeError(
      `there is no type ${JSON.stringify(type)}: it is one of ${Object.keys(TYPES).join(", ")}`,
    );
  }
  const kind = type && TYPES[type];
  return search(
    pathText().resolve(root),
    nameTest(patterns),
    kind === undefined ? () => true : (found) => found === kind,
    options,
  );
}
