// `deno task bench cache`: memoize and the archives beside SQLite as native code and beside other caches from npm and Python, in
// one run. In each part the contenders have processes of their own and take turns within a repetition; every repetition of a
// store begins with an empty folder. Needs `node`, npm and /usr/bin/python3; installs the peers on first use
// (see cache/setup.ts). Takes some seven minutes, the first time as many more; `--quick` takes half a minute and is for
// development only. Targets are printed beside the figures, not asserted.
import { parseArgs } from "@std/cli";
import { measure, type Work } from "./cache/measure.ts";
import { type Part, PARTS, rows } from "./cache/rows.ts";
import { type Need, pythonVersions, setUp } from "./cache/setup.ts";
import { targets } from "./cache/targets.ts";
import { type Section, targetLines } from "./table.ts";

const HELP = `deno task bench cache [--quick] [--only a,b] [--rows ours,klepto] [--folder PATH] [--json FILE]

  --quick        fewer entries and repetitions, for development
  --only LIST    parts: ${PARTS.join(", ")}
  --rows LIST    rows whose name contains one of these, such as "deno ours", "python"
  --folder PATH  where the stores are written; by default the system's place for temporary files
  --json FILE    writes all figures, every repetition included
`;

const args = parseArgs(Deno.args, {
  boolean: ["quick", "help"],
  string: ["only", "rows", "folder", "json"],
  unknown(arg: string) {
    console.error(`there is no ${JSON.stringify(arg)} here\n\n${HELP}`);
    Deno.exit(2);
  },
});
if (args.help) {
  console.log(HELP);
  Deno.exit(0);
}

const folder = await Deno.makeTempDir({ dir: args.folder, prefix: "pathos-bench-" });
const parts = PARTS.filter((part) => !args.only || args.only.split(",").includes(part));
const wanted = rows(folder).filter(({ name, parts: has }) =>
  has.some((part) => parts.includes(part)) &&
  (!args.rows || args.rows.split(",").some((piece) => name.includes(piece)))
);
if (wanted.length === 0) {
  console.error(`--only and --rows leave nothing to measure\n\n${HELP}`);
  Deno.exit(2);
}
const work: Work = args.quick
  ? { calls: 200_000, entries: 1000, singles: 200, blobs: 5, repetitions: 2 }
  : { calls: 5_000_000, entries: 10_000, singles: 1000, blobs: 40, repetitions: 7 };

const failures = await setUp(new Set(wanted.flatMap(({ needs }) => needs ?? [])));
const present = wanted.filter(({ needs }) => needs === undefined || failures[needs] === undefined);
const loadBefore = Deno.loadavg()[0];
const begin = performance.now();
const sections: Partial<Record<Part, Section>> = {};
try {
  for (const part of parts) {
    const start = performance.now();
    sections[part] = await measure(part, present, work, folder);
    console.error(`measured ${part} in ${((performance.now() - start) / 1000).toFixed(0)} s`);
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}

const found = targets(sections);
const versions = `Deno ${Deno.version.deno}; ${await pythonVersions()}`;
console.log(
  `operations a second, median/best of each; ${navigator.hardwareConcurrency} cores; load average ${
    loadBefore.toFixed(1)
  } before, ${Deno.loadavg()[0].toFixed(1)} after; ${((performance.now() - begin) / 1000).toFixed(0)} s` +
    `${args.quick ? "; quick run, not for conclusions" : ""}\n${versions}\n`,
);
for (const section of Object.values(sections)) console.log(`${section.lines().join("\n")}\n`);
for (const [need, why] of Object.entries(failures) as [Need, string][]) {
  console.log(`left out for want of ${need}: ${why.split("\n").slice(0, 2).join(" ").slice(0, 300)}\n`);
}
if (failures.klepto !== undefined) {
  console.log(
    "klepto 0.2.9.dev0 as it was measured apart: 57k memory hits a second; sqltable with SQLAlchemy 130 puts and 14k gets a " +
      "second on disk, 5.4k puts on a RAM disk\n",
  );
}
if (found.length > 0) console.log(targetLines(found).join("\n"));
if (args.json) {
  const result = { quick: args.quick, versions, work, sections, targets: found };
  await Deno.writeTextFile(args.json, JSON.stringify(result, null, 1) + "\n");
}
