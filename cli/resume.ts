/**
 * What an earlier run has done, from the lines it wrote. A line that was cut when that run was killed is its
 * last, or was its last when a later run went on behind it; its item counts as not done. Of each input only a
 * 48-bit digest is kept, to tell whether it is still the same.
 */
import { builtin, fileKind, fileLines } from "../runtime/mod.ts";
import { UsageError } from "./flags.ts";

/** The state of an earlier run. */
export interface Earlier {
  /** Number of items that are done. */
  done: number;
  /** Number of items that failed and were not repeated with success. */
  failed: number;
  /** Whether the file ends within a line. */
  cut: boolean;
  /**
   * Whether an item is done.
   *
   * @throws {UsageError} If it had another input then.
   */
  has(index: number, input: string): boolean;
  /**
   * Call it when the inputs are at their end.
   *
   * @throws {UsageError} If the earlier run had more inputs.
   */
  checkCount(count: number): void;
}

const LINE_START = '{"index":';

/**
 * Reads the lines that an earlier run wrote.
 *
 * @throws {UsageError} If there is no such file, or it is not the output of a map.
 */
export async function readEarlier(path: string): Promise<Earlier> {
  if (fileKind(path) === undefined) {
    throw new UsageError(`there is no file ${path} to resume from; leave out --resume for the first run`);
  }
  const digests = new Map<number, number>();
  const failures = new Set<number>();
  let highest = -1;
  let number = 0;
  let cut = false;
  for await (const { text, ended } of fileLines(path)) {
    number++;
    cut = !ended;
    if (text === "") continue;
    const line = parseLine(text);
    if (line === "cut") continue;
    if (line === "foreign") {
      throw new UsageError(
        `line ${number} of ${path} was not written by pathos map: ` +
          `--resume takes a file of lines ${LINE_START}..}, as pathos map writes them without --values`,
      );
    }
    highest = Math.max(highest, line.index);
    if (line.done) {
      digests.set(line.index, digest(JSON.stringify(line.input)));
      failures.delete(line.index);
    } else if (!digests.has(line.index)) failures.add(line.index);
  }
  return {
    done: digests.size,
    failed: failures.size,
    cut,
    has(index, input) {
      const known = digests.get(index);
      if (known === undefined) return false;
      if (known === digest(input)) return true;
      throw new UsageError(
        `${path} belongs to other inputs: item ${index} is ${
          shorten(input)
        } now and was another one there. ` +
          "Give the inputs of that run, in their order, or start again without --resume",
      );
    },
    checkCount(count) {
      if (highest < count) return;
      throw new UsageError(
        `${path} belongs to other inputs: it has an item ${highest}, and there are ${count} inputs now`,
      );
    },
  };
}

type ParsedLine = { index: number; input: unknown; done: boolean } | "cut" | "foreign";

function parseLine(text: string): ParsedLine {
  let line: { index?: unknown; input?: unknown } | null;
  try {
    line = JSON.parse(text);
  } catch {
    return text.startsWith(LINE_START) || LINE_START.startsWith(text) ? "cut" : "foreign";
  }
  if (typeof line !== "object" || line === null || !Number.isInteger(line.index) || !("input" in line)) {
    return "foreign";
  }
  return { index: line.index as number, input: line.input, done: "value" in line };
}

interface Crypto {
  createHash(name: string): { update(text: string): { digest(): Uint8Array } };
}

function digest(text: string): number {
  const bytes = builtin<Crypto>("node:crypto").createHash("sha256").update(text).digest();
  return bytes.subarray(0, 6).reduce((number, byte) => number * 256 + byte, 0);
}

function shorten(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}
