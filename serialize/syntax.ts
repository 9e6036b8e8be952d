/**
 * What the source text of a function or class says about it: which outer variables it mentions and writes, whether it
 * leans on an outer `this`, `super` or private name, and where the parts of a class lie.
 *
 * The text is what `Function.prototype.toString` returns, so it is JavaScript (types are erased). Results are cached by
 * text. A name that is reported free without being so does no harm: nothing of that name is found outside.
 */
import { type AnyNode, parse } from "acorn";

/** An element of a class body that has a name: method, accessor or field. */
export interface ClassElement {
  kind: "method" | "get" | "set" | "field";
  isStatic: boolean;
  isPrivate: boolean;
  /** Property name (without `#` for private ones), or undefined if it is computed. */
  name: string | undefined;
  /** The text as a method's own `toString` gives it: without `static`. */
  text: string;
  /** Range of the whole element, of the key with its brackets, and of the initialiser. */
  range: Range;
  keyRange: Range;
  valueRange: Range | undefined;
  /** Whether the initialiser is an anonymous function or class, which takes its name from the field. */
  namesValue: boolean;
}

export type Range = readonly [start: number, end: number];

/** The parts of a class that matter for writing it anew. */
export interface ClassShape {
  heritage: Range | undefined;
  bodyStart: number;
  elements: ClassElement[];
  staticBlocks: Range[];
  constructorParameters: { range: Range; simple: boolean } | undefined;
  /** Offset just behind the `{` of the constructor's body. */
  constructorBody: number | undefined;
  /** Names (with `#`) of private instance fields in order. */
  privateFields: string[];
  /** Whether instances carry anything private: fields, methods or accessors. */
  brands: boolean;
  /** Names (with `#`) of private static fields. */
  privateStatics: string[];
}

/** A parameter of a function. */
export interface Parameter {
  /** Undefined if the parameter is a pattern. */
  name: string | undefined;
  /** Names of the properties that an object pattern takes out, and whether it takes the others with `...`. */
  properties: string[] | undefined;
  /** Whether the pattern takes the properties that it does not name (`...rest`). */
  takesOthers: boolean;
  /** Whether it has a default. */
  isOptional: boolean;
  /** Whether it takes all arguments from here on. */
  isRest: boolean;
}

/** The facts about one function or class. */
export interface Syntax {
  form: "function" | "arrow" | "method" | "get" | "set" | "class";
  isAsync: boolean;
  isGenerator: boolean;
  /** Own name in the text: of a function or class expression, or of a method with a plain key. */
  name: string | undefined;
  /** The name and length that the text gives to the function when nothing around it names it. */
  naturalName: string;
  naturalLength: number;
  /** Those of a class are its constructor's; undefined if it has none of its own. */
  parameters: Parameter[] | undefined;
  /** Names that are not declared inside, in order of appearance. */
  free: string[];
  /** Those of `free` that are assigned inside. */
  writes: Set<string>;
  mentionsOwnName: boolean;
  outerThis: boolean;
  outerArguments: boolean;
  outerSuper: boolean;
  outerNewTarget: boolean;
  outerPrivate: string | undefined;
  directEval: boolean;
  strictDirective: boolean;
  /** Ranges of `import.meta`. */
  importMeta: Range[];
  /** Range of a method's key with its brackets if it is computed. */
  computedKey: Range | undefined;
  /** Offset in the text of the position that V8 reports for the function. */
  anchor: number;
  shape: ClassShape | undefined;
}

const cache = new Map<string, Syntax | SyntaxError>();
const cacheLimit = 5_000;

/**
 * The facts about the function with this source text.
 *
 * @param hasPrototype Whether the function owns a `prototype` property, which tells `function() {}` from a method named
 *   `function`.
 * @throws {SyntaxError} If the text is not JavaScript that V8 would take.
 */
export function syntaxOf(text: string, hasPrototype: boolean): Syntax {
  let known = cache.get(text);
  if (known === undefined) {
    try {
      known = analyse(text, hasPrototype);
    } catch (error) {
      known = error as SyntaxError;
    }
    if (cache.size >= cacheLimit) cache.clear();
    cache.set(text, known);
  }
  if (known instanceof Error) throw known;
  return known;
}

const methodPrefix = "({m(){(";
// deno-lint-ignore no-explicit-any
type Node = any;
const parseOptions = {
  ecmaVersion: "latest",
  allowReturnOutsideFunction: true,
  allowImportExportEverywhere: true,
  allowSuperOutsideMethod: true,
  checkPrivateFields: false,
} as const;

function analyse(text: string, hasPrototype: boolean): Syntax {
  let node: Node;
  // Inside a method, so that new.target and super parse.
  let shift = methodPrefix.length;
  let key: Node;
  const asExpression = () =>
    (parse(`${methodPrefix}${text}\n)}})`, parseOptions).body[0] as Node).expression.properties[0].value.body
      .body[0].expression;
  const asMethod = () => {
    const wrapped = parse(`({${text}\n})`, parseOptions);
    shift = 2;
    return (wrapped.body[0] as Node).expression.properties[0];
  };
  try {
    node = asExpression();
    if (node.type === "FunctionExpression" && !hasPrototype && !node.async && !node.generator) {
      throw new SyntaxError();
    }
    if (!/^(FunctionExpression|ArrowFunctionExpression|ClassExpression)$/.test(node.type)) {
      throw new SyntaxError();
    }
  } catch {
    key = asMethod();
    node = key.value;
    if (node?.type !== "FunctionExpression") throw new SyntaxError(`not a function: ${text.slice(0, 60)}`);
  }
  const form = node.type === "ClassExpression"
    ? "class"
    : node.type === "ArrowFunctionExpression"
    ? "arrow"
    : key === undefined
    ? "function"
    : key.kind === "init"
    ? "method"
    : key.kind as "get" | "set";
  const name: string | undefined = key ? (key.computed ? undefined : keyName(key.key)) : node.id?.name;
  const walker = new Walker(shift);
  walker.root(node, form);
  if (key?.computed) walker.expression(key.key);
  const paren = form === "class" || form === "arrow"
    ? 0
    : text.indexOf("(", (key ? key.key.end : node.id?.end ?? 0) - shift);
  const shape = form === "class" ? classShape(text, node, shift) : undefined;
  return {
    form,
    isAsync: node.async === true,
    isGenerator: node.generator === true,
    name,
    naturalName: (form === "get" || form === "set" ? `${form} ` : "") + (name ?? ""),
    naturalLength: form === "class" ? constructorLength(node) : arity(node.params),
    parameters: parametersOf(node),
    free: [...walker.free],
    writes: walker.writes,
    mentionsOwnName: walker.ownNameUsed,
    outerThis: walker.outerThis,
    outerArguments: walker.outerArguments,
    outerSuper: walker.outerSuper,
    outerNewTarget: walker.outerNewTarget,
    outerPrivate: walker.outerPrivate,
    directEval: walker.directEval,
    strictDirective: form === "class" ||
      (node.body.type === "BlockStatement" && node.body.body.some((s: Node) => s.directive === "use strict")),
    importMeta: walker.importMeta,
    computedKey: key?.computed ? bracketed(text, key.key, shift) : undefined,
    anchor: shape ? Math.max(0, (shape.constructorParameters?.range[0] ?? 1) - 1) : Math.max(paren, 0),
    shape,
  };
}

function parametersOf(node: Node): Parameter[] | undefined {
  const maker = node.type === "ClassExpression"
    ? node.body.body.find((e: Node) => e.kind === "constructor")?.value
    : node;
  return maker?.params.map((param: Node): Parameter => {
    const isOptional = param.type === "AssignmentPattern";
    const isRest = param.type === "RestElement";
    const target = isOptional ? param.left : isRest ? param.argument : param;
    const fields: Node[] | undefined = target.type === "ObjectPattern" ? target.properties : undefined;
    const properties = fields?.filter((p) => p.type === "Property" && !p.computed).map((p) =>
      keyName(p.key)!
    );
    const takesOthers = fields?.some((p) => p.type === "RestElement") === true;
    return { name: target.name, properties, takesOthers, isOptional, isRest };
  });
}

function arity(params: Node[]): number {
  const end = params.findIndex((p) => p.type === "AssignmentPattern" || p.type === "RestElement");
  return end < 0 ? params.length : end;
}

function constructorLength(node: Node): number {
  const own = node.body.body.find((e: Node) => e.kind === "constructor");
  return own ? arity(own.value.params) : 0;
}

function keyName(key: Node): string | undefined {
  if (key.type === "Identifier" || key.type === "PrivateIdentifier") return key.name;
  return key.type === "Literal" ? String(key.bigint ?? key.value) : undefined;
}

function bracketed(text: string, key: Node, shift: number): Range {
  const start = text.lastIndexOf("[", key.start - shift);
  return [start, text.indexOf("]", key.end - shift) + 1];
}

function classShape(text: string, node: Node, shift: number): ClassShape {
  const at = (n: Node): Range => [n.start - shift, n.end - shift];
  const shape: ClassShape = {
    heritage: node.superClass ? at(node.superClass) : undefined,
    bodyStart: node.body.start - shift + 1,
    elements: [],
    staticBlocks: [],
    constructorParameters: undefined,
    constructorBody: undefined,
    privateFields: [],
    brands: false,
    privateStatics: [],
  };
  for (const element of node.body.body as Node[]) {
    if (element.type === "StaticBlock") {
      shape.staticBlocks.push(at(element));
      continue;
    }
    if (element.kind === "constructor") {
      const params = element.value.params as Node[];
      const open = text.indexOf("(", element.key.end - shift) + 1;
      const close = text.lastIndexOf(")", element.value.body.start - shift);
      shape.constructorParameters = {
        range: [open, close],
        simple: params.every((p) => p.type === "Identifier"),
      };
      shape.constructorBody = element.value.body.start - shift + 1;
      continue;
    }
    const isField = element.type === "PropertyDefinition";
    const isPrivate = element.key.type === "PrivateIdentifier";
    const name = element.computed ? undefined : keyName(element.key);
    const [start, end] = at(element);
    const value = isField ? element.value : undefined;
    shape.elements.push({
      kind: isField ? "field" : element.kind,
      isStatic: element.static,
      isPrivate,
      name,
      text: element.static ? text.slice(start, end).replace(/^static\s+/, "") : text.slice(start, end),
      range: [start, end],
      keyRange: element.computed ? bracketed(text, element.key, shift) : at(element.key),
      valueRange: value ? at(value) : undefined,
      namesValue: value != null && (value.type === "ArrowFunctionExpression" ||
        ((value.type === "FunctionExpression" || value.type === "ClassExpression") && !value.id)),
    });
    if (isPrivate && element.static && isField) shape.privateStatics.push(`#${name}`);
    if (isPrivate && !element.static) {
      shape.brands = true;
      if (isField) shape.privateFields.push(`#${name}`);
    }
  }
  return shape;
}

/** Names bound in one block, function or parameter list. */
class Names {
  readonly names = new Set<string>();
  constructor(readonly parent: Names | undefined) {}
  has(name: string): boolean {
    return this.names.has(name) || this.parent?.has(name) === true;
  }
}

class Walker {
  readonly free = new Set<string>();
  readonly writes = new Set<string>();
  readonly importMeta: Range[] = [];
  ownNameUsed = false;
  outerThis = false;
  outerArguments = false;
  outerSuper = false;
  outerNewTarget = false;
  outerPrivate: string | undefined;
  directEval = false;
  private names = new Names(undefined);
  private privates: Set<string>[] = [];
  /** Functions around the current node that bind `this` themselves. */
  private thisDepth = 0;
  /** Methods and fields around the current node that bind `super`. */
  private superDepth = 0;
  private ownName: string | undefined;

  constructor(private readonly shift: number) {}

  root(node: Node, form: Syntax["form"]): void {
    if (form === "class") this.classLike(node);
    else {
      // The name of a function is looked up outside too: its text does not tell a declaration from an expression.
      if (form === "function") this.ownName = node.id?.name;
      this.functionLike(node, form === "function");
    }
  }

  expression(node: Node): void {
    this.visit(node);
  }

  private within(action: () => void): void {
    const outer = this.names;
    this.names = new Names(outer);
    try {
      action();
    } finally {
      this.names = outer;
    }
  }

  private functionLike(node: Node, isRootFunction = false): void {
    const arrow = node.type === "ArrowFunctionExpression";
    if (arrow && isEvaluator(node)) return;
    this.within(() => {
      if (!arrow) {
        this.names.names.add("arguments");
        this.thisDepth++;
      }
      if (node.type === "FunctionExpression" && node.id && !isRootFunction) {
        this.names.names.add(node.id.name);
      }
      for (const param of node.params) this.declare(param);
      for (const param of node.params) this.pattern(param, false);
      this.within(() => {
        if (node.body.type === "BlockStatement") {
          this.hoistVars(node.body);
          this.hoistLexical(node.body.body);
          for (const statement of node.body.body) this.visit(statement);
        } else this.visit(node.body);
      });
      if (!arrow) this.thisDepth--;
    });
  }

  private classLike(node: Node): void {
    this.within(() => {
      if (node.id) this.names.names.add(node.id.name);
      if (node.superClass) this.visit(node.superClass);
      const declared = new Set<string>();
      for (const element of node.body.body) {
        if (element.key?.type === "PrivateIdentifier") declared.add(element.key.name);
      }
      this.privates.push(declared);
      for (const element of node.body.body) {
        if (element.computed) this.visit(element.key);
        this.superDepth++;
        if (element.type === "MethodDefinition") this.functionLike(element.value);
        else {
          this.thisDepth++;
          this.within(() => {
            this.names.names.add("arguments");
            if (element.type === "StaticBlock") {
              this.hoistVars(element);
              this.hoistLexical(element.body);
              for (const statement of element.body) this.visit(statement);
            } else if (element.value) this.visit(element.value);
          });
          this.thisDepth--;
        }
        this.superDepth--;
      }
      this.privates.pop();
    });
  }

  /** Declares every name that a binding pattern binds. */
  private declare(pattern: Node): void {
    for (const name of boundNames(pattern)) this.names.names.add(name);
  }

  private hoistLexical(statements: Node[]): void {
    for (const s of statements) {
      const node = s.type.startsWith("Export") ? s.declaration ?? s : s;
      if (node.type === "VariableDeclaration" && node.kind !== "var") {
        for (const d of node.declarations) this.declare(d.id);
      } else if ((node.type === "ClassDeclaration" || node.type === "FunctionDeclaration") && node.id) {
        this.names.names.add(node.id.name);
      }
    }
  }

  private hoistVars(node: Node): void {
    const pending: Node[] = [node];
    while (pending.length) {
      const next = pending.pop();
      if (next.type === "VariableDeclaration" && next.kind === "var") {
        for (const d of next.declarations) this.declare(d.id);
      }
      for (const child of children(next)) {
        if (!/Function|Class/.test(child.type)) pending.push(child);
      }
    }
  }

  private reference(name: string, write: boolean): void {
    if (this.names.has(name)) return;
    if (name === "arguments") {
      this.outerArguments = true;
      return;
    }
    if (name === this.ownName) this.ownNameUsed = true;
    this.free.add(name);
    if (write) this.writes.add(name);
  }

  /** A pattern that binds or assigns: its identifiers are targets, its defaults and keys are expressions. */
  private pattern(node: Node, assigns: boolean): void {
    switch (node?.type) {
      case undefined:
        return;
      case "Identifier":
        if (assigns) this.reference(node.name, true);
        return;
      case "ObjectPattern":
        for (const p of node.properties) {
          if (p.type === "RestElement") this.pattern(p.argument, assigns);
          else {
            if (p.computed) this.visit(p.key);
            this.pattern(p.value, assigns);
          }
        }
        return;
      case "ArrayPattern":
        for (const e of node.elements) this.pattern(e, assigns);
        return;
      case "AssignmentPattern":
        this.pattern(node.left, assigns);
        this.visit(node.right);
        return;
      case "RestElement":
        this.pattern(node.argument, assigns);
        return;
      default:
        this.visit(node);
    }
  }

  private visit(node: Node): void {
    switch (node.type) {
      case "Identifier":
        return this.reference(node.name, false);
      case "PrivateIdentifier":
        if (!this.privates.some((set) => set.has(node.name))) this.outerPrivate ??= `#${node.name}`;
        return;
      case "ThisExpression":
        if (this.thisDepth === 0) this.outerThis = true;
        return;
      case "Super":
        if (this.superDepth === 0) this.outerSuper = true;
        return;
      case "MetaProperty":
        if (node.meta.name === "import") {
          this.importMeta.push([node.start - this.shift, node.end - this.shift]);
        } else if (this.thisDepth === 0) this.outerNewTarget = true;
        return;
      case "FunctionExpression":
      case "FunctionDeclaration":
      case "ArrowFunctionExpression":
        return this.functionLike(node);
      case "ClassExpression":
      case "ClassDeclaration":
        return this.classLike(node);
      case "MemberExpression":
        this.visit(node.object);
        if (node.computed || node.property.type === "PrivateIdentifier") this.visit(node.property);
        return;
      case "Property":
        if (node.computed) this.visit(node.key);
        if (node.method || node.kind !== "init") {
          this.superDepth++;
          this.functionLike(node.value);
          this.superDepth--;
        } else this.visit(node.value);
        return;
      case "CallExpression":
        if (node.callee.type === "Identifier" && node.callee.name === "eval" && !this.names.has("eval")) {
          this.directEval = true;
        }
        break;
      case "AssignmentExpression":
        this.pattern(node.left, true);
        if (node.operator !== "=" && node.left.type === "Identifier") this.reference(node.left.name, true);
        return this.visit(node.right);
      case "UpdateExpression":
        return this.pattern(node.argument, true);
      case "VariableDeclaration":
        for (const d of node.declarations) {
          this.pattern(d.id, false);
          if (d.init) this.visit(d.init);
        }
        return;
      case "LabeledStatement":
        return this.visit(node.body);
      case "BreakStatement":
      case "ContinueStatement":
        return;
      case "BlockStatement":
        return this.within(() => {
          this.hoistLexical(node.body);
          for (const s of node.body) this.visit(s);
        });
      case "ForStatement":
      case "ForInStatement":
      case "ForOfStatement":
        return this.within(() => {
          const head = node.type === "ForStatement" ? node.init : node.left;
          if (head?.type === "VariableDeclaration") {
            if (head.kind !== "var") this.hoistLexical([head]);
            this.visit(head);
          } else if (head) node.type === "ForStatement" ? this.visit(head) : this.pattern(head, true);
          for (const part of [node.right, node.test, node.update, node.body]) if (part) this.visit(part);
        });
      case "SwitchStatement":
        this.visit(node.discriminant);
        return this.within(() => {
          for (const c of node.cases) this.hoistLexical(c.consequent);
          for (const c of node.cases) {
            if (c.test) this.visit(c.test);
            for (const s of c.consequent) this.visit(s);
          }
        });
      case "CatchClause":
        return this.within(() => {
          if (node.param) {
            this.declare(node.param);
            this.pattern(node.param, false);
          }
          this.visit(node.body);
        });
    }
    for (const child of children(node)) this.visit(child);
  }
}

/** Whether an arrow function is `(source) => eval(source)`, as written for `capture()`: it needs nothing to travel. */
function isEvaluator({ params, body }: Node): boolean {
  return params.length === 1 && body.type === "CallExpression" && body.callee.name === "eval" &&
    body.arguments.length === 1 && params[0].type === "Identifier" &&
    body.arguments[0].name === params[0].name;
}

/** The names that a binding pattern binds. */
export function boundNames(pattern: AnyNode | null): string[] {
  const names: string[] = [];
  const pending: Node[] = [pattern];
  while (pending.length) {
    const node = pending.pop();
    if (node?.type === "Identifier") names.push(node.name);
    else if (node?.type === "ObjectPattern") {
      for (const p of node.properties) pending.push(p.type === "RestElement" ? p.argument : p.value);
    } else if (node?.type === "ArrayPattern") pending.push(...node.elements);
    else if (node?.type === "AssignmentPattern") pending.push(node.left);
    else if (node?.type === "RestElement") pending.push(node.argument);
  }
  return names;
}

function children(node: Node): Node[] {
  const found: Node[] = [];
  for (const key in node) {
    const value = node[key];
    if (Array.isArray(value)) {
      for (const item of value) if (item && typeof item.type === "string") found.push(item);
    } else if (value && typeof value === "object" && typeof value.type === "string") found.push(value);
  }
  return found;
}

/** What a module's source says about its own top level. */
export interface ModuleSyntax {
  /** Local name of each import binding, with the specifier as written and the exported name (`*` for the namespace). */
  imports: Map<string, { specifier: string; name: string }>;
}

/**
 * Reads the import declarations of a module.
 *
 * @throws {SyntaxError} If the text does not parse as a module.
 */
export function moduleSyntax(text: string): ModuleSyntax {
  const imports: ModuleSyntax["imports"] = new Map();
  if (!/\bimport\b/.test(text)) return { imports };
  const program = parse(text, { ...parseOptions, sourceType: "module", allowHashBang: true }) as Node;
  for (const statement of program.body) {
    if (statement.type !== "ImportDeclaration") continue;
    for (const s of statement.specifiers) {
      const name = s.type === "ImportNamespaceSpecifier"
        ? "*"
        : s.type === "ImportDefaultSpecifier"
        ? "default"
        : keyName(s.imported)!;
      imports.set(s.local.name, { specifier: String(statement.source.value), name });
    }
  }
  return { imports };
}

/**
 * Every name that a script assigns to anywhere, `var` with a value included, or undefined if it cannot be told (direct
 * eval, `with`, or a syntax that is not understood).
 */
export function assignedNames(text: string): Set<string> | undefined {
  const names = new Set<string>();
  const pending: Node[] = [];
  try {
    pending.push(parse(text, { ...parseOptions, sourceType: "module", allowHashBang: true }));
  } catch {
    return undefined;
  }
  const target = (pattern: Node) => {
    for (const name of boundNames(pattern)) names.add(name);
  };
  while (pending.length) {
    const node = pending.pop();
    if (node.type === "WithStatement") return undefined;
    if (node.type === "CallExpression" && node.callee.name === "eval") return undefined;
    if (node.type === "AssignmentExpression") target(node.left);
    else if (node.type === "UpdateExpression") target(node.argument);
    else if (node.type === "ForInStatement" || node.type === "ForOfStatement") {
      if (node.left.type !== "VariableDeclaration") target(node.left);
      else if (node.left.kind === "var") target(node.left.declarations[0].id);
    } else if (node.type === "VariableDeclaration" && node.kind === "var") {
      for (const d of node.declarations) if (d.init) target(d.id);
    }
    pending.push(...children(node));
  }
  return names;
}
