/**
 * What a function's text says about its parameters: their names, for keys that leave some out, and whether a call
 * gives too few or too many arguments.
 *
 * Native and bound functions have no names. The text is parsed once per function.
 */
import { textOf } from "../serialize/loaded.ts";
import { type Parameter, syntaxOf } from "../serialize/syntax.ts";
import type { CodeFunction } from "../serialize/types.ts";

export type { Parameter };

/** The parameters of a function. */
export interface Signature {
  /** All parameters in order; undefined if the function does not show them. */
  readonly parameters: readonly Parameter[] | undefined;
  /** Names in order; undefined for a parameter that is a pattern. The rest parameter is not among them. */
  readonly names: readonly (string | undefined)[];
  /** Name of the rest parameter. */
  readonly rest: string | undefined;
  /** How many arguments a call must give. */
  readonly least: number;
  /** How many arguments a call can give. */
  readonly most: number;
}

const known = new WeakMap<CodeFunction, Signature>();

/**
 * The parameters of a function, method, class (its constructor's) or arrow function.
 *
 * @param fn The function.
 * @returns Its parameters.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { signature } from "@pathos/pathos/cache";
 *
 * const { names, rest, least } = signature((x: number, y = 2, ...more: number[]) => x + y + more.length);
 * assertEquals([names, rest, least], [["x", "y"], "more", 1]);
 * ```
 */
export function signature(fn: CodeFunction): Signature {
  let found = known.get(fn);
  if (!found) {
    found = read(fn);
    known.set(fn, found);
  }
  return found;
}

function read(fn: CodeFunction): Signature {
  const text = textOf(fn);
  const parameters = /\{\s*\[native code\]\s*\}\s*$/.test(text) ? undefined : parsed(fn, text);
  if (!parameters) return { parameters, names: [], rest: undefined, least: fn.length, most: Infinity };
  const plain = parameters.filter(({ isRest }) => !isRest);
  const optional = plain.findIndex(({ isOptional }) => isOptional);
  const takesAny = plain.length < parameters.length || /\barguments\b/.test(text);
  return {
    parameters,
    names: plain.map(({ name }) => name),
    rest: parameters.find(({ isRest }) => isRest)?.name,
    least: optional < 0 ? plain.length : optional,
    most: takesAny ? Infinity : plain.length,
  };
}

function parsed(fn: CodeFunction, text: string): readonly Parameter[] | undefined {
  const { parameters, shape } = syntaxOf(text, Object.hasOwn(fn, "prototype"));
  if (parameters || !shape) return parameters;
  // A class without a constructor takes what its base class takes.
  const base = Object.getPrototypeOf(fn);
  return shape.heritage && typeof base === "function" && base !== Function.prototype
    ? signature(base).parameters
    : [];
}

/**
 * Refuses arguments that are too few or too many for a function. JavaScript would call it with `undefined` for what is missing
 * and drop what is too much.
 *
 * @param fn The function.
 * @param args The arguments.
 * @throws {TypeError} If their number does not fit.
 *
 * @example
 * ```ts
 * import { assertThrows } from "@std/assert";
 * import { validate } from "@pathos/pathos/cache";
 *
 * const area = (width: number, height: number) => width * height;
 * validate(area, [2, 3]);
 * assertThrows(() => validate(area, [2]), TypeError, "area(width, height) takes 2 arguments, and got 1");
 * ```
 */
export function validate(fn: CodeFunction, args: readonly unknown[]): void {
  const { least, most } = signature(fn);
  if (args.length >= least && args.length <= most) return;
  const range = least === most ? `${least}` : most === Infinity ? `at least ${least}` : `${least} to ${most}`;
  throw new TypeError(
    `${shown(fn)} takes ${range} argument${
      range === "1" || range === "at least 1" ? "" : "s"
    }, and got ${args.length}`,
  );
}

/**
 * Whether a function can be called with so many arguments.
 *
 * @param fn The function.
 * @param args The arguments.
 * @returns False where {@linkcode validate} throws.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { isvalid } from "@pathos/pathos/cache";
 *
 * assertEquals([isvalid((x: number) => x, [1]), isvalid((x: number) => x, [])], [true, false]);
 * ```
 */
export function isvalid(fn: CodeFunction, args: readonly unknown[]): boolean {
  const { least, most } = signature(fn);
  return args.length >= least && args.length <= most;
}

/** A function with its parameters, for errors: `area(width, height = …)`. */
export function shown(fn: CodeFunction): string {
  const name = fn.name || "the function";
  const { parameters } = signature(fn);
  if (!parameters) return `${name}(…)`;
  const texts = parameters.map(({ name, properties, takesOthers, isOptional, isRest }) => {
    const inside = [...properties ?? [], ...takesOthers ? ["..."] : []].join(", ");
    const text = name ?? (properties ? `{ ${inside} }` : "[…]");
    return isRest ? `...${text}` : isOptional ? `${text} = …` : text;
  });
  return `${name}(${texts.join(", ")})`;
}
