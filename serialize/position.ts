/**
 * From a position in the JavaScript that runs to the line the user wrote. Deno maps the frames of modules
 * that it transpiled, but only in the isolate that loaded them, and it keeps the source maps to itself. So
 * the question is put in its own terms: a script that pretends to be that place throws, and the frame that
 * Deno prints for it tells the answer.
 */
import { builtin, runtimeName } from "../runtime/mod.ts";

interface Vm {
  Script: new (code: string, options: Record<string, unknown>) => { runInThisContext(): unknown };
}

const known = new Map<string, { line: number; column: number }>();
const MAX_KNOWN = 10_000;

/**
 * The position in the user's file of a position in the running code, both counted from 1. Under Node, and for
 * modules this isolate has not loaded, it is the same position.
 */
export function mapPosition(url: string, line: number, column: number): { line: number; column: number } {
  if (runtimeName === "node") return { line, column };
  const key = `${url}:${line}:${column}`;
  let found = known.get(key);
  if (!found) {
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(key, found = ask(url, line, column) ?? { line, column });
  }
  return found;
}

function ask(url: string, line: number, column: number): { line: number; column: number } | undefined {
  const { Script } = builtin<Vm>("node:vm");
  try {
    new Script("throw new Error()", { filename: url, lineOffset: line - 1, columnOffset: column - 1 }).runInThisContext();
  } catch (error) {
    const frame = /:(\d+):(\d+)\)?$/m.exec((error as Error).stack!.split("\n")[1] ?? "");
    if (frame) return { line: Number(frame[1]), column: Number(frame[2]) };
  }
  return undefined;
}
