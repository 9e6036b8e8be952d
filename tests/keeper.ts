/**
 * A keeper is a shell that starts the daemons of a test rig, says so in a line, and ends them and removes their folder when its
 * standard input ends: nothing is left even of tests that were killed. This file is only for tests.
 *
 * @module
 */
import type { ChildProcess } from "node:child_process";

/** Whether a child and its pipes keep this program alive. */
export function hold(child: ChildProcess, alive: boolean): void {
  for (const what of [child, child.stdin, child.stdout] as unknown as { ref?(): void; unref?(): void }[]) {
    if (alive) what.ref?.();
    else what.unref?.();
  }
}

/** The first line it says; what it has said when it ends before, or has said nothing for two minutes. */
export function firstLine(keeper: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const timer = setTimeout(() => resolve(`${text}nothing for two minutes`), 120_000);
    const end = (): void => {
      clearTimeout(timer);
      resolve(text);
    };
    keeper.stdout!.setEncoding("utf8").on("data", (piece: string) => {
      text += piece;
      if (text.includes("\n")) end();
    }).on("end", end);
  });
}

/** What ends it; resolves when it has ended. Called again, it gives the same promise. */
export function ending(keeper: ChildProcess): () => Promise<void> {
  const gone = new Promise<void>((resolve) => keeper.once("exit", () => resolve()));
  let stopped: Promise<void> | undefined;
  return () =>
    stopped ??= (async () => {
      hold(keeper, true);
      keeper.stdin!.end();
      await gone;
    })();
}
