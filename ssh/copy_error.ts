/**
 * Why a copy failed, in words that name the file and the host. Whatever an end of a copy met, a system call
 * here or a program on a host, becomes a {@linkcode CopyError} here; a lost connection stays the `SshError` it is,
 * as its cause.
 */

/** What kind of failure a {@linkcode CopyError} is. */
export type CopyFailure =
  /** There is nothing at the source, or no folder to put the copy into. */
  | "not-found"
  /** Reading or writing there is not permitted, or the file system is read-only. */
  | "permission"
  /** The target's disk or quota is full. */
  | "full"
  /** Something is in the way: a folder where a file would go, a file that may not be overwritten. */
  | "in-the-way"
  /** The copy is not what the source is: checksums differ, or the source changed meanwhile. */
  | "mismatch"
  /** A host sent what must not be trusted, such as a name with `..` in it. */
  | "unsafe"
  /** The connection was lost, or could not be made. */
  | "connection"
  /** The host lacks a program that is needed. */
  | "unsupported"
  /** Anything else; the message has it. */
  | "other";

/** A copy failed. The message names the file and where it is, says what was wrong there, and what to do. */
export class CopyError extends Error {
  /** The name of the class. */
  override name = "CopyError";
  /** What kind of failure it is. */
  readonly failure: CopyFailure;
  /** The place concerned, as in `"web1:/data/x"`, or a path here. */
  readonly place: string;

  /** Makes one. */
  constructor(message: string, options: { failure: CopyFailure; place: string; cause?: unknown }) {
    super(message, { cause: options.cause });
    this.failure = options.failure;
    this.place = options.place;
  }
}

const CAUSES: readonly [RegExp, CopyFailure, string][] = [
  [/No space left on device|ENOSPC|Wrote only \d+ of \d+ bytes/, "full", "the disk is full"],
  [/Disk quota exceeded|EDQUOT/, "full", "the disk quota is used up"],
  [/Read-only file system|EROFS/, "permission", "the file system is read-only"],
  [/Permission denied|Operation not permitted|EACCES|EPERM/, "permission", "permission denied"],
  [/No such file or directory|ENOENT|cannot open.*nonexist/i, "not-found", "no such file or folder"],
  [/Not a directory|ENOTDIR/, "in-the-way", "a part of the path is not a folder"],
  [/Is a directory|EISDIR|cannot overwrite directory/, "in-the-way", "a folder is in the way"],
  [/File name too long|ENAMETOOLONG/, "other", "the name is too long for the file system"],
];

const ADVICE: { [failure in CopyFailure]?: string } = {
  full: "free some room there",
  permission: "check owner and mode, or choose another target",
};

/** What a program or system call said about a failed copy, as a {@linkcode CopyError}. */
export function explain(doing: string, place: string, said: string, cause?: unknown): CopyError {
  const words = said.trim().slice(-2000);
  const [, failure, meaning] = CAUSES.find(([pattern]) => pattern.test(words)) ?? [, "other" as const, ""];
  const advice = ADVICE[failure] ? `; ${ADVICE[failure]}` : "";
  const detail = words ? ` (${words.replaceAll("\n", "; ")})` : "";
  return new CopyError(`${doing} ${place}: ${meaning || "failed"}${detail}${advice}`, {
    failure,
    place,
    cause,
  });
}
