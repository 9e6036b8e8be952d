/**
 * Messages from one rank to another, over a channel. An array travels as it lies in memory; any other value as the bytes that
 * `serialize/` makes of it, whose first bytes tell a value from an array, so that one received as the other is an error and not garbage.
 * The ranks of a job run the same program: code in values is trusted.
 */
import { fixed } from "../runtime/ffi.ts";
import { CorruptDataError, dumps, loads } from "../serialize/mod.ts";
import type { Handle } from "./abi.ts";
import { isNumericArray, type NumericArray } from "./arrays.ts";
import type { Libmpi, Status } from "./libmpi.ts";
import { inHugePages } from "./huge_pages.ts";
import { arrayRequest, newRequest, type Request } from "./requests.ts";

/** One communicator of the library, as the functions here use it. */
export interface Channel {
  readonly mpi: Libmpi;
  readonly handle: Handle;
  readonly rank: number;
  readonly size: number;
}

/** A message whose content was made here for it. */
export interface Message<T> {
  /** What it holds. */
  value: T;
  /** Rank of the sender. */
  source: number;
  /** Its tag. */
  tag: number;
}

/** At most so many elements fit into one message: MPI counts them in a signed integer of 32 bits. */
const MOST = 2 ** 31 - 1;

/** The length of an array that goes into one call of MPI, which is told here before each. */
export function countOf(array: NumericArray): number {
  if (inHugePages(array).length <= MOST) return array.length;
  throw new RangeError(
    `${array.length} elements are too many for one MPI message, which has at most ${MOST}: send parts of it (subarray)`,
  );
}

/** The array itself, or the bytes of the value. */
export function outgoing(data: unknown): NumericArray {
  return isNumericArray(data) ? data : dumps(data);
}

export function send({ mpi, handle }: Channel, data: unknown, dest: number, tag: number): void {
  const array = outgoing(data);
  const code = mpi.call.MPI_Send(array, countOf(array), mpi.type(array), mpi.peer(dest), tag, handle);
  mpi.check(code, "MPI_Send");
}

export function isend({ mpi, handle }: Channel, data: unknown, dest: number, tag: number): Request {
  const array = fixed(outgoing(data)), memory = mpi.newHandle();
  const code = mpi.call.MPI_Isend(
    array,
    countOf(array),
    mpi.type(array),
    mpi.peer(dest),
    tag,
    handle,
    memory,
  );
  mpi.check(code, "MPI_Isend");
  return arrayRequest(mpi, memory, array);
}

export function recv({ mpi, handle }: Channel, into: NumericArray, source: number, tag: number): Status {
  const code = mpi.call.MPI_Recv(
    into,
    countOf(into),
    mpi.type(into),
    mpi.peer(source),
    tag,
    handle,
    mpi.status,
  );
  mpi.check(code, "MPI_Recv");
  return checked(into, mpi.statusOf(into.BYTES_PER_ELEMENT));
}

export function irecv({ mpi, handle }: Channel, into: NumericArray, source: number, tag: number): Request {
  const memory = mpi.newHandle();
  const code = mpi.call.MPI_Irecv(
    fixed(into),
    countOf(into),
    mpi.type(into),
    mpi.peer(source),
    tag,
    handle,
    memory,
  );
  mpi.check(code, "MPI_Irecv");
  const request = arrayRequest(mpi, memory, into);
  return {
    test: request.test,
    wait: () => checked(into, request.wait()),
    finished: async () => checked(into, await request.finished()),
  };
}

export function sendrecv(
  { mpi, handle }: Channel,
  data: NumericArray,
  dest: number,
  into: NumericArray,
  source: number,
  tag: number,
  recvTag: number,
): Status {
  const code = mpi.call.MPI_Sendrecv(
    data,
    countOf(data),
    mpi.type(data),
    mpi.peer(dest),
    tag,
    into,
    countOf(into),
    mpi.type(into),
    mpi.peer(source),
    recvTag,
    handle,
    mpi.status,
  );
  mpi.check(code, "MPI_Sendrecv");
  return checked(into, mpi.statusOf(into.BYTES_PER_ELEMENT));
}

export function probe({ mpi, handle }: Channel, source: number, tag: number): Status {
  mpi.check(mpi.call.MPI_Probe(mpi.peer(source), tag, handle, mpi.status), "MPI_Probe");
  return mpi.statusOf(1);
}

export function iprobe({ mpi, handle }: Channel, source: number, tag: number): Status | undefined {
  mpi.check(mpi.call.MPI_Iprobe(mpi.peer(source), tag, handle, mpi.flag, mpi.status), "MPI_Iprobe");
  return mpi.flag[0] ? mpi.statusOf(1) : undefined;
}

/** Waits for a message of any length and takes it, as bytes. */
export function recvBytes({ mpi, handle }: Channel, source: number, tag: number): Message<Uint8Array> {
  mpi.check(mpi.call.MPI_Mprobe(mpi.peer(source), tag, handle, mpi.message, mpi.status), "MPI_Mprobe");
  return take(mpi);
}

/** The same if one is there. */
export function tryRecvBytes(
  { mpi, handle }: Channel,
  source: number,
  tag: number,
): Message<Uint8Array> | undefined {
  const { call, flag } = mpi;
  mpi.check(call.MPI_Improbe(mpi.peer(source), tag, handle, flag, mpi.message, mpi.status), "MPI_Improbe");
  return flag[0] ? take(mpi) : undefined;
}

/** Receives the message that a probe has just matched: nobody else can get it. */
function take(mpi: Libmpi): Message<Uint8Array> {
  const { source, tag, count } = mpi.statusOf(1);
  const value = new Uint8Array(count);
  mpi.check(mpi.call.MPI_Mrecv(value, countOf(value), mpi.handle.BYTE, mpi.message, mpi.status), "MPI_Mrecv");
  return { value, source, tag };
}

/** The value in the bytes of a message; undefined in one from nobody. */
export function valueIn<T>({ value, source, tag }: Message<Uint8Array>): Message<T> {
  if (source < 0) return { value: undefined as T, source, tag };
  if (value.length > 0 && startsAsValue(value)) return { value: decode(value), source, tag };
  throw new CorruptDataError(
    `the message with tag ${tag} from rank ${source} (${value.length} bytes) is no serialized value but an array: receive ` +
      "it with recv(array, source, tag), or with recvBytes where its length is not known",
  );
}

/** The value in bytes that another rank made of it. */
export function decode<T>(bytes: Uint8Array): T {
  return loads<T>(bytes, { trust: "code" });
}

let mark: DataView | undefined;

/** Whether bytes begin as those of `dumps`: four bytes of magic, the version, and two zeros behind the flags. */
function startsAsValue(bytes: ArrayBufferView): boolean {
  if (bytes.byteLength < 20) return false;
  mark ??= new DataView(dumps(0).slice(0, 8).buffer);
  const start = new DataView(bytes.buffer, bytes.byteOffset, 8);
  return start.getUint32(0) === mark.getUint32(0) && start.getUint8(4) === mark.getUint8(4) &&
    start.getUint16(6) === 0;
}

/** An array that has just been received into, unless what came is a value. */
function checked(into: NumericArray, status: Status): Status {
  if (into.byteLength < 20 || !startsAsValue(into) || into.constructor === Uint8Array) return status;
  throw new CorruptDataError(
    `the message with tag ${status.tag} from rank ${status.source} is a serialized value, no array: receive it with recv(source, tag)`,
  );
}

export function irecvValue<T>(channel: Channel, source: number, tag: number): Request<T> {
  return newRequest(
    () => {
      const found = tryRecvBytes(channel, source, tag);
      return found && { result: valueIn<T>(found).value };
    },
    () => valueIn<T>(recvBytes(channel, source, tag)).value,
  );
}
