/**
 * One writer at a time of a file that is rewritten whole: an exclusive flock on a side file. The system takes the lock away from
 * a process that dies. Only who holds the lock may remove the side file, and whoever locks a file asks then whether the path
 * still leads to it, so no two can hold the lock by two files.
 */
import { type DiskFile, openDiskFile, removeFile, sleepSync } from "../runtime/mod.ts";
import { cannot } from "./system_errors.ts";

/** Milliseconds for which a lock is waited for, unless the caller says otherwise. */
const LOCK_TIMEOUT = 60_000;

/** The locks that this thread holds: waiting for one of them would never end. */
const mine = new Set<string>();

/** A lock while it is held. */
export interface HeldLock {
  /** Removes the side file as well, when the lock ends. */
  remove(): void;
}

/**
 * Calls `body` while it holds the lock.
 *
 * @param path The side file; it is made if it is missing.
 * @param options How many milliseconds to wait for the lock, and the mode of a new side file.
 * @param body What to do; it must not wait for this lock.
 * @throws {Error} If another has the lock for longer than that; `body` was not called then.
 */
export function withFileLock<T>(
  path: string,
  { timeout = LOCK_TIMEOUT, mode }: { timeout?: number; mode?: number },
  body: (lock: HeldLock) => T,
): T {
  if (mine.has(path)) {
    throw new Error(
      `${path} is locked by a transaction of this very program on the same file: let that end first, or use one archive for both`,
    );
  }
  const file = locked(path, timeout, mode);
  mine.add(path);
  let remove = false;
  try {
    return body({ remove: () => remove = true });
  } finally {
    mine.delete(path);
    try {
      if (remove) removeFile(path);
    } finally {
      file.close();
    }
  }
}

function locked(path: string, timeout: number, mode: number | undefined): DiskFile {
  const end = Date.now() + timeout;
  for (;;) {
    const file = opened(path, mode);
    let held = false;
    try {
      while (!file.tryLock(true)) {
        if (Date.now() > end) {
          throw new Error(
            `${path} is locked by another process, and still was after ${timeout} ms; the option timeout says how long to wait`,
          );
        }
        sleepSync(0.2 + 4 * Math.random());
      }
      held = file.isCurrent();
      if (held) return file;
    } finally {
      if (!held) file.close();
    }
  }
}

function opened(path: string, mode: number | undefined): DiskFile {
  try {
    return openDiskFile(path, { create: "missing", mode });
  } catch (error) {
    throw cannot(error, `${path} cannot be made, which writers lock`);
  }
}
