/**
 * One text for every value: equal values have the same text, in every process and runtime, and different values have
 * different ones. Keys of the cache are made of it.
 *
 * Equal means: the same type and content, whatever the order in which properties, entries of a Map and items of a Set were
 * added, and whether a part is shared or copied. Number, string and bigint are never equal. There is one NaN. -0 is 0, a boxed
 * primitive is its primitive and an object without prototype an ordinary one, but not with `typed`. Instances are equal if their classes have the
 * same name and source text. Functions count by their code and what they capture (identity.ts). Accessors are not run: they count as functions.
 *
 * A cycle is written as a reference: `~n` to the object that was begun n objects ago, or, out of an item of a Set or an
 * entry of a Map, `^n` to the one n levels above, so that no item's text depends on where the others stand. Two cyclic
 * graphs are equal only if they share their parts alike.
 *
 * A text longer than 4,096 characters is replaced by its SHA-256 at the level where it grew so long: no text is longer than that, and a
 * part that is shared again and again takes no more time than once. No depth of nesting is too deep.
 */
import { stepText } from "../serialize/encode.ts";
import type { CodeFunction } from "../serialize/types.ts";
import { sha256 } from "../serialize/wire.ts";
import { NoText } from "./canonical_class.ts";
import { functionText, type Parts, partsOf, symbolText } from "./canonical_parts.ts";
import { UnkeyableError } from "./unkeyable.ts";

/** Options of {@linkcode canonical}. */
export interface CanonicalOptions {
  /** Tells -0 from 0, boxed primitives from primitives, and objects without prototype from ordinary ones. Default false. */
  typed?: boolean;
  /** What the value is called in errors. Default: `args`. */
  name?: string;
}

/** Longest text that is kept as it is. */
const longest = 4_096;

/** Most times that parts of a cyclic graph are written anew, because an order-free place refers to them. */
const mostRepeats = 100_000;

/**
 * The canonical text of a value: the same for equal values in every process, and different for different ones.
 *
 * Order in Maps, Sets and objects does not count, nor sharing; number, string and bigint are never equal. Typed arrays count by type and
 * content, instances by class and content (private fields included), functions by code and captures. Long texts are replaced
 * by their hash.
 *
 * @param value Any value, such as a list of arguments.
 * @param options Stricter comparison; a name for errors.
 * @returns The text, at most 4,096 characters.
 * @throws {UnkeyableError} If the value holds something that is never the same again (a Promise, a new symbol, a socket).
 *
 * @example
 * ```ts
 * import { assertEquals, assertNotEquals } from "@std/assert";
 * import { canonical } from "@pathos/pathos/cache";
 *
 * assertEquals(canonical([1, "a", { y: 2, x: [null] }]), '[1,"a",{"x":[null],"y":2}]');
 * assertEquals(canonical(new Set([1, 2])), canonical(new Set([2, 1])));
 * assertNotEquals(canonical(1), canonical("1"));
 * ```
 */
export function canonical(value: unknown, options: CanonicalOptions = {}): string {
  const typed = options.typed === true;
  if (Array.isArray(value) && value.length <= 8 && Object.getPrototypeOf(value) === Array.prototype) {
    const text = primitives(value, typed);
    if (text !== undefined && Object.keys(value).length === value.length) return text;
  }
  return primitive(value, typed) ?? new Writer(typed, options.name ?? "args").write(value);
}

/** The text of a list of arguments if all are primitives, else undefined. */
export function primitives(args: readonly unknown[], typed: boolean): string | undefined {
  let text = "[";
  for (let i = 0; i < args.length; i++) {
    const item = primitive(args[i], typed);
    if (item === undefined) return undefined;
    text += i === 0 ? item : "," + item;
  }
  return text.length < longest ? text + "]" : undefined;
}

/** The text of a primitive, or undefined for others and for symbols. */
function primitive(value: unknown, typed: boolean): string | undefined {
  switch (typeof value) {
    case "string":
      return value.length < longest - 2 ? quoted(value) : longString(value);
    case "number":
      return value === 0 ? typed && Object.is(value, -0) ? "-0" : "0" : "" + value;
    case "boolean":
      return value ? "true" : "false";
    case "undefined":
      return "undefined";
    case "bigint":
      return shortened(`${value}n`);
    case "object":
      return value === null ? "null" : undefined;
    default:
      return undefined;
  }
}

function quoted(text: string): string {
  return shortened(JSON.stringify(text));
}

function longString(text: string): string {
  return `#${sha256(text.isWellFormed() ? `text ${text}` : `utf16 ${JSON.stringify(text)}`)}`;
}

function shortened(text: string): string {
  return text.length > longest ? `#${sha256(text)}` : text;
}

/** Numbers the objects that are begun, one sequence for every place whose text must not depend on its neighbours. */
interface Sequence {
  count: number;
}

/** What is known of an object that was met. */
interface Met {
  sequence: Sequence;
  /** Number in its sequence. */
  number: number;
  /** When it was begun, over all sequences. */
  begun: number;
  /** Height of the stack at its frame; -1 once it is done. */
  level: number;
  /** Its text, once it is done, if that text does not refer to anything around it. */
  text: string | undefined;
  /** How many objects of the sequence it comprises, itself included. */
  size: number;
}

/** An object that is being written. */
interface Frame {
  met: Met;
  parts: Parts;
  /** Whether the items are done and the properties follow. */
  inProperties: boolean;
  values: ArrayLike<unknown>;
  next: number;
  /** What is written. */
  text: string;
  /** The items of a Set or the entries of a Map, to be sorted. */
  items: string[];
  /** Key of the entry whose value is next. */
  key: string;
  /** The sequence of the current item. */
  sequence: Sequence;
  /** Earliest object that the text refers to. */
  earliest: number;
}

class Writer {
  private readonly stack: Frame[] = [];
  private readonly met = new Map<object, Met>();
  private begun = 0;
  private repeats = 0;

  constructor(private readonly typed: boolean, private readonly name: string) {}

  write(root: unknown): string {
    const { stack } = this;
    let text = this.enter(root, { count: 0 });
    while (text === undefined || stack.length > 0) {
      const frame = stack[stack.length - 1];
      if (text !== undefined) {
        this.add(frame, text);
        frame.next++;
      }
      text = this.proceed(frame);
    }
    return text;
  }

  /** Writes what follows in a frame: gives the text of the object when it is done, or undefined when a part was begun. */
  private proceed(frame: Frame): string | undefined {
    for (;;) {
      const { values } = frame;
      while (frame.next < values.length) {
        const { kind } = frame.parts;
        if (!frame.inProperties && (kind === "set" || (kind === "map" && frame.next % 2 === 0))) {
          frame.sequence = { count: 0 };
        }
        const value = values[frame.next];
        const text = primitive(value, this.typed) ?? this.enter(value, frame.sequence);
        if (text === undefined) return undefined;
        this.add(frame, text);
        frame.next++;
      }
      if (frame.inProperties) return this.done(frame);
      this.endItems(frame);
    }
  }

  private add(frame: Frame, text: string): void {
    const { parts, next } = frame;
    if (frame.inProperties) frame.text += (next === 0 ? "{" : ",") + parts.names[next] + text;
    else if (parts.kind === "list") {
      const gap = parts.gaps.length > 0 ? parts.gaps[next] : "";
      frame.text += next === 0 ? gap + text : "," + gap + text;
    } else if (parts.kind === "set") frame.items.push(text);
    else if (next % 2 === 0) frame.key = text;
    else frame.items.push(`${frame.key}=>${text}`);
  }

  private endItems(frame: Frame): void {
    const { parts } = frame;
    frame.text += frame.items.sort().join(",") + parts.end;
    frame.inProperties = true;
    frame.values = parts.values;
    frame.next = 0;
    frame.sequence = frame.met.sequence;
  }

  private done(frame: Frame): string {
    const { met, parts, earliest } = frame;
    this.stack.pop();
    const closing = parts.values.length > 0 ? "}" : parts.braces ? "{}" : "";
    const text = shortened(frame.text + closing);
    met.level = -1;
    met.size = met.sequence.count - met.number;
    if (earliest >= met.begun) met.text = text;
    const around = this.stack[this.stack.length - 1];
    if (around) around.earliest = Math.min(around.earliest, earliest);
    return text;
  }

  /** The text of a value if it can be had at once, else undefined, and its frame is on the stack. */
  private enter(value: unknown, sequence: Sequence): string | undefined {
    if (typeof value !== "object" || value === null) {
      return primitive(value, this.typed) ??
        this.refusing(() =>
          typeof value === "symbol" ? symbolText(value) : functionText(value as CodeFunction)
        );
    }
    const known = this.met.get(value);
    const text = known && this.again(known, sequence);
    if (text !== undefined) return text;
    const parts = this.refusing(() => partsOf(value, this.typed));
    const { head, kind } = parts;
    if (kind === "none" && parts.values.length === 0) return shortened(parts.braces ? `${head}{}` : head);
    const begun = this.begun++;
    const met: Met = {
      sequence,
      number: sequence.count++,
      begun,
      level: this.stack.length,
      text: undefined,
      size: 0,
    };
    this.met.set(value, met);
    this.stack.push({
      met,
      parts,
      inProperties: false,
      values: parts.items,
      next: 0,
      text: kind === "none" ? head : `${head}[`,
      items: [],
      key: "",
      sequence,
      earliest: Infinity,
    });
    return undefined;
  }

  /** The text of an object that was met before, or undefined if it has to be written anew. */
  private again(known: Met, sequence: Sequence): string | undefined {
    if (known.text !== undefined) {
      sequence.count += known.size;
      return known.text;
    }
    const inSequence = known.sequence === sequence;
    if (!inSequence && known.level < 0) {
      if (this.repeats++ < mostRepeats) return undefined;
      throw new UnkeyableError(
        this.path(),
        "is part of a graph of Sets or Maps that refer to one another in too many ways to be put in order: " +
          "use arrays there, leave it out with ignore, or pass what identifies it",
      );
    }
    const frame = this.stack[this.stack.length - 1];
    frame.earliest = Math.min(frame.earliest, known.begun);
    return inSequence ? `~${sequence.count - known.number}` : `^${this.stack.length - known.level}`;
  }

  private refusing<T>(make: () => T): T {
    try {
      return make();
    } catch (error) {
      if (!(error instanceof NoText)) throw error;
      throw new UnkeyableError(this.path(), error.message, { cause: error.cause });
    }
  }

  /** The path to the value that is being written. */
  private path(): string {
    const steps = this.stack.map(({ parts, inProperties, next }) => {
      if (inProperties) return propertyStep(parts.names[next]);
      if (parts.kind === "set") return `[item ${next}]`;
      if (parts.kind === "map") {
        const key = parts.items[next & ~1];
        const shown = typeof key === "object" || typeof key === "function" ? "…" : primitive(key, false);
        return `.get(${shown})${next % 2 === 0 ? "[key]" : ""}`;
      }
      return `[${next}]`;
    });
    return this.name +
      (steps.length > 60 ? [...steps.slice(0, 20), "…", ...steps.slice(-20)] : steps).join("");
  }
}

/** How a property reads in a path. */
function propertyStep(name: string): string {
  const [, accessor = "", key] = /^([gs]et )?(.*):$/s.exec(name)!;
  const step = key.startsWith('"') ? stepText(JSON.parse(key)) : key.startsWith("[") ? key : `.${key}`;
  return accessor === "" ? step : `${step}[${accessor.trim()}]`;
}
