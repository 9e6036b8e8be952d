/** A host to work with: commands and tunnels over one connection, which is held open until it is closed. */
import type { SshError } from "./connection.ts";
import {
  type BytesOptions,
  type CommandResult,
  executeWith,
  type HostLike,
  type TextOptions,
} from "./execute.ts";
import { Host } from "./host.ts";
import { connectTo, type Lease } from "./shared.ts";
import { Tunnel, type TunnelOptions } from "./tunnel.ts";

/**
 * A connection to a host that stays open. It keeps the program alive until it is closed.
 *
 * @example
 * ```ts ignore
 * import { connect } from "@pathos/pathos/ssh";
 *
 * await using cluster = await connect("me@cluster");
 * console.log((await cluster.execute("hostname")).stdout);
 * ```
 */
export class Session implements AsyncDisposable {
  readonly #lease: Lease;
  readonly #tunnels = new Set<Tunnel>();

  /** Made by {@linkcode connect}. */
  constructor(lease: Lease) {
    this.#lease = lease;
  }

  /** The host. */
  get host(): Host {
    return this.#lease.connection.host;
  }

  /** Resolves when the connection is over: to undefined if it was closed here, else to the reason. */
  get ended(): Promise<SshError | undefined> {
    return this.#lease.connection.ended;
  }

  /** Runs a command there, as {@linkcode execute} does. */
  execute(command: string | readonly string[], options?: TextOptions): Promise<CommandResult>;
  /** Runs a command there and gives its output as bytes. */
  execute(command: string | readonly string[], options: BytesOptions): Promise<CommandResult<Uint8Array>>;
  execute(
    command: string | readonly string[],
    options: TextOptions | BytesOptions = {},
  ): Promise<CommandResult<unknown>> {
    return executeWith(this.#lease.connection, command, options);
  }

  /** Opens a tunnel, which is closed with the session. */
  async tunnel(options: Omit<TunnelOptions, "host">): Promise<Tunnel> {
    const tunnel = new Tunnel({ ...options, host: this.host });
    this.#tunnels.add(tunnel);
    return await tunnel.connect();
  }

  /** Gives the connection back, and closes the tunnels of this session. */
  async close(): Promise<void> {
    await Promise.all([...this.#tunnels].map((tunnel) => tunnel.disconnect()));
    await this.#lease.release();
  }

  /** As {@linkcode Session.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * Connects to a host.
 *
 * @throws {SshError} If it cannot be reached, its key is not the known one, or it does not accept us.
 * @throws {TypeError} If `host` cannot be one.
 */
export async function connect(host: HostLike): Promise<Session> {
  return new Session(await connectTo(Host.from(host)));
}
