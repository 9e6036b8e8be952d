/**
 * A host that is far away: a network namespace behind a link with delay and loss, for tests and benchmarks that run as
 * root on Linux. The link carries real IP packets, so TCP behaves as it does on a bad line.
 *
 * @module
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import process from "node:process";

/** Programs that {@linkcode farLink} needs. */
export const FAR_LINK_PROGRAMS = ["ip", "python3"];

/** Why there can be no such link here, or undefined if there can. */
export function whyNoFarLink(): string | undefined {
  if (process.getuid?.() !== 0) return "network namespaces need root";
  if (!existsSync("/dev/net/tun")) return "there is no /dev/net/tun";
  return undefined;
}

/** A far host. */
export interface FarLink extends AsyncDisposable {
  /** Its address. */
  readonly address: string;
  /** Words that go before a command which is to run there. */
  readonly within: string[];
  /** From now on packets take `delay` milliseconds each way, and `loss` percent of them never arrive. */
  set(delay: number, loss: number): void;
}

/**
 * Makes two tun devices, one of them inside the namespace, and carries IP packets between them, late or not at all.
 * Arguments: namespace, address here, address there, delay in ms, loss in percent; the last two may be given anew as
 * lines of standard input. It ends with its standard input, and the devices with it.
 */
const SCRIPT = String.raw`
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


def open_tun(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


def main():
    namespace, here, there, delay, loss = sys.argv[1:]
    delay, loss = float(delay) / 1000, float(loss) / 100
    names = [f"pf{os.getpid() % 100000}a", f"pf{os.getpid() % 100000}b"]
    a, b = (open_tun(name) for name in names)
    for command in (
        f"ip addr add {here} peer {there} dev {names[0]}",
        f"ip link set {names[0]} up mtu 1400",
        f"ip link set {names[1]} netns {namespace}",
        f"ip -n {namespace} addr add {there} peer {here} dev {names[1]}",
        f"ip -n {namespace} link set {names[1]} up mtu 1400",
        f"ip -n {namespace} link set lo up",
    ):
        subprocess.run(command.split(), check=True, stdin=subprocess.DEVNULL)
    print("ready", flush=True)
    other, waiting, number = {a: b, b: a}, [], 0
    while True:
        timeout = max(0, waiting[0][0] - time.monotonic()) if waiting else None
        readable, _, _ = select.select([0, a, b], [], [], timeout)
        now = time.monotonic()
        for fd in readable:
            if fd == 0:
                lines = os.read(0, 4096).decode()
                if not lines:
                    return
                delay, loss = (float(word) for word in lines.splitlines()[-1].split())
                delay, loss = delay / 1000, loss / 100
                continue
            for _ in range(64):
                try:
                    packet = os.read(fd, 65536)
                except BlockingIOError:
                    break
                if random.random() >= loss:
                    number += 1
                    heapq.heappush(waiting, (now + delay, number, other[fd], packet))
        while waiting and waiting[0][0] <= now:
            _, _, to, packet = heapq.heappop(waiting)
            try:
                os.write(to, packet)
            except OSError:
                pass  # a full queue loses packets, as any link does


main()
`;

/** Removes the namespaces of programs that were killed. */
function removeAbandoned(): void {
  const names = execFileSync("ip", ["netns", "list"], { encoding: "utf8" });
  for (const [name, pid] of names.matchAll(/^pathos-(\d+)-\d+/gm)) {
    if (!existsSync(`/proc/${pid}`)) execFileSync("ip", ["netns", "del", name]);
  }
}

let count = 0;

/** Makes a far host: packets take `delay` milliseconds each way, and `loss` percent of them never arrive. */
export async function farLink({ delay, loss }: { delay: number; loss: number }): Promise<FarLink> {
  const name = `pathos-${process.pid}-${++count}`;
  const block = (process.pid * 16 + count) % 16000;
  const network = `10.213.${block >> 6}`;
  const here = `${network}.${(block & 63) * 4 + 1}`;
  const address = `${network}.${(block & 63) * 4 + 2}`;
  removeAbandoned();
  execFileSync("ip", ["netns", "add", name]);
  const link = spawn("python3", ["-c", SCRIPT, name, here, address, String(delay), String(loss)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const gone = new Promise<void>((resolve) => link.once("close", () => resolve()));
  const end = async () => {
    link.stdin.end();
    await gone;
    execFileSync("ip", ["netns", "del", name]);
  };
  const ready = await Promise.race([
    new Promise<boolean>((resolve) => link.stdout.once("data", () => resolve(true))),
    gone.then(() => false),
  ]);
  if (!ready) {
    await end();
    throw new Error("the link could not be made");
  }
  return {
    address,
    within: ["ip", "netns", "exec", name],
    set: (delay, loss) => void link.stdin.write(`${delay} ${loss}\n`),
    [Symbol.asyncDispose]: end,
  };
}
