/**
 * Values as what a store keeps, and back.
 *
 * Bytes begin with one that says what follows, so that entries which were written with other options can be read: plain
 * bytes, UTF-8 text, a dump of `serialize/`, JSON, a signed dump, or one of these deflated (that byte + 16). The protocol "json" gives a
 * text, the JSON itself, deflated as UTF-8; `undefined` is the empty text. With `serialized: false` a store gets the value
 * as it is.
 *
 * With a key everything is a signed dump of `[text of the entry's key, value]`: an entry can be neither changed nor put in
 * another's place. Who reads without the key does not check that. Without trust or a key no code is run by reading.
 */
import { builtin } from "../runtime/mod.ts";
import { holdsCode } from "../serialize/wire.ts";
import { CorruptDataError, dumps, loads, UnserializableError, UntrustedCodeError } from "../serialize/mod.ts";
import { showText } from "./key_text.ts";
import type { Decoder, StoredValue } from "./store.ts";
import type { ArchiveOptions } from "./types.ts";

/** Writes and reads the values of one archive. */
export interface Codec extends Decoder {
  /** What is kept for a value; `key` is the text of the entry's key. */
  encode(value: unknown, key: string): StoredValue;
}

/** What the first byte of stored bytes says. */
const Form = { bytes: 1, text: 2, dump: 3, json: 4, signed: 5, deflated: 16 } as const;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Texts up to this length are encoded in a place kept for it, which saves half the time. */
const SHORT = 1000;
const place = new Uint8Array(1 + 3 * SHORT);
const placeOfText = place.subarray(1);
place[0] = Form.text;

function shortText(text: string): Uint8Array {
  return place.slice(0, 1 + encoder.encodeInto(text, placeOfText).written);
}

interface Zlib {
  deflateSync(bytes: Uint8Array, options: { level: number }): Uint8Array;
  inflateSync(bytes: Uint8Array): Uint8Array;
}

const zlib = () => builtin<Zlib>("node:zlib");

/**
 * The codec that the options ask for.
 *
 * @param options The archive's options.
 * @param name The archive, for errors.
 * @throws {TypeError} If the options contradict one another.
 * @throws {RangeError} If the compression is no whole number from 0 to 9.
 */
export function newCodec(options: ArchiveOptions, name: string): Codec {
  const { protocol = "pathos", serialized = true, compression = 0, key } = options;
  if (protocol !== "pathos" && protocol !== "json") {
    throw new TypeError(`${name}: the protocol ${JSON.stringify(protocol)} is unknown: "pathos" or "json"`);
  }
  if (!Number.isInteger(compression) || compression < 0 || compression > 9) {
    throw new RangeError(
      `${name}: compression is ${compression}: a whole number from 0 (none) to 9 (smallest)`,
    );
  }
  if (key !== undefined && (!serialized || protocol === "json")) {
    const what = serialized ? 'protocol: "json"' : "serialized: false";
    throw new TypeError(`${name}: with ${what} there is no place for a signature: leave it or the key out`);
  }
  if (!serialized && compression > 0) {
    throw new TypeError(
      `${name}: values that are kept as they are cannot be compressed: leave compression out`,
    );
  }
  if (!serialized) return asIs(name);
  return serializing(options, protocol, compression, name);
}

/** Values of any kind as they are, for a store in memory. */
export const identityCodec: Codec = {
  encode: (value) => value as StoredValue,
  decode: (stored) => stored,
};

function asIs(name: string): Codec {
  return {
    encode(value, key) {
      if (isStorable(value)) return value;
      throw new TypeError(
        `${
          entryOf(name, key)
        }: with serialized: false a value is a string, a number, a Uint8Array or a numeric array, not ` +
          `${kindOf(value)}; leave serialized out to keep any value`,
      );
    },
    decode: (stored) => stored instanceof Uint8Array ? stored.slice() : stored,
  };
}

function isStorable(value: unknown): value is StoredValue {
  return typeof value === "string" || typeof value === "number" ||
    (ArrayBuffer.isView(value) && !(value instanceof DataView)) ||
    (Array.isArray(value) && value.every((item) => typeof item === "number"));
}

function kindOf(value: unknown): string {
  if (typeof value !== "object" || value === null) return value == null ? String(value) : `a ${typeof value}`;
  return Array.isArray(value) ? "an array of other things" : value.constructor?.name ?? "an object";
}

function serializing(
  { key: signing, trust }: ArchiveOptions,
  protocol: "pathos" | "json",
  compression: number,
  name: string,
): Codec {
  function pathos(value: unknown, key: string): Uint8Array {
    if (signing !== undefined) return formed(Form.signed, dumps([key, value], { key: signing }));
    if (typeof value === "string" && value.isWellFormed()) {
      return compression === 0 && value.length <= SHORT
        ? shortText(value)
        : formed(Form.text, encoder.encode(value));
    }
    if (isPlainBytes(value)) return formed(Form.bytes, value);
    const dump = dumps(value);
    if (trust === undefined && holdsCode(dump)) {
      throw new UnserializableError(
        "$",
        "it holds code (a function, a class, or an instance of one), which this archive would not read again: give it the " +
          'option trust: "code", or a key to sign with',
      );
    }
    return formed(Form.dump, dump);
  }

  /** The form and the bytes, deflated if that makes them fewer. */
  function formed(form: number, bytes: Uint8Array): Uint8Array {
    if (compression > 0) {
      const deflated = zlib().deflateSync(bytes, { level: compression });
      if (deflated.length < bytes.length) [form, bytes] = [form + Form.deflated, deflated];
    }
    const whole = new Uint8Array(bytes.length + 1);
    whole[0] = form;
    whole.set(bytes, 1);
    return whole;
  }

  function json(value: unknown): StoredValue {
    if (typeof value === "function" || typeof value === "symbol") {
      throw new TypeError(`JSON has no ${typeof value}s; the protocol "pathos" does`);
    }
    const text = JSON.stringify(value) ?? "";
    if (compression === 0) return text;
    const bytes = formed(Form.json, encoder.encode(text));
    return bytes[0] === Form.json ? text : bytes;
  }

  function read(stored: StoredValue, key: string): unknown {
    if (typeof stored === "string") return fromJson(stored);
    if (!(stored instanceof Uint8Array)) {
      throw new CorruptDataError(
        `it is a ${typeof stored}; was it written with serialized: false? Then read it so`,
      );
    }
    let form = stored[0];
    if (signing === undefined) {
      if (form === Form.dump) return loads(stored.subarray(1), { trust });
      if (form === Form.text) return text(stored.subarray(1));
    }
    let bytes = stored.slice(1); // not a view: its buffer is the caller's to use
    if (form & Form.deflated) {
      form -= Form.deflated;
      bytes = inflate(bytes);
    }
    if (signing !== undefined && form !== Form.signed) throw unsigned();
    switch (form) {
      case Form.bytes:
        return bytes;
      case Form.text:
        return text(bytes);
      case Form.dump:
        return loads(bytes, { trust });
      case Form.json:
        return fromJson(text(bytes));
      case Form.signed:
        return signed(bytes, key);
    }
    throw new CorruptDataError(
      `its first byte is ${
        form ?? "missing"
      }, which no version of this library wrote; if it was written with serialized: ` +
        "false, read it so",
    );
  }

  function fromJson(text: string): unknown {
    if (signing !== undefined) throw unsigned();
    if (text === "") return undefined;
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new CorruptDataError("it is not JSON; if it was written with serialized: false, read it so", {
        cause: error,
      });
    }
  }

  function signed(bytes: Uint8Array, key: string): unknown {
    const pair = loads<[string, unknown]>(bytes, { key: signing, trust });
    if (Array.isArray(pair) && pair[0] === key) return pair[1];
    throw new UntrustedCodeError("it was signed as the value of another key: somebody moved it here");
  }

  return {
    encode(value, key) {
      try {
        return protocol === "json" ? json(value) : pathos(value, key);
      } catch (error) {
        throw told(error, `${entryOf(name, key)} cannot be written`);
      }
    },
    decode(stored, key) {
      try {
        return read(stored, key);
      } catch (error) {
        throw told(error, `${entryOf(name, key)} cannot be read`);
      }
    },
  };
}

/** Bytes that nobody shares and nothing was added to by a subclass. */
function isPlainBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array && Object.getPrototypeOf(value) === Uint8Array.prototype &&
    value.buffer instanceof ArrayBuffer;
}

function inflate(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(zlib().inflateSync(bytes));
  } catch (error) {
    throw new CorruptDataError("its compressed bytes are damaged", { cause: error });
  }
}

function text(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (error) {
    throw new CorruptDataError("its text is damaged", { cause: error });
  }
}

function unsigned(): UntrustedCodeError {
  return new UntrustedCodeError(
    "it is not signed, and a key was given: write it again with the key, or read it without one",
  );
}

/** An entry in the words of an error. */
export function entryOf(name: string, key: string): string {
  return `${name}: the entry ${showText(key)}`;
}

/** The same kind of error, saying which entry it is about. */
function told(error: unknown, where: string): unknown {
  if (error instanceof UnserializableError) {
    return Object.assign(new UnserializableError(error.path, `${error.reason} (${where})`), { cause: error });
  }
  if (error instanceof UntrustedCodeError) {
    const message = error.message.replace(/loads\(bytes, \{ (.+?) \}\)/, "the archive's option $1");
    return Object.assign(new UntrustedCodeError(`${where}: ${message}`), { cause: error });
  }
  if (error instanceof CorruptDataError) {
    return new CorruptDataError(`${where}: ${error.message}`, { cause: error });
  }
  if (error instanceof TypeError) return new TypeError(`${where}: ${error.message}`, { cause: error });
  if (error instanceof Error) return new Error(`${where}: ${error.message}`, { cause: error });
  return error; // what somebody's toJSON or getter threw that is no error
}
