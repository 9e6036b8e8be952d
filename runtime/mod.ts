/**
 * The seam between Deno and Node: the only folder that asks which of the two it runs in. It starts threads
 * and processes, reads files, and tells what the machine offers. Not part of the public interface.
 *
 * @module
 */
export { type DatagramSocket, type Network, networks, openDatagrams } from "./datagram.ts";
export * from "./bytes.ts";
export { type DiskFile, type DiskFileOptions, fileSize, openDiskFile, systemCode } from "./disk_file.ts";
export * from "./files.ts";
export * from "./frames.ts";
export { type TypedArray, type TypedArrayClass, typedArrays } from "./typed_arrays.ts";
export * from "./host.ts";
export * from "./http.ts";
export { importFrom, runScript } from "./imports.ts";
export type { LineDoor } from "./line.ts";
export { type ByteSocket, dialTcp, freePort, listenTcp, type TcpListener } from "./net.ts";
export { newPause, type Pause, pause, sleepSync } from "./pause.ts";
export { granted, type PermissionKind, type Permissions } from "./permissions.ts";
export { aside, beforeThreadExit, openPort, type Port } from "./port.ts";
export {
  startProcess,
  type WorkerProcess,
  type WorkerProcessEvents,
  type WorkerProcessOptions,
} from "./process.ts";
export { guarded, unwatch, watch } from "./reaper.ts";
export {
  type ExitStatus,
  signalGroup,
  spawn,
  type Spawned,
  type SpawnEvents,
  type SpawnOptions,
} from "./spawn.ts";
export { startThread, type Thread, type ThreadEvents, threadsStopAtOnce } from "./thread.ts";
export { prepareForWasm } from "./wasm.ts";
