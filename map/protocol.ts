/**
 * What a pool and its worker program say to each other. Each message is a head, which is plain data, and a
 * list of buffers beside it; a thread gets both by postMessage, several at a time, a process as a frame whose first part is the
 * packed head. Messages keep their order, so code sent before a chunk is there when the chunk runs.
 */
import type { LineDoor } from "../runtime/mod.ts";
import type { ModuleRef } from "../serialize/modules.ts";
import type { ColumnHead } from "./columns.ts";

/** To the worker. */
export type ToWorker =
  /** Before all others, from a server: there may be a direct line to the pool (direct_lines.ts). */
  | ({ do: "line" } & LineDoor)
  /** First message. `takesCode`: the parent accepts code by value in results. `control`: buffer 0 is shared memory laid out as {@linkcode Control} says. */
  | {
    do: "begin";
    name: string;
    share: number;
    sharing: boolean;
    takesCode: boolean;
    control: boolean;
    initializer?: string;
  }
  /** Code by value, named by its hash; buffer 0 holds the bytes. It is loaded when something needs it. */
  | { do: "code"; hash: string; imports: ModuleRef[]; needs: string[] }
  /** Forget all code. */
  | { do: "forget" }
  /** How the chunks of a job are to be run. `ticks`: tell when an item starts; `numbers`: results must be numbers. */
  | {
    do: "job";
    job: number;
    code: string;
    reduce?: string;
    stopAtError: boolean;
    ticks: boolean;
    numbers: boolean;
    out?: ColumnHead;
  }
  /** Run a chunk. `claim` is its number in shared memory. */
  | {
    do: "run";
    job: number;
    chunk: number;
    claim: number;
    start: number;
    count: number;
    columns: ColumnHead[];
  }
  /** No more of a job will be asked for: stop what runs, forget its state. */
  | { do: "drop"; job: number }
  /** Reductions: give away the value of the run of items that begins at `start`. */
  | { do: "export"; job: number; request: number; start: number }
  /** Reductions: put a value from elsewhere behind the run that begins at `start`. */
  | { do: "merge"; job: number; request: number; start: number; end: number; value: ColumnHead };

/** From the worker. */
export type FromWorker =
  /** There is no direct line: all goes through the server. */
  | { say: "lineless" }
  /** A chunk is finished: results of `ran` items, but for those in `failures`, whose errors are a column. */
  | {
    say: "done";
    chunk: number;
    ran: number;
    values: ColumnHead;
    failures: number[];
    errors: ColumnHead;
    busy: number;
    segments?: [number, number][];
  }
  /** A chunk could not even begin (its code or inputs cannot be loaded here); the error is a column of one. */
  | { say: "refused"; chunk: number; error: ColumnHead }
  /** Item `at` of a chunk starts. */
  | { say: "tick"; chunk: number; at: number }
  /** Answer to `export` (the value) and `merge` (nothing). */
  | { say: "answer"; request: number; value: ColumnHead; error?: ColumnHead }
  /** Lines for the console. */
  | { say: "output"; stream: "stdout" | "stderr"; text: string }
  /** Code asked to end this thread. */
  | { say: "exit"; code: number };

/**
 * Memory shared between a thread and its parent (an Int32Array), so that they need no message for what is
 * urgent. `claims` begin at {@linkcode CLAIMS}; a chunk uses the slot `claim % CLAIM_SLOTS`, which holds
 * `claim * 4 + state`. The worker starts a chunk only if it can turn WAITING into TAKEN; the parent takes a
 * chunk back by turning WAITING into REVOKED. Either both agree on who has it or the swap fails.
 */
export const Control = {
  /** Number of the chunk's item that runs, from 1; 0 between chunks. */
  ITEM: 0,
  /** Number of the job whose chunks are to be stopped. */
  STOP_JOB: 1,
  CLAIMS: 2,
  CLAIM_SLOTS: 16,
  WAITING: 0,
  TAKEN: 1,
  REVOKED: 2,
  LENGTH: 18,
} as const;
