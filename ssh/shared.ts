/**
 * One connection per host and program, shared by whoever talks to that host: opened at first use, closed some
 * seconds after the last, replaced at next use when it was lost. An idle one never keeps the program alive.
 *
 * Not more than 8 connections are being opened at once, because a busy sshd turns further ones away while
 * they log in (MaxStartups); one that is turned away all the same tries again within its connectTimeout.
 */
import { every, nextTurn } from "../runtime/mod.ts";
import type { Connection } from "./connection.ts";
import { SshError } from "./connection.ts";
import { turnedAway } from "./failures.ts";
import type { Host } from "./host.ts";
import { connectOpenSsh } from "./openssh.ts";

const IDLE_MS = 5_000;
const OPENING_AT_ONCE = 8;
const RETRY_MS = 200;

/** A shared connection, as long as it is needed. */
export interface Lease {
  /** The connection; its `keepAlive` speaks for this lease alone, and its `close` is `release`. */
  readonly connection: Connection;
  /** Gives it back. The connection stays open for some seconds in case somebody needs it. */
  release(): Promise<void>;
}

interface Shared {
  /** Ends the attempt to open it. */
  abandon(): void;
  readonly opened: Promise<Connection>;
  connection?: Connection;
  /** Leases, and whether each wants the program kept alive. */
  readonly leases: Map<object, boolean>;
  stopIdling(): void;
}

const shared = new Map<string, Shared>();

/**
 * The connection to a host: the one that is open, or a new one. An attempt that `signal` aborts is ended, unless
 * somebody else waits for it.
 *
 * @throws {SshError} If it cannot connect.
 */
export async function connectTo(host: Host, signal?: AbortSignal): Promise<Lease> {
  const known = shared.get(host.key);
  const entry = known && !known.connection?.over() ? known : share(host); // a lost one is still clearing up
  const lease = {};
  entry.stopIdling();
  entry.leases.set(lease, true);
  const giveUp = () => {
    entry.leases.delete(lease);
    if (entry.leases.size === 0) entry.abandon();
  };
  signal?.addEventListener("abort", giveUp);
  const connection = await entry.opened.finally(() => signal?.removeEventListener("abort", giveUp));
  const update = () => connection.keepAlive([...entry.leases.values()].includes(true));
  update();
  const release = async () => {
    if (!entry.leases.delete(lease)) return;
    update();
    if (entry.leases.size > 0) return;
    if (shared.get(host.key) !== entry) await connection.close(); // it was lost or replaced
    else entry.stopIdling = every(IDLE_MS, () => void drop(host.key, entry));
  };
  return {
    connection: {
      ...connection,
      keepAlive(on) {
        if (!entry.leases.has(lease)) return;
        entry.leases.set(lease, on);
        update();
      },
      close: release,
    },
    release,
  };
}

function share(host: Host): Shared {
  const attempt = new AbortController();
  const entry: Shared = {
    opened: open(host, attempt.signal),
    leases: new Map(),
    stopIdling() {},
    abandon() {
      forget();
      attempt.abort();
    },
  };
  shared.get(host.key)?.stopIdling();
  shared.set(host.key, entry);
  const forget = () => {
    entry.stopIdling();
    if (shared.get(host.key) === entry) shared.delete(host.key);
  };
  entry.opened.then((connection) => {
    entry.connection = connection;
    return connection.ended.then(forget);
  }, forget);
  return entry;
}

async function drop(key: string, entry: Shared): Promise<void> {
  entry.stopIdling();
  if (shared.get(key) === entry) shared.delete(key);
  await (await entry.opened).close();
}

/**
 * Closes the connections that nobody uses at the moment, rather than some seconds later.
 *
 * @example
 * ```ts
 * import { disconnect } from "@pathos/pathos/ssh";
 *
 * await disconnect(); // at the end of a test, say
 * ```
 */
export async function disconnect(): Promise<void> {
  // one that is being opened may have lost who wanted it, which shows when it is open
  await Promise.allSettled([...shared.values()].map(({ opened }) => opened));
  await nextTurn();
  const idle = [...shared].filter(([, { leases }]) => leases.size === 0);
  await Promise.all(idle.map(([key, entry]) => drop(key, entry)));
}

let opening = 0;
const queue: (() => void)[] = [];

async function open(host: Host, signal: AbortSignal): Promise<Connection> {
  if (opening >= OPENING_AT_ONCE) await new Promise<void>((resolve) => queue.push(resolve));
  else opening++;
  try {
    const end = performance.now() + host.connectTimeout;
    for (let wait = RETRY_MS;; wait *= 1.5) {
      try {
        return await openConnection(host, signal);
      } catch (error) {
        const pause = wait * (0.5 + Math.random());
        if (!turnedAway(error) || signal.aborted || performance.now() + pause > end) throw error;
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }
  } finally {
    const next = queue.shift();
    if (next) next();
    else opening--;
  }
}

/**
 * Opens a connection of its own, by the client that fits the host.
 *
 * @throws {SshError} If it cannot connect.
 */
export async function openConnection(host: Host, signal?: AbortSignal): Promise<Connection> {
  const asked = host.password ?? host.passphrase ?? host.prompt;
  if (host.transport !== "ssh2" && (host.transport === "openssh" || asked === undefined)) {
    try {
      return await connectOpenSsh(host, signal);
    } catch (error) {
      const noProgram = error instanceof SshError && error.failure === "setup" && error.cause !== undefined;
      if (host.transport === "openssh" || !noProgram) throw error;
    }
  }
  const { connectSsh2 } = await import("./ssh2.ts"); // loads npm:ssh2 only for those who need it
  const connection = await connectSsh2(host);
  if (signal?.aborted) await connection.close(); // nobody waits for it any more
  return connection;
}
