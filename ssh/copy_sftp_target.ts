/**
 * The end of a copy that receives, on a host that offers SFTP and no shell.
 */
import {
  type Body,
  changed,
  type Item,
  type Landing,
  mismatch,
  newTag,
  partName,
  plainMode,
  type Target,
} from "./copy_ends.ts";
import { CopyError } from "./copy_error.ts";
import { AHEAD, FILES_AHEAD, kindOf, PIECE, SftpPlace, SMALL } from "./copy_sftp.ts";
import type { Entry, Tree } from "./copy_tar.ts";
import { CREATE, EXCLUSIVE, WRITE } from "./sftp.ts";

/** Copies to a file or folder over SFTP. */
export class SftpTarget extends SftpPlace implements Target {
  async part(landing: Landing): Promise<{ size: number; hash: string } | undefined> {
    const { path } = await this.#resolve(landing, "file");
    const part = beside(path, "");
    const stats = await this.about("copying to", part, () => this.look(part));
    if (!stats || kindOf(stats.mode) !== "file") return undefined;
    return { size: stats.size, hash: await this.hashOf(part, stats.size) };
  }

  async file(landing: Landing, item: Item, body: Body, offset: number, hash?: string): Promise<void> {
    const { path } = await this.#resolve(landing, "file");
    const part = beside(path, landing.resume ? "" : newTag());
    let made = false;
    try {
      if (offset === 0 && landing.resume) await this.client.remove(part).catch(() => {});
      const flags = offset === 0 ? WRITE | CREATE | EXCLUSIVE : WRITE;
      const handle = await this.about("writing", path, () => this.client.open(part, flags, 0o600));
      made = true;
      const size = await this.#write(handle, path, body.bytes(), offset);
      if (size !== item.size) throw changed(this.place, `${item.size} bytes were expected, ${size} came`);
      if (hash !== undefined && await this.hashOf(part, item.size) !== hash) {
        await this.client.remove(part);
        throw mismatch(this.place);
      }
      await this.about("copying to", path, async () => {
        await this.client.setstat(part, changesOf(item, "file", landing));
        await this.client.rename(part, path);
      });
    } catch (error) {
      if (made && !landing.resume) await this.client.remove(part).catch(() => {});
      throw error;
    }
  }

  async tree(landing: Landing, tree: Tree, hashes?: ReadonlyMap<string, string>): Promise<void> {
    const { path, there } = await this.#resolve(landing, "folder");
    const stage = there ? `${path}/${partName("", newTag())}` : beside(path, newTag());
    const entries: Entry[] = [];
    const at = (path: string) => path ? `${stage}/tree/${path}` : `${stage}/tree`;
    try {
      await this.about("copying to", path, () => this.client.mkdir(stage, 0o700));
      await this.#receive(tree, entries, at, landing);
      if (hashes) {
        for (const { path, kind, size } of entries) {
          if (kind === "file" && await this.hashOf(at(path), size) !== hashes.get(path)) {
            throw mismatch(`${this.place}/${path}`);
          }
        }
      }
      const moved = there ? await this.#plan(entries, path, landing) : new Set([""]);
      const place = (below: string) => below ? `${path}/${below}` : path;
      for (const below of moved) {
        await this.about("copying to", place(below), () => this.client.rename(at(below), place(below)));
      }
      for (const entry of entries.reverse()) { // last, as what is put into a folder changes its time
        if (entry.kind !== "folder" || !isBelow(entry.path, moved)) continue;
        const to = place(entry.path);
        await this.about(
          "copying to",
          to,
          () => this.client.setstat(to, changesOf(entry, "folder", landing)),
        );
      }
    } finally {
      await this.#remove(stage).catch(() => {});
    }
  }

  async below(landing: Landing): Promise<(path: string) => Target> {
    const { path: root } = await this.#resolve(landing, "folder");
    return (path) => new SftpTarget({ ...this.remote, path: `${root}/${path}` });
  }

  /** Writes what comes; resolves to the size that the file has then. */
  async #write(
    handle: Uint8Array,
    path: string,
    bytes: AsyncIterable<Uint8Array>,
    offset: number,
  ): Promise<number> {
    const pending: Promise<void>[] = [];
    let at = offset;
    try {
      for await (const some of bytes) {
        for (let from = 0; from < some.length; from += PIECE) {
          const piece = some.subarray(from, from + PIECE);
          const writing = this.client.write(handle, at, piece);
          writing.catch(() => {});
          pending.push(writing);
          at += piece.length;
          if (pending.length >= AHEAD) await this.about("writing", path, () => pending.shift()!);
        }
      }
      for (const writing of pending) await this.about("writing", path, () => writing);
    } finally {
      await this.client.closeFile(handle).catch(() => {});
    }
    return at;
  }

  async #receive(
    tree: Tree,
    entries: Entry[],
    at: (path: string) => string,
    landing: Landing,
  ): Promise<void> {
    const pending: Promise<void>[] = [];
    const begin = async (work: Promise<void>) => {
      work.catch(() => {});
      pending.push(work);
      if (pending.length >= FILES_AHEAD) await pending.shift();
    };
    const items = tree[Symbol.asyncIterator]();
    for (let next = await items.next(); !next.done;) {
      const entry = next.value as Entry;
      const path = at(entry.path);
      entries.push(entry);
      next = await items.next();
      if (entry.kind === "folder") await this.about("writing", path, () => this.client.mkdir(path, 0o700));
      else if (entry.kind === "link") {
        await begin(this.about("writing", path, () => this.client.symlink(entry.target, path)));
      } else if (entry.kind === "again") {
        await Promise.all(pending.splice(0)); // the file it is another name of
        await this.about("writing", path, () => this.client.hardlink(at(entry.target), path));
      } else {
        const file = async (bytes: AsyncIterable<Uint8Array>) => {
          const handle = await this.about(
            "writing",
            path,
            () => this.client.open(path, WRITE | CREATE | EXCLUSIVE, 0o600),
          );
          await this.#write(handle, path, bytes, 0);
          await this.about(
            "writing",
            path,
            () => this.client.setstat(path, changesOf(entry, "file", landing)),
          );
        };
        if (entry.size <= SMALL) {
          const bytes: Uint8Array[] = [];
          for (; !next.done && next.value instanceof Uint8Array; next = await items.next()) {
            bytes.push(next.value.slice());
          }
          await begin(file(each(bytes)));
        } else {
          await file({
            async *[Symbol.asyncIterator]() {
              for (; !next.done && next.value instanceof Uint8Array; next = await items.next()) {
                yield next.value;
              }
            },
          });
        }
      }
    }
    await Promise.all(pending);
  }

  /** What to move into a folder that exists, after a look that nothing is in the way. */
  async #plan(entries: Entry[], path: string, { overwrite }: Landing): Promise<Set<string>> {
    const moved = new Set<string>();
    for (const { path: below, kind } of entries) {
      if (below === "" || isBelow(below.slice(0, Math.max(0, below.lastIndexOf("/"))), moved)) continue;
      const target = `${path}/${below}`;
      const there = await this.about("copying to", target, () => this.look(target));
      const found = there && kindOf(there.mode);
      if (kind === "folder") {
        if (found === "link") throw this.#inTheWay(target, "there is a link, which is not followed");
        if (found === "folder") continue;
        if (found) throw this.#inTheWay(target, "there is a file where a folder would go");
      } else if (found === "folder") throw this.#inTheWay(target, "there is a folder where a file would go");
      else if (found && !overwrite) throw this.#exists(target);
      moved.add(below);
    }
    return moved;
  }

  async #resolve(landing: Landing, kind: Item["kind"]): Promise<{ path: string; there: boolean }> {
    const given = this.remote.path;
    const folder = await this.isFolder(given);
    if (!folder && (landing.many || (given.endsWith("/") && kind === "file"))) {
      throw new CopyError(
        `copying to ${this.place}: ${
          landing.many ? "several sources ask" : "the slash at its end asks"
        } for a folder, ` +
          "and there is none; make it first",
        { failure: "not-found", place: this.place },
      );
    }
    const stem = given.replace(/(?<=.)\/+$/, "");
    const path = folder && landing.name ? `${stem === "/" ? "" : stem}/${landing.name}` : stem;
    const look = folder && !landing.name
      ? await this.client.stat(path)
      : await this.about("copying to", path, () => this.look(path));
    const found = look && kindOf(look.mode);
    if (found && kind === "file") {
      if (await this.isFolder(path)) throw this.#inTheWay(path, "there is a folder where the file would go");
      if (!landing.overwrite) throw this.#exists(path);
    }
    if (found && kind === "folder" && found !== "folder") {
      throw this.#inTheWay(
        path,
        found === "link" ? "there is a link, which is not followed" : "there is a file",
      );
    }
    const parent = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) || "/" : ".";
    if (!found && !await this.isFolder(parent)) {
      throw new CopyError(`copying to ${this.place}: there is no folder to put it into; make it first`, {
        failure: "not-found",
        place: this.place,
      });
    }
    return { path, there: found !== undefined };
  }

  async #remove(path: string): Promise<void> {
    for (const { name, stats } of await this.list(path)) {
      if (kindOf(stats.mode) === "folder") await this.#remove(`${path}/${name}`);
      else await this.client.remove(`${path}/${name}`);
    }
    await this.client.rmdir(path);
  }

  #inTheWay(path: string, why: string): CopyError {
    const place = `${this.remote.host}:${path}`;
    return new CopyError(`copying to ${place}: ${why}; remove it first`, { failure: "in-the-way", place });
  }

  #exists(path: string): CopyError {
    const place = `${this.remote.host}:${path}`;
    return new CopyError(`copying to ${place}: it exists already, and is not to be overwritten`, {
      failure: "in-the-way",
      place,
    });
  }
}

function changesOf({ mode, mtime }: { mode: number; mtime: number }, kind: string, { preserve }: Landing) {
  return preserve ? { mode, mtime } : { mode: plainMode(mode, kind) & ~0o022 }; // SFTP does not tell the umask
}

/** Whether a path, or a folder that it is in, is one of these. */
function isBelow(path: string, roots: ReadonlySet<string>): boolean {
  for (let at = path;; at = at.slice(0, Math.max(0, at.lastIndexOf("/")))) {
    if (roots.has(at)) return true;
    if (at === "") return false;
  }
}

function beside(path: string, tag: string): string {
  const slash = path.lastIndexOf("/") + 1;
  return path.slice(0, slash) + partName(path.slice(slash), tag);
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}
