/**
 * Errors as the lines of results have them: what a function threw, or how its worker was lost.
 */

/** An error as the lines of results have it. */
export interface ErrorLine {
  name: string;
  message: string;
  stack?: string;
  code?: string | number;
  signal?: string | null;
  exitCode?: number | null;
  cause?: ErrorLine;
}

/** An error as it is written: what the function threw, or how its worker was lost. */
export function describeError(thrown: unknown): ErrorLine {
  const { name: kind, cause } = thrown as Error;
  return describeCause(kind === "TaskError" && cause !== undefined ? cause : thrown, 0);
}

function describeCause(thrown: unknown, depth: number): ErrorLine {
  if (!(thrown instanceof Error)) return { name: "Error", message: String(thrown) };
  const { name, message, stack, cause } = thrown;
  const { code, signal, exitCode } = thrown as { code?: unknown; signal?: string; exitCode?: number };
  const lost = name === "WorkerLostError" || name === "TimeoutError"; // their stacks lie in the pool
  return {
    name,
    message,
    ...(!lost && stack ? { stack } : {}),
    ...(typeof code === "string" || typeof code === "number" ? { code } : {}),
    ...(name === "WorkerLostError" ? { signal, exitCode } : {}),
    ...(cause !== undefined && depth < 8 ? { cause: describeCause(cause, depth + 1) } : {}),
  };
}
