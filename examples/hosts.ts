/**
 * One map over this machine and two hosts reached by ssh, and a picture of who did what: the Mandelbrot set in tiles,
 * each in the colour of the machine that drew it. Nothing is installed on the hosts but Deno or Node.
 *
 *     deno run -A examples/hosts.ts me@one.example cluster      # your hosts, as you would write them for ssh
 *     deno run -A examples/hosts.ts                             # two private sshds on this machine stand in for hosts
 *     deno run -A examples/hosts.ts --dashboard --width 3600    # and watch it in a browser
 */
import { ParallelPool } from "@pathos/pathos";
import process from "node:process";
import { parseArgs } from "node:util";
import { startSshd } from "../tests/sshd.ts";
import { writePng } from "./png.ts";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    width: { type: "string", default: "1800" },
    workers: { type: "string" },
    out: { type: "string", default: "hosts.png" },
    dashboard: { type: "boolean", default: false },
  },
});
const TILE = 50;
const columns = Math.round(Number(options.width) / TILE);
const lines = Math.round(columns * 2 / 3);
const [width, height] = [columns * TILE, lines * TILE];

interface Tile {
  /** The variable WHO of the machine, which only the hosts have. */
  who: string | undefined;
  /** Brightness of each pixel, row by row. */
  light: Uint8Array;
}

function tile(number: number): Tile {
  const left = number % columns * TILE, top = Math.floor(number / columns) * TILE;
  const light = new Uint8Array(TILE * TILE);
  for (let i = 0; i < light.length; i++) {
    const x = left + i % TILE, y = top + Math.floor(i / TILE);
    light[i] = brightness(x / (width - 1) * 3.6 - 2.5, (y / (height - 1) - 0.5) * 2.4);
  }
  return { who: process.env.WHO, light };
}

/** 0 inside the set; outside the brighter, the longer z stays near. */
function brightness(cr: number, ci: number): number {
  const limit = 2000;
  let zr = 0, zi = 0;
  for (let n = 1; n <= limit; n++) {
    const square = zr * zr - zi * zi + cr;
    zi = 2 * zr * zi + ci;
    zr = square;
    if (zr * zr + zi * zi > 4) return 90 + 165 * Math.log(n) / Math.log(limit);
  }
  return 0;
}

const stand = positionals.length > 0 ? [] : [await startSshd({ hosts: 1 }), await startSshd({ hosts: 1 })];
try {
  const names = positionals.length > 0 ? positionals : ["host 1", "host 2"];
  const servers = names.map((name, i) => ({
    ...(stand[i]?.host() ?? { host: name }),
    name,
    env: { WHO: name },
    ...(stand.length > 0 ? { workers: 1 } : {}), // they share the cores of this machine
  }));
  const workers = options.workers === undefined ? stand.length > 0 ? 1 : undefined : Number(options.workers);
  await using pool = new ParallelPool({ workers, servers });
  if (options.dashboard) console.log(`watch it at ${(await pool.dashboard()).url}`);
  const began = performance.now();
  const numbers = Array.from({ length: columns * lines }, (_, i) => i);
  const tiles = await pool.with({ progress: options.dashboard }).map(tile, numbers);
  const seconds = (performance.now() - began) / 1000;

  const colours = new Map([undefined, ...names].map((who, i) => [who, palette()[i % 6]]));
  const rows = Array.from({ length: height }, (_, y) => {
    const bytes = new Uint8Array(1 + 3 * width);
    for (let x = 0; x < width; x++) {
      const { who, light } = tiles[Math.floor(y / TILE) * columns + Math.floor(x / TILE)];
      const edge = x % TILE === 0 || y % TILE === 0 ? 0.75 : 1;
      const level = edge * Math.max(light[y % TILE * TILE + x % TILE], 40) / 255;
      bytes.set(colours.get(who)!.map((channel) => channel * level), 1 + 3 * x);
    }
    return bytes;
  });
  writePng(options.out, width, height, rows);

  console.log(`${options.out}: ${tiles.length} tiles in ${seconds.toFixed(2)} s`);
  for (const who of [undefined, ...names]) {
    const done = tiles.filter((tile) => tile.who === who).length;
    const bar = "#".repeat(Math.round(50 * done / tiles.length));
    console.log(`${(who ?? "this machine").padEnd(24)} ${String(done).padStart(6)} tiles  ${bar}`);
  }
} finally {
  for (const sshd of stand) await sshd.stop();
}

/** Blue for this machine, then orange, green, red, violet, yellow for the hosts. */
function palette(): [number, number, number][] {
  return [[90, 150, 255], [255, 160, 70], [80, 220, 150], [255, 100, 110], [190, 130, 255], [250, 220, 90]];
}
