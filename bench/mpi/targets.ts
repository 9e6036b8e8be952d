// The figures that the project set itself, each beside what was measured in this run.
import type { Section, Target } from "../table.ts";
import { target } from "../table.ts";
import type { Part } from "./rows.ts";

/** Medians of the same thing measured twice differ by so much. */
const LEVEL = 0.95;

/** Targets whose rows were measured. Ratios say how many times better than mpi4py, but for the last. */
export function targets(sections: Partial<Record<Part, Section>>): Target[] {
  const found: Target[] = [];
  const ratio = (part: Part, what: string, rows: [string, string], column: string, bound: number) => {
    const section = sections[part];
    const [ours, theirs] = rows;
    if (!section?.has(ours) || !section.has(theirs)) return;
    const { better } = section.columns.find(({ title }) => title === column)!;
    const of = (which: "median" | "best") => {
      const [a, b] = [section[which](ours, column), section[which](theirs, column)];
      return better === "more" ? a / b : b / a;
    };
    found.push(target(what, ">=", bound, of("median"), of("best")));
  };
  for (const runtime of ["deno", "node"]) {
    const ours = `${runtime} ours`;
    const rows: [string, string] = [ours, "python mpi4py"];
    const pools: [string, string] = [`${ours} MpiPool`, "python mpi4py.futures"];
    ratio("messages", `${runtime}: 8-byte latency over mpi4py`, rows, "8 B, us", LEVEL);
    ratio("messages", `${runtime}: 1 MB bandwidth over mpi4py`, rows, "1 MB, GB/s", LEVEL);
    ratio("messages", `${runtime}: 16 MB bandwidth over mpi4py`, rows, "16 MB, GB/s", LEVEL);
    ratio("allreduce", `${runtime}: allreduce of 1M over mpi4py`, rows, "1M into, ms", 0.9);
    ratio("scatter", `${runtime}: static map of values over mpi4py`, rows, "values, items/s", 0.9);
    ratio("scatter", `${runtime}: static map of floats over NumPy`, rows, "floats, items/s", 0.9);
    ratio("pool", `${runtime}: pool, chunk 1, over mpi4py.futures`, pools, "chunk 1", 50);
    ratio("pool", `${runtime}: pool, chunk 100, over mpi4py.futures`, pools, "chunk 100", 10);
    const { tcp, start } = sections;
    const pool = `${ours} MpiPool`;
    if (tcp?.has(pool)) {
      const [median, best] = [tcp.median(pool, "chunk 100"), tcp.best(pool, "chunk 100")];
      found.push(target(`${runtime}: TCP pool, items/s`, ">=", 50_000, median, best));
    }
    if (start?.has(ours) && start.has("python mpi4py")) {
      const of = (which: "median" | "best") => start[which](ours, "ms") / start[which]("python mpi4py", "ms");
      found.push(target(`${runtime}: start-up, times Python's`, "<=", 1.1, of("median"), of("best")));
    }
  }
  return found;
}
