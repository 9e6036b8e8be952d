/**
 * Arguments that do not count for keys.
 */
import type { CodeFunction } from "../serialize/types.ts";
import { type Parameter, shown, signature } from "./signature.ts";
import { UnkeyableError } from "./unkeyable.ts";

/** Names or numbers an argument that does not count. */
export type Ignore = string | number;

/** What is left out of a function's arguments. */
export interface Ignoring {
  /** The arguments with `undefined` for what does not count; undefined if all count. */
  readonly args: ((args: readonly unknown[]) => readonly unknown[]) | undefined;
  /** Whether `this` does not count. */
  readonly self: boolean;
}

interface Plan {
  /** Indices of arguments. */
  whole: Set<number>;
  /** Index of an argument and the properties that lead to what does not count. */
  inside: { index: number; path: string[] }[];
  /** Index of an argument and the only properties of it that count. */
  only: { index: number; properties: readonly string[] }[];
  /** From this index on. */
  from: number;
}

/**
 * What is left out, checked against the function's parameters.
 *
 * @throws {TypeError} If something is named that the function has not.
 */
export function ignoring(fn: CodeFunction, ignore: readonly Ignore[]): Ignoring {
  const plan: Plan = { whole: new Set(), inside: [], only: [], from: Infinity };
  const selves = ignore.filter((what) => what === "this" || what === "self" && !mentions(fn, "self"));
  const others = ignore.filter((what) => !selves.includes(what));
  for (const what of others) add(plan, fn, what);
  return { args: others.length === 0 ? undefined : (args) => apply(plan, args), self: selves.length > 0 };
}

function mentions(fn: CodeFunction, name: string): boolean {
  return signature(fn).names.includes(name);
}

function add(plan: Plan, fn: CodeFunction, what: Ignore): void {
  if (typeof what === "number") {
    if (!Number.isInteger(what) || what < 0) {
      throw new TypeError(`ignore: ${what} is no index of an argument`);
    }
    plan.whole.add(what);
    return;
  }
  const { parameters } = signature(fn);
  if (!parameters) {
    throw new TypeError(
      `ignore: ${fn.name || "the function"} is native or bound and does not show its parameters, so ${
        JSON.stringify(what)
      } says nothing: give the index of the argument`,
    );
  }
  const named = parameters.filter(({ isRest }) => !isRest);
  if (what === "*") plan.from = named.length;
  else if (what === "**") {
    const patterns = named.flatMap(({ properties }, index) => properties ? [{ index, properties }] : []);
    if (patterns.length === 0) throw unknown(fn, what);
    plan.only.push(...patterns);
  } else addNamed(plan, fn, what, parameters, named.length);
}

function addNamed(
  plan: Plan,
  fn: CodeFunction,
  what: string,
  parameters: readonly Parameter[],
  rest: number,
): void {
  const [first, ...path] = what.split(".");
  const index = parameters.findIndex(({ name }) => name === first);
  if (index >= 0 && parameters[index].isRest && path.length === 0) plan.from = rest;
  else if (index >= 0 && path.length === 0) plan.whole.add(index);
  else if (index >= 0 && !parameters[index].isRest) plan.inside.push({ index, path });
  else {
    const holder = parameters.findIndex(({ properties, isRest, takesOthers }) =>
      !isRest && (properties?.includes(first) || takesOthers)
    );
    if (holder < 0) throw unknown(fn, what);
    plan.inside.push({ index: holder, path: [first, ...path] });
  }
}

function unknown(fn: CodeFunction, what: string): TypeError {
  return new TypeError(`ignore: ${shown(fn)} has nothing that ${JSON.stringify(what)} names`);
}

function apply(plan: Plan, args: readonly unknown[]): readonly unknown[] {
  const left: unknown[] = args.slice(0, plan.from);
  for (const { index, properties } of plan.only) {
    if (index < left.length && isObject(left[index])) {
      const kept = plainCopy(left[index], `args[${index}]`);
      for (const name of Object.keys(kept)) if (!properties.includes(name)) delete kept[name];
      left[index] = kept;
    }
  }
  for (const { index, path } of plan.inside) {
    if (index < left.length) left[index] = without(left[index], path, `args[${index}]`);
  }
  for (const index of plan.whole) if (index < left.length) left[index] = undefined;
  return left;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** A copy of an object without what a path leads to; the value itself if it leads nowhere. */
function without(value: unknown, path: readonly string[], at: string): unknown {
  const [first, ...rest] = path;
  if (!isObject(value) || !Object.hasOwn(value, first)) return value;
  const copy = plainCopy(value, at);
  if (rest.length === 0) delete copy[first];
  else copy[first] = without(copy[first], rest, `${at}.${first}`);
  return copy;
}

function plainCopy(value: object, at: string): Record<string, unknown> {
  const prototype = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) {
    return Object.create(prototype, Object.getOwnPropertyDescriptors(value));
  }
  throw new UnkeyableError(
    at,
    `is an instance of ${
      prototype.constructor?.name || "a class"
    }, of which no single property can be left out: ` +
      "ignore all of it, or pass a plain object",
  );
}
