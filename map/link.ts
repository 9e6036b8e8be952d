/**
 * A worker behind a line of messages: whatever carries them, a thread or a process, code is shipped once by
 * its hash, chunks are packed, answers unpacked and console lines passed on in this one place.
 */
import type { CodeBook } from "../serialize/codebook.ts";
import { buffersOf, type ColumnHead, packColumn, type PackedColumn, unpackColumn } from "./columns.ts";
import { Control, type FromWorker, type ToWorker } from "./protocol.ts";
import { tidyRemote } from "./report.ts";
import type { Chunk, Loss, Parcel, Reply, Worker, WorkerEvents, WorkerJob } from "./worker.ts";

/** How long a message that is not urgent waits for company, in milliseconds. */
const LATER_MS = 2;

type Buffers = readonly (ArrayBuffer | SharedArrayBuffer)[];

/** A line to a worker program. */
export interface Line {
  /** Sends a message. Buffers may be moved, except shared ones. */
  send(message: ToWorker, buffers: Buffers): void;
  end(): Promise<void>;
  kill(): Promise<void>;
  keepAlive(on: boolean): boolean;
}

/** How a kind of worker differs from others. */
export interface LineTraits {
  name: string;
  readonly latency: number;
  readonly depth?: number;
  killable: boolean;
  /** It is a thread of this process: shared memory works. */
  sharing: boolean;
}

/** First message to a worker, made by the pool. */
export interface Beginning {
  /** Cores that pools inside the worker may use. */
  share: number;
  /** Whether this side accepts code by value in results. */
  takesCode: boolean;
  /** Hash of the code to run before the first chunk. */
  initializer: string | undefined;
}

/** Creates the worker; the returned `receive` and `lost` are to be called by the owner of the line. */
export function openLink(
  line: Line,
  traits: LineTraits,
  beginning: Beginning,
  book: CodeBook,
  events: WorkerEvents,
): { worker: Worker; receive: (message: FromWorker, buffers: Buffers) => void; lost: (loss: Loss) => void } {
  const control = traits.sharing ? new Int32Array(new SharedArrayBuffer(4 * Control.LENGTH)) : undefined;
  const shipped = new Set<string>();
  const jobs = new Set<number>();
  const chunks = new Map<number, { chunk: Chunk; claim: number }>(); // in the order given
  const answers = new Map<number, { resolve: (parcel: Parcel) => void; reject: (error: unknown) => void }>();
  let claims = 0;
  let requests = 0;
  let tick = { chunk: -1, at: 0 };
  let over = false;

  // A message that is not urgent goes with the next one, or a moment later: each costs a wake-up of the other side.
  let waiting: ToWorker[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const flush = (): void => {
    clearTimeout(timer);
    const messages = waiting;
    waiting = [];
    for (const message of messages) line.send(message, []);
  };
  const send = (message: ToWorker, buffers: Buffers): void => {
    if (waiting.length > 0) flush();
    line.send(message, buffers);
  };
  const sendLater = (message: ToWorker): void => {
    if (waiting.push(message) === 1) timer = setTimeout(flush, LATER_MS);
  };

  const ship = (hash: string): void => {
    if (shipped.has(hash)) return;
    const payload = book.payload(hash);
    if (!payload) throw new Error(`code ${hash.slice(0, 12)} is not known here any more`);
    for (const need of payload.needs) ship(need);
    send({ do: "code", hash, imports: payload.imports, needs: payload.needs }, [
      payload.bytes.slice().buffer,
      ...payload.shared,
    ]);
    shipped.add(hash);
  };

  const pack = (
    columns: readonly PackedColumn[],
  ): { heads: ColumnHead[]; buffers: Buffers; bytes: number } => {
    let bytes = 0;
    const buffers = columns.flatMap((column) => column.buffers);
    for (const buffer of buffers) if (buffer instanceof ArrayBuffer) bytes += buffer.byteLength;
    for (const { head } of columns) if (head.form === "any") head.needs.forEach(ship);
    return { heads: columns.map((column) => column.head), buffers, bytes };
  };

  const introduce = ({ job }: Chunk): void => {
    if (jobs.has(job.id)) return;
    ship(job.code!.hash);
    if (job.reduceCode) ship(job.reduceCode.hash);
    let out: PackedColumn | undefined;
    if (writesDirectly(job)) out = packColumn(job.out!, 0, job.out!.length, book, true);
    send({
      do: "job",
      job: job.id,
      code: job.code!.hash,
      reduce: job.reduceCode?.hash,
      stopAtError: job.stopAtError,
      ticks: job.timeout !== undefined,
      numbers: job.out !== undefined,
      out: out?.head,
    }, out?.buffers ?? []);
    jobs.add(job.id);
  };

  const worker: Worker = {
    name: traits.name,
    get latency() {
      return traits.latency;
    },
    depth: traits.depth,
    revocable: control !== undefined,
    killable: traits.killable,
    run(chunk) {
      introduce(chunk);
      const { heads, buffers, bytes } = pack(
        chunk.columns.map(({ items, offset }) =>
          packColumn(items, offset, chunk.count, book, traits.sharing, chunk.job.code!.hash)
        ),
      );
      const claim = claims = (claims + 1) & 0xfffffff;
      if (control) {
        Atomics.store(control, Control.CLAIMS + claim % Control.CLAIM_SLOTS, claim * 4 + Control.WAITING);
      }
      send({
        do: "run",
        job: chunk.job.id,
        chunk: chunk.id,
        claim,
        start: chunk.start,
        count: chunk.count,
        columns: heads,
      }, buffers); // throws if a server does not take so much: then it was not given
      chunks.set(chunk.id, { chunk, claim });
      return bytes;
    },
    revoke(chunk) {
      const given = chunks.get(chunk.id);
      if (!given || !control) return false;
      const slot = Control.CLAIMS + given.claim % Control.CLAIM_SLOTS;
      const waiting = given.claim * 4 + Control.WAITING;
      const revoked = given.claim * 4 + Control.REVOKED;
      if (Atomics.compareExchange(control, slot, waiting, revoked) !== waiting) return false;
      chunks.delete(chunk.id);
      return true;
    },
    drop(job) {
      if (!jobs.delete(job) || over) return;
      if (control) Atomics.store(control, Control.STOP_JOB, job);
      const runs = [...chunks.values()].some(({ chunk }) => chunk.job.id === job);
      if (runs) send({ do: "drop", job }, []);
      else sendLater({ do: "drop", job });
    },
    position() {
      const first = chunks.values().next();
      if (first.done) return undefined;
      if (!control) return tick.chunk === first.value.chunk.id ? tick : undefined;
      const item = Atomics.load(control, Control.ITEM);
      return item === 0 ? undefined : { chunk: first.value.chunk.id, at: item - 1 };
    },
    export: (job, start) => ask((request) => send({ do: "export", job, request, start }, [])),
    merge: async (job, start, end, parcel) => {
      const value = parcel as PackedColumn;
      await ask((request) => {
        const { buffers } = pack([value]);
        send({ do: "merge", job, request, start, end, value: value.head }, buffers);
      });
    },
    open(parcel) {
      const { head, buffers } = parcel as PackedColumn;
      return unpack(head, buffers, 1)[0];
    },
    forget() {
      shipped.clear();
      send({ do: "forget" }, []);
    },
    end() {
      over = true;
      flush();
      return line.end();
    },
    kill() {
      over = true;
      clearTimeout(timer);
      rejectAnswers("was stopped");
      return line.kill();
    },
    keepAlive: (on) => line.keepAlive(on),
  };

  function ask(send: (request: number) => void): Promise<Parcel> {
    const request = ++requests;
    return new Promise((resolve, reject) => {
      answers.set(request, { resolve, reject });
      send(request);
    });
  }

  function rejectAnswers(reason: string): void {
    for (const { reject } of answers.values()) reject(new Error(`${traits.name} ${reason}`));
    answers.clear();
  }

  function receive(message: FromWorker, buffers: Buffers): void {
    if (over) return;
    switch (message.say) {
      case "done": {
        const given = chunks.get(message.chunk);
        if (!given) return;
        chunks.delete(message.chunk);
        const { chunk } = given;
        try {
          const errorBuffers = buffers.slice(buffersOf(message.values));
          const errors = unpack(message.errors, errorBuffers, message.failures.length);
          events.done(chunk, {
            values: valuesOf(chunk, message.values, buffers, message.ran),
            failures: message.failures.map((at, i) => ({ at, error: tidyRemote(errors[i]) })),
            ran: message.ran,
            busy: message.busy,
            bytes: buffers.reduce(
              (sum, buffer) => sum + (buffer instanceof ArrayBuffer ? buffer.byteLength : 0),
              0,
            ),
            segments: message.segments,
          });
        } catch (error) {
          events.refused(chunk, error); // the results cannot be decoded here
        }
        break;
      }
      case "refused": {
        const given = chunks.get(message.chunk);
        chunks.delete(message.chunk);
        if (given) events.refused(given.chunk, tidyRemote(unpack(message.error, buffers, 1)[0]));
        break;
      }
      case "tick":
        tick = { chunk: message.chunk, at: message.at };
        break;
      case "answer": {
        const waiting = answers.get(message.request);
        answers.delete(message.request);
        if (message.error) waiting?.reject(tidyRemote(unpack(message.error, buffers, 1)[0]));
        else waiting?.resolve({ head: message.value, buffers: [...buffers] } satisfies PackedColumn);
        break;
      }
      case "output":
        for (const text of message.text.split("\n")) events.output(message.stream, text);
        break;
      case "exit":
        lost({
          reason: `ended itself with exit code ${message.code}`,
          signal: null,
          exitCode: message.code,
          stderr: "",
        });
        line.kill();
        break;
    }
  }

  function valuesOf({ job, start }: Chunk, head: ColumnHead, buffers: Buffers, ran: number): Reply["values"] {
    if (job.reduce) return undefined;
    if (writesDirectly(job)) return job.out!.subarray(start, start + ran);
    return unpack(head, buffers, ran);
  }

  /** Values that came from the worker: code by value among them only if that was agreed. */
  function unpack(head: ColumnHead, buffers: Buffers, count: number): ArrayLike<unknown> {
    return unpackColumn(head, buffers, count, book, beginning.takesCode);
  }

  function writesDirectly(job: WorkerJob): boolean {
    return traits.sharing && job.out?.buffer instanceof SharedArrayBuffer;
  }

  function lost(loss: Loss): void {
    if (over) return;
    over = true;
    clearTimeout(timer);
    rejectAnswers(loss.reason);
    events.lost(loss);
  }

  send({
    do: "begin",
    name: traits.name,
    share: beginning.share,
    sharing: traits.sharing,
    takesCode: beginning.takesCode,
    control: control !== undefined,
    initializer: beginning.initializer,
  }, control ? [control.buffer as SharedArrayBuffer] : []);
  if (beginning.initializer !== undefined) ship(beginning.initializer);
  return { worker, receive, lost };
}
