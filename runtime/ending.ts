/**
 * The last moments of this process, for what has to be said to others before it is gone. Whatever ends a process from outside
 * (a signal, the kernel) gives no such moment.
 */
import { builtin, runtimeName } from "./host.ts";

interface ProcessEvents {
  on(event: string, listener: (...values: unknown[]) => void): unknown;
  listenerCount(event: string): number;
}

/** Calls with the exit status before this process ends of itself: at the end of the program, or by `exit` anywhere in it. */
export function beforeEnd(call: (code: number) => void): void {
  if (runtimeName === "deno") { // its exit does not send Node's event
    const scope = globalThis as unknown as { Deno: { exitCode: number } } & EventTarget;
    scope.addEventListener("unload", () => call(scope.Deno.exitCode));
    return;
  }
  builtin<ProcessEvents>("node:process").on("exit", (code) => call(Number(code)));
}

/** Calls with an error that nobody catches or handles; if that does not end this process the runtime does, as always. */
export function beforeCrash(call: (error: unknown) => void): void {
  if (runtimeName === "deno") {
    const scope = globalThis as unknown as EventTarget;
    for (const type of ["error", "unhandledrejection"]) {
      scope.addEventListener(type, (event) => judge(event, call));
    }
    return;
  }
  const process = builtin<ProcessEvents>("node:process");
  process.on("uncaughtExceptionMonitor", (error) => {
    if (process.listenerCount("uncaughtException") === 0) call(error);
  });
}

/**
 * The program's own listeners may come after this one, and say by preventDefault that they have handled the error. So it is
 * kept from ending the process until all have been called.
 */
function judge(event: Event & { error?: unknown; reason?: unknown }, call: (error: unknown) => void): void {
  if (event.defaultPrevented || judged) return;
  let handled = false;
  event.preventDefault();
  event.preventDefault = () => void (handled = true);
  queueMicrotask(() => {
    if (handled) return;
    const error = event.type === "error" ? event.error : event.reason;
    call(error);
    judged = true;
    reportError(error);
  });
}

/** An error is on its way to the runtime. */
let judged = false;
