/**
 * Host keys as OpenSSH's known_hosts files hold them, for the backend that has no ssh program to read them.
 * Understood: plain and hashed names, `[host]:port`, the wildcards `*` and `?`, negation, several names and
 * several files, `@revoked`, `@cert-authority` (recognized, so that it can be refused in words: certificates
 * are not checked here) and comments. A line that cannot be understood counts as not there, as for ssh.
 *
 * The check fails closed: only a key that stands in a file is `"known"`. Nothing here asks anybody; adding a
 * key is a decision of the caller.
 */
import { builtin } from "../runtime/mod.ts";

interface Crypto {
  createHash(name: string): { update(data: Uint8Array): { digest(encoding: "base64"): string } };
  createHmac(name: string, key: Uint8Array): { update(data: string): { digest(encoding: "base64"): string } };
  randomBytes(count: number): Uint8Array;
}

interface Fs {
  readFileSync(path: string, encoding: "utf8"): string;
  appendFileSync(path: string, data: string, options: { mode: number }): void;
  mkdirSync(path: string, options: { recursive: true; mode: number }): void;
}

const crypto = () => builtin<Crypto>("node:crypto");
const fs = () => builtin<Fs>("node:fs");

/** One line of a known_hosts file that names the host that was asked for. */
export interface KnownKey {
  file: string;
  /** Line number, from 1. */
  line: number;
  marker?: "revoked" | "cert-authority";
  /** Type of the key, such as `"ssh-ed25519"`. */
  type: string;
  /** The key itself, in base64 as in the file. */
  key: string;
}

/** Which key a host showed, compared with the known ones. */
export type Verdict =
  /** It stands in a file. */
  | { status: "known" }
  /** No line names this host with a key of this type; `others` are its keys of other types and certificate authorities. */
  | { status: "unknown"; others: KnownKey[] }
  /** A line holds another key of the same type. */
  | { status: "changed"; line: KnownKey }
  /** A line revokes this key. */
  | { status: "revoked"; line: KnownKey };

/** The name under which known_hosts files list a host: port 22 goes without saying. */
export function knownHostName(hostname: string, port: number): string {
  const name = hostname.toLowerCase();
  return port === 22 ? name : `[${name}]:${port}`;
}

/** All lines of the files that name the host, in order; a file that is not there has none. */
export function knownKeys(files: readonly string[], name: string): KnownKey[] {
  return files.flatMap((file) =>
    read(file).split("\n").flatMap((text, index) => {
      const parsed = parseLine(text);
      if (!parsed || !namesHost(parsed.patterns, name)) return [];
      const { marker, type, key } = parsed;
      return [{ file, line: index + 1, ...(marker && { marker }), type, key }];
    })
  );
}

/** Compares the key that a host showed (in ssh's wire format) with what is known of it. */
export function judgeHostKey(known: readonly KnownKey[], shown: Uint8Array): Verdict {
  const key = base64(shown);
  const type = keyType(shown);
  const revoked = known.find((line) => line.marker === "revoked" && line.key === key);
  if (revoked) return { status: "revoked", line: revoked };
  const plain = known.filter((line) => line.marker === undefined);
  if (plain.some((line) => line.key === key)) return { status: "known" };
  const changed = plain.find((line) => line.type === type);
  if (changed) return { status: "changed", line: changed };
  return { status: "unknown", others: known.filter((line) => line.marker !== "revoked") };
}

/** The fingerprint of a key as ssh prints it, `"SHA256:..."`. */
export function fingerprint(key: Uint8Array): string {
  return `SHA256:${crypto().createHash("sha256").update(key).digest("base64").replace(/=+$/, "")}`;
}

/** The type that a key in ssh's wire format begins with. */
export function keyType(key: Uint8Array): string {
  const length = new DataView(key.buffer, key.byteOffset, key.byteLength).getUint32(0);
  return new TextDecoder().decode(key.subarray(4, 4 + length));
}

/**
 * Adds a key to a known_hosts file by one appending write, so that others who write at the same time lose
 * nothing; the file and its folder are made, private, where they are not there.
 *
 * @throws {Error} If it cannot be written.
 */
export function addKnownKey(file: string, name: string, key: Uint8Array, hashed: boolean): void {
  const folder = file.slice(0, file.lastIndexOf("/"));
  if (folder) fs().mkdirSync(folder, { recursive: true, mode: 0o700 });
  const text = read(file);
  const gap = text === "" || text.endsWith("\n") ? "" : "\n";
  const line = `${hashed ? hashName(name) : name} ${keyType(key)} ${base64(key)}\n`;
  fs().appendFileSync(file, gap + line, { mode: 0o600 });
}

function read(file: string): string {
  try {
    return fs().readFileSync(file, "utf8");
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as { code?: string }).code ?? "")) return "";
    throw error;
  }
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

interface ParsedLine {
  marker?: KnownKey["marker"];
  patterns: string;
  type: string;
  key: string;
}

function parseLine(text: string): ParsedLine | undefined {
  const fields = text.trim().split(/[ \t]+/);
  if (fields[0] === "" || fields[0].startsWith("#")) return undefined;
  let marker: KnownKey["marker"];
  if (fields[0].startsWith("@")) {
    const name = fields.shift()!.slice(1);
    if (name !== "revoked" && name !== "cert-authority") return undefined;
    marker = name;
  }
  const [patterns, type, key] = fields;
  if (!key || !BASE64.test(key)) return undefined;
  return { ...(marker && { marker }), patterns, type, key };
}

function namesHost(patterns: string, name: string): boolean {
  if (patterns.startsWith("|")) {
    const [, method, salt, hash] = patterns.split("|");
    return method === "1" && hash !== undefined && BASE64.test(salt) && hmac(salt, name) === hash;
  }
  let found = false;
  for (const pattern of patterns.toLowerCase().split(",")) {
    const negated = pattern.startsWith("!");
    if (!wildcard(negated ? pattern.slice(1) : pattern).test(name)) continue;
    if (negated) return false;
    found = true;
  }
  return found;
}

/** Only `*` and `?` are special: the brackets of `[host]:port` stand for themselves. */
function wildcard(pattern: string): RegExp {
  const source = pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*+/g, ".*").replaceAll("?", ".");
  return new RegExp(`^${source}$`, "s");
}

function hashName(name: string): string {
  const salt = base64(crypto().randomBytes(20));
  return `|1|${salt}|${hmac(salt, name)}`;
}

function hmac(salt: string, name: string): string {
  const key = Uint8Array.from(atob(salt), (char) => char.charCodeAt(0));
  return crypto().createHmac("sha1", key).update(name).digest("base64");
}

function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}
