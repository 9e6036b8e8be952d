/**
 * What ssh meant: its messages, in the C locale, as an {@linkcode SshError} that says what to do. The first
 * rule that fits decides; a message that fits none counts as a host that cannot be reached.
 */
import type { Host } from "./host.ts";
import { SshError, type SshFailure } from "./connection.ts";

interface Rule {
  says: RegExp;
  failure: SshFailure;
  means(found: RegExpExecArray, host: Host, said: string): string;
}

const RULES: Rule[] = [
  {
    says: /REMOTE HOST IDENTIFICATION HAS CHANGED|host key for .* has changed/i,
    failure: "host-key",
    means(_, host, said) {
      const line = /Offending (.*) in (.*):(\d+)/.exec(said);
      const print = /(SHA256:\S+)/.exec(said)?.[1];
      return `its host key is not the known one${line ? ` (${line[2]}, line ${line[3]})` : ""}; it shows ${
        print ?? "another"
      }. ` +
        "Either the host was set up anew, or somebody is in between. If its administrator confirms that key, " +
        (line ? `remove line ${line[3]} of ${line[2]}` : `run ssh-keygen -R ${host.hostname}`) +
        " and connect again";
    },
  },
  {
    says: /Host key verification failed|No .* host key is known for|key .* revoked|No host key fingerprint/i,
    failure: "host-key",
    means: (_, host, said) =>
      /revoked/i.test(said)
        ? "its host key is marked as revoked in known_hosts"
        : `its host key is not known. Connect once by hand (ssh ${host}) and compare the key with what its ` +
          "administrator says, or set acceptNew: true to accept keys of new hosts",
  },
  {
    says: /Permission denied[^\n]*|Too many authentication failures|No more authentication methods[^\n]*/,
    failure: "authentication",
    means: (_, host) =>
      `it did not accept us${
        host.user ? ` as ${host.user}` : ""
      }. Is the public key in ~/.ssh/authorized_keys there, ` +
      'and the private key in the agent (ssh-add -l) or named by identity? A password needs transport: "ssh2"',
  },
  {
    says:
      /Bad configuration option|command-line: line \d|Bad owner or permissions|terminating, \d+ bad|Can't open user config file|percent_expand|Unsupported option/i,
    failure: "setup",
    means: () => "ssh does not accept its configuration. Check ssh_config and the host's options",
  },
  {
    says: /Could not resolve hostname|Name or service not known/i,
    failure: "unreachable",
    means: () => "its name is not known. Check the spelling, or add an alias to ~/.ssh/config",
  },
  {
    says: /Connection refused/i,
    failure: "unreachable",
    means: () => "it refuses the connection. Does sshd run there, on that port?",
  },
  {
    says: /(Timeout, server .* not responding|not responding)/i,
    failure: "unreachable",
    means: () => "the link was lost: it no longer answers",
  },
  {
    says: /timed out/i,
    failure: "timeout",
    means: () => "it does not answer. Is it up, and does a firewall let ssh through?",
  },
  {
    says: /No route to host|Network is unreachable/i,
    failure: "unreachable",
    means: () => "there is no way to it. Is the network up?",
  },
];

/** Whether the host turned us away before anything was said, as a busy sshd does (MaxStartups). */
export function turnedAway(error: unknown): boolean {
  return error instanceof SshError && error.failure === "unreachable" &&
    /kex_exchange_identification|banner exchange|Connection (reset|closed) by/i.test(error.message);
}

/** What ssh's standard error means. */
export function failureOf(host: Host, said: string, otherwise: string): SshError {
  for (const { says, failure, means } of RULES) {
    const found = says.exec(said);
    if (found) return sshError(host, failure, means(found, host, said), said);
  }
  return sshError(host, "unreachable", otherwise, said);
}

/** An error that names the host, says what is wrong, and quotes ssh. */
export function sshError(
  host: Host,
  failure: SshFailure,
  what: string,
  said = "",
  cause?: unknown,
): SshError {
  const words = said.split(/\r?\n/).map((line) => line.trim()).filter((line) =>
    line && !/^@+|^debug/.test(line)
  );
  const quoted = words.slice(-3).join("; ");
  return new SshError(
    `${host.name}: ${what}${quoted && `${/[.?]$/.test(what) ? "" : "."} ssh says: ${quoted}`}`,
    {
      failure,
      host: host.name,
      cause,
    },
  );
}
