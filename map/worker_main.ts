/**
 * What a worker does, whatever it is: a thread, a process here or on another host, an MPI rank. It takes
 * code once by hash, runs chunks one at a time in the order they come, and answers. It is part of the worker
 * program (worker_program.ts), so it has no imports at run time and touches nothing but its line to the parent.
 */
import { CodeBook, type CodePayload } from "../serialize/codebook.ts";
import { preloadImports } from "../serialize/modules.ts";
import { beforeThreadExit, builtin, exit, openPort, type Port } from "../runtime/mod.ts";
import { setShare } from "./budget.ts";
import { buffersOf, type ColumnHead, packColumn, type PackedColumn, unpackColumn } from "./columns.ts";
import type { NumberArray } from "./options.ts";
import { Control, type FromWorker, type ToWorker } from "./protocol.ts";
import { MARK } from "./session.ts";
import { type ChunkOutcome, type ChunkTask, fold, type ItemFunction, makeRunner } from "./runner.ts";
import { addSegment, type Segment } from "./segments.ts";
import { packMessage, unpackMessage } from "./wire.ts";

type Buffers = (ArrayBuffer | SharedArrayBuffer)[];
type Message<Kind extends ToWorker["do"]> = Extract<ToWorker, { do: Kind }>;
type Reduce = (a: unknown, b: unknown) => unknown;

interface Job {
  code: string;
  reduce: string | undefined;
  stopAtError: boolean;
  ticks: boolean;
  numbers: boolean;
  out: NumberArray | undefined;
  dropped: boolean;
  /** Its code is loaded, the initializer has run. */
  ready: boolean;
  segments: Segment[];
}

let port: Port;
let book = new CodeBook();
let sharing = false;
let takesCode = true;
let control: Int32Array | undefined;
let initializer: string | undefined;
const codes = new Map<string, Omit<CodePayload, "hash">>();
const loaded = new Map<string, ItemFunction>();
const runners = new Map<string, ReturnType<typeof makeRunner>>();
const jobs = new Map<number, Job>();
const queue: (() => void | Promise<void>)[] = [];
let draining = false;

function send(message: FromWorker, buffers: Buffers = []): void {
  if (port.kind === "process") port.send(packMessage(message, buffers), message.say === "tick");
  else port.post([message, buffers], buffers.filter((buffer) => buffer instanceof ArrayBuffer));
}

/** Resolves when all that was said has left; undefined: it has. */
function unsent(): Promise<void> | undefined {
  return port.kind === "process" ? port.unsent() : undefined;
}

function receive(message: ToWorker, buffers: Buffers): void {
  switch (message.do) {
    case "begin":
      return begin(message, buffers);
    case "code":
      codes.set(message.hash, {
        bytes: new Uint8Array(buffers[0]),
        imports: message.imports,
        needs: message.needs,
        shared: buffers.slice(1) as SharedArrayBuffer[],
      });
      return;
    case "forget":
      return enqueue(() => {
        book.forget();
        for (const table of [codes, loaded, runners]) table.clear();
      });
    case "job":
      jobs.set(message.job, {
        ...message,
        reduce: message.reduce,
        out: message.out && unpackColumn(message.out, buffers, 0, book) as NumberArray,
        dropped: false,
        ready: false,
        segments: [],
      });
      return;
    case "drop": {
      const job = jobs.get(message.job);
      if (job) job.dropped = true;
      return enqueue(() => void jobs.delete(message.job));
    }
    case "run":
      return enqueue(() => run(message, buffers));
    case "export":
      return enqueue(() => answer(message.request, () => giveSegment(message)));
    case "merge":
      return enqueue(() => answer(message.request, () => takeSegment(message, buffers)));
  }
}

/** Takes the line past the server, if it can be had. */
async function takeLine(offer: Message<"line">): Promise<void> {
  if (port.kind === "process" && !await port.direct(offer, MARK)) send({ say: "lineless" });
}

/**
 * One thing at a time, in order; synchronous work is done at once, without a turn of the event loop. Nothing begins
 * before all that was said has left: it is not to be lost with what comes next, nor to wait for its end.
 */
function enqueue(work: () => void | Promise<void>): void {
  queue.push(work);
  if (draining) return;
  draining = true;
  const drain = (): void => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const pending = next() ?? unsent();
      if (pending) {
        pending.then(unsent).then(drain);
        return;
      }
    }
    draining = false;
  };
  drain();
}

/** A pool begins with this worker; what another one left is forgotten. */
function begin(message: Message<"begin">, buffers: Buffers): void {
  ({ sharing, takesCode } = message);
  for (const table of [codes, loaded, runners, jobs]) table.clear();
  book = new CodeBook({ trust: true, share: sharing, byref: () => true, inline: true });
  if (message.control) control = new Int32Array(buffers[0]);
  setShare(message.share);
  initializer = message.initializer;
  redirectConsole();
  if (port.kind === "thread") beforeThreadExit((code) => send({ say: "exit", code }));
}

/** The function behind a hash, with all that it needs; a promise if modules must be imported for it. */
function load(hash: string): ItemFunction | Promise<ItemFunction> {
  const known = loaded.get(hash);
  if (known) return known;
  const code = codes.get(hash);
  if (!code) throw new Error(`the code ${hash.slice(0, 12)} was never sent to this worker`);
  const finish = (): ItemFunction => {
    const fn = book.loadCode({ hash, ...code }) as ItemFunction;
    loaded.set(hash, fn);
    return fn;
  };
  let before: Promise<unknown> | undefined;
  for (const need of code.needs) before = before ? before.then(() => load(need)) : wait(load(need));
  if (code.imports.length > 0) {
    before = (before ?? Promise.resolve()).then(() => preloadImports(code.imports));
  }
  return before ? before.then(finish) : finish();
}

const wait = (value: unknown): Promise<unknown> | undefined => value instanceof Promise ? value : undefined;

function run(message: Message<"run">, buffers: Buffers): void | Promise<void> {
  const job = jobs.get(message.job);
  if (!claim(message.claim)) return; // taken back by the parent
  if (!job || job.dropped) {
    return reply(message, { values: [], failures: [], ran: 0 }, job, performance.now());
  }
  const refuse = (error: unknown): void => refused(message.chunk, error);
  const go = (): void | Promise<void> => {
    const began = performance.now(); // loading code is not counted: it happens once
    return execute(message, job, makeTask(job, message, buffers), began);
  };
  try {
    const ready = prepare(job, message);
    if (ready) return ready.then(go).catch(refuse);
    const running = go();
    return running && running.catch(refuse);
  } catch (error) {
    refuse(error);
  }
}

function claim(number: number): boolean {
  if (!control) return true;
  const slot = Control.CLAIMS + number % Control.CLAIM_SLOTS;
  const waiting = number * 4 + Control.WAITING;
  return Atomics.compareExchange(control, slot, waiting, number * 4 + Control.TAKEN) === waiting;
}

/** What must be there before a chunk can begin: the initializer has run, all code is loaded. */
function prepare(job: Job, { columns }: Message<"run">): Promise<unknown> | undefined {
  if (job.ready && !columns.some((head) => head.form === "any" && head.needs.length > 0)) return undefined;
  const hashes = [job.code, job.reduce, ...columns.flatMap((head) => head.form === "any" ? head.needs : [])];
  const loadAll = (): Promise<unknown> | undefined => {
    const pending = hashes.map((hash) => hash === undefined ? undefined : wait(load(hash))).filter(Boolean);
    job.ready = pending.length === 0;
    return pending.length > 0 ? Promise.all(pending) : undefined;
  };
  if (initializer === undefined) return loadAll();
  const hash = initializer;
  return (async () => {
    try {
      await (await load(hash))();
    } catch (error) {
      throw new Error("the initializer of the pool failed in this worker", { cause: error });
    }
    initializer = undefined;
    await loadAll();
  })();
}

function makeTask(
  job: Job,
  { job: number, chunk, start, count, columns }: Message<"run">,
  buffers: Buffers,
): ChunkTask {
  let used = 0;
  const values = columns.map((head) => {
    const own = buffers.slice(used);
    used += buffersOf(head);
    return unpackColumn(head, own, count, book);
  });
  const before = (at: number): boolean => {
    if (job.ticks) {
      if (control) Atomics.store(control, Control.ITEM, at + 1);
      else send({ say: "tick", chunk, at });
    }
    return job.dropped || (control !== undefined && Atomics.load(control, Control.STOP_JOB) === number);
  };
  return {
    columns: values,
    count,
    stopAtError: job.stopAtError,
    out: job.out?.subarray(start, start + count) ?? (job.numbers ? new Float64Array(count) : undefined),
    before,
    everyItem: job.ticks,
  };
}

function execute(message: Message<"run">, job: Job, task: ChunkTask, began: number): void | Promise<void> {
  let runner = runners.get(job.code);
  if (!runner) runners.set(job.code, runner = makeRunner(loaded.get(job.code)!));
  const outcome = runner(task);
  const finish = (outcome: ChunkOutcome): void | Promise<void> => {
    if (control) Atomics.store(control, Control.ITEM, 0);
    if (job.reduce === undefined) return reply(message, outcome, job, began);
    const reducing = reduceChunk(message, outcome, job);
    return reducing instanceof Promise
      ? reducing.then(() => reply(message, outcome, job, began))
      : reply(message, outcome, job, began);
  };
  return outcome instanceof Promise ? outcome.then(finish) : finish(outcome);
}

function reply({ chunk }: Message<"run">, outcome: ChunkOutcome, job: Job | undefined, began: number): void {
  const { failures, ran } = outcome;
  let values: PackedColumn = { head: { form: "nothing" }, buffers: [] };
  if (!job?.reduce && !job?.out) {
    try {
      values = packColumn(outcome.values, 0, ran, book, sharing);
    } catch {
      values = packOneByOne(outcome);
    }
  }
  const errors = packErrors(failures.map((failure) => failure.error));
  send({
    say: "done",
    chunk,
    ran,
    values: values.head,
    failures: failures.map((failure) => failure.at),
    errors: errors.head,
    busy: performance.now() - began,
    segments: job?.reduce === undefined ? undefined : job.segments.map(({ start, end }) => [start, end]),
  }, [...values.buffers, ...errors.buffers]);
}

/** Some result cannot travel: those that cannot become failures of their items, the others are kept. */
function packOneByOne(outcome: ChunkOutcome): PackedColumn {
  const values: unknown[] = Array.from({ length: outcome.ran }, (_, i) => outcome.values[i]);
  const failed = new Set(outcome.failures.map((failure) => failure.at));
  values.forEach((value, at) => {
    if (failed.has(at)) return void (values[at] = undefined);
    try {
      packColumn([value], 0, 1, book, sharing);
    } catch (error) {
      outcome.failures.push({ at, error });
      values[at] = undefined;
    }
  });
  return packColumn(values, 0, values.length, book, sharing);
}

/** Errors always arrive: what of one cannot travel is left out, and said. */
function packErrors(errors: unknown[]): PackedColumn {
  const portable = errors.map((error) => {
    try {
      const { head, buffers } = packColumn([error], 0, 1, book, sharing);
      if (!takesCode && head.form === "any") {
        book.decode({ bytes: new Uint8Array(buffers[0]), buffers: buffers.slice(1) }, false); // as the parent will
      }
      return error;
    } catch (reason) {
      const plain = error instanceof Error
        ? Object.assign(new Error(error.message), { name: error.name, stack: error.stack })
        : new Error(String(error));
      plain.cause = new Error(`the rest of this error cannot leave the worker: ${(reason as Error).message}`);
      return plain;
    }
  });
  return portable.length === 0
    ? { head: { form: "nothing" }, buffers: [] }
    : packColumn(portable, 0, portable.length, book, sharing);
}

function refused(chunk: number, error: unknown): void {
  const packed = packErrors([error]);
  send({ say: "refused", chunk, error: packed.head }, packed.buffers);
}

// ---- reductions: values of neighbouring runs of items are merged here, and only here ----

function reduceChunk({ start }: Message<"run">, outcome: ChunkOutcome, job: Job): void | Promise<void> {
  if (outcome.failures.length > 0 || outcome.ran === 0) return;
  const reduce = loaded.get(job.reduce!) as Reduce;
  const keep = (value: unknown): void | Promise<void> => {
    const segments = addSegment(job.segments, { start, end: start + outcome.ran, value }, reduce);
    if (segments instanceof Promise) return segments.then((settled) => void (job.segments = settled));
    job.segments = segments;
  };
  const failed = (error: unknown): void => void outcome.failures.push({ at: 0, error });
  try {
    const value = fold(outcome.values, outcome.ran, reduce);
    if (value instanceof Promise) return value.then(keep).catch(failed);
    const kept = keep(value);
    return kept && kept.catch(failed);
  } catch (error) {
    failed(error);
  }
}

function giveSegment({ job: number, start }: Message<"export">): PackedColumn {
  const { segments } = jobs.get(number)!;
  const at = segments.findIndex((segment) => segment.start === start);
  const packed = packColumn([segments[at].value], 0, 1, book, sharing);
  segments.splice(at, 1);
  return packed;
}

async function takeSegment(message: Message<"merge">, buffers: Buffers): Promise<PackedColumn> {
  const job = jobs.get(message.job)!;
  if (message.value.form === "any") { for (const need of message.value.needs) await load(need); }
  const value = unpackColumn(message.value, buffers, 1, book)[0];
  const left = job.segments.find(({ start }) => start === message.start)!;
  left.value = await (loaded.get(job.reduce!) as Reduce)(left.value, value);
  left.end = message.end;
  return { head: { form: "nothing" }, buffers: [] };
}

async function answer(request: number, work: () => PackedColumn | Promise<PackedColumn>): Promise<void> {
  const nothing: ColumnHead = { form: "nothing" };
  try {
    const { head, buffers } = await work();
    send({ say: "answer", request, value: head }, buffers);
  } catch (error) {
    const packed = packErrors([error]);
    send({ say: "answer", request, value: nothing, error: packed.head }, packed.buffers);
  }
}

// ---- the surroundings of user code ----

let redirected = false;

/** The console prints in the parent, in whole lines and in order with the results. */
function redirectConsole(): void {
  if (redirected) return;
  redirected = true;
  type Methods = Record<string, (...args: unknown[]) => unknown>;
  const own = console as unknown as Methods;
  let mine: Methods | undefined; // made at the first use: what it is made of takes 25 ms to load in Deno
  for (
    const method of Object.keys(own).filter((name) => typeof own[name] === "function" && name !== "Console")
  ) {
    const original = own[method];
    own[method] = (...args) => {
      mine ??= lineConsole();
      return method in mine ? mine[method](...args) : original.apply(console, args);
    };
  }
}

function lineConsole(): Record<string, (...args: unknown[]) => unknown> {
  const { Console } = builtin<{ Console: new (streams: Record<string, unknown>) => unknown }>("node:console");
  const { Writable } = builtin<{ Writable: new (options: unknown) => unknown }>("node:stream");
  const stream = (name: "stdout" | "stderr") =>
    new Writable({
      decodeStrings: false,
      write(text: string, _encoding: string, done: () => void) {
        send({ say: "output", stream: name, text: String(text).replace(/\n$/, "") });
        done();
      },
    });
  return new Console({ stdout: stream("stdout"), stderr: stream("stderr") }) as ReturnType<
    typeof lineConsole
  >;
}

/** Makes this isolate a worker: of the pool that started it, or of the one at the other end of the given line. */
export function runWorker(line: Port = openPort()): void {
  port = line;
  if (port.kind === "process") {
    port.listen((parts) => {
      const { message, buffers } = unpackMessage<ToWorker>(parts);
      if (message.do === "line") return void takeLine(message);
      try {
        receive(message, buffers);
      } catch (error) {
        console.error(error);
        exit(70); // a message that makes no sense: the parent must not wait for an answer
      }
    });
  } else {
    port.listen((data) => {
      for (const [message, buffers] of data as [ToWorker, Buffers][]) receive(message, buffers);
    });
  }
}
