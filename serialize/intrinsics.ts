/**
 * Names for what every JavaScript program finds in place: `Math.max`, `Array.prototype`, `%AsyncFunction%`. Such values
 * travel by name. The tables are built when first needed and hold only what the runtime itself put there.
 */
import type { CodeFunction } from "./types.ts";

/** Globals that are enumerable like a user's own but belong to the runtime. */
const enumerableGlobals = new Set(
  ("global globalThis self clearImmediate setImmediate clearInterval clearTimeout setInterval setTimeout queueMicrotask " +
    "structuredClone atob btoa performance fetch navigator crypto console").split(" "),
);

/** Globals that are read through a getter but are safe to read. */
const lazyGlobals = ["crypto", "performance", "console", "process", "Buffer"];

let shallow: Map<unknown, string> | undefined;
let deep: Map<unknown, string> | undefined;

function hidden(): [string, unknown][] {
  const asyncGenerator = async function* () {};
  const arrayIterator = Object.getPrototypeOf([][Symbol.iterator]());
  return [
    ["%AsyncFunction%", (async () => {}).constructor],
    ["%GeneratorFunction%", (function* () {}).constructor],
    ["%AsyncGeneratorFunction%", asyncGenerator.constructor],
    ["%TypedArray%", Object.getPrototypeOf(Uint8Array)],
    ["%ArrayIteratorPrototype%", arrayIterator],
    ["%IteratorPrototype%", Object.getPrototypeOf(arrayIterator)],
    ["%MapIteratorPrototype%", Object.getPrototypeOf(new Map().entries())],
    ["%SetIteratorPrototype%", Object.getPrototypeOf(new Set().entries())],
    ["%StringIteratorPrototype%", Object.getPrototypeOf(""[Symbol.iterator]())],
    ["%GeneratorPrototype%", Object.getPrototypeOf((function* () {}).prototype)],
    ["%AsyncGeneratorPrototype%", Object.getPrototypeOf(asyncGenerator.prototype)],
  ];
}

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

function globals(): Map<unknown, string> {
  if (shallow) return shallow;
  shallow = new Map<unknown, string>([[globalThis, "globalThis"]]);
  for (const [name, d] of Object.entries(Object.getOwnPropertyDescriptors(globalThis))) {
    if (!("value" in d) || (d.enumerable && !enumerableGlobals.has(name))) continue;
    if (isObject(d.value) && !shallow.has(d.value)) shallow.set(d.value, name);
  }
  for (const name of lazyGlobals) {
    const value = (globalThis as Record<string, unknown>)[name];
    if (isObject(value) && !shallow.has(value)) shallow.set(value, name);
  }
  for (const [name, value] of hidden()) if (!shallow.has(value)) shallow.set(value, name);
  return shallow;
}

function everything(): Map<unknown, string> {
  if (deep) return deep;
  deep = new Map(globals());
  const skipped = new Set<unknown>([globalThis, (globalThis as { process?: unknown }).process]);
  const pending = [...deep].map(([value, name]) => ({ value, name, depth: 0 }));
  for (let i = 0; i < pending.length; i++) {
    const { value, name, depth } = pending[i];
    if (depth > 3 || skipped.has(value)) continue;
    for (const key of Reflect.ownKeys(value as object)) {
      if (key === "constructor" || (typeof key === "symbol" && !key.description?.startsWith("Symbol."))) {
        continue;
      }
      const d = Reflect.getOwnPropertyDescriptor(value as object, key)!;
      const path = `${name}.${typeof key === "symbol" ? `@@${key.description!.slice(7)}` : key}`;
      for (const [prefix, part] of [["", d.value], ["get ", d.get], ["set ", d.set]] as const) {
        if (!isObject(part) || deep.has(part)) continue;
        deep.set(part, prefix + path);
        if (prefix === "") pending.push({ value: part, name: path, depth: depth + 1 });
      }
    }
  }
  return deep;
}

/** The name of an intrinsic object that is not a function, or undefined. */
export function intrinsicObject(value: object): string | undefined {
  const found = globals().get(value);
  if (found !== undefined) return found;
  const owner = Object.getOwnPropertyDescriptor(value, "constructor")?.value;
  if (typeof owner !== "function" || owner.prototype !== value) return undefined;
  const name = intrinsicFunction(owner);
  return name === undefined ? undefined : `${name}.prototype`;
}

/** The name of an intrinsic function or class, or undefined. `native` says that its text is `[native code]`. */
export function intrinsicFunction(fn: CodeFunction, native = false): string | undefined {
  const found = globals().get(fn);
  if (found !== undefined) return found;
  const name = Object.getOwnPropertyDescriptor(fn, "name")?.value;
  if (typeof name === "string" && /^[A-Z]/.test(name)) {
    // Web classes that the runtime loads on first use sit behind a getter.
    const d = Object.getOwnPropertyDescriptor(globalThis, name);
    if (d && !d.enumerable && (globalThis as Record<string, unknown>)[name] === fn) return name;
  }
  // The runtime's own errors (Deno.errors.NotFound) have visible texts and arrive in workers that may not look further.
  return native || fn.prototype instanceof Error ? everything().get(fn) : undefined;
}

/** As `intrinsicFunction`, for a function whose text is visible but which belongs to the runtime. */
export function intrinsicAnywhere(value: unknown): string | undefined {
  return everything().get(value);
}

/** The intrinsic with this name here, or undefined. */
export function intrinsicValue(name: string): unknown {
  const known = hidden().find(([path]) => name === path || name.startsWith(`${path}.`));
  const accessor = /^[gs]et /.exec(name)?.[0];
  const path = accessor ? name.slice(4) : name;
  const keys = path.slice(known ? known[0].length + 1 : 0).split(".").filter((key) => key !== "");
  let value: unknown = known ? known[1] : globalThis;
  if (path === "globalThis") return globalThis;
  for (let i = 0; i < keys.length; i++) {
    if (!isObject(value)) return undefined;
    const key = keys[i].startsWith("@@")
      ? (Symbol as unknown as Record<string, symbol>)[keys[i].slice(2)]
      : keys[i];
    if (accessor && i === keys.length - 1) {
      const d = Object.getOwnPropertyDescriptor(value, key);
      return accessor === "get " ? d?.get : d?.set;
    }
    if (key === undefined || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}
