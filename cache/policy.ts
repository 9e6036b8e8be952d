/**
 * Which entry has to go when a limit is reached. A policy is a plain value: memory caches (memory.ts) and the SQL stores
 * each apply it in their own way, and the SQL stores write it down beside the entries.
 */

/** Limits of a cache; reaching either removes entries. */
export interface Limits {
  /** Number of entries. Default: 100 for `lru`, `lfu`, `mru` and `rr`, unless `bytes` is given. */
  count?: number;
  /** Bytes of all values together. Default: no limit. */
  bytes?: number;
}

/** What goes first: `lru` least recently used, `mru` most recently, `lfu` least often, `rr` any; `inf` nothing; `none` keeps nothing. */
export type PolicyName = "none" | "inf" | "lru" | "lfu" | "mru" | "rr";

/** A policy with its limits. */
export interface Policy {
  /** What goes first. */
  readonly name: PolicyName;
  /** Number of entries; `Infinity`: no limit. */
  readonly count: number;
  /** Bytes of all values together; `Infinity`: no limit. */
  readonly bytes: number;
}

/** A policy, or what makes one with its default limits: `lru(50)` and `lru` both do. */
export type PolicyLike = Policy | ((limits?: number | Limits) => Policy);

const DEFAULT_COUNT = 100;

/**
 * Least recently used goes first.
 *
 * @param limits Number of entries, or {@linkcode Limits}. Default: 100 entries.
 * @throws {RangeError} If a limit is no number, or below 0.
 *
 * @example
 * ```ts
 * import { lru, memoize } from "@pathos/pathos/cache";
 * import { assertEquals } from "@std/assert";
 *
 * const square = memoize((x: number) => x * x, { cache: lru(2) });
 * square(1), square(2), square(1), square(3); // 2 goes
 * assertEquals([square.lookup(1), square.lookup(2), square.lookup(3)], [1, undefined, 9]);
 * ```
 */
export function lru(limits?: number | Limits): Policy {
  return limited("lru", limits);
}

/**
 * Least often used goes first; among equals, the one whose last use is longest ago.
 *
 * @param limits Number of entries, or {@linkcode Limits}. Default: 100 entries.
 * @throws {RangeError} If a limit is no number, or below 0.
 *
 * @example
 * ```ts
 * import { lfu, memoize } from "@pathos/pathos/cache";
 * import { assertEquals } from "@std/assert";
 *
 * const square = memoize((x: number) => x * x, { cache: lfu(2) });
 * square(1), square(1), square(2), square(3); // 2 goes
 * assertEquals([square.lookup(1), square.lookup(2), square.lookup(3)], [1, undefined, 9]);
 * ```
 */
export function lfu(limits?: number | Limits): Policy {
  return limited("lfu", limits);
}

/**
 * Most recently used goes first: for going round and round through more than fits.
 *
 * @param limits Number of entries, or {@linkcode Limits}. Default: 100 entries.
 * @throws {RangeError} If a limit is no number, or below 0.
 *
 * @example
 * ```ts
 * import { memoize, mru } from "@pathos/pathos/cache";
 * import { assertEquals } from "@std/assert";
 *
 * const square = memoize((x: number) => x * x, { cache: mru(2) });
 * square(1), square(2), square(3); // 2 goes
 * assertEquals([square.lookup(1), square.lookup(2), square.lookup(3)], [1, undefined, 9]);
 * ```
 */
export function mru(limits?: number | Limits): Policy {
  return limited("mru", limits);
}

/**
 * Any goes, at random.
 *
 * @param limits Number of entries, or {@linkcode Limits}. Default: 100 entries.
 * @throws {RangeError} If a limit is no number, or below 0.
 *
 * @example
 * ```ts
 * import { memoize, rr } from "@pathos/pathos/cache";
 * import { assertEquals } from "@std/assert";
 *
 * const square = memoize((x: number) => x * x, { cache: rr(2) });
 * square(1), square(2), square(3);
 * assertEquals(square.info().size, 2);
 * ```
 */
export function rr(limits?: number | Limits): Policy {
  return limited("rr", limits);
}

/**
 * Nothing goes: there is no limit.
 *
 * @example
 * ```ts
 * import { inf, memoize } from "@pathos/pathos/cache";
 * import { assertEquals } from "@std/assert";
 *
 * const square = memoize((x: number) => x * x, { cache: inf });
 * for (let x = 0; x < 1_000; x++) square(x);
 * assertEquals(square.info().size, 1_000);
 * ```
 */
export function inf(): Policy {
  return { name: "inf", count: Infinity, bytes: Infinity };
}

/**
 * Keeps nothing: every call goes to the archive, or to the function if there is none.
 *
 * @example
 * ```ts
 * import { DictArchive, memoize, none } from "@pathos/pathos/cache";
 * import { assertEquals } from "@std/assert";
 *
 * const square = memoize((x: number) => x * x, { cache: none, archive: new DictArchive() });
 * square(3), square(3);
 * const { hit, miss, load } = square.info();
 * assertEquals({ hit, miss, load }, { hit: 0, miss: 1, load: 1 });
 * ```
 */
export function none(): Policy {
  return { name: "none", count: 0, bytes: 0 };
}

/** The policy that is meant by one, or by the function that makes it. */
export function policyOf(given: PolicyLike): Policy {
  return typeof given === "function" ? given() : given;
}

function limited(name: PolicyName, limits: number | Limits = {}): Policy {
  const { count, bytes = Infinity } = typeof limits === "number" ? { count: limits } as Limits : limits;
  const policy = { name, count: count ?? (bytes === Infinity ? DEFAULT_COUNT : Infinity), bytes };
  if (!(policy.count >= 0) || !(bytes >= 0)) {
    throw new RangeError(
      `${name}(${
        JSON.stringify(limits)
      }): a limit is a number of entries, or { count, bytes }, each 0 or more; ` +
        "without a limit the policy is called inf",
    );
  }
  return policy;
}
