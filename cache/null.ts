/**
 * The archive that keeps nothing: for switching archives off without changing the program around.
 */
import { StoreArchive } from "./archive.ts";
import { identityCodec } from "./codec.ts";
import type { Store } from "./store.ts";
import type { ArchiveKey, ArchiveOptions } from "./types.ts";

class NullStore implements Store {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  read(): undefined {}
  write(): void {}
  remove(): boolean {
    return false;
  }
  clear(): void {}
  count(): number {
    return 0;
  }
  infos(): Iterable<never> {
    return [];
  }
  another(name: string): Store {
    return new NullStore(name);
  }
  drop(): void {}
  close(): void {}
}

/**
 * An archive that takes everything and keeps nothing.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { NullArchive } from "@pathos/pathos/cache";
 *
 * const archive = new NullArchive();
 * archive.set("a", 1);
 * assertEquals(archive.get("a"), undefined);
 * assertEquals(archive.size, 0);
 * ```
 */
export class NullArchive<K extends ArchiveKey = ArchiveKey, V = unknown> extends StoreArchive<K, V> {
  /**
   * Makes one.
   *
   * @param name A name, for error messages. Default: `"null"`.
   * @param options What other archives take, without effect; `cached` among them.
   */
  constructor(name: string = "null", options: ArchiveOptions = {}) {
    super(new NullStore(name), { ...options, cached: false }, identityCodec);
  }
}
