/**
 * The explicit way to make a closure's variables readable, where the inspector is not to be had or does not see enough.
 */
import type { CodeFunction } from "./types.ts";

/** Evaluates source text where a function was written. */
export type Evaluator = (source: string) => unknown;

const evaluators = new WeakMap<CodeFunction, Evaluator>();

/**
 * Makes a function serializable through an evaluator written beside it, and returns the same function.
 *
 * Use it where captured variables cannot be read otherwise (Deno without `--allow-sys`), and for arrow functions that use
 * `this` of the code around them. The second argument must be written out as shown, next to the function: a direct `eval` sees what the
 * function sees. The engine then keeps every variable of that scope alive.
 *
 * @typeParam F The function's type.
 * @param fn The function.
 * @param evaluate Always `(source) => eval(source)`.
 * @returns `fn` itself.
 * @throws {TypeError} If the arguments are not two functions.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { capture, copy } from "@pathos/pathos/serialize";
 *
 * class Scale {
 *   factor = 3;
 *   scaler() {
 *     return capture((x: number) => x * this.factor, (source) => eval(source));
 *   }
 * }
 * assertEquals(copy(new Scale().scaler())(14), 42);
 * ```
 */
export function capture<F extends CodeFunction>(fn: F, evaluate: (source: string) => unknown): F {
  if (typeof fn !== "function" || typeof evaluate !== "function") {
    throw new TypeError("capture takes a function and (source) => eval(source), written next to it");
  }
  evaluators.set(fn, evaluate);
  return fn;
}

/** The evaluator given for a function. */
export function evaluatorOf(fn: CodeFunction): Evaluator | undefined {
  return evaluators.get(fn);
}
