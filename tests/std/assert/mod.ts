// Stand-in for JSR's @std/assert, for machines that cannot reach JSR: the same names and signatures, thin over
// node:assert so that it runs in Deno and bundles for Node. Equality is node's deepStrictEqual: deep, Object.is for
// primitives (so NaN equals NaN and -0 differs from 0), Map, Set, typed arrays, prototypes, error messages and
// causes. That is a little stricter than the original, so what passes here passes there.
import nodeAssert from "node:assert";

/** Thrown by every assertion of this module. */
export class AssertionError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AssertionError";
  }
}

// deno-lint-ignore no-explicit-any
type AnyConstructor = new (...args: any[]) => any;

/** The type of the instances of a constructor. */
export type GetConstructorType<T extends AnyConstructor> = InstanceType<T>;

/** An array-like of elements, as accepted by {@linkcode assertArrayIncludes}. */
export type ArrayLikeArg<T> = ArrayLike<T> & object;

type ErrorClass<E extends Error> = abstract new (...args: never[]) => E;

/** Shows a value in one short line; never throws, whatever the value's own methods do. */
function show(value: unknown): string {
  let text: string;
  try {
    if (typeof value === "string") text = JSON.stringify(value);
    else if (typeof value === "bigint") text = `${value}n`;
    else if (Object.is(value, -0)) text = "-0";
    else if (value instanceof Error) text = `${value.name}: ${value.message}`;
    else if (typeof value === "object" && value !== null) text = JSON.stringify(value) ?? String(value);
    else text = String(value);
  } catch {
    text = Object.prototype.toString.call(value);
  }
  return text.length > 500 ? text.slice(0, 500) + "..." : text;
}

function explain(message: string, extra: string | undefined): string {
  return extra === undefined ? message : `${message}: ${extra}`;
}

function differences(compare: () => void): string | undefined {
  try {
    compare();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Fails unless `expr` is truthy. */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

/** Fails unless `expr` is falsy. */
export function assertFalse(expr: unknown, msg = ""): asserts expr is false {
  if (expr) throw new AssertionError(msg);
}

/** Always fails. */
export function fail(msg?: string): never {
  throw new AssertionError(explain("Failed assertion", msg));
}

/** Tells that a line can never run. */
export function unreachable(msg?: string): never {
  throw new AssertionError(explain("Unreachable", msg));
}

/** Tells that a branch is not implemented. */
export function unimplemented(msg?: string): never {
  throw new AssertionError(explain("Unimplemented", msg));
}

/** True when the two are deeply equal. */
export function equal(a: unknown, b: unknown): boolean {
  return differences(() => nodeAssert.deepStrictEqual(a, b)) === undefined;
}

/** Fails unless the two are deeply equal. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  const difference = differences(() => nodeAssert.deepStrictEqual(actual, expected));
  if (difference !== undefined) {
    throw new AssertionError(`${explain("Values are not equal", msg)}\n${difference}`);
  }
}

/** Fails when the two are deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  if (equal(actual, expected)) {
    throw new AssertionError(explain(`Expected a value other than ${show(expected)}`, msg));
  }
}

/** Fails unless the two are the same by `Object.is`. */
export function assertStrictEquals<T>(actual: unknown, expected: T, msg?: string): asserts actual is T {
  if (!Object.is(actual, expected)) {
    throw new AssertionError(
      explain(`Values are not strictly equal: ${show(actual)} is not ${show(expected)}`, msg),
    );
  }
}

/** Fails when the two are the same by `Object.is`. */
export function assertNotStrictEquals<T>(actual: T, expected: T, msg?: string): void {
  if (Object.is(actual, expected)) {
    throw new AssertionError(explain(`Expected a value strictly unequal to ${show(actual)}`, msg));
  }
}

/** Fails when `actual` is null or undefined. */
export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T> {
  if (actual === undefined || actual === null) {
    throw new AssertionError(explain(`Expected a value, got ${actual}`, msg));
  }
}

/** Fails unless the two numbers differ by at most `tolerance` (default: 1e-7 of the larger magnitude). */
export function assertAlmostEquals(actual: number, expected: number, tolerance?: number, msg?: string): void {
  if (Object.is(actual, expected)) return;
  const allowed = tolerance ?? 1e-7 * Math.max(Math.abs(expected), Number.EPSILON);
  const delta = Math.abs(expected - actual);
  if (delta <= allowed) return;
  throw new AssertionError(
    explain(`Expected ${actual} to be within ${allowed} of ${expected}, the difference is ${delta}`, msg),
  );
}

/** Fails unless `actual > expected`. */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual > expected)) {
    throw new AssertionError(explain(`Expected ${show(actual)} > ${show(expected)}`, msg));
  }
}

/** Fails unless `actual >= expected`. */
export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual >= expected)) {
    throw new AssertionError(explain(`Expected ${show(actual)} >= ${show(expected)}`, msg));
  }
}

/** Fails unless `actual < expected`. */
export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual < expected)) {
    throw new AssertionError(explain(`Expected ${show(actual)} < ${show(expected)}`, msg));
  }
}

/** Fails unless `actual <= expected`. */
export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual <= expected)) {
    throw new AssertionError(explain(`Expected ${show(actual)} <= ${show(expected)}`, msg));
  }
}

/** Fails unless `actual` matches the expression. */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  if (actual.search(expected) === -1) {
    throw new AssertionError(explain(`Expected ${show(actual)} to match ${expected}`, msg));
  }
}

/** Fails when `actual` matches the expression. */
export function assertNotMatch(actual: string, expected: RegExp, msg?: string): void {
  if (actual.search(expected) !== -1) {
    throw new AssertionError(explain(`Expected ${show(actual)} not to match ${expected}`, msg));
  }
}

/** Fails unless `actual` contains `expected`. */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  if (!actual.includes(expected)) {
    throw new AssertionError(explain(`Expected ${show(actual)} to contain ${show(expected)}`, msg));
  }
}

/** Fails unless every element of `expected` is deeply equal to an element of `actual`. */
export function assertArrayIncludes<T>(
  actual: ArrayLikeArg<T>,
  expected: ArrayLikeArg<T>,
  msg?: string,
): void {
  const have = Array.from(actual);
  const missing = Array.from(expected).filter((wanted) => !have.some((element) => equal(element, wanted)));
  if (missing.length > 0) {
    throw new AssertionError(explain(`Expected ${show(have)} to include ${show(missing)}`, msg));
  }
}

/** Fails unless every property of `expected`, at any depth, is in `actual` with an equal value. */
export function assertObjectMatch(
  // deno-lint-ignore no-explicit-any
  actual: Record<PropertyKey, any>,
  expected: Record<PropertyKey, unknown>,
  msg?: string,
): void {
  assertEquals(pick(actual, expected, new Map()), expected as unknown, msg);
}

/** The part of `from` that `wanted` speaks about, with the shape of `wanted`. */
function pick(from: unknown, wanted: unknown, seen: Map<unknown, unknown>): unknown {
  if (!isPlain(from) || !isPlain(wanted)) return from;
  const known = seen.get(from);
  if (known !== undefined) return known;
  const part: Record<PropertyKey, unknown> | unknown[] = Array.isArray(from)
    ? []
    : Object.create(Object.getPrototypeOf(wanted));
  seen.set(from, part);
  for (const key of Reflect.ownKeys(wanted)) {
    if (key === "length" && Array.isArray(wanted)) (part as unknown[]).length = (from as unknown[]).length;
    else if (key in from) {
      Reflect.set(part, key, pick(Reflect.get(from, key), Reflect.get(wanted, key), seen));
    }
  }
  return part;
}

function isPlain(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  return !(value instanceof Map || value instanceof Set || value instanceof Date ||
    ArrayBuffer.isView(value));
}

/** Fails unless `actual` is an instance of `expectedType`. */
export function assertInstanceOf<T extends AnyConstructor>(
  actual: unknown,
  expectedType: T,
  msg = "",
): asserts actual is GetConstructorType<T> {
  if (actual instanceof expectedType) return;
  throw new AssertionError(
    explain(`Expected an instance of ${expectedType.name}, got ${kind(actual)}`, msg || undefined),
  );
}

/** Fails when `actual` is an instance of `unexpectedType`. */
export function assertNotInstanceOf<A, T>(
  actual: A,
  // deno-lint-ignore no-explicit-any
  unexpectedType: abstract new (...args: any[]) => T,
  msg?: string,
): asserts actual is Exclude<A, T> {
  if (actual instanceof unexpectedType) {
    throw new AssertionError(explain(`Expected no instance of ${unexpectedType.name}`, msg));
  }
}

function kind(value: unknown): string {
  if (typeof value !== "object" || value === null) return show(value);
  return `an instance of ${value.constructor?.name ?? "no class"} (${show(value)})`;
}

/** Fails unless `error` is an `Error`, of the class given, whose message contains the text or matches. */
export function assertIsError<E extends Error = Error>(
  error: unknown,
  ErrorClass?: ErrorClass<E>,
  msgMatches?: string | RegExp,
  msg?: string,
): asserts error is E {
  if (!(error instanceof Error)) {
    throw new AssertionError(explain(`Expected an Error, got ${kind(error)}`, msg));
  }
  if (ErrorClass && !(error instanceof ErrorClass)) {
    throw new AssertionError(
      explain(`Expected error to be a ${ErrorClass.name}, got ${error.name}: ${error.message}`, msg),
      { cause: error },
    );
  }
  if (msgMatches === undefined) return;
  const fits = typeof msgMatches === "string"
    ? error.message.includes(msgMatches)
    : error.message.search(msgMatches) !== -1;
  if (!fits) {
    const wanted = typeof msgMatches === "string" ? show(msgMatches) : String(msgMatches);
    throw new AssertionError(
      explain(`Expected error message to include ${wanted}, got ${show(error.message)}`, msg),
      { cause: error },
    );
  }
}

/** Fails unless `fn` throws; returns what it threw. */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
/** Fails unless `fn` throws an error of the class with the text in its message; returns it. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  classOrMsg?: ErrorClass<E> | string,
  msgIncludes?: string,
  msg?: string,
): E | unknown {
  const note = typeof classOrMsg === "string" ? classOrMsg : msg;
  let thrown: unknown;
  try {
    fn();
  } catch (error) {
    thrown = error;
    if (typeof classOrMsg === "function") assertIsError(error, classOrMsg, msgIncludes, note);
    return thrown;
  }
  throw new AssertionError(explain("Expected function to throw", note));
}

/** Fails unless the promise of `fn` rejects; resolves to the reason. */
export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
/** Fails unless the promise of `fn` rejects with an error of the class with the text in its message. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  classOrMsg?: ErrorClass<E> | string,
  msgIncludes?: string,
  msg?: string,
): Promise<E | unknown> {
  const note = typeof classOrMsg === "string" ? classOrMsg : msg;
  let promise: PromiseLike<unknown>;
  try {
    promise = fn();
  } catch (error) {
    throw new AssertionError(explain("Function throws when expected to reject", note), { cause: error });
  }
  if (promise === null || typeof promise !== "object" || typeof promise.then !== "function") {
    throw new AssertionError(explain("Function did not return a promise", note));
  }
  try {
    await promise;
  } catch (error) {
    if (typeof classOrMsg === "function") assertIsError(error, classOrMsg, msgIncludes, note);
    return error;
  }
  throw new AssertionError(explain("Expected function to reject", note));
}
