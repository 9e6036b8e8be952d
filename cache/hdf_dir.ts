/**
 * A folder with an HDF5 file for each entry: the folder is that of dir.ts, which see, and each file one of hdf5_file.ts that
 * holds one entry under its key.
 */
import { exists, replaceFile } from "../runtime/mod.ts";
import { StoreArchive } from "./archive.ts";
import { DirStore, type EntryFormat } from "./dir.ts";
import { hdfCodec } from "./hdf.ts";
import { hdf5, hdf5Ready } from "./hdf5.ts";
import { Hdf5File } from "./hdf5_file.ts";
import { damaged } from "./record.ts";
import type { ArchiveKey, ArchiveOptions } from "./types.ts";

function hdf5Format(compression: number): EntryFormat {
  return {
    folder: "hdf folder",
    ending: ".h5",
    write(path, key, entry, name, mode) {
      replaceFile(path, (neighbour) => {
        const file = new Hdf5File(neighbour, name, "new", mode);
        try {
          file.add(key, entry, compression);
          file.close();
        } finally {
          file.discard();
        }
      });
    },
    read: (path) => fromFile(path, (file, key) => ({ key, entry: file.read(key) })),
    head: (path) => fromFile(path, (file, key) => ({ key, info: file.info(key) })),
  };
}

function fromFile<T>(path: string, read: (file: Hdf5File, key: string) => T): T | undefined {
  if (!exists(path)) return undefined;
  let file: Hdf5File;
  try {
    file = new Hdf5File(path, path, "read");
  } catch (error) {
    if (!exists(path)) return undefined; // removed just then
    throw error;
  }
  try {
    const [key, ...more] = file.keys();
    if (key === undefined || more.length > 0) {
      throw damaged(path, `it has ${more.length + (key === undefined ? 0 : 1)} datasets and not one`);
    }
    return read(file, key);
  } finally {
    file.discard();
  }
}

/**
 * An archive in a folder, an HDF5 file for each entry: for large arrays that other programs read one by one.
 *
 * Any number of processes may use the folder at once, and see each other's entries at once. A file is named after its key and
 * holds one dataset, named by the key; with `serialized: false` numbers, texts and numeric arrays are datasets of their
 * own type, and `compression` makes gzip-compressed ones of arrays. A file costs some 2 kB and 0.5 ms beyond its value. Other
 * files in the folder are left alone.
 *
 * It needs the package `h5wasm`, as {@linkcode HdfArchive} does.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { HdfDirArchive } from "@pathos/pathos/cache";
 *
 * const path = `${Deno.makeTempDirSync()}/fields`;
 * using archive = new HdfDirArchive<string, Float64Array>(path, { serialized: false, compression: 4 });
 * archive.set("velocity", new Float64Array(1000)); // `h5dump fields/velocity.h5` shows it
 * assertEquals(archive.get("velocity")?.length, 1000);
 * ```
 */
export class HdfDirArchive<K extends ArchiveKey = ArchiveKey, V = unknown> extends StoreArchive<K, V> {
  /**
   * Opens the archive; a folder that is not there is made.
   *
   * @param path The folder.
   * @param options How entries are written and read.
   * @throws {Error} If there is something else at the path, or a folder with files of others; or if the package h5wasm cannot
   * be loaded without waiting: then call {@linkcode HdfDirArchive.ready} before.
   */
  constructor(path: string, options: ArchiveOptions = {}) {
    hdf5();
    const codec = hdfCodec(options, path);
    const compression = options.serialized === false ? options.compression ?? 0 : 0;
    super(new DirStore(path, options.permissions, hdf5Format(compression)), options, codec);
  }

  /**
   * Loads what HDF5 archives need, where that cannot be found without waiting: the error of a constructor says so then.
   *
   * @returns When archives can be opened.
   * @throws {Error} If the package h5wasm is not installed.
   */
  static ready(): Promise<void> {
    return hdf5Ready();
  }
}
