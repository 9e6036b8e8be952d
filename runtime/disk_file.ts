/**
 * A file that is read and written in place, synchronously, at positions that the caller names, and that processes
 * can lock for themselves. What databases need; whole files are read and written by files.ts.
 *
 * Locks are those of flock(2): they belong to the open file, so two openings of one file exclude each other even in one
 * thread, and the system takes them away when the file is closed or its process dies, however it dies. Deno calls
 * flock itself. Node cannot: there the package `koffi` calls it (0.4 us), or where that is not installed the program
 * flock(1), on the open file handed down (some 4 ms a call). The three exclude each other. `PATHOS_FLOCK=program` in the
 * environment makes Node use the program even where there is koffi.
 *
 * Errors are the runtime's own, with the system's `code` ("ENOENT", "ENOSPC") where the system refused.
 */
import { builtin, env } from "./host.ts";

/** How a file is opened: for reading and writing unless `readOnly`. */
export interface DiskFileOptions {
  readOnly?: boolean;
  /** `"missing"` makes the file if it is not there, `"new"` fails with code `EEXIST` if it is. Default: fails with `ENOENT`. */
  create?: "missing" | "new";
  /** Mode of a new file, exactly, such as 0o600. Default: what the umask leaves of 0o666. */
  mode?: number;
}

/** An open file. */
export interface DiskFile {
  readonly path: string;
  /** Reads from a position on, until the array is full or the file ends; gives the number of bytes. */
  read(into: Uint8Array, at: number): number;
  /** Writes all these bytes at a position. */
  write(from: Uint8Array, at: number): void;
  /** Cuts the file, or fills it up with zeros, to so many bytes. */
  truncate(size: number): void;
  /** Bytes. */
  size(): number;
  /** Returns when the content is on the disk. */
  sync(): void;
  /**
   * Locks the file, shared or exclusive, in place of the lock that is held, without waiting. False if another open
   * file's lock is in the way; the lock that was held may then be lost.
   *
   * @throws {Error} If there is no flock here; the message says what to install.
   */
  tryLock(exclusive: boolean): boolean;
  /** Gives the lock back. */
  unlock(): void;
  /** Whether the path still leads to this very file, which has not been removed or replaced since it was opened. */
  isCurrent(): boolean;
  /** Closes the file, which unlocks it. Closing twice is no error. */
  close(): void;
}

/** Bytes of the file at a path, undefined if there is none. Where it is mostly there it costs one call (2 us). */
export function fileSize(path: string): number | undefined {
  try {
    return deno
      ? deno.statSync(path).size
      : builtin<NodeFiles>("node:fs").statSync(path, { throwIfNoEntry: false })?.size;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Opens a file for {@linkcode DiskFile}'s use. */
export function openDiskFile(path: string, options: DiskFileOptions = {}): DiskFile {
  if (deno) return new DenoDiskFile(deno, path, options);
  return new NodeDiskFile(path, options);
}

interface Stat {
  dev: number;
  ino: number | null;
  size: number;
}

interface FsFile {
  seekSync(offset: number, whence: 0 | 2): number;
  readSync(into: Uint8Array): number | null;
  writeSync(from: Uint8Array): number;
  truncateSync(size: number): void;
  syncDataSync(): void;
  statSync(): Stat;
  tryLockSync(exclusive: boolean): boolean;
  unlockSync(): void;
  close(): void;
}

interface DenoFiles {
  openSync(
    path: string,
    options: { read: true; write: boolean; create: boolean; createNew: boolean; mode?: number },
  ): FsFile;
  statSync(path: string): Stat;
  chmodSync(path: string, mode: number): void;
}

const deno = (globalThis as { Deno?: DenoFiles }).Deno;

class DenoDiskFile implements DiskFile {
  readonly #deno: DenoFiles;
  readonly #file: FsFile;
  #open = true;

  constructor(deno: DenoFiles, readonly path: string, { readOnly, create, mode }: DiskFileOptions) {
    this.#deno = deno;
    const open = (create: boolean, createNew: boolean) =>
      deno.openSync(path, { read: true, write: !readOnly, create, createNew, mode });
    this.#file = opened(open, create, mode, (mode) => deno.chmodSync(path, mode));
  }

  read(into: Uint8Array, at: number): number {
    this.#file.seekSync(at, 0);
    let count = this.#file.readSync(into) ?? 0;
    if (count === into.length) return count;
    for (let more: number | null = count; more && count < into.length; count += more ?? 0) {
      more = this.#file.readSync(into.subarray(count));
    }
    return count;
  }

  write(from: Uint8Array, at: number): void {
    this.#file.seekSync(at, 0);
    let count = this.#file.writeSync(from);
    while (count < from.length) count += this.#file.writeSync(from.subarray(count));
  }

  truncate(size: number): void {
    this.#file.truncateSync(size);
  }

  size(): number {
    return this.#file.seekSync(0, 2);
  }

  sync(): void {
    this.#file.syncDataSync();
  }

  tryLock(exclusive: boolean): boolean {
    return this.#file.tryLockSync(exclusive);
  }

  unlock(): void {
    this.#file.unlockSync();
  }

  isCurrent(): boolean {
    return same(this.#file.statSync(), () => this.#deno.statSync(this.path));
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#file.close();
  }
}

interface NodeFiles {
  constants: { O_RDONLY: number; O_RDWR: number; O_CREAT: number; O_EXCL: number };
  openSync(path: string, flags: number, mode?: number): number;
  readSync(fd: number, into: Uint8Array, offset: number, length: number, at: number): number;
  writeSync(fd: number, from: Uint8Array, offset: number, length: number, at: number): number;
  ftruncateSync(fd: number, size: number): void;
  fdatasyncSync(fd: number): void;
  fstatSync(fd: number): Stat;
  statSync(path: string): Stat;
  statSync(path: string, options: { throwIfNoEntry: false }): Stat | undefined;
  chmodSync(path: string, mode: number): void;
  closeSync(fd: number): void;
}

class NodeDiskFile implements DiskFile {
  readonly #fs = builtin<NodeFiles>("node:fs");
  readonly #fd: number;
  #open = true;

  constructor(readonly path: string, { readOnly, create, mode }: DiskFileOptions) {
    const { O_RDONLY, O_RDWR, O_CREAT, O_EXCL } = this.#fs.constants;
    const open = (create: boolean, createNew: boolean) =>
      this.#fs.openSync(
        path,
        (readOnly ? O_RDONLY : O_RDWR) | (create || createNew ? O_CREAT : 0) | (createNew ? O_EXCL : 0),
        mode,
      );
    this.#fd = opened(open, create, mode, (mode) => this.#fs.chmodSync(path, mode));
  }

  read(into: Uint8Array, at: number): number {
    let count = 0;
    while (count < into.length) {
      const more = this.#fs.readSync(this.#fd, into, count, into.length - count, at + count);
      if (more === 0) break;
      count += more;
    }
    return count;
  }

  write(from: Uint8Array, at: number): void {
    let count = 0;
    while (count < from.length) {
      count += this.#fs.writeSync(this.#fd, from, count, from.length - count, at + count);
    }
  }

  truncate(size: number): void {
    this.#fs.ftruncateSync(this.#fd, size);
  }

  size(): number {
    return this.#fs.fstatSync(this.#fd).size;
  }

  sync(): void {
    this.#fs.fdatasyncSync(this.#fd);
  }

  tryLock(exclusive: boolean): boolean {
    return flock()(this.#fd, exclusive ? LOCK_EX : LOCK_SH, this.path);
  }

  unlock(): void {
    flock()(this.#fd, LOCK_UN, this.path);
  }

  isCurrent(): boolean {
    return same(this.#fs.fstatSync(this.#fd), () => this.#fs.statSync(this.path));
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#fs.closeSync(this.#fd);
  }
}

/** Opens and, if that made the file, gives it its mode, whatever the umask. */
function opened<File>(
  open: (create: boolean, createNew: boolean) => File,
  create: DiskFileOptions["create"],
  mode: number | undefined,
  setMode: (mode: number) => void,
): File {
  if (create !== "missing" || mode === undefined) {
    const file = open(create === "missing", create === "new");
    if (create === "new" && mode !== undefined) setMode(mode);
    return file;
  }
  for (;;) {
    try {
      return open(false, false);
    } catch (error) {
      if (systemCode(error) !== "ENOENT") throw error;
    }
    try {
      const file = open(false, true);
      setMode(mode);
      return file;
    } catch (error) {
      if (systemCode(error) !== "EEXIST") throw error; // else another made it in between: open that
    }
  }
}

/** The system's name of what was wrong, such as "ENOENT"; undefined for other errors. */
export function systemCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : undefined;
}

function same(open: Stat, atPath: () => Stat): boolean {
  try {
    const found = atPath();
    return found.ino === open.ino && found.dev === open.dev;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return false;
    throw error;
  }
}

const LOCK_SH = 1, LOCK_EX = 2, LOCK_NB = 4, LOCK_UN = 8;

/** Calls flock(2) without waiting: false if another's lock is in the way. */
type Flock = (fd: number, operation: number, path: string) => boolean;

let found: Flock | undefined;

function flock(): Flock {
  return found ??= (env("PATHOS_FLOCK") === "program" ? undefined : flockByKoffi()) ?? flockByProgram();
}

interface Os {
  constants: { errno: { EAGAIN: number; EINTR: number } };
}

interface Koffi {
  load(library: null): { func(signature: string): (fd: number, operation: number) => number };
  errno(): number;
}

function flockByKoffi(): Flock | undefined {
  const koffi = requireKoffi();
  if (!koffi) return undefined;
  const call = koffi.load(null).func("int flock(int, int)");
  const { constants: { errno: { EAGAIN, EINTR } } } = builtin<Os>("node:os");
  return (fd, operation, path) => {
    while (call(fd, operation | LOCK_NB) !== 0) {
      const errno = koffi.errno();
      if (errno === EAGAIN) return false;
      if (errno !== EINTR) throw new Error(`${path} cannot be locked: flock failed with errno ${errno}`);
    }
    return true;
  };
}

/** Names a path of koffi for programs that lie elsewhere than what is installed. */
const KOFFI_VARIABLE = "PATHOS_KOFFI";

/** koffi, installed beside this package or beside the program; undefined if it is not. */
export function requireKoffi<Package = Koffi>(): Package | undefined {
  return fromInstalled((require) => require(env(KOFFI_VARIABLE) ?? "koffi") as Package);
}

/** Where koffi is, for programs that lie elsewhere: they find it if $PATHOS_KOFFI says so. */
export function koffiPath(): string | undefined {
  return env(KOFFI_VARIABLE) ?? fromInstalled((require) => require.resolve("koffi"));
}

type Require = ((name: string) => unknown) & { resolve(name: string): string };

function fromInstalled<T>(get: (require: Require) => T): T | undefined {
  const { createRequire } = builtin<{ createRequire(from: string): Require }>("node:module");
  const process = builtin<{ argv: string[]; cwd(): string }>("node:process");
  // in a worker that started from one script there is no import.meta.url
  for (const from of [import.meta.url, process.argv[1], `${process.cwd()}/program.js`]) {
    if (!from) continue;
    try {
      return get(createRequire(from));
    } catch {
      // not installed there, or without its part for this system: who asks has another way
    }
  }
  return undefined;
}

interface ChildProcess {
  spawnSync(
    program: string,
    args: string[],
    options: { stdio: ("ignore" | "pipe" | number)[]; encoding: "utf8" },
  ): { status: number | null; stderr: string; error?: Error };
}

function flockByProgram(): Flock {
  const { spawnSync } = builtin<ChildProcess>("node:child_process");
  return (fd, operation, path) => {
    const how = operation === LOCK_UN ? "--unlock" : operation === LOCK_EX ? "--exclusive" : "--shared";
    const { status, stderr, error } = spawnSync("flock", ["--nonblock", how, "3"], {
      stdio: ["ignore", "ignore", "pipe", fd],
      encoding: "utf8",
    });
    if (status === 0) return true;
    if (status === 1 && stderr === "") return false;
    const missing = systemCode(error) === "ENOENT";
    throw new Error(
      `${path} cannot be locked: ` +
        (missing
          ? "Node cannot do it alone, and there is no program flock here"
          : `flock failed, ${stderr.trim() || status}`) +
        "; install the npm package koffi beside @pathos/pathos, or use Deno",
      { cause: error },
    );
  };
}
