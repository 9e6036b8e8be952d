/**
 * Messages between ranks over streams of bytes, for where there is no MPI library: what one sends finds the receive that matches it,
 * by MPI's rules. One thread, no callbacks: everything moves in `progress`, which every call that waits or looks comes through.
 *
 * A frame is a head of six 32-bit numbers (kind, context, tag, id, and 64 bits of size), and the data. A short message goes at
 * once, and waits at its receiver until it is asked for. A long one only asks: it is granted when a receive matches, and then
 * goes straight into that receive's memory. The stream of each pair of ranks keeps the order in which heads were sent, and receives
 * take the first that matches: so messages of one sender never overtake each other.
 *
 * A stream that ends before its rank has taken leave means that the rank is lost. Whatever waits for it fails, and so does what waits for
 * anyone in a group that it belongs to: it might have been the one.
 */
import { exit } from "../runtime/mod.ts";
import {
  ANY,
  type Arrived,
  ERR,
  type Group,
  Line,
  MpiFailure,
  Operation,
  type Transport,
  type Waiting,
} from "./fallback_types.ts";

interface Posted {
  source: number;
  tag: number;
  into: Uint8Array;
  operation: Operation;
}

interface Lines {
  arrived: Line<Arrived>;
  posted: Line<Posted>;
}

/** Bytes that are to be written, and what has then ended. */
interface Piece {
  bytes: Uint8Array;
  operation: Operation | undefined;
}

/** Long data on its way in; without a place to go it is thrown away. */
interface Coming {
  operation: Operation;
  into: Uint8Array | undefined;
  size: number;
  at: number;
}

interface Peer {
  rank: number;
  /** `left`: it has said that its program needs no more of MPI. */
  state: "here" | "left" | "lost";
  open: boolean;
  out: Line<Piece>;
  /** What has been read and not yet understood: bytes from start to end. */
  buffer: Uint8Array;
  start: number;
  end: number;
  coming: Coming | undefined;
}

const SHORT = 1, ASK = 2, GRANT = 3, LONG = 4, LEAVE = 5, ABORT = 6;
const HEAD = 24, BUFFER = 2 ** 18;
const NOTHING = new Uint8Array(0);

/** The messages of one rank. */
export class Engine {
  readonly #transport: Transport | undefined;
  readonly #peers: (Peer | undefined)[];
  /** Ranks whose stream has not ended, and those that have not taken all that is written for them. */
  readonly #open = new Set<number>();
  readonly #full = new Set<number>();
  readonly #contexts = new Map<number, Lines>();
  /** Long messages that wait to be granted, and receives that wait for what they granted. */
  readonly #asking = new Map<number, { operation: Operation; data: Uint8Array }>();
  readonly #granted = new Map<number, Coming>();
  readonly #staging: Uint8Array;
  readonly #head: Int32Array;
  #scratch: Uint8Array | undefined;
  #lastId = 0;
  #over = false;
  /** A rank that is lost, of which no call has told yet. */
  #untold: number | undefined;

  constructor(readonly rank: number, readonly size: number, transport: Transport | undefined) {
    this.#transport = transport;
    this.#peers = Array.from({ length: size }, (_, other) => {
      if (other === rank) return undefined;
      this.#open.add(other);
      return {
        rank: other,
        state: "here",
        open: true,
        out: new Line<Piece>(),
        buffer: NOTHING,
        start: 0,
        end: 0,
        coming: undefined,
      };
    });
    const staging = new ArrayBuffer(HEAD + (transport?.eager ?? 0));
    this.#staging = new Uint8Array(staging);
    this.#head = new Int32Array(staging, 0, HEAD / 4);
  }

  /** Starts to send; the data must stay as they are until it is done. */
  send(group: Group, context: number, to: number, tag: number, data: Uint8Array): Operation {
    const operation = new Operation(group, to, false), peer = this.#peers[to];
    if (!peer) {
      this.#arrive(context, this.rank, tag, data);
      operation.done = true;
    } else if (data.length <= this.#transport!.eager) {
      this.#post(peer, SHORT, context, tag, 0, data.length, data, operation);
    } else {
      const id = this.#newId();
      operation.asks = true;
      this.#asking.set(id, { operation, data });
      this.#post(peer, ASK, context, tag, id, data.length, NOTHING, undefined);
    }
    return operation;
  }

  /** Starts to receive. */
  receive(group: Group, context: number, source: number, tag: number, into: Uint8Array): Operation {
    const arrived = this.find(context, source, tag, true);
    if (arrived) return this.receiveArrived(group, arrived, into);
    const operation = new Operation(group, source, true);
    this.#lines(context).posted.push({ source, tag, into, operation });
    return operation;
  }

  /** Receives a message that was taken. */
  receiveArrived(group: Group, { source, tag, size, bytes, id }: Arrived, into: Uint8Array): Operation {
    const operation = new Operation(group, source, true);
    if (bytes) fill(operation, source, tag, bytes, into);
    else this.#grant(this.#peers[source]!, tag, id, size, into, operation);
    return operation;
  }

  /** The first message that matches, if one is here. */
  find(context: number, source: number, tag: number, take: boolean): Arrived | undefined {
    return this.#lines(context).arrived.find(
      (found) => (source === ANY || found.source === source) && (tag === ANY || found.tag === tag),
      take,
    );
  }

  /** Forgets the messages of a context. */
  forget(context: number): void {
    this.#contexts.delete(context);
  }

  /** Moves what can be moved; waits for something to move, at most so many milliseconds. */
  progress(milliseconds: number): void {
    const transport = this.#transport;
    if (!transport || this.#open.size === 0) return;
    for (const rank of transport.poll(milliseconds, this.#open, this.#full)) {
      const peer = this.#peers[rank]!;
      if (this.#full.has(rank)) this.#flush(peer);
      if (peer.open) this.#drain(peer);
    }
  }

  /** Whether it has ended. @throws {MpiFailure} If it failed, or can never end. */
  test(operation: Operation): boolean {
    if (!operation.done) {
      this.progress(0);
      if (!operation.done) this.#despair(operation, "asks");
    }
    if (operation.failure) throw operation.failure;
    return operation.done;
  }

  /** Returns when it has ended. @throws {MpiFailure} If it failed, or can never end. */
  wait(operation: Operation): void {
    while (!operation.done) {
      this.#despair(operation, "blocked");
      if (!operation.done) this.progress(1000);
    }
    if (operation.failure) throw operation.failure;
  }

  /** Throws if no message can come from this source any more, as far as one who waits for it like that can know. */
  hope(group: Group, source: number, waits: Waiting): void {
    if (source !== ANY) {
      const state = source === this.rank ? "self" : this.#peers[source]!.state;
      if (state === "lost") throw this.#lost(source);
      if (waits !== "looks" && state === "left") {
        throw new MpiFailure(ERR.OTHER, `rank ${source} has ended MPI, and sends nothing any more`);
      }
      if (waits !== "blocked" || state !== "self") return;
      throw new MpiFailure(ERR.OTHER, "a rank waits for a message from itself, and has sent none");
    }
    let somebody = false;
    for (const rank of group.ranks) {
      const state = this.#peers[rank]?.state;
      if (state === "lost") throw this.#lost(rank);
      if (state === "here") somebody = true;
    }
    if (somebody || waits !== "blocked") return;
    throw new MpiFailure(
      ERR.OTHER,
      group.ranks.length === 1
        ? "a rank waits for a message in a group of which it is alone, and has sent none"
        : "all others have ended MPI: nobody sends anything any more",
    );
  }

  /** Throws if a rank was lost and no call has told so yet. */
  tell(): void {
    this.progress(0);
    if (this.#untold !== undefined) throw this.#lost(this.#untold);
  }

  /** Whether it was aborted, or finalized. */
  get over(): boolean {
    return this.#over;
  }

  /** Takes leave, waits until all others have, and closes. @throws {MpiFailure} If one of them is lost. */
  finalize(): void {
    if (this.#over) return;
    for (const peer of this.#peers) {
      if (peer?.open) this.#post(peer, LEAVE, 0, 0, 0, 0, NOTHING, undefined);
    }
    const waits = () => this.#full.size > 0 || this.#peers.some((peer) => peer?.state === "here");
    while (this.#untold === undefined && waits()) this.progress(1000);
    this.#over = true;
    this.#transport?.close();
    if (this.#untold !== undefined) throw this.#lost(this.#untold);
  }

  /**
   * Tells all others to end with this status, and gives them 4 s for it; those that run on this machine and have not ended then, because
   * they do not call MPI, are killed. The caller ends this process.
   */
  abort(code: number): void {
    if (this.#over) return;
    this.#over = true;
    for (const peer of this.#peers) {
      if (peer?.open) this.#post(peer, ABORT, 0, 0, code, 0, NOTHING, undefined);
    }
    const waitFor = (milliseconds: number) => {
      const end = performance.now() + milliseconds;
      while (this.#open.size > 0 && performance.now() < end) this.progress(20);
    };
    waitFor(4000);
    for (const rank of this.#open) this.#transport!.kill(rank);
    waitFor(1000);
    this.#transport?.close();
  }

  #newId(): number {
    return this.#lastId = (this.#lastId + 1) & 0x7fffffff;
  }

  #lines(context: number): Lines {
    let lines = this.#contexts.get(context);
    if (!lines) this.#contexts.set(context, lines = { arrived: new Line(), posted: new Line() });
    return lines;
  }

  /** Writes a frame, or what of it cannot go now behind what waits already. */
  #post(
    peer: Peer,
    kind: number,
    context: number,
    tag: number,
    id: number,
    size: number,
    data: Uint8Array,
    operation: Operation | undefined,
  ): void {
    const head = this.#head;
    head[0] = kind;
    head[1] = context;
    head[2] = tag;
    head[3] = id;
    head[4] = size;
    head[5] = size / 2 ** 32;
    let gone = 0;
    const inOne = data.length <= this.#staging.length - HEAD;
    if (peer.open && !peer.out.first && inOne) {
      this.#staging.set(data, HEAD);
      gone = this.#transport!.write(peer.rank, this.#staging.subarray(0, HEAD + data.length));
      if (gone === HEAD + data.length) {
        if (operation) operation.done = true;
        return;
      }
    }
    if (!peer.open) { // lost, or it has left and closed: `wait` tells
      if (operation && peer.state === "left") operation.done = true;
      return;
    }
    if (gone < HEAD) peer.out.push({ bytes: this.#staging.slice(gone, HEAD), operation: undefined });
    peer.out.push({ bytes: gone > HEAD ? data.subarray(gone - HEAD) : data, operation });
    this.#full.add(peer.rank);
    if (!inOne) this.#flush(peer);
  }

  #flush(peer: Peer): void {
    for (let piece = peer.out.first; piece; piece = peer.out.first) {
      const { bytes, operation } = piece;
      const gone = bytes.length === 0 ? 0 : this.#transport!.write(peer.rank, bytes);
      if (gone < bytes.length) {
        piece.bytes = bytes.subarray(gone);
        return;
      }
      if (operation) operation.done = true;
      peer.out.shift();
    }
    this.#full.delete(peer.rank);
  }

  /** Reads all that has come from a rank. */
  #drain(peer: Peer): void {
    const transport = this.#transport!;
    if (peer.buffer.length === 0) peer.buffer = new Uint8Array(BUFFER);
    for (let turns = 0; turns < 16; turns++) { // others want to be heard too
      const { coming } = peer;
      const direct = coming !== undefined && peer.start === peer.end;
      const room = direct
        ? coming.into?.subarray(coming.at, coming.size) ??
          (this.#scratch ??= new Uint8Array(BUFFER)).subarray(0, coming.size - coming.at)
        : peer.buffer.subarray(peer.end);
      const count = transport.read(peer.rank, room);
      if (count < 0) return this.#end(peer);
      if (count === 0) return;
      if (direct) this.#advance(peer, coming, count);
      else {
        peer.end += count;
        this.#understand(peer);
      }
      if (count < room.length || !peer.open) return; // that was all
    }
  }

  #understand(peer: Peer): void {
    const { buffer } = peer;
    const view = new DataView(buffer.buffer);
    while (peer.end > peer.start) {
      if (peer.coming) {
        const { into, size, at } = peer.coming;
        const count = Math.min(size - at, peer.end - peer.start);
        into?.set(buffer.subarray(peer.start, peer.start + count), at);
        peer.start += count;
        this.#advance(peer, peer.coming, count);
        continue;
      }
      if (peer.end - peer.start < HEAD) break;
      const number = (at: number) => view.getInt32(peer.start + 4 * at, true);
      const kind = number(0), size = view.getUint32(peer.start + 16, true) + number(5) * 2 ** 32;
      const whole = HEAD + (kind === SHORT ? size : 0);
      if (whole > buffer.length) {
        throw new Error(`rank ${peer.rank} sent a frame of ${size} bytes, which none is`);
      }
      if (peer.end - peer.start < whole) break;
      const data = buffer.subarray(peer.start + HEAD, peer.start + whole);
      const context = number(1), tag = number(2), id = number(3);
      peer.start += whole;
      this.#frame(peer, kind, context, tag, id, size, data);
    }
    if (peer.start === peer.end) peer.start = peer.end = 0;
    else if (buffer.length - peer.end < buffer.length / 2) {
      buffer.copyWithin(0, peer.start, peer.end);
      peer.end -= peer.start;
      peer.start = 0;
    }
  }

  #frame(
    peer: Peer,
    kind: number,
    context: number,
    tag: number,
    id: number,
    size: number,
    data: Uint8Array,
  ): void {
    switch (kind) {
      case SHORT:
        return this.#arrive(context, peer.rank, tag, data);
      case ASK: {
        const posted = this.#match(context, peer.rank, tag);
        if (posted) return this.#grant(peer, tag, id, size, posted.into, posted.operation);
        return this.#lines(context).arrived.push({ source: peer.rank, tag, size, bytes: undefined, id });
      }
      case GRANT: {
        const { operation, data } = this.#asking.get(id)!;
        this.#asking.delete(id);
        operation.asks = false;
        return this.#post(peer, LONG, 0, 0, tag, data.length, data, operation);
      }
      case LONG:
        peer.coming = this.#granted.get(id)!;
        this.#granted.delete(id);
        return;
      case LEAVE:
        peer.state = "left";
        return;
      case ABORT:
        if (this.#over) { // this one aborts too: they need not wait for each other
          peer.open = false;
          this.#open.delete(peer.rank);
          this.#full.delete(peer.rank);
          return;
        }
        this.#over = true;
        this.#transport!.close();
        return exit(id);
    }
    throw new Error(`rank ${peer.rank} sent a frame of kind ${kind}, which there is not`);
  }

  #match(context: number, source: number, tag: number): Posted | undefined {
    return this.#lines(context).posted.find(
      (posted) =>
        (posted.source === ANY || posted.source === source) && (posted.tag === ANY || posted.tag === tag) &&
        !posted.operation.done, // it has failed
      true,
    );
  }

  #arrive(context: number, source: number, tag: number, data: Uint8Array): void {
    const posted = this.#match(context, source, tag);
    if (posted) return fill(posted.operation, source, tag, data, posted.into);
    this.#lines(context).arrived.push({ source, tag, size: data.length, bytes: data.slice(), id: 0 });
  }

  #grant(peer: Peer, tag: number, id: number, size: number, into: Uint8Array, operation: Operation): void {
    accept(operation, peer.rank, tag, size, into);
    const mine = this.#newId();
    this.#granted.set(mine, { operation, into: operation.failure ? undefined : into, size, at: 0 });
    this.#post(peer, GRANT, 0, mine, id, 0, NOTHING, undefined);
  }

  #advance(peer: Peer, coming: Coming, count: number): void {
    coming.at += count;
    if (coming.at < coming.size) return;
    coming.operation.done = true;
    peer.coming = undefined;
  }

  /** A stream has ended. */
  #end(peer: Peer): void {
    peer.open = false;
    this.#open.delete(peer.rank);
    this.#full.delete(peer.rank);
    if (peer.state === "here") {
      peer.state = "lost";
      this.#untold ??= peer.rank;
    }
    for (let piece = peer.out.first; piece; piece = peer.out.first) {
      if (piece.operation && peer.state === "left") piece.operation.done = true;
      peer.out.shift();
    }
  }

  /** Lets it fail if it can never end. */
  #despair(operation: Operation, waits: Waiting): void {
    const { group, peer, source, receives } = operation;
    try {
      if (receives) return source === ANY ? this.hope(group, peer, waits) : this.hope(group, source, "looks");
      if (this.#peers[peer]!.state === "lost") throw this.#lost(peer);
      if (operation.asks && this.#peers[peer]!.state === "left") {
        throw new MpiFailure(
          ERR.OTHER,
          `rank ${peer} has ended MPI, and has not received what was sent to it`,
        );
      }
    } catch (error) {
      operation.failure = error as MpiFailure;
      operation.done = true;
    }
  }

  #lost(rank: number): MpiFailure {
    this.#untold = undefined;
    return new MpiFailure(
      ERR.OTHER,
      `rank ${rank} (${this.#transport!.describe(rank)}) is lost: it was killed or crashed`,
    );
  }
}

/** Notes what a receive has got, or that it is too short for it. */
function accept(operation: Operation, source: number, tag: number, size: number, into: Uint8Array): void {
  operation.source = source;
  operation.tag = tag;
  operation.bytes = size;
  if (size <= into.length) return;
  operation.failure = new MpiFailure(
    ERR.TRUNCATE,
    `message truncated: ${size} bytes with tag ${tag} from rank ${source} do not go into an array of ${into.length}`,
  );
}

function fill(operation: Operation, source: number, tag: number, data: Uint8Array, into: Uint8Array): void {
  accept(operation, source, tag, data.length, into);
  if (!operation.failure) into.set(data);
  operation.done = true;
}
