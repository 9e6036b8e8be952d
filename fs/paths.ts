/**
 * Paths as text, written as the system that this runs on writes them.
 */
import { builtin } from "../runtime/mod.ts";

/** What of the runtime's own functions for paths is used here. */
export interface PathText {
  readonly sep: string;
  readonly delimiter: string;
  resolve(...parts: string[]): string;
  join(...parts: string[]): string;
  normalize(path: string): string;
  dirname(path: string): string;
  basename(path: string): string;
  parse(path: string): { root: string };
}

/** The runtime's own functions for paths. */
export function pathText(): PathText {
  return builtin<PathText>("node:path");
}

/** What names in a folder are appended to. */
export function prefixOf(folder: string): string {
  const { sep } = pathText();
  if (folder === ".") return "";
  return folder.endsWith(sep) ? folder : folder + sep;
}
