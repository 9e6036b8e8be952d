/**
 * Processes on this machine or a host: found by what their command line says, their parents, groups and
 * children, and signals to them. What `ps` shows decides, as POSIX specifies it.
 */
import { processId } from "../runtime/mod.ts";
import { execute, type HostLike } from "./execute.ts";
import { Host } from "./host.ts";

interface Process {
  pid: number;
  parent: number;
  group: number;
  command: string;
}

/** Where a process is looked for: on this machine, or on `host`. */
export interface Where {
  /** The host. Default: this machine. */
  host?: HostLike;
}

async function processes(host: HostLike | undefined): Promise<Process[]> {
  const { stdout } = await execute(["ps", "-A", "-o", "pid=", "-o", "ppid=", "-o", "pgid=", "-o", "args="], {
    host,
    check: true,
  });
  return stdout.split("\n").flatMap((line) => {
    const [, pid, parent, group, command] = /^\s*(\d+)\s+(\d+)\s+(\d+)\s(.*)$/.exec(line) ?? [];
    // the ps that answers is not what is asked for
    return pid === undefined || command.startsWith("ps -A -o pid=")
      ? []
      : [{ pid: Number(pid), parent: Number(parent), group: Number(group), command }];
  });
}

async function find(pid: number, host: HostLike | undefined): Promise<[Process, Process[]]> {
  const all = await processes(host);
  const found = all.find((process) => process.pid === pid);
  if (!found) throw new Error(`there is no process ${pid}${on(host)}`);
  return [found, all];
}

/** A process id where none is given: this process, which is only on this machine. */
function given(pid: number | undefined, host: HostLike | undefined): number {
  if (pid !== undefined) return pid;
  if (host === undefined) return processId();
  throw new TypeError("say which process on the host: this program runs here");
}

function on(host: HostLike | undefined): string {
  return host === undefined ? "" : ` on ${Host.from(host).name}`;
}

/**
 * The process id of this program; of the first process whose command line contains `target`; or with `all` those of all
 * such processes.
 *
 * @throws {Error} If there is none, unless `all` is set.
 *
 * @example
 * ```ts
 * import { getpid } from "@pathos/pathos/ssh";
 * import { assert } from "@std/assert";
 *
 * assert(await getpid() > 0);
 * assert((await getpid("no such program", { all: true })).length === 0);
 * ```
 */
export function getpid(target?: string, options?: Where & { all?: false }): Promise<number>;
/** The process ids of all processes whose command line contains `target`. */
export function getpid(target: string, options: Where & { all: true }): Promise<number[]>;
export async function getpid(
  target?: string,
  { host, all = false }: Where & { all?: boolean } = {},
): Promise<number | number[]> {
  if (target === undefined) return given(undefined, host);
  const found = (await processes(host)).filter(({ command }) => command.includes(target)).map(({ pid }) =>
    pid
  );
  if (all) return found;
  if (found.length === 0) {
    throw new Error(`there is no process with ${JSON.stringify(target)} in its command line${on(host)}`);
  }
  return found[0];
}

/**
 * The process id of the parent of a process (default: of this program), or with `group` the id of its process group.
 *
 * @throws {Error} If there is no such process.
 *
 * @example
 * ```ts
 * import { getchild, getpid, getppid } from "@pathos/pathos/ssh";
 * import { assert } from "@std/assert";
 *
 * const parent = await getppid();
 * assert((await getchild(parent)).includes(await getpid()));
 * ```
 */
export async function getppid(
  pid?: number,
  { host, group = false }: Where & { group?: boolean } = {},
): Promise<number> {
  const [found] = await find(given(pid, host), host);
  return group ? found.group : found.parent;
}

/**
 * The process ids of the children of a process (default: of this program), or with `group` of all processes in its
 * process group.
 *
 * @throws {Error} If there is no such process.
 */
export async function getchild(
  pid?: number,
  { host, group = false }: Where & { group?: boolean } = {},
): Promise<number[]> {
  const [found, all] = await find(given(pid, host), host);
  return all.filter((other) => group ? other.group === found.group : other.parent === found.pid).map((
    { pid },
  ) => pid);
}

/**
 * Sends a signal (default: SIGTERM) to a process on this machine, or on `host`.
 *
 * @throws {CommandError} If there is no such process, or it is somebody else's.
 */
export async function kill(
  pid: number,
  { host, signal = "SIGTERM" }: Where & { signal?: string } = {},
): Promise<void> {
  if (!Number.isInteger(pid) || pid <= 1) {
    throw new TypeError(`kill: ${pid} is not the id of a process of yours`);
  }
  if (!/^(SIG)?[A-Z][A-Z0-9+-]*$/.test(signal)) {
    throw new TypeError(`kill: there is no signal ${JSON.stringify(signal)}`);
  }
  await execute(`kill -${signal.replace(/^SIG/, "")} ${pid}`, { host, check: true });
}
