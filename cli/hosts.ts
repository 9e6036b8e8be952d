/**
 * `pathos hosts`: the profiles of hosts.yaml, and whether the hosts can be worked with.
 */
import { stderr, stdout } from "../runtime/mod.ts";
import { Host } from "../ssh/host.ts";
import { hosts as profiles } from "../ssh/hosts_file.ts";
import { duration, type Parsed, UsageError, type Verb, wholeNumber } from "./flags.ts";
import { checkHost, type HostReport } from "./host_check.ts";
import { interruptible } from "./interruption.ts";
import { didYouMean } from "./nearest.ts";
import { HOST_FLAGS, HOST_FORMS, hostsNamed, usage } from "./remote.ts";
import { table } from "./table.ts";

/** Hosts at once, unless `--limit` says otherwise. */
const HOSTS_AT_ONCE = 32;

/** The verb `hosts`. */
export const hostsVerb: Verb = {
  name: "hosts",
  summary: "List the hosts of hosts.yaml, and check whether they can be used",
  usage: "hosts [list|check] [HOST...] [flags]",
  about: `
list (the default) prints the profiles of hosts.yaml: $PATHOS_HOSTS, or pathos/hosts.yaml in your configuration
folder. A profile has the settings of a host:
  gpu1:
    host: me@gpu1.example:2222
    workers: 8
    env: { OMP_NUM_THREADS: "1" }

check connects to all of them, or to those that are named, at the same time, and prints for each
  STATE    ok, or failed and why, in words
  RUNTIME  what workers would run on; - if there is none, and this program's own is sent
  CORES    LOAD: how many there are, and how many processes wanted to run in the last minute
  LATENCY  a round trip over the connection; CONNECT: until it was ready
  THERE    all that a server needs, the runtime alone, or nothing: what is missing is sent by the first pool
It changes nothing there.
${HOST_FORMS}`,
  flags: {
    timeout: {
      value: "TIME",
      help: "A host must be connected within this time (default: 15s, or its profile's)",
    },
    limit: { value: "N", help: `At most so many hosts at once (default: ${HOSTS_AT_ONCE})` },
    json: { help: "Print JSON: an array with an object for each host, times in milliseconds" },
    ...HOST_FLAGS,
  },
  more: `
Exit status: 0 all is well, 1 a host failed the check, 2 a mistake in the command line or in hosts.yaml.`,
  examples: [
    ["Can all my hosts be used?", "pathos hosts check"],
    ["These two", "pathos hosts check me@node1 me@node2:2222"],
    ["The names of those that can", "pathos hosts check --json | jq -r '.[] | select(.ok) | .host'"],
  ],
  run,
};

async function run(args: Parsed): Promise<number> {
  const [what = "list", ...names] = args.positional;
  if (what === "list") return await list(names, args);
  if (what === "check") return await check(names, args);
  const meant = didYouMean(what, ["list", "check"]);
  throw new UsageError(
    `hosts can list and check, not ${what}${meant || `; did you mean hosts check ${what}?`}`,
  );
}

async function list(names: readonly string[], args: Parsed): Promise<number> {
  const all = usage(() => profiles.all());
  const unknown = names.find((name) => !Object.hasOwn(all, name));
  if (unknown !== undefined) {
    throw new UsageError(
      `there is no ${unknown} in ${profiles.path()}${didYouMean(unknown, Object.keys(all))}`,
    );
  }
  const chosen = (names.length > 0 ? names : Object.keys(all)).map((alias) => {
    const host = usage(() => Host.from(alias));
    const { workers, runtime, launcher, transport } = host;
    return { alias, host: `${host}`, workers, runtime, launcher, transport };
  });
  if (args.on("json")) {
    await print(JSON.stringify(chosen) + "\n");
    return 0;
  }
  if (chosen.length === 0) {
    say(`there are no hosts in ${profiles.path()}; pathos hosts --help shows how to write it`);
  } else {
    await print(table([
      ["ALIAS", "HOST", "WORKERS", "RUNTIME"],
      ...chosen.map((
        { alias, host, workers, runtime },
      ) => [alias, host, workers ?? "cores", runtime ?? "found"]),
    ]));
  }
  return 0;
}

async function check(names: readonly string[], args: Parsed): Promise<number> {
  const chosen = names.length > 0 ? names : Object.keys(usage(() => profiles.all()));
  if (chosen.length === 0) {
    throw new UsageError(`which hosts? There are none in ${profiles.path()}: pathos hosts check HOST...`);
  }
  const connectTimeout = duration("timeout", args.text("timeout"));
  const limit = wholeNumber("limit", args.text("limit"), 1) ?? HOSTS_AT_ONCE;
  const hosts = hostsNamed(chosen, args).map((host) =>
    connectTimeout === undefined ? host : host.with({ connectTimeout: Math.ceil(connectTimeout) })
  );
  const interruption = interruptible();
  const interrupted = new Promise<undefined>((resolve) =>
    interruption.signal.addEventListener("abort", () => resolve(undefined))
  );
  const reports = await Promise.race([interrupted, inParallel(hosts, limit)]);
  interruption.dispose();
  if (!reports) return interruption.status!;
  await print(args.on("json") ? JSON.stringify(reports) + "\n" : inWords(reports));
  return reports.every(({ ok }) => ok) ? 0 : 1;
}

async function inParallel(hosts: readonly Host[], limit: number): Promise<HostReport[]> {
  const reports: HostReport[] = [];
  const waiting = hosts.entries();
  const next = async () => {
    for (const [i, host] of waiting) reports[i] = await checkHost(host);
  };
  await Promise.all(Array.from({ length: Math.min(limit, hosts.length) }, next));
  return reports;
}

function inWords(reports: readonly HostReport[]): string {
  const rows = reports.map((report) => {
    const { host, ok, error, runtime, cores, load, latency, connect, there } = report;
    const times = [latency, connect].map((time) => time === undefined ? undefined : `${time.toFixed(1)} ms`);
    return ok
      ? [host, "ok", runtime ?? "-", cores ?? "-", load ?? "-", times[0]!, times[1]!, there!]
      : [host, `failed  ${error!.startsWith(`${host}: `) ? error!.slice(host.length + 2) : error}`];
  });
  return table([["HOST", "STATE", "RUNTIME", "CORES", "LOAD", "LATENCY", "CONNECT", "THERE"], ...rows]);
}

async function print(text: string): Promise<void> {
  await stdout.write(text).catch((error) => {
    if (error.code !== "EPIPE") throw error; // the reader has seen enough
  });
}

function say(message: string): void {
  stderr.write(`pathos hosts: ${message}\n`);
}
