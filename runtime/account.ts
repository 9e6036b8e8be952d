/**
 * Who runs this program, and with which environment. What the system or Deno's permissions do not tell is undefined. Not in
 * mod.ts, because workers have no use for it.
 */
import { readFile } from "./files.ts";
import { builtin, env } from "./host.ts";

/** An entry of the system's list of accounts. */
export interface Account {
  name: string;
  home: string;
  /** Login shell, where the system has such. */
  shell: string | undefined;
}

/** The account this process runs under; undefined for a user id that has none, or if it may not be known. */
export function account(): Account | undefined {
  try {
    const { username, homedir, shell } = builtin<
      { userInfo(): { username: string; homedir: string; shell: string | null } }
    >("node:os").userInfo();
    return { name: username, home: homedir, shell: shell ?? undefined };
  } catch {
    return undefined;
  }
}

/** User id, group id and further groups of this process; undefined where there are no such. */
export function identity(): { uid: number; groups: readonly number[] } | undefined {
  try {
    const { getuid, getgid, getgroups } = builtin<
      { getuid?(): number; getgid?(): number; getgroups?(): number[] }
    >("node:process");
    if (!getuid || !getgid) return undefined;
    return { uid: getuid(), groups: [getgid(), ...getgroups?.() ?? [], ...groupsInProc()] };
  } catch {
    return undefined;
  }
}

/** Groups as Linux tells them: Deno's getgroups() knows of none. */
function groupsInProc(): number[] {
  try {
    const [, groups] = /^Groups:(.*)$/m.exec(new TextDecoder().decode(readFile("/proc/self/status"))) ?? [];
    return (groups ?? "").split(/\s+/).filter(Boolean).map(Number);
  } catch {
    return []; // another system, or not permitted
  }
}

/** All variables of the environment. @throws {Error} If reading it is not permitted. */
export function environment(): Record<string, string> {
  const deno = (globalThis as { Deno?: { env: { toObject(): Record<string, string> } } }).Deno;
  if (deno) return deno.env.toObject();
  const { env } = builtin<{ env: Record<string, string | undefined> }>("node:process");
  return Object.fromEntries(Object.entries(env).map(([name, value]) => [name, value ?? ""]));
}

/** A variable of the environment, or undefined when it is not set or may not be read. */
export function variable(name: string): string | undefined {
  const value: unknown = env(name); // in Node "toString" and its like are there too
  return typeof value === "string" ? value : undefined;
}
