/**
 * Which runtime this is, and the few facts about the process and the machine that the rest asks for.
 * `node:` builtins are reached synchronously and without static imports, because the worker program that
 * contains this file starts as a plain script with no loader beside it. Nothing here runs at import time
 * except the question "Deno or Node?".
 */

interface DenoLike {
  version: { deno: string };
  build: { os: string; standalone?: boolean };
  pid: number;
  args: string[];
  mainModule: string;
  execPath(): string;
  readTextFileSync(path: string): string;
  exit(code?: number): never;
  memoryUsage(): { rss: number; heapUsed: number };
}

interface ProcessLike {
  pid: number;
  argv: string[];
  execPath: string;
  platform: string;
  arch: string;
  versions: Record<string, string>;
  env: Record<string, string | undefined>;
  stdout: {
    write(data: string | Uint8Array, done?: (error?: Error | null) => void): boolean;
    on(event: "error", listener: () => void): unknown;
  };
  stderr: { write(data: string | Uint8Array): boolean; isTTY?: boolean; columns?: number };
  stdin: AsyncIterable<Uint8Array>;
  exit(code?: number): never;
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  removeListener(event: string, listener: (...args: unknown[]) => void): unknown;
  getBuiltinModule?(name: string): unknown;
  memoryUsage(): { rss: number; heapUsed: number };
}

const deno = (globalThis as { Deno?: DenoLike }).Deno;
// Read when needed: in a Deno worker the first look at `process` sets up the Node layer, which takes some 10 ms.
const node = (): ProcessLike => (globalThis as unknown as { process: ProcessLike }).process;

/** The runtime that executes this code. */
export const runtimeName: "deno" | "node" = deno ? "deno" : "node";

/** The other one, which can run the worker program as well. */
export const otherRuntime: "deno" | "node" = deno ? "node" : "deno";

/** Version of the runtime, such as `"2.9.6"` (Deno) or `"20.20.2"` (Node). */
export function runtimeVersion(): string {
  return deno ? deno.version.deno : node().versions.node;
}

/** Process id. */
export function processId(): number {
  return deno ? deno.pid : node().pid;
}

/** Name of this machine. */
export function hostname(): string {
  return builtin<{ hostname(): string }>("node:os").hostname();
}

/** A secret of so many random bits, as text for URLs. */
export function newToken(bits = 192): string {
  const bytes = crypto.getRandomValues(new Uint8Array(bits / 8));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** Path of the runtime's own program. */
export function execPath(): string {
  return deno ? deno.execPath() : node().execPath;
}

/** Operating system, in Node's words: `"linux"`, `"darwin"`, `"win32"`. */
export function platform(): string {
  const os = deno ? deno.build.os : node().platform;
  return os === "windows" ? "win32" : os;
}

/** Processor, in Node's words: `"x64"`, `"arm64"`. */
export function arch(): string {
  return node().arch;
}

/**
 * A builtin module such as `"node:vm"`, synchronously.
 *
 * @throws {Error} If this runtime cannot hand out builtins synchronously (Node before 20.16).
 */
export function builtin<T = unknown>(name: string): T {
  const get = node().getBuiltinModule;
  if (!get) {
    throw new Error(`${name} is not to be had synchronously here: Node 20.16 or newer, or Deno 2, is needed`);
  }
  const found = get.call(node(), name);
  if (found === undefined) throw new Error(`this runtime has no builtin module ${name}`);
  return found as T;
}

/** URL of the program's entry module (`"file:///home/me/script.ts"`), or undefined in a REPL, `eval` or worker. */
export function mainModule(): string | undefined {
  if (deno) {
    try {
      return deno.mainModule;
    } catch {
      return undefined; // needs read permission in some versions
    }
  }
  const path = node().argv[1];
  if (!path) return undefined;
  return builtin<{ pathToFileURL(path: string): URL }>("node:url").pathToFileURL(path).href;
}

/** The words that start this program once more, with all permissions; its arguments are to follow. */
export function programCommand(): string[] {
  const main = mainModule();
  if (deno?.build.standalone || main === undefined) return [execPath()];
  const { fileURLToPath } = builtin<{ fileURLToPath(url: string): string }>("node:url");
  const path = main.startsWith("file:") ? fileURLToPath(main) : main;
  return deno ? [execPath(), "run", "-A", "--quiet", path] : [execPath(), path];
}

/** Arguments given to the program. */
export function programArgs(): string[] {
  return deno ? deno.args : node().argv.slice(2);
}

/** An environment variable, or undefined when it is not set or reading it is not permitted. */
export function env(name: string): string | undefined {
  try {
    return node().env[name];
  } catch {
    return undefined;
  }
}

/** Ends this process. */
export function exit(code: number): never {
  return deno ? deno.exit(code) : node().exit(code);
}

/** Bytes of memory this process holds: resident, and used JavaScript heap. */
export function memoryUsage(): { rss: number; heapUsed: number } {
  return (deno ?? node()).memoryUsage();
}

/** Cores this process may use: CPU affinity and cgroup quota counted, at least 1. */
export function cpuCount(): number {
  const hint = deno
    ? (globalThis as { navigator?: { hardwareConcurrency?: number } }).navigator?.hardwareConcurrency ?? 1
    : builtin<{ availableParallelism(): number }>("node:os").availableParallelism();
  const quota = readText("/sys/fs/cgroup/cpu.max")?.match(/^(\d+) (\d+)/);
  const limit = quota ? Math.ceil(Number(quota[1]) / Number(quota[2])) : Infinity;
  return Math.max(1, Math.min(hint, limit));
}

/** Resident memory of another process in bytes, or undefined where the system does not tell (not Linux, or gone). */
export function residentMemory(pid: number): number | undefined {
  const pages = readText(`/proc/${pid}/statm`)?.split(" ")[1];
  return pages === undefined ? undefined : Number(pages) * 4096;
}

/** When a process began, in units of the system's since it was booted; undefined where the system does not tell (not Linux, or gone). */
export function processStart(pid: number): string | undefined {
  // "pid (name) state parent ...": the name may contain anything
  return readText(`/proc/${pid}/stat`)?.replace(/^.*\) /s, "").split(" ")[19];
}

function readText(path: string): string | undefined {
  try {
    if (deno) return deno.readTextFileSync(path); // loading node:fs would take longer than all the rest
    return builtin<{ readFileSync(path: string, encoding: string): string }>("node:fs").readFileSync(
      path,
      "utf8",
    );
  } catch {
    return undefined; // not Linux, or not permitted: the caller falls back
  }
}

/**
 * Calls `listener` when the process gets `signal` (`"SIGINT"`, `"SIGTERM"`, ...); the default action no
 * longer happens. The listener does not keep the process alive.
 *
 * @returns A function that removes the listener.
 */
export function onSignal(signal: string, listener: () => void): () => void {
  const wrapped = () => listener();
  node().on(signal, wrapped);
  return () => void node().removeListener(signal, wrapped);
}

/** Standard error: progress lines, warnings. Synchronous. */
export const stderr = {
  /** Whether a person looks at it. */
  isTerminal: (): boolean => node().stderr.isTTY === true,
  /** Width in characters; 80 where it is not a terminal. */
  columns: (): number => node().stderr.columns ?? 80,
  /** Writes text or bytes as they are. */
  write: (data: string | Uint8Array): void => void node().stderr.write(data),
};

let listening = false;

/** Standard output, in order and with back-pressure. */
export const stdout = {
  /**
   * Writes text or bytes as they are; resolves when the system took them.
   *
   * @throws {Error} With code `EPIPE` if the reader has gone.
   */
  write: (data: string | Uint8Array): Promise<void> =>
    new Promise((resolve, reject) => {
      const { stdout } = node();
      // An error comes to the callback and as an event, which would end the process if nobody listened to it.
      if (!listening) stdout.on("error", () => {});
      listening = true;
      stdout.write(data, (error) => error ? reject(error) : resolve());
    }),
};

/** A line of text, without its end. */
export interface Line {
  text: string;
  /** Whether it had an end: false only for a last line that was cut, or written without one. */
  ended: boolean;
}

/** Bytes of standard input, read as they are asked for. */
export function stdinBytes(): AsyncIterable<Uint8Array> {
  return node().stdin;
}

/** Lines of standard input, read as they are asked for; the last line need not end in one. */
export async function* stdinLines(): AsyncGenerator<string> {
  for await (const { text } of cutLines(stdinBytes())) yield text;
}

/** Lines of a file, read as they are asked for. */
export function fileLines(path: string): AsyncGenerator<Line> {
  const { createReadStream } = builtin<{ createReadStream(path: string): AsyncIterable<Uint8Array> }>(
    "node:fs",
  );
  return cutLines(createReadStream(path));
}

async function* cutLines(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Line> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop()!;
    for (const line of lines) yield { text: line.endsWith("\r") ? line.slice(0, -1) : line, ended: true };
  }
  rest += decoder.decode();
  if (rest !== "") yield { text: rest, ended: false };
}

/** A timer that calls again and again, but does not keep the process alive. Returns what stops it. */
export function every(milliseconds: number, call: () => void): () => void {
  const timer = builtin<{ setInterval(call: () => void, milliseconds: number): { unref(): void } }>(
    "node:timers",
  )
    .setInterval(call, milliseconds);
  timer.unref();
  return () => clearInterval(timer as unknown as number);
}

let immediately: ((call: () => void) => void) | undefined;

/** Resolves in a later turn of the event loop, after messages and timers that are due. */
export function nextTurn(): Promise<void> {
  immediately ??= builtin<{ setImmediate(call: () => void): void }>("node:timers").setImmediate;
  return new Promise((resolve) => immediately!(resolve));
}
