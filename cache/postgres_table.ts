/**
 * What stands in the table of an archive in PostgreSQL: its columns, and entries as rows and back.
 *
 * Keys and tags stand there as they are but for NUL and backslash, which are `\0` and `\\`. An index takes no long keys: one of
 * more than 2,000 bytes is `\h` and its SHA-256, and whole in the column `long_key`. A value is in one of three columns: bytes in
 * `value`; JSON, and text that is kept as it is, in `text`; a number that is kept as it is in `number`.
 * Times are milliseconds since 1970, by the clocks of those who wrote.
 */
import { fromBase64 } from "../runtime/mod.ts";
import { sha256 } from "../serialize/wire.ts";
import { showKey, textToKey } from "./key_text.ts";
import type { Statement } from "./postgres_client.ts";
import type { Entry, EntryMeta, StoredValue } from "./store.ts";

/** The comment of a table that is an archive, without the version. */
export const MARK = "pathos archive, version ";
/** Of the columns. */
export const VERSION = 1;

/** What makes a table; `table` is quoted. */
export function definition(table: string): string[] {
  return [
    `create table ${table} (
      key text collate "C" primary key,
      long_key text,
      value bytea,
      text text,
      number double precision,
      stored double precision not null,
      expires double precision not null,
      grace double precision not null,
      tags text[] not null,
      check (num_nonnulls(value, text, number) = 1))`,
    // Bytes mostly do not shrink, and a codec's compression is there for those that do.
    `alter table ${table} alter column value set storage external`,
    `create index on ${table} (expires) where expires < 'Infinity'`,
    `create index on ${table} using gin (tags) where tags <> '{}'`,
    `comment on table ${table} is '${MARK}${VERSION}'`,
  ];
}

const COLUMNS = {
  key: "text",
  long_key: "text",
  value: "bytea",
  text: "text",
  number: "float8",
  stored: "float8",
  expires: "float8",
  grace: "float8",
  tags: "text[]",
};
const NAMES = Object.keys(COLUMNS);
const TYPES = Object.values(COLUMNS);
const NEW_VALUES = NAMES.slice(1).map((name) => `${name} = excluded.${name}`).join(", ");

/** Writes entries, of different keys, in place of those that are there; 7,000 at most. */
export function insertion(table: string, entries: readonly (readonly [string, Entry])[]): Statement {
  const rows = entries.map((_, row) =>
    `(${TYPES.map((type, column) => `$${row * TYPES.length + column + 1}::${type}`).join(", ")})`
  );
  return {
    text: `insert into ${table} (${NAMES.join(", ")}) values ${rows.join(", ")} ` +
      `on conflict (key) do update set ${NEW_VALUES}`,
    values: entries.flatMap(([key, { value, meta }]) => [
      columnOf(key),
      longColumnOf(key),
      ...valueColumns(key, value),
      meta.stored,
      meta.expires,
      meta.grace,
      meta.tags.map(escaped),
    ]),
  };
}

/** The columns value, text and number. */
function valueColumns(key: string, value: StoredValue): unknown[] {
  if (value instanceof Uint8Array) return [value, null, null];
  if (typeof value === "number") return [null, null, value];
  if (typeof value !== "string") {
    throw new TypeError(
      `the entry ${
        showKey(textToKey(key))
      }: PostgreSQL keeps numbers, strings and Uint8Array as they are, no numeric arrays; ` +
        "leave serialized: false out to keep any value",
    );
  }
  if (value.includes("\0") || !value.isWellFormed()) {
    throw new TypeError(
      `the entry ${
        showKey(textToKey(key))
      }: PostgreSQL keeps no text with NUL or half a surrogate pair; leave ` +
        "serialized: false out to keep any value",
    );
  }
  return [null, value, null];
}

/** What {@linkcode metaOf} reads. */
export const META = "stored, expires, grace, to_json(tags)";
/** What {@linkcode entryOf} reads; pg would read bytea as hexadecimal, which takes longer than base64. */
export const ENTRY = `encode(value, 'base64'), text, number, ${META}`;
/** What {@linkcode keyOf} reads. */
export const KEY = "key, long_key";
/** Bytes of the value. */
export const SIZE = "coalesce(octet_length(value), octet_length(text), 8)";

/** A row as it comes: columns as PostgreSQL writes them. */
export type Row = (string | null)[];

export function entryOf(row: Row): Entry {
  const [value, text, number] = row;
  return {
    value: value !== null ? fromBase64(value) : text ?? Number(number),
    meta: metaOf(row.slice(3)),
  };
}

export function metaOf([stored, expires, grace, tags]: Row): EntryMeta {
  return {
    stored: Number(stored),
    expires: Number(expires),
    grace: Number(grace),
    tags: JSON.parse(tags!).map(unescaped),
  };
}

export function keyOf([column, long]: Row): string {
  return unescaped(long ?? column!);
}

/** Longest key that is in the index, in bytes; it takes 2,700. */
const LONGEST = 2000;

/** The column key. */
export function columnOf(key: string): string {
  const text = escaped(key);
  return isLong(text) ? `\\h${sha256(text)}` : text;
}

function longColumnOf(key: string): string | null {
  const text = escaped(key);
  return isLong(text) ? text : null;
}

function isLong(text: string): boolean {
  return 3 * text.length > LONGEST && new TextEncoder().encode(text).length > LONGEST;
}

/** A key or tag as PostgreSQL can keep it. */
export function escaped(text: string): string {
  return /[\0\\]/.test(text) ? text.replaceAll("\\", "\\\\").replaceAll("\0", "\\0") : text;
}

function unescaped(text: string): string {
  return text.includes("\\") ? text.replaceAll(/\\([\\0])/g, (_, what) => what === "0" ? "\0" : "\\") : text;
}
