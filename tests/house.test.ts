/**
 * The house itself: what the package offers under which name in both runtimes, and, where the checkout is at hand, that
 * the rules of the sources hold and can be broken, that the worker bundle is fresh, and that a TypeScript program can use
 * the npm package's types.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import * as everything from "@pathos/pathos";
import * as map from "@pathos/pathos/map";
import * as serialize from "@pathos/pathos/serialize";
import { writeFileSync } from "node:fs";
import process from "node:process";
import { runScript, tempDir, test } from "./harness.ts";

const CHECKOUT = "looks at the checkout";

/** A task's module, loaded by address so that the bundle for Node does not take it in. */
function task<T>(name: string): Promise<T> {
  return import(new URL(`../tasks/${name}.ts`, import.meta.url).href);
}

interface Layers {
  sources(): Map<string, string>;
  violations(files: ReadonlyMap<string, string>): string[];
}

test("the package offers the everyday names flat and each folder as a namespace", () => {
  const names = ["dumps", "loads", "UnserializableError", "UntrustedCodeError", "CorruptDataError"];
  for (const name of [...names, "register", "capture"]) assert(name in serialize, name);
  const pools = ["SerialPool", "ThreadPool", "ProcessPool", "TaskError", "WorkerLostError", "TimeoutError"];
  for (const name of pools) assert(name in map, name);
  for (const name of [...names, ...pools]) assert(name in everything, name);
  assertEquals(everything.serialize.dumps, serialize.dumps);
  assertEquals(everything.map.ThreadPool, map.ThreadPool);
});

test("a script outside the repository can import the package and each folder", async () => {
  const { code, stdout, stderr } = await runScript(`
    import { dumps, loads } from "@pathos/pathos";
    import * as serialize from "@pathos/pathos/serialize";
    import * as map from "@pathos/pathos/map";
    console.log(loads(dumps({ a: [1] })).a[0], serialize.dumps === dumps, typeof map.SerialPool);
  `);
  assertEquals([code, stdout, stderr], [0, "1 true function\n", ""]);
});

test("importing the package asks for no permission and leaves nothing running", async () => {
  const { code, stdout, stderr } = await runScript(`import "@pathos/pathos"; console.log("done");`, {
    permissions: [],
    timeout: 10_000,
  });
  assertEquals([code, stdout, stderr], [0, "done\n", ""]);
});

test.node("the installed package has a pathos command", "npm makes the command", async () => {
  const { code, stdout } = await runScript(
    `
    import { execFileSync } from "node:child_process";
    process.stdout.write(execFileSync(process.argv[2], ["--help"], { encoding: "utf8" }));
    `,
    { args: [`${process.cwd()}/node_modules/.bin/pathos`] },
  );
  assertEquals(code, 0);
  assertMatch(stdout, /\bmap\b/);
});

test.deno("every rule of the house holds in the sources", CHECKOUT, async () => {
  const { sources, violations } = await task<Layers>("layers");
  const files = sources();
  assert(files.size > 10);
  assertEquals(violations(files), []);
});

test.deno("a broken rule is reported with file and line", CHECKOUT, async () => {
  const { violations } = await task<Layers>("layers");
  const found = (path: string, text: string) => violations(new Map([[path, text]])).length;
  assertEquals(violations(new Map([["serialize/a.ts", '\nimport "../map/b.ts";\n']])), [
    "serialize/a.ts:2: imports ../map/b.ts: map/ is not below serialize/, imports only go down",
  ]);
  assertEquals(
    found("map/a.ts", 'export * from "../serialize/b.ts"; import { c } from "../runtime/mod.ts";'),
    0,
  );
  assertEquals(found("map/a.ts", 'await import("../mpi/b.ts");'), 1);
  assertEquals(found("map/a.ts", 'import "../mod.ts";'), 1);
  assertEquals(found("map/a.ts", 'import "../tests/harness.ts";'), 1);
  assertEquals(found("map/a.ts", 'import "node:fs";'), 1);
  assertEquals(found("map/a.ts", 'builtin("node:fs"); // Deno'), 0);
  assertEquals(found("map/a.ts", "Deno.exit();"), 1);
  assertEquals(found("map/a.ts", 'if ("Deno" in globalThis) f();'), 1);
  assertEquals(found("map/a.ts", 'if (runtimeName === "node") f();'), 1);
  assertEquals(found("map/a.ts", "error(`not in ${runtimeName}`);"), 0);
  assertEquals(found("runtime/a.ts", 'import "node:fs"; Deno.exit();'), 0);
  assertEquals(found("runtime/a.ts", 'import "../serialize/b.ts";'), 1);
  assertEquals(found("map/mod.ts", 'export * from "./a.ts"; export const b = 1;'), 1);
});

test.deno("the worker bundle is what its sources give", CHECKOUT, async () => {
  const { staleness } = await task<{ staleness(): Promise<string | undefined> }>("bundle");
  assertEquals(await staleness(), undefined);
}, { leaks: "esbuild's service process ends a moment after it is told to" });

test.deno("a TypeScript program compiles against the installed npm package", CHECKOUT, async () => {
  const { install } = await task<{ install(folder: string): Promise<void> }>("test_node");
  using folder = tempDir();
  await install(folder.path);
  writeFileSync(
    `${folder.path}/use.ts`,
    `import { dumps, loads, ProcessPool, SerialPool, TaskError, ThreadPool } from "@pathos/pathos";
     import { copy, UnserializableError } from "@pathos/pathos/serialize";
     import * as map from "@pathos/pathos/map";
     const bytes: Uint8Array = dumps({ a: 1 });
     const back: { a: number } = loads<{ a: number }>(bytes);
     const same: Map<string, number> = copy(new Map([["a", back.a]]));
     for (const pool of [new SerialPool(), new ThreadPool({ workers: 2 }), new ProcessPool({ workers: 1 })]) {
       const doubled: number[] = await pool.map((x: number) => x * 2, [1, 2, 3]);
       for await (const text of pool.imap((x: number, y: string) => y.repeat(x), [1, 2], ["a", "b"])) text.length;
       console.log(doubled.length, same.size);
     }
     // @ts-expect-error a pool maps functions only
     new map.SerialPool().map(1, [1]);
     const errors: (typeof Error)[] = [TaskError as never, UnserializableError as never];
     export { errors };`,
  );
  for (const [module, moduleResolution] of [["node16", "node16"], ["esnext", "bundler"]]) {
    const compilerOptions = {
      module,
      moduleResolution,
      target: "es2022",
      strict: true,
      noEmit: true,
      types: [],
    };
    const config = `${folder.path}/tsconfig.json`;
    writeFileSync(
      config,
      JSON.stringify({ compilerOptions: { ...compilerOptions, lib: ["esnext", "dom"] } }),
    );
    const args = [
      "run",
      "-A",
      "--quiet",
      "--no-lock",
      "--config",
      new URL("../deno.json", import.meta.url).pathname,
    ];
    const command = new Deno.Command(Deno.execPath(), {
      args: [...args, "npm:typescript@6.0.3/tsc", "-p", config],
    });
    const { code, stdout, stderr } = await command.output();
    assertEquals([code, new TextDecoder().decode(stdout), new TextDecoder().decode(stderr)], [0, "", ""]);
  }
}, { timeout: 180_000, leaks: "esbuild's service process ends a moment after it is told to" });
