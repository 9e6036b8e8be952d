/**
 * What a store may keep as it is, as a kind and bytes: the bytes are those that HDF5 keeps, numbers in the order of bytes
 * that all machines on which this runs have (little-endian).
 */
import { typedArrays } from "../runtime/mod.ts";
import type { StoredValue } from "./store.ts";

/** `"string"`, `"number"`, `"number[]"`, or the name of an array's class. */
export type ValueKind = string;

/** Kind and bytes of a value; undefined if it is of none of these kinds. */
export function valueBytes(value: StoredValue): { kind: ValueKind; bytes: Uint8Array } | undefined {
  if (typeof value === "string") {
    return value.isWellFormed() ? { kind: "string", bytes: new TextEncoder().encode(value) } : undefined;
  }
  if (typeof value === "number") return { kind: "number", bytes: bytesOf(Float64Array.of(value)) };
  if (Array.isArray(value)) return { kind: "number[]", bytes: bytesOf(Float64Array.from(value)) };
  const kind = (value as object)[Symbol.toStringTag as keyof object] as string; // a subclass is kept as what it extends
  return Object.hasOwn(typedArrays, kind) ? { kind, bytes: bytesOf(value) } : undefined;
}

/** The value of these bytes, which must have their buffer for themselves; undefined if the kind is unknown. */
export function bytesValue(kind: ValueKind, bytes: Uint8Array<ArrayBuffer>): StoredValue | undefined {
  if (kind === "string") return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  if (kind === "number") return new Float64Array(bytes.buffer)[0];
  if (kind === "number[]") return Array.from(new Float64Array(bytes.buffer));
  return Object.hasOwn(typedArrays, kind) ? new typedArrays[kind](bytes.buffer) : undefined;
}

/** How the numbers of a kind are kept. */
export function numberType(kind: ValueKind): { size: number; float: boolean; signed: boolean } {
  const name = kind.startsWith("number") ? "Float64Array" : kind;
  const size = typedArrays[name].BYTES_PER_ELEMENT;
  return { size, float: name.startsWith("Float"), signed: !/^(Big)?Uint/.test(name) };
}

/** The class of arrays whose numbers are kept so; undefined if there is none. */
export function kindOfNumbers(float: boolean, size: number, signed: boolean): ValueKind | undefined {
  const width = 8 * size;
  const kind = float
    ? `Float${width}Array`
    : `${width === 64 ? "Big" : ""}${signed ? "Int" : "Uint"}${width}Array`;
  return Object.hasOwn(typedArrays, kind) ? kind : undefined;
}

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
