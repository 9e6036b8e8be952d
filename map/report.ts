/**
 * What people see of a failure: the input in short, and the stack of the user's function without our own
 * frames, at the lines of the user's file.
 */
import { builtin } from "../runtime/mod.ts";
import { mapPosition } from "../serialize/position.ts";
import type { Chunk } from "./worker.ts";

/** The arguments of item `at` of a chunk, in at most about 120 characters. */
export function describeItem({ columns }: Chunk, at: number): string {
  const { inspect } = builtin<{ inspect(value: unknown, options: Record<string, unknown>): string }>(
    "node:util",
  );
  const text = columns
    .map(({ items, offset }) => {
      try {
        return inspect(items[offset + at], {
          depth: 1,
          maxArrayLength: 6,
          maxStringLength: 60,
          breakLength: Infinity,
        });
      } catch {
        return "(cannot be shown)"; // a getter or a custom inspector of the user's threw
      }
    })
    .join(", ")
    .replaceAll("\n", " ");
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}

/** Frames of the worker program and of the runtime below it. */
const FOREIGN =
  /pathos-worker|data:text\/javascript|\bext:|\bnode:internal|\[worker eval\]|\[eval\]|\/map\/(?:runner|serial_worker)\.ts:/;

/** How Deno prints a frame of code that was evaluated under the name of a file. */
const EVALUATED = /at (.+) \(((?:file|https?):[^\s,]+), <anonymous>:(\d+:\d+)\)$/;

/** The same error with a stack that shows the user's code only; also its causes and its collected errors. */
export function tidyLocal(error: unknown): unknown {
  return tidy(error, false);
}

/** The same for an error from another isolate, whose frames are those of the code as it runs. */
export function tidyRemote(error: unknown): unknown {
  return tidy(error, true);
}

function tidy(error: unknown, remote: boolean): unknown {
  const seen = new Set<unknown>();
  const waiting = [error];
  for (let next = waiting.pop(); waiting.length > 0 || next !== undefined; next = waiting.pop()) {
    if (!(next instanceof Error) || seen.has(next)) continue;
    seen.add(next);
    if (typeof next.stack === "string") {
      const stack = tidyStack(next.stack, remote);
      if (stack !== next.stack) {
        Object.defineProperty(next, "stack", { value: stack, configurable: true, writable: true });
      }
    }
    waiting.push(next.cause);
    if (next instanceof AggregateError) waiting.push(...next.errors);
  }
  return error;
}

function tidyStack(stack: string, remote: boolean): string {
  return stack.split("\n")
    .map((line) =>
      line.replace(
        EVALUATED,
        (_, name, url, at) => name === "eval" ? `at ${url}:${at}` : `at ${name} (${url}:${at})`,
      )
    )
    .filter((line) => !(/^\s+at /.test(line) && FOREIGN.test(line)))
    .map((line) =>
      !remote
        ? line
        : line.replace(/((?:file|https?):\/\/[^\s()]+):(\d+):(\d+)(\)?)$/, (_, url, row, column, end) => {
          const position = mapPosition(url, Number(row), Number(column));
          return `${url}:${position.line}:${position.column}${end}`;
        })
    )
    .join("\n");
}
