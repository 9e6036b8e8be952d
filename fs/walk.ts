/**
 * Walks folder trees in this process. Folders are read synchronously, which is several times faster than asking the
 * event loop for each, in slices of {@linkcode SLICE} milliseconds with a turn of the event loop between them; a single
 * folder is never cut, so one of a million entries holds the loop up for as long as it takes to read.
 *
 * A walk ends whatever it meets: folders that cannot be read and names that cannot be used are told to `onError`,
 * what vanishes meanwhile is left out, and no folder is entered twice, so that links cannot lead in circles. Results
 * come folder by folder in the system's order, which is none; what links lead to comes last.
 */
import { type EntryKind, entryState, newFolderReader, pathWithoutLinks } from "../runtime/folders.ts";
import { nextTurn, systemCode } from "../runtime/mod.ts";
import { type NameTest, nameTest } from "./name_pattern.ts";
import { pathText, prefixOf } from "./paths.ts";
import { cannotName, cannotRead, type WalkError } from "./walk_error.ts";

/** Milliseconds that a walk holds the event loop at a time. */
const SLICE = 8;

/** How far and how a search goes, and what it does about what cannot be read. */
export interface SearchOptions {
  /** Whether to look into subfolders, or so many levels of them: `0` is `false`. Default: true. */
  recurse?: boolean | number;
  /**
   * Take links for what they lead to, and look into folders behind them, each once. Default: false, a link is a link and
   * nothing is behind it.
   */
  follow?: boolean;
  /**
   * Called with what is missed: folders that may not be read, what has a name that is not UTF-8. If it throws, the search
   * ends with that. Default: they are left out; only a root that cannot be read is an error.
   */
  onError?: (error: WalkError) => void;
  /** Ends the search; it then rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** Options of {@linkcode walk}. */
export interface WalkOptions extends SearchOptions {
  /** Names to look for: patterns of `*`, `?` and `[a-z]`, joined by `;`, or a list of them. Default: `"*"`. */
  patterns?: string | readonly string[];
  /** Whether folders are among the results. Default: false. */
  folders?: boolean;
  /** Whether files are, and what else is neither folder nor link. Default: true. */
  files?: boolean;
  /** Whether links are. Default: true. */
  links?: boolean;
}

/**
 * Paths that are being searched for: await it for all of them, or iterate over it to get each as soon as it is found. The
 * search begins when one of the two is done, anew each time, and goes no more than some milliseconds ahead of what is taken.
 */
export interface FoundPaths extends Promise<string[]>, AsyncIterable<string> {}

/**
 * The paths of what is below a folder, by name and kind. They begin with `root` as given, without superfluous dots;
 * the root itself is not among them.
 *
 * Beside what pox does, recursion may be limited to a number of levels, and what a link leads to can be told apart from it. A
 * name that several patterns fit is listed once.
 *
 * @throws {TypeError} If there is no pattern, or one has a `/` in it.
 * @throws {WalkError} When the root cannot be read and there is no `onError`.
 *
 * @example
 * ```ts
 * import { mkdir, walk } from "@pathos/pathos/fs";
 * import { assertEquals } from "@std/assert";
 *
 * const root = await Deno.makeTempDir();
 * await mkdir("a/b", { root });
 * await Deno.writeTextFile(`${root}/a/b/data.csv`, "");
 * assertEquals(await walk(root, { patterns: "*.csv;*.txt" }), [`${root}/a/b/data.csv`]);
 * for await (const folder of walk(root, { folders: true, files: false, recurse: false })) {
 *   assertEquals(folder, `${root}/a`);
 * }
 * await Deno.remove(root, { recursive: true });
 * ```
 */
export function walk(root: string, options: WalkOptions = {}): FoundPaths {
  const { folders = false, files = true, links = true } = options;
  const wanted = (kind: EntryKind) => kind === "folder" ? folders : kind === "link" ? links : files;
  return search(pathText().normalize(root), nameTest(options.patterns ?? "*"), wanted, options);
}

/** The search for entries whose name and kind are wanted. */
export function search(
  root: string,
  test: NameTest,
  wanted: (kind: EntryKind) => boolean,
  options: SearchOptions,
): FoundPaths {
  const levels = options.recurse === undefined || options.recurse === true
    ? Infinity
    : Number(options.recurse);
  if (!(levels >= 0)) {
    throw new TypeError(
      `recurse is ${options.recurse}: it must be true, false, or a number of levels from 0`,
    );
  }
  const begin = () => new Walk(root, test, wanted, levels, options);
  const list = () => all(begin(), options.signal);
  return {
    then: (resolve, reject) => list().then(resolve, reject),
    catch: (reject) => list().catch(reject),
    finally: (settled) => list().finally(settled),
    [Symbol.toStringTag]: "FoundPaths",
    [Symbol.asyncIterator]: () => oneByOne(begin(), options.signal),
  };
}

async function all(walk: Walk, signal: AbortSignal | undefined): Promise<string[]> {
  const found: string[] = [];
  try {
    for (;;) {
      signal?.throwIfAborted();
      if (walk.advance(found)) return found;
      await nextTurn();
    }
  } finally {
    walk.close();
  }
}

function oneByOne(walk: Walk, signal: AbortSignal | undefined): AsyncIterator<string> {
  let found: string[] = [], next = 0, isOver = false, isBegun = false;
  const finished: IteratorResult<string> = { done: true, value: undefined };
  const end = (): void => {
    isOver = true;
    walk.close();
  };
  return {
    async next() {
      try {
        signal?.throwIfAborted();
        while (next === found.length) {
          if (isOver) return finished;
          if (isBegun) await nextTurn();
          isBegun = true;
          signal?.throwIfAborted();
          [found, next] = [[], 0];
          if (walk.advance(found)) end();
        }
      } catch (error) {
        end();
        throw error;
      }
      return { done: false, value: found[next++] };
    },
    return() {
      [found, next] = [[], 0];
      end();
      return Promise.resolve(finished);
    },
  };
}

/** A folder that is still to be read. */
interface Ahead {
  path: string;
  /** How many levels below it are to be read as well. */
  levels: number;
  /** Its path without links, where links are followed. */
  real: string;
}

class Walk {
  readonly #test: NameTest;
  readonly #endings: readonly Uint8Array[] | undefined;
  readonly #wanted: (kind: EntryKind) => boolean;
  readonly #onError: ((error: WalkError) => void) | undefined;
  readonly #follow: boolean;
  readonly #ahead: Ahead[];
  /** Folders behind links, for when all others are read: where there is a way without links, that is the path. */
  #behindLinks: Ahead[] = [];
  /** Folders that were read, where links are followed. */
  readonly #entered = new Set<string>();
  #isRoot = true;
  readonly #reader = newFolderReader();

  constructor(
    root: string,
    test: NameTest,
    wanted: (kind: EntryKind) => boolean,
    levels: number,
    options: SearchOptions,
  ) {
    this.#test = test;
    this.#endings = test.endings?.map((ending) => new TextEncoder().encode(ending));
    this.#wanted = wanted;
    this.#onError = options.onError;
    this.#follow = options.follow ?? false;
    this.#ahead = [{ path: root, levels, real: "" }];
  }

  /** Goes on for a slice; gives whether that was all. */
  advance(found: string[]): boolean {
    const end = performance.now() + SLICE;
    for (;;) {
      const folder = this.#ahead.pop() ?? this.#behindLinks.shift();
      if (folder === undefined) return true;
      this.#read(folder, found);
      if (performance.now() > end) return false;
    }
  }

  /** Gives back what it holds. */
  close(): void {
    this.#reader.close();
  }

  #read(folder: Ahead, found: string[]): void {
    const isRoot = this.#isRoot;
    this.#isRoot = false;
    let entries;
    try {
      if (this.#follow && !this.#enter(folder, isRoot)) return;
      entries = this.#reader.read(folder.path, this.#endings);
    } catch (error) {
      this.#failed(folder.path, error, isRoot);
      return;
    }
    const { names, kinds, unnameable } = entries;
    const prefix = prefixOf(folder.path);
    const deeper = folder.levels > 0;
    for (let i = 0; i < names.length; i++) {
      const name = names[i];
      let kind = kinds[i];
      if (kind === "link" && this.#follow) kind = this.#behind(prefix + name, folder);
      else if (kind === "folder" && deeper) {
        const real = this.#follow ? prefixOf(folder.real) + name : "";
        this.#ahead.push({ path: prefix + name, levels: folder.levels - 1, real });
      }
      if (this.#wanted(kind) && this.#test(name)) found.push(prefix + name);
    }
    for (const { name, kind } of unnameable) {
      const isMissed = kind === "folder" && deeper || this.#wanted(kind) && this.#test(name);
      if (isMissed) this.#onError?.(cannotName(folder.path, prefix + name));
    }
  }

  /** Notes that a folder is read, where links are followed; false if it was read before. */
  #enter(folder: Ahead, isRoot: boolean): boolean {
    if (isRoot) folder.real = pathWithoutLinks(folder.path);
    if (this.#entered.has(folder.real)) return false;
    this.#entered.add(folder.real);
    return true;
  }

  /** The kind of what a link leads to; a link where that is nothing. */
  #behind(path: string, { levels }: Ahead): EntryKind {
    try {
      const kind = entryState(path, true)?.kind ?? "link";
      if (kind === "folder" && levels > 0) {
        this.#behindLinks.push({ path, levels: levels - 1, real: pathWithoutLinks(path) });
      }
      return kind;
    } catch (error) {
      if (systemCode(error) !== "ELOOP") this.#failed(path, error, false);
      return "link";
    }
  }

  #failed(path: string, error: unknown, isRoot: boolean): void {
    // it was there a moment ago: somebody removed it, or put something else in its place
    if (!isRoot && ["ENOENT", "ENOTDIR"].includes(systemCode(error) ?? "")) return;
    const failure = cannotRead(path, error);
    if (this.#onError) this.#onError(failure);
    else if (isRoot) throw failure;
  }
}
