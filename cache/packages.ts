/**
 * npm packages that are loaded when they are first needed, by name. A worker runs a script that has no packages around it: it is told
 * where the program that sent the script has them.
 */
import { importFrom } from "../runtime/mod.ts";

const TOLD = Symbol.for("pathos.packages");

interface Global {
  [TOLD]?: Record<string, string>;
}

/** Says where a package is, for {@linkcode importPackage}. */
export function tellPackage(name: string, url: string): void {
  ((globalThis as Global)[TOLD] ??= {})[name] = url;
}

/** Where a package is; undefined if nobody knows without loading it. */
export function packageUrl(name: string, here: () => string): string | undefined {
  const told = (globalThis as Global)[TOLD]?.[name];
  if (told !== undefined) return told;
  try {
    return here();
  } catch {
    return undefined; // not installed: who needs it is told when it is loaded
  }
}

/** Loads a package: from where this program was told that it is, or by `here`, an `import()` of its name. */
export function importPackage<T>(name: string, here: () => Promise<T>): Promise<T> {
  const told = (globalThis as Global)[TOLD]?.[name];
  return told === undefined ? here() : importFrom(told, told) as Promise<T>;
}
