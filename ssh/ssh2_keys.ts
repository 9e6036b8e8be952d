/**
 * Private key files for the ssh2 backend, in every format that ssh-keygen and OpenSSL write: OpenSSH's own,
 * PEM and PKCS#8, encrypted or not; RSA, ECDSA and Ed25519. npm:ssh2 itself reads no PKCS#8, and hands some
 * of the rest to the runtime in a form that Deno refuses, so keys are read and signed with here by
 * `node:crypto`. The public half of an encrypted OpenSSH file is told without its passphrase, which is asked
 * for only when a host accepts the key.
 */
import { builtin } from "../runtime/mod.ts";
import type { Ssh2 } from "./ssh2_types.ts";

type Jwk = Record<"crv" | "x" | "y" | "n" | "e", string>;

interface KeyObject {
  asymmetricKeyType: string;
  export(options: { format: "jwk" }): Jwk;
}

interface Crypto {
  createPrivateKey(options: { key: string; format: "pem"; passphrase?: string }): KeyObject;
  createPublicKey(key: KeyObject): KeyObject;
  sign(hash: string | null, data: Uint8Array, key: KeyObject): Uint8Array;
}

const crypto = () => builtin<Crypto>("node:crypto");

/** A private key, opened. */
export interface PrivateKey {
  /** The public half in ssh's wire format. */
  publicKey: Uint8Array;
  /** Signs; `hash` is for RSA alone, the other types have theirs. */
  sign(data: Uint8Array, hash?: string): Uint8Array;
}

/** Thrown by {@linkcode openKey} for a key that is encrypted, when no passphrase was given. */
export class PassphraseNeeded extends Error {}

/**
 * Opens a private key.
 *
 * @throws {PassphraseNeeded} If it is encrypted and no passphrase was given.
 * @throws {Error} If the passphrase is wrong, or the text is no key that can be used.
 */
export function openKey(text: string, passphrase: string | undefined, ssh2: Ssh2): PrivateKey {
  if (passphrase === undefined && isEncrypted(text)) throw new PassphraseNeeded("it is encrypted");
  const pem = text.includes("BEGIN OPENSSH PRIVATE KEY") ? fromOpenSsh(text, passphrase, ssh2) : text;
  const key = crypto().createPrivateKey({ key: pem, format: "pem", passphrase: passphrase ?? "" });
  const { publicKey, hash } = describe(key);
  return {
    publicKey,
    sign: (data, rsaHash) => crypto().sign(hash === "rsa" ? rsaHash ?? "sha1" : hash, data, key),
  };
}

/** The public half of a private key file in OpenSSH's format, which is readable even when the file is encrypted. */
export function publicHalf(text: string): Uint8Array | undefined {
  const body = openSshBody(text);
  if (!body) return undefined;
  const { read, skip } = reader(body, MAGIC.length);
  read(); // cipher
  read(); // key derivation
  read(); // its options
  skip(4); // number of keys, always 1
  return read();
}

const MAGIC = "openssh-key-v1\0";

function openSshBody(text: string): Uint8Array | undefined {
  const match = /-----BEGIN OPENSSH PRIVATE KEY-----([\s\S]+?)-----END/.exec(text);
  return match ? fromBase64(match[1].replace(/\s/g, "")) : undefined;
}

function isEncrypted(text: string): boolean {
  const body = openSshBody(text);
  if (body) return new TextDecoder().decode(reader(body, MAGIC.length).read()) !== "none";
  return /BEGIN ENCRYPTED PRIVATE KEY|^Proc-Type: 4,ENCRYPTED/m.test(text);
}

function fromOpenSsh(text: string, passphrase: string | undefined, ssh2: Ssh2): string {
  const parsed = ssh2.utils.parseKey(text, passphrase);
  if (parsed instanceof Error) throw parsed;
  const pem = parsed.getPrivatePEM();
  if (pem === null) throw new Error("it holds no private key");
  return pem.includes("BEGIN EC PRIVATE KEY") ? exactScalar(pem, parsed.type) : pem;
}

/**
 * The same elliptic curve key with a private scalar of exactly the curve's length. OpenSSH stores it as a
 * signed number, one byte longer or some shorter; ssh2 passes that on as it is, and Deno refuses it.
 */
function exactScalar(pem: string, type: string): string {
  const size = { "ecdsa-sha2-nistp256": 32, "ecdsa-sha2-nistp384": 48, "ecdsa-sha2-nistp521": 66 }[type];
  if (!size) throw new Error(`keys of type ${type} are not supported`);
  const der = fromBase64(pem.replace(/-----[^-]+-----|\s/g, ""));
  // SEQUENCE { INTEGER 1, OCTET STRING scalar, [0] curve, [1] public key }
  const at = (der[1] < 0x80 ? 2 : 2 + (der[1] & 0x7f)) + 3;
  const stored = der.subarray(at + 2, at + 2 + der[at + 1]);
  const scalar = new Uint8Array(size);
  const digits = stored.subarray(Math.max(0, stored.length - size));
  scalar.set(digits, size - digits.length);
  const rest = der.subarray(at + 2 + stored.length);
  const content = [2, 1, 1, 4, size, ...scalar, ...rest];
  const length = content.length < 0x80 ? [content.length] : [0x81, content.length];
  const body = btoa(String.fromCharCode(0x30, ...length, ...content)).replace(/.{64}/g, "$&\n");
  return `-----BEGIN EC PRIVATE KEY-----\n${body}\n-----END EC PRIVATE KEY-----\n`;
}

/** The public half in ssh's wire format (RFC 4253, 5656, 8709), and the hash to sign with. */
function describe(key: KeyObject): { publicKey: Uint8Array; hash: string | null } {
  const jwk = crypto().createPublicKey(key).export({ format: "jwk" });
  const number = (text: string) => {
    const bytes = fromBase64(text);
    return bytes[0] >= 0x80 ? new Uint8Array([0, ...bytes]) : bytes;
  };
  switch (key.asymmetricKeyType) {
    case "rsa":
      return { publicKey: wire("ssh-rsa", number(jwk.e), number(jwk.n)), hash: "rsa" };
    case "ed25519":
      return { publicKey: wire("ssh-ed25519", fromBase64(jwk.x)), hash: null };
    case "ec": {
      const curve = jwk.crv.replace("P-", "nistp");
      const hash = { nistp256: "sha256", nistp384: "sha384", nistp521: "sha512" }[curve];
      if (!hash) break;
      const point = new Uint8Array([4, ...fromBase64(jwk.x), ...fromBase64(jwk.y)]);
      return { publicKey: wire(`ecdsa-sha2-${curve}`, curve, point), hash };
    }
  }
  throw new Error(`keys of type ${jwk.crv ?? key.asymmetricKeyType} are not supported`);
}

/** Strings as ssh writes them: each behind its length. */
function wire(...parts: (string | Uint8Array)[]): Uint8Array {
  const encoded = parts.map((part) => typeof part === "string" ? new TextEncoder().encode(part) : part);
  const bytes = new Uint8Array(encoded.reduce((sum, part) => sum + 4 + part.length, 0));
  let at = 0;
  for (const part of encoded) {
    new DataView(bytes.buffer).setUint32(at, part.length);
    bytes.set(part, at + 4);
    at += 4 + part.length;
  }
  return bytes;
}

function reader(bytes: Uint8Array, at: number): { read(): Uint8Array; skip(count: number): void } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    read() {
      const start = at + 4;
      at = start + view.getUint32(at);
      return bytes.subarray(start, at);
    },
    skip: (count) => void (at += count),
  };
}

/** Base64, also of the kind for addresses, which JSON web keys use. */
function fromBase64(text: string): Uint8Array {
  const plain = text.replaceAll("-", "+").replaceAll("_", "/");
  return Uint8Array.from(atob(plain), (char) => char.charCodeAt(0));
}
