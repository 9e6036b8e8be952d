/** Workers that are processes of their own: they can be killed, limited in memory, and denied permissions. */
import type { CodeBook } from "../serialize/codebook.ts";
import { type Child, type Limits, startChild } from "./child.ts";
import { type Beginning, openLink } from "./link.ts";
import type { FromWorker } from "./protocol.ts";
import { packMessage, unpackMessage } from "./wire.ts";
import type { StartWorker } from "./worker.ts";
import { WORKER_PROGRAM } from "./worker_bundle.ts";

/** Starts processes for a pool. */
export function processStarter(book: CodeBook, beginning: () => Beginning, limits: Limits): StartWorker {
  return (slot, events) => {
    const child: Child = startChild(WORKER_PROGRAM, limits, {
      message(parts) {
        const { message, buffers } = unpackMessage<FromWorker>(parts);
        link.receive(message, buffers);
      },
      output: (stream, line) => events.output(stream, line),
      died: (loss) => link.lost(loss),
    });
    const link = openLink(
      {
        send: (message, buffers) => child.send(packMessage(message, buffers)),
        end: () => child.end(),
        kill: () => child.kill(),
        keepAlive(on) {
          child.keepAlive(on);
          return true;
        },
      },
      { name: `process ${slot + 1} (pid ${child.pid})`, latency: 0.2, killable: true, sharing: false },
      beginning(),
      book,
      events,
    );
    return link.worker;
  };
}
