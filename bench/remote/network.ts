// A way to the sshd with delay and loss. As root: the sshd runs in a network namespace behind a link that carries real
// packets. Otherwise: a proxy that delays what passes, which cannot lose anything.
import type { HostOptions } from "../../ssh/mod.ts";
import { farLink, whyNoFarLink } from "../../tests/far_link.ts";
import { type Sshd, startSshd } from "../../tests/sshd.ts";
import { startDelayingProxy } from "./delaying_proxy.ts";

/** A network with an sshd at its end. */
export interface Network {
  /** What makes the delay, in words. */
  readonly how: string;
  readonly sshd: Sshd;
  /** The host as the pool's clients have to name it. */
  host(): HostOptions;
  /** Milliseconds of delay each way, and percent of packets lost each way. */
  set(delay: number, loss?: number): Promise<void>;
  stop(): Promise<void>;
}

/** Opens a network by `how`, or by what is possible here. */
export async function openNetwork(how?: "netns" | "proxy"): Promise<Network> {
  return how === "proxy" || how === undefined && whyNoFarLink() !== undefined
    ? await proxied()
    : await namespaced();
}

async function namespaced(): Promise<Network> {
  const link = await farLink({ delay: 0, loss: 0 });
  let sshd: Sshd;
  try {
    sshd = await startSshd({ far: link });
  } catch (error) {
    await link[Symbol.asyncDispose]();
    throw error;
  }
  return {
    how: "user-space link into a network namespace",
    sshd,
    host: () => sshd.host(),
    set(delay, loss = 0) {
      link.set(delay, loss);
      return Promise.resolve();
    },
    async stop() {
      await sshd.stop();
      await link[Symbol.asyncDispose]();
    },
  };
}

async function proxied(): Promise<Network> {
  const sshd = await startSshd();
  const proxy = await startDelayingProxy(sshd.port);
  return {
    how: "delaying TCP proxy",
    sshd,
    host: () => ({
      ...sshd.host(),
      options: {
        Port: String(proxy.port),
        HostKeyAlias: `[127.0.0.1]:${sshd.port}`,
        CheckHostIP: "no",
      },
    }),
    set(delay, loss = 0) {
      if (loss > 0) throw new Error("a proxy cannot lose packets: run as root, where there is /dev/net/tun");
      proxy.set(delay);
      return Promise.resolve();
    },
    async stop() {
      await proxy.stop();
      await sshd.stop();
    },
  };
}
