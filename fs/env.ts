/**
 * Variables of the environment by pattern.
 */
import { environment, variable as one } from "../runtime/account.ts";
import { platform } from "../runtime/mod.ts";
import { minpath } from "./minpath.ts";
import { hasMagic, onePattern } from "./name_pattern.ts";

/** How {@linkcode env} gives variables. */
export interface EnvOptions {
  /** All variables that fit, or false for the value of the first. Default: true. */
  all?: boolean;
  /** Search paths (variables whose names end in `PATH`) without repetitions. Default: false. */
  minimal?: boolean;
}

/**
 * The variables of the environment whose names fit a pattern of `*`, `?` and `[A-Z]`. Upper and lower case differ, but not on
 * Windows. A name without a pattern needs no permission for others.
 *
 * @returns The variables by name; with `all: false` the value of the first that fits, or undefined.
 * @throws {Error} If Deno does not permit reading the environment (`--allow-env`).
 *
 * @example
 * ```ts
 * import { env } from "@pathos/pathos/fs";
 * import { assert, assertEquals } from "@std/assert";
 *
 * assert("PATH" in env("*PATH", { minimal: true }));
 * assertEquals(env("HOME", { all: false }), Deno.env.get("HOME"));
 * assertEquals(env("NO_SUCH_VARIABLE"), {});
 * ```
 */
export function env(variable: string, options: EnvOptions & { all: false }): string | undefined;
/** The variables whose names fit. */
export function env(variable?: string, options?: EnvOptions & { all?: true }): Record<string, string>;
/** The variables whose names fit, or the value of the first. */
export function env(variable?: string, options?: EnvOptions): Record<string, string> | string | undefined;
export function env(
  variable = "*",
  { all = true, minimal = false }: EnvOptions = {},
): Record<string, string> | string | undefined {
  const ignoreCase = platform() === "win32";
  const isSearchPath = onePattern("*PATH", ignoreCase);
  const found = variables(variable, ignoreCase).map(([name, value]): [string, string] => [
    name,
    minimal && isSearchPath(name) ? minpath(value) : value,
  ]);
  return all ? Object.fromEntries(found) : found[0]?.[1];
}

function variables(pattern: string, ignoreCase: boolean): [string, string][] {
  if (!hasMagic(pattern)) {
    const value = one(pattern);
    if (value !== undefined) return [[pattern, value]];
    if (!ignoreCase) return [];
  }
  const test = onePattern(pattern, ignoreCase);
  return Object.entries(environment()).filter(([name]) => test(name));
}
