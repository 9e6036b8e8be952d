/** A pause that can be cut short. */
export interface Pause {
  /** Resolves after so many milliseconds, or as soon as it is woken. */
  wait(milliseconds: number): Promise<void>;
  /** Ends the pause that is under way, if one is. */
  wake(): void;
}

/** Makes a pause, to be used again and again, one at a time. */
export function newPause(): Pause {
  let end = (): void => {};
  return {
    wait: (milliseconds) =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, milliseconds);
        end = () => {
          clearTimeout(timer);
          resolve();
        };
      }),
    wake: () => end(),
  };
}

/**
 * Resolves after so many milliseconds.
 *
 * @throws The signal's reason, as soon as it is aborted.
 */
export async function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  const { wait, wake } = newPause();
  signal?.addEventListener("abort", wake);
  try {
    await wait(milliseconds);
  } finally {
    signal?.removeEventListener("abort", wake);
  }
  signal?.throwIfAborted();
}

let cell: Int32Array | undefined;

/** Stops this thread for so many milliseconds, fractions too. */
export function sleepSync(milliseconds: number): void {
  cell ??= new Int32Array(new SharedArrayBuffer(4));
  Atomics.wait(cell, 0, 0, milliseconds);
}
