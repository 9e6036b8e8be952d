/**
 * `pathos tunnel`: forwards over ssh that stay, and come back after the link was lost.
 */
import { stderr, stdout } from "../runtime/mod.ts";
import type { Endpoint } from "../ssh/connection.ts";
import type { Host } from "../ssh/host.ts";
import { Tunnel, type TunnelOptions } from "../ssh/tunnel.ts";
import { type Parsed, UsageError, type Verb } from "./flags.ts";
import { aborted, interruptible } from "./interruption.ts";
import { failureOn, HOST_FLAGS, HOST_FORMS, hostNamed, usage } from "./remote.ts";

/** The verb `tunnel`. */
export const tunnelVerb: Verb = {
  name: "tunnel",
  summary: "Forward ports and sockets to and from a host, and keep them up",
  usage: "tunnel HOST SPEC... [flags]",
  about: `
Each SPEC is one of
  L:LISTEN:TARGET   who connects to LISTEN here gets to TARGET, as seen from the host (ssh -L)
  R:LISTEN:TARGET   who connects to LISTEN on the host gets to TARGET, as seen from here (ssh -R)
  D:LISTEN          a SOCKS proxy listens here; its clients get to wherever the host can (ssh -D)
LISTEN is PORT, ADDRESS:PORT or the absolute path of a unix socket; without an address it is loopback, and port 0
is any free one. TARGET is HOST:PORT, PORT (of the host itself; for R of this machine) or the path of a socket.
IPv6 addresses stand in brackets.

It stays until Ctrl-C. When the link is lost it connects again, and listens where it listened before.
${HOST_FORMS}`,
  flags: {
    local: { value: "SPEC", short: "L", many: true, help: "The same as L:SPEC; may be given several times" },
    remote: { value: "SPEC", short: "R", many: true, help: "The same as R:SPEC" },
    dynamic: { value: "LISTEN", short: "D", many: true, help: "The same as D:LISTEN" },
    reconnect: {
      negatable: true,
      help: "Connect again when the link is lost (default); with --no-reconnect end with status 1",
    },
    ...HOST_FLAGS,
  },
  more: `
When all are in place there is a line for each on standard output, in their order, such as
  L 127.0.0.1:41233 -> localhost:5432
What happens to the link is told on standard error.

Exit status: 0 it was told to end, 1 a forward could not be made or the host was lost for good, 2 a mistake in the
command line.`,
  examples: [
    ["The database of a host, as port 5432 here", "pathos tunnel me@cluster L:5432:localhost:5432"],
    ["A web page of a machine behind it, on any free port", "pathos tunnel me@cluster L:0:intranet:80"],
    ["A service here for programs there, and a SOCKS proxy", "pathos tunnel me@cluster R:9000:9000 D:1080"],
  ],
  run,
};

type Spec = Pick<TunnelOptions, "kind" | "listen" | "target">;

async function run(args: Parsed): Promise<number> {
  const [name, ...written] = args.positional;
  if (name === undefined) throw new UsageError("to which host? pathos tunnel HOST L:PORT:TARGET");
  const specs = [
    ...written,
    ...args.texts("local").map((spec) => `L:${spec}`),
    ...args.texts("remote").map((spec) => `R:${spec}`),
    ...args.texts("dynamic").map((spec) => `D:${spec}`),
  ].map((text) => ({ text, spec: parseSpec(text) }));
  if (specs.length === 0) throw new UsageError("which forward? pathos tunnel HOST L:PORT:TARGET");
  const host = hostNamed(name, args);
  const interruption = interruptible();
  let tellLost: () => void;
  const lost = new Promise<void>((resolve) => tellLost = resolve);
  const tunnels = specs.map(({ text, spec }) =>
    usage(() =>
      new Tunnel({
        ...spec,
        host,
        reconnect: args.on("reconnect"),
        onChange: watcher(host, text, () => !interruption.signal.aborted, () => tellLost()),
      })
    )
  );
  let status = 0;
  try {
    const placed = (async () => {
      for (const tunnel of tunnels) await tunnel.connect();
      await stdout.write(
        tunnels.map((tunnel, i) => describe(specs[i].spec, tunnel.listen!)).join(""),
      ).catch(() => {}); // nobody reads it
    })();
    await Promise.race([aborted(interruption.signal), placed]);
    if (!interruption.signal.aborted) {
      await Promise.race([aborted(interruption.signal), lost]);
      if (!interruption.signal.aborted) status = 1;
    } else placed.catch(() => {}); // it is not waited for
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(error.message);
    say(failureOn(host, error));
    status = 1;
  }
  await Promise.all(tunnels.map((tunnel) => tunnel.disconnect()));
  interruption.dispose();
  return status;
}

/** Tells what happens to a tunnel that was in place. */
function watcher(
  host: Host,
  text: string,
  wanted: () => boolean,
  lost: () => void,
): TunnelOptions["onChange"] {
  let away = false;
  return (state, reason) => {
    if (!wanted()) return;
    if (state === "open") {
      if (away) say(`${text} is back`);
      away = false;
    } else if (state === "reconnecting") {
      away = true;
      say(`${text} was lost, trying again: ${failureOn(host, reason)}`);
    } else if (reason) {
      say(`${text} was lost for good: ${failureOn(host, reason)}`);
      lost();
    }
  };
}

const KINDS = { L: "local", R: "remote", D: "dynamic" } as const;

/**
 * A forward as it is written.
 *
 * @throws {UsageError} If it is none.
 */
export function parseSpec(text: string): Spec {
  const bad = (problem: string): UsageError =>
    new UsageError(
      `the forward ${JSON.stringify(text)} ${problem}, such as L:8080:localhost:80, R:9000:9000 or D:1080`,
    );
  const [, letter, rest] = /^([LRD]):(.+)$/s.exec(text) ?? [];
  if (letter === undefined) throw bad("must begin with L:, R: or D:");
  const kind = KINDS[letter as keyof typeof KINDS];
  const parts = rest.match(/\[[^\]]*\]|\/[^:]*|[^:]+/g) ?? [];
  if (parts.join(":") !== rest) throw bad("has an empty part");
  const ends = readEnds(parts, kind === "dynamic" ? 1 : 2);
  if (!ends) {
    throw bad(kind === "dynamic" ? "needs a port to listen on" : "needs a place to listen and a target");
  }
  const [listen, target] = ends;
  return { kind, listen, target };
}

/** The ends that the parts are, from left to right: a path, a port, or an address and a port. */
function readEnds(parts: readonly string[], count: number): Endpoint[] | undefined {
  const [first, second, ...others] = parts;
  if (count === 0) return first === undefined ? [] : undefined;
  if (first === undefined) return undefined;
  const with_ = (end: Endpoint, rest: readonly string[]): Endpoint[] | undefined => {
    const more = readEnds(rest, count - 1);
    return more && [end, ...more];
  };
  const after = second === undefined ? [] : [second, ...others];
  if (first.startsWith("/")) return with_({ path: first }, after);
  if (isPort(first)) return with_({ port: Number(first) }, after);
  if (second === undefined || !isPort(second)) return undefined;
  return with_({ host: first.replace(/^\[|\]$/g, ""), port: Number(second) }, others);
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) <= 65_535;
}

function describe({ kind, target }: Spec, listen: Endpoint): string {
  const letter = kind![0].toUpperCase();
  const to = target === undefined
    ? "SOCKS"
    : written(target as Endpoint, kind === "remote" ? "" : "localhost");
  return `${letter} ${written(listen, "127.0.0.1")} -> ${to}\n`;
}

function written(end: Endpoint, otherwise: string): string {
  if ("path" in end) return end.path;
  const host = end.host ?? (otherwise || "localhost");
  return `${host.includes(":") ? `[${host}]` : host}:${end.port}`;
}

function say(message: string): void {
  stderr.write(`pathos tunnel: ${message}\n`);
}
