/** The arrays that MPI sends as they lie in memory, and which of its types their elements are. */
import { type TypedArray, type TypedArrayClass, typedArrays } from "../runtime/mod.ts";
import type { HandleName } from "./abi.ts";
import { inHugePages } from "./huge_pages.ts";

/** An array of numbers, as MPI sends it: without copying. Everything else is a value, which is serialized. */
export type NumericArray = TypedArray;

/** The classes, in the order in which their index travels. */
export const ARRAY_CLASSES: readonly TypedArrayClass[] = Object.values(typedArrays);

/** The MPI type of each class's elements. */
export const ELEMENT_TYPES: readonly HandleName[] = [
  "INT8",
  "UINT8",
  "UINT8",
  "INT16",
  "UINT16",
  "INT32",
  "UINT32",
  "INT64",
  "UINT64",
  "FLOAT",
  "DOUBLE",
];

const INDEX = new Map<unknown, number>(ARRAY_CLASSES.map((kind, index) => [kind, index]));

/** Whether MPI sends it as it is: any typed array but Float16Array; a DataView or ArrayBuffer is a value. */
export function isNumericArray(data: unknown): data is NumericArray {
  return ArrayBuffer.isView(data) && arrayClass(data) >= 0;
}

/** Index of the array's class in {@linkcode ARRAY_CLASSES}, also that of a class derived from it; -1 if it is none of these. */
export function arrayClass(data: ArrayBufferView): number {
  return INDEX.get(data.constructor) ?? ARRAY_CLASSES.findIndex((kind) => data instanceof kind);
}

/** A new array of the same class, with a buffer of its own. */
export function likeArray<A extends NumericArray>(array: A, length: number): A {
  return inHugePages(new ARRAY_CLASSES[arrayClass(array)](length) as A);
}
