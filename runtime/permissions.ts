/**
 * What a child process may do. Deno enforces it; Node has no such thing, and asking there is an error
 * rather than a promise that is not kept.
 */
import { runtimeName } from "./host.ts";

/** A kind of permission, as in Deno's `--allow-read`. */
export type PermissionKind = "read" | "write" | "net" | "env" | "run" | "sys" | "ffi" | "import";

const KINDS: PermissionKind[] = ["read", "write", "net", "env", "run", "sys", "ffi", "import"];

/**
 * Permissions of a worker process: `"inherit"` what this process has, `"none"`, or kind by kind (`true` for
 * all of a kind, a list for some, absent or `false` for none), as Deno's `--allow-*` flags.
 */
export type Permissions =
  | "inherit"
  | "none"
  | { readonly [kind in PermissionKind]?: boolean | readonly string[] };

/**
 * Command line flags for `deno run`.
 *
 * A permission that this process holds only for some values (`--allow-read=data`) cannot be listed by a
 * program, so `"inherit"` passes on whole permissions only.
 *
 * @throws {TypeError} If a kind is unknown.
 * @throws {Error} If limits are asked for under Node.
 */
export function permissionFlags(permissions: Permissions): string[] {
  if (runtimeName === "node") {
    if (permissions === "inherit") return [];
    throw new Error(
      'Node cannot limit what a worker process may do: use permissions: "inherit", or run under Deno',
    );
  }
  if (permissions === "none") return [];
  if (permissions === "inherit") {
    const held = KINDS.filter((kind) => granted(kind));
    return held.length === KINDS.length ? ["--allow-all"] : held.map((kind) => `--allow-${kind}`);
  }
  return Object.entries(permissions).flatMap(([kind, value]) => {
    if (!KINDS.includes(kind as PermissionKind)) {
      throw new TypeError(`permissions: there is no "${kind}"; the kinds are ${KINDS.join(", ")}`);
    }
    if (value === false || value === undefined) return [];
    if (value === true) return [`--allow-${kind}`];
    const bad = value.find((item) => item.includes(","));
    if (bad !== undefined) {
      throw new TypeError(`permissions.${kind}: "${bad}" contains a comma, which separates values`);
    }
    return value.length > 0 ? [`--allow-${kind}=${value.join(",")}`] : [];
  });
}

/** Whether this process holds the whole of a permission; always true in Node. */
export function granted(kind: PermissionKind): boolean {
  const deno = (globalThis as {
    Deno?: { permissions: { querySync(query: { name: string }): { state: string; partial?: boolean } } };
  }).Deno;
  if (!deno) return true;
  const status = deno.permissions.querySync({ name: kind });
  return status.state === "granted" && !status.partial;
}
