/**
 * Frames between ranks: lists of byte arrays, in order, over messages of a communicator.
 *
 * A message holds one frame or several: their number, then of each the number of its parts and their lengths (u32, little
 * endian), and its small parts. Each large part is a message of its own right behind, so that it is not copied; a frame that has
 * one is the last of its message. Frames that are sent while frames are received go together when these have been worked
 * through, or after {@linkcode TOGETHER_MS}: a message costs more than a small frame.
 *
 * Sending never blocks. Receiving asks MPI again and again, since MPI wakes nobody: as long as something comes it asks without a
 * pause, then in every turn of the event loop, and after 5 ms of silence once a millisecond, so that ranks that wait leave the
 * cores to those that work.
 */
import { nextTurn } from "../runtime/mod.ts";
import type { Communicator } from "./communicator.ts";
import type { Request } from "./requests.ts";

/** Parts of more bytes are sent by themselves. */
const LARGE = 16_384;
/** The parts before this one are read at once, and need no memory of their own: what a frame is, and its head. */
const OWNED_FROM = 2;
/** The tag of all messages here. */
const TAG = 29_977;
/** A message is sent when it has so many frames or bytes, or the first one has waited so long. Milliseconds. */
const MOST_FRAMES = 16;
const FULL = 32_768;
const TOGETHER_MS = 0.2;
/** Silent for so long, MPI is asked less often. Milliseconds. */
const HOT_MS = 5;
/** Messages taken and attempts made before the event loop gets its turn. */
const BURST = 64;
const TRIES = 20;

/** Frames to and from the other ranks. */
export interface RankFrames {
  /** Sends a frame; an urgent one leaves at once. Its parts must not be changed any more. */
  send(dest: number, parts: readonly Uint8Array[], urgent?: boolean): void;
  /** Resolves when all that was sent has left this process; undefined: it has, or waits for company for a moment. */
  unsent(): Promise<void> | undefined;
  /** Receives as long as it is on; that keeps this program alive. */
  listen(on: boolean): void;
  /** Receives what is there now, and lets MPI move what is being sent. Returns whether anything came. */
  poll(): boolean;
}

/** The last frame of a message: parts that come by themselves are still missing. */
interface Partial {
  parts: Uint8Array[];
  /** The index and length of each missing part, first to come first. */
  missing: { at: number; length: number }[];
}

/** Frames for a rank that go together. */
interface Waiting {
  frames: (readonly Uint8Array[])[];
  bytes: number;
}

/** Makes one; `receive` gets each frame. Its parts own their memory, but for the first two, which are to be read at once. */
export function openFrames(
  comm: Communicator,
  receive: (source: number, parts: Uint8Array[]) => void,
): RankFrames {
  let sending: Request[] = [];
  const partial = new Map<number, Partial>();
  const waiting = new Map<number, Waiting>();
  let waitingSince = 0;
  let asked = 0;
  let drained: { promise: Promise<void>; resolve: () => void } | undefined;
  let on = false;
  let running = false;
  let receiving = false;
  let flushSoon = false;

  const settle = (): void => {
    if (sending.length > 0) sending = sending.filter((request) => !request.test());
    if (sending.length > 0 || !drained) return;
    drained.resolve();
    drained = undefined;
  };
  const start = (bytes: Uint8Array, dest: number): void => {
    const request = comm.isend(bytes, dest, TAG);
    if (request.test()) return;
    sending.push(request);
    if (!running) run();
  };
  const flush = (): void => {
    for (const [dest, { frames }] of waiting) {
      waiting.delete(dest);
      const { message, apart } = pack(frames);
      start(message, dest);
      for (const part of apart) start(part, dest);
    }
  };
  /** Whether what waits has done so for long, or was long in the making: then what comes next may take long too. */
  const isLate = (): boolean => {
    const now = performance.now();
    const late = now - Math.min(waitingSince, asked) > TOGETHER_MS;
    asked = now;
    return late;
  };
  const arrived = (source: number, message: Uint8Array): void => {
    const last = partial.get(source);
    if (!last) {
      unpack(message, (frame) => {
        if (frame.missing.length > 0) partial.set(source, frame);
        else receive(source, frame.parts);
      });
      return;
    }
    const { at, length } = last.missing.shift()!;
    if (message.byteLength !== length) {
      throw new Error(`rank ${source} sent ${message.byteLength} bytes where ${length} were announced`);
    }
    last.parts[at] = message;
    if (last.missing.length > 0) return;
    partial.delete(source);
    receive(source, last.parts);
  };
  const poll = (): boolean => {
    let came = false;
    receiving = true;
    try {
      for (let taken = 0; taken < BURST; taken++) {
        const message = comm.tryRecvBytes(undefined, TAG);
        if (!message) break;
        came = true;
        arrived(message.source, message.value);
      }
    } finally {
      receiving = false;
    }
    if (waiting.size > 0) flush();
    settle();
    return came;
  };
  async function run(): Promise<void> {
    running = true;
    let silentSince: number | undefined;
    while (on || sending.length > 0) {
      let came = false;
      for (let tries = 0; tries < TRIES && !came; tries++) came = poll();
      if (came) silentSince = undefined;
      else silentSince ??= performance.now();
      if (silentSince === undefined || performance.now() - silentSince < HOT_MS) await nextTurn();
      else await new Promise((resolve) => setTimeout(resolve, 1));
    }
    running = false;
  }
  return {
    send(dest, parts, urgent = false) {
      let group = waiting.get(dest);
      if (!group) {
        if (waiting.size === 0) waitingSince = performance.now();
        waiting.set(dest, group = { frames: [], bytes: 0 });
      }
      group.frames.push(parts);
      let full = urgent || group.frames.length === MOST_FRAMES;
      for (const { byteLength } of parts) {
        group.bytes += byteLength;
        if (byteLength > LARGE) full = true;
      }
      if (full || group.bytes > FULL) return flush();
      if (receiving || flushSoon) return;
      flushSoon = true;
      queueMicrotask(() => {
        flushSoon = false;
        flush();
      });
    },
    unsent() {
      if (waiting.size > 0 && isLate()) flush();
      if (sending.length > 0) settle();
      if (sending.length === 0) return undefined;
      if (!drained) {
        let resolve = (): void => {};
        drained = { promise: new Promise<void>((done) => resolve = done), resolve };
      }
      return drained.promise;
    },
    listen(wanted) {
      on = wanted;
      if (on && !running) run();
    },
    poll,
  };
}

function pack(
  frames: readonly (readonly Uint8Array[])[],
): { message: Uint8Array; apart: readonly Uint8Array[] } {
  let total = 4;
  for (const parts of frames) {
    total += 4 + 4 * parts.length;
    for (const { byteLength } of parts) if (byteLength <= LARGE) total += byteLength;
  }
  const message = new Uint8Array(new ArrayBuffer(total));
  const view = new DataView(message.buffer);
  view.setUint32(0, frames.length, true);
  const apart: Uint8Array[] = [];
  let used = 4;
  for (const parts of frames) {
    view.setUint32(used, parts.length, true);
    used += 4;
    for (const { byteLength } of parts) {
      view.setUint32(used, byteLength, true);
      used += 4;
    }
    for (const part of parts) {
      if (part.byteLength > LARGE) apart.push(part);
      else {
        message.set(part, used);
        used += part.byteLength;
      }
    }
  }
  return { message, apart };
}

function unpack(message: Uint8Array, give: (frame: Partial) => void): void {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  let at = 4;
  for (let left = view.getUint32(0, true); left > 0; left--) {
    const count = view.getUint32(at, true);
    let lengths = at + 4;
    let used = lengths + 4 * count;
    const parts: Uint8Array[] = [];
    const missing: Partial["missing"] = [];
    for (let i = 0; i < count; i++, lengths += 4) {
      const length = view.getUint32(lengths, true);
      if (length > LARGE) {
        missing.push({ at: i, length });
        parts.push(message);
        continue;
      }
      parts.push(i < OWNED_FROM ? message.subarray(used, used + length) : message.slice(used, used + length));
      used += length;
    }
    at = used;
    give({ parts, missing });
  }
}
