/**
 * HTTP as the library needs it, on `node:http` in both runtimes: a server on a loopback port or a unix socket,
 * and connections that leave HTTP by `Upgrade` and become plain byte streams (a round trip over such a stream
 * costs some 20 us where a request through `fetch` costs 150).
 *
 * What a handler throws is answered with status 500 and an empty body, and told to `failed`: errors never
 * reach the other side.
 */
import { builtin, every } from "./host.ts";
import { type ByteSocket, byteSocket, type NodeSocket } from "./net.ts";

/** Who was refused an upgrade may keep the connection for so long, in milliseconds. */
const REFUSED_MS = 1000;

/** Where a server listens: a TCP port (0: any free one), or a unix socket. */
export type HttpAddress = { port: number; host: string } | { path: string };

/** A request and its answer. */
export interface Exchange {
  readonly method: string;
  /** Path and query, as sent. */
  readonly target: string;
  /** A header of the request, by its lower-case name. */
  header(name: string): string | undefined;
  /** Answers, whole. */
  respond(status: number, headers?: Record<string, string>, body?: string | Uint8Array): void;
  /** Answers piece by piece. */
  stream(status: number, headers: Record<string, string>): ResponseStream;
}

/** An answer that is written piece by piece. */
export interface ResponseStream {
  /** Writes text. False: the other side does not keep up, and the text is queued. */
  write(text: string): boolean;
  /** Calls back once, when what is queued has been sent. */
  drained(call: () => void): void;
  /** Resolves when the other side has gone, or the answer ended. */
  readonly closed: Promise<void>;
  end(): void;
}

/** What a server does. */
export interface HttpHandlers {
  request(exchange: Exchange): void | Promise<void>;
  /**
   * A connection wants to leave HTTP. Return the function that takes the stream over, or the status to refuse
   * it with.
   */
  upgrade?(exchange: Pick<Exchange, "method" | "target" | "header">): ((socket: ByteSocket) => void) | number;
  /** A handler threw. */
  failed?(error: unknown): void;
}

/** A server that listens. */
export interface HttpListener {
  /** Where it listens, with the port it got. */
  readonly address: HttpAddress;
  /** Lets it and its connections (those that left HTTP excepted) keep this program alive, or not. */
  keepAlive(on: boolean): void;
  /** Stops listening and closes all connections. */
  close(): Promise<void>;
}

interface NodeRequest extends AsyncIterable<Uint8Array> {
  method: string;
  url: string;
  headers: Record<string, string | undefined>;
}

interface NodeResponse {
  writeHead(status: number, headers: Record<string, string>): void;
  write(text: string): boolean;
  end(body?: string | Uint8Array): void;
  on(event: string, listener: () => void): void;
  once(event: string, listener: () => void): void;
  headersSent: boolean;
}

interface NodeServer {
  listen(...args: unknown[]): void;
  on(event: string, listener: (...args: never[]) => void): void;
  once(event: string, listener: (...args: never[]) => void): void;
  address(): { port: number } | string | null;
  close(done: () => void): void;
  closeAllConnections?(): void;
  ref(): void;
  unref(): void;
}

interface NodeClientRequest {
  on(event: string, listener: (...args: never[]) => void): void;
  end(): void;
  destroy(): void;
}

interface NodeHttp {
  createServer(
    options: Record<string, unknown>,
    listener: (request: NodeRequest, response: NodeResponse) => void,
  ): NodeServer;
  request(options: Record<string, unknown>): NodeClientRequest;
}

const http = (): NodeHttp => builtin<NodeHttp>("node:http");

/**
 * Starts a server. A unix socket is open to this user only, and replaces one that nobody listens on any more.
 *
 * @throws {Error} If the address cannot be listened on (in use, no such folder, not permitted).
 */
export async function listenHttp(address: HttpAddress, handlers: HttpHandlers): Promise<HttpListener> {
  if ("path" in address) await removeStaleSocket(address.path);
  const listener = await listen(address, handlers);
  if ("path" in address) builtin<Files>("node:fs").chmodSync(address.path, 0o600);
  return listener;
}

interface Files {
  chmodSync(path: string, mode: number): void;
  rmSync(path: string): void;
  lstatSync(path: string, options: { throwIfNoEntry: false }): { isSocket(): boolean } | undefined;
}

/** A server that was killed leaves its socket behind, which would be in the way of the next one. */
async function removeStaleSocket(path: string): Promise<void> {
  const { lstatSync, rmSync } = builtin<Files>("node:fs");
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return;
  const refused = await new Promise<boolean>((resolve) => {
    const socket = builtin<{ connect(path: string): NodeSocket }>("node:net").connect(path);
    socket.on("connect", () => {
      socket.destroy();
      resolve(false);
    });
    socket.on(
      "error",
      ((error: { code?: string }) => resolve(error.code === "ECONNREFUSED")) as (error: never) => void,
    );
  });
  if (refused) rmSync(path);
}

function listen(address: HttpAddress, handlers: HttpHandlers): Promise<HttpListener> {
  const sockets = new Set<ByteSocket>();
  const connections = new Set<NodeSocket>();
  let holds = true;
  const failed = (error: unknown): void => handlers.failed?.(error);
  const server = http().createServer(
    { headersTimeout: 10_000, requestTimeout: 0, keepAliveTimeout: 60_000 },
    async (request, response) => {
      try {
        await handlers.request(exchangeOf(request, response));
      } catch (error) {
        failed(error);
        if (!response.headersSent) response.writeHead(500, { "content-length": "0", connection: "close" });
        response.end();
      }
    },
  );
  server.on("connection", (raw: NodeSocket) => {
    connections.add(raw);
    raw.on("close", () => void connections.delete(raw));
    if (!holds) raw.unref?.();
  });
  server.on("upgrade", (request: never, raw: never, head: never) => {
    const socket = byteSocket(raw, head);
    connections.delete(raw);
    (raw as NodeSocket).ref?.();
    let taken: ((socket: ByteSocket) => void) | number = 404;
    try {
      taken = handlers.upgrade?.(headOf(request)) ?? 404;
    } catch (error) {
      failed(error);
      taken = 500;
    }
    sockets.add(socket); // http knows nothing of it any more
    (raw as NodeSocket).on("close", () => void sockets.delete(socket));
    if (typeof taken === "number") {
      // Who was refused and does not close its end is closed: it must not hold a connection, nor the end of the server.
      socket.listen({ data() {}, closed: every(REFUSED_MS, () => socket.destroy()) });
      (raw as NodeSocket).end(`HTTP/1.1 ${taken} Refused\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
      return;
    }
    (raw as NodeSocket).write(
      "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: pathos\r\n\r\n",
    );
    taken(socket);
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject as (error: never) => void);
    const listening = (): void => {
      server.on("error", failed);
      const bound = server.address();
      resolve({
        address: "path" in address || bound === null || typeof bound === "string"
          ? address
          : { port: bound.port, host: address.host },
        keepAlive(on) {
          holds = on;
          for (const one of [server, ...connections]) on ? one.ref?.() : one.unref?.();
        },
        close: () =>
          new Promise((closed) => {
            server.close(() => closed());
            server.closeAllConnections?.();
            for (const socket of sockets) socket.destroy();
          }),
      });
    };
    if ("path" in address) server.listen(address.path, listening);
    else server.listen(address.port, address.host, listening);
  });
}

function headOf(request: NodeRequest): Pick<Exchange, "method" | "target" | "header"> {
  return { method: request.method, target: request.url, header: (name) => request.headers[name] };
}

function exchangeOf(request: NodeRequest, response: NodeResponse): Exchange {
  return {
    ...headOf(request),
    respond(status, headers = {}, body = "") {
      const length = typeof body === "string" ? new TextEncoder().encode(body).byteLength : body.byteLength;
      response.writeHead(status, {
        ...headers,
        "content-length": String(length),
      });
      response.end(body);
    },
    stream(status, headers) {
      response.writeHead(status, headers);
      const closed = new Promise<void>((resolve) => response.on("close", resolve));
      return {
        closed,
        write: (text) => response.write(text),
        drained: (call) => response.once("drain", call),
        end: () => response.end(),
      };
    },
  };
}

/** Why an upgrade was refused: the server answered with this status. */
export class HttpStatusError extends Error {
  /** The name of the class. */
  override name = "HttpStatusError";

  constructor(readonly status: number) {
    super(`the server answered with status ${status}`);
  }
}

/**
 * Connects to a server and leaves HTTP: the stream is what its `upgrade` handler got.
 *
 * @throws {HttpStatusError} If the server refuses.
 * @throws {Error} If it cannot be reached, or does not answer within `timeout` milliseconds.
 */
export function dialHttp(
  address: HttpAddress,
  target: string,
  headers: Record<string, string>,
  timeout: number,
): Promise<ByteSocket> {
  return new Promise((resolve, reject) => {
    const where = "path" in address
      ? { socketPath: address.path }
      : { host: address.host, port: address.port };
    const request = http().request({
      ...where,
      path: target,
      agent: false,
      headers: { ...headers, connection: "Upgrade", upgrade: "pathos" },
    });
    const fail = (error: Error): void => {
      clearTimeout(timer);
      request.destroy();
      reject(error);
    };
    const timer = setTimeout(() => fail(new Error(`no answer within ${timeout} ms`)), timeout);
    request.on("upgrade", (_response: never, socket: never, head: never) => {
      clearTimeout(timer);
      resolve(byteSocket(socket, head));
    });
    request.on(
      "response",
      (response: never) => fail(new HttpStatusError((response as { statusCode: number }).statusCode)),
    );
    request.on("error", fail as (error: never) => void);
    request.end();
  });
}
