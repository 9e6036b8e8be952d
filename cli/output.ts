/**
 * Lines on standard output: gathered while they come fast, written as soon as they do not, in order, and with
 * back-pressure. When the reader has gone (`| head`) what is written is dropped and `onClosed` is called.
 */
import { nextTurn, stdout } from "../runtime/mod.ts";

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
 */
export function lineOutput(onClosed: () => void): LineOutput {
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
        await stdout.write(text);
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
    if (failure) throw new Error("cannot write to standard output", { cause: failure.error });
  };

  return {
    async line(text) {
      if (closed) return;
      gathered += text + "\n";
      writing ??= drain();
      if (gathered.length > MAX_GATHERED || failure) await flush();
    },
    flush,
  };
}
