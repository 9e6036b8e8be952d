/**
 * What contains something most often, or most rarely.
 */

/** Options of {@linkcode selectdict}. */
export interface SelectOptions {
  /** What is counted in each: a text in texts, an element in lists. Default: `""`, by which texts are as often as they are long. */
  counter?: unknown;
  /** Those where it is rarest. Default: false, most frequent. */
  minimum?: boolean;
  /** All of them, or false for the first. Default: true. */
  all?: boolean;
}

/** Options of {@linkcode select}. */
export interface SelectListOptions extends SelectOptions {
  /** From the last to the first. Default: false. The list itself stays as it is; pox reverses it. */
  reverse?: boolean;
}

/**
 * The items in which something occurs most often, in their order. Items are texts or lists; one that is neither counts once
 * if it is that itself.
 *
 * @returns The items; with `all: false` the first of them, or undefined if there are none.
 *
 * @example
 * ```ts
 * import { select } from "@pathos/pathos/fs";
 * import { assertEquals } from "@std/assert";
 *
 * const words = ["zero", "one", "two", "three", "seven"];
 * assertEquals(select(words, { counter: "e" }), ["three", "seven"]);
 * assertEquals(select(words, { counter: "e", minimum: true, all: false }), "two");
 * assertEquals(select([[1, 2], [3, 3]], { counter: 3 }), [[3, 3]]);
 * ```
 */
export function select<T>(items: Iterable<T>, options: SelectListOptions & { all: false }): T | undefined;
/** The items in which something occurs most often. */
export function select<T>(items: Iterable<T>, options?: SelectListOptions & { all?: true }): T[];
/** The items in which something occurs most often, or the first of them. */
export function select<T>(items: Iterable<T>, options?: SelectListOptions): T | T[] | undefined;
export function select<T>(items: Iterable<T>, options: SelectListOptions = {}): T | T[] | undefined {
  const list = [...items];
  if (options.reverse) list.reverse();
  const chosen = extremes(list, options).map((place) => list[place]);
  return options.all === false ? chosen[0] : chosen;
}

/**
 * The entries of an object in whose values something occurs most often, as {@linkcode select} counts.
 *
 * @returns The entries; with `all: false` the first of them alone.
 *
 * @example
 * ```ts
 * import { selectdict } from "@pathos/pathos/fs";
 * import { assertEquals } from "@std/assert";
 *
 * const paths = { home: "/home/me", tmp: "/tmp", work: "/home/me/work" };
 * assertEquals(selectdict(paths, { counter: "/" }), { work: "/home/me/work" });
 * assertEquals(selectdict(paths, { counter: "/", minimum: true }), { tmp: "/tmp" });
 * ```
 */
export function selectdict<T>(
  items: Readonly<Record<string, T>>,
  options: SelectOptions = {},
): Record<string, T> {
  const entries = Object.entries(items);
  const chosen = extremes(entries.map(([, value]) => value), options).map((place) => entries[place]);
  return Object.fromEntries(options.all === false ? chosen.slice(0, 1) : chosen);
}

/** The places of those in which it is most frequent, or rarest. */
function extremes(items: readonly unknown[], { counter = "", minimum = false }: SelectOptions): number[] {
  const counts = items.map((item) => occurrences(item, counter));
  const extreme = counts.reduce(
    (a, b) => minimum ? Math.min(a, b) : Math.max(a, b),
    minimum ? Infinity : -Infinity,
  );
  return counts.flatMap((count, place) => count === extreme ? [place] : []);
}

function occurrences(item: unknown, counter: unknown): number {
  if (typeof item === "string") {
    if (typeof counter !== "string") return 0;
    return counter === "" ? [...item].length + 1 : item.split(counter).length - 1;
  }
  if (typeof item === "object" && item !== null && Symbol.iterator in item) {
    return [...item as Iterable<unknown>].filter((element) => Object.is(element, counter)).length;
  }
  return Object.is(item, counter) ? 1 : 0;
}
