/**
 * Rehearses the JSR publication. `links` has no place in a published package, so this works on a clean copy without
 * links, tests and tasks; and since JSR may be out of reach, a registry on this machine offers the stand-ins as `@std`
 * and the copy as the published package. It proves that the package is complete, typed, without slow types, and that a
 * script which imports it from a registry runs. It cannot prove that the real `@std` fits: for that, run
 * `deno publish --dry-run` on the same copy where JSR can be reached.
 *
 * @module
 */
import { denoJson } from "./esbuild.ts";
import { must, ROOT, run, withFolder } from "./process.ts";
import { serveRegistry } from "./registry.ts";

const FILES = ["mod.ts", "ssh.ts", "cli.ts", "LICENSE", "README.md", "CHANGELOG.md"];
const FOLDERS = ["runtime", "serialize", "cache", "fs", "ssh", "map", "mpi", "cli", "examples"];

/** Writes the package as it is published into the folder. */
async function cleanCopy(folder: string): Promise<void> {
  const names = [...Deno.readDirSync(ROOT)].map(({ name }) => name);
  await must("cp", ["-R", ...[...FILES, ...FOLDERS].filter((name) => names.includes(name)), folder]);
  const published: Record<string, unknown> = { ...denoJson() };
  for (const key of ["links", "tasks", "lint", "fmt"]) delete published[key];
  await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify(published, null, 2) + "\n");
}

/** A script far from the sources, as a user of the registry writes it. */
function script(): string {
  const { name, version } = denoJson();
  return `import { dumps, loads, ProcessPool, ThreadPool } from "jsr:${name}@${version}";
    const base = 10, shift = (x) => x + base;
    if (loads(dumps(shift), { trust: "code" })(1) !== 11) throw new Error("a function does not come back");
    for (const pool of [new ThreadPool({ workers: 2 }), new ProcessPool({ workers: 2 })]) {
      const results = await pool.map((x) => shift(x) * 2, [1, 2, 3]);
      if (results.join() !== "22,24,26") throw new Error("the map gave " + results);
      await pool.terminate();
    }`;
}

/** Whether the dry run and the script both end well. */
function rehearse(): Promise<boolean> {
  return withFolder(async (folder) => {
    const copy = `${folder}/package`;
    await Deno.mkdir(copy);
    await cleanCopy(copy);
    const server = serveRegistry([
      copy,
      ...(denoJson().links ?? []).map((link) => `${ROOT}/${link.slice(2)}`),
    ]);
    const env = { JSR_URL: `http://127.0.0.1:${server.addr.port}/`, DENO_DIR: `${folder}/cache` };
    const dry = await run("deno", ["publish", "--dry-run", "--allow-dirty"], { cwd: copy, env });
    await Deno.writeTextFile(`${folder}/script.js`, script());
    const age = `--min-dep-age=${denoJson().minimumDependencyAge}`;
    const user = await run("deno", ["run", "-A", "--no-config", age, "script.js"], {
      cwd: folder,
      env,
      limit: 60_000,
    });
    await server.shutdown();
    console.log(`deno publish --dry-run: ${dry.ok ? "ok" : "FAILED"}`);
    console.log(`a script that imports the package from a registry: ${user.ok ? "ok" : "FAILED"}`);
    return dry.ok && user.ok;
  });
}

if (import.meta.main) Deno.exit(await rehearse() ? 0 : 1);
