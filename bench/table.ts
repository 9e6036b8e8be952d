// Figures by section, row and column, as they are measured; printed as one table, each cell median/best.

/** A column of a section. */
export interface Column {
  title: string;
  /** Which is the better figure. */
  better: "more" | "less";
}

/** Figures of one part of the run. */
export interface Section {
  readonly title: string;
  readonly columns: readonly Column[];
  /** What a reader has to know; lines under the section. */
  readonly notes: string[];
  /** Adds one figure of a repetition. */
  add(row: string, column: string, figure: number): void;
  /** The row, or one column of it, could not be measured. */
  fail(row: string, error: unknown): void;
  median(row: string, column: string): number;
  best(row: string, column: string): number;
  has(row: string): boolean;
  /** All repetitions. */
  toJSON(): unknown;
  lines(): string[];
}

/** A section without figures. */
export function newSection(title: string, columns: readonly Column[]): Section {
  const rows = new Map<string, Map<string, number[]>>();
  const errors = new Map<string, string>();
  const notes: string[] = [];
  const row = (name: string) => {
    if (!rows.has(name)) rows.set(name, new Map());
    return rows.get(name)!;
  };
  const sorted = (name: string, column: string) =>
    [...rows.get(name)?.get(column) ?? []].sort((a, b) => a - b);
  const median = (name: string, column: string) => {
    const figures = sorted(name, column);
    const half = figures.length >> 1;
    return figures.length % 2 ? figures[half] : (figures[half - 1] + figures[half]) / 2;
  };
  const best = (name: string, column: string) => {
    const { better } = columns.find(({ title }) => title === column)!;
    return sorted(name, column).at(better === "more" ? -1 : 0) ?? NaN;
  };
  return {
    title,
    columns,
    notes,
    add(name, column, figure) {
      const cells = row(name);
      cells.set(column, [...cells.get(column) ?? [], figure]);
    },
    fail(name, error) {
      row(name);
      errors.set(name, error instanceof Error ? error.message : String(error));
    },
    median,
    best,
    has: (name) => rows.has(name),
    toJSON: () => ({
      title,
      notes,
      rows: Object.fromEntries([...rows].map(([name, cells]) => [name, Object.fromEntries(cells)])),
      errors: Object.fromEntries(errors),
    }),
    lines() {
      const body = [...rows].map(([name, cells]) => [
        name,
        ...columns.map(({ title }) =>
          cells.has(title)
            ? `${shorten(median(name, title))}/${shorten(best(name, title))}`
            : errors.has(name)
            ? "failed"
            : ""
        ),
      ]);
      const table = [[title, ...columns.map(({ title }) => title)], ...body];
      const widths = table[0].map((_, i) => Math.max(...table.map((line) => line[i].length)));
      const draw = (line: string[]) =>
        line.map((text, i) => i ? text.padStart(widths[i]) : text.padEnd(widths[i])).join("  ").trimEnd();
      return [
        draw(table[0]),
        widths.map((width) => "-".repeat(width)).join("  "),
        ...body.map(draw),
        ...[...errors].map(([name, error]) =>
          `  ${name}: ${error.split("\n").slice(0, 3).join(" ").slice(0, 400)}`
        ),
        ...notes.map((note) => `  ${note}`),
      ];
    },
  };
}

/** A figure in four characters or so. */
export function shorten(figure: number): string {
  if (Number.isNaN(figure)) return "-";
  if (figure >= 1e6) return `${(figure / 1e6).toFixed(1)}M`;
  if (figure >= 1e4) return `${(figure / 1e3).toFixed(0)}k`;
  if (figure >= 100) return figure.toFixed(0);
  return figure >= 10 ? figure.toFixed(1) : figure.toFixed(2);
}

/** A figure that the project set itself, and what was measured. */
export interface Target {
  what: string;
  wanted: string;
  median: number;
  best: number;
  met: boolean;
}

/** A target of at least, or at most, so much. */
export function target(
  what: string,
  least: ">=" | "<=",
  bound: number,
  median: number,
  best: number,
): Target {
  const met = least === ">=" ? median >= bound : median <= bound;
  return { what, wanted: `${least} ${bound.toLocaleString("en")}`, median, best, met };
}

/** The targets as a table. */
export function targetLines(targets: readonly Target[]): string[] {
  const width = Math.max(...targets.map(({ what }) => what.length));
  const line = (what: string, wanted: string, median: string, best: string, met: string) =>
    `${what.padEnd(width)}  ${wanted.padStart(9)}  ${median.padStart(8)}  ${best.padStart(8)}  ${met}`
      .trimEnd();
  return [
    line("target", "wanted", "median", "best", ""),
    ...targets.map(({ what, wanted, median, best, met }) =>
      line(
        what,
        wanted,
        shorten(median),
        shorten(best),
        Number.isNaN(median) ? "not measured" : met ? "met" : "missed",
      )
    ),
  ];
}
