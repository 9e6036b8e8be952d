/**
 * Whether a host is the one it should be, for the ssh2 backend: which kinds of keys it is asked for, and what is
 * thought of the one that it shows. Fails closed. What npm:ssh2 or the runtime's cryptography cannot do is not
 * offered to the host (compression, the curve P-521 in Deno) or refused in words (certificate authorities).
 */
import { builtin } from "../runtime/mod.ts";
import { SshError } from "./connection.ts";
import type { Host } from "./host.ts";
import {
  addKnownKey,
  fingerprint,
  judgeHostKey,
  knownHostName,
  type KnownKey,
  knownKeys,
} from "./known_hosts.ts";
import type { Settings } from "./ssh2_settings.ts";

const KEY_EXCHANGES = [
  "curve25519-sha256",
  "curve25519-sha256@libssh.org",
  "ecdh-sha2-nistp256",
  "ecdh-sha2-nistp384",
  "ecdh-sha2-nistp521",
  "diffie-hellman-group-exchange-sha256",
  "diffie-hellman-group14-sha256",
  "diffie-hellman-group15-sha512",
  "diffie-hellman-group16-sha512",
  "diffie-hellman-group17-sha512",
  "diffie-hellman-group18-sha512",
];

const HOST_KEYS = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "rsa-sha2-512",
  "rsa-sha2-256",
  "ssh-rsa",
];

/** The name that known_hosts files list a host under. */
export function nameOf({ hostname, port, hostKeyAlias }: Settings): string {
  return hostKeyAlias ?? knownHostName(hostname, port);
}

/** What is offered: what this runtime can do, and for host keys first the types that are known. */
export function offer(known: readonly KnownKey[]): Record<string, string[]> {
  const usable = hasP521() ? () => true : (name: string) => !name.endsWith("nistp521");
  const types = new Set(known.filter((line) => line.marker === undefined).map((line) => line.type));
  const isKnown = (name: string) => types.has(name.startsWith("rsa-") ? "ssh-rsa" : name);
  return {
    kex: KEY_EXCHANGES.filter(usable),
    serverHostKey: [...HOST_KEYS.filter(isKnown), ...HOST_KEYS.filter((name) => !isKnown(name))].filter(
      usable,
    ),
    compress: ["none"], // Deno cannot run the compression of ssh2
  };
}

function hasP521(): boolean {
  try {
    builtin<{ createECDH(curve: string): unknown }>("node:crypto").createECDH("secp521r1");
    return true;
  } catch {
    return false; // Deno: "invalid curve"
  }
}

/** Why the key that a host showed is not good enough; undefined if it is, or is now. */
export function judge(
  host: Host,
  settings: Settings,
  known: KnownKey[],
  key: Uint8Array,
): SshError | undefined {
  const name = nameOf(settings);
  const refuse = (message: string) =>
    new SshError(`${host.name}: ${message}`, { failure: "host-key", host: host.name });
  const print = fingerprint(key);
  const at = ({ file, line }: KnownKey) => `${file}:${line}`;
  const verdict = judgeHostKey(known, key);
  switch (verdict.status) {
    case "known":
      return undefined;
    case "revoked":
      return refuse(`its key ${print} is revoked by ${at(verdict.line)}`);
    case "changed":
      return refuse(
        `its key is not the one that ${
          at(verdict.line)
        } knows but ${print}: somebody may be listening in, or ` +
          `the host was installed anew. If its administrator confirms the new key, remove that line`,
      );
  }
  // as ssh does: a key that is known for the name without the port will do
  if (settings.hostKeyAlias === undefined && settings.port !== 22) {
    const anyPort = judgeHostKey(knownKeys(settings.knownHosts, knownHostName(settings.hostname, 22)), key);
    if (anyPort.status === "known") return undefined;
    if (anyPort.status === "revoked") return refuse(`its key ${print} is revoked by ${at(anyPort.line)}`);
  }
  const authority = verdict.others.find((line) => line.marker === "cert-authority");
  const other = verdict.others.find((line) => line.marker === undefined);
  if (settings.acceptNew && !other) {
    const [file] = settings.knownHosts;
    try {
      addKnownKey(file, name, key, settings.hashNew);
      return undefined;
    } catch (cause) {
      return refuse(`its new key cannot be remembered in ${file}: ${(cause as Error).message}`);
    }
  }
  if (authority) {
    return refuse(
      `${at(authority)} wants its key certified, which only the OpenSSH client can check: ` +
        `use transport "openssh"`,
    );
  }
  const port = settings.port === 22 ? "" : `-p ${settings.port} `;
  const how = `If ${print} is right, connect once with ssh, add the line of ` +
    `"ssh-keyscan ${port}${settings.hostname}" to ${settings.knownHosts[0]}, or set acceptNew`;
  return refuse(
    other
      ? `it shows a key of another type than ${at(other)} knows (${other.type}). ${how}`
      : `its key is not known: no line of ${settings.knownHosts.join(", ")} names ${name}. ${how}`,
  );
}
