/**
 * A worker process: this runtime's own program, running a script given as text, with framed messages over
 * its standard streams. It needs no file beside it: a few lines in the command line read the script from
 * standard input. It dies with its parent (see reaper.ts).
 */
import { builtin, execPath, mainModule, runtimeName } from "./host.ts";
import { exists } from "./files.ts";
import { frame, FrameReader, gather, newMark } from "./frames.ts";
import { permissionFlags, type Permissions } from "./permissions.ts";
import { unwatch, watch } from "./reaper.ts";
import { type ExitStatus, spawn } from "./spawn.ts";

/** A running worker process. */
export interface WorkerProcess {
  readonly pid: number;
  /** Resolves when it has ended, and what watched over it too. */
  readonly gone: Promise<void>;
  /** Sends a frame. */
  send(parts: readonly Uint8Array[]): void;
  /** Kills it at once (SIGKILL). */
  kill(): void;
  /** Asks it to end by closing its input: it ends when it is idle. */
  end(): void;
  /** Lets it keep this program alive, or not. */
  keepAlive(on: boolean): void;
}

/** What a worker process tells. */
export interface WorkerProcessEvents {
  /** A frame. */
  message(parts: Uint8Array[]): void;
  /** A line that its code, or a library below it, wrote to a standard stream by itself. */
  output(stream: "stdout" | "stderr", line: string): void;
  /** It has ended; `stderr` is the last of what it wrote there (at most 4 KiB). */
  died(status: ExitStatus, stderr: string): void;
}

/** Options of {@linkcode startProcess}. */
export interface WorkerProcessOptions {
  /** What it may do. Default `"inherit"`. */
  permissions?: Permissions;
  /** Limit of its JavaScript heap in bytes. */
  maxHeap?: number;
  /** Without the deno.json that governs the main module. */
  noConfig?: boolean;
}

/** Global under which the starter lines leave the frame mark for {@linkcode openPort}. */
export const MARK_SYMBOL = "pathos.frame.mark";

// Both read: 8 bytes of mark, a u32 length, the script; then run the script.
const DENO_STARTER =
  `const r=(n)=>{const b=new Uint8Array(n);let o=0;while(o<n){const k=Deno.stdin.readSync(b.subarray(o));` +
  `if(k===null)Deno.exit(0);o+=k}return b};globalThis[Symbol.for("${MARK_SYMBOL}")]=r(8);` +
  `(0,eval)(new TextDecoder().decode(r(new DataView(r(4).buffer).getUint32(0,true))))`;
const NODE_STARTER =
  `const f=require("fs");const r=(n)=>{const b=new Uint8Array(n);let o=0;while(o<n){let k;` +
  `try{k=f.readSync(0,b,o,n-o)}catch(e){if(e.code==="EAGAIN"){Atomics.wait(new Int32Array(new SharedArrayBuffer(4)),0,0,1);continue}throw e}` +
  `if(k===0)process.exit(0);o+=k}return b};globalThis[Symbol.for("${MARK_SYMBOL}")]=r(8);` +
  `(0,eval)(new TextDecoder().decode(r(new DataView(r(4).buffer).getUint32(0,true))))`;

/** Starts a worker process that runs `program` (a classic script that calls {@linkcode openPort}). */
export function startProcess(
  program: string,
  options: WorkerProcessOptions,
  events: WorkerProcessEvents,
): WorkerProcess {
  const mark = newMark();
  let tellGone: () => void;
  const gone = new Promise<void>((resolve) => tellGone = resolve);
  const reader = new FrameReader(mark, events.message, lines((line) => events.output("stdout", line)));
  let tail = "";
  const errorLines = lines((line) => {
    tail = (tail + line + "\n").slice(-4096);
    events.output("stderr", line);
  });
  const child = spawn(execPath(), commandLine(options), {}, {
    stdout: (bytes) => reader.push(bytes),
    stderr: errorLines,
    exit(status) {
      reader.end();
      errorLines(undefined);
      unwatch(child.pid).then(() => {
        tellGone();
        events.died(status, tail.trimEnd());
      });
    },
  });
  watch(child.pid);
  const script = new TextEncoder().encode(program);
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, script.byteLength, true);
  const write = gather((bytes) => void child.write([bytes]));
  write([mark, length, script]);
  return {
    pid: child.pid,
    gone,
    send: (parts) => write(frame(mark, parts)),
    kill: () => child.kill("SIGKILL"),
    end: () => child.closeInput(),
    keepAlive: (on) => child.keepAlive(on),
  };
}

function commandLine({ permissions = "inherit", maxHeap, noConfig }: WorkerProcessOptions): string[] {
  const flags = permissionFlags(permissions);
  const heapMiB = maxHeap === undefined ? undefined : Math.max(16, Math.floor(maxHeap / (1 << 20)));
  if (runtimeName === "node") {
    return [...(heapMiB ? [`--max-old-space-size=${heapMiB}`] : []), "-e", NODE_STARTER];
  }
  const config = noConfig ? null : denoConfig();
  return [
    "run",
    "--quiet",
    "--no-prompt",
    ...(config ? ["--config", config] : ["--no-config"]),
    ...(heapMiB ? [`--v8-flags=--max-old-space-size=${heapMiB}`] : []),
    ...flags,
    "data:text/javascript," + encodeURIComponent(DENO_STARTER),
  ];
}

let config: string | null | undefined;

/** The deno.json that governs the entry module, so that package names mean the same in the worker. */
function denoConfig(): string | null {
  if (config !== undefined) return config;
  const main = mainModule();
  if (!main?.startsWith("file:")) return config = null;
  const { dirname, join } = builtin<{ dirname(path: string): string; join(...parts: string[]): string }>(
    "node:path",
  );
  const { fileURLToPath } = builtin<{ fileURLToPath(url: string): string }>("node:url");
  for (let folder = dirname(fileURLToPath(main));; folder = dirname(folder)) {
    for (const name of ["deno.json", "deno.jsonc"]) {
      if (exists(join(folder, name))) return config = join(folder, name);
    }
    if (dirname(folder) === folder) return config = null;
  }
}

/** Cuts bytes into lines of text; `undefined` ends the text. */
function lines(give: (line: string) => void): (bytes: Uint8Array | undefined) => void {
  const decoder = new TextDecoder();
  let rest = "";
  return (bytes) => {
    const parts = (rest + (bytes ? decoder.decode(bytes, { stream: true }) : decoder.decode())).split("\n");
    rest = bytes ? parts.pop()! : "";
    for (const line of parts) if (bytes || line !== "") give(line);
  };
}
