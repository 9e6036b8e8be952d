/** A name of a table or an index as SQL takes it, in SQLite and in PostgreSQL. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
