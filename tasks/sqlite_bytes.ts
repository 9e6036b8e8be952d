/**
 * Writes SQLite's WebAssembly module into `cache/sqlite_bytes.ts`, as text, from the package and version that `deno.json`
 * pins: a source file is there wherever the library is, in a worker without files and in a compiled program too.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib";
import { denoJson } from "./esbuild.ts";
import { must, ROOT } from "./process.ts";

/** The file that is written, by path from the repository. */
export const SQLITE_BYTES = "cache/sqlite_bytes.ts";

const PACKAGE = "@sqlite.org/sqlite-wasm";

/** The module's bytes in the package, and the package with its version. */
async function pinned(): Promise<{ bytes: Uint8Array; specifier: string }> {
  const specifier = denoJson().imports?.[PACKAGE];
  if (!specifier) throw new Error(`deno.json does not import ${PACKAGE}`);
  await must("deno", ["cache", "--quiet", "--frozen", specifier]);
  return { bytes: await Deno.readFile(new URL("sqlite3.wasm", import.meta.resolve(specifier))), specifier };
}

/** The text that `cache/sqlite_bytes.ts` must have, but for the compression, which may differ between versions of brotli. */
export async function sqliteBytes(): Promise<string> {
  const { bytes, specifier } = await pinned();
  const packed = brotliCompressSync(bytes, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 22 },
  });
  return [
    `// Written by \`deno task bundle\` from sqlite3.wasm of ${specifier}. Do not edit; \`deno task check\` compares.`,
    "",
    `/** SQLite as a WebAssembly module of ${bytes.length} bytes, compressed with brotli, in base64. */`,
    `export const SQLITE_WASM: string = "${packed.toString("base64")}";`,
    "",
  ].join("\n");
}

/** What is wrong with the committed file, or undefined when it holds the pinned package's bytes. */
export async function sqliteStaleness(): Promise<string | undefined> {
  const { bytes, specifier } = await pinned();
  let committed: string;
  try {
    committed = await Deno.readTextFile(`${ROOT}/${SQLITE_BYTES}`);
  } catch {
    return `${SQLITE_BYTES} does not exist; run: deno task bundle`;
  }
  const packed = /SQLITE_WASM: string = "([^"]*)"/.exec(committed)?.[1] ?? "";
  const same = committed.includes(specifier) &&
    Buffer.compare(brotliDecompressSync(Buffer.from(packed, "base64")), bytes) === 0;
  return same ? undefined : `${SQLITE_BYTES} is not ${specifier}; run: deno task bundle`;
}
