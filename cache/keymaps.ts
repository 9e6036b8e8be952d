/**
 * Keymaps: from the arguments of a call to its key in an archive.
 *
 * `keymap()` keeps the arguments themselves, `stringmap()` makes a readable text of them, `hashmap()` a hash of that text, and
 * `picklemap()` serializes them. One after another with `then`. A keymap only says how a key is made: which arguments
 * count and how far they are rounded is settled before (keyer.ts).
 */
import { builtin, toBase64 } from "../runtime/mod.ts";
import { stepText } from "../serialize/encode.ts";
import { dumps } from "../serialize/dumps.ts";
import { canonical } from "./canonical.ts";
import type { ArchiveKey } from "./types.ts";
import { UnkeyableError } from "./unkeyable.ts";

/** What all keymaps have in common. */
export interface KeymapOptions {
  /**
   * Tells -0 from 0, boxed primitives from primitives, and objects without prototype from ordinary ones. `keymap` adds the
   * types of the arguments. Numbers, strings and bigints are never equal. Default false.
   */
  typed?: boolean;
  /**
   * True (default): a key is the list of arguments, in order. False: arguments go by the names of their parameters, so that the key is
   * `[rest, { name: value }]`, and remains the same when parameters change places.
   */
  flat?: boolean;
  /** With `flat`: what stands between the arguments and what goes by name (`this`). Default: `"\u001f"`. */
  sentinel?: ArchiveKey;
}

/** Makes keys of arguments. */
export interface Keymap {
  /**
   * The key of a call.
   *
   * @param args The arguments.
   * @param named What goes by name.
   * @returns The key.
   * @throws {UnkeyableError} If an argument has no key.
   */
  (args: readonly unknown[], named?: Readonly<Record<string, unknown>>): ArchiveKey;
  /** Whether it tells -0 from 0, and so on. */
  readonly typed: boolean;
  /** Whether arguments go by position rather than by name. */
  readonly flat: boolean;
  /** The keymap that comes first, in one that `then` made. */
  readonly inner?: Keymap;
  /** The keymap that comes second. */
  readonly outer?: Keymap;
  /** This keymap, and then another one, which takes this one's key as its only argument. */
  then(next: Keymap): Keymap;
}

/** What makes a key of the list or pair that the arguments were put into. */
type Encode = (call: readonly unknown[], typed: boolean) => ArchiveKey;

/** What keymaps inherit, so that it can be said once how they travel (keymap_travel.ts). */
export const keymapPrototype: object = Object.create(Function.prototype);

/** How a keymap was made: by which functions of this file, one after another. */
export type Recipe = readonly (readonly [kind: keyof typeof makers, options: KeymapOptions])[];

const recipes = new WeakMap<object, Recipe>();

/** Whether it is a keymap of this file, whose keys are equal where the canonical texts of the arguments are. */
export function isKeymap(value: unknown): value is Keymap {
  return typeof value === "function" && recipes.has(value);
}

function newKeymap(kind: keyof typeof makers, encode: Encode, options: KeymapOptions): Keymap {
  const { typed = false, flat = true } = options;
  const sentinel = "sentinel" in options ? options.sentinel : "\u001f";
  return finish((args, named) => encode(arranged(args, named, flat, sentinel), typed), { typed, flat }, [
    [kind, options],
  ]);
}

function finish(
  make: (args: readonly unknown[], named?: Readonly<Record<string, unknown>>) => ArchiveKey,
  facts: { typed: boolean; flat: boolean; inner?: Keymap; outer?: Keymap },
  recipe: Recipe,
): Keymap {
  const made: Keymap = Object.assign(Object.setPrototypeOf(make, keymapPrototype), {
    ...facts,
    then(next: Keymap): Keymap {
      // Promises call `then` too, with a function: answering it would never end.
      if (!isKeymap(next)) {
        throw new TypeError(
          "then() of a keymap takes another keymap, as in keymap().then(stringmap()); a keymap cannot be awaited, " +
            "nor be what an async function returns",
        );
      }
      return finish((args, named) => next([made(args, named)]), { ...facts, inner: made, outer: next }, [
        ...recipe,
        ...recipes.get(next)!,
      ]);
    },
  });
  recipes.set(made, recipe);
  return made;
}

function arranged(
  args: readonly unknown[],
  named: Readonly<Record<string, unknown>> | undefined,
  flat: boolean,
  sentinel: ArchiveKey,
): readonly unknown[] {
  if (!flat) return [args, named ?? {}];
  const names = named ? Object.keys(named).sort() : [];
  return names.length === 0 ? args : [...args, sentinel, ...names.flatMap((name) => [name, named![name]])];
}

/**
 * A keymap that keeps the arguments themselves: a lone string, number, bigint, boolean or null is the key, others are in an array.
 *
 * @param options Types, names, sentinel.
 * @returns The keymap. It throws `UnkeyableError` for arguments that are no {@linkcode ArchiveKey}.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { keymap } from "@pathos/pathos/cache";
 *
 * assertEquals(keymap()(["a"]), "a");
 * assertEquals(keymap()([1, { x: 2 }]), [1, { x: 2 }]);
 * ```
 */
export function keymap(options: KeymapOptions = {}): Keymap {
  return newKeymap("keymap", (call, typed) => {
    call.forEach((part, i) => checkKey(part, `args[${i}]`));
    const key = call as readonly ArchiveKey[];
    if (typed) return [...key, call.map(typeName)];
    const [only] = key;
    return options.flat !== false && key.length === 1 && (typeof only !== "object" || only === null)
      ? only
      : key;
  }, options);
}

function typeName(value: unknown): string {
  return typeof value !== "object" || value === null
    ? Object.is(value, -0) ? "-0" : typeof value
    : Object.getPrototypeOf(value)?.constructor?.name ?? "null";
}

function checkKey(value: unknown, path: string, depth = 0): void {
  if (typeof value === "function" || typeof value === "symbol") throw unfit(path, `a ${typeof value}`);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array || value instanceof Date) {
    return;
  }
  // The archives say how deep is too deep; this keeps a cycle from being followed for ever.
  if (depth > 1_000) throw unfit(path.slice(0, 40) + "…", "nested without an end");
  if (Array.isArray(value)) return value.forEach((item, i) => checkKey(item, `${path}[${i}]`, depth + 1));
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype) {
    throw unfit(path, `an instance of ${prototype.constructor?.name || "a class"}`);
  }
  for (const [name, item] of Object.entries(value)) checkKey(item, path + stepText(name), depth + 1);
}

function unfit(path: string, what: string): UnkeyableError {
  return new UnkeyableError(
    path,
    `is ${what}, which no archive takes as a key: use hashmap(), or leave it out with ignore`,
  );
}

/** Options of {@linkcode hashmap}. */
export interface HashmapOptions extends KeymapOptions {
  /** Name of a hash that `node:crypto` knows, such as `"sha256"` (default), `"sha1"`, `"md5"` or `"blake2b512"`. */
  algorithm?: string;
}

/**
 * A keymap that makes a hash of the arguments' canonical text: short keys for arguments of any type and size.
 *
 * @param options The algorithm; types, names, sentinel.
 * @returns The keymap; its keys are hexadecimal.
 * @throws {TypeError} If the algorithm is not known here.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { hashmap } from "@pathos/pathos/cache";
 *
 * const key = hashmap({ algorithm: "md5" });
 * assertEquals(key([new Set([1, 2])]), key([new Set([2, 1])]));
 * assertEquals(key([1]), "35dba5d75538a9bbe0b4da4422759a0e");
 * ```
 */
export function hashmap(options: HashmapOptions = {}): Keymap {
  const { algorithm = "sha256" } = options;
  digest("", algorithm);
  return newKeymap("hashmap", (call, typed) => digest(canonical(call, { typed }), algorithm), options);
}

interface Crypto {
  createHash(name: string): { update(text: string): { digest(encoding: "hex"): string } };
  getHashes(): string[];
}

/**
 * The hash of a text, taken as UTF-8.
 *
 * @param text The text.
 * @param algorithm Name of a hash that `node:crypto` knows. Default `"sha256"`.
 * @returns Hexadecimal digits.
 * @throws {TypeError} If the algorithm is not known here.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { digest } from "@pathos/pathos/cache";
 *
 * assertEquals(digest("abc", "md5"), "900150983cd24fb0d6963f7d28e17f72");
 * ```
 */
export function digest(text: string, algorithm = "sha256"): string {
  const { createHash, getHashes } = builtin<Crypto>("node:crypto");
  let hash: ReturnType<Crypto["createHash"]>;
  try {
    hash = createHash(algorithm);
  } catch (error) {
    const some = ["sha256", "sha512", "sha1", "md5", "blake2b512"].filter((name) =>
      getHashes().includes(name)
    );
    throw new TypeError(
      `there is no hash algorithm ${JSON.stringify(algorithm)} here: take ${
        some.join(", ")
      } or another of the ` +
        `${getHashes().length} that getHashes() of node:crypto lists`,
      { cause: error },
    );
  }
  return hash.update(text).digest("hex");
}

/** Options of {@linkcode stringmap}. */
export interface StringmapOptions extends KeymapOptions {
  /** How the text is written: as it is (`"text"`, default), or its UTF-8 bytes in hexadecimal or base64. */
  encoding?: "text" | "hex" | "base64";
}

/**
 * A keymap that makes a readable text of the arguments ({@linkcode canonical}).
 *
 * @param options The encoding; types, names, sentinel.
 * @returns The keymap.
 * @throws {TypeError} If there is no such encoding.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { keymap, stringmap } from "@pathos/pathos/cache";
 *
 * assertEquals(stringmap()(["a", 1n, { y: 1, x: null }]), '["a",1n,{"x":null,"y":1}]');
 * assertEquals(keymap().then(stringmap())(["a"]), '["a"]');
 * ```
 */
export function stringmap(options: StringmapOptions = {}): Keymap {
  const { encoding = "text" } = options;
  const write = encodings[encoding];
  if (!Object.hasOwn(encodings, encoding)) {
    throw new TypeError(
      `there is no encoding ${JSON.stringify(encoding)}: take ${Object.keys(encodings).join(", ")}`,
    );
  }
  return newKeymap("stringmap", (call, typed) => write(canonical(call, { typed })), options);
}

const encodings: Readonly<Record<string, (text: string) => string>> = {
  text: (text) => text,
  hex: (text) =>
    Array.from(new TextEncoder().encode(text), (byte) => byte.toString(16).padStart(2, "0")).join(""),
  base64: (text) => toBase64(new TextEncoder().encode(text)),
};

/** Options of {@linkcode picklemap}. */
export interface PicklemapOptions extends KeymapOptions {
  /**
   * `"pathos"` (default) takes what `dumps` takes and gives bytes; `"json"` takes what JSON keeps as it is and gives text; or a
   * function that makes a key of the list of arguments.
   */
  serializer?: "pathos" | "json" | ((call: readonly unknown[]) => ArchiveKey);
}

/**
 * A keymap that serializes the arguments. Unlike in other keymaps, the order in which properties and entries were added counts.
 *
 * @param options The serializer; types, names, sentinel.
 * @returns The keymap.
 * @throws {TypeError} If there is no such serializer.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { picklemap } from "@pathos/pathos/cache";
 *
 * assertEquals(picklemap({ serializer: "json" })(["a", { x: 1 }]), '["a",{"x":1}]');
 * assertEquals(picklemap()(["a"]) instanceof Uint8Array, true);
 * ```
 */
export function picklemap(options: PicklemapOptions = {}): Keymap {
  const { serializer = "pathos" } = options;
  const write = typeof serializer === "function"
    ? serializer
    : serializer === "pathos"
    ? (call: readonly unknown[]) => dumps(call)
    : serializer === "json"
    ? json
    : undefined;
  if (!write) {
    throw new TypeError(
      `there is no serializer ${JSON.stringify(serializer)}: take pathos, json or a function`,
    );
  }
  return newKeymap("picklemap", (call) => write(call), options);
}

/** JSON of what comes back from it unchanged: Maps, for one, would all have the same. */
function json(call: readonly unknown[]): string {
  return JSON.stringify(call, function (this: Record<string, unknown>, name, shown: unknown) {
    const value = this[name];
    const keeps = typeof value === "object"
      ? value === null || Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype
      : typeof value === "string" || typeof value === "boolean" || Number.isFinite(value);
    if (keeps && value === shown) return value;
    throw new UnkeyableError(
      name === "" ? "args" : `args: … ${stepText(name)}`,
      "is something that JSON does not keep: use picklemap() or hashmap()",
    );
  });
}

const makers = { keymap, hashmap, stringmap, picklemap };

/** How a keymap was made. */
export function recipeOf(map: Keymap): Recipe {
  return recipes.get(map)!;
}

/** The keymap that is made so. */
export function followRecipe(recipe: Recipe): Keymap {
  return recipe.map(([kind, options]) => makers[kind](options)).reduce((first, next) => first.then(next));
}
