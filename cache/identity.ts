/**
 * Which function it is, so that what is kept of its results is found again by the same function and by no other: a hash of its source text,
 * of the values that it captures, and of the code of the functions among them.
 *
 * The same function has the same identity in another process, in a worker, and after its file was moved or lines were
 * added elsewhere in it. Functions imported from packages count by name. Variables that the function (or one that it
 * calls) assigns are its state and count by name only; other captured values count as they are when the identity is made.
 * Where captured values cannot be read or written, a `version` given by the program stands for them.
 */
import { concat } from "../runtime/mod.ts";
import { encodeGraph } from "../serialize/encode.ts";
import { UnserializableError } from "../serialize/errors.ts";
import { textOf } from "../serialize/loaded.ts";
import type { CodeFunction } from "../serialize/types.ts";
import { sha256 } from "../serialize/wire.ts";

/** What tells a function apart besides its code. */
export interface IdentityOptions {
  /** Says that results are no longer what they were, though the code is; needed if captured values cannot be written. */
  version?: string | number;
  /** A name in place of the function's own. */
  name?: string;
}

interface Memoized extends IdentityOptions {
  fn: CodeFunction;
}

const memoized = new WeakMap<CodeFunction, Memoized>();

/** Notes that `wrapper` is a memoized form of `fn`: it counts as `fn`, and what it remembers does not ({@linkcode mention}). */
export function noteMemoized(wrapper: CodeFunction, fn: CodeFunction, options: IdentityOptions = {}): void {
  memoized.set(wrapper, { fn, version: options.version, name: options.name });
}

/**
 * The identity of a function: its name and 12 hexadecimal digits that stand for its source text and what it captures.
 * Keys of its results in archives begin with it.
 *
 * @param fn The function; for a memoized one the identity of what was memoized.
 * @param options A version, a name in place of its own.
 * @returns The identity, as in `slow-1a2b3c4d5e6f`.
 * @throws {UnserializableError} If a captured value cannot be written and there is no `version`.
 *
 * @example
 * ```ts
 * import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
 * import { identity } from "@pathos/pathos/cache";
 *
 * const times = (k: number) => (x: number) => x * k;
 * assertEquals(identity(times(2)), identity(times(2)));
 * assertNotEquals(identity(times(2)), identity(times(3)));
 * assertMatch(identity(times), /^times-[0-9a-f]{12}$/);
 * ```
 */
export function identity(fn: CodeFunction, options: IdentityOptions = {}): string {
  const noted = memoized.get(fn);
  const target = noted?.fn ?? fn;
  const name = options.name ?? noted?.name ?? (target.name || "anonymous");
  try {
    return `${name}-${fingerprint(target, options.version ?? noted?.version).slice(0, 12)}`;
  } catch (error) {
    if (!(error instanceof UnserializableError)) throw error;
    throw new UnserializableError(
      error.path,
      `${error.reason}; or give the memoized function a version (version: 1), which then stands for all that it captures`,
    );
  }
}

/** Functions whose fingerprints are being made: a memoized one with a version may mention itself. */
const beingMade: CodeFunction[] = [];

/**
 * Hex SHA-256 of what a function is.
 *
 * @throws {UnserializableError} If a captured value cannot be written and there is no `version`.
 */
export function fingerprint(fn: CodeFunction, version?: string | number): string {
  const noted = memoized.get(fn);
  if (noted) return fingerprint(noted.fn, version ?? noted.version);
  const suffix = version === undefined ? [] : [String(version)];
  beingMade.push(fn);
  try {
    const { body, buffers } = encodeGraph(fn, { essence: true });
    const parts = buffers.map((buffer) => buffer instanceof Uint8Array ? buffer : new Uint8Array(buffer));
    return hash([...suffix, ...parts.map(({ length }) => length)], [body, ...parts]);
  } catch (error) {
    if (version !== undefined && error instanceof UnserializableError) {
      return hash([...suffix, textOf(fn)], []);
    }
    throw error;
  } finally {
    beingMade.pop();
  }
}

/**
 * What stands for a memoized function where another function mentions it: what was memoized, or with a version the
 * fingerprint of that.
 */
export function mention(wrapper: CodeFunction): unknown {
  const { fn, version } = memoized.get(wrapper)!;
  if (version === undefined) return fn;
  const at = beingMade.lastIndexOf(fn);
  return at < 0 ? fingerprint(fn, version) : beingMade.length - at;
}

function hash(head: unknown[], parts: Uint8Array[]): string {
  return sha256(concat([new TextEncoder().encode(JSON.stringify(head)), ...parts]));
}
