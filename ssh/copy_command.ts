/**
 * A script on a host, with its output as a stream and its end as a promise: what copying needs of a
 * {@linkcode Connection}. A copy that is aborted ends its scripts, and waits for them to clean up.
 */
import type { Connection, RemoteEvents, RemoteProcess, RemoteStatus } from "./connection.ts";
import { SshError } from "./connection.ts";
import { CopyError, explain } from "./copy_error.ts";
import { quote } from "./quote.ts";

/** How a script ended, and what it wrote to standard error (the last 8 KiB). */
export interface ScriptEnd {
  status: RemoteStatus;
  said: string;
}

/** A running script. */
export interface Script {
  /** Its standard output; must be consumed. */
  readonly output: AsyncIterable<Uint8Array>;
  /** Whether it has ended. */
  readonly over: boolean;
  /** Resolves when it has ended; rejects if the connection was lost. */
  readonly ended: Promise<ScriptEnd>;
  /** Sends bytes to its standard input; resolves when there is room for more, or it has ended. */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends its standard input. */
  closeInput(): void;
  /** Asks it to end, and kills it if it does not clean up soon. Resolves when it is over. */
  stop(): Promise<void>;
}

/** How to start a script. */
export type Starter = (events: RemoteEvents) => RemoteProcess;

const GRACE = 5_000; // for a script to clean up before it is killed

const SETUP = `LC_ALL=C COPYFILE_DISABLE=1; export LC_ALL COPYFILE_DISABLE
cd -- "\${HOME:-.}" 2>/dev/null`;

/** The command line that runs a script with arguments `$1`, `$2` and so on, in the home folder, with messages in English. */
export function scriptLine(script: string, args: readonly (string | number)[]): string {
  return `${SETUP}\nset -- ${quote(args.map(String))}\n${script}`;
}

/**
 * Starts a script. `start` runs it over the connection. What ends it early is a signal, or, if it is one that has to clean
 * up then, the end of its input.
 */
export function startScript(start: Starter, place: string, endBy: "signal" | "input" = "signal"): Script {
  const queue: Uint8Array[] = [];
  let room: (() => void) | undefined; // the host waits with more output until somebody took what is there
  let wake: (() => void) | undefined; // somebody waits for output
  let over = false;
  let abandoned = false;
  let said = new Uint8Array();
  let settle: (end: ScriptEnd | SshError) => void;
  const ended = new Promise<ScriptEnd>((resolve, reject) => {
    settle = (end) => end instanceof SshError ? reject(lost(place, end)) : resolve(end);
  });
  ended.catch(() => {}); // whoever waits for it hears of it
  const process = start({
    stdout(bytes) {
      if (abandoned) return;
      queue.push(bytes);
      wake?.();
      return queue.length > 4 ? new Promise<void>((resolve) => room = resolve) : undefined;
    },
    stderr(bytes) {
      const joined = new Uint8Array(said.length + bytes.length);
      joined.set(said);
      joined.set(bytes, said.length);
      said = joined.slice(-8192);
    },
    exit(end) {
      over = true;
      wake?.();
      settle(end instanceof SshError ? end : { status: end, said: new TextDecoder().decode(said) });
    },
  });
  const gone = ended.then(() => {}, () => {});
  return {
    get over() {
      return over;
    },
    ended,
    write: (bytes) => Promise.race([process.write(bytes), gone]),
    closeInput: () => process.closeInput(),
    async stop() {
      abandoned = true;
      queue.length = 0;
      room?.();
      wake?.();
      if (over) return;
      process.closeInput();
      if (endBy === "signal") process.kill("SIGTERM");
      const timer = setTimeout(() => process.kill("SIGKILL"), GRACE);
      await gone;
      clearTimeout(timer);
    },
    output: {
      async *[Symbol.asyncIterator]() {
        for (;;) {
          while (queue.length > 0) {
            const bytes = queue.shift()!;
            if (queue.length <= 2) room?.();
            yield bytes;
          }
          if (over || abandoned) return;
          await new Promise<void>((resolve) => wake = resolve);
          wake = undefined;
        }
      },
    },
  };
}

function lost(place: string, error: SshError): CopyError {
  const ended = error.failure === "unreachable" || error.failure === "timeout";
  const why = ended ? `the connection ended meanwhile (${error.message}); copy it again` : error.message;
  return new CopyError(`copying ${place}: ${why}`, {
    failure: error.failure === "setup" ? "unsupported" : "connection",
    place,
    cause: error,
  });
}

/** Takes note of what an ended script said, if it failed. */
export function check({ status, said }: ScriptEnd, doing: string, place: string): void {
  if (status.code === 0) return;
  const how = status.signal ? `${said}\nits program on the host was ended by ${status.signal}` : said;
  const marked = /^pathos-copy:(\w[\w-]*):(.*)$/m.exec(how);
  if (!marked) throw explain(doing, place, how || `its program on the host ended with status ${status.code}`);
  throw new CopyError(`${doing} ${place}: ${marked[2]}`, {
    failure: marked[1] as CopyError["failure"],
    place,
  });
}

/** Runs a script to its end and gives its output as text. It gets no input. */
export async function ask(...args: Parameters<typeof askBytes>): Promise<string> {
  return new TextDecoder().decode(await askBytes(...args));
}

/** As {@linkcode ask}, the output as it is. */
export async function askBytes(
  connection: Connection,
  script: string,
  args: readonly (string | number)[],
  doing: string,
  place: string,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const running = startScript((events) => connection.run(scriptLine(script, args), events), place);
  return await during(signal, running, async () => {
    running.closeInput();
    const parts: Uint8Array[] = [];
    for await (const bytes of running.output) parts.push(bytes);
    check(await running.ended, doing, place);
    const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
    parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
    return whole;
  });
}

/** Does something with a script; when that fails, or is aborted, the script is over too. */
export async function during<T>(signal: AbortSignal, running: Script, work: () => Promise<T>): Promise<T> {
  const stop = () => void running.stop();
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  try {
    const result = await work();
    signal.throwIfAborted();
    return result;
  } catch (error) {
    await running.stop();
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
