/**
 * The same tests under Node: the npm package is built, installed from its tarball into an empty folder by npm alone,
 * and every test file is bundled (all but the package itself) and run there by `node --test`.
 *
 * @module
 */
import { bundle, denoJson } from "./esbuild.ts";
import { buildPackage } from "./npm.ts";
import { must, ROOT, run, withFolder } from "./process.ts";
import { patternOf, printReport, readReport, type Report, secondAttempt } from "./report.ts";

const MINUTE = 60_000;
/** Milliseconds that all tests may take in one runtime; they take some 15 minutes. */
export const RUNTIME_LIMIT: number = 40 * MINUTE;

/** Names, without folder, of the test files whose name contains `filter`. */
export function testFiles(filter = ""): string[] {
  const all = [...Deno.readDirSync(`${ROOT}/tests`)].map(({ name }) => name).filter((name) =>
    name.endsWith(".test.ts")
  );
  const files = all.filter((name) => name.includes(filter)).sort();
  if (files.length === 0) {
    throw new Error(
      `no test file has ${JSON.stringify(filter)} in its name; there are: ${all.sort().join(", ")}`,
    );
  }
  return files;
}

/** Runs the test files under Node. */
export function testNode(filter?: string): Promise<Report> {
  return withFolder(async (folder) => {
    const files = testFiles(filter);
    await install(folder);
    await bundleTests(folder, files);
    const attempt = async (report: string, ...which: string[]) => {
      const { ok } = await run("node", [
        "--enable-source-maps",
        "--test",
        "--test-concurrency=1",
        `--test-timeout=${10 * MINUTE}`,
        "--test-reporter=spec",
        "--test-reporter-destination=stdout",
        "--test-reporter=junit",
        `--test-reporter-destination=${report}`,
        ...which,
        ...files.map((name) => name.replace(/\.ts$/, ".mjs")),
      ], { cwd: folder, env: { TMPDIR: folder }, limit: RUNTIME_LIMIT });
      return await readReport("Node", `${folder}/${report}`, ok);
    };
    return await secondAttempt(
      await attempt("report.xml"),
      (names) => attempt("again.xml", `--test-name-pattern=${patternOf(names)}`),
    );
  });
}

/** Builds the package and installs its tarball into the folder, which npm must find empty. */
export async function install(folder: string): Promise<void> {
  await Deno.writeTextFile(`${folder}/package.json`, '{ "private": true, "type": "module" }\n');
  const tarball = await withFolder(async (dist) => {
    const built = await buildPackage(dist);
    await Deno.copyFile(built, `${folder}/package.tgz`);
    return "./package.tgz";
  });
  await must("npm", ["install", "--no-audit", "--no-fund", "--loglevel=error", tarball], { cwd: folder });
}

async function bundleTests(folder: string, files: string[]): Promise<void> {
  const { name } = denoJson();
  const { outputFiles } = await bundle({
    entryPoints: Object.fromEntries(
      files.map((file) => [file.replace(/\.ts$/, ""), `${ROOT}/tests/${file}`]),
    ),
    outdir: folder,
    outExtension: { ".js": ".mjs" },
    platform: "node",
    target: "node20.16",
    sourcemap: "inline",
    keepNames: false,
    // CommonJS packages inside a bundle ask for builtins by require()
    banner: { js: 'import { createRequire as _r } from "node:module"; const require = _r(import.meta.url);' },
    // ssh2 is installed with the package, and asks by require() for native parts that need not be there
  }, (specifier) => specifier === name || specifier.startsWith(`${name}/`) || specifier === "ssh2");
  for (const { path, text } of outputFiles) await Deno.writeTextFile(path, text);
}

if (import.meta.main) {
  const report = await testNode(Deno.args[0]);
  printReport(report);
  Deno.exit(report.failed > 0 ? 1 : 0);
}
