// One way of finding files in a process of its own, driven line by line: a JSON request on stdin, a JSON reply on stdout. Which
// one is the argument; each finds the paths of what is called *.ts below a folder. Runs in Deno and in Node.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";

const lines = (output) => output.toString().split("\n").slice(0, -1);

/** Started as a program starts another, and its output made to paths. */
const findProgram = (root) =>
  lines(
    globalThis.Deno
      ? new TextDecoder().decode(
        new Deno.Command("find", { args: [root, "-name", "*.ts"] }).outputSync().stdout,
      )
      : spawnSync("find", [root, "-name", "*.ts"], { maxBuffer: 1e9 }).stdout,
  );

/** The least that can be done with what the runtime has: no options, no errors, one pattern written out. */
function leastByRuntime(root) {
  const found = [];
  const ahead = [root];
  const Deno = globalThis.Deno;
  for (let folder; (folder = ahead.pop()) !== undefined;) {
    for (const entry of Deno ? Deno.readDirSync(folder) : readdirSync(folder, { withFileTypes: true })) {
      const isFolder = Deno ? entry.isDirectory : entry.isDirectory();
      if (isFolder) ahead.push(`${folder}/${entry.name}`);
      else if (entry.name.endsWith(".ts")) found.push(`${folder}/${entry.name}`);
    }
  }
  return found;
}

/** Made when it is needed: what the others import is not in this process. */
const WAYS = {
  "find(1)": () => findProgram,
  "least": () => leastByRuntime,
  async "ours"() {
    const { find } = await import("@pathos/pathos/fs");
    return async (root) => await find("*.ts", { root });
  },
  async "ours, one by one"() {
    const { find } = await import("@pathos/pathos/fs");
    return async (root) => {
      const found = [];
      for await (const path of find("*.ts", { root })) found.push(path);
      return found;
    };
  },
  async "fast-glob"() {
    const { default: glob } = await import("fast-glob");
    return (cwd) => glob("**/*.ts", { cwd, absolute: true, dot: true, followSymbolicLinks: false });
  },
  async "fast-glob sync"() {
    const { default: glob } = await import("fast-glob");
    return (cwd) => glob.sync("**/*.ts", { cwd, absolute: true, dot: true, followSymbolicLinks: false });
  },
  async "fdir"() {
    const { fdir } = await import("fdir");
    return (root) =>
      new fdir().withFullPaths().filter((path) => path.endsWith(".ts")).crawl(root).withPromise();
  },
  async "fdir sync"() {
    const { fdir } = await import("fdir");
    return (root) => new fdir().withFullPaths().filter((path) => path.endsWith(".ts")).crawl(root).sync();
  },
};

const way = await WAYS[process.argv[2]]();
for await (const line of createInterface({ input: process.stdin })) {
  const { root } = JSON.parse(line);
  let reply;
  try {
    const begin = performance.now();
    const found = await way(root);
    reply = { ms: performance.now() - begin, items: found.length };
  } catch (error) {
    reply = { error: String(error?.stack ?? error) };
  }
  process.stdout.write(JSON.stringify(reply) + "\n");
}
