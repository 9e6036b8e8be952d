/**
 * What all ranks of a channel do together. Arrays go straight to MPI's own operations; values go as bytes of different lengths,
 * whose lengths go first. Every rank must take part, in the same order, with the same kind of data.
 */
import { concat } from "../runtime/mod.ts";
import { dumps } from "../serialize/mod.ts";
import { ARRAY_CLASSES, arrayClass, isNumericArray, likeArray, type NumericArray } from "./arrays.ts";
import { type Channel, countOf, decode } from "./point_to_point.ts";

/** An operation that MPI knows. */
export type ReduceName = "sum" | "prod" | "min" | "max";

const OPS = { sum: "SUM", prod: "PROD", min: "MIN", max: "MAX" } as const;

/** Sends whatever one rank has to all; an array that another gives, of the same class and length, is filled in place. */
export function bcast(channel: Channel, data: unknown, root: number): unknown {
  const mine = channel.rank === root;
  const sent = mine ? isNumericArray(data) ? data : dumps(data) : undefined;
  // what comes: the class of an array, or -1 for a value; and the length
  const head = new Float64Array(new ArrayBuffer(16));
  if (sent) {
    head[0] = sent === data ? arrayClass(sent) : -1;
    head[1] = countOf(sent);
  }
  move(channel, head, root);
  const [kind, length] = head;
  if (sent) {
    if (length > 0) move(channel, sent, root);
    return data;
  }
  const given = isNumericArray(data) ? data : undefined;
  const fits = given !== undefined && arrayClass(given) === kind && given.length === length;
  const array = fits ? given : new (ARRAY_CLASSES[kind] ?? Uint8Array)(length);
  if (length > 0) move(channel, array, root);
  if (given && !fits) {
    const came = kind < 0 ? "a value" : `${ARRAY_CLASSES[kind].name}(${length})`;
    const here = `${given.constructor.name}(${given.length})`;
    throw new RangeError(`bcast brought ${came} from rank ${root}, which does not go into ${here}`);
  }
  return kind < 0 ? decode(array as Uint8Array) : array;
}

function move({ mpi, handle }: Channel, array: NumericArray, root: number): void {
  mpi.check(mpi.call.MPI_Bcast(array, countOf(array), mpi.type(array), root, handle), "MPI_Bcast");
}

/** Cuts the root's array into equal parts, one for each rank, in order of rank. */
export function scatter(
  { mpi, handle, rank, size }: Channel,
  all: NumericArray | null,
  into: NumericArray,
  root: number,
): void {
  if (rank === root) {
    sameClass("scatter", all, into);
    if (all!.length !== size * into.length) {
      throw new RangeError(
        `scatter: an array of ${all!.length} does not make ${size} parts of ${into.length}; see scatterv`,
      );
    }
  }
  const count = countOf(into), type = mpi.type(into);
  mpi.check(mpi.call.MPI_Scatter(all, count, type, into, count, type, root, handle), "MPI_Scatter");
}

/** Cuts the root's array into parts of these lengths. */
export function scatterv(
  { mpi, handle, rank, size }: Channel,
  all: NumericArray | null,
  counts: ArrayLike<number> | null,
  into: NumericArray,
  root: number,
): void {
  let lengths: Int32Array | null = null, starts: Int32Array | null = null;
  if (rank === root) {
    sameClass("scatterv", all, into);
    if (counts?.length !== size) {
      throw new RangeError(`scatterv: ${counts?.length ?? 0} lengths for ${size} ranks`);
    }
    lengths = Int32Array.from(counts);
    const layout = layOut(lengths);
    if (layout.total > all!.length) {
      throw new RangeError(`scatterv: parts of ${layout.total} elements from an array of ${all!.length}`);
    }
    starts = layout.starts;
  }
  const type = mpi.type(into);
  mpi.check(
    mpi.call.MPI_Scatterv(all, lengths, starts, type, into, countOf(into), type, root, handle),
    "MPI_Scatterv",
  );
}

/** Gives each rank one of the root's values. */
export function scatterValues(
  channel: Channel,
  values: readonly unknown[] | undefined,
  root: number,
): unknown {
  const { rank, size } = channel;
  const length = new Int32Array(1);
  if (rank !== root) {
    scatter(channel, null, length, root);
    const bytes = new Uint8Array(length[0]);
    scatterv(channel, null, null, bytes, root);
    return decode(bytes);
  }
  if (!Array.isArray(values) || values.length !== size) {
    throw new RangeError(`scatter: rank ${root} has to give an array of ${size} values, one for each rank`);
  }
  const parts = values.map((value) => dumps(value));
  const lengths = Int32Array.from(parts, ({ length }) => length);
  scatter(channel, lengths, length, root);
  scatterv(channel, concat(parts), lengths, new Uint8Array(length[0]), root);
  return decode(parts[rank]);
}

/** Puts arrays of one length together on the root, in order of rank. */
export function gather<A extends NumericArray>(
  { mpi, handle, rank, size }: Channel,
  part: A,
  root: number,
): A | undefined {
  const all = rank === root ? likeArray(part, size * part.length) : undefined;
  const count = countOf(part), type = mpi.type(part);
  mpi.check(mpi.call.MPI_Gather(part, count, type, all ?? null, count, type, root, handle), "MPI_Gather");
  return all;
}

/** Brings arrays of any lengths to the root; they are views of one buffer. */
export function gatherv<A extends NumericArray>(channel: Channel, part: A, root: number): A[] | undefined {
  const { mpi, handle, rank } = channel;
  const lengths = gather(channel, Int32Array.of(countOf(part)), root);
  const type = mpi.type(part);
  const layout = lengths && layOut(lengths);
  const all = layout ? likeArray(part, layout.total) : null;
  mpi.check(
    mpi.call.MPI_Gatherv(
      part,
      part.length,
      type,
      all,
      lengths ?? null,
      layout?.starts ?? null,
      type,
      root,
      handle,
    ),
    "MPI_Gatherv",
  );
  return rank === root ? cut(all as A, lengths!, layout!.starts) : undefined;
}

/** Puts arrays of one length together on every rank. */
export function allgather<A extends NumericArray>({ mpi, handle, size }: Channel, part: A): A {
  const all = likeArray(part, size * part.length);
  const count = countOf(part), type = mpi.type(part);
  mpi.check(mpi.call.MPI_Allgather(part, count, type, all, count, type, handle), "MPI_Allgather");
  return all;
}

/** Brings arrays of any lengths to every rank; they are views of one buffer. */
export function allgatherv<A extends NumericArray>(channel: Channel, part: A): A[] {
  const { mpi, handle } = channel;
  const lengths = allgather(channel, Int32Array.of(countOf(part)));
  const { starts, total } = layOut(lengths);
  const all = likeArray(part, total), type = mpi.type(part);
  mpi.check(
    mpi.call.MPI_Allgatherv(part, part.length, type, all, lengths, starts, type, handle),
    "MPI_Allgatherv",
  );
  return cut(all, lengths, starts);
}

/** Sends the n-th part of each rank's array to rank n. */
export function alltoall<A extends NumericArray>({ mpi, handle, size }: Channel, data: A): A {
  const count = countOf(data) / size;
  if (!Number.isInteger(count)) {
    throw new RangeError(`alltoall: an array of ${data.length} does not make ${size} equal parts`);
  }
  const into = likeArray(data, data.length), type = mpi.type(data);
  mpi.check(mpi.call.MPI_Alltoall(data, count, type, into, count, type, handle), "MPI_Alltoall");
  return into;
}

/** Sends the n-th value of each rank to rank n. */
export function alltoallValues(channel: Channel, values: readonly unknown[]): unknown[] {
  const { mpi, handle, size } = channel;
  if (values.length !== size) throw new RangeError(`alltoall: ${values.length} values for ${size} ranks`);
  const parts = values.map((value) => dumps(value));
  const lengths = Int32Array.from(parts, ({ length }) => length);
  const coming = alltoall(channel, lengths);
  const { starts } = layOut(lengths), into = layOut(coming);
  const all = new Uint8Array(into.total), { BYTE } = mpi.handle;
  mpi.check(
    mpi.call.MPI_Alltoallv(concat(parts), lengths, starts, BYTE, all, coming, into.starts, BYTE, handle),
    "MPI_Alltoallv",
  );
  return cut(all, coming, into.starts).map((bytes) => decode(bytes));
}

/** Combines arrays element by element on the root. */
export function reduce<A extends NumericArray>(
  { mpi, handle, rank }: Channel,
  data: A,
  op: ReduceName,
  root: number,
): A | undefined {
  const into = rank === root ? likeArray(data, data.length) : undefined;
  const code = mpi.call.MPI_Reduce(
    data,
    into ?? null,
    countOf(data),
    mpi.type(data),
    mpi.handle[OPS[op]],
    root,
    handle,
  );
  mpi.check(code, "MPI_Reduce");
  return into;
}

/** Combines arrays element by element on every rank; into the array itself if that is given as the result. */
export function allreduce<A extends NumericArray>(
  { mpi, handle }: Channel,
  data: A,
  op: ReduceName,
  into: A,
): A {
  const count = countOf(data), type = mpi.type(data), operation = mpi.handle[OPS[op]];
  if (into !== data) {
    sameClass("allreduce", data, into);
    if (countOf(into) !== count) {
      throw new RangeError(`allreduce: the results of ${count} elements do not go into ${into.length}`);
    }
  }
  const code = into === data
    ? mpi.call.Allreduce_in_place(mpi.inPlace, into, count, type, operation, handle)
    : mpi.call.MPI_Allreduce(data, into, count, type, operation, handle);
  mpi.check(code, "MPI_Allreduce");
  return into;
}

function sameClass(call: string, all: NumericArray | null, part: NumericArray): void {
  if (all && arrayClass(all) === arrayClass(part)) return;
  const given = all ? all.constructor.name : String(all);
  throw new TypeError(`${call}: ${given} and ${part.constructor.name} have to be arrays of the same class`);
}

/** Where parts of these lengths start when they follow each other. */
function layOut(lengths: Int32Array): { starts: Int32Array; total: number } {
  const starts = new Int32Array(lengths.length);
  let total = 0;
  for (let i = 0; i < lengths.length; i++) {
    starts[i] = total;
    total += lengths[i];
  }
  if (total < 2 ** 31) return { starts, total };
  throw new RangeError(
    `${total} elements together are too many for one MPI operation, which has less than 2^31: do it in several steps`,
  );
}

function cut<A extends NumericArray>(all: A, lengths: Int32Array, starts: Int32Array): A[] {
  return Array.from(lengths, (length, i) => all.subarray(starts[i], starts[i] + length) as A);
}
