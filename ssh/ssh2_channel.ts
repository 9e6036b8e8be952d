/**
 * A session channel of an ssh2 connection: waits until the host admits one, carries bytes both ways no faster
 * than they are taken, and tells its end once, after all output.
 */
import type { RemoteProcess, RemoteStatus } from "./connection.ts";
import { SshError } from "./connection.ts";
import { sshError } from "./failures.ts";
import type { Host } from "./host.ts";
import type { Channel, Client, Duplex } from "./ssh2_types.ts";

/** What a channel needs of its connection. */
export interface Session {
  readonly host: Host;
  readonly client: Client;
  /** The name that the holder knows the connection by. */
  readonly name: string;
  /** Lets the holder send a signal; false where there is none. */
  signal(name: string, pid: string): boolean;
  /** Counts what keeps this program alive. */
  hold(on: boolean): void;
  /** Why the connection is over, once it is. */
  over(): SshError | undefined;
  /** Channels in use, and what waits for one because the host admitted no more. */
  readonly sessions: {
    used: number; /** When one ended last. */
    freed: number;
    readonly waiting: (() => void)[];
  };
}

/** Takes the bytes of a stream; a promise delays the next ones. */
export interface Sink {
  push(bytes: Uint8Array): void | Promise<void>;
  /** There are no more. */
  end(): void | Promise<void>;
}

/** What goes over a channel. */
export interface Cargo {
  /** Asks for the channel. */
  open(): Promise<Channel>;
  /** What is written first. */
  head?: Uint8Array;
  stdout: Sink;
  stderr: Sink;
  /** How it ended, if the host's word for it (undefined if it gave none) is not all there is to say. */
  judge?(native: RemoteStatus | undefined): RemoteStatus | SshError | undefined;
  /** Called once. */
  exit(end: RemoteStatus | SshError): void;
}

/** Milliseconds that a host may take to count out a session after it has told its end. */
const FREEING = 1_000;

/** Opens a channel. `kill` sends the signal by ssh's own means, of which not every host knows. */
export function carry(session: Session, cargo: Cargo): RemoteProcess {
  const { sessions } = session;
  let channel: Channel | undefined;
  let native: RemoteStatus | undefined;
  let holding = true, ended = false;
  session.hold(true);

  const keepAlive = (on: boolean) => {
    if (ended || on === holding) return;
    holding = on;
    session.hold(on);
  };
  const finish = (end: RemoteStatus | SshError) => {
    keepAlive(false);
    ended = true;
    sessions.used--;
    sessions.freed = performance.now();
    sessions.waiting.shift()?.();
    cargo.exit(end);
  };
  let release: (() => void) | undefined; // of the write that waits for room
  const put = (bytes: Uint8Array): Promise<void> =>
    new Promise((resolve) => {
      if (!channel?.writable) return resolve();
      release = resolve;
      channel.write(bytes, () => resolve());
    });
  const begin = async () => {
    channel = await admitted(session, cargo.open);
    channel.on("error", () => {}); // its end is told by "close"
    channel.on("exit", (code, signal) => native = { code, signal: signal ?? null });
    const output = Promise.all([flow(channel, cargo.stdout), flow(channel.stderr, cargo.stderr)]);
    channel.on("close", async () => {
      release?.();
      await output;
      finish(cargo.judge?.(native) ?? session.over() ?? native ?? lost(session.host));
    });
    if (cargo.head) await put(cargo.head);
  };
  let input = begin().catch((cause: Error) => {
    finish(session.over() ?? refusal(session.host, cause));
  });

  return {
    write: (bytes) => input = input.then(() => put(bytes)),
    closeInput: () => void (input = input.then(() => channel?.end())),
    kill(signal) {
      channel?.signal(signal);
      if (signal === "SIGKILL") channel?.close();
    },
    keepAlive,
  };
}

/**
 * A channel. A host admits so many on a connection (sshd's MaxSessions, by default 10); one refused waits until
 * another has ended.
 */
async function admitted(session: Session, open: () => Promise<Channel>): Promise<Channel> {
  const { sessions } = session;
  for (;;) {
    sessions.used++;
    const why = session.over();
    if (why) throw why;
    try {
      return await open();
    } catch (error) {
      const full = /open failure/i.test((error as Error).message);
      if (!full || session.over()) throw error;
      const another = sessions.used > 1;
      const freeing = performance.now() - sessions.freed < FREEING;
      if (!another && !freeing) throw error;
      sessions.used--;
      await new Promise<void>((resolve) => {
        if (another) sessions.waiting.push(resolve);
        else setTimeout(resolve, 10);
      });
    }
  }
}

function lost(host: Host, cause?: Error): SshError {
  return sshError(host, "unreachable", "the connection was lost", cause?.message, cause);
}

function refusal(host: Host, cause: Error): SshError {
  if (cause instanceof SshError) return cause;
  if (/^(Not connected|No response)/.test(cause.message)) return lost(host, cause);
  const what = /open failure/i.test(cause.message)
    ? "it admits no more sessions (MaxSessions in its sshd_config)"
    : "it refuses what was asked of it";
  return sshError(host, "refused", what, cause.message, cause);
}

/** Turns a call with a callback for a channel into a promise of it. */
export function promised(
  ask: (done: (error: Error | undefined, channel: Channel) => void) => void,
): Promise<Channel> {
  return new Promise((resolve, reject) => ask((error, channel) => error ? reject(error) : resolve(channel)));
}

/** Hands on what a stream brings, no faster than it is taken; resolves when all of it was. */
function flow(stream: Duplex, sink: Sink): Promise<void> {
  let taken: Promise<void> = Promise.resolve();
  return new Promise((resolve) => {
    const end = () => void taken.then(() => sink.end()).finally(resolve);
    stream.on("data", (bytes) => {
      let room: void | Promise<void> = undefined;
      try {
        room = sink.push(bytes);
      } catch (error) {
        queueMicrotask(() => { // is whoever threw it to hear of, and not ssh2, which would end the connection
          throw error;
        });
      }
      if (!(room instanceof Promise)) return;
      stream.pause();
      void room.finally(() => stream.resume());
      taken = room.catch(() => {}); // whoever failed to take it hears of it by the line above
    });
    stream.on("end", end);
    stream.on("close", end);
  });
}
