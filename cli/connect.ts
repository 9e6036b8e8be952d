/**
 * `pathos connect`: a server on a host, with an address here, until it is told to end.
 */
import { stderr, stdout } from "../runtime/mod.ts";
import { type HostServer, serveOn } from "../map/serve_on.ts";
import { type Parsed, UsageError, type Verb, wholeNumber } from "./flags.ts";
import { aborted, interruptible } from "./interruption.ts";
import { failureOn, HOST_FLAGS, HOST_FORMS, hostNamed } from "./remote.ts";

/** The verb `connect`. */
export const connectVerb: Verb = {
  name: "connect",
  summary: "Start a server on a host, with an address on this machine",
  usage: "connect HOST [flags]",
  about: `
Starts a server on HOST over ssh, forwards a port of this machine's loopback address to it, and prints the URL that
pools take in servers: [...] and pathos map takes in --servers. It stays until Ctrl-C, and then ends the server and
the forward. Nothing needs to be installed there but Deno or Node; without them this program's own runtime is
copied there once.

A pool can be given the host itself, and then connects again when the link is lost. This verb is for several
programs that share one server, and for those that cannot start ssh.
${HOST_FORMS}

Whoever has the URL can run code there as you: it contains the token, which is asked for before anything else.`,
  flags: {
    workers: {
      value: "N",
      short: "w",
      help: "Worker processes for each pool (default: as hosts.yaml says, or one for each core there)",
    },
    keep: {
      help:
        "When the link is lost, connect and start the server again, under the same URL (default: end with " +
        "status 1)",
    },
    json: { help: "Print one line of JSON, with url, host, workers, cores, runtime, hostname and pid" },
    ...HOST_FLAGS,
  },
  more: `
The first line on standard output is the URL, or the JSON. Nothing secret is written to standard error.

A pool that uses the URL tries again for a minute when the server is lost, and so goes on with --keep.

Exit status: 0 it was told to end, 1 the host cannot be used or was lost, 2 a mistake in the command line.`,
  examples: [
    ["All cores of a host", "pathos connect me@cluster"],
    [
      "Use them together with two here",
      "pathos map ./work.ts 'data/*.csv' --workers 2 --servers 'http://127.0.0.1:...'",
    ],
    ["The same without this verb", "pathos map ./work.ts 'data/*.csv' --workers 2 --servers me@cluster"],
  ],
  run,
};

async function run(args: Parsed): Promise<number> {
  const [name, ...others] = args.positional;
  if (name === undefined) throw new UsageError("to which host? pathos connect HOST");
  if (others.length > 0) {
    throw new UsageError("one host only: start it once for each, or give pools the hosts");
  }
  const host = hostNamed(name, args);
  const workers = wholeNumber("workers", args.text("workers"), 1);
  const interruption = interruptible();
  let server: HostServer;
  try {
    server = await serveOn(host, {
      workers,
      reconnect: args.on("keep"),
      onChange: (state, reason) =>
        say(state === "open" ? `${host.name} is back` : `${host.name} was lost, trying again: ${reason}`),
      signal: interruption.signal,
    });
  } catch (error) {
    if (interruption.status !== undefined) return interruption.status;
    say(failureOn(host, error));
    return 1;
  }
  await stdout.write(args.on("json") ? inJson(server) : inWords(server)).catch(() => {}); // nobody reads it
  const lost = await Promise.race([aborted(interruption.signal).then(() => undefined), server.closed]);
  await server.close();
  interruption.dispose();
  if (lost === undefined) return 0;
  say(`${host.name} was lost: ${lost}`);
  return 1;
}

function inJson({ url, host, facts }: HostServer): string {
  const { workers, cores, runtime, hostname, pid } = facts;
  return JSON.stringify({ url, host, workers, cores, runtime, hostname, pid }) + "\n";
}

function inWords({ url, host, facts, latency }: HostServer): string {
  const workers = `${facts.workers} ${facts.workers === 1 ? "worker" : "workers"}`;
  return `${url}

${workers} on ${host} (${facts.runtime}, ${latency.toFixed(1)} ms away), until Ctrl-C. On this machine:
  new ParallelPool({ servers: ["${url}"] })
  pathos map FILE[:EXPORT] INPUT... --servers '${url}'
`;
}

function say(message: string): void {
  stderr.write(`pathos connect: ${message}\n`);
}
