/**
 * Text files that are changed as a whole: a reader sees the old text or the new one, and a failure leaves the old one.
 * The file keeps its mode, and a link to it stays one.
 */
import { pathWithoutLinks } from "../runtime/folders.ts";
import { exists, fileState, readFile, writeFile } from "../runtime/mod.ts";

/**
 * The text of a file.
 *
 * @throws {TypeError} If it is not UTF-8, and so would come out damaged.
 */
export function readText(path: string): string {
  const bytes = readFile(path);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new TypeError(`${path} is not text in UTF-8; it was left as it is`);
  }
}

/** Writes a file that is there or is new. */
export function writeBytes(path: string, bytes: Uint8Array): void {
  const target = exists(path) ? pathWithoutLinks(path) : path;
  writeFile(target, bytes, { mode: fileState(target)?.mode });
}
