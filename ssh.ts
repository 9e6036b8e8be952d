/**
 * Hosts reached by ssh: run commands, copy files, forward ports (`ssh/mod.ts`), and start servers for pools there,
 * which is the one thing here that needs `map/`.
 *
 * ```ts ignore
 * import { execute, serve } from "@pathos/pathos/ssh";
 *
 * const { stdout } = await execute(["uname", "-a"], { host: "me@cluster" });
 * await using server = await serve("me@cluster"); // its url is for ParallelPool({ servers })
 * ```
 *
 * @module
 */
export * from "./ssh/mod.ts";
export { type HostServer, serveOn as serve, type ServeOnOptions } from "./map/serve_on.ts";
