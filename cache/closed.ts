/**
 * What an archive that was closed has in place of its store: every use says so.
 */
import type { Store } from "./store.ts";

/** The store of a closed archive. */
export class ClosedStore implements Store {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  #fail(): never {
    throw new Error(`${this.name}: this archive was closed; open it again to use it`);
  }

  get place(): never {
    return this.#fail();
  }
  read(): never {
    this.#fail();
  }
  write(): never {
    this.#fail();
  }
  remove(): never {
    this.#fail();
  }
  clear(): never {
    this.#fail();
  }
  count(): never {
    this.#fail();
  }
  infos(): never {
    this.#fail();
  }
  another(): never {
    this.#fail();
  }
  drop(): never {
    this.#fail();
  }
  close(): void {}
}
