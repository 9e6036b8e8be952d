// Puts the contenders where they can run: a copy of this folder in bench/.peers/fs with the npm peers at the versions of
// bench/peers/fs/package-lock.json, our own npm package for Node, and pox where apt or pip can have it. What is there already
// stays.
import { buildPackage } from "../../tasks/npm.ts";
import { must, ROOT } from "../../tasks/process.ts";

/** Where the contenders run. */
export const PEERS = `${ROOT}/bench/.peers/fs`;
export const PYTHON = "/usr/bin/python3";
/** Where pox is, for PYTHONPATH. */
export const PYTHON_PEERS = `${PEERS}/python`;

const VERSIONS = `${ROOT}/bench/peers/fs`;

/** What a contender needs; without an entry here it needs nothing. */
export type Need = "npm" | "node" | "pox";

/** Installs what is needed and says so on standard error. Gives why something could not be had. */
export async function setUp(needs: ReadonlySet<Need>): Promise<Partial<Record<Need, string>>> {
  await Deno.mkdir(PEERS, { recursive: true });
  const failures: Partial<Record<Need, string>> = {};
  const attempt = async (need: Need, what: string, work: () => Promise<void>) => {
    if (!needs.has(need)) return;
    console.error(`set-up: ${what}`);
    try {
      await work();
    } catch (error) {
      failures[need] = error instanceof Error ? error.message : String(error);
      console.error(`set-up of ${need} failed, its rows are left out: ${failures[need]}`);
    }
  };
  for (const name of ["contender.mjs", "python_peers.py"]) {
    await Deno.copyFile(`${ROOT}/bench/fs/${name}`, `${PEERS}/${name}`);
  }
  // Without a package.json beside them the contenders would belong to the checkout.
  for (const name of ["package.json", "package-lock.json"]) {
    await Deno.copyFile(`${VERSIONS}/${name}`, `${PEERS}/${name}`);
  }
  await attempt("npm", "fast-glob and fdir with npm", async () => {
    await must("npm", ["ci", "--no-audit", "--no-fund"], { cwd: PEERS });
  });
  await attempt("node", "building our npm package", async () => {
    const tarball = await buildPackage(`${PEERS}/package`);
    await must("npm", ["install", "--no-save", "--no-audit", "--no-fund", "--no-package-lock", tarball], {
      cwd: PEERS,
    });
  });
  await attempt("pox", "pox with pip, if it is not there", async () => {
    if (await poxVersion() !== undefined) return;
    const options = ["--quiet", "--retries", "0", "--timeout", "20", "--target", PYTHON_PEERS];
    await must(PYTHON, ["-m", "pip", "install", ...options, "pox"]);
  });
  return failures;
}

/** The version of pox that is there. */
export async function poxVersion(): Promise<string | undefined> {
  try {
    const code = "import pox; print(pox.__version__)";
    return (await must("env", [`PYTHONPATH=${PYTHON_PEERS}`, PYTHON, "-c", code])).trim();
  } catch {
    return undefined;
  }
}
