/**
 * What the system refused: in words for people, or as the absence of something.
 */
import { systemCode } from "../runtime/mod.ts";

const REASONS: Record<string, string> = {
  ENOSPC: "the disk is full (no space left): free some, what was there before is unchanged",
  EDQUOT: "the disk quota is used up: free some space, what was there before is unchanged",
  EACCES: "this user has no permission for it",
  EPERM: "the system does not permit it",
  EROFS: "the file system is read-only",
  ENOENT: "its folder is not there; was it removed?",
  ENOTDIR: "something on the way to it is a file and no folder",
  EISDIR: "there is a folder in its place",
  EMFILE: "too many files are open in this process (ulimit -n)",
  EIO: "the disk failed to read or write",
};

/**
 * The error of something that failed, with the system's reason if it is the system's, and as it is if it is ours already.
 *
 * @param what What failed, such as `"/data/c: cannot be opened"`.
 */
export function cannot(error: unknown, what: string): unknown {
  const code = systemCode(error);
  if (code === undefined || !(error instanceof Error)) return error;
  return Object.assign(new Error(`${what}: ${REASONS[code] ?? error.message}`, { cause: error }), { code });
}

/** What `look` finds, or undefined if what it looks at is not there. */
export function orAbsent<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
}
