/**
 * The files of a batch map, which its tasks and whoever submitted it have in common. All are made of frames
 * (runtime/frames.ts) with a fixed mark; the messages in them are those between a pool and its worker (map/protocol.ts),
 * as they travel. A task passes them on unread: values are packed and unpacked only by the caller and by the worker.
 *
 * `work.bin`: mark, u32 length, a packed {@linkcode WorkHead}, then the sections it points into: one with the code, and one
 * for each task with the chunks it has to run.
 *
 * `out/TASK.ATTEMPT.WRITER.NUMBER.BYTES.part`: what a task has to tell, never changed once it is there. It begins with a
 * {@linkcode PartNote}; more notes follow, those of chunks with the worker's message beside them. Who reads all parts,
 * in any order, knows everything; a result that is told twice is the same.
 */
import { Packr } from "msgpackr/pack";
import { Unpackr } from "msgpackr/unpack";
import { concat, frame, FrameReader } from "../runtime/mod.ts";

/** The symbol under which the program of a task finds the worker program. */
export const WORKER_SYMBOL = "pathos.batch.worker";

const packer = new Packr({ useRecords: false });
const unpacker = new Unpackr({ useRecords: false });

const MARK = new TextEncoder().encode("PATHOSB1");

/** A piece of a file. */
export type Section = readonly [offset: number, length: number];

/** What is in `work.bin`. Offsets count from the end of this head. */
export interface WorkHead {
  /** Messages `code` and `job`. */
  code: Section;
  /** Messages `run`, one for each chunk, by task from 1. */
  tasks: readonly Section[];
}

/** What a task tells about itself, first in every part. */
export interface PartNote {
  say: "part";
  /** Name of the file. */
  name: string;
  /** From 1. */
  task: number;
  /** From 1. */
  attempt: number;
  /** Where it runs. */
  node: string;
}

/** What became of the `count` items from `start`: the worker answered, with its message beside this. */
export interface AnswerNote {
  say: "answer";
  start: number;
  count: number;
  /** Whether some of them failed. */
  failed: boolean;
}

/** What became of the `count` items from `start`: the worker ended while it had them. */
export interface LossNote {
  say: "loss";
  start: number;
  count: number;
  reason: string;
  signal: string | null;
  exitCode: number | null;
  stderr: string;
}

/** What parts tell. */
export type Note = PartNote | AnswerNote | LossNote;

/** A note, and the parts of the message beside it. */
export interface Noted<N extends Note = Note> {
  note: N;
  message: Uint8Array[];
}

/** A message as bytes. */
export function packed(parts: readonly Uint8Array[]): Uint8Array {
  return concat(frame(MARK, parts));
}

/** A note as bytes, with a message beside it. */
export function packNote(note: Note, message: readonly Uint8Array[] = []): Uint8Array {
  return packed([packer.pack(note), ...message]);
}

/**
 * Cuts bytes into messages. An incomplete one at the end is left out.
 *
 * @throws {Error} If there is something else between them.
 */
export function cutFrames(bytes: Uint8Array): Uint8Array[][] {
  const found: Uint8Array[][] = [];
  const reader = new FrameReader(MARK, (parts) => found.push(parts), () => {
    throw new Error("a file of the batch map is damaged");
  });
  reader.push(bytes);
  return found;
}

/**
 * The notes in the bytes of parts, one part after another.
 *
 * @throws {Error} If they are damaged.
 */
export function readNotes(bytes: Uint8Array): Noted[] {
  return cutFrames(bytes).map(([head, ...message]) => ({
    note: unpacker.unpack(head) as Note,
    message,
  }));
}

/** `work.bin`, in pieces. */
export function packWork(code: Uint8Array, tasks: readonly Uint8Array[]): Uint8Array[] {
  let offset = 0;
  const section = ({ length }: Uint8Array): Section => [(offset += length) - length, length];
  const head = packer.pack({ code: section(code), tasks: tasks.map(section) } satisfies WorkHead);
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, head.byteLength, true);
  return [concat([MARK, length, head]), code, ...tasks];
}

/**
 * Reads the messages of sections of a `work.bin`, which `read` gives bytes of.
 *
 * @throws {Error} If it is none.
 */
export function openWork(
  read: (at: number, length: number) => Uint8Array,
): { head: WorkHead; messages(section: Section): Uint8Array[][] } {
  const start = read(0, MARK.length + 4);
  if (start.length < MARK.length + 4 || MARK.some((byte, i) => start[i] !== byte)) {
    throw new Error("this is no work.bin of a batch map");
  }
  const length = new DataView(start.buffer, start.byteOffset).getUint32(MARK.length, true);
  const head = unpacker.unpack(read(start.length, length)) as WorkHead;
  const base = start.length + length;
  return { head, messages: ([offset, length]) => cutFrames(read(base + offset, length)) };
}
