/**
 * What the tests of archives share: the kinds that there are, and small helpers. Only for tests.
 *
 * @module
 */
import { assertThrows } from "@std/assert";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import {
  type ArchiveKey,
  type ArchiveOptions,
  DictArchive,
  DirArchive,
  FileArchive,
  HdfArchive,
  HdfDirArchive,
  SqlArchive,
  SqlTableArchive,
  type StoreArchive,
} from "@pathos/pathos/cache";

/** A kind of archive, and in what it differs from the others. */
export interface Kind {
  open<V = unknown>(path: string, options?: ArchiveOptions): StoreArchive<ArchiveKey, V>;
  /** In memory: nobody else sees it, and it keeps values as they are unless it is told otherwise. */
  inMemory?: boolean;
  /** Writes of a transaction cannot be taken back. */
  oneByOne?: boolean;
}

/** All kinds of synchronous archives that keep something. */
export const KINDS: Record<string, Kind> = {
  DictArchive: { open: (path, options) => new DictArchive(path, options), inMemory: true },
  FileArchive: { open: (path, options) => new FileArchive(path, options) },
  DirArchive: { open: (path, options) => new DirArchive(path, options), oneByOne: true },
  SqlArchive: { open: (path, options) => new SqlArchive(path, options) },
  "SqlArchive, exclusive": {
    open: (path, options) => new SqlArchive(path, { ...options, mode: "exclusive" }),
  },
  SqlTableArchive: { open: (path, options) => new SqlTableArchive(path, options) },
  HdfArchive: { open: (path, options) => new HdfArchive(path, options) },
  HdfDirArchive: { open: (path, options) => new HdfDirArchive(path, options), oneByOne: true },
};

/** The message of the error that a call throws. */
export const message = (action: () => unknown): string => assertThrows(action, Error).message;

/** All files and folders below a folder. */
export function* walk(folder: string): Generator<[path: string, isFolder: boolean]> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    yield [path, entry.isDirectory()];
    if (entry.isDirectory()) yield* walk(path);
  }
}
