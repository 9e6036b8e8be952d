// Puts the contenders where they can run: a copy of this folder in bench/.peers with the npm peers at the versions
// of bench/peers/package-lock.json, our own npm package for Node, and Debian's joblib and dask. What is there already stays.
import { buildPackage } from "../../tasks/npm.ts";
import { must, ROOT } from "../../tasks/process.ts";

/** Where the contenders run. */
export const PEERS = `${ROOT}/bench/.peers`;

const SOURCE = `${ROOT}/bench/map`;
const VERSIONS = `${ROOT}/bench/peers`;
const DEBIAN = ["python3-joblib", "python3-distributed"];

/** Which parts a run needs. */
export interface Needs {
  npm: boolean;
  node: boolean;
  python: boolean;
}

/** Installs what is needed and says so on standard error. Returns why a part could not be had, by its name. */
export async function setUp(needs: Needs): Promise<Partial<Record<keyof Needs, string>>> {
  await Deno.mkdir(PEERS, { recursive: true });
  const failures: Partial<Record<keyof Needs, string>> = {};
  const attempt = async (part: keyof Needs, work: () => Promise<void>) => {
    if (!needs[part]) return;
    try {
      await work();
    } catch (error) {
      failures[part] = error instanceof Error ? error.message : String(error);
      console.error(`set-up of ${part} failed, its rows are left out: ${failures[part]}`);
    }
  };
  for await (const { name, isFile } of Deno.readDir(SOURCE)) {
    if (isFile) await Deno.copyFile(`${SOURCE}/${name}`, `${PEERS}/${name}`);
  }
  // Without a package.json beside them the contenders would belong to the checkout.
  await Deno.copyFile(`${VERSIONS}/package.json`, `${PEERS}/package.json`);
  await attempt("npm", async () => {
    const lock = await Deno.readTextFile(`${VERSIONS}/package-lock.json`);
    const installed = await exists(`${PEERS}/node_modules/piscina`) &&
      await readText(`${PEERS}/package-lock.json`) === lock;
    if (installed) return;
    say("installing piscina, tinypool and workerpool with npm");
    await Deno.writeTextFile(`${PEERS}/package-lock.json`, lock);
    await must("npm", ["ci", "--no-audit", "--no-fund"], { cwd: PEERS });
  });
  await attempt("node", async () => {
    say("building our npm package");
    const tarball = await buildPackage(`${PEERS}/package`);
    await must("npm", ["install", "--no-save", "--no-audit", "--no-fund", "--no-package-lock", tarball], {
      cwd: PEERS,
    });
  });
  await attempt("python", async () => {
    if (await pythonHasPeers()) return;
    say(`installing ${DEBIAN.join(", ")} with apt`);
    await must("apt-get", ["update", "-qq"]);
    await must("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...DEBIAN]);
  });
  return failures;
}

function say(what: string): void {
  console.error(`set-up: ${what}`);
}

async function pythonHasPeers(): Promise<boolean> {
  try {
    await must("/usr/bin/python3", ["-c", "import joblib, distributed"]);
    return true;
  } catch {
    return false;
  }
}

async function readText(path: string): Promise<string | undefined> {
  return await exists(path) ? await Deno.readTextFile(path) : undefined;
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
