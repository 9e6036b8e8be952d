/**
 * Files as the library needs them: whole and synchronous, with writes that are either complete or absent.
 */
import { systemCode } from "./disk_file.ts";
import { builtin, processId } from "./host.ts";

interface Fs {
  readFileSync(path: string | URL): Uint8Array;
  writeFileSync(path: string | URL, data: Uint8Array, options?: { mode?: number; flag?: string }): void;
  renameSync(from: string, to: string): void;
  chmodSync(path: string, mode: number): void;
  copyFileSync(from: string, to: string, mode: number): void;
  utimesSync(path: string, accessed: number, modified: number): void;
  openSync(path: string, flags: string): number;
  readSync(fd: number, into: Uint8Array, offset: number, length: number, at: number): number;
  closeSync(fd: number): void;
  realpathSync(path: string): string;
  readlinkSync(path: string): string;
  rmdirSync(path: string): void;
  unlinkSync(path: string): void;
  rmSync(path: string, options: { force?: boolean; recursive?: boolean }): void;
  mkdtempSync(prefix: string): string;
  mkdirSync(path: string, options: { recursive?: true; mode?: number }): void;
  existsSync(path: string): boolean;
  statSync(path: string): Kinds & { size: number; mtimeMs: number; ino: number; mode: number };
  readdirSync(path: string, options: { withFileTypes: true }): ({ name: string } & Kinds)[];
}

interface Kinds {
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

const fs = () => builtin<Fs>("node:fs");
let written = 0;

/** The bytes of a file. */
export function readFile(path: string | URL): Uint8Array {
  const bytes = fs().readFileSync(path);
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The first bytes of a file, at most so many. */
export function readFileStart(path: string, length: number): Uint8Array {
  const fd = fs().openSync(path, "r");
  try {
    const bytes = new Uint8Array(length);
    let at = 0;
    for (let count = -1; at < length && count !== 0; at += count) {
      count = fs().readSync(fd, bytes, at, length - at, at);
    }
    return bytes.subarray(0, at);
  } finally {
    fs().closeSync(fd);
  }
}

/** How a file is written. */
export interface WriteFileOptions {
  /** Its mode, exactly, such as 0o600. Default: what the umask leaves of 0o666. */
  mode?: number;
  /** Its time of change, in milliseconds since 1970. Default: now. */
  modified?: number;
}

/**
 * Writes a file so that a reader sees the old content or the new one, never a part: into a neighbour, then
 * renamed. A failed write (full disk) leaves the old file as it was and no neighbour behind.
 */
export function writeFile(path: string | URL, data: Uint8Array, options: WriteFileOptions = {}): void {
  const target = typeof path === "string"
    ? path
    : builtin<{ fileURLToPath(url: URL): string }>("node:url").fileURLToPath(path);
  const { mode, modified } = options;
  replaceFile(target, (neighbour) => {
    fs().writeFileSync(neighbour, data, { flag: "wx", mode });
    if (mode !== undefined) fs().chmodSync(neighbour, mode);
    if (modified !== undefined) fs().utimesSync(neighbour, modified / 1000, modified / 1000);
  });
}

/** As {@linkcode writeFile}, for who writes the neighbour in a way of their own: `make` gets its path, where nothing is. */
export function replaceFile(path: string, make: (neighbour: string) => void): void {
  const neighbour = `${path}.${processId()}-${++written}.tmp`;
  try {
    make(neighbour);
    fs().renameSync(neighbour, path);
  } catch (error) {
    fs().rmSync(neighbour, { force: true });
    throw error;
  }
}

/** Copies the content of a file to a path where nothing is. */
export function copyFile(from: string, to: string): void {
  fs().copyFileSync(from, to, 1); // COPYFILE_EXCL
}

/** Whether a name is that of a neighbour into which {@linkcode writeFile} writes `name`. */
export function isNeighbour(found: string, name: string): boolean {
  return found.startsWith(`${name}.`) && /^\d+-\d+\.tmp$/.test(found.slice(name.length + 1));
}

/** Removes a file; false if there was none. */
export function removeFile(path: string): boolean {
  try {
    fs().unlinkSync(path);
    return true;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return false;
    throw error;
  }
}

/** Removes a folder if it is empty; false if it is not, or there is none. */
export function removeEmptyFolder(path: string): boolean {
  try {
    fs().rmdirSync(path);
    return true;
  } catch (error) {
    if (["ENOENT", "ENOTEMPTY", "EEXIST"].includes(systemCode(error) ?? "")) return false;
    throw error;
  }
}

/** What the system knows of a file: bytes, time of change in milliseconds, number and mode; undefined if there is none. */
export function fileState(
  path: string,
): { size: number; modified: number; inode: number; mode: number } | undefined {
  try {
    const { size, mtimeMs, ino, mode } = fs().statSync(path);
    return { size, modified: mtimeMs, inode: ino, mode: mode & 0o7777 };
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** The absolute path, links resolved as far as it exists; a link to what is not there yet leads there too. */
export function realPath(path: string): string {
  const { resolve, dirname, basename, join } = builtin<{
    resolve(...parts: string[]): string;
    dirname(path: string): string;
    basename(path: string): string;
    join(...parts: string[]): string;
  }>("node:path");
  const absolute = resolve(path);
  try {
    return fs().realpathSync(absolute);
  } catch (error) {
    const above = dirname(absolute);
    if (systemCode(error) !== "ENOENT" || above === absolute) throw error;
    const target = linkTarget(absolute);
    if (target !== undefined) return realPath(resolve(above, target));
    return join(realPath(above), basename(absolute));
  }
}

/** Whether a path exists. */
export function exists(path: string): boolean {
  return fs().existsSync(path);
}

/** What is at a path. */
export type FileKind = "file" | "folder" | "link" | "other";

/** What is in a folder, in no order. Links are not followed. */
export function listFolder(path: string): { name: string; kind: FileKind }[] {
  return fs().readdirSync(path, { withFileTypes: true }).map((entry) => ({
    name: entry.name,
    kind: kindOf(entry),
  }));
}

/** What is at a path, where links lead; undefined if there is nothing, or it cannot be seen. */
export function fileKind(path: string): FileKind | undefined {
  try {
    return kindOf(fs().statSync(path));
  } catch {
    return undefined;
  }
}

function kindOf(entry: Kinds): FileKind {
  return entry.isFile() ? "file" : entry.isDirectory() ? "folder" : entry.isSymbolicLink() ? "link" : "other";
}

/**
 * A new, private temporary folder, by default in the system's place for such; the caller removes it with
 * {@linkcode removeTree}.
 */
export function makeTempDir(prefix: string, within: string = tempFolder()): string {
  const { join } = builtin<{ join(...parts: string[]): string }>("node:path");
  return fs().mkdtempSync(join(within, prefix));
}

/** The system's place for temporary files. */
export function tempFolder(): string {
  return builtin<{ tmpdir(): string }>("node:os").tmpdir();
}

function linkTarget(path: string): string | undefined {
  try {
    return fs().readlinkSync(path);
  } catch {
    return undefined; // it is not there at all
  }
}

/** Makes a folder, and those above it that are missing, with this mode at most; no error if it is there. */
export function makeFolder(path: string, mode?: number): void {
  try {
    fs().mkdirSync(path, { recursive: true, mode });
  } catch (error) {
    // where the file system is read-only Node's recursive form says ENOENT: the plain one gives the system's reason
    if ((error as { code?: string }).code !== "ENOENT") throw error;
    fs().mkdirSync(path, { mode });
  }
}

/** Removes a folder and all below it; no error if it is not there. */
export function removeTree(path: string): void {
  fs().rmSync(path, { force: true, recursive: true });
}
