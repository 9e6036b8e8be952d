/**
 * What an object consists of, for its canonical text: a head that names its type, a content (items of an array or
 * a Set, entries of a Map) and properties.
 */
import { UnserializableError } from "../serialize/errors.ts";
import { hiddenState, typeChecks } from "../serialize/encode.ts";
import { registrationFor } from "../serialize/registry.ts";
import type { CodeFunction } from "../serialize/types.ts";
import { sha256 } from "../serialize/wire.ts";
import { hasPrivates, named, NoText, ownerOf, privatesOf, token } from "./canonical_class.ts";
import { fingerprint } from "./identity.ts";

/** The parts of an object. */
export interface Parts {
  /** Names the type, and holds the whole content of a Date and its like. */
  head: string;
  /** How `items` go together: in order, in any order, or as keys and values of entries in any order. */
  kind: "none" | "list" | "set" | "map";
  items: ArrayLike<unknown>;
  /** Texts before the items, for the holes of an array; empty if there are none. */
  gaps: readonly string[];
  /** Text after the last item. */
  end: string;
  /** Names of the properties with a colon, in order, and their values. */
  names: readonly string[];
  values: readonly unknown[];
  /** Whether braces are written though there are no properties. */
  braces: boolean;
}

const none: readonly never[] = [];
const objectPrototype = Object.prototype;

/** Parts of an object with this head and its properties. */
function plain(value: object, head: string, skip?: (key: PropertyKey) => boolean): Parts {
  return withProperties({ ...nothing, head, braces: true }, value, skip);
}

/** Parts of an object that is told by its text, and its properties if it was given any. */
function told(value: object, head: string, skip?: (key: PropertyKey) => boolean): Parts {
  const parts = plain(value, head, skip);
  parts.braces = false;
  return parts;
}

/** Adds own enumerable properties, names sorted; symbols come last. */
function withProperties(parts: Parts, value: object, skip?: (key: PropertyKey) => boolean): Parts {
  let keys = Object.keys(value);
  if (skip) keys = keys.filter((key) => !skip(key));
  let symbols = Object.getOwnPropertySymbols(value);
  if (skip) symbols = symbols.filter((symbol) => !skip(symbol));
  if (keys.length === 0 && symbols.length === 0) return parts;
  if (keys.length > 1) keys.sort();
  const names: string[] = [];
  const values: unknown[] = [];
  for (let i = 0; i < keys.length; i++) property(value, keys[i], JSON.stringify(keys[i]), names, values);
  if (symbols.length > 0) {
    const shown = symbols.filter((symbol) => Object.prototype.propertyIsEnumerable.call(value, symbol))
      .map((symbol) => [symbolText(symbol), symbol] as const);
    for (const [name, symbol] of shown.sort((a, b) => a[0] < b[0] ? -1 : 1)) {
      property(value, symbol, `[${name}]`, names, values);
    }
  }
  parts.names = parts.names.length > 0 ? [...parts.names, ...names] : names;
  parts.values = parts.values.length > 0 ? [...parts.values, ...values] : values;
  return parts;
}

function property(
  value: object,
  key: PropertyKey,
  name: string,
  names: string[],
  values: unknown[],
): void {
  const d = Object.getOwnPropertyDescriptor(value, key);
  if (!d) return; // a Proxy may say so
  if (!d.get && !d.set) {
    names.push(`${name}:`);
    values.push(d.value);
  }
  if (d.get) {
    names.push(`get ${name}:`);
    values.push(d.get);
  }
  if (d.set) {
    names.push(`set ${name}:`);
    values.push(d.set);
  }
}

/** Text of a symbol that is the same in every program. */
export function symbolText(symbol: symbol): string {
  const key = Symbol.keyFor(symbol);
  if (key !== undefined) return `Symbol.for(${JSON.stringify(key)})`;
  const name = symbol.description ?? "";
  if (name.startsWith("Symbol.") && Reflect.get(Symbol, name.slice(7)) === symbol) return name;
  throw new NoText(
    `is ${String(symbol)}, which is a new one in every process: use Symbol.for(${
      JSON.stringify(name)
    }), or a string`,
  );
}

/** Text of a function: by its code and what it captures. */
export function functionText(fn: CodeFunction): string {
  try {
    return `function(${JSON.stringify(fn.name)},${fingerprint(fn)})`;
  } catch (error) {
    if (!(error instanceof UnserializableError)) throw error;
    throw new NoText(
      `is a function that cannot be told from others (${error.message}): leave it out with ignore`,
      { cause: error },
    );
  }
}

/**
 * The parts of an object.
 *
 * @throws {NoText} If it has none.
 */
export function partsOf(value: object, typed: boolean): Parts {
  const prototype = Object.getPrototypeOf(value);
  if (prototype === objectPrototype && !(Symbol.toStringTag in value)) return plain(value, "");
  if (prototype === null) return plain(value, typed ? "null" : "");
  if (prototype === Array.prototype && Array.isArray(value)) return arrayParts(value, "");
  const registration = registrationFor(prototype);
  if (registration) {
    const head = `registered(${JSON.stringify(registration.name)})`;
    return { ...nothing, head, kind: "list", items: [registration.dump(value)], end: "]" };
  }
  const parts = Array.isArray(value)
    ? arrayParts(value, token(prototype))
    : builtinParts(value, prototype, typed) ?? instanceParts(value, prototype);
  if (!hasPrivates(prototype)) return parts;
  const fields = privatesOf(value, prototype);
  return withFirst(parts, fields.map(([name]) => `${name}:`), fields.map(([, field]) => field));
}

function arrayParts(value: readonly unknown[], head: string): Parts {
  const parts: Parts = {
    head: head === "" ? "" : `${head} `,
    kind: "list",
    items: value,
    gaps: none,
    end: "]",
    names: none,
    values: none,
    braces: false,
  };
  const { length } = value;
  const keys = Object.keys(value);
  // Indices come first and in order, so that there are neither holes nor other properties if the last key fits.
  if (keys.length === length && (length === 0 || keys[length - 1] === String(length - 1))) {
    return Object.getOwnPropertySymbols(value).length === 0 ? parts : withProperties(parts, value, isIndex);
  }
  const items: unknown[] = [];
  const gaps: string[] = [];
  let next = 0;
  for (const key of keys) {
    if (!isIndex(key)) break;
    const index = Number(key);
    gaps.push(holes(index - next));
    items.push(value[index]);
    next = index + 1;
  }
  const tail = holes(length - next).slice(0, -1);
  return withProperties(
    { ...parts, items, gaps, end: `${tail !== "" && items.length > 0 ? "," : ""}${tail}]` },
    value,
    isIndex,
  );
}

function holes(count: number): string {
  return count === 0 ? "" : `hole*${count},`;
}

/** Whether a property is one of those in which runtimes keep the state of URLs and their like. */
function isInternal(key: PropertyKey): boolean {
  return typeof key === "symbol" || key === "query";
}

/** Whether a property name is an array index. */
function isIndex(key: PropertyKey): boolean {
  if (typeof key === "symbol") return false;
  const index = Number(key);
  return index >>> 0 === index && index !== 2 ** 32 - 1 && String(index) === key;
}

/** The parts of an object of the language or the runtime, instances of classes derived from those included. */
function builtinParts(value: object, prototype: object, typed: boolean): Parts | undefined {
  const is = typeChecks();
  const tag = Object.prototype.toString.call(value).slice(8, -1);
  if (ArrayBuffer.isView(value)) return viewParts(value, prototype, typed);
  if (is.isAnyArrayBuffer(value)) {
    const bytes = new Uint8Array(value as ArrayBuffer);
    return told(value, content(named(prototype, tag), bytes));
  }
  if (is.isMap(value)) {
    const items: unknown[] = [];
    Map.prototype.forEach.call(value, (item, key) => items.push(key, item));
    return { ...told(value, named(prototype, "Map")), kind: "map", items, end: "]" };
  }
  if (is.isSet(value)) {
    const items: unknown[] = [];
    Set.prototype.forEach.call(value, (item) => items.push(item));
    return { ...told(value, named(prototype, "Set")), kind: "set", items, end: "]" };
  }
  if (is.isDate(value)) {
    return told(value, `${named(prototype, "Date")}(${Date.prototype.getTime.call(value)})`);
  }
  if (is.isRegExp(value)) {
    const { source, flags, lastIndex } = value as RegExp;
    const at = lastIndex === 0 ? "" : `,${lastIndex}`;
    return told(
      value,
      `${named(prototype, "RegExp")}(${JSON.stringify(source)},${JSON.stringify(flags)}${at})`,
    );
  }
  if (is.isNativeError(value) || tag === "DOMException") return errorParts(value as Error, prototype);
  if (is.isBoxedPrimitive(value)) return boxedParts(value, prototype, typed);
  if (/^(URL|URLSearchParams|Headers)$/.test(tag) && value instanceof Reflect.get(globalThis, tag)) {
    const text = tag === "Headers" ? JSON.stringify([...value as Headers]) : JSON.stringify(String(value));
    return told(value, `${named(prototype, tag)}(${text})`, isInternal);
  }
  if (/^Temporal\.\w+$/.test(tag)) return told(value, `${tag}(${JSON.stringify(String(value))})`);
  const hidden = hiddenState(value, `[object ${tag}]`);
  if (hidden) {
    const advice = hidden.kind === "Promise"
      ? "await it first"
      : "pass what identifies it instead, leave it out with ignore, or say how with register(Class, { dump, load })";
    throw new NoText(
      `is ${
        /^[AEIOU](?!RL)/i.test(hidden.kind) ? "an" : "a"
      } ${hidden.kind}, whose content cannot be seen: ${advice}`,
    );
  }
  return undefined;
}

function isOfErrors(key: PropertyKey): boolean {
  return typeof key === "string" && /^(name|message|cause|errors|stack)$/.test(key);
}

function errorParts(value: Error, prototype: object): Parts {
  const parts = plain(
    value,
    `error ${token(prototype)} `,
    isOfErrors,
  );
  const names = ["name:", "message:"];
  const values: unknown[] = [value.name, value.message];
  for (const key of ["cause", "errors"] as const) {
    if (!Object.hasOwn(value, key)) continue;
    names.push(`${key}:`);
    values.push(Reflect.get(value, key));
  }
  return withFirst(parts, names, values);
}

function boxedParts(value: object, prototype: object, typed: boolean): Parts {
  const primitive = (value as { valueOf(): unknown }).valueOf();
  const text = typeof primitive === "string"
    ? JSON.stringify(primitive)
    : typeof primitive === "symbol"
    ? symbolText(primitive)
    : typeof primitive === "bigint"
    ? `${primitive}n`
    : typed && Object.is(primitive, -0)
    ? "-0"
    : String(primitive);
  const usual = prototype === Object(primitive).constructor.prototype;
  const head = typed || !usual ? `${named(prototype, "boxed")}(${text})` : text;
  return told(value, head, typeof primitive === "string" ? isIndex : undefined);
}

/** Most bytes of an array of numbers that are written out. */
const shortContent = 256;

const typeOf = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  Symbol.toStringTag,
)!
  .get!;

function viewParts(view: ArrayBufferView, prototype: object, typed: boolean): Parts {
  const type: string | undefined = typeOf.call(view);
  if (type === undefined) {
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    return told(view, content(named(prototype, "DataView"), bytes));
  }
  const usual = prototype === Reflect.get(globalThis, type).prototype;
  const array = view as Float64Array;
  const head = content(usual ? type : `${type} ${token(prototype)}`, array, type.startsWith("Float"), typed);
  // Only an instance of a class derived from it is likely to have properties, and listing the indices takes long.
  return usual ? { ...nothing, head } : told(view, head, isIndex);
}

const nothing: Parts = {
  head: "",
  kind: "none",
  items: none,
  gaps: none,
  end: "",
  names: none,
  values: none,
  braces: false,
};

function content(head: string, array: Uint8Array | Float64Array, isFloat = false, typed = false): string {
  if (array.byteLength <= shortContent) {
    return `${head}[${Array.from(array, (n) => typed && Object.is(n, -0) ? "-0" : String(n)).join(",")}]`;
  }
  return `${head}(${array.length},${
    sha256(isFloat ? sameBits(array as Float64Array, typed) : unshared(array))
  })`;
}

/** A copy of floating point numbers with one NaN, and without -0 unless it counts. */
function sameBits(array: Float64Array, typed: boolean): Float64Array {
  const copy = array.slice();
  for (let i = 0; i < copy.length; i++) {
    const x = copy[i];
    if (x !== x) copy[i] = NaN;
    else if (x === 0 && !typed) copy[i] = 0;
  }
  return copy;
}

function unshared<T extends Uint8Array | Float64Array>(array: T): T {
  return array.buffer instanceof ArrayBuffer ? array : array.slice() as T;
}

function instanceParts(value: object, prototype: object): Parts {
  if (prototype === objectPrototype) return plain(value, "");
  const parts = plain(value, `${token(prototype)} `);
  return ownerOf(prototype) ? parts : withFirst(parts, ["prototype:"], [prototype]);
}

function withFirst(parts: Parts, names: readonly string[], values: readonly unknown[]): Parts {
  return { ...parts, names: [...names, ...parts.names], values: [...values, ...parts.values] };
}
