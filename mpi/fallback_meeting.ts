/**
 * Where the ranks of a job find each other when there is no MPI library: in a folder that all of them see, through a file that rank 0
 * writes and that tells how to reach it, with a secret. The folder is the job's own; nobody else may enter it (0700) or read the file (0600).
 *
 * It is a folder in that which `PATHOS_RENDEZVOUS` names; else in `$XDG_RUNTIME_DIR/pathos`, if the launcher tells that all ranks are on this
 * machine; else in `$XDG_CACHE_HOME/pathos` or `~/.cache/pathos`, which clusters share. Its name is what the launcher calls the job;
 * for one that gives no name, the launcher's process on this machine, or where that cannot be known the number of ranks: two
 * such jobs at the same time take each other's ranks for their own, and then say so, unless they are given names by `PATHOS_JOB`.
 *
 * A file that an earlier job has left leads nowhere: nobody answers there who knows its secret. Rank 0 replaces it,
 * the others wait for that.
 */
import {
  builtin,
  env,
  equalInConstantTime,
  exists,
  hostname,
  makeFolder,
  processId,
  processStart,
  readFile,
  removeEmptyFolder,
  removeFile,
  sleepSync,
  systemCode,
  tempFolder,
  writeFile,
} from "../runtime/mod.ts";
import { MpiError } from "./errors.ts";
import { ERR } from "./fallback_types.ts";
import { type RankEnv, rankFromEnv } from "./rank_env.ts";

/** How the ranks talk to each other. */
export type Way = "tcp" | "files";

/** Who a rank is. */
export interface Person {
  host: string;
  pid: number;
  /** When the process began, by which another one of that number is told from it. */
  start?: string;
}

/** What the file says. */
export interface Invitation extends Person {
  way: Way;
  size: number;
  /** The secret. */
  token: string;
  /** Where rank 0 listens. */
  addresses: { host: string; port: number }[];
}

/** A meeting, as one rank comes to it. */
export interface Meeting {
  readonly rank: number;
  readonly size: number;
  readonly place: RankEnv;
  /** The job's folder. */
  readonly folder: string;
  readonly path: string;
  /** How long to wait for each other, in milliseconds, and until when by the clock of `performance.now`. */
  readonly timeout: number;
  readonly deadline: number;
}

/** The error of ranks that cannot meet. */
export function cannotMeet(text: string): MpiError {
  return new MpiError("MPI_Init_thread", ERR.OTHER, ERR.OTHER, text);
}

/** Makes the folder of the job. */
export function openMeeting(place: RankEnv, size: number): Meeting {
  const given = env("PATHOS_RENDEZVOUS_TIMEOUT") || "60000", timeout = Number(given);
  if (!(timeout > 0)) {
    throw new TypeError(`PATHOS_RENDEZVOUS_TIMEOUT=${given}: it is a number of milliseconds, such as 60000`);
  }
  const name = `mpi-${jobName(place, size)}`.replace(/[^\w.-]/g, "_");
  const above = commonFolder(place, size), folder = `${above}/${name}`;
  try {
    makeFolder(above, 0o700);
    makeFolder(folder, 0o700);
  } catch (error) {
    throw cannotMeet(
      `the ranks meet in ${folder}, which cannot be made (${(error as Error).message}); ` +
        "name a folder that all of them may write to: PATHOS_RENDEZVOUS=/path",
    );
  }
  mustBeOurs(folder, 0o700);
  const { rank } = place;
  return {
    rank,
    size,
    place,
    folder,
    path: `${folder}/meeting`,
    timeout,
    deadline: performance.now() + timeout,
  };
}

/** Name of this machine, if it may be asked for. */
export function machine(): string {
  try {
    return hostname();
  } catch {
    return env("HOSTNAME") ?? "a machine without a name";
  }
}

/** This process. */
export function myself(): Person {
  const pid = processId(), start = processStart(pid);
  return { host: machine(), pid, ...start === undefined ? {} : { start } };
}

/** What to call a rank's process. */
export function sayPerson({ pid, host }: Person): string {
  return `process ${pid} on ${host}`;
}

/** Kills a process if it is one of this machine, and still the same. */
export function killNear({ host, pid, start }: Person): void {
  if (host !== machine() || start === undefined || processStart(pid) !== start) return;
  try {
    builtin<{ kill(pid: number, signal: string): void }>("node:process").kill(pid, "SIGKILL");
  } catch {
    // it has just ended, or this process may not
  }
}

/** Whether two secrets are the same. */
export function sameSecret(a: unknown, b: string): boolean {
  const encoder = new TextEncoder();
  return typeof a === "string" && equalInConstantTime(encoder.encode(a), encoder.encode(b));
}

/** Writes the file, for rank 0. */
export function invite(meeting: Meeting, invitation: Invitation): void {
  makeFolder(meeting.folder, 0o700); // the last ranks of an earlier job may just have removed it
  mustBeOurs(meeting.folder, 0o700);
  writeFile(meeting.path, new TextEncoder().encode(JSON.stringify(invitation)), { mode: 0o600 });
}

/**
 * Reads the file; undefined if there is none yet.
 *
 * @throws {MpiError} If others could have written or read it, or rank 0 talks in another way than this one or has another number of ranks.
 */
export function readInvitation(meeting: Meeting, way: Way): Invitation | undefined {
  let text: string;
  try {
    mustBeOurs(meeting.path, 0o600);
    text = new TextDecoder().decode(readFile(meeting.path));
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
  const invitation: Invitation = JSON.parse(text);
  if (invitation.way !== way) {
    throw cannotMeet(
      `rank 0 talks ${sayWay(invitation.way)}, rank ${meeting.rank} can only talk ${sayWay(way)}: ` +
        `set PATHOS_MPI=files for all ranks, or see that all have the same permissions and libraries (${meeting.path})`,
    );
  }
  if (invitation.size === meeting.size) return invitation;
  throw cannotMeet(
    `rank ${meeting.rank} is one of ${meeting.size}, but rank 0 in ${meeting.path} is one of ${invitation.size}: ` +
      "is that another job? Give each job a folder or a name: PATHOS_RENDEZVOUS=/path, PATHOS_JOB=name",
  );
}

/** Removes the file, if it is the one with this secret, and the folder if nothing else is in it. */
export function endMeeting(meeting: Meeting, token: string | undefined): void {
  try {
    if (token !== undefined && isCurrent(meeting, token)) removeFile(meeting.path);
    removeEmptyFolder(meeting.folder);
  } catch {
    // the folder is gone, or is no longer ours: there is nothing to remove
  }
}

/** Whether the file still has this secret: another job's rank 0 replaces it. */
export function isCurrent(meeting: Meeting, token: string): boolean {
  try {
    return sameSecret(JSON.parse(new TextDecoder().decode(readFile(meeting.path))).token, token);
  } catch {
    return false;
  }
}

/** What an error says of another job's rank 0 that has replaced the file. */
export function replaced({ path }: Meeting): MpiError {
  return cannotMeet(
    `another job meets in the same place, it has replaced ${path}: ` +
      "give each job a folder or a name: PATHOS_RENDEZVOUS=/path, PATHOS_JOB=name",
  );
}

/** The error for ranks that have not come in time. */
export function missing({ timeout, size, folder }: Meeting, ranks: readonly number[]): MpiError {
  const which = ranks.length === 1 ? `rank ${ranks[0]} has` : `ranks ${ranks.join(", ")} have`;
  return cannotMeet(
    `${which} not come within ${
      timeout / 1000
    } s, of ${size} that meet in ${folder}. Were they started, and is that ` +
      "the same folder for all (else set PATHOS_RENDEZVOUS)? PATHOS_RENDEZVOUS_TIMEOUT sets the time in milliseconds",
  );
}

/** Calls again and again, with longer and longer pauses, until it gives something. */
export function again<T>(attempt: () => T | undefined, longest = 20): T {
  for (let pause = 0.5;; pause = Math.min(longest, pause * 1.3)) {
    const found = attempt();
    if (found !== undefined) return found;
    sleepSync(pause);
  }
}

function sayWay(way: Way): string {
  return way === "tcp" ? "over TCP" : "through files";
}

function commonFolder({ localSize }: RankEnv, size: number): string {
  const given = env("PATHOS_RENDEZVOUS");
  if (given) return given;
  const runtime = env("XDG_RUNTIME_DIR");
  if (localSize === size && runtime && exists(runtime)) return `${runtime}/pathos`;
  const cache = env("XDG_CACHE_HOME") || (env("HOME") ? `${env("HOME")}/.cache` : undefined);
  return cache ? `${cache}/pathos` : `${tempFolder()}/pathos-${userId() ?? "mpi"}`;
}

function jobName(place: RankEnv, size: number): string {
  const { job, launcher, localSize } = place;
  if (job !== undefined) return `${launcher}-${job}`;
  return `${launcher}-${launcher !== "pathos" && localSize === size ? launcherProcess() : `of-${size}`}`;
}

/** The nearest process above this one that is not itself part of a rank, and when it began. */
function launcherProcess(): string {
  let pid = builtin<{ ppid: number }>("node:process").ppid;
  try {
    for (;;) {
      const text = new TextDecoder().decode(readFile(`/proc/${pid}/environ`));
      const variables = new Map(
        text.split("\0").map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
      );
      const parent = Number(
        new TextDecoder().decode(readFile(`/proc/${pid}/stat`)).replace(/^.*\) /s, "").split(" ")[1],
      );
      if (!rankFromEnv((name) => variables.get(name)) || parent <= 1) break;
      pid = parent;
    }
  } catch {
    // not Linux, or not permitted: it is the parent, unless that is a script
  }
  return `${pid}-${processStart(pid) ?? ""}`;
}

interface Fs {
  lstatSync(path: string): { uid: number; mode: number };
}

function mustBeOurs(path: string, mode: number): void {
  const found = builtin<Fs>("node:fs").lstatSync(path), user = userId();
  const owned = user === undefined || found.uid === user, allowed = found.mode & 0o777;
  if (owned && (allowed & ~mode) === 0) return;
  throw cannotMeet(
    `${path} ${
      owned ? `has the mode ${allowed.toString(8)}` : `belongs to the user with number ${found.uid}`
    }, ` +
      `but only this user may read and write it (mode ${
        mode.toString(8)
      }): remove it, or set PATHOS_RENDEZVOUS to another folder`,
  );
}

/** Undefined where it may not be asked: then the mode alone has to tell, as others' files of mode 0600 cannot be read. */
function userId(): number | undefined {
  try {
    return builtin<{ getuid?(): number }>("node:process").getuid?.();
  } catch {
    return undefined;
  }
}
