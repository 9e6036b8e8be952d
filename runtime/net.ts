/** TCP, on `node:net` in both runtimes: streams of bytes, listeners, ports of this machine. */
import { gather } from "./frames.ts";
import { builtin } from "./host.ts";

/** A stream of bytes in both directions. */
export interface ByteSocket {
  /** Queues pieces, in order. What is written in one turn goes out together. */
  write(pieces: readonly Uint8Array[]): void;
  /** Sets who gets what arrives, and who is told the end. Call it once, at once. */
  listen(events: { data(bytes: Uint8Array): void; closed(error: Error | undefined): void }): void;
  /** Sends what is queued, then closes. */
  end(): void;
  /** Closes at once. */
  destroy(): void;
  /** Lets it keep this program alive, or not. */
  keepAlive(on: boolean): void;
}

/** A stream as `node:net` and `node:http` give it. */
export interface NodeSocket {
  readonly remoteAddress?: string;
  write(bytes: Uint8Array | string): boolean;
  on(event: string, listener: (value: never) => void): unknown;
  end(text?: string): void;
  destroy(): void;
  setNoDelay?(on: boolean): void;
  ref?(): void;
  unref?(): void;
}

interface NetServer {
  listen(options: { port: number; host: string }, done: () => void): void;
  on(event: string, listener: (value: never) => void): void;
  once(event: "error", listener: (error: Error) => void): void;
  address(): { port: number };
  close(done: () => void): void;
  ref(): void;
  unref(): void;
}

interface Net {
  createServer(): NetServer;
  connect(options: { port: number; host: string }): NodeSocket;
}

/** A stream of Node's as ours; `head` is what was read from it already. */
export function byteSocket(raw: NodeSocket, head: Uint8Array = new Uint8Array(0)): ByteSocket {
  raw.setNoDelay?.(true);
  const write = gather((bytes) => void raw.write(bytes));
  return {
    write,
    listen({ data, closed }) {
      let failure: Error | undefined;
      raw.on("error", (error: never) => failure = error);
      raw.on("end", () => raw.destroy()); // half-open streams have no use here
      raw.on("close", () => closed(failure));
      if (head.byteLength > 0) data(head);
      raw.on("data", data as (value: never) => void);
    },
    end: () => queueMicrotask(() => raw.end()), // after what was written in this turn
    destroy: () => raw.destroy(),
    keepAlive: (on) => on ? raw.ref?.() : raw.unref?.(),
  };
}

/** A port that listens. */
export interface TcpListener {
  readonly port: number;
  /** Lets it keep this program alive, or not; the connections it took are not meant. */
  keepAlive(on: boolean): void;
  /** Stops listening and closes the connections it took. */
  close(): Promise<void>;
}

/**
 * Listens on a port (0: any free one). `accept` must listen to the stream or destroy it, at once.
 *
 * @throws {Error} If the address cannot be listened on (in use, not of this machine, not permitted).
 */
export function listenTcp(
  address: { host: string; port: number },
  accept: (socket: ByteSocket, from: string) => void,
): Promise<TcpListener> {
  const sockets = new Set<NodeSocket>();
  return new Promise((resolve, reject) => {
    const server = builtin<Net>("node:net").createServer();
    server.once("error", reject);
    server.on("connection", (raw: NodeSocket) => {
      sockets.add(raw);
      raw.on("error", () => {}); // whoever listens is told the end
      raw.on("close", () => void sockets.delete(raw));
      accept(byteSocket(raw), raw.remoteAddress ?? "");
    });
    server.listen(address, () => {
      server.on("error", () => {}); // one connection that could not be taken
      resolve({
        port: server.address().port,
        keepAlive: (on) => on ? server.ref() : server.unref(),
        close: () =>
          new Promise((closed) => {
            server.close(() => closed());
            for (const socket of sockets) socket.destroy();
          }),
      });
    });
  });
}

/**
 * Connects to a port.
 *
 * @throws {Error} If that is refused, or takes longer than `timeout` milliseconds.
 */
export function dialTcp(address: { host: string; port: number }, timeout: number): Promise<ByteSocket> {
  return new Promise((resolve, reject) => {
    const raw = builtin<Net>("node:net").connect(address);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      raw.destroy();
      reject(error);
    };
    const timer = setTimeout(() => fail(new Error(`no answer within ${timeout} ms`)), timeout);
    raw.on("error", fail as (error: never) => void);
    raw.on("connect", () => {
      clearTimeout(timer);
      resolve(byteSocket(raw));
    });
  });
}

/**
 * A TCP port that nobody listens on, chosen by the system. Somebody may take it at once: try again if so.
 *
 * @throws {Error} If there is no such address here.
 */
export function freePort(host = "127.0.0.1"): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = builtin<Net>("node:net").createServer();
    server.once("error", reject);
    server.listen({ port: 0, host }, () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
