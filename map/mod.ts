/**
 * Maps over all cores: an ordinary function, with whatever surrounds it, over any iterable, in threads,
 * processes or the calling thread. All pools have the same methods and the same semantics.
 *
 * ```ts
 * import { ThreadPool } from "@pathos/pathos/map";
 *
 * await using pool = new ThreadPool({ workers: 2 });
 * const k = 10;
 * console.log(await pool.map((x: number) => x * k, [1, 2, 3])); // [10, 20, 30]
 * ```
 *
 * An item may be run more than once (its worker was lost, it is retried, `speculate`); exactly one outcome of
 * each item is delivered.
 *
 * @module
 */
export type { Dashboard, DashboardOptions } from "./dashboard.ts";
export { TaskError, TimeoutError, WorkerLostError } from "./errors.ts";
export { MapHandle } from "./handle.ts";
export type { MapOptions, NumberArray, Progress } from "./options.ts";
export type { OutputLine, PoolOptions } from "./engine.ts";
export { type Elements, Pool, type Reducer } from "./pool.ts";
export {
  ProcessPool,
  type ProcessPoolOptions,
  SerialPool,
  ThreadPool,
  type ThreadPoolOptions,
} from "./pools.ts";
export { ParallelPool, type ParallelPoolOptions } from "./parallel_pool.ts";
export type { Announced, AnnounceOptions, AnnounceStats } from "./announce.ts";
export { type PoolServer, serve, type ServeOptions } from "./serve.ts";
export { type HostServer, serveOn, type ServeOnOptions } from "./serve_on.ts";
export type { ServerStats } from "./server.ts";
export type { ServerSpec } from "./server_specs.ts";
export type { ServerStatus } from "./host_place.ts";
export type { ServerFacts } from "./session.ts";
export type { PoolStats, WorkerStats } from "./scheduler.ts";
export type { Input } from "./source.ts";
export type { PermissionKind, Permissions } from "../runtime/mod.ts";
