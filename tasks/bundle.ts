/**
 * Bundles each program that is to start with no file beside it into one self-contained script and writes it, as a string, to
 * a source file. A script imports nothing, neither at its start nor through `require`, so that it starts from a `data:` URL, from
 * standard input or by `eval`. Also writes the part of `cache/` that goes to workers (library.ts) and SQLite's bytes
 * (sqlite_bytes.ts). With `--check` nothing is written; a stale file is an error.
 *
 * @module
 */
import { bundle, literal } from "./esbuild.ts";
import { LIBRARY_BUNDLE, libraryBundle, libraryStaleness } from "./library.ts";
import { ROOT } from "./process.ts";
import { SQLITE_BYTES, sqliteBytes, sqliteStaleness } from "./sqlite_bytes.ts";

/** A program that is bundled: what it is made from, where it goes, under which name, and what it is. */
interface Program {
  entry: string;
  target: string;
  name: string;
  what: string;
}

const PROGRAMS: readonly Program[] = [
  {
    entry: "map/worker_program.ts",
    target: "map/worker_bundle.ts",
    name: "WORKER_PROGRAM",
    what: "The worker program",
  },
  {
    entry: "mpi/rank_program.ts",
    target: "mpi/rank_bundle.ts",
    name: "RANK_PROGRAM",
    what: "The program of ranks that a pool starts",
  },
  {
    entry: "mpi/batch_program.ts",
    target: "mpi/batch_bundle.ts",
    name: "BATCH_PROGRAM",
    what: "The program of a batch map's tasks",
  },
];

async function programBundle({ entry, name, what }: Program): Promise<string> {
  const { outputFiles, metafile } = await bundle({
    entryPoints: [`${ROOT}/${entry}`],
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
      `${entry} imports ${names}: the program must be self-contained, reach builtins by builtin()`,
    );
  }
  return [
    `// Written by \`deno task bundle\` from ${entry} and what it imports. Do not edit; \`deno task check\` compares.`,
    "",
    `/** ${what} as one script that imports nothing. */`,
    `export const ${name}: string = ${literal(outputFiles[0].text.trim())};`,
    "",
  ].join("\n");
}

/** What is wrong with the committed bundles of programs, or undefined when they are fresh. */
export async function staleness(): Promise<string | undefined> {
  const problems: string[] = [];
  for (const program of PROGRAMS) {
    const { entry, target } = program;
    const committed = await Deno.readTextFile(`${ROOT}/${target}`).catch(() => undefined);
    if (committed === undefined) problems.push(`${target} does not exist; run: deno task bundle`);
    else if (committed !== await programBundle(program)) {
      problems.push(`${target} is older than ${entry} or what it imports; run: deno task bundle`);
    }
  }
  return problems.length > 0 ? problems.join("\n") : undefined;
}

if (import.meta.main) {
  if (Deno.args.includes("--check")) {
    const problems = [await staleness(), await libraryStaleness(), await sqliteStaleness()]
      .filter((problem) => problem !== undefined);
    const all = [...PROGRAMS.map(({ target }) => target), LIBRARY_BUNDLE, SQLITE_BYTES];
    console.log(problems.join("\n") || `${all.join(", ")} are fresh`);
    Deno.exit(problems.length > 0 ? 1 : 0);
  }
  const made: [string, string][] = [];
  for (const program of PROGRAMS) made.push([program.target, await programBundle(program)]);
  made.push([LIBRARY_BUNDLE, await libraryBundle()], [SQLITE_BYTES, await sqliteBytes()]);
  for (const [target, text] of made) {
    await Deno.writeTextFile(`${ROOT}/${target}`, text);
    console.log(`${target}: ${text.length} characters`);
  }
}
