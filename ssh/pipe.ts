/**
 * A command that is described first and launched later, in the foreground or the background, here or on a host:
 * pathos' connection.Pipe. {@linkcode execute} is the shorter way to a result.
 */
import { type CommandInput, type CommandResult, execute, type HostLike, remoteLine } from "./execute.ts";

/** What a {@linkcode Pipe} runs. */
export interface PipeOptions {
  /** A line for `sh`, or a program and its arguments. */
  command: string | readonly string[];
  /** Where. Default: this machine. */
  host?: HostLike;
  /** Whether `launch` waits only for its start. Default: false, `launch` waits for its end. */
  background?: boolean;
  /** Standard input. Default: empty. */
  stdin?: CommandInput;
  /** Variables added to its environment. */
  env?: Readonly<Record<string, string>>;
  /** Folder to run in. */
  cwd?: string;
}

/** A {@linkcode Pipe} was asked for what it cannot have. */
export class PipeError extends Error {
  /** The name of the class. */
  override name = "PipeError";
}

/**
 * A command to launch, ask for its output, and kill.
 *
 * @example
 * ```ts
 * import { Pipe } from "@pathos/pathos/ssh";
 * import { assertEquals } from "@std/assert";
 *
 * const pipe = new Pipe({ command: ["sort"], stdin: "b\na\n", background: true });
 * await pipe.launch();
 * assertEquals(typeof pipe.pid(), "number");
 * assertEquals(await pipe.response(), "a\nb\n");
 * ```
 */
export class Pipe {
  /** What it runs. */
  readonly options: Readonly<PipeOptions>;
  #running: Promise<CommandResult> | undefined;
  #stop = new AbortController();
  #pid: number | undefined;

  /** Describes a command. */
  constructor(options: PipeOptions) {
    this.options = { ...options };
  }

  /** A pipe like this one, but for the changes; what this one runs goes on. */
  with(changes: Partial<PipeOptions>): Pipe {
    return new Pipe({ ...this.options, ...changes });
  }

  /**
   * Starts the command, anew if it was launched before and has ended. Resolves when it runs, or without `background`
   * when it has ended.
   *
   * @throws {SshError} If the host cannot be reached.
   * @throws {PipeError} If it still runs.
   */
  async launch(): Promise<this> {
    if (this.#pid !== undefined) {
      throw new PipeError("pipe: it was launched and still runs");
    }
    const { command, host, stdin, env, cwd, background = false } = this.options;
    this.#stop = new AbortController();
    let tellStart: () => void;
    const started = new Promise<void>((resolve) => tellStart = resolve);
    let stdout = "", head: string | undefined = "";
    // its first line is the process id, which the command keeps if it is one program
    const line = `echo $$\n${remoteLine(command, cwd)}`;
    const running = execute(line, {
      host,
      stdin,
      env,
      signal: this.#stop.signal,
      onStdout: (text) => {
        if (head === undefined) return void (stdout += text);
        head += text;
        const end = head.indexOf("\n");
        if (end < 0) return;
        this.#pid = Number(head.slice(0, end));
        stdout = head.slice(end + 1);
        head = undefined;
        tellStart();
      },
    }).then((result) => ({ ...result, stdout }));
    this.#running = running;
    const ended = running.finally(() => this.#pid = undefined);
    ended.catch(() => {}); // launch or response tells
    await (background ? Promise.race([started, ended]) : ended);
    return this;
  }

  /**
   * What it wrote to its standard output; waits for its end.
   *
   * @throws {PipeError} If it was not launched, or failed.
   */
  async response(): Promise<string> {
    if (!this.#running) throw new PipeError("pipe: launch it before asking for its response");
    const { code, signal, stdout, stderr } = await this.#running;
    if (code === 0) return stdout;
    throw new PipeError(
      `pipe: the command ${signal ? `was ended by ${signal}` : `ended with code ${code}`}: ${stderr.trim()}`,
    );
  }

  /** Its process id, on its machine, while it runs. */
  pid(): number | undefined {
    return this.#pid;
  }

  /** Ends it and what it started in its process group; `response` then rejects. */
  kill(): void {
    this.#stop.abort(new PipeError("pipe: it was killed"));
  }
}
