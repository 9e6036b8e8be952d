/**
 * Runs commands to their end, here or on hosts, and gives what they said and how they ended. Arguments given as
 * a list reach the program exactly as they are; a string is a line for a POSIX `sh`. A command is run at most
 * once: one that the link was lost under is an error, and what it did by then it did.
 */
import { concat } from "../runtime/mod.ts";
import type { Connection, RemoteProcess, RemoteStatus } from "./connection.ts";
import { SshError } from "./connection.ts";
import { checkEnv, Host, type HostOptions } from "./host.ts";
import { startLocal } from "./local_command.ts";
import { quote } from "./quote.ts";
import { connectTo, type Lease } from "./shared.ts";

/** What names a host: as written, as options, or a {@linkcode Host}. */
export type HostLike = string | HostOptions | Host;

/** What a command reads as its standard input. */
export type CommandInput =
  | string
  | Uint8Array
  | AsyncIterable<Uint8Array | string>
  | Iterable<Uint8Array | string>;

/** What {@linkcode execute} may be told besides the command and where. */
export interface CommandOptions {
  /** Standard input. Default: empty. */
  stdin?: CommandInput;
  /** Variables added to its environment; other users of the host cannot see them. */
  env?: Readonly<Record<string, string>>;
  /** Folder to run in; on a host, `~` at its beginning is the home folder there. Default: the current one; the home folder. */
  cwd?: string;
  /** Milliseconds it may take, connecting included; then it is ended there, and the promise rejects. Default: no limit. */
  timeout?: number;
  /** Ends it (SIGTERM, and SIGKILL two seconds later); the promise rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Reject with a {@linkcode CommandError} when it does not end with code 0. Default: false. */
  check?: boolean;
}

/** {@linkcode CommandOptions} for output as text. */
export interface TextOptions extends CommandOptions {
  /** Output is UTF-8 text, the default; wrong bytes become U+FFFD. */
  encoding?: "utf8";
  /** Gets output as it comes, instead of the result; a promise delays the next. */
  onStdout?: (text: string) => void | Promise<void>;
  /** The same for standard error. */
  onStderr?: (text: string) => void | Promise<void>;
}

/** {@linkcode CommandOptions} for output as bytes. */
export interface BytesOptions extends CommandOptions {
  /** Output is bytes, unchanged. */
  encoding: "bytes";
  /** Gets output as it comes, instead of the result; a promise delays the next. */
  onStdout?: (bytes: Uint8Array) => void | Promise<void>;
  /** The same for standard error. */
  onStderr?: (bytes: Uint8Array) => void | Promise<void>;
}

/** How a command ended and what it said: `T` is string, or Uint8Array with `encoding: "bytes"`. */
export interface CommandResult<T = string> {
  /** Exit code, or null if a signal ended it. */
  code: number | null;
  /** The signal that ended it, such as `"SIGTERM"`, or null. */
  signal: string | null;
  /** Standard output; empty with `onStdout`. */
  stdout: T;
  /** Standard error; empty with `onStderr`. */
  stderr: T;
}

/** What came of a command on one of several hosts: a result, or the error that kept it from one. */
export type HostResult<T = string> =
  | { host: string; result: CommandResult<T>; error?: undefined }
  | { host: string; result?: undefined; error: Error };

/** A command did not end with code 0, and `check` was set. */
export class CommandError extends Error {
  /** The name of the class. */
  override name = "CommandError";
  /** How it ended. */
  readonly result: CommandResult<string | Uint8Array>;

  /** Makes one; `where` is empty for this machine. */
  constructor(command: string, where: string, result: CommandResult<string | Uint8Array>) {
    const how = result.signal ? `was ended by ${result.signal}` : `ended with code ${result.code}`;
    const said = (typeof result.stderr === "string" ? result.stderr : new TextDecoder().decode(result.stderr))
      .trim();
    super(`${where && `${where}: `}${shorten(command)} ${how}${said && `: ${said.slice(-1000)}`}`);
    this.result = result;
  }
}

/** How many hosts run a command at once, unless `limit` says otherwise. */
const HOSTS_AT_ONCE = 32;
/** Milliseconds between SIGTERM and SIGKILL, and between that and giving up on an answer. */
const GRACE = 2_000;

/**
 * Runs a command on this machine, or with `host` on a host, and resolves when it has ended; with `hosts` on several at
 * once (at most `limit`, by default 32), giving results in the order of the hosts, and errors with them.
 *
 * @throws {SshError} If the host cannot be reached, or the link was lost while it ran.
 * @throws {CommandError} With `check`, if it did not end with code 0.
 * @throws {DOMException} Named `TimeoutError`, if it took longer than `timeout`.
 *
 * @example
 * ```ts
 * import { execute } from "@pathos/pathos/ssh";
 * import { assertEquals } from "@std/assert";
 *
 * const { code, stdout } = await execute(["printf", "%s|", "a  b", "$HOME"]);
 * assertEquals([code, stdout], [0, "a  b|$HOME|"]);
 * assertEquals((await execute("sort", { stdin: "b\na\n" })).stdout, "a\nb\n");
 * ```
 *
 * @example On hosts
 * ```ts ignore
 * import { execute } from "@pathos/pathos/ssh";
 *
 * console.log((await execute("uptime", { host: "me@cluster" })).stdout);
 * for (const { host, result, error } of await execute("nproc", { hosts: ["node1", "node2"] })) {
 *   console.log(host, result?.stdout.trim() ?? error?.message);
 * }
 * ```
 */
export function execute(
  command: string | readonly string[],
  options?: TextOptions & { host?: HostLike; hosts?: undefined },
): Promise<CommandResult<string>>;
/** Runs a command and gives its output as bytes. */
export function execute(
  command: string | readonly string[],
  options: BytesOptions & { host?: HostLike; hosts?: undefined },
): Promise<CommandResult<Uint8Array>>;
/** Runs a command on several hosts. */
export function execute(
  command: string | readonly string[],
  options: TextOptions & { hosts: readonly HostLike[]; limit?: number; host?: undefined },
): Promise<HostResult<string>[]>;
/** Runs a command on several hosts and gives its output as bytes. */
export function execute(
  command: string | readonly string[],
  options: BytesOptions & { hosts: readonly HostLike[]; limit?: number; host?: undefined },
): Promise<HostResult<Uint8Array>[]>;
export async function execute(
  command: string | readonly string[],
  options: (TextOptions | BytesOptions) & { host?: HostLike; hosts?: readonly HostLike[]; limit?: number } =
    {},
): Promise<unknown> {
  const { host, hosts, limit = HOSTS_AT_ONCE, ...rest } = options;
  if (hosts) return await onHosts(command, hosts, limit, rest);
  if (host === undefined) return await executeWith(undefined, command, rest);
  return await executeOn(Host.from(host), command, rest);
}

async function onHosts(
  command: string | readonly string[],
  hosts: readonly HostLike[],
  limit: number,
  options: TextOptions | BytesOptions,
): Promise<HostResult<unknown>[]> {
  const { stdin } = options;
  if (
    hosts.length > 1 && stdin !== undefined && typeof stdin !== "string" && !(stdin instanceof Uint8Array)
  ) {
    throw new TypeError(
      "execute: a stream can be the input of one host only; give several a string or bytes",
    );
  }
  const all = hosts.map((host) => Host.from(host));
  const results: HostResult<unknown>[] = new Array(all.length);
  let next = 0;
  const one = async () => {
    for (let i = next++; i < all.length; i = next++) {
      const host = all[i].name;
      try {
        results[i] = { host, result: await executeOn(all[i], command, options) };
      } catch (error) {
        options.signal?.throwIfAborted();
        results[i] = { host, error: error instanceof Error ? error : new Error(String(error)) };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, Math.min(limit, all.length)) }, one));
  return results;
}

async function executeOn(
  host: Host,
  command: Command,
  options: TextOptions | BytesOptions,
): Promise<CommandResult<unknown>> {
  const began = performance.now();
  const opening = connectTo(host);
  const lease = await new Promise<Lease>((resolve, reject) => {
    const calm = patience(options, host.name, command, (reason) => {
      reject(reason);
      opening.then(({ release }) => release(), () => {});
    });
    opening.then(resolve, reject).finally(calm);
  });
  try {
    const timeout = options.timeout && Math.max(1, options.timeout - (performance.now() - began));
    return await executeWith(lease.connection, command, { ...options, timeout });
  } finally {
    await lease.release();
  }
}

/** Calls `stop` once, when the time is over or the signal aborts. Gives what ends the watch. */
function patience(
  { timeout, signal }: CommandOptions,
  where: string,
  command: Command,
  stop: (reason: unknown) => void,
): () => void {
  const expire = () =>
    stop(
      new DOMException(
        `${where && `${where}: `}${shorten(textOf(command))} took longer than its limit of ${
          Math.round(timeout!)
        } ms`,
        "TimeoutError",
      ),
    );
  const timer = timeout === undefined ? undefined : setTimeout(expire, timeout);
  const abort = () => stop(signal!.reason);
  if (signal?.aborted) queueMicrotask(abort);
  else signal?.addEventListener("abort", abort);
  return () => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  };
}

/** Runs a command over a connection, or on this machine without one. */
export async function executeWith(
  connection: Connection | undefined,
  command: Command,
  options: TextOptions | BytesOptions,
): Promise<CommandResult<unknown>> {
  if (command.length === 0) throw new TypeError("execute: the command is empty");
  const where = connection?.host.name ?? "";
  const env = { ...connection?.host.env, ...options.env };
  checkEnv(env, where || "execute");
  options.signal?.throwIfAborted();
  const out = collector(options.encoding, options.onStdout as Give<unknown> | undefined);
  const err = collector(options.encoding, options.onStderr as Give<unknown> | undefined);
  const timers: ReturnType<typeof setTimeout>[] = [];
  let stopped: { reason: unknown } | undefined;
  let calm = () => {};
  try {
    const end = await new Promise<RemoteStatus | SshError>((resolve, reject) => {
      const stop = (reason: unknown) => {
        if (stopped) return;
        stopped = { reason };
        process.kill("SIGTERM");
        timers.push(setTimeout(() => process.kill("SIGKILL"), GRACE));
        timers.push(setTimeout(() => reject(reason), 2 * GRACE)); // the link is frozen: no end will be heard of
      };
      const reading = (give: Give<Uint8Array>) => (bytes: Uint8Array): void | Promise<void> => {
        if (stopped) return undefined;
        try {
          return give(bytes)?.catch(stop);
        } catch (reason) {
          return stop(reason);
        }
      };
      const events = { stdout: reading(out.give), stderr: reading(err.give), exit: resolve };
      const process = connection
        ? connection.run(remoteLine(command, options.cwd), events, { env })
        : startLocal(command, events, { env, cwd: options.cwd });
      calm = patience(options, where, command, stop);
      feed(process, options.stdin ?? "").catch(stop);
    });
    if (stopped) throw (stopped as { reason: unknown }).reason;
    if (end instanceof SshError) throw end;
    const result = { ...end, stdout: await out.end(), stderr: await err.end() };
    if (options.check && result.code !== 0) throw new CommandError(textOf(command), where, result);
    return result;
  } finally {
    calm();
    for (const timer of timers) clearTimeout(timer);
  }
}

type Command = string | readonly string[];
type Give<T> = (piece: T) => void | Promise<void>;

/** The line that runs a command on a host: a list replaces the shell, so that signals and codes are the program's own. */
export function remoteLine(command: Command, cwd?: string): string {
  const line = typeof command === "string" ? command : `exec ${quote(command)}`;
  if (cwd === undefined) return line;
  const [, home, rest] = /^(~\/?)?(.*)$/s.exec(cwd)!;
  return `cd ${home === undefined ? quote(rest) : `"$HOME"/${quote(rest)}`} || exit\n${line}`;
}

async function feed(process: RemoteProcess, input: CommandInput): Promise<void> {
  const utf8 = new TextEncoder();
  const pieces = typeof input === "string" || input instanceof Uint8Array ? [input] : input;
  try {
    for await (const piece of pieces) {
      if (piece.length > 0) await process.write(typeof piece === "string" ? utf8.encode(piece) : piece);
    }
  } finally {
    process.closeInput();
  }
}

/** Takes the pieces of a stream: hands them on as text or bytes, or keeps them for the result. */
function collector(encoding: "utf8" | "bytes" | undefined, onPiece: Give<unknown> | undefined) {
  const bytes = encoding === "bytes";
  const decoder = new TextDecoder();
  const kept: Uint8Array[] = [];
  return {
    give(piece: Uint8Array): void | Promise<void> {
      if (!onPiece) return void kept.push(piece);
      const given = bytes ? piece : decoder.decode(piece, { stream: true });
      if (given.length > 0) return onPiece(given);
    },
    async end(): Promise<string | Uint8Array> {
      const rest = decoder.decode();
      if (onPiece && rest !== "") await onPiece(rest);
      const all = concat(kept);
      return bytes ? all : new TextDecoder().decode(all);
    },
  };
}

function textOf(command: Command): string {
  return typeof command === "string" ? command : quote(command);
}

function shorten(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}
