/**
 * The seam between Deno and Node: the only folder that asks which of the two it runs in. It starts threads
 * and processes, reads files, and tells what the machine offers. Not part of the public interface.
 *
 * @module
 */
export * from "./files.ts";
export * from "./frames.ts";
export * from "./host.ts";
export { importFrom, runScript } from "./imports.ts";
export { granted, type PermissionKind, type Permissions } from "./permissions.ts";
export { beforeThreadExit, openPort, type Port } from "./port.ts";
export {
  startProcess,
  type WorkerProcess,
  type WorkerProcessEvents,
  type WorkerProcessOptions,
} from "./process.ts";
export { startThread, type Thread, type ThreadEvents, threadsStopAtOnce } from "./thread.ts";
