/** Free TCP ports, here and on hosts. A port found free may be taken by somebody else the next moment. */
import { freePort } from "../runtime/mod.ts";
import type { HostLike } from "./execute.ts";
import { Host } from "./host.ts";
import { connectTo } from "./shared.ts";

/**
 * A TCP port on which nobody listens, on this machine or on `host`; its system chooses. Where a port is to be forwarded,
 * give the forward port 0 instead, which cannot be taken in between.
 *
 * @throws {SshError} If the host cannot be reached, or its sshd forwards no ports.
 *
 * @example
 * ```ts
 * import { randomPort } from "@pathos/pathos/ssh";
 * import { assert } from "@std/assert";
 *
 * const port = await randomPort();
 * assert(port >= 1024 && port <= 65535);
 * ```
 */
export async function randomPort(options: { host?: HostLike } = {}): Promise<number> {
  if (options.host === undefined) return await freePort();
  const { connection, release } = await connectTo(Host.from(options.host));
  try {
    // sshd says which port it got, so nothing need be installed there; nobody connects to it
    const forward = await connection.forward({ kind: "remote", listen: { port: 0 }, target: { port: 9 } });
    await forward.close();
    return (forward.listen as { port: number }).port;
  } finally {
    await release();
  }
}
