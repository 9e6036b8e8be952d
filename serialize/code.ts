/**
 * Writes functions and classes: finds what they capture, decides what goes by reference, and gathers functions that share
 * variables into units.
 *
 * Only variables that the text mentions travel. Captured values are read anew at every dump.
 */
import { evaluatorOf } from "./capture.ts";
import { type Encoder, finish, type NodeRow, type Slot, type Step, typeChecks } from "./encode.ts";
import {
  boundParts,
  type Inspected,
  inspectFunctions,
  inspectorProblem,
  type Location,
  privateFields,
} from "./inspector.ts";
import { intrinsicAnywhere, intrinsicFunction } from "./intrinsics.ts";
import { loadedBound, loadedOrigin, textOf } from "./loaded.ts";
import {
  builtinExport,
  importsOfScript,
  isEntry,
  isPackage,
  type ModuleRef,
  moduleUrl,
  noteReference,
  packagesOnly,
  referenceOf,
} from "./modules.ts";
import { type Scope, ScopeTable, uninitialised } from "./scopes.ts";
import { contextsOf } from "./snapshot.ts";
import { noteInspection, steadyInspection } from "./steady.ts";
import { type ClassElement, type ClassShape, type Syntax, syntaxOf } from "./syntax.ts";
import type { CodeFunction } from "./types.ts";
import { type UnitFunction, type UnitScope, writeUnit } from "./unit.ts";
import { Op } from "./wire.ts";

interface CodeRecord {
  id: number;
  fn: CodeFunction;
  text: string;
  syntax: Syntax;
  chain: Scope[];
  bindings: Map<string, Scope>;
  url: string;
  line: number;
  column: number;
  strict: boolean;
  dropName: boolean;
  wrapped: boolean;
  givenKeys: number;
}

/** What only a class or a function with an outer `this` gives to its maker. */
type MakerParts = [
  heritage: Slot | 0,
  keys: Slot[] | 0,
  statics: Slot[] | 0,
  outer: Slot[] | 0,
  name: Slot,
  home: Slot,
];

const classText = /^class\b/;
const nativeText = /\{\s*\[native code\]\s*\}\s*$/;
const functionPrototype = Function.prototype;
const generatorPrototypes = [
  Object.getPrototypeOf(function* () {}),
  Object.getPrototypeOf(async function* () {}),
] as object[];
const asyncPrototype = Object.getPrototypeOf(async () => {}) as object;

export class CodeWriter {
  private readonly scopes = new ScopeTable();
  private readonly records: CodeRecord[] = [];
  private readonly pending: number[] = [];
  private readonly methods = new Map<
    CodeFunction,
    [owner: CodeFunction, key: PropertyKey, isStatic: boolean, kind: string]
  >();
  private readonly prototypeOwners = new Map<object, CodeFunction>();
  private readonly branding = new Map<object, { owner: CodeFunction; fields: string[] }[]>();
  private readonly shapes = new Map<
    CodeFunction,
    { keys: (PropertyKey | undefined)[]; matched: Set<string> } | undefined
  >();

  constructor(private readonly encoder: Encoder) {}

  /** The functions and classes by value, in the order of their nodes. */
  functions(): CodeFunction[] {
    return this.records.map((record) => record.fn);
  }

  /** Gives a function its row, or puts it off until scopes are read for many at once. */
  describe(id: number, fn: CodeFunction): void {
    const { encoder } = this;
    encoder.usesCode = true;
    const known = encoder.options.known?.(fn);
    if (known) {
      encoder.rows[id] = [Op.known, encoder.hashIndex(known[0]), known[1]];
      return;
    }
    const text = textOf(fn);
    const native = nativeText.test(text);
    const intrinsic = intrinsicFunction(fn, native);
    if (intrinsic !== undefined) {
      encoder.rows[id] = [Op.intrinsic, intrinsic];
      return;
    }
    if (this.methods.has(fn)) return this.methodRow(id, fn);
    const ref = referenceOf(fn);
    if (ref && this.goesByReference(ref)) return this.moduleRow(id, ref);
    if (native) return this.nativeRow(id, fn);
    encoder.rows[id] = [Op.code];
    this.pending.push(id);
  }

  /** Reads the scopes of all functions met since the last call; says false if there were none. */
  inspectPending(): boolean {
    const all = this.pending.splice(0);
    if (all.length === 0) return false;
    // Classes first: a method that was met on its own then still belongs to its class.
    const fnOf = (id: number) => this.encoder.valueOf(id) as CodeFunction;
    for (const id of all) if (classText.test(textOf(fnOf(id)))) this.matchMethods(fnOf(id));
    const ids = all.filter((id) => {
      if (this.methods.has(fnOf(id))) this.methodRow(id, fnOf(id));
      return !this.methods.has(fnOf(id));
    });
    const fns = ids.map(fnOf);
    const inspected = new Map<CodeFunction, Inspected>();
    const live = fns.filter((fn) => {
      const known = steadyInspection(fn);
      if (known) inspected.set(fn, known);
      return !known && !loadedOrigin(fn);
    });
    const problem = live.length ? inspectorProblem() : undefined;
    if (live.length && problem === undefined) {
      inspectFunctions(live).forEach((found, i) => inspected.set(live[i], found));
    }
    fns.forEach((fn, i) => this.writeFunction(ids[i], fn, inspected.get(fn), problem));
    return true;
  }

  private methodRow(id: number, fn: CodeFunction): void {
    const { encoder } = this;
    const [owner, key, isStatic, kind] = this.methods.get(fn)!;
    encoder.rows[id] = finish(
      [Op.method, encoder.slot(owner, id, { text: "(class)" }), [
        this.keySlot(key, id),
        isStatic ? 1 : 0,
        kind,
      ]],
      encoder.props(id, fn, (key) => key === "length" || key === "name" || key === "prototype"),
      0,
      !Object.isExtensible(fn),
    );
  }

  private keySlot(key: PropertyKey, id: number): Slot {
    return this.encoder.slot(key, id, key);
  }

  private goesByReference(ref: ModuleRef): boolean {
    return !isEntry(ref) && (this.encoder.options.byref ?? packagesOnly)(ref);
  }

  private moduleRow(id: number, ref: ModuleRef): void {
    const base = isPackage(ref.specifier) && /^[a-z]+:/.test(ref.specifier) ? "" : ref.base;
    const { specifier, name } = ref;
    this.encoder.usesCode = true;
    if (this.encoder.options.essence) {
      this.encoder.rows[id] = [Op.module, ["", specifier, name]];
      return;
    }
    noteReference({ base, specifier, name }, this.encoder.valueOf(id));
    this.encoder.imports.push({ base, specifier, name });
    this.encoder.rows[id] = [Op.module, [base, specifier, name]];
  }

  private nativeRow(id: number, fn: CodeFunction): void {
    const encoder: Encoder = this.encoder;
    const ref = builtinExport(fn);
    if (ref) return this.moduleRow(id, ref);
    if (typeChecks().isProxy(fn)) {
      encoder.refuse(
        id,
        "a Proxy hides its target and handler: send the target, or a function that makes the Proxy",
      );
    }
    const known = loadedBound(fn);
    const parts = known ?? (inspectorProblem() === undefined ? boundParts(fn) : undefined);
    if (!parts) {
      encoder.refuse(
        id,
        `${fn.name || "this function"} is native code without a name that every program knows: ` +
          "wrap it, as in (...args) => f(...args), where f is reachable on the other side",
      );
    }
    const shown = `bound ${(parts.target as { name?: unknown }).name}`;
    encoder.rows[id] = finish(
      [Op.bound, encoder.slot(parts.target, id, { text: "(bound function)" }), [
        encoder.slot(parts.self, id, { text: "(bound this)" }),
        ...parts.args.map((arg, i) => encoder.slot(arg, id, { text: `(bound argument ${i})` })),
      ]],
      encoder.props(id, fn, (key, d) => key === "length" || (key === "name" && d.value === shown)),
      encoder.proto(id, fn, Object.getPrototypeOf(parts.target)),
      !Object.isExtensible(fn),
    );
  }

  private parse(id: number, fn: CodeFunction, text: string): Syntax {
    try {
      return syntaxOf(text, Object.hasOwn(fn, "prototype"));
    } catch (error) {
      return this.encoder.refuse(
        id,
        `its source text does not parse (${
          (error as Error).message
        }): write it as an ordinary function, method or class`,
      );
    }
  }

  private writeFunction(
    id: number,
    fn: CodeFunction,
    inspected: Inspected | undefined,
    problem: string | undefined,
  ): void {
    const { encoder } = this;
    const origin = loadedOrigin(fn);
    const text = textOf(fn);
    const location = inspected?.location;
    const url = origin ? origin.url : location ? moduleUrl(location.scriptId) : "";
    if (/^(node|ext|deno):/.test(url)) return this.runtimeFunction(id, fn);
    const syntax = this.parse(id, fn, text);
    const evaluate = evaluatorOf(fn);
    const outer = this.outerParts(id, fn, syntax, origin?.outer, evaluate);
    if (inspected && !steadyInspection(fn)) noteInspection(fn, inspected, syntax.free);
    const captures = inspected?.scopes.some(({ description, object }) =>
      description !== "Global" && syntax.free.some((name) => Object.hasOwn(object, name))
    );
    const chain = origin
      ? this.scopes.openChain(origin.scope)
      : inspected
      ? !captures ? [] : this.scopes.chain(fn, inspected.scopes, location?.scriptId ?? "", contextsOf(fn))
      : evaluate
      ? [this.scopes.evaluated(evaluate)]
      : [];
    const record: CodeRecord = {
      id,
      fn,
      text,
      syntax,
      chain,
      bindings: new Map(),
      ...(encoder.options.essence
        ? { url: "", line: -1, column: 0 }
        : { url, ...position(origin, location, syntax, text) }),
      strict: origin ? origin.strict : isStrict(fn, syntax, inspected),
      dropName: false,
      wrapped: outer !== 0,
      givenKeys: 0,
    };
    this.records.push(record);
    this.bind(record, location?.scriptId, inspected || origin || evaluate ? undefined : problem);
    const parts: MakerParts = [0, 0, 0, outer, 0, 0];
    const props = syntax.shape
      ? this.classParts(record, syntax.shape, parts)
      : this.functionParts(record, parts);
    const heritage = syntax.shape?.heritage ? Object.getPrototypeOf(fn) : usualPrototype(syntax);
    if (syntax.outerSuper && !syntax.shape) parts[5] = this.homeOf(id, fn, syntax, origin?.outer?.home);
    while (parts.length && parts[parts.length - 1] === 0) parts.pop();
    // The unit's node and the function's number in it are filled in by writeUnits.
    encoder.rows[id] = finish(
      [Op.code, 0, [0, ...parts]],
      props,
      encoder.proto(id, fn, heritage),
      !Object.isExtensible(fn),
    );
  }

  /** A function of the runtime itself: by name, or not at all. */
  private runtimeFunction(id: number, fn: CodeFunction): void {
    const ref = builtinExport(fn);
    if (ref) return this.moduleRow(id, ref);
    const name = intrinsicAnywhere(fn);
    if (name !== undefined) {
      this.encoder.rows[id] = [Op.intrinsic, name];
      return;
    }
    this.encoder.refuse(
      id,
      `${
        fn.name || "this function"
      } belongs to the runtime and has no name of its own: call it inside a function of yours`,
    );
  }

  /** `this` and `arguments` of the surrounding code as slots, or 0 if the function does not use them. */
  private outerParts(
    id: number,
    fn: CodeFunction,
    syntax: Syntax,
    known: { self?: unknown; args?: unknown[] } | undefined,
    evaluate: ((source: string) => unknown) | undefined,
  ): Slot[] | 0 {
    const { encoder } = this;
    if (syntax.directEval) {
      encoder.refuse(
        id,
        "it calls eval, which can reach any variable: pass what it needs as arguments, or use new Function",
      );
    }
    const isMethod = /^(method|get|set)$/.test(syntax.form);
    if (syntax.outerPrivate !== undefined && !(encoder.options.essence && isMethod)) {
      encoder.refuse(
        id,
        `it mentions ${syntax.outerPrivate}, which only its class can give it: send the class or an instance instead`,
      );
    }
    if (syntax.outerNewTarget) {
      encoder.refuse(id, "it uses new.target of the code around it: keep it in a variable and use that");
    }
    if (syntax.form === "arrow" && syntax.outerSuper) {
      encoder.refuse(
        id,
        "this arrow function uses super of the method around it: put the call into a method of its own",
      );
    }
    if (syntax.shape || (!syntax.outerThis && !syntax.outerArguments)) return 0;
    if (known && (syntax.outerThis ? "self" in known : true)) {
      return [
        encoder.slot(known.self, id, { text: "⟨this⟩" }),
        ...(known.args ?? []).map((arg, i) => encoder.slot(arg, id, { text: `⟨arguments⟩[${i}]` })),
      ];
    }
    if (evaluate) {
      const self = syntax.outerThis ? evaluate("this") : undefined;
      const args = syntax.outerArguments ? Array.from(evaluate("arguments") as ArrayLike<unknown>) : [];
      return [
        encoder.slot(self, id, { text: "⟨this⟩" }),
        ...args.map((arg, i) => encoder.slot(arg, id, { text: `⟨arguments⟩[${i}]` })),
      ];
    }
    const what = syntax.outerThis ? "this" : "arguments";
    return encoder.refuse(
      id,
      `this arrow function uses \`${what}\` of the code around it, which cannot be read from outside: ` +
        `write const ${what === "this" ? "self = this" : "args = [...arguments]"} there and use that, ` +
        `or wrap it: capture(${fn.name || "fn"}, (source) => eval(source))`,
    );
  }

  /** Finds the scope of every free name and notes the values. */
  private bind(record: CodeRecord, scriptId: string | undefined, problem: string | undefined): void {
    const { encoder } = this;
    const { id, syntax, chain, fn } = record;
    for (const name of syntax.free) {
      const step: Step = { text: `⟨${name}⟩` };
      const scope = chain.find((scope) => scope.has(name));
      if (!scope) {
        if (problem !== undefined && !(name in globalThis) && name !== syntax.name) {
          encoder.refuse(
            id,
            `it captures the variable ${name}, and ${problem}: allow it (deno run --allow-sys), or write ` +
              `capture(${fn.name || "fn"}, (source) => eval(source)) where the function is`,
            step,
          );
        }
        continue;
      }
      const value = scope.read(name);
      if (value === uninitialised) {
        encoder.refuse(
          id,
          `the variable ${name} is not initialised yet: serialize the function after the line that declares ${name} has run`,
          step,
        );
      }
      if (name === syntax.name && syntax.form === "function") {
        if (value === fn && !syntax.writes.has(name)) continue;
        record.dropName = true;
      }
      record.bindings.set(name, scope);
      if (syntax.writes.has(name)) scope.written.add(name);
      if (scope.used.has(name)) continue;
      scope.used.set(name, 0);
      if (encoder.options.essence && syntax.writes.has(name)) continue;
      scope.used.set(name, this.capturedSlot(id, name, value, scope, scriptId, step));
    }
  }

  private capturedSlot(
    id: number,
    name: string,
    value: unknown,
    scope: Scope,
    scriptId: string | undefined,
    step: Step,
  ): Slot {
    const { encoder } = this;
    const isObject = (typeof value === "object" && value !== null) || typeof value === "function";
    if (isObject && !encoder.has(value) && scriptId !== undefined) {
      if (scope.kind === "module") {
        const found = importsOfScript(scriptId).get(name);
        const ref = found && { base: moduleUrl(scriptId), ...found };
        if (ref && this.refersTo(ref, value)) {
          const node = encoder.add(value, id, step, [Op.module]);
          this.moduleRow(node, ref);
          return [node];
        }
      } else if (name === "require" && scope.has("module") && scope.has("__filename")) {
        encoder.usesCode = true;
        const url = encoder.options.essence ? "" : moduleUrl(scriptId);
        return [encoder.add(value, id, step, [Op.require, url])];
      }
    }
    return encoder.slot(value, id, step);
  }

  private refersTo(ref: ModuleRef, value: unknown): boolean {
    if (this.encoder.options.known?.(value as CodeFunction)) return false;
    if (isPackage(ref.specifier)) return this.goesByReference(ref);
    const isCode = typeof value === "function" || typeChecks().isModuleNamespaceObject(value);
    return isCode && this.goesByReference(ref);
  }

  /** Props of an ordinary function; its `prototype` is followed only if the program changed it. */
  private functionParts(record: CodeRecord, parts: MakerParts): unknown[] {
    const { encoder } = this;
    const { fn, id, syntax, dropName } = record;
    const naturalName = syntax.computedKey
      ? (syntax.form === "get" || syntax.form === "set" ? `${syntax.form} m` : "m")
      : dropName
      ? ""
      : syntax.naturalName;
    const props = encoder.props(id, fn, (key, d) => {
      switch (key) {
        case "length":
          return d.value === syntax.naturalLength && isHidden(d);
        case "name":
          if (!isHidden(d) || typeof d.value !== "string") return false;
          if (d.value !== naturalName) parts[4] = encoder.slot(d.value, id, "name");
          return true;
        case "arguments":
        case "caller":
          return true;
        case "prototype":
          return this.isPristine(fn, d.value, syntax) || this.ownPrototype(fn, d.value, syntax);
        default:
          return false;
      }
    });
    const own = Object.getOwnPropertyDescriptor(fn, "prototype")?.value;
    if (
      typeof own === "object" && own !== null && !this.isPristine(fn, own, syntax) &&
      this.ownPrototype(fn, own, syntax)
    ) {
      encoder.slot(own, id, "prototype");
    }
    return props;
  }

  private isPristine(fn: CodeFunction, prototype: object | undefined, syntax: Syntax): boolean {
    if (typeof prototype !== "object" || prototype === null) return false;
    const keys = Reflect.ownKeys(prototype);
    if (syntax.isGenerator) {
      if (keys.length === 0) this.prototypeOwners.set(prototype, fn);
      return keys.length === 0 && Object.isExtensible(prototype);
    }
    return keys.length === 1 && this.ownPrototype(fn, prototype, syntax) && Object.isExtensible(prototype) &&
      Object.getPrototypeOf(prototype) === Object.prototype;
  }

  private ownPrototype(fn: CodeFunction, prototype: object | undefined, syntax: Syntax): boolean {
    if (typeof prototype !== "object" || prototype === null || syntax.isGenerator) return false;
    const d = Object.getOwnPropertyDescriptor(prototype, "constructor");
    return d !== undefined && d.value === fn && d.enumerable === false;
  }

  private classParts(record: CodeRecord, shape: ClassShape, parts: MakerParts): unknown[] {
    const { encoder } = this;
    const { fn, id, syntax } = record;
    const prototype = (fn as { prototype: object }).prototype;
    if (shape.heritage) {
      const parent = Object.getPrototypeOf(fn);
      const isNull = parent === functionPrototype && Object.getPrototypeOf(prototype) === null;
      parts[0] = [isNull ? null : encoder.slot(parent, id, { text: "(superclass)" })];
    }
    const matched = this.matchMethods(fn)!;
    const computed = shape.elements.filter((e) => e.kind !== "field" && e.name === undefined);
    if (computed.length) {
      parts[1] = matched.keys.map((key, i) => key === undefined ? `gone ${i}` : this.keySlot(key, id));
      record.givenKeys = computed.length;
    }
    if (shape.privateStatics.length) {
      const values = this.privateStatics(id, fn, shape);
      parts[2] = values.map((value, i) => encoder.slot(value, id, shape.privateStatics[i]));
    }
    const props = encoder.props(id, fn, (key, d) => {
      if (key === "prototype") return true;
      if (matched.matched.has(memberKey(key, true))) return true;
      if (key === "length") return d.value === lengthOf(syntax) && isHidden(d);
      if (key === "name" && isHidden(d) && typeof d.value === "string") {
        if (d.value !== syntax.naturalName) parts[4] = encoder.slot(d.value, id, "name");
        return true;
      }
      return false;
    });
    if (this.prototypeDelta(id, prototype, fn)) encoder.slot(prototype, id, "prototype");
    return props;
  }

  private privateStatics(id: number, fn: CodeFunction, shape: ClassShape): unknown[] {
    const hooks = loadedOrigin(fn)?.hooks;
    if (hooks?.getStatics) return hooks.getStatics();
    const problem = inspectorProblem();
    if (problem !== undefined) {
      this.encoder.refuse(id, `its private static fields cannot be read: ${problem}`);
    }
    const found = new Map(privateFields(fn));
    return shape.privateStatics.map((name) => found.get(name));
  }

  /**
   * Which methods of a class are still those that its text defines. They are made by the class itself; all others are
   * written as properties.
   */
  private matchMethods(
    fn: CodeFunction,
  ): { keys: (PropertyKey | undefined)[]; matched: Set<string> } | undefined {
    if (this.shapes.has(fn)) return this.shapes.get(fn);
    let shape: ClassShape | undefined;
    try {
      shape = syntaxOf(textOf(fn), Object.hasOwn(fn, "prototype")).shape;
    } catch {
      shape = undefined;
    }
    if (!shape) {
      this.shapes.set(fn, undefined);
      return undefined;
    }
    const result = { keys: [] as (PropertyKey | undefined)[], matched: new Set<string>() };
    this.shapes.set(fn, result);
    const prototype = (fn as { prototype: object }).prototype;
    const match = (holder: object, key: PropertyKey, element: ClassElement): boolean => {
      const d = Object.getOwnPropertyDescriptor(holder, key);
      if (!d || d.enumerable || !d.configurable) return false;
      const part = element.kind === "method" ? d.value : element.kind === "get" ? d.get : d.set;
      if (typeof part !== "function" || textOf(part) !== element.text) return false;
      if (element.kind === "method" && !d.writable) return false;
      if (!this.methods.has(part)) this.methods.set(part, [fn, key, element.isStatic, element.kind]);
      result.matched.add(`${element.kind}:${memberKey(key, element.isStatic)}`);
      return true;
    };
    for (const element of shape.elements) {
      if (element.kind === "field" || element.isPrivate) continue;
      const holder = element.isStatic ? fn : prototype;
      if (element.name !== undefined) match(holder, element.name, element);
      else {
        const key = Reflect.ownKeys(holder).find((key) =>
          !result.matched.has(`${element.kind}:${memberKey(key, element.isStatic)}`) &&
          match(holder, key, element)
        );
        result.keys.push(key);
      }
    }
    // An accessor counts only if both halves are as the text says.
    for (const holder of [prototype, fn] as object[]) {
      for (const key of Reflect.ownKeys(holder)) {
        const d = Object.getOwnPropertyDescriptor(holder, key)!;
        const member = memberKey(key, holder === fn);
        const kinds = "value" in d
          ? ["method"]
          : [d.get && "get", d.set && "set"].filter((k) => k !== undefined);
        if (kinds.every((kind) => result.matched.has(`${kind}:${member}`))) result.matched.add(member);
      }
    }
    return result;
  }

  /** The class or function whose `prototype` an object is. */
  prototypeOwner(value: object): CodeFunction | undefined {
    const generator = this.prototypeOwners.get(value);
    if (generator) return generator;
    const d = Object.getOwnPropertyDescriptor(value, "constructor");
    const owner = d?.value;
    if (typeof owner !== "function" || d!.enumerable) return undefined;
    return Object.getOwnPropertyDescriptor(owner, "prototype")?.value === value ? owner : undefined;
  }

  prototypeRow(id: number, value: object, owner: CodeFunction): NodeRow {
    const slot = this.encoder.slot(owner, id, "constructor");
    const delta = this.prototypeDelta(id, value, owner);
    return delta
      ? finish([Op.prototype, slot, delta.gone], delta.props, delta.proto, delta.fixed)
      : [Op.prototype, slot];
  }

  /** What the program changed in a prototype, or undefined if nothing, or if its owner is referred to. */
  private prototypeDelta(
    id: number,
    value: object,
    owner: CodeFunction,
  ): { props: unknown[]; gone: Slot[] | 0; proto: Slot; fixed: boolean } | undefined {
    const { encoder } = this;
    if (encoder.options.known?.(owner)) return undefined;
    const ref = referenceOf(owner);
    if (ref && this.goesByReference(ref)) return undefined;
    const ownerSlot = encoder.slot(owner, id, "constructor") as [number];
    if (encoder.rows[ownerSlot[0]]?.[0] === Op.module) return undefined;
    const matched = this.matchMethods(owner);
    const props = encoder.props(
      id,
      value,
      (key, d) =>
        (key === "constructor" && d.value === owner && !d.enumerable && d.writable === true &&
          d.configurable === true) ||
        (matched !== undefined && matched.matched.has(memberKey(key, false))),
    );
    const gone: Slot[] = [];
    if (matched) {
      const shape = syntaxOf(textOf(owner), true).shape!;
      for (const { name, kind, isStatic, isPrivate } of shape.elements) {
        if (kind === "field" || isPrivate || name === undefined) continue;
        if (!Object.hasOwn(isStatic ? owner : value, name)) gone.push(isStatic ? [name] : name);
      }
      matched.keys.forEach((key, i) => key === undefined && gone.push(`gone ${i}`));
    }
    const parent = Object.getPrototypeOf(owner);
    const usual = matched && parent !== functionPrototype
      ? (parent as { prototype?: object } | null)?.prototype
      : matched && /^class[^{]*\bextends\s+null\b/.test(textOf(owner))
      ? null
      : Object.prototype;
    const proto = Object.getPrototypeOf(value) === usual ? 0 : encoder.proto(id, value, undefined as never);
    const fixed = !Object.isExtensible(value);
    if (props.length === 0 && gone.length === 0 && proto === 0 && !fixed) return undefined;
    return { props, gone: gone.length ? gone : 0, proto, fixed };
  }

  /** The prototype of a method's home object, for `super`. */
  private homeOf(id: number, fn: CodeFunction, syntax: Syntax, known: object | undefined): Slot {
    const { encoder } = this;
    if (known) return [encoder.slot(Object.getPrototypeOf(known), id, { text: "(home object)" })];
    const holder = encoder.holder(id);
    const home = holder?.value;
    if (typeof home === "object" && home !== null && typeof holder!.step !== "object") {
      const d = Object.getOwnPropertyDescriptor(home, holder!.step);
      if (d && d.value === fn && !this.methods.has(fn)) {
        return [encoder.slot(Object.getPrototypeOf(home), id, { text: "(home object)" })];
      }
    }
    return encoder.refuse(
      id,
      `the method ${
        syntax.name ?? fn.name
      } uses super, which only its object or class can give it: send that instead`,
    );
  }

  /** The classes behind a prototype whose instances carry private members, base class first. */
  private brandingClasses(prototype: object | null): { owner: CodeFunction; fields: string[] }[] {
    if (prototype === null || prototype === Object.prototype) return [];
    const known = this.branding.get(prototype);
    if (known) return known;
    const classes: { owner: CodeFunction; fields: string[] }[] = [];
    for (let p = prototype; p && p !== Object.prototype; p = Object.getPrototypeOf(p)) {
      const owner = this.prototypeOwner(p);
      if (!owner || intrinsicFunction(owner) !== undefined || nativeText.test(textOf(owner))) continue;
      let shape: ClassShape | undefined;
      try {
        shape = syntaxOf(textOf(owner), true).shape;
      } catch {
        continue;
      }
      if (shape?.brands) classes.unshift({ owner, fields: shape.privateFields });
    }
    this.branding.set(prototype, classes);
    return classes;
  }

  /** Adds private fields to the row of an instance. */
  withPrivates(id: number, value: object, row: NodeRow): NodeRow {
    const classes = this.brandingClasses(Object.getPrototypeOf(value));
    if (classes.length === 0) return row;
    const { encoder } = this;
    const live =
      classes.some(({ owner }) => !loadedOrigin(owner)?.hooks?.get) && inspectorProblem() === undefined
        ? privateFields(value)
        : [];
    let next = 0;
    const privates: unknown[] = [];
    for (const { owner, fields } of classes) {
      const hooks = loadedOrigin(owner)?.hooks;
      let values: unknown[];
      if (hooks?.get) {
        if (!hooks.brands!(value)) continue;
        values = hooks.get(value);
        next += fields.length;
      } else {
        const problem = inspectorProblem();
        if (problem !== undefined) encoder.refuse(id, `its private fields cannot be read: ${problem}`);
        if (fields.some((name, i) => live[next + i]?.[0] !== name)) {
          if (live.length) {
            encoder.refuse(id, `the private fields of ${owner.name} are only partly initialised`);
          }
          continue;
        }
        values = fields.map((_, i) => live[next + i][1]);
        next += fields.length;
      }
      const slot = encoder.slot(owner, id, "constructor") as [number];
      if (encoder.rows[slot[0]][0] === Op.module) {
        encoder.refuse(
          id,
          `it has private fields of ${owner.name}, a class that the receiver imports for itself: ` +
            `say how with register(${owner.name}, { dump, load })`,
        );
      }
      privates.push([slot, values.map((v, i) => encoder.slot(v, id, { text: `.${fields[i]}` }))]);
    }
    if (privates.length === 0) return row;
    while (row.length < 6) row.push(0);
    row.push(privates);
    return row;
  }

  /** Functions whose scopes must be told apart by a heap snapshot. */
  ambiguous(): CodeFunction[] {
    return this.scopes.ambiguous();
  }

  /** Writes one unit for every set of functions that share variables. */
  writeUnits(): void {
    const homes = new Map<CodeRecord, Scope | undefined>();
    const groups = new Map<unknown, CodeRecord[]>();
    for (const record of this.records) {
      const bound = new Set(record.bindings.values());
      const home = record.chain.find((scope) => bound.has(scope));
      homes.set(record, home);
      const group = home ? outermostUsed(home) : record;
      const members = groups.get(group);
      if (members) members.push(record);
      else groups.set(group, [record]);
    }
    for (const members of groups.values()) this.writeUnitOf(members, homes);
  }

  private writeUnitOf(members: CodeRecord[], homes: Map<CodeRecord, Scope | undefined>): void {
    const { encoder } = this;
    const scopes: Scope[] = [];
    const index = new Map<Scope, number>();
    const parents: number[] = [];
    for (const record of members) {
      const chain: Scope[] = [];
      for (let s = homes.get(record); s && !index.has(s); s = usedParent(s)) chain.push(s);
      for (const scope of chain.reverse()) {
        const parent = usedParent(scope);
        index.set(scope, scopes.length);
        parents.push(parent ? index.get(parent)! : -1);
        scopes.push(scope);
      }
    }
    const shapes: UnitScope[] = scopes.map((scope) => ({
      names: [...scope.used.keys()],
      children: [],
      functions: [],
    }));
    parents.forEach((parent, i) => parent >= 0 && shapes[parent].children.push(i));
    members.forEach((record, i) => {
      const home = homes.get(record);
      if (home) shapes[index.get(home)!].functions.push(i);
    });
    const strict = members.some((record) => record.strict);
    const functions: UnitFunction[] = members;
    const { source, line, texts } = writeUnit(functions, shapes, scopes.length ? 0 : -1, strict);
    const unit = encoder.addBare([
      Op.unit,
      [
        source,
        members[0].url,
        line,
        strict,
        scopes.map((scope, i) => [parents[i], shapes[i].names, this.valuesOf(scope)]),
        members.map((record, i) => {
          const home = homes.get(record);
          return [
            home ? index.get(home) : -1,
            texts[i],
            record.line,
            record.column,
            formCode(record.syntax),
            record.syntax.computedKey ? "m" : record.syntax.name ?? "",
          ];
        }),
      ],
    ], members[0].id);
    members.forEach((record, i) => {
      const row = encoder.rows[record.id];
      row[1] = [unit];
      (row[2] as unknown[])[0] = i;
    });
  }

  private valuesOf({ used, written }: Scope): Slot[] {
    const { essence } = this.encoder.options;
    return Array.from(used, ([name, slot]) => essence && written.has(name) ? 0 : slot);
  }
}

function formCode(syntax: Syntax): string {
  return syntax.form === "class"
    ? "class"
    : syntax.form === "method" || syntax.form === "get" || syntax.form === "set"
    ? syntax.form
    : "";
}

function usedParent(scope: Scope): Scope | undefined {
  let parent = scope.parent;
  while (parent && parent.used.size === 0) parent = parent.parent;
  return parent;
}

function outermostUsed(scope: Scope): Scope {
  let outermost = scope;
  for (let parent = usedParent(scope); parent; parent = usedParent(parent)) outermost = parent;
  return outermost;
}

function memberKey(key: PropertyKey, isStatic: boolean): string {
  return `${isStatic ? "static " : ""}${typeof key === "symbol" ? "@" : ""}${String(key)}`;
}

function isHidden(d: PropertyDescriptor): boolean {
  return !d.writable && !d.enumerable && d.configurable === true;
}

function lengthOf(syntax: Syntax): number {
  // A constructor whose parameters are unpacked by the rewritten class takes them as a rest parameter.
  const shape = syntax.shape!;
  return shape.brands && shape.constructorParameters && !shape.constructorParameters.simple
    ? 0
    : syntax.naturalLength;
}

function usualPrototype(syntax: Syntax): object {
  if (syntax.isGenerator) return generatorPrototypes[syntax.isAsync ? 1 : 0];
  return syntax.isAsync ? asyncPrototype : functionPrototype;
}

function isStrict(fn: CodeFunction, syntax: Syntax, inspected: Inspected | undefined): boolean {
  if (syntax.strictDirective) return true;
  if (inspected?.scopes.some(({ description }) => description.startsWith("Module"))) return true;
  return refusesCaller(fn);
}

/** Whether a function is strict, arrow or method code: `caller` of all other functions may be read. */
function refusesCaller(fn: CodeFunction): boolean {
  try {
    Reflect.get(fn, "caller");
    return false;
  } catch {
    return true;
  }
}

function position(
  origin: { line: number; column: number } | undefined,
  location: Location | undefined,
  syntax: Syntax,
  text: string,
): { line: number; column: number } {
  if (origin) return { line: origin.line, column: origin.column };
  if (!location) return { line: -1, column: 0 };
  const before = text.slice(0, syntax.anchor);
  const lines = before.split("\n").length - 1;
  // With lines before the anchor the column of the first line is unknown; only that line's columns are off.
  return { line: location.line - lines, column: lines ? 0 : Math.max(0, location.column - syntax.anchor) };
}
