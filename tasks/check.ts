/**
 * Everything about the sources that is not a test: one line for each check, `ok` or `FAILED` with what it said, and
 * `N passed, N failed` at the end. The exit status is not 0 when one failed. An argument picks checks by name.
 *
 * @module
 */
import { stripVTControlCharacters } from "node:util";
import { staleness } from "./bundle.ts";
import { denoJson } from "./esbuild.ts";
import { libraryStaleness } from "./library.ts";
import { sources, violations } from "./layers.ts";
import { run } from "./process.ts";
import { sqliteStaleness } from "./sqlite_bytes.ts";

/** What a check found wrong, or undefined. */
type Check = () => Promise<string | undefined>;

/** Runs Deno; gives what it said, without colours and the names of files that it looked at. */
async function ask(...args: string[]): Promise<{ ok: boolean; said: string }> {
  const { ok, output } = await run("deno", args, { quiet: true });
  return { ok, said: stripVTControlCharacters(output).replace(/^Check .*\n/gm, "") };
}

function deno(...args: string[]): Check {
  return async () => {
    const { ok, said } = await ask(...args);
    return ok ? undefined : said;
  };
}

/** Runs the examples in the docstrings of all sources, public or not; that there are none is a failure too. */
async function examples(): Promise<string | undefined> {
  // Programs start when they are imported, and have nobody to talk to here.
  const files = [...sources().keys()].filter((file) => !file.endsWith("_program.ts"));
  const { ok, said } = await ask("test", "-A", "--no-prompt", "--frozen", "--doc", ...files);
  if (!ok) return said;
  return /\b[1-9]\d* passed/.test(said) ? undefined : `no example was run:\n${said}`;
}

const checks: Record<string, Check> = {
  "format": deno("fmt", "--check"),
  "lint": deno("lint"),
  // the programs of the benchmarked peers, in .mjs, import what only their own folder has installed
  "types": deno("check", "--frozen", "**/*.ts"),
  "docstring examples": examples,
  "documentation": deno("doc", "--lint", ...Object.values(denoJson().exports)),
  "program bundles": staleness,
  "library bundle": libraryStaleness,
  "sqlite bytes": sqliteStaleness,
  "house rules": () => Promise.resolve(violations(sources()).join("\n") || undefined),
};

let passed = 0, failed = 0;
for (const [name, check] of Object.entries(checks)) {
  if (!name.includes(Deno.args[0] ?? "")) continue;
  const problem = await check().catch((error: Error) => error.message);
  if (problem === undefined) {
    passed++;
    console.log(`ok      ${name}`);
  } else {
    failed++;
    console.log(`FAILED  ${name}\n${problem.trimEnd().replace(/^/gm, "        ")}`);
  }
}
console.log(`${passed} passed, ${failed} failed`);
Deno.exit(failed > 0 || passed === 0 ? 1 : 0);
