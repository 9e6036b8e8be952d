/**
 * `pathos env`: variables of the environment.
 */
import { env } from "../fs/env.ts";
import { type Parsed, UsageError, type Verb } from "./flags.ts";
import { lineOutput } from "./output.ts";

/** The verb `env`. */
export const envVerb: Verb = {
  name: "env",
  summary: "Print variables of the environment",
  usage: "env [PATTERN] [flags]",
  about: `
Prints NAME=value of the variables whose names fit the pattern of *, ? and [A-Z] (default: all), by name.`,
  flags: {
    minimal: { help: "Print search paths (variables that end in PATH) without repetitions" },
    json: { help: "Print one object in JSON, which holds line ends in values too" },
  },
  more: `
Exit status: 0 there are such variables, 1 there are none, 2 a mistake in the command line.`,
  examples: [
    ["The search paths", "pathos env '*PATH' --minimal"],
    ["What MPI has set", "pathos env 'OMPI_*' --json"],
  ],
  run,
};

async function run(args: Parsed): Promise<number> {
  const [pattern, ...others] = args.positional;
  if (others.length > 0) {
    throw new UsageError(`env takes one pattern, and got ${args.positional.join(" ")}; quote it`);
  }
  const found = env(pattern, { minimal: args.on("minimal") ?? false });
  const names = Object.keys(found).sort();
  const output = lineOutput(() => {});
  if (args.on("json")) {
    await output.line(JSON.stringify(Object.fromEntries(names.map((name) => [name, found[name]])), null, 2));
  } else for (const name of names) await output.line(`${name}=${found[name]}`);
  await output.flush();
  return names.length > 0 ? 0 : 1;
}
