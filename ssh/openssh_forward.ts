/**
 * Forwards over a connection of the OpenSSH client: asked of its master, in some 10 ms. ssh does not choose a
 * free local port by itself, so that one is found by binding to port 0 here first; if somebody takes it in
 * between, the next one is tried.
 */
import { exists, freePort, removeTree, spawn, type Spawned, unwatch, watch } from "../runtime/mod.ts";
import type { Endpoint, Forward, ForwardSpec } from "./connection.ts";
import { SshError } from "./connection.ts";
import { sshError } from "./failures.ts";
import type { Link } from "./openssh.ts";

const ATTEMPTS = 10;

/** Puts a forward in place. */
export async function placeForward(link: Link, spec: ForwardSpec): Promise<Forward> {
  const { kind, listen } = spec;
  if (kind !== "remote" && "path" in listen && exists(listen.path)) {
    throw sshError(link.host, "refused", `cannot forward from ${listen.path}: the file exists already`);
  }
  if ("path" in listen || listen.port !== 0) return await place(link, spec);
  for (let attempt = 1;; attempt++) {
    const port = await (kind === "remote" ? freePortThere(link, listen.host) : freePort(listen.host));
    try {
      return await place(link, { ...spec, listen: { ...listen, port } } as ForwardSpec);
    } catch (error) {
      const taken = error instanceof SshError && error.failure === "refused";
      if (!taken || attempt === ATTEMPTS) throw error;
    }
  }
}

/**
 * A free port of the host. A forward from "any port" would tell one too, but for the master two of them to the same
 * target are one, and the first to be cancelled ends both; so it is asked for, cancelled, and then asked for by number.
 */
function freePortThere(link: Link, host?: string): Promise<number> {
  const asked = link.portQuestion.then(async () => {
    const spec: ForwardSpec = {
      kind: "remote",
      listen: { port: 0, ...(host === undefined ? {} : { host }) },
      target: { port: 9 },
    };
    const answer = await ask(link, "forward", spec);
    if (answer.code !== 0) throw refusal(link, spec, answer.stderr);
    await ask(link, "cancel", spec);
    return Number(answer.stdout.trim());
  });
  link.portQuestion = asked.catch(() => {});
  return asked;
}

async function place(link: Link, spec: ForwardSpec): Promise<Forward> {
  const before = link.said().length;
  const placed = await ask(link, "forward", spec);
  if (placed.code !== 0) throw refusal(link, spec, link.said().slice(before) + placed.stderr);
  const { listen } = spec;
  const tidy = ownSocket(link, spec);
  let closed: Promise<void> | undefined;
  return {
    listen,
    close: () =>
      closed ??= (async () => {
        if (!link.over()) await ask(link, "cancel", spec);
        tidy();
      })(),
  };
}

function refusal(link: Link, spec: ForwardSpec, said: string): Error {
  const where = describe(spec);
  return link.over() ?? sshError(
    link.host,
    "refused",
    `cannot forward ${where}. Is the address taken, or does the host not allow it (AllowTcpForwarding)?`,
    said,
  );
}

/** ssh and sshd leave the unix sockets behind on which they listened. Gives what removes this forward's now. */
function ownSocket(link: Link, { kind, listen }: ForwardSpec): () => void {
  if (!("path" in listen)) return () => {};
  const { path } = listen;
  if (kind === "remote") {
    link.tell(`/ ${path}`);
    return () => link.tell(`. ${path}`);
  }
  watch(path);
  const remove = () => {
    link.leftovers.delete(remove);
    removeTree(path);
    unwatch(path);
  };
  link.leftovers.add(remove);
  return remove;
}

/** `-O forward` or `-O cancel`. */
function ask(
  link: Link,
  what: "forward" | "cancel",
  spec: ForwardSpec,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const decoder = new TextDecoder();
    let stdout = "", stderr = "", process: Spawned | undefined;
    try {
      process = spawn("ssh", link.clientArgs(["-O", what, ...flags(spec)]), { detached: true }, {
        stdout: (bytes) => void (stdout += decoder.decode(bytes)),
        stderr: (bytes) => void (stderr += decoder.decode(bytes)),
        exit({ code }) {
          unwatch(process!.pid);
          resolve({ code, stdout, stderr });
        },
      });
      watch(process.pid);
    } catch (cause) {
      reject(sshError(link.host, "setup", "no ssh process could be started here", "", cause));
    }
  });
}

function flags(spec: ForwardSpec): string[] {
  const listen = address(spec.listen, "127.0.0.1");
  if (spec.kind === "dynamic") return ["-D", listen];
  return [spec.kind === "local" ? "-L" : "-R", `${listen}:${address(spec.target, "127.0.0.1")}`];
}

function address(end: Endpoint, otherwise: string): string {
  if ("path" in end) {
    if (!end.path.startsWith("/") || /[\n\r]|\s$/.test(end.path)) {
      throw new TypeError(`${JSON.stringify(end.path)} is no absolute path of a unix socket`);
    }
    return end.path.replace(/[\\:]/g, "\\$&");
  }
  const host = end.host ?? otherwise;
  return `${host.includes(":") ? `[${host}]` : host}:${end.port}`;
}

function describe(spec: ForwardSpec): string {
  const listen = address(spec.listen, "127.0.0.1");
  if (spec.kind === "dynamic") return `from ${listen}`;
  const [from, to] = spec.kind === "local" ? ["here", "there"] : ["there", "here"];
  return `from ${listen} ${from} to ${address(spec.target, "127.0.0.1")} ${to}`;
}
