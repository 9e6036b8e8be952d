// A TCP proxy on loopback that delivers whatever passes a while later, in order, in a process of its own: a distance for
// those who cannot make network namespaces.
import { ROOT } from "../../tasks/process.ts";

/** A running proxy. */
export interface DelayingProxy {
  readonly port: number;
  /** Milliseconds each way, for what arrives from now on. */
  set(delay: number): void;
  stop(): Promise<void>;
}

/** Starts a proxy to a port of this machine. */
export async function startDelayingProxy(target: number): Promise<DelayingProxy> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", `${ROOT}/bench/remote/delaying_proxy.ts`, String(target)],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  const input = child.stdin.getWriter();
  const { value } = await reader.read();
  return {
    port: Number(new TextDecoder().decode(value)),
    set: (delay) => void input.write(new TextEncoder().encode(`${delay}\n`)),
    async stop() {
      await input.close();
      await reader.cancel();
      await child.status;
    },
  };
}

if (import.meta.main) {
  let delay = 0;
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  console.log(listener.addr.port);
  (async () => {
    for await (const near of listener) {
      const far = await Deno.connect({ hostname: "127.0.0.1", port: Number(Deno.args[0]) });
      for (const connection of [near, far]) connection.setNoDelay(true);
      carry(near, far, () => delay);
      carry(far, near, () => delay);
    }
  })();
  const lines = Deno.stdin.readable.pipeThrough(
    new TextDecoderStream() as TransformStream<Uint8Array, string>,
  );
  for await (const text of lines) delay = Number(text.trim().split("\n").pop());
  Deno.exit(0);
}

/** Carries one direction; its end is delayed too. */
async function carry(from: Deno.TcpConn, to: Deno.TcpConn, delay: () => number): Promise<void> {
  let last = Promise.resolve();
  const later = (deliver: () => Promise<unknown>) => {
    const due = new Promise((resolve) => setTimeout(resolve, delay()));
    last = Promise.all([last, due]).then(deliver).then(() => {}, () => {}); // the other end has gone
  };
  try {
    for await (const bytes of from.readable) {
      later(async () => {
        for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
      });
    }
  } catch {
    // reset: for the other end it is an end
  }
  later(() => to.closeWrite());
}
