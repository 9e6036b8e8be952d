/**
 * What a host that has nothing but `sh` needs to run programs of ours, as pieces of `sh` scripts: the private folder
 * `~/.cache/pathos` in which what was sent is kept, a way to find Deno or Node, and the command that runs a script with
 * what was found. Where there is neither, the very program that runs this is sent (100 MB, once). Files appear at
 * their place only when they are complete.
 */
import {
  arch,
  execPath,
  otherRuntime,
  platform,
  readFile,
  runtimeName,
  runtimeVersion,
} from "../runtime/mod.ts";
import { type Connection, SshError } from "../ssh/connection.ts";
import { quote } from "../ssh/quote.ts";
import { SAY } from "./server_main.ts";

/** A host that answers sooner than this is near: sending is faster than compressing. Milliseconds. */
const NEAR_MS = 60;

/** Name under which this program itself is kept on hosts without a runtime. */
const ownRuntime = (): string => `${runtimeName}-${runtimeVersion()}`;

/** Its path there, as a word of a script. */
const sent = (): string => `"$d/${ownRuntime()}"`;

/** The folder for what is kept: private, ours, and not through a link of somebody else. */
export const FOLDER = `umask 077
d=\${XDG_CACHE_HOME:-$HOME/.cache}/pathos
mkdir -p "$d" 2>/dev/null
if ! { [ -d "$d" ] && [ -w "$d" ] && [ -O "$d" ]; }; then
  d=/tmp/pathos-$(id -u)
  mkdir -m 700 "$d" 2>/dev/null
  if ! { [ -d "$d" ] && [ ! -L "$d" ] && [ -O "$d" ]; }; then
    echo "pathos: neither ~/.cache/pathos nor $d can be written" >&2
    exit 3
  fi
fi
`;

/** Reads a file of so many bytes from standard input. \`$1\` is its place, \`$2\` its length, \`$3\` a filter. */
export const RECEIVE = `receive() {
  t="$1.$$"
  trap 'rm -f "$t"' EXIT
  head -c "$2" | $3 > "$t" || { echo "pathos: $1 cannot be written" >&2; exit 3; }
  chmod 700 "$t" && mv -f "$t" "$1" || exit 3
  trap - EXIT
}
`;

/** Sets `r` to the path of the runtime there, or to nothing if there is none. `d` is the folder. */
export function findRuntime(runtime: string | undefined): string {
  return find(
    runtime === undefined
      ? `${runtimeName} "$HOME/.deno/bin/deno" ${sent()} ${otherRuntime} "$HOME"/.nvm/versions/node/v2*/bin/node`
      : runtime.startsWith("~/")
      ? `"$HOME"/${quote(runtime.slice(2))}`
      : quote(runtime),
  );
}

/** The same, for the one that {@linkcode sendRuntime} sends. */
export function findSentRuntime(): string {
  return find(sent());
}

function find(candidates: string): string {
  return `r=
for c in ${candidates}; do
  if p=$(command -v "$c" 2>/dev/null); then r=$p; break; fi
done
`;
}

/** Replaces the shell by the runtime `$r` that runs a script; all words stand as they are to be in the script. */
export function execRuntime(program: string, args: string, launcher = ""): string {
  const command = `exec ${launcher && `${launcher} `}"$r"`;
  return `case \${r##*/} in
  node*) ${command} ${program} ${args} ;;
  *) ${command} run --allow-all --quiet --no-prompt --no-config --no-lock ${program} ${args} ;;
esac
`;
}

/** Whether the program that runs this runs on that system and processor too, in the words of `uname -s` and `-m`. */
export function runsOn(system: string, processor: string): boolean {
  return SYSTEMS[platform()] === system && (MACHINES[arch()]?.includes(processor) ?? false);
}

const MACHINES: Record<string, string[]> = { x64: ["x86_64", "amd64"], arm64: ["aarch64", "arm64"] };
const SYSTEMS: Record<string, string> = { linux: "Linux", darwin: "Darwin" };

/** Copies the program that runs this to a host that has no runtime. */
export async function sendRuntime(
  connection: Connection,
  machine: string,
  env: Record<string, string> = {},
): Promise<void> {
  const host = String(connection.host);
  const [system, processor] = machine.split(" ");
  if (!runsOn(system, processor)) {
    throw new Error(
      `${host} has neither deno nor node, and this ${platform()} ${arch()} program does not run on its ` +
        `${machine}: install Deno there, or name its path in the option runtime`,
    );
  }
  const own = readFile(execPath());
  const asked = performance.now();
  await new Promise<void>((resolve, reject) => {
    let errors = "";
    const file = sent();
    const process = connection.run(
      `${FOLDER}${RECEIVE}echo ${SAY} send; read -r n filter
receive ${file} "$n" "$filter"
${file} --version >/dev/null || { rm -f ${file}; echo "pathos: ${ownRuntime()} does not run here" >&2; exit 3; }`,
      {
        async stdout() {
          const near = performance.now() - asked < NEAR_MS;
          const bytes = near ? own : await gzip(own);
          await process.write(new TextEncoder().encode(`${bytes.byteLength} ${near ? "cat" : "gzip -dc"}\n`));
          for (let at = 0; at < bytes.byteLength; at += 1 << 20) {
            await process.write(bytes.subarray(at, at + (1 << 20)));
          }
          process.closeInput();
        },
        stderr(bytes) {
          errors = (errors + new TextDecoder().decode(bytes)).slice(-4096);
        },
        exit(end) {
          if (end instanceof SshError) reject(end);
          else if (end.code === 0) resolve();
          else {reject(
              new Error(`${host}: copying ${ownRuntime()} there failed: ${errors.trim() || end.code}`),
            );}
        },
      },
      { env },
    );
  });
}

async function gzip(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(
    new CompressionStream("gzip"),
  );
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
