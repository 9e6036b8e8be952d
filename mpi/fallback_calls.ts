/**
 * The functions of MPI that `mpi/` calls, as a library of C would offer them, over the messages of fallback_engine.ts: so everything above
 * stays as it is with libmpi. Handles are small numbers, 0 is none. Each function gives 0 or the class of an error, whose text is that
 * of the last one of its class.
 */
import type { TypedArray } from "../runtime/mod.ts";
import { machine } from "./fallback_meeting.ts";
import type { Abi, HandleName, MpiFunctions } from "./abi.ts";
import { UNDEFINED } from "./abi.ts";
import * as collectives from "./fallback_collectives.ts";
import { bytesOf, COMBINE } from "./fallback_collectives.ts";
import type { Engine } from "./fallback_engine.ts";
import { ANY, type Arrived, ERR, type Group, MpiFailure, Operation, type Waiting } from "./fallback_types.ts";

/** Its constants. */
export const FALLBACK_ABI: Abi = {
  handle: "i32",
  anySource: ANY,
  procNull: -2,
  inPlace: -1,
  status: { source: 0, tag: 1, bytes: 2 },
};

/** Its predefined handles. */
export const FALLBACK_HANDLES: Record<HandleName, number> = {
  COMM_WORLD: 1,
  ERRORS_RETURN: 1,
  BYTE: 1,
  INT8: 2,
  INT16: 3,
  INT32: 4,
  INT64: 5,
  UINT8: 6,
  UINT16: 7,
  UINT32: 8,
  UINT64: 9,
  FLOAT: 10,
  DOUBLE: 11,
  MAX: 1,
  MIN: 2,
  SUM: 3,
  PROD: 4,
};

const TYPES = [
  undefined,
  Uint8Array,
  Int8Array,
  Int16Array,
  Int32Array,
  BigInt64Array,
  Uint8Array,
  Uint16Array,
  Uint32Array,
  BigUint64Array,
  Float32Array,
  Float64Array,
];
const OPS = [undefined, COMBINE.MAX, COMBINE.MIN, COMBINE.SUM, COMBINE.PROD];
const { COMM_WORLD } = FALLBACK_HANDLES, { procNull } = FALLBACK_ABI;
/** A message from nobody. */
const NO_MESSAGE = 0xffffffff;
const NOBODY: Arrived = { source: procNull, tag: ANY, size: 0, bytes: new Uint8Array(0), id: 0 };

type Memory = ArrayBufferView | null;
/** Handles are numbers here. */
type Plain<Values> = { [At in keyof Values]: number extends Values[At] ? number : Values[At] };
type Calls = {
  [Name in keyof MpiFunctions]: (...values: Plain<Parameters<MpiFunctions[Name]>>) => void;
};

/** Makes the functions for one rank. */
export function fallbackFunctions(engine: Engine, version: string): MpiFunctions {
  const everyone = Array.from({ length: engine.size }, (_, rank) => rank);
  const groups = new Map<number, Group>([[COMM_WORLD, newGroup(0, everyone, engine.rank, "MPI_COMM_WORLD")]]);
  const requests = new Map<number, { group: Group; operations: Operation[] }>();
  const messages = new Map<number, { group: Group; arrived: Arrived }>();
  const texts = new Map<number, string>();
  let lastHandle = COMM_WORLD, nextContext = 2, initialized = 0, finalized = 0;

  const groupOf = (handle: number): Group => {
    const group = groups.get(handle);
    if (group) return group;
    throw new MpiFailure(ERR.COMM, "invalid communicator: it has been freed");
  };
  const rankIn = (group: Group, rank: number, kind: number = ERR.RANK): number => {
    if (rank >= 0 && rank < group.ranks.length) return rank;
    const what = kind === ERR.ROOT ? "root" : "rank";
    throw new MpiFailure(
      kind,
      `invalid ${what}: there is no rank ${rank} in a group of ${group.ranks.length}`,
    );
  };
  const sourceIn = (group: Group, source: number): number =>
    source === ANY ? ANY : group.ranks[rankIn(group, source)];
  const tagIn = (tag: number, any: boolean): number => {
    if (tag >= 0 || (any && tag === ANY)) return tag;
    throw new MpiFailure(ERR.TAG, `invalid tag ${tag}: it is a number from 0`);
  };
  const settle = (
    status: Memory,
    { source, tag, size }: Omit<Arrived, "bytes" | "id">,
    group?: Group,
  ): void => {
    const into = status as Int32Array;
    into[0] = group?.index.get(source) ?? source;
    into[1] = tag;
    into[2] = size;
    into[3] = size / 2 ** 32;
  };
  const settleOperation = (status: Memory, { source, tag, bytes }: Operation, group: Group): void =>
    source === ANY ? settle(status, NOBODY) : settle(status, { source, tag, size: bytes }, group);
  const give = (memory: Memory, handle: number): void => void ((memory as Uint32Array)[0] = handle);
  const newRequest = (memory: Memory, group: Group, operations: Operation[]): void => {
    requests.set(++lastHandle, { group, operations });
    give(memory, lastHandle);
  };
  const endRequest = (memory: Memory): void => {
    requests.delete((memory as Uint32Array)[0]);
    give(memory, 0);
  };

  const send = (
    data: Memory,
    count: number,
    type: number,
    to: number,
    tag: number,
    group: Group,
  ): Operation => {
    if (to === procNull) return ended(group);
    return engine.send(
      group,
      group.context,
      group.ranks[rankIn(group, to)],
      tagIn(tag, false),
      bytes(data, count, type),
    );
  };
  const receive = (
    into: Memory,
    count: number,
    type: number,
    from: number,
    tag: number,
    group: Group,
  ): Operation => {
    if (from === procNull) return ended(group);
    return engine.receive(
      group,
      group.context,
      sourceIn(group, from),
      tagIn(tag, true),
      bytes(into, count, type),
    );
  };
  /** Looks for a message; the first look costs no call of the system. */
  const look = (
    source: number,
    tag: number,
    group: Group,
    take: boolean,
    waits: Waiting,
  ): Arrived | undefined => {
    if (source === procNull) return NOBODY;
    const from = sourceIn(group, source), wanted = tagIn(tag, true);
    let found = engine.find(group.context, from, wanted, take);
    for (let first = true; !found; first = false) {
      if (!first && waits !== "blocked") return undefined;
      engine.progress(first ? 0 : 1000);
      found = engine.find(group.context, from, wanted, take);
      if (!found) engine.hope(group, from, waits);
    }
    return found;
  };
  const giveMessage = (memory: Memory, group: Group, arrived: Arrived): void => {
    if (arrived !== NOBODY) messages.set(++lastHandle, { group, arrived });
    give(memory, arrived === NOBODY ? NO_MESSAGE : lastHandle);
  };

  /** Makes groups of the ranks of one that give the same colour. */
  const split = (parent: Group, color: number, key: number): Group | undefined => {
    const { length } = parent.ranks, all = new Int32Array(3 * length);
    const part = (rank: number) => bytesOf(all.subarray(3 * rank, 3 * rank + 3));
    const mine = bytesOf(Int32Array.of(color, key, nextContext));
    collectives.exchange(engine, parent, () => mine, part);
    const of = (rank: number) => ({ rank, color: all[3 * rank], key: all[3 * rank + 1] });
    const context = Math.max(...parent.ranks.map((_, rank) => all[3 * rank + 2]));
    nextContext = context + 2; // groups of different colours have no rank in common, and may share it
    if (color === UNDEFINED) return undefined;
    const members = parent.ranks.map((_, rank) => of(rank)).filter((member) => member.color === color)
      .sort((a, b) => a.key - b.key || a.rank - b.rank);
    return newGroup(context, members.map(({ rank }) => parent.ranks[rank]), engine.rank, "");
  };
  const keep = (memory: Memory, group: Group | undefined): void => {
    if (group) groups.set(++lastHandle, group);
    give(memory, group ? lastHandle : 0);
  };
  const reduce = (group: Group, mine: TypedArray, op: number, root: number): void =>
    collectives.reduce(engine, group, mine, OPS[op]!, root);
  const allreduce = (group: Group, mine: TypedArray, op: number): void => {
    reduce(group, mine, op, 0);
    collectives.broadcast(engine, group, bytesOf(mine), 0);
  };

  const calls: Calls = {
    MPI_Initialized: (flag) => give(flag, initialized),
    MPI_Finalized: (flag) => give(flag, finalized),
    MPI_Init_thread: (_argc, _argv, level, provided) => {
      initialized = 1;
      give(provided, level);
    },
    MPI_Finalize: () => {
      finalized = 1;
      engine.finalize();
    },
    MPI_Abort: (_comm, code) => engine.abort(code),
    MPI_Get_library_version: (into, length) => write(into, length, version),
    MPI_Get_processor_name: (into, length) => write(into, length, machine()),
    MPI_Error_string: (code, into, length) => write(into, length, texts.get(code) ?? `error ${code}`),
    MPI_Error_class: (code, into) => give(into, code),
    MPI_Comm_set_errhandler: () => {},
    MPI_Comm_rank: (comm, into) => give(into, groupOf(comm).rank),
    MPI_Comm_size: (comm, into) => give(into, groupOf(comm).ranks.length),
    MPI_Comm_get_name: (comm, into, length) => write(into, length, groupOf(comm).name),
    MPI_Comm_set_name(comm, text) {
      groupOf(comm).name = new TextDecoder().decode(bytesOf(text!)).replace(/\0.*$/s, "");
    },
    MPI_Comm_split: (comm, color, key, into) => keep(into, split(groupOf(comm), color, key)),
    MPI_Comm_dup: (comm, into) => keep(into, split(groupOf(comm), 0, groupOf(comm).rank)),
    MPI_Comm_free(memory) {
      const handle = (memory as Uint32Array)[0], { context } = groupOf(handle);
      groups.delete(handle);
      for (const one of [context, context + 1]) engine.forget(one);
      give(memory, 0);
    },

    MPI_Send: (data, count, type, to, tag, comm) =>
      engine.wait(send(data, count, type, to, tag, groupOf(comm))),
    MPI_Recv(into, count, type, from, tag, comm, status) {
      const group = groupOf(comm), operation = receive(into, count, type, from, tag, group);
      engine.wait(operation);
      settleOperation(status, operation, group);
    },
    MPI_Sendrecv(data, count, type, to, tag, into, intoCount, intoType, from, fromTag, comm, status) {
      const group = groupOf(comm);
      const receives = receive(into, intoCount, intoType, from, fromTag, group);
      engine.wait(send(data, count, type, to, tag, group));
      engine.wait(receives);
      settleOperation(status, receives, group);
    },
    MPI_Isend(data, count, type, to, tag, comm, memory) {
      const group = groupOf(comm);
      newRequest(memory, group, [send(data, count, type, to, tag, group)]);
    },
    MPI_Irecv(into, count, type, from, tag, comm, memory) {
      const group = groupOf(comm);
      newRequest(memory, group, [receive(into, count, type, from, tag, group)]);
    },
    MPI_Test(memory, flag, status) {
      const request = requests.get((memory as Uint32Array)[0]);
      const done = !request || request.operations.every((operation) => engine.test(operation));
      give(flag, Number(done));
      if (!done) return;
      endRequest(memory);
      if (request) settleOperation(status, request.operations[0], request.group);
      else settle(status, NOBODY);
    },
    MPI_Wait(memory, status) {
      const request = requests.get((memory as Uint32Array)[0]);
      if (!request) return settle(status, NOBODY);
      for (const operation of request.operations) engine.wait(operation);
      endRequest(memory);
      settleOperation(status, request.operations[0], request.group);
    },

    MPI_Probe(from, tag, comm, status) {
      const group = groupOf(comm);
      settle(status, look(from, tag, group, false, "blocked")!, group);
    },
    MPI_Iprobe(from, tag, comm, flag, status) {
      const group = groupOf(comm), found = look(from, tag, group, false, "looks");
      give(flag, Number(found !== undefined));
      if (found) settle(status, found, group);
    },
    MPI_Mprobe(from, tag, comm, message, status) {
      const group = groupOf(comm), found = look(from, tag, group, true, "blocked")!;
      giveMessage(message, group, found);
      settle(status, found, group);
    },
    MPI_Improbe(from, tag, comm, flag, message, status) {
      const group = groupOf(comm), found = look(from, tag, group, true, "looks");
      give(flag, Number(found !== undefined));
      if (!found) return;
      giveMessage(message, group, found);
      settle(status, found, group);
    },
    MPI_Mrecv(into, count, type, memory, status) {
      const handle = (memory as Uint32Array)[0], message = messages.get(handle);
      give(memory, 0);
      if (handle === NO_MESSAGE) return settle(status, NOBODY);
      if (!message) {
        throw new MpiFailure(ERR.REQUEST, "there is no such message: it has been received already");
      }
      messages.delete(handle);
      const operation = engine.receiveArrived(message.group, message.arrived, bytes(into, count, type));
      engine.wait(operation);
      settleOperation(status, operation, message.group);
    },

    MPI_Barrier: (comm) => collectives.exchange(engine, groupOf(comm), nothing, nothing),
    MPI_Ibarrier(comm, memory) {
      const group = groupOf(comm);
      newRequest(memory, group, collectives.startExchange(engine, group, nothing, nothing));
    },
    MPI_Bcast(data, count, type, root, comm) {
      const group = groupOf(comm);
      collectives.broadcast(engine, group, bytes(data, count, type), rankIn(group, root, ERR.ROOT));
    },
    MPI_Scatter(all, allCount, allType, into, count, type, root, comm) {
      const group = groupOf(comm), part = (of: number) => slice(all, allType, of * allCount, allCount);
      collectives.scatter(engine, group, part, bytes(into, count, type), rankIn(group, root, ERR.ROOT));
    },
    MPI_Scatterv(all, counts, starts, allType, into, count, type, root, comm) {
      const group = groupOf(comm), part = parts(all, counts, starts, allType);
      collectives.scatter(engine, group, part, bytes(into, count, type), rankIn(group, root, ERR.ROOT));
    },
    MPI_Gather(part, count, type, all, allCount, allType, root, comm) {
      const group = groupOf(comm), into = (from: number) => slice(all, allType, from * allCount, allCount);
      collectives.gather(engine, group, bytes(part, count, type), into, rankIn(group, root, ERR.ROOT));
    },
    MPI_Gatherv(part, count, type, all, counts, starts, allType, root, comm) {
      const group = groupOf(comm), into = parts(all, counts, starts, allType);
      collectives.gather(engine, group, bytes(part, count, type), into, rankIn(group, root, ERR.ROOT));
    },
    MPI_Allgather(part, count, type, all, allCount, allType, comm) {
      const mine = bytes(part, count, type);
      collectives.exchange(
        engine,
        groupOf(comm),
        () => mine,
        (from) => slice(all, allType, from * allCount, allCount),
      );
    },
    MPI_Allgatherv(part, count, type, all, counts, starts, allType, comm) {
      const mine = bytes(part, count, type);
      collectives.exchange(engine, groupOf(comm), () => mine, parts(all, counts, starts, allType));
    },
    MPI_Alltoall(data, count, type, into, intoCount, intoType, comm) {
      collectives.exchange(
        engine,
        groupOf(comm),
        (to) => slice(data, type, to * count, count),
        (from) => slice(into, intoType, from * intoCount, intoCount),
      );
    },
    MPI_Alltoallv(data, counts, starts, type, into, intoCounts, intoStarts, intoType, comm) {
      const outgoing = parts(data, counts, starts, type);
      collectives.exchange(engine, groupOf(comm), outgoing, parts(into, intoCounts, intoStarts, intoType));
    },
    MPI_Reduce(data, into, count, type, op, root, comm) {
      const group = groupOf(comm), mine = numbers(data, count, type).slice();
      reduce(group, mine, op, rankIn(group, root, ERR.ROOT));
      if (group.rank === root) bytes(into, count, type).set(bytesOf(mine));
    },
    MPI_Allreduce(data, into, count, type, op, comm) {
      const mine = numbers(into, count, type);
      bytesOf(mine).set(bytes(data, count, type));
      allreduce(groupOf(comm), mine, op);
    },
    Allreduce_in_place: (_inPlace, into, count, type, op, comm) =>
      allreduce(groupOf(comm), numbers(into, count, type), op),
  };

  const coded = (call: (...values: never[]) => void) => (...values: never[]): number => {
    try {
      call(...values);
      return 0;
    } catch (error) {
      if (!(error instanceof MpiFailure)) throw error;
      texts.set(error.kind, error.message);
      return error.kind;
    }
  };
  return Object.fromEntries(
    Object.entries(calls).map(([name, call]) => [name, coded(call)]),
  ) as unknown as MpiFunctions;
}

function newGroup(context: number, ranks: readonly number[], self: number, name: string): Group {
  const index = new Map(ranks.map((rank, place) => [rank, place]));
  return { context, ranks, index, rank: index.get(self)!, name, turn: 0 };
}

/** What is sent to nobody, or received from nobody. */
function ended(group: Group): Operation {
  const operation = new Operation(group, ANY, false);
  operation.done = true;
  return operation;
}

/** The memory of so many elements of a type, from the start of an array or from one of its elements on. */
function bytes(memory: Memory, count: number, type: number): Uint8Array {
  return slice(memory, type, 0, count);
}

function slice(memory: Memory, type: number, start: number, count: number): Uint8Array {
  if (!memory) return new Uint8Array(0);
  const size = TYPES[type]!.BYTES_PER_ELEMENT;
  return new Uint8Array(memory.buffer, memory.byteOffset + start * size, count * size);
}

function numbers(memory: Memory, count: number, type: number): TypedArray {
  return new TYPES[type]!(memory!.buffer as ArrayBuffer, memory!.byteOffset, count);
}

/** Parts of different lengths. */
function parts(memory: Memory, counts: Memory, starts: Memory, type: number): (of: number) => Uint8Array {
  return (of) => slice(memory, type, (starts as Int32Array)[of], (counts as Int32Array)[of]);
}

const NOTHING = new Uint8Array(0);
const nothing = (): Uint8Array => NOTHING;

function write(into: Memory, length: Memory, text: string): void {
  const { written } = new TextEncoder().encodeInto(text, into as Uint8Array);
  (length as Int32Array)[0] = written;
}
