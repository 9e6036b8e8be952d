/**
 * What a pool and a server on another host say to each other, over one stream of frames (runtime/frames.ts)
 * that an HTTP request turned into by `Upgrade`. The stream carries all workers of the host: the first part of
 * a frame is its head, the rest is a message to or from the worker that the head names, exactly as a local
 * process would get it (protocol.ts), so the server passes it on without looking inside. Only code is kept by
 * the server: it crosses once for each host, however many workers need it.
 *
 * That is one way for messages. The other, on hosts reached by ssh, is a stream between the pool and each worker
 * past the server (direct_lines.ts): messages that would be `tell` in both directions go there, and code that is not
 * large. It is offered with `start`. Which of the two ways a worker has is decided before its first message, and
 * never changes; everything else is said in the session either way.
 *
 * Both sides send a sign of life at least every {@linkcode BEAT_MS}; a side that hears nothing for its limit
 * treats the other as gone.
 */
import { Packr } from "msgpackr/pack";
import { Unpackr } from "msgpackr/unpack";
import { frame, FrameReader } from "../runtime/mod.ts";
import type { LineDoor, Permissions } from "../runtime/mod.ts";
import type { Loss } from "./worker.ts";

/** Version of this protocol; the two sides must have the same. */
export const SESSION_VERSION = 1;
/** Path of the request that becomes a session. */
export const SESSION_PATH = "/session";
/** Longest silence of a living side, in milliseconds. */
export const BEAT_MS = 1000;
/** A pool gives a server up after this silence, in milliseconds. */
export const SILENCE_MS = 10_000;
/** A server gives a pool up after this silence, in milliseconds. */
export const LEASE_MS = 30_000;
/** Longest frame that a server takes, in bytes, unless it was told otherwise. */
export const MAX_FRAME = 2 ** 30;

/** Bytes of a secret that opens a direct line. */
export const SECRET_BYTES = 32;
/** Marks the start of a frame: a stream that has anything else there is not a session, nor a direct line. */
export const MARK = new TextEncoder().encode("pathos\x00\x01");

/** Pool to server. */
export type ToServer =
  /** Start worker `to`, a number the pool chose, for its slot `slot`; its first message is the offer. */
  | {
    do: "start";
    to: number;
    slot: number;
    permissions: Permissions;
    maxMemory: number | undefined;
    line?: LineDoor;
  }
  /** The rest of the frame is a message for the worker. */
  | { do: "tell"; to: number }
  /** The rest of the frame is a message with code: keep it under its hash. */
  | { do: "keep"; hash: string }
  /** Give the worker the code with this hash; `aside`: for the place that its direct line keeps for it. */
  | { do: "code"; to: number; hash: string; aside?: boolean }
  /** Forget all code. */
  | { do: "forget" }
  /** Close the worker's input: it ends when it is idle. */
  | { do: "end"; to: number }
  | { do: "kill"; to: number }
  /** A sign of life that asks for one. */
  | { do: "ping"; at: number };

/** Server to pool. */
export type FromServer =
  | ({ say: "hello" } & ServerFacts)
  /** The rest of the frame is a message from the worker. */
  | { say: "tell"; from: number }
  | { say: "output"; from: number; stream: "stdout" | "stderr"; line: string }
  | { say: "died"; from: number; loss: Loss }
  | { say: "pong"; at: number };

/** What a server tells of itself. */
export interface ServerFacts {
  /** Version of the session protocol. */
  version: number;
  /** `"deno 2.9.6"`. */
  runtime: string;
  /** Name of its machine. */
  hostname: string;
  /** Its process id there. */
  pid: number;
  /** Cores it may use. */
  cores: number;
  /** Workers it offers. */
  workers: number;
  /** Bytes of the longest message it takes. */
  maxFrame: number;
  /** What its workers are called, if they have names of their own. */
  names?: string[];
}

const packer = new Packr({ useRecords: false });
const unpacker = new Unpackr({ useRecords: false });

/** The pieces to write for a frame. */
export function sessionFrame(head: ToServer | FromServer, parts: readonly Uint8Array[] = []): Uint8Array[] {
  return frame(MARK, [packer.pack(head), ...parts]);
}

/**
 * Cuts a stream into frames. The returned function takes the next bytes.
 *
 * @param maxFrame Bytes that a frame may have.
 * @returns A function that throws if the stream is not a session, or has a frame that is too large.
 */
export function readSession<Head extends ToServer | FromServer>(
  maxFrame: number,
  receive: (head: Head, parts: Uint8Array[]) => void,
): (bytes: Uint8Array) => void {
  const reader = new FrameReader(
    MARK,
    ([head, ...parts]) => {
      if (!head) throw new Error("a frame without a head");
      receive(unpacker.unpack(head) as Head, parts);
    },
    () => {
      throw new Error("bytes that do not belong to the protocol");
    },
    maxFrame,
  );
  return (bytes) => reader.push(bytes);
}
