/**
 * Scopes of captured functions and the question which of them are one.
 *
 * The inspector copies scopes, so two closures that share a variable show two equal copies. Within one dump, scopes with
 * the same parent, the same names and identical values (`Object.is`) are taken for one. That can be wrong only when two
 * activations of one function hold identical values, and it can be noticed only when a captured function writes such a
 * variable: `ambiguous` finds these functions, and `snapshot.ts` then tells the activations apart.
 */
import type { LiveScope } from "./inspector.ts";
import type { CodeFunction } from "./types.ts";

/** Stands for a variable whose initialiser has not run. */
export const uninitialised: unique symbol = Symbol("uninitialised");

/** One scope with the variables in it that travel. */
export interface Scope {
  serial: number;
  parent: Scope | undefined;
  kind: "closure" | "module" | "script";
  has(name: string): boolean;
  /** The value now, or `uninitialised`. */
  read(name: string): unknown;
  /** Variables that some captured function mentions, with the slots of their values. */
  used: Map<string, unknown>;
  /** Functions whose scope lists led here. */
  owners: Set<CodeFunction>;
  /** Variables that some captured function writes. */
  written: Set<string>;
  /** Whether its identity is known and not inferred. */
  exact: boolean;
}

/** A scope of a function that was loaded, which the rebuilt code opens itself. */
export interface OpenScope {
  parent: OpenScope | undefined;
  names: readonly string[];
  get(): unknown[];
}

export class ScopeTable {
  private readonly byKey = new Map<unknown, Scope>();
  private readonly valueIds = new Map<unknown, number>();
  private count = 0;

  /** The chain of a live function, innermost first. `contexts` names its scopes exactly where they are known. */
  chain(
    fn: CodeFunction,
    scopes: readonly LiveScope[],
    scriptId: string,
    contexts: readonly number[] | undefined,
  ): Scope[] {
    const chain: Scope[] = [];
    let parent: Scope | undefined;
    for (let i = scopes.length - 1; i >= 0; i--) {
      const { description, object } = scopes[i];
      if (description === "Global") continue;
      const kind = description.startsWith("Module")
        ? "module"
        : description.startsWith("Script")
        ? "script"
        : "closure";
      const key = kind === "module"
        ? `module ${scriptId}`
        : kind === "script"
        ? "script"
        : contexts
        ? `context ${contexts[i]}`
        : this.contentKey(parent, description, object);
      let scope = this.byKey.get(key);
      if (!scope) {
        scope = {
          serial: this.count++,
          parent,
          kind,
          has: (name) => Object.hasOwn(object, name),
          read: (name) => readVariable(object, name),
          used: new Map(),
          owners: new Set(),
          written: new Set(),
          exact: kind !== "closure" || contexts !== undefined,
        };
        this.byKey.set(key, scope);
      }
      scope.owners.add(fn);
      chain.unshift(scope);
      parent = scope;
    }
    return chain;
  }

  /** The chain of a loaded function. */
  openChain(innermost: OpenScope | undefined): Scope[] {
    const open: OpenScope[] = [];
    for (let scope = innermost; scope; scope = scope.parent) open.push(scope);
    const chain: Scope[] = [];
    let parent: Scope | undefined;
    for (let i = open.length - 1; i >= 0; i--) {
      const { names, get } = open[i];
      let scope = this.byKey.get(open[i]);
      if (!scope) {
        scope = {
          serial: this.count++,
          parent,
          kind: "closure",
          has: (name) => names.includes(name),
          read: (name) => get()[names.indexOf(name)],
          used: new Map(),
          owners: new Set(),
          written: new Set(),
          exact: true,
        };
        this.byKey.set(open[i], scope);
      }
      chain.unshift(scope);
      parent = scope;
    }
    return chain;
  }

  /** A scope that is reached through the evaluator given to `capture()`. */
  evaluated(evaluate: (source: string) => unknown): Scope {
    let scope = this.byKey.get(evaluate);
    if (!scope) {
      scope = {
        serial: this.count++,
        parent: undefined,
        kind: "closure",
        has: (name) => !(name in globalThis) && evaluate(`typeof ${name}`) !== "undefined",
        read: (name) => evaluate(name),
        used: new Map(),
        owners: new Set(),
        written: new Set(),
        exact: true,
      };
      this.byKey.set(evaluate, scope);
    }
    return scope;
  }

  /** Functions whose scopes were merged by content although merging them wrongly could be noticed. */
  ambiguous(): CodeFunction[] {
    const found = new Set<CodeFunction>();
    for (const scope of this.byKey.values()) {
      if (!scope.exact && scope.written.size && scope.owners.size > 1) {
        scope.owners.forEach((fn) => found.add(fn));
      }
    }
    return [...found];
  }

  private contentKey(
    parent: Scope | undefined,
    description: string,
    object: Record<string, unknown>,
  ): string {
    let key = `${parent ? parent.serial : ""}|${description}`;
    for (const name of Object.keys(object)) key += `|${name}:${this.valueId(readVariable(object, name))}`;
    return key;
  }

  private valueId(value: unknown): number | string {
    if (Object.is(value, -0)) return "-0";
    let id = this.valueIds.get(value);
    if (id === undefined) this.valueIds.set(value, id = this.valueIds.size);
    return id;
  }
}

function readVariable(object: Record<string, unknown>, name: string): unknown {
  try {
    return object[name];
  } catch {
    return uninitialised;
  }
}
