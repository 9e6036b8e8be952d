/**
 * What is first on a search path.
 */
import { exists } from "../runtime/mod.ts";
import { pathText } from "./paths.ts";

/**
 * The absolute path of the first file or folder of that name in one of the folders of a search path; undefined if there is
 * none.
 *
 * @param path Folders, joined by `pathsep`.
 * @param pathsep Default: what the system joins paths by, `":"`, on Windows `";"`.
 *
 * @example
 * ```ts
 * import { where } from "@pathos/pathos/fs";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(await where("mod.ts", "nowhere:fs", ":"), `${Deno.cwd()}/fs/mod.ts`);
 * ```
 */
export function where(name: string, path: string, pathsep?: string): Promise<string | undefined> {
  return Promise.resolve(whereSync(name, path, pathsep));
}

/** As {@linkcode where}, at once. */
export function whereSync(
  name: string,
  path: string,
  pathsep: string = pathText().delimiter,
): string | undefined {
  const { join, resolve } = pathText();
  const found = path.split(pathsep).map((folder) => join(folder || ".", name)).find(exists);
  return found === undefined ? undefined : resolve(found);
}
