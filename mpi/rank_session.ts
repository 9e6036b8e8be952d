/** The way to rank 0 of a job that a pool has started (rank_main.ts says how it listens). */
import { dialTcp } from "../runtime/mod.ts";
import { CONNECT_MS } from "../map/host_link.ts";
import { seal } from "../map/sealed.ts";
import { openSession, type Session, sessionOver } from "../map/session_client.ts";
import { sharedKey } from "../map/shared_key.ts";
import type { Machine } from "./machine.ts";
import type { RankReady } from "./rank_ready.ts";

/** A rank's address on the network that does not answer for so long is not the right one, in milliseconds. */
const DIAL_MS = 5000;

/** A session with rank 0. */
export async function connectRanks(
  machine: Pick<Machine, "reach">,
  { host, port, network }: RankReady,
  secret: string,
): Promise<{ session: Session; close(): Promise<void> }> {
  if (!network) {
    const { address, close } = await machine.reach({ host: "127.0.0.1", port });
    return { session: await openSession(address, secret, CONNECT_MS), close };
  }
  const key = sharedKey(secret);
  const problems: string[] = [];
  for (const target of network.addresses) {
    const { address, close } = await machine.reach({ host: target, port: network.port });
    try {
      const socket = await seal(await dialTcp(address, DIAL_MS), key, "client");
      return { session: await sessionOver(socket, CONNECT_MS), close };
    } catch (error) {
      problems.push(`${target}: ${(error as Error).message}`);
      await close();
    }
  }
  throw new Error(`rank 0 on ${host} cannot be reached at port ${network.port}: ${problems.join("; ")}`);
}
