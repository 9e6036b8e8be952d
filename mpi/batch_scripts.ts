/**
 * What is done with the folder of a batch map, as POSIX `sh` that runs beside the scheduler, here or on a login node, and
 * on the nodes. Only the usual small programs are needed (cat, ls, sort, xargs, ...). Files appear at their place when
 * they are complete, and a script that is run a second time, because nobody heard the first one's answer, does no harm:
 *
 * - `id` says whose folder it is; `run.json` what it holds, `work.bin` the work; `program.mjs` runs it; `out` has what came of
 *   it, `log` what it printed.
 * - `attempt-N.json` says what is about to be submitted and is there before the scheduler is asked; its answer is in
 *   `attempt-N.out`, `.err` and at last `.code`. An attempt without a code was cut off while the scheduler was asked.
 */
import { quote } from "../ssh/mod.ts";
import { execRuntime, findRuntime, findSentRuntime, FOLDER } from "../map/provision.ts";
import type { TaskPlan } from "./batch_task.ts";

/** Bytes of parts that are fetched at once, if there is more than one. */
export const FETCH_BYTES = 32 << 20;

/** Makes the folder; tells, as lines of `name value`, its path, whether the program is `kept`, and the runtime, or that it is `bare`. */
export function prepareScript(
  id: string,
  folder: string | undefined,
  program: string,
  runtime: string | "send" | undefined,
): string {
  return `${FOLDER}F=${folder === undefined ? `"$d/jobs/${id}"` : atHome(folder)}
mkdir -p "$F" && cd "$F" || exit 3
if [ -n "$(ls -A)" ] && [ "$(cat id 2>/dev/null)" != ${id} ]; then
  echo "pathos: $F is not empty; a batch map needs a folder of its own" >&2
  exit 4
fi
echo ${id} >id && chmod 700 . && mkdir -p out log || exit 3
echo "folder $(pwd)"
if [ -s "$d/${program}" ]; then ${link(program)} && echo 'kept yes'; fi
${
    runtime === "send"
      ? findSentRuntime()
      : findRuntime(runtime)
  }if [ -n "$r" ]; then echo "runtime $r"; else echo "bare $(uname -s) $(uname -m)"; fi
`;
}

/** Keeps the program, which comes on standard input, and gives it to a folder. */
export function programScript(folder: string, program: string, bytes: number): string {
  return `${FOLDER}cd ${atHome(folder)} || exit 3
find "$d" -name 'batch-*.mjs' -mtime +60 -exec rm -f {} + 2>/dev/null
t=$d/${program}.$$
trap 'rm -f "$t"' EXIT
cat >"$t" && [ "$(wc -c <"$t")" -eq ${bytes} ] && mv -f "$t" "$d/${program}" && ${link(program)}
`;
}

function link(program: string): string {
  return `{ rm -f program.mjs; ln "$d/${program}" program.mjs 2>/dev/null || cp "$d/${program}" program.mjs; }`;
}

/** Takes the work from standard input, if there is any, submits an attempt once, and tells what {@linkcode readScript} does. */
export function submitScript(folder: string, submission: {
  attempt: number;
  /** The attempt in JSON. */
  record: string;
  /** `run.json` and how many bytes of work there are, with the first attempt. */
  work?: { run: string; bytes: number };
  cwd: string | undefined;
  command: readonly string[];
  job: string;
}): string {
  const { attempt, record, work, cwd, command, job } = submission;
  const put = (name: string, text: string) =>
    `printf '%s\\n' ${quote(text)} >${name}.tmp && mv -f ${name}.tmp ${name} || exit 3\n`;
  const name = `attempt-${attempt}`;
  const take = work &&
    `cat >work.tmp && [ "$(wc -c <work.tmp)" -eq ${work.bytes} ] && mv -f work.tmp work.bin || exit 3
${put("run.json", work.run)}`;
  return `trap '' HUP
umask 077
home=$PWD
cd ${atHome(folder)} || exit 3
F=$PWD
[ ! -f ${name}.json ] || exit 5
${take ?? ""}printf %s ${quote(job)} >job-${attempt}.sh || exit 3
${put(`${name}.json`, record)}cd "$home"
${cwd === undefined ? "" : `cd ${atHome(cwd)} || exit 3\n`}${
    quote(command)
  } <"$F/job-${attempt}.sh" >"$F/${name}.out" 2>"$F/${name}.err"
c=$?
cd "$F" && printf %s $c >${name}.tmp && mv -f ${name}.tmp ${name}.code || exit 3
${readScript(folder)}`;
}

/** Tells what is in a folder: its small files. */
export function readScript(folder: string): string {
  return `cd ${atHome(folder)} && [ -f run.json ] || exit 2
pwd
for f in run.json attempt-*.json attempt-*.out attempt-*.err attempt-*.code; do ${tell()}; done
`;
}

/** Tells what is in the log files of a folder, by name, or the last bytes of some of them. */
export function logScript(folder: string, names?: readonly string[], last?: number): string {
  return `cd ${atHome(folder)}/log || exit 2
pwd
for f in ${names ? quote(names) : "*"}; do ${tell(last)}; done
`;
}

/** A running task may write more meanwhile: the length that was told counts. */
function tell(last?: number): string {
  const [length, cut] = last === undefined
    ? ["$s", ""]
    : [`$((s < ${last} ? s : ${last}))`, ` | tail -c ${last}`];
  return `if [ -f "$f" ]; then s=$(wc -c <"$f"); s=$((s)); echo "@@ $f ${length}"; head -c "$s" "$f"${cut}; fi`;
}

/** Takes apart what {@linkcode readScript} and {@linkcode logScript} said: the folder, and the files by name. */
export function readFiles(bytes: Uint8Array): { folder: string; files: Map<string, string> } {
  const text = new TextDecoder();
  let at = 0;
  const line = (): string => {
    const end = bytes.indexOf(10, at);
    const found = text.decode(bytes.subarray(at, end < 0 ? bytes.length : end));
    at = end < 0 ? bytes.length : end + 1;
    return found;
  };
  const folder = line();
  const files = new Map<string, string>();
  while (at < bytes.length) {
    const [, name, length] = /^@@ (.*) (\d+)$/.exec(line()) ?? [];
    if (name === undefined) break;
    files.set(name, text.decode(bytes.subarray(at, at += Number(length))));
  }
  return { folder, files };
}

/** Gives the parts whose names are not on standard input, in their order, up to {@linkcode FETCH_BYTES}. */
export function fetchScript(folder: string): string {
  return `cd ${atHome(folder)}/out || exit 2
export LC_ALL=C
{ cat; ls; } | sort | uniq -u | {
  n=0
  while IFS= read -r f; do
    case $f in *.part) ;; *) continue ;; esac
    s=\${f%.part}
    s=\${s##*.}
    n=$((n + s))
    [ "$n" -le ${FETCH_BYTES} ] || [ "$n" -eq "$s" ] || break
    printf '%s\\n' "$f"
  done
} | xargs cat /dev/null
`;
}

/** Removes the folder, if it is one of a batch map. */
export function removeScript(folder: string): string {
  return `cd ${atHome(folder)} 2>/dev/null || exit 0
[ -f id ] && [ -d out ] || exit 2
cd / && rm -rf -- ${quote(folder)}
`;
}

/** What a task's job runs on its node. */
export function taskScript(parts: {
  folder: string;
  plan: TaskPlan;
  /** The runtime that was asked for. */
  asked: string | undefined;
  /** The one that was found beside the scheduler, which the nodes may have, too. */
  found: string | undefined;
  setup: string | undefined;
}): string {
  const { folder, plan, asked, found, setup } = parts;
  const named = asked !== undefined && asked !== "send";
  const search = named || found === undefined
    ? findRuntime(named ? asked : undefined)
    : `r=${quote(found)}\nif [ ! -x "$r" ]; then\n${findRuntime(undefined)}fi\n`;
  return `${setup === undefined ? "" : `${setup}\n`}F=${quote(folder)}
if [ ! -s "$F/program.mjs" ]; then
  echo "pathos: $F cannot be seen on $(uname -n): the folder must be in a file system that the nodes share" >&2
  exit 66
fi
d=\${XDG_CACHE_HOME:-$HOME/.cache}/pathos
${search}if [ -z "$r" ]; then
  echo "pathos: there is neither deno nor node on $(uname -n): name its path in the option runtime, or let it be sent" >&2
  exit 69
fi
${execRuntime('"$F/program.mjs"', quote(JSON.stringify(plan)))}`;
}

/** A path as a word of a script; `~` at its beginning is the home folder. */
function atHome(path: string): string {
  const [, home, rest] = /^(~\/?)?(.*)$/s.exec(path)!;
  return home === undefined ? quote(rest) : `"$HOME"/${quote(rest)}`;
}
