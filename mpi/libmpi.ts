/**
 * An MPI library: found, loaded, and made to look the same whichever of the two binary interfaces it has. It is loaded with its
 * symbols visible to all (RTLD_GLOBAL), which Open MPI's plugins need.
 *
 * Which one: the one that `PATHOS_MPI_LIB` names (a path, or a name that the dynamic loader finds); else one of the family
 * that the launcher belongs to; else whichever is there, Open MPI first. What it is shows in its symbols, not in its name.
 */
import { type CPointer, type LoadedLibrary, loadGlobally, pointerTo, setDefaultEnv } from "../runtime/ffi.ts";
import { env, platform } from "../runtime/mod.ts";
import {
  ABI,
  type Abi,
  bindFunctions,
  type Handle,
  type HandleName,
  handles,
  type MpiFunctions,
  OPEN_MPI_WORLD,
  THREAD_FUNNELED,
} from "./abi.ts";
import { arrayClass, ELEMENT_TYPES, type NumericArray } from "./arrays.ts";
import { MpiError, NoMpiError } from "./errors.ts";
import { useHugePages } from "./huge_pages.ts";
import type { MpiFamily, RankEnv } from "./rank_env.ts";

const LINUX: Record<MpiFamily, readonly string[]> = {
  openmpi: ["libmpi.so.40", "/usr/lib64/openmpi/lib/libmpi.so.40", "libmpi_ibm.so.40", "libmpi_ibm.so.3"],
  mpich: ["libmpi.so.12", "libmpich.so.12", "/usr/lib64/mpich/lib/libmpi.so.12", "libmpi_cray.so.12"],
};
const DARWIN: Record<MpiFamily, readonly string[]> = {
  openmpi: ["libmpi.40.dylib", "/opt/homebrew/lib/libmpi.40.dylib"],
  mpich: ["libmpi.12.dylib", "/opt/homebrew/lib/libmpi.12.dylib"],
};

/** Names of libraries to try, best first. */
export function libraryNames(place: RankEnv | undefined, forced = env("PATHOS_MPI_LIB")): string[] {
  if (forced) return [forced];
  const [names, last] = platform() === "darwin" ? [DARWIN, "libmpi.dylib"] : [LINUX, "libmpi.so"];
  return place?.family === "mpich"
    ? [...names.mpich, ...names.openmpi, last]
    : [...names.openmpi, ...names.mpich, last];
}

/** As a source: whoever sends (MPI_ANY_SOURCE). */
export const ANY_SOURCE: number = -1;
/** As a tag: whichever the message has (MPI_ANY_TAG). */
export const ANY_TAG: number = -1;
/** Nobody: a message to it goes nowhere, one from it is empty and there at once (MPI_PROC_NULL). For the edges of a grid. */
export const PROC_NULL: number = -2;

/** What is known of a message: who sent it, with which tag, and how many elements (bytes, of a value) it has. */
export interface Status {
  /** Rank of the sender; {@linkcode PROC_NULL} for a message from nobody. */
  source: number;
  /** Its tag. */
  tag: number;
  /** In elements of the array that was received into; in bytes where there was none. */
  count: number;
}

/** A function of the library after MPI_Finalize would end the process without a word. */
const AFTER_THE_END = new Proxy({} as MpiFunctions, {
  get(_, name) {
    throw new NoMpiError(`${String(name)} cannot be called any more: MPI has been finalized in this process`);
  },
});

/** What calls of MPI are made with: a library's, or those of the MPI that needs none (fallback_calls.ts). */
export interface MpiBinding {
  /** How it was found. */
  name: string;
  family: MpiFamily | "pathos";
  abi: Abi;
  handle: Record<HandleName, Handle>;
  /** Instead of an array to send: the one that is received into (MPI_IN_PLACE). */
  inPlace: CPointer;
  call: MpiFunctions;
}

function bound(library: LoadedLibrary): MpiBinding {
  const family = library.address(OPEN_MPI_WORLD) === undefined ? "mpich" : "openmpi", abi = ABI[family];
  return {
    name: library.name,
    family,
    abi,
    handle: handles(family, library.address),
    inPlace: pointerTo(abi.inPlace),
    call: bindFunctions(library.name, abi.handle),
  };
}

/** A loaded MPI library, or what stands for one. */
export class Libmpi {
  readonly name: string;
  readonly family: MpiFamily | "pathos";
  readonly abi: Abi;
  /** Its functions; after finalize each of them throws. */
  call: MpiFunctions;
  readonly handle: Record<HandleName, Handle>;
  readonly inPlace: CPointer;
  /** Where functions write their results; each is read before the next call. */
  readonly flag: Int32Array = new Int32Array(new ArrayBuffer(4));
  readonly status: Int32Array = new Int32Array(new ArrayBuffer(32));
  readonly message: Uint32Array = new Uint32Array(new ArrayBuffer(8));
  readonly #types: readonly Handle[];
  readonly #at: Abi["status"];

  constructor(binding: MpiBinding) {
    this.name = binding.name;
    this.family = binding.family;
    this.abi = binding.abi;
    this.handle = binding.handle;
    this.inPlace = binding.inPlace;
    this.call = binding.call;
    this.#at = this.abi.status;
    this.#types = ELEMENT_TYPES.map((type) => this.handle[type]);
  }

  /** Starts MPI unless somebody in this process has; true if it was started here. */
  init(): boolean {
    this.check(this.call.MPI_Finalized(this.flag), "MPI_Finalized");
    if (this.flag[0]) {
      throw new NoMpiError("MPI has been finalized in this process, and cannot be started again");
    }
    this.check(this.call.MPI_Initialized(this.flag), "MPI_Initialized");
    const ours = this.flag[0] === 0;
    if (ours) {
      this.check(this.call.MPI_Init_thread(null, null, THREAD_FUNNELED, this.flag), "MPI_Init_thread");
    }
    this.check(
      this.call.MPI_Comm_set_errhandler(this.handle.COMM_WORLD, this.handle.ERRORS_RETURN),
      "MPI_Comm_set_errhandler",
    );
    return ours;
  }

  /** Ends MPI in this process (MPI_Finalize); blocks until all ranks do so. */
  finalize(): void {
    const { call } = this;
    this.call = AFTER_THE_END;
    const code = call.MPI_Finalize();
    if (code !== 0) this.#fail(code, "MPI_Finalize", call);
  }

  /** Whether finalize was called. */
  get finalized(): boolean {
    return this.call === AFTER_THE_END;
  }

  /** Throws if a function returned an error. */
  check(code: number, call: string): void {
    if (code !== 0) this.#fail(code, call, this.call);
  }

  #fail(code: number, call: string, functions: MpiFunctions): never {
    const kind = new Int32Array(new ArrayBuffer(4));
    functions.MPI_Error_class(code, kind);
    throw new MpiError(
      call,
      code,
      kind[0],
      this.text((into, length) => functions.MPI_Error_string(code, into, length)),
    );
  }

  /** Text that a function writes into a buffer, with its length. */
  text(write: (into: Uint8Array, length: Int32Array) => unknown): string {
    const into = new Uint8Array(new ArrayBuffer(8192)), length = new Int32Array(new ArrayBuffer(4));
    write(into, length);
    return new TextDecoder().decode(into.subarray(0, length[0])).replace(/\0.*$/s, "");
  }

  /** The MPI type of an array's elements. */
  type(array: NumericArray): Handle {
    return this.#types[arrayClass(array)];
  }

  /** A rank to send to or receive from, in the library's numbers. */
  peer(rank: number): number {
    if (rank >= 0) return rank + 0; // Deno takes no -0, which (rank - size) % size may be
    return rank === ANY_SOURCE ? this.abi.anySource : rank === PROC_NULL ? this.abi.procNull : rank;
  }

  /** Reads a status, by default that of the last call, counted in elements of so many bytes. */
  statusOf(elementSize: number, status: Int32Array = this.status): Status {
    const { source, tag, bytes } = this.#at;
    const from = status[source];
    // 64 bits in both: a size_t of Open MPI; MPICH's upper word has the flag "cancelled" as its lowest bit
    const high = this.family === "mpich" ? status[bytes + 1] >>> 1 : status[bytes + 1];
    return {
      source: from === this.abi.procNull ? PROC_NULL : from,
      tag: status[tag],
      count: ((status[bytes] >>> 0) + high * 2 ** 32) / elementSize,
    };
  }

  /** Memory for one handle, zero. */
  newHandle(): Uint32Array {
    return new Uint32Array(new ArrayBuffer(8));
  }

  /** The handle that a function wrote. */
  handleOf(memory: Uint32Array): Handle {
    return this.family === "openmpi" ? pointerTo(memory[0] + memory[1] * 2 ** 32) : memory[0] | 0;
  }
}

/**
 * Loads the first library that is there.
 *
 * UCX, through which MPICH sends, would patch the functions by which this process gets its memory, while other threads of it call
 * them: Node then ended by SIGSEGV in 6 of 300 runs, and without it in none. It watches them to keep memory registered with a network card
 * for the next message; who needs that sets UCX_MEM_EVENTS=yes.
 *
 * @throws {NoMpiError} If there is none.
 */
export function loadLibmpi(place: RankEnv | undefined): Libmpi {
  setDefaultEnv("UCX_MEM_EVENTS", "no");
  const problems: string[] = [];
  for (const name of libraryNames(place)) {
    const library = loadGlobally(name);
    if (typeof library !== "string") {
      useHugePages();
      return new Libmpi(bound(library));
    }
    problems.push(library);
  }
  throw new NoMpiError(
    `no MPI library can be loaded:\n  ${problems.join("\n  ")}\n` +
      "Install Open MPI or MPICH (Debian: openmpi-bin or mpich; Fedora: openmpi or mpich, then `module load mpi`; on a cluster " +
      "`module load openmpi` or the like), or name the library in the environment: PATHOS_MPI_LIB=/path/to/libmpi.so",
  );
}
