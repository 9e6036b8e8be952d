/**
 * Where to connect to, and how: an immutable value. It is written as ssh users write it (`"alias"`,
 * `"user@host:port"`, `"[::1]:22"`, `"ssh://user@host:22"`) or as options, and checked at once, so that no
 * name can pass for an option of the ssh program. Nothing is looked up here: what an alias of ssh_config means,
 * ssh itself decides; {@linkcode Host.from} knows those of hosts.yaml.
 */
import { lookUp } from "./hosts_file.ts";

/** A question of the host during keyboard-interactive authentication. */
export interface Prompt {
  /** What the host asks. */
  text: string;
  /** Whether the answer may be shown while it is typed. */
  echo: boolean;
}

/** A secret, or what fetches it when it is needed. */
export type Secret = string | (() => string | Promise<string>);

/** What a {@linkcode Host} can say. All but `host` is optional, and what is absent ssh_config decides. */
export interface HostOptions {
  /** Name, address or alias, or any of the written forms. */
  host: string;
  /** What it is called in messages. Default: as it was written. */
  name?: string;
  /** Who to log in as. */
  user?: string;
  /** TCP port. */
  port?: number;
  /**
   * Which client speaks ssh. Default: `"ssh2"` (npm:ssh2) where a password, passphrase or prompt is given or there
   * is no ssh program, else `"openssh"`.
   */
  transport?: "openssh" | "ssh2";
  /** An ssh_config file to use in place of the user's and the system's (`ssh -F`). */
  config?: string;
  /** Private key files to offer. */
  identity?: string | readonly string[];
  /** File of known host keys in place of the user's. */
  knownHosts?: string;
  /** Accept the key of a host that was never seen and remember it; a changed key is refused always. Default: false. */
  acceptNew?: boolean;
  /** More ssh_config settings (`ssh -o`); the OpenSSH client only. */
  options?: Readonly<Record<string, string>>;
  /** Variables for every command there. */
  env?: Readonly<Record<string, string>>;
  /** How many workers a pool runs there. Default: one for each core. */
  workers?: number;
  /** Path of `deno` or `node` there. Default: found through the PATH there, and in the usual places. */
  runtime?: string;
  /** Command line that a worker's is appended to, such as `"nice -n 10"`. */
  launcher?: string;
  /** Milliseconds within which a connection must be ready. Default: 15,000. */
  connectTimeout?: number;
  /** Password; with npm:ssh2 only. */
  password?: Secret;
  /** What the private key is encrypted with; with npm:ssh2 only, as OpenSSH asks its agent. */
  passphrase?: Secret;
  /** Answers keyboard-interactive questions; with npm:ssh2 only. */
  prompt?: (prompts: readonly Prompt[]) => readonly string[] | Promise<readonly string[]>;
  /** Socket of the agent. Default: `$SSH_AUTH_SOCK`. */
  agent?: string;
}

const TEXTS = ["name", "user", "config", "knownHosts", "runtime", "launcher", "agent"] as const;
const SECRETS = ["password", "passphrase", "prompt"] as const;
const KNOWN: ReadonlySet<string> = new Set<keyof HostOptions>([
  "host",
  "port",
  "transport",
  "identity",
  "acceptNew",
  "options",
  "env",
  "workers",
  "connectTimeout",
  ...TEXTS,
  ...SECRETS,
]);

let count = 0;

/**
 * A host, and how to connect to it. Immutable; secrets in it are shown neither by inspection nor as JSON.
 *
 * @example
 * ```ts
 * import { Host } from "@pathos/pathos/ssh";
 * import { assertEquals } from "@std/assert";
 *
 * const host = new Host("me@cluster.example:2222");
 * assertEquals([host.user, host.hostname, host.port], ["me", "cluster.example", 2222]);
 * assertEquals(host.with({ port: 22 }).toString(), "me@cluster.example:22");
 * ```
 */
export class Host {
  /** What it is called in messages: as it was written, unless `name` was given. */
  readonly name: string;
  /** Name, address or alias, without user and port. */
  readonly hostname: string;
  /** Who to log in as; undefined leaves it to ssh_config. */
  readonly user?: string;
  /** TCP port; undefined leaves it to ssh_config. */
  readonly port?: number;
  /** Which client speaks ssh; undefined chooses. */
  readonly transport?: "openssh" | "ssh2";
  /** The ssh_config file to use in place of the user's. */
  readonly config?: string;
  /** Private key files to offer. */
  readonly identity: readonly string[];
  /** File of known host keys in place of the user's. */
  readonly knownHosts?: string;
  /** Whether the key of a host that was never seen is accepted. */
  readonly acceptNew: boolean;
  /** More ssh_config settings. */
  readonly options: Readonly<Record<string, string>>;
  /** Variables for every command there. */
  readonly env: Readonly<Record<string, string>>;
  /** How many workers a pool runs there. */
  readonly workers?: number;
  /** Path of `deno` or `node` there. */
  readonly runtime?: string;
  /** Command line that a worker's is appended to. */
  readonly launcher?: string;
  /** Milliseconds within which a connection must be ready. */
  readonly connectTimeout: number;
  /** Socket of the agent; undefined is `$SSH_AUTH_SOCK`. */
  readonly agent?: string;
  readonly #secrets: Pick<HostOptions, typeof SECRETS[number]> = {};
  readonly #key: string;

  /**
   * Makes one from what the user wrote, or from options.
   *
   * @throws {TypeError} If it cannot be a host: an empty name, one beginning with `-`, spaces, a port that is none.
   */
  constructor(host: string | HostOptions) {
    const given: HostOptions = typeof host === "string" ? { host } : host;
    for (const key of Object.keys(given)) {
      if (!KNOWN.has(key)) {
        throw new TypeError(`host: there is no option "${key}"; the options are ${[...KNOWN].join(", ")}`);
      }
    }
    if (typeof given.host !== "string") throw new TypeError("host: its name is missing");
    const written = parse(given.host);
    this.hostname = checkedWord(written.hostname, "host name");
    this.user = optional(given.user ?? written.user, (user) => checkedWord(user, "user name"));
    this.port = optional(given.port ?? written.port, (port) => checkedInteger(port, "port", 1, 65_535));
    this.name = given.name ?? given.host;
    this.transport = given.transport;
    if (given.transport !== undefined && given.transport !== "openssh" && given.transport !== "ssh2") {
      throw new TypeError(`${this.name}: transport is "openssh" or "ssh2", not "${given.transport}"`);
    }
    for (const key of TEXTS) {
      const value = given[key];
      if (value !== undefined && (typeof value !== "string" || value === "" || /\p{Cc}/u.test(value))) {
        throw new TypeError(`${this.name}: ${key} is empty, no text, or has control characters in it`);
      }
    }
    this.config = given.config;
    this.identity = Object.freeze(
      typeof given.identity === "string" ? [given.identity] : [...given.identity ?? []],
    );
    this.knownHosts = given.knownHosts;
    this.acceptNew = given.acceptNew ?? false;
    this.options = Object.freeze({ ...given.options });
    for (const [key, value] of Object.entries(this.options)) {
      if (!/^[A-Za-z0-9]+$/.test(key) || /[\0\r\n]/.test(value)) {
        throw new TypeError(
          `${this.name}: "${key}" is no ssh_config setting, or its value has a line end in it`,
        );
      }
    }
    this.env = Object.freeze({ ...given.env });
    checkEnv(this.env, this.name);
    this.workers = optional(given.workers, (n) => checkedInteger(n, "workers", 0, 100_000));
    this.runtime = given.runtime;
    this.launcher = given.launcher;
    this.connectTimeout = checkedInteger(given.connectTimeout ?? 15_000, "connectTimeout", 1, 2 ** 31 - 1);
    this.agent = given.agent;
    for (const key of SECRETS) {
      if (given[key] !== undefined) Object.assign(this.#secrets, { [key]: given[key] });
    }
    const secret = Object.keys(this.#secrets).length > 0 ? ++count : 0; // equal secrets are not looked for
    const { name: _, workers: _w, runtime: _r, launcher: _l, env: _e, ...identity } = this;
    this.#key = JSON.stringify([identity, secret]);
    Object.freeze(this);
  }

  /**
   * As the constructor, but an alias of hosts.yaml brings the settings it has there. A Host is returned as it is.
   *
   * @throws {TypeError} As the constructor, and if the alias has a setting there that is unknown or wrong.
   */
  static from(host: string | HostOptions | Host): Host {
    if (host instanceof Host) return host;
    const given: HostOptions = typeof host === "string" ? { host } : host;
    const profile = typeof given.host === "string" ? lookUp(given.host) : undefined;
    if (!profile) return new Host(given);
    const { host: alias, ...changes } = given;
    return new Host({ ...profile, name: alias, ...changes });
  }

  /** The password, or what fetches it. */
  get password(): Secret | undefined {
    return this.#secrets.password;
  }

  /** What the private key is encrypted with. */
  get passphrase(): Secret | undefined {
    return this.#secrets.passphrase;
  }

  /** Answers keyboard-interactive questions. */
  get prompt(): HostOptions["prompt"] {
    return this.#secrets.prompt;
  }

  /** Equal for hosts that can share a connection: the same place, reached in the same way. */
  get key(): string {
    return this.#key;
  }

  /** A host like this one, but for the changes; `undefined` takes a setting away. */
  with(changes: Partial<HostOptions>): Host {
    const { hostname, ...settings } = this;
    const elsewhere = "host" in changes || "user" in changes || "port" in changes;
    const merged = { ...settings, ...this.#secrets, host: bracketed(hostname), ...changes };
    const given = Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== undefined));
    const made = new Host(given as unknown as HostOptions);
    return elsewhere && changes.name === undefined
      ? new Host({ ...given, host: bracketed(made.hostname), name: `${made}` })
      : made;
  }

  /** `"user@host:port"`, without what is not set. */
  toString(): string {
    const user = this.user === undefined ? "" : `${this.user}@`;
    return `${user}${bracketed(this.hostname)}${this.port === undefined ? "" : `:${this.port}`}`;
  }
}

function parse(text: string): { hostname: string; user?: string; port?: number } {
  const url = /^ssh:\/\/(.*?)\/?$/s.exec(text);
  const rest = url ? url[1] : text;
  const at = rest.lastIndexOf("@");
  const user = at < 0 ? undefined : rest.slice(0, at);
  const place = rest.slice(at + 1);
  const brackets = /^\[([^\]]*)\](?::(.*))?$/s.exec(place);
  const colons = place.split(":").length - 1;
  // several colons without brackets are an IPv6 address, which has no room for a port
  const [, hostname, port] = brackets ??
    (colons === 1 ? /^(.*):(.*)$/s.exec(place)! : [place, place, undefined]);
  if (port !== undefined && !/^\d+$/.test(port)) {
    throw new TypeError(`${JSON.stringify(text)}: the port after the colon is no number`);
  }
  return { hostname, user, port: port === undefined ? undefined : Number(port) };
}

function bracketed(hostname: string): string {
  return hostname.includes(":") ? `[${hostname}]` : hostname;
}

/** A name that ssh takes for a name: not for an option, and without anything that a config file or shell reads. */
function checkedWord(word: string, what: string): string {
  if (typeof word !== "string" || word === "") throw new TypeError(`host: the ${what} is empty`);
  // what ssh itself refuses in names since 2023: they may end in a ProxyCommand's shell
  if (word.startsWith("-") || /[\s\p{Cc}'"`$;&<>|(){}\\!*?#]/u.test(word)) {
    throw new TypeError(
      `${
        JSON.stringify(word)
      } cannot be a ${what}: it begins with "-", or has spaces or special characters in it`,
    );
  }
  return word;
}

function checkedInteger(value: number, what: string, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new TypeError(`host: ${what} is ${value}, not a whole number from ${least} to ${most}`);
}

function optional<T, R>(value: T | undefined, check: (value: T) => R): R | undefined {
  return value === undefined ? undefined : check(value);
}

/**
 * @throws {TypeError} If a variable's name is none, or its value cannot be one.
 */
export function checkEnv(env: Readonly<Record<string, string>>, where: string): void {
  for (const [name, value] of Object.entries(env)) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      throw new TypeError(`${where}: ${JSON.stringify(name)} cannot be the name of a variable`);
    }
    if (typeof value !== "string" || value.includes("\0")) {
      throw new TypeError(`${where}: the variable ${name} is no text, or has a NUL character in it`);
    }
  }
}
