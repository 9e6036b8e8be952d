/**
 * Keys as texts and back. An ordinary string is its own text; every other key, and a string that begins with "=" or that is
 * not well-formed Unicode, is "=" and a literal: `=42`, `=7n`, `=null`, `="=x"`, `=date(0)`, `=bytes"AAEC"`,
 * `=[1,["a"]]`, `={"x":1,"y":2}`.
 *
 * Equal keys have one text and different keys different ones: names in objects are sorted, -0 is 0, and there is one NaN.
 * The texts are well-formed Unicode of any length, NUL and the empty text among them. Nothing in a text is run when it is
 * read.
 */
import { fromBase64, toBase64 } from "../runtime/mod.ts";
import type { ArchiveKey } from "./types.ts";

/** Deepest nesting of arrays and objects in a key. */
const MAX_DEPTH = 100;

/** The text of a key. */
export function keyToText(key: ArchiveKey): string {
  if (typeof key === "string" && key.charCodeAt(0) !== 61 && key.isWellFormed()) return key;
  return "=" + literal(key, 0);
}

/**
 * The key that {@linkcode keyToText} made a text of.
 *
 * @throws {SyntaxError} If it made no such text.
 */
export function textToKey(text: string): ArchiveKey {
  if (text.charCodeAt(0) !== 61) return text;
  const key = parseKey(text);
  if (keyToText(key) === text) return key;
  throw notKey(text, text.length); // another spelling would be another entry of the same key
}

/**
 * The key that somebody has written as {@linkcode keyToText} does, or nearly so: with blanks, names in another order, or an
 * ordinary string as a literal.
 *
 * @throws {SyntaxError} If it cannot be read.
 */
export function parseKey(text: string): ArchiveKey {
  return text.charCodeAt(0) === 61 ? new Reader(text).all() : text;
}

/** The key for people: as it would be written in a program, cut if it is long. */
export function showKey(key: ArchiveKey): string {
  return showText(keyToText(key));
}

/** {@linkcode showKey} of the key that a text stands for. */
export function showText(text: string): string {
  const shown = text.charCodeAt(0) === 61 ? text.slice(1) : JSON.stringify(text);
  return shown.length > 100 ? `${shown.slice(0, 80)}... (${shown.length} characters)` : shown;
}

function literal(key: ArchiveKey, depth: number): string {
  switch (typeof key) {
    case "string":
      return JSON.stringify(key);
    case "number":
      return String(key === 0 ? 0 : key);
    case "bigint":
      return `${key}n`;
    case "boolean":
    case "undefined":
      return String(key);
    case "object":
      break;
    default:
      throw unfit(`a ${typeof key}`);
  }
  if (key === null) return "null";
  if (depth === MAX_DEPTH) throw unfit(`nested more than ${MAX_DEPTH} deep`);
  if (Array.isArray(key)) {
    return `[${Array.from(key as ArchiveKey[], (item) => literal(item, depth + 1)).join(",")}]`;
  }
  if (key instanceof Uint8Array) return `bytes"${toBase64(key)}"`;
  if (key instanceof Date) return `date(${key.getTime()})`;
  const prototype = Object.getPrototypeOf(key);
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    throw unfit(`an instance of ${prototype.constructor?.name || "a class"}`);
  }
  if (Object.getOwnPropertySymbols(key).length > 0) throw unfit("an object with symbols for names");
  const object = key as { readonly [name: string]: ArchiveKey };
  const fields = Object.keys(object).sort().map((name) =>
    `${JSON.stringify(name)}:${literal(object[name], depth + 1)}`
  );
  return `{${fields.join(",")}}`;
}

function unfit(what: string): TypeError {
  return new TypeError(
    `${what} cannot be a key of an archive, which is a string, number, bigint, boolean, null, undefined, Uint8Array, Date, ` +
      "or an array or plain object of these: make one of it, with a keymap such as hashmap() or by its id",
  );
}

const TOKEN =
  /[\[\]{},:"]|bytes"|date\((NaN|-?\d+)\)|(-?\d+)n|-?\d+(?:\.\d+)?(?:e[+-]\d+)?|-?Infinity|NaN|true|false|null|undefined/y;

const WORDS: Record<string, ArchiveKey> = { true: true, false: false, null: null, undefined };

class Reader {
  #text: string;
  #at = 1;

  constructor(text: string) {
    this.#text = text;
  }

  all(): ArchiveKey {
    const key = this.#key(this.#token(), 0);
    if (this.#at !== this.#text.length) throw this.#error();
    return key;
  }

  #token(): RegExpExecArray {
    while (this.#text[this.#at] === " ") this.#at++;
    TOKEN.lastIndex = this.#at;
    const found = TOKEN.exec(this.#text);
    if (!found) throw this.#error();
    this.#at = TOKEN.lastIndex;
    return found;
  }

  #key(found: RegExpExecArray, depth: number): ArchiveKey {
    const [token, date, bigint] = found;
    if (token === "[" || token === "{") {
      if (depth === MAX_DEPTH) throw this.#error();
      return token === "[" ? this.#array(depth + 1) : this.#object(depth + 1);
    }
    if (token === '"') return this.#string();
    if (token === 'bytes"') return fromBase64(this.#quoted());
    if (date !== undefined) return new Date(Number(date));
    if (bigint !== undefined) return BigInt(bigint);
    if (Object.hasOwn(WORDS, token)) return WORDS[token];
    if (/^[\]},:]/.test(token)) throw this.#error();
    return Number(token);
  }

  #array(depth: number): ArchiveKey[] {
    const items: ArchiveKey[] = [];
    let found = this.#token();
    if (found[0] === "]") return items;
    for (;;) {
      items.push(this.#key(found, depth));
      if (this.#ends("]")) return items;
      found = this.#token();
    }
  }

  #object(depth: number): ArchiveKey {
    const fields: [string, ArchiveKey][] = [];
    let found = this.#token();
    while (found[0] !== "}") {
      if (found[0] !== '"') throw this.#error();
      const name = this.#string();
      if (this.#token()[0] !== ":") throw this.#error();
      fields.push([name, this.#key(this.#token(), depth)]);
      if (this.#ends("}")) break;
      found = this.#token();
    }
    return Object.fromEntries(fields); // defines, so that a field named __proto__ is a field
  }

  /** Whether the end comes next rather than a comma. */
  #ends(end: string): boolean {
    const [token] = this.#token();
    if (token !== end && token !== ",") throw this.#error();
    return token === end;
  }

  #string(): string {
    const quoted = this.#quoted();
    try {
      return JSON.parse(`"${quoted}"`);
    } catch {
      throw this.#error();
    }
  }

  /** What lies between the quotation mark just read and the next that is not escaped. */
  #quoted(): string {
    const start = this.#at;
    for (let end = start;; end++) {
      end = this.#text.indexOf('"', end);
      if (end < 0) throw this.#error();
      let escapes = 0;
      while (this.#text[end - 1 - escapes] === "\\") escapes++;
      if (escapes % 2 === 1) continue;
      this.#at = end + 1;
      return this.#text.slice(start, end);
    }
  }

  #error(): SyntaxError {
    return notKey(this.#text, this.#at);
  }
}

function notKey(text: string, at: number): SyntaxError {
  const shown = text.length > 100 ? `${text.slice(0, 80)}...` : text;
  return new SyntaxError(
    `${
      JSON.stringify(shown)
    } is not the text of a key, as of character ${at}: was it written by this library?`,
  );
}
