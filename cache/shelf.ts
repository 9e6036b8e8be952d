/**
 * The archives behind a memoized function: one, and perhaps another in front of it. Results lie there under the function's
 * identity and the key of the call, so that functions can share an archive.
 *
 * A result lies there as it is, for others to read. Only what a plain function gave as a promise or as an iterator, and what a
 * generator function gave, is put in an object that says so, and an object that looks like that one too.
 */
import { identity } from "./identity.ts";
import { keyToText, textToKey } from "./key_text.ts";
import { type Attempt, FileAttempt, RemoteAttempt } from "./flight.ts";
import type { CodeFunction } from "../serialize/types.ts";
import type { EntryInfo } from "./store.ts";
import type { Archive, ArchiveKey, AsyncArchive, SetOptions } from "./types.ts";

/** What a result is: a value as it is, a value that the function gave as a promise, or what an iterator gave. */
export type Form = "value" | "promise" | "sequence";

/** A result, with what is known of it. */
export interface Found {
  readonly form: Form;
  readonly value: unknown;
  readonly expires: number;
  readonly grace: number;
  readonly tags: readonly string[];
}

const MARK = "pathos:memo";

/** A synchronous archive, or one behind a network. */
export type AnyArchive = Archive | AsyncArchive;

/** Whether an archive gives promises. */
export function isAsyncArchive(archive: AnyArchive): archive is AsyncArchive {
  return Symbol.asyncIterator in archive;
}

/** The archives of one memoized function. */
export class Shelf {
  /** Those that answer at once, nearest first. */
  readonly near: readonly Archive[];
  /** The one behind a network. */
  readonly far: AsyncArchive | undefined;
  #prefix: string | undefined;

  constructor(
    private readonly fn: CodeFunction,
    readonly archive: AnyArchive,
    front: Archive | undefined,
    private readonly naming: { name?: string; version?: string | number },
  ) {
    this.far = isAsyncArchive(archive) ? archive : undefined;
    this.near = [front, isAsyncArchive(archive) ? undefined : archive].filter((found) => found !== undefined);
  }

  /** What the keys of this function begin with. */
  get prefix(): string {
    return this.#prefix ??= `${identity(this.fn, this.naming)}:`;
  }

  /** Under which text a key is kept. */
  place(key: ArchiveKey): string {
    return this.prefix + keyToText(key);
  }

  /** The key that is kept under a text; undefined if it is another function's. */
  keyAt(place: ArchiveKey): { key: ArchiveKey } | undefined {
    if (typeof place !== "string" || !place.startsWith(this.prefix)) return undefined;
    return { key: textToKey(place.slice(this.prefix.length)) };
  }

  /** Milliseconds after which the archive lets results expire if the function does not say. */
  get ttl(): number {
    return this.archive.ttl ?? Infinity;
  }

  /** Looks into the archives that answer at once; where none has a fresh result, a stale one will do if `stale`. */
  read(place: string, stale: boolean): Found | undefined {
    let old: Found | undefined;
    for (const archive of this.near) {
      const entry = archive.read(place);
      if (entry === undefined) continue;
      const found = opened(entry);
      if (found.expires > Date.now()) {
        if (archive !== this.near[0]) this.#copy(place, found);
        return found;
      }
      old = found;
    }
    return stale ? old : undefined;
  }

  /** The same in all. */
  async readAll(place: string, stale: boolean): Promise<Found | undefined> {
    if (this.far === undefined) return this.read(place, stale);
    const near = this.read(place, false);
    if (near !== undefined) return near;
    const entry = await this.far.read(place);
    if (entry === undefined) return undefined;
    const found = opened(entry);
    const fresh = found.expires > Date.now();
    if (fresh) this.#copy(place, found);
    return fresh || stale ? found : undefined;
  }

  /** Writes into the archives that answer at once. */
  write(place: string, form: Form, value: unknown, options: SetOptions): void {
    const packed = packedAs(form, value);
    for (const archive of this.near) archive.set(place, packed, options);
  }

  /** Writes into all. */
  async writeAll(place: string, form: Form, value: unknown, options: SetOptions): Promise<void> {
    this.write(place, form, value, options);
    await this.far?.set(place, packedAs(form, value), options);
  }

  /** Attempts at the flight of a key; undefined if nobody else can see the archive. */
  attempt(place: string): Attempt | undefined {
    const { far, archive } = this;
    if (far !== undefined) return far.hold && new RemoteAttempt(() => far.hold!(place));
    const { meeting } = archive as Archive;
    return meeting === undefined ? undefined : new FileAttempt(meeting, place);
  }

  /** Removes a tag's entries, those of other functions included; gives the number in the archive itself. */
  invalidate(tag: string): number | Promise<number> {
    const numbers = this.near.map((archive) => archive.invalidate(tag));
    return this.far ? this.far.invalidate(tag) : numbers.at(-1)!;
  }

  #copy(place: string, { form, value, expires, grace, tags }: Found): void {
    const ttl = Math.max(0, expires - Date.now());
    this.near[0]?.set(place, packedAs(form, value), { ttl, grace, tags });
  }
}

function packedAs(form: Form, value: unknown): unknown {
  return form === "value" && !isMarked(value) ? value : { [MARK]: form, value };
}

function opened({ value, info }: { value: unknown; info: EntryInfo }): Found {
  const { expires, grace, tags } = info;
  return isMarked(value)
    ? { form: value[MARK], value: value.value, expires, grace, tags }
    : { form: "value", value, expires, grace, tags };
}

function isMarked(value: unknown): value is { [MARK]: Form; value: unknown } {
  return typeof value === "object" && value !== null && Object.hasOwn(value, MARK);
}
