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
  /** The names of those that failed and passed when they were run again; they count as passed. */
  unsteady: string[];
  /** Tests that were not run here, with the reason that the test gives. */
  notRun: { name: string; reason: string }[];
}

const OUTSIDE = "the run failed outside of any test";
/** With more failures than this something is broken, and nothing is run again. */
const MOST_AGAIN = 6;

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
  const report: Report = { runtime, passed: 0, failed: 0, failures: [], unsteady: [], notRun: [] };
  for (
    const [, attributes, body = ""] of xml.matchAll(
      /<testcase\b((?:[^>"]|"[^"]*")*?)(?:\/>|>(.*?)<\/testcase>)/gs,
    )
  ) {
    // twice, because Node 20 writes a quotation mark as `&amp;quot;`
    const name = unescape(unescape(/\bname="([^"]*)"/.exec(attributes)?.[1] ?? ""));
    if (/<(failure|error)\b/.test(body)) {
      report.failed++;
      report.failures.push(name);
    } else if (/<skipped\b/.test(body)) report.notRun.push(reasonOf(name));
    else if (!isFile(name)) report.passed++;
  }
  if (report.failed === 0 && !ok) {
    report.failed = 1;
    report.failures.push(OUTSIDE);
  } else if (report.failed === 0 && report.passed === 0) {
    report.failed = 1;
    report.failures.push("no test was run");
  }
  return report;
}

/**
 * Runs the few tests that failed once more, by themselves. These tests start servers, clusters and hundreds of processes
 * on machines that are busy with other things, and kill them at random moments: one that fails once in a thousand runs is
 * to be told from one that is broken. It is not hidden: the first failure is in the output, and the name in the summary.
 *
 * @param runAgain Runs the tests that have one of these names.
 */
export async function secondAttempt(
  report: Report,
  runAgain: (names: string[]) => Promise<Report>,
): Promise<Report> {
  const { failures } = report;
  if (failures.length === 0 || failures.length > MOST_AGAIN || failures.includes(OUTSIDE)) return report;
  console.log(`\nonce more in ${report.runtime}: ${failures.join("; ")}\n`);
  const second = await runAgain(failures);
  if (second.passed + second.failed !== failures.length) return report; // not the same tests
  const unsteady = failures.filter((name) => !second.failures.includes(name));
  return {
    ...report,
    passed: report.passed + unsteady.length,
    failed: report.failed - unsteady.length,
    failures: failures.filter((name) => !unsteady.includes(name)),
    unsteady,
  };
}

/** A regular expression for exactly these test names, as both runners take it. */
export function patternOf(names: string[]): string {
  return `/^(?:${names.map((name) => name.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join("|")})$/`;
}

/** Splits `name [reason]`, the name that the test harness gives to what it does not run. */
function reasonOf(title: string): { name: string; reason: string } {
  const [, name, reason] = /^(.*) \[(.*)\]$/s.exec(title) ?? [];
  return name === undefined ? { name: title, reason: "no reason given" } : { name, reason };
}

/** `node --test` reports a file that registered no test as a test of its own, named by its path. */
function isFile(name: string): boolean {
  return name.endsWith(".test.mjs");
}

/** Prints what was not run, what failed and the count, each runtime under its name. */
export function printReport({ runtime, passed, failed, failures, unsteady, notRun }: Report): void {
  for (const { name, reason } of notRun) console.log(`not run in ${runtime}: ${name} (${reason})`);
  for (const name of unsteady) console.log(`passed only at the second attempt in ${runtime}: ${name}`);
  for (const name of failures) console.log(`failed in ${runtime}: ${name}`);
  console.log(`${runtime}: ${passed} passed, ${failed} failed`);
}
