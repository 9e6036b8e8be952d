/**
 * Sources and targets for places: here, on a host with a shell, or on one that offers only SFTP, which is found out by
 * trying. Connections are leased for the length of a copy.
 */
import { type Connection, SshError } from "./connection.ts";
import type { Source, Target } from "./copy_ends.ts";
import { CopyError } from "./copy_error.ts";
import { LocalSource, LocalTarget } from "./copy_local.ts";
import type { ParsedPlace } from "./copy_place.ts";
import { type Remote, ShellSource, ShellTarget } from "./copy_shell.ts";
import { type SftpRemote, SftpSource } from "./copy_sftp.ts";
import { SftpTarget } from "./copy_sftp_target.ts";
import { Host } from "./host.ts";
import { masterArgs } from "./openssh.ts";
import { startSubsystem } from "./openssh_subsystem.ts";
import { SftpClient } from "./sftp.ts";
import { connectTo, type Lease } from "./shared.ts";

/** Hosts that ran no command when they were connected to, for the life of the program: SFTP at once saves a connection. */
const sftpOnly = new Set<string>();

/** Makes sources and targets of places, and keeps the connections that they need. */
export class Ends {
  readonly #protocol: "auto" | "stream" | "sftp";
  readonly #signal: AbortSignal;
  readonly #leases = new Map<string, Promise<Lease>>();
  readonly #sessions = new Map<string, Promise<SftpClient>>();
  /** Hosts without a shell, and how that was noticed. */
  readonly #shellless = new Map<string, unknown>();

  constructor(protocol: "auto" | "stream" | "sftp", signal: AbortSignal) {
    this.#protocol = protocol;
    this.#signal = signal;
  }

  async source({ host, path }: ParsedPlace): Promise<Source> {
    if (host === undefined) return new LocalSource(path);
    const remote = await this.#reach(Host.from(host), path);
    return "client" in remote ? new SftpSource(remote) : new ShellSource(remote);
  }

  async target({ host, path }: ParsedPlace): Promise<Target> {
    if (host === undefined) return new LocalTarget(path);
    const remote = await this.#reach(Host.from(host), path);
    return "client" in remote ? new SftpTarget(remote) : new ShellTarget(remote);
  }

  /** Does something with the ends; once more, with SFTP, if a host turns out to have no shell or no tar. */
  async with<T>(places: readonly ParsedPlace[], work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (this.#protocol !== "auto" || !(error instanceof CopyError) || !needsSftp(error)) throw error;
        const hosts = places.flatMap(({ host }) => host === undefined ? [] : [Host.from(host)]);
        const host = hosts.find(({ name }) => error.place.startsWith(`${name}:`));
        if (!host || this.#shellless.has(host.key)) throw error;
        this.#shellless.set(host.key, error);
      }
    }
  }

  async release(): Promise<void> {
    for (const session of this.#sessions.values()) await session.then((client) => client.close(), () => {});
    for (const lease of this.#leases.values()) await lease.then(({ release }) => release(), () => {});
  }

  async #reach(host: Host, path: string): Promise<Remote | SftpRemote> {
    const auto = this.#protocol === "auto";
    if (this.#protocol === "stream" || (auto && !sftpOnly.has(host.key) && !this.#shellless.has(host.key))) {
      try {
        return { connection: await this.#connect(host), path, signal: this.#signal };
      } catch (error) {
        if (!auto || !isShellless(error)) throw error;
        this.#shellless.set(host.key, error);
        await this.#session(host);
        sftpOnly.add(host.key);
      }
    }
    return { client: await this.#session(host), host: host.name, path };
  }

  async #connect(host: Host): Promise<Connection> {
    let lease = this.#leases.get(host.key);
    if (!lease) this.#leases.set(host.key, lease = connectTo(host));
    return (await abortable(lease, this.#signal)).connection;
  }

  async #session(host: Host): Promise<SftpClient> {
    let session = this.#sessions.get(host.key);
    if (!session) this.#sessions.set(host.key, session = this.#openSession(host));
    return await abortable(session, this.#signal);
  }

  async #openSession(host: Host): Promise<SftpClient> {
    try {
      const connection = sftpOnly.has(host.key)
        ? undefined
        : await this.#connect(host).catch(() => undefined);
      const subsystem = connection?.subsystem;
      return await SftpClient.open((events) =>
        subsystem
          ? subsystem("sftp", events)
          : startSubsystem(host, ["-s", ...masterArgs(host, undefined, "sftp")], events)
      );
    } catch (cause) {
      const before = this.#shellless.get(host.key); // it neither runs commands nor speaks SFTP: the first tells more
      if (before !== undefined) throw before;
      throw new CopyError(
        `${host.name}: no SFTP (${(cause as Error).message}); protocol "stream" needs none`,
        {
          failure: "connection",
          place: host.name,
          cause,
        },
      );
    }
  }
}

/** Whether a copy that failed may work over SFTP. */
function needsSftp(error: CopyError): boolean {
  return error.failure === "unsupported" || isShellless(error.cause);
}

function isShellless(error: unknown): boolean {
  return error instanceof SshError && error.failure === "setup" && error.cause === undefined;
}

function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
    if (signal.aborted) abort();
  });
}
