/**
 * Where other file systems begin.
 */
import { entryState } from "../runtime/folders.ts";
import { readFile } from "../runtime/mod.ts";
import { pathText } from "./paths.ts";

/**
 * The mount points at a folder and below it, by their real paths. On Linux the kernel lists them all, also where a part of a file
 * system is bound to another place; elsewhere only the folder itself is told apart, by the file system it is on.
 */
export function mountsIn(folder: string): string[] {
  const listed = listedMounts();
  if (listed) return listed.filter((mount) => isWithin(mount, folder));
  const { dirname } = pathText();
  return entryState(folder)?.device === entryState(dirname(folder))?.device ? [] : [folder];
}

/** Whether a path is that of a folder or of something below it. */
export function isWithin(path: string, folder: string): boolean {
  const { sep } = pathText();
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

function listedMounts(): string[] | undefined {
  let text: string;
  try {
    text = new TextDecoder().decode(readFile("/proc/self/mountinfo"));
  } catch {
    return undefined; // not Linux
  }
  // the fifth word, in which spaces, tabs, line ends and backslashes are octal numbers
  return text.split("\n").filter(Boolean).map((line) =>
    line.split(" ")[4].replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(parseInt(digits, 8)))
  );
}
