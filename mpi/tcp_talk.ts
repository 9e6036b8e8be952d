/** Lines of JSON over a socket, with which ranks arrange how they will talk. Whatever follows a line is left in the socket. */
import { READABLE, type Sockets, WRITABLE } from "../runtime/socket.ts";

/** What a rank says to another one. */
export interface Words {
  [name: string]: unknown;
}

/** One end of a connection. */
export interface Talk {
  readonly fd: number;
  /** When it began, by the clock of `performance.now`. */
  readonly since: number;
  /** Says something; if the other end is gone, `hear` tells. */
  say(words: Words): void;
  /** The next words; undefined if they are not here yet, null if there will be none. */
  hear(): Words | undefined | null;
  close(): void;
}

/** Longest line, in bytes. */
const LONGEST = 2 ** 24;
/** Milliseconds in which a line must be gone. */
const PATIENCE = 10_000;

/** Talks over a socket. Until `trust` is called, only so many bytes are listened to. */
export function newTalk(sockets: Sockets, fd: number): Talk & { trust(): void } {
  const byte = new Uint8Array(1), line: number[] = [];
  let longest = 4096;
  return {
    fd,
    since: performance.now(),
    trust: () => void (longest = LONGEST),
    say(words) {
      let bytes = new TextEncoder().encode(JSON.stringify(words) + "\n");
      for (const start = performance.now(); performance.now() - start < PATIENCE;) {
        bytes = bytes.subarray(sockets.write(fd, bytes));
        if (bytes.length === 0) return;
        sockets.poll(Int32Array.of(fd, WRITABLE), 1, 100);
      }
    },
    hear() {
      // byte by byte: what comes behind the line is for others
      for (let count = sockets.read(fd, byte); count !== 0; count = sockets.read(fd, byte)) {
        if (count < 0 || line.length > longest) return null;
        if (byte[0] === 10) {
          const words = parse(new TextDecoder().decode(Uint8Array.from(line)));
          line.length = 0;
          return words;
        }
        line.push(byte[0]);
      }
      return undefined;
    },
    close: () => sockets.close(fd),
  };
}

function parse(text: string): Words | null {
  try {
    const words = JSON.parse(text);
    return typeof words === "object" ? words : null;
  } catch {
    return null; // whoever that is, it is no rank
  }
}

/** Waits until one of these sockets can be read, at most so many milliseconds. */
export function awaitAny(sockets: Sockets, fds: readonly number[], milliseconds: number): void {
  sockets.poll(Int32Array.from(fds.flatMap((fd) => [fd, READABLE])), fds.length, milliseconds);
}
