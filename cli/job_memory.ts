/**
 * The jobs that `pathos job submit` has submitted, so that later commands need only their ids: with which scheduler, on which host,
 * from which folder, and where their output goes. One small file for each, in the user's state folder; the values of variables that a
 * job was given are not kept. What is older than half a year is forgotten.
 */
import {
  builtin,
  env,
  fileKind,
  fileState,
  listFolder,
  makeFolder,
  readFile,
  removeFile,
  writeFile,
} from "../runtime/mod.ts";
import type { JobDescription } from "../mpi/job.ts";
import { UsageError } from "./flags.ts";

/** A job that was submitted. */
export interface Remembered {
  /** As the scheduler named it. */
  id: string;
  /** The name of the scheduler. */
  scheduler: string;
  /** The host it was submitted on, as it was named; none: this machine. */
  host?: string;
  /** The ssh_config by which it is reached. */
  sshConfig?: string;
  /** The folder it was submitted from, on this machine. */
  cwd?: string;
  /** When, in milliseconds since 1970. */
  submitted: number;
  /** What was asked for, without the environment. */
  job: JobDescription;
}

const KEPT_MS = 183 * 24 * 3_600_000;

/** `$XDG_STATE_HOME/pathos/jobs`, or that in `~/.local/state`; undefined where there is no home folder. */
function location(): string | undefined {
  const home = env("HOME") ?? env("USERPROFILE");
  const state = env("XDG_STATE_HOME") ?? (home === undefined ? undefined : `${home}/.local/state`);
  return state === undefined ? undefined : `${state}/pathos/jobs`;
}

/**
 * Remembers a job.
 *
 * @throws {Error} If it cannot be written.
 */
export function remember(entry: Remembered): void {
  const folder = location();
  if (folder === undefined) {
    throw new Error("there is no home folder: neither $HOME nor $XDG_STATE_HOME is set");
  }
  makeFolder(folder, 0o700);
  forgetOld(folder);
  const { environment: _, ...job } = entry.job;
  const text = JSON.stringify({ ...entry, job }, null, 1);
  writeFile(`${folder}/${fileName(entry)}`, new TextEncoder().encode(`${text}\n`), { mode: 0o600 });
}

/** The jobs of which these are ids, or ids of tasks of their arrays; the latest first. */
export function recall(id: string): Remembered[] {
  const folder = location();
  if (folder === undefined || fileKind(folder) !== "folder") return [];
  const job = jobOf(id);
  return listFolder(folder).filter(({ name }) => name.startsWith(`${safe(job)}@`) && name.endsWith(".json"))
    .map(({ name }) => read(`${folder}/${name}`))
    .filter((entry) => jobOf(entry.id) === job)
    .sort((a, b) => b.submitted - a.submitted);
}

function read(path: string): Remembered {
  try {
    return JSON.parse(new TextDecoder().decode(readFile(path)));
  } catch (error) {
    throw new UsageError(
      `${path} cannot be read (${(error as Error).message}): remove it, and give --scheduler`,
    );
  }
}

/** The number of the job: tasks are `12_3`, `12[3]`, `12.3`; PBS adds its server, `12[].server`. */
function jobOf(id: string): string {
  return /^\d+/.exec(id)?.[0] ?? id.replace(/\[.*$/, "");
}

function fileName({ id, scheduler, host = "" }: Remembered): string {
  const digest = builtin<Crypto>("node:crypto").createHash("sha256").update(`${scheduler} ${host}`).digest(
    "hex",
  );
  return `${safe(jobOf(id))}@${digest.slice(0, 12)}.json`;
}

interface Crypto {
  createHash(name: string): { update(text: string): { digest(encoding: "hex"): string } };
}

function safe(text: string): string {
  return text.replace(/[^A-Za-z0-9_.-]/g, "_");
}

function forgetOld(folder: string): void {
  for (const { name } of listFolder(folder)) {
    const { modified } = fileState(`${folder}/${name}`) ?? {};
    if (modified !== undefined && Date.now() - modified > KEPT_MS) removeFile(`${folder}/${name}`);
  }
}
