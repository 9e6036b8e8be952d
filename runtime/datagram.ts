/**
 * Datagrams, UDP over IPv4, on `node:dgram` in both runtimes. They may be lost, doubled, forged and come in any
 * order; a socket here never fails after it was opened, it only does not hear anything.
 */
import { builtin } from "./host.ts";

/** A socket for datagrams. It does not keep the program alive. */
export interface DatagramSocket {
  /** Sends; nothing tells whether it arrives. */
  send(bytes: Uint8Array, to: { host: string; port: number }): void;
  close(): Promise<void>;
}

interface NodeDatagrams {
  bind(port: number, host: string, done: () => void): void;
  on(event: string, listener: (...args: never[]) => void): void;
  once(event: string, listener: (error: never) => void): void;
  send(bytes: Uint8Array, port: number, host: string, done: () => void): void;
  setBroadcast(on: boolean): void;
  close(done: () => void): void;
  unref(): void;
}

/**
 * Opens a socket that may send to everybody on a network. A port other than 0 (any free one) is shared with other
 * programs that share it: all of them get what is sent to everybody.
 *
 * @throws {Error} If the address cannot be used (taken, not of this machine, not permitted).
 */
export function openDatagrams(
  address: { host: string; port: number },
  received: (bytes: Uint8Array, from: { host: string; port: number }) => void,
): Promise<DatagramSocket> {
  const { createSocket } = builtin<
    { createSocket(options: { type: "udp4"; reuseAddr: boolean }): NodeDatagrams }
  >("node:dgram");
  return new Promise((resolve, reject) => {
    const socket = createSocket({ type: "udp4", reuseAddr: address.port !== 0 });
    socket.unref(); // Deno: after bind it would have no effect any more
    socket.once("error", reject as (error: never) => void);
    socket.on("message", (bytes: Uint8Array, from: { address: string; port: number }) => {
      received(bytes, { host: from.address, port: from.port });
    });
    socket.bind(address.port, address.host, () => {
      socket.on("error", () => {});
      socket.setBroadcast(true);
      let open = true;
      resolve({
        send(bytes, { host, port }) {
          if (open) socket.send(bytes, port, host, () => {});
        },
        close: () =>
          new Promise((closed) => {
            if (!open) return closed();
            open = false;
            socket.close(closed);
          }),
      });
    });
  });
}

/** An address of this machine, and the one of everybody on its network. */
export interface Network {
  address: string;
  broadcast: string;
}

/** The IPv4 networks that this machine is on, loopback included; those of two machines alone excepted. */
export function networks(): Network[] {
  const { networkInterfaces } = builtin<
    { networkInterfaces(): Record<string, { address: string; netmask: string; family: string }[]> }
  >("node:os");
  return Object.values(networkInterfaces()).flat().filter(({ family }) => family === "IPv4")
    .map(({ address, netmask }) => ({ address, mask: toNumber(netmask) }))
    .filter(({ mask }) => ~mask > 1)
    .map(({ address, mask }) => ({ address, broadcast: toText(toNumber(address) | ~mask) }));
}

function toNumber(address: string): number {
  return address.split(".").reduce((sum, part) => (sum << 8) | Number(part), 0);
}

function toText(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
}
