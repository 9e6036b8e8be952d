/**
 * Hosts reached by ssh: run commands, copy files, forward ports. The OpenSSH client does the talking, so the
 * user's ssh_config, agent, jump hosts and known_hosts count; npm:ssh2 stands in where there is no ssh program,
 * or where this program gives a password. Whatever is done with a host goes over one shared connection.
 *
 * ```ts ignore
 * import { execute } from "@pathos/pathos/ssh";
 *
 * const { stdout } = await execute(["uname", "-a"], { host: "me@cluster" });
 * ```
 *
 * @module
 */
export type { Endpoint } from "./connection.ts";
export { SshError, type SshFailure } from "./connection.ts";
export { Copier, type CopierConfig } from "./copier.ts";
export { copy, type CopyOptions, type CopyOutcome, type CopyProgress, type CopyReport } from "./copy.ts";
export { CopyError, type CopyFailure } from "./copy_error.ts";
export { type CopyPlace, type ParsedPlace, parsePlace } from "./copy_place.ts";
export {
  type BytesOptions,
  CommandError,
  type CommandInput,
  type CommandOptions,
  type CommandResult,
  execute,
  type HostLike,
  type HostResult,
  type TextOptions,
} from "./execute.ts";
export { Host, type HostOptions, type Prompt, type Secret } from "./host.ts";
export { type HostProfile, hosts } from "./hosts_file.ts";
export { Pipe, PipeError, type PipeOptions } from "./pipe.ts";
export { randomPort } from "./ports.ts";
export { getchild, getpid, getppid, kill, type Where } from "./processes.ts";
export { quote } from "./quote.ts";
export { connect, Session } from "./session.ts";
export { disconnect } from "./shared.ts";
export { type Place, Tunnel, type TunnelOptions, type TunnelState } from "./tunnel.ts";
