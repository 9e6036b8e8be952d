/**
 * Rounding of arguments, so that numbers that are nearly the same make one key.
 *
 * `tol` is a number of decimal places: 2 rounds to hundredths, 0 to integers, -1 to tens. What is halfway goes to the even neighbour,
 * judged by the exact binary value, as Python's `round` does: 0.5 becomes 0, 1.5 becomes 2, and 2.675, which is stored as
 * a little less, becomes 2.67. Bigints, NaN and infinities stay. Nothing given is changed: what has to be is copied.
 */

/** Most decimal places that a number can have. */
const mostPlaces = 100;

/**
 * A number rounded to `tol` decimal places.
 *
 * @param x The number.
 * @param tol Decimal places, below zero for tens, hundreds, ...
 * @returns The number nearest to it among those with so many places; of two, the even one.
 * @throws {RangeError} If `tol` is not an integer, or more than 100.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { roundTo } from "@pathos/pathos/cache";
 *
 * assertEquals([roundTo(3.14159, 2), roundTo(2.5, 0), roundTo(1234, -2)], [3.14, 2, 1200]);
 * ```
 */
export function roundTo(x: number, tol: number): number {
  checkTol(tol);
  return round(x, tol);
}

/**
 * Refuses what is no number of decimal places.
 *
 * @throws {RangeError}
 */
export function checkTol(tol: number): void {
  if (Number.isInteger(tol) && tol <= mostPlaces) return;
  throw new RangeError(
    `tol is a number of decimal places, an integer of at most ${mostPlaces} (below zero for tens, hundreds, ...), and not ${tol}`,
  );
}

function round(x: number, tol: number): number {
  if (!Number.isFinite(x)) return x;
  if (tol < 0) return roundUp(x, -tol);
  if (Number.isInteger(x)) return x;
  const size = Math.abs(x);
  // Exactly halfway is only what has tol + 1 binary places at most; toFixed would take it upwards.
  const scaled = size * 2 ** (tol + 1);
  if (!Number.isInteger(scaled)) return Number(x.toFixed(tol));
  const digits = size.toFixed(Math.min(tol + 1, mostPlaces));
  if (tol === mostPlaces || !digits.endsWith("5")) return Number(x.toFixed(tol));
  const down = digits.slice(0, -1);
  const isEven = Number(down.at(-1) === "." ? down.at(-2) : down.at(-1)) % 2 === 0;
  const even = isEven ? Number(down) : Number(size.toFixed(tol));
  return x < 0 ? -even : even;
}

/** Rounds to a multiple of a power of ten. */
function roundUp(x: number, power: number): number {
  const step = 10 ** power;
  const size = Math.abs(x);
  if (step === Infinity) return Math.sign(x) * 0;
  if (size > Number.MAX_SAFE_INTEGER) return Math.sign(x) * roundLarge(BigInt(size), 10n ** BigInt(power));
  const over = size % step;
  const below = size - over;
  const up = over * 2 > step || (over * 2 === step && (below / step) % 2 === 1);
  return Math.sign(x) * (up ? below + step : below);
}

/** As `roundUp`, where multiples of the step need not be exact as numbers. */
function roundLarge(size: bigint, step: bigint): number {
  const over = size % step;
  const below = size - over;
  const up = over * 2n > step || (over * 2n === step && (below / step) % 2n === 1n);
  return Number(up ? below + step : below);
}

/**
 * Arguments with the numbers among them rounded; what is in arrays and objects stays as it is.
 *
 * @param args The arguments.
 * @param tol Decimal places.
 * @returns A copy, or `args` itself if nothing had to be rounded.
 * @throws {RangeError} If `tol` is not an integer, or more than 100.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { simpleRound } from "@pathos/pathos/cache";
 *
 * assertEquals(simpleRound([1.234, [1.234], "a"], 1), [1.2, [1.234], "a"]);
 * ```
 */
export function simpleRound(args: readonly unknown[], tol: number): readonly unknown[] {
  return roundItems(args, tol, 0);
}

/**
 * Arguments with the numbers among them rounded, and those directly in their arrays, objects, Maps and Sets.
 *
 * @param args The arguments.
 * @param tol Decimal places.
 * @returns A copy, or `args` itself if nothing had to be rounded.
 * @throws {RangeError} If `tol` is not an integer, or more than 100.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { shallowRound } from "@pathos/pathos/cache";
 *
 * assertEquals(shallowRound([1.234, { x: 1.234, y: [1.234] }], 1), [1.2, { x: 1.2, y: [1.234] }]);
 * ```
 */
export function shallowRound(args: readonly unknown[], tol: number): readonly unknown[] {
  return roundItems(args, tol, 1);
}

/**
 * Arguments with all numbers rounded, however deep in arrays, plain objects, Maps (values, not keys), Sets and arrays of
 * floating point numbers. Instances of classes stay as they are.
 *
 * @param args The arguments.
 * @param tol Decimal places.
 * @returns A copy; sharing and cycles are kept.
 * @throws {RangeError} If `tol` is not an integer, or more than 100.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { deepRound } from "@pathos/pathos/cache";
 *
 * assertEquals(deepRound([{ path: [[0.123, 4.567]] }], 1), [{ path: [[0.1, 4.6]] }]);
 * ```
 */
export function deepRound(args: readonly unknown[], tol: number): readonly unknown[] {
  return roundItems(args, tol, Infinity);
}

/** Rounds the items of a list, and what is in them down to `depth` levels. */
function roundItems(args: readonly unknown[], tol: number, depth: number): readonly unknown[] {
  checkTol(tol);
  if (
    !args.some((arg) => typeof arg === "number" || (depth > 0 && typeof arg === "object" && arg !== null))
  ) {
    return args;
  }
  const copies = new Map<object, unknown>();
  // Filled one after the other rather than by recursion, so that no nesting is too deep.
  const pending: (() => void)[] = [];
  const copy = (value: unknown, depth: number): unknown => {
    if (typeof value === "number") return round(value, tol);
    if (typeof value !== "object" || value === null || depth === 0) return value;
    if (!copies.has(value)) {
      copies.set(value, copyOf(value, tol, (item) => copy(item, depth - 1), (fill) => pending.push(fill)));
    }
    return copies.get(value);
  };
  const rounded = args.map((arg) => copy(arg, depth));
  for (let fill = pending.pop(); fill; fill = pending.pop()) fill();
  return rounded;
}

/** An empty copy of an object, to be filled `later`; the object itself if nothing in it is rounded. */
function copyOf(
  value: object,
  tol: number,
  item: (value: unknown) => unknown,
  later: (fill: () => void) => void,
): unknown {
  const prototype = Object.getPrototypeOf(value);
  if (Array.isArray(value) && prototype === Array.prototype) {
    const made: unknown[] = new Array(value.length);
    later(() => {
      for (const key of Object.keys(value)) Reflect.set(made, key, item(Reflect.get(value, key)));
    });
    return made;
  }
  if (prototype === Object.prototype || prototype === null) {
    const made = Object.create(prototype, Object.getOwnPropertyDescriptors(value));
    later(() => {
      for (const key of Reflect.ownKeys(value)) {
        const d = Object.getOwnPropertyDescriptor(value, key)!;
        if ("value" in d) Object.defineProperty(made, key, { ...d, value: item(d.value) });
      }
    });
    return made;
  }
  if (value instanceof Map && prototype === Map.prototype) {
    const made = new Map<unknown, unknown>();
    later(() => value.forEach((entry, key) => made.set(key, item(entry))));
    return made;
  }
  if (value instanceof Set && prototype === Set.prototype) {
    const made = new Set<unknown>();
    later(() => value.forEach((entry) => made.add(item(entry))));
    return made;
  }
  const isFloats = ArrayBuffer.isView(value) &&
    /^Float\d+Array$/.test(Reflect.get(value, Symbol.toStringTag));
  return isFloats ? (value as Float64Array).map((x) => round(x, tol)) : value;
}
