// `deno task bench fs`: finding '*.ts' in trees of 10,000 and 100,000 files beside find(1), pox, fast-glob and fdir, in one run. Every
// contender has a process of its own, and they take turns within a repetition; the trees are in the system's memory of
// files after the first turn, which does not count. Needs `node`, npm and /usr/bin/python3; installs the peers on first
// use (see fs/setup.ts). Takes some two minutes; `--quick` takes half a minute and is for development only. Targets are
// printed beside the figures, not asserted.
import { parseArgs } from "@std/cli";
import { ROOT } from "../tasks/process.ts";
import { type Contender, startContender } from "./contender.ts";
import { type Need, PEERS, poxVersion, PYTHON, PYTHON_PEERS, setUp } from "./fs/setup.ts";
import { newSection, type Target, target, targetLines } from "./table.ts";

const HELP = `deno task bench fs [--quick] [--rows ours,fdir] [--folder PATH] [--json FILE]

  --quick        fewer repetitions, for development
  --rows LIST    rows whose name contains one of these, such as "deno ours", "python"
  --folder PATH  where the trees are written; by default the system's place for temporary files
  --json FILE    writes all figures, every repetition included
`;

const args = parseArgs(Deno.args, {
  boolean: ["quick", "help"],
  string: ["rows", "folder", "json"],
  unknown(arg: string) {
    console.error(`there is no ${JSON.stringify(arg)} here\n\n${HELP}`);
    Deno.exit(2);
  },
});
if (args.help) {
  console.log(HELP);
  Deno.exit(0);
}

interface Row {
  name: string;
  command: string[];
  needs?: Need;
  /** Searches a folder with nothing in it, to show what starting costs. */
  isEmpty?: boolean;
}

const FIND = "deno find(1), started from there";
const deno = [Deno.execPath(), "run", "--quiet", "--no-lock"];
const ours = [...deno, "--config", `${ROOT}/deno.json`];
const inDeno = (way: string) => [...deno, "-A", `${PEERS}/contender.mjs`, way];
const oursInDeno = (way: string, ...permissions: string[]) => [
  ...ours,
  ...permissions,
  `${ROOT}/bench/fs/contender.mjs`,
  way,
];
const inNode = (way: string) => ["node", `${PEERS}/contender.mjs`, way];
const inPython = (
  way: string,
) => ["env", `PYTHONPATH=${PYTHON_PEERS}`, PYTHON, `${PEERS}/python_peers.py`, way];
const WITHOUT_FFI = ["--allow-read", "--allow-env", "--allow-sys"];

const ROWS: Row[] = [
  { name: FIND, command: inDeno("find(1)") },
  { name: "deno find(1) of an empty folder", command: inDeno("find(1)"), isEmpty: true },
  { name: "node find(1), started from there", command: inNode("find(1)") },
  { name: "deno control: Deno.readDirSync alone", command: inDeno("least") },
  { name: "node control: readdirSync alone", command: inNode("least") },
  { name: "deno ours: find", command: oursInDeno("ours", "-A") },
  { name: "deno ours: find, one by one", command: oursInDeno("ours, one by one", "-A") },
  { name: "deno ours: find without --allow-ffi", command: oursInDeno("ours", ...WITHOUT_FFI) },
  { name: "node ours: find", command: inNode("ours"), needs: "node" },
  { name: "deno npm:fdir", command: inDeno("fdir"), needs: "npm" },
  { name: "deno npm:fdir, sync", command: inDeno("fdir sync"), needs: "npm" },
  { name: "deno npm:fast-glob", command: inDeno("fast-glob"), needs: "npm" },
  { name: "node fdir", command: inNode("fdir"), needs: "npm" },
  { name: "node fdir, sync", command: inNode("fdir sync"), needs: "npm" },
  { name: "node fast-glob", command: inNode("fast-glob"), needs: "npm" },
  { name: "node fast-glob, sync", command: inNode("fast-glob sync"), needs: "npm" },
  { name: "python pox.find", command: inPython("pox.find"), needs: "pox" },
  { name: "python pox.walk", command: inPython("pox.walk"), needs: "pox" },
  { name: "python os.walk", command: inPython("os.walk") },
];

const SIZES = [["10,000 files", 100], ["100,000 files", 1000]] as const;

/** A tree with a hundred files in each of so many folders, a tenth of which are called *.ts. */
function makeTree(root: string, folders: number): void {
  for (let i = 0; i < folders; i++) {
    const folder = `${root}/part ${i % 10}/folder ${i}`;
    Deno.mkdirSync(folder, { recursive: true });
    for (let j = 0; j < 100; j++) {
      Deno.createSync(`${folder}/file ${j}.${j % 10 === 0 ? "ts" : j % 2 ? "json" : "dat"}`).close();
    }
  }
}

const rows = ROWS.filter(({ name }) =>
  !args.rows || args.rows.split(",").some((piece) => name.includes(piece))
);
if (rows.length === 0) {
  console.error(`--rows leaves nothing to measure\n\n${HELP}`);
  Deno.exit(2);
}
const repetitions = args.quick ? 5 : 21;
const failures = await setUp(new Set(rows.flatMap(({ needs }) => needs ?? [])));
const present = rows.filter(({ needs }) => needs === undefined || failures[needs] === undefined);
const loadBefore = Deno.loadavg()[0];
const begin = performance.now();
const section = newSection(
  "finding '*.ts', ms",
  SIZES.map(([title]) => ({ title, better: "less" as const })),
);
const folder = await Deno.makeTempDir({ dir: args.folder, prefix: "pathos-bench-" });
const contenders = present.map((row) => startContender(row, PEERS));
const failed = new Set<string>();

async function measure(
  { row, ask }: Contender<Row>,
  title: string,
  root: string,
  record: boolean,
): Promise<void> {
  if (failed.has(row.name)) return;
  try {
    const { ms, items, error } = await ask({ root: row.isEmpty ? `${folder}/empty` : root });
    if (error !== undefined) throw new Error(error);
    const expected = row.isEmpty ? 0 : Number(title.replace(/\D/g, "")) / 10;
    if (items !== expected) throw new Error(`found ${items} and not ${expected}`);
    if (record) section.add(row.name, title, ms!);
  } catch (error) {
    failed.add(row.name);
    section.fail(row.name, error);
  }
}

try {
  Deno.mkdirSync(`${folder}/empty`);
  // pox gives the shell its root as it is: no spaces
  for (const [, folders] of SIZES) makeTree(`${folder}/${folders}`, folders);
  for (const [title, folders] of SIZES) {
    for (let repetition = -2; repetition < repetitions; repetition++) {
      for (const contender of contenders) {
        await measure(contender, title, `${folder}/${folders}`, repetition >= 0);
      }
    }
  }
} finally {
  for (const contender of contenders) await contender.stop();
  await Deno.remove(folder, { recursive: true });
}

const targets: Target[] = [];
for (const [title] of SIZES) {
  const ratio = (row: string, other: string, bound: number) => {
    if (!section.has(row) || !section.has(other)) return;
    const of = (which: "median" | "best") => section[which](row, title) / section[which](other, title);
    targets.push(target(`${title}: ${row} over ${other}`, "<=", bound, of("median"), of("best")));
  };
  ratio("deno ours: find", FIND, 1.5);
  ratio("deno ours: find without --allow-ffi", FIND, 1.5);
  ratio("node ours: find", "node find(1), started from there", 1.5);
  for (const other of ["deno npm:fdir", "deno npm:fdir, sync", "deno npm:fast-glob", "python pox.find"]) {
    ratio("deno ours: find", other, 1);
  }
  for (const other of ["node fdir", "node fdir, sync", "node fast-glob", "python pox.find"]) {
    ratio("node ours: find", other, 1);
  }
}
console.log(
  `median/best of ${repetitions}; ${navigator.hardwareConcurrency} cores; load average ${
    loadBefore.toFixed(1)
  } before, ${Deno.loadavg()[0].toFixed(1)} after; ${((performance.now() - begin) / 1000).toFixed(0)} s${
    args.quick ? "; quick run, not for conclusions" : ""
  }`,
);
console.log(`Deno ${Deno.version.deno}; pox ${await poxVersion() ?? "is not installed"}\n`);
console.log(`${section.lines().join("\n")}\n`);
for (const [need, why] of Object.entries(failures)) {
  console.log(`left out for want of ${need}: ${why.split("\n").slice(0, 2).join(" ").slice(0, 300)}\n`);
}
if (targets.length > 0) console.log(targetLines(targets).join("\n"));
if (args.json) {
  await Deno.writeTextFile(
    args.json,
    JSON.stringify({ quick: args.quick, section, targets }, null, 1) + "\n",
  );
}
