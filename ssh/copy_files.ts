/**
 * The file operations that a copy needs here, synchronous as they are quick, with errors as
 * {@linkcode CopyError}; and a way to give a file a name that is not valid UTF-8, which neither runtime offers.
 */
import { builtin, nextTurn } from "../runtime/mod.ts";
import { spawn } from "../runtime/spawn.ts";
import { CopyError, explain } from "./copy_error.ts";
import { encodeName } from "./copy_tar.ts";

/** What `stat` tells. */
export interface Stats {
  size: number;
  mode: number;
  mtimeMs: number;
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

interface FileSystem {
  openSync(path: string, flags: string, mode?: number): number;
  closeSync(file: number): void;
  readSync(file: number, into: Uint8Array, offset: number, length: number, at: number | null): number;
  writeSync(file: number, bytes: Uint8Array, offset: number, length: number, at: number | null): number;
  ftruncateSync(file: number, size: number): void;
  statSync(path: string): Stats;
  lstatSync(path: string): Stats;
  chmodSync(path: string, mode: number): void;
  utimesSync(path: string, atime: number, mtime: number): void;
  mkdirSync(path: string, mode: number): void;
  readdirSync(path: string): string[];
  readlinkSync(path: string): string;
  symlinkSync(target: string, path: string): void;
  linkSync(existing: string, path: string): void;
  renameSync(from: string, to: string): void;
  rmSync(path: string, options: { force: boolean; recursive?: boolean }): void;
}

/** The file system here. */
export const files = (): FileSystem => builtin<FileSystem>("node:fs");

/** Does something with files; what goes wrong is told as a {@linkcode CopyError} about the place. */
export function about<T>(doing: string, place: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof CopyError) throw error;
    throw explain(doing, place, error instanceof Error ? error.message : String(error), error);
  }
}

/** What is at a path, links not followed; undefined if nothing. */
export function lookAt(path: string): Stats | undefined {
  try {
    return files().lstatSync(path);
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return undefined;
    throw error;
  }
}

const PIECE = 256 * 1024;

/** A file's bytes from an offset on, in pieces that stay valid. Ends at `end` or where the file does. */
export function* pieces(path: string, offset: number, end: number): Generator<Uint8Array> {
  const { openSync, readSync, closeSync } = files();
  const file = openSync(path, "r");
  try {
    for (let at = offset; at < end;) {
      const piece = new Uint8Array(Math.min(PIECE, end - at));
      const length = readSync(file, piece, 0, piece.length, at);
      if (length === 0) return;
      yield length === piece.length ? piece : piece.subarray(0, length);
      at += length;
    }
  } finally {
    closeSync(file);
  }
}

/** Writes all of the bytes at the file's position. */
export function writeAll(file: number, bytes: Uint8Array): void {
  const { writeSync } = files();
  for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at, bytes.length - at, null);
}

/** A running SHA-256. */
export interface Hash {
  update(bytes: Uint8Array): Hash;
  digest(encoding: "hex"): string;
}

/** Begins a SHA-256. */
export function sha256(): Hash {
  return builtin<{ createHash(name: string): Hash }>("node:crypto").createHash("sha256");
}

/** SHA-256 of a file's first bytes, hexadecimal. Leaves room for other work now and then. */
export async function hashFile(path: string, length: number): Promise<string> {
  const hash = sha256();
  let count = 0;
  for (const piece of pieces(path, 0, length)) {
    hash.update(piece);
    if (++count % 32 === 0) await nextTurn();
  }
  return hash.digest("hex");
}

/** The permission bits that new files do not get. */
export function umask(): number {
  return builtin<{ umask(): number }>("node:process").umask();
}

/** A line of shell that sets `$v` to a name, whatever its bytes. */
export function rawLine(name: string): string {
  const octal = [...encodeName(name)].map((byte) => "\\" + byte.toString(8).padStart(3, "0")).join("");
  return `v=$(printf '${octal}x'); v=\${v%x}`; // the x keeps line ends at its end
}

/**
 * Runs lines of shell that deal with names that are not valid UTF-8 (see {@linkcode rawLine}).
 *
 * @throws {CopyError} If a line fails.
 */
export function runRaw(lines: readonly string[], place: string): Promise<void> {
  if (lines.length === 0) return Promise.resolve();
  return new Promise((resolve, reject) => {
    let said = "";
    const shell = spawn("/bin/sh", ["-s"], {}, {
      stdout() {},
      stderr: (bytes) => void (said += new TextDecoder().decode(bytes)),
      exit: ({ code }) => code === 0 ? resolve() : reject(explain("copying to", place, said)),
    });
    const script = ["LC_ALL=C; export LC_ALL; set -e", ...lines, ""].join("\n");
    shell.write([new TextEncoder().encode(script)]);
    shell.closeInput();
  });
}

/** Whether a path here is a folder, or below it, wherever links lead. */
export function isInside(path: string, folder: string): boolean {
  const { resolve, dirname } = builtin<{ resolve(path: string): string; dirname(path: string): string }>(
    "node:path",
  );
  const real = (path: string): string => {
    try {
      return builtin<{ realpathSync(path: string): string }>("node:fs").realpathSync(path);
    } catch {
      return dirname(path) === path ? path : real(dirname(path)); // it is not there yet
    }
  };
  return `${real(resolve(path))}/`.startsWith(`${real(resolve(folder))}/`);
}
