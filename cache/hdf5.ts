/**
 * The HDF5 library as WebAssembly (`npm:h5wasm`), to be had without waiting.
 *
 * The package is an ES module that is ready only after a promise, and constructors of archives are synchronous. Its script
 * waits for two things, a builtin module and the compiler, and both are there at once in Deno and Node. So the script is read as
 * text and run with those two changed; should a version of the package read otherwise, that is an error which says so. It takes
 * some 110 ms, once in a thread, when the first archive is opened. The other way, a worker thread that is asked through
 * shared memory, was put aside: it starts as slowly, costs two changes of thread for every call, and cannot be had in a worker.
 *
 * Where the package's files cannot be found that way (a worker that was started from one script, a bundle)
 * {@linkcode hdf5Ready} imports the package as usual; afterwards all is synchronous.
 */
import { builtin, exists, mainModule, prepareForWasm, readFile } from "../runtime/mod.ts";
import { importPackage, packageUrl } from "./packages.ts";

/** What this folder uses of h5wasm's binding of the C library. Identifiers of files are 64 bits wide, as are pointers. */
export interface Hdf5 {
  /** The memory, a new view after it has grown. */
  readonly HEAPU8: Uint8Array<ArrayBuffer>;
  readonly FS: { streams: ({ path?: string } | null)[]; close(stream: object): void };
  readonly H5F_ACC_RDONLY: number;
  readonly H5F_ACC_RDWR: number;
  readonly H5F_ACC_TRUNC: number;
  _malloc(size: number): number;
  _free(pointer: number): void;
  open(path: string, mode: number, trackOrder: boolean, lowest: number, highest: number): bigint;
  close_file(file: bigint): number;
  get_names(file: bigint, group: string, recursive: boolean): string[];
  get_attribute_names(file: bigint, object: string): string[];
  get_dataset_metadata(file: bigint, name: string): DataShape;
  get_attribute_metadata(file: bigint, object: string, name: string): DataShape;
  get_dataset_data(file: bigint, name: string, count: null, offset: null, stride: null, into: bigint): number;
  get_attribute_data(file: bigint, object: string, name: string, into: bigint): number;
  reclaim_vlen_memory(file: bigint, object: string, attribute: string, data: bigint): number;
  create_dataset(file: bigint, name: string, data: bigint, shape: NewData): number;
  create_attribute(file: bigint, object: string, name: string, data: bigint, shape: NewData): number;
  delete_attribute(file: bigint, object: string, name: string): number;
}

type StreamWrite = (stream: unknown, memory: Int8Array<ArrayBuffer>, at: number, length: number) => number;

/** HDF5's classes of types that are used here. */
export const INTEGER = 0, FLOAT = 1, STRING = 3;

/** Type and shape of what is in a file. */
export interface DataShape {
  type: number;
  /** Bytes of one element. */
  size: number;
  signed: boolean;
  littleEndian: boolean;
  /** Whether the elements are pointers to texts. */
  vlen: boolean;
  /** Empty for one value; null for none. */
  shape: number[] | null;
  /** Number of elements. */
  total_size: number;
}

/** Type and shape of what is to be made. */
export interface NewData {
  type: number;
  size: number;
  signed: boolean;
  vlen: false;
  shape: bigint[];
  maxshape: bigint[];
  chunks: bigint[] | null;
  /** A filter's number, 0 for none. */
  compression: number;
  compression_opts: number[];
}

const NAME = "h5wasm/node";
/** The version that deno.json asks for, and that the changes below are made for. */
const VERSION = "0.10.3";
const SCRIPT = "hdf5_util.js";
/** What kind of file the system says standard error is. */
const CHARACTER_DEVICE = 0o020000;

/** What is changed in the script, each once: what it reads, and what it is to read. */
const CHANGES: readonly (readonly [from: string, to: string])[] = [
  ["async function Module(moduleArg={}){", "return function Module(moduleArg={}){"],
  [
    'const{createRequire}=await import("module");var require=createRequire(import.meta.url)',
    "var require=_require",
  ],
  ["var _scriptName=import.meta.url;", 'var _scriptName="";'],
  ["async function createWasm(){", "function createWasm(){"],
  [
    "var result=await instantiateAsync(wasmBinary,wasmBinaryFile,info)",
    "var module=new WebAssembly.Module(wasmBinaryFile);" +
    "var result={module,instance:new WebAssembly.Instance(module,info)}",
  ],
  ["wasmExports=await (createWasm())", "wasmExports=createWasm()"],
  ["export default Module;", ""],
];

let found: string | undefined;
let loaded: Hdf5 | undefined;
/** What the library has printed about the last call. */
let printed = "";

/**
 * The library.
 *
 * @throws {Error} If the package cannot be found, or reads otherwise than expected.
 */
export function hdf5(): Hdf5 {
  return loaded ??= listening(run(findScript()));
}

/** Resolves when {@linkcode hdf5} can be called, also where the package cannot be found synchronously. */
export async function hdf5Ready(): Promise<void> {
  if (loaded) return;
  try {
    hdf5();
  } catch (error) {
    try {
      const { ready } = await importPackage(NAME, () => import("h5wasm/node"));
      loaded ??= listening(await ready as unknown as Hdf5);
    } catch (cause) {
      throw new Error(`HDF5 cannot be loaded: ${(cause as Error).message} (${(error as Error).message})`, {
        cause,
      });
    }
  }
}

/**
 * Makes a call of the library. It tells of a failure by printing; many results are the same either way.
 *
 * @throws {Error} With the innermost reason that the library gives, after `failing`.
 */
export function checked<T>(failing: string, call: () => T): T {
  printed = "";
  let result: T | undefined, thrown: unknown;
  try {
    result = call();
  } catch (error) {
    thrown = error;
    if (error instanceof WebAssembly.RuntimeError) loaded = undefined; // it has crashed: the next one starts afresh
  }
  if (thrown === undefined && printed === "") return result as T;
  const reasons = [...printed.matchAll(/#\d+: .* in \w+\(\): (.*)/g)].map(([, reason]) => reason);
  const reason = reasons.at(-1) ?? (thrown instanceof Error ? thrown.message : printed.trim());
  const [, system] = /error message = '([^']*)'/.exec(printed) ?? [];
  throw new Error(`${failing}: ${system ?? reason}`, { cause: thrown });
}

/**
 * Lets go of a file that the library could not close. It goes on as if the file were open, and would take another that gets
 * the same number from the system for that one: so it opens no file any more, and the next is opened by a new one.
 */
export function abandon(library: Hdf5, path: string): void {
  if (loaded === library) loaded = undefined;
  for (const stream of library.FS.streams) if (stream?.path === path) library.FS.close(stream);
}

/** Where the library's script is. */
function findScript(): string {
  if (found) return found;
  for (const url of [packageUrl(NAME, () => import.meta.resolve(NAME)), urlOfVersion()]) {
    const script = url && new URL(SCRIPT, url);
    if (script && script.protocol === "file:" && exists(pathOf(script))) return found = pathOf(script);
  }
  // in a script without import.meta: the folders where the program finds its packages
  const { createRequire } = builtin<{ createRequire(from: string): Require }>("node:module");
  const from = mainModule() ?? `${builtin<{ cwd(): string }>("node:process").cwd()}/program.js`;
  for (const folder of from.startsWith("http") ? [] : createRequire(from).resolve.paths("h5wasm") ?? []) {
    const path = `${folder}/h5wasm/dist/node/${SCRIPT}`;
    if (exists(path)) return found = path;
  }
  throw new Error(
    "HDF5 needs the package h5wasm, which cannot be found without waiting here: call `await HdfArchive.ready()` once " +
      `before, or install it (npm install h5wasm@${VERSION})`,
  );
}

/** What Deno finds by the version, where no import map applies. */
function urlOfVersion(): string | undefined {
  try {
    const url = import.meta.resolve(`npm:h5wasm@${VERSION}/node`);
    return url.startsWith("npm:") ? undefined : url;
  } catch {
    return undefined; // not known here, or there is no import.meta
  }
}

interface Require {
  resolve: { paths(name: string): string[] | null };
}

function pathOf(url: URL): string {
  return builtin<{ fileURLToPath(url: URL): string }>("node:url").fileURLToPath(url);
}

function run(path: string): Hdf5 {
  let script = new TextDecoder().decode(readFile(path));
  for (const [from, to] of CHANGES) {
    const [before, after, ...more] = script.split(from);
    if (after === undefined || more.length > 0) {
      throw new Error(
        `${path} is not as version ${VERSION} of h5wasm is (${
          more.length + (after === undefined ? 0 : 1)
        } times ${
          JSON.stringify(from)
        }): install that version, or call \`await HdfArchive.ready()\` once before`,
      );
    }
    script = before + to + after;
  }
  const make = new Function("_require", script)((name: string) => builtin(`node:${name}`));
  return make({ noInitialRun: true });
}

/** Collects what the library prints about failures instead of showing it. */
function listening(library: Hdf5): Hdf5 {
  prepareForWasm();
  const write: StreamWrite = (_stream, memory, at, length) => {
    printed += new TextDecoder().decode(new Uint8Array(memory.buffer, at, length));
    return length;
  };
  Object.assign(library.FS.streams[2]!, { node: { mode: CHARACTER_DEVICE }, stream_ops: { write } });
  return library;
}
