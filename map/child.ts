/**
 * A worker process under its limits, and how it ended in words: what a pool on this machine and a server for
 * pools elsewhere have in common.
 */
import { every, type Permissions, residentMemory, startProcess } from "../runtime/mod.ts";
import type { Loss } from "./worker.ts";

/** How often the memory of a limited process is looked at, in milliseconds. */
const MEMORY_CHECK_MS = 100;
/** An idle process that has not ended so long after its input closed is killed, in milliseconds. */
const END_MS = 500;

/** What a worker process may do and hold. */
export interface Limits {
  permissions: Permissions;
  /** Bytes of memory; a process that holds more is killed. */
  maxMemory: number | undefined;
  /** Without the deno.json beside the main module. */
  noConfig?: boolean;
}

/** What a pool asks of a worker elsewhere: its limits, and which slot of the pool it is for. */
export interface WorkerRequest extends Limits {
  /** Default 0. */
  slot?: number;
}

/** A worker process. */
export interface Child {
  readonly pid: number;
  /** Sends a message, packed as the parts of a frame. */
  send(parts: readonly Uint8Array[]): void;
  /** Ends it when it is idle, or soon. Resolves when it is gone. */
  end(): Promise<void>;
  /** Ends it at once. Resolves when it is gone. */
  kill(): Promise<void>;
  keepAlive(on: boolean): void;
}

/** What a worker process tells. */
export interface ChildEvents {
  message(parts: Uint8Array[]): void;
  output(stream: "stdout" | "stderr", line: string): void;
  /** It ended, wanted or not. */
  died(loss: Loss): void;
}

/** Starts a process that runs `program`. */
export function startChild(program: string, limits: Limits, events: ChildEvents): Child {
  const { permissions, maxMemory, noConfig } = limits;
  let overMemory: string | undefined;
  let unwatch = (): void => {};
  const process = startProcess(program, { permissions, maxHeap: maxMemory, noConfig }, {
    message: events.message,
    output: events.output,
    died({ code, signal }, stderr) {
      unwatch();
      events.died(describe(code, signal, stderr, overMemory));
    },
  });
  if (maxMemory !== undefined) {
    unwatch = every(MEMORY_CHECK_MS, () => {
      const used = residentMemory(process.pid);
      if (used === undefined || used <= maxMemory) return;
      overMemory = `used ${mebibytes(used)} of memory, more than maxMemory (${
        mebibytes(maxMemory)
      }), and was killed`;
      process.kill();
    });
  }
  return {
    pid: process.pid,
    send: (parts) => process.send(parts),
    async end() {
      unwatch();
      process.keepAlive(true); // until it is gone: somebody may await that, with nothing else going on
      process.end();
      const timer = setTimeout(() => process.kill(), END_MS);
      await process.gone;
      clearTimeout(timer);
    },
    kill() {
      unwatch();
      process.keepAlive(true);
      process.kill();
      return process.gone;
    },
    keepAlive: (on) => process.keepAlive(on),
  };
}

function describe(
  code: number | null,
  signal: string | null,
  stderr: string,
  overMemory: string | undefined,
): Loss {
  const reason = overMemory ??
    (signal === null
      ? `ended with exit code ${code}`
      : `was killed by ${signal}${signal === "SIGKILL" ? " (out of memory, or somebody killed it)" : ""}`);
  return { reason, signal, exitCode: code, stderr };
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / (1 << 20))} MiB`;
}
