/**
 * One open database for all archives of a thread that are in one file: they share its memory and its locks, and the last
 * one closes it.
 */
import { Database, type DatabaseOptions, databasePath } from "./sqlite.ts";

interface Shared {
  readonly database: Database;
  users: number;
}

const open = new Map<string, Shared>();

/** A database, and what gives it back. */
export interface Lease {
  readonly database: Database;
  /** How many leases of it there are. */
  users(): number;
  /** Ends the lease; the last one closes the database. Once. */
  release(): void;
}

/** The database at a path, opened or shared with who has it open in the same way. */
export function leaseDatabase(path: string, options: DatabaseOptions): Lease {
  const full = databasePath(path);
  const name = `${options.mode ?? "shared"} ${options.readOnly ? "r" : "w"} ${full}`;
  let shared = full === ":memory:" ? undefined : open.get(name);
  // somebody may have removed the file, or put another in its place
  if (!shared?.database.isCurrent()) {
    shared = { database: new Database(full, options), users: 0 };
    if (full !== ":memory:") open.set(name, shared);
  }
  const { database } = shared;
  shared.users++;
  return {
    database,
    users: () => shared.users,
    release() {
      if (--shared.users > 0) return;
      if (open.get(name) === shared) open.delete(name);
      database.close();
    },
  };
}
