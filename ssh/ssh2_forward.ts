/**
 * Forwards over an ssh2 connection: to the host, from the host, and a SOCKS proxy, between TCP ports and unix
 * sockets in any combination. Each end closes when the other does, after what was sent has arrived; neither
 * can be filled faster than the other empties. What listens here is private to this machine unless another
 * address is given, a unix socket to this user.
 */
import { builtin } from "../runtime/mod.ts";
import type { Endpoint, Forward, ForwardSpec } from "./connection.ts";
import { sshError } from "./failures.ts";
import type { Host } from "./host.ts";
import { socksTarget } from "./socks.ts";
import type { Channel, Client, Duplex, Incoming, Net, Socket } from "./ssh2_types.ts";

const net = () => builtin<Net>("node:net");

/** The forwards of one connection. */
export interface Forwards {
  /** Puts one in place. */
  place(spec: ForwardSpec): Promise<Forward>;
  /** Takes away what listens here; what listens on the host ends with the connection. */
  closeAll(): Promise<void>;
}

/** Makes the forwards of a connection; `tell` tells its holder which sockets sshd would leave behind. */
export function forwardsOf(host: Host, client: Client, tell: (word: string, path: string) => void): Forwards {
  const here = new Set<() => Promise<void>>();
  const targets = new Map<string, Endpoint>(); // of what listens on the host

  client.on("tcp connection", (info, accept, reject) => arrived(`${info.destPort}`, accept, reject));
  client.on("unix connection", (info: Incoming, accept, reject) => arrived(info.socketPath, accept, reject));

  function arrived(key: string, accept: () => Channel, reject: () => void): void {
    const target = targets.get(key);
    if (!target) return reject();
    const socket = net().connect(place(target));
    socket.unref(); // the connection itself keeps the program alive, or not
    const refused = () => reject();
    socket.on("error", refused);
    socket.once("connect", () => {
      socket.removeListener("error", refused);
      join(socket, accept());
    });
  }

  function reach(target: Endpoint, socket: Socket): Promise<Channel> {
    return new Promise((resolve, reject) => {
      const done = (error: Error | undefined, channel: Channel) => error ? reject(error) : resolve(channel);
      if ("path" in target) client.openssh_forwardOutStreamLocal(target.path, done);
      else {
        const [from, port] = [socket.remoteAddress ?? "127.0.0.1", socket.remotePort ?? 0];
        client.forwardOut(from, port, target.host ?? "127.0.0.1", target.port, done);
      }
    });
  }

  /** Listens here; `serve` gets each connection, paused. */
  function listen(where: Endpoint, serve: (socket: Socket) => Promise<void>): Promise<Forward> {
    const sockets = new Set<Socket>();
    const server = net().createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
      sockets.add(socket);
      socket.unref();
      if (!("path" in where)) socket.setNoDelay(true);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => sockets.delete(socket));
      serve(socket).catch(() => socket.destroy()); // the host refuses the target: so do we
    });
    return new Promise((resolve, reject) => {
      server.on("error", (cause) => {
        const taken = cause.code === "EADDRINUSE"
          ? "is taken: choose another, or 0 for any free port"
          : `cannot be listened to (${cause.message})`;
        reject(sshError(host, "refused", `${written(where)} here ${taken}`, "", cause));
      });
      server.listen(place(where), () => {
        server.unref();
        if ("path" in where) {
          builtin<{ chmodSync(path: string, mode: number): void }>("node:fs").chmodSync(where.path, 0o600);
        }
        const close = () =>
          new Promise<void>((done) => {
            here.delete(close);
            for (const socket of sockets) socket.destroy();
            server.close(() => done());
          });
        here.add(close);
        const address = server.address();
        const got = "path" in where || typeof address === "string"
          ? where
          : { port: address.port, host: where.host ?? "127.0.0.1" };
        resolve({ listen: got, close });
      });
    });
  }

  function listenThere(where: Endpoint, target: Endpoint): Promise<Forward> {
    return new Promise((resolve, reject) => {
      const refuse = (cause: Error) => {
        const message =
          `it does not let us listen to ${written(where)} there: is it taken, or does its sshd ` +
          `forbid it (AllowTcpForwarding, AllowStreamLocalForwarding)?`;
        reject(sshError(host, "refused", message, cause.message, cause));
      };
      if ("path" in where) {
        client.openssh_forwardInStreamLocal(where.path, (error) => {
          if (error) return refuse(error);
          targets.set(where.path, target);
          tell("/", where.path);
          resolve({
            listen: where,
            async close() {
              await leave(where.path, (done) => client.openssh_unforwardInStreamLocal(where.path, done));
              tell(".", where.path);
            },
          });
        });
      } else {
        const bind = where.host ?? "127.0.0.1";
        client.forwardIn(bind, where.port, (error, port) => {
          if (error) return refuse(error);
          targets.set(`${port}`, target);
          resolve({
            listen: { port, host: bind },
            close: () => leave(`${port}`, (done) => client.unforwardIn(bind, port, done)),
          });
        });
      }
    });
  }

  function leave(key: string, cancel: (done: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      if (!targets.delete(key)) return resolve();
      try {
        cancel(() => resolve());
      } catch {
        resolve(); // the connection is over, and its forwards with it
      }
    });
  }

  return {
    place(spec) {
      switch (spec.kind) {
        case "local":
          return listen(spec.listen, async (socket) => join(socket, await reach(spec.target, socket)));
        case "remote":
          return listenThere(spec.listen, spec.target);
        case "dynamic":
          return listen(spec.listen, async (socket) => {
            const wish = await socksTarget(socket);
            if (!wish) return socket.destroy();
            const channel = await reach(wish.target, socket).catch((error: Error) => {
              wish.answer(false);
              throw error;
            });
            wish.answer(true);
            join(socket, channel);
          });
      }
    },
    async closeAll() {
      await Promise.all([...here].map((close) => close()));
    },
  };
}

/** Connects two streams both ways, half-closed ends and failures included. */
function join(socket: Socket, channel: Channel): void {
  const bothWays: [Duplex, Duplex][] = [[socket, channel], [channel, socket]];
  for (const [from, to] of bothWays) {
    from.on("error", () => to.destroy());
    from.pipe(to);
  }
  socket.on("close", () => channel.destroy());
  channel.on("close", () => {
    if (socket.destroyed) return;
    socket.once("finish", () => socket.destroy());
    socket.end();
  });
  if (socket.destroyed) channel.destroy(); // it was closed while the channel was being opened
}

function place(where: Endpoint): { port: number; host: string } | { path: string } {
  return "path" in where ? where : { port: where.port, host: where.host ?? "127.0.0.1" };
}

function written(where: Endpoint): string {
  return "path" in where ? where.path : `${where.host ?? "127.0.0.1"} port ${where.port}`;
}
