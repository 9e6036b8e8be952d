/**
 * The pool that the flags of a command line ask for.
 */
import { stderr } from "../runtime/mod.ts";
import { ParallelPool } from "../map/parallel_pool.ts";
import type { Pool } from "../map/pool.ts";
import { ProcessPool, SerialPool, ThreadPool } from "../map/pools.ts";
import { type Flag, type Parsed, size, UsageError, wholeNumber } from "./flags.ts";
import { readKeyFile } from "../map/shared_key.ts";
import { autodetectPort } from "../map/server_specs.ts";
import { HOST_FLAGS, hostNamed, usage } from "./remote.ts";

/** The flags that say who works. */
export const POOL_FLAGS: Record<string, Flag> = {
  workers: {
    value: "N",
    short: "w",
    help: "How many threads or processes here (default: one for each core); with --servers also 0",
  },
  threads: { help: "Work in threads (default without --servers)" },
  processes: {
    help: "Work in processes: they can be killed, limited and denied permissions (default with --servers)",
  },
  serial: { help: "Work in the calling thread, one item after another: for debugging" },
  servers: {
    value: "A,B,...",
    many: true,
    help:
      "Work on these too: hosts that ssh reaches, URLs that pathos serve or connect printed, and autodetect, which " +
      "is all on this network that pathos serve --announce made known. Nothing is installed there. The function " +
      "travels with what it captures",
  },
  "key-file": {
    value: "FILE",
    help: "The key that servers found by autodetect share with you (default: the file in $PATHOS_KEY_FILE)",
  },
  permissions: {
    value: "none|inherit",
    help: "What processes may do, in Deno (default: inherit, the same as this one). With none the function " +
      "travels with what it captures, as its module cannot be read",
  },
  "max-memory": { value: "SIZE", help: "A process that holds more is killed: 512M, 2G (default: no limit)" },
  ...HOST_FLAGS,
};

/** A pool as asked for, not opened yet. */
export interface PoolChoice {
  /** Whether workers can import the user's module. */
  imports: boolean;
  /** Whether this process, once the pool is open, works for that of another one and does nothing else. */
  serves?: boolean;
  /** Whether it deals better when it knows how many items there are. */
  counts?: boolean;
  open(): Pool | Promise<Pool>;
  /** Called when all items are done and the pool has ended, whatever the exit status will be. */
  finish?(): Promise<void>;
}

/**
 * Which pool the flags ask for.
 *
 * @throws {UsageError} If they contradict each other.
 */
export function choosePool(args: Parsed): PoolChoice {
  const kinds = ["threads", "processes", "serial"].filter((kind) => args.on(kind));
  if (kinds.length > 1) throw new UsageError(`--${kinds.join(" and --")} exclude each other`);
  const servers = serversOf(args);
  const remote = servers.length > 0;
  const [kind = remote ? "processes" : "threads"] = kinds;
  const workers = wholeNumber("workers", args.text("workers"), remote ? 0 : 1);
  const maxMemory = size("max-memory", args.text("max-memory"));
  const permissions = args.text("permissions") ?? "inherit";
  if (permissions !== "inherit" && permissions !== "none") {
    throw new UsageError(`--permissions is ${JSON.stringify(permissions)}: it must be none or inherit`);
  }
  for (const flag of ["max-memory", "permissions"]) {
    if (args.text(flag) !== undefined && kind !== "processes") {
      throw new UsageError(`--${flag} holds for processes only: add --processes`);
    }
  }
  if (kind === "serial" && workers !== undefined) {
    throw new UsageError("--serial has no workers: leave out --workers");
  }
  if (kind === "serial" && remote) throw new UsageError("--serial and --servers exclude each other");
  for (const flag of Object.keys(HOST_FLAGS)) {
    if (!remote && (args.text(flag) ?? args.on(flag)) !== undefined) {
      throw new UsageError(`--${flag} is about hosts, and there are none: add --servers`);
    }
  }
  const key = keyOf(args, servers);
  const output = ({ text }: { text: string }) => stderr.write(text + "\n");
  const limits = { maxMemory, permissions } as const;
  return {
    imports: kind !== "serial" && permissions === "inherit" && !remote,
    open() {
      if (remote) {
        const local = kind === "threads" ? "threads" : "processes";
        return usage(() => new ParallelPool({ workers, servers, key, local, output, ...limits }));
      }
      if (kind === "serial") return new SerialPool();
      return kind === "processes"
        ? new ProcessPool({ workers, output, ...limits })
        : new ThreadPool({ workers, output });
    },
  };
}

function serversOf(args: Parsed) {
  const specs = args.texts("servers").flatMap((list) => list.split(",")).map((spec) => spec.trim());
  if (specs.includes("")) {
    throw new UsageError("--servers has an empty place: give hosts and URLs, with commas between");
  }
  const shown = (spec: string) => spec.replace(/\?.*$/s, "");
  const twice = specs.find((spec, i) => specs.indexOf(spec) !== i);
  if (twice !== undefined) throw new UsageError(`--servers has ${shown(twice)} twice`);
  const isHost = (spec: string): boolean => (!spec.includes("://") || /^ssh:/i.test(spec)) && !finds(spec);
  return specs.map((spec) => isHost(spec) ? hostNamed(spec, args) : spec);
}

const finds = (spec: unknown): boolean =>
  typeof spec === "string" && usage(() => autodetectPort(spec)) !== undefined;

/** The key in the file that was named; whether it must have been, the pool says. */
function keyOf(args: Parsed, servers: readonly unknown[]): string | undefined {
  const file = args.text("key-file");
  if (file === undefined) return undefined;
  if (!servers.some(finds)) {
    throw new UsageError("--key-file is for servers that are found: add --servers autodetect");
  }
  try {
    return readKeyFile(file);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
