/**
 * A child process with piped standard streams, the same in both runtimes: Deno.Command in Deno,
 * node:child_process in Node. Input is queued in order; output arrives as it comes; the end is told once,
 * after all output was delivered.
 */
import { builtin, runtimeName } from "./host.ts";

/** How a process ended: one of the two is set. */
export interface ExitStatus {
  code: number | null;
  signal: string | null;
}

/** A running child process. */
export interface Spawned {
  readonly pid: number;
  /**
   * Queues bytes for its standard input, and resolves when they are on their way and there is room for more;
   * silently nothing once the process has gone (its end is told by `exit`).
   */
  write(pieces: readonly Uint8Array[]): Promise<void>;
  /** Ends its standard input. */
  closeInput(): void;
  /** Sends a signal, such as `"SIGKILL"`; nothing happens if the process has ended. */
  kill(signal: string): void;
  /** Lets the process and its streams keep this program alive, or not. */
  keepAlive(on: boolean): void;
}

/** What a child process tells. A promise from `stdout` or `stderr` delays reading more of that stream. */
export interface SpawnEvents {
  stdout(bytes: Uint8Array): void | Promise<void>;
  stderr(bytes: Uint8Array): void | Promise<void>;
  /** The process has ended; output may still come, as long as somebody else holds its streams open. */
  ended?(status: ExitStatus): void;
  /** The process has ended and all output was delivered. */
  exit(status: ExitStatus): void;
}

/** Options of {@linkcode spawn}. */
export interface SpawnOptions {
  cwd?: string;
  /** Variables added to the environment. */
  env?: Record<string, string>;
  /** In a session of its own, so that Ctrl-C in a terminal does not reach it. */
  detached?: boolean;
}

/**
 * Starts a program.
 *
 * @throws {Error} If it cannot be started (not found, not permitted).
 */
export function spawn(command: string, args: string[], options: SpawnOptions, events: SpawnEvents): Spawned {
  return runtimeName === "deno"
    ? spawnDeno(command, args, options, events)
    : spawnNode(command, args, options, events);
}

interface DenoChild {
  pid: number;
  stdin: WritableStream<Uint8Array>;
  stdout: ReadableStream<Uint8Array>;
  stderr: ReadableStream<Uint8Array>;
  status: Promise<{ code: number; signal: string | null }>;
  kill(signal: string): void;
  ref(): void;
  unref(): void;
}

function spawnDeno(command: string, args: string[], options: SpawnOptions, events: SpawnEvents): Spawned {
  const { Command } = (globalThis as unknown as {
    Deno: { Command: new (command: string, options: unknown) => { spawn(): DenoChild } };
  }).Deno;
  const child = new Command(command, { args, ...options, stdin: "piped", stdout: "piped", stderr: "piped" })
    .spawn();
  const input = child.stdin.getWriter();
  input.closed.catch(() => {}); // a broken pipe means that the process ended, which `exit` tells
  const read = async (stream: ReadableStream<Uint8Array>, give: SpawnEvents["stdout"]) => {
    const reader = stream.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const taken = give(value);
      if (taken) await taken;
    }
  };
  let ended = false;
  child.status.then(({ code, signal }) => {
    ended = true;
    events.ended?.({ code: signal ? null : code, signal });
  });
  Promise.all([child.status, read(child.stdout, events.stdout), read(child.stderr, events.stderr)])
    .then(([{ code, signal }]) => {
      input.abort().catch(() => {});
      events.exit({ code: signal ? null : code, signal });
    });
  return {
    pid: child.pid,
    write(pieces) {
      let last = Promise.resolve();
      for (const piece of pieces) last = input.write(piece).catch(() => {});
      return last;
    },
    closeInput: () => void input.close().catch(() => {}),
    kill(signal) {
      try {
        if (!ended) child.kill(signal);
      } catch (error) {
        if (!(error instanceof TypeError)) throw error; // Deno's word for "it has already ended"
      }
    },
    keepAlive: (on) => on ? child.ref() : child.unref(),
  };
}

interface NodeStream {
  on(event: string, listener: (value: never) => void): void;
  write(bytes: Uint8Array, done: () => void): boolean;
  end(): void;
  pause(): void;
  resume(): void;
  ref?(): void;
  unref?(): void;
}

interface NodeChild {
  pid?: number;
  stdin: NodeStream;
  stdout: NodeStream;
  stderr: NodeStream;
  on(event: string, listener: (...args: never[]) => void): void;
  kill(signal: string): boolean;
  ref(): void;
  unref(): void;
}

function spawnNode(command: string, args: string[], options: SpawnOptions, events: SpawnEvents): Spawned {
  const { spawn } = builtin<{ spawn(command: string, args: string[], options: unknown): NodeChild }>(
    "node:child_process",
  );
  const env = options.env &&
    { ...builtin<{ env: Record<string, string> }>("node:process").env, ...options.env };
  const child = spawn(command, args, { ...options, env, stdio: ["pipe", "pipe", "pipe"] });
  if (child.pid === undefined) {
    child.on("error", () => {}); // told below, synchronously
    throw new Error(`${command} could not be started: is it there and executable?`);
  }
  child.on("error", () => {}); // a signal that could not be sent: the process has ended
  child.stdin.on("error", () => {}); // a broken pipe means that the process ended, which `close` tells
  const read = (stream: NodeStream, give: SpawnEvents["stdout"]) =>
    stream.on("data", (bytes: never) => {
      const taken = give(bytes);
      if (!taken) return;
      stream.pause();
      taken.then(() => stream.resume());
    });
  read(child.stdout, events.stdout);
  read(child.stderr, events.stderr);
  child.on("exit", (code: never, signal: never) => events.ended?.({ code, signal }));
  child.on("close", (code: never, signal: never) => events.exit({ code, signal }));
  return {
    pid: child.pid,
    write: (pieces) =>
      new Promise((resolve) => {
        if (pieces.length === 0) resolve();
        pieces.forEach((piece, i) =>
          child.stdin.write(piece, i === pieces.length - 1 ? () => resolve() : () => {})
        );
      }),
    closeInput: () => child.stdin.end(),
    kill: (signal) => void child.kill(signal),
    keepAlive(on) {
      for (const handle of [child, child.stdin, child.stdout, child.stderr]) {
        if (on) handle.ref?.();
        else handle.unref?.();
      }
    },
  };
}

/** Sends a signal to a process group; nothing happens if none of it is left. */
export function signalGroup(leader: number, signal: string): void {
  try {
    builtin<{ kill(pid: number, signal: string): void }>("node:process").kill(-leader, signal);
  } catch (error) {
    if ((error as { code?: string }).code !== "ESRCH") throw error;
  }
}
