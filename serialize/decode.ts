/**
 * Rebuilds a value from its node table (see `encode.ts`).
 *
 * Nodes are first made, each after those it cannot be made without (a class after its superclass, an instance after its
 * class), then filled. Both passes keep their own stacks, so depth costs memory only. Nothing of the user's runs while data
 * is read: no constructors, getters, setters, `toJSON` or `then`; properties are defined, never assigned. One exception: an
 * instance with private fields that comes home to a class of this very program is made by its constructor, called without
 * arguments, because nothing else can. Ops that make code are refused unless the caller trusts the bytes.
 */
import { typedArrays } from "../runtime/mod.ts";
import { errorNames, Flag, typeChecks } from "./encode.ts";
import { CorruptDataError, UntrustedCodeError } from "./errors.ts";
import { inspectorProblem, setPrivateFields } from "./inspector.ts";
import { intrinsicValue } from "./intrinsics.ts";
import { type ClassHooks, loadedOrigin, noteBound, textOf } from "./loaded.ts";
import { requireFrom, resolveReference } from "./modules.ts";
import { plainAt } from "./plain.ts";
import { makeFunction, openUnit, type Unit } from "./rebuild.ts";
import { libraryHost } from "./library_host.ts";
import { registrationNamed } from "./registry.ts";
import { syntaxOf } from "./syntax.ts";
import { type Traveller, travellerNamed } from "./travellers.ts";
import type { CodeFunction } from "./types.ts";
import { checkBody, Op, Special, unpackBody } from "./wire.ts";

export interface DecodeOptions {
  trusted: boolean;
  /** A function or class of a payload that is here already. */
  known?: (hash: string, index: number) => CodeFunction | undefined;
  /** Whether `known` references are accepted without trust. */
  knownTrusted?: boolean;
  /** Whether buffers may be used as they are; otherwise they are copied. */
  adopt?: boolean;
}

export interface Decoded {
  value: unknown;
  /** Functions and classes that came by value, in the order of their nodes. */
  functions: CodeFunction[];
}

type Row = unknown[];
// deno-lint-ignore no-explicit-any
type Loose = any;

/** Reads a body. */
export function decodeGraph(
  plain: boolean,
  body: Uint8Array,
  buffers: readonly (ArrayBuffer | SharedArrayBuffer | Uint8Array)[],
  options: DecodeOptions,
): Decoded {
  if (!options.trusted) checkBody(body);
  const content = unpackBody(body);
  if (plain) return { value: content, functions: [] };
  try {
    return new Decoder(content, buffers, options).run();
  } catch (error) {
    if (
      error instanceof CorruptDataError || error instanceof UntrustedCodeError || error instanceof LoadError
    ) {
      throw error instanceof LoadError ? error.cause : error;
    }
    // A table that dumps wrote does not get here: something in it has the wrong shape.
    throw new CorruptDataError(`the data is damaged: ${(error as Error)?.message ?? error}`, {
      cause: error,
    });
  }
}

/** Carries an error that is not the data's fault through the net for damaged data. */
class LoadError extends Error {}

const viewTypes = new Set(["DataView", "Float16Array", ...Object.keys(typedArrays)]);
/** Prototypes that data may name without trust. */
const dataPrototypes = new Set(["Buffer.prototype"]);
const maxSource = 50_000_000;
const maxPattern = 100_000;

const global = globalThis as unknown as Record<string, Loose>;

class Decoder {
  private readonly root: unknown;
  private readonly rows: Row[];
  private readonly hashes: string[];
  private readonly values: unknown[];
  /** 0 not made, 1 waiting for what it needs, 2 made. */
  private readonly state: Uint8Array;
  private readonly functions: [id: number, fn: CodeFunction][] = [];
  /** Instances of classes of this program that their own constructors made. */
  private readonly branded = new Set<object>();
  private readonly travellers: number[] = [];

  constructor(
    content: unknown,
    private readonly buffers: readonly (ArrayBuffer | SharedArrayBuffer | Uint8Array)[],
    private readonly options: DecodeOptions,
  ) {
    if (!Array.isArray(content) || !Array.isArray(content[1])) {
      throw new CorruptDataError("the data is damaged: no node table");
    }
    [this.root, this.rows, this.hashes = []] = content as [unknown, Row[], string[]?];
    this.values = new Array(this.rows.length);
    this.state = new Uint8Array(this.rows.length);
  }

  run(): Decoded {
    for (let id = 0; id < this.rows.length; id++) this.make(id);
    for (let id = 0; id < this.rows.length; id++) this.fill(id);
    for (const id of this.travellers) this.finish(id);
    this.functions.sort((a, b) => a[0] - b[0]);
    return { value: this.value(this.root), functions: this.functions.map(([, fn]) => fn) };
  }

  private make(first: number): void {
    if (this.state[first] === 2) return;
    const stack = [first];
    while (stack.length) {
      const id = stack[stack.length - 1];
      if (this.state[id] === 2) {
        stack.pop();
        continue;
      }
      const row = this.rows[id];
      if (!Array.isArray(row) || typeof row[0] !== "number") bad(`node ${id} is not one`);
      let waits = false;
      const needs = this.needs(row);
      for (let i = 0; i < needs.length; i++) {
        const need = needs[i];
        if (!Array.isArray(need)) continue;
        const other = need[0] as number;
        if (other < 0) continue;
        if (!(other < this.rows.length)) bad(`node ${id} needs node ${other}`);
        if (this.state[other] === 2) continue;
        if (this.state[other] === 1) bad(`node ${id} and node ${other} need each other`);
        stack.push(other);
        waits = true;
        break;
      }
      if (waits) {
        this.state[id] = 1;
        continue;
      }
      this.values[id] = this.create(row, id);
      this.state[id] = 2;
      stack.pop();
    }
  }

  /** Slots that a node cannot be made without. */
  private needs(row: Row): unknown[] {
    const [op, a, b] = row as [number, Loose, Loose];
    switch (op) {
      case Op.object:
        return row[6]
          ? [row[4], ...(row[6] as [unknown, unknown][]).map((p) => p[0])]
          : row[4]
          ? [row[4]]
          : none;
      case Op.inner:
        return [[a]];
      case Op.boxed:
      case Op.method:
      case Op.prototype:
        return op === Op.method ? [a, b[0]] : [a];
      case Op.view:
        return [b[0]];
      case Op.error:
        return none;
      case Op.bound:
        return [a, ...b];
      case Op.traveller:
        return b.slice(1);
      case Op.code: {
        const [, heritage, keys] = b as [number, Loose, Loose];
        const outer = b[4] || none;
        return [a, ...(heritage ? heritage : none), ...(keys || none), ...outer];
      }
      default:
        return none;
    }
  }

  private trust(what: string): void {
    if (!this.options.trusted) {
      throw new UntrustedCodeError(
        `the data holds ${what}, which only trusted bytes may: loads(bytes, { trust: "code" })`,
      );
    }
  }

  private create(row: Row, id: number): unknown {
    const [op, a, b] = row as [number, Loose, Loose];
    switch (op) {
      case Op.plain:
        return a;
      case Op.inner:
        return plainAt(this.values[a], b) ?? bad("a part of plain data is missing");
      case Op.object:
        return this.createObject(row);
      case Op.array:
        if (b ? b.length !== a : !(a >= 0 && a < 2 ** 32)) bad("an array's length does not fit");
        return b ? new Array(a) : Object.assign([], { length: a });
      case Op.map:
        return new Map();
      case Op.set:
        return new Set();
      case Op.date:
        return new Date(number(a));
      case Op.regexp:
        if (text(a).length > maxPattern) bad("a regular expression is too long");
        return new RegExp(a, text(b));
      case Op.error:
        return this.createError(text(a));
      case Op.url:
        return new URL(text(a));
      case Op.params:
        return new URLSearchParams(text(a));
      case Op.headers: {
        const headers = new Headers();
        for (let i = 0; i < a.length; i += 2) headers.append(text(a[i]), text(a[i + 1]));
        return headers;
      }
      case Op.domException: {
        const error = new DOMException(text(a[0]), text(a[1]));
        Object.defineProperty(error, "stack", { value: text(a[2]), writable: true, configurable: true });
        return error;
      }
      case Op.boxed:
        return Object(this.value(a));
      case Op.buffer:
        return this.createBuffer(a, b);
      case Op.view:
        return this.createView(text(a), b);
      case Op.symbol:
        return Symbol(a === undefined ? undefined : text(a));
      case Op.sharedSymbol:
        return Symbol.for(text(a));
      case Op.knownSymbol: {
        const symbol = (Symbol as Loose)[text(a)];
        return typeof symbol === "symbol" ? symbol : bad(`this runtime has no Symbol.${a}`);
      }
      case Op.bigint:
        return BigInt(text(a));
      case Op.utf16: {
        let result = "";
        for (let i = 0; i < a.length; i += 2) result += String.fromCharCode(a[i] | (a[i + 1] << 8));
        return result;
      }
      case Op.registered:
        return this.createRegistered(text(a), b);
      case Op.intrinsic:
        if (!dataPrototypes.has(a)) this.trust(`the intrinsic ${a}`);
        return intrinsicValue(text(a)) ?? fail(`the code uses ${a}, which this runtime does not have`);
      case Op.known: {
        if (!this.options.knownTrusted) this.trust("a reference to code");
        const hash = text(this.hashes[a]);
        return this.options.known?.(hash, b) ??
          fail(
            `the data refers to code ${hash.slice(0, 12)} that has not arrived here: load its payload first`,
          );
      }
      case Op.unit:
        this.trust("code");
        if (text(a[0]).length > maxSource) bad("a unit of code is too long");
        return openUnit(a);
      case Op.code:
        this.trust("code");
        return this.createCode(a, b, id);
      case Op.method:
        this.trust("code");
        return this.methodOf(this.value(a), b);
      case Op.prototype:
        if (this.rows[a[0]]?.[0] !== Op.known) this.trust("code");
        return (this.value(a) as Loose).prototype ?? bad("a prototype is missing");
      case Op.bound: {
        this.trust("code");
        const target = this.value(a) as CodeFunction;
        const [self, ...args] = (b as unknown[]).map((slot) => this.value(slot));
        const bound = Function.prototype.bind.call(target as Loose, self, ...args);
        noteBound(bound, { target, self, args });
        return bound;
      }
      case Op.module:
        this.trust("a reference to a module");
        try {
          return resolveReference({ base: text(a[0]), specifier: text(a[1]), name: text(a[2]) });
        } catch (error) {
          throw new LoadError("", { cause: error });
        }
      case Op.require:
        this.trust("code");
        return requireFrom(text(a));
      case Op.traveller:
        this.trust("code");
        this.travellers.push(id);
        try {
          return this.traveller(row).make(a[1]);
        } catch (error) {
          throw new LoadError("", { cause: error });
        }
      default:
        return bad(`unknown operation ${op}`);
    }
  }

  private traveller([, a, b]: Loose[]): Traveller {
    return travellerNamed(text(a[0]), this.value(b[1]) as { text?: unknown } | undefined, libraryHost);
  }

  private finish(id: number): void {
    const row = this.rows[id] as Loose[];
    try {
      this.traveller(row).finish?.(this.values[id] as object, this.value(row[2][0]));
    } catch (error) {
      throw new LoadError("", { cause: error });
    }
  }

  private createObject(row: Row): object {
    const privates = row[6] as [unknown, unknown[]][] | undefined;
    const proto = row[4];
    const prototype = proto === undefined || proto === 0
      ? Object.prototype
      : this.value(proto) as object | null;
    if (privates) {
      const classes = privates.map(([slot]) => this.value(slot) as CodeFunction);
      if (classes.some((Class) => !loadedOrigin(Class)?.hooks?.restoring)) {
        const object = unbranded(constructOwn((prototype as Loose).constructor), prototype);
        this.branded.add(object);
        return object;
      }
      if (!isDerived(classes[0])) return unbranded(constructBranded(classes[0]), prototype);
    }
    return prototype === Object.prototype ? {} : Object.create(prototype);
  }

  private createError(name: string): Error {
    if (!errorNames.includes(name)) bad("an error of an unknown kind");
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    try {
      return name === "AggregateError" ? new AggregateError([]) : new global[name]();
    } finally {
      Error.stackTraceLimit = limit;
    }
  }

  private createBuffer(index: number, special: [number, number] | 0 | undefined): unknown {
    const given = this.buffers[index];
    if (given === undefined) bad(`buffer ${index} is missing`);
    const [shared, maximum] = special || [0, 0];
    if (!(given instanceof Uint8Array)) {
      if (this.options.adopt || given instanceof SharedArrayBuffer) return given; // never bytes of the wire
      return this.createFrom(new Uint8Array(given), shared, maximum);
    }
    const whole = given.byteOffset === 0 && given.byteLength === given.buffer.byteLength;
    if (this.options.adopt && !special && whole) return given.buffer;
    return this.createFrom(given, shared, maximum);
  }

  private createFrom(bytes: Uint8Array, shared: number, maximum: number): ArrayBuffer | SharedArrayBuffer {
    if (maximum && !(maximum >= bytes.length && maximum <= 2 ** 40)) {
      bad("a buffer's maximal length does not fit");
    }
    if (!shared && !maximum) return bytes.slice().buffer;
    const options = maximum ? { maxByteLength: maximum } : undefined;
    const buffer = shared
      ? new (SharedArrayBuffer as Loose)(bytes.length, options)
      : new (ArrayBuffer as Loose)(bytes.length, options);
    new Uint8Array(buffer).set(bytes);
    return buffer;
  }

  private createView(type: string, [slot, offset, length]: [unknown, number, number]): unknown {
    if (!viewTypes.has(type)) bad("a view of an unknown kind");
    if (!(type in globalThis)) fail(`this runtime has no ${type}`);
    const buffer = this.value(slot);
    if (!typeChecks().isAnyArrayBuffer(buffer)) bad("a view of something that is no buffer");
    return new global[type](buffer, number(offset), number(length));
  }

  private createRegistered(name: string, nested: [boolean, Uint8Array, Uint8Array[]]): unknown {
    const registration = registrationNamed(name);
    if (!registration) {
      fail(
        `the data holds an instance of "${name}", which is not registered here: register(${name}, { dump, load }) first`,
      );
    }
    const [plain, body, buffers] = nested;
    const data = decodeGraph(plain, body, buffers, { ...this.options, adopt: false }).value;
    try {
      return registration!.load(data);
    } catch (error) {
      throw new LoadError("", { cause: error });
    }
  }

  private createCode(unitSlot: unknown, parts: unknown[], id: number): CodeFunction {
    const unit = this.value(unitSlot) as Unit;
    const [index, heritage, keys, , outer, name, home] = parts as [
      number,
      [unknown] | 0 | undefined,
      unknown[] | 0 | undefined,
      unknown,
      unknown[] | 0 | undefined,
      unknown,
      unknown,
    ];
    const given = outer ? outer.map((slot) => this.value(slot)) : undefined;
    const fn = makeFunction(unit, index, {
      heritage: heritage ? this.value(heritage[0]) : undefined,
      keys: keys ? keys.map((key) => this.value(key) as PropertyKey) : undefined,
      self: given?.[0],
      args: given?.slice(1),
      hasOuter: given !== undefined,
      hasHome: Boolean(home),
    });
    this.functions.push([id, fn]);
    if (name !== undefined && name !== 0) {
      Object.defineProperty(fn, "name", { value: this.value(name), configurable: true });
    }
    return fn;
  }

  private methodOf(owner: unknown, [keySlot, isStatic, kind]: [unknown, number, string]): unknown {
    const holder = isStatic ? owner : (owner as Loose).prototype;
    const d = Object.getOwnPropertyDescriptor(holder, this.value(keySlot) as PropertyKey);
    const found = kind === "method" ? d?.value : kind === "get" ? d?.get : d?.set;
    return typeof found === "function" ? found : bad("a method is missing from its class");
  }

  private value(slot: unknown): unknown {
    if (typeof slot !== "object" || slot === null) return slot;
    if (!Array.isArray(slot) || slot.length !== 1) bad("a slot has the wrong shape");
    const id = (slot as number[])[0];
    if (id === Special.negativeZero) return -0;
    if (!(id >= 0 && id < this.values.length) || !Number.isInteger(id)) bad(`there is no node ${id}`);
    return this.values[id];
  }

  private fill(id: number): void {
    const row = this.rows[id];
    const [op, a, b, props, proto, fixed, privates] = row as [
      number,
      Loose,
      Loose,
      Loose,
      unknown,
      unknown,
      Loose,
    ];
    const target = this.values[id] as Loose;
    switch (op) {
      case Op.array:
        if (b) {
          for (let i = 0; i < b.length; i++) {
            const slot = b[i];
            if (Array.isArray(slot) && slot[0] === Special.hole) continue;
            target[i] = this.value(slot);
          }
        }
        break;
      case Op.map:
        for (let i = 0; i < a.length; i += 2) {
          Map.prototype.set.call(target, this.value(a[i]), this.value(a[i + 1]));
        }
        break;
      case Op.set:
        for (let i = 0; i < a.length; i++) Set.prototype.add.call(target, this.value(a[i]));
        break;
      case Op.error:
        this.fillError(target, b);
        break;
      case Op.unit:
        this.fillUnit(target as Unit, a[4]);
        return;
      case Op.code: {
        const [, , , statics, , , home] = b as Loose[];
        if (statics) {
          loadedOrigin(target)!.hooks!.setStatics!(statics.map((slot: unknown) => this.value(slot)));
        }
        if (home) {
          Object.setPrototypeOf(loadedOrigin(target)!.outer!.home!, this.value(home[0]) as object | null);
        }
        break;
      }
      case Op.prototype:
        if (b) {
          for (const key of b) {
            if (Array.isArray(key)) delete (this.value(a) as Loose)[key[0] as string];
            else delete target[key];
          }
        }
        break;
      case Op.object:
      case Op.date:
      case Op.regexp:
      case Op.url:
      case Op.params:
      case Op.headers:
      case Op.domException:
      case Op.boxed:
      case Op.buffer:
      case Op.view:
      case Op.bound:
      case Op.method:
        break;
      default:
        return;
    }
    if (proto !== undefined && proto !== 0 && (op !== Op.object || proto === null)) {
      if (!(op === Op.object)) Object.setPrototypeOf(target, this.value(proto) as object | null);
    }
    if (privates) this.fillPrivates(target, privates);
    if (props) this.fillProps(target, props);
    if (fixed) Object.preventExtensions(target);
  }

  private fillError(target: Error, stack: unknown): void {
    if (stack === undefined || stack === 0) delete target.stack;
    else {
      const d = Object.getOwnPropertyDescriptor(target, "stack");
      const value = this.value(stack);
      if (d && !("value" in d)) target.stack = value as string;
      else {Object.defineProperty(target, "stack", {
          value,
          writable: true,
          enumerable: false,
          configurable: true,
        });}
    }
    if (Object.hasOwn(target, "errors")) delete (target as Partial<AggregateError>).errors;
  }

  private fillUnit(unit: Unit, scopes: [number, string[], unknown[]][]): void {
    for (let i = 0; i < scopes.length; i++) {
      unit.hooks.s[i][1](scopes[i][2].map((slot) => this.value(slot)));
    }
  }

  private fillPrivates(target: object, privates: [unknown, unknown[]][]): void {
    const names = new Map<string, unknown>();
    for (const [slot, slots] of privates) {
      const Class = this.value(slot) as CodeFunction;
      const values = slots.map((v) => this.value(v));
      const hooks = loadedOrigin(Class)?.hooks;
      if (hooks?.set) {
        if (!hooks.brands!(target)) stamp(Class, hooks, target);
        hooks.set(target, values);
        continue;
      }
      // A class of this program, not loaded: only its constructor makes the fields, and only the inspector can fill them.
      const problem = inspectorProblem();
      if (problem !== undefined || !this.branded.has(target)) {
        fail(
          `the private fields of ${Class.name} cannot be filled from outside (${
            problem ?? "its base class is built in"
          }): ${registerAdvice(Class)}`,
        );
      }
      syntaxOf(textOf(Class), true).shape!.privateFields.forEach((name, i) => {
        if (names.has(name)) {
          fail(`two classes above ${Class.name} have a private field ${name}: ${registerAdvice(Class)}`);
        }
        names.set(name, values[i]);
      });
    }
    setPrivateFields(target, [...names.keys()], [...names.values()]);
  }

  private fillProps(target: object, props: unknown[]): void {
    for (let i = 0; i < props.length; i += 2) {
      const key = props[i];
      if (typeof key === "string") {
        const value = this.value(props[i + 1]);
        // Assigning is quicker than defining, and the same where nothing of the name exists on the way up.
        if (key in target) {
          Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
        } else (target as Record<string, unknown>)[key] = value;
        continue;
      }
      const [name, flags] = key as [unknown, number];
      const property = this.value(name) as PropertyKey;
      const slot = props[i + 1] as [unknown, unknown];
      const shared = {
        enumerable: (flags & Flag.enumerable) !== 0,
        configurable: (flags & Flag.configurable) !== 0,
      };
      Object.defineProperty(
        target,
        property,
        flags & Flag.accessor
          ? {
            ...shared,
            get: this.value(slot[0]) as () => unknown,
            set: this.value(slot[1]) as (v: unknown) => void,
          }
          : { ...shared, writable: (flags & Flag.writable) !== 0, value: this.value(slot) },
      );
    }
  }
}

const none: unknown[] = [];

function isDerived(Class: CodeFunction): boolean {
  return Object.getPrototypeOf(Class) !== Function.prototype;
}

function registerAdvice(Class: CodeFunction): string {
  return `say how its instances travel with register(${Class.name}, { dump, load })`;
}

/** A new object with the private members of a class of this program. There is no other way than its constructor. */
function constructOwn(Class: CodeFunction): object {
  try {
    return Reflect.construct(Class as Loose, []);
  } catch (error) {
    return fail(
      `an instance of ${Class.name} has private fields, and to make one its constructor was called without arguments, ` +
        `which failed (${(error as Error)?.message ?? error}): ${registerAdvice(Class)}`,
    );
  }
}

/** A new object with the private members of a base class, made without running its constructor or initialisers. */
function constructBranded(Class: CodeFunction): object {
  const restoring = loadedOrigin(Class)!.hooks!.restoring!;
  restoring(true);
  try {
    return Reflect.construct(Class as Loose, []);
  } finally {
    restoring(false);
  }
}

/** Takes away the public fields that construction left, and sets the prototype. */
function unbranded(object: object, prototype: object | null): object {
  for (const key of Reflect.ownKeys(object)) delete (object as Record<PropertyKey, unknown>)[key];
  if (Object.getPrototypeOf(object) !== prototype) Object.setPrototypeOf(object, prototype);
  return object;
}

/** Gives an object the private members of a derived class: its superclass is for a moment one that returns the object. */
function stamp(Class: CodeFunction, hooks: ClassHooks, object: object): void {
  const parent = Object.getPrototypeOf(Class);
  const before = new Set(Reflect.ownKeys(object));
  Object.setPrototypeOf(Class, function () {
    return object;
  });
  hooks.restoring!(true);
  try {
    Reflect.construct(Class as Loose, []);
  } finally {
    hooks.restoring!(false);
    Object.setPrototypeOf(Class, parent);
  }
  for (const key of Reflect.ownKeys(object)) {
    if (!before.has(key)) delete (object as Record<PropertyKey, unknown>)[key];
  }
}

function bad(what: string): never {
  throw new CorruptDataError(`the data is damaged: ${what}`);
}

function fail(message: string): never {
  throw new LoadError("", { cause: new Error(message) });
}

function text(value: unknown): string {
  return typeof value === "string" ? value : bad("a text is missing");
}

function number(value: unknown): number {
  return typeof value === "number" ? value : bad("a number is missing");
}
