/**
 * Messages as the parts of a frame, for lines that carry bytes: the first part is the packed head, the others
 * are the buffers. A SharedArrayBuffer cannot cross; columns.ts has already copied those.
 */
import { Packr } from "msgpackr/pack";
import { Unpackr } from "msgpackr/unpack";

const packer = new Packr({ useRecords: false });
const unpacker = new Unpackr({ useRecords: false });

/** The parts of a frame. */
export function packMessage(
  message: unknown,
  buffers: readonly (ArrayBuffer | SharedArrayBuffer)[],
): Uint8Array[] {
  return [packer.pack(message), ...buffers.map((buffer) => new Uint8Array(buffer))];
}

/** The message of a frame. Each part must own its memory. */
export function unpackMessage<Message>(parts: Uint8Array[]): { message: Message; buffers: ArrayBuffer[] } {
  return {
    message: unpacker.unpack(parts[0]) as Message,
    buffers: parts.slice(1).map((part) => part.buffer as ArrayBuffer),
  };
}
