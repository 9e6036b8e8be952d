/**
 * Code as if it stood in another module: `import()` means what it means there, and stack frames name its file.
 */
import { builtin, runtimeName } from "./host.ts";

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
    const { Script } = builtin<Vm>("node:vm");
    importer = new Script("(specifier) => import(specifier)", {
      filename: base,
      importModuleDynamically: mainLoader(),
    }).runInThisContext() as (specifier: string) => Promise<object>;
    importers.set(base, importer);
  }
  return importer(specifier);
}

let loader: { option: symbol | undefined } | undefined;

/** The option `importModuleDynamically` with which the code of a `vm.Script` imports as modules do. */
export function mainLoader(): symbol | undefined {
  if (loader) return loader.option;
  const { Script, constants } = builtin<Vm>("node:vm");
  const option = constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER;
  loader = { option };
  if (runtimeName === "node" && option !== undefined) {
    // Node 20 warns at the first such import, in every worker, that the option is experimental. Here it does so unheard.
    const process = builtin<{ emitWarning: unknown }>("node:process");
    const { emitWarning } = process;
    process.emitWarning = () => {};
    try {
      new Script('import("node:path")', { importModuleDynamically: option }).runInThisContext();
    } finally {
      process.emitWarning = emitWarning;
    }
  }
  return option;
}

/**
 * Runs a script and returns its value. Its frames name `url` and count lines from `line` (0 for the first).
 * Where it may import, relative specifiers are those of the module at `url`.
 */
export function runScript(source: string, url: string, line: number, mayImport: boolean): unknown {
  // Plain eval spares a Deno thread the setting up of the Node layer; its frames read `(url, <anonymous>:line:column)`.
  if (inDenoThread() && !mayImport && line >= 0) {
    return (0, eval)(`${"\n".repeat(line)}${source}\n//# sourceURL=${url}`);
  }
  const { Script } = builtin<Vm>("node:vm");
  return new Script(source, {
    filename: url,
    lineOffset: line,
    ...(mayImport ? { importModuleDynamically: mainLoader() } : {}),
  }).runInThisContext();
}

function inDenoThread(): boolean {
  return runtimeName === "deno" && "DedicatedWorkerGlobalScope" in globalThis;
}
