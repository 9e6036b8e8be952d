/**
 * How memoized functions and archives get to workers, of every kind: by their parts, and with this folder as a script, since
 * workers do not have it (serialize/travellers.ts).
 *
 * A memoized function goes with its function, options and archive, not with what it has in memory: each worker remembers for itself,
 * and an archive is what they share. An archive goes as its place and options, and is opened there; a path is made absolute, and
 * on another host is one of that host. A `DictArchive` goes with its entries, and is another one there.
 *
 * What this folder exports goes by its name.
 */
import { builtin } from "../runtime/mod.ts";
import { dumps, loads } from "../serialize/mod.ts";
import { defineTraveller, instancesTravel, type Traveller, travels } from "../serialize/travellers.ts";
import type { CodeFunction } from "../serialize/types.ts";
import { DictArchive, originOf, StoreArchive } from "./archive.ts";
import { asyncOriginOf, type AsyncStoreArchive } from "./async_archive.ts";
import { DirArchive } from "./dir.ts";
import { FileArchive } from "./file.ts";
import { HdfArchive } from "./hdf.ts";
import { HdfDirArchive } from "./hdf_dir.ts";
import "./keymap_travel.ts";
import { hashmap, keymap, picklemap, stringmap } from "./keymaps.ts";
import { libraryScript } from "./library_script.ts";
import { memoize } from "./memoize.ts";
import { memoized } from "./memoized.ts";
import { NullArchive } from "./null.ts";
import { packageUrl, tellPackage } from "./packages.ts";
import { inf, lfu, lru, mru, none, rr } from "./policy.ts";
import { PostgresArchive } from "./postgres.ts";
import { SqlArchive } from "./sql.ts";
import { SQLITE_WASM } from "./sqlite_bytes.ts";
import { SqlTableArchive } from "./sqltable.ts";

type AnyArchive = StoreArchive | AsyncStoreArchive;
// deno-lint-ignore no-explicit-any -- constructors of all kinds of archives
type ArchiveClass = new (place: any, options: any) => AnyArchive;

/** A package that a kind of archive needs, and where it is here. */
const PACKAGES: Record<string, { name: string; here: () => string }> = {
  PostgresArchive: { name: "pg", here: () => import.meta.resolve("pg") },
  HdfArchive: { name: "h5wasm/node", here: () => import.meta.resolve("h5wasm/node") },
  HdfDirArchive: { name: "h5wasm/node", here: () => import.meta.resolve("h5wasm/node") },
};

/** SQLite's module, for the script to find (tasks/library.ts). Only archives that need it bring it. */
const sqlite: Traveller = {
  name: "pathos/sqlite",
  parts: () => undefined,
  make: () => SQLITE,
  get script() {
    return sqliteScript ??= {
      text: `((host)=>{globalThis[Symbol.for("pathos.sqlite")]=${JSON.stringify(SQLITE_WASM)};` +
        `const{defineTraveller,travels}=host["travellers.ts"];` +
        `const sqlite={name:"pathos/sqlite",parts(){},script:{text:host.script},make:()=>travels(()=>{},sqlite)};defineTraveller(sqlite)})`,
    };
  },
};
let sqliteScript: { text: string } | undefined;
const SQLITE = travels(() => {}, sqlite);

function archiveTraveller(
  name: string,
  classes: Record<string, ArchiveClass>,
  first: object[],
): Traveller<AnyArchive> {
  return {
    name,
    hint(archive) {
      const kind = archive.constructor.name;
      const { place, options } = archive instanceof StoreArchive ? originOf(archive) : asyncOriginOf(archive);
      const path = archive instanceof StoreArchive && archive.meeting !== undefined;
      if (place === ":memory:") {
        throw new TypeError(
          "a database in memory cannot be sent to a worker: give the archive a file, or use a DictArchive",
        );
      }
      const needed = PACKAGES[kind];
      const url = needed && packageUrl(needed.name, needed.here);
      return dumps([kind, path ? builtin<Paths>("node:path").resolve(place) : place, options, url]);
    },
    parts: (archive) => archive instanceof DictArchive ? [...archive.entries()] : undefined,
    make(hint) {
      const [kind, place, options, url] = loads<[string, string, object, string | undefined]>(
        hint as Uint8Array,
        {
          trust: "code",
        },
      );
      if (url !== undefined) tellPackage(PACKAGES[kind].name, url);
      return new classes[kind](place, options);
    },
    finish(archive, entries) {
      if (archive instanceof DictArchive) archive.update(entries as [string, unknown][]);
    },
    essence: (archive) => archive.constructor.name,
    first,
    script: libraryScript,
  };
}

interface Paths {
  resolve(path: string): string;
}

const SQL_CLASSES = { SqlArchive, SqlTableArchive };
const CLASSES = {
  DictArchive,
  NullArchive,
  FileArchive,
  DirArchive,
  HdfArchive,
  HdfDirArchive,
  PostgresArchive,
};
const EXPORTS: Record<string, CodeFunction> = {
  memoize,
  memoized,
  hashmap,
  keymap,
  picklemap,
  stringmap,
  inf,
  lfu,
  lru,
  mru,
  none,
  rr,
  ...CLASSES,
};

function exportTraveller(
  name: string,
  values: Record<string, CodeFunction>,
  first: object[],
): Traveller<CodeFunction> {
  const names = new Map(Object.entries(values).map(([name, value]) => [value, name]));
  return {
    name,
    hint: (value) => names.get(value)!,
    parts: () => undefined,
    essence: (value) => names.get(value),
    make: (hint) => values[hint as string],
    first,
    script: libraryScript,
  };
}

function define(
  classes: Record<string, ArchiveClass>,
  exports: Record<string, CodeFunction>,
  suffix: string,
  first: object[],
) {
  const archives = archiveTraveller(`pathos/archive${suffix}`, classes, first);
  const named = exportTraveller(`pathos/cache${suffix}`, exports, first);
  for (const Class of Object.values(classes)) instancesTravel(Class.prototype, archives);
  for (const value of Object.values(exports)) travels(value, named);
  defineTraveller(archives);
  defineTraveller(named);
}

define(CLASSES, EXPORTS, "", []);
define(SQL_CLASSES, SQL_CLASSES, "/sqlite", [SQLITE]);
if (SQLITE_WASM !== undefined) defineTraveller(sqlite); // in a worker its own script does that
