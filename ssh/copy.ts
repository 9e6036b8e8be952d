/**
 * Copies files and folders between here and hosts, in any direction, also from host to host through here.
 *
 * What arrives is complete or absent: it lies under another name until all of it is there, verified if asked
 * for, and is then renamed. Existing files are replaced, existing folders merged into. Links are kept as links and
 * never written through. Owners, access lists and holes are not copied; times are kept to the second.
 */
import { nextTurn } from "../runtime/mod.ts";
import {
  type Body,
  type Item,
  type Landing,
  mismatch,
  type Source,
  type Target,
  type TreeOptions,
} from "./copy_ends.ts";
import { CopyError } from "./copy_error.ts";
import { type Hash, isInside, sha256 } from "./copy_files.ts";
import { type CopyPlace, type ParsedPlace, parsePlace } from "./copy_place.ts";
import { Ends } from "./copy_reach.ts";
import type { Tree } from "./copy_tar.ts";
import { Host } from "./host.ts";

/** How far a copy is. Counts never go back; at the end they are the totals. */
export interface CopyProgress {
  /** Bytes of files that were read. */
  bytes: number;
  /** Files that were read to their end. */
  files: number;
  /** Bytes of all files; undefined if that cannot be known before. */
  totalBytes: number | undefined;
  /** All files. */
  totalFiles: number | undefined;
  /** The target concerned. */
  target: CopyPlace;
}

/** Options of {@linkcode copy}. */
export interface CopyOptions {
  /** Copy folders with all that is in them; if false, a folder is an error. Default: true. */
  recursive?: boolean;
  /** Keep permissions and times of last change; if false, they are those of new files. Default: true. */
  preserve?: boolean;
  /** Links inside folders: `"keep"` them, or `"follow"` them and copy what they lead to. Default: `"keep"`. */
  links?: "keep" | "follow";
  /** Replace files that exist; if false, one that exists is an error and nothing is changed. Default: true. */
  overwrite?: boolean;
  /**
   * Keep what arrived of a large file (16 MiB and more) when the copy fails, as `.NAME.pathos-part`, and continue from there
   * next time, if that part has the checksum of the source's beginning. Default: false.
   */
  resume?: boolean;
  /** Compare SHA-256 of source and copy before the copy appears at its place. Default: false. */
  checksum?: boolean;
  /** Ends the copy; nothing of it stays. */
  signal?: AbortSignal;
  /** Called as it goes on, at most every 100 ms, and at the end. */
  onProgress?: (progress: CopyProgress) => void;
  /**
   * `"stream"` needs a shell on the host, `"sftp"` the SFTP subsystem. Default: `"auto"`, which streams, and takes SFTP
   * where there is no shell or no tar.
   */
  protocol?: "auto" | "stream" | "sftp";
  /** How many targets are copied to at once, where there are several. Default: 8. */
  limit?: number;
}

/** What was copied. */
export interface CopyReport {
  /** Number of files. */
  files: number;
  /** Bytes in these files. */
  bytes: number;
  /** Bytes of them that were there from an earlier copy. */
  resumed: number;
  /** What is neither file, folder nor link (sockets, devices), and was left out. */
  skipped: string[];
}

/** How the copy to one of several targets ended. */
export type CopyOutcome =
  | { target: CopyPlace; report: CopyReport; error?: undefined }
  | { target: CopyPlace; report?: undefined; error: Error };

const LARGE = 16 * 1024 * 1024;

/**
 * Copies a file or folder, or several into a folder. If the target is a folder, the copy gets the source's name in it;
 * else it gets the target's name. A source that ends in `/.` stands for the contents of a folder.
 *
 * With a list of targets it copies to all of them, some at once, and tells for each how it ended.
 *
 * @throws {CopyError} If it fails; nothing of the file or folder that failed is at the target.
 * @throws {SshError} If a host cannot be reached.
 * @throws {TypeError} If a place cannot be one.
 * @throws {DOMException} What `signal` was aborted with, as a rule an `AbortError`.
 *
 * @example Files to a host and back
 * ```ts ignore
 * await copy("data", "web1:/srv/in");
 * await copy(["web1:/srv/out/a.csv", "web2:/srv/out/b.csv"], "results", { checksum: true });
 * ```
 *
 * @example Here, with progress
 * ```ts
 * import { copy } from "@pathos/pathos/ssh";
 * import { assertEquals } from "@std/assert";
 *
 * const folder = await Deno.makeTempDir();
 * await Deno.writeTextFile(`${folder}/a`, "hello");
 * let seen = 0;
 * const report = await copy(`${folder}/a`, `${folder}/b`, { onProgress: ({ bytes }) => seen = bytes });
 * assertEquals([report.files, seen, await Deno.readTextFile(`${folder}/b`)], [1, 5, "hello"]);
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export function copy(
  source: CopyPlace | readonly CopyPlace[],
  target: readonly CopyPlace[],
  options?: CopyOptions,
): Promise<CopyOutcome[]>;
/** Copies to one target; see above. */
export function copy(
  source: CopyPlace | readonly CopyPlace[],
  target: CopyPlace,
  options?: CopyOptions,
): Promise<CopyReport>;
export async function copy(
  source: CopyPlace | readonly CopyPlace[],
  target: CopyPlace | readonly CopyPlace[],
  options: CopyOptions = {},
): Promise<CopyReport | CopyOutcome[]> {
  const sources = isList(source) ? source : [source];
  if (sources.length === 0) throw new TypeError("copy: there is no source");
  const parsed = sources.map(parsePlace);
  if (!isList(target)) return await copyTo(parsed, target, options);
  target.forEach(parsePlace);
  const { limit = 8 } = options;
  if (!(limit >= 1)) throw new RangeError(`copy: limit is ${limit}, but at least one copy must run`);
  const outcomes: CopyOutcome[] = [];
  const left = target.entries();
  const runner = async () => {
    for (const [i, one] of left) {
      outcomes[i] = await copyTo(parsed, one, options).then(
        (report) => ({ target: one, report }),
        (error) => ({ target: one, error }),
      );
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, target.length) }, runner));
  return outcomes;
}

function isList(place: CopyPlace | readonly CopyPlace[]): place is readonly CopyPlace[] {
  return Array.isArray(place);
}

async function copyTo(
  sources: readonly ParsedPlace[],
  target: CopyPlace,
  options: CopyOptions,
): Promise<CopyReport> {
  const stop = new AbortController();
  const abort = () => stop.abort(options.signal!.reason);
  options.signal?.throwIfAborted();
  options.signal?.addEventListener("abort", abort, { once: true });
  const ends = new Ends(options.protocol ?? "auto", stop.signal);
  try {
    const job = new Job(target, options, ends, stop.signal);
    if (options.onProgress) await job.count(sources);
    for (const source of sources) await job.run(source, sources.length > 1);
    return job.finish();
  } finally {
    options.signal?.removeEventListener("abort", abort);
    await ends.release();
  }
}

/** The copy of some sources to one target, and how far it is. */
class Job {
  readonly #target: CopyPlace;
  readonly #options: CopyOptions;
  readonly #ends: Ends;
  readonly #signal: AbortSignal;
  readonly #report: CopyReport = { files: 0, bytes: 0, resumed: 0, skipped: [] };
  readonly #seen = { files: 0, bytes: 0 };
  #total: { files: number; bytes: number } | undefined;
  #told = { files: 0, bytes: 0, at: 0 };
  #untilTurn = TURN;

  constructor(target: CopyPlace, options: CopyOptions, ends: Ends, signal: AbortSignal) {
    this.#target = target;
    this.#options = options;
    this.#ends = ends;
    this.#signal = signal;
  }

  async count(places: readonly ParsedPlace[]): Promise<void> {
    const total = { files: 0, bytes: 0 };
    for (const place of places) {
      const { files, bytes } = await this.#ends.with([place], async () => {
        const source = await this.#ends.source(place);
        const item = await source.inspect();
        return item.kind === "file"
          ? { files: 1, bytes: item.size }
          : await source.count(this.#treeOptions());
      });
      total.files += files;
      total.bytes += bytes;
    }
    this.#total = total;
  }

  async run(from: ParsedPlace, many: boolean): Promise<void> {
    const to = parsePlace(this.#target);
    const before = { ...this.#seen };
    await this.#ends.with([from, to], async () => {
      Object.assign(this.#seen, before);
      const [source, target] = await Promise.all([this.#ends.source(from), this.#ends.target(to)]);
      const item = await source.inspect();
      const { preserve = true, overwrite = true, recursive = true } = this.#options;
      if (item.kind === "folder" && !recursive) {
        throw new CopyError(`copying ${source.place}: it is a folder, and recursive is false`, {
          failure: "other",
          place: source.place,
        });
      }
      const landing = { name: source.name, many, preserve, overwrite, resume: false };
      if (item.kind === "file") await this.#file(source, target, item, landing);
      else {
        refuseIntoItself(from, to, source);
        await this.#folder(source, target, landing);
      }
    });
  }

  finish(): CopyReport {
    this.#total = { ...this.#seen };
    this.#tell(true);
    this.#report.files = this.#seen.files;
    this.#report.bytes = this.#seen.bytes;
    return this.#report;
  }

  async #file(source: Source, target: Target, item: Item, given: Landing): Promise<void> {
    const { resume = false, checksum = false, onProgress } = this.#options;
    const landing = { ...given, resume: resume && item.size >= LARGE };
    const part = landing.resume ? await target.part(landing) : undefined;
    const fits = part !== undefined && part.size > 0 && part.size <= item.size;
    const offset = fits && await source.hash(part.size) === part.hash ? part.size : 0;
    const hash = checksum ? await source.hash(item.size) : undefined;
    const body = source.body(item.size, offset);
    this.#seen.bytes += offset;
    this.#report.resumed += offset;
    const before = this.#seen.bytes;
    const watched: Body = { ...(onProgress ? {} : body), bytes: () => this.#watch(body.bytes()) };
    await target.file(landing, item, watched, offset, hash);
    this.#seen.bytes = before + item.size - offset;
    this.#seen.files++;
    this.#tell();
  }

  async #folder(source: Source, target: Target, landing: Landing): Promise<void> {
    const { resume = false, checksum = false } = this.#options;
    const large: string[] = [];
    const below = resume ? await target.below(landing) : undefined; // while it is not there yet
    const options = this.#treeOptions(resume ? (path) => large.push(path) : undefined);
    const hashes = checksum ? new Map<string, string>() : undefined;
    const tree = this.#watchTree(source, source.tree(options), options, hashes);
    await target.tree(landing, tree, hashes);
    for (const path of large) {
      const file = source.below(path);
      await this.#file(file, below!(path), await file.inspect(), { ...landing, name: "", many: false });
    }
  }

  #treeOptions(found?: (path: string) => void): TreeOptions {
    return {
      follow: this.#options.links === "follow",
      skipped: (path) => void this.#report.skipped.push(path),
      ...(found && { large: { size: LARGE, found } }),
    };
  }

  async *#watch(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of bytes) {
      if (this.#isTurn(piece.length)) await nextTurn();
      this.#seen.bytes += piece.length;
      this.#tell();
      yield piece;
    }
  }

  async *#watchTree(source: Source, tree: Tree, options: TreeOptions, hashes?: Map<string, string>): Tree {
    let file: { path: string; left: number; hash: Hash | undefined } | undefined;
    const end = () => {
      if (!file || file.left > 0) return;
      this.#seen.files++;
      if (file.hash) hashes!.set(file.path, file.hash.digest("hex"));
      file = undefined;
      this.#tell();
    };
    for await (const next of tree) {
      if (next instanceof Uint8Array) {
        if (this.#isTurn(next.length)) await nextTurn();
        file!.left -= next.length;
        file!.hash?.update(next);
        this.#seen.bytes += next.length;
      } else {
        if (this.#isTurn(ENTRY)) await nextTurn();
        if (next.kind === "file") {
          file = { path: next.path, left: next.size, hash: hashes && sha256() };
        } else if (next.kind === "again") this.#seen.files++;
      }
      end();
      yield next;
    }
    const known = hashes && await source.hashes(options);
    if (!known) return;
    for (const [path, hash] of hashes) {
      if (known.get(path) !== hash) throw mismatch(`${source.place}/${path}`);
    }
  }

  /** Whether it is time to let others have their turn, so that a copy from here to here can be aborted. */
  #isTurn(cost: number): boolean {
    this.#signal.throwIfAborted();
    if ((this.#untilTurn -= cost) > 0) return false;
    this.#untilTurn = TURN;
    return true;
  }

  #tell(last = false): void {
    const { onProgress } = this.#options;
    if (!onProgress) return;
    const now = performance.now();
    if (!last && now - this.#told.at < INTERVAL) return;
    const files = Math.max(this.#seen.files, this.#told.files);
    const bytes = Math.max(this.#seen.bytes, this.#told.bytes);
    this.#told = { files, bytes, at: now };
    onProgress({
      files,
      bytes,
      // what was counted may have grown since
      totalFiles: this.#total && Math.max(this.#total.files, files),
      totalBytes: this.#total && Math.max(this.#total.bytes, bytes),
      target: this.#target,
    });
  }
}

const TURN = 8 * 1024 * 1024;
const ENTRY = 32 * 1024;
const INTERVAL = 100;

/** A folder in itself has no end. */
function refuseIntoItself(from: ParsedPlace, to: ParsedPlace, source: Source): void {
  if ((from.host === undefined) !== (to.host === undefined)) return;
  const inside = from.host === undefined
    ? isInside(to.path, from.path)
    : Host.from(from.host).key === Host.from(to.host!).key && `${to.path}/`.startsWith(`${from.path}/`);
  if (!inside) return;
  throw new CopyError(`copying ${source.place}: the target ${to.path} is the folder itself or in it`, {
    failure: "in-the-way",
    place: source.place,
  });
}
