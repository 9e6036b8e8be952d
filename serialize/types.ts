/**
 * Types that several files of this folder share.
 */

/** Any function or class. */
// deno-lint-ignore ban-types
export type CodeFunction = Function;
