/**
 * Values of this toolkit that hold what cannot be written (an open database, a cache shared by calls) and still go wherever
 * functions go: a memoized function, an archive. The reader rebuilds one from its parts, which are written in its stead.
 *
 * Whoever has the same part of the toolkit loaded uses that. A worker has not: its program is small. So a script comes along
 * that defines the travellers, and is run, once, by who trusts the bytes. It imports nothing: what it needs of serialize/
 * the reader gives it (library_host.ts).
 */
import { runScript } from "../runtime/mod.ts";

/** How values of one kind travel. `T` are the values, `P` the parts. */
export interface Traveller<T extends object = object, P = unknown> {
  /** Name, unique in this version of the toolkit. */
  readonly name: string;
  /** What `make` needs to know, complete in itself. Default: the empty string. */
  hint?(value: T): string | Uint8Array;
  /** Other travellers that must have been made before. */
  readonly first?: readonly object[];
  /** What it is made from: data, functions, other travellers, and the value itself, which it may hold. */
  parts(value: T): P;
  /** What makes it what it is, for comparisons; no state, no paths of the library. Default: its hint. */
  essence?(value: T): unknown;
  /** Makes the value. It is not used before `finish`. */
  make(hint: string | Uint8Array): T;
  /** Gives it its parts. */
  finish?(value: T, parts: P): void;
  /** The script for readers that do not know this traveller; always the same object, so that it is written once. */
  readonly script?: { readonly text: string };
}

/** What a script is: a function that is given the files of serialize/, and its own text as `script`, and defines travellers. */
export type LibraryScript = (host: Readonly<Record<string, unknown>>) => void;

const byName = new Map<string, Traveller>();
const byValue = new WeakMap<object, Traveller>();
const byPrototype = new WeakMap<object, Traveller>();

/** Makes a kind of traveller known to readers in this program. */
export function defineTraveller<T extends object, P>(traveller: Traveller<T, P>): void {
  byName.set(traveller.name, traveller as unknown as Traveller);
}

/** Lets a value travel in its own way: a function or an instance, since plain data is written without a look at each object. */
export function travels<T extends object, P>(value: T, traveller: Traveller<T, P>): T {
  if (Object.getPrototypeOf(value) === Object.prototype) {
    throw new TypeError("plain data does not travel in its own way");
  }
  byValue.set(value, traveller as unknown as Traveller);
  return value;
}

/** Lets the direct instances of a class travel in their own way. */
export function instancesTravel<T extends object, P>(prototype: T, traveller: Traveller<T, P>): void {
  byPrototype.set(prototype, traveller as unknown as Traveller);
}

/** How a value travels, if it has a way of its own. */
export function travellerOf(value: object): Traveller | undefined {
  const prototype = Object.getPrototypeOf(value);
  return byValue.get(value) ?? (prototype === null ? undefined : byPrototype.get(prototype));
}

/**
 * The traveller of this name: the one defined here, else after running the script that came along.
 *
 * @throws {Error} If neither defines it.
 */
export function travellerNamed(
  name: string,
  script: { text?: unknown } | undefined,
  host: () => Readonly<Record<string, unknown>>,
): Traveller {
  const known = byName.get(name);
  if (known) return known;
  if (typeof script?.text === "string") {
    const library = runScript(script.text, "pathos-library", 0, true) as LibraryScript;
    library({ ...host(), script: script.text });
  }
  const found = byName.get(name);
  if (!found) {
    throw new Error(
      `the data holds a ${name}, which this program does not know: import the module that makes it first`,
    );
  }
  return found;
}
