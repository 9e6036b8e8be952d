/**
 * Who the user is, by the system's list of accounts and the environment.
 */
import { account, identity } from "../runtime/account.ts";
import { env, platform } from "../runtime/mod.ts";
import { pathText } from "./paths.ts";

/**
 * The user's home folder: `$HOME` (`%USERPROFILE%` on Windows), or where that is not set what the system knows of the
 * account.
 *
 * pox looks at `USERPROFILE` everywhere, and without `$HOME` searches the folders above for one named after the user, for ever
 * if there is none.
 *
 * @throws {Error} If there is neither.
 *
 * @example
 * ```ts
 * import { homedir } from "@pathos/pathos/fs";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(homedir(), Deno.env.get("HOME"));
 * ```
 */
export function homedir(): string {
  const found = env(platform() === "win32" ? "USERPROFILE" : "HOME") || account()?.home;
  if (!found) throw new Error(`there is no home folder: ${noAccount()}; set $HOME`);
  return found;
}

/**
 * The name of the user this program runs as. It needs no variable: the system is asked first, then `LOGNAME`, `USER` and
 * `USERNAME`; for a user id without an account, as in some containers, it is the number.
 *
 * pox gives the owner of the terminal, and None where there is neither a terminal nor `$USER`.
 *
 * @throws {Error} If nothing tells it, because Deno's permissions `sys` and `env` are denied.
 *
 * @example
 * ```ts
 * import { username } from "@pathos/pathos/fs";
 * import { assert } from "@std/assert";
 *
 * assert(username().length > 0);
 * ```
 */
export function username(): string {
  const found = account()?.name || env("LOGNAME") || env("USER") || env("USERNAME");
  if (found) return found;
  const uid = identity()?.uid;
  if (uid === undefined) throw new Error(`this user has no name: ${noAccount()}; set $USER`);
  return String(uid);
}

/**
 * The name of the user's login shell, such as `"bash"`: that of `$SHELL`, or where it is not set that of the account; on
 * Windows that of `%ComSpec%`, `"cmd"`. Undefined where there is none.
 *
 * @example
 * ```ts
 * import { shelltype } from "@pathos/pathos/fs";
 * import { assert } from "@std/assert";
 *
 * assert(!shelltype()?.includes("/"));
 * ```
 */
export function shelltype(): string | undefined {
  const isWindows = platform() === "win32";
  const path = env("SHELL") || (isWindows ? env("ComSpec") : account()?.shell);
  if (!path) return undefined;
  const name = pathText().basename(path);
  return isWindows ? name.replace(/\.exe$/i, "") : name;
}

function noAccount(): string {
  const uid = identity()?.uid;
  return uid === undefined ? "this program may not know its user" : `user id ${uid} has no account`;
}
