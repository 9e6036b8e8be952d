/**
 * Removes folder trees, and first makes sure that it is not the wrong one. Links are removed and never followed; what
 * appears meanwhile in a folder is removed with it, or keeps it.
 */
import {
  entryState,
  type FolderEntries,
  pathWithoutLinks,
  readFolder,
  removeEntry,
  removeWhole,
} from "../runtime/folders.ts";
import { newPause, nextTurn, systemCode } from "../runtime/mod.ts";
import { isWithin, mountsIn } from "./mounts.ts";
import { pathText, prefixOf } from "./paths.ts";
import { homedir } from "./user.ts";

/** Milliseconds after which a folder that was filled meanwhile is emptied again, once. */
const AGAIN = 100;
/** Milliseconds that the event loop is held at a time. */
const SLICE = 8;

/** Options of {@linkcode rmtree}. */
export interface RmtreeOptions {
  /** Whether the folder itself goes too, or only what is in it. Default: true. */
  self?: boolean;
  /** Go on when something cannot be removed, and say nothing. Default: false, the first such thing ends it. */
  ignoreErrors?: boolean;
  /** Called with what cannot be removed, instead of ending at the first; if it throws, that ends it. */
  onError?: (error: Error, path: string) => void;
  /** Also remove what is refused: the root, the home folder, mount points. Default: false. */
  force?: boolean;
  /** Ends the removal; what is gone is gone. */
  signal?: AbortSignal;
}

/**
 * Removes a folder and all below it.
 *
 * Refused are, but with `force`: the root of the file system, the user's home folder and what it is in, mount points and
 * what they are in (on Linux; elsewhere the folder itself). A link is refused always: remove it, or name the folder it
 * leads to. pox refuses nothing, and with `self=False` leaves files and removes folders only.
 *
 * Not for folders in which somebody hostile can write meanwhile, who could put a link in the place of a folder.
 *
 * @throws {Error} If it is refused, is no folder, or something in it cannot be removed.
 *
 * @example
 * ```ts
 * import { mkdir, rmtree } from "@pathos/pathos/fs";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const root = await Deno.makeTempDir();
 * await mkdir("a/b/c", { root });
 * await rmtree(root, { self: false });
 * assertEquals([...Deno.readDirSync(root)], []);
 * await rmtree(root);
 * await assertRejects(() => rmtree("/"), Error, "root of the file system");
 * ```
 */
export async function rmtree(path: string, options: RmtreeOptions = {}): Promise<void> {
  const { self = true, ignoreErrors = false, onError, force = false, signal } = options;
  const failed = (error: unknown, at: string): boolean => {
    if (systemCode(error) === "ENOENT") return true; // somebody else removed it
    const failure = new Error(`cannot remove ${at}: ${reason(error)}`, { cause: error });
    if (onError) onError(failure, at);
    else if (!ignoreErrors) throw failure;
    return false;
  };
  const root = pathText().resolve(path);
  const state = path === "" ? undefined : entryState(root); // nothing is not the current folder
  if (state?.kind !== "folder") {
    const what = !state
      ? "there is no such folder"
      : state.kind === "link"
      ? "it is a link"
      : "it is no folder";
    const failure = new Error(`cannot remove ${JSON.stringify(path)}: ${what}`);
    if (!state && onError) return onError(failure, root);
    if (!state && ignoreErrors) return;
    throw failure;
  }
  const real = pathWithoutLinks(root);
  const danger = force ? undefined : dangerOf(real);
  if (danger) throw new Error(`${path} is not removed: ${danger}; with force: true it is`);

  const removal: Removal = { failed, breathe: breather(), signal };
  await (self ? remove(root, removal) : empty(root, removal, true));
}

interface Removal {
  /** Tells what cannot be removed, if it is still there; throws where that ends the removal. False if it is there. */
  failed(error: unknown, path: string): boolean;
  /** Lets the event loop go on, if it has waited for long enough. */
  breathe(): Promise<void>;
  signal: AbortSignal | undefined;
}

function breather(): () => Promise<void> {
  let since = performance.now();
  return async () => {
    if (performance.now() - since <= SLICE) return;
    await nextTurn();
    since = performance.now();
  };
}

/** Removes a folder; false if something in it cannot be removed, which has been told. */
async function remove(folder: string, removal: Removal): Promise<boolean> {
  for (let attempt = 0;; attempt++) {
    if (!await empty(folder, removal, false)) return false;
    try {
      removeEntry(folder, "folder");
      return true;
    } catch (error) {
      const isFilled = ["ENOTEMPTY", "EEXIST"].includes(systemCode(error) ?? "");
      if (!isFilled || attempt > 0) return removal.failed(error, folder);
      await newPause().wait(AGAIN);
    }
  }
}

/** Removes what is in a folder; false if something cannot be removed. The folder may go with it, unless it is kept. */
async function empty(folder: string, removal: Removal, isKept: boolean): Promise<boolean> {
  const { failed, breathe, signal } = removal;
  await breathe(); // and not at the end: what is empty should be removed before somebody fills it
  signal?.throwIfAborted();
  let entries: FolderEntries;
  try {
    entries = readFolder(folder);
  } catch (error) {
    return failed(error, folder);
  }
  const { names, kinds, unnameable } = entries;
  const prefix = prefixOf(folder);
  let isEmpty = true;
  const attempt = (path: string, act: () => void): void => {
    try {
      act();
    } catch (error) {
      isEmpty = failed(error, path) && isEmpty;
    }
  };
  for (let i = 0; i < names.length; i++) {
    const inside = prefix + names[i];
    if (kinds[i] === "folder") isEmpty = await remove(inside, removal) && isEmpty;
    else attempt(inside, () => removeEntry(inside, kinds[i]));
    if ((i & 63) === 63) {
      await breathe();
      signal?.throwIfAborted();
    }
  }
  for (const { name } of isKept ? unnameable : []) {
    attempt(prefix + name, () => {
      throw new Error("its name is not UTF-8; it can only be removed together with its folder");
    });
  }
  if (!isKept && unnameable.length > 0 && isEmpty) attempt(folder, () => removeWhole(folder));
  return isEmpty;
}

/** Why a folder should not be removed. */
function dangerOf(real: string): string | undefined {
  if (real === pathText().parse(real).root) return "it is the root of the file system";
  const home = realHome();
  if (home === real) return "it is the home folder";
  if (home !== undefined && isWithin(home, real)) return `the home folder ${home} is in it`;
  const [mount] = mountsIn(real);
  if (mount === undefined) return undefined;
  return mount === real
    ? "another file system is mounted on it"
    : `another file system is mounted on ${mount}`;
}

function realHome(): string | undefined {
  try {
    return pathWithoutLinks(homedir());
  } catch {
    return undefined; // there is none, or nothing is there
  }
}

function reason(error: unknown): string {
  switch (systemCode(error)) {
    case "EACCES":
    case "EPERM":
      return "this user may not";
    case "ENOTEMPTY":
    case "EEXIST":
      return "something puts new files into it";
    case "EBUSY":
      return "something uses it, or is mounted on it";
    default:
      return error instanceof Error ? error.message : String(error);
  }
}
