/**
 * `pathos serve`: offers the cores of this machine to pools, until it is told to end.
 */
import {
  builtin,
  exists,
  newToken,
  runtimeName,
  runtimeVersion,
  stderr,
  stdinBytes,
  stdout,
} from "../runtime/mod.ts";
import type { Announced, AnnounceOptions } from "../map/announce.ts";
import { DISCOVERY_PORT } from "../map/discover.ts";
import { type PoolServer, serve } from "../map/serve.ts";
import { readKeyFile } from "../map/shared_key.ts";
import { duration, type Parsed, UsageError, type Verb, wholeNumber } from "./flags.ts";
import { aborted, interruptible } from "./interruption.ts";

/** The verb `serve`. */
export const serveVerb: Verb = {
  name: "serve",
  summary: "Offer the cores of this machine to pools",
  usage: "serve [flags]",
  about: `
Starts a server and prints its URL, which pools take in servers: [...] and pathos map takes in --servers. It
listens on this machine only, on a port of the loopback address or on a unix socket; who wants to use it from
elsewhere comes through ssh (pathos connect starts one there and does that too). It stays until Ctrl-C.

Whoever has the URL can run code here as you: it contains the token, which is asked for before anything else.

With --announce it is also found from the network that this machine is on, by those who have the same key file, as
--servers autodetect; so whoever has that key can run code here as you too. What they say is encrypted.`,
  flags: {
    workers: { value: "N", short: "w", help: "Worker processes for each pool (default: one for each core)" },
    port: { value: "P", help: "Port on 127.0.0.1 (default: any free one)" },
    socket: { value: "PATH", help: "Listen on a unix socket, which only you can open, instead of a port" },
    "token-file": {
      value: "FILE",
      help:
        "Take the token from a file that only you can read, so that the URL stays the same; it is made if it " +
        "is not there (default: a new token each time)",
    },
    announce: { help: "Be found and used from the network by who shares the key of --key-file" },
    "announce-address": {
      value: "A",
      help: "IPv4 address of this machine, to be found on its network only (default: on all of them)",
    },
    "announce-port": { value: "P", help: "UDP port to be asked on, and TCP port if free (default: 60000)" },
    "key-file": {
      value: "FILE",
      help:
        "The shared key, in a file that only you can read; it is made if it is not there (default: the file in " +
        "$PATHOS_KEY_FILE)",
    },
    lease: {
      value: "TIME",
      help: "End when no pool was heard of for so long: 90s, 5m, 1h (default: never)",
    },
    stdin: { help: "End when standard input does" },
    json: { help: "Print one line of JSON, with url, workers, cores, runtime, hostname and pid" },
  },
  more: `
The first line on standard output is the URL, or the JSON. Nothing secret is written to standard error.

Exit status: 0 it was told to end or its lease is over, 1 it could not listen, 2 a mistake in the command line.`,
  examples: [
    [
      "Four workers on a port that stays the same",
      "pathos serve --workers 4 --port 7000 --token-file ~/.pathos-token",
    ],
    ["Use them", "pathos map ./work.ts 'data/*.csv' --servers 'http://127.0.0.1:7000/?token=...'"],
    ["Be found by pools on this network", "pathos serve --announce --key-file ~/.pathos-key"],
    ["A server that ends with its parent", "pathos serve --json --stdin"],
  ],
  run,
};

async function run(args: Parsed): Promise<number> {
  if (args.positional.length > 0) {
    throw new UsageError(
      `serve takes flags only, not ${args.positional[0]}; pathos connect HOST serves on a host`,
    );
  }
  const port = wholeNumber("port", args.text("port"), 0);
  if (port !== undefined && port > 65_535) throw new UsageError(`--port is ${port}: the highest is 65535`);
  const socket = args.text("socket");
  if (socket !== undefined && port !== undefined) {
    throw new UsageError("--socket and --port exclude each other");
  }
  const options = {
    workers: wholeNumber("workers", args.text("workers"), 1),
    lease: duration("lease", args.text("lease")),
    token: tokenOf(args.text("token-file")),
    announce: announceOf(args),
    port,
    path: socket === undefined ? undefined : absolute(socket),
  };
  const interruption = interruptible();
  let server: PoolServer;
  try {
    server = await serve(options);
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) throw new UsageError(error.message);
    const where = options.announce ? "" : `cannot listen on ${options.path ?? `port ${port ?? 0}`}: `;
    stderr.write(`pathos serve: ${where}${reason(error)}\n`);
    return 1;
  }
  await stdout.write(args.on("json") ? inJson(server) : inWords(server)).catch(() => {}); // nobody reads it
  const over = await Promise.race([
    aborted(interruption.signal).then(() => undefined),
    server.closed.then(() => "its lease is over"),
    ...(args.on("stdin") ? [inputEnd().then(() => "standard input has ended")] : []),
  ]);
  if (over) stderr.write(`pathos serve: ${over}\n`);
  await server.close();
  interruption.dispose();
  return 0;
}

function announceOf(args: Parsed): AnnounceOptions | undefined {
  if (!args.on("announce")) {
    const flag = ["announce-address", "announce-port", "key-file"].find((flag) =>
      args.text(flag) !== undefined
    );
    if (flag !== undefined) {
      throw new UsageError(`--${flag} is for a server that is announced: add --announce`);
    }
    return undefined;
  }
  return {
    key: keyOf(args.text("key-file")),
    address: args.text("announce-address"),
    port: wholeNumber("announce-port", args.text("announce-port"), 1),
  };
}

function inJson({ url, facts, announced }: PoolServer): string {
  const { workers, cores, runtime, hostname, pid } = facts;
  const { address, port, sessionPort } = announced ?? {};
  const found = announced && { address, port, sessionPort };
  return JSON.stringify({ url, workers, cores, runtime, hostname, pid, announced: found }) + "\n";
}

function inWords({ url, announced, facts: { workers } }: PoolServer): string {
  return `${url}

${workers} ${
    workers === 1 ? "worker" : "workers"
  } (${runtimeName} ${runtimeVersion()}), until Ctrl-C. On this machine:
  new ParallelPool({ servers: ["${url}"] })
  pathos map FILE[:EXPORT] INPUT... --servers '${url}'
${announced ? inNetwork(announced) : ""}`;
}

function inNetwork({ port, sessionPort }: Announced): string {
  const spec = port === DISCOVERY_PORT ? "autodetect" : `autodetect:${port}`;
  return `On this network, for who has the key (UDP port ${port}, TCP port ${sessionPort}):
  pathos map FILE[:EXPORT] INPUT... --servers ${spec} --key-file FILE
`;
}

async function inputEnd(): Promise<void> {
  try {
    for await (const _ of stdinBytes()); // only its end counts
  } catch {
    // it is closed
  }
}

function absolute(path: string): string {
  return builtin<{ resolve(path: string): string }>("node:path").resolve(path);
}

interface Files {
  readFileSync(path: string, encoding: "utf8"): string;
  writeFileSync(path: string, text: string, options: { mode: number; flag: string }): void;
  statSync(path: string): { mode: number };
}

/** The token in a file that is not for others; a new one if there is no file. */
function tokenOf(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  const { readFileSync, statSync, writeFileSync } = builtin<Files>("node:fs");
  try {
    if (!exists(path)) writeFileSync(path, newToken() + "\n", { mode: 0o600, flag: "wx" });
    if ((statSync(path).mode & 0o077) !== 0) {
      throw new UsageError(`others can read the token in ${path}: chmod 600 ${path}`);
    }
    const token = readFileSync(path, "utf8").trim();
    if (!/^[\x21-\x7e]{16,}$/.test(token)) {
      throw new UsageError(
        `${path} holds no token: it must be one line of at least 16 printable ASCII characters without ` +
          "spaces. Remove the file to have one made",
      );
    }
    return token;
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`the token file ${path} cannot be used: ${(error as Error).message}`);
  }
}

/** The shared key in a file; a new one if there is no file. */
function keyOf(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    if (!exists(path)) {
      builtin<Files>("node:fs").writeFileSync(path, newToken() + "\n", { mode: 0o600, flag: "wx" });
    }
    return readKeyFile(path);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function reason(error: unknown): string {
  const { code, message } = error as { code?: string; message: string };
  if (code === "EADDRINUSE") {
    return "somebody listens there already; take another, or leave it out for any free one";
  }
  if (code === "EACCES") return "that is not permitted";
  return message;
}
