/**
 * Waiting for a file that another program writes.
 */
import { readFolder } from "../runtime/folders.ts";
import { exists } from "../runtime/mod.ts";
import { pathText } from "./paths.ts";

/** Options of {@linkcode waitFor}. */
export interface WaitForOptions {
  /** Milliseconds between two looks. Default: 1000. */
  sleep?: number;
  /** How often to look again, at most. Default: 150. */
  tries?: number;
  /** Resolve to false when it does not come, instead of being rejected. Default: false. */
  ignoreErrors?: boolean;
  /** Ends the waiting; it then rejects with the signal's reason. */
  signal?: AbortSignal;
}

/**
 * Waits until there is a file or folder at a path; it may not be written to its end then. It looks, again and again, so it works
 * where systems do not tell of changes; the folder is read for it, because on network file systems a look at the
 * file alone may be answered from memory. pox starts sync(1) for that, which writes out everything on the machine.
 *
 * @returns True when it is there, false if it did not come and `ignoreErrors` is set.
 * @throws {DOMException} Named `TimeoutError`, if it did not come.
 *
 * @example
 * ```ts
 * import { waitFor } from "@pathos/pathos/fs";
 * import { assert, assertEquals } from "@std/assert";
 *
 * assert(await waitFor("deno.json"));
 * assertEquals(await waitFor("no/such/file", { sleep: 10, tries: 2, ignoreErrors: true }), false);
 * ```
 */
export async function waitFor(path: string, options: WaitForOptions = {}): Promise<boolean> {
  const { sleep = 1000, tries = 150, ignoreErrors = false, signal } = options;
  if (!(sleep >= 0)) throw new RangeError(`sleep is ${sleep}: it must be milliseconds from 0`);
  if (!(tries >= 0)) throw new RangeError(`tries is ${tries}: it must be a number from 0`);
  const folder = pathText().dirname(path);
  for (let tried = 0;; tried++) {
    signal?.throwIfAborted();
    if (exists(path)) return true;
    if (tried >= tries) break;
    await pause(sleep, signal);
    refresh(folder);
  }
  if (ignoreErrors) return false;
  const seconds = tries * sleep / 1000;
  throw new DOMException(`${path} did not appear in ${seconds} s (${tries} looks)`, "TimeoutError");
}

function refresh(folder: string): void {
  try {
    readFolder(folder);
  } catch {
    // it may come with the file
  }
}

/** Waits, or rejects with the signal's reason as soon as it is aborted. */
function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", end);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", end, { once: true });
  });
}
