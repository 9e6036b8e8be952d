/**
 * Stand-ins for the batch schedulers that cannot be installed here: OpenPBS, Torque, Moab, LSF, and the launchers aprun,
 * jsrun and `flux run`. Small scripts of sh that refuse options their manuals do not have, run jobs for real in the
 * background, and answer as documented, with the messages of the sources where those are open. A job waits when it is
 * first looked at, runs at the next look, and has ended, if it has, at the one after. They show that what is written
 * for these schedulers and read from them fits together; not that their servers agree. This file is only for tests.
 *
 * @module
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

/** The schedulers there are stand-ins for. */
export type FakeKind = "openpbs" | "torque" | "moab" | "lsf";

/** A stand-in. */
export interface FakeScheduler {
  /** Its folder. */
  folder: string;
  /** What programs must have in their environment to find it. */
  env: { PATH: string };
  /** Lets the server be out of reach for so many commands. */
  down(commands: number): void;
  /** Forgets a job. */
  forget(number: string): void;
  [Symbol.dispose](): void;
}

/** Makes one. */
export function fakeScheduler(kind: FakeKind): FakeScheduler {
  const folder = mkdtempSync(join(tmpdir(), "pathos-fake-"));
  mkdirSync(join(folder, "jobs"));
  mkdirSync(join(folder, "bin"));
  const family = kind === "openpbs" || kind === "torque" ? PBS : kind === "moab" ? MOAB : LSF;
  writeFileSync(
    join(folder, "lib"),
    `S='${folder}'; kind=${kind}\n${ENGINE}${kind === "lsf" ? "" : SUBMIT_PBS}`,
  );
  for (const [name, text] of Object.entries({ run: RUN, ...family })) {
    const path = name === "run" ? join(folder, name) : join(folder, "bin", name);
    writeFileSync(path, `#!/bin/sh\n. '${folder}/lib'\n${text}`, { mode: 0o755 });
  }
  return {
    folder,
    env: { PATH: `${join(folder, "bin")}:${process.env.PATH}` },
    down: (commands) => writeFileSync(join(folder, "down"), `${commands}\n`),
    forget: (number) => rmSync(join(folder, "jobs", number), { recursive: true }),
    [Symbol.dispose]: () => {
      for (const job of readdirSync(join(folder, "jobs"))) {
        const [pid, exit] = ["pid", "exit"].map((name) => join(folder, "jobs", job, name));
        if (existsSync(pid) && !existsSync(exit)) end(Number(readFileSync(pid, "utf8")));
      }
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** A folder for PATH with aprun, jsrun and flux, which start ranks on this machine. */
export function fakeLaunchers(folder: string): string {
  for (const [name, text] of Object.entries(LAUNCHERS)) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${START_RANKS}${text}`, { mode: 0o755 });
  }
  return folder;
}

function end(group: number): void {
  try {
    process.kill(-group, "SIGKILL");
  } catch {
    // it has ended by itself
  }
}

/**
 * Jobs are folders in `jobs`: `12` of a job or of an array, `12.3` of a task. `script`, `name`, `cwd`, `out`, `err`,
 * `after` and `limit` are those of the job; `state` (Q, R, C), `hold`, `pid`, `exit`, `runs` and `why` of what runs.
 */
const ENGINE = `
set -f
die() { code=$1; shift; printf '%s\\n' "$*" >&2; exit "$code"; }
is() { printf '%s\\n' "$1" | grep -Eq "^($2)\\$"; }
until mkdir "$S/lock" 2>/dev/null; do sleep 0.01; done
trap 'rmdir "$S/lock"' EXIT
program=\${0##*/}
reach() { # what it says when its server is out of reach
  [ -s "$S/down" ] || return 0
  left=$(($(cat "$S/down") - 1))
  if [ $left -gt 0 ]; then echo $left >"$S/down"; else rm "$S/down"; fi
  die 255 "$1"
}
new_job() { # sets n, and d to its folder; its script is that of $1
  n=$(($(cat "$S/counter" 2>/dev/null || echo 0) + 1)); echo $n >"$S/counter"
  d="$S/jobs/$n"; mkdir "$d"; mv "$1" "$d/script"; pwd >"$d/cwd"
}
new_part() { mkdir -p "$S/jobs/$1"; echo Q >"$S/jobs/$1/state"; echo 0 >"$S/jobs/$1/runs"; }
parts() { # the parts of a job, in order
  if [ -e "$S/jobs/$1/state" ]; then echo "$1"; return; fi
  ls "$S/jobs" | grep "^$1[.]" | sort -t. -k2n
}
get() { cat "$S/jobs/$1/$2" 2>/dev/null; }
state() { get "$1" state; }
over() { for part in $(parts "$1"); do [ "$(state $part)" = C ] || return 1; done; }
well() { for part in $(parts "$1"); do [ "$(get $part exit)" = 0 ] || return 1; done; }
# whether what a job waits for has come; 2 if it never will
ready() {
  [ -e "$S/jobs/\${1%.*}/after" ] || return 0
  while read -r when other; do
    case $when in
      started) for part in $(parts $other); do [ "$(state $part)" = Q ] && return 1; done;;
      *) over $other || return 1;;
    esac
    case $when in
      ok) well $other || return 2;;
      notok) well $other && return 2;;
    esac
  done <"$S/jobs/\${1%.*}/after"
  return 0
}
room() { # for one more task of an array
  limit=$(get "\${1%.*}" limit); [ "$limit" ] || return 0
  busy=0
  for part in $(parts "\${1%.*}"); do [ "$(state $part)" = R ] && busy=$((busy + 1)); done
  [ $busy -lt "$limit" ]
}
advance() {
  for key in $(ls "$S/jobs" | sort -t. -k1n -k2n); do
    case $(state $key) in
      R) [ -e "$S/jobs/$key/exit" ] && echo C >"$S/jobs/$key/state";;
      Q)
        [ -e "$S/jobs/$key/hold" ] && continue
        ready $key; answer=$?
        if [ $answer = 2 ] && [ $kind != lsf ]; then echo C >"$S/jobs/$key/state"; fi
        [ $answer = 0 ] && room $key || continue
        echo R >"$S/jobs/$key/state"; echo $(($(get $key runs) + 1)) >"$S/jobs/$key/runs"
        setsid sh "$S/run" $key </dev/null >/dev/null 2>&1 &
        echo $! >"$S/jobs/$key/pid";;
    esac
  done
}
stop() { # a part, which gets the exit status $2 if it has run
  case $(state $1) in
    C) return 1;;
    R) kill -TERM -$(get $1 pid) 2>/dev/null; echo "$2" >"$S/jobs/$1/exit";;
  esac
  echo C >"$S/jobs/$1/state"
}
again() { # lets a part that runs wait
  [ "$(state $1)" = R ] || return 1
  kill -TERM -$(get $1 pid) 2>/dev/null
  rm -f "$S/jobs/$1/exit"; echo Q >"$S/jobs/$1/state"
}
`;

/** Runs one part: not one of the commands, so it must not hold the lock. */
const RUN = `
trap - EXIT; rmdir "$S/lock"
key=$1; d="$S/jobs/\${key%.*}"; n=\${key%.*}; t=\${key#*.}; [ "$t" = "$key" ] && t=
cd "$(cat "$d/cwd")"
case $kind in
  lsf) export LSB_JOBID=$n LSB_JOBINDEX=\${t:-0};;
  moab) export MOAB_JOBID="Moab.$n\${t:+[$t]}" PBS_O_WORKDIR="$PWD"; [ "$t" ] && export MOAB_JOBARRAYINDEX=$t; cd /;;
  *)
    export PBS_JOBID="$n\${t:+[$t]}.server" PBS_O_WORKDIR="$PWD"
    [ "$t" ] && [ $kind = openpbs ] && export PBS_ARRAY_INDEX=$t
    [ "$t" ] && [ $kind = torque ] && export PBS_ARRAYID=$t
    cd /;;
esac
out=$(sed "s/%J/$n/g; s/%I/$t/g" "$d/out" 2>/dev/null); err=$(sed "s/%J/$n/g; s/%I/$t/g" "$d/err" 2>/dev/null)
[ "$out" ] || out=/dev/null
if [ "$err" ]; then sh "$d/script" >"$out" 2>"$err"; else sh "$d/script" >"$out" 2>&1; fi
code=$?
[ $kind = lsf ] && [ -s "$d/out" ] && printf '\\n%s\\n' "Sender: LSF System <lsfadmin@hostA>" >>"$out"
echo $code >"$S/jobs/$key/exit.new" && mv "$S/jobs/$key/exit.new" "$S/jobs/$key/exit"
`;

/** The script lines of qsub and msub: \`submit DIRECTIVE\` reads a script and sets \`n\`, and \`array\` for an array. */
const SUBMIT_PBS = `
indices() { # 1-4,7 or 2-6:2 as words
  for run in $(echo "$1" | tr , ' '); do
    case $run in
      *:*) seq "\${run%%-*}" "\${run##*:}" "$(echo "$run" | sed 's/.*-//; s/:.*//')";;
      *-*) seq "\${run%-*}" "\${run#*-}";;
      *) echo "$run";;
    esac
  done
}
number() { echo "$1" | sed 's/^Moab[.]//; s/[.]server$//; s/\\[\\]$//; s/\\[\\([0-9]*\\)\\]$/.\\1/'; }
bad() { die 1 "$program: illegal -$1 value"; }
submit() {
  script="$S/new"; cat >"$script"
  array=; limit=; name=STDIN; out=; err=; join=; hold=; rm -f "$S/new.after"
  while read -r line; do
    case $line in
      "#PBS "*) eval "set -- \${line#?????}"; directive "$@";;
      "#"* | "") ;;
      *) break;;
    esac
  done <"$script"
  new_job "$script"
  echo "$name" >"$d/name"; echo "$limit" >"$d/limit"
  [ -e "$S/new.after" ] && mv "$S/new.after" "$d/after"
  [ "$out" ] && echo "$out" >"$d/out"
  [ "$err" ] && [ ! "$join" ] && echo "$err" >"$d/err"
  if [ "$array" ]; then for t in $(indices "$array"); do new_part $n.$t; done; else new_part $n; fi
  [ "$hold" ] && for part in $(parts $n); do touch "$S/jobs/$part/hold"; done
}
directive() {
  while [ $# -gt 0 ]; do
    option=$1; shift
    case $option in
      -h) hold=yes; continue;;
      -V) continue;;
      -[ANqlWmMoejrJt]) [ $# -gt 0 ] || die 2 "$program: option requires an argument -- '\${option#-}'";;
      *) die 2 "$program: invalid option -- '\${option#-}'";;
    esac
    value=$1; shift
    case $kind$option in
      *-N) name=$value; is "$value" '[[:alpha:]][^[:space:]]*' || [ $kind = openpbs ] || bad N;;
      *-q) is "$value" 'workq|long' || die 170 "$program: Unknown queue";;
      *-A | *-M) ;;
      *-m) is "$value" '[abe]+' || bad m;;
      *-r) is "$value" '[yn]' || bad r;;
      *-j) is "$value" 'oe' || bad j; join=yes;;
      *-o) case $value in /*) out=$value;; *) out="$PWD/$value";; esac;;
      *-e) case $value in /*) err=$value;; *) err="$PWD/$value";; esac;;
      *-l) resources "$value";;
      openpbs-J)
        is "$value" '[0-9]+-[0-9]+(:[1-9][0-9]*)?(%[1-9][0-9]*)?' || bad J
        ends=\${value%%[:%]*}; [ "\${ends%-*}" -lt "\${ends#*-}" ] || bad J
        split "$value";;
      torque-t) is "$value" '[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*(%[1-9][0-9]*)?' || bad t; split "$value";;
      moab-t)
        is "$value" '[^[]+[.]\\[[0-9,-]+\\](%[1-9][0-9]*)?' || bad t
        split "$(echo "$value" | sed 's/^.*\\[//; s/\\]//')";;
      *-W) attribute "$value";;
      *) die 2 "$program: invalid option -- '\${option#-}'";;
    esac
  done
}
split() { array=\${1%%%*}; case $1 in *%*) limit=\${1##*%};; esac; }
resources() {
  for resource in $(echo "$1" | tr , ' '); do
    case $kind in
      openpbs) forms='select=[0-9]+(:[a-z]+=[0-9]+(kb)?)*([+][0-9]+(:[a-z]+=[0-9]+(kb)?)*)*|place=(scatter|pack|free)';;
      *) forms='nodes=[0-9]+(:ppn=[0-9]+)?(:gpus=[0-9]+)?|procs=[0-9]+|mem=[0-9]+kb|qos=[a-z]+';;
    esac
    is "$resource" "$forms|walltime=[0-9]+:[0-9][0-9]:[0-9][0-9]" ||
      die 1 "$program: Unknown resource type  Resource_List.\${resource%%=*}"
  done
}
attribute() {
  case $1 in depend=*) ;; x=QOS:*) return;; *) bad W;; esac
  for condition in $(echo "\${1#depend=}" | tr , ' '); do
    word=\${condition%%:*}
    for id in $(echo "\${condition#*:}" | tr : ' '); do
      case $kind$word$id in
        torqueafter*array*"[]"*) ;;
        torque*array* | torque*"[]"*) bad W;;
      esac
      key=$(number "$id"); [ -e "$S/jobs/$key" ] || die 1 "$program: Unknown Job Id $id"
      case \${word%array} in
        after | afterstart) echo started $key;;
        afterok) echo ok $key;;
        afternotok) echo notok $key;;
        afterany) echo any $key;;
        *) bad W;;
      esac >>"$S/new.after"
    done
  done
}
`;

const PBS_DOWN = `reach "Connection refused
$program: cannot connect to server server (errno=111)"`;

/** Does \`$1\` to every part of the jobs that follow. */
const PBS_EACH = `
each() {
  what=$1; shift; code=0
  for id; do
    key=$(number "$id")
    if [ ! -e "$S/jobs/$key" ]; then echo "$program: $unknown $id" >&2; code=153; continue; fi
    for part in $(parts $key); do $what $part || { echo "$program: $refused $id" >&2; code=168; }; done
  done
  exit $code
}
case $kind in
  torque) unknown="Unknown Job Id Error"; refused="Request invalid for state of job";;
  *) unknown="Unknown Job Id"; refused="Job has finished";;
esac
case "$*" in -*) die 2 "usage: $program job_identifier...";; esac
`;

const PBS: Readonly<Record<string, string>> = {
  qsub: `${PBS_DOWN}
[ $# = 0 ] || die 2 "usage: qsub [script]"
submit
echo "$n\${array:+[]}.server"`,
  qstat: `${PBS_DOWN}
case $kind in openpbs) wanted="-x -f -t -w";; *) wanted="-f -t -1";; esac
case "$* " in "$wanted "*) ;; *) die 2 "usage: qstat $wanted";; esac
while is "\${1-}" '-.*'; do shift; done
code=0
show() { # one part
  t=\${1#*.}; [ "$t" = "$1" ] && t=
  echo "Job Id: \${1%.*}\${t:+[$t]}.server"
  echo "    Job_Name = $(get \${1%.*} name)"
  state=$(state $1); [ $state = Q ] && [ -e "$S/jobs/$1/hold" ] && state=H
  [ $state = Q ] && { ready $1 || state=H; }
  if [ $state = C ]; then
    exit=$(get $1 exit)
    if [ $kind = torque ]; then [ "$exit" ] && echo "    exit_status = $exit"
    else state=F; [ "$t" ] && state=X; [ "$exit" ] && echo "    Exit_status = $exit"; fi
  fi
  echo "    job_state = $state"
  runs=$(get $1 runs)
  [ "$runs" -gt 0 ] && { [ $kind = torque ] && echo "    start_count = $runs" || echo "    run_count = $runs"; }
  [ $state = R ] && echo "    exec_host = node1/0"
  echo "    comment = a value that goes on
	 in a second line"
  echo
}
for id; do
  key=$(number "$id")
  if [ ! -e "$S/jobs/$key" ]; then
    [ $kind = torque ] && echo "qstat: Unknown Job Id Error $id" >&2 || echo "qstat: Unknown Job Id $id" >&2
    code=153; continue
  fi
  if [ $kind = openpbs ] && [ ! -e "$S/jobs/$key/state" ]; then
    over $key && state=F || state=B
    printf 'Job Id: %s\\n    Job_Name = %s\\n    job_state = %s\\n    array = True\\n\\n' "$id" "$(get $key name)" $state
  fi
  for part in $(parts $key); do show $part; done
done
advance
exit $code`,
  qdel: `${PBS_DOWN}${PBS_EACH}
delete() { stop $1 271; }
each delete "$@"`,
  qhold: `${PBS_DOWN}${PBS_EACH}
[ $kind = openpbs ] && case "$*" in *"["[0-9]*) die 1 "qhold: illegally formed job identifier: $*";; esac
keep() { [ "$(state $1)" = Q ] && touch "$S/jobs/$1/hold"; }
each keep "$@"`,
  qrls: `${PBS_DOWN}${PBS_EACH}
[ $kind = openpbs ] && case "$*" in *"["[0-9]*) die 1 "qrls: illegally formed job identifier: $*";; esac
free() { rm -f "$S/jobs/$1/hold"; }
each free "$@"`,
  qrerun: `${PBS_DOWN}${PBS_EACH}
each again "$@"`,
};

const MOAB_DOWN = `reach "ERROR:    communication failure"`;

const MOAB: Readonly<Record<string, string>> = {
  msub: `${MOAB_DOWN}
[ $# = 0 ] || die 2 "usage: msub [script]"
submit
printf '\\nMoab.%s\\n' "$n"`,
  checkjob: `${MOAB_DOWN}
[ $# = 2 ] && [ "$1" = -v ] || die 1 "usage: checkjob [-v] jobid"
id=$2; key=$(number "$id")
[ -e "$S/jobs/$key" ] || die 1 "ERROR:  invalid job specified ($id)"
word() {
  case $(state $1) in
    Q) if [ -e "$S/jobs/$1/hold" ]; then echo Hold; elif ready $1; then echo Idle; else echo Blocked; fi;;
    R) echo Running;;
    C) if [ -e "$S/jobs/$1/why" ]; then echo Removed; else echo Completed; fi;;
  esac
}
printf 'job %s\\n\\nAName: %s\\n' "$id" "$(get \${key%.*} name)"
if [ ! -e "$S/jobs/$key/state" ]; then
  printf 'Job Array Info:\\n  Name: %s\\n' "$id"
  total=0
  for part in $(parts $key); do
    printf '  %d : %s : %s\\n' "\${part#*.}" "$id[\${part#*.}]" "$(word $part)"; total=$((total + 1))
  done
  printf '\\n  Sub-jobs:    %8d\\n    Active:    %8d ( %s%% )\\n\\nState: Idle \\n' $total 0 0.0
else
  word=$(word $key); echo "State: $word "
  [ "$(state $key)" = C ] && echo "Completion Code: $(get $key exit)  Time: Fri Jun 10 15:35:08"
  [ $word = Hold ] && echo "Holds:          User"
fi
printf 'Creds:  user:me  group:us  class:batch\\nWallTime:   00:00:00 of 1:00:00\\n\\n'
advance`,
  mjobctl: `${MOAB_DOWN}
what=$1; shift
case $what in -h | -u) is "$1" 'user' || die 1 "ERROR:  invalid hold type"; shift;; -c | -R) ;; *) die 1 "usage: mjobctl";; esac
[ $# = 1 ] || die 1 "ERROR:  one list of jobs expected"
done=
for expression in $(echo "$1" | tr , ' '); do
  for key in $(ls "$S/jobs"); do
    [ -e "$S/jobs/$key/state" ] || continue
    n=\${key%.*}; t=\${key#*.}; [ "$t" = "$key" ] && t=
    id="Moab.$n\${t:+[$t]}"
    case $expression in
      *"["*) printf '%s\\n' "$id" | grep -q "$expression" || continue;;
      *) [ "$expression" = "Moab.$n" ] || continue;;
    esac
    done=yes
    case $what in
      -c) stop $key 271 && { touch "$S/jobs/$key/why"; echo "job '$id' cancelled"; };;
      -h) touch "$S/jobs/$key/hold"; echo "holds modified for job $id";;
      -u) rm -f "$S/jobs/$key/hold"; echo "holds modified for job $id";;
      -R) again $key && echo "job '$id' requeued";;
    esac
  done
done
[ "$done" ] || die 1 "ERROR:  invalid job specified"`,
};

const LSF_DOWN = `reach "batch system daemon not responding ... still trying"`;

/** Does \`$1\` to every part of the jobs that follow, saying \`$2\`. */
const LSF_EACH = `
each() {
  what=$1; words=$2; shift 2; code=0
  for id; do
    is "$id" '[0-9]+(\\[[0-9]+\\])?' || die 255 "$id: Illegal job ID."
    key=$(echo "$id" | sed 's/\\[/./; s/\\]//')
    if [ ! -e "$S/jobs/$key" ]; then echo "Job <$id>: No matching job found" >&2; code=255; continue; fi
    for part in $(parts $key); do
      if $what $part; then echo "Job <$id> is being $words"
      else echo "Job <$id>: Job has already finished" >&2; code=255; fi
    done
  done
  exit $code
}
`;

const LSF: Readonly<Record<string, string>> = {
  bsub: `${LSF_DOWN}
[ $# = 0 ] || die 255 "bsub: no command line options in these tests"
script="$S/new"; cat >"$script"
array=; limit=; name=; out=; err=; hold=; queue=normal; rm -f "$S/new.after" "$S/new.cwd"
bad() { die 255 "Bad argument for option $1. Job not submitted."; }
option() {
  while [ $# -gt 0 ]; do
    option=$1; shift
    case $option in
      -H) hold=yes; continue;;
      -r | -rn | -B | -N) continue;;
      -J | -n | -R | -gpu | -W | -q | -P | -sla | -w | -u | -cwd | -o | -e | -wa | -wt) [ $# -gt 0 ] || bad $option;;
      *) die 255 "bsub: illegal option -- \${option#-}";;
    esac
    value=$1; shift
    case $option in
      -J)
        name=\${value%%[[]*}
        case $value in
          *"["*)
            is "$value" '[^[]*\\[[1-9][0-9]*(-[0-9]+)?(,[1-9][0-9]*(-[0-9]+)?)*\\](%[1-9][0-9]*)?' || bad -J
            array=$(echo "$value" | sed 's/.*\\[//; s/\\].*//')
            case $value in *%*) limit=\${value##*%};; esac;;
        esac;;
      -n | -wt) is "$value" '[1-9][0-9]*' || bad $option;;
      -R) is "$value" 'span\\[ptile=[0-9]+\\]|rusage\\[mem=[0-9]+KB/host\\]|affinity\\[core\\([0-9]+\\)\\]' || bad -R;;
      -gpu) is "$value" 'num=[0-9]+/host' || bad -gpu;;
      -W) is "$value" '[0-9]+:[0-9][0-9]' || bad -W;;
      -q) is "$value" 'normal|long' || die 255 "$value: No such queue. Job not submitted."; queue=$value;;
      -cwd) echo "$value" >"$S/new.cwd";;
      -o) out=$value;;
      -e) err=$value;;
      -w)
        for condition in $(echo "$value" | sed 's/ && / /g'); do
          is "$condition" '(done|exit|ended|started)\\([0-9]+\\)' || bad -w
          other=\${condition#*(}; other=\${other%)}
          [ -e "$S/jobs/$other" ] || die 255 "$other: Dependency condition invalid or never satisfied. Job not submitted."
          case $condition in
            done*) echo ok $other;;
            exit*) echo notok $other;;
            ended*) echo any $other;;
            started*) echo started $other;;
          esac >>"$S/new.after"
        done;;
    esac
  done
}
while read -r line; do
  case $line in
    "#BSUB "*) eval "set -- \${line#??????}"; option "$@";;
    "#"* | "") ;;
    *) break;;
  esac
done <"$script"
new_job "$script"
echo "$name" >"$d/name"; echo "$limit" >"$d/limit"; echo "$out" >"$d/out"
[ "$err" ] && echo "$err" >"$d/err"
for file in after cwd; do [ -e "$S/new.$file" ] && mv "$S/new.$file" "$d/$file"; done
if [ "$array" ]; then
  for run in $(echo "$array" | tr , ' '); do for t in $(seq "\${run%-*}" "\${run#*-}"); do new_part $n.$t; done; done
else new_part $n; fi
[ "$hold" ] && for part in $(parts $n); do touch "$S/jobs/$part/hold"; done
echo "Job <$n> is submitted to queue <$queue>."`,
  bjobs: `${LSF_DOWN}
fields="jobid jobindex stat exit_code exit_reason pend_reason job_name exec_host"
[ "$1 $2 $3" = "-a -json -o" ] && [ "$4" = "$fields" ] || die 255 "bjobs: illegal option"
shift 4
records=
for id; do
  key=$(echo "$id" | sed 's/\\[/./; s/\\]//')
  if [ ! -e "$S/jobs/$key" ]; then
    records="$records,{\\"JOBID\\":\\"$id\\",\\"ERROR\\":\\"Job <$id> is not found\\"}"; continue
  fi
  for part in $(parts $key); do
    t=\${part#*.}; [ "$t" = "$part" ] && t=0
    code=; why=; pending=; host=
    case $(state $part) in
      Q) if [ -e "$S/jobs/$part/hold" ]; then stat=PSUSP; else stat=PEND; pending="New job is waiting for scheduling;"; fi;;
      R) stat=RUN; host=hostA; [ -e "$S/jobs/$part/stopped" ] && stat=USUSP;;
      C)
        code=$(get $part exit); why=$(get $part why); stat=EXIT
        [ "$code" = 0 ] && { stat=DONE; code=; };;
    esac
    records="$records,{\\"JOBID\\":\\"\${part%.*}\\",\\"JOBINDEX\\":\\"$t\\",\\"STAT\\":\\"$stat\\",\\"EXIT_CODE\\":\\"$code\\",\\
\\"EXIT_REASON\\":\\"$why\\",\\"PEND_REASON\\":\\"$pending\\",\\"JOB_NAME\\":\\"$(get \${part%.*} name)\\",\\"EXEC_HOST\\":\\"$host\\"}"
  done
done
count=$#
printf '{\\n  "COMMAND":"bjobs",\\n  "JOBS":%d,\\n  "RECORDS":[\\n%s\\n  ]\\n}\\n' "$count" "\${records#,}"
advance`,
  bkill: `${LSF_DOWN}${LSF_EACH}
end() { stop $1 130 && echo "TERM_OWNER: job killed by owner" >"$S/jobs/$1/why"; }
each end terminated "$@"`,
  bstop: `${LSF_DOWN}${LSF_EACH}
keep() { case $(state $1) in Q) touch "$S/jobs/$1/hold";; R) touch "$S/jobs/$1/stopped";; *) return 1;; esac; }
each keep stopped "$@"`,
  bresume: `${LSF_DOWN}${LSF_EACH}
free() { rm -f "$S/jobs/$1/hold" "$S/jobs/$1/stopped"; }
each free resumed "$@"`,
  brequeue: `${LSF_DOWN}${LSF_EACH}
each again requeued "$@"`,
};

/** Starts \`n\` ranks of the words that are left, each with what \`rank NUMBER\` exports. */
const START_RANKS = `
die() { echo "$*" >&2; exit 1; }
count() { case $1 in '' | *[!0-9]* | 0) die "\${0##*/}: invalid argument: $1";; esac; }
n=1 perNode=
start() {
  [ $# -gt 0 ] || die "\${0##*/}: no command"
  i=0
  while [ $i -lt $n ]; do
    rank $i
    "$@" &
    i=$((i + 1))
  done
  wait
}
`;

const LAUNCHERS: Readonly<Record<string, string>> = {
  aprun: `
while [ $# -gt 0 ]; do
  case $1 in
    -n) count "$2"; n=$2; shift 2;;
    -N) count "$2"; perNode=$2; shift 2;;
    -d) count "$2"; shift 2;;
    -*) die "aprun: invalid option -- '$1'";;
    *) break;;
  esac
done
rank() { export ALPS_APP_PE=$1 PMI_SIZE=$n ALPS_LOCAL_RANK=$(($1 % \${perNode:-$n})); }
start "$@"`,
  jsrun: `
tasks=1
while [ $# -gt 0 ]; do
  case $1 in
    --nrs) count "$2"; n=$2; shift 2;;
    --tasks_per_rs) count "$2"; tasks=$2; shift 2;;
    --cpu_per_rs) count "$2"; shift 2;;
    --rs_per_host) count "$2"; perNode=$2; shift 2;;
    --chdir) cd "$2" || exit 1; shift 2;;
    -*) die "jsrun: unrecognized option '$1'";;
    *) break;;
  esac
done
n=$((n * tasks))
rank() { export JSM_NAMESPACE_RANK=$1 JSM_NAMESPACE_SIZE=$n JSM_NAMESPACE_LOCAL_RANK=$(($1 % \${perNode:-$n})); }
start "$@"`,
  flux: `
[ "$1" = run ] || die "flux: '$1' is not a flux command"
shift; nodes=1
while [ $# -gt 0 ]; do
  case $1 in
    -n) count "$2"; n=$2; shift 2;;
    -N) count "$2"; nodes=$2; shift 2;;
    -c) count "$2"; shift 2;;
    --cwd=*) cd "\${1#--cwd=}" || exit 1; shift;;
    -*) die "flux-run: error: unrecognized arguments: $1";;
    *) break;;
  esac
done
[ "$nodes" -le "$n" ] || die "flux-run: ERROR: node count must not be greater than task count"
rank() { export FLUX_TASK_RANK=$1 FLUX_JOB_SIZE=$n FLUX_TASK_LOCAL_ID=$(($1 % (n / nodes))); }
start "$@"`,
};
