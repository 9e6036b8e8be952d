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
  /** Queues bytes for its standard input; silently nothing once the process has gone (its end is told by `exit`). */
  write(pieces: readonly Uint8Array[]): void;
  /** Ends its standard input. */
  closeInput(): void;
  /** Sends a signal, such as `"SIGKILL"`; nothing happens if the process has ended. */
  kill(signal: string): void;
  /** Lets the process and its streams keep this program alive, or not. */
  keepAlive(on: boolean): void;
}

/** What a child process tells. */
export interface SpawnEvents {
  stdout(bytes: Uint8Array): void;
  stderr(bytes: Uint8Array): void;
  exit(status: ExitStatus): void;
}

/** Options of {@linkcode spawn}. */
export interface SpawnOptions {
  cwd?: string;
  env?: Record<string, string>;
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
  const read = async (stream: ReadableStream<Uint8Array>, give: (bytes: Uint8Array) => void) => {
    const reader = stream.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      give(value);
    }
  };
  let ended = false;
  Promise.all([child.status, read(child.stdout, events.stdout), read(child.stderr, events.stderr)])
    .then(([{ code, signal }]) => {
      ended = true;
      input.abort().catch(() => {});
      events.exit({ code: signal ? null : code, signal });
    });
  return {
    pid: child.pid,
    write(pieces) {
      for (const piece of pieces) input.write(piece).catch(() => {});
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
  write(bytes: Uint8Array): boolean;
  end(): void;
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
  const child = spawn(command, args, { ...options, stdio: ["pipe", "pipe", "pipe"] });
  if (child.pid === undefined) {
    child.on("error", () => {}); // told below, synchronously
    throw new Error(`${command} could not be started: is it there and executable?`);
  }
  child.on("error", () => {}); // a signal that could not be sent: the process has ended
  child.stdin.on("error", () => {}); // a broken pipe means that the process ended, which `close` tells
  child.stdout.on("data", (bytes: never) => events.stdout(bytes));
  child.stderr.on("data", (bytes: never) => events.stderr(bytes));
  child.on("close", (code: never, signal: never) => events.exit({ code, signal }));
  return {
    pid: child.pid,
    write(pieces) {
      for (const piece of pieces) child.stdin.write(piece);
    },
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
