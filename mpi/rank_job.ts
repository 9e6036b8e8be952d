/**
 * The job of ranks that a pool starts from outside: by a launcher, on this machine, on a host, or in a batch job. It is a server
 * (rank_main.ts), started when a map begins, connected to, watched, started again if it is lost while it is needed, and ended
 * with the pool. Nothing needs to be installed there but MPI, and Deno or Node.
 */
import { cpuCount, env, newToken, stderr } from "../runtime/mod.ts";
import { koffiPath } from "../runtime/disk_file.ts";
import { bring, bringScript, type Program } from "../map/bring.ts";
import { openElsewhere } from "../map/elsewhere.ts";
import type { PoolKind } from "../map/engine.ts";
import type { PlaceLink } from "../map/host_place.ts";
import { execRuntime, FOLDER } from "../map/provision.ts";
import { SAY } from "../map/server_main.ts";
import { CodeBook } from "../serialize/codebook.ts";
import { Host, quote } from "../ssh/mod.ts";
import { openMachine, runScript } from "./machine.ts";
import type { MpiPoolOptions } from "./mpi_pool.ts";
import { parseNodes } from "./nodes.ts";
import { newBatch } from "./rank_batch.ts";
import { ALLOW, checkLauncher, final, launcherWords, type RankJob, rankProgram } from "./rank_command.ts";
import type { RankOptions, RankReady } from "./rank_ready.ts";
import { connectRanks } from "./rank_session.ts";

/** A job may take so long to end after it was told to, in milliseconds. */
const END_MS = 5000;
/** Why it was lost is waited for so long, in milliseconds. */
const REASON_MS = 2000;

/** A pool whose workers belong to ranks that it starts. */
export function launchedKind(options: MpiPoolOptions, timeout: number): PoolKind {
  const { onall = true, host, scheduler } = options;
  const tasks = tasksOf(options);
  if (tasks === 1 && !onall) {
    throw new RangeError(
      "one rank that deals and does not work is no pool: give more nodes, or leave out onall: false",
    );
  }
  checkLauncher(options.launcher);
  if (options.source && scheduler) {
    throw new TypeError("source is for ranks that are started directly: a batch job has a folder of its own");
  }
  const job: RankJob = { tasks, workers: onall ? tasks : tasks - 1, onall };
  const trust = host === undefined && scheduler === undefined; // what comes from another machine must not be run here
  const book = new CodeBook({ trust, byref: (ref) => ref.specifier.startsWith("node:") });
  const { initializer } = options;
  const where = scheduler?.host ?? host;
  const machine = where === undefined ? "this machine" : String(Host.from(where));
  const batch = scheduler && newBatch(job, scheduler, options, timeout);
  const places = openElsewhere({
    targets: [{
      kind: "link",
      name: scheduler
        ? `${tasks} ranks in a job of ${scheduler.dialect.name} on ${machine}`
        : `${tasks} ranks on ${machine}`,
      open: batch ? batch.open : (signal) => openDirect(job, options, timeout, signal),
    }],
    localWorkers: 0,
    parts: {
      book,
      limits: { permissions: "inherit", maxMemory: undefined },
      beginning: () => ({
        share: 1,
        takesCode: trust,
        initializer: initializer && book.encodeCode(initializer).hash,
      }),
    },
  });
  const stop = async (): Promise<void> => {
    await places.stop();
    await batch?.end();
  };
  return {
    workers: 0,
    book,
    start() {
      throw new Error("a pool of ranks has no workers of its own");
    },
    elsewhere: { ...places, stop },
    parts: job.workers,
  };
}

/** Ranks that are asked for; without that those of the allocation that this program runs in, else one for each core. */
function tasksOf({ nodes }: MpiPoolOptions): number {
  if (nodes !== undefined) {
    const { nodes: count, tasksPerNode = 1 } = parseNodes(nodes);
    return count * tasksPerNode;
  }
  for (const name of ["SLURM_NTASKS", "PBS_NP", "NSLOTS", "LSB_DJOB_NUMPROC"]) {
    const count = Number(env(name));
    if (Number.isInteger(count) && count > 0) return count;
  }
  return cpuCount();
}

// ---- starting them ----

/** Starts the ranks and connects to the first. */
async function openDirect(
  job: RankJob,
  options: MpiPoolOptions,
  timeout: number,
  signal: AbortSignal,
): Promise<PlaceLink> {
  const machine = await openMachine(options.host, signal);
  const secret = newToken();
  try {
    const kept = await rankProgram();
    // a name that nobody finds again
    const program = options.source ? { ...kept, name: `ranksource-${newToken(96)}.mjs` } : kept;
    const script = startScript(program, machine.runtime, job, options);
    const { process, ready, ended } = await bring(machine.run, program, script, {
      place: machine.name,
      connection: machine.connection,
      what: `the job of ${job.tasks} ranks`,
      timeout,
      input: `${secret}\n`,
      said: (text) => stderr.write(text),
      env: { ...machine.env, ...rankVariables(options) },
    });
    if (options.source) await runScript(machine, `${FOLDER}rm -f "$d/${program.name}"`);
    const stop = async (): Promise<void> => {
      process.keepAlive(true);
      process.closeInput();
      const late = [
        setTimeout(() => process.kill("SIGTERM"), END_MS),
        setTimeout(() => process.kill("SIGKILL"), 2 * END_MS),
      ];
      await ended;
      late.forEach(clearTimeout);
    };
    try {
      const { session, close } = await connectRanks(machine, JSON.parse(ready) as RankReady, secret);
      return {
        session,
        start: session.start,
        keepAlive(on) {
          for (const part of [session, process, machine]) part.keepAlive(on);
        },
        why: (reason) => soonOr(ended, reason),
        async close() {
          session.close();
          await Promise.all([stop(), close()]);
          await machine.close();
        },
      };
    } catch (error) {
      await stop();
      throw error;
    }
  } catch (error) {
    await machine.close();
    throw final(error);
  }
}

/** The reason, if it comes soon. */
function soonOr(reason: Promise<string>, otherwise: string): Promise<string> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, REASON_MS, otherwise);
    reason.then((known) => {
      clearTimeout(timer);
      resolve(known);
    });
  });
}

// ---- their command ----

function rankVariables({ host }: MpiPoolOptions): Record<string, string> {
  const koffi = host === undefined ? koffiPath() : undefined;
  return { ...ALLOW, ...koffi === undefined ? {} : { PATHOS_KOFFI: koffi } };
}

function startScript(
  program: Program,
  runtime: string | undefined,
  job: RankJob,
  options: MpiPoolOptions,
): string {
  const { before, words } = launcherWords(job, options);
  const [start, end] = JSON.stringify({ onall: job.onall, from: "@" } satisfies RankOptions).split("@");
  const { workdir } = options;
  const enter = workdir === undefined ? "" : `cd ${quote(workdir)} || exit 4\n`;
  return bringScript(
    program,
    `${before}${enter}o=${quote(start)}$(uname -n)${quote(end)}
echo "${SAY} begin"
${execRuntime('"$f"', '"$o"', words)}`,
    runtime,
  );
}
