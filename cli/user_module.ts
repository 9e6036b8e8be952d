/**
 * The user's modules, named on the command line as `./work.ts:analyse`: file, colon, export.
 */
import { builtin, fileKind } from "../runtime/mod.ts";
import { UsageError } from "./flags.ts";
import { didYouMean } from "./nearest.ts";

/** An export of a user's module. */
export interface UserExport {
  /** URL of the module. */
  url: string;
  /** Name of the export. */
  name: string;
  value: unknown;
}

/** Splits `FILE:EXPORT`; without `:EXPORT` the name is undefined. Not the name of a module: undefined. */
export function splitExport(spec: string): { path: string; name: string | undefined } | undefined {
  const [, path, name] = /^(.+\.[cm]?[jt]sx?)(?::([\p{L}_$][\p{L}\p{N}_$]*))?$/u.exec(spec) ?? [];
  return path === undefined ? undefined : { path, name };
}

/**
 * Imports a module of the user and takes an export out of it.
 *
 * @throws {UsageError} If there is no such file or export, or the module fails.
 */
export async function loadExport(path: string, name: string): Promise<UserExport> {
  if (fileKind(path) !== "file") throw new UsageError(`there is no file ${path}`);
  const { resolve } = builtin<{ resolve(path: string): string }>("node:path");
  const { pathToFileURL } = builtin<{ pathToFileURL(path: string): URL }>("node:url");
  const url = pathToFileURL(resolve(path)).href;
  let module: Record<string, unknown>;
  try {
    module = await import(url);
  } catch (error) {
    throw new UsageError(`cannot load ${path}: ${explain(error)}`, { cause: error });
  }
  if (!(name in module)) {
    const names = Object.keys(module);
    const there = names.length === 0 ? "it exports nothing" : `it exports ${names.join(", ")}`;
    const missing = name === "default" ? "default export (name one: FILE:EXPORT)" : `export ${name}`;
    throw new UsageError(`${path} has no ${missing}; ${there}${didYouMean(name, names)}`);
  }
  return { url, name, value: module[name] };
}

function explain(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return code === "ERR_UNKNOWN_FILE_EXTENSION"
    ? "Node cannot run TypeScript files: compile it to JavaScript, or run pathos with Deno"
    : message ?? String(error);
}
