/**
 * The service that pools on other machines talk to: HTTP, on a loopback port or a unix socket, for those who
 * know its token. `GET /health` and `GET /stats` tell how it is; a request for {@linkcode SESSION_PATH} with
 * `Upgrade` becomes a session (session.ts), over which a pool starts worker processes here, sends them code
 * and chunks, and gets their answers streamed back.
 *
 * Who does not show the token gets status 401 and an empty body, whatever was asked. The workers of a session
 * end with it, and those of the server with the server, however it ends. With a lease, a session that is
 * silent for so long is closed, and a server without sessions ends by itself. A session that came over a network
 * has a limit in any case: what is lost there may never be heard of again.
 */
import {
  aside,
  builtin,
  type ByteSocket,
  cpuCount,
  equalInConstantTime,
  every,
  type Exchange,
  hostname,
  type HttpAddress,
  type HttpListener,
  listenHttp,
  processId,
  runtimeName,
  runtimeVersion,
} from "../runtime/mod.ts";
import { type Child, type ChildEvents, type Limits, startChild } from "./child.ts";
import type { ToWorker } from "./protocol.ts";
import {
  type FromServer,
  LEASE_MS,
  readSession,
  type ServerFacts,
  SESSION_PATH,
  SESSION_VERSION,
  sessionFrame,
  type ToServer,
} from "./session.ts";
import { packMessage } from "./wire.ts";

/** What a server is made of. */
export interface ServerParts {
  address: HttpAddress;
  token: string;
  workers: number;
  /** Milliseconds; undefined: for ever. */
  lease: number | undefined;
  maxFrame: number;
  /** The worker program. */
  program: string;
  /** Without the deno.json beside the main module. */
  noConfig?: boolean;
  /** What its workers are called, in the order of the pool's slots. Default: the pool numbers them. */
  names?: string[];
  /** Starts the worker for a slot of a pool. Default: a process here that runs `program`. */
  startWorker?: StartServed;
}

/** Starts the worker for a slot of a pool; throws with the reason why it cannot. */
export type StartServed = (slot: number, limits: Limits, events: ChildEvents) => Served;

/** What a server needs of a worker. */
export type Served = Pick<Child, "send" | "end" | "kill">;

/** What a server has done and is doing. */
export interface ServerStats {
  /** Milliseconds since it started. */
  uptime: number;
  /** Pools connected now. */
  sessions: number;
  /** Pools that were ever connected; one that comes back counts again. */
  sessionsEver: number;
  /** Worker processes that run now. */
  workers: number;
  /** Requests refused because they did not show the token. */
  refused: number;
  /** Messages received. */
  framesIn: number;
  /** Messages sent. */
  framesOut: number;
  /** Bytes received. */
  bytesIn: number;
  /** Bytes sent. */
  bytesOut: number;
}

/** A server that listens. */
export interface OpenServer {
  readonly address: HttpAddress;
  readonly facts: ServerFacts;
  readonly stats: ServerStats;
  /** Begins a session over a stream from a network, whose other end has shown in another way that it may. */
  admit(socket: ByteSocket): void;
  /** Resolves when it has ended. */
  readonly closed: Promise<void>;
  /** Ends it and the workers. */
  close(): Promise<void>;
}

/** Starts a server. */
export async function openServer(parts: ServerParts): Promise<OpenServer> {
  const facts: ServerFacts = {
    version: SESSION_VERSION,
    runtime: `${runtimeName} ${runtimeVersion()}`,
    hostname: hostname(),
    pid: processId(),
    cores: cpuCount(),
    workers: parts.workers,
    maxFrame: parts.maxFrame,
    names: parts.names,
  };
  const began = performance.now();
  const counts = { sessionsEver: 0, refused: 0, framesIn: 0, framesOut: 0, bytesIn: 0, bytesOut: 0 };
  const { lease } = parts;
  const sessions = new Map<Session, number>(); // with how long each may be silent
  let lastSession = performance.now();
  let closing: Promise<void> | undefined;
  const isOurs = tokenCheck(parts.token);
  const stats = (): ServerStats => ({
    uptime: Math.round(performance.now() - began),
    sessions: sessions.size,
    workers: [...sessions.keys()].reduce((sum, session) => sum + session.workers, 0),
    ...counts,
  });
  const allowed = ({ header }: Pick<Exchange, "header">): boolean => {
    const shown = isOurs(header("authorization"));
    if (!shown) counts.refused++;
    return shown;
  };
  const begin = (socket: ByteSocket, limit: number): void => {
    if (closing) return socket.destroy();
    counts.sessionsEver++;
    const session = openSession(socket, parts, facts, counts, () => {
      sessions.delete(session);
      lastSession = performance.now();
    });
    sessions.set(session, limit);
  };
  const listener: HttpListener = await listenHttp(parts.address, {
    request(exchange) {
      const status = !allowed(exchange) ? 401 : exchange.method !== "GET" ? 405 : undefined;
      if (status !== undefined) return exchange.respond(status, { connection: "close" });
      const answer = { "/health": () => ({ ok: true, ...facts }), "/stats": stats }[exchange.target];
      if (!answer) return exchange.respond(404);
      exchange.respond(
        200,
        { "content-type": "application/json", "cache-control": "no-store" },
        JSON.stringify(answer()),
      );
    },
    upgrade(exchange) {
      if (!allowed(exchange)) return 401;
      if (exchange.target !== SESSION_PATH) return 404;
      return (socket) => begin(socket, lease ?? Infinity);
    },
  });
  let tellClosed: () => void;
  const closed = new Promise<void>((resolve) => tellClosed = resolve);
  const close = (): Promise<void> =>
    closing ??= (async () => {
      stopWatch();
      await Promise.all([...sessions.keys()].map((session) => session.close()));
      await listener.close();
      tellClosed();
    })();
  const stopWatch = every(Math.min(1000, (lease ?? LEASE_MS) / 4), () => {
    const now = performance.now();
    for (const [session, limit] of sessions) if (now - session.heard > limit) session.close();
    if (lease !== undefined && sessions.size === 0 && now - lastSession > lease) close();
  });
  return {
    address: listener.address,
    facts,
    get stats() {
      return stats();
    },
    admit: (socket) => begin(socket, lease ?? LEASE_MS),
    closed,
    close,
  };
}

interface Session {
  /** Worker processes. */
  readonly workers: number;
  /** When the other side was last heard of. */
  readonly heard: number;
  close(): Promise<void>;
}

function openSession(
  socket: ByteSocket,
  { program, maxFrame, workers: most, noConfig, startWorker }: ServerParts,
  facts: ServerFacts,
  counts: { framesIn: number; framesOut: number; bytesIn: number; bytesOut: number },
  over: () => void,
): Session {
  const workers = new Map<number, Served>();
  const leaving = new Set<number>(); // told to end: others may take their place
  const codes = new Map<string, Uint8Array[]>();
  let heard = performance.now();
  let closing: Promise<void> | undefined;

  const send = (head: FromServer, parts: readonly Uint8Array[] = []): void => {
    if (closing) return;
    const pieces = sessionFrame(head, parts);
    counts.framesOut++;
    for (const piece of pieces) counts.bytesOut += piece.byteLength;
    socket.write(pieces);
  };
  const close = (): Promise<void> => {
    closing ??= (async () => {
      socket.destroy();
      await Promise.all([...workers.values()].map((worker) => worker.kill()));
      over();
    })();
    return closing;
  };

  const startProcess: StartServed = (_slot, limits, events) =>
    startChild(program, { ...limits, noConfig }, events);

  function start({ to, slot, permissions, maxMemory, line }: Extract<ToServer, { do: "start" }>): void {
    const refuse = (reason: string): void =>
      send({ say: "died", from: to, loss: { reason, signal: null, exitCode: null, stderr: "" } });
    if (workers.has(to)) throw new Error(`worker ${to} is there already`);
    if (workers.size - leaving.size >= most) {
      return refuse(`was not started: this server has ${most} workers`);
    }
    try {
      const child = (startWorker ?? startProcess)(slot, { permissions, maxMemory }, {
        message: (parts) => send({ say: "tell", from: to }, parts),
        output: (stream, line) => send({ say: "output", from: to, stream, line }),
        died(loss) {
          workers.delete(to);
          leaving.delete(to);
          send({ say: "died", from: to, loss });
        },
      });
      workers.set(to, child);
      if (line) child.send(packMessage({ do: "line", ...line } satisfies ToWorker, []));
    } catch (error) {
      refuse(`could not be started: ${(error as Error).message}`);
    }
  }

  const read = readSession<ToServer>(maxFrame, (head, parts) => {
    counts.framesIn++;
    switch (head.do) {
      case "ping":
        return send({ say: "pong", at: head.at });
      case "tell":
        return workers.get(head.to)?.send(parts);
      case "code": {
        const code = codes.get(head.hash);
        if (!code) throw new Error(`the code ${head.hash} was never sent`);
        return workers.get(head.to)?.send(head.aside ? aside(code) : code);
      }
      case "keep":
        return void codes.set(head.hash, parts);
      case "forget":
        return codes.clear();
      case "start":
        return start(head);
      case "end":
      case "kill": {
        const worker = workers.get(head.to);
        if (worker) leaving.add(head.to);
        return void (head.do === "end" ? worker?.end() : worker?.kill());
      }
      default:
        throw new Error("an unknown message");
    }
  });
  socket.listen({
    data(bytes) {
      if (closing) return;
      heard = performance.now();
      counts.bytesIn += bytes.byteLength;
      try {
        read(bytes);
      } catch {
        close(); // it does not speak the protocol: nothing of what it says can be relied on
      }
    },
    closed: close,
  });
  send({ say: "hello", ...facts });
  return {
    get workers() {
      return workers.size;
    },
    get heard() {
      return heard;
    },
    close,
  };
}

/** Whether an `Authorization` header shows the token; takes the same time for all wrong ones. */
function tokenCheck(token: string): (header: string | undefined) => boolean {
  const { createHash } = builtin<{
    createHash(name: string): { update(text: string): { digest(): Uint8Array } };
  }>("node:crypto");
  const digest = (text: string): Uint8Array => createHash("sha256").update(text).digest();
  const expected = digest(`Bearer ${token}`);
  return (header) => equalInConstantTime(digest(header ?? ""), expected);
}
