/**
 * Commands for a shell behind a shell.
 */

/**
 * A command line with a backslash before what the first of two shells would act on: quotes, `$`, backticks, parentheses and
 * backslashes. It reaches the second shell, at the other end of `ssh host COMMAND`, as it is written; spaces, pipes and patterns are
 * left to both, as in pox, which leaves out backticks and backslashes.
 *
 * For single words and argument lists `quote` of `@pathos/pathos/ssh` is exact, and `execute` there needs no quoting at all.
 *
 * @example
 * ```ts
 * import { shellsub } from "@pathos/pathos/fs";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(shellsub('echo "$HOME"'), 'echo \\"\\$HOME\\"');
 * ```
 */
export function shellsub(command: string): string {
  return command.replace(/['"$`()\\]/g, "\\$&");
}
