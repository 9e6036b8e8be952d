/**
 * A worker process's direct line: a stream to whoever wants results, beside the line to the parent that started it.
 * It begins with a secret that each side shows the other. On `node:net` in both runtimes, which hand a write to the
 * system at the call while there is room: what is sent leaves although the code that runs next never pauses. A process
 * that ends with messages unread resets its connection, though, and with it goes what the other end had no room for
 * yet: large results of just before may have to be computed again.
 */
import { concat, equalInConstantTime } from "./bytes.ts";
import { builtin, exit } from "./host.ts";
import { frame, FrameReader } from "./frames.ts";
import type { NodeSocket } from "./net.ts";

/** Where a direct line may be had: a port on loopback, what to show there, and what must come back. */
export interface LineDoor {
  port: number;
  knock: Uint8Array;
  answer: Uint8Array;
}

/** A direct line that is open. */
export interface DirectLine {
  send(parts: readonly Uint8Array[]): void;
  /** Resolves when all that was sent has left this process; undefined: it has. */
  unsent(): Promise<void> | undefined;
  /** There is a message for an empty frame now. */
  proceed(): void;
}

/** What a direct line tells. */
export interface DirectLineEvents {
  /** It is open; called at most once, and before any message. */
  opened(line: DirectLine): void;
  message(parts: Uint8Array[]): void;
  /** The message that an empty frame stands for, if it is there yet; what follows waits for it. */
  aside(): Uint8Array[] | undefined;
}

type LineSocket = Omit<NodeSocket, "write"> & {
  readonly writableLength: number;
  write(bytes: Uint8Array, done?: () => void): boolean;
};

/**
 * Opens a direct line; its frames have this mark. Resolves to whether it is open. When it closes later, this process
 * ends: nobody is left to work for.
 */
export function dialLine(door: LineDoor, mark: Uint8Array, events: DirectLineEvents): Promise<boolean> {
  const { connect } = builtin<{ connect(options: { port: number; host: string }): LineSocket }>("node:net");
  return new Promise((resolve) => {
    const raw = connect({ port: door.port, host: "127.0.0.1" });
    let isOpen = false;
    let shown: Uint8Array = new Uint8Array(0);
    let release = (): void => {};
    const waiting: Uint8Array[][] = [];
    const reader = new FrameReader(
      mark,
      (parts) => {
        waiting.push(parts);
        proceed();
      },
      () => exit(70), // what comes is not of the protocol: the pool must not wait for an answer
    );
    const proceed = (): void => {
      while (waiting.length > 0) {
        const parts = waiting[0].length > 0 ? waiting[0] : events.aside();
        if (!parts) return;
        waiting.shift();
        events.message(parts);
      }
    };
    const sent = (): void => {
      if (raw.writableLength === 0) release();
    };
    const line: DirectLine = {
      send(parts) {
        const pieces = frame(mark, parts);
        pieces.forEach((piece, i) => void raw.write(piece, i === pieces.length - 1 ? sent : undefined));
      },
      unsent: () => raw.writableLength === 0 ? undefined : new Promise((resolve) => release = resolve),
      proceed,
    };
    raw.setNoDelay?.(true);
    raw.on("error", () => {}); // it closes
    raw.on("end", () => raw.destroy());
    raw.on("close", () => isOpen ? exit(0) : resolve(false));
    raw.on("connect", () => raw.write(door.knock));
    raw.on("data", (bytes: Uint8Array) => {
      if (isOpen) return reader.push(bytes);
      shown = concat([shown, bytes]);
      const { byteLength } = door.answer;
      if (shown.byteLength < byteLength) return;
      if (!equalInConstantTime(shown.subarray(0, byteLength), door.answer)) return raw.destroy();
      isOpen = true;
      events.opened(line);
      resolve(true);
      reader.push(shown.subarray(byteLength));
    });
  });
}
