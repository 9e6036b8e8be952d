/**
 * SQLite itself: the WebAssembly module of the official package, started synchronously at its first use, once in each
 * thread (some 12 ms), because archives are made by constructors. The package's own script is not used: it starts
 * asynchronously and brings a file system in memory. SQLite's files are those of sqlite_vfs.ts; what the module wants from
 * a C library's system calls besides answers that there is no such call.
 *
 * Nothing here knows SQL. Pointers are numbers, as everywhere in WebAssembly; nobody else keeps a view of the memory, since
 * every growth makes new ones.
 */
import { builtin, fromBase64, prepareForWasm } from "../runtime/mod.ts";
import { SQLITE_WASM } from "./sqlite_bytes.ts";

/** What is called of SQLite: its C interface, pointers and ints as numbers, 64 bit integers as bigints. */
export interface SqliteApi {
  malloc(bytes: number): number;
  free(pointer: number): void;
  sqlite3_vfs_register(vfs: number, makeDefault: number): number;
  sqlite3_open_v2(path: number, db: number, flags: number, vfs: number): number;
  sqlite3_close_v2(db: number): number;
  sqlite3_extended_result_codes(db: number, on: number): number;
  sqlite3_extended_errcode(db: number): number;
  sqlite3_errmsg(db: number): number;
  sqlite3_errstr(code: number): number;
  sqlite3_busy_handler(db: number, handler: number, argument: number): number;
  sqlite3_get_autocommit(db: number): number;
  sqlite3_changes(db: number): number;
  sqlite3_total_changes(db: number): number;
  sqlite3_exec(db: number, sql: number, callback: number, argument: number, message: number): number;
  sqlite3_prepare_v3(
    db: number,
    sql: number,
    bytes: number,
    flags: number,
    statement: number,
    rest: number,
  ): number;
  sqlite3_step(statement: number): number;
  sqlite3_reset(statement: number): number;
  sqlite3_finalize(statement: number): number;
  sqlite3_bind_parameter_count(statement: number): number;
  sqlite3_bind_null(statement: number, index: number): number;
  sqlite3_bind_int(statement: number, index: number, value: number): number;
  sqlite3_bind_int64(statement: number, index: number, value: bigint): number;
  sqlite3_bind_double(statement: number, index: number, value: number): number;
  sqlite3_bind_text(statement: number, index: number, text: number, bytes: number, destroy: number): number;
  sqlite3_bind_blob(statement: number, index: number, blob: number, bytes: number, destroy: number): number;
  sqlite3_column_count(statement: number): number;
  sqlite3_column_type(statement: number, index: number): number;
  sqlite3_column_int64(statement: number, index: number): bigint;
  sqlite3_column_double(statement: number, index: number): number;
  sqlite3_column_text(statement: number, index: number): number;
  sqlite3_column_blob(statement: number, index: number): number;
  sqlite3_column_bytes(statement: number, index: number): number;
}

/** A JavaScript function for SQLite to call: its parameters, `i` for 32 bits and pointers, `l` for 64, and whether it answers. */
export interface Callback {
  readonly parameters: string;
  // deno-lint-ignore no-explicit-any -- numbers and bigints, as `parameters` says
  readonly call: (...args: any[]) => number;
}

/** The running module and its memory. */
export interface SqliteModule {
  readonly api: SqliteApi;
  /** The memory by bytes; read it anew after whatever may allocate. */
  readonly bytes: Uint8Array;
  /** The memory by 32 bit integers: the one at a pointer is `ints[pointer >> 2]`. */
  readonly ints: Int32Array;
  /** Puts functions where C finds them; gives their pointers. */
  functions(callbacks: readonly Callback[]): number[];
  /** Copies a text, ended by NUL, into new memory. */
  newText(text: string): number;
  /** The text at a pointer, which ends at a NUL. */
  text(pointer: number): string;
}

const PAGE = 65536, FIRST_PAGES = 128, MOST_PAGES = 32768;
/** Errors of system calls that are not there: those of the C library, and those of WASI. */
const ENOSYS = -52, EBADF = 8;

let module: SqliteModule | undefined;

/** SQLite, started if it is not. */
export function sqliteModule(): SqliteModule {
  return module ??= start();
}

function start(): SqliteModule {
  prepareForWasm();
  const { brotliDecompressSync } = builtin<
    { brotliDecompressSync(bytes: Uint8Array): Uint8Array<ArrayBuffer> }
  >(
    "node:zlib",
  );
  const compiled = new WebAssembly.Module(brotliDecompressSync(fromBase64(SQLITE_WASM)));
  const memory = new WebAssembly.Memory({ initial: FIRST_PAGES, maximum: MOST_PAGES });
  let bytes = new Uint8Array(memory.buffer), ints = new Int32Array(memory.buffer);

  const system: Record<string, (...args: never[]) => unknown> = {
    emscripten_date_now: () => Date.now(),
    emscripten_get_now: () => performance.now(),
    emscripten_get_heap_max: () => MOST_PAGES * PAGE,
    emscripten_resize_heap(wanted: number) {
      const now = memory.buffer.byteLength / PAGE;
      const least = Math.ceil((wanted >>> 0) / PAGE);
      if (least > MOST_PAGES) return 0;
      try {
        memory.grow(Math.min(MOST_PAGES, Math.max(least, Math.ceil(now * 1.25))) - now);
      } catch {
        return 0; // SQLite then says that it is out of memory
      }
      bytes = new Uint8Array(memory.buffer);
      ints = new Int32Array(memory.buffer);
      return 1;
    },
    environ_get: () => 0,
    environ_sizes_get(count: number, size: number) {
      ints[count >> 2] = ints[size >> 2] = 0;
      return 0;
    },
  };
  const imports: Record<string, Record<string, WebAssembly.ImportValue>> = {};
  for (const { module, name, kind } of WebAssembly.Module.imports(compiled)) {
    const refuse = () => module === "env" ? ENOSYS : EBADF;
    (imports[module] ??= {})[name] = kind === "memory" ? memory : system[name] ?? refuse;
  }
  const { exports } = new WebAssembly.Instance(compiled, imports);
  (exports.__wasm_call_ctors as () => void)();
  const api = exports as unknown as SqliteApi;
  const table = exports.__indirect_function_table as WebAssembly.Table;

  return {
    api,
    get bytes() {
      return bytes;
    },
    get ints() {
      return ints;
    },
    functions(callbacks) {
      const wrapped = wrap(callbacks);
      const first = table.grow(wrapped.length);
      wrapped.forEach((call, index) => table.set(first + index, call));
      return wrapped.map((_, index) => first + index);
    },
    newText(text) {
      const encoded = new TextEncoder().encode(`${text}\0`);
      const pointer = api.malloc(encoded.length);
      if (pointer === 0) throw new RangeError("SQLite is out of memory");
      bytes.set(encoded, pointer);
      return pointer;
    },
    text(pointer) {
      return new TextDecoder().decode(bytes.subarray(pointer, bytes.indexOf(0, pointer)));
    },
  };
}

/** Only functions of a WebAssembly module can stand in its table: a module that imports ours and exports them again. */
function wrap(callbacks: readonly Callback[]): (() => unknown)[] {
  const I32 = 0x7f, I64 = 0x7e, FUNCTION = 0x60;
  const name = (text: string) => [text.length, ...new TextEncoder().encode(text)];
  const types = callbacks.map(({ parameters }) => [
    FUNCTION,
    parameters.length,
    ...Array.from(parameters, (letter) => letter === "l" ? I64 : I32),
    1,
    I32,
  ]);
  const imports = callbacks.map((_, index) => [...name("f"), ...name(`${index}`), 0, index]);
  const exports = callbacks.map((_, index) => [...name(`${index}`), 0, index]);
  const section = (id: number, entries: number[][]) => {
    const body = [entries.length, ...entries.flat()];
    return [id, 0x80 | body.length & 0x7f, body.length >> 7, ...body];
  };
  const code = [
    0,
    0x61,
    0x73,
    0x6d,
    1,
    0,
    0,
    0,
    ...section(1, types),
    ...section(2, imports),
    ...section(7, exports),
  ];
  const f = Object.fromEntries(callbacks.map(({ call }, index) => [`${index}`, call]));
  const instance = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(code)), { f });
  return callbacks.map((_, index) => instance.exports[`${index}`] as () => unknown);
}
