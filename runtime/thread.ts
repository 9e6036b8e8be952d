/**
 * A thread that runs a program given as text: a Web Worker from a `data:` URL in Deno (needs no file and no
 * permission, and moves binary data some hundred times faster than Deno's node:worker_threads), a
 * `worker_threads` Worker in Node.
 *
 * The two differ in how a thread ends. Node stops a thread in the middle of a loop; Deno cannot: after
 * `terminate()` a busy thread runs on until its code returns ({@linkcode threadsStopAtOnce} tells). Neither is
 * hidden here, and neither is the fact that a Deno thread which closes itself says nothing: the worker
 * program announces its exit by itself.
 */
import { builtin, runtimeName } from "./host.ts";

/** A running thread. */
export interface Thread {
  /** Sends a message; the buffers listed are moved, not copied. */
  post(message: unknown, transfer: Transferable[]): void;
  /** Ends the thread; in Deno a thread inside a loop goes on until the loop ends. */
  terminate(): void;
  /** Lets the thread keep the process alive, or not. Returns false where this runtime cannot do it. */
  keepAlive(on: boolean): boolean;
}

/** What a thread tells its parent. */
export interface ThreadEvents {
  /** A message from the thread. */
  message(data: unknown): void;
  /** The thread has died of an uncaught error, or ended without being asked (Node). */
  died(reason: string, exitCode: number | null): void;
}

/** Whether {@linkcode Thread.terminate} stops code that is running, and not only code that waits. */
export const threadsStopAtOnce: boolean = runtimeName === "node";

/** Starts a thread that runs `program` (a classic script). Messages may be posted at once; they wait for it. */
export function startThread(program: string, name: string, events: ThreadEvents): Thread {
  return runtimeName === "deno"
    ? startWebWorker(program, name, events)
    : startNodeThread(program, name, events);
}

// Deno takes many times longer for a large data: URL than for the same text in a message.
const STARTER = "data:text/javascript," +
  encodeURIComponent("self.onmessage = (first) => { self.onmessage = null; (0, eval)(first.data); };");

function startWebWorker(program: string, name: string, events: ThreadEvents): Thread {
  const worker = new Worker(STARTER, { type: "module", name });
  worker.postMessage(program);
  worker.onmessage = (event) => events.message(event.data);
  worker.onmessageerror = () => events.died("it sent a message that could not be read", null);
  worker.onerror = (event) => {
    event.preventDefault(); // otherwise the error would end the whole process
    events.died(event.message, null);
  };
  // Deno counts references of a Worker behind an unnamed symbol of its prototype; there is no public form.
  const refSymbol = Object.getOwnPropertySymbols(Worker.prototype)
    .find((symbol) => !symbol.description && Reflect.get(Worker.prototype, symbol)?.length === 1);
  let kept = true;
  const keepAlive = (on: boolean): boolean => {
    if (refSymbol === undefined) return false;
    if (on !== kept) Reflect.get(worker, refSymbol).call(worker, kept = on);
    return true;
  };
  return {
    post: (message, transfer) => worker.postMessage(message, transfer),
    terminate() {
      keepAlive(false); // a thread that never stops must not keep the process from ending
      worker.terminate();
    },
    keepAlive,
  };
}

interface NodeWorker {
  postMessage(message: unknown, transfer: Transferable[]): void;
  terminate(): Promise<number>;
  ref(): void;
  unref(): void;
  on(event: string, listener: (value: never) => void): void;
}

function startNodeThread(program: string, name: string, events: ThreadEvents): Thread {
  const { Worker: NodeWorker } = builtin<
    { Worker: new (code: string, options: Record<string, unknown>) => NodeWorker }
  >("node:worker_threads");
  const worker = new NodeWorker(program, { eval: true, name, stdout: false, stderr: false });
  let error: Error | undefined;
  worker.on("message", (data: never) => events.message(data));
  worker.on("messageerror", () => events.died("it sent a message that could not be read", null));
  worker.on("error", (thrown: never) => error = thrown);
  worker.on("exit", (code: never) => {
    events.died(error ? `${error.name}: ${error.message}` : `it ended with exit code ${code}`, code);
  });
  return {
    post: (message, transfer) => worker.postMessage(message, transfer),
    terminate: () => void worker.terminate(),
    keepAlive(on) {
      if (on) worker.ref();
      else worker.unref();
      return true;
    },
  };
}
