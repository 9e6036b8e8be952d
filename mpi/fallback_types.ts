/** What the MPI without a library is made of: failures, groups, operations, messages, and the streams of bytes that carry them. */

/** How bytes come and go. Ranks are those of all. Nothing blocks but `poll`. */
export interface Transport {
  /** Longest message, in bytes, that goes without being granted. */
  readonly eager: number;
  /** Takes what can go now: gives how many of the bytes. */
  write(rank: number, bytes: Uint8Array): number;
  /** Reads what has come: gives its length, 0 if there is nothing now, -1 if there will never be. */
  read(rank: number, into: Uint8Array): number;
  /**
   * Waits until one of the ranks that are open has sent something or ended, or one of the `full` takes bytes again, at most so many
   * milliseconds. Gives those ranks; the array is used again.
   */
  poll(milliseconds: number, open: ReadonlySet<number>, full: ReadonlySet<number>): readonly number[];
  /** Ends a rank by force, if it runs on this machine and is surely the one. */
  kill(rank: number): void;
  /** What to call a rank in an error: its machine and process. */
  describe(rank: number): string;
  close(): void;
}

/** A failure, with its class by MPI's numbering. */
export class MpiFailure extends Error {
  constructor(readonly kind: number, text: string) {
    super(text);
  }
}

/** Classes of errors, as Open MPI numbers them. */
export const ERR = {
  TYPE: 3,
  TAG: 4,
  COMM: 5,
  RANK: 6,
  REQUEST: 7,
  ROOT: 8,
  TRUNCATE: 15,
  OTHER: 16,
} as const;

/** Any rank, any tag. */
export const ANY = -1;

/** A group of ranks, as one of them sees it. */
export interface Group {
  /** Marks its messages; those of collective operations have the number above. */
  readonly context: number;
  /** Ranks in the group to ranks of all. */
  readonly ranks: readonly number[];
  /** Ranks of all to ranks in the group. */
  readonly index: ReadonlyMap<number, number>;
  /** This one's, in the group. */
  readonly rank: number;
  name: string;
  /** How many collective operations it has begun. */
  turn: number;
}

/** A send or a receive that has been started. Ranks are those of all. */
export class Operation {
  done = false;
  failure: MpiFailure | undefined;
  /** Of a receive: who sent what came, with which tag, how many bytes. */
  source: number = ANY;
  tag: number = ANY;
  bytes = 0;
  /** Of a send: it has not been granted yet. */
  asks = false;

  /** `peer`: who has to do something for it to end; that may be {@linkcode ANY}. */
  constructor(readonly group: Group, readonly peer: number, readonly receives: boolean) {}
}

/** A message that is here, or has announced itself, and which nobody has asked for yet. */
export interface Arrived {
  source: number;
  tag: number;
  size: number;
  /** Its data; undefined if it has to be granted. */
  bytes: Uint8Array | undefined;
  id: number;
}

/**
 * How somebody waits: only looks whether there is something, asks whether something that was started has ended, or does nothing else
 * until then, not even send to itself.
 */
export type Waiting = "looks" | "asks" | "blocked";

/** First in, first out, but whoever matches may leave earlier. */
export class Line<T> {
  #first: { item: T; next: Cell<T> } | undefined;
  #last: Cell<T>;

  get first(): T | undefined {
    return this.#first?.item;
  }

  push(item: T): void {
    const cell = { item, next: undefined };
    if (this.#last) this.#last.next = cell;
    else this.#first = cell;
    this.#last = cell;
  }

  find(matches: (item: T) => boolean, take: boolean): T | undefined {
    for (let cell = this.#first, before: Cell<T>; cell; before = cell, cell = cell.next) {
      if (!matches(cell.item)) continue;
      if (take) {
        if (before) before.next = cell.next;
        else this.#first = cell.next;
        if (this.#last === cell) this.#last = before;
      }
      return cell.item;
    }
    return undefined;
  }

  shift(): void {
    this.#first = this.#first?.next;
    if (!this.#first) this.#last = undefined;
  }
}

type Cell<T> = { item: T; next: Cell<T> } | undefined;
