/**
 * The ends of a copy that lie on a host with a shell: a file goes through `cat`, a folder through `tar`, over a
 * connection that is shared with whatever else talks to that host. One command does all of a file or folder, so that
 * thousands of small files cost no more round trips than one.
 */
import type { Connection } from "./connection.ts";
import { ask, askBytes, check, during, scriptLine, startScript } from "./copy_command.ts";
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
import { CopyError } from "./copy_error.ts";
import { nameOf } from "./copy_place.ts";
import * as scripts from "./copy_scripts.ts";
import {
  decodeName,
  encodeName,
  type Entry,
  readTar,
  TAR_END,
  tarHeader,
  tarPadding,
  type Tree,
} from "./copy_tar.ts";

/** A place on a host: the connection, the path there, and what ends the copy early. */
export interface Remote {
  connection: Connection;
  path: string;
  signal: AbortSignal;
}

/** Says that a script did not do what it does at its end on a host with a shell. */
function noShell(place: string): CopyError {
  return new CopyError(
    `copying ${place}: the host ran no POSIX shell for the copy; protocol "sftp" needs none`,
    {
      failure: "unsupported",
      place,
    },
  );
}

/** A path that no program takes for an option. */
function safePath(path: string): string {
  return path.startsWith("/") ? path : `./${path}`;
}

function placeOf({ connection, path }: Remote): string {
  return `${connection.host.name}:${path}`;
}

/** Copies from a file or folder on a host. */
export class ShellSource implements Source {
  readonly place: string;
  readonly name: string;
  readonly #remote: Remote;
  readonly #path: string;

  constructor(remote: Remote) {
    this.#remote = remote;
    this.#path = safePath(remote.path);
    this.place = placeOf(remote);
    this.name = nameOf(remote.path);
  }

  async inspect(): Promise<Item> {
    const [kind, mode, size, mtime, done] = (await this.#ask(scripts.INSPECT)).trim().split(" ");
    if (done !== "done") throw noShell(this.place);
    if (kind !== "file" && kind !== "folder") {
      throw new CopyError(
        `copying ${this.place}: it is neither a file nor a folder, so it has no contents to copy`,
        {
          failure: "other",
          place: this.place,
        },
      );
    }
    return { kind, mode: parseInt(mode, 8) & 0o777, size: Number(size), mtime: Number(mtime) };
  }

  async count({ follow }: TreeOptions): Promise<{ files: number; bytes: number }> {
    const [files, bytes] = (await this.#ask(scripts.COUNT, follow ? "-L" : "-P")).trim().split(" ").map(
      Number,
    );
    return { files, bytes };
  }

  body(size: number, offset: number): Body {
    const { connection } = this.#remote;
    const line = scriptLine(scripts.SEND_FILE, [this.#path, offset]);
    const transfer = connection.transfer?.bind(connection);
    return {
      bytes: () => this.#bytes(line, size - offset),
      ...(transfer && {
        into: async (path: string) => {
          const running = startScript((events) => transfer(line, { to: path }, events), this.place);
          await during(
            this.#remote.signal,
            running,
            async () => check(await running.ended, "copying", this.place),
          );
        },
      }),
    };
  }

  async *#bytes(line: string, length: number): AsyncGenerator<Uint8Array> {
    const { connection, signal } = this.#remote;
    const running = startScript((events) => connection.run(line, events), this.place);
    const stop = () => void running.stop();
    signal.addEventListener("abort", stop, { once: true });
    let left = length;
    try {
      running.closeInput();
      for await (const bytes of running.output) {
        signal.throwIfAborted();
        yield bytes.length > left ? bytes.subarray(0, left) : bytes;
        left -= Math.min(bytes.length, left);
        if (left === 0) break; // it may have grown: what it was when the copy began
      }
      signal.throwIfAborted();
      if (left > 0) {
        check(await running.ended, "copying", this.place);
        throw changed(this.place, `it is ${left} bytes shorter now`);
      }
    } finally {
      signal.removeEventListener("abort", stop);
      await running.stop();
    }
  }

  async hash(length: number): Promise<string> {
    return (await this.#ask(scripts.HASH, length)).slice(0, 64);
  }

  async *tree(options: TreeOptions): Tree {
    const { connection, signal } = this.#remote;
    const follow = options.follow ? "h" : "";
    let large: string[] = [];
    if (options.large) {
      const list = await this.#ask(scripts.LIST_LARGE, options.follow ? "-L" : "-P", options.large.size - 1);
      large = list.split("\0").slice(0, -1).map((path) => path.replace(/^\.\//, ""));
      for (const path of large) options.large.found(path);
    }
    const line = large.length > 0
      ? scriptLine(scripts.SEND_SMALL, [this.#path, follow, options.large!.size])
      : scriptLine(scripts.SEND_TREE, [this.#path, follow]);
    const running = startScript((events) => connection.run(line, events), this.place);
    const stop = () => void running.stop();
    signal.addEventListener("abort", stop, { once: true });
    try {
      running.closeInput();
      for await (const next of readTar(running.output, this.place)) {
        signal.throwIfAborted();
        if (next instanceof Uint8Array || next.kind !== "other") yield next;
        else options.skipped(`${this.place}/${next.path}`);
      }
      for await (const _ of running.output); // tar fills its last block
      check(await running.ended, "copying", this.place);
    } catch (error) {
      signal.throwIfAborted();
      if (running.over) check(await running.ended, "copying", this.place); // what tar said is better than "cut short"
      throw error;
    } finally {
      signal.removeEventListener("abort", stop);
      await running.stop();
    }
  }

  async hashes({ follow }: TreeOptions): Promise<Map<string, string>> {
    const { connection, signal } = this.#remote;
    const output = await askBytes(
      connection,
      scripts.HASH_TREE,
      [this.#path, follow ? "-L" : "-P"],
      "copying",
      this.place,
      signal,
    );
    const found = new Map<string, string>();
    for (let at = 0; at < output.length;) {
      const end = output.indexOf(10, at);
      const line = decodeName(output.subarray(at, end < 0 ? output.length : end));
      const escaped = line.startsWith("\\");
      const [, hash, path] = /^\\?([0-9a-f]{64})[ *]{2}(?:\.\/)?(.*)$/s.exec(line) ?? [];
      if (hash) found.set(escaped ? path.replace(/\\([\\nr])/g, (_, c) => ESCAPES[c]) : path, hash);
      at = end < 0 ? output.length : end + 1;
    }
    return found;
  }

  below(path: string): Source {
    return new ShellSource({ ...this.#remote, path: `${this.#remote.path}/${path}` });
  }

  #ask(script: string, ...args: (string | number)[]): Promise<string> {
    return ask(
      this.#remote.connection,
      script,
      [this.#path, ...args],
      "copying",
      this.place,
      this.#remote.signal,
    );
  }
}

const ESCAPES: Record<string, string> = { "\\": "\\", n: "\n", r: "\r" };

/** Copies to a file or folder on a host. */
export class ShellTarget implements Target {
  readonly place: string;
  readonly #remote: Remote;

  constructor(remote: Remote) {
    this.#remote = remote;
    this.place = placeOf(remote);
  }

  async part(landing: Landing): Promise<{ size: number; hash: string } | undefined> {
    const told = (await this.#ask(scripts.PART, this.#land(landing, "file", ""))).trim();
    const [size, hash] = told.split(" ");
    return told ? { size: Number(size), hash } : undefined;
  }

  async file(landing: Landing, item: Item, body: Body, offset: number, hash?: string): Promise<void> {
    const { connection, signal } = this.#remote;
    const line = scriptLine(scripts.RECEIVE_FILE, [
      ...this.#land(landing, "file", landing.resume ? "" : newTag()),
      landing.resume ? 1 : 0,
      offset,
      item.size,
      (landing.preserve ? item.mode : plainMode(item.mode, "file")).toString(8),
      landing.preserve ? stamp(item.mtime) : "",
      hash ?? "",
    ]);
    if (body.file !== undefined && offset === 0 && connection.transfer) {
      const { file } = body;
      try {
        const piped = startScript((events) => connection.transfer!(line, { from: file }, events), this.place);
        return await this.#finish(piped, () => Promise.resolve());
      } catch (error) {
        if (!(error instanceof CopyError && error.failure === "other")) throw error; // the other way tells better
      }
    }
    const running = startScript((events) => connection.run(line, events), this.place, "input");
    await this.#finish(running, async () => {
      for await (const bytes of body.bytes()) {
        if (running.over) break; // it failed, and tells why
        await running.write(bytes);
        signal.throwIfAborted();
      }
      running.closeInput();
    });
  }

  async tree(landing: Landing, tree: Tree, hashes?: ReadonlyMap<string, string>): Promise<void> {
    const { connection, signal } = this.#remote;
    const line = scriptLine(scripts.RECEIVE_TREE, [
      ...this.#land(landing, "folder", newTag()),
      landing.preserve ? "p" : "m",
      hashes ? 1 : 0,
    ]);
    const running = startScript((events) => connection.run(line, events), this.place, "input");
    await this.#finish(running, async () => {
      const out = new Packer((bytes) => running.write(bytes));
      let padding = 0;
      for await (const next of tree) {
        if (running.over) return;
        if (next instanceof Uint8Array) await out.put(next);
        else {
          await out.zeros(padding);
          padding = next.kind === "file" ? tarPadding(next.size) : 0;
          await out.put(packed(next, landing.preserve));
        }
        signal.throwIfAborted();
      }
      await out.zeros(padding);
      if (hashes) await putFile(out, "sums", sumsFile(hashes));
      await putFile(out, "end", new Uint8Array());
      await out.put(TAR_END);
      await out.flush();
      running.closeInput();
    });
  }

  async below(landing: Landing): Promise<(path: string) => Target> {
    const root = await this.#ask(scripts.RESOLVE, this.#land(landing, "folder", ""));
    return (path) => new ShellTarget({ ...this.#remote, path: `${root}/${path}` });
  }

  /** Feeds a script, and takes its end for the answer. */
  async #finish(running: ReturnType<typeof startScript>, feed: () => Promise<void>): Promise<void> {
    let told = "";
    const listen = (async () => {
      for await (const bytes of running.output) told = (told + new TextDecoder().decode(bytes)).slice(-256);
    })();
    await during(this.#remote.signal, running, async () => {
      await feed();
      const end = await running.ended;
      await listen;
      if (end.status.code === 0 && !/(^|\n)done\n$/.test(told)) throw noShell(this.place);
      this.#check(end);
    });
  }

  #check(end: Awaited<ReturnType<typeof startScript>["ended"]>): void {
    try {
      check(end, "copying to", this.place);
    } catch (error) {
      const about = /pathos-copy:mismatch:checksum(?: (.*): FAILED)?/.exec(end.said);
      if (about) throw mismatch(about[1] ? `${this.place}: ${about[1]}` : this.place);
      throw error;
    }
  }

  #land(landing: Landing, kind: Item["kind"], tag: string): (string | number)[] {
    const { path } = this.#remote;
    const own = partName(nameOf(path), tag);
    // merging stages inside the folder, where the part needs no other name than its tag
    const inside = kind === "folder" ? partName("", tag) : partName(landing.name, tag);
    return [safePath(path), landing.name, landing.many ? 1 : 0, landing.overwrite ? 1 : 0, inside, own, kind];
  }

  #ask(script: string, args: (string | number)[]): Promise<string> {
    return ask(this.#remote.connection, script, args, "copying to", this.place, this.#remote.signal);
  }
}

/** The header of an entry below `tree/`. The root stays writable for its owner until it has moved. */
function packed(entry: Entry, preserve: boolean): Uint8Array {
  const path = (below: string) => below ? `tree/${below}` : "tree";
  const mode = preserve ? entry.mode : plainMode(entry.mode, entry.kind);
  return tarHeader(
    path(entry.path),
    { ...entry, mode },
    entry.kind === "again" ? path(entry.target) : entry.target,
  );
}

async function putFile(out: Packer, name: string, bytes: Uint8Array): Promise<void> {
  const entry: Entry = { path: name, kind: "file", mode: 0o600, mtime: 0, size: bytes.length, target: "" };
  await out.put(tarHeader(name, entry));
  await out.put(bytes);
  await out.zeros(tarPadding(bytes.length));
}

/** What `sha256sum -c` reads. */
function sumsFile(hashes: ReadonlyMap<string, string>): Uint8Array {
  const lines = [...hashes].map(([path, hash]) => {
    const escaped = path.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\r", "\\r");
    return `${escaped === path ? "" : "\\"}${hash}  ./${escaped}\n`;
  });
  return encodeName(lines.join(""));
}

/** Seconds since 1970 as `touch -t` has it, in UTC. */
function stamp(mtime: number): string {
  const date = new Date(Math.floor(mtime) * 1000).toISOString();
  return `${date.slice(0, 16).replace(/[-T:]/g, "")}.${date.slice(17, 19)}`;
}

const ROOM = 128 * 1024;

/** Gathers small pieces, so that thousands of small files do not cost thousands of writes. */
class Packer {
  readonly #write: (bytes: Uint8Array) => Promise<void>;
  #buffer = new Uint8Array(ROOM);
  #used = 0;

  constructor(write: (bytes: Uint8Array) => Promise<void>) {
    this.#write = write;
  }

  async put(bytes: Uint8Array): Promise<void> {
    if (this.#used + bytes.length > ROOM) await this.flush();
    if (bytes.length > ROOM / 2) return await this.#write(bytes);
    this.#buffer.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  async zeros(count: number): Promise<void> {
    if (count > 0) await this.put(new Uint8Array(count));
  }

  async flush(): Promise<void> {
    if (this.#used === 0) return;
    const full = this.#buffer.subarray(0, this.#used);
    this.#buffer = new Uint8Array(ROOM);
    this.#used = 0;
    await this.#write(full);
  }
}
