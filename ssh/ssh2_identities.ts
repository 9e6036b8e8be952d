/**
 * The keys to log in with: those of the agent and those of the files, each once. Files that were named for this
 * host come first, so that an agent full of other keys does not use up the host's patience; the agent signs
 * with what it holds, so that no passphrase is asked for that it was already told.
 */
import { builtin, readFile } from "../runtime/mod.ts";
import type { Host, Secret } from "./host.ts";
import { fingerprint } from "./known_hosts.ts";
import { openKey, PassphraseNeeded, publicHalf } from "./ssh2_keys.ts";
import type { Settings } from "./ssh2_settings.ts";
import type { Net, ParsedKey, Socket, Ssh2 } from "./ssh2_types.ts";

/** A key that can prove who we are. */
export interface Identity {
  /** Where it comes from, for messages. */
  source: string;
  /** The public half in ssh's wire format. */
  publicKey: Uint8Array;
  /** Signs, asking for a passphrase if need be; `hash` is for RSA. */
  sign(data: Uint8Array, hash?: string): Promise<Uint8Array>;
}

/** Collects them in the order to be tried; why one cannot be used is added to `notes`. */
export async function identities(
  ssh2: Ssh2,
  host: Host,
  settings: Settings,
  secret: (value: Secret) => Promise<string>,
  notes: string[],
): Promise<Identity[]> {
  const inAgent = settings.agent === undefined
    ? []
    : await fromAgent(ssh2, settings.agent, host.connectTimeout, notes);
  const inFiles =
    (await Promise.all(settings.identities.map((file) => fromFile(ssh2, file, host, secret, notes))))
      .flat();
  const print = ({ publicKey }: Identity) => fingerprint(publicKey);
  const held = new Map(inAgent.map((key) => [print(key), key]));
  const order = [
    ...host.identity.length > 0 ? inFiles : [],
    ...inFiles.filter((key) => held.has(print(key))),
    ...settings.identitiesOnly ? [] : inAgent,
    ...inFiles,
  ];
  const chosen = new Map<string, Identity>();
  for (const key of order) if (!chosen.has(print(key))) chosen.set(print(key), held.get(print(key)) ?? key);
  return [...chosen.values()];
}

async function fromFile(
  ssh2: Ssh2,
  file: string,
  host: Host,
  secret: (value: Secret) => Promise<string>,
  notes: string[],
): Promise<(Identity & { file: string })[]> {
  let text: string;
  try {
    text = new TextDecoder().decode(readFile(file));
  } catch (error) {
    const missing = (error as { code?: string }).code === "ENOENT";
    if (!missing || host.identity.length > 0) notes.push(`${file} cannot be read`);
    return [];
  }
  const open = async () => {
    try {
      return openKey(text, undefined, ssh2);
    } catch (error) {
      if (!(error instanceof PassphraseNeeded)) throw error;
      if (host.passphrase === undefined) throw new Error("it is encrypted, and no passphrase was given");
      const passphrase = await secret(host.passphrase);
      try {
        return openKey(text, passphrase, ssh2);
      } catch (cause) {
        throw new Error("it cannot be opened: is the passphrase right?", { cause });
      }
    }
  };
  try {
    const early = publicHalf(text);
    const publicKey = early ?? (await open()).publicKey;
    return [{ file, source: file, publicKey, sign: async (data, hash) => (await open()).sign(data, hash) }];
  } catch (error) {
    notes.push(`${file}: ${(error as Error).message}`);
    return [];
  }
}

async function fromAgent(ssh2: Ssh2, path: string, limit: number, notes: string[]): Promise<Identity[]> {
  const agent = new class extends ssh2.OpenSSHAgent {
    /** As the package's own, but an agent that does not answer is given up. */
    override getStream(done: (error: Error | null, stream?: Socket) => void): void {
      const socket = builtin<Net>("node:net").connect({ path });
      socket.setTimeout(limit, () => socket.destroy(new Error(`no answer within ${limit} ms`)));
      socket.once("connect", () => done(null, socket));
      socket.on("error", (error) => done(error));
    }
  }(path);
  try {
    const keys = await new Promise<ParsedKey[]>((resolve, reject) =>
      agent.getIdentities((error, found) => error ? reject(error) : resolve(found ?? []))
    );
    return keys.map((key) => ({
      source: `a key of the agent ${path}`,
      publicKey: key.getPublicSSH(),
      sign: (data, hash) =>
        new Promise((resolve, reject) =>
          agent.sign(
            key,
            data,
            { ...(hash && { hash }) },
            (error, signature) => error ? reject(error) : resolve(signature!),
          )
        ),
    }));
  } catch (error) {
    notes.push(`the agent at ${path} does not answer (${(error as Error).message})`);
    return [];
  }
}
