/**
 * Which objects are plain data that MessagePack carries as they are: arrays without holes or extra properties, objects
 * with enumerable, writable string properties, no sharing and no cycles, and in them `undefined`, booleans,
 * numbers other than -0, and well-formed strings.
 */

import { builtin } from "../runtime/mod.ts";

/** Deepest nesting of plain data in one piece; what lies deeper goes to the node table. */
export const plainDepth = 64;

// Names and symbols apart are several times quicker to ask for than Reflect.ownKeys.
const { getPrototypeOf, isExtensible, getOwnPropertyDescriptor, getOwnPropertyNames, getOwnPropertySymbols } =
  Object;
const objectPrototype = Object.prototype;
const arrayPrototype = Array.prototype;

/** Whether a primitive travels inside MessagePack unchanged. */
export function isPlainPrimitive(value: unknown): boolean {
  switch (typeof value) {
    case "number":
      return value !== 0 || 1 / value > 0;
    case "string":
      return value.isWellFormed();
    case "boolean":
    case "undefined":
      return true;
    default:
      return value === null;
  }
}

/** Marks objects on the way through a piece of plain data. */
export interface PlainMarks {
  /** Notes an object, and says false if it was seen before. */
  enter(value: object): boolean;
  /** Notes an object that is not plain, or that holds one which is not. */
  reject(value: object): void;
}

/** Whether `value` and all below it is plain. Its objects are entered depth first, elements and properties in order. */
export function isPlain(value: object, marks: PlainMarks, depth = 0): boolean {
  const prototype = getPrototypeOf(value);
  const plain = depth < plainDepth && isExtensible(value) && (
    prototype === objectPrototype
      ? plainObject(value as Record<string, unknown>, marks, depth)
      : prototype === arrayPrototype && Array.isArray(value) && plainArray(value, marks, depth)
  );
  if (!plain) marks.reject(value);
  return plain;
}

function plainArray(array: unknown[], marks: PlainMarks, depth: number): boolean {
  if (!hasElementsOnly(array)) return false;
  for (let i = 0; i < array.length; i++) {
    const item = array[i];
    if (typeof item === "object" && item !== null) {
      if (!marks.enter(item) || !isPlain(item, marks, depth + 1)) return false;
    } else if (!isPlainPrimitive(item)) return false;
    else if (item === undefined && !Object.hasOwn(array, i)) return false;
  }
  return true;
}

/** From this length on it is quicker to ask for a description than for the name of each element, which takes 150 ns. */
const longArray = 256;
const undescribed = { showHidden: true, maxArrayLength: 0, depth: 0, customInspect: false };

/** Whether an array has no properties but its elements and its length; where elements may be missing, it may say no. */
function hasElementsOnly(array: unknown[]): boolean {
  const { length } = array;
  if (length >= longArray) {
    const { inspect } = builtin<{ inspect(value: unknown, options: typeof undescribed): string }>(
      "node:util",
    );
    if (inspect(array, undescribed) === `[ ... ${length} more items, [length]: ${length} ]`) return true;
  }
  return getOwnPropertyNames(array).length === length + 1 && !getOwnPropertySymbols(array).length;
}

function plainObject(object: Record<string, unknown>, marks: PlainMarks, depth: number): boolean {
  if (getOwnPropertySymbols(object).length) return false;
  const keys = getOwnPropertyNames(object);
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i];
    if (key === "__proto__" || !key.isWellFormed()) return false;
    const d = getOwnPropertyDescriptor(object, key)!;
    if (!d.enumerable || !d.writable || !d.configurable) return false;
    const item = d.value;
    if (typeof item === "object" && item !== null) {
      if (!marks.enter(item) || !isPlain(item, marks, depth + 1)) return false;
    } else if (!isPlainPrimitive(item)) return false;
  }
  return true;
}

/** The object with number `index` in a piece of plain data, counted as `isPlain` enters them, or undefined. */
export function plainAt(root: unknown, index: number): unknown {
  let left = index;
  const pending: unknown[] = [root];
  while (pending.length) {
    const value = pending.pop();
    if (typeof value !== "object" || value === null || value instanceof Uint8Array) continue;
    if (left-- === 0) return value;
    const items = Object.values(value);
    for (let i = items.length - 1; i >= 0; i--) pending.push(items[i]);
  }
  return undefined;
}
