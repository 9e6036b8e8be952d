/**
 * Where packages lie: those that a program in a folder would import, and folders of that name below it.
 */
import { builtin, fileKind, listFolder, platform } from "../runtime/mod.ts";
import { variable } from "../runtime/account.ts";
import { find } from "./find.ts";
import { hasMagic, onePattern } from "./name_pattern.ts";
import { lockedVersion, type PackageConfig, packageConfig } from "./package_config.ts";
import { pathText } from "./paths.ts";
import { homedir } from "./user.ts";

/** Options of {@linkcode findpackage}. */
export interface FindPackageOptions {
  /** The folder from which to look. Default: the current one. */
  root?: string;
  /** Every place where it is, instead of the first. Default: false. */
  all?: boolean;
  /** Whether to look below `root` in subfolders too, or so many levels of them. Default: true. */
  recurse?: boolean | number;
  /** Ends the search; it then rejects with the signal's reason. */
  signal?: AbortSignal;
}

/**
 * The folder of a package. Looked for first as a program in `root` would find it, in `root` and the folders above it: members of a workspace,
 * the imports of `deno.json`, `node_modules`, and Deno's cache for what `deno.lock` has. Then, as pox does, below `root`: folders with that
 * name, the least deep first. The name may have several parts (`"@scope/name"`, `"lib/tool"`), and in each a pattern (`"lib/python*"`),
 * which is looked for only below `root`.
 *
 * @returns The absolute path, or undefined if there is none; with `all` the paths, possibly none.
 *
 * @example
 * ```ts
 * import { findpackage } from "@pathos/pathos/fs";
 * import { assert, assertEquals } from "@std/assert";
 *
 * assert((await findpackage("@std/assert"))?.endsWith("assert"));
 * assertEquals(await findpackage("no-such-package", { all: true, recurse: 1 }), []);
 * ```
 */
export function findpackage(name: string, options: FindPackageOptions & { all: true }): Promise<string[]>;
/** The folder of a package. */
export function findpackage(
  name: string,
  options?: FindPackageOptions & { all?: false },
): Promise<string | undefined>;
/** The folder, or with `all` the folders, of a package. */
export function findpackage(
  name: string,
  options?: FindPackageOptions,
): Promise<string | string[] | undefined>;
export async function findpackage(
  name: string,
  options: FindPackageOptions = {},
): Promise<string | string[] | undefined> {
  const { root = ".", all = false, recurse = true, signal } = options;
  const parts = name.split("/").filter((part) => part !== "");
  if (parts.length === 0) throw new TypeError("findpackage needs the name of a package");
  signal?.throwIfAborted();
  const start = pathText().resolve(root);
  const found = hasMagic(name) ? [] : imported(parts.join("/"), start);
  if (found.length > 0 && !all) return found[0];
  if (fileKind(start) === "folder") found.push(...await below(parts, start, { recurse, signal }));
  return all ? [...new Set(found)] : found[0];
}

/** Where a program in a folder has it from. */
function imported(name: string, start: string): string[] {
  const { dirname, join } = pathText();
  const found: string[] = [];
  for (let folder = start, last = ""; folder !== last; last = folder, folder = dirname(folder)) {
    const config = packageConfig(folder);
    if (config) found.push(...byConfig(name, folder, config));
    const module = join(folder, "node_modules", name);
    if (fileKind(module) === "folder") found.push(module);
  }
  return [...new Set(found)];
}

function byConfig(name: string, folder: string, config: PackageConfig): string[] {
  const found = [folder, ...config.members].filter((member) =>
    (member === folder ? config : packageConfig(member))?.name === name
  );
  const target = config.imports[name] ?? config.imports[`${name}/`];
  if (target !== undefined) found.push(...byImport(target, folder));
  return found;
}

function byImport(target: string, folder: string): string[] {
  const { dirname, join, resolve } = pathText();
  const npm = /^npm:\/?((?:@[^/]+\/)?[^/@]+)(@[^/]+)?/.exec(target);
  if (npm) {
    const [, name, range = ""] = npm;
    const version = lockedVersion(folder, `npm:${name}${range}`);
    const places = [join(folder, "node_modules", name)];
    for (const registry of version === undefined ? [] : npmCaches()) {
      places.push(join(registry, name, version!));
    }
    return places.filter((place) => fileKind(place) === "folder");
  }
  let path = target;
  if (target.startsWith("file:")) {
    path = builtin<{ fileURLToPath(url: string): string }>("node:url").fileURLToPath(target);
  } else if (/^[a-z][a-z0-9+.-]+:/i.test(target)) return []; // jsr:, https:
  const place = resolve(folder, path);
  switch (fileKind(place)) {
    case "folder":
      return [place];
    case "file":
      return [dirname(place)];
    default:
      return [];
  }
}

/** The folders in which Deno keeps the packages of npm, one for each registry. */
function npmCaches(): string[] {
  const { join } = pathText();
  try {
    const cache = join(variable("DENO_DIR") ?? join(cacheFolder(), "deno"), "npm");
    return listFolder(cache).filter(({ kind }) => kind === "folder").map(({ name }) => join(cache, name));
  } catch {
    return []; // there is none
  }
}

function cacheFolder(): string {
  const { join } = pathText();
  if (platform() === "win32") return variable("LOCALAPPDATA") ?? join(homedir(), "AppData", "Local");
  if (platform() === "darwin") return join(homedir(), "Library", "Caches");
  return variable("XDG_CACHE_HOME") ?? join(homedir(), ".cache");
}

/** Folders below one whose paths end so, the least deep first. */
async function below(
  parts: readonly string[],
  root: string,
  options: { recurse: boolean | number; signal: AbortSignal | undefined },
): Promise<string[]> {
  const { sep } = pathText();
  const tests = parts.map((part) => onePattern(part, platform() === "win32"));
  const depth = (path: string) => path.split(sep).length;
  const found = await find([parts.at(-1)!], { root, type: "d", ...options });
  return found.filter((path) => {
    const tail = path.split(sep).slice(-parts.length);
    return tail.length === parts.length && tail.every((part, i) => tests[i](part));
  }).sort((a, b) => depth(a) - depth(b) || (a < b ? -1 : 1));
}
