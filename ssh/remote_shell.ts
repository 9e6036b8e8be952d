/**
 * What runs on the host beside the user's commands: POSIX sh, sent over standard input.
 *
 * ssh gives a command line to the login shell, which may be csh or fish. So that line is always the same, a
 * single-quoted starter without any character that those treat differently; it reads a script up to a line
 * that says the name of the connection, and runs it. Nothing that the user wrote is parsed by the login shell,
 * has a limit of length there, or is seen in the list of processes before it runs.
 *
 * Each connection runs one *holder*, and a *wrapper* around each command. The wrapper tells where the output
 * begins (after whatever the login shell's own files printed), its process id, and how the command ended. ssh
 * itself would say 255 for a lost link, a signal, and the code 255. The holder delivers signals to process
 * groups, and when its input ends, which it does however the connection ends, it ends the commands that still
 * run: HUP first, KILL one second later. It finds them by the name of the connection in the wrappers'
 * command lines. What a command detached from its process group (setsid) stays, as with any ssh.
 */
import { quote } from "./quote.ts";

// In double quotes for sh, in single quotes for the login shell: no quote, no backslash, no "!", no line end.
const STARTER =
  'n=${IFS#??}; c=; while IFS= read -r l; do case "$l" in "$0") eval "$c"; exit;; esac; c="$c$l$n"; done';

/** The command line for ssh that runs what {@linkcode script} sends. */
export function starter(connection: string): string {
  return `exec sh -c '${STARTER}' ${connection}`;
}

/** A script as the {@linkcode starter} reads it; what follows it is the script's standard input. */
export function script(connection: string, text: string): string {
  return `${text}\n${connection}\n`;
}

/**
 * The holder. It says `mark` when it is ready and answers `? word` by `mark word`; `SIGNAL pid` signals a command.
 * `/ path` names a socket that sshd made and would leave behind: it is removed at the end, or by `. path`. Every
 * 15 s it says an empty line, so that the host notices that nobody is at the other end of a dead link. It ignores
 * SIGPIPE, or an answer that nobody reads would end it before it has swept.
 */
export function holder(mark: string): string {
  return `
sweep() {
  if [ -r /proc/self/cmdline ]; then
    for d in /proc/[0-9]*; do
      p=\${d#/proc/} a=
      { read -r a <"$d/cmdline"; } 2>/dev/null
      hit "$p" "$a" "$1"
    done
  else
    ps -A -o pid= -o args= | while read -r p a; do hit "$p" "$a" "$1"; done
    found=1
  fi
}
hit() {
  [ "$1" = $$ ] || case "$2" in sh*"$0") signal "$3" "$1"; found=1;; esac
}
signal() {
  kill -"$1" -"$2" 2>/dev/null || kill -"$1" "$2" 2>/dev/null
}
trap '' PIPE
( while sleep 15 && echo; do :; done ) &
pulse=$!
printf '%s\\n' '${mark}'
n=\${IFS#??} sockets=
while read -r what which; do
  case $what in
    '?') printf '%s\\n' "${mark} $which" ;;
    /) sockets="$sockets$which$n" ;;
    .) rm -f -- "$which" ;;
    *) signal "$what" "$which" ;;
  esac
done
exec >/dev/null 2>&1
printf %s "$sockets" | while IFS= read -r path; do [ -S "$path" ] && rm -f -- "$path"; done
kill -KILL $pulse
wait $pulse
found=
sweep HUP
[ -z "$found" ] || { sleep 1; sweep KILL; }
kill -KILL -$$ 2>/dev/null
exit`;
}

/** Bytes that a command may have, because the wrapper gives it to `sh -c`: what Linux takes as one argument. */
export const LONGEST_COMMAND = 128 * 1024 - 1;

const SIGNALS = "HUP INT QUIT TERM USR1 USR2 ALRM";

/**
 * The wrapper: runs `command` by sh with `env` added. Its standard output begins at `mark`; on standard error it says
 * `mark pid`, and at the end `mark status how signal`.
 *
 * A shell sees 143 for a death by SIGTERM and for `exit 143`, but it announces the death on its standard error,
 * which here is not the command's: `how` has an "a" if it did. It announces neither INT nor PIPE, and bash
 * ("b") no signal that it traps. The traps keep the wrapper's own shells alive when the group is signalled; the
 * process id is told by the one shell that has none, so that no signal is lost on the way to the command.
 */
export function wrapper(mark: string, command: string, env: Readonly<Record<string, string>>): string {
  const exports = Object.entries(env).map(([name, value]) => `export ${name}=${quote(value)}\n`);
  return `${exports.join("")}c=${quote(command)}
exec 3>&1 4>&2
t='trap : ${SIGNALS}'
$t
r=$(
  exec 2>&1
  $t
  ( $t
    (
      exec >&3 2>&4 3>&- 4>&-
      printf %s '${mark}'
      printf '%s %s\\n' '${mark}' $$ >&2
      exec sh -c "$c"
    )
    exit $? )
  echo ":$?"
)
s=\${r##*:} a=\${r%:*} k=
[ "$s" -le 128 ] || k=$(kill -l $((s - 128)) 2>/dev/null)
printf '%s %s %s %s\\n' '${mark}' "$s" "h\${a:+a}\${BASH_VERSION:+b}" "$k" >&2
exit 0`;
}

/** Signals whose death no shell announces, and those that the wrapper traps, which bash does not announce. */
const SILENT = new Set(["INT", "PIPE"]);
const TRAPPED = new Set(SIGNALS.split(" "));

/** What the wrapper's last words, without the mark, say. */
export function readStatus(words: string): { code: number | null; signal: string | null } {
  const [status, how, name] = words.trim().split(" ");
  const code = Number(status);
  const died = name &&
    (how.includes("a") || SILENT.has(name) || (how.includes("b") && TRAPPED.has(name)));
  return died ? { code: null, signal: `SIG${name}` } : { code, signal: null };
}
