// Stand-in for JSR's @std/yaml, for machines that cannot reach JSR: `parse` and `stringify` with the original's names,
// thin over npm:js-yaml, which the original descends from. It does not offer the original's custom schemas.
import { dump, loadAll } from "js-yaml";

/** The options of {@linkcode parse} that this project relies on. */
export interface ParseOptions {
  /** Let the last of several equal keys win instead of throwing. Default: false. */
  allowDuplicateKeys?: boolean;
}

/** The options of {@linkcode stringify} that this project relies on. */
export interface StringifyOptions {
  /** Spaces of one level. Default: 2. */
  indent?: number;
  /** Longest line before a string is folded. Default: 80. */
  lineWidth?: number;
  /** Sort the keys of mappings. Default: false. */
  sortKeys?: boolean;
}

/** Parses one YAML document, null if there is none; throws `SyntaxError` when it is not one. */
export function parse(content: string, options: ParseOptions = {}): unknown {
  let documents: unknown[];
  try {
    documents = loadAll(content, { json: options.allowDuplicateKeys ?? false });
  } catch (error) {
    throw new SyntaxError((error as Error).message, { cause: error });
  }
  if (documents.length > 1) throw new SyntaxError("there is more than one document");
  return documents.length === 0 ? null : documents[0];
}

/** Writes a value as one YAML document. */
export function stringify(data: unknown, options: StringifyOptions = {}): string {
  return dump(data, {
    indent: options.indent ?? 2,
    lineWidth: options.lineWidth ?? 80,
    sortKeys: options.sortKeys ?? false,
  });
}
