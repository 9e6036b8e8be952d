/**
 * Archives by what lies at a path, for programs that look at archives of others: which kind it is, which caches it holds. Nothing
 * is made or changed by looking.
 */
import { fileKind, readFile, readFileStart } from "../runtime/mod.ts";
import type { StoreArchive } from "./archive.ts";
import { DirArchive, MARKER } from "./dir.ts";
import { FileArchive } from "./file.ts";
import { HdfArchive } from "./hdf.ts";
import { HdfDirArchive } from "./hdf_dir.ts";
import { SqlArchive } from "./sql.ts";
import { columnsOf } from "./sql_store.ts";
import { ENTRY_COLUMNS } from "./sql_entries.ts";
import { leaseDatabase } from "./sqlite_shared.ts";
import { SqlTableArchive } from "./sqltable.ts";

/** Kinds of archives, as `pathos cache` calls them. */
export type ArchiveKind = "file" | "folder" | "hdf" | "hdf folder" | "sqlite";

/** What was found at a path. */
export interface FoundArchive {
  readonly kind: ArchiveKind;
  /**
   * The caches in it. In a SQLite file those of `SqlArchive` by their names, tables of `SqlTableArchive` as `#table`; kinds that
   * hold one alone have the one name "".
   */
  readonly names: readonly string[];
  /** Opens one of them; `readOnly` where the kind can. */
  open(name: string, readOnly: boolean): StoreArchive;
}

/**
 * Looks what is at a path.
 *
 * @returns Undefined if there is something, but no archive.
 * @throws {Error} If there is nothing, or it cannot be read.
 */
export function findArchive(path: string): FoundArchive | undefined {
  return fileKind(path) === "folder" ? inFolder(path) : inFile(path);
}

function inFolder(path: string): FoundArchive | undefined {
  const marker = `${path}/${MARKER}`;
  if (fileKind(marker) !== "file") return undefined;
  const hdf = new TextDecoder().decode(readFile(marker)).includes('"hdf folder ');
  return hdf
    ? single("hdf folder", () => new HdfDirArchive(path))
    : single("folder", () => new DirArchive(path));
}

function inFile(path: string): FoundArchive | undefined {
  const start = String.fromCharCode(...readFileStart(path, 16));
  if (start.startsWith('{"pathos":"file ')) return single("file", () => new FileArchive(path));
  if (start.startsWith("\x89HDF\r\n\x1a\n")) return single("hdf", () => new HdfArchive(path));
  if (start === "SQLite format 3\0") return sqlite(path);
  return undefined;
}

/** A new archive at a path where nothing is yet. */
export function newArchive(path: string, kind: "sqlite" | "file" | "folder"): FoundArchive {
  if (kind === "sqlite") return sqlite(path, []);
  return single(kind, kind === "file" ? () => new FileArchive(path) : () => new DirArchive(path));
}

function sqlite(path: string, names = [...SqlArchive.names(path), ...tables(path)]): FoundArchive {
  return {
    kind: "sqlite",
    names,
    open: (name, readOnly) =>
      name.startsWith("#")
        ? new SqlTableArchive(path, { table: name.slice(1), readOnly })
        : new SqlArchive(path, { name, readOnly }),
  };
}

/** The tables in a SQLite file that `SqlTableArchive` has made, or one like it. */
function tables(path: string): string[] {
  const { database, release } = leaseDatabase(path, { readOnly: true });
  const statement = database.prepare(
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'cache_[0-9]*' ORDER BY name",
  );
  try {
    const names = statement.all().map(([name]) => name as string);
    return names.filter((name) => {
      const columns = columnsOf(database, name);
      return ENTRY_COLUMNS.every((column) => columns.includes(column));
    }).map((name) => `#${name}`);
  } finally {
    statement.finalize();
    release();
  }
}

function single(kind: ArchiveKind, open: () => StoreArchive): FoundArchive {
  return { kind, names: [""], open };
}
