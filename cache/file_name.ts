/**
 * Texts of keys as names of files, reversibly: small letters, digits, "-", "_" and "." (not first) stand for themselves, all
 * else is percent and two hexadecimal digits for every byte of UTF-8. So no two keys share a name where large and small
 * letters are the same, nor where accents are decomposed, and no name is one that Windows reserves. A name that would be
 * longer than 200 characters is "~" and a hash: whoever writes the file keeps the text inside.
 */
import { sha256 } from "../serialize/wire.ts";

/** The longest name, which leaves room for an ending and for `writeFile`'s neighbour. */
const LONGEST = 200;
const RESERVED = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/;
const encoder = new TextEncoder();

/** The name of a key's file, from 1 to 200 characters of ASCII. */
export function textToFileName(text: string): string {
  const plain = /^[a-z0-9_-][a-z0-9._-]*$/.test(text);
  const name = plain ? text : escape(text);
  if (name.length > LONGEST) return `~${sha256(text)}`;
  return RESERVED.test(name) ? percent(name.charCodeAt(0)) + name.slice(1) : name;
}

function escape(text: string): string {
  if (text === "") return "%";
  if (text.length > LONGEST) return text; // too long already; it is hashed
  let name = "";
  for (const byte of encoder.encode(text)) {
    const char = String.fromCharCode(byte);
    name += /[a-z0-9_-]/.test(char) || (char === "." && name !== "") ? char : percent(byte);
  }
  return name;
}

function percent(byte: number): string {
  return `%${byte.toString(16).padStart(2, "0")}`;
}
