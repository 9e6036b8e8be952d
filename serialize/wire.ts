/**
 * The bytes of a dump: header, checks, body and buffers.
 *
 * Layout: magic `pth` preceded by 0xD1, version, flags, two zero bytes, body length (u32, little endian), number of
 * buffers (u32), length of each buffer (u32 pairs), then 32 bytes of HMAC-SHA-256 if signed or a checksum of 4 bytes if
 * not, then the body and the buffers. The signature and the checksum cover everything else. A checksum finds damage, not
 * malice.
 *
 * The body is MessagePack: the value itself if it is plain data, else `[root, nodes, hashes]`, the flat node table that
 * `encode.ts` describes. Only nil, booleans, numbers, strings, byte strings, arrays, maps with string keys and
 * `undefined` may occur; `checkBody` makes sure of it before msgpackr reads untrusted bytes.
 */
import { Packr } from "msgpackr/pack";
import { Unpackr } from "msgpackr/unpack";
import { builtin, equalInConstantTime } from "../runtime/mod.ts";
import { CorruptDataError, UntrustedCodeError } from "./errors.ts";

/** Operations of the node table: how a node is made. Every node is `[op, a, b, props, proto, fixed, privates]`. */
export const Op = {
  plain: 0, // a: the value
  inner: 1, // a: plain node, b: index of the object in it, depth first
  object: 2,
  array: 3, // a: length, b: elements
  map: 4, // a: keys and values
  set: 5, // a: values
  date: 6, // a: time
  regexp: 7, // a: source, b: flags
  error: 8, // a: name of the native constructor, b: stack
  url: 9, // a: href
  params: 10, // a: text
  headers: 11, // a: pairs
  boxed: 12, // a: primitive
  buffer: 13, // a: index in the buffers, b: [shared, maximal length]
  view: 14, // a: type name, b: [buffer, offset, length]
  symbol: 15, // a: description
  sharedSymbol: 16, // a: key of Symbol.for
  knownSymbol: 17, // a: name of a property of Symbol
  bigint: 18, // a: digits
  utf16: 19, // a: code units
  registered: 20, // a: name, b: body of its data
  domException: 21, // a: [message, name, stack]
  // Code: needs trust.
  unit: 32, // a: description, see unit.ts
  code: 33, // a: unit, b: [index, heritage, keys, private statics, ...]
  method: 34, // a: class, b: [key, static, kind]
  prototype: 35, // a: function, b: deleted keys
  bound: 36, // a: target, b: [this, ...arguments]
  intrinsic: 37, // a: path
  module: 38, // a: [base, specifier, name]
  known: 39, // a: index in hashes, b: index of the code in that payload
  require: 40, // a: URL of the module that requires
  traveller: 41, // a: [name, hint], b: [parts, script, travellers that come first]
} as const;

/** Slots `[n]` with these negative numbers are values rather than nodes. */
export const Special = { negativeZero: -1, hole: -2 } as const;

const packer = new Packr({
  useRecords: false,
  encodeUndefinedAsNil: false,
  moreTypes: false,
  structuredClone: false,
});
const unpacker = new Unpackr({
  useRecords: false,
  mapsAsObjects: true,
  moreTypes: false,
  structuredClone: false,
});

/** MessagePack of a value that is made of plain data. */
export function packBody(value: unknown): Uint8Array {
  return packer.pack(value);
}

/** The value in MessagePack bytes. */
export function unpackBody(bytes: Uint8Array): unknown {
  try {
    return unpacker.unpack(bytes);
  } catch (error) {
    throw new CorruptDataError("the data is damaged: its body is not readable", { cause: error });
  }
}

const maxDepth = 512;

/**
 * Refuses bytes that are not the MessagePack that `packBody` writes: other types, lengths beyond the end, deep nesting,
 * trailing bytes. Takes time proportional to the length and no memory.
 *
 * @throws {CorruptDataError}
 */
export function checkBody(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.length;
  const left: number[] = [];
  let remaining = 1;
  let at = 0;
  const bad = (what: string): never => {
    throw new CorruptDataError(`the data is damaged: ${what} at byte ${at} of the body`);
  };
  try {
    for (;;) {
      while (remaining === 0) {
        if (left.length === 0) {
          if (at !== end) bad("trailing bytes");
          return;
        }
        remaining = left.pop()!;
      }
      remaining--;
      const type = bytes[at++];
      if (type === undefined) bad("it ends early");
      let items = -1;
      if (type < 0x80 || type >= 0xe0 || type === 0xc0 || type === 0xc2 || type === 0xc3) continue;
      else if (type < 0x90) items = (type & 15) * 2;
      else if (type < 0xa0) items = type & 15;
      else if (type < 0xc0) at += type & 31;
      else {
        switch (type) {
          case 0xc4:
          case 0xd9:
            at += 1 + view.getUint8(at);
            break;
          case 0xc5:
          case 0xda:
            at += 2 + view.getUint16(at);
            break;
          case 0xc6:
          case 0xdb:
            at += 4 + view.getUint32(at);
            break;
          case 0xca:
          case 0xce:
          case 0xd2:
            at += 4;
            break;
          case 0xcb:
          case 0xcf:
          case 0xd3:
            at += 8;
            break;
          case 0xcc:
          case 0xd0:
            at += 1;
            break;
          case 0xcd:
          case 0xd1:
            at += 2;
            break;
          case 0xd4:
            if (view.getUint16(at) !== 0) bad("an unknown type");
            at += 2;
            break;
          case 0xdc:
            items = view.getUint16(at);
            at += 2;
            break;
          case 0xdd:
            items = view.getUint32(at);
            at += 4;
            break;
          case 0xde:
            items = view.getUint16(at) * 2;
            at += 2;
            break;
          case 0xdf:
            items = view.getUint32(at) * 2;
            at += 4;
            break;
          default:
            bad("an unknown type");
        }
      }
      if (at > end || items > end - at) bad("a length beyond the end");
      if (items >= 0) {
        if (left.length >= maxDepth) bad("too deep a nesting");
        left.push(remaining);
        remaining = items;
      }
    }
  } catch (error) {
    if (error instanceof RangeError) bad("a length beyond the end");
    throw error;
  }
}

const version = 1;
const flagPlain = 1;
const flagCode = 2;
const flagSigned = 4;
const fixedLength = 16;

/** A key for signing: text is taken as UTF-8. */
export type Key = string | Uint8Array;

/** The parts of a dump. */
export interface Parts {
  plain: boolean;
  code: boolean;
  body: Uint8Array;
  buffers: Uint8Array[];
}

/** Whether a dump that was made here holds code: functions, classes, or instances of them. */
export function holdsCode(dump: Uint8Array): boolean {
  return (dump[5] & flagCode) !== 0;
}

/** Puts a dump together. */
export function seal(parts: Parts, key: Key | undefined): Uint8Array {
  const { body, buffers } = parts;
  const headLength = fixedLength + buffers.length * 8;
  const proofLength = key === undefined ? 4 : 32;
  let total = headLength + proofLength + body.length;
  for (const buffer of buffers) total += buffer.length;
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  bytes[0] = 0xd1;
  bytes[1] = 0x70;
  bytes[2] = 0x74;
  bytes[3] = 0x68;
  bytes[4] = version;
  bytes[5] = (parts.plain ? flagPlain : 0) | (parts.code ? flagCode : 0) |
    (key === undefined ? 0 : flagSigned);
  view.setUint32(8, body.length, true);
  view.setUint32(12, buffers.length, true);
  let at = headLength + proofLength;
  bytes.set(body, at);
  at += body.length;
  for (let i = 0; i < buffers.length; i++) {
    const { length } = buffers[i];
    view.setUint32(fixedLength + i * 8, length >>> 0, true);
    view.setUint32(fixedLength + i * 8 + 4, Math.floor(length / 2 ** 32), true);
    bytes.set(buffers[i], at);
    at += length;
  }
  if (key === undefined) view.setUint32(headLength, checksum(bytes, headLength), true);
  else bytes.set(signature(bytes, headLength, key), headLength);
  return bytes;
}

/** Takes a dump apart. The parts are views of `bytes`. */
export function unseal(bytes: Uint8Array, key: Key | undefined, trusted: boolean): Parts {
  if (!(bytes instanceof Uint8Array)) {
    throw new TypeError("loads takes a Uint8Array: the bytes that dumps returned");
  }
  const bad = (what: string): never => {
    throw new CorruptDataError(`${what} (${bytes.length} bytes)`);
  };
  if (
    bytes.length < fixedLength || bytes[0] !== 0xd1 || bytes[1] !== 0x70 || bytes[2] !== 0x74 ||
    bytes[3] !== 0x68
  ) {
    bad("these bytes are not a dump: they do not begin as one");
  }
  if (bytes[4] !== version) {
    bad(
      `this dump has format version ${
        bytes[4]
      }, and this program reads version ${version}: use the same release`,
    );
  }
  const flags = bytes[5];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const bodyLength = view.getUint32(8, true);
  const count = view.getUint32(12, true);
  const signed = (flags & flagSigned) !== 0;
  const headLength = fixedLength + count * 8;
  let at = headLength + (signed ? 32 : 4);
  if (at + bodyLength > bytes.length) bad("this dump is cut short");
  const body = bytes.subarray(at, at += bodyLength);
  const buffers: Uint8Array[] = [];
  for (let i = 0; i < count; i++) {
    const length = view.getUint32(fixedLength + i * 8, true) +
      view.getUint32(fixedLength + i * 8 + 4, true) * 2 ** 32;
    if (at + length > bytes.length) bad("this dump is cut short");
    buffers.push(bytes.subarray(at, at += length));
  }
  if (at !== bytes.length) bad("this dump has trailing bytes");
  if (key !== undefined) {
    if (!signed) {
      throw new UntrustedCodeError(
        "these bytes are not signed, and loads was given a key: write them with dumps(value, { key })",
      );
    }
    if (
      !equalInConstantTime(signature(bytes, headLength, key), bytes.subarray(headLength, headLength + 32))
    ) {
      throw new UntrustedCodeError(
        "the signature does not match: another key, or bytes changed on their way",
      );
    }
  } else if (!signed && view.getUint32(headLength, true) !== checksum(bytes, headLength)) {
    bad("this dump is damaged: its checksum does not match");
  }
  const code = (flags & flagCode) !== 0;
  if (code && !trusted && key === undefined) {
    throw new UntrustedCodeError(
      "these bytes hold code, and loading it can do anything this program can do: if you trust whoever wrote them, " +
        'use loads(bytes, { trust: "code" }), or sign them with a key on both sides',
    );
  }
  return { plain: (flags & flagPlain) !== 0, code, body, buffers };
}

/** A quick 32-bit checksum of everything but the four bytes at `hole`. */
function checksum(bytes: Uint8Array, hole: number): number {
  let h = bytes.length | 0;
  const mix = (from: number, to: number) => {
    const length = to - from;
    const whole = length & ~3;
    const view = new DataView(bytes.buffer, bytes.byteOffset + from, length);
    for (let i = 0; i < whole; i += 4) {
      h = Math.imul(h ^ view.getInt32(i, true), 0x5bd1e995);
      h ^= h >>> 15;
    }
    for (let i = whole; i < length; i++) h = Math.imul(h ^ bytes[from + i], 0x01000193);
  };
  mix(0, hole);
  mix(hole + 4, bytes.length);
  return (h ^ (h >>> 13)) >>> 0;
}

interface Crypto {
  createHash(name: string): Hash;
  createHmac(name: string, key: Uint8Array): Hash;
}
interface Hash {
  update(data: string | ArrayBufferView): Hash;
  digest(): Uint8Array;
  digest(encoding: "hex"): string;
}

const utf8 = new TextEncoder();

function signature(bytes: Uint8Array, hole: number, key: Key): Uint8Array {
  const secret = typeof key === "string" ? utf8.encode(key) : key;
  if (!(secret instanceof Uint8Array) || secret.length === 0) {
    throw new TypeError("the key must be a non-empty string or Uint8Array");
  }
  return builtin<Crypto>("node:crypto").createHmac("sha256", secret)
    .update(bytes.subarray(0, hole)).update(bytes.subarray(hole + 32)).digest();
}

/** Hex SHA-256 of bytes, or of well-formed text in UTF-8. */
export function sha256(data: string | ArrayBufferView): string {
  return builtin<Crypto>("node:crypto").createHash("sha256").update(data).digest("hex");
}
