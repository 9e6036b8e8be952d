/**
 * The programs that a copy runs on a host: POSIX `sh` with `tar`, `find`, `stat` and the like, as GNU, BSD and
 * busybox have them. Each cleans up after itself when its input or its connection ends too early, and each that
 * changes something says `done` at its end: a host that runs no shell (SFTP only) does not say it.
 */

const FAIL = `fail() { printf 'pathos-copy:%s:%s\\n' "$1" "$2" >&2; exit 1; }
`;

const SHA = `sha() {
  if command -v sha256sum >/dev/null; then sha256sum "$@"
  elif command -v shasum >/dev/null; then shasum -a 256 "$@"
  else fail unsupported 'there is neither sha256sum nor shasum on the host to make checksums'
  fi
}
`;

const NEED_TAR = `command -v tar >/dev/null || fail unsupported 'there is no tar on the host'
`;

/** $1 path. Prints kind, mode, size and time of change. */
export const INSPECT = FAIL + `
if [ -d "$1" ]; then k=folder; elif [ -f "$1" ]; then k=file; elif [ -e "$1" ]; then k=other
else ls -ldL -- "$1" >/dev/null; exit 1
fi
[ -r "$1" ] || fail permission 'permission denied; check owner and mode'
s=$(stat -L -c '%a %s %Y' -- "$1" 2>/dev/null || stat -L -f '%Lp %z %m' -- "$1") || exit 1
echo "$k $s done"`;

/** $1 path, $2 offset. */
export const SEND_FILE =
  `if [ "$2" = 0 ]; then exec cat -- "$1"; else exec tail -c "+$(($2 + 1))" -- "$1"; fi`;

/** $1 path, $2 length, or "all". Prints a SHA-256. */
export const HASH = FAIL + SHA + `
[ -r "$1" ] || { cat -- "$1" >/dev/null; exit 1; }
if [ "$2" = all ]; then sha < "$1"; else head -c "$2" -- "$1" | sha; fi`;

/** $1 path, $2 "-L" or "-P". Prints how many files are below, and their bytes. */
export const COUNT = `cd -- "$1" && find "$2" . -type f -exec ls -lnL {} + |
awk '/^-/ { n++; s += $5 } END { printf "%d %.0f\\n", n, s }'`;

/** $1 path, $2 "h" to follow links. */
export const SEND_TREE = FAIL + NEED_TAR + `
cd -- "$1" && exec tar "-c\${2}f" - .`;

/** $1 path, $2 "h" to follow links, $3 bytes: leaves out files of that size and above. */
export const SEND_SMALL = FAIL + NEED_TAR + `
cd -- "$1" || exit 1
[ "$2" = h ] && follow=-L || follow=-P
find "$follow" . \\( ! -type f -o -size "-\${3}c" \\) -print0 | tar --null --no-recursion "-c\${2}f" - -T -`;

/** $1 path, $2 "-L" or "-P", $3 bytes. Prints the files above that size, each ended by NUL. */
export const LIST_LARGE = `cd -- "$1" && find "$2" . -type f -size "+\${3}c" -print0`;

/** $1 path, $2 "-L" or "-P". Prints the SHA-256 of every file below. */
export const HASH_TREE = FAIL + `
if command -v sha256sum >/dev/null; then tool='sha256sum'
elif command -v shasum >/dev/null; then tool='shasum -a 256'
else fail unsupported 'there is neither sha256sum nor shasum on the host to make checksums'
fi
cd -- "$1" && find "$2" . -type f -exec $tool {} +`;

// $1 target, $2 name in a folder, $3 many, $4 overwrite, $5 and $6 the part's names beside these, $7 kind.
// Gives d (where it lands), there (it is a folder that exists) and p (its part), all absolute.
const LAND = FAIL + SHA + `
t=$1 overwrite=$4
case $t in /*) ;; *) t=$PWD/$t ;; esac
if [ -d "$t" ]; then
  part=$5
  if [ -n "$2" ]; then d=\${t%/}/$2; else d=$t; fi
else
  part=$6 d=$t
  [ "$3" = 0 ] || fail not-found 'several sources ask for a folder, and there is none; make it first'
  case $t in */)
    [ "$7" = folder ] || fail not-found 'the slash at its end asks for a folder, and there is none; make it first'
  esac
  while :; do case $d in ?*/) d=\${d%/} ;; *) break ;; esac; done
fi
dir=\${d%/*}; dir=\${dir:-/}
if [ ! -d "$dir" ]; then ls -ld -- "$dir" >/dev/null; fail not-found 'there is no folder to put it into; make it first'; fi
there=0
if [ "$7" = folder ] && { [ -e "$d" ] || [ -L "$d" ]; }; then
  there=1
  [ -n "$2" ] && [ -L "$d" ] && [ "$d" != "$t" ] && fail in-the-way 'there is a link, which is not followed; remove it first'
  [ -d "$d" ] || fail in-the-way 'there is a file where the folder would go; remove it first'
fi
if [ "$7" = file ]; then
  [ ! -d "$d" ] || fail in-the-way 'there is a folder where the file would go; remove it first'
  if [ "$overwrite" = 0 ] && { [ -e "$d" ] || [ -L "$d" ]; }; then
    fail in-the-way 'it exists already, and is not to be overwritten'
  fi
fi
if [ "$there" = 1 ]; then p=$d/$part; else p=\${dir%/}/$part; fi
`;

/** Arguments of LAND. Prints where it would land. */
export const RESOLVE = LAND + `
printf '%s' "$d"`;

/** Arguments of LAND. Prints size and SHA-256 of the part that an earlier copy left. */
export const PART = LAND + `
if [ -f "$p" ] && [ ! -L "$p" ]; then
  n=$(wc -c < "$p") h=$(sha < "$p") || exit 1
  echo $n "\${h%% *}"
fi`;

/**
 * Arguments of LAND, then $8 "1" to leave what arrived, $9 offset, ${10} size, ${11} mode, ${12} time for `touch -t` or
 * nothing, ${13} SHA-256 or nothing. Reads the bytes from the offset on.
 */
export const RECEIVE_FILE = LAND + `
resume=$8 offset=$9 size=\${10} mode=\${11} stamp=\${12} hash=\${13} mask=$(umask)
umask 077
clean() { if [ "$resume" = 0 ] || [ ! -s "$p" ]; then rm -f -- "$p"; fi; }
trap clean EXIT
trap 'exit 1' HUP INT PIPE TERM
if [ "$offset" = 0 ]; then
  [ "$resume" = 0 ] || rm -f -- "$p"
  set -C; : > "$p" || exit 1; set +C
else
  [ -f "$p" ] && [ ! -L "$p" ] && [ $(wc -c < "$p") -eq "$offset" ] || fail mismatch 'its part changed; copy it again'
fi
cat >> "$p" || exit 1
n=$(wc -c < "$p") || exit 1
[ $n -eq "$size" ] || fail mismatch "$((n)) of $size bytes arrived; copy it again"
if [ -n "$hash" ]; then
  h=$(sha < "$p") || exit 1
  [ "\${h%% *}" = "$hash" ] || { rm -f -- "$p"; fail mismatch 'checksum'; }
fi
if [ -n "$stamp" ]; then
  chmod "$mode" "$p" && TZ=UTC0 touch -t "$stamp" -- "$p" || exit 1
else
  chmod "$(printf %o $((0$mode & ~0$mask)))" "$p" || exit 1
fi
mv -f -- "$p" "$d" || exit 1
trap - EXIT
echo done`;

/**
 * Arguments of LAND, then $8 tar's flags, $9 "1" if there are checksums. Reads an archive of `tree`, `sums` and, last,
 * `end`.
 */
export const RECEIVE_TREE = LAND + NEED_TAR + `
flags=$8
if [ "$flags" = m ] && [ "$(id -u)" = 0 ]; then set -- --no-same-permissions "$9"; else set -- "" "$9"; fi
clean() { rm -rf -- "$p" 2>/dev/null || { chmod -R u+rwx "$p"; rm -rf -- "$p"; }; }
trap clean EXIT
trap 'exit 1' HUP INT PIPE TERM
mkdir -m 700 -- "$p" || exit 1
(cd -- "$p" && tar "-xo\${flags}f" - $1) || exit 1
[ -f "$p/end" ] || fail mismatch 'the stream was cut short; copy it again'
if [ "$2" = 1 ]; then
  bad=$(cd -- "$p/tree" && sha -c ../sums 2>/dev/null | grep -v ': OK$' | head -n 1)
  [ -z "$bad" ] || fail mismatch "checksum $bad"
fi
move() {
  if [ -L "$1" ] || [ -w "$1" ]; then mv -f -- "$1" "$2"
  else chmod u+w "$1" && mv -f -- "$1" "$2" && chmod u-w "$2"
  fi
}
merge() (
  for e in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    [ -d "$e" ] && [ ! -L "$e" ] || continue
    if [ -d "$2/\${e##*/}" ]; then merge "$e" "$2/\${e##*/}"; else move "$e" "$2/\${e##*/}"; fi || exit 1
  done
  find "$1/." ! -name . -prune ! -type d -exec sh -c 'exec mv -f -- "$@" "$0/"' "$2" {} +
)
if [ "$there" = 0 ]; then
  move "$p/tree" "$d" || exit 1
else
  cd -- "$p/tree" && find . ! -name . -exec sh -c '
    fail() { printf "pathos-copy:in-the-way:%s\\n" "$1" >&2; exit 1; }
    d=$0 overwrite=$1; shift
    for f; do
      f=\${f#./}
      if [ -d "$f" ] && [ ! -L "$f" ]; then
        [ ! -L "$d/$f" ] || fail "$f: there is a link, which is not followed; remove it first"
        [ ! -e "$d/$f" ] || [ -d "$d/$f" ] || fail "$f: there is a file where a folder would go; remove it first"
      elif [ -d "$d/$f" ] && [ ! -L "$d/$f" ]; then fail "$f: there is a folder where a file would go; remove it first"
      elif [ "$overwrite" = 0 ] && { [ -e "$d/$f" ] || [ -L "$d/$f" ]; }; then
        fail "$f: it exists already, and is not to be overwritten"
      fi
    done' "$d" "$overwrite" {} + || exit 1
  cd / && merge "$p/tree" "$d" || exit 1
fi
echo done`;
