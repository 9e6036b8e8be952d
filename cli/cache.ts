/**
 * `pathos cache`: what lies in an archive, for people and scripts. It looks at entries as they are kept: values are
 * shown as data, and code among them is never run.
 */
import { type StoreArchive, storeOf } from "../cache/archive.ts";
import { newCodec } from "../cache/codec.ts";
import { keyToText, parseKey, showText } from "../cache/key_text.ts";
import { findArchive, type FoundArchive, newArchive } from "../cache/open.ts";
import { SqlArchive } from "../cache/sql.ts";
import { SqliteError } from "../cache/sqlite.ts";
import { SqlTableArchive } from "../cache/sqltable.ts";
import type { EntryInfo, Store, StoredValue } from "../cache/store.ts";
import type { ArchiveKey } from "../cache/types.ts";
import {
  builtin,
  exists,
  fileKind,
  fileState,
  listFolder,
  stderr,
  stdinLines,
  stdout,
} from "../runtime/mod.ts";
import { CorruptDataError, UntrustedCodeError } from "../serialize/mod.ts";
import { exportLines, importLines } from "./cache_lines.ts";
import { type Parsed, UsageError, type Verb } from "./flags.ts";
import { didYouMean } from "./nearest.ts";
import { lineOutput } from "./output.ts";
import { table } from "./table.ts";
import { toJson } from "./work.ts";

/** What can be done, and which arguments and flags it takes besides FILE and --name. */
const ACTIONS: Record<
  string,
  { run: (use: Use) => Promise<number>; keys?: "one" | "some"; flags: string[] }
> = {
  ls: { run: list, flags: ["json", "tag"] },
  stat: { run: stat, flags: ["json"] },
  get: { run: get, keys: "one", flags: ["raw"] },
  rm: { run: remove, keys: "some", flags: ["tag", "expired"] },
  clear: { run: clear, flags: ["yes"] },
  vacuum: { run: vacuum, flags: [] },
  export: { run: exportAll, flags: [] },
  import: { run: importAll, flags: ["new"] },
};

/** The verb `cache`. */
export const cacheVerb: Verb = {
  name: "cache",
  summary: "Look into archives of results, tidy them, move them",
  usage: "cache ls|stat|get|rm|clear|vacuum|export|import FILE [KEY...] [flags]",
  about: `
FILE is the file or folder of an archive: SqlArchive, SqlTableArchive, FileArchive, DirArchive,
HdfArchive or HdfDirArchive. Which of them it is, is seen from what lies there.
  ls       the entries: key, bytes, age, time left, tags
  stat     how many there are, how large, and under which policy
  get      the value of KEY: text and bytes as they are, else JSON, or what comes nearest to it
  rm       removes KEY..., or with --tag or --expired what carries a tag or is too old
  clear    removes all entries, with --yes
  vacuum   removes what has expired and gives the space back to the system
  export   writes all entries to standard output, one line of JSON each, nothing of them lost
  import   reads such lines from standard input, in place of entries with the same keys
KEY is written as ls shows it: text as it is, other keys behind "=", such as =42 or '=["a",1]'.
A SQLite file may hold several caches: those of SqlArchive have names, and a table of SqlTableArchive is
#TABLE. Their policies are not exported.
Code that an archive holds is never run: a value with code in it is listed and exported, not shown.`,
  flags: {
    name: { value: "NAME", help: 'The cache of that name in the file (default: the only one, or "default")' },
    tag: { value: "TAG", many: true, help: "ls, rm: the entries that carry this tag; may be repeated" },
    expired: { help: "rm: the entries whose time and grace are over" },
    json: { help: "ls, stat: print JSON, a line for each entry; times in milliseconds since 1970" },
    raw: { help: "get: the bytes as they are kept" },
    yes: { help: "clear: do it" },
    new: { value: "KIND", help: "import: make FILE, a sqlite, file or folder archive" },
  },
  more: `
Exit status: 0 all is well, 1 there is no such entry, 2 a mistake in the command line or a damaged archive.`,
  examples: [
    ["The largest entries", "pathos cache ls --json results.sqlite | jq -s 'sort_by(-.size)[:10]'"],
    ["One value", "pathos cache get settings.pathos width"],
    ["Forget what was made from old data", "pathos cache rm results.sqlite --tag data-2023"],
    ["From one kind to another", "pathos cache export runs/ | pathos cache import runs.sqlite --new sqlite"],
  ],
  run,
};

/** What an action works on. */
interface Use {
  args: Parsed;
  path: string;
  found: FoundArchive;
  keys: string[];
  /** The names of the caches that --name leaves. */
  names: readonly string[];
  /** Opens one of them, closed when the action ends. */
  open(name: string, readOnly?: boolean): Opened;
}

interface Opened {
  archive: StoreArchive;
  store: Store;
}

async function run(args: Parsed): Promise<number> {
  const [name, path, ...keys] = args.positional;
  const action = Object.hasOwn(ACTIONS, name ?? "") ? ACTIONS[name] : undefined;
  if (!action) {
    const all = Object.keys(ACTIONS);
    const what = name === undefined ? "cache needs to know what to do" : `cache cannot ${name}`;
    throw new UsageError(`${what}${didYouMean(name ?? "", all)}; it can ${all.join(", ")}`);
  }
  checkArguments(name, action, path, keys, args);
  const opened: StoreArchive[] = [];
  try {
    const found = find(path, name, args.text("new"));
    return await action.run({
      args,
      path,
      found,
      keys,
      names: namesOf(found, path, name, args.text("name")),
      open(name, readOnly = false) {
        const archive = found.open(name, readOnly);
        opened.push(archive);
        return { archive, store: storeOf(archive) };
      },
    });
  } catch (error) {
    throw told(error);
  } finally {
    for (const archive of opened) archive.close();
  }
}

function checkArguments(
  name: string,
  { keys: taken, flags }: { keys?: "one" | "some"; flags: string[] },
  path: string | undefined,
  keys: string[],
  args: Parsed,
): void {
  if (path === undefined) throw new UsageError(`which archive? pathos cache ${name} FILE`);
  for (const flag of ["json", "raw", "yes", "expired"]) {
    if (args.on(flag) && !flags.includes(flag)) throw new UsageError(`cache ${name} takes no --${flag}`);
  }
  if (args.texts("tag").length > 0 && !flags.includes("tag")) {
    throw new UsageError(`cache ${name} takes no --tag`);
  }
  if (args.text("new") !== undefined && !flags.includes("new")) {
    throw new UsageError(`cache ${name} takes no --new`);
  }
  if (!taken && keys.length > 0) throw new UsageError(`cache ${name} takes no keys, and got ${keys[0]}`);
  if (taken === "one" && keys.length !== 1) {
    throw new UsageError(`cache ${name} takes one key, and got ${keys.length}`);
  }
  if (taken === "some" && keys.length === 0 && args.texts("tag").length === 0 && !args.on("expired")) {
    throw new UsageError(`cache ${name} of what? Name keys, or give --tag TAG or --expired`);
  }
}

/** The archive at a path, or with `made` a new one of that kind. */
function find(path: string, action: string, made: string | undefined): FoundArchive {
  if (made !== undefined) {
    if (exists(path)) throw new UsageError(`${path} is there already: import without --new adds to it`);
    const kinds = ["sqlite", "file", "folder"] as const;
    const kind = kinds.find((kind) => kind === made);
    if (!kind) {
      throw new UsageError(`--new is ${JSON.stringify(made)}: it must be one of ${kinds.join(", ")}`);
    }
    return newArchive(path, kind);
  }
  if (!exists(path)) {
    const hint = action === "import" ? "; --new sqlite makes one" : "";
    throw new UsageError(`there is no ${path}${hint}`);
  }
  const found = findArchive(path);
  if (found) return found;
  throw new UsageError(`${path} is no archive of this library; it was left as it is`);
}

/** Which caches an action is about. */
function namesOf(
  { names }: FoundArchive,
  path: string,
  action: string,
  wanted: string | undefined,
): readonly string[] {
  if (action === "import") return wanted === undefined ? [] : [wanted];
  const several = names.join(", ");
  if (wanted !== undefined) {
    if (names.includes(wanted)) return [wanted];
    if (names[0] === "") throw new UsageError(`${path} is one archive without names: leave --name out`);
    throw new UsageError(
      `${path} has no cache ${wanted}${didYouMean(wanted, names)}; there is ${several || "none"}`,
    );
  }
  if (names.length < 2 || ["ls", "stat", "vacuum", "export"].includes(action)) return names;
  if (names.includes("default")) return ["default"];
  throw new UsageError(`${path} has several caches (${several}): say which by --name`);
}

/** The mistakes and damages that an archive tells of, which say all there is to say. */
function told(error: unknown): unknown {
  if (error instanceof CorruptDataError || error instanceof SqliteError) return new UsageError(error.message);
  return error;
}

async function list({ args, names, open }: Use): Promise<number> {
  const tags = args.texts("tag");
  const now = Date.now();
  const lines = lineOutput(() => {});
  const rows: (string | number)[][] = [];
  for (const name of names) {
    for (const [key, info] of open(name, true).store.infos()) {
      if (tags.length > 0 && !tags.some((tag) => info.tags.includes(tag))) continue;
      if (args.on("json")) await lines.line(JSON.stringify(described(name, key, info)));
      else {
        const left = info.expires === Infinity
          ? "-"
          : info.expires > now
          ? span(info.expires - now)
          : "expired";
        const row = [
          shown(key),
          bytes(info.size),
          span(now - info.stored),
          left,
          info.tags.map(visible).join(","),
        ];
        rows.push(names.length > 1 ? [visible(name), ...row] : row);
      }
    }
  }
  const heads = ["KEY", "SIZE", "AGE", "LEFT", "TAGS"];
  if (!args.on("json")) await print(table([names.length > 1 ? ["CACHE", ...heads] : heads, ...rows]));
  await lines.flush();
  return 0;
}

function described(name: string, key: string, { size, stored, expires, grace, tags }: EntryInfo): object {
  return {
    cache: name === "" ? undefined : name,
    key,
    size,
    stored,
    expires: expires === Infinity ? null : expires,
    grace: grace === Infinity ? null : grace,
    tags,
  };
}

async function stat({ args, path, found, names, open }: Use): Promise<number> {
  const now = Date.now();
  const caches = names.map((name) => {
    const { archive, store } = open(name, true);
    const sum = { name, entries: 0, expired: 0, bytes: 0, policy: policyOf(archive) };
    for (const [, { size, expires }] of store.infos()) {
      sum.entries++;
      if (expires <= now) sum.expired++;
      sum.bytes += size;
    }
    return sum;
  });
  const disk = bytesBelow(path);
  if (args.on("json")) {
    await print(JSON.stringify({ path, kind: found.kind, disk, caches }) + "\n");
    return 0;
  }
  await print(`${path}: ${found.kind}, ${bytes(disk)} on the disk\n`);
  await print(table([
    ["CACHE", "ENTRIES", "EXPIRED", "BYTES", "POLICY"],
    ...caches.map(({ name, entries, expired, bytes: sum, policy }) => [
      visible(name) || "-",
      entries,
      expired,
      bytes(sum),
      policy ? limits(policy) : "-",
    ]),
  ]));
  return 0;
}

function policyOf(
  archive: StoreArchive,
): { name: string; count: number | null; bytes: number | null } | null {
  if (!(archive instanceof SqlArchive)) return null;
  const { name, count, bytes } = archive.policy;
  return { name, count: count === Infinity ? null : count, bytes: bytes === Infinity ? null : bytes };
}

function limits({ name, count, bytes: most }: NonNullable<ReturnType<typeof policyOf>>): string {
  return [name, count === null ? "" : `${count} entries`, most === null ? "" : bytes(most)].filter(Boolean)
    .join(", ");
}

async function get({ args, path, keys: [text], names, open }: Use): Promise<number> {
  const key = keyToText(keyOf(text));
  if (names.length === 0) throw new UsageError(`${path} has no caches`);
  const { archive, store } = open(names[0], true);
  const entry = store.read(key, false);
  if (!entry || entry.meta.expires <= Date.now()) {
    say(`there is no entry ${text}`);
    return 1;
  }
  await print(args.on("raw") ? rawBytes(entry.value) : valueOf(archive, key, entry.value));
  return 0;
}

/** A value as it is printed. Archives do not say whether theirs is kept as it is: what cannot be decoded is. */
function valueOf(archive: StoreArchive, key: string, kept: StoredValue): string | Uint8Array {
  if (!(kept instanceof Uint8Array)) return typeof kept === "object" ? inWords(kept) : rawBytes(kept);
  try {
    const value = newCodec({}, archive.name).decode(kept, key);
    return typeof value === "string" || value instanceof Uint8Array ? value : inWords(value);
  } catch (error) {
    if (error instanceof UntrustedCodeError) {
      throw new UsageError(
        `${showText(key)} holds code, which is not run here: read it in a program that trusts it`,
      );
    }
    if (error instanceof CorruptDataError) return kept;
    throw error;
  }
}

function rawBytes(kept: StoredValue): Uint8Array {
  if (kept instanceof Uint8Array) return kept;
  if (typeof kept !== "object") {
    return new TextEncoder().encode(typeof kept === "number" ? `${kept}\n` : kept);
  }
  const view = Array.isArray(kept) ? new Float64Array(kept) : kept;
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** JSON, or what an inspector shows of what JSON has no form for. */
function inWords(value: unknown): string {
  try {
    return toJson(value) + "\n";
  } catch {
    const { inspect } = builtin<{ inspect(value: unknown, options: { depth: number }): string }>("node:util");
    return inspect(value, { depth: 20 }) + "\n";
  }
}

function remove({ args, path, keys, names, open }: Use): Promise<number> {
  if (names.length === 0) throw new UsageError(`${path} has no caches`);
  const { archive, store } = open(names[0]);
  const missing = keys.filter((key) => !store.remove(keyToText(keyOf(key))));
  let count = keys.length - missing.length;
  for (const tag of args.texts("tag")) count += archive.invalidate(tag);
  if (args.on("expired")) count += archive.purge();
  say(`${count} removed`);
  if (missing.length > 0) say(`there is no entry ${missing.join(", ")}`);
  return Promise.resolve(missing.length > 0 ? 1 : 0);
}

function clear({ args, path, names, open }: Use): Promise<number> {
  if (names.length === 0) throw new UsageError(`${path} has no caches`);
  const { store } = open(names[0], !args.on("yes"));
  const count = store.count();
  const what = `${count} entries of ${path}${names[0] === "" ? "" : ` (${names[0]})`}`;
  if (!args.on("yes")) throw new UsageError(`this would remove ${what}: add --yes`);
  store.clear();
  say(`removed ${what}`);
  return Promise.resolve(0);
}

function vacuum({ path, names, open }: Use): Promise<number> {
  const before = bytesBelow(path);
  const archives = names.map((name) => open(name).archive);
  const purged = archives.reduce((sum, archive) => sum + archive.purge(), 0);
  const [first] = archives;
  if (first instanceof SqlArchive || first instanceof SqlTableArchive) first.vacuum();
  for (const archive of archives) archive.close();
  say(`${purged} expired entries removed; ${bytes(before)} before, ${bytes(bytesBelow(path))} now`);
  return Promise.resolve(0);
}

async function exportAll({ names, open }: Use): Promise<number> {
  let gone = false;
  const lines = lineOutput(() => gone = true);
  for await (const line of exportLines(names.map((name) => ({ name, store: open(name, true).store })))) {
    await lines.line(line);
    if (gone) break;
  }
  await lines.flush();
  return 0;
}

async function importAll({ path, found, names: [name], open }: Use): Promise<number> {
  const single = found.kind !== "sqlite";
  if (single && name !== undefined) {
    throw new UsageError(`${path} is one archive without names: leave --name out`);
  }
  const opened = new Map<string, Store>();
  const storeFor = (from: string): Store => {
    const target = single ? "" : name ?? (from || "default");
    if (single && opened.size > 0 && !opened.has(from)) {
      const caches = [...opened.keys(), from].join(" and ");
      throw new UsageError(`${path} has place for one cache, and these are ${caches}: export one by --name`);
    }
    let store = opened.get(from);
    if (!store) opened.set(from, store = open(target).store);
    return store;
  };
  const count = await importLines(stdinLines(), storeFor);
  say(`${count} entries imported into ${path}`);
  return 0;
}

/** The key that was written on the command line. */
function keyOf(text: string): ArchiveKey {
  try {
    return parseKey(text);
  } catch {
    throw new UsageError(`${text} is no key: text, or as ls shows it behind "=", such as =42 or '=["a",1]'`);
  }
}

/** A key as it can be given again, on one line. */
function shown(key: string): string {
  const safe = visible(key);
  return safe === key || key.startsWith("=") ? safe : `=${visible(JSON.stringify(key))}`;
}

/** Text without what a terminal would act on, escaped as in JSON. */
function visible(text: string): string {
  return text.replace(
    /[\p{C}\u2028\u2029]/gu,
    (char) =>
      Array.from({ length: char.length }, (_, i) => `\\u${char.charCodeAt(i).toString(16).padStart(4, "0")}`)
        .join(""),
  );
}

const SIZES: [string, number][] = [["TB", 1e12], ["GB", 1e9], ["MB", 1e6], ["kB", 1e3]];
const SPANS: [string, number][] = [["d", 86_400_000], ["h", 3_600_000], ["m", 60_000], ["s", 1000]];

function bytes(count: number): string {
  const [unit, size] = SIZES.find(([, size]) => count >= size) ?? ["B", 1];
  return `${size === 1 ? count : (count / size).toFixed(1)} ${unit}`;
}

function span(milliseconds: number): string {
  const [unit, length] = SPANS.find(([, length]) => milliseconds >= length) ?? ["s", 1000];
  return `${Math.max(0, Math.floor(milliseconds / length))}${unit}`;
}

/** Bytes of a file, or of all files in a folder. */
function bytesBelow(path: string): number {
  if (fileKind(path) !== "folder") return fileState(path)?.size ?? 0;
  return listFolder(path).reduce(
    (sum, { name, kind }) => sum + (kind === "file" ? fileState(`${path}/${name}`)?.size ?? 0 : 0),
    0,
  );
}

async function print(text: string | Uint8Array): Promise<void> {
  await stdout.write(text).catch((error) => {
    if (error.code !== "EPIPE") throw error; // the reader has seen enough
  });
}

function say(message: string): void {
  stderr.write(`pathos cache: ${message}\n`);
}
