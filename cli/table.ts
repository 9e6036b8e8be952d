/**
 * Tables for people who look at a terminal.
 */

const NUMBER = /^[\d.]+( ?([kMGT]?B|ms|[smhd]))?$|^-$/;

/**
 * Rows in columns, the first being their heads; numbers, with a unit or without, stand right. A row that is shorter than the
 * first ends with a text of any width.
 */
export function table(rows: readonly (readonly (string | number)[])[]): string {
  const [heads] = rows;
  const whole = rows.filter((row) => row.length === heads.length);
  const widths = heads.map((_, i) =>
    Math.max(...(i === 0 ? rows : whole).map((row) => String(row[i]).length))
  );
  const isRight = (i: number): boolean =>
    whole.length > 1 && whole.slice(1).every((row) => NUMBER.test(String(row[i])));
  return rows.map((row) =>
    row.map((cell, i) => isRight(i) ? String(cell).padStart(widths[i]) : String(cell).padEnd(widths[i]))
      .join("  ").trimEnd() + "\n"
  ).join("");
}
