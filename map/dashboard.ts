/**
 * The dashboard: a live page about a pool, served on loopback while the program runs.
 *
 * Who has the address sees the page: it contains a random token, and a request without it gets status 401 and
 * nothing else. Requests that name another host than loopback are refused too (a foreign page whose name was
 * made to point here would be one). The page loads nothing from anywhere and can change nothing in the pool.
 *
 * It does not keep the program alive, and a page that does not keep up, or an open one in the background,
 * costs a bounded amount of memory: each has a place in the feed, and gets what is next when it has room.
 */
import {
  equalInConstantTime,
  every,
  type Exchange,
  listenHttp,
  newToken,
  type ResponseStream,
} from "../runtime/mod.ts";
import { Feed, type PoolWatch } from "./dashboard_feed.ts";
import { renderPage } from "./dashboard_page.ts";

/** Milliseconds between messages to a page. */
const TICK_MS = 250;
/** A page hears from the program at least this often, so that it can tell silence from nothing to say. */
const HEARTBEAT_MS = 2000;
/** Spans in one message. */
const BATCH = 2000;
/** Pages at the same time. */
const MAX_PAGES = 16;
/** Messages out of turn (a map is over) between two ticks. */
const MAX_URGENT = 8;

/** Options of {@linkcode Pool.dashboard}. */
export interface DashboardOptions {
  /** Port to listen on. Default 0: any free one. */
  port?: number;
  /** Loopback address to listen on. Default `"127.0.0.1"`. */
  host?: "127.0.0.1" | "::1";
}

/** A page about a pool, being served. */
export interface Dashboard {
  /** Address of the page, with the token that opens it: for a browser on this machine. */
  readonly url: string;
  /** Tells the pages that it is over, and serves no more. */
  close(): Promise<void>;
  /** Same as `close`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** A page that is open somewhere. */
interface Page {
  stream: ResponseStream;
  /** Its places in the rings of the feed. */
  span: number;
  sample: number;
  failure: number;
  /** The state it was last told. */
  told: string;
  toldAt: number;
  /** Whether it has not taken yet what was sent. */
  behind: boolean;
  /** Whether it was told that it is over. */
  ended: boolean;
}

/**
 * Serves the page about a pool.
 *
 * @throws {RangeError} If `host` is not loopback or `port` is not a port.
 * @throws {Error} If the port is taken, or listening is not permitted.
 */
export async function serveDashboard(watch: PoolWatch, options: DashboardOptions = {}): Promise<Dashboard> {
  const { port = 0, host = "127.0.0.1" } = options;
  checkAddress(port, host);
  const token = newToken(256);
  const pages = new Set<Page>();
  let urgent = 0;
  let closing: Promise<void> | undefined;

  const feed = new Feed(watch, () => {
    // A map's end is told at once, since the program may be about to end; when they come thick, at the next tick.
    if (pages.size > 0 && urgent++ < MAX_URGENT) queueMicrotask(tell);
  });
  const tell = (): void => {
    const state = feed.look();
    if (pages.size === 0) return;
    const text = JSON.stringify(state);
    for (const page of pages) if (!page.behind && !page.ended) tellPage(feed, page, text);
  };
  const stopTicking = every(TICK_MS, () => {
    urgent = 0;
    tell();
  });

  const open = (exchange: Exchange): void => {
    if (pages.size >= MAX_PAGES || closing) return exchange.respond(503);
    const stream = exchange.stream(200, { ...HEADERS, "content-type": "text/event-stream" });
    const page: Page = {
      stream,
      span: 0,
      sample: 0,
      failure: 0,
      told: "",
      toldAt: 0,
      behind: false,
      ended: false,
    };
    pages.add(page);
    stream.closed.then(() => pages.delete(page));
    tellPage(feed, page, JSON.stringify(feed.look()));
  };

  const request = (exchange: Exchange): void => {
    const [path, query] = exchange.target.split("?", 2);
    const given = new URLSearchParams(query).get("token");
    if (!isLoopback(exchange.header("host")) || !sameToken(given, token)) {
      return exchange.respond(401, HEADERS);
    }
    if (exchange.method !== "GET") return exchange.respond(405, { ...HEADERS, allow: "GET" });
    if (path === "/events") return open(exchange);
    if (path === "/snapshot") {
      const state = { now: performance.now(), ...feed.look(), failures: feed.failures.all };
      const json = { ...HEADERS, "content-type": "application/json" };
      return exchange.respond(200, json, JSON.stringify(state));
    }
    if (path !== "/") return exchange.respond(404, HEADERS);
    const { html, policy } = renderPage();
    exchange.respond(
      200,
      { ...HEADERS, "content-type": "text/html; charset=utf-8", "content-security-policy": policy },
      html,
    );
  };

  const stop = (): void => {
    stopTicking();
    feed.stop();
  };
  const listener = await listenHttp({ port, host }, { request }).catch((error: Error) => {
    stop();
    throw new Error(
      `the dashboard cannot listen on ${host}, port ${port}: ${error.message}; port 0 takes any free one`,
      { cause: error },
    );
  });
  listener.keepAlive(false);

  const close = (): Promise<void> =>
    closing ??= (async () => {
      tell();
      stop();
      for (const page of pages) {
        const { stream } = page;
        page.ended = true;
        stream.write("event: bye\ndata: {}\n\n");
        stream.end();
      }
      const gone = Promise.all([...pages].map(({ stream }) => stream.closed));
      let timer;
      await Promise.race([gone, new Promise((resolve) => timer = setTimeout(resolve, GOODBYE_MS))]);
      clearTimeout(timer);
      await listener.close();
    })();
  const at = listener.address as { port: number };
  const shown = host === "::1" ? "[::1]" : host;
  return { url: `http://${shown}:${at.port}/?token=${token}`, close, [Symbol.asyncDispose]: close };
}

/** Milliseconds that pages have to take the last message. */
const GOODBYE_MS = 200;

const HEADERS = {
  "cache-control": "no-store",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "cross-origin-resource-policy": "same-origin",
};

/** Sends a page what is new to it, in messages of bounded size, as long as it takes them. */
function tellPage(feed: Feed, page: Page, state: string): void {
  const now = performance.now();
  for (;;) {
    const spans = feed.spans.since(page.span, BATCH);
    const samples = feed.samples.since(page.sample, Infinity);
    const failures = feed.failures.since(page.failure, Infinity);
    const isNew = state !== page.told;
    const news = isNew || spans.items.length + samples.items.length + failures.items.length > 0;
    if (!news && now - page.toldAt < HEARTBEAT_MS) return;
    const rest = { spans: spans.items, samples: samples.items, failures: failures.items };
    const head = JSON.stringify({ now, hosts: feed.hosts.list, ...rest });
    const message = isNew ? `${head.slice(0, -1)},"state":${state}}` : head;
    Object.assign(page, {
      span: spans.next,
      sample: samples.next,
      failure: failures.next,
      told: state,
      toldAt: now,
    });
    if (!page.stream.write(`data: ${message}\n\n`)) {
      page.behind = true;
      page.stream.drained(() => {
        page.behind = false;
        if (page.span < feed.spans.end && !page.ended) tellPage(feed, page, page.told);
      });
      return;
    }
    if (spans.next >= feed.spans.end) return;
  }
}

function checkAddress(port: number, host: string): void {
  if (host !== "127.0.0.1" && host !== "::1") {
    throw new RangeError(
      `the dashboard listens on loopback only, not on ${host}; to see it from elsewhere, forward the port: ` +
        "ssh -L 8080:127.0.0.1:PORT this-host",
    );
  }
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new RangeError(`port is ${port}: it must be a whole number from 0 to 65535`);
  }
}

/** Takes the same time wherever the first difference is. */
function sameToken(given: string | null, token: string): boolean {
  const [a, b] = [given ?? "", token].map((text) => new TextEncoder().encode(text));
  return equalInConstantTime(a, b);
}

/** A name that only this machine's own programs resolve to it, with any port: it may come through a tunnel. */
function isLoopback(host: string | undefined): boolean {
  return /^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/.test(host ?? "");
}
