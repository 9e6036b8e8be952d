/** Streams of bytes between ranks over TCP, a connection for each pair. */
import { READABLE, type Sockets, WRITABLE } from "../runtime/socket.ts";
import type { Transport } from "./fallback_types.ts";
import { killNear, sayPerson } from "./fallback_meeting.ts";
import type { Connected } from "./tcp_meeting.ts";

/** Bytes of a message that goes without being granted. */
const EAGER = 2 ** 16;

/** The streams of one rank. */
export function tcpTransport(sockets: Sockets, { fds, people }: Connected): Transport {
  const ranks = [...fds.keys()].filter((rank) => fds[rank] !== undefined);
  const set = new Int32Array(2 * ranks.length), ready: number[] = [];
  const fdOf = (rank: number) => fds[rank]!;
  return {
    eager: EAGER,
    write: (rank, bytes) => sockets.write(fdOf(rank), bytes),
    read: (rank, into) => sockets.read(fdOf(rank), into),
    poll(milliseconds, open, full) {
      ranks.forEach((rank, i) => {
        set[2 * i] = open.has(rank) ? fdOf(rank) : -1; // which the system passes over
        set[2 * i + 1] = full.has(rank) ? READABLE | WRITABLE : READABLE;
      });
      ready.length = 0;
      if (sockets.poll(set, ranks.length, milliseconds) > 0) {
        ranks.forEach((rank, i) => {
          if (set[2 * i + 1] >>> 16 !== 0 && set[2 * i] >= 0) ready.push(rank);
        });
      }
      return ready;
    },
    kill: (rank) => killNear(people[rank]),
    describe: (rank) => sayPerson(people[rank]),
    close() {
      for (const rank of ranks) sockets.close(fdOf(rank));
      ranks.length = 0;
    },
  };
}
