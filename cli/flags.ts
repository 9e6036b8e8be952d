/**
 * What verbs and flags are: declared as data, from which both the parser and the help texts come. Whatever is
 * not declared is an error that names the nearest flag.
 */
import { parseArgs } from "@std/cli/parse-args";
import { didYouMean } from "./nearest.ts";

/** A mistake in the command line or in what it refers to: the message is for the user, the exit status is 2. */
export class UsageError extends Error {
  /** The name of the class. */
  override name = "UsageError";
}

/** A flag of a verb. */
export interface Flag {
  /** What stands for its value in the help (`"N"`); a flag without it is a switch. */
  value?: string;
  /** What it does, with its default. */
  help: string;
  /** A one-letter name. */
  short?: string;
  /** `--no-FLAG` turns the switch off. */
  negatable?: boolean;
  /** May be given several times. */
  many?: boolean;
}

/** A verb of the command. */
export interface Verb {
  name: string;
  /** One line for the list of verbs. */
  summary: string;
  /** What follows `pathos`, without the flags. */
  usage: string;
  /** Paragraphs between the usage and the flags. */
  about: string;
  flags: Record<string, Flag>;
  /** What follows `--` stands apart, as it came, in `rest`. */
  takesRest?: boolean;
  /** Paragraphs after the flags. */
  more: string;
  /** Command lines that show how it is used, with what they do. */
  examples: [does: string, command: string][];
  /** Does it; resolves to the exit status. */
  run(args: Parsed): Promise<number>;
}

/** A parsed command line. */
export interface Parsed {
  /** What is not a flag, as given. */
  positional: string[];
  /** What follows `--`, if the verb takes it; undefined without `--`. */
  rest: string[] | undefined;
  /** The value of a flag, if it was given. */
  text(flag: string): string | undefined;
  /** The values of a flag that may be given several times. */
  texts(flag: string): string[];
  /** Whether a switch was given: undefined when it was not, false when it was negated. */
  on(flag: string): boolean | undefined;
}

/** Flags that every verb has. */
export const COMMON_FLAGS: Record<string, Flag> = {
  help: { short: "h", help: "Print this text" },
};

/**
 * Parses the arguments that follow a verb.
 *
 * @throws {UsageError} If a flag is unknown, lacks its value, or has one and takes none.
 */
export function parseFlags(
  verb: Pick<Verb, "name" | "flags" | "takesRest">,
  given: readonly string[],
): Parsed {
  const end = verb.takesRest ? given.indexOf("--") : -1;
  const args = end < 0 ? given : given.slice(0, end);
  const flags = { ...verb.flags, ...COMMON_FLAGS };
  const names = Object.keys(flags);
  const switches = names.filter((name) => flags[name].value === undefined);
  const unknown: string[] = [];
  // names that every object has ("constructor") are not for the parser, which looks flags up in objects
  const dashes = args.indexOf("--");
  const inherited = args.slice(0, dashes < 0 ? args.length : dashes).find((arg) => {
    const [, name] = /^--(?:no-)?([^=]+)/.exec(arg) ?? [];
    return name !== undefined && name in {};
  });
  if (inherited !== undefined) {
    throw new UsageError(
      `there is no flag ${inherited.replace(/=.*$/s, "")}; pathos ${verb.name} --help lists them`,
    );
  }
  const parsed = parseArgs(args, {
    boolean: switches,
    string: ["_", ...names.filter((name) => flags[name].value !== undefined)],
    collect: names.filter((name) => flags[name].many),
    negatable: switches.filter((name) => flags[name].negatable),
    alias: Object.fromEntries(names.flatMap((name) => flags[name].short ? [[name, flags[name].short]] : [])),
    default: Object.fromEntries(switches.map((name) => [name, null])), // told apart from false, which was asked for
    unknown: (arg, key) => {
      if (key === undefined) return true;
      unknown.push(arg);
      return false;
    },
  });
  for (const arg of unknown) {
    const flag = arg.replace(/=.*$/s, "");
    const meant = didYouMean(flag.replace(/^-+/, ""), names, "--");
    const rest = verb.takesRest && end < 0 ? "; the command goes behind --" : "";
    throw new UsageError(
      `there is no flag ${flag}${meant || rest || `; pathos ${verb.name} --help lists them`}`,
    );
  }
  for (const arg of args) {
    if (arg === "--") break;
    const [, name] = /^--([^=]+)=/.exec(arg) ?? [];
    if (name && switches.includes(name)) throw new UsageError(`--${name} takes no value, and got ${arg}`);
  }
  for (const name of names) {
    if ([parsed[name]].flat().includes("")) {
      throw new UsageError(`--${name} needs a value: --${name} ${flags[name].value}`);
    }
  }
  return {
    positional: parsed._.map(String),
    rest: end < 0 ? undefined : given.slice(end + 1),
    texts: (flag) => parsed[flag] as string[],
    text: (flag) => parsed[flag] as string | undefined,
    on: (flag) => (parsed[flag] ?? undefined) as boolean | undefined,
  };
}

/** Whether a flag was given, of whatever kind it is. */
export function isGiven(args: Parsed, flag: string): boolean {
  const value: string | string[] | boolean | undefined = args.text(flag) ?? args.on(flag);
  return Array.isArray(value) ? value.length > 0 : value !== undefined;
}

/** A whole number from `least`. */
export function wholeNumber(flag: string, text: string | undefined, least: number): number | undefined {
  if (text === undefined) return undefined;
  const number = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!(number >= least && Number.isSafeInteger(number))) {
    throw new UsageError(`--${flag} is ${JSON.stringify(text)}: it must be a whole number from ${least}`);
  }
  return number;
}

/** Variables as NAME=VALUE. */
export function variables(flag: string, texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(texts.map((text) => {
    const [, name, value] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(text) ?? [];
    if (name === undefined) {
      throw new UsageError(`--${flag} is ${JSON.stringify(text)}: it must be NAME=VALUE`);
    }
    return [name, value];
  }));
}

const MILLISECONDS: Record<string, number> = { "": 1, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** A duration such as `500ms`, `5s`, `2m`, `1h`, or a number of milliseconds; in milliseconds. */
export function duration(flag: string, text: string | undefined): number | undefined {
  return quantity(flag, text, MILLISECONDS, /^$|^(ms|s|m|h)$/, "a duration such as 500ms, 5s or 2m");
}

const BYTES: Record<string, number> = { "": 1, k: 1 << 10, m: 1 << 20, g: 1 << 30 };

/** A size such as `512M`, `2G`, or a number of bytes; in bytes. Units are powers of 1024. */
export function size(flag: string, text: string | undefined): number | undefined {
  const bytes = quantity(flag, text, BYTES, /^([kmg](i?b)?)?$/, "a size such as 512M or 2G");
  return bytes && Math.floor(bytes);
}

function quantity(
  flag: string,
  text: string | undefined,
  units: Record<string, number>,
  unit: RegExp,
  expected: string,
): number | undefined {
  if (text === undefined) return undefined;
  const [, digits, suffix] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text) ?? [];
  const name = suffix?.toLowerCase();
  const number = name !== undefined && unit.test(name)
    ? Number(digits) * (units[name] ?? units[name[0]])
    : NaN;
  if (!(number > 0)) throw new UsageError(`--${flag} is ${JSON.stringify(text)}: it must be ${expected}`);
  return number;
}
