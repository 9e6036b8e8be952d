/**
 * How long it takes to write and read what pools send most: a small closure, a map's chunk of small objects, a megabyte of
 * plain data, and a large typed array. `deno task bench serialize`.
 */
import { CodeBook } from "../serialize/codebook.ts";
import { dumps, loads } from "../serialize/mod.ts";

const scale = 10;
const offset = 3;
function helper(x: number): number {
  return x * scale;
}
const closure = (x: number) => helper(x) + offset;

let counted = 0;
const counting = (x: number) => x + counted++;

const chunk = Array.from({ length: 256 }, (_, i) => ({ id: i, name: `item ${i}`, value: i / 2 }));
const megabyte = Array.from({ length: 8_000 }, (_, i) => ({
  id: i,
  name: `a name of some length ${i}`,
  tags: ["red", "green"],
  position: { x: i / 3, y: -i },
}));
const floats = new Float64Array(1_000_000).fill(Math.PI);

/** Median microseconds of one call. */
function measure(action: () => unknown, calls: number): number {
  for (let i = 0; i < calls; i++) action();
  const rounds = Array.from({ length: 7 }, () => {
    const start = performance.now();
    for (let i = 0; i < calls; i++) action();
    return (performance.now() - start) * 1_000 / calls;
  });
  return rounds.sort((a, b) => a - b)[3];
}

function line(name: string, write: () => unknown, read: () => unknown, calls: number, bytes: number): void {
  const figures = [measure(write, calls), measure(read, calls)].map((us) => us.toFixed(1).padStart(12));
  console.log(name.padEnd(44) + figures.join("") + String(bytes).padStart(12));
}

console.log("".padEnd(44) + "write us".padStart(12) + "read us".padStart(12) + "bytes".padStart(12));
const trust = { trust: "code" } as const;
for (
  const [name, value, calls] of [
    ["closure, 2 captures and a helper", closure, 1_000],
    ["closure over a variable that changes", counting, 1_000],
    ["256 small objects", chunk, 200],
    ["1 MB of plain objects", megabyte, 5],
    ["1,000,000 floats", floats, 5],
  ] as const
) {
  const bytes = dumps(value);
  line(name, () => dumps(value), () => loads(bytes, trust), calls, bytes.length);
}
const book = new CodeBook({ share: true });
const encoded = book.encode(chunk);
line(
  "256 small objects, between pool and worker",
  () => book.encode(chunk),
  () => book.decode(encoded),
  200,
  encoded.bytes.length,
);
