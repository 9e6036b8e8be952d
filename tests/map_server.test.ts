/** The service that pools elsewhere talk to: who may, what it withstands, and when it ends. */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { ParallelPool, type PoolServer, serve, TaskError } from "@pathos/pathos";
import { existsSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { isAlive, processesBelow, runScript, tempDir, test, until } from "./harness.ts";

interface Answer {
  status: number;
  headers: Record<string, unknown>;
  body: string;
}

function ask(
  server: PoolServer,
  path: string,
  headers: Record<string, string>,
  method = "GET",
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const where = server.path ? { socketPath: server.path } : { host: "127.0.0.1", port: server.port };
    const sent = request({ ...where, path, method, headers, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text) => body += text);
      response.on("end", () => resolve({ status: response.statusCode!, headers: response.headers, body }));
    });
    sent.on("upgrade", (_response, socket) => {
      socket.destroy();
      resolve({ status: 101, headers: {}, body: "" });
    });
    sent.on("error", reject);
    sent.end();
  });
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const upgrade = { connection: "Upgrade", upgrade: "pathos" };

/** A session by hand: the socket after the server's 101. */
function session(server: PoolServer): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(server.port!, "127.0.0.1");
    socket.on("error", reject);
    socket.write(
      `GET /session HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${server.token}\r\nConnection: Upgrade\r\n` +
        "Upgrade: pathos\r\n\r\n",
    );
    socket.once("data", (bytes) => {
      assertMatch(bytes.toString("latin1"), /^HTTP\/1.1 101/);
      resolve(socket);
    });
  });
}

const ended = (socket: Socket): Promise<void> =>
  new Promise((resolve) => socket.once("close", () => resolve()));

test("who does not show the token gets 401 and an empty body, whatever was asked", async () => {
  await using server = await serve({ workers: 1 });
  const wrong = [
    {},
    bearer("x"),
    bearer(server.token.slice(0, -1)),
    bearer(server.token + "x"),
    { authorization: server.token },
    { authorization: `Basic ${btoa(`:${server.token}`)}` },
  ];
  let refused = 0;
  for (const headers of wrong as Record<string, string>[]) {
    for (const path of ["/", "/health", "/stats", "/session", "/no-such", `/?token=${server.token}`]) {
      for (const extra of [{}, upgrade]) {
        const answer = await ask(server, path, { ...headers, ...extra });
        assertEquals([answer.status, answer.body], [401, ""]);
        assert(
          !JSON.stringify(answer.headers).match(/deno|node|pathos|server/i),
          JSON.stringify(answer.headers),
        );
        refused++;
      }
    }
  }
  const { body } = await ask(server, "/stats", bearer(server.token));
  const stats = JSON.parse(body);
  assertEquals([stats.refused, stats.sessionsEver, stats.workers], [refused, 0, 0]);
});

test("who shows the token is told how the server is", async () => {
  await using server = await serve({ workers: 3 });
  const health = await ask(server, "/health", bearer(server.token));
  assertEquals(health.status, 200);
  const facts = JSON.parse(health.body);
  assertEquals([facts.ok, facts.workers, facts.version], [true, 3, 1]);
  assertEquals((await ask(server, "/no-such", bearer(server.token))).status, 404);
  assertEquals((await ask(server, "/no-such", { ...bearer(server.token), ...upgrade })).status, 404);
  assertEquals((await ask(server, "/health", bearer(server.token), "POST")).status, 405);
});

test("a pool with the wrong token says so and stops trying", async () => {
  await using server = await serve({ workers: 1 });
  await using pool = new ParallelPool({ workers: 0, servers: [server.url.replace(/.{4}$/, "xxxx")] });
  const error = await assertRejects(() => pool.map((x: number) => x, [1]));
  assertMatch((error as Error).message, /does not accept the token/);
  assert(!(error as Error).message.includes(server.token));
  assertEquals(server.stats().workers, 0);
});

test("a message that is too large fails its item and nothing else", async () => {
  await using server = await serve({ workers: 1, maxBody: 100_000 });
  await using pool = new ParallelPool({ workers: 0, servers: [server.url] });
  const inputs = ["small", "x".repeat(200_000), "small too"];
  const error = await assertRejects(
    () => pool.map((text: string) => text.length, inputs),
    TaskError,
    "maxBody",
  );
  assertEquals((error as TaskError).index, 1);
  const settled = await pool.with({ onError: "collect" }).map((text: string) => text.length, inputs);
  assertEquals((settled as unknown as { status: string }[]).map(({ status }) => status), [
    "fulfilled",
    "rejected",
    "fulfilled",
  ]);
  const forever = (): never => {
    for (;;);
  };
  const late = await assertRejects(() => pool.with({ timeout: 500 }).map(forever, [1])) as Error;
  assertEquals(late.name, "TimeoutError", "time limits hold afterwards");
  for (let i = 0; i < 2; i++) { // code that was not sent is not taken for sent the next time
    await assertRejects(() => pool.map((x: number) => inputs[1].length + x, [1]), TaskError, "maxBody");
  }
  assertEquals(server.stats().sessionsEver, 1);
});

test("whoever announces too much, or does not speak the protocol, is disconnected, and nobody else", async () => {
  await using server = await serve({ workers: 1, maxBody: 10_000 });
  await using pool = new ParallelPool({ workers: 0, servers: [server.url] });
  assertEquals(await pool.map((x: number) => x, [1]), [1]);
  const mark = new TextEncoder().encode("pathos\x00\x01");
  const frame = (...numbers: number[]): Uint8Array =>
    new Uint8Array([...mark, ...new Uint8Array(new Uint32Array(numbers).buffer)]);
  const bad: Uint8Array[] = [
    new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"),
    new Uint8Array(1000),
    frame(1, 4_000_000_000),
    frame(4_000_000_000),
    frame(0),
    new Uint8Array([...frame(1, 1), 0xc1]),
    new Uint8Array([...frame(1, 1), 0x80]),
    crypto.getRandomValues(new Uint8Array(5000)),
  ];
  for (const bytes of bad) {
    const socket = await session(server);
    const over = ended(socket);
    socket.resume();
    socket.write(bytes);
    await over;
  }
  assertEquals(await pool.map((x: number) => x + 1, [1]), [2]);
  assertEquals([server.stats().sessions, server.stats().sessionsEver], [1, 1 + bad.length]);
});

test("a unix socket is private, replaces a dead one, and leaves a living one alone", async () => {
  using folder = tempDir();
  const path = `${folder.path}/pathos socket`;
  const first = await serve({ workers: 1, path });
  assertEquals(statSync(path).mode & 0o777, 0o600);
  await assertRejects(() => serve({ workers: 1, path }), Error, "EADDRINUSE");
  {
    await using pool = new ParallelPool({ workers: 0, servers: [first.url] });
    assertEquals(await pool.map((x: number) => x * 2, [1, 2]), [2, 4]);
  }
  await first.close();
  await runScript(
    `import { createServer } from "node:net";
     createServer().listen(process.argv.at(-1), () => process.kill(process.pid, "SIGKILL"));`,
    { args: [path] },
  );
  assert(existsSync(path));
  await using second = await serve({ workers: 1, path });
  assertEquals((await ask(second, "/health", bearer(second.token))).status, 200);
  writeFileSync(`${path} taken`, "a file");
  await assertRejects(() => serve({ workers: 1, path: `${path} taken` }), Error, "EADDRINUSE");
});

test("without a pool, a server ends when its lease is over", async () => {
  const server = await serve({ workers: 1, lease: 300 });
  const began = performance.now();
  await server.closed;
  assert(performance.now() - began > 250);
});

test("a session that is silent for the lease is closed, one that is not lives on", async () => {
  await using server = await serve({ workers: 1, lease: 8000 });
  await using pool = new ParallelPool({ workers: 0, servers: [server.url] });
  await pool.map((x: number) => x, [1]);
  const socket = await session(server);
  const over = ended(socket);
  socket.resume();
  await over;
  assertEquals(server.stats().sessions, 1);
  assertEquals(await pool.map((x: number) => x, [1]), [1]);
  assertEquals(server.stats().sessionsEver, 2);
});

test("a server that is closed, aborted or killed leaves no worker behind", async () => {
  const stop = new AbortController();
  const server = await serve({ workers: 2, signal: stop.signal });
  const pool = new ParallelPool({ workers: 0, servers: [server.url] });
  const before = processesBelow(process.pid).length;
  const running = pool.map(() => new Promise(() => {}), [1, 2]).catch((error) => error);
  await until(() => processesBelow(process.pid).length >= before + 2);
  stop.abort();
  await server.closed;
  await until(() => processesBelow(process.pid).length <= before);
  await pool.terminate();
  assertEquals((await running).name, "AbortError");

  let url = "";
  let workers: number[] = [];
  await runScript(
    `import { serve } from "@pathos/pathos"; import { writeFileSync } from "node:fs";
     const server = await serve({ workers: 1 });
     writeFileSync(process.argv.at(-1), server.url);`,
    {
      args: ["url"],
      async onStart(pid) {
        const { readFileSync } = await import("node:fs");
        const cwd = () => `/proc/${pid}/cwd/url`;
        url = await until(() => {
          try {
            return readFileSync(cwd(), "utf8");
          } catch {
            return "";
          }
        });
        await using busy = new ParallelPool({ workers: 1, servers: [url] });
        let killed = false;
        const items = function* () {
          for (let i = 0; !killed || i < 60; i++) yield i;
        };
        const map = busy.with({ chunkSize: 1 }).map((x: number) => {
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
          return x;
        }, items());
        workers = await until(() => {
          const below = processesBelow(pid).map((info) => info.pid);
          return below.length >= 2 ? below : undefined;
        });
        process.kill(pid, "SIGKILL");
        killed = true;
        const results = await map;
        assertEquals(results, results.map((_, i) => i));
        assert(results.length >= 60);
      },
    },
  );
  assert(workers.length >= 2);
  await until(() => !workers.some(isAlive));
});

test("whoever was refused and stays on the line does not keep the server from ending", async () => {
  const server = await serve({ workers: 1 });
  const stay = async (text: string): Promise<Socket> => {
    const socket = connect({ port: server.port!, host: "127.0.0.1", allowHalfOpen: true });
    socket.on("error", () => {});
    await new Promise((resolve) => socket.once("connect", resolve));
    socket.write(text);
    return socket;
  };
  const head = "GET /session HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: pathos\r\n";
  const refused = await stay(`${head}\r\n`);
  const answer = await new Promise((resolve) => refused.once("data", (bytes) => resolve(String(bytes))));
  assertMatch(String(answer), /^HTTP\/1.1 401 /);
  const others = [await stay(""), await stay(head.slice(0, 30)), await stay(`${head}\r\n`)];
  await server.close();
  for (const socket of [refused, ...others]) socket.destroy();
});

test("bad options of serve are refused with what to do", async () => {
  await assertRejects(() => serve({ host: "0.0.0.0" }), RangeError, "ssh");
  await assertRejects(() => serve({ token: "short" }), RangeError, "16");
  await assertRejects(() => serve({ token: "a token with spaces" }), RangeError, "ASCII");
  await assertRejects(() => serve({ port: 70000 }), RangeError, "65535");
  await assertRejects(() => serve({ workers: 0 }), RangeError, "workers");
  await assertRejects(() => serve({ path: "/no/such/folder/s" }), Error, "/no/such/folder/s");
  await assertRejects(() => serve({ path: "" }), TypeError, "path");
  await assertRejects(() => serve({ path: `/tmp/${"s".repeat(110)}` }), RangeError, "107");
  await assertRejects(() => serve({ path: "/tmp/s", port: 1 }), TypeError, "exclude");
  await assertRejects(() => serve({ worker: 1 } as object), TypeError, '"worker"; the options are workers,');
  await assertRejects(() => serve({ token: 12345678901234567890 as unknown as string }), TypeError, "text");
  for (const servers of [null, {}, "host1"]) {
    assertThrows(() => new ParallelPool({ servers: servers as unknown as string[] }), TypeError, "an array");
  }
  for (const one of [null, 42]) {
    assertThrows(() => new ParallelPool({ servers: [one as unknown as string] }), TypeError, `is ${one}: it`);
  }
  assertThrows(
    () => new ParallelPool({ servers: [{ host: "a", workers: 0 }] }),
    RangeError,
    "a has 0 workers",
  );
  const other = "https://127.0.0.1/?token=secret-secret-secret";
  const told = assertThrows(() => new ParallelPool({ servers: [other] }), TypeError, "http+unix://");
  assert(!String(told).includes("secret"));
  assertThrows(() => new ParallelPool({ servers: ["http://127.0.0.1:1/"] }), TypeError, "token");
  assertThrows(() => new ParallelPool({ servers: ["http+unix://?token=x"] }), TypeError, "path");
  assertThrows(() => new ParallelPool({ workers: 0 }), RangeError, "servers");
  const url = "http://127.0.0.1:1/?token=secret-secret-secret";
  const twice = assertThrows(() => new ParallelPool({ servers: [url, url] }), TypeError, "twice");
  assert(!String(twice).includes("secret"));
});

test("a server that cannot be reached is reported, and the others do the work", async () => {
  const result = await runScript(
    `import { ParallelPool, serve } from "@pathos/pathos";
     const server = await serve({ workers: 1 });
     const pool = new ParallelPool({ workers: 0, servers: [server.url, "http://127.0.0.1:9/?token=abcdefghijklmnop"] });
     console.log((await pool.map((x) => x * x, [1, 2, 3])).join());
     console.log(pool.servers.map(({ state }) => state).join());
     await pool.terminate();
     await server.close();`,
  );
  assertEquals(result.stderr, "");
  assertMatch(result.stdout, /^1,4,9\nready,(away|connecting)\n/);
});
