/**
 * What is sent to the workers: the user's function, made so that its results come back as lines of JSON can be
 * written, numbered. Making the JSON there spreads that work too, and a result that JSON cannot carry
 * fails its own item only.
 */
import { toJson } from "./json.ts";

/** An input with its position in this run. */
export type Numbered = [position: number, input: unknown];
/** A result as JSON text, with the position of its input. */
export type NumberedText = [position: number, text: string];
/** What the workers run. */
export type Work = (item: Numbered) => NumberedText | Promise<NumberedText>;

type UserFunction = (input: unknown) => unknown;

/** The function travels with what it captures; its module is not needed in the worker. */
export function workByValue(fn: UserFunction): Work {
  return (item) => applyTo(fn, item);
}

/**
 * Each worker imports the module for itself, as if it had been started with it: module state that cannot
 * travel (open files, decoders, connections) is made anew there.
 */
export function workByImport(url: string, name: string): Work {
  let fn: UserFunction | undefined;
  return async (item) => {
    fn ??= (await import(url))[name] as UserFunction;
    return applyTo(fn, item);
  };
}

function applyTo(fn: UserFunction, [position, input]: Numbered): NumberedText | Promise<NumberedText> {
  const value = fn(input);
  return value instanceof Promise
    ? value.then((settled): NumberedText => [position, toJson(settled)])
    : [position, toJson(value)];
}
