/**
 * No child process and no temporary folder outlives its parent, however the parent ends.
 *
 * An idle worker notices the end of its standard input; one in the middle of a long computation does not, and
 * a folder notices nothing. So the first of them also starts one `sh` that reads from a pipe what there is to
 * guard ("+ pid", "/ path") and what no longer needs it ("- pid", ". path"), and when the pipe closes it
 * kills the processes and removes the paths that are left: on normal exit, Ctrl-C and `kill -9` of the
 * parent alike. It ignores signals sent to the group. A path is the folder of a makeTempDir, or a file or
 * socket that this program made; a folder is removed with all that is in it.
 */
import { platform } from "./host.ts";
import { spawn, type Spawned } from "./spawn.ts";

const SCRIPT = `trap '' INT TERM HUP QUIT
pids=' '
n='
'
paths=$n
while IFS= read -r line; do
  what=\${line%% *} it=\${line#* }
  case $what in
    +) pids="$pids$it " ;;
    -) pids="\${pids%% $it *} \${pids#* $it }" ;;
    /) paths="$paths$it$n" ;;
    .) paths="\${paths%%"$n$it$n"*}$n\${paths#*"$n$it$n"}" ;;
  esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
set -f
IFS=$n
for path in $paths; do rm -rf -- "$path"; done`;

let reaper: Spawned | undefined;
let ended: Promise<void>;
const watched = new Set<number | string>();

/** From now on a process (or process group, as `-leader`) is killed, or a path removed, when this one ends in any way. */
export function watch(what: number | string): void {
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
    for (const earlier of watched) tell(typeof earlier === "number" ? "+" : "/", earlier); // it was itself killed
  }
  watched.add(what);
  tell(typeof what === "number" ? "+" : "/", what);
}

/**
 * The process has ended (its number may now belong to somebody else), the path is gone. Resolves when what it
 * needed here is gone too.
 */
export async function unwatch(what: number | string): Promise<void> {
  if (!watched.delete(what) || !reaper) return;
  tell(typeof what === "number" ? "-" : ".", what);
  if (watched.size > 0) return;
  reaper.keepAlive(true); // somebody waits for its end
  reaper.closeInput(); // nothing left to guard: the shell ends by itself
  reaper = undefined;
  await ended;
}

let told: Promise<void> = Promise.resolve();

/** Resolves when the guard has heard all it was told: a program that ends by `exit` waits for this before. */
export function guarded(): Promise<void> {
  return told;
}

function tell(word: string, what: number | string): void {
  told = reaper!.write([new TextEncoder().encode(`${word} ${what}\n`)]);
}
