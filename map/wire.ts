/**
 * Messages as the parts of a frame, for lines that carry bytes: the first part is the packed head, the others
 * are the buffers. A SharedArrayBuffer cannot cross; columns.ts has already copied those.
 *
 * The two messages that there is one of for each chunk are packed without the names of their fields: that takes half the time.
 */
import { Packr } from "msgpackr/pack";
import { Unpackr } from "msgpackr/unpack";
import type { ColumnHead } from "./columns.ts";
import type { FromWorker, ToWorker } from "./protocol.ts";

const packer = new Packr({ useRecords: false });
const unpacker = new Unpackr({ useRecords: false });

type Message = ToWorker | FromWorker;
type Run = Extract<ToWorker, { do: "run" }>;
type Done = Extract<FromWorker, { say: "done" }>;

/** A column's head; a few numbers by themselves. */
type Short = number[] | ColumnHead;

/** Fields by position; the first says which message. */
type Compact =
  | [kind: 0, job: number, chunk: number, claim: number, start: number, count: number, columns: Short[]]
  | [
    kind: 1,
    chunk: number,
    ran: number,
    values: Short,
    busy: number,
    rest: Pick<Done, "failures" | "errors" | "segments"> | null,
  ];

const NOTHING: ColumnHead = { form: "nothing" };

const shorten = (head: ColumnHead): Short => head.form === "few" ? head.values : head;
const lengthen = (head: Short): ColumnHead => Array.isArray(head) ? { form: "few", values: head } : head;

function compact(message: Message): Message | Compact {
  if ("do" in message) {
    if (message.do !== "run") return message;
    const { job, chunk, claim, start, count, columns } = message;
    return [0, job, chunk, claim, start, count, columns.map(shorten)];
  }
  if (message.say !== "done") return message;
  const { chunk, ran, values, busy, failures, errors, segments } = message;
  const plain = failures.length === 0 && segments === undefined;
  return [1, chunk, ran, shorten(values), busy, plain ? null : { failures, errors, segments }];
}

function expand(packed: Message | Compact): Message {
  if (!Array.isArray(packed)) return packed;
  if (packed[0] === 0) {
    const [, job, chunk, claim, start, count, columns] = packed;
    return { do: "run", job, chunk, claim, start, count, columns: columns.map(lengthen) } satisfies Run;
  }
  const [, chunk, ran, values, busy, rest] = packed;
  const { failures = [], errors = NOTHING, segments } = rest ?? {};
  return {
    say: "done",
    chunk,
    ran,
    values: lengthen(values),
    failures,
    errors,
    busy,
    segments,
  } satisfies Done;
}

/** The parts of a frame. */
export function packMessage(
  message: object,
  buffers: readonly (ArrayBuffer | SharedArrayBuffer)[],
): Uint8Array[] {
  return [packer.pack(compact(message as Message)), ...buffers.map((buffer) => new Uint8Array(buffer))];
}

/** The message of a frame. Each part but the first must own its memory. */
export function unpackMessage<M>(
  parts: Uint8Array[],
): { message: M; buffers: ArrayBuffer[] } {
  return {
    message: expand(unpacker.unpack(parts[0])) as M,
    buffers: parts.slice(1).map((part) => part.buffer as ArrayBuffer),
  };
}
