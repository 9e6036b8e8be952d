/**
 * What the scheduler knows of a worker. A thread, a child process, the calling thread itself (and, in other
 * folders, a remote server and an MPI rank) are its implementations; nothing in the scheduler asks which.
 *
 * Contract. `run` takes a chunk and answers exactly once, by `events.done` or `events.refused`, unless the
 * chunk was revoked or the worker is lost. Chunks run in the order they were given, one at a time.
 * `events.lost` is called at most once, and nothing is called after it. `kill` is final and calls nothing.
 */
import type { CodePayload } from "../serialize/codebook.ts";
import type { NumberArray } from "./options.ts";
import type { ItemFunction } from "./runner.ts";
import type { ArgColumn } from "./source.ts";

/** What workers need to know of a job. */
export interface WorkerJob {
  readonly id: number;
  /** The function as it is, for workers in the calling thread. */
  readonly fn: ItemFunction;
  readonly reduce: ((a: unknown, b: unknown) => unknown) | undefined;
  /** The functions as they travel. */
  readonly code: CodePayload | undefined;
  readonly reduceCode: CodePayload | undefined;
  readonly stopAtError: boolean;
  readonly timeout: number | undefined;
  readonly out: NumberArray | undefined;
}

/** A run of consecutive items given to one worker. */
export interface Chunk {
  readonly id: number;
  readonly job: WorkerJob;
  readonly start: number;
  readonly count: number;
  readonly columns: readonly ArgColumn[];
  /** How many workers were lost with it. */
  losses: number;
  /** How often its item threw (such chunks have one item). */
  throws: number;
}

/** The answer to a chunk. */
export interface Reply {
  /** Results by position in the chunk; undefined for reductions, whose values stay in the worker. */
  values: ArrayLike<unknown> | undefined;
  failures: { at: number; error: unknown }[];
  /** Items that were run, from the first; fewer than all if it was stopped. */
  ran: number;
  /** Milliseconds the worker was at it. */
  busy: number;
  /** Bytes received for it. */
  bytes: number;
  /** Reductions: the runs of items, `[start, end)`, whose values the worker holds. */
  segments?: [number, number][];
}

/** How a worker was lost. */
export interface Loss {
  /** In words: `"was killed by SIGKILL"`. */
  reason: string;
  signal: string | null;
  exitCode: number | null;
  stderr: string;
  /** The way to the worker broke: what it ran is not to blame, and is run again without counting against it. */
  blameless?: boolean;
}

/** What a worker tells the scheduler. */
export interface WorkerEvents {
  done(chunk: Chunk, reply: Reply): void;
  /** The chunk could not begin: its code or its inputs cannot be sent or loaded. No fault of an item. */
  refused(chunk: Chunk, error: unknown): void;
  lost(loss: Loss): void;
  output(stream: "stdout" | "stderr", line: string): void;
}

/** A value in transit from one worker to another (reductions). Only workers of the same kind understand it. */
export type Parcel = unknown;

/** One worker. */
export interface Worker {
  /** For people: `"thread 2"`, `"process 1 (pid 4242)"`. */
  readonly name: string;
  /** Milliseconds from sending a small chunk to its answer, work not counted. May change. */
  readonly latency: number;
  /** Very short chunks may be sent so many ahead: a message to it costs more than they take. Default: as any other. */
  readonly depth?: number;
  /** Whether {@linkcode Worker.revoke} can work, so that a chunk sent ahead is not bound to this worker. */
  readonly revocable: boolean;
  /** Whether `kill` stops code that runs in a loop. */
  readonly killable: boolean;
  /** Takes a chunk. Returns the bytes sent. */
  run(chunk: Chunk): number;
  /** Takes a chunk back. True: it was not begun and never will be, and gets no answer. */
  revoke(chunk: Chunk): boolean;
  /** The job is over: stop its chunk that runs, if that can be done gently, and forget its state. */
  drop(job: number): void;
  /** What it is at: changes whenever an item starts (if the job has a timeout); undefined between chunks. */
  position(): { chunk: number; at: number } | undefined;
  /** Reductions: gives away the value of the run of items that begins at `start`. */
  export(job: number, start: number): Promise<Parcel>;
  /** Reductions: appends a value, which covers items up to `end`, to the run that begins at `start`. */
  merge(job: number, start: number, end: number, value: Parcel): Promise<void>;
  /** Turns the last parcel into the value. */
  open(parcel: Parcel): unknown;
  /** Forgets the code it was sent. */
  forget(): void;
  /** Ends an idle worker. Resolves when it is gone, as far as that can be known. */
  end(): Promise<void>;
  /** Ends it now, whatever it does. Resolves as `end` does. */
  kill(): Promise<void>;
  /** Lets it keep this process alive, or not. False: this runtime cannot do that, so end it instead. */
  keepAlive(on: boolean): boolean;
}

/** Starts worker number `slot` of a place. */
export type StartWorker = (slot: number, events: WorkerEvents) => Worker;

/** Where workers are started: this machine, or a host. */
export interface Place {
  /** Name for people; `"local"` for this machine. */
  readonly host: string;
  readonly start: StartWorker;
}
