// A contender's process: JSON lines in and out, one request at a time, and its memory as the kernel counts it.
import { ROOT } from "../tasks/process.ts";

/** A reply; `error` instead of figures when the run failed. */
export interface Reply {
  ms?: number;
  items?: number;
  check?: number;
  error?: string;
  [figure: string]: unknown;
}

/** A running contender. */
export interface Contender<Row> {
  row: Row;
  /** @throws {Error} If it does not answer in time, or ends; it is gone then. */
  ask(request: Record<string, unknown>, limit?: number): Promise<Reply>;
  /** Proportional set size of the process and everything below it, in bytes. */
  memory(): number;
  stop(): Promise<void>;
}

const LIMIT = 180_000;

/** Starts a row's process, by default in the repository. */
export function startContender<Row extends { command: readonly string[] }>(
  row: Row,
  cwd: string = ROOT,
): Contender<Row> {
  const [program, ...args] = row.command;
  const child = new Deno.Command(program, {
    args,
    cwd,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  })
    .spawn();
  const input = child.stdin.getWriter();
  const lines = readLines(child.stdout);
  const errors = lastText(child.stderr);
  const kill = (pids = processesBelow(child.pid)) => {
    for (const pid of pids.reverse()) {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch {
        // It has ended already.
      }
    }
  };
  return {
    row,
    async ask(request, limit = LIMIT) {
      await input.write(new TextEncoder().encode(JSON.stringify(request) + "\n"));
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          kill();
          reject(new Error(`no answer in ${limit / 1000} s`));
        }, limit);
      });
      try {
        const { value, done } = await Promise.race([lines.next(), late]);
        if (done) throw new Error(`the process ended: ${(await errors).trim().slice(-400)}`);
        return JSON.parse(value);
      } finally {
        clearTimeout(timer);
      }
    },
    memory: () => processesBelow(child.pid).reduce((total, pid) => total + pss(pid), 0),
    async stop() {
      const workers = processesBelow(child.pid).slice(1);
      await input.close().catch(() => {});
      const timer = setTimeout(() => kill(), 3000);
      await child.status;
      clearTimeout(timer);
      // Workers that outlive their parent would keep its streams open.
      kill(workers);
      await lines.return(undefined);
      await errors;
    },
  };
}

async function* readLines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  let rest = "";
  for await (
    const text of stream.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)
  ) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

async function lastText(stream: ReadableStream<Uint8Array>): Promise<string> {
  let last = "";
  for await (
    const text of stream.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)
  ) {
    last = (last + text).slice(-4000);
  }
  return last;
}

/** A process and its descendants, parents first. */
function processesBelow(pid: number): number[] {
  const found = [pid];
  try {
    for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
      const children = Deno.readTextFileSync(`/proc/${pid}/task/${name}/children`).trim();
      for (const child of children ? children.split(" ") : []) found.push(...processesBelow(Number(child)));
    }
  } catch {
    // It ended while we looked.
  }
  return found;
}

function pss(pid: number): number {
  try {
    const [, kilobytes] = /^Pss:\s+(\d+)/m.exec(Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`))!;
    return Number(kilobytes) * 1024;
  } catch {
    return 0;
  }
}
