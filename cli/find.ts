/**
 * `pathos find`: files and folders by name, one path a line, as they are found.
 */
import { find, type FindType } from "../fs/find.ts";
import type { WalkError } from "../fs/walk_error.ts";
import { fileKind, stderr } from "../runtime/mod.ts";
import { type Parsed, UsageError, type Verb, wholeNumber } from "./flags.ts";
import { lineOutput } from "./output.ts";

const TYPES = ["f", "d", "l", "s", "b", "c", "p"] as const satisfies readonly FindType[];

/** The verb `find`. */
export const findVerb: Verb = {
  name: "find",
  summary: "Find files and folders by name",
  usage: "find PATTERN... [flags]",
  about: `
Prints the absolute path of what has a name that one of the patterns fits, as soon as it is found, in no order.
In a pattern * is any text, ? one character, [a-z] and [!a-z] one of a set; names that begin with a dot are
names like others. Several patterns may also be one argument, joined by ";". Quote them, or the shell fills them in.`,
  flags: {
    root: {
      value: "FOLDER",
      many: true,
      help: "Look below this folder (default: the current one); may be repeated",
    },
    type: { value: "T", help: "Only f files, d folders, l links, s sockets, b, c devices or p pipes" },
    recurse: { negatable: true, help: "Look in subfolders too (default: yes)" },
    depth: { value: "N", help: "Look so many folders deep; 1 is --no-recurse (default: no limit)" },
    follow: { help: "Take links for what they lead to, and look behind them; no folder is entered twice" },
    null: {
      short: "0",
      help: "End each path with a zero byte, for xargs -0: names may have line ends in them",
    },
    json: { help: 'Print a line of JSON for each, {"path": ...}' },
  },
  more: `
Folders that cannot be read and names that are not UTF-8 are told on standard error and left out.

Exit status: 0 all is well, also if nothing was found, 1 something could not be read, 2 a mistake in the command
line.`,
  examples: [
    ["Sources", "pathos find '*.ts' '*.js' --root src --type f"],
    ["How large are the logs?", "pathos find '*.log' --root /var/log --null | du -ch --files0-from=-"],
    ["What is in this folder", "pathos find '*' --no-recurse"],
  ],
  run,
};

async function run(args: Parsed): Promise<number> {
  const patterns = args.positional.flatMap((text) => text.split(";")).filter((pattern) => pattern !== "");
  if (patterns.length === 0) throw new UsageError("which names? pathos find PATTERN..., such as '*.csv'");
  const withSlash = patterns.find((pattern) => pattern.includes("/"));
  if (withSlash !== undefined) {
    throw new UsageError(
      `${withSlash} has a "/" in it: patterns are for names; say by --root FOLDER where to look`,
    );
  }
  if (args.on("null") && args.on("json")) throw new UsageError("--null and --json exclude each other");
  const type = TYPES.find((type) => type === args.text("type"));
  if (args.text("type") !== undefined && type === undefined) {
    throw new UsageError(
      `--type is ${JSON.stringify(args.text("type"))}: it must be one of ${TYPES.join(", ")}`,
    );
  }
  const roots = args.texts("root").length > 0 ? args.texts("root") : ["."];
  for (const root of roots) {
    const kind = fileKind(root);
    if (kind !== "folder") {
      throw new UsageError(`${root}: ${kind ? "it is no folder" : "there is no such folder"}`);
    }
  }
  const depth = wholeNumber("depth", args.text("depth"), 1);
  if (depth !== undefined && args.on("recurse") === false) {
    throw new UsageError("--depth and --no-recurse exclude each other");
  }
  const stop = new AbortController();
  const output = lineOutput(() => stop.abort(), args.on("null") ? "\0" : "\n");
  let failed = false;
  const options = {
    type,
    recurse: depth === undefined ? args.on("recurse") ?? true : depth - 1,
    follow: args.on("follow") ?? false,
    signal: stop.signal,
    onError({ message }: WalkError): void {
      failed = true;
      stderr.write(`pathos find: ${message}\n`);
    },
  };
  try {
    for (const root of roots) {
      for await (const path of find(patterns, { ...options, root })) {
        await output.line(args.on("json") ? JSON.stringify({ path }) : path);
      }
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  }
  await output.flush();
  return failed ? 1 : 0;
}
