/**
 * An HDF5 file of entries, for hdf_store.ts (many in a file) and hdf_dir.ts (one).
 *
 * Each entry is a dataset in the root group, named by the text of its key: "%", "/" and NUL in it are percent and two hexadecimal
 * digits, "." is "%2E", and the empty text is "%". Its type is that of the value: text is one UTF-8 string, a number one
 * 64-bit float, an array its own type; bytes are unsigned 8-bit integers. Attributes of the dataset: `stored` and, where there
 * are, `expires` and `grace` (milliseconds), `tags` (JSON), and `kind` where the type does not say which class it was.
 * The root group's attribute `pathos` names the format. Datasets that another program has added are entries too, if they
 * are strings, numbers or one-dimensional arrays of numbers.
 *
 * This version of the library can neither remove a dataset nor put another in its place, so entries are only added here.
 */
import { openDiskFile } from "../runtime/mod.ts";
import { CorruptDataError } from "../serialize/mod.ts";
import { entryOf } from "./codec.ts";
import {
  abandon,
  checked,
  type DataShape,
  FLOAT,
  type Hdf5,
  hdf5,
  INTEGER,
  type NewData,
  STRING,
} from "./hdf5.ts";
import { bytesValue, kindOfNumbers, numberType, valueBytes, type ValueKind } from "./hdf5_value.ts";
import type { Entry, EntryInfo, EntryMeta, StoredValue } from "./store.ts";

const FORMAT = "entries 1";
const GZIP = 1;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** An open file. */
export class Hdf5File {
  readonly #library: Hdf5 = hdf5();
  readonly #file: bigint;
  #open = true;

  /**
   * Opens a file, or makes one.
   *
   * @param path The file, for the library.
   * @param name The archive, for errors.
   * @param how `"new"` makes it and fails if there is one.
   * @param permissions Mode of a new file.
   * @throws {CorruptDataError} If it is not an HDF5 file of entries, or damaged.
   */
  constructor(
    readonly path: string,
    readonly name: string,
    how: "read" | "write" | "new",
    permissions?: number,
  ) {
    const { H5F_ACC_RDONLY, H5F_ACC_RDWR, H5F_ACC_TRUNC } = this.#library;
    const mode = { read: H5F_ACC_RDONLY, write: H5F_ACC_RDWR, new: H5F_ACC_TRUNC }[how];
    if (how === "new") openDiskFile(path, { create: "new", mode: permissions }).close();
    const failing = how === "new" ? `${path} cannot be made` : `${path} is not an HDF5 file, or is damaged`;
    try {
      this.#file = checked(failing, () => this.#library.open(path, mode, true, -1, -1));
    } catch (error) {
      throw how === "new" ? error : new CorruptDataError(
        `${(error as Error).message}; it was left as it is`,
        { cause: error },
      );
    }
    try {
      if (how === "new") this.setAttribute("pathos", FORMAT);
      else this.#checkFormat();
    } catch (error) {
      this.discard();
      throw error;
    }
  }

  #checkFormat(): void {
    const format = this.attribute("pathos");
    if (format === FORMAT) return;
    throw new CorruptDataError(
      format === undefined
        ? `${this.path} is an HDF5 file of another program, without the attribute "pathos"; it was left as it is. ` +
          "Name another file"
        : `${this.path} was written by a newer version of this library (${format})`,
    );
  }

  /** The keys, in order of writing. */
  keys(): string[] {
    const names = checked(
      `${this.path} cannot be read`,
      () => this.#library.get_names(this.#file, "/", false),
    );
    return names.map(nameToKey);
  }

  /** Describes an entry that is there. */
  info(key: string): EntryInfo {
    return this.#reading(key, (name) => {
      const shape = this.#library.get_dataset_metadata(this.#file, name);
      const { kind, meta } = this.#described(name);
      return { ...meta, size: sizeOf(this.#kindOf(shape, kind), shape) };
    });
  }

  /** Reads an entry that is there. */
  read(key: string): Entry {
    return this.#reading(key, (name) => {
      const shape = this.#library.get_dataset_metadata(this.#file, name);
      const { kind, meta, ours } = this.#described(name);
      const found = this.#kindOf(shape, kind);
      return { value: this.#value(name, shape, found, ours), meta };
    });
  }

  /**
   * Adds an entry, whose key must not be there.
   *
   * @param compression Level of gzip for arrays and bytes; 0 for none.
   */
  add(key: string, { value, meta }: Entry, compression: number): void {
    const { kind, bytes } = requireBytes(value, key, this.name);
    const name = keyToName(key);
    checked(`${entryOf(this.name, key)} cannot be written to ${this.path}`, () => {
      this.#withBytes(
        bytes,
        (at) => this.#library.create_dataset(this.#file, name, at, newData(kind, bytes.length, compression)),
      );
      this.#addNumber(name, "stored", meta.stored);
      if (meta.expires !== Infinity) this.#addNumber(name, "expires", meta.expires);
      if (meta.grace !== 0) this.#addNumber(name, "grace", meta.grace);
      if (meta.tags.length > 0) this.#addText(name, "tags", JSON.stringify(meta.tags));
      if (kind === "number[]" || kind === "Uint8ClampedArray") this.#addText(name, "kind", kind);
    });
  }

  /** An attribute of the root group; undefined if there is none that is a text. */
  attribute(name: string): string | undefined {
    return checked(`${this.path} cannot be read`, () => {
      if (!this.#library.get_attribute_names(this.#file, "/").includes(name)) return undefined;
      return this.#attributeText("/", name);
    });
  }

  /** Sets an attribute of the root group. */
  setAttribute(name: string, text: string): void {
    checked(`${this.path} cannot be written`, () => {
      if (this.#library.get_attribute_names(this.#file, "/").includes(name)) {
        this.#library.delete_attribute(this.#file, "/", name);
      }
      this.#addText("/", name, text);
    });
  }

  /**
   * Writes what is not written yet, and closes the file.
   *
   * @throws {Error} If that fails, such as on a full disk.
   */
  close(): void {
    if (!this.#open) return;
    checked(`${this.path} cannot be written`, () => this.#library.close_file(this.#file));
    this.#open = false;
  }

  /** Closes the file if it is open, whatever becomes of it. */
  discard(): void {
    try {
      this.close();
    } catch {
      this.#open = false;
      abandon(this.#library, this.path); // the file is of no use, and nobody needs to know why
    }
  }

  #reading<T>(key: string, read: (name: string) => T): T {
    try {
      return checked(
        `${entryOf(this.name, key)} cannot be read from ${this.path}`,
        () => read(keyToName(key)),
      );
    } catch (error) {
      throw new CorruptDataError((error as Error).message, { cause: error });
    }
  }

  #described(name: string): { kind: string | undefined; meta: EntryMeta; ours: boolean } {
    const names = this.#library.get_attribute_names(this.#file, name);
    const number = (attribute: string, otherwise: number) =>
      names.includes(attribute) ? this.#attributeNumber(name, attribute) : otherwise;
    const text = (attribute: string) =>
      names.includes(attribute) ? this.#attributeText(name, attribute) : undefined;
    return {
      kind: text("kind"),
      ours: names.includes("stored"),
      meta: {
        stored: number("stored", 0),
        expires: number("expires", Infinity),
        grace: number("grace", 0),
        tags: JSON.parse(text("tags") ?? "[]"),
      },
    };
  }

  #kindOf({ type, size, signed, shape, vlen }: DataShape, kind: string | undefined): ValueKind {
    if (shape === null || shape.length > 1) {
      throw new Error(`it has ${shape?.length ?? "no"} dimensions, and an entry has one, or is one value`);
    }
    if (type === STRING) {
      if (shape.length === 0 || shape[0] === 0) return "string";
      throw new Error("it is an array of strings, and an entry is one string");
    }
    const numbers = type === INTEGER || type === FLOAT
      ? kindOfNumbers(type === FLOAT, size, signed)
      : undefined;
    if (numbers === undefined || vlen) {
      throw new Error(`it is of a type that no entry has (HDF5's class ${type}, ${size} bytes)`);
    }
    if (kind === "number[]" && numbers === "Float64Array") return kind;
    if (kind === "Uint8ClampedArray" && numbers === "Uint8Array") return kind;
    return shape.length === 0 ? `${numbers} value` : numbers;
  }

  #value(name: string, shape: DataShape, kind: ValueKind, ours: boolean): StoredValue {
    let bytes = this.#bytes(shape, (at) => {
      this.#library.get_dataset_data(this.#file, name, null, null, null, at);
      if (!shape.vlen) return undefined;
      const pointer = new DataView(this.#library.HEAPU8.buffer).getUint32(Number(at), true);
      const text = this.#library.HEAPU8.slice(pointer, this.#library.HEAPU8.indexOf(0, pointer));
      this.#library.reclaim_vlen_memory(this.#file, name, "", at);
      return text;
    });
    if (kind === "string" && !ours && !shape.vlen) bytes = withoutPadding(bytes);
    if (!kind.endsWith(" value")) return bytesValue(kind, bytes)!;
    const [number] = bytesValue(kind.slice(0, -" value".length), bytes) as Float64Array;
    return Number(number); // what another program wrote as an integer is a number too
  }

  #attributeNumber(object: string, name: string): number {
    const shape = this.#library.get_attribute_metadata(this.#file, object, name);
    if (shape.type !== FLOAT || shape.size !== 8 || shape.total_size !== 1) {
      throw new Error(`its attribute ${name} is not a 64-bit float`);
    }
    const bytes = this.#bytes(shape, (at) => {
      this.#library.get_attribute_data(this.#file, object, name, at);
    });
    return new Float64Array(bytes.buffer)[0];
  }

  #attributeText(object: string, name: string): string | undefined {
    const shape = this.#library.get_attribute_metadata(this.#file, object, name);
    if (shape.type !== STRING || shape.vlen || shape.total_size !== 1) return undefined;
    return decoder.decode(this.#bytes(shape, (at) => {
      this.#library.get_attribute_data(this.#file, object, name, at);
    }));
  }

  /** The bytes that `read` has put where it is told, or those that it gives instead. */
  #bytes(
    { size, total_size }: DataShape,
    read: (at: bigint) => Uint8Array<ArrayBuffer> | void,
  ): Uint8Array<ArrayBuffer> {
    const length = size * total_size;
    return this.#withMemory(length, (at) => read(BigInt(at)) ?? this.#library.HEAPU8.slice(at, at + length));
  }

  #withBytes(bytes: Uint8Array, use: (at: bigint) => void): void {
    this.#withMemory(bytes.length, (at) => {
      this.#library.HEAPU8.set(bytes, at);
      use(BigInt(at));
    });
  }

  #withMemory<T>(length: number, use: (at: number) => T): T {
    const at = this.#library._malloc(Math.max(1, length));
    if (at === 0) throw new Error(`there is no memory for its ${length} bytes: HDF5 has 2 GB here`);
    try {
      return use(at);
    } finally {
      this.#library._free(at);
    }
  }

  #addNumber(object: string, name: string, value: number): void {
    const { kind, bytes } = valueBytes(value)!;
    this.#withBytes(
      bytes,
      (at) => this.#library.create_attribute(this.#file, object, name, at, newData(kind, 8, 0)),
    );
  }

  #addText(object: string, name: string, text: string): void {
    const { kind, bytes } = valueBytes(text)!;
    this.#withBytes(
      bytes,
      (at) => this.#library.create_attribute(this.#file, object, name, at, newData(kind, bytes.length, 0)),
    );
  }
}

/** The value's bytes, or an error that says why it has none. */
export function requireBytes(
  value: StoredValue,
  key: string,
  name: string,
): { kind: ValueKind; bytes: Uint8Array } {
  const found = valueBytes(value);
  if (found) return found;
  throw new TypeError(
    typeof value === "string"
      ? `${
        entryOf(name, key)
      }: its text is not well-formed Unicode and cannot be kept as it is; leave serialized out`
      : `${entryOf(name, key)}: HDF5 has no type for ${
        (value as object).constructor.name
      }; leave serialized out`,
  );
}

function newData(kind: ValueKind, length: number, compression: number): NewData {
  const filter = (chunks: bigint[] | null) => ({
    chunks,
    compression: chunks ? GZIP : 0,
    compression_opts: chunks ? [compression] : [],
  });
  if (kind === "string") {
    const shape = length === 0 ? [0n] : []; // HDF5 has no strings of no bytes
    return {
      type: STRING,
      size: Math.max(1, length),
      signed: false,
      vlen: false,
      shape,
      maxshape: shape,
      ...filter(null),
    };
  }
  const { size, float, signed } = numberType(kind);
  const shape = kind === "number" ? [] : [BigInt(length / size)];
  const type = float ? FLOAT : INTEGER;
  // a chunk has less than 4 GB, and is held in memory as a whole
  const chunks = compression > 0 && shape[0] > 0n ? [BigInt(Math.min(length, 1 << 20) / size)] : null;
  return { type, size, signed, vlen: false, shape, maxshape: shape, ...filter(chunks) };
}

function sizeOf(kind: ValueKind, { size, total_size }: DataShape): number {
  return kind.endsWith(" value") ? 8 : size * total_size;
}

function withoutPadding(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return bytes.slice(0, end);
}

function keyToName(key: string): string {
  if (key === "") return "/%";
  if (key === ".") return "/%2E";
  return "/" + key.replace(/[%/\0]/g, (char) => `%${char === "\0" ? "00" : char === "/" ? "2F" : "25"}`);
}

function nameToKey(name: string): string {
  if (name === "%") return "";
  return name.replace(
    /%(25|2F|00|2E)/g,
    (_, digits) => String.fromCharCode(parseInt(digits, 16)),
  );
}
