// One contender in a process of its own, driven line by line: a JSON request on stdin, a JSON reply on stdout. A contender is
// { hits, open }: `hits` gives a memoized function of one or two arguments, `open` a store in a folder. Keys, values and the
// order of reading are made outside the measured time, and what is read is checked.
import process from "node:process";
import { createInterface } from "node:readline";

/** Arguments that are called for again and again. */
const HOT = 50;

/** Calls a memoized function with primitive arguments that it knows; milliseconds. */
async function measureHits(contender, { calls, args }) {
  const fn = await contender.hits(args);
  const one = Array.from({ length: HOT }, (_, i) => i + 0.5);
  const two = Array.from({ length: HOT }, (_, i) => `name ${i % 7}`);
  const run = args === 1
    ? (n) => {
      let sum = 0;
      for (let i = 0; i < n; i++) sum += fn(one[i % HOT]);
      return sum;
    }
    : (n) => {
      let sum = 0;
      for (let i = 0; i < n; i++) sum += fn(one[i % HOT], two[i % HOT]);
      return sum;
    };
  run(Math.min(calls, 20_000));
  const begin = performance.now();
  const sum = run(calls);
  const ms = performance.now() - begin;
  const expected = (calls / HOT) * one.reduce((sum, x) => sum + 2 * x, 0);
  if (Math.abs(sum - expected) > 1) throw new Error(`the sum is ${sum} and not ${expected}`);
  return { figures: { hit: calls / ms * 1000 } };
}

/** Writes and reads a store in an empty folder; operations per second. */
async function measureStore(contender, { mode, folder, entries, bytes, singles, blobs, blobBytes }) {
  const as = contender.bytes ?? ((array) => array);
  const values = Array.from({ length: entries }, (_, i) => as(new Uint8Array(bytes).fill(i % 251)));
  const keys = values.map((_, i) => `key ${i}`);
  const order = shuffled(entries);
  const blob = Array.from({ length: blobs }, (_, i) => as(new Uint8Array(blobBytes).fill(i + 1)));
  const figures = {};
  const timed = async (what, count, work) => {
    if (count === 0) return;
    const begin = performance.now();
    const done = work();
    if (done instanceof Promise) await done;
    figures[what] = count / (performance.now() - begin) * 1000;
  };
  const store = await contender.open(folder, mode);
  const puts = (prefix, values) =>
    store.async
      ? (async () => {
        for (let i = 0; i < values.length; i++) await store.put(prefix + i, values[i]);
      })()
      : void values.forEach((value, i) => store.put(prefix + i, value));
  const gets = (keys, size) => {
    const check = (value, key) => {
      if (value?.length !== size) throw new Error(`${key} has ${value?.length} bytes and not ${size}`);
    };
    if (!store.async) {
      for (let i = 0; i < keys.length; i++) check(store.get(keys[i]), keys[i]);
      return;
    }
    return (async () => {
      for (let i = 0; i < keys.length; i++) check(await store.get(keys[i]), keys[i]);
    })();
  };
  if (store.putAll) await timed("batch", entries, () => store.putAll(keys.map((key, i) => [key, values[i]])));
  else await puts("key ", values);
  const few = values.slice(0, singles);
  await timed("put", singles, () => puts("single ", few));
  const read = order.map((i) => keys[i]);
  await timed("get", entries, () => gets(read, bytes));
  await gets(read, bytes);
  await timed("get again", entries, () => gets(read, bytes));
  await timed("put 1 MB", blobs, () => puts("blob ", blob));
  await timed("get 1 MB", blobs, () => gets(blob.map((_, i) => `blob ${i}`), blobBytes));
  await store.close?.();
  return { figures };
}

/** 0 to n - 1 in an order that is the same in every run. */
function shuffled(n) {
  const order = Array.from({ length: n }, (_, i) => i);
  let seed = 12345;
  for (let i = n - 1; i > 0; i--) {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    const j = seed % (i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** Serves the contender named on the command line until stdin ends. */
export async function serve(contenders) {
  const contender = contenders[process.argv[2]];
  if (!contender) throw new Error(`no contender "${process.argv[2]}"; there are: ${Object.keys(contenders)}`);
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    let reply;
    try {
      reply = await (request.part === "hit" ? measureHits : measureStore)(contender, request);
    } catch (error) {
      reply = { error: String(error?.stack ?? error) };
    }
    process.stdout.write(JSON.stringify(reply) + "\n");
  }
  process.exit(0);
}
