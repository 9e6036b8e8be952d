/**
 * No worker process outlives its parent, however the parent ends.
 *
 * An idle worker notices the end of its standard input; one in the middle of a long computation does not.
 * So the first worker process of a program also starts one `sh` that reads process ids from a pipe ("+ pid"
 * when a worker starts, "- pid" when it was seen to end) and kills what is left on the list when the pipe
 * closes: on normal exit, Ctrl-C and `kill -9` of the parent alike. It ignores signals sent to the group.
 */
import { platform } from "./host.ts";
import { spawn, type Spawned } from "./spawn.ts";

const SCRIPT = `trap '' INT TERM HUP QUIT
pids=' '
while read -r what pid; do
  case $what in
    +) pids="$pids$pid " ;;
    -) pids="\${pids%% $pid *} \${pids#* $pid }" ;;
  esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done`;

let reaper: Spawned | undefined;
let ended: Promise<void>;
const watched = new Set<number>();

/** From now on `pid` is killed when this process ends in any way. */
export function watch(pid: number): void {
  if (platform() === "win32") return; // no sh: an idle worker still ends with its standard input
  if (!reaper) {
    let tellEnd: () => void;
    ended = new Promise((resolve) => tellEnd = resolve);
    const started: Spawned = reaper = spawn("/bin/sh", ["-c", SCRIPT], {}, {
      stdout() {},
      stderr() {},
      exit() {
        if (reaper === started) reaper = undefined;
        tellEnd();
      },
    });
    started.keepAlive(false);
  }
  watched.add(pid);
  reaper.write([new TextEncoder().encode(`+ ${pid}\n`)]);
}

/** `pid` has ended: its number may now belong to somebody else. Resolves when what it needed here is gone too. */
export async function unwatch(pid: number): Promise<void> {
  if (!watched.delete(pid) || !reaper) return;
  reaper.write([new TextEncoder().encode(`- ${pid}\n`)]);
  if (watched.size > 0) return;
  reaper.keepAlive(true); // somebody waits for its end
  reaper.closeInput(); // nothing left to guard: the shell ends by itself
  reaper = undefined;
  await ended;
}
