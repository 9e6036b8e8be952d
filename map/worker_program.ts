/**
 * The program of every worker, and of the server that starts workers for pools elsewhere: one self-contained
 * script (worker_bundle.ts, made by `deno task bundle`), so that it starts from a message, from standard input
 * or from a file that ssh brought, with nothing beside it. It is a server if it finds its own text under
 * {@linkcode SERVER_SYMBOL} (server_main.ts says who puts it there), else a worker.
 */
import { runServer, SERVER_SYMBOL } from "./server_main.ts";
import { runWorker } from "./worker_main.ts";

const text: unknown = Reflect.get(globalThis, Symbol.for(SERVER_SYMBOL));
if (typeof text === "string") runServer(text);
else runWorker();
