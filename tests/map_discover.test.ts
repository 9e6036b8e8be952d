/**
 * `servers: "autodetect"`: who is found on the network segment and by whom, what strangers and those in between can
 * do, and that nothing is open to the network unless it was asked for.
 */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { ParallelPool, type PoolServer, serve, type ServeOptions } from "@pathos/pathos";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { processesBelow, runScript, runtime, tempDir, test, until } from "./harness.ts";

const KEY = "correct horse battery staple";
const OTHER_KEY = "a key that is another one";
const LOOPBACK = "127.0.0.1";

/** Ports for one test: its servers are on others than those of tests that run at the same time, and none that systems give out. */
const newPort = (): number => 10_000 + Math.floor(Math.random() * 10_000);

/** A server that is found on the loopback network only. */
function announced(port: number, key = KEY, options: ServeOptions = {}): Promise<PoolServer> {
  return serve({ workers: 1, ...options, announce: { key, port, address: LOOPBACK } });
}

function finding(port: number, key = KEY): ParallelPool {
  return new ParallelPool({ workers: 0, servers: `autodetect:${port}`, key });
}

const square = (x: number): number => x * x;

/** A datagram socket, and what it got. */
async function datagrams(host: string, port: number, received?: (bytes: Uint8Array, from: number) => void) {
  const got: Uint8Array[] = [];
  const socket = createSocket({ type: "udp4", reuseAddr: port !== 0 });
  socket.on("message", (bytes, from) => {
    got.push(new Uint8Array(bytes));
    received?.(bytes, from.port);
  });
  await new Promise<void>((resolve) => socket.bind(port, host, () => resolve()));
  return {
    got,
    send: (bytes: Uint8Array, to: number) => socket.send(bytes, to, LOOPBACK, () => {}),
    async [Symbol.asyncDispose]() {
      await new Promise<void>((resolve) => socket.close(() => resolve()));
    },
  };
}

/** What a pool asks on this port. */
async function recordQuery(port: number, key = KEY): Promise<Uint8Array> {
  await using listener = await datagrams(LOOPBACK, port);
  await using pool = finding(port, key);
  const map = pool.map(square, [1]).catch(() => {});
  const query = await until(() => listener.got[0]);
  await pool.terminate();
  await map;
  return query;
}

type Change = (bytes: Uint8Array, way: "there" | "back", connection: number) => Uint8Array;

/**
 * Somebody between pools and a server: queries on the returned port reach it, and answers come back; connections are
 * led to `target`, by default its port for sessions, and what they carry goes through `change`.
 */
async function between(server: PoolServer, change: Change, target = server.announced!.sessionPort) {
  const address = "127.0.0.3"; // where pools connect, because answers come from there
  const port = newPort();
  const sockets = new Set<Socket>();
  let connections = 0;
  let asker = 0;
  const answers = await datagrams(address, 0);
  const relay = await datagrams(LOOPBACK, 0, (bytes) => answers.send(bytes, asker));
  const queries = await datagrams(LOOPBACK, port, (bytes, from) => {
    asker = from;
    relay.send(bytes, server.announced!.port);
  });
  const proxy = createServer((near) => {
    const number = ++connections;
    const far = connect(target, LOOPBACK);
    for (const [from, to, way] of [[near, far, "there"], [far, near, "back"]] as const) {
      sockets.add(from);
      from.on("data", (bytes) => void to.write(change(new Uint8Array(bytes), way, number)));
      from.on("error", () => {});
      from.on("close", () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => proxy.listen(server.announced!.sessionPort, address, resolve));
  return {
    port,
    get connections() {
      return connections;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => proxy.close(() => resolve()));
      for (const part of [queries, answers, relay]) await part[Symbol.asyncDispose]();
    },
  };
}

/** Connects, sends, and tells what came until the other side closed, and how long that took. */
function knock(port: number, bytes: Uint8Array): Promise<{ got: number; ms: number }> {
  return new Promise((resolve) => {
    const began = performance.now();
    let got = 0;
    const socket = connect(port, LOOPBACK);
    if (bytes.length > 0) socket.write(bytes);
    socket.on("data", (more) => got += more.length);
    socket.on("error", () => {});
    socket.on("close", () => resolve({ got, ms: performance.now() - began }));
  });
}

test("servers that share the key are found, used and named; the others hear nothing they understand", async () => {
  const port = newPort();
  await using one = await announced(port);
  await using two = await announced(port);
  await using other = await announced(port, OTHER_KEY);
  await using pool = finding(port);
  const slow = async (x: number) => (await new Promise((resolve) => setTimeout(resolve, 20)), x * x);
  const results = await pool.with({ chunkSize: 1 }).map(slow, Array.from({ length: 60 }, (_, i) => i));
  assertEquals(results, Array.from({ length: 60 }, (_, i) => i * i));
  const { hostname } = one.facts;
  assertEquals(
    pool.servers.map(({ server, state }) => `${server} ${state}`).sort(),
    [one, two].map(({ announced }) => `${hostname}:${announced!.sessionPort} ready`).sort(),
  );
  assertEquals([one, two, other].map((server) => server.stats().sessionsEver), [1, 1, 0]);
  assert(one.announced!.stats().answered > 0);
  const { answered, ignored } = other.announced!.stats();
  assertEquals(answered, 0);
  assert(ignored > 0);
  await using theirs = finding(port, OTHER_KEY);
  assertEquals(await theirs.map(square, [3]), [9]);
  assertEquals(theirs.servers.map(({ server }) => server), [`${hostname}:${other.announced!.sessionPort}`]);
});

test("a server that is started again at the same port is used again; a pool can be closed while it searches", async () => {
  const port = newPort();
  const first = await announced(port);
  await using pool = finding(port);
  assertEquals(await pool.map(square, [1, 2]), [1, 4]);
  await first.close();
  await using second = await announced(port);
  assertEquals(second.announced!.sessionPort, first.announced!.sessionPort);
  assertEquals(await pool.map(square, [3]), [9]);
  assertEquals(pool.servers.length, 1);
  await using searching = finding(newPort());
  const map = searching.map(square, [1]).catch((error) => error);
  await searching.terminate();
  assertEquals((await map).name, "AbortError");
});

test("a server that comes later is found while a map runs", async () => {
  const port = newPort();
  await using pool = new ParallelPool({
    workers: 1,
    servers: [`autodetect:${port}`],
    key: KEY,
    local: "threads",
  });
  const items = async function* () {
    for (let i = 0; !found; i++) yield i;
  };
  let found = false;
  const map = pool.map(
    async (x: number) => (await new Promise((resolve) => setTimeout(resolve, 50)), x),
    items(),
  );
  await new Promise((resolve) => setTimeout(resolve, 2200)); // the first search is over
  await using server = await announced(port);
  await until(() => pool.servers.some(({ state }) => state === "ready"), 60_000);
  found = true;
  const results = await map;
  assertEquals(results, results.map((_, i) => i));
  assertEquals(server.stats().sessionsEver, 1);
});

test("when nobody answers, the error says so and what to check, and local workers go on", async () => {
  const port = newPort();
  await using pool = finding(port);
  const { message } = await assertRejects(() => pool.map(square, [1])) as Error;
  assertMatch(
    message,
    new RegExp(`no server answered within 2 s on UDP port ${port} of 127.*same key.*segment.*firewall`),
  );
  const lone = await runScript(
    `import { ParallelPool } from "@pathos/pathos";
     const pool = new ParallelPool({ workers: 1, servers: ["autodetect:${port}"], key: ${
      JSON.stringify(KEY)
    } });
     console.log(await pool.map((x) => x + 1, [1]));
     await pool.map((ms) => new Promise((done) => setTimeout(done, ms)), [6000]);
     await pool.close();`,
  );
  assertEquals([lone.code, lone.stdout], [0, "[ 2 ]\n"]);
  assertMatch(lone.stderr, /^pathos: no server answered .*\n$/);
});

test("a program that does not close its pool still ends, and a search does not delay it", async () => {
  const port = newPort();
  await using server = await announced(port);
  const { code, stdout, stderr } = await runScript(
    `import { ParallelPool } from "@pathos/pathos";
     const pool = new ParallelPool({ workers: 1, servers: "autodetect:${newPort()}", key: ${
      JSON.stringify(KEY)
    } });
     await pool.map((x) => x, [1]);
     const found = new ParallelPool({ workers: 0, servers: "autodetect:${port}", key: ${
      JSON.stringify(KEY)
    } });
     console.log(await found.map((x) => x + 1, [1]), Date.now());`,
  );
  const ended = Date.now();
  assertEquals([code, stderr], [0, ""]);
  const [, done] = /^\[ 2 \] (\d+)\n$/.exec(stdout)!;
  assert(ended - Number(done) < 9000, "it did not wait for the next search");
  await until(() => server.stats().sessions === 0);
});

test("datagrams that are forged, damaged or garbage are ignored, and a repeated query tells nothing", async () => {
  const port = newPort();
  const query = await recordQuery(port);
  await using server = await announced(port);
  await using stranger = await datagrams(LOOPBACK, 0);
  const flipped = (at: number) => query.map((byte, i) => i === at ? byte ^ 1 : byte);
  const bad = [
    new Uint8Array(0),
    new Uint8Array(512),
    crypto.getRandomValues(new Uint8Array(512)),
    crypto.getRandomValues(new Uint8Array(60_000)),
    query.subarray(0, 511),
    new Uint8Array([...query, 0]),
    await recordQuery(newPort(), OTHER_KEY),
    ...[0, 7, 8, 39, 40, 200, 479, 480, 511].map(flipped),
    ...Array.from({ length: 100 }, () => flipped(Math.floor(Math.random() * 512))),
  ];
  for (const [i, bytes] of bad.entries()) {
    stranger.send(bytes, port);
    // one after the other, so that the system drops none; an empty one may not be told
    await until(() => server.announced!.stats().ignored >= i);
  }
  assertEquals([stranger.got.length, server.announced!.stats().answered], [0, 0]);

  stranger.send(query, port);
  const answer = await until(() => stranger.got[0]);
  assert(answer.length <= query.length, "no more comes back than was sent");
  const text = new TextDecoder("latin1").decode(answer);
  for (const fact of [server.facts.hostname, "port", "hostname"]) assert(!text.includes(fact), fact);

  const liarPort = newPort();
  await using liar = await datagrams(LOOPBACK, liarPort, (query, from) => {
    const damaged = answer.map((byte, i) => i === 100 ? byte ^ 1 : byte);
    for (const lie of [answer, query, damaged, new Uint8Array(512)]) liar.send(lie, from);
  });
  await using pool = finding(liarPort);
  await assertRejects(() => pool.map(square, [1]), Error, "no server answered");
  assert(liar.got.length > 0);
});

test("a flood of queries is answered within limits, and the server goes on", async () => {
  const port = newPort();
  const query = await recordQuery(port);
  await using server = await announced(port);
  await using stranger = await datagrams(LOOPBACK, 0);
  const began = performance.now();
  for (let i = 0; i < 3000; i++) {
    stranger.send(query, port);
    if (i % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await until(() => server.announced!.stats().ignored > 0);
  const seconds = (performance.now() - began) / 1000;
  assert(server.announced!.stats().answered <= 500 * (seconds + 2));
  await new Promise((resolve) => setTimeout(resolve, 1100));
  await using pool = finding(port);
  assertEquals(await pool.map(square, [5]), [25]);
});

test("who does not know the key gets no byte from the port of the sessions, and is cut off", async () => {
  await using server = await announced(newPort());
  const port = server.announced!.sessionPort;
  const http = new TextEncoder().encode(
    `GET /health HTTP/1.1\r\nauthorization: Bearer ${server.token}\r\n\r\n`,
  );
  const noise = () => crypto.getRandomValues(new Uint8Array(64 + Math.floor(Math.random() * 5000)));
  let refused = 0;
  for (
    const bytes of [
      http.length < 64 ? new Uint8Array(64) : http,
      new Uint8Array(64),
      ...Array.from({ length: 30 }, noise),
    ]
  ) {
    const { got, ms } = await knock(port, bytes);
    assertEquals(got, 0);
    assert(ms < 4500, `closed after ${ms} ms`);
    refused++;
  }
  assertEquals([server.announced!.stats().refused, server.stats().sessionsEver], [refused, 0]);
  // Those who say nothing, or too little, are closed after some seconds, and are few meanwhile.
  const loris = Array.from({ length: 20 }, (_, i) => knock(port, new Uint8Array(i)));
  const ends = await Promise.all(loris);
  assertEquals(ends.map(({ got }) => got), ends.map(() => 0));
  const waited = ends.filter(({ ms }) => ms > 4500);
  assertEquals(waited.length, 8);
  assert(Math.max(...waited.map(({ ms }) => ms)) < 30_000);
  assertEquals([server.announced!.stats().refused, server.stats().sessionsEver], [refused + 20, 0]);
});

test("what crosses the network is unreadable, and no use when it is repeated", async () => {
  await using server = await announced(newPort());
  const seen = { there: [] as Uint8Array[], back: [] as Uint8Array[] };
  {
    await using middle = await between(server, (bytes, way) => (seen[way].push(bytes), bytes));
    await using pool = finding(middle.port);
    assertEquals(
      await pool.map((text: string) => `${text} and a remarkable result`, ["a remarkable input"]),
      ["a remarkable input and a remarkable result"],
    );
  }
  const flat = (pieces: Uint8Array[]) => new Uint8Array(pieces.flatMap((piece) => [...piece]));
  const text = new TextDecoder("latin1").decode(flat([...seen.there, ...seen.back]));
  assert(text.length > 500);
  for (const word of ["remarkable", "pathos", "hello", server.facts.hostname, "=>"]) {
    assert(!text.includes(word), word);
  }

  const before = server.stats();
  const { got } = await knock(server.announced!.sessionPort, flat(seen.there));
  assert(got <= 32, `${got} bytes`); // its own random ones, which make all that follows wrong
  const after = server.stats();
  assertEquals([after.sessionsEver, after.framesIn], [before.sessionsEver, before.framesIn]);
});

test("a changed byte, wherever it is, ends the connection, and the map goes on over another", async () => {
  await using server = await announced(newPort());
  const places = [["there", 5], ["there", 40], ["there", 70], ["there", 400], ["back", 3], ["back", 40], [
    "back",
    90,
  ]];
  for (const [way, at] of places as ["there" | "back", number][]) {
    let passed = 0;
    let changes = 0;
    await using middle = await between(server, (bytes, direction, connection) => {
      if (connection > 1 || direction !== way) return bytes;
      const place = at - passed;
      passed += bytes.length;
      if (place < 0 || place >= bytes.length) return bytes;
      bytes[place] ^= 0x10;
      changes++;
      return bytes;
    });
    await using pool = finding(middle.port);
    assertEquals(await pool.map(square, [1, 2, 3]), [1, 4, 9]);
    assertEquals([changes, middle.connections], [1, 2], `byte ${at} ${way}`);
  }
});

test("a pool that is led to a server with another key tells it nothing, nor the other way", async () => {
  await using ours = await announced(newPort());
  await using theirs = await announced(newPort(), OTHER_KEY);
  let back = 0;
  const count: Change = (bytes, way) => {
    if (way === "back") back += bytes.length;
    return bytes;
  };
  await using middle = await between(ours, count, theirs.announced!.sessionPort);
  await using pool = finding(middle.port);
  const map = pool.map(square, [1]).catch(() => {});
  await until(() => pool.servers[0]?.state === "away");
  assertMatch(pool.servers[0].reason!, /another key/);
  await pool.terminate();
  await map;
  assertEquals([back, theirs.stats().sessionsEver], [0, 0]);
  assert(theirs.announced!.stats().refused > 0);
});

function whyNoNamespace(): string | undefined {
  if (process.getuid?.() !== 0) return "network namespaces need root";
  try {
    execFileSync("unshare", ["--net", "true"], { stdio: "ignore" });
    return undefined;
  } catch {
    return "this root may make no network namespaces";
  }
}

test.needs(
  ["ip", "unshare"],
  "servers in another network namespace are found across the link to it",
  async () => {
    const name = `pathos-${process.pid}`;
    const [here, there] = [`pd${process.pid % 100000}a`, `pd${process.pid % 100000}b`];
    const net = `10.214.${process.pid % 256}`;
    const ip = (line: string) => execFileSync("ip", line.split(" "));
    using folder = tempDir();
    const keyFile = `${folder.path}/key`;
    writeFileSync(keyFile, `${KEY}\n`, { mode: 0o600 });
    ip(`netns add ${name}`);
    try {
      ip(`link add ${here} type veth peer name ${there} netns ${name}`);
      ip(`addr add ${net}.1/24 dev ${here}`);
      ip(`link set ${here} up`);
      ip(`-n ${name} addr add ${net}.2/24 dev ${there}`);
      ip(`-n ${name} link set ${there} up`);
      ip(`-n ${name} link set lo up`);
      const port = newPort();
      const script = `
      import { serve } from "@pathos/pathos";
      import { writeFileSync } from "node:fs";
      const server = await serve({ workers: 2, announce: { port: ${port} } });
      writeFileSync("ready", server.announced.address);
      process.once("SIGTERM", () => server.close());
      await server.closed;
      console.log(JSON.stringify(server.stats()));`;
      const { code, stdout, stderr } = await runScript(script, {
        within: ["ip", "netns", "exec", name],
        env: { PATHOS_KEY_FILE: keyFile },
        async onStart(pid) {
          await until(() => existsSync(`/proc/${pid}/cwd/ready`), 60_000);
          await using pool = finding(port);
          const network = () =>
            process.getBuiltinModule("node:fs").readlinkSync("/proc/self/ns/net") as string;
          const where = await pool.map(network, [1, 2, 3]);
          const itsOwn = readlinkSync(`/proc/${pid}/ns/net`);
          assertEquals(where, [itsOwn, itsOwn, itsOwn]);
          assert(itsOwn !== readlinkSync("/proc/self/ns/net"));
          const { server, latency } = pool.servers[0];
          assertMatch(server, new RegExp(`:${port}$`));
          assert(latency! >= 0);
          const told = [pid, ...processesBelow(pid).map((info) => info.pid)]
            .flatMap((each) => [`/proc/${each}/cmdline`, `/proc/${each}/environ`])
            .map((file) => {
              try {
                return readFileSync(file, "latin1");
              } catch {
                return ""; // it ended meanwhile
              }
            }).join();
          assert(!told.includes("horse"), "the key is in no argument and no environment");
          process.kill(pid, "SIGTERM");
        },
      });
      assertEquals([code, stderr], [0, ""]);
      assertEquals(JSON.parse(stdout).sessionsEver, 1);
    } finally {
      ip(`netns del ${name}`);
    }
  },
  { notHere: whyNoNamespace() },
);

/** Where this process listens: addresses in the notation of /proc. */
function listening(): string[] {
  const own = new Set(
    readdirSync("/proc/self/fd").map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).match(/^socket:\[(\d+)\]$/)?.[1];
      } catch {
        return undefined;
      }
    }),
  );
  return ["tcp", "tcp6", "udp", "udp6"].flatMap((table) =>
    readFileSync(`/proc/self/net/${table}`, "utf8").trim().split("\n").slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter(([, , , state, , , , , , inode]) =>
        own.has(inode) && (state === "0A" || table.startsWith("udp"))
      )
      .map(([, local]) => `${table} ${local}`)
  );
}

test("nothing is open to the network unless the server is announced there", async () => {
  const loopback = /^\w+ [0-9A-F]{6}7F:/;
  const others = listening();
  const open = () => listening().filter((one) => !others.includes(one));
  {
    await using server = await serve({ workers: 1 });
    await using pool = new ParallelPool({ workers: 1, servers: [server.url] });
    assertEquals(await pool.map(square, [2]), [4]);
    assertEquals(server.announced, undefined);
    assertEquals(open().length, 1);
    assertMatch(open()[0], loopback);
  }
  {
    await using _server = await announced(newPort());
    assertEquals(open().length, 4); // HTTP, sessions, queries to it alone, queries to everybody on loopback
    for (const one of open()) assertMatch(one, loopback);
  }
  {
    await using _server = await serve({ workers: 1, announce: { key: KEY, port: newPort() } });
    assertEquals(open().filter((one) => /^\w+ 0+:/.test(one)).length, 2);
  }
  await until(() => open().length === 0);
}, { notHere: existsSync("/proc/self/net/udp") ? undefined : "there is no /proc/self/net here" });

const COMMAND = runtime === "node"
  ? [process.execPath, join(process.cwd(), "node_modules/@pathos/pathos/cli.js")]
  : [process.execPath, "run", "-A", "--quiet", fileURLToPath(new URL("../cli.ts", import.meta.url))];

test("pathos serve --announce makes a key, and pathos map --servers autodetect finds it by that", async () => {
  using folder = tempDir();
  writeFileSync(
    `${folder.path}/work.mjs`,
    "export const scale = (x) => x * 10; export const inputs = [1, 2, 3];",
  );
  const running = new Set<ChildProcess>();
  const start = (args: string[]) => {
    const child = spawn(COMMAND[0], [...COMMAND.slice(1), ...args], {
      cwd: folder.path,
      env: { ...process.env, NO_COLOR: "1", PATHOS_KEY_FILE: "" },
    });
    running.add(child);
    const got = { stdout: "", stderr: "" };
    child.stdout.on("data", (text) => got.stdout += text);
    child.stderr.on("data", (text) => got.stderr += text);
    const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
    ended.then(() => running.delete(child));
    return { child, got, ended };
  };
  try {
    const port = newPort();
    const place = ["--announce-address", LOOPBACK, "--announce-port", `${port}`];
    const server = start(["serve", "--workers", "1", "--announce", "--key-file", "key", ...place]);
    await until(() => server.got.stdout.includes(`--servers autodetect:${port} --key-file`), 60_000);
    const key = readFileSync(`${folder.path}/key`, "utf8").trim();
    assert(key.length >= 32);
    assertEquals(statSync(`${folder.path}/key`).mode & 0o777, 0o600);
    const map = ["map", "work.mjs:scale", "./work.mjs:inputs", "--values", "--workers", "0"];
    const found = start([...map, "--servers", `autodetect:${port}`, "--key-file", "key"]);
    assertEquals([await found.ended, found.got], [0, { stdout: "10\n20\n30\n", stderr: "" }]);
    for (
      const [problem, ...flags] of [
        ["--key-file", "--servers", "autodetect"],
        ["add --servers autodetect", "--servers", "host", "--key-file", "key"],
        ["cannot be read", "--servers", "autodetect", "--key-file", "none"],
      ]
    ) {
      const wrong = start([...map, ...flags]);
      assertEquals(await wrong.ended, 2);
      assert(wrong.got.stderr.includes(problem), wrong.got.stderr);
    }
    process.kill(server.child.pid!, "SIGINT"); // after the child's own kill() Deno says that the signal ended it
    assertEquals(await server.ended, 0);
    assert(!(server.got.stdout + server.got.stderr).includes(key));
  } finally {
    for (const child of running) child.kill("SIGKILL");
  }
});

test("the key is checked, and never shown", async () => {
  const secret = "sensitive text of a key";
  const port = newPort();
  await using server = await announced(port, secret);
  await using pool = finding(port, secret);
  assertEquals(await pool.map(square, [2]), [4]);
  for (const value of [server, pool, pool.with({})]) {
    assert(!inspect(value, { depth: 30, showHidden: true }).includes("sensitive"));
  }

  const autodetect = (key?: string) => new ParallelPool({ workers: 0, servers: "autodetect", key });
  assertMatch(assertThrows(() => autodetect(), TypeError).message, /option key.*PATHOS_KEY_FILE/);
  assert(!assertThrows(() => autodetect("sensitive"), RangeError).message.includes("sensitive"));
  await assertRejects(() => announced(port, "sensitive"), RangeError, "16");
  assertThrows(() => new ParallelPool({ servers: [], key: secret }), TypeError, "autodetect");
  assertThrows(
    () => new ParallelPool({ servers: ["autodetect", "autodetect:1"], key: secret }),
    TypeError,
    "twice",
  );
  assertThrows(() => new ParallelPool({ servers: ["autodetect:x"], key: secret }), TypeError, "port");
  await assertRejects(() => serve({ announce: { key: secret, port: 0 } }), RangeError, "65535");
  await assertRejects(() => serve({ announce: { key: secret, address: "eth0" } }), RangeError, "IPv4");
  const elsewhere = await assertRejects(() =>
    serve({ announce: { key: secret, address: "192.0.2.250" } })
  ) as Error;
  assertMatch(elsewhere.message, /cannot be announced on 192.0.2.250/);
  assert(!inspect(elsewhere, { depth: 10 }).includes("sensitive"));

  using folder = tempDir();
  for (
    const [mode, text, problem] of [[0o644, secret, /chmod 600/], [0o600, "short", /at least 16/]] as const
  ) {
    const file = `${folder.path}/${mode}`;
    writeFileSync(file, text, { mode });
    const { stdout } = await runScript(
      `import { ParallelPool } from "@pathos/pathos";
       try { new ParallelPool({ servers: "autodetect" }) } catch (error) { console.log(error.message) }`,
      { env: { PATHOS_KEY_FILE: file } },
    );
    assertMatch(stdout, problem);
    assert(!stdout.includes("sensitive"));
  }
});
