/** What has to be known of the runtimes before WebAssembly is used. */
import { builtin, runtimeName } from "./host.ts";

/**
 * Call this before the first call into a WebAssembly module. The compiler of Node 20 (V8 11.3) inlines such calls, and then may
 * take a number for a string in the function around them, which ends the process by SIGSEGV; from Node 22 on it does not. There it
 * is told to leave that be, in the whole process.
 */
export function prepareForWasm(): void {
  if (runtimeName !== "node") return;
  const { versions } = builtin<{ versions: { v8: string } }>("node:process");
  if (parseInt(versions.v8) >= 12) return;
  builtin<{ setFlagsFromString(flags: string): void }>("node:v8")
    .setFlagsFromString("--no-turbo-inline-js-wasm-calls");
}
