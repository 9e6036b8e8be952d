/**
 * The locks by which processes and threads share a database file.
 *
 * The protocol "pathos sqlite locks 1". Beside the database `c.sqlite` lies the folder `c.sqlite-locks` with four files,
 * which are locked by flock(2) as wholes. SQLite's own locks are POSIX record locks on the database file; they belong to the
 * process, not to the open file, so two openings of one file in one process do not exclude each other, and closing one
 * drops the other's; neither runtime can set them. A lock of flock is dropped by the system when its holder dies, so
 * no owner is written down, looked for or declared dead. The files stay until the database is dropped; nothing but
 * "protocol" has any content.
 *
 * `protocol` is held from opening to closing: shared by all who share the database, exclusively by one who has it
 * alone. Its first line names the protocol and its version: whoever finds another name keeps out, and every version must
 * begin by reading this line. Whoever finds the file empty takes it exclusively and writes the line. An exclusive holder
 * writes its process id as the second line; the line means nothing when the lock is free. The folder and the database are
 * only removed while `protocol` is held exclusively, so after locking it one looks whether it is still the file at its path.
 *
 * `shared`, `reserved` and `pending` carry the five levels that SQLite's pager asks for, while the database is shared:
 *   SHARED     `shared` is held shared. To get it one holds `pending` shared for a moment, hence no reader comes in while a writer
 *              waits for the readers to leave: writers do not starve.
 *   RESERVED   `reserved` is held exclusively besides: one writer at a time. Readers go on.
 *   PENDING    `pending` is held exclusively besides: no new readers.
 *   EXCLUSIVE  `shared` is held exclusively: no readers. Only the holder of `pending` tries this.
 * flock turns a shared lock into an exclusive one by dropping it first, and when that fails the shared one is lost. It can
 * be had again at once, since only the holder of `pending` takes `shared` exclusively. A process that rolls back what a
 * dead one left in the journal goes from SHARED through PENDING to EXCLUSIVE without RESERVED, as SQLite's pager wants it.
 * Nobody waits inside a lock call: a level that cannot be had is refused, and sqlite.ts tries again.
 *
 * Programs that do not know this protocol, such as `sqlite3`, may use the file only while nobody has it open here.
 */
import {
  type DiskFile,
  type DiskFileOptions,
  makeFolder,
  openDiskFile,
  processId,
  removeTree,
  sleepSync,
  systemCode,
} from "../runtime/mod.ts";

const PROTOCOL = "pathos sqlite locks 1";

/** Who may have the database open at the same time: others, or nobody. */
export type SharingMode = "shared" | "exclusive";

/** Levels as SQLite numbers them. */
export const NONE = 0, SHARED = 1, RESERVED = 2, PENDING = 3, EXCLUSIVE = 4;

/** Why a database cannot be opened in the mode asked for, for sqlite.ts to put into words. */
export class LockedError extends Error {
  override name = "LockedError";
}

/** What {@linkcode DatabaseLocks} needs to know. */
export interface LockOptions {
  readOnly?: boolean;
  permissions?: number;
  /** Milliseconds to wait for an opener or a dropper that is just at work. */
  timeout: number;
}

/** The locks of one open database. */
export class DatabaseLocks {
  readonly #folder: string;
  readonly #options: LockOptions;
  #protocol: DiskFile | undefined;
  #files: { shared: DiskFile; reserved: DiskFile; pending: DiskFile } | undefined;
  #level = NONE;
  /** Whether the lock files may only be read. */
  #untouched = false;

  /**
   * Opens the lock files of the database at `path` and enters, among others or alone.
   *
   * @throws {LockedError} If others are in the way, or follow another protocol.
   */
  constructor(readonly path: string, mode: SharingMode, options: LockOptions) {
    this.#folder = `${path}-locks`;
    this.#options = options;
    try {
      this.#enter(mode === "exclusive", true);
      this.#files = this.#protocol && {
        shared: this.#open("shared"),
        reserved: this.#open("reserved"),
        pending: this.#open("pending"),
      };
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * Leaves, and enters alone for a moment, or among others again. In between anything may have happened.
   *
   * @throws {LockedError} If others are in the way.
   */
  reenter(mode: SharingMode): void {
    this.#protocol?.close();
    this.#enter(mode === "exclusive", false);
  }

  /** Raises the level, as SQLite's xLock does; false if another is in the way. */
  lock(level: number): boolean {
    if (this.#level >= level || this.#files === undefined) return true;
    const { shared, reserved, pending } = this.#files;
    if (this.#level === NONE) {
      if (!pending.tryLock(false)) return false;
      const free = shared.tryLock(false);
      pending.unlock();
      if (!free) return false;
      this.#level = SHARED;
    }
    if (level === RESERVED) {
      if (!reserved.tryLock(true)) return false;
      this.#level = RESERVED;
    }
    if (level < PENDING) return true;
    const before = this.#level;
    if (this.#level < PENDING) {
      if (!pending.tryLock(true)) return false;
      this.#level = PENDING;
    }
    if (level < EXCLUSIVE) return true;
    if (shared.tryLock(true)) {
      this.#level = EXCLUSIVE;
      return true;
    }
    if (!shared.tryLock(false)) throw new Error(`${this.#folder}: another holds "shared" without "pending"`);
    // A writer keeps new readers out until it gets through. Who found a dead one's journal steps back for who is quicker.
    if (before === SHARED) {
      pending.unlock();
      this.#level = SHARED;
    }
    return false;
  }

  /** Lowers the level to SHARED or NONE, as SQLite's xUnlock does. */
  unlock(level: number): void {
    if (this.#level <= level || this.#files === undefined) return;
    const { shared, reserved, pending } = this.#files;
    if (level === NONE) shared.unlock();
    else if (this.#level === EXCLUSIVE) shared.tryLock(false);
    if (this.#level >= RESERVED) reserved.unlock();
    if (this.#level >= PENDING) pending.unlock();
    this.#level = level;
  }

  /** Whether some writer has RESERVED, as SQLite's xCheckReservedLock asks. */
  isReserved(): boolean {
    if (this.#files === undefined) return false;
    if (this.#level >= RESERVED) return true;
    const { reserved } = this.#files;
    if (!reserved.tryLock(false)) return true;
    reserved.unlock();
    return false;
  }

  /** Removes the folder. Only while others are shut out, after the database has been removed. */
  remove(): void {
    removeTree(this.#folder);
  }

  /** Drops all locks. */
  close(): void {
    this.#protocol?.close();
    for (const file of Object.values(this.#files ?? {})) file.close();
    this.#protocol = this.#files = undefined;
  }

  #enter(exclusive: boolean, forGood: boolean): void {
    const start = performance.now();
    // who shares is there for long, who has it exclusively without saying so is not
    const limit = exclusive ? Math.min(1000, this.#options.timeout) : this.#options.timeout;
    for (let pause = 1;; pause = Math.min(50, 2 * pause)) {
      const obstacle = this.#tryEnter(exclusive, forGood);
      if (obstacle === undefined) return;
      if (obstacle.lasting || performance.now() - start > limit) {
        throw new LockedError(`cannot be opened: ${obstacle.what}`);
      }
      sleepSync(pause);
    }
  }

  /** Locks the file "protocol", made and begun if need be; gives what is in the way. */
  #tryEnter(exclusive: boolean, forGood: boolean): { what: string; lasting: boolean } | undefined {
    const file = this.#openProtocol();
    if (file === undefined) return undefined;
    let entered = false;
    try {
      const [line] = content(file);
      if (line !== "" && line !== PROTOCOL) {
        throw new LockedError(
          `cannot be opened: its processes keep apart by the protocol "${line}", and this version of the ` +
            `library knows "${PROTOCOL}"; use one version for all, or remove ${this.#folder} when nobody has it open`,
        );
      }
      if (!file.tryLock(exclusive || line === "")) {
        return this.#obstacle(file, exclusive && line !== "");
      }
      if (!file.isCurrent()) return { what: "another process is just removing it", lasting: false };
      if (exclusive || line === "") {
        const holder = exclusive && forGood ? `${processId()}\n` : "";
        const content = new TextEncoder().encode(`${PROTOCOL}\n${holder}`);
        file.write(content, 0);
        file.truncate(content.length);
        if (!exclusive && !file.tryLock(false)) {
          return { what: "another process was quicker", lasting: false };
        }
      }
      this.#protocol = file;
      entered = true;
      return undefined;
    } finally {
      if (!entered) file.close();
    }
  }

  #openProtocol(): DiskFile | undefined {
    const { readOnly, permissions } = this.#options;
    try {
      // who may read the files may look into the folder
      makeFolder(
        this.#folder,
        permissions === undefined ? undefined : permissions | (permissions & 0o444) >> 2,
      );
      return this.#open("protocol");
    } catch (error) {
      if (!readOnly || !isRefusal(error)) throw error;
    }
    this.#untouched = true;
    try {
      return this.#open("protocol");
    } catch (error) {
      if (systemCode(error) === "ENOENT") return undefined; // then nobody who may write has it open, or ever had
      throw error;
    }
  }

  #open(name: string): DiskFile {
    const options: DiskFileOptions = this.#untouched
      ? { readOnly: true }
      : { create: "missing", mode: this.#options.permissions };
    return openDiskFile(`${this.#folder}/${name}`, options);
  }

  /** Who is in the way of locking "protocol". */
  #obstacle(file: DiskFile, exclusive: boolean): { what: string; lasting: boolean } {
    if (exclusive && file.tryLock(false)) {
      const what = 'it is open elsewhere, here or in another process, and mode: "exclusive" wants it alone';
      return { what, lasting: false };
    }
    const [, holder] = content(file);
    const what = holder
      ? `process ${holder} has it open with mode: "exclusive"; close it there, or share it in both`
      : "another process is bringing it into order";
    return { what, lasting: holder !== "" };
  }
}

/** The protocol's name, and the process that has the database for itself; "" for what is not there. */
function content(file: DiskFile): [protocol: string, holder: string] {
  const bytes = new Uint8Array(200);
  const lines = new TextDecoder().decode(bytes.subarray(0, file.read(bytes, 0))).split("\n");
  return [lines[0], lines[1] ?? ""];
}

/** Whether the system, or Deno, refuses to have something written. */
function isRefusal(error: unknown): boolean {
  return ["EACCES", "EPERM", "EROFS"].includes(systemCode(error) ?? "") ||
    (error as Error).name === "NotCapable";
}
