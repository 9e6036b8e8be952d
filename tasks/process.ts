/**
 * Runs the programs that a task needs, and leaves nothing behind: every program has a time limit, on expiry or
 * Ctrl-C it is killed with all its descendants, and temporary folders are removed however the task ends.
 *
 * @module
 */

/** Where the repository is, with no slash at its end. */
export const ROOT: string = decodeURIComponent(new URL("..", import.meta.url).pathname).replace(/\/$/, "");

const MINUTE = 60_000;
const running = new Set<number>();
const folders = new Set<string>();

let listening = false;

/** From the first program or folder on, a signal cleans up before it ends the task. */
function cleanUpOnSignals(): void {
  if (listening) return;
  listening = true;
  for (const [signal, number] of [["SIGINT", 2], ["SIGTERM", 15], ["SIGHUP", 1]] as const) {
    Deno.addSignalListener(signal, () => {
      for (const pid of running) killTree(pid);
      for (const folder of folders) remove(folder);
      Deno.exit(128 + number);
    });
  }
}

/** How {@linkcode run} runs a program. */
export interface RunOptions {
  /** Default: the repository. */
  cwd?: string;
  /** Variables added to the environment. */
  env?: Record<string, string>;
  /** Milliseconds until it is killed. Default: 30 minutes. */
  limit?: number;
  /** Keep the output for the result instead of showing it as it comes. Default: false. */
  quiet?: boolean;
}

/** How a program ended. */
export interface RunResult {
  ok: boolean;
  code: number;
  /** Standard output and standard error, one after the other; empty unless `quiet`. */
  output: string;
  /** Standard output alone. */
  stdout: string;
}

/** Runs a program to its end; `"deno"` is the one that runs this task, wherever it is. */
export async function run(program: string, args: string[], options: RunOptions = {}): Promise<RunResult> {
  const { cwd = ROOT, env, limit = 30 * MINUTE, quiet = false } = options;
  cleanUpOnSignals();
  const stream = quiet ? "piped" : "inherit";
  const child = new Deno.Command(program === "deno" ? Deno.execPath() : program, {
    args,
    cwd,
    env,
    stdin: "null",
    stdout: stream,
    stderr: stream,
  }).spawn();
  running.add(child.pid);
  let expired = false;
  const timer = setTimeout(() => {
    expired = true;
    killTree(child.pid);
  }, limit);
  try {
    const { code, success, stdout, stderr } = quiet
      ? await child.output()
      : { ...await child.status, stdout: new Uint8Array(), stderr: new Uint8Array() };
    const texts = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    if (expired) {
      texts.push(`${program} ${args.join(" ")}: killed at its limit of ${limit / 1000} s\n`);
      if (!quiet) console.error(texts[2]);
    }
    return { ok: success && !expired, code, output: texts.join(""), stdout: texts[0] };
  } finally {
    clearTimeout(timer);
    running.delete(child.pid);
  }
}

/** Runs a program that must succeed, and gives its standard output. */
export async function must(program: string, args: string[], options: RunOptions = {}): Promise<string> {
  const result = await run(program, args, { ...options, quiet: true });
  if (result.ok) return result.stdout;
  throw new Error(`${program} ${args.join(" ")} ended with status ${result.code}:\n${result.output}`);
}

/** Runs `use` with an empty temporary folder, which is removed afterwards, also on failure and on Ctrl-C. */
export async function withFolder<T>(use: (path: string) => Promise<T>): Promise<T> {
  cleanUpOnSignals();
  const path = Deno.makeTempDirSync({ prefix: "pathos-" });
  folders.add(path);
  try {
    return await use(path);
  } finally {
    folders.delete(path);
    remove(path);
  }
}

function remove(folder: string): void {
  try {
    Deno.removeSync(folder, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) console.error(`cannot remove ${folder}: ${error}`);
  }
}

/** Kills a process and its descendants, the descendants found before anything is killed. */
function killTree(root: number): void {
  for (const pid of [...descendants(root), root]) {
    try {
      Deno.kill(pid, "SIGKILL");
    } catch {
      // it ended by itself in the meantime
    }
  }
}

function descendants(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const [, parent] = Deno.readTextFileSync(`/proc/${name}/stat`).replace(/^.*\) /s, "").split(" ").map(
        Number,
      );
      children.set(parent, [...children.get(parent) ?? [], Number(name)]);
    } catch {
      // gone between listing and reading
    }
  }
  const below = (pid: number): number[] =>
    (children.get(pid) ?? []).flatMap((child) => [...below(child), child]);
  return below(root);
}
