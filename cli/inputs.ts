/**
 * What a verb works on, as named on the command line: files by pattern, JSON lines on standard input, or what
 * a module exports. Inputs are read as they are asked for; what can be found wrong before the first is.
 */
import { fileKind, stdinLines } from "../runtime/mod.ts";
import { UsageError } from "./flags.ts";
import { isPattern, matchingFiles } from "./glob.ts";
import { loadExport, splitExport } from "./user_module.ts";

/** Inputs, one after another. */
export interface Inputs {
  items: AsyncIterable<unknown> | Iterable<unknown>;
  /** How many there are, where that can be told without using them up. May take a while. */
  count(): number | undefined;
}

/**
 * Opens inputs.
 *
 * @param warn Told, in words, what is left out.
 * @throws {UsageError} If one matches no file, or is nothing to go over.
 */
export async function openInputs(specs: readonly string[], warn: (message: string) => void): Promise<Inputs> {
  if (specs.filter((spec) => spec === "-").length > 1) {
    throw new UsageError("standard input (-) can be given only once");
  }
  const all: Inputs[] = [];
  for (const spec of specs) all.push(await open(spec, warn));
  return {
    items: chain(all),
    count: () => all.reduce<number | undefined>((sum, part) => add(sum, part.count()), 0),
  };
}

function add(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a + b;
}

async function* chain(parts: readonly Inputs[]): AsyncGenerator<unknown> {
  for (const { items } of parts) yield* items;
}

function open(spec: string, warn: (message: string) => void): Promise<Inputs> | Inputs {
  if (spec === "-") return { items: jsonLines(), count: () => undefined };
  if (isPattern(spec)) return byPattern(spec, warn);
  const kind = fileKind(spec);
  if (kind === "folder") throw new UsageError(`${spec} is a folder: give a pattern such as '${spec}/**'`);
  if (kind) return { items: [spec], count: () => 1 };
  const named = splitExport(spec);
  if (named?.name) return byExport(named.path, named.name);
  throw new UsageError(`there is no file ${spec}`);
}

function byPattern(pattern: string, warn: (message: string) => void): Inputs {
  const files = matchingFiles(pattern, (folder, error) => {
    warn(`left out ${folder}, which cannot be read: ${(error as Error).message}`);
  });
  const first = files.next();
  if (first.done) throw new UsageError(`no file matches ${pattern}`);
  return {
    items: startingWith(first.value, files),
    count() {
      let count = 0;
      for (const _ of matchingFiles(pattern, () => {})) count++;
      return count;
    },
  };
}

function* startingWith<T>(first: T, rest: Iterable<T>): Generator<T> {
  yield first;
  yield* rest;
}

async function byExport(path: string, name: string): Promise<Inputs> {
  const { value } = await loadExport(path, name);
  const given: unknown = typeof value === "function" ? await value() : value;
  const iterable = typeof given === "object" && given !== null &&
    (Symbol.iterator in given || Symbol.asyncIterator in given);
  if (!iterable) {
    const what = typeof value === "function" ? `returned ${describe(given)}` : `is ${describe(given)}`;
    throw new UsageError(
      `${path}:${name} ${what}: inputs must be an iterable, an async iterable, or a function that returns one`,
    );
  }
  const { length, size } = given as { length?: unknown; size?: unknown };
  return {
    items: given as Iterable<unknown> | AsyncIterable<unknown>,
    count: () => [length, size].find((n): n is number => typeof n === "number"),
  };
}

async function* jsonLines(): AsyncGenerator<unknown> {
  let number = 0;
  for await (const line of stdinLines()) {
    number++;
    if (line.trim() === "") continue;
    try {
      yield JSON.parse(line);
    } catch (error) {
      throw new UsageError(
        `line ${number} of standard input is not JSON (${(error as Error).message}): ` +
          "each line must be one JSON value; jq -R . makes strings of plain lines",
      );
    }
  }
}

function describe(value: unknown): string {
  return value === null || typeof value !== "object" ? String(value) : "an object that is not iterable";
}
