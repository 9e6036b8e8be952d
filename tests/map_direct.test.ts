/**
 * The lines that workers on a host have past the server: that they are used, that nobody else can use them, that all is
 * the same where they are not to be had, and what happens when one end of them goes.
 */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { ParallelPool, TaskError, WorkerLostError } from "@pathos/pathos";
import { disconnect } from "@pathos/pathos/ssh";
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { openDirectLines } from "../map/direct_lines.ts";
import type { Channel, ChannelEvents, Session } from "../map/session_client.ts";
import type { LineDoor } from "../runtime/mod.ts";
import type { Connection } from "../ssh/connection.ts";
import { test, until } from "./harness.ts";
import { type Sshd, SSHD_PROGRAMS, type SshdOptions, startSshd } from "./sshd.ts";

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** A test with an sshd of its own, which must be left without anything that still runs. */
function remote(name: string, body: (sshd: Sshd) => Promise<void>, options: SshdOptions = {}): void {
  test.needs(SSHD_PROGRAMS, name, async () => {
    await using sshd = await startSshd(options);
    await body(sshd);
    await disconnect();
    await until(() => sshd.processes().length === 0, 60_000, `nothing of "${name}" runs on the host`);
  });
}

/** The ports of loopback that the worker processes on the host are connected to. */
function lines(sshd: Sshd): number[] {
  const workers = sshd.processes().filter(({ command }) => /data:text|-e const f/.test(command));
  return workers.flatMap(({ pid }) => {
    const sockets = readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
      } catch {
        return undefined; // closed meanwhile
      }
    });
    return readFileSync(`/proc/${pid}/net/tcp`, "utf8").split("\n").flatMap((line) => {
      const [, , there, state, , , , , , inode] = line.trim().split(/\s+/);
      return state === "01" && sockets.includes(inode) ? [parseInt(there.split(":")[1], 16)] : [];
    });
  });
}

/** What a connection to a port got until it was closed, and after how many milliseconds that was. */
async function visit(port: number, say?: Uint8Array): Promise<{ got: number; ms: number }> {
  const began = performance.now();
  let got = 0;
  const socket = connect({ port, host: "127.0.0.1" });
  socket.on("error", () => {}).on("data", (bytes: Uint8Array) => got += bytes.byteLength);
  if (say) socket.write(say);
  await new Promise((resolve) => socket.on("close", resolve));
  return { got, ms: performance.now() - began };
}

remote("each worker on a host has a line of its own, that others learn nothing from", async (sshd) => {
  await using pool = new ParallelPool({ workers: 0, servers: [{ ...sshd.host(), workers: 2 }] });
  assertEquals(await pool.with({ chunkSize: 1 }).map((x: number) => x + 1, range(50)), range(51).slice(1));
  await until(() => lines(sshd).length === 2);
  const ports = lines(sshd);
  assertEquals(new Set(ports).size, 1);
  const [silent, wrong, long] = await Promise.all([
    visit(ports[0]),
    visit(ports[0], randomBytes(32)),
    visit(ports[0], randomBytes(100_000)),
  ]);
  assertEquals([silent.got, wrong.got, long.got], [0, 0, 0]);
  assert(silent.ms > 1000 && silent.ms < 30_000, `who says nothing is closed after ${silent.ms} ms`);
  for (const { ms } of [wrong, long]) {
    assert(ms < silent.ms - 500, `who says something wrong, after ${ms} ms`);
  }
  assertEquals(await pool.map((x: number) => -x, [1]), [-1]);
  assertEquals(lines(sshd).length, 2);
});

remote("over npm:ssh2 too", async (sshd) => {
  const { port, user, identity, knownHosts } = sshd;
  const host = {
    host: "127.0.0.1",
    port,
    user,
    identity,
    knownHosts,
    transport: "ssh2" as const,
    workers: 1,
  };
  await using pool = new ParallelPool({ workers: 0, servers: [host] });
  assertEquals(await pool.map((x: number) => x + 1, range(50)), range(51).slice(1));
  assertEquals(lines(sshd).length, 1);
});

remote("a host that forwards nothing to us works without lines", async (sshd) => {
  await using pool = new ParallelPool({ workers: 0, servers: [{ ...sshd.host(), workers: 2 }] });
  const text = "text ".repeat(20_000);
  assertEquals(await pool.map((x: number) => x + text.length, range(50)), range(50).map((x) => x + 100_000));
  assertEquals(lines(sshd), []);
  const exits = async (x: number): Promise<never> => (await import("node:process")).exit(x) as never;
  const error = await assertRejects(() => pool.map(exits, [7]), WorkerLostError) as WorkerLostError;
  assertEquals(error.exitCode, 7);
}, { extraConfig: "AllowTcpForwarding local" });

test.deno(
  "a worker that may not connect works without a line, and at once",
  "Node has no permissions",
  async () => {
    await using sshd = await startSshd();
    {
      const servers = [{ ...sshd.host(), workers: 1 }];
      await using open = new ParallelPool({ workers: 0, servers });
      await open.map((x: number) => x, [1]); // connects
      const first = async (pool: ParallelPool): Promise<number> => {
        const began = performance.now();
        assertEquals(await pool.map((x: number) => x + 1, range(50)), range(51).slice(1));
        return performance.now() - began;
      };
      let usual: number;
      {
        await using other = new ParallelPool({ workers: 0, servers });
        usual = await first(other);
      }
      await using pool = new ParallelPool({ workers: 0, servers, permissions: "none" });
      const took = await first(pool);
      assert(took < 3 * usual + 8000, `${took} ms, and ${usual} ms with a line`); // not the 15 s that one is waited for
      assertEquals(lines(sshd).length, 1, "the line of the other pool");
      const reads = async () => (await import("node:fs")).readFileSync("/etc/passwd").length;
      const error = await assertRejects(() => pool.pipe(reads), TaskError);
      assertStringIncludes(String(error.cause), "read");
    }
    await disconnect();
  },
);

remote("results leave at once, whatever the worker does next without a pause", async (sshd) => {
  await using pool = new ParallelPool({ workers: 0, servers: [{ ...sshd.host(), workers: 1 }] });
  await pool.map((x: number) => x, range(10));
  assertEquals(lines(sshd).length, 1);
  const work = (size: number): Uint8Array => {
    if (size > 0) return new Uint8Array(size);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 4000);
    return new Uint8Array(0);
  };
  for (const size of [1, 100_000, 20_000_000]) {
    const arrived: number[] = [];
    for await (const { length } of pool.with({ chunkSize: 1 }).imap(work, [size, 0])) {
      assertEquals(length, arrived.length === 0 ? size : 0);
      arrived.push(performance.now());
    }
    assert(arrived[1] - arrived[0] > 600, `${size} bytes came ${arrived[1] - arrived[0]} ms before the rest`);
  }
});

remote("what was done before a worker ends itself is not done again", async (sshd) => {
  await using pool = new ParallelPool({ workers: 0, servers: [{ ...sshd.host(), workers: 1 }] });
  const file = `${sshd.home}/done`;
  const work = async (x: number): Promise<Uint8Array> => {
    const { appendFileSync } = await import("node:fs");
    appendFileSync(file, `${x},`);
    if (x === 3) (await import("node:process")).exit(5);
    return new Uint8Array(x * 10_000); // more than the system holds at once may be lost with the worker, and is done again
  };
  const settled = await pool.with({ chunkSize: 1, onError: "collect" }).map(work, range(6));
  assertEquals(
    (settled as unknown as PromiseSettledResult<Uint8Array>[]).map(({ status }) => status),
    range(6).map((x) => x === 3 ? "rejected" : "fulfilled"),
  );
  assertEquals(readFileSync(file, "utf8").split(",").filter((x) => x === "2").length, 1);
});

remote("large values, large code for several workers, and code that was forgotten", async (sshd) => {
  await using pool = new ParallelPool({ workers: 0, servers: [{ ...sshd.host(), workers: 2 }] });
  const each = pool.with({ chunkSize: 1 });
  const bytes = new Uint8Array(100_000_000).fill(7);
  const back = await pool.pipe((bytes: Uint8Array) => bytes, bytes);
  assertEquals([back.length, back[0], back.at(-1)], [100_000_000, 7, 7]);
  for (const letter of "abcabc") {
    const text = letter.repeat(1_000_000);
    assertEquals(await each.map((x: number) => text[x], range(20)), range(20).map(() => letter));
    if (letter === "b") await pool.clear();
  }
});

// ---- the pool's end alone, before a host that is this machine ----

interface Started {
  door: LineDoor;
  events: ChannelEvents;
  /** What was asked of the server. */
  asked: string[];
  channel: Channel;
  heard: string[];
  lost: string[];
}

/** Lines, and the start of workers that never come to be: the test speaks for them. */
async function onLines(body: (start: () => Started) => Promise<void>): Promise<void> {
  const connection = {
    forward: ({ target }: { target: { port: number } }) =>
      Promise.resolve({ listen: target, close: () => Promise.resolve() }),
  } as unknown as Connection;
  const lines = await openDirectLines(connection);
  let tellOver = (): void => {};
  const over = new Promise<void>((resolve) => tellOver = resolve);
  const start = (): Started => {
    const started = { asked: [], heard: [], lost: [] } as unknown as Started;
    const { asked, heard, lost } = started;
    const session = {
      over,
      check() {},
      heard() {},
      start(_limits: unknown, events: ChannelEvents, door: LineDoor) {
        Object.assign(started, { events, door });
        const gone = (what: string) => () => Promise.resolve(void asked.push(what));
        const code = (_hash: string, _parts: unknown, aside?: boolean) => void asked.push(`code ${aside}`);
        return { tell: () => void asked.push("tell"), code, end: gone("end"), kill: gone("kill") };
      },
    } as unknown as Session;
    started.channel = lines.start(session, { permissions: "inherit", maxMemory: undefined }, {
      message: (parts) => void heard.push(new TextDecoder().decode(parts[0])),
      output() {},
      lost: ({ reason }) => void lost.push(reason),
    });
    return started;
  };
  try {
    await body(start);
  } finally {
    tellOver();
    await lines.close();
  }
}

/** Connects, shows a secret, and waits for the answer. */
async function knock({ door }: Started): Promise<Socket> {
  const socket = connect({ port: door.port, host: "127.0.0.1" });
  socket.write(door.knock);
  const got = await new Promise<Uint8Array>((resolve, reject) => {
    socket.once("data", resolve).once("close", () => reject(new Error("closed")));
  });
  assertEquals([...got.subarray(0, 32)], [...door.answer]);
  return socket;
}

const gone = { reason: "ended", signal: null, exitCode: 1, stderr: "" };

test("a secret is good once, and for its worker alone", () =>
  onLines(async (start) => {
    const [one, two] = [start(), start()];
    const socket = await knock(one);
    await assertRejects(() => knock(one), Error, "closed");
    const mixed = two.door.knock.slice();
    mixed[31] ^= 1;
    assertEquals((await visit(two.door.port, mixed)).got, 0);
    assertEquals((await visit(two.door.port, two.door.answer)).got, 0);
    (await knock(two)).destroy();
    socket.destroy();
    const three = start();
    three.events.lost(gone);
    await assertRejects(() => knock(three), Error, "closed");
  }));

test("what is for a worker waits until its way is known; large code goes through the server", () =>
  onLines(async (start) => {
    const [direct, relayed] = [start(), start()];
    for (const { channel, asked } of [direct, relayed]) {
      channel.tell([new Uint8Array(10)]);
      channel.code("small", () => [new Uint8Array(1000)]);
      channel.code("large", () => [new Uint8Array(100_000)]);
      assertEquals(asked, []);
    }
    const socket = await knock(direct);
    relayed.events.message([new Uint8Array(1)]); // it says that it has no line
    assertEquals(relayed.asked, ["tell", "code undefined", "code undefined"]);
    assertEquals(relayed.heard, []);
    assertEquals(direct.asked, ["code true"]);
    await assertRejects(() => knock(relayed), Error, "closed");
    socket.destroy();
  }));

test("a line that breaks is a lost worker, and so is nonsense on it", () =>
  onLines(async (start) => {
    const [broken, silly, ended] = [start(), start(), start()];
    (await knock(broken)).destroy();
    const socket = await knock(silly);
    socket.write(randomBytes(1000));
    await until(() => silly.lost.length === 1);
    assertEquals([broken.lost, silly.asked], [[], ["kill"]]);
    const other = await knock(ended);
    ended.events.lost(gone);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assertEquals(ended.lost, [], "it may have more to say");
    other.destroy();
    await until(() => ended.lost.length === 1);
    assertEquals(ended.lost, ["ended"]);
    await until(() => broken.lost.length === 1);
    assertStringIncludes(broken.lost[0], "line");
    assertEquals(broken.asked, ["kill"]);
    socket.destroy();
  }));
