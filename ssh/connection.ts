/**
 * What the rest knows of a connection to a host: one authenticated ssh connection that runs commands, carries
 * forwards, and is shared by whoever in this program talks to that host. The OpenSSH client (openssh.ts) and
 * npm:ssh2 (ssh2.ts) are its two implementations; nothing above asks which.
 *
 * A connection ends in one of three ways: it is closed here, its link is lost, or the host ends it. Whatever
 * runs or is forwarded over it ends with it, and `ended` tells why. No process, socket or file of it stays
 * behind, however this program ends.
 */
import type { Host } from "./host.ts";

/** How a remote command ended: an exit code, or a signal. */
export interface RemoteStatus {
  /** Exit code, or null if a signal ended the command. */
  code: number | null;
  /** Name of the signal (`"SIGTERM"`), or null. */
  signal: string | null;
}

/** What a remote command tells. */
export interface RemoteEvents {
  /** Bytes of standard output; a promise delays the next ones (back-pressure). */
  stdout(bytes: Uint8Array): void | Promise<void>;
  /** Bytes of standard error. */
  stderr(bytes: Uint8Array): void | Promise<void>;
  /** It ended, or the connection was lost while it ran. Called once, after all output. */
  exit(end: RemoteStatus | SshError): void;
}

/** What {@linkcode Connection.run} may be told besides the command. */
export interface RunOptions {
  /**
   * Variables for the command, added to those of the login there. They are not in any process's arguments, on either
   * side: other users of the host cannot see them.
   */
  env?: Readonly<Record<string, string>>;
}

/** A command that runs on the host. */
export interface RemoteProcess {
  /** Queues bytes for its standard input; resolves when there is room for more. */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends its standard input. */
  closeInput(): void;
  /** Asks the host to send it a signal; falls back to closing its channel where that is not supported. */
  kill(signal: string): void;
  /** Lets it keep this program alive, or not. */
  keepAlive(on: boolean): void;
}

/** One end of a forward: a TCP port (0: any free one, told in the result) or a unix socket. */
export type Endpoint =
  | { port: number; host?: string }
  | { path: string };

/** What to forward. */
export type ForwardSpec =
  /** Connections to `listen` here go to `target`, as seen from the host (`ssh -L`). */
  | { kind: "local"; listen: Endpoint; target: Endpoint }
  /** Connections to `listen` on the host go to `target`, as seen from here (`ssh -R`). */
  | { kind: "remote"; listen: Endpoint; target: Endpoint }
  /** A SOCKS proxy listens here (`ssh -D`). */
  | { kind: "dynamic"; listen: Endpoint };

/** A forward that is in place. */
export interface Forward {
  /** Where it listens, with the port it got. */
  readonly listen: Endpoint;
  /** Takes it away. */
  close(): Promise<void>;
}

/** An ssh connection. */
export interface Connection {
  readonly host: Host;
  /** Resolves when it is over: to undefined if it was closed here, else to the reason. Never rejects. */
  readonly ended: Promise<SshError | undefined>;
  /** Why nothing can be run over it any more, as soon as that is known: before `ended`, which waits for what it leaves. */
  over(): SshError | undefined;
  /**
   * Runs a command line, which a POSIX `sh` on the host interprets whatever the login shell is. Arguments are
   * to be quoted by {@linkcode quote}.
   */
  run(command: string, events: RemoteEvents, options?: RunOptions): RemoteProcess;
  /**
   * Runs a command whose standard input comes from a file here, or whose output is appended to one, without passing
   * through this program: faster. What else ends up in that file (words of the login shell's own files), how a signal
   * ended the command (as a code above 128), and that no session was free (as code 255), the caller must sort out.
   * Absent where that cannot be.
   */
  transfer?(command: string, file: { from: string } | { to: string }, events: RemoteEvents): RemoteProcess;
  /** Opens a subsystem of the host's ssh server, such as `"sftp"`. Absent where that cannot be. */
  subsystem?(name: string, events: RemoteEvents): RemoteProcess;
  /**
   * Puts a forward in place.
   *
   * @throws {SshError} If the address is taken, or the host refuses.
   */
  forward(spec: ForwardSpec): Promise<Forward>;
  /** Lets it keep this program alive, or not. */
  keepAlive(on: boolean): void;
  /** Ends it and what runs over it. Resolves when nothing of it is left here. */
  close(): Promise<void>;
}

/** What kind of failure an {@linkcode SshError} is: whether trying again can help depends on it. */
export type SshFailure =
  /** No answer, refused, name unknown, link lost: trying again may help. */
  | "unreachable"
  /** The host key is not the known one, or not known at all. */
  | "host-key"
  /** The host did not accept us. */
  | "authentication"
  /** A forward or channel was refused, an address is taken. */
  | "refused"
  /** It took longer than it may. */
  | "timeout"
  /** No ssh program here, or an option it does not know. */
  | "setup";

/**
 * A connection could not be made, was lost, or refused something. The message names the host, says what ssh
 * said, and what to do.
 */
export class SshError extends Error {
  /** The name of the class. */
  override name = "SshError";
  /** What kind of failure it is. */
  readonly failure: SshFailure;
  /** The host, as the user wrote it. */
  readonly host: string;

  /** Whether the same attempt may succeed later: false for keys, logins and settings, which somebody must change first. */
  get mayPass(): boolean {
    return !["host-key", "authentication", "setup"].includes(this.failure);
  }

  /** Makes one. */
  constructor(message: string, options: { failure: SshFailure; host: string; cause?: unknown }) {
    super(message, { cause: options.cause });
    this.failure = options.failure;
    this.host = options.host;
  }
}
