/**
 * Functions whose captured variables can no longer change, so that the inspector need not be asked again.
 *
 * A variable is steady if it was initialised and nothing in its whole script ever assigns to that name. Closures over
 * steady variables only, and functions that capture nothing, are inspected once; all others at every dump.
 */
import { type Inspected, type LiveScope, scriptSource, scriptUrl } from "./inspector.ts";
import { importsOfScript } from "./modules.ts";
import { assignedNames } from "./syntax.ts";
import type { CodeFunction } from "./types.ts";

const steady = new WeakMap<CodeFunction, Inspected>();
const seen = new WeakMap<CodeFunction, number>();
const assigned = new Map<string, Set<string> | undefined>();

/** Dumps of a function after which it is worth reading its script. */
const worthwhile = 3;
const maxSource = 400_000;

/** What the inspector would say about a function now, if that is known. */
export function steadyInspection(fn: CodeFunction): Inspected | undefined {
  return steady.get(fn);
}

/** Learns from an inspection. `free` are the names that the function mentions. */
export function noteInspection(fn: CodeFunction, inspected: Inspected, free: readonly string[]): void {
  const { location, scopes } = inspected;
  const captures = scopes.some(({ description, object }) =>
    description !== "Global" && free.some((name) => Object.hasOwn(object, name))
  );
  if (!captures) {
    steady.set(fn, { location, scopes: scopes.map(({ description }) => ({ description, object: {} })) });
    return;
  }
  const count = (seen.get(fn) ?? 0) + 1;
  seen.set(fn, count);
  if (count < worthwhile || !location) return;
  const { scriptId } = location;
  if (!assigned.has(scriptId)) assigned.set(scriptId, namesAssignedIn(scriptId));
  const written = assigned.get(scriptId);
  if (!written) return;
  const trimmed: LiveScope[] = [];
  for (const { description, object } of scopes) {
    const kept: Record<string, unknown> = {};
    if (description !== "Global") {
      const inModule = description.startsWith("Module") || description.startsWith("Script");
      for (const name of Object.keys(object)) {
        if (inModule && !free.includes(name)) continue;
        const value = read(object, name);
        // An undefined value may be an uninitialised variable, which Node does not tell apart.
        if (value === undefined || written.has(name) || (inModule && importsOfScript(scriptId).has(name))) {
          return;
        }
        kept[name] = value;
      }
    }
    trimmed.push({ description, object: kept });
  }
  steady.set(fn, { location, scopes: trimmed });
}

function namesAssignedIn(scriptId: string): Set<string> | undefined {
  // Code from eval has no URL, and its variables may belong to another script.
  if (scriptUrl(scriptId) === "") return undefined;
  const source = scriptSource(scriptId);
  return source.length > maxSource ? undefined : assignedNames(source);
}

function read(object: Record<string, unknown>, name: string): unknown {
  try {
    return object[name];
  } catch {
    return undefined;
  }
}
