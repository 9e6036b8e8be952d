/**
 * All tests: is the worker bundle fresh, the tests under Deno, the same tests under Node. What one runtime cannot run
 * is listed with its reason, a test that passed only at its second attempt is named. The last line is
 * `N passed, N failed`, the sum over both; the exit status is not 0 when something failed or when a runtime ran no
 * test. An argument picks the test files whose name contains it.
 *
 * @module
 */
import { staleness } from "./bundle.ts";
import { run, withFolder } from "./process.ts";
import { patternOf, printReport, readReport, type Report, secondAttempt } from "./report.ts";
import { ensurePrograms } from "./system.ts";
import { RUNTIME_LIMIT, testFiles, testNode } from "./test_node.ts";

function testDeno(filter?: string): Promise<Report> {
  return withFolder(async (folder) => {
    const files = testFiles(filter).map((name) => `tests/${name}`);
    const attempt = async (report: string, ...which: string[]) => {
      const args = ["test", "-A", "--no-prompt", "--frozen", `--junit-path=${report}`, ...which, ...files];
      const { ok } = await run("deno", args, { env: { TMPDIR: folder }, limit: RUNTIME_LIMIT });
      return await readReport("Deno", report, ok);
    };
    return await secondAttempt(
      await attempt(`${folder}/report.xml`),
      (names) => attempt(`${folder}/again.xml`, `--filter=${patternOf(names)}`),
    );
  });
}

/** A run that could not even start is a failure like any other, and the next one still takes place. */
async function attempt(runtime: Report["runtime"], runTests: () => Promise<Report>): Promise<Report> {
  console.log(`\n${runtime}\n`);
  try {
    return await runTests();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { runtime, passed: 0, failed: 1, failures: [message], unsteady: [], notRun: [] };
  }
}

const filter: string | undefined = Deno.args[0];
await ensurePrograms();
const stale = await staleness().catch((error: Error) => error.message);
if (stale) console.error(stale);
const reports = [
  await attempt("Deno", () => testDeno(filter)),
  await attempt("Node", () => testNode(filter)),
];
console.log();
for (const report of reports) printReport(report);
if (stale) console.log(`worker bundle: ${stale}`);
const sum = (key: "passed" | "failed") => reports.reduce((total, report) => total + report[key], 0);
const failed = sum("failed") + (stale ? 1 : 0);
console.log(`${sum("passed")} passed, ${failed} failed`);
Deno.exit(failed > 0 ? 1 : 0);
