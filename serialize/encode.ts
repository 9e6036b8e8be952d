/**
 * Writes a value as a flat table of nodes.
 *
 * Every object, function, symbol and bigint becomes one node, so identity and cycles are kept and no depth of nesting is
 * too deep. A node is `[op, a, b, props, proto, fixed, privates]` with trailing zeros cut off; what `a` and `b` mean depends
 * on the op (see wire.ts). Wherever a value is expected there is a *slot*: a primitive stands for itself, `[n]` is
 * node n. `props` lists what a plain constructor call would not produce: key, slot, key, slot; a key is a string (for an
 * ordinary property) or `[slot, flags]`, and an accessor's slot is `[get, set]`. `proto` is given if it is not the usual one of the op.
 *
 * Plain data below an object stays in one piece (plain.ts). The order of the table depends on the value alone, so equal
 * closures give equal bytes.
 */
import { builtin, memoryUsage } from "../runtime/mod.ts";
import { CodeWriter } from "./code.ts";
import { UnserializableError } from "./errors.ts";
import { intrinsicObject } from "./intrinsics.ts";
import { builtinExport, type ModuleRef } from "./modules.ts";
import { isPlain, isPlainPrimitive } from "./plain.ts";
import { registrationFor } from "./registry.ts";
import { learnContexts } from "./snapshot.ts";
import { travellerOf } from "./travellers.ts";
import type { CodeFunction } from "./types.ts";
import { Op, packBody, Special } from "./wire.ts";

/** A primitive, or `[n]` for a node. */
export type Slot = unknown;

/** `[op, a, b, props, proto, fixed, privates]`. */
export type NodeRow = unknown[];

/** What leads from an object to a part of it, for paths in errors: a property, or text such as `.get("x")`. */
export type Step = PropertyKey | { text: string };

export interface EncodeOptions {
  byref?: (ref: ModuleRef) => boolean;
  /** Refers to code that the receiver has: `[index in hashes, index in that payload]`. */
  known?: (code: CodeFunction) => readonly [hash: string, index: number] | undefined;
  /** SharedArrayBuffers go into `buffers` as they are. */
  share?: boolean;
  /**
   * Writes only what decides what code does, the same in every process: no positions, stacks and paths, no values of
   * variables that the code itself assigns, of travellers what they are (`essence`). Bytes to compare, not to load.
   */
  essence?: boolean;
}

export interface EncodedGraph {
  plain: boolean;
  code: boolean;
  body: Uint8Array;
  buffers: (ArrayBuffer | SharedArrayBuffer | Uint8Array)[];
  imports: ModuleRef[];
  /** Functions and classes written by value, in the order of their nodes. */
  functions: CodeFunction[];
  hashes: string[];
}

interface TypeChecks {
  [name: `is${string}`]: (value: unknown) => boolean;
}

let checks: TypeChecks | undefined;
/** Brand checks of the runtime, which look at what an object is and not at what it says. */
export function typeChecks(): TypeChecks {
  return checks ??= builtin<{ types: TypeChecks }>("node:util").types;
}

/** Writes a value. */
export function encodeGraph(value: unknown, options: EncodeOptions): EncodedGraph {
  if (isPlainPrimitive(value)) return plainGraph(value);
  return new Encoder(options).run(value);
}

function plainGraph(value: unknown): EncodedGraph {
  return {
    plain: true,
    code: false,
    body: packBody(value),
    buffers: [],
    imports: [],
    functions: [],
    hashes: [],
  };
}

const objectPrototype = Object.prototype;
/** The errors of the language, by name: those that travel without a class of their own. */
export const errorNames: readonly string[] = [
  "Error",
  "EvalError",
  "RangeError",
  "ReferenceError",
  "SyntaxError",
  "TypeError",
  "URIError",
  "AggregateError",
];
const wellKnownSymbols = new Map<symbol, string>();

const maxSnapshotHeap = 2 ** 30;

/** Flags of a property that is not simply a value, writable, enumerable and configurable. */
export const Flag = { enumerable: 1, writable: 2, configurable: 4, accessor: 8 } as const;

export class Encoder {
  readonly rows: NodeRow[] = [];
  readonly imports: ModuleRef[] = [];
  usesCode = false;
  private readonly values: unknown[] = [];
  private readonly parents: number[] = [];
  private readonly steps: Step[] = [];
  /** Node of each object; below zero, -1 - n is the nth object that lies inside a piece of plain data. */
  private readonly ids = new Map<unknown, number>();
  private readonly notPlain = new Set<object>();
  private readonly pieces: { first: number; row: number }[] = [];
  private plainCount = 0;
  private readonly buffers: (ArrayBuffer | SharedArrayBuffer | Uint8Array)[] = [];
  private readonly bufferViews = new Map<number, NodeRow[]>();
  /** Buffers that were met again after their node was made. */
  private readonly reached = new Set<number>();
  private readonly hashes: string[] = [];
  readonly code: CodeWriter;

  constructor(readonly options: EncodeOptions) {
    this.code = new CodeWriter(this);
  }

  run(value: unknown): EncodedGraph {
    const root = this.slot(value, -1, "");
    let next = 0;
    for (;;) {
      while (next < this.rows.length) {
        const id = next++;
        if (this.rows[id].length === 0) this.describe(id);
      }
      if (!this.code.inspectPending()) break;
    }
    const unclear = this.code.ambiguous();
    if (unclear.length) return this.again(value, unclear);
    if (this.rows.length === 1 && this.rows[0][0] === Op.plain) return plainGraph(value);
    this.code.writeUnits();
    this.trimBuffers();
    return {
      plain: false,
      code: this.usesCode,
      body: packBody(this.hashes.length ? [root, this.rows, this.hashes] : [root, this.rows]),
      buffers: this.buffers,
      imports: this.imports,
      functions: this.code.functions(),
      hashes: this.hashes,
    };
  }

  /** Starts over, once a heap snapshot has told which closures share their variables. */
  private again(value: unknown, unclear: CodeFunction[]): EncodedGraph {
    const used = memoryUsage().heapUsed;
    if (used < maxSnapshotHeap && learnContexts(unclear)) return new Encoder(this.options).run(value);
    throw new UnserializableError(
      "$",
      `it holds ${unclear.length} functions, such as ${
        unclear[0].name || "an anonymous one"
      }, that write a variable and whose ` +
        "variables all look alike, so that it is not clear which of them share it" +
        (used < maxSnapshotHeap
          ? ""
          : ` (a heap snapshot would tell, but the heap holds ${Math.round(used / 2 ** 20)} MiB)`) +
        ": write capture(fn, (source) => eval(source)) where they are made, or keep the state in an object",
    );
  }

  /** The slot for a value; a new object is noted and described later. */
  slot(value: unknown, parent: number, step: Step): Slot {
    if (typeof value === "object" ? value === null : typeof value !== "function") {
      if (isPlainPrimitive(value)) return value;
      if (value === 0) return [Special.negativeZero];
    }
    const found = this.ids.get(value);
    if (found !== undefined && found >= 0) {
      if (value instanceof ArrayBuffer) this.reached.add(found);
      return [found];
    }
    if (found !== undefined) return [this.innerNode(value, -1 - found)];
    return [this.add(value, parent, step)];
  }

  /** Adds a node for a value. Without a row it is described when its turn comes. */
  add(value: unknown, parent: number, step: Step, row: NodeRow = []): number {
    const id = this.rows.push(row) - 1;
    this.values.push(value);
    this.parents.push(parent);
    this.steps.push(step);
    if (value !== undefined) this.ids.set(value, id);
    return id;
  }

  /** Adds a node that stands for no value of the program. */
  addBare(row: NodeRow, parent: number): number {
    return this.add(undefined, parent, "", row);
  }

  has(value: unknown): boolean {
    return this.ids.has(value);
  }

  valueOf(id: number): unknown {
    return this.values[id];
  }

  /** The object that holds this one and the step to it, or undefined for the root. */
  holder(id: number): { value: unknown; step: Step } | undefined {
    return this.parents[id] < 0 ? undefined : { value: this.values[this.parents[id]], step: this.steps[id] };
  }

  pathTo(id: number, ...more: Step[]): string {
    const steps: Step[] = [...more].reverse();
    for (let at = id; at >= 0 && this.parents[at] >= -1; at = this.parents[at]) {
      if (this.steps[at] !== "") steps.push(this.steps[at]);
    }
    const shown = steps.length > 60 ? [...steps.slice(0, 20), { text: "…" }, ...steps.slice(-20)] : steps;
    return "$" + shown.reverse().map(stepText).join("");
  }

  refuse(id: number, reason: string, ...more: Step[]): never {
    throw new UnserializableError(this.pathTo(id, ...more), reason);
  }

  private innerNode(value: unknown, ordinal: number): number {
    let piece = this.pieces[0];
    let [low, high] = [0, this.pieces.length - 1];
    while (low <= high) {
      const middle = (low + high) >> 1;
      if (this.pieces[middle].first <= ordinal) [piece, low] = [this.pieces[middle], middle + 1];
      else high = middle - 1;
    }
    return this.add(value, piece.row, "", [Op.inner, piece.row, ordinal - piece.first]);
  }

  private describe(id: number): void {
    const value = this.values[id];
    switch (typeof value) {
      case "function":
        if (!this.travellerRow(id, value)) this.code.describe(id, value);
        return;
      case "symbol":
        this.rows[id] = this.symbolRow(value);
        return;
      case "bigint":
        this.rows[id] = [Op.bigint, String(value)];
        return;
      case "string":
        this.rows[id] = [Op.utf16, utf16Bytes(value)];
        return;
      default:
        if (this.plainPiece(id, value as object) || this.travellerRow(id, value as object)) return;
        this.rows[id] = this.objectRow(id, value as object);
    }
  }

  /** Writes a traveller, and says whether it was one. */
  private travellerRow(id: number, value: object): boolean {
    const traveller = typeChecks().isProxy(value) ? undefined : travellerOf(value); // asking a Proxy would run its traps
    if (!traveller || (typeof value === "function" && this.options.known?.(value))) return false;
    this.usesCode = true;
    const { name, first = [], script } = traveller;
    const at = { text: ` (${name})` };
    if (this.options.essence) {
      this.rows[id] = [Op.traveller, [name], [this.slot(traveller.essence?.(value), id, at)]];
      return true;
    }
    this.rows[id] = [
      Op.traveller,
      [name, traveller.hint?.(value) ?? ""],
      [
        this.slot(traveller.parts(value), id, at),
        ...[script, ...first].map((needed) => this.slot(needed, id, at)),
      ],
    ];
    return true;
  }

  private symbolRow(symbol: symbol): NodeRow {
    const key = Symbol.keyFor(symbol);
    if (key !== undefined) return [Op.sharedSymbol, key];
    if (wellKnownSymbols.size === 0) {
      for (const name of Object.getOwnPropertyNames(Symbol)) {
        const value = (Symbol as unknown as Record<string, unknown>)[name];
        if (typeof value === "symbol") wellKnownSymbols.set(value, name);
      }
    }
    const name = wellKnownSymbols.get(symbol);
    return name === undefined ? [Op.symbol, symbol.description] : [Op.knownSymbol, name];
  }

  /** Keeps plain data in one piece, if nothing in it has been seen elsewhere. */
  private plainPiece(id: number, value: object): boolean {
    const prototype = Object.getPrototypeOf(value);
    if (prototype !== objectPrototype && prototype !== Array.prototype) return false;
    if (this.notPlain.has(value) || typeChecks().isProxy(value)) return false;
    const first = this.plainCount;
    const entered: object[] = [];
    const { isProxy } = typeChecks();
    const plain = isPlain(value, {
      enter: (object) => {
        if (this.ids.has(object) || this.notPlain.has(object) || isProxy(object)) return false;
        entered.push(object);
        // The piece itself is object 0.
        this.ids.set(object, -1 - (first + entered.length));
        return true;
      },
      reject: (object) => this.notPlain.add(object),
    });
    if (!plain) {
      for (const object of entered) this.ids.delete(object);
      return false;
    }
    this.plainCount += entered.length + 1;
    this.pieces.push({ first, row: id });
    this.rows[id] = [Op.plain, value];
    return true;
  }

  private objectRow(id: number, value: object): NodeRow {
    if (typeChecks().isProxy(value)) {
      this.refuse(
        id,
        "a Proxy hides its target and handler: send the target, or a function that makes the Proxy",
      );
    }
    const intrinsic = intrinsicObject(value);
    if (intrinsic !== undefined) {
      this.usesCode = true;
      return [Op.intrinsic, intrinsic];
    }
    const prototype = Object.getPrototypeOf(value);
    const registration = registrationFor(prototype);
    if (registration) {
      return [Op.registered, registration.name, this.nested(id, registration.dump(value))];
    }
    const owner = this.code.prototypeOwner(value);
    if (owner) return this.code.prototypeRow(id, value, owner);
    if (typeChecks().isModuleNamespaceObject(value)) return this.namespaceRow(id, value);
    if (Array.isArray(value)) return this.arrayRow(id, value);
    const row = this.builtinRow(id, value, Object.prototype.toString.call(value));
    return this.code.withPrivates(id, value, row);
  }

  private nested(id: number, data: unknown): unknown {
    try {
      const graph = new Encoder(this.options).run(data);
      if (graph.hashes.length || graph.buffers.some((b) => b instanceof SharedArrayBuffer)) {
        this.refuse(id, "the data of a registered class may not hold pool references or shared memory");
      }
      this.usesCode ||= graph.code;
      this.imports.push(...graph.imports);
      return [
        graph.plain,
        graph.body,
        graph.buffers.map((b) => b instanceof Uint8Array ? b : new Uint8Array(b)),
      ];
    } catch (error) {
      if (error instanceof UnserializableError) {
        throw new UnserializableError(this.pathTo(id) + error.path.slice(1), error.reason);
      }
      throw error;
    }
  }

  private namespaceRow(id: number, value: object): NodeRow {
    const ref = builtinExport((value as { default?: unknown }).default);
    if (ref?.name === "default") {
      this.usesCode = true;
      this.imports.push({ ...ref, name: "*" });
      return [Op.module, ["", ref.specifier, "*"]];
    }
    // Not imported where it was captured, so by value: an object of the exports with no prototype, as it looks.
    const row: NodeRow = [Op.object];
    const props: unknown[] = [];
    for (const key of Object.keys(value)) {
      props.push(key, this.slot((value as Record<string, unknown>)[key], id, key));
    }
    props.push(
      [this.slot(Symbol.toStringTag, id, Symbol.toStringTag), 0],
      "Module",
    );
    return finish(row, props, null, true);
  }

  private arrayRow(id: number, value: unknown[]): NodeRow {
    const keys = Reflect.ownKeys(value);
    const dense = value.length <= keys.length * 4 + 16;
    const elements: Slot[] = [];
    if (dense) {
      for (let i = 0; i < value.length; i++) {
        const d = Reflect.getOwnPropertyDescriptor(value, i);
        elements.push(d && isOrdinary(d) ? this.slot(d.value, id, i) : [Special.hole]);
      }
    }
    const props = this.props(id, value, (key, d) => {
      if (key === "length") return d.writable === true;
      return dense && typeof key === "string" && isIndex(key, value.length) && isOrdinary(d);
    });
    return finish(
      [Op.array, value.length, dense ? elements : 0],
      props,
      this.proto(id, value, Array.prototype),
      !Object.isExtensible(value),
    );
  }

  /** Own properties, but those that `skip` takes out. */
  props(id: number, value: object, skip: (key: PropertyKey, d: PropertyDescriptor) => boolean): unknown[] {
    const props: unknown[] = [];
    for (const key of Reflect.ownKeys(value)) {
      const d = Reflect.getOwnPropertyDescriptor(value, key)!;
      if (!skip(key, d)) this.pushProperty(props, id, key, d);
    }
    return props;
  }

  pushProperty(props: unknown[], id: number, key: PropertyKey, d: PropertyDescriptor): void {
    const simpleKey = typeof key === "string" && key.isWellFormed();
    if (simpleKey && isOrdinary(d)) {
      props.push(key, this.slot(d.value, id, key));
      return;
    }
    const accessor = "get" in d || "set" in d;
    const flags = (d.enumerable ? Flag.enumerable : 0) | (d.writable ? Flag.writable : 0) |
      (d.configurable ? Flag.configurable : 0) | (accessor ? Flag.accessor : 0);
    props.push(
      [simpleKey ? key : this.slot(key, id, key), flags],
      accessor
        ? [
          this.slot(d.get, id, { text: stepText(key) + "[get]" }),
          this.slot(d.set, id, { text: stepText(key) + "[set]" }),
        ]
        : this.slot(d.value, id, key),
    );
  }

  /** The prototype as a slot, or 0 if it is the usual one. */
  proto(id: number, value: object, usual: object | null): Slot {
    const prototype = Object.getPrototypeOf(value);
    return prototype === usual ? 0 : this.slot(prototype, id, { text: ".__proto__" });
  }

  private builtinRow(id: number, value: object, tag: string): NodeRow {
    const is = typeChecks();
    const keep = () => false;
    const done = (
      row: NodeRow,
      usual: object,
      skip: (key: PropertyKey, d: PropertyDescriptor) => boolean = keep,
    ) => finish(row, this.props(id, value, skip), this.proto(id, value, usual), !Object.isExtensible(value));
    if (ArrayBuffer.isView(value)) return this.viewRow(id, value);
    if (is.isMap(value)) {
      const entries: Slot[] = [];
      Map.prototype.forEach.call(value, (item, key) => {
        const name = { text: keyText(key) };
        entries.push(this.slot(key, id, { text: `${name.text}[key]` }), this.slot(item, id, name));
      });
      return done([Op.map, entries], Map.prototype);
    }
    if (is.isSet(value)) {
      const items: Slot[] = [];
      Set.prototype.forEach.call(
        value,
        (item) => items.push(this.slot(item, id, { text: `[item ${items.length}]` })),
      );
      return done([Op.set, items], Set.prototype);
    }
    if (is.isDate(value)) return done([Op.date, Date.prototype.getTime.call(value)], Date.prototype);
    if (is.isRegExp(value)) {
      const pristine = (key: PropertyKey, d: PropertyDescriptor) =>
        key === "lastIndex" && d.value === 0 && !!d.writable;
      const { source, flags } = value as RegExp;
      return done([Op.regexp, source, flags], RegExp.prototype, pristine);
    }
    if (is.isNativeError(value) && tag !== "[object DOMException]") return this.errorRow(id, value as Error);
    if (is.isBoxedPrimitive(value)) {
      const primitive = (value as { valueOf(): unknown }).valueOf();
      const indices = (key: PropertyKey) =>
        typeof primitive === "string" && typeof key === "string" &&
        (key === "length" || isIndex(key, primitive.length));
      return done(
        [Op.boxed, this.slot(primitive, id, { text: "(boxed)" })],
        Object(primitive).constructor.prototype,
        indices,
      );
    }
    if (is.isAnyArrayBuffer(value)) return this.bufferRow(value as ArrayBuffer, done);
    const web = webKinds[tag];
    if (
      web && webPrototype(web.global) && web.global in globalThis &&
      inherits(value, webPrototype(web.global)!)
    ) {
      return done(
        [web.op, web.read(value)],
        webPrototype(web.global)!,
        (key) => typeof key === "symbol" || key === "query" || key === "stack",
      );
    }
    this.refuseNative(id, value, tag);
    const prototype = Object.getPrototypeOf(value);
    return finish(
      [Op.object],
      this.props(id, value, keep),
      prototype === objectPrototype ? 0 : this.slot(prototype, id, { text: ".__proto__" }),
      !Object.isExtensible(value),
    );
  }

  private refuseNative(id: number, value: object, tag: string): void {
    const hidden = hiddenState(value, tag);
    if (!hidden) return;
    const { kind, isHandle } = hidden;
    this.refuse(
      id,
      isHandle
        ? `a ${kind} holds state outside JavaScript (a handle of the runtime): ` +
          "open it inside the function that needs it, or say how with register(Class, { dump, load })"
        : `a ${kind} exists only in this process: ${adviceFor(kind)}`,
    );
  }

  private errorRow(id: number, value: Error): NodeRow {
    let native = "Error";
    for (let p = Object.getPrototypeOf(value); p; p = Object.getPrototypeOf(p)) {
      const name = errorNames.find((n) =>
        (globalThis as unknown as Record<string, ErrorConstructor>)[n].prototype === p
      );
      if (name !== undefined) {
        native = name;
        break;
      }
    }
    const stack = this.options.essence ? "" : Object.hasOwn(value, "stack") ? value.stack : undefined;
    const usual = (globalThis as unknown as Record<string, ErrorConstructor>)[native].prototype;
    const props = this.props(id, value, (key) => key === "stack" && typeof stack === "string");
    return finish(
      [Op.error, native, typeof stack === "string" ? this.slot(stack, id, "stack") : 0],
      props,
      this.proto(id, value, usual),
      !Object.isExtensible(value),
    );
  }

  private bufferRow(
    value: ArrayBuffer | SharedArrayBuffer,
    done: (row: NodeRow, usual: object) => NodeRow,
  ): NodeRow {
    const shared = value instanceof SharedArrayBuffer;
    const resizable = shared
      ? (value as { growable?: boolean }).growable
      : (value as { resizable?: boolean }).resizable;
    const maximum = resizable ? (value as { maxByteLength?: number }).maxByteLength : undefined;
    const index = this.buffers.push(value) - 1;
    const byReference = shared && this.options.share === true;
    if (shared && !byReference) this.buffers[index] = new Uint8Array(value).slice();
    return done(
      [Op.buffer, index, shared || maximum !== undefined ? [shared ? 1 : 0, maximum ?? 0] : 0],
      shared ? SharedArrayBuffer.prototype : ArrayBuffer.prototype,
    );
  }

  private viewRow(id: number, view: ArrayBufferView): NodeRow {
    const type = view instanceof DataView
      ? "DataView"
      : (Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag)!
        .get!.call(
          view,
        ) as string);
    const usual = (globalThis as unknown as Record<string, { prototype: object }>)[type].prototype;
    const length = (view as Uint8Array).length ?? view.byteLength;
    const buffer = this.slot(view.buffer, id, "buffer") as [number];
    const row: NodeRow = [Op.view, type, [buffer, view.byteOffset, length]];
    const prior = this.bufferViews.get(buffer[0]);
    if (prior) prior.push(row);
    else this.bufferViews.set(buffer[0], [row]);
    const proto = this.proto(id, view, usual);
    // Listing the keys of a large view takes longer than writing it; views rarely have others.
    const props = view.byteLength > 4096
      ? []
      : this.props(id, view, (key) => typeof key === "string" && isIndex(key, length));
    return finish(row, props, proto, !Object.isExtensible(view));
  }

  /** Writes only the visible part of a large buffer that is seen through a single small view. */
  private trimBuffers(): void {
    for (const [id, views] of this.bufferViews) {
      const row = this.rows[id];
      if (views.length !== 1 || row[0] !== Op.buffer || row[2]) continue;
      const place = views[0][2] as [unknown, number, number];
      const whole = this.buffers[row[1] as number];
      const type = views[0][1] as string;
      const unit = type === "DataView"
        ? 1
        : (globalThis as unknown as Record<string, { BYTES_PER_ELEMENT: number }>)[type].BYTES_PER_ELEMENT;
      const size = place[2] * unit;
      if (whole.byteLength <= size * 2 || this.directly(id)) continue;
      this.buffers[row[1] as number] = new Uint8Array(whole as ArrayBuffer, place[1], size).slice();
      place[1] = 0;
    }
  }

  /** Whether a buffer is reached by another way than through its view. */
  private directly(id: number): boolean {
    return this.reached.has(id) || !ArrayBuffer.isView(this.values[this.parents[id]]);
  }

  /** Position of a payload's hash in this table. */
  hashIndex(hash: string): number {
    const found = this.hashes.indexOf(hash);
    return found >= 0 ? found : this.hashes.push(hash) - 1;
  }
}

/** Completes a row with its tail and cuts trailing zeros. */
export function finish(row: NodeRow, props: unknown[] | 0, proto: Slot, fixed: boolean): NodeRow {
  const kept = row.length;
  while (row.length < 3) row.push(0);
  row.push(props && props.length ? props : 0, proto, fixed ? 1 : 0);
  while (row[row.length - 1] === 0 && row.length > kept) row.pop();
  return row;
}

function isOrdinary(d: PropertyDescriptor): boolean {
  return d.writable === true && d.enumerable === true && d.configurable === true;
}

function isNative(value: unknown): value is CodeFunction {
  return typeof value === "function" &&
    /\{\s*\[native code\]\s*\}$/.test(Function.prototype.toString.call(value));
}

function isIndex(key: string, length: number): boolean {
  const index = Number(key);
  return index >= 0 && index < length && String(index) === key && Number.isInteger(index);
}

function utf16Bytes(text: string): Uint8Array {
  const units = new Uint8Array(text.length * 2);
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    units[i * 2] = unit & 255;
    units[i * 2 + 1] = unit >> 8;
  }
  return units;
}

/** How a step reads in a path. */
export function stepText(step: Step): string {
  if (typeof step === "object") return step.text;
  if (typeof step === "number") return `[${step}]`;
  if (typeof step === "symbol") return `[${String(step)}]`;
  if (/^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(step)) return `.${step}`;
  return isIndex(step, 2 ** 32) ? `[${step}]` : `[${JSON.stringify(step)}]`;
}

function keyText(key: unknown): string {
  if (typeof key === "string") {
    return `.get(${JSON.stringify(key.length > 40 ? key.slice(0, 40) + "…" : key)})`;
  }
  return typeof key === "object" || typeof key === "function" ? ".get(…)" : `.get(${String(key)})`;
}

function inherits(value: object, prototype: object): boolean {
  return Object.prototype.isPrototypeOf.call(prototype, value);
}

function webPrototype(name: string): object | undefined {
  return (globalThis as unknown as Record<string, { prototype: object } | undefined>)[name]?.prototype;
}

const webKinds: Record<string, { global: string; op: number; read: (value: object) => unknown }> = {
  "[object DOMException]": {
    global: "DOMException",
    op: Op.domException,
    read: (value) => {
      const { message, name, stack } = value as DOMException;
      return [message, name, typeof stack === "string" ? stack : ""].map((text) => text.toWellFormed());
    },
  },
  "[object URL]": { global: "URL", op: Op.url, read: (value) => (value as URL).href },
  "[object URLSearchParams]": { global: "URLSearchParams", op: Op.params, read: (value) => String(value) },
  "[object Headers]": {
    global: "Headers",
    op: Op.headers,
    read: (value) => [...(value as Headers)].flatMap(([name, text]) => [name, text]),
  },
};

/** What an object is that holds state which JavaScript does not show, or undefined for others. `tag` is its `toString`. */
export function hiddenState(value: object, tag: string): { kind: string; isHandle: boolean } | undefined {
  const is = typeChecks();
  const kind = is.isPromise(value)
    ? "Promise"
    : is.isWeakMap(value)
    ? "WeakMap"
    : is.isWeakSet(value)
    ? "WeakSet"
    : is.isGeneratorObject(value)
    ? "generator in flight"
    : is.isMapIterator(value) || is.isSetIterator(value) || / Iterator\]$/.test(tag)
    ? "iterator"
    : tag === "[object WeakRef]" || tag === "[object FinalizationRegistry]"
    ? tag.slice(8, -1)
    : undefined;
  if (kind !== undefined) return { kind, isHandle: false };
  if (is.isArgumentsObject(value)) return undefined;
  // Whatever inherits from a class of the runtime that is not one of the above holds state outside JavaScript.
  for (let p = Object.getPrototypeOf(value); p; p = Object.getPrototypeOf(p)) {
    if (p === objectPrototype) return undefined;
    const owner = Object.getOwnPropertyDescriptor(p, "constructor")?.value;
    const name = intrinsicObject(p) ?? (isNative(owner) && owner.prototype === p ? owner.name : undefined);
    if (name === undefined || name === "Array.prototype") continue;
    if (/^(Iterator|%.*Iterator.*%|Function|Array|Object)\b/.test(name)) continue;
    return { kind: name.replace(/\.prototype$/, ""), isHandle: true };
  }
  return undefined;
}

function adviceFor(kind: string): string {
  switch (kind) {
    case "Promise":
      return "await it first and send its value";
    case "generator in flight":
    case "iterator":
      return "send the generator function, or an array of what it yields";
    default:
      return "send an ordinary object, Map or Set instead";
  }
}
