/**
 * What the dashboard knows of a pool: it listens to the pool's events, keeps the recent past in rings of fixed
 * size, and gives it out as plain data. Memory is bounded whatever the pool does; what falls out of a ring is
 * gone for pages that come later, while counts stay exact.
 *
 * Chunks that follow each other within moments on one worker and are all well are kept as one span, so that
 * a hundred thousand tiny chunks a second remain a picture.
 */
import type { Progress } from "./options.ts";
import type { Observer, OverEvent, PoolEvent, PoolSnapshot } from "./scheduler.ts";

/** Spans kept: what a timeline can show. */
const MAX_SPANS = 50_000;
const MAX_FAILURES = 100;
const MAX_FINISHED = 30;
/** Samples of throughput kept; one a second. */
const MAX_SAMPLES = 130;
const SAMPLE_MS = 1000;
/** Characters kept of the reason of a failure. */
const MAX_REASON = 600;
/** Characters kept of the name of a function. */
const MAX_NAME = 120;
/** Spans grow up to this length by what follows within MERGE_GAP_MS. */
const MERGE_MS = 8;
const MERGE_GAP_MS = 2;

/** A pool as it can be watched. Times are those of `performance.now()` in this program. */
export interface PoolWatch {
  /** For people: `"ThreadPool"`. */
  readonly title: string;
  /**
   * Calls `listener` with everything that happens from now on, until the returned function is called. The
   * listener neither throws nor calls the pool.
   */
  observe(listener: Observer): () => void;
  /** The pool as it is now. */
  snapshot(): PoolSnapshot;
}

/** How a span of work ended: well, with items that threw, with its worker, or because it was not wanted any more. */
export type Outcome = "ok" | "failed" | "lost" | "stopped";

/**
 * Work of one worker without a pause, as it travels: slot, host (index), begin and end in milliseconds, map,
 * first item, items, chunks, items that threw, outcome, name of the worker.
 */
export type Span = [
  slot: number,
  host: number,
  begin: number,
  end: number,
  job: number,
  start: number,
  count: number,
  chunks: number,
  failures: number,
  outcome: Outcome,
  worker: string,
];

/** A map, under way or over. */
export interface JobLine {
  id: number;
  name: string;
  progress: Progress;
  state: "running" | "done" | "failed";
  /** When it was over. */
  at?: number;
  reason?: string;
}

/** A worker and the chunk it is at. */
export type WorkerLine = PoolSnapshot["workers"][number] & {
  /** The chunk it runs. */
  chunk?: { job: number; start: number; count: number; since: number };
};

/** An item that threw (it may be tried again), a worker that was lost, or a map that failed. */
export interface FailureLine {
  id: number;
  at: number;
  kind: "item" | "worker" | "map";
  host?: string;
  worker?: string;
  job?: number;
  item?: number;
  reason: string;
}

/** The state of a pool but for what happened when. */
export interface FeedState {
  title: string;
  workers: WorkerLine[];
  /** Maps under way, in the order they began. */
  jobs: JobLine[];
  /** Maps that are over, the latest last; `earlier` counts those not kept. */
  finished: JobLine[];
  earlier: number;
  totals: {
    /** Items settled in all maps, and all items if that is known. */
    done: number;
    total: number | null;
    /** Items that failed for good. */
    failed: number;
    /** What {@linkcode FailureLine} lists: tries that threw, workers lost, maps failed. */
    failures: number;
    /** Workers lost. */
    lost: number;
    /** Maps over, and those among them that failed. */
    maps: number;
    mapsFailed: number;
  };
}

/** Items finished in the second before `at`, by host (index). */
export type Sample = [at: number, ...items: number[]];

interface Open {
  slot: number;
  host: string;
  worker: string;
  job: number;
  start: number;
  count: number;
  at: number;
}

/** A list that keeps the last `size` of what was added; everything added has a number, from 0. */
export class Ring<T> {
  readonly #size: number;
  #items: T[] = [];
  /** The number of what is added next. */
  end = 0;

  constructor(size: number) {
    this.#size = size;
  }

  add(item: T): void {
    this.#items[this.end++ % this.#size] = item;
  }

  /** What was added from number `from` on, as far as it is kept, at most `limit`, and the number after it. */
  since(from: number, limit: number): { items: T[]; next: number } {
    const first = Math.max(from, this.end - this.#items.length);
    const next = Math.min(this.end, first + limit);
    return {
      items: Array.from(
        { length: Math.max(0, next - first) },
        (_, i) => this.#items[(first + i) % this.#size],
      ),
      next,
    };
  }

  get all(): T[] {
    return this.since(0, this.#size).items;
  }
}

/** Names as small numbers. */
class Names {
  readonly list: string[] = [];
  #index = new Map<string, number>();

  of(name: string): number {
    let index = this.#index.get(name);
    if (index === undefined) {
      this.#index.set(name, index = this.list.length);
      this.list.push(name);
    }
    return index;
  }
}

/** Watches a pool. */
export class Feed {
  readonly spans: Ring<Span> = new Ring(MAX_SPANS);
  readonly samples: Ring<Sample> = new Ring(MAX_SAMPLES);
  readonly failures: Ring<FailureLine> = new Ring(MAX_FAILURES);
  readonly hosts: Names = new Names();

  readonly #watch: PoolWatch;
  readonly #over: () => void;
  readonly #stop: () => void;
  readonly #finished = new Ring<JobLine>(MAX_FINISHED);
  #open = new Map<number, Open>(); // chunks that workers have, by number, in the order given
  #growing = new Map<number, Span>(); // by slot: the last span, while it may grow
  #ends = new Map<number, number>(); // by slot: when its last chunk was answered
  #items: number[] = []; // by host: since the last sample
  #sampled = performance.now();
  #totals = { done: 0, total: 0 as number | null, failed: 0, failures: 0, lost: 0, mapsFailed: 0 };

  /** Begins to watch; `over` is called when a map is over. */
  constructor(watch: PoolWatch, over: () => void) {
    this.#watch = watch;
    this.#over = over;
    this.#stop = watch.observe((event) => this.#heard(event));
  }

  /** Watches no more. */
  stop(): void {
    this.#stop();
  }

  /** Looks at the pool: the state now. Call it a few times a second, since it also keeps the samples. */
  look(): FeedState {
    const { jobs, workers } = this.#watch.snapshot();
    const now = performance.now();
    this.#settle(now);
    this.#sample(now);
    for (const { host } of workers) this.hosts.of(host); // in the order of the pool, whoever is first to be done
    const busy = new Set(workers.filter(({ state }) => state === "busy").map(({ slot }) => slot));
    const running = new Map<number, Open>();
    for (const [chunk, open] of this.#open) {
      if (!busy.has(open.slot)) this.#open.delete(chunk); // dropped: its map is over
      else if (!running.has(open.slot)) running.set(open.slot, open);
    }
    const progress = jobs.map((job) => job.progress);
    const { total } = this.#totals;
    const totals = progress.map((each) => each.total);
    return {
      title: this.#watch.title,
      workers: workers.map((worker) => {
        const open = running.get(worker.slot);
        if (!open) return worker;
        const { job, start, count, at } = open;
        return {
          ...worker,
          chunk: { job, start, count, since: Math.max(at, this.#ends.get(worker.slot) ?? 0) },
        };
      }),
      jobs: jobs.map((job) => ({ ...job, name: nameOf(job.name), state: "running" })),
      finished: this.#finished.all,
      earlier: Math.max(0, this.#finished.end - MAX_FINISHED),
      totals: {
        done: progress.reduce((sum, each) => sum + each.done, this.#totals.done),
        total: total === null || totals.includes(undefined)
          ? null
          : totals.reduce<number>((sum, each) => sum + each!, total),
        failed: progress.reduce((sum, each) => sum + each.failed, this.#totals.failed),
        failures: this.#totals.failures,
        lost: this.#totals.lost,
        maps: this.#finished.end,
        mapsFailed: this.#totals.mapsFailed,
      },
    };
  }

  #heard(event: PoolEvent | OverEvent): void {
    switch (event.type) {
      case "given": {
        const { slot, host, worker, job, start, count, at } = event;
        this.#open.delete(event.chunk!);
        this.#open.set(event.chunk!, { slot, host, worker, job: job!, start: start!, count: count!, at });
        return;
      }
      case "refused":
        this.#open.delete(event.chunk!);
        return;
      case "done":
        return this.#done(event);
      case "lost":
        this.#totals.lost++;
        return this.#gone(event, "lost");
      case "ended":
        return this.#gone(event, "stopped");
      case "over":
        return this.#mapOver(event);
    }
  }

  #done({ slot, host, worker, chunk, job, start, ran, failures, busy, at }: PoolEvent): void {
    const given = this.#open.get(chunk!)?.at ?? at;
    this.#open.delete(chunk!);
    const earliest = Math.max(given, this.#ends.get(slot) ?? 0);
    this.#ends.set(slot, at);
    const index = this.hosts.of(host);
    this.#items[index] = (this.#items[index] ?? 0) + ran! - failures!.length;
    for (const failure of failures!.slice(-MAX_FAILURES)) {
      const item = start! + failure.at;
      this.#failed({ at, kind: "item", host, worker, job, item, reason: describeError(failure.error) });
    }
    this.#totals.failures += Math.max(0, failures!.length - MAX_FAILURES);
    this.#addSpan(
      slot,
      index,
      Math.max(earliest, at - busy!),
      at,
      job!,
      start!,
      ran!,
      failures!.length,
      worker,
    );
  }

  #addSpan(
    slot: number,
    host: number,
    begin: number,
    end: number,
    job: number,
    start: number,
    count: number,
    failures: number,
    worker: string,
  ): void {
    const last = this.#growing.get(slot);
    const grows = last && failures === 0 && last[4] === job && begin - last[3] < MERGE_GAP_MS &&
      end - last[2] < MERGE_MS;
    if (grows) {
      last[3] = end;
      last[5] = Math.min(last[5], start);
      last[6] += count;
      last[7]++;
      return;
    }
    this.#close(slot);
    const outcome = failures > 0 ? "failed" : "ok";
    const span: Span = [slot, host, begin, end, job, start, count, 1, failures, outcome, worker];
    if (outcome === "ok" && end - begin < MERGE_MS) this.#growing.set(slot, span);
    else this.spans.add(span);
  }

  /** A worker is no more, and with it the chunk it ran. */
  #gone({ slot, host, worker, at, reason }: PoolEvent, outcome: Outcome): void {
    this.#close(slot);
    const had = [...this.#open].filter(([, open]) => open.slot === slot);
    for (const [chunk] of had) this.#open.delete(chunk);
    const running = had[0]?.[1];
    if (running) {
      const begin = Math.max(running.at, this.#ends.get(slot) ?? 0);
      const { job, start, count } = running;
      this.spans.add([slot, this.hosts.of(host), begin, at, job, start, count, 1, 0, outcome, worker]);
    }
    this.#ends.set(slot, at);
    if (reason === undefined) return;
    const what = running ? `\nit had ${itemsOf(running)}` : "";
    this.#failed({ at, kind: "worker", host, worker, job: running?.job, reason: reason + what });
  }

  #failed(failure: Omit<FailureLine, "id">): void {
    this.#totals.failures++;
    this.failures.add({ id: this.failures.end, ...failure, reason: shorten(failure.reason, MAX_REASON) });
  }

  #mapOver({ job: id, name, progress, reason, at }: OverEvent): void {
    const totals = this.#totals;
    totals.done += progress.done;
    totals.failed += progress.failed;
    // Of a map that was stopped, what it did is all there will be; a map of unknown length is known now.
    if (totals.total !== null) totals.total += progress.done;
    const state = reason === undefined ? "done" : "failed";
    const shown = reason === undefined ? undefined : shorten(reason, MAX_REASON);
    this.#finished.add({ id, name: nameOf(name), progress, state, at, reason: shown });
    if (reason !== undefined) {
      totals.mapsFailed++;
      this.#failed({ at, kind: "map", job: id, reason });
    }
    this.#over();
  }

  /** Spans that have had their chance to grow are given out. */
  #settle(now: number): void {
    for (const [slot, span] of this.#growing) if (now - span[3] > MERGE_GAP_MS) this.#close(slot);
  }

  #close(slot: number): void {
    const span = this.#growing.get(slot);
    if (!span) return;
    this.#growing.delete(slot);
    this.spans.add(span);
  }

  #sample(now: number): void {
    if (now - this.#sampled < SAMPLE_MS) return;
    const seconds = (now - this.#sampled) / 1000;
    this.samples.add([now, ...Array.from(this.#items, (items) => Math.round((items ?? 0) / seconds))]);
    this.#items = [];
    this.#sampled = now;
  }
}

/** Functions may have no name, or any. */
function nameOf(name: string): string {
  return name === "" ? "anonymous" : shorten(name, MAX_NAME);
}

function shorten(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)} ...` : text;
}

function describeError(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

function itemsOf({ start, count }: Open): string {
  return count === 1 ? `item ${start}` : `items ${start} to ${start + count - 1}`;
}
