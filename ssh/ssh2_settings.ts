/**
 * What the ssh2 backend needs to know of a host. npm:ssh2 reads no ssh_config, so where there is an ssh
 * program it is asked what it would do (`ssh -G`, which connects to nothing): aliases, `Match`, `Include`, users,
 * ports, keys, known_hosts files, jump hosts and proxy commands then mean what they mean to ssh. Without one
 * the host's name is taken literally, with ssh's own defaults.
 */
import { builtin, env, spawn } from "../runtime/mod.ts";
import { SshError } from "./connection.ts";
import type { Host } from "./host.ts";

/** How to reach a host and prove who is who. */
export interface Settings {
  hostname: string;
  port: number;
  user: string;
  /** The name that known_hosts files list it under, if not the usual one. */
  hostKeyAlias?: string;
  /** known_hosts files; a new key is added to the first. */
  knownHosts: string[];
  /** Whether the key of a host that is not known yet is accepted and added. */
  acceptNew: boolean;
  /** Whether names are added in their hashed form. */
  hashNew: boolean;
  /** Private key files to try. */
  identities: string[];
  /** Whether the agent's other keys are left alone. */
  identitiesOnly: boolean;
  /** Socket of the agent. */
  agent?: string;
  /** Jump hosts, the first one to connect to first. */
  jumps: string[];
  proxyCommand?: string;
}

const DEFAULT_IDENTITIES = ["id_ed25519", "id_ecdsa", "id_rsa"];

/**
 * Finds out.
 *
 * @throws {SshError} `"setup"` if ssh refuses the configuration, or a configuration is given and there is no ssh.
 */
export async function settingsOf(host: Host): Promise<Settings> {
  const said = await askSsh(host);
  if (said === undefined && host.config !== undefined) {
    throw new SshError(
      `${host.name}: only an ssh program can read ${host.config}, and there is none here; install one, ` +
        `or give user, port and identity instead`,
      { failure: "setup", host: host.name },
    );
  }
  const all = (key: string) => said?.get(key) ?? [];
  const one = (key: string): string | undefined => {
    const [value] = all(key);
    return value === "none" ? undefined : value;
  };
  const { homedir, username } = person();
  const hostname = one("hostname") ?? host.hostname;
  const port = Number(one("port") ?? host.port ?? 22);
  const user = one("user") ?? host.user ?? username;
  const tokens = { "%": "%", d: homedir, h: hostname, n: host.hostname, p: `${port}`, r: user, u: username };
  const expand = (text: string) =>
    text.replace(/^~(?=\/)/, () => homedir).replace(
      /%([%dhnpru])/g,
      (_, key: keyof typeof tokens) => tokens[key],
    );
  const files = (key: string) =>
    all(key).flatMap((text) => text.split(" ")).filter((file) => file && file !== "none").map(expand);
  const named = host.identity.map(expand);
  const home = (name: string) => `${homedir}/.ssh/${name}`;
  const agent = one("identityagent") ?? (all("identityagent").length > 0 ? undefined : "SSH_AUTH_SOCK");
  const socket = host.agent ?? (agent === "SSH_AUTH_SOCK" ? env("SSH_AUTH_SOCK") : agent && expand(agent));
  const alias = one("hostkeyalias");
  const proxyCommand = one("proxycommand");
  return {
    hostname,
    port,
    user,
    ...(alias !== undefined && { hostKeyAlias: alias }),
    knownHosts: host.knownHosts !== undefined
      ? [expand(host.knownHosts)]
      : said
      ? [...files("userknownhostsfile"), ...files("globalknownhostsfile")]
      : [home("known_hosts"), home("known_hosts2"), "/etc/ssh/ssh_known_hosts"],
    acceptNew: host.acceptNew ||
      ["accept-new", "no", "off", "false"].includes(one("stricthostkeychecking") ?? ""),
    hashNew: one("hashknownhosts") === "yes",
    identities: named.length > 0 && !said ? named : [
      ...new Set([...named, ...said ? all("identityfile").map(expand) : DEFAULT_IDENTITIES.map(home)]),
    ],
    identitiesOnly: named.length > 0 || one("identitiesonly") === "yes",
    ...(socket && { agent: socket }),
    jumps: one("proxyjump")?.split(",") ?? [],
    ...(proxyCommand !== undefined && { proxyCommand: expand(proxyCommand) }),
  };
}

function person(): { homedir: string; username: string } {
  const os = builtin<{ homedir(): string; userInfo(): { username: string } }>("node:os");
  return { homedir: os.homedir(), username: env("USER") ?? os.userInfo().username };
}

/** What `ssh -G` says, values by keyword; undefined where there is no ssh to ask. */
function askSsh(host: Host): Promise<Map<string, string[]> | undefined> {
  return new Promise((resolve, reject) => {
    let stdout = "", stderr = "";
    const decoder = new TextDecoder();
    const text = (bytes: Uint8Array) => decoder.decode(bytes, { stream: true });
    let child;
    try {
      child = spawn("ssh", ["-G", ...argumentsFor(host), "--", host.hostname], {}, {
        stdout: (bytes) => void (stdout += text(bytes)),
        stderr: (bytes) => void (stderr += text(bytes)),
        exit({ code }) {
          clearTimeout(timer);
          if (code === 0) return resolve(parse(stdout));
          const message = `${host.name}: ssh does not accept its configuration: ${stderr.trim()}`;
          reject(new SshError(message, { failure: "setup", host: host.name }));
        },
      });
    } catch {
      return resolve(undefined); // no ssh program, or not permitted to run one
    }
    child.closeInput();
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      const message =
        `${host.name}: ssh did not read its configuration within ${host.connectTimeout} ms; does a ` +
        `"Match exec" in it wait for something?`;
      reject(new SshError(message, { failure: "timeout", host: host.name }));
    }, host.connectTimeout);
  });
}

function argumentsFor({ config, port, user, identity, options }: Host): string[] {
  return [
    ...identity.flatMap((file) => ["-i", file]), // in place of the usual ones
    ...config === undefined ? [] : ["-F", config],
    ...port === undefined ? [] : ["-p", `${port}`],
    ...user === undefined ? [] : ["-l", user],
    ...Object.entries(options).flatMap(([key, value]) => ["-o", `${key}=${value}`]),
  ];
}

function parse(text: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const [, key, value] = /^(\S+) (.*)$/.exec(line) ?? [];
    if (key) found.set(key, [...found.get(key) ?? [], value]);
  }
  return found;
}
