/**
 * The two ends of a copy, as the rest of ssh/copy*.ts sees them. Places here (copy_local.ts) and on hosts
 * (copy_shell.ts, copy_sftp.ts) implement both; any source goes with any target.
 *
 * What a target promises: what it receives lies beside its place, under a name with `.pathos-part` in it, until
 * it is complete and verified; then it is renamed. If it fails, nothing of it stays, except the part of a file
 * that was to be resumable.
 */
import { CopyError } from "./copy_error.ts";
import type { Tree } from "./copy_tar.ts";

/** What is to be copied. */
export interface Item {
  kind: "file" | "folder";
  /** Bytes of a file. */
  size: number;
  /** Permission bits. */
  mode: number;
  /** Seconds since 1970. */
  mtime: number;
}

/** Where bytes of a file come from, and two ways round this program for them. */
export interface Body {
  /** The bytes, from the agreed offset to the end. */
  bytes(): AsyncIterable<Uint8Array>;
  /** The file here that holds them, if nobody here wants to see them pass. */
  file?: string;
  /** Writes them into a file here, if nobody here wants to see them pass. */
  into?(path: string): Promise<void>;
}

/** How a copy is to land. */
export interface Landing {
  /** Name in the target folder, if the target is a folder; empty: the contents go into it. */
  name: string;
  /** The target must be a folder. */
  many: boolean;
  /** Keep permissions and times. */
  preserve: boolean;
  /** Replace files that are there. */
  overwrite: boolean;
  /** Leave what arrived of a file, to continue from, if it fails. */
  resume: boolean;
}

/** Which entries of a tree to leave out. */
export interface TreeOptions {
  /** Follow links instead of keeping them. */
  follow: boolean;
  /** Leave out files of at least so many bytes, and tell them. */
  large?: { size: number; found(path: string): void };
  /** Told what is neither file, folder nor link, and so is left out. */
  skipped(path: string): void;
}

/** Something to copy from. */
export interface Source {
  /** The place in words: `"web1:/data"`. */
  readonly place: string;
  /** The last part of its path; empty for `.` and the like. */
  readonly name: string;
  /** What is there, where links lead. */
  inspect(): Promise<Item>;
  /** How many files and bytes are below. */
  count(options: TreeOptions): Promise<{ files: number; bytes: number }>;
  /** A file's bytes from an offset up to `size`. */
  body(size: number, offset: number): Body;
  /** SHA-256 of the first bytes of a file, hexadecimal. */
  hash(length: number): Promise<string>;
  /** All that is below. */
  tree(options: TreeOptions): Tree;
  /** SHA-256 of all files below, by path; undefined if reading them was the only way to know. */
  hashes(options: TreeOptions): Promise<Map<string, string> | undefined>;
  /** A source below this one. */
  below(path: string): Source;
}

/** Something to copy to. */
export interface Target {
  /** The place in words. */
  readonly place: string;
  /** What an interrupted copy left: its bytes and their SHA-256. */
  part(landing: Landing): Promise<{ size: number; hash: string } | undefined>;
  /** Receives a file: what the part lacks from `offset` on. With `hash`, what arrived must have it. */
  file(landing: Landing, item: Item, body: Body, offset: number, hash?: string): Promise<void>;
  /** Receives a folder. With `hashes` (complete when the tree is), what arrived must have them. */
  tree(landing: Landing, tree: Tree, hashes?: ReadonlyMap<string, string>): Promise<void>;
  /** Gives targets below the folder that is going to land. To be asked before it does. */
  below(landing: Landing): Promise<(path: string) => Target>;
}

const encoder = new TextEncoder();

/**
 * The name of the part that stands beside `name` until it is complete. `tag` sets apart copies that run at the same
 * time; a resumable one has none, to be found again.
 */
export function partName(name: string, tag: string): string {
  let short = name;
  while (encoder.encode(short).length > 180) short = short.slice(0, -8);
  const rest = short === name ? "" : `~${checksum(name)}`;
  return `.${short}${rest}${short && "."}${tag ? tag + "." : ""}pathos-part`;
}

/** FNV-1a: tells long names apart that begin alike. */
function checksum(text: string): string {
  let hash = 0x811c9dc5;
  for (const byte of encoder.encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0).toString(16);
}

/** A name for a part that nobody else uses. */
export function newTag(): string {
  return crypto.randomUUID().slice(0, 13).replace("-", "");
}

/** Permission bits for a copy that does not keep them: as a new file's, executable if it was. */
export function plainMode(mode: number, kind: string): number {
  return kind === "folder" || mode & 0o100 ? 0o777 : 0o666;
}

/** The error for a source that is not what it was when the copy began. */
export function changed(place: string, detail: string): CopyError {
  return new CopyError(`copying ${place}: it changed while it was copied (${detail}); copy it again`, {
    failure: "mismatch",
    place,
  });
}

/** The error for a copy that arrived with the wrong checksum. */
export function mismatch(place: string): CopyError {
  return new CopyError(
    `copying to ${place}: the SHA-256 of what arrived is not that of the source; ` +
      "it changed meanwhile, or the disk or link is faulty: copy it again",
    { failure: "mismatch", place },
  );
}
