/**
 * References to what modules export: how they are recognised when a function is written, and found again when it is
 * loaded.
 *
 * Packages and built-in modules are referred to; a program's own files are written by value unless the receiver is known to
 * find them. The entry module is never referred to, since importing it would run it again.
 */
import { builtin, importFrom, mainModule } from "../runtime/mod.ts";
import { scriptSource, scriptUrl } from "./inspector.ts";
import { type ModuleSyntax, moduleSyntax } from "./syntax.ts";

/** A binding of a module: `import { name } from specifier`, written in the module `base`. */
export interface ModuleRef {
  /** URL of the module that imports. */
  base: string;
  /** The specifier as written there. */
  specifier: string;
  /** Name of the export, or `*` for the module namespace object. */
  name: string;
}

const sources = new Map<string, ModuleSyntax>();
const namespaces = new Map<string, object>();
const resolved = new WeakMap<object, ModuleRef>();
/** Values that were written as references here: in the same program they need not be looked up. */
const written = new Map<string, unknown>();

/** Imports of the module that a script is, under their local names. */
export function importsOfScript(scriptId: string): ModuleSyntax["imports"] {
  let known = sources.get(scriptId);
  if (!known) {
    try {
      known = moduleSyntax(scriptSource(scriptId));
    } catch {
      known = { imports: new Map() };
    }
    sources.set(scriptId, known);
  }
  return known.imports;
}

/** Whether a specifier names a package or a built-in module rather than a file of the program. */
export function isPackage(specifier: string): boolean {
  return !/^(\.{0,2}\/|file:)/.test(specifier);
}

/** The default rule: packages and built-in modules by reference. */
export function packagesOnly(ref: ModuleRef): boolean {
  return isPackage(ref.specifier);
}

/** Whether a reference leads to the entry module of this program. */
export function isEntry(ref: ModuleRef): boolean {
  return absolute(ref) === mainModule();
}

/** URL of the module that a script is. */
export function moduleUrl(scriptId: string): string {
  return scriptUrl(scriptId);
}

function absolute(ref: ModuleRef): string {
  return isPackage(ref.specifier)
    ? ref.specifier
    : URL.canParse(ref.specifier, ref.base)
    ? new URL(ref.specifier, ref.base).href
    : ref.specifier;
}

/** Where a namespace is kept: packages may resolve differently from different folders. */
function cacheKey(ref: ModuleRef): string {
  return isPackage(ref.specifier) && !/^[a-z]+:/.test(ref.specifier)
    ? `${ref.base} ${ref.specifier}`
    : absolute(ref);
}

/** Notes the value for which a reference was written. */
export function noteReference(ref: ModuleRef, value: unknown): void {
  written.set(`${cacheKey(ref)} ${ref.name}`, value);
}

/** The reference through which a value was loaded here. */
export function referenceOf(value: object): ModuleRef | undefined {
  return resolved.get(value);
}

/** The built-in module that exports a value whose script belongs to the runtime. */
export function builtinExport(value: unknown): ModuleRef | undefined {
  if (value === undefined || value === null) return undefined;
  const names = builtin<{ builtinModules: string[] }>("node:module").builtinModules;
  for (const name of names) {
    if (/^_|\/|^(sys|punycode|wasi|repl|inspector|trace_events|cluster|domain)$/.test(name)) continue;
    let exports: Record<string, unknown>;
    try {
      exports = builtin<Record<string, unknown>>(`node:${name}`);
    } catch {
      continue;
    }
    if (exports === value) return { base: "", specifier: `node:${name}`, name: "default" };
    for (const key of Object.keys(exports)) {
      const d = Object.getOwnPropertyDescriptor(exports, key);
      if (d && d.value === value) return { base: "", specifier: `node:${name}`, name: key };
    }
  }
  return undefined;
}

/**
 * Imports every module named and keeps it for `loads` and `loadCode`, which are synchronous.
 *
 * @throws {Error} If a module cannot be imported.
 */
export async function preloadImports(refs: readonly ModuleRef[]): Promise<void> {
  for (const ref of refs) {
    const key = cacheKey(ref);
    if (namespaces.has(key)) continue;
    try {
      namespaces.set(key, await importModule(ref));
    } catch (error) {
      throw new Error(
        `cannot import ${JSON.stringify(ref.specifier)}, which the code written in ${
          ref.base || "?"
        } uses: ` +
          `${(error as Error)?.message ?? error}`,
        { cause: error },
      );
    }
  }
}

async function importModule(ref: ModuleRef): Promise<object> {
  if (ref.specifier.startsWith("node:")) return builtin<object>(ref.specifier);
  return await importFrom(absolute(ref), ref.base);
}

interface Require {
  (specifier: string): unknown;
  resolve(specifier: string): string;
}

/** `require` as seen from a module. */
export function requireFrom(base: string): Require {
  return builtin<{ createRequire(base: string): Require }>("node:module")
    .createRequire(/^file:/.test(base) ? base : "file:///");
}

/**
 * The value that a reference leads to.
 *
 * @throws {Error} If the module is not loaded and cannot be loaded synchronously, or lacks the export.
 */
export function resolveReference(ref: ModuleRef): unknown {
  const here = written.get(`${cacheKey(ref)} ${ref.name}`);
  if (here !== undefined) return here;
  const namespace = namespaceOf(ref);
  let value: unknown = namespace;
  if (ref.name !== "*") {
    value = (namespace as Record<string, unknown>)[ref.name];
    if (value === undefined && ref.name === "default" && !(ref.name in namespace)) value = namespace;
    if (value === undefined) {
      throw new Error(`the module ${JSON.stringify(ref.specifier)} has no export ${ref.name} here`);
    }
  }
  if ((typeof value === "object" && value !== null) || typeof value === "function") resolved.set(value, ref);
  return value;
}

function namespaceOf(ref: ModuleRef): object {
  const known = namespaces.get(cacheKey(ref));
  if (known) return known;
  try {
    return ref.specifier.startsWith("node:")
      ? builtin<object>(ref.specifier)
      : requireFrom(ref.base)(isPackage(ref.specifier) ? ref.specifier : filePath(absolute(ref))) as object;
  } catch (error) {
    throw new Error(
      `the module ${JSON.stringify(ref.specifier)} (imported in ${
        ref.base || "?"
      }) cannot be loaded synchronously here: ` +
        `await preload(bytes) before loads(bytes). ${(error as Error)?.message ?? error}`,
      { cause: error },
    );
  }
}

function filePath(url: string): string {
  return builtin<{ fileURLToPath(url: string): string }>("node:url").fileURLToPath(url);
}
