/**
 * Classes in canonical texts: what names the class of an instance, and the private fields of one.
 */
import { inspectorProblem, privateFields } from "../serialize/inspector.ts";
import { intrinsicObject } from "../serialize/intrinsics.ts";
import { loadedOrigin, textOf } from "../serialize/loaded.ts";
import { syntaxOf } from "../serialize/syntax.ts";
import type { CodeFunction } from "../serialize/types.ts";
import { sha256 } from "../serialize/wire.ts";

/** Why an object has no text; canonical.ts adds where it is. */
export class NoText extends Error {}

/** Private fields as they are now, base class first. */
export function privatesOf(value: object, prototype: object): [name: string, value: unknown][] {
  const found: [string, unknown][] = [];
  for (const { owner, fields } of privateClasses(prototype)) {
    const hooks = loadedOrigin(owner)?.hooks;
    if (!hooks?.get) {
      const problem = inspectorProblem();
      if (problem === undefined) return privateFields(value);
      throw new NoText(
        `has private fields, which cannot be read: ${problem}; allow it (deno run --allow-sys), or say how with ` +
          `register(${owner.name}, { dump, load })`,
      );
    }
    if (hooks.brands!(value)) hooks.get(value).forEach((field, i) => found.push([fields[i], field]));
  }
  return found;
}

const privates = new WeakMap<object, { owner: CodeFunction; fields: string[] }[]>();

/** Whether instances have private fields. */
export function hasPrivates(prototype: object): boolean {
  return privateClasses(prototype).length > 0;
}

/** The classes with private fields among those of an instance, base class first. */
function privateClasses(prototype: object): { owner: CodeFunction; fields: string[] }[] {
  const known = privates.get(prototype);
  if (known) return known;
  const classes: { owner: CodeFunction; fields: string[] }[] = [];
  for (let p = prototype; p && intrinsicObject(p) === undefined; p = Object.getPrototypeOf(p)) {
    const owner = ownerOf(p);
    if (!owner || !/^class\b/.test(textOf(owner))) continue;
    const fields = syntaxOf(textOf(owner), true).shape?.privateFields ?? [];
    if (fields.length > 0) classes.unshift({ owner, fields });
  }
  privates.set(prototype, classes);
  return classes;
}

const tokens = new WeakMap<object, string>();

/** Names the class of an instance: its name and a hash of its source text and those of its base classes. */
export function token(prototype: object): string {
  let known = tokens.get(prototype);
  if (known === undefined) {
    known = newToken(prototype);
    tokens.set(prototype, known);
  }
  return known;
}

function newToken(prototype: object): string {
  const intrinsic = intrinsicObject(prototype);
  if (intrinsic !== undefined) return intrinsic.replace(/\.prototype$/, "");
  const texts: string[] = [];
  for (let p = prototype; p && intrinsicObject(p) === undefined; p = Object.getPrototypeOf(p)) {
    const owner = ownerOf(p);
    if (owner) texts.push(textOf(owner));
  }
  const name = String(ownerOf(prototype)?.name ?? "");
  return `${/^[\w$]+$/.test(name) ? name : JSON.stringify(name)}#${
    sha256(JSON.stringify(texts)).slice(0, 16)
  }`;
}

/** What stands for a type: its usual name, or the class of an instance of a derived one. */
export function named(prototype: object, usual: string): string {
  const name = token(prototype);
  return name === usual ? usual : `${usual} ${name}`;
}

/** The class or constructor function whose prototype an object is. */
export function ownerOf(prototype: object): CodeFunction | undefined {
  const owner = Object.getOwnPropertyDescriptor(prototype, "constructor")?.value;
  return typeof owner === "function" && owner.prototype === prototype ? owner : undefined;
}
