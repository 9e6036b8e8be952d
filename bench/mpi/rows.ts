// Who competes in which part, and the command of each rank.
import { CONTROL, NODE, PYTHON } from "./setup.ts";
import type { Need } from "./setup.ts";

export const PARTS = ["messages", "allreduce", "scatter", "pool", "tcp", "start"] as const;
export type Part = typeof PARTS[number];

/** One contender. */
export interface Row {
  name: string;
  /** The rank's program; it is given the part and the work. */
  command: string[];
  parts: readonly Part[];
  needs?: Need;
}

const HERE = new URL(".", import.meta.url).pathname;
const inDeno = (file: string) => [Deno.execPath(), "run", "-A", "--quiet", `${HERE}${file}`];
const inNode = (file: string) => ["node", `${NODE}/${file}`];
const OURS: Part[] = ["messages", "allreduce", "scatter", "tcp", "start"],
  POOL: Part[] = ["scatter", "pool", "tcp"];

/** All contenders. */
export const ROWS: readonly Row[] = [
  { name: "control: C", command: [CONTROL], parts: ["messages", "allreduce", "start"], needs: "mpicc" },
  { name: "deno ours", command: inDeno("ours.mjs"), parts: OURS },
  { name: "node ours", command: inNode("ours.mjs"), parts: OURS, needs: "node" },
  {
    name: "python mpi4py",
    command: [PYTHON, `${HERE}mpi4py_ranks.py`],
    parts: ["messages", "allreduce", "scatter", "start"],
    needs: "mpi4py",
  },
  { name: "deno ours MpiPool", command: inDeno("ours_pool.mjs"), parts: POOL },
  { name: "node ours MpiPool", command: inNode("ours_pool.mjs"), parts: POOL, needs: "node" },
  {
    name: "python mpi4py.futures",
    command: [PYTHON, "-m", "mpi4py.futures", `${HERE}mpi4py_pool.py`],
    parts: ["pool"],
    needs: "mpi4py",
  },
];
