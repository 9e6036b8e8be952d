/** Workers that are processes of their own: they can be killed, limited in memory, and denied permissions. */
import type { CodeBook } from "../serialize/codebook.ts";
import { every, type Permissions, residentMemory, startProcess, type WorkerProcess } from "../runtime/mod.ts";
import { type Beginning, openLink } from "./link.ts";
import type { FromWorker } from "./protocol.ts";
import { packMessage, unpackMessage } from "./wire.ts";
import type { Loss, StartWorker } from "./worker.ts";
import { WORKER_PROGRAM } from "./worker_bundle.ts";

/** How often the memory of a limited process is looked at, in milliseconds. */
const MEMORY_CHECK_MS = 100;
/** An idle process that has not ended so long after its input closed is killed, in milliseconds. */
const END_MS = 500;

/** Starts processes for a pool. */
export function processStarter(
  book: CodeBook,
  beginning: () => Beginning,
  limits: { permissions: Permissions; maxMemory: number | undefined },
): StartWorker {
  return (slot, events) => {
    let overMemory: string | undefined;
    let unwatch = (): void => {};
    const process: WorkerProcess = startProcess(WORKER_PROGRAM, {
      permissions: limits.permissions,
      maxHeap: limits.maxMemory,
    }, {
      message(parts) {
        const { message, buffers } = unpackMessage<FromWorker>(parts);
        link.receive(message, buffers);
      },
      output: (stream, line) => events.output(stream, line),
      died({ code, signal }, stderr) {
        unwatch();
        link.lost(describe(code, signal, stderr, overMemory));
      },
    });
    const link = openLink(
      {
        send: (message, buffers) => process.send(packMessage(message, buffers)),
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
        keepAlive(on) {
          process.keepAlive(on);
          return true;
        },
      },
      { name: `process ${slot + 1} (pid ${process.pid})`, latency: 0.2, killable: true, sharing: false },
      beginning(),
      book,
      events,
    );
    if (limits.maxMemory !== undefined) {
      const limit = limits.maxMemory;
      unwatch = every(MEMORY_CHECK_MS, () => {
        const used = residentMemory(process.pid);
        if (used === undefined || used <= limit) return;
        overMemory = `used ${mebibytes(used)} of memory, more than maxMemory (${
          mebibytes(limit)
        }), and was killed`;
        process.kill();
      });
    }
    return link.worker;
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
