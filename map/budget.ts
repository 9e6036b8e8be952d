/**
 * How many cores this isolate may use. The main program has them all; a pool divides its share among its
 * workers, and a pool made inside a worker gets that worker's part, so that pools of 8 inside a pool of 8
 * give 16 threads and not 72.
 */
import { cpuCount } from "../runtime/mod.ts";
import { atLeastOne } from "./options.ts";

// On the global object, because a worker may hold two copies of this file: its own program's, and one that
// user code imported.
const KEY = Symbol.for("pathos.cores");

/** Tells this isolate, a worker, what it may use. */
export function setShare(cores: number): void {
  (globalThis as Record<symbol, unknown>)[KEY] = cores;
}

function share(): number | undefined {
  return (globalThis as Record<symbol, unknown>)[KEY] as number | undefined;
}

/**
 * Number of workers for a new pool: what was asked for, the cores by default, and inside a worker never
 * more than its share.
 */
export function grantWorkers(asked: number | undefined): number {
  const own = share();
  if (asked !== undefined) atLeastOne("workers", asked);
  return own === undefined ? asked ?? cpuCount() : Math.min(asked ?? own, own);
}

/** The part of each of `workers` workers. */
export function partOf(workers: number): number {
  return Math.max(1, Math.floor((share() ?? cpuCount()) / workers));
}
