/**
 * The program of the tasks of batch maps: a self-contained script (batch_bundle.ts, made by `deno task bundle`) that is
 * sent along with the worker program, which it finds under {@linkcode WORKER_SYMBOL}.
 */
import { exit, programArgs, stderr } from "../runtime/mod.ts";
import { WORKER_SYMBOL } from "./batch_format.ts";
import { EXIT, runTask } from "./batch_task.ts";

const program: unknown = Reflect.get(globalThis, Symbol.for(WORKER_SYMBOL));
runTask(program as string, JSON.parse(programArgs()[0])).then(exit, (error: Error) => {
  stderr.write(`pathos: ${error.stack ?? error.message}\n`);
  exit(EXIT.unfinished);
});
