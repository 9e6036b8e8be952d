/**
 * Counts the words of all text files below a folder: a map-reduce in which the workers read the files, count
 * and add up their counts, so that only one table comes back.
 *
 *     deno run -A examples/wordcount.ts /usr/share --progress
 *     deno run -A examples/wordcount.ts ~/notes --workers 2 --files 500 --top 20
 *
 * Binary and unreadable files and symbolic links are skipped and counted. The speed-up is that of the same files,
 * all or an evenly spread sample of at most --sample MB (600), in a SerialPool and then in the ThreadPool.
 */
import { SerialPool, ThreadPool } from "@pathos/pathos";
import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";

const { values: options, positionals: [root] } = parseArgs({
  allowPositionals: true,
  options: {
    workers: { type: "string" },
    files: { type: "string", default: "Infinity" },
    sample: { type: "string", default: "600" },
    top: { type: "string", default: "10" },
    progress: { type: "boolean", default: false },
  },
});
if (root === undefined) {
  console.error(
    "usage: wordcount.ts PATH [--workers N] [--files N] [--sample MB] [--top N] [--progress]",
  );
  process.exit(2);
}

/** What is known about some of the files. */
interface Counts {
  words: Map<string, number>;
  texts: number;
  bytes: number;
  binary: number;
  unreadable: number;
}

/** Counts one file. */
function countWords(path: string): Counts {
  const counts: Counts = { words: new Map(), texts: 0, bytes: 0, binary: 0, unreadable: 0 };
  let content: Uint8Array;
  try {
    const file = openSync(path, "r");
    try {
      const head = new Uint8Array(8192);
      const length = readSync(file, head, 0, head.length, 0);
      if (head.subarray(0, length).includes(0)) return { ...counts, binary: 1 };
      content = readFileSync(file);
    } finally {
      closeSync(file);
    }
  } catch {
    return { ...counts, unreadable: 1 };
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(content);
  } catch {
    return { ...counts, binary: 1 };
  }
  for (const word of text.toLowerCase().match(/\p{L}+/gu) ?? []) {
    counts.words.set(word, (counts.words.get(word) ?? 0) + 1);
  }
  return { ...counts, texts: 1, bytes: content.byteLength };
}

/** Adds the smaller table to the larger. */
function add(a: Counts, b: Counts): Counts {
  const [large, small] = a.words.size >= b.words.size ? [a.words, b.words] : [b.words, a.words];
  for (const [word, count] of small) large.set(word, (large.get(word) ?? 0) + count);
  return {
    words: large,
    texts: a.texts + b.texts,
    bytes: a.bytes + b.bytes,
    binary: a.binary + b.binary,
    unreadable: a.unreadable + b.unreadable,
  };
}

const found = { files: [] as { path: string; size: number }[], links: 0, closed: 0 };
walk(root);

function walk(folder: string): void {
  let entries;
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    if (folder === root) throw error;
    found.closed++;
    return;
  }
  for (const entry of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    const path = join(folder, entry.name);
    if (found.files.length >= Number(options.files)) return;
    if (entry.isSymbolicLink()) found.links++;
    else if (entry.isDirectory()) walk(path);
    else if (entry.isFile()) {
      found.files.push({ path, size: statSync(path, { throwIfNoEntry: false })?.size ?? 0 });
    }
  }
}

if (found.files.length === 0) {
  console.error(`there are no files below ${root}`);
  process.exit(1);
}

const megabytes = (bytes: number) => bytes / 1e6;
const workers = options.workers === undefined ? undefined : Number(options.workers);
await using pool = new ThreadPool({ workers });

const began = performance.now();
const counts = await pool.with({ progress: options.progress })
  .mapReduce(countWords, add, found.files.map(({ path }) => path));
const seconds = (performance.now() - began) / 1000;

const top = [...counts.words].sort((a, b) => b[1] - a[1]).slice(0, Number(options.top));
const width = Math.max(0, ...top.map(([word]) => word.length));
for (const [word, count] of top) {
  console.log(`${word.padEnd(width)}  ${count.toLocaleString("en").padStart(11)}`);
}
console.log(
  `\n${counts.texts} text files, ${
    megabytes(counts.bytes).toFixed(1)
  } MB, ${counts.words.size} different words ` +
    `in ${seconds.toFixed(1)} s with ${pool.workers} threads: ${
      (megabytes(counts.bytes) / seconds).toFixed(1)
    } MB/s`,
);
console.log(
  `skipped: ${counts.binary} binary files, ${counts.unreadable} unreadable files, ` +
    `${found.closed} unreadable folders, ${found.links} symbolic links`,
);

const sample = sampleOf(found.files, Number(options.sample) * 1e6);
const serial = await measure(new SerialPool(), sample);
const parallel = await measure(pool, sample);
console.log(
  `speed-up over SerialPool: ${
    (serial.ms / parallel.ms).toFixed(2)
  } on a sample of ${sample.length} files, ` +
    `${megabytes(serial.bytes).toFixed(1)} MB of text (${(serial.ms / 1000).toFixed(2)} s to ${
      (parallel.ms / 1000).toFixed(2)
    } s)`,
);

/** Every n-th file, so that they hold at most about `limit` bytes. */
function sampleOf(files: { path: string; size: number }[], limit: number): string[] {
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const step = Math.max(1, Math.ceil(total / limit));
  return files.filter((_, i) => i % step === 0).map(({ path }) => path);
}

async function measure(
  pool: SerialPool | ThreadPool,
  paths: string[],
): Promise<{ ms: number; bytes: number }> {
  const began = performance.now();
  const { bytes } = await pool.mapReduce(countWords, add, paths);
  return { ms: performance.now() - began, bytes };
}
