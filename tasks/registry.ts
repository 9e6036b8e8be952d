/**
 * A package registry on this machine, laid out as JSR is: started with folders that have a `deno.json`, it serves their
 * sources to a Deno whose `JSR_URL` points to it. As JSR does, it writes the imports of `deno.json` out as full `npm:`
 * and `jsr:` specifiers.
 *
 * @module
 */
import { denoJson } from "./esbuild.ts";

/** Serves the packages in these folders at a free port of the loopback interface. */
export function serveRegistry(folders: string[]): Deno.HttpServer<Deno.NetAddr> {
  const packages = new Map(folders.map((folder) => [denoJson(folder).name, folder] as const));
  return Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async ({ url }) => {
    const [, name, file] = /^\/(@[^/]+\/[^/]+)\/(.*)$/.exec(new URL(url).pathname) ?? [];
    const folder = packages.get(name);
    if (!folder) return new Response(`there is no package ${name}`, { status: 404 });
    const { version, exports } = denoJson(folder);
    if (file === "meta.json") {
      const [scope, short] = name.slice(1).split("/");
      return Response.json({ scope, name: short, latest: version, versions: { [version]: {} } });
    }
    const texts = sources(folder);
    if (file === `${version}_meta.json`) {
      const entries = [...texts].map(async ([path, text]) => [path, await checksum(text)] as const);
      return Response.json({ manifest: Object.fromEntries(await Promise.all(entries)), exports });
    }
    const text = texts.get(file.slice(version.length));
    return text === undefined
      ? new Response(`${name} has no ${file}`, { status: 404 })
      : new Response(text, { headers: { "content-type": "application/typescript" } });
  });
}

/** The TypeScript files of a package by path from its root, with full specifiers. */
function sources(folder: string): Map<string, string> {
  const { imports = {} } = denoJson(folder);
  const found = new Map<string, string>();
  const walk = (below: string): void => {
    for (const { name, isDirectory } of Deno.readDirSync(folder + below)) {
      if (isDirectory) walk(`${below}/${name}`);
      else if (name.endsWith(".ts")) {
        found.set(`${below}/${name}`, Deno.readTextFileSync(`${folder}${below}/${name}`));
      }
    }
  };
  walk("");
  for (const [path, text] of found) {
    const full = text.replace(/(\bfrom |\bimport |\bimport\()"([^"]+)"/g, (whole, before, bare) => {
      const key = Object.keys(imports).find((key) => bare === key || bare.startsWith(`${key}/`));
      return key === undefined ? whole : `${before}"${imports[key]}${bare.slice(key.length)}"`;
    });
    found.set(path, full);
  }
  return found;
}

async function checksum(text: string): Promise<{ size: number; checksum: string }> {
  const bytes = new TextEncoder().encode(text);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return { size: bytes.length, checksum: `sha256-${hash.toHex()}` };
}
