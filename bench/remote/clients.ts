// The clients of the calls, each in a process of its own (answer.ts): our pool, `fetch`, and bare TCP. All of them send
// 1 kB and get it back, one call at a time or with many under way. The first argument names the client, the second
// says in JSON where to.
import { type MapOptions, ParallelPool, type ParallelPoolOptions } from "@pathos/pathos";
import { answer } from "./answer.ts";
import { naps, same, trivial } from "./jobs.ts";

/** How many calls are under way in a run with many. */
const DEPTH = 64;

interface Calls {
  /** One call, for which the next one waits. */
  one(text: string): Promise<unknown>;
  /** So many calls, with DEPTH under way. */
  many(texts: string[]): Promise<void>;
}

type Asked = { n: number; bytes: number };

function callCommands({ one, many }: Calls) {
  return {
    async calls({ n, bytes }: Asked) {
      const text = "x".repeat(bytes);
      const times: number[] = [];
      const begin = performance.now();
      for (let i = 0; i < n; i++) {
        const start = performance.now();
        await one(text);
        times.push(performance.now() - start);
      }
      const ms = performance.now() - begin;
      times.sort((a, b) => a - b);
      return { rate: n / ms * 1000, p50: times[n >> 1], p99: times[Math.ceil(n * 0.99) - 1] };
    },
    async deep({ n, bytes }: Asked) {
      const texts = new Array<string>(n).fill("x".repeat(bytes));
      const begin = performance.now();
      await many(texts);
      return { rate: n / (performance.now() - begin) * 1000 };
    },
  };
}

function poolClient(options: ParallelPoolOptions) {
  let pool: ParallelPool;
  const open = () => pool ??= new ParallelPool(options);
  const remote = options.servers?.length ?? 0;
  const expect = (right: boolean) => {
    if (!right) throw new Error("wrong results");
  };
  return {
    ...callCommands({
      one: (text) => open().pipe(same<string>, text),
      async many(texts) {
        let n = 0;
        const results = open().with({ chunkSize: 1, lookahead: DEPTH }).uimap(same<string>, texts);
        for await (const result of results) n += Number(result === texts[0]);
        expect(n === texts.length);
      },
    }),
    close: () => pool?.terminate(),
    /** From a pool that is made now to its first result. */
    async start() {
      const begin = performance.now();
      expect(await open().pipe(trivial, 1) === 3);
      return { ms: performance.now() - begin };
    },
    /** Waits until all servers are connected and all workers answer: one that was stopped is replaced on demand. */
    async ready() {
      const limit = performance.now() + 60_000;
      const items = () => open().stats().workers.map(({ items }) => items);
      const naps5 = new Array(8 * (remote + 2)).fill(5);
      for (let all = false; !all;) {
        if (performance.now() > limit) throw new Error(`not all answer: ${JSON.stringify(pool.servers)}`);
        const before = items();
        await pool.with({ chunkSize: 1 }).map(naps(Infinity), naps5);
        all = items().every((n, i) => n > (before[i] ?? 0)) &&
          pool.servers.every(({ state }) => state === "ready");
      }
    },
    async trivial({ n, each }: { n: number; each: boolean }) {
      const xs = Array.from({ length: n }, (_, i) => i);
      const begin = performance.now();
      const results = await open().with(each ? { chunkSize: 1 } : {}).map(trivial, xs);
      const ms = performance.now() - begin;
      expect(results.length === n && results.every((y, x) => y === 2 * x + 1));
      return { rate: n / ms * 1000 };
    },
    /** `stall`: milliseconds after which slow hosts stall. */
    async mix({ weights, options, stall }: { weights: number[]; options: MapOptions; stall?: number }) {
      const fn = naps(stall === undefined ? Infinity : Date.now() + stall);
      const begin = performance.now();
      const slept = await open().with(options).map(fn, weights);
      const ms = performance.now() - begin;
      expect(slept.length === weights.length && slept.every((ms) => ms > 0));
      return { ms, work: slept.reduce((a, b) => a + b) };
    },
    /** MB/s of items of so many bytes, there and back. */
    async payload({ n, bytes }: Asked) {
      const items = Array.from({ length: n }, (_, i) => new Uint8Array(bytes).fill(i));
      const begin = performance.now();
      const results = await open().map(same<Uint8Array>, items);
      const ms = performance.now() - begin;
      expect(results.every((bytes, i) => bytes.length === items[i].length && bytes[0] === items[i][0]));
      return { rate: n * bytes / 1e6 / ms * 1000 };
    },
  };
}

function fetchClient({ port }: { port: number }) {
  const one = async (text: string) => {
    const response = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: text });
    await response.text();
  };
  return callCommands({
    one,
    async many(texts) {
      let next = 0;
      const loop = async () => {
        while (next < texts.length) await one(texts[next++]);
      };
      await Promise.all(Array.from({ length: DEPTH }, loop));
    },
  });
}

function tcpClient({ port }: { port: number }) {
  let opening: Promise<Deno.TcpConn> | undefined;
  const buffer = new Uint8Array(1 << 16);
  const connect = () =>
    opening ??= Deno.connect({ hostname: "127.0.0.1", port }).then((connection) => {
      connection.setNoDelay(true);
      return connection;
    });
  const write = async (connection: Deno.TcpConn, bytes: Uint8Array) => {
    for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
  };
  const read = async (connection: Deno.TcpConn) => {
    const got = await connection.read(buffer);
    if (got === null) throw new Error("the echo closed the connection");
    return got;
  };
  return callCommands({
    async one(text) {
      const connection = await connect();
      const bytes = new TextEncoder().encode(text);
      await write(connection, bytes);
      for (let got = 0; got < bytes.length;) got += await read(connection);
    },
    async many(texts) {
      const connection = await connect();
      const bytes = new TextEncoder().encode(texts[0]);
      let sent = 0;
      for (let got = 0; got < texts.length * bytes.length;) {
        while (sent < texts.length && sent * bytes.length - got < DEPTH * bytes.length) {
          await write(connection, bytes);
          sent++;
        }
        got += await read(connection);
      }
    },
  });
}

const clients = { pool: poolClient, fetch: fetchClient, tcp: tcpClient };
const [name, where] = Deno.args;
await answer(clients[name as keyof typeof clients](JSON.parse(where)));
