/**
 * A tunnel: a forward that stays. When the link is lost it connects again, waiting longer each time (0.25 s to
 * 10 s), and listens where it listened before; until then connections to it are refused. Only a failure that
 * trying again cannot mend (the host key changed, the host no longer accepts us) ends it by itself.
 */
import { newPause } from "../runtime/mod.ts";
import type { Endpoint, Forward, ForwardSpec } from "./connection.ts";
import { SshError } from "./connection.ts";
import type { HostLike } from "./execute.ts";
import { Host } from "./host.ts";
import { connectTo, type Lease } from "./shared.ts";

const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 10_000;

/** One end of a tunnel: a port, `"host:port"`, the path of a unix socket, or an {@linkcode Endpoint}. */
export type Place = number | string | Endpoint;

/** What a {@linkcode Tunnel} connects. */
export interface TunnelOptions {
  /** The host at the other end of the ssh connection. */
  host: HostLike;
  /**
   * `"local"` (default): connections to `listen` here go to `target`, as seen from the host. `"remote"`: connections to
   * `listen` on the host go to `target`, as seen from here. `"dynamic"`: a SOCKS proxy listens here.
   */
  kind?: "local" | "remote" | "dynamic";
  /** Where connections go to; a port alone is one of the host itself, or for `"remote"` of this machine. */
  target?: Place;
  /** Where it listens; a port alone is on the loopback address. Default: any free port. */
  listen?: Place;
  /** Connect again when the link is lost. Default: true. */
  reconnect?: boolean;
  /** Told each change of `state`, and the reason. */
  onChange?: (state: TunnelState, reason?: Error) => void;
}

/** What a {@linkcode Tunnel} is doing. */
export type TunnelState = "closed" | "open" | "reconnecting";

/**
 * A tunnel to or from a host. It keeps the program alive until it is disconnected, as a server would.
 *
 * @example
 * ```ts ignore
 * import { Tunnel } from "@pathos/pathos/ssh";
 *
 * await using tunnel = new Tunnel({ host: "me@cluster", target: 5432 });
 * await tunnel.connect();
 * console.log(`the cluster's database is at localhost:${tunnel.port}`);
 * ```
 */
export class Tunnel implements AsyncDisposable {
  /** The host at the other end. */
  readonly host: Host;
  readonly #options: TunnelOptions;
  readonly #spec: ForwardSpec;
  #state: TunnelState = "closed";
  #listen: Endpoint | undefined;
  #lease: Lease | undefined;
  #forward: Forward | undefined;
  /** Changes with each connect and disconnect: what was begun before then is no longer wanted. */
  #turn = 0;
  readonly #pause = newPause();

  /**
   * Describes a tunnel; {@linkcode Tunnel.connect} opens it.
   *
   * @throws {TypeError} If an end of it is none.
   */
  constructor(options: TunnelOptions) {
    const { kind = "local", target, listen = 0 } = options;
    this.host = Host.from(options.host);
    this.#options = options;
    if (kind === "dynamic") {
      if (target !== undefined) {
        throw new TypeError("tunnel: a dynamic one has no target, its clients say where to");
      }
      this.#spec = { kind, listen: endpoint(listen, "listen") };
    } else {
      if (target === undefined) throw new TypeError("tunnel: say its target, such as 8080");
      this.#spec = { kind, listen: endpoint(listen, "listen"), target: endpoint(target, "target") };
    }
  }

  /** What it is doing. */
  get state(): TunnelState {
    return this.#state;
  }

  /** Where it listens; undefined before it was connected. */
  get listen(): Endpoint | undefined {
    return this.#listen;
  }

  /** The port on which it listens; undefined before it was connected, and for a unix socket. */
  get port(): number | undefined {
    return this.#listen && "port" in this.#listen ? this.#listen.port : undefined;
  }

  /**
   * Opens it; at once if it is open.
   *
   * @throws {SshError} If the host cannot be reached, or the forward is refused.
   */
  async connect(): Promise<this> {
    if (this.#state !== "closed") return this;
    this.#listen = undefined;
    await this.#open(++this.#turn, this.#spec);
    return this;
  }

  async #open(turn: number, spec: ForwardSpec): Promise<void> {
    const lease = await connectTo(this.host);
    let forward: Forward | undefined;
    try {
      if (turn === this.#turn) forward = await lease.connection.forward(spec);
    } catch (error) {
      await lease.release();
      throw error;
    }
    if (turn !== this.#turn || !forward) { // disconnected meanwhile
      await forward?.close();
      return await lease.release();
    }
    [this.#lease, this.#forward, this.#listen] = [lease, forward, forward.listen];
    this.#change("open");
    lease.connection.ended.then((reason) => this.#lost(turn, reason));
  }

  async #lost(turn: number, reason: Error | undefined): Promise<void> {
    if (turn !== this.#turn) return;
    await this.#lease?.release();
    this.#lease = this.#forward = undefined;
    if (this.#options.reconnect === false) return this.#change("closed", reason);
    this.#change("reconnecting", reason);
    for (let pause = FIRST_PAUSE;; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
      await this.#pause.wait(pause * (0.5 + Math.random() / 2));
      if (turn !== this.#turn) return;
      try {
        return await this.#open(turn, { ...this.#spec, listen: this.#listen! } as ForwardSpec);
      } catch (error) {
        if (turn !== this.#turn) return;
        if (error instanceof SshError && !error.mayPass) return this.#change("closed", error);
      }
    }
  }

  #change(state: TunnelState, reason?: Error): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#options.onChange?.(state, reason);
  }

  /** Closes it. Resolves when it no longer listens. */
  async disconnect(): Promise<void> {
    this.#turn++;
    this.#pause.wake();
    const [lease, forward] = [this.#lease, this.#forward];
    this.#lease = this.#forward = undefined;
    this.#change("closed");
    await forward?.close();
    await lease?.release();
  }

  /** As {@linkcode Tunnel.disconnect}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.disconnect();
  }
}

/** An end of a tunnel, as it is written. */
function endpoint(place: Place, what: string): Endpoint {
  const wrong = (): never => {
    throw new TypeError(
      `tunnel: ${what} is ${
        JSON.stringify(place)
      }, not a port, "host:port" or the absolute path of a unix socket`,
    );
  };
  if (typeof place === "string") {
    if (place.startsWith("/")) return { path: place };
    const [, name = "", port] = /^(?:(\[[^\]]+\]|[^:/]*):)?(\d+)$/.exec(place) ?? wrong();
    const host = name.replace(/^\[|\]$/g, "");
    return endpoint({ port: Number(port), ...(host ? { host } : {}) }, what);
  }
  if (typeof place === "number") return endpoint({ port: place }, what);
  if ("path" in place) return place.path.startsWith("/") ? place : wrong();
  const least = what === "listen" ? 0 : 1;
  return Number.isInteger(place.port) && place.port >= least && place.port <= 65_535 ? place : wrong();
}
