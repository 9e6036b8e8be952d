/**
 * Values as JSON text, without loss that nobody notices: what JSON cannot carry is an error that says so.
 * Both functions are run in the workers, so they are self-contained.
 */

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
