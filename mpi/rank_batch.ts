/**
 * A batch job whose ranks work for a pool. What the job needs lies in a private folder that the machine of the scheduler shares with
 * its nodes: the secret, what rank 0 says of where it is reached, and what the job prints. The job outlives a lost connection: the
 * pool connects to it again. It ends with the pool, with its walltime, or {@linkcode LEASE_MS} after it was last heard of.
 */
import { newPause, newToken } from "../runtime/mod.ts";
import { bring, bringScript } from "../map/bring.ts";
import type { PlaceLink } from "../map/host_place.ts";
import { execRuntime, findRuntime } from "../map/provision.ts";
import { SAY } from "../map/server_main.ts";
import { quote } from "../ssh/mod.ts";
import { type Machine, openMachine, runScript } from "./machine.ts";
import type { MpiPoolOptions } from "./mpi_pool.ts";
import { parseNodes } from "./nodes.ts";
import { ALLOW, final, launcherWords, type RankJob, rankProgram } from "./rank_command.ts";
import type { JobDescription } from "./job.ts";
import type { RankOptions, RankReady } from "./rank_ready.ts";
import { connectRanks } from "./rank_session.ts";
import { isOver, SchedulerError } from "./scheduler.ts";
import type { Scheduler } from "./submit.ts";

/** A job that no pool is connected to ends after so long, in milliseconds. */
const LEASE_MS = 15 * 60_000;
/** Pauses between two looks at a job that has not begun, in milliseconds: the first, and at most. */
const LOOKS_MS = [200, 5000] as const;
/** Of what a job has said, so much is told when it fails, in characters. */
const LAST_WORDS = 2000;

/** The batch job of a pool. */
export interface Batch {
  /** Submits it, unless it is there, waits until its ranks are, and connects. */
  open(signal: AbortSignal): Promise<PlaceLink>;
  /** Cancels it, and removes its folder. */
  end(): Promise<void>;
}

interface Submitted {
  id: string;
  folder: string;
  secret: string;
}

/** Makes one; nothing is submitted yet. */
export function newBatch(
  job: RankJob,
  scheduler: Scheduler,
  options: MpiPoolOptions,
  timeout: number,
): Batch {
  let current: Submitted | undefined;

  async function open(signal: AbortSignal): Promise<PlaceLink> {
    const machine = await openMachine(scheduler.host, signal);
    try {
      if (current && await isGone(current)) {
        const { folder } = current;
        current = undefined;
        await removeFolder(machine, folder);
      }
      current ??= await submit(machine);
      const { session, close } = await connectRanks(machine, await ready(current, signal), current.secret);
      const submitted = current;
      return {
        session,
        start: session.start,
        keepAlive(on) {
          for (const part of [session, machine]) part.keepAlive(on);
        },
        why: async (reason) =>
          await isGone(submitted).catch(() => false) ? await lastWords(submitted, reason) : reason,
        async close() {
          session.close();
          await close();
          await machine.close();
        },
      };
    } catch (error) {
      await machine.close();
      throw error instanceof SchedulerError && error.failure === "unreachable" ? error : final(error);
    }
  }

  async function submit(machine: Machine): Promise<Submitted> {
    const secret = newToken();
    const program = await rankProgram();
    const script = bringScript(
      program,
      `j=$d/ranks-${newToken().replace(/\W/g, "").slice(0, 12)}
mkdir -m 700 "$j" || exit 3
echo "${SAY} begin"
IFS= read -r s
printf '%s\\n' "$s" > "$j/secret"
printf '${SAY} ready %s %s\\n' "$(uname -n)" "$j"
cat >/dev/null
`,
      machine.runtime,
    );
    const { process, ready, ended } = await bring(machine.run, program, script, {
      place: machine.name,
      connection: machine.connection,
      what: "the folder of the batch job",
      input: `${secret}\n`,
      env: machine.env,
    });
    process.closeInput();
    await ended;
    const at = ready.indexOf(" ");
    const from = ready.slice(0, at), folder = ready.slice(at + 1);
    try {
      return { id: await scheduler.submit(description(machine, from, folder, program.name)), folder, secret };
    } catch (error) {
      await removeFolder(machine, folder);
      throw error;
    }
  }

  function description({ runtime }: Machine, from: string, folder: string, program: string): JobDescription {
    const { nodes, tasksPerNode, partition } = options.nodes === undefined
      ? { nodes: undefined, tasksPerNode: undefined, partition: undefined }
      : parseNodes(options.nodes);
    const shape = tasksPerNode === undefined ? { tasks: job.tasks } : { nodes, tasksPerNode };
    const { before, words } = launcherWords(job, options);
    const rank: RankOptions = {
      onall: job.onall,
      from,
      batch: { file: `${folder}/ready`, lease: LEASE_MS },
    };
    const cache = folder.slice(0, folder.lastIndexOf("/"));
    return {
      name: "pathos",
      ...shape,
      ...partition === undefined ? {} : { queue: partition },
      ...options.workdir === undefined ? {} : { workdir: options.workdir },
      ...options.job,
      environment: { ...ALLOW, ...options.job?.environment },
      stdout: `${folder}/output`,
      command: `d=${quote(cache)} f=${quote(`${cache}/${program}`)} o=${quote(JSON.stringify(rank))}
exec <${quote(`${folder}/secret`)}
${findRuntime(runtime)}${before}${execRuntime('"$f"', '"$o"', words)}`,
    };
  }

  /** Waits for the ranks, as long as the job waits in its queue; from its start on for `timeout`. */
  async function ready({ id, folder }: Submitted, signal: AbortSignal): Promise<RankReady> {
    const { wait, wake } = newPause();
    signal.addEventListener("abort", wake);
    let running: number | undefined;
    for (let pause: number = LOOKS_MS[0];; pause = Math.min(pause * 1.5, LOOKS_MS[1])) {
      signal.throwIfAborted();
      const text = await scheduler.fetch(`${folder}/ready`);
      if (text !== undefined) return JSON.parse(text) as RankReady;
      const [state] = await scheduler.status(id);
      if (isOver(state.status)) {
        throw new Error(
          await lastWords(
            { id, folder },
            `the job ${id} ended (${state.status}) before its ranks were there`,
          ),
        );
      }
      if (state.status === "running") {
        running ??= performance.now();
        if (performance.now() - running > timeout) {
          await scheduler.cancel(id);
          const what = `the ranks of job ${id} were not there ${timeout} ms after it began`;
          throw new Error(await lastWords({ id, folder }, what));
        }
        pause = LOOKS_MS[0];
      }
      await wait(pause);
    }
  }

  async function isGone({ id }: Submitted): Promise<boolean> {
    const [state] = await scheduler.status(id);
    return isOver(state.status) || state.status === "unknown";
  }

  async function lastWords(
    { id, folder }: Pick<Submitted, "id" | "folder">,
    reason: string,
  ): Promise<string> {
    const said = (await scheduler.fetch(`${folder}/output`).catch(() => undefined))?.trim().slice(
      -LAST_WORDS,
    );
    return `${reason}; job ${id} ${said ? `said: ${said}` : "said nothing"}`;
  }

  let ending: Promise<void> | undefined;

  async function cancel({ id, folder }: Submitted): Promise<void> {
    const machine = await openMachine(scheduler.host);
    try {
      await scheduler.cancel(id);
      await removeFolder(machine, folder);
    } finally {
      await machine.close();
    }
  }

  return {
    open,
    async end() {
      if (current) {
        ending = cancel(current);
        current = undefined;
      }
      await ending;
    },
  };
}

function removeFolder(machine: Machine, folder: string): Promise<void> {
  return runScript(machine, `rm -rf ${quote(folder)}`);
}
