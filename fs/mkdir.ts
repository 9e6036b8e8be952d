/**
 * New folders.
 */
import { fileKind, makeFolder } from "../runtime/mod.ts";
import { pathText } from "./paths.ts";

/** Options of {@linkcode mkdir}. */
export interface MkdirOptions {
  /** The folder in which to make it. Default: the current one. */
  root?: string;
  /** Its mode, and that of the folders above that are missing, less what the umask takes away. Default: 0o775. */
  mode?: number;
}

/**
 * Makes a folder, and those above it that are missing. That it is there already is no error (pox gives None then).
 *
 * @returns Its absolute path.
 * @throws {Error} The system's, if it cannot be made, such as where a file has that name.
 *
 * @example
 * ```ts
 * import { mkdir, rmtree } from "@pathos/pathos/fs";
 * import { assertEquals } from "@std/assert";
 *
 * const root = await Deno.makeTempDir();
 * assertEquals(await mkdir("results/today", { root }), `${root}/results/today`);
 * await rmtree(root);
 * ```
 */
// deno-lint-ignore require-await -- errors of the system are rejections
export async function mkdir(path: string, { root = ".", mode = 0o775 }: MkdirOptions = {}): Promise<string> {
  const absolute = pathText().resolve(root, path);
  if (fileKind(absolute) !== "folder") makeFolder(absolute, mode);
  return absolute;
}
