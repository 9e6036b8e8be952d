/**
 * Identity of code between two sides that talk for a while, as a pool and its workers do.
 *
 * A function goes over once, in full, under the hash of its bytes. Its classes and functions are then known on both sides as
 * (hash, index), so that an instance of a shipped class is an instance of the class that the other side has, and
 * comes back as an instance of the caller's own. Buffers of values travel beside the bytes, not in them.
 */
import { decodeGraph } from "./decode.ts";
import { encodeGraph } from "./encode.ts";
import { UntrustedCodeError } from "./errors.ts";
import type { ModuleRef } from "./modules.ts";
import type { CodeFunction } from "./types.ts";
import { sha256 } from "./wire.ts";

export { type ModuleRef, preloadImports } from "./modules.ts";

/** A function or class by value, named by the hash of its bytes. */
export interface CodePayload {
  /** Hex SHA-256 of `bytes`. */
  hash: string;
  bytes: Uint8Array;
  /** Modules that must be imported (see `preloadImports`) before `loadCode`. */
  imports: ModuleRef[];
  /** Hashes of the payloads it refers to, in dependency order. */
  needs: string[];
  /** Shared memory it captures, which travels beside the bytes (only between threads). */
  shared: SharedArrayBuffer[];
}

/** A data value with its large buffers beside it. */
export interface Encoded {
  bytes: Uint8Array;
  buffers: (ArrayBuffer | SharedArrayBuffer)[];
  /** Hashes of the payloads it refers to, in dependency order. */
  needs: string[];
}

export interface CodeBookOptions {
  /** Whether the receiver can resolve this module reference. Default: packages and built-in modules only. */
  byref?: (ref: ModuleRef) => boolean;
  /** May decode code that arrives by value. Default false: data and references to known code only. */
  trust?: boolean;
  /** SharedArrayBuffers travel by reference in `buffers` (threads). Default false: their contents travel. */
  share?: boolean;
  /**
   * Code that is not in the book goes by value inside the value (a worker's results). Default false: `encode` makes a
   * payload of every new class and lists it in `needs`, so that instances keep their class on the way back (the caller's
   * inputs).
   */
  inline?: boolean;
}

const graphFlag = 1;

/** Payloads written here are kept up to this many bytes, but at least so many of them; the oldest go first. */
const keptBytes = 64 * 2 ** 20;
const keptCount = 64;

/** Remembers which code the other side has. */
export class CodeBook {
  private readonly payloads = new Map<string, CodePayload>();
  private payloadBytes = 0;
  /** What each payload defines. The owner of code that was written here is the program; code that was loaded is kept. */
  private readonly definitions = new Map<string, (WeakRef<CodeFunction> | CodeFunction)[]>();
  /** Latest definition of each function or class first. */
  private references = new WeakMap<CodeFunction, (readonly [hash: string, index: number])[]>();

  constructor(private readonly options: CodeBookOptions = {}) {}

  /**
   * Writes a function or class in full, with what it captures now. Equal bytes give the same payload object.
   *
   * @throws {UnserializableError} If it captures what cannot travel.
   */
  encodeCode(code: CodeFunction): CodePayload {
    const graph = encodeGraph(code, { byref: this.options.byref, share: this.options.share });
    const bytes = join(graph.plain, graph.body, graph.buffers);
    const shared = graph.buffers.filter((buffer) => buffer instanceof SharedArrayBuffer);
    const hash = sha256(bytes);
    let payload = this.payloads.get(hash);
    if (!payload) {
      payload = { hash, bytes, imports: graph.imports, needs: [], shared };
      this.payloads.set(hash, payload);
      this.payloadBytes += bytes.length;
      this.dropOldest();
    }
    this.remember(hash, graph.functions, (fn) => new WeakRef(fn));
    return payload;
  }

  /** The payload with this hash, if it was written or loaded here. */
  payload(hash: string): CodePayload | undefined {
    return this.payloads.get(hash);
  }

  /**
   * Loads a payload; the modules in `payload.imports` must have been preloaded.
   *
   * @returns The function, the same one for the same hash.
   * @throws {UntrustedCodeError} If this book does not trust code.
   * @throws {CorruptDataError} If the bytes are damaged.
   */
  loadCode(payload: CodePayload): CodeFunction {
    const { hash } = payload;
    const known = this.definitions.get(hash);
    if (known) {
      const fn = strong(known[0]);
      if (fn) return fn;
    }
    if (!this.options.trust) {
      throw new UntrustedCodeError(`code ${hash.slice(0, 12)} arrived, and this side takes data only`);
    }
    const { plain, body, buffers } = split(payload.bytes, payload.shared);
    const { value, functions } = decodeGraph(plain, body, buffers, { trusted: true });
    this.payloads.set(hash, payload);
    // A function that is a mere reference to a module defines nothing.
    const defined = functions.includes(value as CodeFunction)
      ? functions
      : [value as CodeFunction, ...functions];
    this.remember(hash, defined, (fn) => fn);
    return value as CodeFunction;
  }

  private dropOldest(): void {
    for (const [hash, { bytes }] of this.payloads) {
      if (this.payloadBytes <= keptBytes || this.payloads.size <= keptCount) return;
      // Loaded code stays: the other side counts on it.
      if (typeof this.definitions.get(hash)?.[0] === "function") continue;
      this.payloads.delete(hash);
      this.definitions.delete(hash);
      this.payloadBytes -= bytes.length;
    }
  }

  private remember(
    hash: string,
    functions: readonly CodeFunction[],
    keep: (fn: CodeFunction) => WeakRef<CodeFunction> | CodeFunction,
  ): void {
    // Code that was loaded and is written again stays held as it was.
    if (typeof this.definitions.get(hash)?.[0] !== "function") {
      this.definitions.set(hash, functions.map(keep));
    }
    functions.forEach((fn, index) => {
      const known = this.references.get(fn);
      const entry = [hash, index] as const;
      if (!known) this.references.set(fn, [entry]);
      else if (known[0][0] !== hash) {
        this.references.set(fn, [entry, ...known.filter(([other]) => other !== hash)]);
      }
    });
  }

  /**
   * Writes a value. Classes and functions that the book has become references; those defined by the payload `prefer` are
   * taken from it, so that `instanceof` holds inside that payload's function.
   *
   * @throws {UnserializableError} If something in the value cannot travel.
   */
  encode(value: unknown, options: { prefer?: string } = {}): Encoded {
    const { byref, share, inline } = this.options;
    const graph = encodeGraph(value, {
      byref,
      share,
      known: (code) =>
        this.referenceTo(code, options.prefer) ?? (inline ? undefined : this.newReference(code)),
    });
    const bytes = new Uint8Array(graph.body.length + 1);
    bytes[0] = graph.plain ? 0 : graphFlag;
    bytes.set(graph.body, 1);
    return {
      bytes,
      buffers: graph.buffers.map((buffer) => buffer instanceof Uint8Array ? ownBuffer(buffer) : buffer),
      needs: graph.hashes,
    };
  }

  private referenceTo(code: CodeFunction, prefer: string | undefined): readonly [string, number] | undefined {
    const known = this.references.get(code)?.filter(([hash]) => this.definitions.has(hash));
    return known && (known.find(([hash]) => hash === prefer) ?? known[0]);
  }

  private newReference(code: CodeFunction): readonly [string, number] | undefined {
    if (typeof code !== "function" || !/^class\b/.test(Function.prototype.toString.call(code))) {
      return undefined;
    }
    const { hash } = this.encodeCode(code);
    return this.references.get(code)?.find(([other]) => other === hash);
  }

  /**
   * Reads a value. Views lie directly on the buffers given.
   *
   * @param trust May it hold code by value. Default: what the book was made with.
   * @throws {CorruptDataError} If the bytes are damaged.
   * @throws {UntrustedCodeError} If they hold code by value and this book does not trust code.
   * @throws {Error} If they refer to code that is not here yet.
   */
  decode(encoded: Pick<Encoded, "bytes" | "buffers">, trust = this.options.trust === true): unknown {
    const { bytes, buffers } = encoded;
    return decodeGraph(bytes[0] !== graphFlag, bytes.subarray(1), buffers, {
      trusted: trust,
      knownTrusted: true,
      known: (hash, index) => strong(this.definitions.get(hash)?.[index]),
      adopt: true,
    }).value;
  }

  /** Forgets all code. */
  forget(): void {
    this.payloads.clear();
    this.definitions.clear();
    this.references = new WeakMap();
    this.payloadBytes = 0;
  }
}

function strong(held: WeakRef<CodeFunction> | CodeFunction | undefined): CodeFunction | undefined {
  return held instanceof WeakRef ? held.deref() : held;
}

function ownBuffer(bytes: Uint8Array): ArrayBuffer {
  return (bytes.byteLength === bytes.buffer.byteLength ? bytes.buffer : bytes.slice().buffer) as ArrayBuffer;
}

const sharedIds = new WeakMap<SharedArrayBuffer, number>();
let lastSharedId = 0;

/** A number for shared memory, so that code over other memory has another hash. */
function sharedId(buffer: SharedArrayBuffer): number {
  let id = sharedIds.get(buffer);
  if (id === undefined) sharedIds.set(buffer, id = ++lastSharedId);
  return id;
}

/** One piece of bytes: flag, lengths, body, buffers. Shared memory has its number, negative, for a length. */
function join(
  plain: boolean,
  body: Uint8Array,
  buffers: readonly (ArrayBufferLike | Uint8Array)[],
): Uint8Array {
  const parts = buffers.map((b) => b instanceof Uint8Array ? b : new Uint8Array(b as ArrayBuffer));
  const head = 9 + parts.length * 8;
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, head + body.length));
  const view = new DataView(bytes.buffer);
  bytes[0] = plain ? 0 : graphFlag;
  view.setUint32(1, body.length, true);
  view.setUint32(5, parts.length, true);
  bytes.set(body, head);
  let at = head + body.length;
  parts.forEach((part, i) => {
    const buffer = buffers[i];
    view.setFloat64(9 + i * 8, buffer instanceof SharedArrayBuffer ? -sharedId(buffer) : part.length, true);
    bytes.set(part, at);
    at += part.length;
  });
  return bytes;
}

function split(
  bytes: Uint8Array,
  shared: readonly SharedArrayBuffer[],
): { plain: boolean; body: Uint8Array; buffers: (Uint8Array | SharedArrayBuffer)[] } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = view.getUint32(5, true);
  let at = 9 + count * 8;
  const body = bytes.subarray(at, at += view.getUint32(1, true));
  const buffers: (Uint8Array | SharedArrayBuffer)[] = [];
  let nextShared = 0;
  for (let i = 0; i < count; i++) {
    const length = view.getFloat64(9 + i * 8, true);
    buffers.push(length < 0 ? shared[nextShared++] : bytes.subarray(at, at += length));
  }
  return { plain: bytes[0] !== graphFlag, body, buffers };
}
