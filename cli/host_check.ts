/**
 * What is to be known of a host before work is given to it. One connection, one small script there, which
 * changes nothing; then a few bytes to and fro, to see how far away it is.
 */
import type { Connection, RemoteStatus } from "../ssh/connection.ts";
import { SshError } from "../ssh/connection.ts";
import type { Host } from "../ssh/host.ts";
import { connectTo } from "../ssh/shared.ts";
import { lookScript } from "../map/deploy.ts";
import { runsOn } from "../map/provision.ts";
import { failureOn } from "./remote.ts";

/** Milliseconds that the script and the round trips may take. */
const LOOK_MS = 15_000;
/** Round trips of which the middle one counts. */
const TRIPS = 5;

/** What was found. Times are in milliseconds. */
export interface HostReport {
  host: string;
  /** Whether a pool can work there. */
  ok: boolean;
  /** Why not, in words. */
  error?: string;
  /** Until the connection was ready. */
  connect?: number;
  /** A round trip over it. */
  latency?: number;
  /** Such as `"Linux x86_64"`. */
  system?: string;
  cores?: number;
  /** Processes that want to run, on average over the last minute. */
  load?: number;
  /** Such as `"deno 2.9.6"`. */
  runtime?: string;
  /** What a server needs and is there: everything, the runtime alone, or nothing (then both are sent). */
  there?: "all" | "runtime" | "nothing";
}

/** Looks at a host. Never throws: what goes wrong is the report's error. */
export async function checkHost(host: Host): Promise<HostReport> {
  const report: HostReport = { host: host.name, ok: false };
  try {
    const began = performance.now();
    const { connection, release } = await connectTo(host);
    try {
      report.connect = round(performance.now() - began);
      const { facts, latency } = await look(connection, host);
      report.latency = round(latency);
      Object.assign(report, understand(facts));
      report.error = problem(host, report);
      report.ok = report.error === undefined;
    } finally {
      await release();
    }
  } catch (error) {
    report.error = failureOn(host, error);
  }
  return report;
}

const FACTS = `
echo "system $(uname -s) $(uname -m)"
echo "cores $(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)"
echo "load $(cut -d ' ' -f 1 /proc/loadavg 2>/dev/null || uptime | sed 's/.*: *//; s/[, ].*//')"
echo end
exec cat
`;

/** Runs the script. Its end is \`cat\`, which gives back what it is sent. */
function look(
  connection: Connection,
  { runtime, env }: Host,
): Promise<{ facts: Map<string, string>; latency: number }> {
  return new Promise((resolve, reject) => {
    const facts = new Map<string, string>();
    const trips: number[] = [];
    const decoder = new TextDecoder();
    let text = "", errors = "", sent: number | undefined;
    const silence = setTimeout(() => {
      process.kill("SIGKILL");
      reject(new Error(`it did not answer within ${LOOK_MS / 1000} s`));
    }, LOOK_MS);
    const there = (): void => {
      if (sent !== undefined) trips.push(performance.now() - sent);
      if (trips.length === TRIPS) return process.closeInput();
      sent = performance.now();
      process.write(new TextEncoder().encode("\n"));
    };
    const line = (line: string): void => {
      const [, name, value] = /^(\S+) (.*)$/.exec(line) ?? [];
      if (sent !== undefined || line === "end") there();
      else if (name) facts.set(name, value);
    };
    const ended = (end: RemoteStatus | SshError): void => {
      clearTimeout(silence);
      if (end instanceof SshError) reject(end);
      else if (trips.length < TRIPS) {
        reject(new Error(`its sh ended with ${end.signal ?? end.code}: ${errors.trim()}`));
      } else resolve({ facts, latency: trips.sort((a, b) => a - b)[TRIPS >> 1] });
    };
    const process = connection.run(lookScript(runtime) + FACTS, {
      stdout(bytes) {
        const lines = (text + decoder.decode(bytes, { stream: true })).split("\n");
        text = lines.pop()!;
        lines.forEach(line);
      },
      stderr: (bytes) => void (errors = (errors + new TextDecoder().decode(bytes)).slice(-1000)),
      exit: ended,
    }, { env });
  });
}

function understand(facts: Map<string, string>): Partial<HostReport> {
  const number = (name: string): number | undefined => {
    const value = Number.parseFloat(facts.get(name) ?? "");
    return Number.isFinite(value) ? value : undefined;
  };
  const version = facts.get("version");
  const [, deno] = /^deno (\d+\S*)/.exec(version ?? "") ?? [];
  const [, node] = /^v(\d+\S*)/.exec(version ?? "") ?? [];
  return {
    system: facts.get("system"),
    cores: number("cores"),
    load: number("load"),
    runtime: deno ? `deno ${deno}` : node ? `node ${node}` : version,
    there: version === undefined ? "nothing" : facts.has("kept") ? "all" : "runtime",
  };
}

/** Why a pool could not work there, if so. */
function problem(host: Host, { runtime, system = "" }: HostReport): string | undefined {
  if (runtime === undefined) {
    if (host.runtime !== undefined) {
      return `${host.name}: there is no ${host.runtime}, which its profile names as runtime`;
    }
    const [name, processor] = system.split(" ");
    if (runsOn(name, processor)) return undefined; // ours is sent
    return `${host.name}: there is neither deno nor node, and this program does not run on its ${system}: ` +
      "install Deno there, or name the path of one as runtime in hosts.yaml";
  }
  const [, name, major, minor] = /^(deno|node) (\d+)\.(\d+)/.exec(runtime) ?? [];
  if (name === undefined) return `${host.name}: its runtime is neither deno nor node; it says ${runtime}`;
  const [least, leastMinor] = name === "deno" ? [2, 0] : [20, 16];
  if (Number(major) > least || (Number(major) === least && Number(minor) >= leastMinor)) return undefined;
  return `${host.name}: its ${runtime} is too old, ${name} ${least}.${leastMinor} or newer is needed: update it, ` +
    "or name the path of a newer one as runtime in hosts.yaml";
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 10) / 10;
}
