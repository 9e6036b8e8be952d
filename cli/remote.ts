/**
 * What the verbs that deal with hosts have in common: how a host is named and which ssh_config counts.
 */
import { CopyError } from "../ssh/copy_error.ts";
import { SshError } from "../ssh/connection.ts";
import { Host } from "../ssh/host.ts";
import { type Flag, type Parsed, UsageError } from "./flags.ts";

/** Flags of every verb that connects to hosts. */
export const HOST_FLAGS: Record<string, Flag> = {
  "ssh-config": { value: "FILE", help: "An ssh_config in place of yours and the system's (ssh -F)" },
  "accept-new": { help: "Accept the key of a host never seen before, and remember it (default: refuse)" },
};

/** How hosts are written, for the help texts. */
export const HOST_FORMS = `
HOST is an alias of hosts.yaml or of ssh_config, user@host, user@host:port, or ssh://user@host:port. How to get there,
with which keys, and through which other hosts, your ssh_config and agent say, as for ssh itself.`;

/**
 * A host as it was named on the command line.
 *
 * @throws {UsageError} If it cannot be one, or its profile in hosts.yaml is wrong.
 */
export function hostNamed(name: string, args: Parsed): Host {
  const config = args.text("ssh-config");
  const acceptNew = args.on("accept-new");
  return usage(() =>
    Host.from({
      host: name,
      ...(config === undefined ? {} : { config }),
      ...(acceptNew === undefined ? {} : { acceptNew }),
    })
  );
}

/** Hosts as they were named on the command line. */
export function hostsNamed(names: readonly string[], args: Parsed): Host[] {
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new UsageError(`the host ${twice} is given twice`);
  return names.map((name) => hostNamed(name, args));
}

/** What `make` gives; that what it was given cannot be is the user's mistake. */
export function usage<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  }
}

/** Whether an error is what may happen with hosts and networks: its message tells all there is to know. */
export function isRemoteFailure(error: unknown): boolean {
  return error instanceof SshError || error instanceof CopyError;
}

/** The message of what went wrong with a host, which it names. */
export function failureOn(host: Host, error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return [host.name, `${host}`].some((name) => message.includes(name)) ? message : `${host.name}: ${message}`;
}
