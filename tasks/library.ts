/**
 * Bundles what workers need of `cache/` into one script, as a string, in `cache/library_bundle.ts`: it goes along with memoized
 * functions and archives to workers, which do not have it (serialize/travellers.ts). Files of `serialize/` are the reader's own;
 * SQLite's bytes and npm packages come separately, to who needs them.
 *
 * @module
 */
import type * as esbuild from "esbuild";
import { libraryHost } from "../serialize/library_host.ts";
import { bundle, literal } from "./esbuild.ts";
import { ROOT } from "./process.ts";

/** The file that is written, by path from the repository. */
export const LIBRARY_BUNDLE = "cache/library_bundle.ts";

const ENTRY = "cache/travel.ts";

/** Files that are something else in the bundle, and what. */
const REPLACED: Readonly<Record<string, string>> = {
  "/serialize/mod.ts": 'module.exports = { ...host["dumps.ts"], ...host["errors.ts"] };',
  "/cache/library_bundle.ts": "module.exports = { CACHE_LIBRARY: host.script };",
  "/cache/sqlite_bytes.ts":
    'module.exports = { get SQLITE_WASM() { return globalThis[Symbol.for("pathos.sqlite")]; } };',
};

/** Packages that a worker is told where to find (cache/packages.ts). */
const PACKAGES = /^(pg|h5wasm\/node)$/;

/** What is wrong with imports of serialize/ is an error when the bundle is made, not when a worker runs it. */
const fromTheReader: esbuild.Plugin = {
  name: "from the reader",
  setup(build) {
    build.onResolve({ filter: PACKAGES }, ({ path }) => ({ path, namespace: "elsewhere" }));
    build.onLoad({ filter: /./, namespace: "elsewhere" }, ({ path }) => {
      const problem =
        `the npm package of ${path} is not known in this worker: the program that sent the archive could not find it`;
      return { contents: `throw new Error(${JSON.stringify(problem)});`, loader: "js" };
    });
    build.onLoad({ filter: /\/(serialize|cache)\/\w+\.ts$/ }, ({ path }) => {
      const name = path.slice(ROOT.length);
      if (REPLACED[name]) return { contents: REPLACED[name], loader: "js" };
      if (!name.startsWith("/serialize/")) return undefined;
      const file = name.slice("/serialize/".length);
      if (file in libraryHost()) {
        return { contents: `module.exports = host[${JSON.stringify(file)}];`, loader: "js" };
      }
      return { errors: [{ text: `${file} is not among the files of serialize/library_host.ts` }] };
    });
  },
};

/** The text that `cache/library_bundle.ts` must have. */
export async function libraryBundle(): Promise<string> {
  const { outputFiles, metafile } = await bundle(
    {
      entryPoints: [`${ROOT}/${ENTRY}`],
      format: "iife",
      platform: "neutral",
      target: ["node20", "deno2"],
      minify: true,
      sourcemap: false,
    },
    undefined,
    [fromTheReader],
  );
  const imports = Object.values(metafile.outputs).flatMap((output) => output.imports.map(({ path }) => path));
  if (imports.length > 0) {
    throw new Error(`${ENTRY} imports ${imports.join(", ")}: it must be self-contained`);
  }
  const script = `((host)=>{${outputFiles[0].text.trim()}})`;
  return [
    `// Written by \`deno task bundle\` from ${ENTRY} and what it imports. Do not edit; \`deno task check\` compares.`,
    "",
    "/** What workers need of this folder, as a script: a `LibraryScript` of serialize/travellers.ts. */",
    `export const CACHE_LIBRARY: string = ${literal(script)};`,
    "",
  ].join("\n");
}

/** What is wrong with the committed bundle, or undefined when it is fresh. */
export async function libraryStaleness(): Promise<string | undefined> {
  const fresh = await libraryBundle();
  const committed = await Deno.readTextFile(`${ROOT}/${LIBRARY_BUNDLE}`);
  return committed === fresh
    ? undefined
    : `${LIBRARY_BUNDLE} is older than ${ENTRY} or what it imports; run: deno task bundle`;
}
