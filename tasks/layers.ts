/**
 * The house rules that a script can see: imports only go down, only `runtime/` knows which runtime it is in, nobody
 * imports from the tests, and `mod.ts` files only re-export (or import for effect). Each broken rule is one line with file and line number.
 *
 * @module
 */
import ts from "typescript";
import { ROOT } from "./process.ts";

/** The floors of the house from the ground up; folders on one floor do not import each other. */
const FLOORS: readonly (readonly string[])[] = [
  ["runtime"],
  ["serialize"],
  ["cache", "fs", "ssh"],
  ["map"],
  ["mpi"],
  ["cli"],
];

const COMPARISONS: ReadonlySet<ts.SyntaxKind> = new Set([
  ts.SyntaxKind.EqualsEqualsToken,
  ts.SyntaxKind.EqualsEqualsEqualsToken,
  ts.SyntaxKind.ExclamationEqualsToken,
  ts.SyntaxKind.ExclamationEqualsEqualsToken,
]);

const height = new Map(FLOORS.flatMap((folders, floor) => folders.map((folder) => [folder, floor] as const)));

/** All TypeScript sources of the library: the floors, `mod.ts` and `cli.ts`, by path from the repository. */
export function sources(): Map<string, string> {
  const found = new Map<string, string>();
  for (const folder of ["", ...height.keys()]) {
    const path = `${ROOT}/${folder}`;
    try {
      for (const { name, isFile } of Deno.readDirSync(path)) {
        if (!isFile || !name.endsWith(".ts") || /_(bundle|bytes)\.ts$/.test(name)) continue;
        found.set(folder ? `${folder}/${name}` : name, Deno.readTextFileSync(`${path}/${name}`));
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error; // a floor that is not built yet
    }
  }
  return found;
}

/** The broken rules in these files, in words. */
export function violations(files: ReadonlyMap<string, string>): string[] {
  return [...files].sort().flatMap(([path, text]) => inFile(path, text));
}

function inFile(path: string, text: string): string[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const folder = path.includes("/") ? path.slice(0, path.indexOf("/")) : "";
  const problems: string[] = [];
  const report = (node: ts.Node, problem: string) => {
    const { line } = file.getLineAndCharacterOfPosition(node.getStart(file));
    problems.push(`${path}:${line + 1}: ${problem}`);
  };
  const visit = (node: ts.Node): void => {
    const specifier = specifierOf(node);
    if (specifier !== undefined) {
      const problem = importProblem(folder, specifier);
      if (problem) report(node, problem);
    } else if (folder !== "runtime") {
      if (asksForRuntime(node)) {
        report(node, "only runtime/ may ask which runtime this is; give runtime/ a function");
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  if (path.endsWith("mod.ts")) {
    for (const statement of file.statements) {
      const reexports = ts.isExportDeclaration(statement) && statement.moduleSpecifier !== undefined;
      const forEffect = ts.isImportDeclaration(statement) && statement.importClause === undefined;
      if (!reexports && !forEffect) report(statement, "mod.ts files only re-export");
    }
  }
  return problems;
}

/** What a node imports or re-exports from, when it does. */
function specifierOf(node: ts.Node): string | undefined {
  let literal: ts.Node | undefined;
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) literal = node.moduleSpecifier;
  else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) literal = node.argument.literal;
  else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    literal = node.arguments[0];
  }
  return literal && ts.isStringLiteralLike(literal) ? literal.text : undefined;
}

function importProblem(folder: string, specifier: string): string | undefined {
  if (specifier.startsWith("node:")) {
    return folder === "runtime"
      ? undefined
      : `imports ${specifier}: only runtime/ may, others use its builtin()`;
  }
  if (!specifier.startsWith(".")) return undefined;
  const { pathname } = new URL(specifier, `file:///${folder ? folder + "/" : ""}x.ts`);
  const target = pathname.slice(1).includes("/") ? pathname.split("/")[1] : "";
  if (target === folder) return undefined;
  if (["tests", "tasks", "bench", "examples"].includes(target)) {
    return `imports ${specifier}: ${target}/ is not library`;
  }
  if (folder === "") return undefined;
  if (target === "" || !height.has(target)) return `imports ${specifier}: that is not below ${folder}/`;
  if (height.get(target)! < height.get(folder)!) return undefined;
  return `imports ${specifier}: ${target}/ is not below ${folder}/, imports only go down`;
}

/** `Deno` as an identifier, `"Deno" in globalThis`, or a comparison with `runtimeName`. */
function asksForRuntime(node: ts.Node): boolean {
  if (ts.isIdentifier(node)) return node.text === "Deno";
  if (!ts.isBinaryExpression(node)) return false;
  if (node.operatorToken.kind === ts.SyntaxKind.InKeyword) {
    return ts.isStringLiteralLike(node.left) && node.left.text === "Deno";
  }
  if (!COMPARISONS.has(node.operatorToken.kind)) return false;
  return [node.left, node.right].some((side) => ts.isIdentifier(side) && side.text === "runtimeName");
}
