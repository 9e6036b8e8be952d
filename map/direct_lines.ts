/**
 * Lines that workers on a host have of their own, without the server in between: a call saves two wake-ups there.
 *
 * The pool listens on loopback, and the host's sshd forwards a port of its loopback to that. A worker learns of it
 * through the session (session.ts), with two random secrets: it shows the one, and uses the line if the other comes
 * back, so neither somebody else on the host nor somebody else's port can take part. A secret is good once. Who does
 * not show one in time is closed without a word.
 *
 * Which way a worker has is decided once, here, before it is sent anything; what is for it waits until then. The line
 * is used if the worker shows its secret in time. If the host refuses the forward, the worker may not connect, or
 * anything else fails, all goes through the server, and nothing else is different. Starting, ending and the news of
 * a death always go through the server. So does code that is large, once for all workers: an empty frame on the line
 * keeps its place.
 */
import {
  type ByteSocket,
  concat,
  equalInConstantTime,
  every,
  frame,
  FrameReader,
  type LineDoor,
  listenTcp,
} from "../runtime/mod.ts";
import type { Connection, Forward } from "../ssh/connection.ts";
import type { WorkerRequest } from "./child.ts";
import { MARK, SECRET_BYTES } from "./session.ts";
import type { Channel, ChannelEvents, Session } from "./session_client.ts";
import type { Loss } from "./worker.ts";

/** A worker that has not shown its secret so long after it was to be started works through the server. Milliseconds. */
const DECIDE_MS = 15_000;
/** A connection may take so long to show a secret, in milliseconds. */
const KNOCK_MS = 2000;
/** So many connections may be about to show one. */
const MAX_KNOCKING = 128;
/** Its line and the server both tell a worker's end; the second may be silent for so long, in milliseconds. */
const END_MS = 3000;
/** Code of more bytes crosses once for all workers of the host. */
const LARGE_CODE = 16_384;

/** The lines of a host. */
export interface DirectLines {
  /** Starts a worker, with a line of its own if that works. */
  start(session: Session, request: WorkerRequest, events: ChannelEvents): Channel;
  /** Closes them. Resolves when nothing of them is left here. */
  close(): Promise<void>;
}

interface Awaited {
  door: LineDoor;
  knocked(socket: Knocked): void;
}

/** A connection that has shown a secret. */
interface Knocked {
  socket: ByteSocket;
  /** Sets who gets what arrives. */
  serve(events: { data(bytes: Uint8Array): void; closed(): void }): void;
}

/**
 * Makes a host ready for lines.
 *
 * @throws {SshError} If it refuses the forward.
 */
export async function openDirectLines(connection: Connection): Promise<DirectLines> {
  const awaited = new Set<Awaited>();
  let knocking = 0;
  const listener = await listenTcp({ host: "127.0.0.1", port: 0 }, (socket) => {
    socket.keepAlive(false); // the connection to the host does, while the pool is needed
    if (knocking === MAX_KNOCKING) return socket.destroy();
    knocking++;
    answerDoor(socket, awaited, () => knocking--);
  });
  listener.keepAlive(false);
  try {
    const forwardFrom = (port: number): Promise<Forward> =>
      connection.forward({
        kind: "remote",
        listen: { host: "127.0.0.1", port },
        target: { host: "127.0.0.1", port: listener.port },
      });
    const forward = await forwardFrom(likelyFree()).catch(() => forwardFrom(0));
    const { port } = forward.listen as { port: number };
    return {
      start: (session, request, events) => startOnLine(session, request, events, port, awaited),
      async close() {
        await Promise.all([forward.close(), listener.close()]);
      },
    };
  } catch (error) {
    await listener.close();
    throw error;
  }
}

/** A port below those that systems give out: asking ssh for this one takes a third of asking for any free one. */
const likelyFree = (): number => 20_000 + Math.floor(Math.random() * 12_000);

/** Waits for the secret of a connection, and closes it if it does not come. */
function answerDoor(socket: ByteSocket, awaited: ReadonlySet<Awaited>, done: () => void): void {
  let shown: Uint8Array = new Uint8Array(0);
  let served: { data(bytes: Uint8Array): void; closed(): void } | undefined;
  let over = false;
  const finish = (): void => {
    if (over) return;
    over = true;
    stopWaiting();
    done();
  };
  const turnAway = (): void => {
    finish();
    socket.destroy();
  };
  const stopWaiting = every(KNOCK_MS, turnAway);
  socket.listen({
    data(bytes) {
      if (served) return served.data(bytes);
      if (over) return;
      shown = concat([shown, bytes]);
      if (shown.byteLength < SECRET_BYTES) return;
      // all are looked at: the time that takes tells nothing
      const guest = [...awaited].filter(({ door }) =>
        equalInConstantTime(door.knock, shown.subarray(0, SECRET_BYTES))
      )[0];
      if (!guest || shown.byteLength > SECRET_BYTES) {
        return turnAway(); // nobody may speak before the answer
      }
      finish();
      guest.knocked({
        socket,
        serve: (events) =>
          served = events,
      });
    },
    closed() {
      finish();
      served?.closed();
    },
  });
}

function startOnLine(
  session: Session,
  request: WorkerRequest,
  events: ChannelEvents,
  port: number,
  awaited: Set<Awaited>,
): Channel {
  const secret = (): Uint8Array => crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
  const door: LineDoor = { port, knock: secret(), answer: secret() };
  let held: (() => void)[] | undefined = []; // until it is decided
  let line: ByteSocket | undefined;
  let lineOpen = false;
  let loss: Loss | undefined; // told by the server: it is passed on when the line has said all
  let over = false;
  let stopTimer = (): void => {};

  const after = (milliseconds: number, call: () => void): void => {
    stopTimer();
    const stop = stopTimer = every(milliseconds, () => {
      stop();
      call();
    });
  };
  const decide = (): void => {
    stopTimer();
    awaited.delete(guest);
    const waiting = held ?? [];
    held = undefined;
    for (const send of waiting) send();
  };
  const end = (): void => {
    over = true;
    stopTimer();
    awaited.delete(guest);
    line?.destroy();
  };
  const lose = (reason: Loss): void => {
    if (over) return;
    end();
    events.lost(reason);
  };
  const broken = (): void => {
    channel.kill();
    lose({
      reason: "was lost: its line through ssh broke, and the server does not say why",
      signal: null,
      exitCode: null,
      stderr: "",
    });
  };

  const guest: Awaited = {
    door,
    knocked({ socket, serve }) {
      line = socket;
      lineOpen = true;
      const reader = new FrameReader(MARK, (parts) => over || events.message(parts), () => {
        throw new Error("bytes that do not belong to the protocol");
      });
      serve({
        data(bytes) {
          if (over) return;
          session.heard();
          if (loss) after(END_MS, () => lose(loss!));
          try {
            reader.push(bytes);
          } catch {
            broken();
          }
        },
        closed() {
          lineOpen = false;
          if (loss) lose(loss);
          else if (!over) after(END_MS, broken); // it died: the server tells how
        },
      });
      socket.write([door.answer]);
      decide();
    },
  };
  awaited.add(guest);
  after(DECIDE_MS, decide);

  const channel = session.start(request, {
    message(parts) {
      if (held) decide(); // it has no line, and says so in this first message
      else if (!line && !over) events.message(parts);
    },
    output: events.output,
    lost(reason) {
      loss = reason;
      if (!lineOpen || reason.blameless) return lose(reason);
      after(END_MS, () => lose(reason));
    },
  }, door);
  session.over.then(end);

  const tell = (parts: readonly Uint8Array[]): void => {
    if (line) line.write(frame(MARK, parts));
    else channel.tell(parts);
  };
  const code = (hash: string, parts: readonly Uint8Array[]): void => {
    if (!line) return channel.code(hash, () => parts);
    if (lengthOf(parts) <= LARGE_CODE) return tell(parts);
    channel.code(hash, () => parts, true);
    tell([]);
  };
  const inTurn = (send: () => void): void => {
    if (over) return;
    if (held) held.push(send);
    else send();
  };
  return {
    tell(parts) {
      session.check(parts);
      inTurn(() => tell(parts));
    },
    code(hash, parts) {
      const packed = parts();
      session.check(packed);
      inTurn(() => code(hash, packed));
    },
    end: () => channel.end().finally(end),
    kill() {
      over = true;
      return channel.kill().finally(end);
    },
  };
}

const lengthOf = (parts: readonly Uint8Array[]): number =>
  parts.reduce((sum, part) => sum + part.byteLength, 0);
