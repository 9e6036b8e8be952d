/**
 * The worker's own end of the line to its parent: inside a Deno Web Worker, a Node worker thread, or a
 * process started by process.ts. A thread moves structured values, a process moves byte arrays; the two
 * forms stay apart because only map/ knows how to turn one into the other.
 */
import { builtin, exit, onSignal, runtimeName } from "./host.ts";
import { frame, FrameReader } from "./frames.ts";
import { dialLine, type DirectLine, type LineDoor } from "./line.ts";
import { MARK_SYMBOL } from "./process.ts";

/** The line from a worker to its parent. */
export type Port =
  | {
    kind: "thread";
    post(message: unknown, transfer: Transferable[]): void;
    listen(message: (data: unknown) => void): void;
  }
  | {
    kind: "process";
    /** Sends a message; an urgent one leaves at once, where others may wait for company. */
    send(parts: readonly Uint8Array[], urgent?: boolean): void;
    /** Resolves when all that was sent has left this process; undefined: it has. */
    unsent(): Promise<void> | undefined;
    listen(message: (parts: Uint8Array[]) => void): void;
    /**
     * Moves to a direct line (line.ts): if it opens, messages go and come there from then on, an empty frame standing
     * for the next message that the parent put {@linkcode aside}. Resolves to whether it did. The line to the parent
     * stays, as the sign that it lives.
     */
    direct(door: LineDoor, mark: Uint8Array): Promise<boolean>;
  };

const NOTHING = new Uint8Array(0);

/** A message to a worker process that is to wait for its place on the direct line. */
export function aside(parts: readonly Uint8Array[]): Uint8Array[] {
  return [NOTHING, ...parts];
}

/** Opens the line to the parent. Call it once, in a worker. */
export function openPort(): Port {
  const mark = (globalThis as Record<symbol, unknown>)[Symbol.for(MARK_SYMBOL)];
  if (mark instanceof Uint8Array) return processPort(mark);
  if (runtimeName === "deno") {
    const scope = self as unknown as {
      postMessage(message: unknown, transfer: Transferable[]): void;
      onmessage: (event: MessageEvent) => void;
    };
    const post = scope.postMessage.bind(scope);
    return { kind: "thread", post, listen: (message) => scope.onmessage = (event) => message(event.data) };
  }
  const { parentPort } = builtin<{
    parentPort: {
      postMessage(message: unknown, transfer: Transferable[]): void;
      on(event: "message", listener: (data: unknown) => void): void;
    };
  }>("node:worker_threads");
  return {
    kind: "thread",
    post: (message, transfer) => parentPort.postMessage(message, transfer),
    listen: (message) => parentPort.on("message", message),
  };
}

interface ByteFiles {
  readSync(fd: number, bytes: Uint8Array, offset: number, length: number, position: null): number;
  writeSync(fd: number, bytes: Uint8Array, offset: number, length: number): number;
}

function processPort(mark: Uint8Array): Port {
  onSignal("SIGINT", () => {}); // Ctrl-C reaches the whole process group; the parent decides what it means
  const write = runtimeName === "deno" ? writeDeno() : writeNode();
  let receive: (parts: Uint8Array[]) => void;
  let line: DirectLine | undefined;
  const asides: Uint8Array[][] = [];
  return {
    kind: "process",
    send(parts) {
      if (line) return line.send(parts);
      try {
        for (const piece of frame(mark, parts)) write(piece);
      } catch (error) {
        if (error instanceof RangeError) throw error;
        exit(0); // nobody reads any more: the parent has gone
      }
    },
    unsent: () => line?.unsent(),
    listen(message) {
      receive = message;
      const reader = new FrameReader(mark, (parts) => {
        if (parts[0].byteLength > 0) return message(parts);
        asides.push(parts.slice(1));
        line?.proceed();
      }, () => {});
      readInput((bytes) => reader.push(bytes)).finally(() => exit(0));
    },
    async direct(door, mark) {
      try {
        return await dialLine(door, mark, {
          opened: (opened) => line = opened,
          message: receive,
          aside: () => asides.shift(),
        });
      } catch {
        return false; // this process may not connect
      }
    },
  };
}

interface DenoStdio {
  stdin: { read(bytes: Uint8Array): Promise<number | null> };
  stdout: { writeSync(bytes: Uint8Array): number };
}

async function readInput(give: (bytes: Uint8Array) => void): Promise<void> {
  if (runtimeName === "deno") {
    const { stdin } = (globalThis as unknown as { Deno: DenoStdio }).Deno;
    const bytes = new Uint8Array(1 << 16);
    for (let n = await stdin.read(bytes); n !== null; n = await stdin.read(bytes)) give(bytes.subarray(0, n));
    return;
  }
  const { stdin } = (globalThis as unknown as { process: { stdin: AsyncIterable<Uint8Array> } }).process;
  for await (const bytes of stdin) give(bytes);
}

function writeDeno(): (bytes: Uint8Array) => void {
  const { stdout } = (globalThis as unknown as { Deno: DenoStdio }).Deno;
  const writeSync = stdout.writeSync.bind(stdout);
  return (bytes) => {
    for (let at = 0; at < bytes.byteLength;) at += writeSync(bytes.subarray(at));
  };
}

function writeNode(): (bytes: Uint8Array) => void {
  const fs = builtin<ByteFiles>("node:fs");
  const pause = new Int32Array(new SharedArrayBuffer(4));
  return (bytes) => {
    for (let at = 0; at < bytes.byteLength;) {
      try {
        at += fs.writeSync(1, bytes, at, bytes.byteLength - at);
      } catch (error) {
        if ((error as { code?: string }).code !== "EAGAIN") throw error;
        Atomics.wait(pause, 0, 0, 1); // the pipe is full: wait a millisecond for the parent to read
      }
    }
  };
}

/**
 * Calls `tell` when code in this thread is about to end it. A Deno thread that ends itself gives its parent no sign,
 * so it has to be said before; in Node the end is an event, and nothing is called.
 */
export function beforeThreadExit(tell: (code: number) => void): void {
  if (runtimeName === "node") return;
  const patch = (target: object, name: string): void => {
    const original = Reflect.get(target, name) as (...args: unknown[]) => unknown;
    Reflect.set(target, name, (...args: unknown[]) => {
      tell(typeof args[0] === "number" ? args[0] : 0);
      return original.apply(target, args);
    });
  };
  patch((globalThis as unknown as { Deno: object }).Deno, "exit");
  patch(globalThis, "close");
}
