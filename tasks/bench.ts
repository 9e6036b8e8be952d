/**
 * `deno task bench NAME ...` runs `bench/NAME.ts` with the remaining arguments; without a name it lists them. A file there is a
 * benchmark if it says how it is run; others are what benchmarks share.
 *
 * @module
 */
import { ROOT, run } from "./process.ts";

const names = [...Deno.readDirSync(`${ROOT}/bench`)]
  .flatMap(({ name, isFile }) => isFile && name.endsWith(".ts") ? [name.slice(0, -3)] : [])
  .filter((name) => Deno.readTextFileSync(`${ROOT}/bench/${name}.ts`).includes(`deno task bench ${name}`))
  .sort();
const [name, ...args] = Deno.args;
if (name === undefined) {
  console.log(["Benchmarks:", ...names.map((found) => `  deno task bench ${found}`)].join("\n"));
} else if (names.includes(name)) {
  const { code } = await run("deno", ["run", "-A", `bench/${name}.ts`, ...args], { limit: 6 * 3_600_000 });
  Deno.exit(code);
} else {
  console.error(`there is no benchmark ${JSON.stringify(name)}; there are: ${names.join(", ")}`);
  Deno.exit(2);
}
