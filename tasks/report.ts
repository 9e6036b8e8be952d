/**
 * What a test run amounts to, read from the JUnit file that both `deno test` and `node --test` write, so that the two
 * runtimes are counted by the same rule.
 *
 * @module
 */

/** The outcome of the tests in one runtime. */
export interface Report {
  runtime: "Deno" | "Node";
  passed: number;
  failed: number;
  /** The names of those that failed, or what failed outside of any test. */
  failures: string[];
  /** Tests that were not run here, with the reason that the test gives. */
  notRun: { name: string; reason: string }[];
}

const ENTITIES: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };

function unescape(text: string): string {
  return text.replace(/&(?:#(x?)([0-9a-fA-F]+)|(\w+));/g, (whole, hex, code, name) => {
    if (name) return ENTITIES[name] ?? whole;
    return String.fromCodePoint(parseInt(code, hex ? 16 : 10));
  });
}

/**
 * Reads the report. A run that did not end well although no test failed (a file that does not load, a time limit) or
 * that ran no test counts as one failure, so that it cannot pass for a success.
 */
export async function readReport(runtime: Report["runtime"], path: string, ok: boolean): Promise<Report> {
  const xml = await Deno.readTextFile(path).catch(() => "");
  const report: Report = { runtime, passed: 0, failed: 0, failures: [], notRun: [] };
  for (
    const [, attributes, body = ""] of xml.matchAll(
      /<testcase\b((?:[^>"]|"[^"]*")*?)(?:\/>|>(.*?)<\/testcase>)/gs,
    )
  ) {
    const name = unescape(/\bname="([^"]*)"/.exec(attributes)?.[1] ?? "");
    if (/<(failure|error)\b/.test(body)) {
      report.failed++;
      report.failures.push(name);
    } else if (/<skipped\b/.test(body)) report.notRun.push(reasonOf(name));
    else if (!isFile(name)) report.passed++;
  }
  if (report.failed === 0 && !ok) {
    report.failed = 1;
    report.failures.push("the run failed outside of any test");
  } else if (report.failed === 0 && report.passed === 0) {
    report.failed = 1;
    report.failures.push("no test was run");
  }
  return report;
}

/** Splits `name [Node only: reason]`, the name that the test harness gives to what it does not run. */
function reasonOf(title: string): { name: string; reason: string } {
  const [, name, reason] = /^(.*) \[((?:Node|Deno) only: .*)\]$/s.exec(title) ?? [];
  return name === undefined ? { name: title, reason: "no reason given" } : { name, reason };
}

/** `node --test` reports a file that registered no test as a test of its own, named by its path. */
function isFile(name: string): boolean {
  return name.endsWith(".test.mjs");
}

/** Prints what was not run, what failed and the count, each runtime under its name. */
export function printReport({ runtime, passed, failed, failures, notRun }: Report): void {
  for (const { name, reason } of notRun) console.log(`not run in ${runtime}: ${name} (${reason})`);
  for (const name of failures) console.log(`failed in ${runtime}: ${name}`);
  console.log(`${runtime}: ${passed} passed, ${failed} failed`);
}
