/**
 * Finds servers for a pool while it has maps to run: it asks the network segment (discover.ts) when the first map
 * begins and every ten seconds from then on, and makes a target of each server that answers. A server on several
 * networks of this machine is one target with several addresses, and one that was started again at the same
 * address is still the same target.
 */
import { type ByteSocket, dialTcp, every } from "../runtime/mod.ts";
import { type Search, SEARCH_MS, searchServers, type Told } from "./discover.ts";
import { HANDSHAKE_MS, seal } from "./sealed.ts";
import type { ServerTarget } from "./server_specs.ts";
import type { SharedKey } from "./shared_key.ts";

/** Milliseconds from one search to the next. */
const AGAIN_MS = 10_000;
/** Addresses that are remembered of a server, and tried in turn. */
const MOST_ADDRESSES = 4;
/** The longest that a timer can wait. */
const FOR_EVER_MS = 2 ** 31 - 1;

/** Finds servers. */
export interface Finder {
  /** Whether it cannot be told yet that there is none. */
  readonly hopeful: boolean;
  /** Why there is none, once that can be told. */
  readonly reason: string | undefined;
  /** A map begins. `urgent`: if it found nothing so far, it looks again at once. */
  begin(urgent: boolean): void;
  /** All maps are over: it looks for no more, and does not keep this program alive. */
  rest(): void;
  /** Resolves when nothing of it is left. */
  stop(): Promise<void>;
}

/** What a finder tells. */
export interface FinderEvents {
  found(target: ServerTarget): void;
  /** A search is over, and nothing was ever found. */
  nothing(reason: string): void;
}

interface Found {
  id: string;
  addresses: { host: string; port: number }[];
  name: string;
}

/** Makes a finder that asks on this UDP port. */
export function newFinder(port: number, key: SharedKey, events: FinderEvents): Finder {
  const known: Found[] = [];
  let needed = false;
  let hold: ReturnType<typeof setTimeout> | undefined;
  let stopTicks: (() => void) | undefined;
  let began = -Infinity;
  let search: Promise<Search> | undefined;
  let reason: string | undefined;

  function heard({ id, hostname, port }: Told, host: string): void {
    const isHere = (address: Found["addresses"][number]): boolean =>
      address.host === host && address.port === port;
    const same = known.find((server) => server.id === id);
    if (same) {
      if (!same.addresses.some(isHere) && same.addresses.length < MOST_ADDRESSES) {
        same.addresses.push({ host, port });
      }
      return;
    }
    const restarted = known.find((server) => server.addresses.some(isHere));
    if (restarted) {
      restarted.id = id;
      restarted.addresses = [{ host, port }];
      return;
    }
    const server: Found = { id, addresses: [{ host, port }], name: nameOf(hostname, host, port) };
    known.push(server);
    events.found({ kind: "stream", name: server.name, dial: () => dial(server, key) });
  }

  function nameOf(hostname: string, host: string, port: number): string {
    const name = /^[\w.-]{1,253}$/.test(hostname) ? `${hostname}:${port}` : `${host}:${port}`;
    return known.some((other) => other.name === name) ? `${name} at ${host}` : name;
  }

  function look(): void {
    began = performance.now();
    const current = search = searchServers(port, key, heard, async () => {
      const { asked } = await current;
      await end();
      if (known.length > 0 || !needed) return;
      events.nothing(
        reason =
          `no server answered within ${SEARCH_MS / 1000} s on UDP port ${port} of ${asked.join(", ")}: ` +
          "check that a server is announced there with the same key (pathos serve --announce, serve({ announce })), on " +
          "the same network segment (routers stop the queries), and that firewalls let the port through, UDP and TCP",
      );
    });
    current.catch((error) => {
      search = undefined;
      events.nothing(reason = `the network cannot be searched: ${error.message}`);
    });
  }

  async function end(): Promise<void> {
    const current = search;
    search = undefined;
    await (await current?.catch(() => undefined))?.close();
  }

  const lookIfDue = (): void => {
    if (!search && performance.now() - began >= AGAIN_MS) look();
  };

  return {
    get hopeful() {
      return search !== undefined;
    },
    get reason() {
      return reason;
    },
    begin(urgent) {
      needed = true;
      hold ??= setTimeout(() => {}, FOR_EVER_MS);
      stopTicks ??= every(1000, lookIfDue);
      if (urgent && known.length === 0 && !search) look();
      else lookIfDue();
    },
    rest() {
      needed = false;
      clearTimeout(hold);
      hold = undefined;
      stopTicks?.();
      stopTicks = undefined;
    },
    async stop() {
      this.rest();
      began = -Infinity;
      await end();
    },
  };
}

/** A stream to a server, at the first of its addresses that works. */
async function dial({ addresses }: Found, key: SharedKey): Promise<ByteSocket> {
  let failure: unknown;
  for (const { host, port } of [...addresses]) {
    try {
      return await seal(await dialTcp({ host, port }, HANDSHAKE_MS), key, "client");
    } catch (error) {
      failure = new Error(`${host} port ${port}: ${(error as Error).message}`, { cause: error });
    }
  }
  throw failure;
}
