/**
 * Compiles units (see `unit.ts`) and makes functions from them.
 *
 * Compiled units are kept by source text, so a receiver that loads the same function again only runs its factory. With
 * `node:vm` the frames of rebuilt functions name the user's file, line and column, and `import()` inside them resolves as it did
 * there; without it the code is compiled by `new Function`.
 */
import { builtin, runScript } from "../runtime/mod.ts";
import { type ClassHooks, noteLoaded } from "./loaded.ts";
import type { OpenScope } from "./scopes.ts";
import type { CodeFunction } from "./types.ts";

/** What the text of a unit talks to. */
export interface UnitHooks {
  s: [get: () => unknown[], set: (values: unknown[]) => void][];
  f: ((...given: unknown[]) => unknown)[];
  readonly meta: object;
}

/** A unit that has run: its scopes are open, its functions can be made. */
export interface Unit {
  hooks: UnitHooks;
  source: string;
  url: string;
  strict: boolean;
  scopes: OpenScope[];
  functions: UnitEntry[];
}

type UnitEntry = [
  scope: number,
  text: [number, number] | string,
  line: number,
  column: number,
  form: string,
  key: string,
];

type Factory = (hooks: UnitHooks) => void;

const factories = new Map<string, Factory>();
const maxFactories = 2_000;

function compile(source: string, url: string, line: number): Factory {
  const key = `${line} ${url}\n${source}`;
  let factory = factories.get(key);
  if (!factory) {
    factory = runScript(source, url || "pathos:loaded", line, /\bimport\b/.test(source)) as Factory;
    if (factories.size >= maxFactories) factories.clear();
    factories.set(key, factory);
  }
  return factory;
}

/** Runs a unit: `[source, url, line, strict, scopes, functions]`. */
export function openUnit(
  [source, url, line, strict, scopes, functions]: [
    string,
    string,
    number,
    boolean,
    [parent: number, names: string[], slots: unknown[]][],
    UnitEntry[],
  ],
): Unit {
  let meta: object | undefined;
  const hooks: UnitHooks = {
    s: [],
    f: [],
    get meta() {
      return meta ??= importMeta(url);
    },
  };
  compile(source, url, line)(hooks);
  const open: OpenScope[] = [];
  scopes.forEach(([parent, names], i) => {
    open.push({ parent: parent < 0 ? undefined : open[parent], names, get: hooks.s[i][0] });
  });
  return { hooks, source, url, strict, scopes: open, functions };
}

function importMeta(url: string): object {
  const path = url.startsWith("file:")
    ? builtin<{ fileURLToPath(url: string): string }>("node:url").fileURLToPath(url)
    : undefined;
  return {
    url,
    main: false,
    filename: path,
    dirname: path?.replace(/[/\\][^/\\]*$/, ""),
    resolve: (specifier: string) => new URL(specifier, url).href,
  };
}

/** What a function is made from besides its text. */
export interface Given {
  heritage: unknown;
  keys: PropertyKey[] | undefined;
  self: unknown;
  args: unknown[] | undefined;
  hasOuter: boolean;
  hasHome: boolean;
}

/** Makes one function or class of a unit. */
export function makeFunction(unit: Unit, index: number, given: Given): CodeFunction {
  const [scope, range, line, column, form, key] = unit.functions[index];
  const make = unit.hooks.f[index];
  let hooks: ClassHooks & { on?: boolean } | undefined;
  let home: object | undefined;
  let made: unknown;
  if (form === "class") {
    hooks = {};
    made = make(given.heritage, given.keys, hooks);
    const switched = hooks;
    if (hooks.set) hooks.restoring = (on) => switched.on = on;
    else if (!hooks.setStatics) hooks = undefined;
  } else if (form !== "") {
    home = make() as object;
    const d = Object.getOwnPropertyDescriptor(home, key)!;
    made = form === "method" ? d.value : form === "get" ? d.get : d.set;
  } else made = given.hasOuter ? make(given.self, given.args ?? []) : make();
  const fn = made as CodeFunction;
  noteLoaded(fn, {
    text: typeof range === "string" ? range : unit.source.slice(range[0], range[1]),
    scope: scope < 0 ? undefined : unit.scopes[scope],
    url: unit.url,
    line,
    column,
    strict: unit.strict,
    hooks,
    outer: given.hasOuter ? { self: given.self, args: given.args } : given.hasHome ? { home } : undefined,
  });
  return fn;
}
