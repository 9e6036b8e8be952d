/**
 * Processes as `/proc` shows them, for tests, benchmarks and examples that want to know what runs and what was left
 * behind.
 *
 * @module
 */
import process from "node:process";
import { readdirSync, readFileSync } from "node:fs";

/** A process as `/proc` shows it. */
export interface ProcessInfo {
  pid: number;
  parent: number;
  /** Its command line, arguments separated by spaces. */
  command: string;
}

/** The living descendants of a process (zombies left out), by the kernel's parent links, nearest first. */
export function processesBelow(pid: number): ProcessInfo[] {
  const all = processIds().flatMap(processInfo);
  const found: ProcessInfo[] = [];
  for (let parents = new Set([pid]); parents.size > 0;) {
    const children = all.filter((info) => parents.has(info.parent));
    found.push(...children);
    parents = new Set(children.map((info) => info.pid));
  }
  return found;
}

/** The living processes that have `NAME=value` in their environment. */
export function processesWith(variable: string): ProcessInfo[] {
  return processIds().filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(variable);
    } catch {
      return false; // gone, or not ours
    }
  }).flatMap(processInfo);
}

/** Whether the process is there and no zombie. */
export function isAlive(pid: number): boolean {
  return processInfo(pid).length > 0;
}

function processIds(): number[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number);
}

/** The process as a list of one, or of none when it has ended or is a zombie. */
function processInfo(pid: number): ProcessInfo[] {
  try {
    // "pid (name) state parent ...": the name may contain anything, so count from its last parenthesis.
    const [state, parent] = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ");
    if (state === "Z" || state === "X") return [];
    const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
    return [{ pid, parent: Number(parent), command }];
  } catch {
    return [];
  }
}

/** Sends a signal to each of the processes that is still there. */
export function signalAll(name: "SIGKILL" | "SIGSTOP" | "SIGCONT", list: readonly { pid: number }[]): void {
  for (const { pid } of list) {
    try {
      process.kill(pid, name);
    } catch (error) {
      if (!/ESRCH/.test(String(error))) throw error; // it has ended meanwhile
    }
  }
}
