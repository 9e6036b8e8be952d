/**
 * The stream of bytes below an ssh2 connection: a TCP connection, the pipes of a ProxyCommand, or a channel
 * through a jump host. Each can be told whether it keeps this program alive, and leaves nothing behind when
 * it is closed.
 */
import { builtin, spawn, unwatch, watch } from "../runtime/mod.ts";
import { SshError } from "./connection.ts";
import type { Client, Duplex, Net } from "./ssh2_types.ts";

/** A way to a host. */
export interface Link {
  stream: Duplex;
  keepAlive(on: boolean): void;
  close(): void;
}

/**
 * Opens a TCP connection. `timeout` in milliseconds; `label` is the host as the user wrote it, for errors.
 *
 * @throws {SshError} `"unreachable"` or `"timeout"`.
 */
export function openTcp(hostname: string, port: number, timeout: number, label: string): Promise<Link> {
  const socket = builtin<Net>("node:net").connect({ host: hostname, port });
  socket.setNoDelay(true);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      socket.destroy();
      const message =
        `no answer from ${hostname} port ${port} within ${timeout} ms: is it up, and reachable ` +
        `from here? (connectTimeout sets the limit)`;
      reject(new SshError(`${label}: ${message}`, { failure: "timeout", host: label }));
    }, timeout);
    socket.on("error", (cause) => {
      clearTimeout(timer);
      const message = `${label}: ${reasonOf(cause.code, hostname, port)}`;
      reject(new SshError(message, { failure: "unreachable", host: label, cause }));
    });
    socket.once("connect", () => {
      clearTimeout(timer);
      resolve({
        stream: socket,
        keepAlive: (on) => on ? socket.ref() : socket.unref(),
        close: () => socket.destroy(),
      });
    });
  });
}

function reasonOf(code: string | undefined, hostname: string, port: number): string {
  switch (code) {
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "EAI_NODATA":
    case "EAI_NONAME":
      return `the name ${hostname} is not known here: is it spelled right, and does ssh_config have it?`;
    case "ECONNREFUSED":
      return `${hostname} refuses connections to port ${port}: does sshd run there, on that port?`;
    default:
      return `${hostname} port ${port} cannot be reached (${code ?? "no reason given"})`;
  }
}

/**
 * Opens a channel through another connection, which the link owns from now on.
 *
 * @throws {SshError} `"unreachable"` if the jump host cannot reach the target.
 */
export function openThrough(
  jump: { client: Client; link: Link; label: string },
  hostname: string,
  port: number,
  label: string,
): Promise<Link> {
  return new Promise((resolve, reject) => {
    jump.client.forwardOut("127.0.0.1", 0, hostname, port, (cause, channel) => {
      if (cause) {
        jump.link.close();
        const message = `${label}: ${jump.label} cannot reach ${hostname} port ${port} (${cause.message})`;
        reject(new SshError(message, { failure: "unreachable", host: label, cause }));
      } else {
        channel.on("close", () => jump.link.close());
        resolve({
          stream: channel,
          keepAlive: (on) => jump.link.keepAlive(on),
          close() {
            channel.destroy();
            jump.link.close();
          },
        });
      }
    });
  });
}

type DuplexClass = new (options: {
  read(): void;
  write(bytes: Uint8Array, encoding: string, done: () => void): void;
  final(done: () => void): void;
  destroy(error: Error | null, done: (error: Error | null) => void): void;
}) => Duplex & { push(bytes: Uint8Array | null): boolean };

/** Starts a ProxyCommand, whose standard streams are the link. */
export function openCommand(command: string, label: string): Link {
  const { Duplex } = builtin<{ Duplex: DuplexClass }>("node:stream");
  let said = "";
  let goOn: (() => void) | undefined;
  const child = spawn("/bin/sh", ["-c", `exec ${command}`], {}, {
    stdout(bytes) {
      if (stream.push(bytes)) return;
      return new Promise<void>((resolve) => goOn = resolve);
    },
    stderr: (bytes) => void (said = (said + new TextDecoder().decode(bytes)).slice(-1000)),
    exit() {
      unwatch(child.pid);
      stream.push(null);
      const message = `${label}: the ProxyCommand ended${said ? `, saying: ${said.trim()}` : ""}`;
      stream.destroy(new SshError(message, { failure: "unreachable", host: label }));
    },
  });
  watch(child.pid);
  const stream = new Duplex({
    read() {
      goOn?.();
      goOn = undefined;
    },
    write: (bytes, _, done) => void Promise.resolve(child.write([bytes])).then(() => done()),
    final(done) {
      child.closeInput();
      done();
    },
    destroy(error, done) {
      goOn?.();
      child.kill("SIGTERM");
      done(error);
    },
  });
  return { stream, keepAlive: child.keepAlive, close: () => stream.destroy() };
}
