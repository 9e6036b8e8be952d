// Stand-in for JSR's @std/cli/parse-args, thin over npm:minimist, of which the original is a descendant. What differs
// between the two is evened out here: the last of a repeated flag wins unless it is listed in `collect`, `--no-x`
// negates only what is listed in `negatable`, and `unknown` receives key and value too.
import minimist from "minimist";

/** The options of {@linkcode parseArgs}. */
export interface ParseOptions<
  B extends string = string,
  S extends string = string,
  C extends string = string,
> {
  /** Put what follows `--` into the result's `"--"` instead of `_`. Default: false. */
  "--"?: boolean;
  /** Other names of a flag. */
  alias?: Record<string, string | readonly string[]>;
  /** Flags that take no value; `true` makes every flag without `=` one. */
  boolean?: boolean | B | readonly B[];
  /** Values of flags that were not given. */
  default?: Record<string, unknown>;
  /** Take everything after the first positional argument as positional. Default: false. */
  stopEarly?: boolean;
  /** Flags whose value stays a string. */
  string?: S | readonly S[];
  /** Flags that may be repeated and give an array. */
  collect?: C | readonly C[];
  /** Flags that `--no-FLAG` sets to false. */
  negatable?: string | readonly string[];
  /** Called for what is not declared; returning false leaves it out of the result. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** What {@linkcode parseArgs} returns. */
export type Args<B extends string = never, S extends string = never, C extends string = never> =
  & { [K in Exclude<B, S | C>]: boolean }
  & { [K in Exclude<S, C>]?: string }
  & { [K in S & C]: string[] }
  // deno-lint-ignore no-explicit-any
  & { _: Array<string | number>; "--"?: string[]; [flag: string]: any };

/** Parses command-line arguments. */
export function parseArgs<
  const B extends string = never,
  const S extends string = never,
  const C extends string = never,
>(args: readonly string[], options: ParseOptions<B, S, C> = {}): Args<B, S, C> {
  const collect = new Set<string>(list(options.collect));
  const negatable = new Set<string>(list(options.negatable));
  const { unknown } = options;
  const parsed = minimist(guardNegations(args, negatable), {
    "--": options["--"] ?? false,
    alias: options.alias as Record<string, string | string[]> | undefined,
    boolean: typeof options.boolean === "boolean" ? options.boolean : list(options.boolean),
    stopEarly: options.stopEarly ?? false,
    string: list(options.string),
    default: options.default,
    unknown: unknown &&
      ((guarded: string) => {
        const arg = unguard(guarded);
        if (!arg.startsWith("-") || arg === "-") return unknown(arg) !== false;
        const [, key, value] = /^--?([^=]*)(?:=(.*))?$/s.exec(arg)!;
        if (collect.has(key) || negatable.has(key)) return true;
        return unknown(arg, key, value ?? true) !== false;
      }),
  });
  const names = sameNames(options.alias);
  const result: Record<string, unknown> = {};
  for (const [guarded, value] of Object.entries(parsed)) {
    const key = unguard(guarded);
    const collects = names(key).some((name) => collect.has(name));
    if (key === "_" || key === "--") result[key] = (value as unknown[]).map((v) => unguardValue(v));
    else if (collects) result[key] = Array.isArray(value) ? value : [value];
    else result[key] = Array.isArray(value) && !isDefault(value, options, names(key)) ? value.at(-1) : value;
  }
  for (const key of collect) for (const name of names(key)) result[name] ??= [];
  return result as Args<B, S, C>;
}

const GUARD = "\u0000no-";

/** Hides `--no-x` from minimist, which would negate any flag, unless x may be negated. */
function guardNegations(args: readonly string[], negatable: ReadonlySet<string>): string[] {
  const end = args.indexOf("--");
  return args.map((arg, i) => {
    if (end !== -1 && i > end) return arg;
    const [, key] = /^--no-([^=]+)$/.exec(arg) ?? [];
    return key === undefined || negatable.has(key) ? arg : `--${GUARD}${key}`;
  });
}

function unguard(text: string): string {
  return text.replace(GUARD, "no-");
}

function unguardValue(value: unknown): unknown {
  return typeof value === "string" ? unguard(value) : value;
}

function list<T extends string>(names: T | readonly T[] | boolean | undefined): T[] {
  if (names === undefined || typeof names === "boolean") return [];
  return typeof names === "string" ? [names as T] : [...names as readonly T[]];
}

/** All names of a flag, itself included. */
function sameNames(alias: ParseOptions["alias"] = {}): (key: string) => string[] {
  const groups = Object.entries(alias).map(([key, others]) => [key, ...list(others)]);
  return (key) => [...new Set([key, ...groups.filter((group) => group.includes(key)).flat()])];
}

function isDefault(value: unknown, options: ParseOptions, names: string[]): boolean {
  return names.some((name) => options.default?.[name] === value);
}
