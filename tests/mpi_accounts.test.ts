/** Jobs that ended long ago: a real Slurm that keeps accounts, which sacct reads. */
import { isOver, type JobState, Scheduler, slurmDialect } from "@pathos/pathos/mpi";
import { assertEquals, assertMatch } from "@std/assert";
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { missing, test, until } from "./harness.ts";
import { ACCOUNTING_PROGRAMS, SLURM_PROGRAMS, startSlurm } from "./slurm.ts";

const PROGRAMS = [...SLURM_PROGRAMS, ...ACCOUNTING_PROGRAMS];
const here = missing(PROGRAMS).length === 0;
const cluster = (here ? await startSlurm({ nodes: 2, cpus: 4, accounting: true }) : undefined)!;

/** Of a cancelled job, Slurm tells which signal ended it, and its accounts do not. */
const brief = ({ id, status, exitCode, signal }: JobState) =>
  status === "cancelled" ? [id, status] : [id, status, exitCode, signal];

function accounts(jobs: readonly string[]): JobState[] {
  const [[program, ...words]] = slurmDialect.history(jobs);
  const stdout = execFileSync(program, words, { encoding: "utf8", env: { ...process.env, ...cluster.env } });
  return slurmDialect.parseStatus({ code: 0, stdout, stderr: "" });
}

test.needs(
  PROGRAMS,
  "slurm: the accounts tell of jobs and tasks that the controller has forgotten",
  async () => {
    const folder = join(cluster.folder, "w");
    mkdirSync(folder);
    const slurm = new Scheduler(slurmDialect, { env: cluster.env, cwd: folder, polling: [50, 500] });
    const well = await slurm.submit({ command: "srun true", name: "a-name", nodes: 2, tasksPerNode: 1 });
    const badly = await slurm.submit({ command: "exit 42" });
    const killed = await slurm.submit({ command: "kill -9 $$" });
    const waiting = await slurm.submit({ command: "true", hold: true });
    const running = await slurm.submit({ command: "sleep 300" });
    const array = await slurm.submit({
      command: `exit "$PATHOS_TASK"`,
      array: { indices: [0, 3, 7], limit: 2 },
    });
    const jobs = [well, badly, killed, waiting, running, array];
    await until(async () => (await slurm.status(running))[0].status === "running", 30_000, "it runs");
    await slurm.cancel([waiting, running]);
    const ends = (await slurm.wait(jobs, { timeout: 50_000 })).map(brief);
    assertEquals(ends, [
      [well, "completed", 0, undefined],
      [badly, "failed", 42, undefined],
      [killed, "failed", undefined, 9],
      [waiting, "cancelled"],
      [running, "cancelled"],
      [`${array}_0`, "completed", 0, undefined],
      [`${array}_3`, "failed", 3, undefined],
      [`${array}_7`, "failed", 7, undefined],
    ]);

    // the accounts are written some time after
    await until(
      () => accounts(jobs).filter(({ status }) => isOver(status)).length === 8,
      30_000,
      "all is written",
    );
    await cluster.forget();
    const later = await slurm.status(jobs);
    assertEquals(later.map(brief), ends);
    assertEquals([later[0].name, later[0].nodes], ["a-name", "n[1-2]"]);
    assertMatch(later[1].nodes!, /^n[12]$/);
    assertEquals(later[3].nodes, undefined);
    assertEquals(later.map(({ task }) => task).slice(5), [0, 3, 7]);
    // waiting for what has ended is no waiting, in a program that did not submit it either
    const other = new Scheduler(slurmDialect, { env: cluster.env });
    assertEquals((await other.wait([array, badly])).map(brief), [...ends.slice(5), ends[1]]);
    assertEquals((await other.status([`${array}_3`, "9999"])).map(({ id, status }) => [id, status]), [
      [`${array}_3`, "failed"],
      ["9999", "unknown"],
    ]);
  },
  { timeout: 120_000 },
);
