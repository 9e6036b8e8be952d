/**
 * What could not be looked at.
 */
import { systemCode } from "../runtime/mod.ts";

/** A folder or an entry that a search could not look at; the search goes on without it. */
export class WalkError extends Error {
  /** The name of the class. */
  override name = "WalkError";
  /** What could not be looked at. */
  readonly path: string;
  /** The system's word for the reason, such as `"EACCES"`; `"EILSEQ"` for a name that is not UTF-8. */
  readonly code: string | undefined;

  /** Makes one. */
  constructor(path: string, message: string, code: string | undefined, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.path = path;
    this.code = code;
  }
}

const REASONS: Record<string, string> = {
  EACCES: "this user may not read it",
  EPERM: "this user may not read it",
  ENOENT: "there is no such folder",
  ENOTDIR: "it is not a folder",
  ELOOP: "its links lead in circles",
  EMFILE: "too many files are open",
  EIO: "the disk or the connection to it has a fault",
};

/** Why a folder could not be read. */
export function cannotRead(path: string, cause: unknown): WalkError {
  const code = systemCode(cause);
  const reason = REASONS[code ?? ""] ?? (cause instanceof Error ? cause.message : String(cause));
  return new WalkError(path, `cannot read the folder ${path}: ${reason}`, code, cause);
}

/** Of an entry whose name is no text. */
export function cannotName(folder: string, path: string): WalkError {
  const message = `${JSON.stringify(path)} has a name that is not UTF-8 and cannot be used from here; ` +
    `rename it in ${folder} with another program`;
  return new WalkError(path, message, "EILSEQ");
}
