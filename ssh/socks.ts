/**
 * The proxy's side of SOCKS 5 (RFC 1928) as far as `ssh -D` needs it: no authentication, the command CONNECT,
 * names and addresses of both families. Anything else is refused as the protocol says.
 */
import type { Duplex } from "./ssh2_types.ts";

/** Where a client of the proxy wants to go. */
export interface SocksWish {
  target: { host: string; port: number };
  /** Tells the client whether it is connected; afterwards the stream is its. */
  answer(connected: boolean): void;
}

const NO_AUTHENTICATION = 0;
const NOT_ACCEPTABLE = 0xff;
const CONNECT = 1;
const enum Address {
  IPv4 = 1,
  Name = 3,
  IPv6 = 4,
}
const enum Reply {
  Succeeded = 0,
  HostUnreachable = 4,
  CommandNotSupported = 7,
  AddressTypeNotSupported = 8,
}

/**
 * Reads what a client wants; undefined if it is nothing that can be done, or the client went. The stream is paused
 * before and afterwards, and what the client sent ahead of the answer is still in it.
 */
export async function socksTarget(stream: Duplex): Promise<SocksWish | undefined> {
  const input = reader(stream);
  const reply = (code: Reply) => stream.write(new Uint8Array([5, code, 0, Address.IPv4, 0, 0, 0, 0, 0, 0]));
  try {
    const [version, methods] = await input.read(2);
    if (version !== 5) return undefined;
    const accepted = (await input.read(methods)).includes(NO_AUTHENTICATION);
    stream.write(new Uint8Array([5, accepted ? NO_AUTHENTICATION : NOT_ACCEPTABLE]));
    if (!accepted) return undefined;
    const [, command, , type] = await input.read(4);
    const host = await readHost(type, input.read);
    const [high, low] = await input.read(2);
    if (host === undefined || command !== CONNECT) {
      reply(host === undefined ? Reply.AddressTypeNotSupported : Reply.CommandNotSupported);
      return undefined;
    }
    return {
      target: { host, port: high * 256 + low },
      answer: (connected) => void reply(connected ? Reply.Succeeded : Reply.HostUnreachable),
    };
  } catch {
    return undefined; // it went before it said what it wants
  } finally {
    input.stop();
  }
}

async function readHost(
  type: number,
  read: (count: number) => Promise<Uint8Array>,
): Promise<string | undefined> {
  switch (type) {
    case Address.IPv4:
      return (await read(4)).join(".");
    case Address.IPv6: {
      const bytes = await read(16);
      const words = Array.from({ length: 8 }, (_, i) => (bytes[2 * i] * 256 + bytes[2 * i + 1]).toString(16));
      return words.join(":");
    }
    case Address.Name: {
      const [length] = await read(1);
      return new TextDecoder().decode(await read(length));
    }
    default:
      return undefined;
  }
}

/** Reads a stream by exact amounts; `stop` gives back what was not asked for. */
function reader(stream: Duplex): { read(count: number): Promise<Uint8Array>; stop(): void } {
  let held = new Uint8Array();
  let wanted: { count: number; resolve(bytes: Uint8Array): void; reject(error: Error): void } | undefined;
  const serve = () => {
    if (!wanted || held.length < wanted.count) return;
    const { count, resolve } = wanted;
    wanted = undefined;
    const bytes = held.slice(0, count);
    held = held.slice(count);
    resolve(bytes);
  };
  const data = (bytes: Uint8Array) => {
    const both = new Uint8Array(held.length + bytes.length);
    both.set(held);
    both.set(bytes, held.length);
    held = both;
    serve();
  };
  const gone = () => wanted?.reject(new Error("the client went"));
  stream.on("data", data);
  stream.on("end", gone);
  stream.on("close", gone);
  stream.resume();
  return {
    read: (count) =>
      new Promise((resolve, reject) => {
        wanted = { count, resolve, reject };
        if (stream.destroyed) gone();
        else serve();
      }),
    stop() {
      stream.pause();
      stream.removeListener("data", data);
      stream.removeListener("end", gone);
      stream.removeListener("close", gone);
      if (held.length > 0) stream.unshift(held);
    },
  };
}
