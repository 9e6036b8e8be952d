/**
 * A server made known on a network segment: it answers queries (discover.ts), and takes sessions over encrypted
 * streams (sealed.ts) from those who share its key. Connections that have not shown the key are few at a time, and
 * closed after some seconds.
 */
import { type ByteSocket, hostname, listenTcp, newToken, type TcpListener } from "../runtime/mod.ts";
import { answerQueries, DISCOVERY_PORT } from "./discover.ts";
import { seal } from "./sealed.ts";
import { sharedKey } from "./shared_key.ts";

/** Connections at once that have not shown the key: from everywhere, and from one address. */
const MOST_STRANGERS = 64;
const MOST_FROM_ONE = 8;

/** How a server is made known on the network segment. */
export interface AnnounceOptions {
  /**
   * What it shares with pools: at least 16 characters, best random ones. Who has it can run code here. Default: what
   * the file holds that the environment variable `PATHOS_KEY_FILE` names.
   */
  key?: string;
  /** IPv4 address of this machine whose network it is found on. Default `"0.0.0.0"`: all of them. */
  address?: string;
  /** UDP port of the queries, and TCP port of the sessions if that is free, else any. Default 60000. */
  port?: number;
}

/** What an announced server was asked. */
export interface AnnounceStats {
  /** Queries answered. */
  answered: number;
  /** Datagrams ignored: not from somebody who has the key, or too many. */
  ignored: number;
  /** Connections closed because they did not show the key. */
  refused: number;
}

/** A server that is found on the network segment. */
export interface Announced {
  /** The address it listens on; `"0.0.0.0"`: all of this machine. */
  readonly address: string;
  /** The UDP port on which it is asked for. */
  readonly port: number;
  /** The TCP port of its sessions. */
  readonly sessionPort: number;
  /** What it was asked. */
  stats(): AnnounceStats;
}

/** What is to be known of how a server is announced; checked. */
export type Announcing = ReturnType<typeof checkAnnounce>;

/**
 * Checks how a server is to be announced.
 *
 * @throws {TypeError} If there is no key.
 * @throws {RangeError} If the key is too short, or the port or the address is none.
 */
export function checkAnnounce({ key, address = "0.0.0.0", port = DISCOVERY_PORT }: AnnounceOptions) {
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw new RangeError(`the port to announce on is ${port}: it must be a whole number from 1 to 65535`);
  }
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(address)) {
    throw new RangeError(
      `the address to announce on is ${address}: it must be an IPv4 address of this machine`,
    );
  }
  return { key: sharedKey(key), host: address, port };
}

/**
 * Announces a server.
 *
 * @param take Gets each stream over which a pool speaks that has shown the key.
 * @throws {Error} If the ports cannot be listened on.
 */
export async function announce(
  { key, host, port }: Announcing,
  take: (socket: ByteSocket) => void,
): Promise<{ announced: Announced; close(): Promise<void> }> {
  const counts: AnnounceStats = { answered: 0, ignored: 0, refused: 0 };
  const strangers = new Map<string, number>();
  const listener = await listenNear({ host, port }, async (socket, from) => {
    const total = [...strangers.values()].reduce((sum, count) => sum + count, 0);
    const before = strangers.get(from) ?? 0;
    if (total >= MOST_STRANGERS || before >= MOST_FROM_ONE) {
      counts.refused++;
      return socket.destroy();
    }
    strangers.set(from, before + 1);
    try {
      take(await seal(socket, key, "server"));
    } catch {
      counts.refused++;
    } finally {
      const left = strangers.get(from)! - 1;
      if (left > 0) strangers.set(from, left);
      else strangers.delete(from);
    }
  });
  try {
    const told = { id: newToken(), hostname: hostname(), port: listener.port };
    const queries = await answerQueries({ host, port }, key, told, counts);
    return {
      announced: { address: host, port, sessionPort: listener.port, stats: () => ({ ...counts }) },
      close: async () => void await Promise.all([queries.close(), listener.close()]),
    };
  } catch (error) {
    await listener.close();
    throw error;
  }
}

/** Listens on this port, or on another one if it is taken: one number is easier to let through a firewall. */
async function listenNear(
  address: { host: string; port: number },
  accept: Parameters<typeof listenTcp>[1],
): Promise<TcpListener> {
  try {
    return await listenTcp(address, accept);
  } catch (error) {
    if ((error as { code?: string }).code !== "EADDRINUSE") throw error;
    return await listenTcp({ ...address, port: 0 }, accept);
  }
}
