/**
 * Which scheduler a command is for: the one that was named, the one that a job was submitted with, or the one whose programs are there,
 * on this machine or on a host.
 */
import { fileKind } from "../runtime/mod.ts";
import { Host } from "../ssh/host.ts";
import { type SchedulerName, schedulers, sge, whichScheduler } from "../mpi/schedulers.ts";
import type { Scheduler } from "../mpi/submit.ts";
import { type Parsed, UsageError } from "./flags.ts";
import type { Remembered } from "./job_memory.ts";
import { didYouMean } from "./nearest.ts";
import { hostNamed, usage } from "./remote.ts";

/** Other names that people have for them. */
const ALIASES: Record<string, SchedulerName> = { pbs: "openpbs", gridengine: "sge" };

/** A scheduler, and where it is. */
export interface Chosen {
  name: SchedulerName;
  /** As the host was named; none: this machine. */
  hostName: string | undefined;
  scheduler: Scheduler;
}

function open(
  name: SchedulerName,
  hostName: string | undefined,
  host: Host | undefined,
  cwd: string | undefined,
  args: Parsed,
): Chosen {
  const options = { host, cwd };
  const names = { parallelEnvironment: args.text("parallel-environment") };
  return {
    name,
    hostName,
    scheduler: name === "sge" ? sge({ ...options, names }) : schedulers[name](options),
  };
}

/** The scheduler given by `--scheduler`; undefined if none was. */
export function namedScheduler(args: Parsed): SchedulerName | undefined {
  const given = args.text("scheduler");
  if (given === undefined) return undefined;
  const found = known(given.toLowerCase());
  if (found) return found;
  const all = Object.keys(schedulers);
  throw new UsageError(
    `there is no scheduler ${given}${
      didYouMean(given.toLowerCase(), all) || `; there are ${all.join(", ")}`
    }`,
  );
}

function known(name: string): SchedulerName | undefined {
  return ALIASES[name] ?? (Object.keys(schedulers) as SchedulerName[]).find((known) => known === name);
}

/**
 * The scheduler that something which was submitted names, here or on a host.
 *
 * @throws {UsageError} If there is none of that name.
 */
export function schedulerNamed(name: string, host: Host | undefined, args: Parsed): Scheduler {
  const found = known(name);
  if (!found) throw new UsageError(`it was submitted to ${name}, and there is no scheduler of that name`);
  return open(found, undefined, host, undefined, args).scheduler;
}

/**
 * The scheduler that the flags name, or that is there.
 *
 * @param say Told which was found.
 * @throws {UsageError} If none is there.
 */
export async function chosenScheduler(
  args: Parsed,
  cwd: string | undefined,
  say: (message: string) => void,
): Promise<Chosen> {
  const hostName = args.text("host");
  const host = hostName === undefined ? undefined : hostNamed(hostName, args);
  let name = namedScheduler(args);
  if (name === undefined) {
    name = await whichScheduler({ host });
    const where = hostName === undefined ? "here" : `on ${hostName}`;
    if (name === undefined) {
      throw new UsageError(
        `there is no batch scheduler ${where}: none of sbatch, bsub, msub and qsub is on the PATH. ` +
          (hostName === undefined ? "Name its host by --host" : "Set PATH in the host's env in hosts.yaml"),
      );
    }
    say(`the scheduler ${where} is ${name}`);
  }
  return open(name, hostName, host, host === undefined ? cwd : undefined, args);
}

/** The scheduler that a job was submitted with. */
export function schedulerOf({ scheduler, host: hostName, sshConfig, cwd }: Remembered, args: Parsed): Chosen {
  const config = args.text("ssh-config") ?? sshConfig;
  const acceptNew = args.on("accept-new");
  const host = hostName === undefined ? undefined : usage(() =>
    Host.from({
      host: hostName,
      ...(config === undefined ? {} : { config }),
      ...(acceptNew === undefined ? {} : { acceptNew }),
    })
  );
  const folder = cwd !== undefined && fileKind(cwd) === "folder" ? cwd : undefined; // it may be gone by now
  return open(scheduler as SchedulerName, hostName, host, folder, args);
}
