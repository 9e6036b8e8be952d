/**
 * Patterns for names as one text.
 */

/**
 * Joins patterns to one text, as {@linkcode find} and {@linkcode walk} take it.
 *
 * @param separator Default: `";"`.
 *
 * @example
 * ```ts
 * import { pattern } from "@pathos/pathos/fs";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(pattern(["*.csv", "data?"]), "*.csv;data?");
 * assertEquals(pattern(), "");
 * ```
 */
export function pattern(list: Iterable<string> = [], separator = ";"): string {
  return [...list].join(separator);
}
