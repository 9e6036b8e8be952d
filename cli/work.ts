/**
 * What is sent to the workers: the user's function, made so that its results come back numbered, as JSON
 * text. Making the JSON there spreads that work too, and a result that JSON cannot carry fails its own item
 * only. The file imports nothing, so that what travels is complete wherever it arrives.
 */
/** An input with its position in this run. */
export type Numbered = [position: number, input: unknown];
/** A result as JSON text, with the position of its input. */
export type NumberedText = [position: number, text: string];
/** What the workers run. */
export type Work = (item: Numbered) => NumberedText | Promise<NumberedText>;

type UserFunction = (input: unknown) => unknown;

/** The function travels with what it captures; its module is not needed in the worker. */
export function workByValue(fn: UserFunction): Work {
  return (item) => applyTo(fn, item);
}

/**
 * Each worker imports the module for itself, as if it had been started with it: module state that cannot
 * travel (open files, decoders, connections) is made anew there.
 */
export function workByImport(url: string, name: string): Work {
  let fn: UserFunction | undefined;
  return async (item) => {
    fn ??= (await import(url))[name] as UserFunction;
    return applyTo(fn, item);
  };
}

function applyTo(fn: UserFunction, [position, input]: Numbered): NumberedText | Promise<NumberedText> {
  const value = fn(input);
  return value instanceof Promise
    ? value.then((settled): NumberedText => [position, toJson(settled)])
    : [position, toJson(value)];
}

/**
 * A value as JSON. A Map is written as an object (its keys must be strings), a Set and a typed array as an
 * array, undefined as null (in an object: left out, as JSON.stringify does it).
 *
 * @throws {TypeError} If it holds something that JSON has no form for, or itself.
 */
export function toJson(value: unknown): string {
  return JSON.stringify(value, carried) ?? "null";
}

/** What JSON.stringify is to write in place of a value. */
function carried(key: string, value: unknown): unknown {
  const refuse = (what: string, fix: string): never => {
    const where = key === "" ? "" : ` (at ${JSON.stringify(key)})`;
    throw new TypeError(`JSON cannot carry ${what}${where}: ${fix}`);
  };
  if (typeof value === "bigint") refuse("a BigInt", "return String(value) or Number(value)");
  if (typeof value === "number" && !Number.isFinite(value)) refuse(String(value), "return null or a string");
  if (typeof value === "function" || typeof value === "symbol") refuse(`a ${typeof value}`, "return data");
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Map) {
    for (const name of value.keys()) {
      if (typeof name !== "string") refuse(`a Map with a ${typeof name} as key`, "return [...map]");
    }
    return Object.fromEntries(value);
  }
  if (value instanceof Set) return [...value];
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return Array.from(value as Uint8Array);
  const [, kind] = /^\[object (.*)\]$/.exec(Object.prototype.toString.call(value))!;
  if (["Object", "Array", "Number", "String", "Boolean"].includes(kind)) return value;
  return refuse(`an object of the kind ${kind}`, "return plain data, or give it a method toJSON");
}
