/**
 * Writes the source text that rebuilds functions together with the variables they share.
 *
 * A unit is one connected tree of scopes. Its text is an arrow function that opens the scopes as nested blocks with real
 * `let` variables, so rebuilt code runs at the speed of the original, and leaves in the hook object
 *
 * - `s[i] = [get, set]`, which read and write all variables of scope i at once, and
 * - `f[i]`, which makes function i. Functions are made one by one, because a class needs its superclass first.
 *
 * Functions are padded to the line and column where they were written, as far as they follow one another there. A
 * function that was written inside another one of the same unit cannot be; the root function has precedence.
 */
import type { Syntax } from "./syntax.ts";

/** A function or class to be written. */
export interface UnitFunction {
  text: string;
  syntax: Syntax;
  /** Zero-based position of the text's first character, line -1 if unknown. */
  line: number;
  column: number;
  /** Whether the function's own name must be looked up outside, as it is for a declaration that was reassigned. */
  dropName: boolean;
  /** Whether the function is given `this` or `arguments` of the code around it. */
  wrapped: boolean;
  /** Whether a class has a heritage clause and which of its computed method keys are given. */
  givenKeys: number;
}

/** A scope to be opened. */
export interface UnitScope {
  names: string[];
  children: number[];
  functions: number[];
}

/** The source of a unit and where things are in it. */
export interface UnitText {
  source: string;
  /** Zero-based line of the first line of `source` in the original file (may be below zero). */
  line: number;
  /** Per function: range of its text in the source, or the original text where it had to be changed. */
  texts: ([number, number] | string)[];
}

const farthest = 200_000;

/** Writes a unit. `roots` are the outermost scopes (one, or none) and `free` the functions outside of all. */
export function writeUnit(
  functions: readonly UnitFunction[],
  scopes: readonly UnitScope[],
  root: number,
  strict: boolean,
): UnitText {
  return new UnitWriter(functions, scopes, strict).write(root);
}

class UnitWriter {
  private out = "";
  private line = 0;
  private column = 0;
  private readonly hook: string;
  private readonly base: number;
  private readonly texts: UnitText["texts"] = [];

  constructor(
    private readonly functions: readonly UnitFunction[],
    private readonly scopes: readonly UnitScope[],
    private readonly strict: boolean,
  ) {
    let hook = "$pathos";
    for (let i = 1; functions.some((fn) => fn.text.includes(hook)); i++) hook = `$pathos${i}`;
    this.hook = hook;
    const lines = functions.filter((fn) => fn.line >= 0).map((fn) => fn.line);
    this.base = lines.length ? Math.min(...lines) - 1 : 0;
  }

  write(root: number): UnitText {
    this.emit(`((${this.hook})=>{${this.strict ? '"use strict";' : ""}`);
    if (root >= 0) this.scope(root);
    else for (let i = 0; i < this.functions.length; i++) this.fn(i);
    this.emit("})");
    return { source: this.out, line: this.base, texts: this.texts };
  }

  private emit(text: string): void {
    this.out += text;
    const last = text.lastIndexOf("\n");
    if (last < 0) this.column += text.length;
    else {
      for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) this.line++;
      this.column = text.length - last - 1;
    }
  }

  private scope(root: number): void {
    // Blocks close in the order in which they opened: an explicit stack, since scopes nest as deep as closures do.
    const stack: (number | string | { fn: number })[] = [root];
    while (stack.length) {
      const next = stack.pop()!;
      if (typeof next === "string") this.emit(next);
      else if (typeof next === "object") this.fn(next.fn);
      else {
        const { names, children, functions } = this.scopes[next];
        const v = `${this.hook}v`;
        this.emit(next === root ? "" : "{");
        this.emit(
          `let ${names.join(",")};${this.hook}.s[${next}]=[()=>[${names.join(",")}],(${v})=>{` +
            names.map((name, i) => `${name}=${v}[${i}]`).join(";") + "}];",
        );
        if (next !== root) stack.push("}");
        const items: { at: number; item: number | { fn: number } }[] = [
          ...functions.map((fn) => ({ at: this.order(fn), item: { fn } })),
          ...children.map((child) => ({ at: this.scopeOrder(child), item: child })),
        ];
        items.sort((a, b) => b.at - a.at);
        for (const { item } of items) stack.push(item);
      }
    }
  }

  /** Functions in the order of their positions, but one that reaches over the root function's line comes after it. */
  private order(index: number): number {
    const { line, column, text } = this.functions[index];
    const root = this.functions[0];
    const reaches = index !== 0 && line <= root.line && line + countLines(text) >= root.line;
    return reaches ? Infinity : line * 1_000 + Math.min(column, 999);
  }

  private scopeOrder(index: number): number {
    const { functions, children } = this.scopes[index];
    if (functions.length) return Math.min(...functions.map((fn) => this.order(fn)));
    return children.length === 1 && this.scopes.length < 1_000 ? this.scopeOrder(children[0]) : 0;
  }

  private fn(index: number): void {
    const fn = this.functions[index];
    const { syntax } = fn;
    const h = this.hook;
    const method = syntax.form === "method" || syntax.form === "get" || syntax.form === "set";
    const [open, close] = method
      ? ["()=>({", "})"]
      : syntax.shape
      ? [`(${h}p,${h}k,${h}c)=>(`, ")"]
      : fn.wrapped
      ? [`(${h}t,${h}a)=>(function(){return(`, `)}).apply(${h}t,${h}a)`]
      : ["()=>(", ")"];
    this.emit(`${h}.f[${index}]=${open}`);
    this.pad(fn);
    const text = this.rewritten(fn);
    const start = this.out.length;
    this.emit(text);
    this.texts[index] = text === fn.text ? [start, this.out.length] : fn.text;
    this.emit(`${close};`);
  }

  private pad(fn: UnitFunction): void {
    if (fn.line < 0 || fn.column > 500) return;
    const line = fn.line - this.base;
    const ahead = line - this.line;
    if (ahead < 0 || ahead > farthest || (ahead === 0 && this.column > fn.column)) return;
    if (ahead > 0) this.emit("\n".repeat(ahead));
    this.emit(" ".repeat(fn.column - this.column));
  }

  private rewritten(fn: UnitFunction): string {
    const { text, syntax } = fn;
    const edits: { start: number; end: number; by: string }[] = [];
    const edit = (range: readonly [number, number], by: string) => {
      const [start, end] = range;
      edits.push({
        start,
        end,
        by: by + "\n".repeat(Math.max(0, countLines(text.slice(start, end)) - countLines(by))),
      });
    };
    for (const range of syntax.importMeta) edit(range, `${this.hook}.meta`);
    if (syntax.computedKey) edit(syntax.computedKey, '["m"]');
    if (fn.dropName && syntax.name) {
      const start = text.indexOf(syntax.name, text.indexOf("function") + 8);
      edit([start, start + syntax.name.length], " ".repeat(syntax.name.length));
    }
    if (syntax.shape) this.classEdits(fn, edit);
    if (edits.length === 0) return text;
    edits.sort((a, b) => a.start - b.start || b.end - a.end);
    let result = "";
    let at = 0;
    for (const { start, end, by } of edits) {
      // An edit inside a part that was replaced as a whole is gone with it.
      if (start < at) continue;
      result += text.slice(at, start) + by;
      at = end;
    }
    return result + text.slice(at);
  }

  private classEdits(fn: UnitFunction, edit: (range: readonly [number, number], by: string) => void): void {
    const { text, syntax } = fn;
    const shape = syntax.shape!;
    const h = this.hook;
    if (shape.heritage) edit(shape.heritage, `(${h}p)`);
    for (const range of shape.staticBlocks) edit(range, ";");
    let key = 0;
    for (const element of shape.elements) {
      const isField = element.kind === "field";
      if (isField && element.isStatic) {
        edit(element.range, element.isPrivate ? `static #${element.name};` : ";");
        continue;
      }
      if (!isField && element.name === undefined) edit(element.keyRange, `[${h}k[${key++}]]`);
      if (isField && shape.brands && element.valueRange) {
        const [start, end] = element.valueRange;
        const value = text.slice(start, end);
        const label = element.name === undefined
          ? undefined
          : JSON.stringify((element.isPrivate ? "#" : "") + element.name);
        const named = element.namesValue && label ? `({${label}:${value}})[${label}]` : `(${value})`;
        edit(element.valueRange, `${h}c.on?void 0:${named}`);
      }
    }
    const hooks: string[] = [];
    const fields = shape.privateFields;
    if (shape.brands) {
      const brand = shape.elements.find((e) => e.isPrivate && !e.isStatic)!;
      hooks.push(`${h}c.brands=(${h}o)=>#${brand.name} in ${h}o`);
      hooks.push(`${h}c.get=(${h}o)=>[${fields.map((f) => `${h}o.${f}`).join(",")}]`);
      hooks.push(`${h}c.set=(${h}o,${h}v)=>{${fields.map((f, i) => `${h}o.${f}=${h}v[${i}]`).join(";")}}`);
    }
    if (shape.privateStatics.length) {
      const names = shape.privateStatics;
      hooks.push(`${h}c.getStatics=()=>[${names.map((f) => `this.${f}`).join(",")}]`);
      hooks.push(`${h}c.setStatics=(${h}v)=>{${names.map((f, i) => `this.${f}=${h}v[${i}]`).join(";")}}`);
    }
    if (hooks.length) edit([shape.bodyStart, shape.bodyStart], `static{${hooks.join(";")}}`);
    if (shape.brands && shape.constructorBody !== undefined) {
      const { range, simple } = shape.constructorParameters!;
      const guard = `if(${h}c.on)${shape.heritage ? "{super();return}" : "return"};`;
      let unpack = "";
      if (!simple) {
        unpack = `var [${text.slice(...range)}]=${h}n;`;
        edit(range, `...${h}n`);
      }
      edit([shape.constructorBody, shape.constructorBody], guard + unpack);
    }
  }
}

function countLines(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count++;
  return count;
}
