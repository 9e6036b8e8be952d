/**
 * What is remembered of functions and classes that were loaded, so that they can be written again exactly, without the
 * inspector.
 */
import type { OpenScope } from "./scopes.ts";
import type { CodeFunction } from "./types.ts";

/** Access to the private members of a class that was loaded. */
export interface ClassHooks {
  /** Whether an object carries the private members of this class. */
  brands?(object: object): boolean;
  /** Values of the private instance fields, in order. */
  get?(object: object): unknown[];
  set?(object: object, values: readonly unknown[]): void;
  getStatics?(): unknown[];
  setStatics?(values: readonly unknown[]): void;
  /** While true, constructor and field initialisers of this class do nothing. */
  restoring?(on: boolean): void;
}

/** The origin of a loaded function. */
export interface Loaded {
  text: string;
  scope: OpenScope | undefined;
  url: string;
  line: number;
  column: number;
  strict: boolean;
  hooks: ClassHooks | undefined;
  /** `this`, `arguments` and the home object's prototype that the function was given, if it uses them. */
  outer: { self?: unknown; args?: unknown[]; home?: object } | undefined;
}

const loaded = new WeakMap<CodeFunction, Loaded>();
const bound = new WeakMap<CodeFunction, { target: CodeFunction; self: unknown; args: unknown[] }>();

/** Notes where a function came from. */
export function noteLoaded(fn: CodeFunction, origin: Loaded): void {
  loaded.set(fn, origin);
}

/** Where a function came from, if it was loaded. */
export function loadedOrigin(fn: CodeFunction): Loaded | undefined {
  return loaded.get(fn);
}

/** Notes the parts of a bound function. */
export function noteBound(
  fn: CodeFunction,
  parts: { target: CodeFunction; self: unknown; args: unknown[] },
): void {
  bound.set(fn, parts);
}

/** The parts of a bound function, if it was loaded. */
export function loadedBound(
  fn: CodeFunction,
): { target: CodeFunction; self: unknown; args: unknown[] } | undefined {
  return bound.get(fn);
}

/** Source text of a function: the original if it was loaded. */
export function textOf(fn: CodeFunction): string {
  return loaded.get(fn)?.text ?? Function.prototype.toString.call(fn);
}
