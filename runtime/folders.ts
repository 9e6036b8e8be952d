/**
 * What is in folders, as fast as the system tells it: names with their kinds, read synchronously, a folder at a time.
 * On Linux they come from getdents64(3) where there are many, which is up to twice as fast as what the runtimes have: in Deno
 * if the program may call C functions and read everything, in Node if koffi is there; else from the runtime. Names that are not UTF-8 cannot be used in any of the runtimes: they
 * are listed apart, so that nobody opens something else by a name that looks alike.
 *
 * Not in mod.ts, because workers have no use for it.
 */
import { systemCode } from "./disk_file.ts";
import { bindClosable, bindLibrary, type CFunctions, cText } from "./ffi.ts";
import { arch, builtin, platform } from "./host.ts";
import { granted } from "./permissions.ts";

/** What an entry of a folder is. Links are not followed. */
export type EntryKind = "file" | "folder" | "link" | "socket" | "block" | "char" | "pipe" | "unknown";

/** What is in a folder, in the system's order. */
export interface FolderEntries {
  readonly names: string[];
  /** The kinds, by the places of the names. */
  readonly kinds: EntryKind[];
  /** What has a name that is not UTF-8; the name with its wrong bytes as `\xff`, or as U+FFFD where they are not known. */
  readonly unnameable: { name: string; kind: EntryKind }[];
}

/** What the system knows of what is at a path. */
export interface EntryState {
  kind: EntryKind;
  /** Bytes in it. */
  size: number;
  /** Bytes that it takes on the disk. */
  allocated: number;
  /** Number of the file system. */
  device: number;
  inode: number;
  /** Names that it has. */
  links: number;
  mode: number;
  uid: number;
  gid: number;
}

interface Stats {
  size: number;
  blocks: number | null;
  dev: number;
  ino: number | null;
  nlink: number | null;
  mode: number | null;
  uid: number | null;
  gid: number | null;
}

type Flags<Name extends string, Flag> = { readonly [name in Name]: Flag };
type DenoStats = Stats & Flags<"isFile" | "isDirectory" | "isSymlink", boolean> & DenoRare;
type DenoRare = Flags<"isSocket" | "isBlockDevice" | "isCharDevice" | "isFifo", boolean | null>;
type NodeKinds = Flags<
  | "isFile"
  | "isDirectory"
  | "isSymbolicLink"
  | "isSocket"
  | "isBlockDevice"
  | "isCharacterDevice"
  | "isFIFO",
  () => boolean
>;

interface DenoFiles {
  readDirSync(path: string): Iterable<{ name: string } & DenoKinds>;
  lstatSync(path: string): DenoStats;
  statSync(path: string): DenoStats;
  realPathSync(path: string): string;
  removeSync(path: string, options?: { recursive: boolean }): void;
  cwd(): string;
}

type DenoKinds = Flags<"isFile" | "isDirectory" | "isSymlink", boolean>;

interface NodeFiles {
  readdirSync(path: Path, options: { withFileTypes: true }): ({ name: string } & NodeKinds)[];
  readdirSync(
    path: Path,
    options: { withFileTypes: true; encoding: "buffer" },
  ): ({ name: Uint8Array } & NodeKinds)[];
  lstatSync(path: string): Stats & NodeKinds;
  statSync(path: string): Stats & NodeKinds;
  realpathSync: { native(path: string): string };
  unlinkSync(path: Path): void;
  rmdirSync(path: Path): void;
}

type Path = string | Uint8Array;

const deno = (globalThis as unknown as { Deno?: DenoFiles }).Deno;
const node = () => builtin<NodeFiles>("node:fs");
const encoder = new TextEncoder();

/** What is in a folder. @throws {Error} The system's, if it cannot be read. */
export function readFolder(path: string): FolderEntries {
  return deno ? readByDeno(path, deno) : readByNode(path);
}

/** Reads many folders, in the fastest way. */
export interface FolderReader {
  /**
   * As {@linkcode readFolder}. With `endings`, files with names that end in none of these, in UTF-8, may be left out: names that
   * nobody wants are not made, which spares most of the work.
   */
  read(path: string, endings?: readonly Uint8Array[]): FolderEntries;
  /** Gives back what it holds, as has to be done at the end. */
  close(): void;
}

/** A reader of many folders. */
export function newFolderReader(): FolderReader {
  if (!deno) {
    return {
      read: (path, endings) => readMany(path, endings, nodeKernel()) ?? readByNode(path),
      close: () => {},
    };
  }
  const files = deno;
  let kernel: Kernel | undefined, folders = 0;
  return {
    read(path, endings) {
      if (folders++ === FOLDERS_BEFORE) kernel = denoKernel();
      return readMany(path, endings, kernel) ?? readByDeno(path, files);
    },
    close() {
      kernel?.close();
      kernel = undefined;
    },
  };
}

/** What is at a path, by default not where a link leads; undefined if there is nothing. @throws {Error} The system's. */
export function entryState(path: string, followLinks = false): EntryState | undefined {
  try {
    if (deno) {
      const stats = followLinks ? deno.statSync(path) : deno.lstatSync(path);
      return stateOf(stats, denoKind(stats));
    }
    const stats = followLinks ? node().statSync(path) : node().lstatSync(path);
    return stateOf(stats, nodeKind(stats));
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(systemCode(error) ?? "")) return undefined;
    throw error;
  }
}

/** The path without links. @throws {Error} The system's, if there is nothing, or links lead in circles. */
export function pathWithoutLinks(path: string): string {
  return deno ? deno.realPathSync(path) : node().realpathSync.native(path);
}

/** Removes a file, a link, or an empty folder. @throws {Error} The system's. */
export function removeEntry(path: string, kind: EntryKind): void {
  if (deno) deno.removeSync(path);
  else if (kind === "folder") node().rmdirSync(path);
  else node().unlinkSync(path);
}

/** Removes a folder with all in it at once, whatever its names. @throws {Error} The system's. */
export function removeWhole(path: string): void {
  if (deno) deno.removeSync(path, { recursive: true });
  else removeBytes(encoder.encode(path));
}

function removeBytes(path: Uint8Array): void {
  for (const entry of node().readdirSync(path, { withFileTypes: true, encoding: "buffer" })) {
    const inside = new Uint8Array([...path, 0x2f, ...entry.name]);
    if (entry.isDirectory()) removeBytes(inside);
    else node().unlinkSync(bufferOf(inside));
  }
  node().rmdirSync(bufferOf(path));
}

/** Node takes paths as bytes only in its own class. */
function bufferOf(bytes: Uint8Array): Uint8Array {
  return builtin<{ Buffer: { from(bytes: Uint8Array): Uint8Array } }>("node:buffer").Buffer.from(bytes);
}

/** The folder that relative paths begin at. */
export function currentFolder(): string {
  return deno ? deno.cwd() : builtin<{ cwd(): string }>("node:process").cwd();
}

function stateOf(stats: Stats, kind: EntryKind): EntryState {
  const { size, dev, blocks, ino, nlink, mode, uid, gid } = stats;
  return {
    kind,
    size,
    allocated: blocks === null || blocks === undefined ? size : blocks * 512,
    device: dev,
    inode: ino ?? 0,
    links: nlink ?? 1,
    mode: (mode ?? 0) & 0o7777,
    uid: uid ?? 0,
    gid: gid ?? 0,
  };
}

function denoKind(entry: DenoKinds & Partial<DenoRare>): EntryKind {
  if (entry.isFile) return "file";
  if (entry.isDirectory) return "folder";
  if (entry.isSymlink) return "link";
  if (entry.isSocket) return "socket";
  if (entry.isBlockDevice) return "block";
  if (entry.isCharDevice) return "char";
  return entry.isFifo ? "pipe" : "unknown";
}

function nodeKind(entry: NodeKinds): EntryKind {
  if (entry.isFile()) return "file";
  if (entry.isDirectory()) return "folder";
  if (entry.isSymbolicLink()) return "link";
  if (entry.isSocket()) return "socket";
  if (entry.isBlockDevice()) return "block";
  if (entry.isCharacterDevice()) return "char";
  return entry.isFIFO() ? "pipe" : "unknown";
}

/** The kind of what the folder did not tell it of; it may have gone by now. */
function kindAt(path: string): EntryKind {
  return entryState(path)?.kind ?? "unknown";
}

/** What stands for bytes that are not UTF-8. */
const LOST = "\ufffd";

function readByNode(path: string): FolderEntries {
  const entries = newEntries();
  let lost = false;
  for (const entry of node().readdirSync(path, { withFileTypes: true })) {
    const kind = nodeKind(entry);
    entries.names.push(entry.name);
    entries.kinds.push(kind === "unknown" ? kindAt(`${path}/${entry.name}`) : kind);
    lost ||= entry.name.includes(LOST);
  }
  if (!lost) return entries;
  const exact = newEntries();
  for (const entry of node().readdirSync(path, { withFileTypes: true, encoding: "buffer" })) {
    add(exact, entry.name, nodeKind(entry));
  }
  return exact;
}

function readByDeno(path: string, files: DenoFiles): FolderEntries {
  const entries = newEntries();
  for (const entry of files.readDirSync(path)) {
    const { name } = entry;
    let kind = denoKind(entry);
    if (kind === "unknown") kind = kindAt(`${path}/${name}`);
    // a file may really have U+FFFD in its name; then that name leads to it
    if (name.includes(LOST) && !entryState(`${path}/${name}`)) entries.unnameable.push({ name, kind });
    else {
      entries.names.push(name);
      entries.kinds.push(kind);
    }
  }
  return entries;
}

function newEntries(): FolderEntries {
  return { names: [], kinds: [], unnameable: [] };
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Adds an entry by the bytes of its name. */
function add(entries: FolderEntries, bytes: Uint8Array, kind: EntryKind): void {
  try {
    entries.names.push(strict.decode(bytes));
    entries.kinds.push(kind);
  } catch {
    entries.unnameable.push({ name: printable(bytes), kind });
  }
}

/** Bytes as text, those that are not ASCII escaped. */
function printable(bytes: Uint8Array): string {
  return Array.from(
    bytes,
    (byte) => byte < 0x80 ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`,
  ).join("");
}

const KERNEL = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  getdents64: { parameters: ["i32", "buffer", "address"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
} as const;

/** The functions, and what unbinds them: who leaves them bound would fail the tests of users for a leak. */
interface Kernel {
  functions: CFunctions<typeof KERNEL>;
  close(): void;
}

/** Kinds by the number that the kernel has for them, `d_type`. */
const KINDS: EntryKind[] = Array.from({ length: 256 }, () => "unknown");
KINDS[1] = "pipe";
KINDS[2] = "char";
KINDS[4] = "folder";
KINDS[6] = "block";
KINDS[8] = "file";
KINDS[10] = "link";
KINDS[12] = "socket";

/** Folders that a reader reads in Deno before it is worth the part of a millisecond that it takes to bind the functions. */
const FOLDERS_BEFORE = 16;
/** Folders that a process reads in Node before it is worth loading koffi, which takes tens of milliseconds. */
const FOLDERS_BEFORE_KOFFI = 1000;
const O_CLOEXEC = 0o2000000;

/** Where the kernel writes; reading is synchronous, so one is enough. */
let records: Uint8Array | undefined;
let lengths: Uint16Array;
let flags: number;
let isBindable: boolean | undefined;
let foldersInNode = 0;
let koffiKernel: Kernel | undefined;

function denoKernel(): Kernel | undefined {
  // C functions are not bound to a part of the file system, as the permission to read may be
  return granted("ffi") && granted("read") ? bind(() => bindClosable("libc.so.6", KERNEL)) : undefined;
}

function nodeKernel(): Kernel | undefined {
  if (foldersInNode++ !== FOLDERS_BEFORE_KOFFI) return koffiKernel;
  return koffiKernel = bind(() => ({ functions: bindLibrary("libc.so.6", KERNEL), close: () => {} }));
}

function bind(functions: () => Kernel): Kernel | undefined {
  isBindable ??= platform() === "linux" && ["x64", "arm64"].includes(arch());
  if (!isBindable) return undefined;
  flags = (arch() === "arm64" ? 0o40000 : 0o200000) | O_CLOEXEC; // O_DIRECTORY
  try {
    return functions();
  } catch {
    isBindable = false; // another C library, or no koffi: the runtime's way does as well
    return undefined;
  }
}

/** By getdents64(3); undefined where that cannot be or failed: then the runtime's own way tells why. */
function readMany(
  path: string,
  endings: readonly Uint8Array[] | undefined,
  kernel: Kernel | undefined,
): FolderEntries | undefined {
  if (!kernel || path.includes("\0")) return undefined;
  const { open, getdents64, close } = kernel.functions;
  records ??= new Uint8Array(1 << 16);
  lengths ??= new Uint16Array(records.buffer);
  const file = open(cText(path), flags);
  if (file < 0) return undefined;
  const entries = newEntries();
  try {
    for (;;) {
      const end = getdents64(file, records, records.length);
      if (end < 0) return undefined;
      if (end === 0) break;
      takeRecords(records, end, endings, entries);
    }
  } finally {
    close(file);
  }
  for (let i = 0; i < entries.kinds.length; i++) {
    if (entries.kinds[i] === "unknown") entries.kinds[i] = kindAt(`${path}/${entries.names[i]}`);
  }
  return entries;
}

/** Takes records of `struct linux_dirent64` apart: 8 bytes inode, 8 offset, 2 length, 1 kind, the name, zeros. */
function takeRecords(
  records: Uint8Array,
  end: number,
  endings: readonly Uint8Array[] | undefined,
  entries: FolderEntries,
): void {
  for (let at = 0; at < end; at += lengths[(at + 16) >> 1]) {
    const begin = at + 19;
    let stop = begin, bits = 0, byte;
    while ((byte = records[stop]) !== 0) {
      bits |= byte;
      stop++;
    }
    const length = stop - begin;
    if (records[begin] === 0x2e && (length === 1 || (length === 2 && records[begin + 1] === 0x2e))) continue;
    const kind = KINDS[records[at + 18]];
    if (endings && kind === "file" && !hasEnding(records, begin, stop, endings)) continue;
    if (bits < 0x80) {
      entries.names.push(ascii(records, begin, stop));
      entries.kinds.push(kind);
    } else add(entries, records.slice(begin, stop), kind);
  }
}

function hasEnding(
  records: Uint8Array,
  begin: number,
  stop: number,
  endings: readonly Uint8Array[],
): boolean {
  next: for (const ending of endings) {
    const from = stop - ending.length;
    if (from < begin) continue;
    for (let i = 0; i < ending.length; i++) if (records[from + i] !== ending[i]) continue next;
    return true;
  }
  return false;
}

/** Several characters at a time: half the time of a decoder, whose calls cost more than short names do. */
function ascii(r: Uint8Array, begin: number, end: number): string {
  let at = begin, text = "";
  for (; at + 8 <= end; at += 8) {
    text += String.fromCharCode(
      r[at],
      r[at + 1],
      r[at + 2],
      r[at + 3],
      r[at + 4],
      r[at + 5],
      r[at + 6],
      r[at + 7],
    );
  }
  for (; at + 4 <= end; at += 4) text += String.fromCharCode(r[at], r[at + 1], r[at + 2], r[at + 3]);
  for (; at < end; at++) text += String.fromCharCode(r[at]);
  return text;
}
