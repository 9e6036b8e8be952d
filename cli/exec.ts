/**
 * `pathos exec`: a command on one host, as if it ran here (input, output byte by byte, exit status), or on many
 * at once, line by line with the host's name before each line.
 */
import { builtin, stderr, stdinBytes, stdout } from "../runtime/mod.ts";
import { execute } from "../ssh/execute.ts";
import type { Host } from "../ssh/host.ts";
import { duration, type Parsed, UsageError, variables, type Verb, wholeNumber } from "./flags.ts";
import { interruptible, type Interruption } from "./interruption.ts";
import { lineOutput } from "./output.ts";
import { failureOn, HOST_FLAGS, HOST_FORMS, hostsNamed } from "./remote.ts";

/** Hosts at once, unless `--limit` says otherwise. */
const HOSTS_AT_ONCE = 32;
/** Exit status where the command took too long, as timeout(1) has it. */
const TIMED_OUT = 124;
/** Exit status where there is none from the command, as ssh(1) has it. */
const NO_STATUS = 255;

/** The verb `exec`. */
export const execVerb: Verb = {
  name: "exec",
  summary: "Run a command on one host, or on many at once",
  usage: "exec HOST... [flags] -- COMMAND [ARGUMENT...]",
  about: `
COMMAND and its arguments reach the program exactly as they are, whatever is in them. One word alone is a line for
sh there, with pipes, variables and all: quote it.

On one host the command has this standard input and output, and its exit status is that of this program. On
several, it has no input, and each line it prints comes with the host's name before it.
${HOST_FORMS}`,
  flags: {
    limit: { value: "N", help: `At most so many hosts at once (default: ${HOSTS_AT_ONCE})` },
    timeout: {
      value: "TIME",
      help: "A command that takes longer is ended, connecting included: 30s, 5m (default: no limit)",
    },
    cwd: { value: "FOLDER", help: "Run it in this folder; ~ is the home folder there (default: ~)" },
    env: { value: "NAME=VALUE", many: true, help: "Set a variable for it; may be given several times" },
    ...HOST_FLAGS,
  },
  takesRest: true,
  more: `
Ctrl-C ends the command on the hosts (SIGTERM, and SIGKILL two seconds later). So does the loss of the connection.

Exit status, one host: that of the command, 128 + N if signal N ended it, ${TIMED_OUT} if it took too long, ${NO_STATUS} if the
host could not be reached or was lost. Several hosts: 0 if that of all was 0, else 1. Always: 2 for a mistake in
the command line, 130 after Ctrl-C.`,
  examples: [
    ["How long is it up?", "pathos exec me@cluster -- uptime"],
    ["A shell line on three hosts", "pathos exec node1 node2 node3 -- 'df -h /tmp | tail -1'"],
    ["A folder through a pipe", "tar c data | pathos exec me@cluster -- tar x -C '/srv/my data'"],
  ],
  run,
};

async function run(args: Parsed): Promise<number> {
  const { positional, rest } = args;
  if (positional.length === 0) throw new UsageError("on which host? pathos exec HOST... -- COMMAND");
  if (rest === undefined || rest.length === 0) {
    throw new UsageError("which command? It goes behind --: pathos exec HOST... -- COMMAND");
  }
  const hosts = hostsNamed(positional, args);
  const limit = wholeNumber("limit", args.text("limit"), 1) ?? HOSTS_AT_ONCE;
  const options: Options = {
    cwd: args.text("cwd"),
    env: variables("env", args.texts("env")),
    timeout: duration("timeout", args.text("timeout")),
  };
  const command = rest.length === 1 ? rest[0] : rest;
  const stop = new AbortController();
  const interruption = interruptible(stop);
  try {
    return hosts.length === 1
      ? await onOne(hosts[0], command, options, interruption, stop)
      : await onMany(hosts, command, options, limit, interruption, stop);
  } finally {
    interruption.dispose();
  }
}

type Command = string | readonly string[];

interface Options {
  cwd: string | undefined;
  env: Record<string, string>;
  timeout: number | undefined;
}

async function onOne(
  host: Host,
  command: Command,
  options: Options,
  interruption: Interruption,
  stop: AbortController,
): Promise<number> {
  const { signal } = interruption;
  let unread = false;
  const write = (bytes: Uint8Array): Promise<void> =>
    stdout.write(bytes).catch((error) => {
      if (error.code !== "EPIPE") throw error;
      unread = true;
      stop.abort(); // as SIGPIPE would
    });
  try {
    const { code, signal: killer } = await execute(command, {
      ...options,
      host,
      signal,
      encoding: "bytes",
      stdin: stdinBytes(),
      onStdout: write,
      onStderr: (bytes) => stderr.write(bytes),
    });
    return code ?? 128 + signalNumber(killer!);
  } catch (error) {
    if (interruption.status !== undefined) return interruption.status;
    if (unread) return 0;
    return fail(host, error);
  }
}

async function onMany(
  hosts: readonly Host[],
  command: Command,
  options: Options,
  limit: number,
  interruption: Interruption,
  stop: AbortController,
): Promise<number> {
  const { signal } = interruption;
  const output = lineOutput(() => stop.abort());
  let failed = false;
  const one = async (host: Host): Promise<void> => {
    const out = lines((line) => output.line(`${host.name}: ${line}`));
    const err = lines((line) => stderr.write(`${host.name}: ${line}\n`));
    let how: string | undefined;
    try {
      const { code, signal: killer } = await execute(command, {
        ...options,
        host,
        signal,
        onStdout: out.push,
        onStderr: err.push,
      });
      if (code !== 0) how = killer ? `was ended by ${killer}` : `exit status ${code}`;
    } catch (error) {
      if (signal.aborted) return;
      failed = true;
      fail(host, error);
    } finally {
      await out.end();
      await err.end();
    }
    if (how === undefined) return;
    failed = true;
    say(`${host.name}: ${how}`);
  };
  const waiting = hosts.values();
  const next = async () => {
    for (const host of waiting) if (!signal.aborted) await one(host);
  };
  await Promise.all(Array.from({ length: Math.min(limit, hosts.length) }, next));
  await output.flush();
  return interruption.status ?? (failed ? 1 : 0);
}

/** Says why there is no exit status, and gives the one that stands for that. */
function fail(host: Host, error: unknown): number {
  say(failureOn(host, error));
  return (error as Error).name === "TimeoutError" ? TIMED_OUT : NO_STATUS;
}

/** Puts lines together from pieces of text. What comes last need not end in a line end. */
function lines(give: (line: string) => void | Promise<void>): {
  push(text: string): Promise<void>;
  end(): Promise<void>;
} {
  let rest = "";
  return {
    async push(text) {
      const whole = (rest + text).split("\n");
      rest = whole.pop()!;
      for (const line of whole) await give(line.replace(/\r$/, ""));
    },
    async end() {
      if (rest !== "") await give(rest);
      rest = "";
    },
  };
}

function signalNumber(name: string): number {
  const { signals } = builtin<{ constants: { signals: Record<string, number> } }>("node:os").constants;
  return signals[name] ?? 0;
}

function say(message: string): void {
  stderr.write(`pathos exec: ${message}\n`);
}
