/**
 * From a call to its keys: which arguments count, how far numbers are rounded, which keymap makes the key.
 *
 * There are two keys. `pre` is for memory: cheap, and fit for a `Map`. `key` is for archives: what the keymap makes. Calls
 * whose `pre` is equal have keys that stand for the same call. Arguments that are left out at the end and those that are
 * `undefined` are the same.
 */
import type { CodeFunction } from "../serialize/types.ts";
import { canonical, primitives } from "./canonical.ts";
import { type Ignore, ignoring } from "./ignore.ts";
import { hashmap, isKeymap, type Keymap } from "./keymaps.ts";
import { checkTol, deepRound, simpleRound } from "./rounding.ts";
import { signature } from "./signature.ts";
import type { ArchiveKey } from "./types.ts";

/** A key in memory, for a `Map`: a lone number or string is its own key. */
export type MemoryKey = string | number;

/** What makes keys of the calls of one function. Both throw `UnkeyableError` for an argument that has no key. */
export interface Keyer {
  /** The key in memory. `self` counts if it is given (not undefined) and not ignored. */
  pre(args: readonly unknown[], self?: unknown): MemoryKey;
  /** The key in archives. */
  key(args: readonly unknown[], self?: unknown): ArchiveKey;
}

/** How keys are made of calls. */
export interface KeyOptions {
  /** Makes the key in archives. Default: `hashmap()`. A function of one's own takes the list of arguments. */
  keymap?: Keymap | ((args: readonly unknown[], named?: Readonly<Record<string, unknown>>) => ArchiveKey);
  /**
   * Arguments that do not count: by name of the parameter (or of a property that it takes out, `{ verbose }`), by index from 0, a
   * property of an argument by `"options.verbose"`; `"*"`: all that have no parameter of their own, `"**"`: all properties that
   * an object pattern does not name; `"this"` (or `"self"`).
   */
  ignore?: Ignore | readonly Ignore[];
  /** Decimal places to which numbers are rounded before keys are made of them; negative for tens, hundreds. Default: not at all. */
  tol?: number;
  /** Rounds also what is in arrays, plain objects, Maps, Sets and arrays of floating point numbers. Default false. */
  deep?: boolean;
  /** As in `hashmap({ typed })`, where no keymap is given. */
  typed?: boolean;
}

/** Longest string that is its own key in memory. */
const longestOwn = 4_096;

/**
 * What makes the keys of a function's calls.
 *
 * @throws {TypeError} If `ignore` names a parameter that the function has not.
 * @throws {RangeError} If `tol` is no number of decimal places.
 */
export function makeKeyer(fn: CodeFunction, options: KeyOptions = {}): Keyer {
  const { tol, deep = false } = options;
  const map = options.keymap ?? hashmap({ typed: options.typed });
  if (typeof map !== "function") {
    throw new TypeError(
      "keymap is what keymap(), hashmap(), stringmap() or picklemap() gives, or a function",
    );
  }
  const typed = isKeymap(map) && map.typed;
  if (options.typed !== undefined && options.typed !== typed) {
    throw new TypeError(
      `typed: ${options.typed} does not fit the keymap that is given with it: say hashmap({ typed: ${options.typed} })`,
    );
  }
  if (tol !== undefined) checkTol(tol);
  const leaveOut = options.ignore === undefined
    ? undefined
    : ignoring(fn, [options.ignore].flat() as Ignore[]);
  const asIs = leaveOut?.args === undefined && tol === undefined;

  /** The arguments that count, without what is missing or undefined at the end. */
  const counting = (args: readonly unknown[]): readonly unknown[] => {
    let left = leaveOut?.args ? leaveOut.args(args) : args;
    if (tol !== undefined) left = deep ? deepRound(left, tol) : simpleRound(left, tol);
    let { length } = left;
    while (length > 0 && left[length - 1] === undefined) length--;
    return length === left.length ? left : left.slice(0, length);
  };
  const selfOf = leaveOut?.self ? () => undefined : (self: unknown) => self;

  const key = (args: readonly unknown[], self?: unknown): ArchiveKey => {
    const counted = counting(args);
    const counts = selfOf(self);
    const named = counts === undefined ? {} : { this: counts };
    return isKeymap(map) && !map.flat ? map(...byName(fn, counted, named)) : map(counted, named);
  };

  if (!isKeymap(map)) return { pre: (args, self) => `\0=${canonical(key(args, self))}`, key };

  const text = (args: readonly unknown[], self: unknown): string => {
    const counts = selfOf(self);
    const of = counts === undefined ? "" : `@${canonical(counts, { typed, name: "this" })}`;
    return `\0${canonical(args, { typed })}${of}`;
  };
  // A text that begins with NUL is none of these, so that no two calls meet.
  const alone = (only: unknown): MemoryKey | undefined =>
    typeof only === "number"
      ? typed && only === 0 ? undefined : only
      : typeof only === "string" && only.length <= longestOwn && only.charCodeAt(0) !== 0
      ? only
      : undefined;

  return {
    pre(args, self) {
      const counted = asIs && args.length > 0 && args[args.length - 1] !== undefined ? args : counting(args);
      if (selfOf(self) === undefined) {
        if (counted.length === 1) {
          const own = alone(counted[0]);
          if (own !== undefined) return own;
        }
        const quick = primitives(counted, typed);
        if (quick !== undefined) return `\0${quick}`;
      }
      return text(counted, self);
    },
    key,
  };
}

/** The arguments that have no parameter of their own, and those that have, by its name or, for a pattern, its index. */
function byName(
  fn: CodeFunction,
  args: readonly unknown[],
  named: Readonly<Record<string, unknown>>,
): [rest: readonly unknown[], named: Readonly<Record<string, unknown>>] {
  const { names } = signature(fn);
  const entries = names.slice(0, args.length).map((name, i) => [name ?? String(i), args[i]] as const);
  return [args.slice(names.length), { ...Object.fromEntries(entries), ...named }];
}
