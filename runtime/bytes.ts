/** What is done with arrays of bytes in several places. */
import { builtin } from "./host.ts";

/** One array of all these bytes, in order; a single array is given back as it is. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0];
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.byteLength;
  }
  return joined;
}

/** Whether two secrets are the same; takes the same time wherever the first difference is. */
export function equalInConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= a[i] ^ b[i];
  return difference === 0;
}

interface BufferClass {
  from(bytes: ArrayBufferLike, offset: number, length: number): { toString(encoding: "base64"): string };
  from(text: string, encoding: "base64"): Uint8Array;
}

/** Bytes as base64. */
export function toBase64(bytes: Uint8Array): string {
  const { Buffer } = builtin<{ Buffer: BufferClass }>("node:buffer");
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

/** The bytes that are written in base64, in a buffer of their own. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const { Buffer } = builtin<{ Buffer: BufferClass }>("node:buffer");
  return new Uint8Array(Buffer.from(text, "base64"));
}
