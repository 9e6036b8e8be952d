/** Workers that are threads of this process. */
import type { CodeBook } from "../serialize/codebook.ts";
import { startThread, type Thread, threadsStopAtOnce } from "../runtime/mod.ts";
import { type Beginning, openLink } from "./link.ts";
import type { FromWorker, ToWorker } from "./protocol.ts";
import type { StartWorker } from "./worker.ts";
import { WORKER_PROGRAM } from "./worker_bundle.ts";

/** Starts threads for a pool. */
export function threadStarter(book: CodeBook, beginning: () => Beginning): StartWorker {
  return (slot, events) => {
    const name = `thread ${slot + 1}`;
    const thread: Thread = startThread(WORKER_PROGRAM, `pathos ${name}`, {
      message: (data) => link.receive(...data as [FromWorker, (ArrayBuffer | SharedArrayBuffer)[]]),
      died: (reason, exitCode) =>
        link.lost({ reason: `died: ${reason}`, signal: null, exitCode, stderr: "" }),
    });
    // What is sent in one turn goes as one message: each costs 30 us and a wake-up.
    let batch: [ToWorker, readonly (ArrayBuffer | SharedArrayBuffer)[]][] = [];
    const flush = (): void => {
      const buffers = batch.flatMap(([, buffers]) =>
        buffers.filter((buffer) => buffer instanceof ArrayBuffer)
      );
      thread.post(batch, buffers);
      batch = [];
    };
    const stop = (): Promise<void> => {
      thread.terminate();
      return Promise.resolve();
    };
    const link = openLink(
      {
        send(message, buffers) {
          if (batch.push([message, buffers]) === 1) queueMicrotask(flush);
        },
        end: stop,
        kill: stop,
        keepAlive: (on) => thread.keepAlive(on),
      },
      { name, latency: 0.1, killable: threadsStopAtOnce, sharing: true },
      beginning(),
      book,
      events,
    );
    return link.worker;
  };
}
