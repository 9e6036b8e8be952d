/**
 * esbuild as this repository needs it: names are resolved as `deno.json` says (`npm:` packages from Deno's cache,
 * `jsr:@std/...` from the stand-ins in `links`), so that a bundle needs no `node_modules`. What `external` names stays
 * an import. The versions come from `deno.lock`, hence the same input gives the same bytes.
 *
 * @module
 */
import * as esbuild from "esbuild";
import { createRequire } from "node:module";
import { must, ROOT } from "./process.ts";

interface DenoJson {
  name: string;
  version: string;
  license: string;
  exports: Record<string, string>;
  imports?: Record<string, string>;
  links?: string[];
  minimumDependencyAge?: string;
}

/** What is in a `deno.json`; by default in the repository's. */
export function denoJson(folder: string = ROOT): DenoJson {
  return JSON.parse(Deno.readTextFileSync(`${folder}/deno.json`));
}

/** A package's name and the path inside it: `"msgpackr/pack"` is `["msgpackr", "./pack"]`. */
export function splitName(specifier: string): [name: string, subpath: string] {
  const [, name, rest] = /^((?:@[^/]+\/)?[^/]+)(.*)$/.exec(specifier)!;
  return [name, rest ? `.${rest}` : "."];
}

/** A string literal that is also safe where U+2028 ends a line. */
export function literal(text: string): string {
  return JSON.stringify(text).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
}

/** Bundles with esbuild; `external` tells which bare names stay imports; `plugins` see every file first. */
export async function bundle(
  options: esbuild.BuildOptions,
  external: (specifier: string) => boolean = () => false,
  plugins: esbuild.Plugin[] = [],
): Promise<esbuild.BuildResult<{ write: false; metafile: true }>> {
  const entries = Object.values(options.entryPoints ?? {}) as string[];
  await must("deno", ["cache", "--quiet", "--frozen", ...entries]);
  try {
    return await esbuild.build({
      bundle: true,
      format: "esm",
      charset: "utf8",
      absWorkingDir: ROOT,
      logLevel: "error",
      legalComments: "none",
      ...options,
      write: false,
      metafile: true,
      plugins: [...plugins, {
        name: "deno.json",
        setup: (build: esbuild.PluginBuild) =>
          build.onResolve({ filter: /^[^./]/ }, (args: esbuild.OnResolveArgs) => resolve(args, external)),
      }],
    });
  } finally {
    await esbuild.stop();
  }
}

function resolve(
  args: esbuild.OnResolveArgs,
  external: (specifier: string) => boolean,
): esbuild.OnResolveResult | undefined {
  const { path, importer } = args;
  if (args.kind === "entry-point" || path.startsWith("node:")) return undefined;
  if (external(path)) return { path, external: true };
  if (!importer.startsWith(ROOT)) {
    const found = createRequire(importer).resolve(path);
    return found.startsWith("/") ? { path: found } : undefined; // a builtin is esbuild's own affair
  }
  const root = denoJson();
  const link = root.links?.map((folder) => `${ROOT}/${folder.slice(2)}`).find((folder) =>
    importer.startsWith(`${folder}/`)
  );
  const [name, subpath] = splitName(path);
  const imports = (link ? denoJson(link) : root).imports ?? {};
  const target = imports[path] ?? (imports[name] && imports[name] + subpath.slice(1));
  if (target?.startsWith("npm:")) return { path: new URL(import.meta.resolve(target)).pathname };
  if (target?.startsWith("jsr:")) return { path: standIn(root, name, subpath) };
  return { errors: [{ text: `${path} is neither in the imports of deno.json nor a relative path` }] };
}

function standIn(root: DenoJson, name: string, subpath: string): string {
  for (const link of root.links ?? []) {
    const folder = `${ROOT}/${link.slice(2)}`;
    const { name: linked, exports } = denoJson(folder);
    if (linked === name && exports[subpath]) return `${folder}/${exports[subpath].slice(2)}`;
  }
  throw new Error(`no folder in the links of deno.json stands in for ${name} and exports ${subpath}`);
}
