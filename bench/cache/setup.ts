// Puts the contenders where they can run: a copy of this folder in bench/.peers/cache with the npm peers at the versions of
// bench/peers/cache/package-lock.json (two of them are compiled, which takes minutes), our own npm package for Node, Debian's
// diskcache and SQLAlchemy, and klepto where pip can have it. What is there already stays.
import { buildPackage } from "../../tasks/npm.ts";
import { must, ROOT } from "../../tasks/process.ts";

/** Where the contenders run. */
export const PEERS = `${ROOT}/bench/.peers/cache`;
/** Where klepto is, for PYTHONPATH. */
export const PYTHON_PEERS = `${PEERS}/python`;
export const PYTHON = "/usr/bin/python3";

const SOURCE = `${ROOT}/bench/cache`;
const VERSIONS = `${ROOT}/bench/peers/cache`;

/** What a contender needs; without an entry here it needs nothing. */
export type Need = "npm" | "node" | "diskcache" | "klepto" | "sqlalchemy";

/** Installs what is needed and says so on standard error. Gives why something could not be had. */
export async function setUp(rows: ReadonlySet<Need>): Promise<Partial<Record<Need, string>>> {
  const needs = new Set(rows);
  if (needs.has("sqlalchemy")) needs.add("klepto"); // which it is for
  await Deno.mkdir(PEERS, { recursive: true });
  const failures: Partial<Record<Need, string>> = {};
  const attempt = async (need: Need, work: () => Promise<void>) => {
    if (!needs.has(need)) return;
    try {
      await work();
    } catch (error) {
      failures[need] = error instanceof Error ? error.message : String(error);
      console.error(`set-up of ${need} failed, its rows are left out: ${failures[need]}`);
    }
  };
  for await (const { name, isFile } of Deno.readDir(SOURCE)) {
    if (isFile) await Deno.copyFile(`${SOURCE}/${name}`, `${PEERS}/${name}`);
  }
  // Without a package.json beside them the contenders would belong to the checkout.
  await Deno.copyFile(`${VERSIONS}/package.json`, `${PEERS}/package.json`);
  await attempt("npm", async () => {
    const lock = await Deno.readTextFile(`${VERSIONS}/package-lock.json`);
    const there = await Deno.readTextFile(`${PEERS}/package-lock.json`).catch(() => "");
    if (there === lock) return;
    say("installing better-sqlite3, keyv, lru-cache and fast-memoize with npm");
    await Deno.writeTextFile(`${PEERS}/package-lock.json`, lock);
    try {
      await must("npm", ["ci", "--no-audit", "--no-fund"], { cwd: PEERS, limit: 900_000 });
    } catch (error) {
      await Deno.remove(`${PEERS}/package-lock.json`);
      throw error;
    }
  });
  await attempt("node", async () => {
    say("building our npm package");
    const tarball = await buildPackage(`${PEERS}/package`);
    await must("npm", ["install", "--no-save", "--no-audit", "--no-fund", "--no-package-lock", tarball], {
      cwd: PEERS,
    });
  });
  for (const name of ["diskcache", "sqlalchemy"] as const) {
    await attempt(name, async () => {
      if (await canImport(name)) return;
      say(`installing python3-${name} with apt`);
      await must("apt-get", ["update", "-qq"]);
      await must("apt-get", ["install", "-y", "-qq", "--no-install-recommends", `python3-${name}`]);
    });
  }
  await attempt("klepto", async () => {
    if (await canImport("klepto")) return;
    say("installing klepto with pip");
    const options = ["--quiet", "--retries", "0", "--timeout", "20", "--target", PYTHON_PEERS];
    await must(PYTHON, ["-m", "pip", "install", ...options, "klepto"]);
  });
  if (failures.klepto !== undefined && needs.has("sqlalchemy")) failures.sqlalchemy = failures.klepto;
  return failures;
}

function say(what: string): void {
  console.error(`set-up: ${what}`);
}

async function canImport(name: string): Promise<boolean> {
  try {
    await must("env", [`PYTHONPATH=${PYTHON_PEERS}`, PYTHON, "-c", `import ${name}`]);
    return true;
  } catch {
    return false;
  }
}

/** Versions of the Python contenders that are there. */
export async function pythonVersions(): Promise<string> {
  const found: string[] = [];
  for (const name of ["diskcache", "klepto", "sqlalchemy"]) {
    try {
      const code = `import ${name}; print(${name}.__version__)`;
      found.push(
        `${name} ${(await must("env", [`PYTHONPATH=${PYTHON_PEERS}`, PYTHON, "-c", code])).trim()}`,
      );
    } catch {
      found.push(`${name} is not installed`);
    }
  }
  return found.join(", ");
}
