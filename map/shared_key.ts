/**
 * The key that servers and pools on a network segment share, and what is done with it. The text a person chose is
 * stretched once (scrypt, some 100 ms): who records what crosses the network and tries keys pays that for each. It
 * is held in closures only, so that nothing that prints an object shows it.
 */
import { builtin, env } from "../runtime/mod.ts";

/** Bytes of a key, of an authentication code, and of a nonce. */
export const KEY_BYTES = 32;
/** Bytes of a tag of ChaCha20-Poly1305, and of what makes each message's encryption differ. */
export const TAG_BYTES = 16;
export const IV_BYTES = 12;
/** Names the file with the key, for who does not give it. */
const KEY_FILE = "PATHOS_KEY_FILE";

/** A shared key. */
export interface SharedKey {
  /** A key for one purpose: who knows it knows nothing of this one or of others. */
  derive(purpose: string, salt?: Uint8Array): Uint8Array;
}

interface Cipher {
  update(bytes: Uint8Array): Uint8Array;
  final(): Uint8Array;
  getAuthTag(): Uint8Array;
  setAuthTag(tag: Uint8Array): void;
}

interface Crypto {
  createCipheriv(name: string, key: Uint8Array, iv: Uint8Array, options: { authTagLength: number }): Cipher;
  createDecipheriv: Crypto["createCipheriv"];
  createHmac(name: string, key: Uint8Array): { update(bytes: Uint8Array): { digest(): Uint8Array } };
  hkdfSync(
    name: string,
    key: Uint8Array,
    salt: Uint8Array,
    info: string,
    length: number,
  ): ArrayBuffer;
  scryptSync(text: string, salt: string, length: number, options: Record<string, number>): Uint8Array;
}

const nodeCrypto = (): Crypto => builtin<Crypto>("node:crypto");

/**
 * The key given, or else the one in the file that `$PATHOS_KEY_FILE` names.
 *
 * @throws {TypeError} If there is none.
 * @throws {RangeError} If it is too short.
 * @throws {Error} If the file cannot be read, or others can read it.
 */
export function sharedKey(given: string | undefined): SharedKey {
  const file = env(KEY_FILE);
  if (given === undefined && !file) {
    throw new TypeError(
      `servers find each other by a shared key, and there is none: give the option key (--key-file on a command line), or name a file in $${KEY_FILE}`,
    );
  }
  const text = given ?? readKeyFile(file!);
  if (typeof text !== "string") throw new TypeError("the key must be a string");
  if (new TextEncoder().encode(text).byteLength < 16) {
    throw new RangeError(
      "the key must have at least 16 characters, best random ones (openssl rand -base64 32): " +
        "who knows it can run code on every server that shares it",
    );
  }
  let stretched: Uint8Array | undefined;
  return {
    derive(purpose, salt = new Uint8Array(KEY_BYTES)) {
      const { hkdfSync, scryptSync } = nodeCrypto();
      stretched ??= scryptSync(text, "pathos autodetect 1", KEY_BYTES, { N: 1 << 14, r: 8, p: 1 });
      return new Uint8Array(hkdfSync("sha256", stretched, salt, `pathos ${purpose}`, KEY_BYTES));
    },
  };
}

/**
 * The key in a file: its text without white space around it.
 *
 * @throws {Error} If it cannot be read, or others than its owner can read it.
 */
export function readKeyFile(path: string): string {
  const { readFileSync, statSync } = builtin<{
    readFileSync(path: string, encoding: "utf8"): string;
    statSync(path: string): { mode: number };
  }>("node:fs");
  let text: string;
  let mode: number;
  try {
    mode = statSync(path).mode;
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new Error(`the key file ${path} cannot be read: ${(error as Error).message}`);
  }
  if ((mode & 0o077) !== 0) throw new Error(`others can read the key in ${path}: chmod 600 ${path}`);
  return text.trim();
}

/** Code that shows that these bytes come from who has the key. */
export function codeOf(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  return nodeCrypto().createHmac("sha256", key).update(bytes).digest();
}

/** Encrypts (ChaCha20-Poly1305, which both runtimes do fast). Gives the bytes and a tag. Never use an `iv` twice with a key. */
export function encrypt(key: Uint8Array, iv: Uint8Array, bytes: Uint8Array): [Uint8Array, Uint8Array] {
  const cipher = nodeCrypto().createCipheriv("chacha20-poly1305", key, iv, { authTagLength: TAG_BYTES });
  const hidden = cipher.update(bytes);
  cipher.final(); // empty: the mode has no blocks to fill
  return [hidden, cipher.getAuthTag()];
}

/**
 * Decrypts what {@linkcode encrypt} made, tag included.
 *
 * @throws {Error} If it is not what was encrypted with this key and `iv`.
 */
export function decrypt(key: Uint8Array, iv: Uint8Array, sealed: Uint8Array): Uint8Array {
  const cipher = nodeCrypto().createDecipheriv("chacha20-poly1305", key, iv, { authTagLength: TAG_BYTES });
  const end = sealed.byteLength - TAG_BYTES;
  if (end < 0) throw new Error("too short to be encrypted");
  cipher.setAuthTag(sealed.subarray(end));
  const bytes = cipher.update(sealed.subarray(0, end));
  cipher.final();
  return bytes;
}

/** Random bytes. */
export function randomBytes(length: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(length));
}
