/**
 * Profiles of hosts in a file, so that programs and commands can say `gpu1`: `$PATHOS_HOSTS`, or
 * `pathos/hosts.yaml` in the user's configuration folder. A profile has the settings of {@linkcode HostOptions}
 * but for secrets, which do not belong in a file; `host` may be absent where the alias itself is the name. A
 * setting that does not exist or cannot be is an error that names the file and line.
 *
 * ```yaml
 * gpu1:
 *   host: me@gpu1.example:2222
 *   workers: 8
 *   env: { OMP_NUM_THREADS: "1" }
 * ```
 */
import { parse, stringify } from "@std/yaml";
import { builtin, env, fileKind, makeFolder, readFile, writeFile } from "../runtime/mod.ts";
import { Host, type HostOptions } from "./host.ts";

/** A profile of hosts.yaml. */
export type HostProfile = Omit<HostOptions, "password" | "passphrase" | "prompt" | "name">;

const SECRETS = ["password", "passphrase", "prompt"];

/** Where the profiles are. */
function location(): string | undefined {
  const named = env("PATHOS_HOSTS");
  if (named) return named;
  const home = env("HOME") ?? env("USERPROFILE");
  const folder = env("XDG_CONFIG_HOME") ?? (home === undefined ? undefined : `${home}/.config`);
  return folder === undefined ? undefined : `${folder}/pathos/hosts.yaml`;
}

/** The profile of an alias; undefined if there is none. */
export function lookUp(alias: string): HostProfile | undefined {
  const profiles = read();
  return Object.hasOwn(profiles, alias) ? profiles[alias] : undefined;
}

function read(): Record<string, HostProfile> {
  const path = location();
  if (path === undefined || fileKind(path) !== "file") return {};
  const text = new TextDecoder().decode(readFile(path));
  let found: unknown;
  try {
    found = parse(text) ?? {};
  } catch (cause) {
    throw new TypeError(`${path}: not YAML: ${(cause as Error).message}`, { cause });
  }
  if (!isMapping(found)) throw new TypeError(`${path}: the aliases must be the keys of a mapping`);
  return Object.fromEntries(
    Object.entries(found).map(([alias, settings]) => [alias, checked(path, text, alias, settings ?? {})]),
  );
}

function checked(path: string, text: string, alias: string, settings: unknown): HostProfile {
  const fail = (what: string, key?: string): never => {
    throw new TypeError(`${path}, line ${lineOf(text, alias, key)}: ${alias}: ${what}`);
  };
  if (!isMapping(settings)) return fail("its settings must be a mapping, such as { workers: 4 }");
  const profile: Record<string, unknown> = { host: alias, ...settings };
  for (const key of ["env", "options"]) {
    if (profile[key] === undefined) continue;
    if (!isMapping(profile[key]) || Object.values(profile[key]).some((value) => typeof value === "object")) {
      return fail(`${key} must be a mapping of names to texts`, key);
    }
    // YAML reads 1 and yes as a number and a truth value; a variable is text
    profile[key] = Object.fromEntries(
      Object.entries(profile[key]).map(([name, value]) => [name, String(value)]),
    );
  }
  for (const key of Object.keys(settings)) {
    if (SECRETS.includes(key)) {
      fail(`a ${key} does not belong in a file; give it to the Host in the program`, key);
    }
    try {
      new Host({ host: alias, [key]: profile[key] }); // key by key, so that the message can tell the line
    } catch (error) {
      fail((error as Error).message, key);
    }
  }
  return profile as unknown as HostProfile;
}

/** The line, counted from 1, where the alias, or a key of it, is written. */
function lineOf(text: string, alias: string, key?: string): number {
  const lines = text.split("\n");
  const written = (name: string) => new RegExp(`^\\s*["']?${name.replace(/[^\w]/g, "\\$&")}["']?\\s*:`);
  const first = Math.max(0, lines.findIndex((line) => written(alias).test(line)));
  const below = key === undefined ? -1 : lines.slice(first + 1).findIndex((line) => written(key).test(line));
  return first + below + 2;
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The profiles of hosts.yaml.
 *
 * @example
 * ```ts ignore
 * import { Host, hosts } from "@pathos/pathos/ssh";
 *
 * hosts.register("gpu1", { host: "me@gpu1.example:2222", workers: 8 });
 * console.log(String(Host.from("gpu1"))); // "me@gpu1.example:2222"
 * ```
 */
export const hosts: {
  /** The profile of an alias, or undefined. */
  get(alias: string): HostProfile | undefined;
  /** All profiles, by alias. */
  all(): Record<string, HostProfile>;
  /** Writes a profile into the file, in place of one with the same alias; without a profile, removes it. */
  register(alias: string, profile: Partial<HostProfile> | undefined): void;
  /** Where the file is, or would be. */
  path(): string;
} = {
  get: lookUp,
  all: read,
  register(alias, profile) {
    const path = hosts.path();
    const { [alias]: _, ...others } = read();
    const text = stringify({ [alias]: profile });
    const all = profile ? { ...others, [alias]: checked(path, text, alias, profile) } : others;
    const { dirname } = builtin<{ dirname(path: string): string }>("node:path");
    makeFolder(dirname(path));
    writeFile(path, new TextEncoder().encode(stringify(all)));
  },
  path() {
    const path = location();
    if (path === undefined) {
      throw new Error("hosts.yaml: there is no $HOME; say in $PATHOS_HOSTS where the file is");
    }
    return path;
  },
};
