/**
 * Help texts, made of what the verbs declare.
 */
import { COMMON_FLAGS, type Flag, type Verb } from "./flags.ts";

/** Columns of text before the descriptions of flags. */
const INDENT = 26;
/** Columns of a help text. */
const WIDTH = 96;

/** What `pathos` and `pathos help` print. */
export function overview(verbs: readonly Verb[], version: string): string {
  return [
    `pathos ${version}: your code on every core, here and on hosts that you reach by ssh`,
    "",
    "Usage: pathos VERB ...",
    "",
    "Verbs:",
    ...verbs.map(({ name, summary }) => row(name, summary)),
    row("help [VERB]", "Print this text, or that of a verb"),
    "",
    "Flags:",
    row("-h, --help", "Print this text"),
    row("--version", "Print the version"),
    "",
  ].join("\n");
}

/** What `pathos help VERB` and `pathos VERB --help` print. */
export function verbHelp(verb: Verb): string {
  const flags = Object.entries({ ...verb.flags, ...COMMON_FLAGS });
  return [
    verb.summary,
    "",
    `Usage: pathos ${verb.usage}`,
    "",
    verb.about.trim(),
    "",
    "Flags:",
    ...flags.map(([name, flag]) => row(flagName(name, flag), flag.help)),
    "",
    verb.more.trim(),
    "",
    "Examples:",
    ...verb.examples.flatMap(([does, command]) => [`  # ${does}`, `  ${command}`]),
    "",
  ].join("\n");
}

function flagName(name: string, { short, value, negatable }: Flag): string {
  const long = `--${negatable ? "[no-]" : ""}${name}`;
  return `${short ? `-${short}, ` : ""}${long}${value ? ` ${value}` : ""}`;
}

/** Two columns; the right one is wrapped. */
function row(left: string, right: string): string {
  const lines: string[] = [];
  let line = "";
  for (const word of right.split(" ")) {
    if (line !== "" && INDENT + line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = word;
    } else line += line === "" ? word : ` ${word}`;
  }
  lines.push(line);
  const margin = " ".repeat(INDENT);
  const first = `  ${left}`.padEnd(INDENT);
  const begin = first.endsWith("  ") ? first : `${first}\n${margin}`;
  return begin + lines.join(`\n${margin}`);
}
