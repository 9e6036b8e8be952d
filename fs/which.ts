/**
 * Programs: in the folders of PATH, and where systems keep them besides. Nothing is started for it.
 */
import { identity } from "../runtime/account.ts";
import { entryState, pathWithoutLinks } from "../runtime/folders.ts";
import { env, platform } from "../runtime/mod.ts";
import { homedir } from "./user.ts";
import { pathText } from "./paths.ts";

/** How {@linkcode which} looks. */
export interface WhichOptions {
  /** Whether a path may be a link; else the path it leads to is given. Default: true. */
  allowLinks?: boolean;
  /** Whether it is no error when there is no such program. Default: true. */
  ignoreErrors?: boolean;
  /** Every place where it is, in order, instead of the first. Default: false. */
  all?: boolean;
  /** Folders to look in, joined as PATH is. Default: PATH. */
  path?: string;
}

/**
 * The path of a program, as a shell would find it: the first executable file of that name in the folders of PATH. A name with a
 * `/` in it is a path already. On Windows the endings of PATHEXT are tried.
 *
 * Whether a file is executable is told by its mode and this user's groups; access lists are not asked. pox starts which(1), takes
 * what that prints for a path whatever it is, and on Windows finds only what ends in `.exe`.
 *
 * @returns The path, or undefined if there is none; with `all` the paths, possibly none.
 * @throws {Error} If there is none and `ignoreErrors` is false; the message says where it was looked for.
 *
 * @example
 * ```ts
 * import { which } from "@pathos/pathos/fs";
 * import { assert, assertEquals } from "@std/assert";
 *
 * assert((await which("sh"))?.endsWith("/sh"));
 * assertEquals(await which("no-such-program"), undefined);
 * assertEquals((await which("sh", { all: true }))[0], await which("sh"));
 * ```
 */
export function which(prog: string, options: WhichOptions & { all: true }): Promise<string[]>;
/** The path of the first program of that name. */
export function which(prog: string, options?: WhichOptions & { all?: false }): Promise<string | undefined>;
/** The path, or with `all` the paths, of a program. */
export function which(prog: string, options?: WhichOptions): Promise<string | string[] | undefined>;
// deno-lint-ignore require-await -- errors are rejections
export async function which(prog: string, options?: WhichOptions): Promise<string | string[] | undefined> {
  return whichSync(prog, options);
}

/** As {@linkcode which}, at once. */
export function whichSync(prog: string, options: WhichOptions & { all: true }): string[];
/** The path of the first program of that name. */
export function whichSync(prog: string, options?: WhichOptions & { all?: false }): string | undefined;
/** The path, or with `all` the paths, of a program. */
export function whichSync(prog: string, options?: WhichOptions): string | string[] | undefined;
export function whichSync(prog: string, options: WhichOptions = {}): string | string[] | undefined {
  const path = options.path ?? searchPath();
  const found = programs(prog, path.split(pathText().delimiter), options.all ?? false);
  if (found.length === 0 && options.ignoreErrors === false) {
    throw new Error(`there is no program ${prog} in ${path === "" ? "PATH, which is empty" : path}`);
  }
  const paths = options.allowLinks === false ? unique(found.map(pathWithoutLinks)) : found;
  return options.all ? paths : paths[0];
}

/**
 * The path of a program that is installed, whether or not PATH leads to it: in the folders where systems and users keep programs, and
 * then in those of PATH. Folders that are the same by a link count once.
 *
 * pox starts whereis(1), whose list has manual pages and sources in it as well; here are only programs.
 *
 * @returns The path, or undefined if there is none; with `all` the paths, possibly none.
 *
 * @example
 * ```ts
 * import { whereis } from "@pathos/pathos/fs";
 * import { assert, assertEquals } from "@std/assert";
 *
 * assert((await whereis("sh"))?.endsWith("/bin/sh"));
 * assertEquals(await whereis("no-such-program", { all: true }), []);
 * ```
 */
export function whereis(prog: string, options: { all: true }): Promise<string[]>;
/** The path of a program that is installed. */
export function whereis(prog: string, options?: { all?: false }): Promise<string | undefined>;
/** The path, or with `all` the paths, of a program that is installed. */
export function whereis(prog: string, options?: { all?: boolean }): Promise<string | string[] | undefined>;
// deno-lint-ignore require-await -- errors are rejections
export async function whereis(
  prog: string,
  options: { all?: boolean } = {},
): Promise<string | string[] | undefined> {
  const { delimiter } = pathText();
  const folders = [...usualFolders(), ...searchPath().split(delimiter)];
  const found = programs(prog, uniqueFolders(folders), options.all ?? false);
  return options.all ? found : found[0];
}

/** Where systems and users keep programs. */
export function usualFolders(): string[] {
  if (platform() === "win32") {
    const root = env("SystemRoot") ?? "C:\\Windows";
    return [`${root}\\System32`, root, `${root}\\System32\\WindowsPowerShell\\v1.0`];
  }
  const system = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
  return [...system, "/opt/homebrew/bin", "/opt/local/bin", "/snap/bin", ...homeFolders()];
}

function homeFolders(): string[] {
  try {
    return [".local/bin", "bin", ".deno/bin"].map((folder) => pathText().join(homedir(), folder));
  } catch {
    return []; // there is no home
  }
}

function searchPath(): string {
  return env("PATH") ?? env("Path") ?? "";
}

function programs(prog: string, folders: readonly string[], all: boolean): string[] {
  if (prog === "") return [];
  const { join } = pathText();
  const isPath = prog.includes("/") || platform() === "win32" && /[\\:]/.test(prog);
  // an empty place on the path is the current folder
  const places = isPath ? [prog] : [...new Set(folders)].map((folder) => join(folder || ".", prog));
  const endings = endingsOf(prog);
  const found: string[] = [];
  for (const place of places) {
    for (const ending of endings) {
      if (!isProgram(place + ending)) continue;
      found.push(isPath ? place + ending : pathText().resolve(place + ending));
      if (!all) return found;
    }
  }
  return unique(found);
}

/** What may follow the name: nothing, or on Windows one of PATHEXT unless the name ends so. */
function endingsOf(prog: string): string[] {
  if (platform() !== "win32") return [""];
  const endings = (env("PATHEXT") || ".COM;.EXE;.BAT;.CMD").split(";").filter(Boolean);
  const has = endings.some((ending) => prog.toLowerCase().endsWith(ending.toLowerCase()));
  return has ? [""] : endings.map((ending) => ending.toLowerCase());
}

function isProgram(path: string): boolean {
  try {
    const state = entryState(path, true);
    if (state?.kind !== "file") return false;
    if (platform() === "win32") return true;
    const { mode, uid, gid } = state;
    const own = identity();
    if (!own || own.uid === 0) return (mode & 0o111) !== 0;
    if (uid === own.uid) return (mode & 0o100) !== 0;
    return (mode & (own.groups.includes(gid) ? 0o010 : 0o001)) !== 0;
  } catch {
    return false; // behind a folder that this user may not enter
  }
}

function unique(paths: readonly string[]): string[] {
  return [...new Set(paths)];
}

function uniqueFolders(folders: readonly string[]): string[] {
  const seen = new Set<string>();
  return folders.filter((folder) => {
    try {
      const real = pathWithoutLinks(folder || ".");
      return !seen.has(real) && seen.add(real);
    } catch {
      return false; // it is not there
    }
  });
}
