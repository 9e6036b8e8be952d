/**
 * What is known of an entry besides its value: made from what a caller says, and asked whether the entry's time is over.
 */
import type { EntryMeta } from "./store.ts";
import type { SetOptions } from "./types.ts";

const NO_TAGS: readonly string[] = Object.freeze([]);

/** Of an entry that is written now; `defaultTtl` is the archive's, `name` stands in errors. */
export function newMeta(
  options: SetOptions | undefined,
  defaultTtl: number | undefined,
  name: string,
): EntryMeta {
  const stored = Date.now();
  const ttl = options?.ttl ?? defaultTtl ?? Infinity;
  const grace = options?.grace ?? 0;
  const tags = options?.tags ?? NO_TAGS;
  if (options) {
    checkTime("ttl", ttl, name);
    checkTime("grace", grace, name);
    if (!Array.isArray(tags) || !tags.every((tag) => typeof tag === "string" && tag.isWellFormed())) {
      throw new TypeError(`${name}: tags is an array of strings, not ${JSON.stringify(tags)}`);
    }
  }
  return { stored, expires: stored + ttl, grace, tags: tags.length ? [...new Set(tags)] : NO_TAGS };
}

/** Whether time and grace of an entry are over. */
export function gone(meta: EntryMeta, now: number = Date.now()): boolean {
  return meta.expires + meta.grace <= now;
}

/** Refuses what is no length of time. */
export function checkTime(what: string, time: number, name: string): void {
  if (typeof time !== "number" || !(time >= 0)) {
    throw new RangeError(
      `${name}: ${what} is ${time}: it is a number of milliseconds from 0, or Infinity`,
    );
  }
}
