/**
 * `pathos map`: a function of the user's module over files, lines or values, on every core, results as lines
 * of JSON. Inputs are pulled and results written one by one, so memory does not grow with their number.
 */
import { stderr } from "../runtime/mod.ts";
import type { MapOptions } from "../map/options.ts";
import type { ParallelPool } from "../map/parallel_pool.ts";
import type { Pool } from "../map/pool.ts";
import { progressLine } from "../map/progress.ts";
import { describeError } from "./error_line.ts";
import { duration, type Flag, isGiven, type Parsed, UsageError, type Verb, wholeNumber } from "./flags.ts";
import { type Inputs, openInputs } from "./inputs.ts";
import { interruptible } from "./interruption.ts";
import { fileOutput, type LineOutput, lineOutput } from "./output.ts";
import { choosePool, POOL_FLAGS, type PoolChoice } from "./pool.ts";
import { chooseRanks, RANK_FLAGS } from "./rank_pool.ts";
import { HOST_FLAGS } from "./remote.ts";
import { type Earlier, readEarlier } from "./resume.ts";
import { loadExport, splitExport } from "./user_module.ts";
import { type Numbered, type NumberedText, toJson, type Work, workByImport, workByValue } from "./work.ts";

/** Milliseconds that the pool has to end in order. */
const GOODBYE_MS = 2000;

/** What FILE:EXPORT, INPUT and the lines of results are, for the help texts. */
export const WORDS_ABOUT = `
FILE:EXPORT is the function: an export of a module, by default its default export. It is called with
one input at a time and may be async. What it prints goes to standard error.

Each INPUT is one of
  'data/**/*.csv'   files by pattern (* ? [ab] {a,b} **; quote it), sorted: the function gets their paths
  data/a.csv        one file
  -                 standard input, one JSON value a line
  ./mod.ts:EXPORT   what a module exports: an iterable, an async iterable, or a function returning one

Each result is one line of JSON on standard output, in the order of the inputs:
  {"index":0,"input":"data/a.csv","value":42}
  {"index":1,"input":"data/b.csv","error":{"name":"RangeError","message":"...","stack":"..."}}`;

/** The flags that say how a map goes, whoever works. */
export const MAP_FLAGS: Record<string, Flag> = {
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
    help: "Skip what FILE, the output of an earlier run over the same inputs, has as done; run again what " +
      "failed there; write the new lines only",
  },
  "fail-fast": { help: "Stop at the first failure (default: go on)" },
  progress: { negatable: true, help: "Draw progress on standard error (default: on a terminal)" },
};

/** The verb `map`. */
export const mapVerb: Verb = {
  name: "map",
  summary: "Run a function over many inputs, on every core, here and on hosts",
  usage: "map FILE[:EXPORT] INPUT... [flags]",
  about: WORDS_ABOUT,
  flags: {
    ...POOL_FLAGS,
    ...MAP_FLAGS,
    dashboard: { help: "Serve a live page about the workers; its URL is printed on standard error" },
    port: { value: "P", help: "Port of that page (default: any free one)" },
    mpi: {
      value: "N[:ppn=P]",
      help:
        "Work in MPI ranks: N of them, or N nodes with P on each (pathos help mpi); the flags below belong to it",
    },
    scatter: { help: "Ranks get equal parts (default: item by item, to whoever is free)" },
    ...RANK_FLAGS,
  },
  more: `
With --servers, what the function imports from your files goes along, and files that it reads must be where it
runs. A host that is lost is connected again, and what it had is run elsewhere: an item may run more than once.

JSON has no form for BigInt, NaN, Infinity, functions and cycles: an item that returns one fails. A Map is
written as an object, a Set or a typed array as an array, undefined as null. An input that JSON cannot
carry is shown as null.

Exit status: 0 all is done, 1 an item failed or there was nobody to run it, 2 a mistake in the command line or the inputs, 130 Ctrl-C.`,
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
    [
      "On this machine and two hosts that ssh reaches, with a page to look at",
      "pathos map ./work.ts:simulate ./cases.ts:all --servers node1,me@node2 --dashboard",
    ],
    [
      "In a batch job on four nodes of a cluster, with 16 MPI ranks on each",
      "pathos map ./work.ts:simulate ./cases.ts:all --mpi 4:ppn=16 --scheduler slurm --host me@cluster --walltime 1h",
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
  return await mapWords(args.positional, args, choose(args), "map");
}

/** The pool that the flags of `pathos map` ask for. */
function choose(args: Parsed): PoolChoice {
  const nodes = args.text("mpi");
  const other = nodes === undefined ? { ...RANK_FLAGS, scatter: {} } : POOL_FLAGS;
  for (const flag of Object.keys(other)) {
    if (flag in HOST_FLAGS || !isGiven(args, flag)) continue;
    throw new UsageError(
      nodes === undefined
        ? `--${flag} is about MPI ranks: add --mpi N`
        : `--mpi and --${flag} exclude each other`,
    );
  }
  return nodes === undefined
    ? choosePool(args)
    : chooseRanks(args, nodes, args.on("scatter") ? "scatter" : "pool");
}

/**
 * Maps a function over inputs, both named on the command line, and writes the results as lines of JSON.
 *
 * @param words FILE:EXPORT and the inputs.
 * @param verb What the user called, for messages.
 * @param file Where the lines go (default: standard output).
 */
export async function mapWords(
  [spec, ...specs]: readonly string[],
  args: Parsed,
  choice: PoolChoice,
  verb: string,
  file?: string,
): Promise<number> {
  // Standard output is for results. What code prints when it is loaded, or run by --serial, would mix with them.
  console.log = console.info = console.debug = console.error;
  if (choice.serves) {
    await choice.open();
    return await new Promise(() => {}); // it ends with the rank that it works for
  }
  const say = (message: string): void => stderr.write(`pathos ${verb}: ${message}\n`);
  if (spec === undefined) throw new UsageError(`which function? pathos ${verb} FILE:EXPORT INPUT...`);
  if (specs.length === 0) {
    throw new UsageError("over which inputs? Give a pattern, - for standard input, or FILE:EXPORT");
  }
  const options = mapOptions(args);
  const port = dashboardPort(args);
  const resume = args.text("resume");
  if (resume !== undefined && args.on("values")) {
    throw new UsageError(
      "--values writes lines that cannot be told apart later: it does not go with --resume",
    );
  }
  const work = await loadWork(spec, choice.imports);
  const inputs = await openInputs(specs, say);
  const earlier = resume === undefined ? undefined : await readEarlier(resume);
  if (earlier) {
    say(`${earlier.done} items are done in ${resume}, ${earlier.failed} failed there and are run again`);
  }
  const output = file === undefined ? undefined : fileOutput(file, file === resume);
  try {
    return await runMap({
      work,
      inputs,
      earlier,
      choice,
      options,
      port,
      args,
      say,
      output,
    });
  } finally {
    output?.close();
  }
}

interface Run {
  work: Work;
  inputs: Inputs;
  earlier: Earlier | undefined;
  choice: PoolChoice;
  options: MapOptions;
  /** Of the dashboard, if there is to be one. */
  port: number | undefined;
  args: Parsed;
  say: (message: string) => void;
  /** Where the lines go, if not to standard output. */
  output: LineOutput | undefined;
}

async function runMap(all: Run): Promise<number> {
  const { work, inputs, earlier, choice, options, port, args, say } = all;
  const pool = await choice.open();
  const stop = new AbortController();
  const output = all.output ?? lineOutput(() => stop.abort());
  // With --serial the function keeps the thread from hearing a signal: the default action has to stay.
  const interruption = args.on("serial") ? undefined : interruptible(stop);
  const progress = progressDrawer(args, inputs, earlier);
  const pending = new Map<number, Pending>();
  let failed = 0;
  let count = 0;
  let complete = false;
  try {
    if (port !== undefined) say(`the page is at ${(await openDashboard(pool, port)).url}`);
    if (earlier?.cut) await output.line(""); // ends the line that was cut, so that ours begin on their own
    const view = pool.with({
      ...options,
      signal: stop.signal,
      onError: "collect",
      onProgress: progress?.draw,
    });
    const coming = remaining(inputs, earlier, pending);
    const items = choice.counts ? await arrayOf(coming) : coming;
    const results = (args.on("unordered") ? view.uimap(work, items) : view.imap(work, items)) as // with onError "collect" every result is wrapped
    unknown as AsyncIterable<PromiseSettledResult<NumberedText>>;
    for await (const result of results) {
      count++;
      if (result.status === "rejected") failed++;
      await writeResult(result, pending, output, args.on("values") ?? false);
      if (result.status === "rejected" && args.on("fail-fast")) break;
    }
    complete = failed === 0 || !args.on("fail-fast");
  } catch (error) {
    if (stop.signal.aborted) return interruption?.status ?? 0;
    if (!nobodyWorks(pool)) throw error;
    say((error as Error).message);
    return 1;
  } finally {
    progress?.done();
    await output.flush();
    // A host that does not answer is not waited for: what is still open ends with this process.
    await Promise.race([pool.terminate(), new Promise((resolve) => setTimeout(resolve, GOODBYE_MS))]);
    interruption?.dispose();
  }
  if (complete) await choice.finish?.();
  if (failed > 0) say(`${failed} of ${count} items failed`);
  return interruption?.status ?? (failed > 0 ? 1 : 0);
}

/** Whether all servers are given up, and nobody works here. */
function nobodyWorks(pool: Pool): boolean {
  const { servers } = pool as { servers?: ParallelPool["servers"] };
  return servers !== undefined && servers.length > 0 && pool.workers === 0 &&
    servers.every(({ state }) => state === "failed" || state === "idle");
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

async function arrayOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
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

async function loadWork(spec: string, imports: boolean): Promise<Work> {
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
  return imports ? workByImport(url, name) : workByValue(value as (input: unknown) => unknown);
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

/** The port to serve the page on, 0 for any; undefined without a page. */
function dashboardPort(args: Parsed): number | undefined {
  const port = wholeNumber("port", args.text("port"), 0);
  if (!args.on("dashboard")) {
    if (port !== undefined) throw new UsageError("--port is that of the page: add --dashboard");
    return undefined;
  }
  if (port !== undefined && port > 65_535) throw new UsageError(`--port is ${port}: the highest is 65535`);
  return port ?? 0;
}

async function openDashboard(pool: Pool, port: number): Promise<{ url: string }> {
  try {
    return await pool.dashboard({ port });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
