/**
 * The program of ranks that a pool starts from outside, and of their workers: one self-contained script (rank_bundle.ts, made by
 * `deno task bundle`). It is a rank if it finds its own text under {@linkcode RANK_SYMBOL} (rank_command.ts puts it there),
 * else a worker.
 */
import { runWorker } from "../map/worker_main.ts";
import { runRank } from "./rank_main.ts";
import { RANK_SYMBOL } from "./rank_ready.ts";

const text: unknown = Reflect.get(globalThis, Symbol.for(RANK_SYMBOL));
if (typeof text === "string") runRank(text);
else runWorker();
