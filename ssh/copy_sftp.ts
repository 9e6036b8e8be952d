/**
 * The end of a copy that sends, on a host that offers SFTP and no shell, and what it shares with the one that receives.
 * Every file takes a few requests, of which many are under way at once. Checksums are made here, from what is read back.
 */
import { type Body, changed, type Item, type Source, type TreeOptions } from "./copy_ends.ts";
import { CopyError, explain } from "./copy_error.ts";
import { sha256 } from "./copy_files.ts";
import { nameOf } from "./copy_place.ts";
import type { Entry, Tree } from "./copy_tar.ts";
import { NO_SUCH_FILE, READ, type SftpClient, SftpError, type SftpStats } from "./sftp.ts";

/** A place on such a host. */
export interface SftpRemote {
  client: SftpClient;
  /** The host's name. */
  host: string;
  path: string;
}

/** Bytes of a piece, pieces of a file and small files under way, and what is a small file. */
export const PIECE = 32 * 1024; // what every server takes
export const AHEAD = 64; // pieces of a file under way
export const FILES_AHEAD = 32; // small files under way
export const SMALL = 2 * PIECE;

/** A place on such a host, and what both ends do with it. */
export class SftpPlace {
  readonly place: string;

  constructor(protected readonly remote: SftpRemote) {
    this.place = `${remote.host}:${remote.path}`;
  }

  protected get client(): SftpClient {
    return this.remote.client;
  }

  /** Does something; what goes wrong is told about the path. */
  protected async about<T>(doing: string, path: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof CopyError) throw error;
      if (error instanceof SftpError) {
        // SFTP has one word for a full disk, a folder that is not empty, and more
        const said = error.code === 4
          ? "the SFTP server says only that it failed; is the disk full?"
          : error.message;
        throw explain(doing, `${this.remote.host}:${path}`, said, error);
      }
      throw new CopyError(
        `${doing} ${this.place}: the connection ended meanwhile (${(error as Error).message})`,
        {
          failure: "connection",
          place: this.place,
          cause: error,
        },
      );
    }
  }

  /** What is there, links not followed; undefined if nothing. */
  protected async look(path: string): Promise<SftpStats | undefined> {
    try {
      return await this.client.lstat(path);
    } catch (error) {
      if (error instanceof SftpError && error.code === NO_SUCH_FILE) return undefined;
      throw error;
    }
  }

  protected async isFolder(path: string): Promise<boolean> {
    return await this.client.stat(path).then(({ mode }) => kindOf(mode) === "folder", () => false);
  }

  /** A file's bytes from an offset to `end`, or to where it ends. */
  protected async *read(path: string, offset: number, end: number): AsyncGenerator<Uint8Array> {
    const handle = await this.about("reading", path, () => this.client.open(path, READ));
    const pieces: { at: number; bytes: Promise<Uint8Array | undefined> }[] = [];
    try {
      for (let at = offset, next = offset; at < end;) {
        while (next < end && pieces.length < AHEAD) {
          const bytes = this.client.read(handle, next, Math.min(PIECE, end - next));
          bytes.catch(() => {});
          pieces.push({ at: next, bytes });
          next += PIECE;
        }
        const piece = pieces.shift()!;
        for (let bytes = await this.about("reading", path, () => piece.bytes);;) {
          if (!bytes || bytes.length === 0) return;
          yield bytes;
          at += bytes.length;
          const left = Math.min(piece.at + PIECE, end) - at;
          if (left <= 0) break;
          const from = at; // a server may give less than it was asked for
          bytes = await this.about("reading", path, () => this.client.read(handle, from, left));
        }
      }
    } finally {
      await this.client.closeFile(handle).catch(() => {});
    }
  }

  protected async hashOf(path: string, length: number): Promise<string> {
    const hash = sha256();
    for await (const bytes of this.read(path, 0, length)) hash.update(bytes);
    return hash.digest("hex");
  }

  protected async list(path: string): Promise<{ name: string; stats: SftpStats }[]> {
    return await this.about("reading", path, async () => {
      const handle = await this.client.opendir(path);
      const found = [];
      for (let some; (some = await this.client.readdir(handle)) !== undefined;) found.push(...some);
      await this.client.closeFile(handle);
      return found.filter(({ name }) => name !== "." && name !== "..");
    });
  }
}

/** Copies from a file or folder over SFTP. */
export class SftpSource extends SftpPlace implements Source {
  readonly name: string;

  constructor(remote: SftpRemote) {
    super(remote);
    this.name = nameOf(remote.path);
  }

  async inspect(): Promise<Item> {
    const stats = await this.about("copying", this.remote.path, () => this.client.stat(this.remote.path));
    const kind = kindOf(stats.mode);
    if (kind === "file" || kind === "folder") return { kind, ...stats, mode: stats.mode & 0o777 };
    throw new CopyError(
      `copying ${this.place}: it is neither a file nor a folder, so it has no contents to copy`,
      {
        failure: "other",
        place: this.place,
      },
    );
  }

  async count(options: TreeOptions): Promise<{ files: number; bytes: number }> {
    const sum = { files: 0, bytes: 0 };
    for await (const { kind, size } of this.#walk({ follow: options.follow, skipped() {} })) {
      if (kind === "file") [sum.files, sum.bytes] = [sum.files + 1, sum.bytes + size];
    }
    return sum;
  }

  body(size: number, offset: number): Body {
    return { bytes: () => this.#whole(this.remote.path, offset, size) };
  }

  async *#whole(path: string, offset: number, size: number): AsyncGenerator<Uint8Array> {
    let at = offset;
    for await (const bytes of this.read(path, offset, size)) {
      at += bytes.length;
      yield bytes;
    }
    if (at < size) throw changed(`${this.remote.host}:${path}`, `it had ${size} bytes, now ${at}`);
  }

  hash(length: number): Promise<string> {
    return this.hashOf(this.remote.path, length);
  }

  async *tree(options: TreeOptions): Tree {
    // small files are asked for before it is their turn
    const ahead: { entry: Entry; bytes?: Promise<Uint8Array[]> }[] = [];
    const give = async function* (this: SftpSource, least: number): Tree {
      while (ahead.length > least) {
        const { entry, bytes } = ahead.shift()!;
        yield entry;
        if (bytes) yield* await bytes;
        else if (entry.kind === "file") yield* this.#whole(this.#path(entry), 0, entry.size);
      }
    };
    for await (const entry of this.#walk(options)) {
      if (entry.kind === "file" && options.large && entry.size >= options.large.size) {
        options.large.found(entry.path);
        continue;
      }
      const small = entry.kind === "file" && entry.size > 0 && entry.size <= SMALL;
      const bytes = small ? collect(this.#whole(this.#path(entry), 0, entry.size)) : undefined;
      bytes?.catch(() => {});
      ahead.push({ entry, bytes });
      yield* give.call(this, FILES_AHEAD);
    }
    yield* give.call(this, 0);
  }

  hashes(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  below(path: string): Source {
    return new SftpSource({ ...this.remote, path: `${this.remote.path}/${path}` });
  }

  #path({ path }: Entry): string {
    return path ? `${this.remote.path}/${path}` : this.remote.path;
  }

  async *#walk(options: TreeOptions): AsyncGenerator<Entry> {
    const open: string[] = [];
    const visit = async function* (this: SftpSource, path: string, known?: SftpStats): AsyncGenerator<Entry> {
      const full = path ? `${this.remote.path}/${path}` : this.remote.path;
      const entry = await this.about("copying", full, async (): Promise<Entry> => {
        const follow = path === "" || (options.follow && kindOf(known!.mode) === "link");
        const stats = follow ? await this.client.stat(full) : known!;
        const kind = kindOf(stats.mode);
        return {
          path,
          kind,
          mode: stats.mode & 0o777,
          mtime: stats.mtime,
          size: kind === "file" ? stats.size : 0,
          target: kind === "link" ? await this.client.readlink(full) : "",
        };
      });
      if (entry.kind === "other") return options.skipped(`${this.remote.host}:${full}`);
      yield entry;
      if (entry.kind !== "folder") return;
      const real = options.follow ? await this.about("copying", full, () => this.client.realpath(full)) : "";
      if (options.follow && open.includes(real)) {
        throw new CopyError(
          `copying ${this.place}: links lead round in a circle; copy without following links`,
          {
            failure: "other",
            place: this.place,
          },
        );
      }
      open.push(real);
      for (const { name, stats } of await this.list(full)) {
        if (name === "" || name.includes("/") || name.includes("\0")) {
          throw new CopyError(
            `${this.place} sent the name ${JSON.stringify(name)}, which cannot be one: refused`,
            {
              failure: "unsafe",
              place: this.place,
            },
          );
        }
        yield* visit.call(this, path ? `${path}/${name}` : name, stats);
      }
      open.pop();
    };
    yield* visit.call(this, "");
  }
}

/** What a mode says it is. */
export function kindOf(mode: number): "file" | "folder" | "link" | "other" {
  const type = mode & 0o170000;
  return type === 0o100000 ? "file" : type === 0o040000 ? "folder" : type === 0o120000 ? "link" : "other";
}

async function collect(bytes: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const pieces = [];
  for await (const piece of bytes) pieces.push(piece);
  return pieces;
}
