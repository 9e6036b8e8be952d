/**
 * The ends of a copy that lie here. What arrives is staged beside its place under private permissions and
 * renamed when all of it is there, so that nobody sees a half; a folder that exists is merged into, after a look
 * that nothing is in the way. Links that exist in the target are replaced, never written through.
 */
import { builtin, nextTurn } from "../runtime/mod.ts";
import {
  type Body,
  changed,
  type Item,
  type Landing,
  mismatch,
  newTag,
  partName,
  plainMode,
  type Source,
  type Target,
  type TreeOptions,
} from "./copy_ends.ts";
import { CopyError, explain } from "./copy_error.ts";
import { about, files, hashFile, lookAt, pieces, runRaw, type Stats, umask, writeAll } from "./copy_files.ts";
import { nameOf } from "./copy_place.ts";
import { parentOf, Stage } from "./copy_stage.ts";
import { type Entry, hasRawBytes, type Tree } from "./copy_tar.ts";

interface Paths {
  join(...parts: string[]): string;
  dirname(path: string): string;
  basename(path: string): string;
  resolve(path: string): string;
}
const paths = () => builtin<Paths>("node:path");

/** Copies from a file or folder here. */
export class LocalSource implements Source {
  readonly place: string;
  readonly name: string;
  readonly path: string;

  constructor(path: string) {
    this.place = this.path = path;
    this.name = nameOf(path);
  }

  inspect(): Promise<Item> {
    return later(() => {
      const stats = about("copying", this.place, () => files().statSync(this.path));
      const kind = kindOf(stats);
      if (kind === "file" || kind === "folder") return { kind, ...common(stats), size: stats.size };
      throw new CopyError(
        `copying ${this.place}: it is neither a file nor a folder, so it has no contents to copy`,
        {
          failure: "other",
          place: this.place,
        },
      );
    });
  }

  async count(options: TreeOptions): Promise<{ files: number; bytes: number }> {
    const sum = { files: 0, bytes: 0 };
    for await (const entry of this.#walk({ follow: options.follow, skipped() {} })) {
      if (entry.kind !== "file") continue;
      sum.files++;
      sum.bytes += entry.size;
    }
    return sum;
  }

  body(size: number, offset: number): Body {
    return { file: this.path, bytes: () => this.#stream(offset, size) };
  }

  async *#stream(offset: number, size: number): AsyncGenerator<Uint8Array> {
    yield* this.#bytes(this.path, offset, size);
  }

  hash(length: number): Promise<string> {
    return hashFile(this.path, length);
  }

  async *tree(options: TreeOptions): Tree {
    for await (const entry of this.#walk(options)) {
      if (entry.kind === "file" && options.large && entry.size >= options.large.size) {
        options.large.found(entry.path);
        continue;
      }
      yield entry;
      if (entry.kind === "file") yield* this.#bytes(`${this.path}/${entry.path}`, 0, entry.size);
    }
  }

  hashes(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  below(path: string): Source {
    return new LocalSource(`${this.path}/${path}`);
  }

  async *#walk(options: TreeOptions): AsyncGenerator<Entry> {
    const { statSync, lstatSync, readdirSync, readlinkSync } = files();
    const open: string[] = []; // real folders that are being walked: a link followed into one of them would never end
    const realpath = builtin<{ realpathSync(path: string): string }>("node:fs").realpathSync;
    let count = 0;
    const visit = async function* (this: LocalSource, path: string): AsyncGenerator<Entry> {
      const full = path ? `${this.path}/${path}` : this.path;
      if (++count % 256 === 0) await nextTurn();
      const [entry, inside] = about("copying", full, () => {
        const stats = options.follow || path === "" ? statSync(full) : lstatSync(full);
        const kind = kindOf(stats);
        const target = kind === "link" ? readlinkSync(full) : "";
        const size = kind === "file" ? stats.size : 0;
        return [
          { path, kind, ...common(stats), size, target },
          kind === "folder" ? readdirSync(full) : undefined,
        ];
      });
      if (entry.kind === "other") return options.skipped(full);
      yield entry;
      if (!inside) return;
      const real = options.follow ? realpath(full) : "";
      if (options.follow && open.includes(real)) {
        throw new CopyError(`copying ${full}: links lead round in a circle; copy without following links`, {
          failure: "other",
          place: full,
        });
      }
      open.push(real);
      for (const name of inside.sort()) {
        if (name.includes("\ufffd") && !lookAt(`${full}/${name}`)) {
          throw new CopyError(
            `copying ${full}/${name}: its name is not valid UTF-8, and such files can be copied from a host, ` +
              "but not from here; rename it",
            { failure: "unsupported", place: full },
          );
        }
        yield* visit.call(this, path ? `${path}/${name}` : name);
      }
      open.pop();
    };
    yield* visit.call(this, "");
  }

  *#bytes(path: string, offset: number, size: number): Generator<Uint8Array> {
    let at = offset;
    const read = pieces(path, offset, size);
    for (;;) {
      const { done, value } = about("reading", path, () => read.next());
      if (done) break;
      at += value.length;
      yield value;
    }
    if (at < size) throw changed(path, `it had ${size} bytes, now ${at}`);
  }
}

/** Copies to a file or folder here. */
export class LocalTarget implements Target {
  readonly place: string;
  readonly #path: string;

  constructor(path: string) {
    this.place = this.#path = path;
  }

  async part(landing: Landing): Promise<{ size: number; hash: string } | undefined> {
    const { path } = about("copying to", this.place, () => this.#resolve(landing, "file"));
    const part = partBeside(path, "");
    const stats = lookAt(part);
    return stats?.isFile() ? { size: stats.size, hash: await hashFile(part, stats.size) } : undefined;
  }

  async file(landing: Landing, item: Item, body: Body, offset: number, hash?: string): Promise<void> {
    const { path, there } = about("copying to", this.place, () => this.#resolve(landing, "file"));
    const part = partBeside(path, landing.resume ? "" : newTag());
    const { chmodSync, utimesSync, renameSync, rmSync } = files();
    try {
      const file = about("writing", path, () => openPart(part, offset, landing.resume));
      try {
        const piped = offset === 0 && item.size > 0 && await this.#pipe(body, part, path, item.size);
        if (!piped) {
          files().ftruncateSync(file, offset);
          let at = offset;
          for await (const bytes of body.bytes()) {
            about("writing", path, () => writeAll(file, bytes));
            at += bytes.length;
          }
          if (at !== item.size) throw changed(this.place, `${item.size} bytes were expected, ${at} came`);
        }
      } finally {
        files().closeSync(file);
      }
      if (hash !== undefined && await hashFile(part, item.size) !== hash) {
        rmSync(part, { force: true });
        throw mismatch(this.place);
      }
      about("copying to", path, () => {
        chmodSync(part, landing.preserve ? item.mode : plainMode(item.mode, "file") & ~umask());
        if (landing.preserve) utimesSync(part, item.mtime, item.mtime);
        if (!landing.overwrite && there === undefined && lookAt(path)) throw exists(path);
        renameSync(part, path);
      });
    } catch (error) {
      if (!landing.resume || !files().lstatSync(part).size) rmSync(part, { force: true });
      throw error;
    }
  }

  /** The quick way into the part; false if it did not work, for reasons that the other way tells better. */
  async #pipe(body: Body, part: string, path: string, size: number): Promise<boolean> {
    if (!body.into) return false;
    try {
      await body.into(part);
    } catch (error) {
      if (error instanceof CopyError && error.failure === "other") return false;
      throw blame(error, path);
    }
    return files().statSync(part).size === size;
  }

  async tree(landing: Landing, tree: Tree, hashes?: ReadonlyMap<string, string>): Promise<void> {
    const { path, there } = about("copying to", this.place, () => this.#resolve(landing, "folder"));
    const stage = there ? paths().join(path, partName("", newTag())) : partBeside(path, newTag());
    const { mkdirSync, rmSync } = files();
    const staged = new Stage(stage, landing, this.place);
    try {
      about("copying to", path, () => mkdirSync(stage, 0o700));
      for await (const next of tree) {
        if (next instanceof Uint8Array) staged.write(next);
        else staged.add(next);
      }
      staged.close();
      if (hashes) await staged.verify(hashes);
      await staged.settle();
      if (there) await this.#merge(staged, path, landing);
      else about("copying to", path, () => move(staged.root, path, staged.rootMode));
    } finally {
      staged.abandon();
      rmSync(stage, { force: true, recursive: true });
    }
  }

  below(landing: Landing): Promise<(path: string) => Target> {
    return later(() => {
      const { path: root } = this.#resolve(landing, "folder");
      return (path: string) => new LocalTarget(`${root}/${path}`);
    });
  }

  /** Where it lands, and what is there now. */
  #resolve(landing: Landing, kind: Item["kind"]): { path: string; there: Stats | undefined } {
    const { dirname, join, basename } = paths();
    const folder = isFolder(this.#path);
    const slash = this.#path.endsWith("/");
    if (!folder && (landing.many || (slash && kind === "file"))) {
      throw new CopyError(
        `copying to ${this.place}: ${
          landing.many ? "several sources" : "the slash at its end"
        } ask for a folder, ` +
          "and there is none; make it first",
        { failure: "not-found", place: this.place },
      );
    }
    const path = !folder || !landing.name
      ? this.#path.replace(/(?<=.)\/+$/, "")
      : join(this.#path, landing.name);
    const there = folder && !landing.name ? files().statSync(path) : lookAt(path);
    if (there && kind === "file") {
      if (isFolder(path)) throw inTheWay(path, "there is a folder where the file would go");
      if (!landing.overwrite) throw exists(path);
    }
    if (there && kind === "folder" && !there.isDirectory()) {
      throw inTheWay(
        path,
        there.isSymbolicLink() ? "there is a link, which is not followed" : "there is a file",
      );
    }
    if (!there && !isFolder(dirname(path))) {
      throw new CopyError(
        `copying to ${this.place}: there is no folder ${dirname(path)} for ${basename(path)}`,
        {
          failure: "not-found",
          place: this.place,
        },
      );
    }
    return { path, there };
  }

  async #merge(staged: Stage, path: string, { overwrite }: Landing): Promise<void> {
    const moves: [Entry, string][] = [];
    const moved = new Set<string>();
    about("copying to", path, () => {
      for (const entry of staged.entries) {
        if (moved.has(parentOf(entry.path))) {
          if (entry.kind === "folder") moved.add(entry.path);
          continue;
        }
        const target = `${path}/${entry.path}`;
        if (hasRawBytes(entry.path)) { // only sh can see what is there, and refuses what is in the way
          moves.push([entry, target]);
          moved.add(entry.path);
          continue;
        }
        const there = lookAt(target);
        if (entry.kind === "folder") {
          if (there?.isSymbolicLink()) throw inTheWay(target, "there is a link, which is not followed");
          if (there && !there.isDirectory()) {
            throw inTheWay(target, "there is a file where a folder would go");
          }
          if (there) continue;
          moved.add(entry.path);
        } else if (there?.isDirectory()) throw inTheWay(target, "there is a folder where a file would go");
        else if (there && !overwrite) throw exists(target);
        moves.push([entry, target]);
      }
    });
    const raw: string[] = [];
    for (const [entry, target] of moves) {
      if (hasRawBytes(entry.path)) raw.push(...staged.rawMove(entry, path, overwrite));
      else about("copying to", target, () => move(staged.at(entry), target, staged.folderMode(entry)));
    }
    await runRaw(raw, this.place);
  }
}

/** What a program here said when it wrote, though it was reading from the source that failed. */
function blame(error: unknown, path: string): unknown {
  const here = error instanceof CopyError && error.failure === "full";
  return here ? explain("writing", path, error.message, error) : error;
}

/** Opens the part to write: new, or at the offset where an earlier copy ended. */
function openPart(part: string, offset: number, resume: boolean): number {
  const { openSync, rmSync } = files();
  if (resume && !(offset > 0 && lookAt(part)?.isFile())) rmSync(part, { force: true });
  if (offset === 0) return openSync(part, "ax", 0o600);
  return openSync(part, "a");
}

/** Renames; a folder that its owner may not write cannot be moved, so that is lifted for the moment. */
function move(from: string, to: string, folderMode: number | undefined): void {
  const { chmodSync, renameSync } = files();
  const lift = folderMode !== undefined && !(folderMode & 0o200);
  if (lift) chmodSync(from, folderMode | 0o200);
  renameSync(from, to);
  if (lift) chmodSync(to, folderMode);
}

function partBeside(path: string, tag: string): string {
  const { dirname, basename, join } = paths();
  return join(dirname(path), partName(basename(path), tag));
}

function isFolder(path: string): boolean {
  try {
    return files().statSync(path).isDirectory();
  } catch {
    return false;
  }
}

function kindOf(stats: Stats): "file" | "folder" | "link" | "other" {
  return stats.isFile() ? "file" : stats.isDirectory() ? "folder" : stats.isSymbolicLink() ? "link" : "other";
}

function common(stats: Stats): { mode: number; mtime: number } {
  return { mode: stats.mode & 0o777, mtime: stats.mtimeMs / 1000 };
}

function inTheWay(path: string, why: string): CopyError {
  return new CopyError(`copying to ${path}: ${why}; remove it first, or choose another target`, {
    failure: "in-the-way",
    place: path,
  });
}

function exists(path: string): CopyError {
  return new CopyError(`copying to ${path}: it exists already, and is not to be overwritten`, {
    failure: "in-the-way",
    place: path,
  });
}

/** Does it in this turn, but tells what goes wrong by the promise. */
function later<T>(work: () => T): Promise<T> {
  return new Promise((resolve) => resolve(work()));
}
