// Who competes in which part, and how it is started.
import { ROOT } from "../../tasks/process.ts";
import { type Need, PEERS, PYTHON, PYTHON_PEERS } from "./setup.ts";

export const PARTS = ["hit", "exclusive", "shared"] as const;
export type Part = typeof PARTS[number];

/** One contender. */
export interface Row {
  name: string;
  command: string[];
  parts: readonly Part[];
  needs?: Need;
  /** The part of the work that it does, where all of it would take minutes; rates are comparable all the same. */
  share: number;
}

const STORES: Part[] = ["exclusive", "shared"];
const deno = [Deno.execPath(), "run", "-A", "--quiet"];
const inDeno = (file: string, which: string) => [...deno, `${ROOT}/bench/cache/${file}`, which];
const inNode = (file: string, which: string) => ["node", `${PEERS}/${file}`, which];
const inPython = (which: string, folder: string) => [
  "env",
  `PYTHONPATH=${PYTHON_PEERS}:${Deno.env.get("PYTHONPATH") ?? ""}`,
  `BENCH_FOLDER=${folder}`,
  PYTHON,
  `${PEERS}/python_peers.py`,
  which,
];

/** All contenders; `folder` is for those that keep files of their own accord. */
export function rows(folder: string): Row[] {
  const row = (name: string, command: string[], parts: Part[], needs?: Need, share = 1): Row => ({
    name,
    command,
    parts,
    needs,
    share,
  });
  return [
    row("deno control: a Map", inDeno("control.mjs", "map"), ["hit"]),
    row("node control: a Map", inNode("control.mjs", "map"), ["hit"]),
    row("deno ours: memoize", inDeno("ours.mjs", "memoize"), ["hit"]),
    row("node ours: memoize", inNode("ours.mjs", "memoize"), ["hit"], "node"),
    row("node lru-cache", inNode("npm_peers.mjs", "lru-cache"), ["hit"], "npm"),
    row("node fast-memoize", inNode("npm_peers.mjs", "fast-memoize"), ["hit"], "npm"),
    row("python functools.lru_cache", inPython("lru_cache", folder), ["hit"], undefined, 0.5),
    row("python klepto lru_cache", inPython("klepto", folder), ["hit"], "klepto", 0.02),
    row("python diskcache memoize", inPython("diskcache", folder), ["hit"], "diskcache", 0.02),

    row("deno control: plain files", inDeno("control.mjs", "files"), ["shared"]),
    row("deno ours: SqlArchive", inDeno("ours.mjs", "sql"), STORES),
    row("node ours: SqlArchive", inNode("ours.mjs", "sql"), STORES, "node"),
    row("deno ours: SqlTableArchive", inDeno("ours.mjs", "sqltable"), STORES),
    row("deno ours: DirArchive", inDeno("ours.mjs", "dir"), ["shared"]),
    row("deno ours: HdfArchive", inDeno("ours.mjs", "hdf"), ["shared"]),
    row("deno node:sqlite", inDeno("sqlite.mjs", "node:sqlite"), STORES),
    row("node better-sqlite3", inNode("sqlite.mjs", "better-sqlite3"), STORES, "npm"),
    row("node keyv + @keyv/sqlite", inNode("npm_peers.mjs", "keyv"), ["shared"], "npm", 0.3),
    row("python diskcache", inPython("diskcache", folder), ["shared"], "diskcache", 0.5),
    row("python klepto sqltable", inPython("klepto-sqltable", folder), ["shared"], "sqlalchemy", 0.1),
    row(
      "python klepto sqltable, no SQLAlchemy",
      inPython("klepto-sqltable-plain", folder),
      ["shared"],
      "klepto",
      0.1,
    ),
    row("python klepto dir", inPython("klepto-dir", folder), ["shared"], "klepto", 0.3),
  ];
}
