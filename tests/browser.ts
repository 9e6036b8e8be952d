/**
 * A headless Chromium for tests, driven by the DevTools protocol over a pair of pipes (no port, no library, the
 * same in Deno and Node). It knows what a test of a page needs: evaluate, keys, emulation, screenshots, and what
 * the page logged and asked the network for. Closing it leaves no process and no file.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { isAlive, processesBelow, until } from "./harness.ts";

/** How a page is to look. */
export interface PageOptions {
  width?: number;
  height?: number;
  dark?: boolean;
  reducedMotion?: boolean;
}

/** A page in the browser. */
export interface Page {
  /** Errors of scripts, of the network and of the security policy, and warnings, as the console shows them. */
  readonly problems: string[];
  /** Addresses that the page asked for. */
  readonly requests: string[];
  /** The value of an expression in the page; waits for a promise. */
  evaluate<T>(expression: string): Promise<T>;
  /** The visible text of the first element that matches, with white space made single. */
  text(selector: string): Promise<string>;
  /** Presses a key, such as `"Tab"`, `"ArrowLeft"` or `"n"`. */
  press(key: string, options?: { shift?: boolean }): Promise<void>;
  look(options: PageOptions): Promise<void>;
  /** Writes a PNG file of the whole page. */
  screenshot(path: string): Promise<void>;
  close(): Promise<void>;
}

/** A running browser. */
export interface Browser {
  open(url: string, options?: PageOptions): Promise<Page>;
  close(): Promise<void>;
}

type Params = Record<string, unknown>;

interface Message {
  id?: number;
  method?: string;
  sessionId?: string;
  params: Params;
  result: Params;
  error?: { message: string };
}

const KEY_CODES: Record<string, number> = {
  Tab: 9,
  Enter: 13,
  Escape: 27,
  " ": 32,
  End: 35,
  Home: 36,
  ArrowLeft: 37,
  ArrowUp: 38,
  ArrowRight: 39,
  ArrowDown: 40,
};

/** Starts the browser; 90 s later at most it answers, or this rejects. */
export async function startBrowser(): Promise<Browser> {
  const profile = mkdtempSync(join(tmpdir(), "pathos-browser-"));
  const child = spawn("chromium", [
    ..."--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking".split(" "),
    ..."--disable-component-update --disable-sync --disable-extensions --mute-audio".split(" "),
    "--hide-scrollbars",
    "--remote-debugging-pipe",
    `--user-data-dir=${profile}`,
    "about:blank",
  ], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
  const { send, listen } = protocol(child);
  const close = async (): Promise<void> => {
    const pids = processesBelow(child.pid!).map(({ pid }) => pid);
    if (child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      const impatience = setTimeout(() => child.kill("SIGKILL"), 30_000);
      send("Browser.close").catch(() => {}); // so it ends its own processes; its answer may not come
      await ended;
      clearTimeout(impatience);
    }
    for (const pipe of child.stdio.slice(3)) (pipe as Readable).destroy();
    await until(() => !pids.some(isAlive), 60_000, "the browser's processes have ended");
    rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  };
  const patience = setTimeout(() => child.kill("SIGKILL"), 90_000);
  try {
    await send("Browser.getVersion");
  } catch (error) {
    await close();
    throw error;
  } finally {
    clearTimeout(patience);
  }
  return { open: (url, options = {}) => openPage(send, listen, url, options), close };
}

type Send = (method: string, params?: Params, session?: string) => Promise<Params>;
type Listen = (session: string, listener: (method: string, params: Params) => void) => void;

function protocol(child: ChildProcess): { send: Send; listen: Listen } {
  const [input, output] = child.stdio.slice(3) as unknown as [Writable, Readable];
  const waiting = new Map<number, { resolve(result: Params): void; reject(error: Error): void }>();
  const listeners = new Map<string, (method: string, params: Params) => void>();
  let last = 0, rest: Uint8Array[] = [];
  const take = (text: string): void => {
    const { id, error, result, method, params, sessionId } = JSON.parse(text) as Message;
    if (id === undefined) return listeners.get(sessionId ?? "")?.(method!, params);
    const call = waiting.get(id);
    waiting.delete(id);
    if (error) call?.reject(new Error(error.message));
    else call?.resolve(result);
  };
  output.on("data", (bytes: Uint8Array) => {
    for (let from = 0;;) {
      const end = bytes.indexOf(0, from);
      rest.push(bytes.subarray(from, end < 0 ? undefined : end));
      if (end < 0) return;
      take(Buffer.concat(rest).toString());
      rest = [];
      from = end + 1;
    }
  });
  const gone = (): void => {
    for (const { reject } of waiting.values()) reject(new Error("the browser has ended"));
    waiting.clear();
  };
  child.on("exit", gone);
  child.on("error", gone);
  input.on("error", gone);
  return {
    send: (method, params = {}, sessionId) =>
      new Promise((resolve, reject) => {
        waiting.set(++last, { resolve, reject });
        input.write(JSON.stringify({ id: last, method, params, sessionId }) + "\0");
      }),
    listen: (session, listener) => void listeners.set(session, listener),
  };
}

async function openPage(send: Send, listen: Listen, url: string, options: PageOptions): Promise<Page> {
  const { targetId } = await send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
  const session = sessionId as string;
  const ask = (method: string, params?: Params) => send(method, params, session);
  const problems: string[] = [], requests: string[] = [];
  listen(session, (method, params) => {
    // deno-lint-ignore no-explicit-any -- the protocol's events have a shape each
    const event = params as any;
    if (method === "Runtime.exceptionThrown") {
      const { text, exception } = event.exceptionDetails;
      problems.push(`${text} ${exception?.description ?? ""}`);
    } else if (method === "Runtime.consoleAPICalled" && /error|warning|assert/.test(event.type)) {
      problems.push(event.args.map((arg: { value?: unknown }) => String(arg.value)).join(" "));
    } else if (method === "Log.entryAdded" && event.entry.level !== "verbose") {
      problems.push(`${event.entry.text} ${event.entry.url ?? ""}`);
    } else if (method === "Network.requestWillBeSent") requests.push(event.request.url);
  });
  for (const domain of ["Runtime", "Log", "Network", "Page"]) await ask(`${domain}.enable`);
  const page: Page = {
    problems,
    requests,
    async evaluate<T>(expression: string): Promise<T> {
      const { result, exceptionDetails } = await ask("Runtime.evaluate", {
        expression,
        returnByValue: true,
        awaitPromise: true,
      }) as { result: { value: T }; exceptionDetails?: { exception?: { description?: string } } };
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? expression);
      return result.value;
    },
    async text(selector) {
      const query = `document.querySelector(${JSON.stringify(selector)})?.innerText ?? ""`;
      return (await page.evaluate<string>(query)).replace(/\s+/g, " ").trim();
    },
    async press(key, { shift = false } = {}) {
      const printed = key === "Enter"
        ? { text: "\r" }
        : key.length === 1
        ? { text: shift ? key.toUpperCase() : key }
        : {};
      const code = KEY_CODES[key] ?? key.toUpperCase().charCodeAt(0);
      const event = {
        key: shift && key.length === 1 ? key.toUpperCase() : key,
        windowsVirtualKeyCode: code,
        modifiers: shift ? 8 : 0,
      };
      await ask("Input.dispatchKeyEvent", { type: "keyDown", ...event, ...printed });
      await ask("Input.dispatchKeyEvent", { type: "keyUp", ...event });
    },
    async look({ width = 1280, height = 900, dark = false, reducedMotion = false }) {
      await ask("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
      await ask("Emulation.setEmulatedMedia", {
        features: [
          { name: "prefers-color-scheme", value: dark ? "dark" : "light" },
          { name: "prefers-reduced-motion", value: reducedMotion ? "reduce" : "no-preference" },
        ],
      });
    },
    async screenshot(path) {
      const { data } = await ask("Page.captureScreenshot", { format: "png", captureBeyondViewport: true });
      writeFileSync(path, data as string, "base64");
    },
    async close() {
      await send("Target.closeTarget", { targetId });
    },
  };
  await page.look(options);
  await ask("Page.navigate", { url });
  await until(() => page.evaluate<boolean>("document.readyState === 'complete'"), 60_000, `${url} is loaded`);
  return page;
}
