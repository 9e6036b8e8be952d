/**
 * How much memory a value takes, roughly: what a policy with a limit of bytes goes by, unless the caller knows better.
 */

/** Bytes of a reference, a number, the head of an object. */
const WORD = 8, HEAD = 16;

/** An estimate of the bytes that a value takes, with all it leads to. Shared parts count once; functions count as a head. */
export function approximateSize(value: unknown): number {
  let bytes = 0;
  const seen: Set<object> = new Set();
  const ahead: unknown[] = [value];
  while (ahead.length > 0) {
    const next = ahead.pop();
    bytes += WORD;
    if (typeof next === "string") bytes += 2 * next.length;
    else if (typeof next === "bigint") bytes += next.toString(16).length / 2;
    else if ((typeof next === "object" && next !== null) || typeof next === "function") {
      if (seen.has(next)) continue;
      seen.add(next);
      bytes += HEAD + ownSize(next, ahead);
    }
  }
  return Math.ceil(bytes);
}

/** Bytes that an object has by itself; what it leads to is put ahead. */
function ownSize(object: object, ahead: unknown[]): number {
  if (typeof object === "function") return 0;
  if (ArrayBuffer.isView(object) || object instanceof ArrayBuffer) return object.byteLength;
  if (object instanceof Map) { for (const [key, value] of object) ahead.push(key, value); }
  else if (object instanceof Set || Array.isArray(object)) { for (const item of object) ahead.push(item); }
  else {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(object))) {
      ahead.push(name, value); // a getter is not run
    }
  }
  return 0;
}
