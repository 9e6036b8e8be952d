/**
 * Bundles the worker program into one self-contained script and writes it, as a string, to `map/worker_bundle.ts`.
 * The script imports nothing, neither at its start nor through `require`, so that it starts from a `data:` URL, from
 * standard input or by `eval`, with no file beside it. With `--check` nothing is written; a stale file is an error.
 *
 * @module
 */
import { bundle } from "./esbuild.ts";
import { ROOT } from "./process.ts";

const ENTRY = "map/worker_program.ts";
const TARGET = "map/worker_bundle.ts";

/** The text that `map/worker_bundle.ts` must have. */
export async function workerBundle(entry: string = `${ROOT}/${ENTRY}`): Promise<string> {
  const { outputFiles, metafile } = await bundle({
    entryPoints: [entry],
    format: "iife",
    // neutral: a `node:` import is an error here, as it must be
    platform: "neutral",
    target: ["node20", "deno2"],
    minify: true,
    sourcemap: false,
  });
  const imports = Object.values(metafile.outputs).flatMap((output) => output.imports);
  if (imports.length > 0) {
    const names = imports.map((found) => found.path).join(", ");
    throw new Error(
      `${ENTRY} imports ${names}: the worker program must be self-contained, reach builtins by builtin()`,
    );
  }
  return [
    `// Written by \`deno task bundle\` from ${ENTRY} and what it imports. Do not edit; \`deno task check\` compares.`,
    "",
    "/** The worker program as one script that imports nothing. */",
    `export const WORKER_PROGRAM: string = ${literal(outputFiles[0].text.trim())};`,
    "",
  ].join("\n");
}

/** A string literal that is also safe where U+2028 ends a line. */
function literal(text: string): string {
  return JSON.stringify(text).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
}

/** What is wrong with the committed bundle, or undefined when it is fresh. */
export async function staleness(): Promise<string | undefined> {
  const fresh = await workerBundle();
  let committed: string;
  try {
    committed = await Deno.readTextFile(`${ROOT}/${TARGET}`);
  } catch {
    return `${TARGET} does not exist; run: deno task bundle`;
  }
  return committed === fresh
    ? undefined
    : `${TARGET} is older than ${ENTRY} or what it imports; run: deno task bundle`;
}

if (import.meta.main) {
  if (Deno.args.includes("--check")) {
    const problem = await staleness();
    console.log(problem ?? `${TARGET} is fresh`);
    Deno.exit(problem ? 1 : 0);
  }
  const text = await workerBundle();
  await Deno.writeTextFile(`${ROOT}/${TARGET}`, text);
  console.log(`${TARGET}: ${text.length} characters`);
}
