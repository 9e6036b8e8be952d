/**
 * Builds the npm package in `dist-npm/`: JavaScript lowered to Node 20, declarations beside it in `types/`, a
 * `package.json` derived from `deno.json`, and the tarball. Dependencies are the `npm:` imports that the output really
 * has, with the ranges of `deno.json`; `@std/...` is bundled in. Nothing is published.
 *
 * @module
 */
import type * as esbuild from "esbuild";
import ts from "typescript";
import { bundle, denoJson, splitName } from "./esbuild.ts";
import { must, ROOT } from "./process.ts";

const NODE = ">=20.16";
/** Calls flock(2) where Node cannot (runtime/disk_file.ts). Without it the program flock does, slowly. */
const OPTIONAL = { koffi: "^3.3.0" };

/** Builds the package into `folder` (default `dist-npm/`) and gives the path of its tarball. */
export async function buildPackage(folder: string = `${ROOT}/dist-npm`): Promise<string> {
  await Deno.remove(folder, { recursive: true }).catch(() => {});
  await Deno.mkdir(folder, { recursive: true });
  const { outputs } = await buildScripts(folder);
  buildTypes(folder);
  await Deno.writeTextFile(`${folder}/package.json`, JSON.stringify(manifest(outputs), null, 2) + "\n");
  for (const name of ["LICENSE", "README.md", "CHANGELOG.md"]) {
    await Deno.copyFile(`${ROOT}/${name}`, `${folder}/${name}`).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }
  const [{ filename }] = JSON.parse(await must("npm", ["pack", "--json"], { cwd: folder }));
  return `${folder}/${filename}`;
}

/** `"./serialize/mod.ts"` is `"serialize/mod"`. */
function stem(path: string): string {
  return path.replace(/^\.\//, "").replace(/\.ts$/, "");
}

async function buildScripts(folder: string): Promise<esbuild.Metafile> {
  const { exports, imports = {} } = denoJson();
  const entries = Object.values(exports);
  const { outputFiles, metafile } = await bundle({
    entryPoints: Object.fromEntries(entries.map((path) => [stem(path), `${ROOT}/${stem(path)}.ts`])),
    outdir: folder,
    chunkNames: "chunks/[name]-[hash]",
    splitting: true,
    platform: "node",
    target: "node20.16",
    sourcemap: false,
    // CommonJS packages that are bundled in ask for builtins by require()
    banner: { js: 'import { createRequire as _r } from "node:module"; const require = _r(import.meta.url);' },
  }, (specifier) => imports[specifier]?.startsWith("npm:") ?? false);
  for (const { path, text } of outputFiles) {
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    const command = path === `${folder}/cli.js`;
    await Deno.writeTextFile(path, command ? `#!/usr/bin/env node\n${text.replace(/^#!.*\n/, "")}` : text);
    if (command) await Deno.chmod(path, 0o755);
  }
  return metafile;
}

function manifest(outputs: esbuild.Metafile["outputs"]): Record<string, unknown> {
  const { name, version, license, exports } = denoJson();
  const entries = Object.entries(exports).filter(([key]) => key !== "./cli");
  return {
    name,
    version,
    description: "Map a closure over every core: threads, processes, and functions as bytes",
    license,
    type: "module",
    engines: { node: NODE },
    exports: {
      ...Object.fromEntries(
        entries.map(([key, path]) => [key, {
          types: `./types/${stem(path)}.d.ts`,
          default: `./${stem(path)}.js`,
        }]),
      ),
      "./package.json": "./package.json",
    },
    bin: { pathos: "cli.js" },
    files: ["**/*.js", "types/**/*.d.ts", "CHANGELOG.md"],
    dependencies: dependencies(outputs),
    optionalDependencies: OPTIONAL,
  };
}

/** The packages that the output imports, with their ranges. */
function dependencies(outputs: esbuild.Metafile["outputs"]): Record<string, string> {
  const { imports = {} } = denoJson();
  const found: Record<string, string> = {};
  for (const { path, external } of Object.values(outputs).flatMap((output) => output.imports)) {
    if (!external || !imports[path]?.startsWith("npm:")) continue;
    const [name] = splitName(path);
    const [, range] = /^npm:(?:@[^/]+\/)?[^@/]+@([^/]+)/.exec(imports[path]) ?? [];
    if (!range) throw new Error(`deno.json imports ${path} as ${imports[path]}: a version range is needed`);
    found[name] = range;
  }
  return Object.fromEntries(Object.entries(found).sort());
}

/** Writes the declarations that TypeScript derives from the sources of every export. */
function buildTypes(folder: string): void {
  const { exports, imports = {} } = denoJson();
  const paths: Record<string, string[]> = {};
  for (const [key, target] of Object.entries(imports)) {
    if (target.startsWith("npm:")) paths[key] = [new URL(import.meta.resolve(target)).pathname];
    else if (target.startsWith("jsr:")) paths[key] = [`${ROOT}/tests/std/${key.replace("@std/", "")}/mod.ts`];
  }
  const program = ts.createProgram(Object.values(exports).map((path) => `${ROOT}/${stem(path)}.ts`), {
    target: ts.ScriptTarget.ESNext,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    lib: ["lib.esnext.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts", "lib.dom.asynciterable.d.ts"],
    types: [],
    paths,
    rootDir: ROOT,
    outDir: `${folder}/types`,
    strict: true,
    skipLibCheck: true,
    declaration: true,
    emitDeclarationOnly: true,
    allowImportingTsExtensions: true,
    stripInternal: true,
  });
  const written = program.emit(undefined, (path, text) => {
    if (path.startsWith(`${folder}/types/tests/`)) return;
    Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    Deno.writeTextFileSync(
      path,
      text.replace(/(from |import\()(["']\.{1,2}\/[^"']*)\.ts(["'])/g, "$1$2.js$3"),
    );
  });
  const problems = written.diagnostics.filter(({ category }) => category === ts.DiagnosticCategory.Error);
  if (problems.length > 0) {
    const text = ts.formatDiagnostics(problems, {
      getCanonicalFileName: (name) => name,
      getCurrentDirectory: () => ROOT,
      getNewLine: () => "\n",
    });
    throw new Error(`the declarations of the npm package cannot be written:\n${text}`);
  }
}

if (import.meta.main) console.log(await buildPackage());
