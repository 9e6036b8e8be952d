/**
 * What every test file needs so that it is written once and runs in Deno and in Node: `test` registers with the
 * runner at hand, under a time limit, and a few helpers start scripts and look at processes. A test that can only
 * run in one runtime says so with its reason, and is listed as not run in the other. This file is only for tests: it
 * may ask which runtime it is in.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { isAlive, processesBelow, type ProcessInfo } from "./processes.ts";
import { missing } from "./programs.ts";

/** The runtime that executes the tests. */
export const runtime: "deno" | "node" = "Deno" in globalThis ? "deno" : "node";

/** What a test may change about the way it is run. */
export interface TestOptions {
  /** Milliseconds until the test is a failure. Default: 180,000, since machines may be slow and busy. */
  timeout?: number;
  /** `test.needs`: why it cannot run here for another reason than missing programs, if there is one. */
  notHere?: string;
  /** Why timers, files or workers legitimately outlive this test; without it Deno fails a test that leaks them. */
  leaks?: string;
}

type Body = () => void | Promise<void>;
type Register = (
  name: string,
  body: Body,
  options: Required<Pick<TestOptions, "timeout">> & TestOptions,
) => void;
type Ignore = (name: string) => void;

const [register, ignore] = await runner();

async function runner(): Promise<[Register, Ignore]> {
  if (runtime === "deno") {
    return [
      (name, body, { timeout, leaks }) =>
        Deno.test({
          name,
          fn: () => within(timeout, body),
          sanitizeOps: leaks === undefined,
          sanitizeResources: leaks === undefined,
        }),
      (name) => Deno.test({ name, ignore: true, fn: () => {} }),
    ];
  }
  const { after, test } = await import("node:test");
  after(exitSoon);
  return [
    (name, body, { timeout }) => void test(name, { timeout }, body),
    (name) => void test(name, { skip: true }),
  ];
}

/** Turns a Node process that cannot end after its last test, because something was left open, into a failure. */
function exitSoon(): void {
  setTimeout(() => {
    console.error(`still open 20 s after the last test: ${process.getActiveResourcesInfo().join(", ")}`);
    process.exit(1);
  }, 20_000).unref();
}

async function within(timeout: number, body: Body): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expiry = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`test took longer than its limit of ${timeout} ms`)), timeout);
  });
  try {
    await Promise.race([body(), expiry]);
  } finally {
    clearTimeout(timer);
  }
}

function only(where: "deno" | "node") {
  const title = where === "deno" ? "Deno" : "Node";
  return (name: string, reason: string, body: Body, options: TestOptions = {}): void => {
    if (runtime === where) register(name, body, { timeout: 180_000, ...options });
    else ignore(`${name} [${title} only: ${reason}]`);
  };
}

/** Registers a test that runs where these programs are; elsewhere it is listed as not run, with those that are missing. */
function needs(programs: readonly string[], name: string, body: Body, options: TestOptions = {}): void {
  const absent = missing(programs);
  const reason = absent.length > 0 ? `there is no ${absent.join(", ")} here` : options.notHere;
  if (reason === undefined) register(name, body, { timeout: 180_000, ...options });
  else ignore(`${name} [${reason}]`);
}

/**
 * Registers a test that runs in both runtimes; `test.deno` and `test.node` register one that cannot, with the reason,
 * `test.needs` one that needs programs.
 */
export const test: {
  (name: string, body: Body, options?: TestOptions): void;
  deno(name: string, reason: string, body: Body, options?: TestOptions): void;
  node(name: string, reason: string, body: Body, options?: TestOptions): void;
  needs(programs: readonly string[], name: string, body: Body, options?: TestOptions): void;
} = Object.assign(
  (name: string, body: Body, options: TestOptions = {}): void =>
    register(name, body, { timeout: 180_000, ...options }),
  { deno: only("deno"), node: only("node"), needs },
);

/** A folder of its own, gone when disposed of (`using folder = tempDir()`). */
export interface TempDir {
  path: string;
  [Symbol.dispose](): void;
}

/** Makes an empty folder, by default in the system's place for such; `within` names another parent. */
export function tempDir(within: string = tmpdir()): TempDir {
  const path = mkdtempSync(join(within, "pathos-test-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true, maxRetries: 3 }) };
}

/**
 * The runtimes in which {@linkcode runScript} can run a script: that of the tests, and from Node also Deno, if it is here,
 * with the package as npm has installed it.
 */
export const RUNTIMES: readonly ("deno" | "node")[] = runtime === "node" && missing(["deno"]).length === 0
  ? ["node", "deno"]
  : [runtime];

/** How {@linkcode runScript} runs a script. */
export interface ScriptOptions {
  /** Arguments of the script. */
  args?: string[];
  /** Permission flags for Deno, such as `["--allow-read"]`; Node ignores them. Default: `["-A"]`. */
  permissions?: string[];
  /** Flags of the runtime itself, by runtime. */
  flags?: { deno?: string[]; node?: string[] };
  /** Variables added to the environment; undefined removes one. */
  env?: Record<string, string | undefined>;
  /** Which of {@linkcode RUNTIMES} runs it. Default: that of the tests. */
  runtime?: "deno" | "node";
  /** Words that go before the command, such as `["ip", "netns", "exec", name]`. Default: none. */
  within?: string[];
  /** Text of standard input. Default: empty. */
  stdin?: string;
  /** Milliseconds until the script is killed with SIGKILL. Default: 120,000. */
  timeout?: number;
  /** More files beside the script, by relative path. */
  files?: Record<string, string>;
  /** Called with the process id as soon as there is one. */
  onStart?: (pid: number) => void | Promise<void>;
}

/** How a script ended. */
export interface ScriptResult {
  /** Exit status, or null when a signal ended the script. */
  code: number | null;
  /** The signal that ended it, or null; SIGKILL also when it exceeded its time limit. */
  signal: string | null;
  stdout: string;
  stderr: string;
  /** Whether the time limit ended it. */
  expired: boolean;
}

/**
 * Runs plain JavaScript as the main module of a new process of the current runtime, in a temporary folder from which
 * `@pathos/pathos` can be imported. Resolves when the script and everything that holds its output has ended.
 */
export async function runScript(code: string, options: ScriptOptions = {}): Promise<ScriptResult> {
  // Node finds the installed package by walking up from the script, so its folder lies below the working directory.
  using folder = tempDir(runtime === "node" ? process.cwd() : undefined);
  const main = join(folder.path, "main.mjs");
  for (const [name, text] of Object.entries({ ...options.files, "main.mjs": code })) {
    mkdirSync(dirname(join(folder.path, name)), { recursive: true });
    writeFileSync(join(folder.path, name), text);
  }
  return await collect(scriptCommand(main, options), folder.path, options);
}

/** The words that run a script file; {@linkcode runScript} is what tests need mostly. */
export function scriptCommand(main: string, options: ScriptOptions = {}): string[] {
  const { args = [], permissions = ["-A"], flags = {} } = options;
  if ((options.runtime ?? runtime) === "node") {
    return [process.execPath, "--enable-source-maps", ...flags.node ?? [], main, ...args];
  }
  const fixed = ["run", "--quiet", "--no-prompt"];
  if (runtime === "node") {
    return [
      "deno",
      ...fixed,
      "--node-modules-dir=manual",
      ...flags.deno ?? [],
      ...permissions,
      main,
      ...args,
    ];
  }
  const config = fileURLToPath(new URL("../deno.json", import.meta.url));
  return [
    process.execPath,
    ...fixed,
    "--frozen",
    "--config",
    config,
    ...flags.deno ?? [],
    ...permissions,
    main,
    ...args,
  ];
}

function collect(command: string[], cwd: string, options: ScriptOptions): Promise<ScriptResult> {
  const env = Object.fromEntries(
    Object.entries({ ...process.env, NO_COLOR: "1", ...options.env }).filter(([, value]) =>
      value !== undefined
    ),
  );
  // node:test tells its children by this variable that they are test files; a script is not one.
  delete env.NODE_TEST_CONTEXT;
  return new Promise((resolve, reject) => {
    const [program, ...args] = [...options.within ?? [], ...command];
    const child = spawn(program, args, { cwd, env: env as Record<string, string> });
    let expired = false;
    const timer = setTimeout(() => {
      expired = true;
      for (const { pid } of processesBelow(child.pid!)) kill(pid);
      child.kill("SIGKILL");
    }, options.timeout ?? 120_000);
    let stdout = "", stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text);
    child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text);
    child.stdin.on("error", () => {}); // a script may end without reading what it was given
    child.stdin.end(options.stdin ?? "");
    const started = Promise.resolve(child.pid === undefined ? undefined : options.onStart?.(child.pid));
    child.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      started.then(() => resolve({ code, signal, stdout, stderr, expired }), reject);
    });
  });
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // it ended by itself in the meantime
  }
}

export { isAlive, missing, processesBelow, type ProcessInfo };

/**
 * Waits until the condition gives something truthy, and gives that. Asks every 10 ms.
 *
 * @throws {Error} If it did not within `ms` milliseconds (default 30,000); `what` names it in the message.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  ms = 30_000,
  what = String(condition),
): Promise<NonNullable<T>> {
  const end = performance.now() + ms;
  for (;;) {
    const value = await condition();
    if (value) return value as NonNullable<T>;
    if (performance.now() > end) throw new Error(`waited ${ms} ms in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
