/**
 * Functions of shared libraries written in C, called synchronously on this thread: by Deno.dlopen in Deno (permission
 * `ffi`), by the package `koffi` in Node. Addresses are numbers (a user's address space has 47 bits). Memory is handed over as
 * typed arrays, which C reads and writes in place; one that C keeps after the call has to go through {@linkcode fixed}, and stay
 * reachable. There are no callbacks and no structures passed by value. Not in mod.ts, because workers have no use for it.
 */
import { requireKoffi } from "./disk_file.ts";
import { platform, runtimeName } from "./host.ts";

/**
 * A type of C: `address` is a pointer or a size as a number, `pointer` the same as {@linkcode pointerTo} gives it, `buffer` a pointer to
 * an array's memory, or null.
 */
export type CType = "i32" | "f64" | "address" | "pointer" | "buffer" | "text" | "void";

/** An address as this runtime hands it to C fastest: Deno takes 100 ns to convert a number that has more than 31 bits. */
export type CPointer = { readonly pointer: unique symbol } | null;

/** A function: its parameters, its result, and its name in the library where that is not the key it is listed under. */
export interface CSignature {
  readonly symbol?: string;
  readonly parameters: readonly CType[];
  readonly result: CType;
}

interface CValues {
  i32: number;
  f64: number;
  address: number;
  pointer: CPointer;
  buffer: ArrayBufferView | null;
  /** Text that ends in a zero byte; undefined is a null pointer. Only a result. */
  text: string | undefined;
  void: void;
}

/** The functions that belong to signatures. */
export type CFunctions<Signatures extends Record<string, CSignature>> = {
  readonly [Name in keyof Signatures]: (
    ...values: CArguments<Signatures[Name]["parameters"]>
  ) => CValues[Signatures[Name]["result"]];
};

type CArguments<Parameters extends readonly CType[]> = {
  -readonly [At in keyof Parameters]: CValues[Parameters[At]];
};

/**
 * Binds functions of a library that the dynamic loader finds under this name.
 *
 * @throws {Error} If it is not found, lacks a function, or foreign functions cannot be called here.
 */
export function bindLibrary<const Signatures extends Record<string, CSignature>>(
  library: string,
  signatures: Signatures,
): CFunctions<Signatures> {
  const bind = runtimeName === "deno" ? bindDeno : bindKoffi;
  return bind(library, signatures) as CFunctions<Signatures>;
}

/** The address as a parameter or result of type `pointer`; it may be anything that fits into one. */
export function pointerTo(address: number): CPointer {
  if (runtimeName !== "deno") return address as unknown as CPointer;
  return denoForeign().UnsafePointer.create(BigInt.asUintN(64, BigInt(address)));
}

/**
 * As {@linkcode bindLibrary}, in Deno, for functions that are needed for a while.
 *
 * @throws {Error} If it is not found, lacks a function, or foreign functions cannot be called here.
 */
export function bindClosable<const Signatures extends Record<string, CSignature>>(
  library: string,
  signatures: Signatures,
): { functions: CFunctions<Signatures>; close(): void } {
  const { functions, close } = openDeno(library, signatures);
  return { functions: functions as CFunctions<Signatures>, close };
}

/** A library that has been loaded so that all libraries loaded later see its symbols. */
export interface LoadedLibrary {
  /** As it was asked for. */
  readonly name: string;
  /** Address of a symbol, or undefined if the library has none of that name. */
  address(symbol: string): number | undefined;
}

/** Loads a library with its symbols visible to all that follow (RTLD_GLOBAL); a string says why that failed. */
export function loadGlobally(name: string): LoadedLibrary | string {
  const { dlopen, dlsym, dlerror } = dynamicLoader();
  const RTLD_NOW = 2, RTLD_GLOBAL = platform() === "darwin" ? 8 : 0x100;
  const handle = dlopen(cText(name), RTLD_NOW | RTLD_GLOBAL);
  if (handle === 0) return dlerror() ?? `${name} cannot be loaded`;
  return { name, address: (symbol) => dlsym(handle, cText(symbol)) || undefined };
}

/** Sets a variable of the environment, as libraries read it, unless it is set (setenv). */
export function setDefaultEnv(name: string, value: string): void {
  bindStandard({ setenv: { parameters: ["buffer", "buffer", "i32"], result: "i32" } })
    .setenv(cText(name), cText(value), 0);
}

/** Text as C has it, with a zero byte at its end. */
export function cText(text: string): Uint8Array {
  return new TextEncoder().encode(text + "\0");
}

/**
 * The array, whose memory from now on stays where it is: the engine keeps that of arrays up to 64 bytes where the garbage collector
 * moves it, until somebody asks for their buffer.
 */
export function fixed<View extends ArrayBufferView>(view: View): View {
  void view.buffer;
  return view;
}

const LOADER = {
  dlopen: { parameters: ["buffer", "i32"], result: "address" },
  dlsym: { parameters: ["address", "buffer"], result: "address" },
  dlerror: { parameters: [], result: "text" },
} as const;

let loader: CFunctions<typeof LOADER> | undefined;

function dynamicLoader(): CFunctions<typeof LOADER> {
  return loader ??= bindStandard(LOADER);
}

/** Binds functions of C's standard library; dlopen(3) is there from glibc 2.34 on, and in libdl before. */
export function bindStandard<const Signatures extends Record<string, CSignature>>(
  signatures: Signatures,
): CFunctions<Signatures> {
  const names = platform() === "darwin" ? ["libSystem.dylib"] : ["libc.so.6", "libdl.so.2", "libc.so"];
  const problems: unknown[] = [];
  for (const name of names) {
    try {
      return bindLibrary(name, signatures);
    } catch (error) {
      if ((error as Error).name === "NotCapable" || error instanceof NoKoffiError) throw error;
      problems.push(error);
    }
  }
  throw new AggregateError(
    problems,
    `C functions cannot be called here: no ${Object.keys(signatures).join(", ")} in ${names.join(", ")}`,
  );
}

type Call = (...values: unknown[]) => unknown;

interface DenoForeign {
  dlopen(
    library: string,
    symbols: Record<string, { name: string; parameters: string[]; result: string }>,
  ): { symbols: Record<string, Call>; close(): void };
  UnsafePointer: { create(address: bigint): CPointer };
  UnsafePointerView: { getCString(pointer: unknown): string };
}

function denoForeign(): DenoForeign {
  return (globalThis as unknown as { Deno: DenoForeign }).Deno;
}

const DENO_TYPES: Record<CType, string> = {
  i32: "i32",
  f64: "f64",
  address: "usize",
  pointer: "pointer",
  buffer: "buffer",
  text: "pointer",
  void: "void",
};

function bindDeno(library: string, signatures: Record<string, CSignature>): Record<string, Call> {
  return openDeno(library, signatures).functions;
}

function openDeno(
  library: string,
  signatures: Record<string, CSignature>,
): { functions: Record<string, Call>; close(): void } {
  const deno = denoForeign();
  const opened = deno.dlopen(
    library,
    Object.fromEntries(
      Object.entries(signatures).map(([key, { symbol, parameters, result }]) => [key, {
        name: symbol ?? key,
        parameters: parameters.map((type) => DENO_TYPES[type]),
        result: DENO_TYPES[result],
      }]),
    ),
  );
  const functions: Record<string, Call> = Object.fromEntries(
    Object.entries(signatures).map(([key, { result }]): [string, Call] => {
      const call = opened.symbols[key];
      if (result === "address") return [key, (...values) => Number(call(...values))];
      if (result !== "text") return [key, call];
      return [key, (...values) => {
        const pointer = call(...values);
        return pointer === null ? undefined : deno.UnsafePointerView.getCString(pointer);
      }];
    }),
  );
  return { functions, close: () => opened.close() };
}

interface Koffi {
  load(library: string): { func(name: string, result: string, parameters: string[]): Call };
}

const KOFFI_TYPES: Record<CType, string> = {
  i32: "int",
  f64: "double",
  address: "intptr_t",
  pointer: "intptr_t",
  buffer: "void *",
  text: "const char *",
  void: "void",
};

class NoKoffiError extends Error {
  override name = "NoKoffiError";
}

function bindKoffi(library: string, signatures: Record<string, CSignature>): Record<string, Call> {
  const koffi = requireKoffi<Koffi>();
  if (!koffi) {
    throw new NoKoffiError(
      "Node cannot call C functions alone: install the npm package koffi beside @pathos/pathos, or use Deno",
    );
  }
  const bound = koffi.load(library);
  return Object.fromEntries(
    Object.entries(signatures).map(([key, { symbol, parameters, result }]) => {
      const call = bound.func(
        symbol ?? key,
        KOFFI_TYPES[result],
        parameters.map((type) => KOFFI_TYPES[type]),
      );
      if (result === "address") return [key, (...values) => Number(call(...values))];
      return [key, result === "text" ? (...values) => call(...values) ?? undefined : call];
    }),
  );
}
