/**
 * Files by pattern, as a shell finds them, but lazily and in one fixed order: that of their paths, character
 * by character. One folder at a time is held in memory. Hidden files are matched only by patterns that begin
 * a name with a dot. Links to files are matched; links to folders are followed unless the pattern contains
 * `**`, because they may lead back.
 */
import { Minimatch } from "minimatch";
import { fileKind, listFolder } from "../runtime/mod.ts";

/** Whether a text is a pattern rather than the path of one file. */
export function isPattern(text: string): boolean {
  return !fileKind(text) && new Minimatch(text, { magicalBraces: true }).hasMagic();
}

/**
 * The files that match a pattern of `*`, `?`, `[ab]`, `{a,b}` and `**`, sorted.
 *
 * @param unreadable Called with folders that cannot be read; they are left out.
 */
export function* matchingFiles(
  pattern: string,
  unreadable: (folder: string, error: unknown) => void,
): Generator<string> {
  const matcher = new Minimatch(pattern);
  const follow = !pattern.includes("**");
  const base = commonBase(matcher);
  if (base === "" || fileKind(base) === "folder") yield* walk(base);

  function* walk(folder: string): Generator<string> {
    for (const { path, isFolder } of entries(folder)) {
      if (isFolder) {
        if (matcher.match(path, true)) yield* walk(path);
      } else if (matcher.match(path)) yield path;
    }
  }

  function entries(folder: string): { path: string; isFolder: boolean }[] {
    const prefix = folder === "" || folder.endsWith("/") ? folder : `${folder}/`;
    let listed: ReturnType<typeof listFolder>;
    try {
      listed = listFolder(folder === "" ? "." : folder);
    } catch (error) {
      unreadable(folder, error);
      return [];
    }
    const found: { path: string; isFolder: boolean }[] = [];
    for (const { name, kind } of listed) {
      const path = prefix + name;
      const target = kind === "link" ? fileKind(path) : kind;
      if (target === "file") found.push({ path, isFolder: false });
      else if (target === "folder" && (kind !== "link" || follow)) found.push({ path, isFolder: true });
    }
    // A folder sorts as its files do: with the slash behind its name.
    const key = (entry: { path: string; isFolder: boolean }) =>
      entry.isFolder ? `${entry.path}/` : entry.path;
    return found.sort((a, b) => key(a) < key(b) ? -1 : 1);
  }
}

/** The folder that all alternatives of a pattern begin with, as written there. */
function commonBase({ set }: Minimatch): string {
  const [first, ...others] = set;
  const base: string[] = [];
  for (const [i, part] of first.slice(0, -1).entries()) {
    if (typeof part !== "string" || others.some((other) => other.length <= i + 1 || other[i] !== part)) break;
    base.push(part);
  }
  return base.length === 1 && base[0] === "" ? "/" : base.join("/");
}
