/**
 * What `deno.json`, `package.json` and `deno.lock` of a folder say about packages.
 */
import { exists, readFile } from "../runtime/mod.ts";
import { pathText } from "./paths.ts";

/** What is known of a folder that has such a file. */
export interface PackageConfig {
  /** Name of the package that the folder is. */
  name: string | undefined;
  /** Folders whose packages are used by their names: members of a workspace, linked ones. */
  members: string[];
  /** Where `deno.json` sends imports. */
  imports: Record<string, string>;
}

/** What a folder says; undefined if it has no such file, or it cannot be read as what it should be. */
export function packageConfig(folder: string): PackageConfig | undefined {
  const deno = json(folder, "deno.json") ?? json(folder, "deno.jsonc");
  const npm = json(folder, "package.json");
  if (!deno && !npm) return undefined;
  const workspace = (config: Json | undefined, key: string): string[] => {
    const value = config?.[key];
    return texts(Array.isArray(value) ? value : (value as Json | undefined)?.members);
  };
  const { resolve } = pathText();
  const members = [
    ...workspace(deno, "workspace"),
    ...workspace(deno, "links"),
    ...workspace(npm, "workspaces"),
  ];
  const name = deno?.name ?? npm?.name;
  return {
    name: typeof name === "string" ? name : undefined,
    members: members.map((member) => resolve(folder, member)),
    imports: Object.fromEntries(
      Object.entries((deno?.imports ?? {}) as Json).filter((pair): pair is [string, string] =>
        typeof pair[1] === "string"
      ),
    ),
  };
}

/** The version that `deno.lock` of a folder has for a specifier such as `"npm:acorn@^8.0.0"`. */
export function lockedVersion(folder: string, specifier: string): string | undefined {
  const found = (json(folder, "deno.lock")?.specifiers as Json | undefined)?.[specifier];
  return typeof found === "string" ? found.split("_")[0] : undefined;
}

type Json = Record<string, unknown>;

function texts(list: unknown): string[] {
  return Array.isArray(list) ? list.filter((item) => typeof item === "string") : [];
}

/** An object in JSON, with comments and commas at ends. */
function json(folder: string, name: string): Json | undefined {
  const path = pathText().join(folder, name);
  if (!exists(path)) return undefined;
  try {
    const text = new TextDecoder().decode(readFile(path))
      .replace(/("(?:\\.|[^"\\])*")|\/\/[^\n]*|\/\*[^]*?\*\//g, (_, quoted) => quoted ?? "")
      .replace(/("(?:\\.|[^"\\])*")|,(?=\s*[}\]])/g, (_, quoted) => quoted ?? "");
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined; // it says nothing that could be understood
  }
}
