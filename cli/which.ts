/**
 * `pathos which`: where programs are.
 */
import { which } from "../fs/which.ts";
import { stderr } from "../runtime/mod.ts";
import { type Parsed, UsageError, type Verb } from "./flags.ts";
import { lineOutput } from "./output.ts";

/** The verb `which`. */
export const whichVerb: Verb = {
  name: "which",
  summary: "Print the paths of programs",
  usage: "which NAME... [flags]",
  about: `
Prints the path of each program, as a shell would find it on PATH. On Windows the endings of PATHEXT are tried.`,
  flags: {
    all: { short: "a", help: "Every place where it is, in order (default: the first)" },
    json: { help: 'Print a line of JSON for each, {"name": ..., "paths": [...]}' },
  },
  more: `
Exit status: 0 all are there, 1 one is not, 2 a mistake in the command line.`,
  examples: [
    ["Which Node would start?", "pathos which node"],
    ["And which others are there?", "pathos which --all node"],
  ],
  run,
};

async function run(args: Parsed): Promise<number> {
  if (args.positional.length === 0 || args.positional.includes("")) {
    throw new UsageError("which program? pathos which NAME...");
  }
  const output = lineOutput(() => {});
  let missing = false;
  for (const name of args.positional) {
    const found = await which(name, { all: true });
    const paths = args.on("all") ? found : found.slice(0, 1);
    if (paths.length === 0) {
      missing = true;
      const where = name.includes("/") ? "" : " on PATH";
      stderr.write(`pathos which: there is no program ${name}${where}\n`);
    }
    if (args.on("json")) await output.line(JSON.stringify({ name, paths }));
    else for (const path of paths) await output.line(path);
  }
  await output.flush();
  return missing ? 1 : 0;
}
