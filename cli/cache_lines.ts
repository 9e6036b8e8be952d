/**
 * Entries of archives as lines of JSON and back, nothing lost: the first line says what follows, every other one is an entry with its
 * key as text, its times and tags, and the value as it is kept, bytes in base64. Codes and signatures stay what they are.
 */
import { textToKey } from "../cache/key_text.ts";
import type { Entry, EntryMeta, Store, StoredValue } from "../cache/store.ts";
import { fromBase64, toBase64, typedArrays } from "../runtime/mod.ts";
import { UsageError } from "./flags.ts";

const FIRST = { pathos: "cache export 1" };
/** Entries that are written together. */
const BATCH = 500;

/** The lines of caches with their names, "" where there is none. */
export function* exportLines(caches: { name: string; store: Store }[]): Generator<string> {
  yield JSON.stringify(FIRST);
  for (const { name, store } of caches) {
    for (const [key] of store.infos()) {
      const entry = store.read(key, false);
      if (entry) yield lineOf(name, key, entry); // else it is gone meanwhile
    }
  }
}

function lineOf(cache: string, key: string, { value, meta }: Entry): string {
  const { stored, expires, grace, tags } = meta;
  return JSON.stringify({
    cache: cache === "" ? undefined : cache,
    key,
    stored,
    expires: expires === Infinity ? undefined : expires,
    grace: grace === 0 ? undefined : `${grace}`,
    tags: tags.length === 0 ? undefined : tags,
    ...fieldOf(value),
  });
}

function fieldOf(value: StoredValue): Record<string, unknown> {
  if (value instanceof Uint8Array) return { bytes: toBase64(value) };
  if (typeof value === "string") return { text: value };
  if (typeof value === "number") return { number: numberText(value) };
  if (Array.isArray(value)) return { numbers: value.map(numberText) };
  const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return { array: value.constructor.name, bytes: toBase64(bytes) };
}

/** JSON has no -0, NaN and Infinity. */
function numberText(value: number): string {
  return Object.is(value, -0) ? "-0" : `${value}`;
}

/**
 * Writes the entries of lines into stores, some hundred at a time.
 *
 * @param lines The lines that {@linkcode exportLines} gave.
 * @param storeFor The store for what comes from the cache of a name.
 * @returns How many entries there were.
 * @throws {UsageError} If a line is none of those; what came before it has been written.
 */
export async function importLines(
  lines: AsyncIterable<string>,
  storeFor: (cache: string) => Store,
): Promise<number> {
  let number = 0;
  let waiting: { key: string; entry: Entry; store: Store }[] = [];
  const flush = (): void => {
    for (const store of new Set(waiting.map(({ store }) => store))) {
      const write = (): void => {
        for (const entry of waiting) if (entry.store === store) store.write(entry.key, entry.entry);
      };
      if (store.batch) store.batch(write);
      else write();
    }
    waiting = [];
  };
  for await (const line of lines) {
    number++;
    if (number === 1) {
      if (line === JSON.stringify(FIRST)) continue;
      throw new UsageError(
        `this is not what pathos cache export writes: it would begin with ${JSON.stringify(FIRST)}`,
      );
    }
    const read = entryOf(line);
    if (!read) {
      flush();
      throw new UsageError(
        `line ${number} is not one that pathos cache export writes; those before it were imported`,
      );
    }
    waiting.push({ ...read, store: storeFor(read.cache) });
    if (waiting.length === BATCH) flush();
  }
  flush();
  if (number === 0) {
    throw new UsageError("there is nothing on standard input: pathos cache import FILE < export.jsonl");
  }
  return number - 1;
}

/** The entry of a line; undefined if it is none. */
function entryOf(line: string): { cache: string; key: string; entry: Entry } | undefined {
  try {
    const { cache = "", key, stored, expires = Infinity, grace = "0", tags = [], ...field } = JSON.parse(
      line,
    );
    const meta: EntryMeta = { stored, expires, grace: Number(grace), tags };
    const value = valueOf(field);
    const sound = typeof cache === "string" && typeof key === "string" && typeof stored === "number" &&
      typeof expires === "number" && meta.grace >= 0 && Array.isArray(tags) &&
      tags.every((tag) => typeof tag === "string") && value !== undefined;
    if (!sound) return undefined;
    textToKey(key);
    return { cache, key, entry: { value, meta } };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError || error instanceof RangeError) {
      return undefined;
    }
    throw error;
  }
}

function valueOf(field: Record<string, unknown>): StoredValue | undefined {
  const { bytes, text, number, numbers, array } = field;
  if (typeof array === "string" && typeof bytes === "string") {
    if (array === "Uint8Array" || !Object.hasOwn(typedArrays, array)) return undefined; // bytes have no array beside them
    return new typedArrays[array](fromBase64(bytes).buffer);
  }
  if (typeof bytes === "string") return fromBase64(bytes);
  if (typeof text === "string") return text;
  if (typeof number === "string") return Number(number);
  return Array.isArray(numbers) ? numbers.map(Number) : undefined;
}
