/**
 * Waiting for MPI without blocking the thread. MPI tells nobody when something has happened, so it has to be asked: in every turn
 * of the event loop for the first 2 ms (2 us a turn, so short waits stay short), then every millisecond, which takes some 3 % of a core.
 */
import { nextTurn } from "../runtime/mod.ts";

const HOT_MS = 2;

/** Resolves with what the attempt gives as soon as that is not undefined; timers and messages get their turn in between. */
export async function poll<T>(attempt: () => T | undefined): Promise<T> {
  const start = performance.now();
  for (;;) {
    const found = attempt();
    if (found !== undefined) return found;
    if (performance.now() - start < HOT_MS) await nextTurn();
    else await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
