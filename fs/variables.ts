/**
 * `$name` and `${name}` in text, as a shell has them.
 */
import { variable } from "../runtime/account.ts";

/** Values of variables by name. */
export type Variables = Readonly<Record<string, string | undefined>>;

const VARIABLE = /\$(?:([A-Za-z0-9_]+)|\{([^}]*)\})/g;

/**
 * Text with the values of the variables in it, `$name` and `${name}`, in place of them. Variables in the values are replaced as
 * well; what is not known stays as it is.
 *
 * A variable that comes up in its own value (`PATH = "$PATH:/bin"`) stays as it is there; pox never ends over it.
 *
 * @param ref The variables. Default: the environment.
 * @param secondref Those that are looked up where `ref` has none. Default: none.
 *
 * @example
 * ```ts
 * import { expandvars } from "@pathos/pathos/fs";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(expandvars("$A/${B}/$C", { A: "${B}/a", B: "b" }), "b/a/b/$C");
 * assertEquals(expandvars("${HOME}/data"), `${Deno.env.get("HOME")}/data`);
 * ```
 */
export function expandvars(text: string, ref?: Variables, secondref: Variables = {}): string {
  const look = (name: string) => lookUp(ref, name) ?? lookUp(secondref, name);
  return expand(text, look, []);
}

function expand(text: string, look: (name: string) => string | undefined, within: readonly string[]): string {
  return text.replace(VARIABLE, (written, bare?: string, braced?: string) => {
    const name = bare ?? braced!;
    const value = within.includes(name) ? undefined : look(name);
    return value === undefined ? written : expand(value, look, [...within, name]);
  });
}

/**
 * The variables that text mentions, `$name` and `${name}`, with their values: those of `ref`, or where it has none those of the
 * environment. The values are as they are set; {@linkcode expandvars} replaces variables in them.
 *
 * pox sees one variable between two separators of a path, and takes what follows a name for a part of it; here they
 * may stand anywhere.
 *
 * @throws {ReferenceError} If neither has one of them.
 *
 * @example
 * ```ts
 * import { getvars } from "@pathos/pathos/fs";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(getvars("$DIR/tool-${VERSION}/bin", { DIR: "/opt", VERSION: "1.0" }), {
 *   DIR: "/opt",
 *   VERSION: "1.0",
 * });
 * ```
 */
export function getvars(text: string, ref: Variables = {}): Record<string, string> {
  return Object.fromEntries(
    [...text.matchAll(VARIABLE)].map(([written, bare, braced]) => {
      const name = bare ?? braced;
      const value = lookUp(ref, name) ?? variable(name);
      if (value === undefined) {
        throw new ReferenceError(
          `${written} in ${JSON.stringify(text)} is not set, here or in the environment`,
        );
      }
      return [name, value];
    }),
  );
}

/** The value of a variable; of the environment, where there is no list. */
function lookUp(list: Variables | undefined, name: string): string | undefined {
  if (list === undefined) return variable(name);
  return Object.hasOwn(list, name) ? list[name] : undefined;
}
