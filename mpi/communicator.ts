/**
 * A group of ranks that talk to each other: MPI's communicator, for arrays of numbers and for values of any kind.
 *
 * An array of numbers (a typed array) goes through MPI without being copied or described: the receiver must know its type and have
 * room for it. Any other value (objects, strings, Maps, functions with what they capture) is serialized, and arrives as a copy.
 *
 * Everything here blocks this thread until MPI has done it, as MPI does, timers and promises wait meanwhile; but for what is
 * called `i...` (starts something, gives a request) and `...Async` (a promise; MPI is asked again and again in between).
 * Every rank of the group must call a collective operation, in the same order. Errors are {@linkcode MpiError}s with MPI's text.
 */
import { exit } from "../runtime/mod.ts";
import { type Handle, UNDEFINED } from "./abi.ts";
import { isNumericArray, type NumericArray } from "./arrays.ts";
import * as collectives from "./collectives.ts";
import type { ReduceName } from "./collectives.ts";
import { ANY_SOURCE, ANY_TAG, type Libmpi, type Status } from "./libmpi.ts";
import * as p2p from "./point_to_point.ts";
import type { Channel, Message } from "./point_to_point.ts";
import { poll } from "./polling.ts";
import { allreduceAny, type AnyReducer, reduceAny, type Reducer } from "./reducing.ts";
import type { MpiFamily } from "./rank_env.ts";
import { arrayRequest, type Request } from "./requests.ts";

/** The MPI library in use. */
export interface MpiLibrary {
  /** As it was loaded, such as `"libmpi.so.40"`; `"tcp"`, `"files"` or, of a rank that is alone, `"none"` where there is no library. */
  name: string;
  /** Whose binary interface it has; `"pathos"` where there is no library. */
  family: MpiFamily | "pathos";
  /** Its own description (MPI_Get_library_version), first line. */
  version: string;
}

/**
 * A group of ranks. {@linkcode world} gives that of all; `split` and `dup` make others.
 *
 * @example
 * ```ts ignore
 * // mpirun -n 4 deno run -A hello.ts
 * import { world } from "@pathos/pathos/mpi";
 *
 * const comm = world();
 * const names = comm.gather(`rank ${comm.rank} on ${comm.host}`);
 * if (comm.rank === 0) console.log(names);
 * const [sum] = comm.allreduce(new Float64Array([comm.rank]), "sum"); // 6
 * ```
 */
export class Communicator {
  /** Rank of this process in the group, 0 to size - 1. */
  readonly rank: number;
  /** Number of ranks in the group. */
  readonly size: number;
  readonly #channel: { -readonly [Key in keyof Channel]: Channel[Key] };
  /** Where the handle is, of a communicator that can be freed. */
  readonly #memory: Uint32Array | undefined;
  #inner: Communicator | undefined;

  /** @internal */
  constructor(mpi: Libmpi, handle: Handle, memory?: Uint32Array) {
    const cell = new Int32Array(new ArrayBuffer(4));
    mpi.check(mpi.call.MPI_Comm_rank(handle, cell), "MPI_Comm_rank");
    this.rank = cell[0];
    mpi.check(mpi.call.MPI_Comm_size(handle, cell), "MPI_Comm_size");
    this.size = cell[0];
    this.#channel = { mpi, handle, rank: this.rank, size: this.size };
    this.#memory = memory;
  }

  /** The group's name (MPI_Comm_get_name, MPI_Comm_set_name): `"MPI_COMM_WORLD"`, or `""` of a group that has not been given one. */
  get name(): string {
    const { mpi, handle } = this.#channel;
    return mpi.text((into, length) =>
      mpi.check(mpi.call.MPI_Comm_get_name(handle, into, length), "MPI_Comm_get_name")
    );
  }
  set name(name: string) {
    const { mpi, handle } = this.#channel;
    mpi.check(mpi.call.MPI_Comm_set_name(handle, new TextEncoder().encode(name + "\0")), "MPI_Comm_set_name");
  }

  /** Name of the machine this rank runs on (MPI_Get_processor_name). */
  get host(): string {
    const { mpi } = this.#channel;
    return mpi.text((into, length) =>
      mpi.check(mpi.call.MPI_Get_processor_name(into, length), "MPI_Get_processor_name")
    );
  }

  /** The MPI library that does the work. */
  get library(): MpiLibrary {
    const { mpi } = this.#channel;
    const text = mpi.text((into, length) =>
      mpi.check(mpi.call.MPI_Get_library_version(into, length), "MPI_Get_library_version")
    );
    return { name: mpi.name, family: mpi.family, version: text.trim().split("\n")[0].replace(/\s+/g, " ") };
  }

  /**
   * Sends an array or a value to a rank (MPI_Send). Blocks until the data may be changed again: a short message is buffered, a long one
   * (some kB) waits for its receiver.
   *
   * @param data An array of numbers, sent as it is, at most 2^31 - 1 elements; or any value that `dumps` can write.
   * @param dest Rank of the receiver. To {@linkcode PROC_NULL} nothing is sent.
   * @param tag A number from 0 by which the receiver may choose.
   * @throws {MpiError} If there is no such rank, or the tag is negative.
   */
  send(data: unknown, dest: number, tag = 0): void {
    p2p.send(this.#channel, data, dest, tag);
  }

  /**
   * Receives an array into one that is at least as long, of the same type as the sender's (MPI_Recv). Blocks until it is there.
   *
   * @param into Filled from its start; `count` of the status tells how far.
   * @param source Rank of the sender. Default: any.
   * @param tag Tag of the message. Default: any.
   * @throws {MpiError} If the message is longer than the array.
   * @throws {CorruptDataError} If what came is no array but a value.
   */
  recv(into: NumericArray, source?: number, tag?: number): Status;
  /**
   * Receives a value (MPI_Mprobe, MPI_Mrecv). Blocks until it is there. What it holds is trusted, code included.
   *
   * @typeParam T What the value is taken for; it is not checked.
   * @param source Rank of the sender. Default: any.
   * @param tag Tag of the message. Default: any.
   * @throws {CorruptDataError} If what came is no value but an array.
   */
  recv<T = unknown>(source?: number, tag?: number): T;
  recv(first: NumericArray | number = ANY_SOURCE, second = ANY_SOURCE, tag = ANY_TAG): unknown {
    if (typeof first === "number") return this.recvMessage(first, second).value;
    return p2p.recv(this.#channel, first, second, tag);
  }

  /** Receives a value as `recv` does, and says from whom it is and with which tag. */
  recvMessage<T = unknown>(source: number = ANY_SOURCE, tag: number = ANY_TAG): Message<T> {
    return p2p.valueIn<T>(p2p.recvBytes(this.#channel, source, tag));
  }

  /**
   * Receives a message of any length as bytes: an array whose length is not known here, which can be viewed by its type
   * (`new Float64Array(value.buffer)`), or a value as `dumps` wrote it. Blocks until it is there (MPI_Mprobe, MPI_Mrecv).
   */
  recvBytes(source: number = ANY_SOURCE, tag: number = ANY_TAG): Message<Uint8Array> {
    return p2p.recvBytes(this.#channel, source, tag);
  }

  /** Takes such a message if one is there, and else gives undefined; does not block (MPI_Improbe, MPI_Mrecv). */
  tryRecvBytes(source: number = ANY_SOURCE, tag: number = ANY_TAG): Message<Uint8Array> | undefined {
    return p2p.tryRecvBytes(this.#channel, source, tag);
  }

  /**
   * The same as `recv`, but timers, promises and I/O of this process go on meanwhile. A message takes a few microseconds more, and up to
   * a millisecond more when it has been waited for longer than 2 ms.
   *
   * @throws {MpiError} As `recv`, by rejecting.
   */
  recvAsync(into: NumericArray, source?: number, tag?: number): Promise<Status>;
  /** The same for a value. */
  recvAsync<T = unknown>(source?: number, tag?: number): Promise<T>;
  async recvAsync(
    first: NumericArray | number = ANY_SOURCE,
    second = ANY_SOURCE,
    tag = ANY_TAG,
  ): Promise<unknown> {
    if (typeof first !== "number") return await p2p.irecv(this.#channel, first, second, tag).finished();
    return await p2p.irecvValue(this.#channel, first, second).finished();
  }

  /**
   * Starts to send and returns at once (MPI_Isend). The array must not be changed before the request has ended; of a value the bytes are
   * taken now. Wait for the request before the program ends.
   *
   * @throws {MpiError} As `send`.
   */
  isend(data: unknown, dest: number, tag = 0): Request {
    return p2p.isend(this.#channel, data, dest, tag);
  }

  /**
   * Starts to receive into an array and returns at once (MPI_Irecv). The array must not be touched, nor its buffer transferred, before
   * the request has ended.
   */
  irecv(into: NumericArray, source?: number, tag?: number): Request;
  /** A request that ends with a value. A message is matched when the request is asked or waited for, not before. */
  irecv<T = unknown>(source?: number, tag?: number): Request<T>;
  irecv(first: NumericArray | number = ANY_SOURCE, second = ANY_SOURCE, tag = ANY_TAG): Request<unknown> {
    if (typeof first !== "number") return p2p.irecv(this.#channel, first, second, tag);
    return p2p.irecvValue(this.#channel, first, second);
  }

  /**
   * Sends an array and receives another one at the same time (MPI_Sendrecv), so that neighbours who exchange do not wait for each other
   * for ever. Blocks until both is done.
   *
   * @param data What is sent to `dest` with `tag`.
   * @param into What is received from `source` (default: any) with `recvTag` (default: any); a different array.
   */
  sendrecv(
    data: NumericArray,
    dest: number,
    into: NumericArray,
    source?: number,
    tag?: number,
    recvTag?: number,
  ): Status {
    return p2p.sendrecv(this.#channel, data, dest, into, source ?? ANY_SOURCE, tag ?? 0, recvTag ?? ANY_TAG);
  }

  /** Sends a value and receives another one at the same time, as `sendrecv` does with arrays. */
  exchange<T = unknown>(
    value: unknown,
    dest: number,
    source: number = ANY_SOURCE,
    tag = 0,
    recvTag: number = ANY_TAG,
  ): T {
    const sent = this.isend([value], dest, tag);
    const [received] = this.recv<[T] | undefined>(source, recvTag) ?? [];
    sent.wait();
    return received as T;
  }

  /** Waits for a message without taking it (MPI_Probe); `count` of the status is in bytes. Blocks. */
  probe(source: number = ANY_SOURCE, tag: number = ANY_TAG): Status {
    return p2p.probe(this.#channel, source, tag);
  }

  /** The next message, if one is there, without taking it (MPI_Iprobe); undefined if there is none. Does not block. */
  iprobe(source: number = ANY_SOURCE, tag: number = ANY_TAG): Status | undefined {
    return p2p.iprobe(this.#channel, source, tag);
  }

  /** The same as `probe`, but timers, promises and I/O of this process go on meanwhile. */
  probeAsync(source: number = ANY_SOURCE, tag: number = ANY_TAG): Promise<Status> {
    return poll(() => this.iprobe(source, tag));
  }

  /** Blocks until every rank has come here (MPI_Barrier). */
  barrier(): void {
    const { mpi, handle } = this.#channel;
    mpi.check(mpi.call.MPI_Barrier(handle), "MPI_Barrier");
  }

  /** Resolves when every rank has come here (MPI_Ibarrier); timers, promises and I/O go on meanwhile. */
  async barrierAsync(): Promise<void> {
    const { mpi, handle } = this.#channel;
    const memory = mpi.newHandle();
    mpi.check(mpi.call.MPI_Ibarrier(handle, memory), "MPI_Ibarrier");
    await arrayRequest(mpi, memory, new Uint8Array(0)).finished();
  }

  /**
   * Sends what `root` has to every rank (MPI_Bcast). Blocks until it is here.
   *
   * An array is sent as it is; a rank that gives one of the same type and length has it filled, one that gives undefined gets a new one.
   *
   * @param data On `root` the array or value; on the others an array to be filled, or undefined.
   * @param root Rank of the sender.
   * @returns The data, on every rank.
   * @throws {RangeError} If what came does not go into the array that was given.
   *
   * @example
   * ```ts ignore
   * const settings = comm.bcast(comm.rank === 0 ? { steps: 100 } : undefined);
   * const field = comm.bcast(new Float64Array(1000)); // that of rank 0
   * ```
   */
  bcast<T>(data: T, root = 0): Exclude<T, undefined> {
    return collectives.bcast(this.#channel, data, root) as Exclude<T, undefined>;
  }

  /**
   * Cuts the root's array into equal parts and gives one to each rank, in order of rank (MPI_Scatter). Blocks until this rank has its own.
   *
   * @param all On `root` an array of `size` times the length of `into`, of its type; null on the others.
   * @param into The part of this rank.
   */
  scatter<A extends NumericArray>(all: A | null | undefined, into: A, root?: number): A;
  /**
   * Gives each rank one of the root's values.
   *
   * @param values On `root` an array of `size` values; undefined on the others.
   */
  scatter<T>(values: readonly T[] | null | undefined, root?: number): T;
  scatter(all: unknown, second: NumericArray | number = 0, root = 0): unknown {
    if (typeof second === "number") {
      return collectives.scatterValues(this.#channel, all as readonly unknown[], second);
    }
    collectives.scatter(this.#channel, all as NumericArray ?? null, second, root);
    return second;
  }

  /**
   * Cuts the root's array into parts of the given lengths and gives one to each rank (MPI_Scatterv). Blocks until this rank has its own.
   *
   * @param all On `root` the array, of the type of `into`; null on the others.
   * @param counts On `root` the length of each rank's part, in elements; null on the others.
   * @param into The part of this rank, as long as the root says.
   */
  scatterv<A extends NumericArray>(
    all: A | null | undefined,
    counts: ArrayLike<number> | null | undefined,
    into: A,
    root = 0,
  ): A {
    collectives.scatterv(this.#channel, all ?? null, counts ?? null, into, root);
    return into;
  }

  /**
   * Puts the arrays of all ranks, which have one type and one length, together on `root` (MPI_Gather).
   *
   * @returns On `root` one array, in order of rank, `size` times as long; undefined on the others.
   */
  gather<A extends NumericArray>(part: A, root?: number): A | undefined;
  /** Brings a value of each rank to `root`; there an array of `size` values, undefined on the others. */
  gather<T>(value: T, root?: number): T[] | undefined;
  gather(part: unknown, root = 0): unknown {
    if (isNumericArray(part)) return collectives.gather(this.#channel, part, root);
    return collectives.gatherv(this.#channel, p2p.outgoing(part), root)?.map((bytes) =>
      p2p.decode(bytes as Uint8Array)
    );
  }

  /**
   * Brings arrays of one type but of any lengths to `root` (MPI_Gather of the lengths, MPI_Gatherv).
   *
   * @returns On `root` one array for each rank, views of one buffer; undefined on the others.
   */
  gatherv<A extends NumericArray>(part: A, root = 0): A[] | undefined {
    return collectives.gatherv(this.#channel, part, root);
  }

  /**
   * Puts the arrays of all ranks, which have one type and one length, together on every rank (MPI_Allgather).
   *
   * @returns One array, in order of rank, `size` times as long.
   */
  allgather<A extends NumericArray>(part: A): A;
  /** Brings a value of each rank to every rank: an array of `size` values. */
  allgather<T>(value: T): T[];
  allgather(part: unknown): unknown {
    if (isNumericArray(part)) return collectives.allgather(this.#channel, part);
    return collectives.allgatherv(this.#channel, p2p.outgoing(part)).map((bytes) =>
      p2p.decode(bytes as Uint8Array)
    );
  }

  /** Brings arrays of one type but of any lengths to every rank: one for each rank, views of one buffer (MPI_Allgatherv). */
  allgatherv<A extends NumericArray>(part: A): A[] {
    return collectives.allgatherv(this.#channel, part);
  }

  /**
   * Sends the n-th part of the array to rank n, and puts together what all ranks send here (MPI_Alltoall).
   *
   * @param data `size` parts of one length; the length is the same on every rank.
   * @returns An array of the same length: the part from rank 0, from rank 1, ...
   */
  alltoall<A extends NumericArray>(data: A): A;
  /** Sends the n-th value to rank n; gives what ranks 0, 1, ... sent here. */
  alltoall<T>(values: readonly T[]): T[];
  alltoall(data: unknown): unknown {
    if (isNumericArray(data)) return collectives.alltoall(this.#channel, data);
    return collectives.alltoallValues(this.#channel, data as readonly unknown[]);
  }

  /**
   * Combines the arrays of all ranks, element by element, on `root` (MPI_Reduce). Integers wrap around as those of the array's type do.
   *
   * @param data Arrays of one type and length.
   * @param op `"sum"`, `"prod"`, `"min"` or `"max"`.
   * @returns On `root` a new array of that length; undefined on the others.
   */
  reduce<A extends NumericArray>(data: A, op: ReduceName, root?: number): A | undefined;
  /** Combines a number (as a double) or bigint (exactly) of each rank on `root`; undefined on the others. */
  reduce<N extends number | bigint>(value: N, op: ReduceName, root?: number): N | undefined;
  /**
   * Combines a value of each rank on `root` by a function, in order of rank, in a tree of messages; undefined on the others.
   *
   * @param combine Must be associative: it may be given what other calls gave.
   */
  reduce<T>(value: T, combine: Reducer<T>, root?: number): T | undefined;
  reduce(data: unknown, op: ReduceName | AnyReducer, root = 0): unknown {
    return reduceAny(this.#channel, this.#own, data, op, root);
  }

  /**
   * Combines the arrays of all ranks, element by element, on every rank (MPI_Allreduce).
   *
   * @param data Arrays of one type and length.
   * @param op `"sum"`, `"prod"`, `"min"` or `"max"`.
   * @param into Where the result goes: `data` itself (MPI_IN_PLACE), or an array of its type and length. Default: a new one.
   * @returns The result.
   */
  allreduce<A extends NumericArray>(data: A, op: ReduceName, into?: A): A;
  /** Combines a number (as a double) or bigint (exactly) of each rank on every rank. */
  allreduce<N extends number | bigint>(value: N, op: ReduceName): N extends number ? number : bigint;
  /** Combines a value of each rank by a function, as `reduce` does, and brings the result to every rank. */
  allreduce<T>(value: T, combine: Reducer<T>): T;
  allreduce(data: unknown, op: ReduceName | AnyReducer, into?: NumericArray): unknown {
    return allreduceAny(this.#channel, this.#own, data, op, into);
  }

  /**
   * Makes groups of the ranks that give the same colour (MPI_Comm_split). Collective.
   *
   * @param color A number from 0; undefined: this rank is in no group and gets undefined.
   * @param key Ranks of a new group are in the order of their keys. Default: their order here.
   */
  split(color: number, key?: number): Communicator;
  /** The same where this rank may be in no group. */
  split(color: number | undefined, key?: number): Communicator | undefined;
  split(color: number | undefined, key = this.rank): Communicator | undefined {
    const { mpi, handle } = this.#channel;
    const memory = mpi.newHandle();
    // + 0: Deno takes no -0, which a key of -rank may be
    mpi.check(mpi.call.MPI_Comm_split(handle, (color ?? UNDEFINED) + 0, key + 0, memory), "MPI_Comm_split");
    return color === undefined ? undefined : new Communicator(mpi, mpi.handleOf(memory), memory);
  }

  /** The same group once more, whose messages are apart from those here (MPI_Comm_dup). Collective. */
  dup(): Communicator {
    const { mpi, handle } = this.#channel;
    const memory = mpi.newHandle();
    mpi.check(mpi.call.MPI_Comm_dup(handle, memory), "MPI_Comm_dup");
    return new Communicator(mpi, mpi.handleOf(memory), memory);
  }

  /** Gives back what `split` or `dup` made (MPI_Comm_free). Collective. The group of all ranks cannot be given back. */
  free(): void {
    const { mpi } = this.#channel;
    if (!this.#memory) throw new Error("the communicator of all ranks cannot be freed; finalize() ends MPI");
    this.#inner?.free();
    mpi.check(mpi.call.MPI_Comm_free(this.#memory), "MPI_Comm_free");
    this.#channel.handle = mpi.handleOf(this.#memory); // MPI_COMM_NULL: whatever is called now is an error
  }

  /** Ends the whole job at once, all ranks of it, with this exit status (MPI_Abort). Does not return. */
  abort(code = 1): never {
    const { mpi } = this.#channel;
    mpi.call.MPI_Abort(mpi.handle.COMM_WORLD, code);
    return exit(code);
  }

  /**
   * Ends MPI in this process (MPI_Finalize): blocks until every rank does. The end of the program does it too, if need be; it is
   * needed only by a rank that goes on without the others. Nothing of MPI can be called afterwards, in this process.
   */
  finalize(): void {
    const { mpi } = this.#channel;
    if (!mpi.finalized) mpi.finalize();
  }

  /** The same ranks with messages that no receive of the program can get; made in the first operation that needs it, which all ranks call. */
  readonly #own = (): Channel => (this.#inner ??= this.dup()).#channel;
}
