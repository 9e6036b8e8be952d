/**
 * Files as the library needs them: whole and synchronous, with writes that are either complete or absent.
 */
import { builtin, processId } from "./host.ts";

interface Fs {
  readFileSync(path: string | URL): Uint8Array;
  writeFileSync(path: string | URL, data: Uint8Array, options?: { mode?: number; flag?: string }): void;
  renameSync(from: string, to: string): void;
  rmSync(path: string, options: { force?: boolean; recursive?: boolean }): void;
  mkdtempSync(prefix: string): string;
  existsSync(path: string): boolean;
  statSync(path: string): Kinds;
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

/**
 * Writes a file so that a reader sees the old content or the new one, never a part: into a neighbour, then
 * renamed. A failed write (full disk) leaves the old file as it was and no neighbour behind.
 */
export function writeFile(path: string | URL, data: Uint8Array): void {
  const target = typeof path === "string"
    ? path
    : builtin<{ fileURLToPath(url: URL): string }>("node:url").fileURLToPath(path);
  const neighbour = `${target}.${processId()}-${++written}.tmp`;
  try {
    fs().writeFileSync(neighbour, data, { flag: "wx" });
    fs().renameSync(neighbour, target);
  } catch (error) {
    fs().rmSync(neighbour, { force: true });
    throw error;
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

/** A new, private temporary folder; the caller removes it with {@linkcode removeTree}. */
export function makeTempDir(prefix: string): string {
  const { tmpdir } = builtin<{ tmpdir(): string }>("node:os");
  const { join } = builtin<{ join(...parts: string[]): string }>("node:path");
  return fs().mkdtempSync(join(tmpdir(), prefix));
}

/** Removes a folder and all below it; no error if it is not there. */
export function removeTree(path: string): void {
  fs().rmSync(path, { force: true, recursive: true });
}
