/**
 * A tree that arrives here, on its way to its place: under private permissions, with times and modes as they will be.
 * Names that are not valid UTF-8, which neither runtime can give to a file, have stand-ins until `sh` renames them.
 */
import { type Landing, mismatch, plainMode } from "./copy_ends.ts";
import { about, files, hashFile, rawLine, runRaw, umask, writeAll } from "./copy_files.ts";
import { type Entry, hasRawBytes } from "./copy_tar.ts";
import { quote } from "./quote.ts";

/** A tree on its way in: complete below `root` once {@linkcode Stage.settle} resolves. */
export class Stage {
  readonly root: string;
  readonly entries: Entry[] = [];
  readonly #place: string;
  readonly #landing: Landing;
  readonly #umask: number;
  /** Where folders lie whose names, or parents' names, are not valid UTF-8, until the end. */
  readonly #standIns = new Map<string, string>();
  #file: { handle: number; path: string; entry: Entry; left: number } | undefined;
  #rootEntry: Entry | undefined;

  constructor(stage: string, landing: Landing, place: string) {
    this.root = `${stage}/tree`;
    this.#landing = landing;
    this.#place = place;
    this.#umask = umask();
  }

  add(entry: Entry): void {
    this.#finish();
    const { mkdirSync, openSync, symlinkSync, linkSync } = files();
    if (entry.path !== "") this.entries.push(entry);
    const path = this.#standIn(entry.path);
    about("writing", this.#path(entry), () => {
      if (entry.kind === "folder") mkdirSync(path, 0o700);
      else if (entry.kind === "again") linkSync(this.#standIn(entry.target), path);
      else if (entry.kind === "link") {
        symlinkSync(entry.target, path); // a target that is not valid UTF-8 is put right when all is there
      } else if (entry.kind === "file") {
        const mode = this.#fileMode(entry);
        this.#file = { handle: openSync(path, "wx", mode), path, entry, left: entry.size };
        if (entry.size === 0) this.#finish();
      }
    });
    if (entry.path === "") this.#rootEntry = entry;
  }

  write(bytes: Uint8Array): void {
    const file = this.#file!;
    about("writing", this.#path(file.entry), () => writeAll(file.handle, bytes));
    file.left -= bytes.length;
    if (file.left === 0) this.#finish();
  }

  close(): void {
    this.#finish();
  }

  /** Lets go of the file that was being written. */
  abandon(): void {
    if (this.#file) files().closeSync(this.#file.handle);
    this.#file = undefined;
  }

  async verify(hashes: ReadonlyMap<string, string>): Promise<void> {
    for (const entry of this.entries) {
      if (entry.kind !== "file") continue;
      if (await hashFile(this.#standIn(entry.path), entry.size) !== hashes.get(entry.path)) {
        throw mismatch(this.#path(entry));
      }
    }
  }

  /** Gives everything its true name, and folders their modes and times. */
  async settle(): Promise<void> {
    const lines: string[] = [];
    for (const entry of [...this.entries].reverse()) { // what is inside before its folder
      const standIn = this.#standIn(entry.path);
      if (entry.kind === "folder") this.#finishFolder(entry, standIn);
      if (entry.kind === "link" && hasRawBytes(entry.target)) {
        lines.push(rawLine(entry.target), `ln -sfn -- "$v" ${quote(standIn)}`);
      }
      const name = entry.path.slice(parentOf(entry.path).length).replace(/^\//, "");
      if (!hasRawBytes(name)) continue;
      const folder = this.#standIn(parentOf(entry.path));
      lines.push(rawLine(name), `mv -f -- ${quote(standIn)} ${quote(folder)}/"$v"`);
    }
    await runRaw(lines, this.#place);
    if (this.#rootEntry) this.#finishFolder(this.#rootEntry, this.root);
  }

  /** Where an entry lies, after {@linkcode Stage.settle}. */
  at(entry: Entry): string {
    return `${this.root}/${entry.path}`;
  }

  /** Lines of shell that move an entry whose name is not valid UTF-8. */
  rawMove(entry: Entry, to: string, overwrite: boolean): string[] {
    const refuse = (why: string) => `{ echo "$v: ${why}" >&2; exit 1; }`;
    const folder = entry.kind === "folder";
    return [
      rawLine(entry.path),
      `s=${quote(this.root)}/"$v" t=${quote(to)}/"$v"`,
      folder || !overwrite
        ? `[ ! -e "$t" ] && [ ! -L "$t" ] || ${refuse("it exists there already")}`
        : `[ ! -d "$t" ] || ${refuse("Is a directory")}`,
      'mv -f -- "$s" "$t"',
    ];
  }

  #finish(): void {
    const file = this.#file;
    if (!file) return;
    this.#file = undefined;
    const { closeSync, chmodSync, utimesSync } = files();
    closeSync(file.handle);
    const mode = this.#fileMode(file.entry);
    if (mode & this.#umask) chmodSync(file.path, mode); // else it was made with that mode
    if (this.#landing.preserve) utimesSync(file.path, file.entry.mtime, file.entry.mtime);
  }

  #fileMode({ mode }: Entry): number {
    return this.#landing.preserve ? mode : plainMode(mode, "file") & ~this.#umask;
  }

  /** The mode a folder gets; undefined for what is none. */
  folderMode({ kind, mode }: Entry): number | undefined {
    return kind !== "folder" ? undefined : this.#landing.preserve ? mode : 0o777 & ~this.#umask;
  }

  get rootMode(): number | undefined {
    return this.#rootEntry && this.folderMode(this.#rootEntry);
  }

  #finishFolder(entry: Entry, path: string): void {
    const { chmodSync, utimesSync } = files();
    if (this.#landing.preserve) utimesSync(path, entry.mtime, entry.mtime);
    chmodSync(path, this.folderMode(entry)!);
  }

  #path({ path }: Entry): string {
    return `${this.#place}/${path}`;
  }

  #standIn(path: string): string {
    if (path === "") return this.root;
    const known = this.#standIns.get(path);
    if (known !== undefined) return known;
    const parent = parentOf(path);
    const name = path.slice(parent.length).replace(/^\//, "");
    if (!hasRawBytes(path)) return `${this.root}/${path}`;
    const made = `${this.#standIn(parent)}/${
      hasRawBytes(name) ? `.pathos-part-${this.#standIns.size}` : name
    }`;
    this.#standIns.set(path, made);
    return made;
  }
}

/** The path of the folder that something is in; empty for the root. */
export function parentOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
}
