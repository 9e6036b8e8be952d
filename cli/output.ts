/**
 * Lines on standard output: gathered while they come fast, written as soon as they do not, in order, and with
 * back-pressure. When the reader has gone (`| head`) what is written is dropped and `onClosed` is called. Lines for a file are the same.
 */
import { builtin, nextTurn, stdout } from "../runtime/mod.ts";
import { UsageError } from "./flags.ts";

/** More characters than this are not gathered before the writer of lines has to wait. */
const MAX_GATHERED = 1 << 16;

/** Standard output, line by line. */
export interface LineOutput {
  /** Writes a line; resolves when there is room for the next. */
  line(text: string): Promise<void>;
  /** Resolves when everything is written. */
  flush(): Promise<void>;
}

/**
 * Opens standard output for lines.
 *
 * @param onClosed Called once, when the reader has gone.
 * @param end What ends a line.
 * @param write Writes elsewhere instead.
 */
export function lineOutput(
  onClosed: () => void,
  end = "\n",
  write: (text: string) => Promise<void> = (text) => stdout.write(text),
): LineOutput {
  let gathered = "";
  let writing: Promise<void> | undefined;
  let closed = false;
  let failure: { error: unknown } | undefined;

  async function drain(): Promise<void> {
    try {
      await nextTurn(); // what else is ready goes into the same write
      while (gathered !== "") {
        const text = gathered;
        gathered = "";
        await write(text);
      }
    } catch (error) {
      gathered = "";
      const { code } = error as { code?: string };
      if (code === "EPIPE" || code === "ERR_STREAM_DESTROYED") {
        closed = true;
        onClosed();
      } else failure = { error };
    } finally {
      writing = undefined;
    }
  }

  const flush = async (): Promise<void> => {
    while (writing) await writing;
    if (failure) throw cannotWrite(failure.error);
  };

  return {
    async line(text) {
      if (closed) return;
      if (failure) return await flush(); // a stream that failed once may never answer again
      gathered += text + end;
      writing ??= drain();
      if (gathered.length > MAX_GATHERED) await flush();
    },
    flush,
  };
}

/** The error for results that cannot be written, as to a full disk. */
export function cannotWrite(cause: unknown): UsageError {
  return new UsageError(`cannot write the results: ${(cause as Error)?.message ?? cause}`);
}

/**
 * Opens a file for lines.
 *
 * @param append Whether they go behind what it holds (default: in place of that).
 * @throws {UsageError} If it cannot be written.
 */
export function fileOutput(path: string, append = false): LineOutput & { close(): void } {
  const { openSync, writeSync, closeSync } = builtin<FileSystem>("node:fs");
  let file: number;
  try {
    file = openSync(path, append ? "a" : "w");
  } catch (error) {
    throw new UsageError(`cannot write ${path}: ${(error as Error).message}`);
  }
  const lines = lineOutput(() => {}, "\n", (text) => {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
    return Promise.resolve();
  });
  return { ...lines, close: () => closeSync(file) };
}

interface FileSystem {
  openSync(path: string, flags: string): number;
  writeSync(file: number, bytes: Uint8Array, offset: number): number;
  closeSync(file: number): void;
}
