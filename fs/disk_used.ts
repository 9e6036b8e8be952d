/**
 * How much things take, and how much that is.
 */
import { type EntryState, entryState, readFolder } from "../runtime/folders.ts";
import { nextTurn, systemCode } from "../runtime/mod.ts";
import { prefixOf } from "./paths.ts";
import { cannotRead, type WalkError } from "./walk_error.ts";

/** Milliseconds that the event loop is held at a time. */
const SLICE = 8;

/** Options of {@linkcode diskUsed}. */
export interface DiskUsedOptions {
  /** Called with folders that cannot be read; what is in them does not count. Default: the first one is an error. */
  onError?: (error: WalkError) => void;
  /** Ends it; it then rejects with the signal's reason. */
  signal?: AbortSignal;
}

/**
 * Bytes that a file takes on the disk, or a folder with all below it, as du(1) counts them: whole blocks, a file with several names once,
 * links themselves and not what they lead to. Where the system does not tell blocks (Windows) the sizes of the files are added up.
 *
 * pox gives kilobytes, counts subfolders without what is in them, and what links lead to.
 *
 * @throws {Error} If there is nothing at the path, or a folder cannot be read and there is no `onError`.
 *
 * @example
 * ```ts
 * import { diskUsed } from "@pathos/pathos/fs";
 * import { assert } from "@std/assert";
 *
 * assert(await diskUsed("fs") > 10_000);
 * ```
 */
export async function diskUsed(path: string, options: DiskUsedOptions = {}): Promise<number> {
  const { onError, signal } = options;
  const root = entryState(path);
  if (!root) throw new Error(`there is nothing at ${path}`);
  const counted = new Set<string>();
  const ahead: string[] = [];
  let bytes = 0, since = performance.now();
  const count = (path: string, state: EntryState): void => {
    if (state.kind === "folder") ahead.push(path);
    else if (state.links > 1) {
      const file = `${state.device} ${state.inode}`;
      if (counted.has(file)) return;
      counted.add(file);
    }
    bytes += state.allocated;
  };
  count(path, root);
  for (let folder; (folder = ahead.pop()) !== undefined;) {
    let names: string[] = [];
    try {
      ({ names } = readFolder(folder));
    } catch (error) {
      const isGone = ["ENOENT", "ENOTDIR"].includes(systemCode(error) ?? "");
      if (!isGone && !onError) throw cannotRead(folder, error);
      if (!isGone) onError!(cannotRead(folder, error));
    }
    const prefix = prefixOf(folder);
    for (const name of names) {
      const state = entryState(prefix + name);
      if (state) count(prefix + name, state);
      if (performance.now() - since > SLICE) {
        await nextTurn();
        signal?.throwIfAborted();
        since = performance.now();
      }
    }
  }
  signal?.throwIfAborted();
  return bytes;
}

const KILOBYTES: Record<string, number> = { K: 1, M: 1 << 10, G: 1 << 20, T: 1 << 30 };

/**
 * The kilobytes, of 1024 bytes, that a text such as `"10K"`, `"500M"`, `"1.5G"` or `"2T"` means, rounded down; `KB` and `KiB` mean the
 * same as `K`, and case does not matter.
 *
 * @throws {TypeError} If it is none.
 *
 * @example
 * ```ts
 * import { kbytes } from "@pathos/pathos/fs";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals([kbytes("10K"), kbytes("10G")], [10, 10_485_760]);
 * ```
 */
export function kbytes(text: string): number {
  const [, number, unit] = /^\s*(\d+\.?\d*|\.\d+)\s*([kmgt])(?:i?b)?\s*$/i.exec(text) ?? [];
  if (unit === undefined) {
    throw new TypeError(`${JSON.stringify(text)} is no size: write it like "50K", "500M", "10G" or "1T"`);
  }
  return Math.floor(Number(number) * KILOBYTES[unit.toUpperCase()]);
}
