/**
 * The progress line: `[=========>          ] 45% 450/1000  1,234/s  0:12 left`, redrawn in place on a
 * terminal, a plain line now and then elsewhere.
 */
import { stderr } from "../runtime/mod.ts";
import type { Progress } from "./options.ts";

/** Milliseconds between plain lines where nobody watches. */
const PLAIN_MS = 5000;

/** Draws progress on standard error. Call it with every new figure; `done` with the last. */
export function progressLine(): { draw(progress: Progress): void; done(): void } {
  let last: Progress | undefined;
  let drawn = 0;
  let width = 0;
  const print = (progress: Progress): void => {
    if (stderr.isTerminal()) {
      const text = formatProgress(progress, stderr.columns() - 1);
      stderr.write(`\r${text}${" ".repeat(Math.max(0, width - text.length))}`);
      width = text.length;
    } else stderr.write(formatProgress(progress, 100) + "\n");
  };
  return {
    draw(progress) {
      last = progress;
      const now = performance.now();
      if (now - drawn < (stderr.isTerminal() ? 100 : PLAIN_MS) && drawn > 0) return;
      if (drawn === 0 && !stderr.isTerminal()) {
        drawn = now; // a short map in a log needs one line only, at its end
        return;
      }
      drawn = now;
      print(progress);
    },
    done() {
      if (!last) return;
      print(last);
      if (stderr.isTerminal()) stderr.write("\n");
    },
  };
}

/** One line of at most `width` characters. */
export function formatProgress(
  { done, total, failed, elapsed, rate, remaining }: Progress,
  width: number,
): string {
  const figures = [
    total === undefined
      ? `${done} done`
      : `${total === 0 ? 100 : Math.floor(done / total * 100)}% ${done}/${total}`,
    `${rate >= 100 ? Math.round(rate).toLocaleString("en-US") : rate.toPrecision(2)}/s`,
    done === total
      ? `in ${clock(elapsed)}`
      : remaining === undefined
      ? clock(elapsed)
      : `${clock(remaining)} left`,
    ...(failed > 0 ? [`${failed} failed`] : []),
  ].join("  ");
  const room = Math.min(24, width - figures.length - 3);
  if (total === undefined || room < 8) return figures.slice(0, width);
  const filled = Math.floor(room * (total === 0 ? 1 : done / total));
  const bar = filled === room ? "=".repeat(room) : `${"=".repeat(filled)}>`.padEnd(room);
  return `[${bar}] ${figures}`;
}

/** A duration as `m:ss` or `h:mm:ss`. */
export function clock(milliseconds: number): string {
  const seconds = Math.ceil(milliseconds / 1000);
  const two = (n: number): string => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
