/**
 * Replacements in text files.
 */
import { readText, writeBytes } from "./text_file.ts";

/** What is put in place of what: by regular expression, as text or {@linkcode RegExp}. */
export type Replacements = Readonly<Record<string, string>> | Iterable<readonly [string | RegExp, string]>;

/** Options of {@linkcode replace}. */
export interface ReplaceOptions {
  /** Where the new text goes. Default: into the file itself. */
  outfile?: string;
}

/**
 * Replaces text in a file everywhere, by regular expressions, one after the other in the order in which they are listed (each
 * sees what those before it left). In the new text `$1` stands for the first group and `$&` for all that was found, `$$` for a
 * dollar sign; pox has `\1`. The file, UTF-8, is written whole or not at all, keeps its mode, and is not touched when nothing
 * changes.
 *
 * @param sub Pairs of old and new: an object, a `Map`, a list.
 * @returns Whether the text changed.
 * @throws {SyntaxError} If one is no regular expression.
 * @throws {TypeError} If the file is not UTF-8.
 * @throws {Error} The system's, if it cannot be read or written.
 *
 * @example
 * ```ts
 * import { replace } from "@pathos/pathos/fs";
 * import { assertEquals } from "@std/assert";
 *
 * const file = await Deno.makeTempFile();
 * await Deno.writeTextFile(file, "x = 1\ny = 2\n");
 * await replace(file, { "(\\w) = ": "$1: ", "2": "3" });
 * assertEquals(await Deno.readTextFile(file), "x: 1\ny: 3\n");
 * await Deno.remove(file);
 * ```
 */
// deno-lint-ignore require-await -- errors of the system are rejections
export async function replace(
  file: string,
  sub: Replacements,
  { outfile = file }: ReplaceOptions = {},
): Promise<boolean> {
  const pairs = Symbol.iterator in sub
    ? [...sub as Iterable<readonly [string | RegExp, string]>]
    : Object.entries(sub);
  const rules = pairs.map(([old, text]) => [everywhere(old), text] as const);
  const before = readText(file);
  const after = rules.reduce((text, [old, replacement]) => text.replace(old, replacement), before);
  if (after !== before || outfile !== file) writeBytes(outfile, new TextEncoder().encode(after));
  return after !== before;
}

function everywhere(old: string | RegExp): RegExp {
  if (typeof old === "string") return new RegExp(old, "gu");
  return old.global ? old : new RegExp(old, `${old.flags}g`);
}
