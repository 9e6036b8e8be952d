// What the rows share: contenders of Deno as commands, and forwards as a user would make them with ssh by hand.
import { startContender } from "../contender.ts";
import { freePort } from "../../runtime/mod.ts";
import { ROOT } from "../../tasks/process.ts";
import type { Sshd } from "../../tests/sshd.ts";
import type { Echo } from "./echo.ts";

/** A row: its name, and the command of its process. */
export interface Row {
  name: string;
  command: readonly string[];
}

/** Something that ends with the rows that need it. */
export interface Running<T> {
  value: T;
  stop(): Promise<void>;
}

/** A row of clients.ts. */
export function client(name: string, kind: "pool" | "fetch" | "tcp", where: unknown): Row {
  return {
    name,
    command: [
      Deno.execPath(),
      "run",
      "-A",
      "--quiet",
      `${ROOT}/bench/remote/clients.ts`,
      kind,
      JSON.stringify(where),
    ],
  };
}

/** Runs `use` with a process of the row, and ends it. */
export async function withContender<T>(
  row: Row,
  use: (contender: ReturnType<typeof startContender<Row>>) => Promise<T>,
): Promise<T> {
  const contender = startContender(row);
  try {
    return await use(contender);
  } finally {
    await contender.stop();
  }
}

/** Starts echo.ts. */
export async function startEcho(): Promise<Running<Echo>> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", `${ROOT}/bench/remote/echo.ts`],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  return {
    value: JSON.parse(new TextDecoder().decode(value)),
    async stop() {
      await child.stdin.close();
      await reader.cancel();
      await child.status;
    },
  };
}

/** Forwards a port with the ssh program; with a session (a remote `cat`), or with `-N`. The value is the port here. */
export async function forward(sshd: Sshd, target: number, kind: "session" | "-N"): Promise<Running<number>> {
  const port = await freePort();
  const listen = `127.0.0.1:${port}:127.0.0.1:${target}`;
  const options = ["-F", sshd.config, "-T", "-o", "ExitOnForwardFailure=yes", "-L", listen];
  const child = new Deno.Command("ssh", {
    args: kind === "-N" ? [...options, "-N", "host1"] : [...options, "host1", "cat"],
    stdin: "piped",
    stdout: "null",
  }).spawn();
  for (const end = performance.now() + 10_000;;) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      break;
    } catch (error) {
      if (performance.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  return {
    value: port,
    async stop() {
      child.kill("SIGTERM");
      await child.stdin.close().catch(() => {});
      await child.status;
    },
  };
}

/** What a user is asked for who wants to know which sshd this is. */
export async function sshVersion(): Promise<string> {
  const { stderr } = await new Deno.Command("ssh", { args: ["-V"], stdout: "null", stderr: "piped" })
    .output();
  return new TextDecoder().decode(stderr).split(",")[0].trim();
}
