/**
 * Line ends of text files.
 */
import { platform as thisPlatform, readFile } from "../runtime/mod.ts";
import { pathText } from "./paths.ts";
import { writeBytes } from "./text_file.ts";

const CR = 13, LF = 10;
const UNIX = [LF], WINDOWS = [CR, LF], OLD_MAC = [CR];

const LINE_ENDS: Readonly<Record<string, readonly number[]>> = {
  unix: UNIX,
  posix: UNIX,
  lin: UNIX,
  linux: UNIX,
  linux2: UNIX,
  riscos: UNIX,
  macosx: UNIX,
  macos: UNIX,
  darwin: UNIX,
  win: WINDOWS,
  win32: WINDOWS,
  windows: WINDOWS,
  mswindows: WINDOWS,
  dos: WINDOWS,
  nt: WINDOWS,
  os2: WINDOWS,
  ce: WINDOWS,
  mac: OLD_MAC,
};

/** Options of {@linkcode convert}. */
export interface ConvertOptions {
  /** What the files are joined by, where they are one text. Default: `":"`, on Windows `";"`. */
  pathsep?: string;
}

/**
 * Gives text files the line ends of a platform: `"\n"` for `"unix"`, `"linux"`, `"posix"`, `"macosx"`, `"darwin"`, `"\r\n"` for `"windows"`,
 * `"win32"`, `"nt"`, `"dos"`, and `"\r"` for `"mac"`, which is Mac OS before X. Every kind of line end is converted, also several in
 * one file. Files are written whole or not at all, keep their mode, and are not touched when nothing changes. Any
 * encoding that contains ASCII will do, so not UTF-16: a file with zero bytes is refused.
 *
 * pox gives error numbers, doubles line ends on the way to Windows, and has `"\r"` for `"macosx"`.
 *
 * @param files Paths: a list, or one text joined as search paths are.
 * @param platform Default: this one.
 * @returns The files that were changed.
 * @throws {TypeError} If there is no such platform; nothing is converted then.
 * @throws {AggregateError} If some could not be converted, with an error for each; the others are.
 *
 * @example
 * ```ts
 * import { convert } from "@pathos/pathos/fs";
 * import { assertEquals } from "@std/assert";
 *
 * const file = await Deno.makeTempFile();
 * await Deno.writeTextFile(file, "one\ntwo\r\nthree\r");
 * assertEquals(await convert([file], "windows"), [file]);
 * assertEquals(await Deno.readTextFile(file), "one\r\ntwo\r\nthree\r\n");
 * await Deno.remove(file);
 * ```
 */
// deno-lint-ignore require-await -- errors are rejections
export async function convert(
  files: string | readonly string[],
  platform: string = thisPlatform() === "win32" ? "windows" : "unix",
  { pathsep = pathText().delimiter }: ConvertOptions = {},
): Promise<string[]> {
  if (!Object.hasOwn(LINE_ENDS, platform)) {
    throw new TypeError(
      `there is no platform ${JSON.stringify(platform)}: it is one of ${Object.keys(LINE_ENDS).join(", ")}`,
    );
  }
  const changed: string[] = [], problems: Error[] = [];
  for (const file of typeof files === "string" ? files.split(pathsep) : files) {
    try {
      if (convertOne(file, LINE_ENDS[platform])) changed.push(file);
    } catch (error) {
      problems.push(new Error(`cannot convert ${file}: ${(error as Error).message}`, { cause: error }));
    }
  }
  if (problems.length === 0) return changed;
  throw new AggregateError(problems, problems.map(({ message }) => message).join("\n"));
}

function convertOne(file: string, lineEnd: readonly number[]): boolean {
  const before = readFile(file);
  if (before.includes(0)) throw new Error("it has zero bytes in it, so it is no text, or UTF-16");
  const after = new Uint8Array(before.length * 2);
  let length = 0;
  for (let i = 0; i < before.length; i++) {
    const byte = before[i];
    if (byte === CR || byte === LF) {
      if (byte === CR && before[i + 1] === LF) i++;
      for (const end of lineEnd) after[length++] = end;
    } else after[length++] = byte;
  }
  const isSame = length === before.length && before.every((byte, i) => byte === after[i]);
  if (!isSame) writeBytes(file, after.subarray(0, length));
  return !isSame;
}
