// The figures that the project set itself, each beside what was measured in this run.
import { type Section, type Target, target } from "../table.ts";
import { HIT } from "./measure.ts";
import type { Part } from "./rows.ts";

/** Targets whose rows were measured. */
export function targets({ hit, exclusive, shared }: Partial<Record<Part, Section>>): Target[] {
  const found: Target[] = [];
  const least = (section: Section | undefined, what: string, row: string, column: string, bound: number) => {
    if (!section?.has(row)) return;
    found.push(target(what, ">=", bound, section.median(row, column), section.best(row, column)));
  };
  const ratio = (
    section: Section | undefined,
    what: string,
    other: string,
    column: string,
    bound: number,
  ) => {
    const ours = "deno ours: SqlArchive";
    if (!section?.has(ours) || !section.has(other)) return;
    const of = (which: "median" | "best") => section[which](ours, column) / section[which](other, column);
    found.push(target(`${what}, ours over ${other}`, ">=", bound, of("median"), of("best")));
  };
  for (const runtime of ["deno", "node"]) {
    least(hit, `memory hits a second, ${runtime}`, `${runtime} ours: memoize`, HIT, 2_000_000);
  }
  ratio(exclusive, "exclusive get", "deno node:sqlite", "get", 1);
  ratio(exclusive, "exclusive get again", "deno node:sqlite", "get again", 1);
  ratio(exclusive, "exclusive batch", "deno node:sqlite", "batch", 0.7);
  for (const runtime of ["deno", "node"]) {
    least(shared, `shared gets a second, ${runtime}`, `${runtime} ours: SqlArchive`, "get", 75_000);
    least(shared, `shared puts a second, ${runtime}`, `${runtime} ours: SqlArchive`, "put", 1_700);
  }
  ratio(shared, "shared get", "python klepto sqltable", "get", 5);
  ratio(shared, "shared get again", "python klepto sqltable", "get again", 5);
  ratio(shared, "shared put", "python klepto sqltable", "put", 10);
  return found;
}
