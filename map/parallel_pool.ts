/** The pool that mixes this machine with others. */
import { CodeBook } from "../serialize/codebook.ts";
import type { Permissions } from "../runtime/mod.ts";
import { grantWorkers, partOf } from "./budget.ts";
import { openElsewhere, type PlaceParts } from "./elsewhere.ts";
import type { Elsewhere, PoolOptions } from "./engine.ts";
import type { ServerStatus } from "./host_place.ts";
import type { Beginning } from "./link.ts";
import { atLeastOne } from "./options.ts";
import { Pool } from "./pool.ts";
import { checkPool } from "./pools.ts";
import { processStarter } from "./process_worker.ts";
import { autodetectPort, parseServer, type ServerSpec } from "./server_specs.ts";
import { sharedKey } from "./shared_key.ts";
import { threadStarter } from "./thread_worker.ts";

/** Options of a {@linkcode ParallelPool}. */
export interface ParallelPoolOptions extends PoolOptions {
  /** Workers on this machine. Default: the cores this process may use. 0: only the servers work. */
  workers?: number;
  /**
   * Hosts, and servers that run already. `"autodetect"`, alone or among them: all servers on the network segment that
   * share the key. Default: none.
   */
  servers?: "autodetect" | `autodetect:${number}` | readonly ServerSpec[];
  /**
   * What servers that are found share with this pool: `serve({ announce: { key } })`. Default: what the file holds that
   * the environment variable `PATHOS_KEY_FILE` names.
   */
  key?: string;
  /** What the workers on this machine are. Default `"processes"`. */
  local?: "processes" | "threads";
  /** What worker processes may do, here and there (Deno only). Default `"inherit"`. */
  permissions?: Permissions;
  /** Bytes of memory one worker process may hold. Default: no limit. */
  maxMemory?: number;
}

/**
 * Runs maps on this machine and on others at once: on hosts reached by ssh, with nothing installed there but
 * Deno or Node, and on servers that run already. The work is divided by what each worker is measured to do, so
 * that all finish together.
 *
 * The hosts are connected by the first map, while the local workers begin. A host that is lost is connected
 * again; what it had is run elsewhere. So an item may be run more than once, and exactly one outcome of each is
 * delivered. Functions travel with all they need: what they import from your files goes along, and only
 * `node:` modules are imported there. Results are data: a host cannot send code that would run here.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { ParallelPool, serve } from "@pathos/pathos";
 *
 * await using server = await serve({ workers: 1 }); // or servers: ["user@host", "alias"]
 * await using pool = new ParallelPool({ workers: 1, servers: [server.url] });
 * assertEquals(await pool.map((x: number) => x * x, [1, 2, 3]), [1, 4, 9]);
 * ```
 */
export class ParallelPool extends Pool {
  /**
   * Makes a pool; nothing is started or connected before its first map.
   *
   * @throws {TypeError} If an option is unknown, or a server is none.
   * @throws {RangeError} If a number is out of range.
   */
  constructor(options: ParallelPoolOptions = {}) {
    checkPool(options, [
      "workers",
      "servers",
      "key",
      "local",
      "permissions",
      "maxMemory",
      "initializer",
      "maxTasksPerWorker",
      "output",
    ]);
    // Nothing that prints a pool shows a key or the token of a server: they are not kept with the other options.
    const { servers: given = [], key, ...others } = options;
    const { local = "processes", permissions = "inherit", maxMemory } = others;
    const servers = typeof given === "string" ? [given] : given;
    if (!Array.isArray(servers)) throw new TypeError('servers must be "autodetect" or an array of servers');
    const finds = (spec: ServerSpec): boolean => autodetectPort(spec) !== undefined;
    if (typeof given === "string" && !finds(given)) {
      throw new TypeError('servers must be "autodetect" or an array of servers');
    }
    if (key !== undefined && !servers.some(finds)) {
      throw new TypeError('the key is for servers that are found: give servers: "autodetect" too');
    }
    if (local !== "processes" && local !== "threads") {
      throw new TypeError(`local is ${JSON.stringify(local)}: it must be "processes" or "threads"`);
    }
    if (maxMemory !== undefined) atLeastOne("maxMemory", maxMemory);
    if (options.workers === 0 && servers.length === 0) {
      throw new RangeError("a ParallelPool with workers: 0 needs servers");
    }
    const workers = options.workers === 0 ? 0 : grantWorkers(options.workers);
    // What comes back from another machine must not be run here; what goes there cannot count on our files.
    const book = new CodeBook({ byref: (ref) => ref.specifier.startsWith("node:") });
    const limits = { permissions, maxMemory };
    const trust = permissions === "inherit";
    const initializer = (): string | undefined =>
      options.initializer && book.encodeCode(options.initializer).hash;
    const share = partOf(Math.max(1, workers));
    const here = (): Beginning => ({ share, takesCode: trust, initializer: initializer() });
    const start = local === "threads" ? threadStarter(book, here) : processStarter(book, here, limits);
    const elsewhere = servers.length === 0 ? undefined : hosts(servers, key, workers, {
      book,
      limits,
      beginning: (facts, count) => ({
        share: Math.max(1, Math.floor(facts.cores / count)),
        takesCode: false,
        initializer: initializer(),
      }),
    });
    super({ workers, book, start, elsewhere }, others);
  }

  /** How the servers are doing, in the order they were given; those that were found come last. */
  get servers(): ServerStatus[] {
    return this.engine.kind.elsewhere?.status() ?? [];
  }
}

/** The servers of a pool, as they were given. */
function hosts(
  specs: readonly ServerSpec[],
  key: string | undefined,
  localWorkers: number,
  parts: PlaceParts,
): Elsewhere {
  const ports = specs.map(autodetectPort);
  const found = ports.filter((port) => port !== undefined);
  if (found.length > 1) throw new TypeError("autodetect is given twice");
  const targets = specs.filter((_, i) => ports[i] === undefined).map(parseServer);
  const names = targets.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new TypeError(`the server ${twice} is given twice`);
  const search = found.length === 0 ? undefined : { port: found[0], key: sharedKey(key) };
  return openElsewhere({ targets, search, localWorkers, parts });
}
