/**
 * A host as a place where workers run: connected when a map needs it, and again after it was lost, while there
 * is something to do.
 *
 * States: `idle` (nobody needs it) - `connecting` - `ready` - `away` (lost, or not reached; it is tried again,
 * ever less often) - `failed` (trying again would not help, or did not for GIVE_UP_MS). What its workers had
 * when it was lost goes back to the scheduler, so an item may be run on a host that is no longer heard of and
 * once more elsewhere.
 */
import { newPause } from "../runtime/mod.ts";
import type { CodeBook } from "../serialize/codebook.ts";
import { SshError } from "../ssh/connection.ts";
import type { Limits, WorkerRequest } from "./child.ts";
import { CONNECT_MS, openHost, unlessAborted } from "./host_link.ts";
import { type Beginning, openLink } from "./link.ts";
import type { FromWorker } from "./protocol.ts";
import type { ServerTarget } from "./server_specs.ts";
import type { ServerFacts } from "./session.ts";
import {
  type Channel,
  type ChannelEvents,
  openSession,
  ServerRefusal,
  type Session,
  sessionOver,
} from "./session_client.ts";
import { packMessage, unpackMessage } from "./wire.ts";
import type { Place, Worker, WorkerEvents } from "./worker.ts";

/** Pauses between attempts begin and end with so many milliseconds. */
const FIRST_PAUSE_MS = 250;
const LAST_PAUSE_MS = 4000;
/** A host that could not be reached for so long is given up for the maps under way, in milliseconds. */
const GIVE_UP_MS = 60_000;
/** A host that was lost so often in a row, each time within SHORT_MS, is given up. */
const MAX_LOSSES = 5;
const SHORT_MS = 5000;

/** How a server of a pool is doing. */
export interface ServerStatus {
  /** As it was given, without secrets. */
  server: string;
  /** `away`: lost or not reached, and tried again; `failed`: given up. */
  state: "idle" | "connecting" | "ready" | "away" | "failed";
  /** Workers it has, when ready. */
  workers: number;
  /** Milliseconds of a round trip, when ready. */
  latency: number | undefined;
  /** `"deno 2.9.6"`, once it was connected. */
  runtime: string | undefined;
  /** Why it is away or failed. */
  reason: string | undefined;
}

/** What a place needs to know of its pool. */
export interface HostPlaceParts {
  book: CodeBook;
  beginning(facts: ServerFacts, workers: number): Beginning;
  limits: Limits;
  /** It is there, with so many workers. */
  opened(place: HostPlace, workers: number): void;
  /** It is not there any more. */
  closed(place: HostPlace): void;
  /** Why it is not, if nobody here wanted it. */
  lost(place: HostPlace, reason: string): void;
  /** It is given up. */
  failed(place: HostPlace, reason: string): void;
}

/** A host as a place. */
export interface HostPlace extends Place {
  readonly status: ServerStatus;
  /** A map begins: connect, if it is not. */
  begin(): void;
  /** Nobody needs it for now: it stays connected, but does not keep this program alive. */
  rest(): void;
  /** Disconnects. Resolves when nothing of it is left here. */
  stop(): Promise<void>;
}

/** A way to a server, and what carries it. */
export interface PlaceLink {
  readonly session: Session;
  start(request: WorkerRequest, events: ChannelEvents): Channel;
  keepAlive(on: boolean): void;
  /** Why it was lost, as far as can be told. */
  why(reason: string): Promise<string>;
  /** Resolves when nothing of it is left here. */
  close(): Promise<void>;
}

/** A server that somebody else knows the way to. */
export interface LinkTarget {
  kind: "link";
  name: string;
  /** Opens the way; what it throws is tried again, unless it is a {@linkcode ServerRefusal}. */
  open(signal: AbortSignal): Promise<PlaceLink>;
}

/** Makes a place of a server. */
export function hostPlace(target: ServerTarget | LinkTarget, parts: HostPlaceParts): HostPlace {
  const { name } = target;
  let state: ServerStatus["state"] = "idle";
  let reason: string | undefined;
  let link: PlaceLink | undefined;
  let runtime: string | undefined;
  let workers = 0;
  let needed = false;
  let stopping = false;
  let leaving = 0;
  let running: Promise<void> | undefined;
  let rested = true;
  let abort = new AbortController(); // of the attempt to connect

  const pause = newPause();

  /** Connects again and again while it is needed. Never throws. */
  async function run(): Promise<void> {
    rested = false;
    abort = new AbortController();
    let losses = 0;
    let since = performance.now();
    let delay = FIRST_PAUSE_MS;
    while (needed && !stopping) {
      state = "connecting";
      try {
        link = await unlessAborted(connect(target, abort.signal), abort.signal);
      } catch (error) {
        if (stopping) break;
        reason = (error as Error).message;
        if (isFinal(error) || performance.now() - since > GIVE_UP_MS) return giveUp(isFinal(error));
        state = "away";
        await pause.wait(delay);
        delay = Math.min(delay * 2, LAST_PAUSE_MS);
        continue;
      }
      const began = performance.now();
      await serve(link);
      if (stopping) return;
      losses = performance.now() - began < SHORT_MS ? losses + 1 : 0;
      if (losses >= MAX_LOSSES) {
        reason = `it was lost ${losses} times in a row; the last time it ${reason}`;
        return giveUp(true);
      }
      since = performance.now();
      delay = FIRST_PAUSE_MS;
      state = "away";
      if (losses > 1) await pause.wait(delay * losses);
    }
    rested = true;
    state = "idle";
  }

  function giveUp(forGood: boolean): void {
    state = forGood ? "failed" : "idle";
    parts.failed(place, reason!);
  }

  async function serve(current: PlaceLink): Promise<void> {
    const { session } = current;
    runtime = session.facts.runtime;
    workers = session.facts.workers;
    state = "ready";
    reason = undefined;
    current.keepAlive(needed);
    session.onEnd(() => {
      link = undefined;
      parts.closed(place);
    });
    if (stopping) session.close(); // it came too late
    else if (link) parts.opened(place, workers);
    const lost = await session.over;
    current.keepAlive(true);
    if (lost !== undefined) reason = await current.why(lost);
    if (lost !== undefined && needed) parts.lost(place, reason!);
    await current.close();
  }

  const hold = (): void => link?.keepAlive(needed || stopping || leaving > 0);

  /** The end of a worker there: who waits for it must not find this program ended before. */
  async function waitedFor(gone: Promise<void>): Promise<void> {
    leaving++;
    hold();
    await gone;
    leaving--;
    hold();
  }

  function start(slot: number, events: WorkerEvents): Worker {
    if (!link) throw new Error(`${name} is not connected`);
    const { session } = link;
    const channel = link.start({ ...parts.limits, slot }, {
      message(bytes) {
        const { message, buffers } = unpackMessage<FromWorker>(bytes);
        opened.receive(message, buffers);
      },
      output: (stream, line) => events.output(stream, line),
      lost: (loss) => opened.lost(loss),
    });
    const opened = openLink(
      {
        send(message, buffers) {
          if (message.do === "code") channel.code(message.hash, () => packMessage(message, buffers));
          else channel.tell(packMessage(message, buffers));
        },
        end: () => waitedFor(channel.end()),
        kill: () => waitedFor(channel.kill()),
        keepAlive: () => true, // the place does, for all of them
      },
      {
        name: session.facts.names?.[slot] ?? `${name} worker ${slot + 1}`,
        get latency() {
          return session.latency;
        },
        killable: true,
        sharing: false,
      },
      parts.beginning(session.facts, workers),
      parts.book,
      events,
    );
    const { forget } = opened.worker;
    return Object.assign(opened.worker, {
      forget() {
        session.forget();
        forget();
      },
    });
  }

  const place: HostPlace = {
    host: name,
    start,
    get status() {
      const latency = link?.session.latency;
      return { server: name, state, workers: link ? workers : 0, latency, runtime, reason };
    },
    begin() {
      needed = true;
      hold();
      if (state === "failed" || stopping) return;
      pause.wake();
      running ??= run().finally(() => {
        running = undefined;
        if (needed && rested) place.begin(); // a map began while it was coming to rest
      });
    },
    rest() {
      needed = false;
      pause.wake();
      hold();
    },
    async stop() {
      stopping = true;
      needed = false;
      abort.abort();
      pause.wake();
      hold();
      link?.session.close();
      await running;
      stopping = false;
      state = "idle";
      if (needed) place.begin(); // a map began meanwhile
    },
  };
  return place;
}

function isFinal(error: unknown): boolean {
  if (error instanceof ServerRefusal) return true;
  return error instanceof SshError && (!error.mayPass || error.failure === "refused");
}

async function connect(target: ServerTarget | LinkTarget, signal: AbortSignal): Promise<PlaceLink> {
  if (target.kind === "link") return await target.open(signal);
  if (target.kind !== "ssh") {
    const session = target.kind === "url"
      ? await openSession(target.address, target.token, CONNECT_MS)
      : await sessionOver(await target.dial(), CONNECT_MS);
    return {
      session,
      start: session.start,
      keepAlive: (on) => session.keepAlive(on),
      why: (reason) => Promise.resolve(reason),
      close: () => Promise.resolve(session.close()),
    };
  }
  return await openHost(target.host, { direct: true, signal });
}
