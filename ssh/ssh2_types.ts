/**
 * The parts of npm:ssh2, and of the Node streams that it lives on, that the ssh2 backend uses. The package has
 * no types of its own, and those published apart from it would pull in all of Node's. Also the one place that
 * loads the package: at the first connection, so that users of the OpenSSH client never do.
 */

/** A Node stream that can be read and written: a socket, or a channel. */
export interface Duplex {
  destroyed: boolean;
  readable: boolean;
  writable: boolean;
  on(event: "data", listener: (bytes: Uint8Array) => void): this;
  on(event: "error", listener: (error: Error & { code?: string }) => void): this;
  on(event: string, listener: () => void): this;
  once(event: string, listener: () => void): this;
  removeListener(event: string, listener: (...args: never[]) => void): this;
  write(bytes: Uint8Array, done?: (error?: Error | null) => void): boolean;
  end(): void;
  destroy(error?: Error): void;
  pause(): void;
  resume(): void;
  pipe(target: Duplex): Duplex;
  unshift(bytes: Uint8Array): void;
}

/** A socket of `node:net`. */
export interface Socket extends Duplex {
  remoteAddress?: string;
  remotePort?: number;
  setNoDelay(on: boolean): void;
  setTimeout(milliseconds: number, expired: () => void): void;
  ref(): void;
  unref(): void;
}

/** A listening socket of `node:net`. */
export interface Server {
  on(event: "error", listener: (error: Error & { code?: string }) => void): this;
  on(event: string, listener: () => void): this;
  listen(where: { port: number; host: string } | { path: string }, ready: () => void): void;
  address(): { port: number } | string;
  close(done: () => void): void;
  unref(): void;
}

/** What is used of `node:net`. */
export interface Net {
  connect(where: { port: number; host: string } | { path: string }): Socket;
  createServer(
    options: { pauseOnConnect: boolean; allowHalfOpen: boolean },
    connected: (socket: Socket) => void,
  ): Server;
}

/** A channel of an ssh connection. */
export interface Channel extends Duplex {
  stderr: Duplex;
  on(event: "data", listener: (bytes: Uint8Array) => void): this;
  on(event: "exit", listener: (code: number | null, signal?: string) => void): this;
  on(event: "error", listener: (error: Error & { code?: string }) => void): this;
  on(event: string, listener: () => void): this;
  signal(name: string): void;
  close(): void;
}

/** A private or public key as ssh2 reads one. */
export interface ParsedKey {
  type: string;
  getPrivatePEM(): string | null;
  getPublicSSH(): Uint8Array;
}

/** A store of keys that signs with them, such as ssh-agent. */
export interface Agent {
  getIdentities(done: (error: Error | null, keys?: ParsedKey[]) => void): void;
  sign(
    key: ParsedKey,
    data: Uint8Array,
    options: { hash?: string },
    done: (error: Error | null, signature?: Uint8Array) => void,
  ): void;
}

/** One try to authenticate; false when there is nothing left to try. */
export type AuthTry =
  | { type: "none"; username: string }
  | { type: "agent"; username: string; agent: Agent }
  | { type: "password"; username: string; password: string }
  | {
    type: "keyboard-interactive";
    username: string;
    prompt(
      name: string,
      instructions: string,
      language: string,
      prompts: { prompt: string; echo?: boolean }[],
      answer: (answers: string[]) => void,
    ): void;
  };

/** Chooses the next try; `left` is null before the first. */
export type AuthHandler = (
  left: string[] | null,
  partial: boolean | null,
  next: (choice: AuthTry | false) => void,
) => void;

/** What `connect` takes. */
export interface ClientConfig {
  sock: Duplex;
  username: string;
  readyTimeout: number;
  strictVendor: boolean;
  algorithms: Record<string, unknown>;
  hostVerifier(key: Uint8Array): boolean;
  authHandler: AuthHandler;
}

/** An error of ssh2: `level` tells the part that failed. */
export type ClientError = Error & { level?: string; code?: string | number };

/** What a host tells of a connection that it passes on to us. */
export interface Incoming {
  destIP: string;
  destPort: number;
  socketPath: string;
}

/** An ssh connection of npm:ssh2. */
export interface Client {
  connect(config: ClientConfig): void;
  on(event: "ready" | "close", listener: () => void): this;
  on(event: "error", listener: (error: ClientError) => void): this;
  on(event: "banner", listener: (text: string) => void): this;
  on(event: "change password", listener: () => void): this;
  on(
    event: "tcp connection" | "unix connection",
    listener: (info: Incoming, accept: () => Channel, reject: () => void) => void,
  ): this;
  exec(command: string, done: (error: Error | undefined, channel: Channel) => void): void;
  subsys(name: string, done: (error: Error | undefined, channel: Channel) => void): void;
  forwardOut(
    fromHost: string,
    fromPort: number,
    host: string,
    port: number,
    done: (error: Error | undefined, channel: Channel) => void,
  ): void;
  openssh_forwardOutStreamLocal(
    path: string,
    done: (error: Error | undefined, channel: Channel) => void,
  ): void;
  forwardIn(host: string, port: number, done: (error: Error | undefined, port: number) => void): void;
  unforwardIn(host: string, port: number, done: (error?: Error) => void): void;
  openssh_forwardInStreamLocal(path: string, done: (error?: Error) => void): void;
  openssh_unforwardInStreamLocal(path: string, done: (error?: Error) => void): void;
  end(): void;
  destroy(): void;
}

/** The package. */
export interface Ssh2 {
  Client: new () => Client;
  BaseAgent: new () => Agent;
  OpenSSHAgent: new (path: string) => Agent & {
    getStream(done: (error: Error | null, stream?: Socket) => void): void;
  };
  utils: { parseKey(key: string | Uint8Array, passphrase?: string): ParsedKey | Error };
}

let loading: Promise<Ssh2> | undefined;

/** The package, loaded at the first call. */
export function loadSsh2(): Promise<Ssh2> {
  return loading ??= import("ssh2").then((module) => module.default as unknown as Ssh2);
}
