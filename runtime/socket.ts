/**
 * TCP sockets of the system (IPv4), used synchronously on this thread through libc: for who has to wait for the network without
 * returning to the event loop. Nothing here waits but `poll` and `dial`. A socket is its file descriptor, which programs started by this
 * one do not inherit. Not in mod.ts, because workers have no use for it; streams that events drive are in net.ts.
 */
import { bindStandard, type CFunctions } from "./ffi.ts";
import { platform } from "./host.ts";

/** For {@linkcode Sockets.poll}: there is something to read, or nothing will ever come again. */
export const READABLE = 1;
/** For {@linkcode Sockets.poll}: something can be written. */
export const WRITABLE = 4;

/** The functions of sockets. */
export interface Sockets {
  /** Listens on an address of this machine, on a port that the system chooses. @throws {Error} If it cannot. */
  listen(host: string): { fd: number; port: number };
  /** Takes a connection that somebody has made; undefined if there is none. */
  accept(listener: number): number | undefined;
  /** Connects, within so many milliseconds; undefined if that is refused, or nobody answers. */
  dial(host: string, port: number, timeout: number): number | undefined;
  /** The IPv4 address at this end of a connection, or at the other. */
  address(fd: number, end: "here" | "there"): string;
  /** Gives how many of the bytes the system took; 0 if it takes none now, or the connection has ended, which `read` tells. */
  write(fd: number, bytes: Uint8Array): number;
  /** Reads what has come: gives its length, 0 if there is nothing now, -1 if the other end has closed the connection or died. */
  read(fd: number, into: Uint8Array): number;
  /**
   * Waits until something can be done with one of these sockets, at most so many milliseconds (0: only looks). Each is two numbers: its
   * descriptor, and {@linkcode READABLE}, {@linkcode WRITABLE} or both; the upper 16 bits of the latter are filled with what is so,
   * errors and ends among it. Gives how many are, or less than 1 if none.
   */
  poll(set: Int32Array, count: number, milliseconds: number): number;
  /** Closes. */
  close(fd: number): void;
}

const C = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "i32"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // results of these two are 64 bits wide, of which the lower half says it all: nobody asks for 2 GB at once
  send: { parameters: ["i32", "buffer", "address", "i32"], result: "i32" },
  recv: { parameters: ["i32", "buffer", "address", "i32"], result: "i32" },
  poll: { parameters: ["buffer", "address", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
} as const;

const AF_INET = 2, SOCK_STREAM = 1, IPPROTO_TCP = 6, TCP_NODELAY = 1, BACKLOG = 1024, MOST = 2 ** 30;

const LINUX = {
  accept: "accept4",
  newSocket: 0o2004000, // SOCK_CLOEXEC | SOCK_NONBLOCK
  dontWait: 0x40,
  noSignal: 0x4000,
  solSocket: 1,
  error: 4,
  keepAlive: 9,
  // asks the other machine after 15 s of silence, every 5 s, and gives up after the third time
  more: [[IPPROTO_TCP, 4, 15], [IPPROTO_TCP, 5, 5], [IPPROTO_TCP, 6, 3]],
};
const DARWIN: typeof LINUX = {
  accept: "accept", // is given a parameter more, which it does not see
  newSocket: 0,
  dontWait: 0x80,
  noSignal: 0,
  solSocket: 0xffff,
  error: 0x1007,
  keepAlive: 8,
  more: [[0xffff, 0x1022, 1], [IPPROTO_TCP, 0x10, 15]], // SO_NOSIGPIPE, TCP_KEEPALIVE
};

/**
 * Binds them.
 *
 * @throws {Error} If C functions cannot be called here: in Deno without `--allow-ffi`, in Node without the package koffi.
 */
export function openSockets(): Sockets {
  const darwin = platform() === "darwin";
  const system = darwin ? DARWIN : LINUX;
  const c = bindStandard({
    ...C,
    accept: { symbol: system.accept, parameters: ["i32", "buffer", "buffer", "i32"], result: "i32" },
  });
  const place = (host: string, port: number): Uint8Array => {
    const bytes = host.split(".").map(Number);
    if (bytes.length !== 4) throw new TypeError(`${host} is no IPv4 address`);
    return Uint8Array.of(
      ...darwin ? [16, AF_INET] : [AF_INET, 0],
      port >> 8,
      port & 255,
      ...bytes,
      ...Array(8).fill(0),
    );
  };
  const newSocket = (): number => {
    const fd = c.socket(AF_INET, SOCK_STREAM | system.newSocket, 0);
    if (fd < 0) throw new Error(`the system gives no socket: ${systemProblem(darwin)}`);
    return fd;
  };
  const set = (fd: number, level: number, option: number, value: number): void =>
    void c.setsockopt(fd, level, option, Int32Array.of(value), 4);
  const prepared = (fd: number): number => {
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set(fd, system.solSocket, system.keepAlive, 1);
    for (const [level, option, value] of system.more) set(fd, level, option, value);
    return fd;
  };
  const named = (fd: number, ask: typeof c.getsockname): Uint8Array => {
    const name = new Uint8Array(16);
    ask(fd, name, Int32Array.of(16));
    return name;
  };
  const { dontWait, noSignal, newSocket: flags } = system;
  return {
    listen(host) {
      const fd = newSocket();
      if (c.bind(fd, place(host, 0), 16) !== 0 || c.listen(fd, BACKLOG) !== 0) {
        const problem = systemProblem(darwin);
        c.close(fd);
        throw new Error(`cannot listen on ${host}: ${problem}`);
      }
      const [, , high, low] = named(fd, c.getsockname);
      return { fd, port: high * 256 + low };
    },
    accept(listener) {
      const fd = c.accept(listener, null, null, flags);
      return fd < 0 ? undefined : prepared(fd);
    },
    dial(host, port, timeout) {
      const fd = newSocket();
      if (c.connect(fd, place(host, port), 16) !== 0) {
        const waiting = Int32Array.of(fd, WRITABLE), problem = Int32Array.of(1);
        if (c.poll(waiting, 1, Math.ceil(timeout)) > 0) {
          c.getsockopt(fd, system.solSocket, system.error, problem, Int32Array.of(4));
        }
        if (problem[0] !== 0) {
          c.close(fd);
          return undefined;
        }
      }
      return prepared(fd);
    },
    address: (fd, end) => named(fd, end === "here" ? c.getsockname : c.getpeername).subarray(4, 8).join("."),
    write: (fd, bytes) => Math.max(0, c.send(fd, bytes, Math.min(bytes.length, MOST), dontWait | noSignal)),
    read(fd, into) {
      if (into.length === 0) return 0;
      // after an error (the connection was reset) the next call gives 0, the end
      const count = c.recv(fd, into, Math.min(into.length, MOST), dontWait);
      return count > 0 ? count : count === 0 ? -1 : 0;
    },
    poll: (set, count, milliseconds) => c.poll(set, count, Math.ceil(milliseconds)),
    close: (fd) => void c.close(fd),
  };
}

/** What the system says of the call that has just failed. */
function systemProblem(darwin: boolean): string {
  const errno = darwin ? "__error" : "__errno_location";
  const c: CFunctions<typeof PROBLEM> = bindStandard({
    ...PROBLEM,
    errno: { ...PROBLEM.errno, symbol: errno },
  });
  const number = new Int32Array(1);
  c.memcpy(number, c.errno(), 4);
  return c.strerror(number[0]) ?? `error ${number[0]}`;
}

const PROBLEM = {
  errno: { parameters: [], result: "address" },
  memcpy: { parameters: ["buffer", "address", "address"], result: "address" },
  strerror: { parameters: ["i32"], result: "text" },
} as const;
