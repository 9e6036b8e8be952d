/**
 * The dashboard: who may see it, what it costs, and the page itself in a real browser: what it shows, by keyboard
 * and on a narrow screen, and that text from the pool stays text. The pool is a plain object here, so that every
 * state can be had at once.
 */
import { assert, assertEquals, assertGreater, assertLess, assertMatch, assertRejects } from "@std/assert";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { get, request } from "node:http";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { type Dashboard, serveDashboard } from "../map/dashboard.ts";
import type { PoolWatch } from "../map/dashboard_feed.ts";
import type { OverEvent, PoolEvent } from "../map/scheduler.ts";
import { ParallelPool, serve } from "@pathos/pathos";
import { type Page, type PageOptions, startBrowser } from "./browser.ts";
import { runScript, tempDir, test, until } from "./harness.ts";

interface FakePool {
  watch: PoolWatch;
  /** A worker gets so many items. */
  give(slot: number, count: number, at?: number): void;
  /** It has done them; `failing` are positions in the chunk. */
  done(slot: number, failing?: Record<number, Error>, at?: number): void;
  lose(slot: number, reason: string): void;
  over(reason?: string): void;
}

/** A pool of workers on hosts, such as `["local", "local", "fast"]`, with one map under way. */
function fakePool(hosts: string[], { name = "square", total = 1000, worker = "process" } = {}): FakePool {
  let listener: (event: PoolEvent | OverEvent) => void = () => {};
  let items = 0, done = 0, failed = 0, chunk = 0, running = true;
  const began = performance.now();
  const workers = hosts.map((host, slot) => ({
    slot,
    host,
    worker: `${worker} ${slot + 1}`,
    state: "idle" as "idle" | "busy" | "empty",
    since: began,
    items: 0,
    chunks: 0,
    busy: 0,
  }));
  const now = workers.map(() => ({ chunk: 0, start: 0, count: 0, at: 0 }));
  const progress = () => {
    const elapsed = performance.now() - began;
    const inFlight = workers.reduce(
      (sum, { state }, slot) => sum + (state === "busy" ? now[slot].count : 0),
      0,
    );
    return {
      done,
      total,
      failed,
      running: inFlight,
      elapsed,
      rate: done / elapsed * 1000,
      remaining: done > 0 ? (total - done) / done * elapsed : undefined,
    };
  };
  const about = (slot: number) => ({ slot, host: workers[slot].host, worker: workers[slot].worker, job: 1 });
  return {
    watch: {
      title: "ParallelPool",
      observe(given) {
        listener = given;
        return () => listener = () => {};
      },
      snapshot: () => ({
        jobs: running ? [{ id: 1, name, progress: progress() }] : [],
        workers: workers.map((each) => ({ ...each })),
      }),
    },
    give(slot, count, at = performance.now()) {
      now[slot] = { chunk: ++chunk, start: items, count, at };
      items += count;
      Object.assign(workers[slot], { state: "busy", since: at });
      const { start } = now[slot];
      listener({ type: "given", at, ...about(slot), chunk, start, count });
    },
    done(slot, failing = {}, at = performance.now()) {
      const { chunk, start, count, at: since } = now[slot];
      const failures = Object.entries(failing).map(([at, error]) => ({ at: Number(at), error }));
      done += count;
      failed += failures.length;
      const each = workers[slot];
      Object.assign(each, { state: "idle", since: at, items: each.items + count, chunks: each.chunks + 1 });
      each.busy += at - since;
      const outcome = { ran: count, busy: at - since, failures };
      listener({ type: "done", at, ...about(slot), chunk, start, count, ...outcome });
    },
    lose(slot, reason) {
      Object.assign(workers[slot], { state: "empty", since: performance.now() });
      listener({ type: "lost", at: performance.now(), ...about(slot), reason });
    },
    over(reason) {
      running = false;
      listener({ type: "over", at: performance.now(), job: 1, name, progress: progress(), reason });
    },
  };
}

interface Answer {
  status: number;
  body: string;
  headers: Record<string, string | string[] | undefined>;
}

function ask(url: string, options: { method?: string; host?: string } = {}): Promise<Answer> {
  const { method = "GET", host } = options;
  return new Promise((resolve, reject) => {
    request(url, { method, agent: false, headers: host ? { host } : {} }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => body += text);
      response.on("end", () => resolve({ status: response.statusCode!, body, headers: response.headers }));
    }).on("error", reject).end();
  });
}

/** What an open page is told; `closed` resolves when the other side ended it. */
function listenTo(url: string): { messages: Message[]; bytes: () => number; stop(): void } {
  const messages: Message[] = [];
  let rest = "", bytes = 0;
  const asked = get(url.replace("/?", "/events?"), { agent: false }, (response) => {
    response.setEncoding("utf8").on("data", (text: string) => {
      bytes += text.length;
      const parts = (rest + text).split("\n\n");
      rest = parts.pop()!;
      for (const part of parts) messages.push(JSON.parse(part.replace(/^(event: bye\n)?data: /, "")));
    });
    response.on("error", () => {});
  });
  asked.on("error", () => {});
  return { messages, bytes: () => bytes, stop: () => asked.destroy() };
}

interface Message {
  spans?: unknown[][];
  state?: { totals: { done: number; maps: number } };
}

const spansOf = (messages: Message[]) => messages.flatMap(({ spans }) => spans ?? []);

test("who does not have the token, or comes by a foreign name, learns nothing", async () => {
  await using board = await serveDashboard(fakePool(["local"]).watch);
  const { origin, host, search } = new URL(board.url);
  assertEquals((await ask(board.url)).status, 200);
  const wrong = search.slice(0, -1) + (search.endsWith("A") ? "B" : "A");
  for (const path of ["/", "/events", "/snapshot", "/nothing", "//", "/?token", "/?token=", `/${wrong}`]) {
    const { status, body } = await ask(origin + path);
    assertEquals([path, status, body], [path, 401, ""]);
  }
  for (
    const name of ["evil.example", `evil.example:80`, "127.0.0.1.evil.example", "127.0.0.1@evil.example"]
  ) {
    const { status, body } = await ask(board.url, { host: name });
    assertEquals([name, status, body], [name, 401, ""]);
  }
  assertEquals((await ask(board.url, { host: "localhost:8080" })).status, 200, "through a tunnel");
  assertEquals((await ask(board.url, { method: "POST" })).status, 405);
  assertEquals((await ask(`${origin}/other${search}`)).status, 404);
  assertEquals(host.split(":")[0], "127.0.0.1");
  const { headers } = await ask(board.url);
  assertMatch(String(headers["content-security-policy"]), /^default-src 'none'; script-src 'sha256-/);
  assertEquals(headers["access-control-allow-origin"], undefined);
});

test("two dashboards have different tokens of 256 bits", async () => {
  await using one = await serveDashboard(fakePool(["local"]).watch);
  await using two = await serveDashboard(fakePool(["local"]).watch);
  const tokens = [one, two].map(({ url }) => new URL(url).searchParams.get("token")!);
  assertEquals(tokens.map(({ length }) => length), [43, 43]);
  assert(tokens[0] !== tokens[1]);
});

test("it listens on loopback only, and says what to do when the port is taken", async () => {
  const { watch } = fakePool(["local"]);
  await using board = await serveDashboard(watch);
  const port = Number(new URL(board.url).port);
  await assertRejects(
    () => serveDashboard(watch, { port }),
    Error,
    `cannot listen on 127.0.0.1, port ${port}`,
  );
  await assertRejects(() => serveDashboard(watch, { port: 70_000 }), RangeError, "0 to 65535");
  const host = "0.0.0.0" as "127.0.0.1";
  await assertRejects(() => serveDashboard(watch, { host }), RangeError, "loopback only");
});

test("the snapshot has workers, maps and failures as data", async () => {
  const pool = fakePool(["local", "fast"]);
  await using board = await serveDashboard(pool.watch);
  pool.give(0, 10);
  pool.done(0, { 3: new RangeError("too large") });
  pool.give(1, 20);
  const snapshot = JSON.parse((await ask(board.url.replace("/?", "/snapshot?"))).body);
  assertEquals(snapshot.title, "ParallelPool");
  assertEquals(snapshot.totals.done, 10);
  assertEquals(snapshot.workers.map((each: { host: string }) => each.host), ["local", "fast"]);
  assertEquals([snapshot.workers[1].chunk.start, snapshot.workers[1].chunk.count], [10, 20]);
  assertEquals(snapshot.jobs.map((job: { name: string }) => job.name), ["square"]);
  const [failure] = snapshot.failures;
  assertEquals([failure.item, failure.worker, failure.reason], [3, "process 1", "RangeError: too large"]);
});

test("the end of a map is told at once, and a page that comes later gets the past", async () => {
  const times: number[] = [];
  while (times.length < 20 && !times.some((time) => time < 150)) { // one is enough: others may be busy here
    const pool = fakePool(["local"], { total: 5 });
    await using board = await serveDashboard(pool.watch);
    const page = listenTo(board.url);
    await until(() => page.messages.length > 2); // a tick has just passed, the next is 250 ms away
    pool.give(0, 5);
    pool.done(0);
    const began = performance.now();
    pool.over();
    await until(() => page.messages.some(({ state }) => state?.totals.maps === 1));
    times.push(performance.now() - began);
    const late = listenTo(board.url);
    await until(() => spansOf(late.messages).length === 1);
    for (const each of [page, late]) each.stop();
  }
  assertLess(Math.min(...times), 150);
});

test("chunks of a moment are told together, and none is lost from the sums", async () => {
  const pool = fakePool(["local"], { total: 1e6 });
  await using board = await serveDashboard(pool.watch);
  const page = listenTo(board.url);
  const began = performance.now() - 1100;
  for (let i = 0; i < 10_000; i++) {
    pool.give(0, 10, began + i * .1);
    pool.done(0, {}, began + i * .1 + .09);
  }
  const items = () => spansOf(page.messages).reduce((sum, span) => sum + Number(span[6]), 0);
  await until(() => items() === 100_000);
  assertLess(spansOf(page.messages).length, 300);
  page.stop();
});

test(
  "a page that does not read is given no more than the feed keeps, and does not disturb others",
  async () => {
    const workers = Array.from({ length: 20 }, () => "local");
    const pool = fakePool(workers, { total: 1e9 });
    await using board = await serveDashboard(pool.watch);
    const { port, search } = new URL(board.url);
    const stuck = connect(Number(port), "127.0.0.1");
    stuck.on("error", () => {});
    stuck.write(`GET /events${search} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`);
    stuck.pause();
    const page = listenTo(board.url);
    await until(() => page.messages.length > 0);
    const began = performance.now();
    for (let i = 0; i < 200_000; i++) {
      const slot = i % 20, at = began + Math.floor(i / 20) * 10;
      pool.give(slot, 1, at);
      pool.done(slot, {}, at + 9);
      if (i % 20_000 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    }
    // Each begin and end is a number of up to 20 characters: some 90 bytes a span.
    await until(() => spansOf(page.messages).length > 40_000, 60_000);
    let received = 0;
    stuck.on("data", (bytes: Uint8Array) => received += bytes.byteLength);
    stuck.resume();
    await until(() => received > 1e6, 60_000);
    await new Promise((resolve) => setTimeout(resolve, 800));
    assertLess(received, 70_000 * 120);
    page.stop();
    stuck.destroy();
  },
);

test("closing tells the pages and leaves nothing open", async () => {
  const board = await serveDashboard(fakePool(["local"]).watch);
  const page = listenTo(board.url);
  await until(() => page.messages.length > 0);
  const began = performance.now();
  await board.close();
  await board.close();
  assertLess(performance.now() - began, 20_000);
  await assertRejects(() => ask(board.url));
});

test("a map that ends as the dashboard is closed is told before the farewell, and nothing after it", async () => {
  const pool = fakePool(["local"], { total: 5 });
  const board = await serveDashboard(pool.watch);
  const page = listenTo(board.url);
  await until(() => page.messages.length > 0);
  pool.give(0, 5);
  pool.done(0);
  pool.over();
  await board.close();
  await until(() => page.messages.some(({ state }) => state?.totals.maps === 1));
  pool.over(); // nobody listens any more
});

test.deno(
  "an open page neither keeps the program alive nor delays its end",
  "the program imports the sources",
  async () => {
    using folder = tempDir();
    const file = join(folder.path, "url");
    let took = Infinity, page: ReturnType<typeof listenTo> | undefined;
    const { code, stderr } = await runScript(
      `
      import { existsSync, writeFileSync, renameSync } from "node:fs";
      const [source, file] = process.argv.slice(2);
      const { serveDashboard } = await import(source);
      const board = await serveDashboard({
        title: "a pool",
        observe: () => () => {},
        snapshot: () => ({ jobs: [], workers: [] }),
      });
      writeFileSync(file + ".part", board.url);
      renameSync(file + ".part", file);
      while (!existsSync(file + ".open")) await new Promise((resolve) => setTimeout(resolve, 20));
      writeFileSync(file + ".end", String(Date.now()));
      `,
      {
        args: [new URL("../map/dashboard.ts", import.meta.url).href, file],
        async onStart() {
          const url = await until(() => existsSync(file) ? readFileSync(file, "utf8") : "");
          page = listenTo(url);
          await until(() => page!.messages.length > 0);
          writeFileSync(`${file}.open`, "");
        },
      },
    );
    took = Date.now() - Number(readFileSync(file + ".end", "utf8"));
    page?.stop();
    assertEquals([code, stderr], [0, ""]);
    assertLess(took, 10_000);
  },
);

// ---- the page ----

async function withPage(
  pool: FakePool,
  body: (page: Page, board: Dashboard) => Promise<void>,
  options: PageOptions = {},
): Promise<void> {
  await using board = await serveDashboard(pool.watch);
  const browser = await startBrowser();
  try {
    const page = await browser.open(board.url, options);
    await body(page, board);
    const { origin } = new URL(board.url);
    assertEquals(page.problems, [], "the console is empty");
    assertEquals(page.requests.filter((url) => !url.startsWith(origin) && !url.startsWith("data:")), []);
  } finally {
    await browser.close();
  }
}

const shows = (page: Page, selector: string, what: RegExp) =>
  until(async () => what.test(await page.text(selector)), 60_000, `${selector} shows ${what}`);

test.needs(["chromium"], "the page shows who does what, how far it is, and what failed", async () => {
  const pool = fakePool(["local", "local", "fast", "fast"], { name: "renderFrame", total: 400 });
  await withPage(pool, async (page) => {
    await shows(page, "#status", /^Running$/);
    for (let slot = 0; slot < 4; slot++) pool.give(slot, 50);
    await new Promise((resolve) => setTimeout(resolve, 30));
    pool.done(0);
    pool.done(2, { 7: new RangeError("no convergence") });
    pool.give(0, 25);
    pool.lose(3, "was killed by SIGKILL");
    await shows(page, "#maps", /renderFrame running 25% 100 of 400 done 75 running 225 waiting 1 failed/);
    await shows(page, "#done", /^100$/);
    await shows(page, "#failed-box", /Failed items 1 1 worker lost/);
    await shows(page, "#busy", /^2$/);
    await shows(
      page,
      "#workers",
      /this machine 2 of 2 busy.*process 1 ●busy 200–224 .*process 2 ●busy 50–99/,
    );
    await shows(page, "#workers", /fast 0 of 2 busy.*process 3 ○idle – .*process 4 ·not running –/);
    await shows(
      page,
      "#failures",
      /^Worker lost .* process 4 on fast was killed by SIGKILL it had items 150 to 199/,
    );
    await shows(
      page,
      "#failures",
      /Item 107 threw .* renderFrame · process 3 on fast RangeError: no convergence/,
    );
    await shows(page, "#legend", /this machine fast running an item threw worker lost stopped/);
    assertEquals(await page.evaluate("document.title"), "25% · pathos");
    pool.over();
    await shows(page, "#status", /^All finished$/);
    await shows(page, "#say", /All maps are finished/);
    assertEquals(await page.evaluate("document.title"), "✓ pathos");
  });
});

test.needs(["chromium"], "an idle pool has words for everything that is empty", async () => {
  const pool = fakePool(["local"]);
  const { watch } = pool;
  const idle = { ...pool, watch: { ...watch, snapshot: () => ({ ...watch.snapshot(), jobs: [] }) } };
  await withPage(idle, async (page) => {
    await shows(page, "#status", /^Waiting for work$/);
    await shows(page, "#no-maps", /No map yet/);
    await shows(page, "#no-failures", /No item has failed/);
    await shows(page, "#workers", /process 1 ○idle/);
  });
});

test.needs(["chromium"], "text from the pool stays text", async () => {
  const evil = `<img src="http://192.0.2.1/x" onerror="window.hacked=1"><script>window.hacked=2</script>`;
  const pool = fakePool(["local", evil], { name: evil, worker: evil });
  await withPage(pool, async (page) => {
    pool.give(0, 5);
    pool.give(1, 5);
    pool.done(1, { 2: Object.assign(new Error(evil), { name: evil }) });
    pool.lose(0, evil);
    await shows(page, "#failures", /Worker lost.*<img src=.*onerror=.*Item 7 threw/);
    await shows(page, "#maps", /<script>window.hacked=2<\/script> running/);
    await page.evaluate("document.getElementById('timeline').focus()");
    await page.press("n");
    await shows(page, "#readout", /<img src=/);
    pool.over(evil);
    await shows(page, "#maps", /✕ failed.*<img src=/);
    assertEquals(await page.evaluate("typeof window.hacked + document.images.length"), "undefined0");
    assertEquals(await page.evaluate("document.querySelectorAll('script').length"), 1);
  });
});

test.needs(["chromium"], "everything is reached and read by keyboard", async () => {
  const pool = fakePool(["local", "fast"], { total: 100 });
  await withPage(pool, async (page) => {
    const began = performance.now() - 200;
    for (let i = 0; i < 3; i++) {
      const at = began + i * 40;
      for (const slot of [0, 1]) pool.give(slot, 10, at);
      pool.done(0, {}, at + 30);
      pool.done(1, i === 1 ? { 4: new Error("odd") } : {}, at + 30);
    }
    await shows(page, "#done", /^60$/);
    const reached: string[] = [];
    for (let i = 0; i < 12; i++) {
      await page.press("Tab");
      const focus = `(({ id, parentElement, tagName, innerText }) =>
        id || (tagName === "BUTTON" ? innerText.trim() : parentElement.className))(document.activeElement)`;
      reached.push(await page.evaluate<string>(focus));
      const outline = "getComputedStyle(document.activeElement).outlineStyle";
      if (i < 10) {
        assertEquals(await page.evaluate(outline), "solid", `focus on ${reached.at(-1)} is visible`);
      }
    }
    assertEquals(reached.slice(0, 10), [
      "card maps",
      "zoom-out",
      "zoom-in",
      "fit",
      "live",
      "timeline",
      "card workers",
      "this machine",
      "fast",
      "card failures",
    ]);
    await page.evaluate("document.getElementById('timeline').focus()");
    const read = async (key: string, shift = false): Promise<string> => {
      await page.press(key, { shift });
      return await page.text("#spoken");
    };
    assertMatch(await read("Home"), /^process 1: items 0–9 of square; \d.*all well; from 0:\d\d\.\d{3}\.$/);
    assertMatch(await read("ArrowRight"), /^process 1: items 20–29 /);
    assertMatch(await read("ArrowDown"), /^process 2 on fast: items 30–39 .* 1 item threw/);
    assertMatch(await read("ArrowLeft"), /^process 2 on fast: items 10–19 /);
    assertMatch(await read("ArrowUp"), /^process 1: items 0–9 /);
    assertMatch(await read("n"), /^process 2 on fast: items 30–39 .* 1 item threw/);
    assertEquals(await page.text("#readout"), await page.text("#spoken"));
    const pressed = "document.getElementById('live').getAttribute('aria-pressed')";
    await page.press("ArrowLeft", { shift: true });
    assertEquals(await page.evaluate(pressed), "false");
    await page.press("l");
    assertEquals(await page.evaluate(pressed), "true");
    await page.evaluate("document.querySelectorAll('#workers button')[1].focus()");
    await page.press("Enter");
    await until(
      async () => !(await page.text("#workers")).includes("process 2"),
      60_000,
      "the host is folded",
    );
    assertEquals(await page.evaluate("document.activeElement.getAttribute('aria-expanded')"), "false");
  });
});

test.needs(["chromium"], "it is readable in light, dark, and on a narrow screen", async () => {
  using folder = tempDir();
  const pool = fakePool(["local", "local", "render@node-a.cluster.example"], {
    name: "aFunctionWithALongName",
  });
  await withPage(pool, async (page) => {
    for (let slot = 0; slot < 3; slot++) pool.give(slot, 200);
    await new Promise((resolve) => setTimeout(resolve, 30));
    pool.done(2, { 1: new Error("a message ".repeat(40)) });
    await shows(page, "#done", /^200$/);
    const contrast = (selector: string) => page.evaluate<number>(CONTRAST(selector));
    for (const dark of [false, true]) {
      await page.look({ dark, reducedMotion: true });
      for (
        const selector of ["#done", "dt", ".maps .facts", ".failures pre", "#failed", ".status", "thead th"]
      ) {
        assertGreater(await contrast(selector), 4.5, `${selector}, ${dark ? "dark" : "light"}`);
      }
      const path = join(folder.path, `${dark}.png`);
      await page.screenshot(path);
      assertGreater(statSync(path).size, 20_000);
    }
    assertEquals(
      await page.evaluate("getComputedStyle(document.querySelector('.bar i')).transitionDuration"),
      "0s",
    );
    for (const width of [380, 720, 1061, 1920]) {
      await page.look({ width });
      assertEquals(await page.evaluate("document.documentElement.scrollWidth"), width);
    }
    await page.look({ width: 380 });
    const cut = `[...document.querySelectorAll("dd, dt, h1, h2, .status, .facts span")]
      .filter((node) => node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).display !== "inline")
      .map((node) => node.innerText)`;
    assertEquals(await page.evaluate(cut), []);
  });
});

/** Contrast of an element's text with what is behind it, as WCAG defines it. */
const CONTRAST = (selector: string): string =>
  `(() => {
  const node = document.querySelector(${JSON.stringify(selector)});
  const light = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map((n) => n / 255)
      .map((n) => n <= .04045 ? n / 12.92 : ((n + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  let behind = node;
  while (getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
  const [a, b] = [getComputedStyle(node).color, getComputedStyle(behind).backgroundColor].map(light).sort();
  return (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
})()`;

test.needs(["chromium"], "figures that change do not move what is around them", async () => {
  const pool = fakePool(["local", "local"], { total: 1_000_000 });
  await withPage(pool, async (page) => {
    await shows(page, "#status", /Running/);
    const places = `JSON.stringify([...document.querySelectorAll("section, dd:not(.sub), #workers th")]
      .map((node) => { const { x, y, width, height } = node.getBoundingClientRect(); return [x, y, width, height]; }))`;
    pool.give(0, 1);
    await shows(page, "#workers", /busy 0 /);
    const before = await page.evaluate(places);
    pool.done(0);
    pool.give(0, 999_998);
    pool.give(1, 1);
    await new Promise((resolve) => setTimeout(resolve, 300));
    pool.done(0);
    await shows(page, "#done", /^999,999$/);
    assertEquals(await page.evaluate(places), before);
  });
});

/** A way to a port that can be cut and mended. */
function proxyTo(port: number): Promise<{ port: number; cut(): Promise<void>; mend(): Promise<void> }> {
  const sockets = new Set<Socket>();
  let server: Server;
  const listen = (at: number) =>
    new Promise<number>((resolve) => {
      server = createServer((near) => {
        const far = connect(port, "127.0.0.1");
        for (const each of [near, far]) {
          sockets.add(each);
          each.on("error", () => {});
          each.on("close", () => {
            sockets.delete(each);
            near.destroy();
            far.destroy();
          });
        }
        near.pipe(far);
        far.pipe(near);
      });
      server.listen(at, "127.0.0.1", () => resolve((server.address() as { port: number }).port));
    });
  return listen(0).then((at) => ({
    port: at,
    cut: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
    mend: () => listen(at).then(() => {}),
  }));
}

test.needs(
  ["chromium"],
  "the page says when the program cannot be reached, comes back, and says when it is closed",
  async () => {
    const pool = fakePool(["local"]);
    const board = await serveDashboard(pool.watch);
    const { port, search } = new URL(board.url);
    const way = await proxyTo(Number(port));
    const browser = await startBrowser();
    try {
      const page = await browser.open(`http://127.0.0.1:${way.port}/${search}`);
      pool.give(0, 10);
      await shows(page, "#status", /^Running$/);
      await way.cut();
      await shows(page, "#status", /^Connection lost in the middle of 1 map$/);
      await shows(page, "#say", /Connection lost/);
      pool.done(0);
      await way.mend();
      await shows(page, "#status", /^Running$/);
      await shows(page, "#done", /^10$/);
      pool.over();
      await shows(page, "#status", /^All finished$/);
      await board.close();
      await shows(page, "#status", /^Closed by the program$/);
      await new Promise((resolve) => setTimeout(resolve, 1200));
      assertEquals(await page.text("#status"), "Closed by the program", "and does not try again");
    } finally {
      await browser.close();
      await way.cut();
      await board.close();
    }
  },
);

test.needs(["chromium"], "60 workers and 50,000 chunks are no trouble", async () => {
  const workers = Array.from({ length: 60 }, (_, slot) => slot < 4 ? "local" : slot < 32 ? "a" : "b");
  const pool = fakePool(workers, { total: 1_000_000 });
  const began = performance.now();
  for (let slot = 0; slot < 60; slot++) pool.give(slot, 1);
  await withPage(pool, async (page) => {
    await page.evaluate(`window.long = [];
      new PerformanceObserver((list) => window.long.push(...list.getEntries().map((each) => each.duration)))
        .observe({ type: "longtask", buffered: true }), 0`);
    for (let i = 0; i < 50_000; i++) {
      const slot = i % 60, at = began - 83_000 + Math.floor(i / 60) * 100;
      pool.give(slot, 20, at);
      pool.done(slot, i % 5000 === 0 ? { 1: new Error("odd") } : {}, at + 60 + i % 37);
    }
    await shows(page, "#done", /^1,000,000$/);
    await page.evaluate("document.getElementById('timeline').focus()");
    for (const key of ["a", "+", "+", "ArrowRight", "ArrowDown", "n", "n", "a", "l"]) await page.press(key);
    const second = (): Promise<number> =>
      page.evaluate<number>(`new Promise((resolve) => {
      let frames = 0;
      const end = performance.now() + 1000;
      const count = () => performance.now() < end ? (frames++, requestAnimationFrame(count)) : resolve(frames);
      requestAnimationFrame(count);
    })`);
    let frames = 0;
    for (let i = 0; i < 20 && frames <= 15; i++) frames = await second(); // one is enough: others may be busy here
    assertGreater(frames, 15, "frames in a second");
    const long = await page.evaluate<number[]>("window.long");
    assertLess(Math.max(0, ...long), 5000, `long tasks: ${long}`);
  });
});

test("a real pool with a server shows both places, what failed, and closes its dashboard", async () => {
  await using server = await serve({ workers: 1 });
  const pool = new ParallelPool({ workers: 1, servers: [server.url] });
  const board = await pool.dashboard();
  const page = listenTo(board.url);
  await until(() => page.messages.length > 0);
  const double = (x: number): number => {
    if (x === 7) throw new RangeError("seven");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    return x * 2;
  };
  const parts = ["local", new URL(server.url).host, "double", "seven"];
  await until(async () => {
    const items = Array.from({ length: 60 }, (_, i) => i);
    await pool.with({ onError: "collect", chunkSize: 1 }).map(double, items);
    const snapshot = await (await fetch(board.url.replace("/?", "/snapshot?"))).text();
    return parts.every((part) => JSON.stringify(JSON.parse(snapshot)).includes(part));
  }, 60_000);
  await pool.clear();
  assertEquals(await pool.map((x: number) => x, [1]), [1]);
  await until(() => JSON.stringify(page.messages).includes("anonymous") || page.messages.length > 2);
  pool.close();
  await pool.join();
  await assertRejects(() => fetch(board.url));
});
