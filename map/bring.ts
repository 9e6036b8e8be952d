/**
 * Starts a program of ours where there may be nothing but Deno or Node, or not even that: here, or on a host.
 *
 * A small `sh` script looks for a runtime and for the program, which lies in `~/.cache/pathos` under its hash; what is missing
 * is asked for on standard output and read from standard input. The rest of standard input stays open: its end is the
 * program's sign that we are gone. Files appear at their place only when they are complete.
 */
import {
  type Connection,
  type RemoteEvents,
  type RemoteProcess,
  type RunOptions,
  SshError,
} from "../ssh/connection.ts";
import { sha256 } from "../serialize/wire.ts";
import { findRuntime, FOLDER, RECEIVE, sendRuntime } from "./provision.ts";
import { SAY } from "./server_main.ts";

/** How long a program may take from the start of the script to its first word, in milliseconds; transfers not counted. */
const START_MS = 30_000;

/** A program of one file. */
export interface Program {
  text: Uint8Array;
  /** The name that it is kept under: its kind, and the hash of its text. */
  name: string;
}

/** A program by its text. */
export function newProgram(kind: string, text: string): Program {
  const bytes = new TextEncoder().encode(text);
  return { text: bytes, name: `${kind}-${sha256(bytes).slice(0, 32)}.mjs` };
}

/** The text of a program that finds itself under a symbol: which of the things it can be it is to be, and what to start others of. */
export function knowingItself(symbol: string, program: string): string {
  return `const s=Symbol.for("${symbol}");globalThis[s]=${
    JSON.stringify(program)
  };(0,eval)(globalThis[s]);\n`;
}

/**
 * A script that finds a runtime (`$r`) and finds or receives the program (`$f`), and goes on with `then`.
 *
 * @param runtime Path of Deno or Node there. Default: what is found.
 */
export function bringScript({ text, name }: Program, then: string, runtime?: string): string {
  const kind = name.slice(0, name.indexOf("-"));
  return `${FOLDER}${RECEIVE}${findRuntime(runtime)}if [ -z "$r" ]; then
  echo "${SAY} bare $(uname -s) $(uname -m)"
  exit 0
fi
f=$d/${name}
if [ ! -s "$f" ]; then
  find "$d" -name '${kind}-*.mjs' -mtime +60 -exec rm -f {} + 2>/dev/null
  echo "${SAY} program"
  receive "$f" ${text.byteLength} cat
  [ "$(wc -c < "$f")" -eq ${text.byteLength} ] || { rm -f "$f"; exit 3; }
fi
${then}`;
}

/** Runs a script of `sh`, here or on a host. */
export type RunScript = (script: string, events: RemoteEvents, options: RunOptions) => RemoteProcess;

/** A program that has said it is ready. */
export interface Brought {
  process: RemoteProcess;
  /** What it said behind the word `ready`. */
  ready: string;
  /** Resolves when it has ended, to the reason in words. */
  ended: Promise<string>;
}

/** The system and processor of a machine that has no runtime for a program. */
interface Bare {
  bare: string;
}

/** How {@linkcode bring} works. */
export interface BringOptions extends RunOptions {
  /** Where it is, for messages. */
  place: string;
  /** The connection to there, over which a runtime is sent if there is none; undefined: it is this machine. */
  connection?: Connection;
  /** What is started, for messages. Default: `"the server"`. */
  what?: string;
  /** Milliseconds that it may take. Default: 30,000. */
  timeout?: number;
  /** Written to its standard input when it has been found or sent. */
  input?: string;
  /** Told what it has said on standard error until it was ready. */
  said?: (text: string) => void;
}

/**
 * Runs a script of {@linkcode bringScript} until the program says that it is ready. A host without a runtime is sent our own.
 *
 * @throws {SshError} If the connection is lost.
 * @throws {Error} If the program does not start; the message has what it said.
 */
export async function bring(
  run: RunScript,
  program: Program,
  script: string,
  options: BringOptions,
): Promise<Brought> {
  const { place, connection, env } = options;
  const first = await attempt(run, program, script, options);
  if (!("bare" in first)) return first;
  if (!connection) throw new Error(`${place}: neither deno nor node is found by its sh; add one to PATH`);
  await sendRuntime(connection, first.bare, env);
  const second = await attempt(run, program, script, options);
  if ("bare" in second) throw new Error(`${place}: the runtime that was sent there is not found`);
  return second;
}

function attempt(
  run: RunScript,
  program: Program,
  script: string,
  { place, what = "the server", timeout = START_MS, input, said: tellSaid, env }: BringOptions,
): Promise<Brought | Bare> {
  return new Promise((resolve, reject) => {
    let text = "";
    let errors = "";
    let tellEnded: (reason: string) => void;
    const ended = new Promise<string>((resolve) => tellEnded = resolve);
    const decoder = new TextDecoder();
    const fail = (error: Error): void => {
      clearTimeout(timer);
      reject(error);
    };
    const late = (): void => {
      process.kill("SIGKILL");
      fail(new Error(`${place}: ${what} did not start within ${timeout / 1000} s${said()}`));
    };
    let timer = setTimeout(late, timeout);
    const said = (): string => errors.trim() === "" ? "" : `; it said: ${errors.trim()}`;
    const begin = (): void => {
      if (input !== undefined) process.write(new TextEncoder().encode(input));
    };
    const line = (line: string): void => {
      const [mark, word, ...rest] = line.split(" ");
      if (mark !== SAY) return; // greetings of the login
      clearTimeout(timer);
      if (word === "bare") return resolve({ bare: rest.join(" ") });
      if (word === "ready") {
        if (errors.trim() !== "") tellSaid?.(errors);
        return resolve({ process, ready: rest.join(" "), ended });
      }
      const sent = word === "program" ? process.write(program.text) : Promise.resolve();
      sent.then(() => {
        timer = setTimeout(late, timeout);
        if (word === "begin") begin();
      });
    };
    const process = run(script, {
      stdout(bytes) {
        const lines = (text + decoder.decode(bytes, { stream: true })).split("\n");
        text = lines.pop()!.slice(-4096);
        lines.forEach(line);
      },
      stderr(bytes) {
        errors = (errors + new TextDecoder().decode(bytes)).slice(-4096);
      },
      exit(end) {
        const how = end instanceof SshError
          ? end.message
          : `${what} ended (${end.signal ?? `exit code ${end.code}`})${said()}`;
        tellEnded(how);
        fail(end instanceof SshError ? end : new Error(`${place}: ${how}`));
      },
    }, { env });
  });
}
