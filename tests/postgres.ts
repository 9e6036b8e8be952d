/**
 * A private PostgreSQL server for tests and benchmarks: its own data, port on 127.0.0.1 and unix socket in a temporary
 * folder, one user with a password. Root may not run a server, so root runs it as the system's user `postgres`. Nothing
 * of the system is touched. Server and folder are gone when it is stopped, and also when the program that started it
 * ends in any way; it does not keep that program alive.
 *
 * @module
 */
import { execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { ending, hold } from "./keeper.ts";

/** Programs that the rig needs. */
export const POSTGRES_PROGRAMS = ["postgres", "initdb", "setpriv"];

/** The user's password, with characters that a URL has to encode. */
export const PASSWORD = "p@ss/w:rd";

/** A running server. */
export interface PostgresServer extends AsyncDisposable {
  readonly port: number;
  /** Where everything of it is, the socket included. */
  readonly folder: string;
  /** Over TCP, with the password, to the database `postgres`; `table` is added as `?table=`. */
  url(table?: string): string;
  /** Over the unix socket. */
  socketUrl(table?: string): string;
  /** Kills it with SIGKILL, as a crash would, and waits until all of it is gone. */
  crash(): Promise<void>;
  /** Ends it in order. */
  down(): Promise<void>;
  /** Starts it again, on the same port. */
  up(): Promise<void>;
  /** What it logged. */
  log(): string;
  /** Ends it and removes the folder. */
  stop(): Promise<void>;
}

// Ends the server and removes the folder when its input ends, which is when we end.
const KEEPER = `trap '' PIPE
folder=$1; shift
while read -r word; do
  case $word in
    up) "$@" </dev/null >>"$folder/log" 2>&1 & pid=$!; echo $pid ;;
    down) kill -INT $pid; wait $pid; echo down ;;
    crash) kill -KILL $pid; wait $pid 2>/dev/null; echo down ;;
  esac
done
trap '' INT TERM HUP
kill -TERM $pid 2>/dev/null; kill -QUIT $pid 2>/dev/null; wait $pid # one that just begins ignores QUIT
rm -rf -- "$folder"`;

/** Starts a private server; resolves when it accepts connections. */
export async function startPostgres(): Promise<PostgresServer> {
  const folder = mkdtempSync("/tmp/pathos-postgres-"); // a short path for the socket, and one that another user can go
  const data = join(folder, "data");
  const port = await freePort();
  const as = ownerWords(folder);
  const passwordFile = join(folder, "password");
  writeFileSync(passwordFile, PASSWORD);
  const [program, ...words] = [...as, "initdb", "--pgdata", data, "--username", "tester"];
  const settings = [
    "--encoding=UTF8",
    "--locale=C.UTF-8",
    "--auth=scram-sha-256",
    "--no-sync",
    "--wal-segsize=1",
  ];
  execFileSync(program, [...words, `--pwfile=${passwordFile}`, ...settings], { stdio: "pipe", cwd: folder });
  const server = [
    "postgres",
    "-D",
    data,
    "-k",
    folder,
    "-p",
    String(port),
    "-c",
    "listen_addresses=127.0.0.1",
  ];
  const quick = [
    "fsync=off",
    "max_connections=40",
    "shared_buffers=16MB",
    "max_wal_size=16MB",
    "min_wal_size=4MB",
  ]
    .flatMap((setting) => ["-c", setting]);
  const keeper = spawn("/bin/sh", ["-c", KEEPER, "keeper", folder, ...as, ...server, ...quick], {
    stdio: ["pipe", "pipe", "ignore"],
    detached: true, // Ctrl-C is for the tests: the keeper sees the end of its input
    cwd: folder,
  });
  const tell = async (word: string) => {
    hold(keeper, true);
    await new Promise<void>((resolve) => {
      keeper.stdout!.once("data", () => resolve());
      keeper.stdin!.write(`${word}\n`);
    });
    hold(keeper, false);
  };
  const log = () => readFileSync(join(folder, "log"), "utf8");
  const gone = async () => {
    while (processesIn(data).length > 0) await pause(10);
  };
  const up = async () => {
    await tell("up");
    for (const end = performance.now() + 20_000; !await answers(port);) {
      if (performance.now() > end) {
        throw new Error(`the private PostgreSQL did not start within 20 s: ${log()}`);
      }
      await pause(20);
    }
  };
  const down = async (word = "down") => {
    await tell(word);
    await gone();
  };
  const end = ending(keeper);
  const stop = () => end().then(gone);
  const url = (host: string, table?: string) =>
    `postgres://tester:${encodeURIComponent(PASSWORD)}@${host}/postgres` + (table ? `?table=${table}` : "");
  await up();
  return {
    port,
    folder,
    url: (table) => url(`127.0.0.1:${port}`, table),
    socketUrl: (table) => url(`${encodeURIComponent(folder)}:${port}`, table),
    crash: () => down("crash"),
    down: () => down(),
    up,
    log,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** Gives the folder to the user that may run a server; the words that go before a command to run as that user. */
function ownerWords(folder: string): string[] {
  if (process.getuid?.() !== 0) return [];
  const [, , uid, gid] = readFileSync("/etc/passwd", "utf8").split("\n").map((line) => line.split(":"))
    .find(([name]) => name === "postgres") ?? [];
  if (uid === undefined) throw new Error("there is no user postgres here: install Debian's postgresql");
  chownSync(folder, Number(uid), Number(gid));
  chmodSync(folder, 0o711); // others reach the socket, and see nothing else
  return ["setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--clear-groups"];
}

/** The processes of a server, also when its first one is dead: all have the data folder as theirs. */
function processesIn(folder: string): number[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
    try {
      return readlinkSync(`/proc/${pid}/cwd`) === folder;
    } catch {
      return false; // gone, or not ours
    }
  });
}

/** Whether a server lets users in there: it asks a newcomer for the password. While it recovers it refuses. */
function answers(port: number): Promise<boolean> {
  const words = new TextEncoder().encode("\0\x03\0\0user\0tester\0database\0postgres\0\0");
  return new Promise((resolve) => {
    const socket = connect(
      port,
      "127.0.0.1",
      () => socket.write(Uint8Array.of(0, 0, 0, words.length + 4, ...words)),
    );
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("error", () => end(false)).once("close", () => end(false));
    socket.once("data", (bytes) => end(bytes[0] === 0x52));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject).listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
