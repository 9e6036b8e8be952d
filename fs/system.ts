/**
 * What systems write differently.
 */
import { platform } from "../runtime/mod.ts";
import { currentFolder } from "../runtime/folders.ts";
import { pathText } from "./paths.ts";

/**
 * The root of the file system: `"/"`, on Windows that of the current drive, such as `"C:\\"`.
 *
 * @example
 * ```ts
 * import { rootdir } from "@pathos/pathos/fs";
 * import { assert } from "@std/assert";
 *
 * assert(Deno.cwd().startsWith(rootdir()));
 * ```
 */
export function rootdir(): string {
  return pathText().parse(currentFolder()).root;
}

/** What {@linkcode sep} knows, each with and without `sep` at its end. */
export type Separator =
  | ""
  | "sep"
  | "path"
  | "pathsep"
  | "ext"
  | "extsep"
  | "line"
  | "linesep"
  | "alt"
  | "altsep";

/**
 * What this system puts between the parts of something: `""` of a path (`"/"`), `"path"` of a search path (`":"`), `"ext"` a
 * name and its ending (`"."`), `"line"` lines, `"alt"` what it takes in a path as well, undefined but on Windows.
 *
 * @throws {TypeError} If there is no such type.
 *
 * @example
 * ```ts
 * import { sep } from "@pathos/pathos/fs";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals([sep(), sep("path"), sep("ext")], ["/", ":", "."]);
 * ```
 */
export function sep(type: "alt" | "altsep"): string | undefined;
/** What this system puts between the parts of something. */
export function sep(type?: Exclude<Separator, "alt" | "altsep">): string;
/** What this system puts between the parts of something. */
export function sep(type?: Separator): string | undefined;
export function sep(type: Separator = ""): string | undefined {
  const isWindows = platform() === "win32";
  switch (type.replace(/sep$/, "")) {
    case "":
      return pathText().sep;
    case "path":
      return pathText().delimiter;
    case "ext":
      return ".";
    case "line":
      return isWindows ? "\r\n" : "\n";
    case "alt":
      return isWindows ? "/" : undefined;
    default:
      throw new TypeError(`there is no separator ${JSON.stringify(type)}: it is "", path, ext, line or alt`);
  }
}
