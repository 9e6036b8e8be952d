/**
 * From a position in the JavaScript that V8 runs to the position in the file that the user wrote.
 *
 * Code that was loaded elsewhere keeps the positions of the transpiled text, because only the process that loaded the module has
 * its source map. There, a tiny script that pretends to stand at the position and looks at its own stack frame gets it
 * mapped by the runtime. Where nothing is mapped, the position comes back unchanged.
 */
import { builtin } from "../runtime/mod.ts";

/** A position as stack traces show it: both from 1. */
export interface Position {
  line: number;
  column: number;
}

const cache = new Map<string, Position>();
const cacheLimit = 10_000;

/** The position in the user's file, if the module with this URL was loaded in this process. */
export function mapPosition(url: string, line: number, column: number): Position {
  const key = `${line}:${column} ${url}`;
  let found = cache.get(key);
  if (!found) {
    found = ask(url, line, column) ?? { line, column };
    if (cache.size >= cacheLimit) cache.clear();
    cache.set(key, found);
  }
  return found;
}

interface Vm {
  Script: new (code: string, options: object) => { runInThisContext(): unknown };
}

function ask(url: string, line: number, column: number): Position | undefined {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 1;
  try {
    const { Script } = builtin<Vm>("node:vm");
    const options = { filename: url, lineOffset: line - 1, columnOffset: column - 1 };
    const stack = new Script("new Error().stack", options).runInThisContext();
    const at = /:(\d+):(\d+)\)?$/.exec(String(stack).split("\n")[1] ?? "");
    return at ? { line: Number(at[1]), column: Number(at[2]) } : undefined;
  } catch {
    return undefined;
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
