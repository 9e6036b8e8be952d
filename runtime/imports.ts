/**
 * `import()` as another module would do it: relative specifiers and package names mean what they mean there.
 */
import { builtin } from "./host.ts";

interface Vm {
  Script: new (code: string, options: Record<string, unknown>) => { runInThisContext(): unknown };
  constants?: { USE_MAIN_CONTEXT_DEFAULT_LOADER?: symbol };
}

const importers = new Map<string, (specifier: string) => Promise<object>>();

/**
 * Imports a module as if the call stood in the module at `base` (a `file:` URL; anything else means that the
 * specifier must stand for itself).
 *
 * @throws {Error} What `import()` rejects with.
 */
export function importFrom(specifier: string, base: string): Promise<object> {
  let importer = importers.get(base);
  if (!importer) {
    const { Script, constants } = builtin<Vm>("node:vm");
    importer = withoutWarnings(() =>
      new Script("(specifier) => import(specifier)", {
        filename: base,
        importModuleDynamically: constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER,
      })
    ).runInThisContext() as (specifier: string) => Promise<object>;
    importers.set(base, importer);
  }
  return importer(specifier);
}

/** Node 20 warns that the constant is experimental, once in every worker; users can do nothing about it. */
function withoutWarnings<T>(make: () => T): T {
  const process = builtin<{ emitWarning: unknown }>("node:process");
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return make();
  } finally {
    process.emitWarning = emitWarning;
  }
}
