/**
 * Words for a POSIX shell. ssh joins its arguments with spaces and the shell on the host takes them apart
 * again; a quoted word comes out of that as it went in, whatever is in it: spaces, quotes, `$`, line ends,
 * nothing at all. A NUL character cannot be in an argument of any program and is refused.
 */

/**
 * Quotes a word, or the words of a command, for a POSIX `sh`.
 *
 * @throws {TypeError} If a word has a NUL character in it.
 *
 * @example
 * ```ts
 * import { quote } from "@pathos/pathos/ssh";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(quote("it's"), `'it'\\''s'`);
 * assertEquals(quote(["ls", "-l", "my file", ""]), "ls -l 'my file' ''");
 * ```
 */
export function quote(words: string | readonly string[]): string {
  return typeof words === "string" ? quoteWord(words) : words.map(quoteWord).join(" ");
}

function quoteWord(word: string): string {
  if (word.includes("\0")) {
    throw new TypeError(`${JSON.stringify(word)} has a NUL character in it, which no argument can`);
  }
  // an "=" would make a first word an assignment, "~" and "%" mean something to some shells
  return /^[A-Za-z0-9_@+,./-]+(:[A-Za-z0-9_@+,./-]+)*$/.test(word)
    ? word
    : `'${word.replaceAll("'", `'\\''`)}'`;
}
