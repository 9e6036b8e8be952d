/**
 * A pool's end of a session with a server (session.ts): connects, watches that the other side lives, measures
 * how far away it is, and carries the lines of the workers there.
 */
import {
  type ByteSocket,
  dialHttp,
  every,
  type HttpAddress,
  HttpStatusError,
  type LineDoor,
} from "../runtime/mod.ts";
import type { WorkerRequest } from "./child.ts";
import {
  BEAT_MS,
  type FromServer,
  readSession,
  type ServerFacts,
  SESSION_PATH,
  SESSION_VERSION,
  sessionFrame,
  SILENCE_MS,
  type ToServer,
} from "./session.ts";
import type { Loss } from "./worker.ts";

/** Round trips that the estimate of the distance looks back on. */
const REMEMBERED = 8;

/** A worker on the server. */
export interface Channel {
  /** Sends a message, packed as the parts of a frame. */
  tell(parts: readonly Uint8Array[]): void;
  /**
   * Gives it code: the bytes cross only once for all workers of the session. `aside`: it is for the place that the
   * worker's direct line keeps for it.
   */
  code(hash: string, parts: () => readonly Uint8Array[], aside?: boolean): void;
  /** Ends it when it is idle. Resolves when it is gone, or the session is. */
  end(): Promise<void>;
  /** Ends it at once. Resolves when it is gone, or the session is. */
  kill(): Promise<void>;
}

/** What a worker on the server tells. */
export interface ChannelEvents {
  message(parts: Uint8Array[]): void;
  output(stream: "stdout" | "stderr", line: string): void;
  lost(loss: Loss): void;
}

/** A session. */
export interface Session {
  readonly facts: ServerFacts;
  /** Milliseconds of a round trip, lately. */
  readonly latency: number;
  /** Resolves when it is over: to undefined if it was closed here, else to the reason, in words. */
  readonly over: Promise<string | undefined>;
  /** Calls `listener` when it ends, before its workers are told that they are lost. */
  onEnd(listener: () => void): void;
  /** Starts a worker there, and offers it a line of its own. */
  start(request: WorkerRequest, events: ChannelEvents, line?: LineDoor): Channel;
  /**
   * Whether the server would take a message.
   *
   * @throws {RangeError} If it is too long.
   */
  check(parts: readonly Uint8Array[]): void;
  /** There was a sign of life by another way. */
  heard(): void;
  /** The server forgets all code. */
  forget(): void;
  keepAlive(on: boolean): void;
  /** Ends it; the server ends the workers. */
  close(): void;
}

/** A server cannot be used: trying again would not help. */
export class ServerRefusal extends Error {
  /** The name of the class. */
  override name = "ServerRefusal";
}

/**
 * Opens a session.
 *
 * @throws {ServerRefusal} If the token is wrong, or the server speaks another version.
 * @throws {Error} If it cannot be reached within `timeout` milliseconds.
 */
export async function openSession(address: HttpAddress, token: string, timeout: number): Promise<Session> {
  let socket: ByteSocket;
  try {
    socket = await dialHttp(address, SESSION_PATH, { authorization: `Bearer ${token}` }, timeout);
  } catch (error) {
    if (!(error instanceof HttpStatusError)) throw error;
    if (error.status === 401) throw new ServerRefusal("the server does not accept the token");
    throw new ServerRefusal(
      `what answers there is not a pathos server of this version (status ${error.status})`,
    );
  }
  return await sessionOver(socket, timeout);
}

/**
 * Opens a session over a stream that a server has taken.
 *
 * @throws {ServerRefusal} If the server speaks another version.
 * @throws {Error} If it does not greet within `timeout` milliseconds.
 */
export function sessionOver(socket: ByteSocket, timeout: number): Promise<Session> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      clearTimeout(timer);
      end(error.message);
      socket.destroy();
      reject(error);
    };
    const timer = setTimeout(() => fail(new Error(`the server did not greet within ${timeout} ms`)), timeout);
    const { session, hello, receive, end } = newSession(socket);
    hello.then((facts) => {
      clearTimeout(timer);
      if (facts.version === SESSION_VERSION) return resolve(session);
      fail(
        new ServerRefusal(
          `the server speaks version ${facts.version} of the protocol, and this side ${SESSION_VERSION}: ` +
            "use the same release of pathos on both",
        ),
      );
    });
    socket.listen({
      data(bytes) {
        try {
          receive(bytes);
        } catch (error) {
          end(`sent what is not of the protocol (${(error as Error).message})`);
          socket.destroy();
        }
      },
      closed(error) {
        const reason = `closed the connection${error ? ` (${error.message})` : ""}`;
        end(reason);
        fail(new Error(`the server ${reason}`));
      },
    });
  });
}

function newSession(socket: ByteSocket): {
  session: Session;
  hello: Promise<ServerFacts>;
  receive: (bytes: Uint8Array) => void;
  end: (reason: string | undefined) => void;
} {
  let facts: ServerFacts | undefined;
  let greeted: (facts: ServerFacts) => void;
  const hello = new Promise<ServerFacts>((resolve) => greeted = resolve);
  let tellOver: (reason: string | undefined) => void;
  const over = new Promise<string | undefined>((resolve) => tellOver = resolve);
  let ended = false;
  let listener = (): void => {};
  const channels = new Map<number, ChannelEvents & { gone: () => void }>();
  const kept = new Set<string>();
  let numbers = 0;
  let trips: number[] = [];
  let heard = performance.now();
  let looked = heard;

  const check = (pieces: readonly Uint8Array[]): void => {
    const length = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
    if (length > (facts?.maxFrame ?? Infinity)) {
      throw new RangeError(
        `a message of ${length} bytes is more than the server takes (maxBody: ${facts!.maxFrame})`,
      );
    }
  };
  const send = (head: ToServer, parts: readonly Uint8Array[] = []): void => {
    if (ended) return;
    const pieces = sessionFrame(head, parts);
    check(pieces);
    socket.write(pieces);
  };
  const ping = (): void => send({ do: "ping", at: performance.now() });

  const stopBeat = every(BEAT_MS, () => {
    const now = performance.now();
    // After this program was busy or asleep, the silence is its own: what arrived meanwhile is still to be read.
    if (now - looked > 2 * BEAT_MS) heard = now;
    looked = now;
    if (now - heard > SILENCE_MS) {
      end(`has not been heard of for ${Math.round((now - heard) / 1000)} s`);
      socket.destroy();
    } else ping();
  });

  function end(reason: string | undefined): void {
    if (ended) return;
    ended = true;
    stopBeat();
    listener();
    for (const { gone, lost } of [...channels.values()]) {
      gone();
      if (reason !== undefined) {
        lost({
          reason: `was lost: its host ${reason}`,
          signal: null,
          exitCode: null,
          stderr: "",
          blameless: true,
        });
      }
    }
    channels.clear();
    tellOver(reason);
  }

  const receive = readSession<FromServer>(Infinity, (head, parts) => {
    switch (head.say) {
      case "hello":
        facts = head;
        ping();
        return;
      case "pong":
        trips = [performance.now() - head.at, ...trips].slice(0, REMEMBERED);
        return greeted(facts!);
      case "tell":
        return channels.get(head.from)?.message(parts);
      case "output":
        return channels.get(head.from)?.output(head.stream, head.line);
      case "died": {
        const channel = channels.get(head.from);
        channels.delete(head.from);
        channel?.gone();
        return channel?.lost(head.loss);
      }
      default:
        throw new Error("an unknown message");
    }
  });

  const session: Session = {
    get facts() {
      return facts!;
    },
    get latency() {
      return Math.min(...trips);
    },
    over,
    onEnd(call) {
      listener = call;
      if (ended) listener();
    },
    check,
    heard: () => void (heard = performance.now()),
    start({ permissions, maxMemory, slot = 0 }, events, line) {
      const to = ++numbers;
      let gone: () => void;
      const goneForGood = new Promise<void>((resolve) => gone = resolve);
      channels.set(to, { ...events, gone: gone! });
      send({ do: "start", to, slot, permissions, maxMemory, line });
      return {
        tell: (parts) => send({ do: "tell", to }, parts),
        code(hash, parts, aside) {
          if (!kept.has(hash)) send({ do: "keep", hash }, parts());
          kept.add(hash);
          send({ do: "code", to, hash, aside });
        },
        end() {
          send({ do: "end", to });
          return ended ? Promise.resolve() : goneForGood;
        },
        kill() {
          send({ do: "kill", to });
          return ended ? Promise.resolve() : goneForGood;
        },
      };
    },
    forget() {
      kept.clear();
      send({ do: "forget" });
    },
    keepAlive: (on) => socket.keepAlive(on),
    close() {
      end(undefined);
      socket.end();
    },
  };
  return {
    session,
    hello,
    receive(bytes) {
      heard = performance.now();
      receive(bytes);
    },
    end,
  };
}
