/**
 * The two binary interfaces of MPI as tables: the C signatures that are used, and the value of each handle and constant. In Open MPI
 * a handle is the address of a variable (named here), in MPICH's interface a fixed integer. Sources: mpi.h of Open MPI 4.1 and
 * of MPICH 4.0, whose values the MPICH ABI Compatibility Initiative keeps.
 */
import { bindLibrary, type CPointer, type CSignature, pointerTo } from "../runtime/ffi.ts";
import type { MpiFamily } from "./rank_env.ts";

/** The functions that are called, with their parameters: i an int, b a pointer to memory, h a handle. All return an error code. */
export const FUNCTIONS = {
  MPI_Initialized: "b",
  MPI_Finalized: "b",
  MPI_Init_thread: "b b i b",
  MPI_Finalize: "",
  MPI_Abort: "h i",
  MPI_Get_library_version: "b b",
  MPI_Get_processor_name: "b b",
  MPI_Error_string: "i b b",
  MPI_Error_class: "i b",
  MPI_Comm_set_errhandler: "h h",
  MPI_Comm_rank: "h b",
  MPI_Comm_size: "h b",
  MPI_Comm_get_name: "h b b",
  MPI_Comm_set_name: "h b",
  MPI_Comm_split: "h i i b",
  MPI_Comm_dup: "h b",
  MPI_Comm_free: "b",
  MPI_Send: "b i h i i h",
  MPI_Recv: "b i h i i h b",
  MPI_Sendrecv: "b i h i i b i h i i h b",
  MPI_Isend: "b i h i i h b",
  MPI_Irecv: "b i h i i h b",
  MPI_Test: "b b b",
  MPI_Wait: "b b",
  MPI_Probe: "i i h b",
  MPI_Iprobe: "i i h b b",
  MPI_Mprobe: "i i h b b",
  MPI_Improbe: "i i h b b b",
  MPI_Mrecv: "b i h b b",
  MPI_Barrier: "h",
  MPI_Ibarrier: "h b",
  MPI_Bcast: "b i h i h",
  MPI_Scatter: "b i h b i h i h",
  MPI_Scatterv: "b b b h b i h i h",
  MPI_Gather: "b i h b i h i h",
  MPI_Gatherv: "b i h b b b h i h",
  MPI_Allgather: "b i h b i h h",
  MPI_Allgatherv: "b i h b b b h h",
  MPI_Alltoall: "b i h b i h h",
  MPI_Alltoallv: "b b b h b b b h h",
  MPI_Reduce: "b b i h h i h",
  MPI_Allreduce: "b b i h h h",
} as const;

/** A handle as the library takes it: a pointer in Open MPI's interface, an integer in MPICH's. */
export type Handle = CPointer | number;

interface Letters {
  i: number;
  h: Handle;
  b: ArrayBufferView | null;
}

type Values<Text extends string> = Text extends `${infer First extends keyof Letters} ${infer Rest}`
  ? [Letters[First], ...Values<Rest>]
  : Text extends keyof Letters ? [Letters[Text]]
  : [];

/** The functions, bound. */
export type MpiFunctions =
  & { readonly [Name in keyof typeof FUNCTIONS]: (...values: Values<(typeof FUNCTIONS)[Name]>) => number }
  & {
    /** MPI_Allreduce with MPI_IN_PLACE, an address that is no address, as the first parameter. */
    readonly Allreduce_in_place: (inPlace: CPointer, ...rest: Values<"b i h h h">) => number;
  };

/** The functions of a library, in which handles have this C type. Each is bound when it is first asked for, which takes 0.2 ms. */
export function bindFunctions(library: string, handle: "i32" | "pointer"): MpiFunctions {
  const types = { i: "i32", b: "buffer", h: handle, p: "pointer" } as const;
  const unbound = {};
  const define = (name: string, letters: string, symbol = name) => {
    const parameters = letters.split(" ").filter(Boolean).map((letter) =>
      types[letter as keyof typeof types]
    );
    const signature: CSignature = { symbol, parameters, result: "i32" };
    Object.defineProperty(unbound, name, {
      get() {
        const { [name]: value } = bindLibrary(library, { [name]: signature });
        Object.defineProperty(this, name, { value });
        return value;
      },
    });
  };
  for (const [name, letters] of Object.entries(FUNCTIONS)) define(name, letters);
  define("Allreduce_in_place", "p b i h h h", "MPI_Allreduce");
  return Object.create(unbound);
}

/** Handles of MPICH's interface by name. */
const MPICH = {
  COMM_WORLD: 0x44000000,
  ERRORS_RETURN: 0x54000001,
  BYTE: 0x4c00010d,
  INT8: 0x4c000137,
  INT16: 0x4c000238,
  INT32: 0x4c000439,
  INT64: 0x4c00083a,
  UINT8: 0x4c00013b,
  UINT16: 0x4c00023c,
  UINT32: 0x4c00043d,
  UINT64: 0x4c00083e,
  FLOAT: 0x4c00040a,
  DOUBLE: 0x4c00080b,
  MAX: 0x58000001,
  MIN: 0x58000002,
  SUM: 0x58000003,
  PROD: 0x58000004,
};

/** A predefined handle. */
export type HandleName = keyof typeof MPICH;

const OPEN_MPI: Record<HandleName, string> = {
  COMM_WORLD: "ompi_mpi_comm_world",
  ERRORS_RETURN: "ompi_mpi_errors_return",
  BYTE: "ompi_mpi_byte",
  INT8: "ompi_mpi_int8_t",
  INT16: "ompi_mpi_int16_t",
  INT32: "ompi_mpi_int32_t",
  INT64: "ompi_mpi_int64_t",
  UINT8: "ompi_mpi_uint8_t",
  UINT16: "ompi_mpi_uint16_t",
  UINT32: "ompi_mpi_uint32_t",
  UINT64: "ompi_mpi_uint64_t",
  FLOAT: "ompi_mpi_float",
  DOUBLE: "ompi_mpi_double",
  MAX: "ompi_mpi_op_max",
  MIN: "ompi_mpi_op_min",
  SUM: "ompi_mpi_op_sum",
  PROD: "ompi_mpi_op_prod",
};

/** The variable of Open MPI by which a library shows whose it is. */
export const OPEN_MPI_WORLD: string = OPEN_MPI.COMM_WORLD;

/** The predefined handles of a library, whose symbols `address` finds. */
export function handles(
  family: MpiFamily,
  address: (symbol: string) => number | undefined,
): Record<HandleName, Handle> {
  if (family === "mpich") return MPICH;
  return Object.fromEntries(
    Object.entries(OPEN_MPI).map(([name, symbol]) => {
      const found = address(symbol);
      if (found === undefined) {
        throw new Error(`the MPI library has no symbol ${symbol}, which Open MPI's have`);
      }
      return [name, pointerTo(found)];
    }),
  ) as Record<HandleName, Handle>;
}

/** Constants that differ, and where a status keeps what (indices of 32-bit integers). */
export interface Abi {
  handle: "i32" | "pointer";
  anySource: number;
  procNull: number;
  inPlace: number;
  status: { source: number; tag: number; bytes: number };
}

/** What differs between the families. */
export const ABI: Readonly<Record<MpiFamily, Abi>> = {
  openmpi: {
    handle: "pointer",
    anySource: -1,
    procNull: -2,
    inPlace: 1,
    status: { source: 0, tag: 1, bytes: 4 },
  },
  mpich: { handle: "i32", anySource: -2, procNull: -1, inPlace: -1, status: { source: 2, tag: 3, bytes: 0 } },
};

/** The same in both families. */
export const UNDEFINED = -32766, THREAD_FUNNELED = 1;
