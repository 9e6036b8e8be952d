/**
 * The command that starts Deno or Node.
 */
import { variable } from "../runtime/account.ts";
import { execPath, listFolder, runtimeName, runtimeVersion, spawn } from "../runtime/mod.ts";
import { pathText } from "./paths.ts";
import { homedir } from "./user.ts";
import { whereis, which } from "./which.ts";

/** Milliseconds that a program may take to tell its version. */
const PATIENCE = 10_000;

/** Options of {@linkcode whichRuntime}. */
export interface WhichRuntimeOptions {
  /** Which one. Default: the one that runs this program. */
  runtime?: "deno" | "node";
  /** Its version, or how that begins: `"22"`, `"20.16"`, `2`; `true` for the one that runs this program. Default: any. */
  version?: string | number | boolean;
  /** A command that a shell evaluates where it is run, `` `which deno` ``. Default: false. */
  lazy?: boolean;
  /** The full path, or only the name. Default: true. */
  fullpath?: boolean;
  /** Whether it is no error when there is none. Default: true. */
  ignoreErrors?: boolean;
}

/**
 * The command that starts Deno or Node, for child processes and job scripts. The one that runs this program comes first, then those on
 * PATH and in the usual places, for Node also those of nvm, fnm, n and Volta; with a `version` each is asked for its own.
 *
 * It is pox's `which_python` for these two. Their programs are not named after versions as Python's are, so a version
 * and a mere name do not go together.
 *
 * @returns The command, or undefined if there is none.
 * @throws {TypeError} If a version is asked for together with `lazy`, or without `fullpath`.
 * @throws {Error} If there is none and `ignoreErrors` is false.
 *
 * @example
 * ```ts
 * import { whichRuntime } from "@pathos/pathos/fs";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(await whichRuntime({ version: true }), Deno.execPath());
 * assertEquals(await whichRuntime({ runtime: "node", lazy: true }), "`which node`");
 * ```
 */
export async function whichRuntime(options: WhichRuntimeOptions = {}): Promise<string | undefined> {
  const { runtime = runtimeName, version = false, lazy = false, fullpath = true, ignoreErrors = true } =
    options;
  if (version !== false && (lazy || !fullpath)) {
    throw new TypeError(
      `a version of ${runtime} has no name of its own: ask for its full path, and not lazily`,
    );
  }
  if (lazy) return `\`which ${runtime}\``;
  if (!fullpath) return runtime;
  const wanted = version === true
    ? runtimeVersion()
    : version === false
    ? ""
    : String(version).replace(/^v/, "");
  if (isRuntime(execPath(), runtime) && fits(runtimeVersion(), wanted)) return execPath();
  for (const path of await candidates(runtime)) {
    if (wanted === "" || fits(await versionOf(path), wanted)) return path;
  }
  if (ignoreErrors) return undefined;
  throw new Error(
    `there is no ${[runtime, wanted].filter(Boolean).join(" ")} on PATH or where it is usually installed`,
  );
}

/** A program made by `deno compile` is not Deno. */
function isRuntime(path: string, runtime: string): boolean {
  return pathText().basename(path).replace(/\.exe$/i, "") === runtime;
}

/** Whether a version begins with the wanted parts: 20.16.1 with 20.16, and not with 20.1. */
function fits(version: string | undefined, wanted: string): boolean {
  return version !== undefined && (wanted === "" || `${version}.`.startsWith(`${wanted}.`));
}

async function candidates(runtime: "deno" | "node"): Promise<string[]> {
  const managed = runtime === "node" ? managedNodes() : [];
  return [
    ...new Set([
      ...await which(runtime, { all: true }),
      ...await whereis(runtime, { all: true }),
      ...managed,
    ]),
  ];
}

/** Programs of version managers, the newest first. */
function managedNodes(): string[] {
  const { join } = pathText();
  let home: string;
  try {
    home = homedir();
  } catch {
    return [];
  }
  const places: [folder: string, program: string][] = [
    [join(variable("NVM_DIR") ?? join(home, ".nvm"), "versions/node"), "bin/node"],
    [join(variable("FNM_DIR") ?? join(home, ".local/share/fnm"), "node-versions"), "installation/bin/node"],
    [join(variable("N_PREFIX") ?? "/usr/local", "n/versions/node"), "bin/node"],
    [join(variable("VOLTA_HOME") ?? join(home, ".volta"), "tools/image/node"), "bin/node"],
  ];
  return places.flatMap(([folder, program]) => {
    try {
      const versions = listFolder(folder).map(({ name }) => name);
      return versions.sort((a, b) => b.localeCompare(a, "en", { numeric: true })).map((name) =>
        join(folder, name, program)
      );
    } catch {
      return []; // this manager is not in use
    }
  });
}

/** What a program says when it is asked for its version; undefined if it cannot be run, or takes too long. */
function versionOf(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let said = "";
    const decoder = new TextDecoder();
    try {
      const child = spawn(path, ["--version"], {}, {
        stdout: (bytes) => void (said += decoder.decode(bytes, { stream: true })),
        stderr: () => {},
        exit: () => {
          clearTimeout(timer);
          resolve(/\d+\.\d+[^\s]*/.exec(said)?.[0]);
        },
      });
      const timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE);
      child.closeInput();
    } catch {
      resolve(undefined);
    }
  });
}
