/**
 * `pathos map`: a function of the user's module over files, lines or values, on every core, results as lines
 * of JSON. Inputs are pulled and results written one by one, so memory does not grow with their number.
 */
import { exit, onSignal, stderr } from "../runtime/mod.ts";
import type { MapOptions } from "../map/options.ts";
import type { Pool } from "../map/pool.ts";
import { ProcessPool, SerialPool, ThreadPool } from "../map/pools.ts";
import { progressLine } from "../map/progress.ts";
import { duration, type Parsed, size, UsageError, type Verb, wholeNumber } from "./flags.ts";
import { type Inputs, openInputs } from "./inputs.ts";
import { type LineOutput, lineOutput } from "./output.ts";
import { type Earlier, readEarlier } from "./resume.ts";
import { loadExport, splitExport } from "./user_module.ts";
import { type Numbered, type NumberedText, toJson, type Work, workByImport, workByValue } from "./work.ts";

/** The verb `map`. */
export const mapVerb: Verb = {
  name: "map",
  summary: "Run a function over many inputs, on every core",
  usage: "map FILE[:EXPORT] INPUT... [flags]",
  about: `
FILE:EXPORT is the function: an export of a module, by default its default export. It is called with
one input at a time and may be async. What it prints goes to standard error.

Each INPUT is one of
  'data/**/*.csv'   files by pattern (* ? [ab] {a,b} **; quote it), sorted: the function gets their paths
  data/a.csv        one file
  -                 standard input, one JSON value a line
  ./mod.ts:EXPORT   what a module exports: an iterable, an async iterable, or a function returning one

Each result is one line of JSON on standard output, in the order of the inputs:
  {"index":0,"input":"data/a.csv","value":42}
  {"index":1,"input":"data/b.csv","error":{"name":"RangeError","message":"...","stack":"..."}}`,
  flags: {
    workers: { value: "N", short: "w", help: "How many threads or processes (default: one for each core)" },
    threads: { help: "Work in threads (default)" },
    processes: { help: "Work in processes: they can be killed, limited and denied permissions" },
    serial: { help: "Work in the calling thread, one item after another: for debugging" },
    timeout: { value: "TIME", help: "An item that takes longer fails: 500ms, 5s, 2m (default: no limit)" },
    retries: {
      value: "N",
      help: "Run an item again up to N times (default: 2 after a lost worker, 0 after an error it threw)",
    },
    "chunk-size": { value: "N", help: "Items sent at once (default: adapted to how long they take)" },
    unordered: { help: "Write each result as soon as it is there" },
    values: { help: "Write the bare values; failures go to standard error" },
    resume: {
      value: "FILE",
      help:
        "Skip what FILE, the output of an earlier run over the same inputs, has as done; run again what " +
        "failed there; write the new lines only",
    },
    "fail-fast": { help: "Stop at the first failure (default: go on)" },
    progress: { negatable: true, help: "Draw progress on standard error (default: on a terminal)" },
    permissions: {
      value: "none|inherit",
      help:
        "What processes may do, in Deno (default: inherit, the same as this one). With none the function " +
        "travels with what it captures, as its module cannot be read",
    },
    "max-memory": {
      value: "SIZE",
      help: "A process that holds more is killed: 512M, 2G (default: no limit)",
    },
  },
  more: `
JSON has no form for BigInt, NaN, Infinity, functions and cycles: an item that returns one fails. A Map is
written as an object, a Set or a typed array as an array, undefined as null. An input that JSON cannot
carry is shown as null.

Exit status: 0 all is done, 1 an item failed, 2 a mistake in the command line or the inputs, 130 Ctrl-C.`,
  examples: [
    [
      "Analyse all CSV files in processes",
      "pathos map ./work.ts:analyse 'data/**/*.csv' --processes > out.jsonl",
    ],
    [
      "Go on where that was interrupted, and try again what failed (>> appends)",
      "pathos map ./work.ts:analyse 'data/**/*.csv' --processes --resume out.jsonl >> out.jsonl",
    ],
    [
      "A map in a pipeline, any order, no item longer than 5 s",
      "cat in.jsonl | pathos map ./work.ts - --unordered --timeout 5s --values",
    ],
  ],
  run,
};

/** An item under way. */
interface Pending {
  index: number;
  /** Its input as JSON. */
  input: string;
}

async function run(args: Parsed): Promise<number> {
  // Standard output is for results. What code prints when it is loaded, or run by --serial, would mix with them.
  console.log = console.info = console.debug = console.error;
  const [spec, ...specs] = args.positional;
  if (spec === undefined) throw new UsageError("which function? pathos map FILE:EXPORT INPUT...");
  if (specs.length === 0) {
    throw new UsageError("over which inputs? Give a pattern, - for standard input, or FILE:EXPORT");
  }
  const openPool = poolOpener(args);
  const options = mapOptions(args);
  const resume = args.text("resume");
  if (resume !== undefined && args.on("values")) {
    throw new UsageError(
      "--values writes lines that cannot be told apart later: it does not go with --resume",
    );
  }
  const work = await loadWork(spec, args);
  const inputs = await openInputs(specs, say);
  const earlier = resume === undefined ? undefined : await readEarlier(resume);
  if (earlier) {
    say(`${earlier.done} items are done in ${resume}, ${earlier.failed} failed there and are run again`);
  }
  return await runMap({ work, inputs, earlier, pool: openPool(), options, args });
}

interface Run {
  work: Work;
  inputs: Inputs;
  earlier: Earlier | undefined;
  pool: Pool;
  options: MapOptions;
  args: Parsed;
}

async function runMap({ work, inputs, earlier, pool, options, args }: Run): Promise<number> {
  const stop = new AbortController();
  const output = lineOutput(() => stop.abort());
  const interruption = args.on("serial") ? undefined : interruptible(stop);
  const progress = progressDrawer(args, inputs, earlier);
  const pending = new Map<number, Pending>();
  let failed = 0;
  let count = 0;
  try {
    if (earlier?.cut) await output.line(""); // ends the line that was cut, so that ours begin on their own
    const view = pool.with({
      ...options,
      signal: stop.signal,
      onError: "collect",
      onProgress: progress?.draw,
    });
    const items = remaining(inputs, earlier, pending);
    const results = (args.on("unordered") ? view.uimap(work, items) : view.imap(work, items)) as // with onError "collect" every result is wrapped
    unknown as AsyncIterable<PromiseSettledResult<NumberedText>>;
    for await (const result of results) {
      count++;
      if (result.status === "rejected") failed++;
      await writeResult(result, pending, output, args.on("values") ?? false);
      if (result.status === "rejected" && args.on("fail-fast")) break;
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    progress?.done();
    await output.flush();
    await pool.terminate();
    interruption?.dispose();
  }
  if (failed > 0) say(`${failed} of ${count} items failed`);
  return interruption?.status ?? (failed > 0 ? 1 : 0);
}

/** The inputs that are not done, numbered anew; what belongs to each number goes into `pending`. */
async function* remaining(
  { items }: Inputs,
  earlier: Earlier | undefined,
  pending: Map<number, Pending>,
): AsyncGenerator<Numbered> {
  let index = 0;
  let position = 0;
  for await (const input of items) {
    const shown = shownInput(input);
    if (!earlier?.has(index, shown)) {
      pending.set(position, { index, input: shown });
      yield [position, input];
      position++;
    }
    index++;
  }
  earlier?.checkCount(index);
}

function shownInput(input: unknown): string {
  try {
    return toJson(input);
  } catch {
    return "null";
  }
}

async function writeResult(
  result: PromiseSettledResult<NumberedText>,
  pending: Map<number, Pending>,
  output: LineOutput,
  bare: boolean,
): Promise<void> {
  const fulfilled = result.status === "fulfilled";
  const position = fulfilled ? result.value[0] : (result.reason as { index: number }).index;
  const { index, input } = pending.get(position)!;
  pending.delete(position);
  const start = `{"index":${index},"input":${input}`;
  if (!fulfilled) {
    const line = `${start},"error":${JSON.stringify(describeError(result.reason))}}`;
    if (bare) stderr.write(line + "\n");
    else await output.line(line);
  } else await output.line(bare ? result.value[1] : `${start},"value":${result.value[1]}}`);
}

interface ErrorLine {
  name: string;
  message: string;
  stack?: string;
  code?: string | number;
  signal?: string | null;
  exitCode?: number | null;
  cause?: ErrorLine;
}

/** An error as it is written: what the function threw, or how its worker was lost. */
function describeError(thrown: unknown): ErrorLine {
  const { name: kind, cause } = thrown as Error;
  return describeCause(kind === "TaskError" && cause !== undefined ? cause : thrown, 0);
}

function describeCause(thrown: unknown, depth: number): ErrorLine {
  if (!(thrown instanceof Error)) return { name: "Error", message: String(thrown) };
  const { name, message, stack, cause } = thrown;
  const { code, signal, exitCode } = thrown as { code?: unknown; signal?: string; exitCode?: number };
  const lost = name === "WorkerLostError" || name === "TimeoutError"; // their stacks lie in the pool
  return {
    name,
    message,
    ...(!lost && stack ? { stack } : {}),
    ...(typeof code === "string" || typeof code === "number" ? { code } : {}),
    ...(name === "WorkerLostError" ? { signal, exitCode } : {}),
    ...(cause !== undefined && depth < 8 ? { cause: describeCause(cause, depth + 1) } : {}),
  };
}

async function loadWork(spec: string, args: Parsed): Promise<Work> {
  const named = splitExport(spec);
  if (!named) {
    throw new UsageError(`${spec} is not a function of a module: give FILE:EXPORT, as ./work.ts:analyse`);
  }
  const { url, name, value } = await loadExport(named.path, named.name ?? "default");
  if (typeof value !== "function") {
    throw new UsageError(
      `${named.path}:${name} is not a function but ${value === null ? "null" : typeof value}`,
    );
  }
  const here = args.on("serial") || args.text("permissions") === "none";
  return here ? workByValue(value as (input: unknown) => unknown) : workByImport(url, name);
}

function poolOpener(args: Parsed): () => Pool {
  const kinds = ["threads", "processes", "serial"].filter((kind) => args.on(kind));
  if (kinds.length > 1) throw new UsageError(`--${kinds.join(" and --")} exclude each other`);
  const [kind = "threads"] = kinds;
  const workers = wholeNumber("workers", args.text("workers"), 1);
  const maxMemory = size("max-memory", args.text("max-memory"));
  const permissions = args.text("permissions") ?? "inherit";
  if (permissions !== "inherit" && permissions !== "none") {
    throw new UsageError(`--permissions is ${JSON.stringify(permissions)}: it must be none or inherit`);
  }
  for (const flag of ["max-memory", "permissions"]) {
    if (args.text(flag) !== undefined && kind !== "processes") {
      throw new UsageError(`--${flag} holds for processes only: add --processes`);
    }
  }
  if (kind === "serial" && workers !== undefined) {
    throw new UsageError("--serial has no workers: leave out --workers");
  }
  const output = ({ text }: { text: string }) => stderr.write(text + "\n");
  return () =>
    kind === "processes"
      ? new ProcessPool({ workers, maxMemory, permissions, output })
      : kind === "serial"
      ? new SerialPool()
      : new ThreadPool({ workers, output });
}

function mapOptions(args: Parsed): MapOptions {
  return {
    timeout: duration("timeout", args.text("timeout")),
    retries: wholeNumber("retries", args.text("retries"), 0),
    chunkSize: wholeNumber("chunk-size", args.text("chunk-size"), 1),
  };
}

function progressDrawer(
  args: Parsed,
  inputs: Inputs,
  earlier: Earlier | undefined,
): ReturnType<typeof progressLine> | undefined {
  if (!(args.on("progress") ?? stderr.isTerminal())) return undefined;
  const all = inputs.count();
  const total = all === undefined ? undefined : Math.max(0, all - (earlier?.done ?? 0));
  const line = progressLine();
  return {
    draw(progress) {
      const { done, rate } = progress;
      const left = total === undefined ? undefined : Math.max(0, total - done);
      line.draw({
        ...progress,
        total,
        remaining: left === undefined || rate === 0 ? undefined : left / rate * 1000,
      });
    },
    done: () => line.done(),
  };
}

/**
 * Ctrl-C and SIGTERM stop the map and let it end in order; a second one ends the process at once. Not for
 * `--serial`: there the function keeps the thread from hearing a signal, so the default action has to stay.
 */
function interruptible(stop: AbortController): { status: number | undefined; dispose(): void } {
  const removers: (() => void)[] = [];
  const interruption = {
    status: undefined as number | undefined,
    dispose: () => removers.forEach((remove) => remove()),
  };
  for (const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    removers.push(onSignal(signal, () => {
      if (interruption.status !== undefined) exit(status);
      interruption.status = status;
      stop.abort();
    }));
  }
  return interruption;
}

function say(message: string): void {
  stderr.write(`pathos map: ${message}\n`);
}
