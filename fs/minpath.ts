/**
 * Search paths without repetitions.
 */
import { pathText } from "./paths.ts";

/**
 * A search path in which each folder is named once, where it was first.
 *
 * @param pathsep What the folders are joined by. Default: `":"`, on Windows `";"`.
 *
 * @example
 * ```ts
 * import { minpath } from "@pathos/pathos/fs";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(minpath(".:/foo/bin:.:/foo/bar/bin:/foo/bin", ":"), ".:/foo/bin:/foo/bar/bin");
 * ```
 */
export function minpath(path: string, pathsep: string = pathText().delimiter): string {
  return [...new Set(path.split(pathsep))].join(pathsep);
}
