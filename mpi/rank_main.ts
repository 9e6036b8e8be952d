/**
 * A rank of a job that a pool has started from outside (rank_job.ts). Rank 0 is a server of pools (map/server.ts) whose workers
 * belong to the ranks; the others are relays (rank_relay.ts). The pool gives rank 0 a secret on standard input; rank 0 says where it
 * listens, in one line on standard output or, in a batch job, in a file.
 *
 * It listens on loopback if it runs on the machine that the job was started from, else on the network too, where all that is said is
 * encrypted (map/sealed.ts) with what both know from the secret. The job ends when rank 0's standard input does, or, in a batch job,
 * when no pool was connected for the time of its lease.
 */
import {
  builtin,
  exit,
  hostname,
  listenTcp,
  programArgs,
  stderr,
  stdinLines,
  stdout,
  writeFile,
} from "../runtime/mod.ts";
import { openServer } from "../map/server.ts";
import { SAY } from "../map/server_main.ts";
import { seal } from "../map/sealed.ts";
import { MAX_FRAME } from "../map/session.ts";
import { sharedKey } from "../map/shared_key.ts";
import type { RankOptions, RankReady } from "./rank_ready.ts";
import { openRelays, relay } from "./rank_relay.ts";
import { world } from "./world.ts";

/** Makes this process a rank whose workers run \`program\`. */
export async function runRank(program: string): Promise<void> {
  try {
    const options = JSON.parse(programArgs()[0]) as RankOptions;
    const comm = world();
    if (comm.rank > 0) return relay(comm, program);
    const relays = await openRelays(comm, program, options.onall);
    const input = stdinLines()[Symbol.asyncIterator]();
    const { value: secret } = await input.next();
    if (typeof secret !== "string") throw new Error("there was no secret on standard input");
    const server = await openServer({
      address: { host: "127.0.0.1", port: 0 },
      token: secret,
      workers: relays.names.length,
      names: relays.names,
      startWorker: relays.start,
      lease: options.batch?.lease,
      maxFrame: MAX_FRAME,
      program,
    });
    const ready: RankReady = { host: hostname(), port: (server.address as { port: number }).port };
    if (ready.host !== options.from) {
      const key = sharedKey(secret);
      const { port } = await listenTcp({ host: "0.0.0.0", port: 0 }, (socket) => {
        seal(socket, key, "server").then(server.admit, () => {}); // who does not know the key is sent away without a word
      });
      ready.network = { port, addresses: [hostname(), ...addresses()] };
    }
    const text = JSON.stringify(ready);
    if (options.batch) writeFile(options.batch.file, new TextEncoder().encode(text), { mode: 0o600 });
    else await stdout.write(`${SAY} ready ${text}\n`);
    const inputEnded = (async () => {
      while (!(await input.next()).done); // nothing is expected: its end is the message
    })().catch(() => {});
    await Promise.race([...options.batch ? [] : [inputEnded], server.closed]);
    await server.close();
    await relays.close();
    exit(0);
  } catch (error) {
    stderr.write(`pathos rank on ${hostname()}: ${(error as Error).message}\n`);
    exit(1);
  }
}

/** This machine's addresses on the network. */
function addresses(): string[] {
  const { networkInterfaces } = builtin<{
    networkInterfaces(): Record<string, { address: string; family: string; internal: boolean }[]>;
  }>("node:os");
  return Object.values(networkInterfaces()).flat()
    .filter(({ family, internal }) => family === "IPv4" && !internal)
    .map(({ address }) => address);
}
