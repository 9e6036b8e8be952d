/**
 * `pathos copy`: files and folders between this machine and hosts, as scp, with progress, resumption and
 * checksums.
 */
import { stderr } from "../runtime/mod.ts";
import { clock } from "../map/progress.ts";
import { copy, type CopyProgress } from "../ssh/copy.ts";
import { type CopyPlace, type ParsedPlace, parsePlace } from "../ssh/copy_place.ts";
import { type Parsed, UsageError, type Verb } from "./flags.ts";
import { interruptible } from "./interruption.ts";
import { HOST_FLAGS, hostNamed, isRemoteFailure, usage } from "./remote.ts";

/** Milliseconds between lines of progress where nobody watches. */
const PLAIN_MS = 5000;

/** The verb `copy`. */
export const copyVerb: Verb = {
  name: "copy",
  summary: "Copy files and folders between this machine and hosts",
  usage: "copy SOURCE... TARGET [flags]",
  about: `
Each place is one of
  data/x, ./10:30.log   here (a colon before the first slash means a host: put ./ before such a name)
  me@cluster:data/x     on a host, from the home folder there; me@cluster:/srv/x is absolute
  ssh://me@host:2222/x  on a host, absolute; ssh://host/~/x is from the home folder

If TARGET is a folder, or there are several sources, the copies go into it under their names; else TARGET is the
copy's name. A source that ends in /. stands for what is in the folder. Folders are copied with all that is in
them, links as links, permissions and times are kept. Both ends may be hosts: it goes through this machine.

A file appears at its place when all of it is there, and not before. What was there is replaced.`,
  flags: {
    resume: {
      help:
        "Keep what arrived of a large file (16 MiB and more) when the copy fails, and go on from there next time, " +
        "after comparing checksums (default: leave nothing behind)",
    },
    checksum: {
      help: "Compare SHA-256 of source and copy before the copy appears (default: ssh's own check)",
    },
    recursive: { negatable: true, help: "Copy folders (default); with --no-recursive a folder is an error" },
    preserve: { negatable: true, help: "Keep permissions and times (default)" },
    overwrite: {
      negatable: true,
      help: "Replace files that exist (default); with --no-overwrite one that exists is an error",
    },
    follow: { help: "Copy what links inside folders lead to (default: the links)" },
    protocol: {
      value: "auto|stream|sftp",
      help: "stream needs a shell on the host, sftp does not (default: auto, which takes what there is)",
    },
    progress: { negatable: true, help: "Draw progress on standard error (default: on a terminal)" },
    ...HOST_FLAGS,
  },
  more: `
Exit status: 0 all is copied, 1 it failed, 2 a mistake in the command line, 130 Ctrl-C. What failed or was
interrupted leaves nothing of that file or folder at the target, but for what --resume keeps.`,
  examples: [
    ["A folder to a host: /srv/in/data there", "pathos copy data me@cluster:/srv/in"],
    [
      "Results of two hosts into one folder, checked",
      "pathos copy node1:out/a.csv node2:out/b.csv results --checksum",
    ],
    ["A large file over a bad link; repeat until it is through", "pathos copy big.tar me@cluster: --resume"],
  ],
  run,
};

async function run(args: Parsed): Promise<number> {
  const places = args.positional;
  if (places.length === 0) throw new UsageError("what, and to where? pathos copy SOURCE... TARGET");
  if (places.length === 1) throw new UsageError(`to where? pathos copy ${places[0]} TARGET`);
  const protocol = args.text("protocol") ?? "auto";
  if (protocol !== "auto" && protocol !== "stream" && protocol !== "sftp") {
    throw new UsageError(`--protocol is ${JSON.stringify(protocol)}: it must be auto, stream or sftp`);
  }
  const parsed = places.map((place) => placeNamed(place, args));
  const target = parsed.pop()!;
  const progress = args.on("progress") ?? stderr.isTerminal() ? copyLine() : undefined;
  const interruption = interruptible();
  try {
    const { skipped } = await copy(parsed, target, {
      resume: args.on("resume"),
      checksum: args.on("checksum"),
      recursive: args.on("recursive"),
      preserve: args.on("preserve"),
      overwrite: args.on("overwrite"),
      links: args.on("follow") ? "follow" : "keep",
      protocol,
      signal: interruption.signal,
      onProgress: progress?.draw,
    });
    progress?.done();
    for (const path of skipped) say(`left out ${path}, which is neither file, folder nor link`);
    return 0;
  } catch (error) {
    progress?.interrupted();
    if (interruption.status !== undefined) return interruption.status;
    if (error instanceof TypeError) throw new UsageError(error.message);
    if (!isRemoteFailure(error)) throw error;
    const again = args.on("resume") ? "; the same command goes on from what arrived" : "";
    say((error as Error).message + again);
    return 1;
  } finally {
    interruption.dispose();
  }
}

function placeNamed(text: string, args: Parsed): CopyPlace {
  const { host, path }: ParsedPlace = usage(() => parsePlace(text));
  return host === undefined ? { path } : { path, host: hostNamed(String(host), args) };
}

/** Draws how far a copy is: in place on a terminal, as a line now and then elsewhere. */
function copyLine(): { draw(progress: CopyProgress): void; done(): void; interrupted(): void } {
  const began = performance.now();
  const terminal = stderr.isTerminal();
  let last: CopyProgress | undefined;
  let printed = began;
  let width = 0;
  const print = (done: boolean): void => {
    const text = formatCopy(last!, performance.now() - began, done).slice(
      0,
      terminal ? stderr.columns() - 1 : 200,
    );
    stderr.write(terminal ? `\r${text.padEnd(width)}` : `${text}\n`);
    width = text.length;
    printed = performance.now();
  };
  const end = (): void => {
    if (terminal && width > 0) stderr.write("\n");
  };
  return {
    draw(progress) {
      last = progress;
      if (terminal || performance.now() - printed > PLAIN_MS) print(false);
    },
    done() {
      if (last) print(true);
      end();
    },
    interrupted: end,
  };
}

/** `45%  450 MB of 1.0 GB  3 of 20 files  110 MB/s  0:05 left`. */
export function formatCopy(progress: CopyProgress, elapsed: number, done: boolean): string {
  const { bytes, files, totalBytes, totalFiles } = progress;
  const rate = bytes / Math.max(1, elapsed) * 1000;
  const share = totalBytes === undefined ? undefined : totalBytes === 0 ? 1 : bytes / totalBytes;
  const of = (total: string | undefined): string => total === undefined || done ? "" : ` of ${total}`;
  return [
    ...(share === undefined ? [] : [`${done ? 100 : Math.floor(share * 100)}%`]),
    `${inBytes(bytes)}${of(totalBytes === undefined ? undefined : inBytes(totalBytes))}`,
    `${files}${of(totalFiles?.toString())} ${files === 1 && !totalFiles ? "file" : "files"}`,
    `${inBytes(rate)}/s`,
    done
      ? `in ${clock(elapsed)}`
      : totalBytes === undefined || rate === 0
      ? clock(elapsed)
      : `${clock((totalBytes - bytes) / rate * 1000)} left`,
  ].join("  ");
}

function inBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = bytes < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  const number = bytes / 1000 ** power;
  return `${power === 0 ? Math.round(number) : number.toPrecision(number < 100 ? 2 : 3)} ${units[power]}`;
}

function say(message: string): void {
  stderr.write(`pathos copy: ${message}\n`);
}
