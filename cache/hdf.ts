/**
 * The archive in one HDF5 file (hdf_store.ts).
 */
import { StoreArchive } from "./archive.ts";
import { newCodec } from "./codec.ts";
import { hdf5Ready } from "./hdf5.ts";
import { type HdfOptions, HdfStore } from "./hdf_store.ts";
import { checkTime } from "./meta.ts";
import type { ArchiveKey, ArchiveOptions } from "./types.ts";

/**
 * An archive in one HDF5 file, for results that other programs are to read: with `serialized: false` numbers, texts and
 * numeric arrays are datasets of their own type, named by their keys.
 *
 * Any number of processes may use it at once. Changes are kept in a log beside the file (`<path>-log`), from where `flush()` and
 * `close()` bring them into the file: only then do other programs see them. A program that ends without loses nothing; the next one
 * that closes the archive does it. That costs as much as the file is large, and
 * where entries were removed or replaced some 0.2 ms for each entry that stays; a write itself costs no more than its
 * entry. `compression` makes gzip-compressed datasets of arrays.
 *
 * It needs the package `h5wasm`, which is loaded when the first archive is opened (0.1 s). An HDF5 file of another program is
 * refused; datasets that another program adds to an archive's file, while nobody has it open, are entries too.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { HdfArchive } from "@pathos/pathos/cache";
 *
 * const path = `${Deno.makeTempDirSync()}/run.h5`;
 * using archive = new HdfArchive(path, { serialized: false, compression: 4 });
 * archive.set("pressure", new Float64Array(1000)).set("steps", 1000);
 * archive.flush(); // from now on `h5dump run.h5` shows them
 *
 * using again = new HdfArchive(path, { serialized: false });
 * assertEquals(again.get("steps"), 1000);
 * ```
 */
export class HdfArchive<K extends ArchiveKey = ArchiveKey, V = unknown> extends StoreArchive<K, V> {
  /**
   * Opens the archive; a file that is not there is made.
   *
   * @param path The file.
   * @param options How entries are written and read, and how long to wait for others.
   * @throws {CorruptDataError} If there is something else at the path, or it is damaged; nothing is changed then.
   * @throws {Error} If the package h5wasm cannot be loaded without waiting; then call {@linkcode HdfArchive.ready} before.
   */
  constructor(path: string, options: HdfOptions = {}) {
    const codec = hdfCodec(options, path); // before there are files to close
    super(new HdfStore(path, options), options, codec);
  }

  /**
   * Brings the HDF5 file up to date, as `close` does.
   *
   * @throws {Error} If that fails, such as on a full disk; nothing is lost then.
   */
  flush(): void {
    (this.store as HdfStore).flush();
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

/** The codec of an archive whose store compresses what it keeps as it is. */
export function hdfCodec(options: ArchiveOptions, name: string): ReturnType<typeof newCodec> {
  newCodec({ ...options, serialized: true, key: undefined }, name); // looks at the options
  if (options.ttl !== undefined) checkTime("ttl", options.ttl, name);
  return newCodec(options.serialized === false ? { ...options, compression: 0 } : options, name);
}
