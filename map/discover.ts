/**
 * How a pool finds servers on the network segment: it asks everybody, by a datagram to the broadcast address of each
 * IPv4 network this machine is on, and the servers that share its key answer to it alone. Broadcasts do not cross
 * routers, which is what keeps this to the segment.
 *
 * A query is a mark, 32 random bytes, padding, and a code over all of it that only who has the key can make: a
 * server that cannot verify it stays silent. An answer is encrypted under a key made of the shared one and
 * those 32 bytes, so nobody else can read it, and one that is forged, or was made for another query, is ignored.
 * All have the same length: an answer tells nothing by its size, and a forged sender is not sent more
 * than was sent in his name. Who repeats a query that he recorded gets an answer he cannot read; that there is a
 * server is all he learns. Servers look at a limited number of queries in a second.
 */
import { type DatagramSocket, equalInConstantTime, every, networks, openDatagrams } from "../runtime/mod.ts";
import {
  codeOf,
  decrypt,
  encrypt,
  IV_BYTES,
  KEY_BYTES,
  randomBytes,
  type SharedKey,
  TAG_BYTES,
} from "./shared_key.ts";

/** The UDP port on which servers are asked for, unless they are told another: that of ppft. */
export const DISCOVERY_PORT = 60_000;
/** How long a search takes, in milliseconds, and when in it the query is sent: a datagram may be lost. */
export const SEARCH_MS = 2000;
const ASK_AT_MS = [0, 150, 450, 1000];
const TICK_MS = 50;
/** Queries that a server looks at in a second. */
const MOST_QUERIES = 500;
/** Length of all datagrams, in bytes: they fit into any network's packets. */
const DATAGRAM_BYTES = 512;
const QUERY_MARK = new TextEncoder().encode("pathos?1");
const ANSWER_MARK = new TextEncoder().encode("pathos!1");
const MARK_BYTES = QUERY_MARK.byteLength;
const FACTS_BYTES = DATAGRAM_BYTES - MARK_BYTES - IV_BYTES - TAG_BYTES;

/** What a server tells who asks for it. */
export interface Told {
  /** Another one for each server that was ever started. */
  id: string;
  /** Name of its machine. */
  hostname: string;
  /** The TCP port where it is to be had. */
  port: number;
}

/** What a server counts of what it is asked. */
export interface QueryCounts {
  /** Queries answered. */
  answered: number;
  /** Datagrams that were no query of who has the key, or too many. */
  ignored: number;
}

/**
 * Answers queries until it is closed.
 *
 * @param address `"0.0.0.0"`, or an address of this machine: then only its network is listened to.
 * @throws {Error} If the port cannot be listened on.
 */
export async function answerQueries(
  { host, port }: { host: string; port: number },
  key: SharedKey,
  told: Told,
  counts: QueryCounts,
): Promise<{ close(): Promise<void> }> {
  const queryKey = key.derive("query");
  const facts = new TextEncoder().encode(JSON.stringify(told).padEnd(FACTS_BYTES));
  if (facts.byteLength > FACTS_BYTES) {
    throw new RangeError(`the name of this machine is too long: ${told.hostname}`);
  }
  let looked = 0;
  const stopSecond = every(1000, () => looked = 0);
  const receive = (query: Uint8Array, from: { host: string; port: number }): void => {
    if (++looked > MOST_QUERIES || !isQuery(query, queryKey)) {
      counts.ignored++;
      return;
    }
    counts.answered++;
    const iv = randomBytes(IV_BYTES);
    const answer = new Uint8Array(DATAGRAM_BYTES);
    answer.set(ANSWER_MARK);
    answer.set(iv, MARK_BYTES);
    const [hidden, tag] = encrypt(answerKey(key, query), iv, facts);
    answer.set(hidden, MARK_BYTES + IV_BYTES);
    answer.set(tag, DATAGRAM_BYTES - TAG_BYTES);
    own.send(answer, from);
  };
  const own = await openDatagrams({ host, port }, receive);
  const shared = host === "0.0.0.0" ? undefined : await openShared(host, port, receive);
  return {
    async close() {
      stopSecond();
      await Promise.all([own.close(), shared?.close()]);
    },
  };
}

/** A socket bound to one address does not hear what is sent to everybody: that takes a second one. */
async function openShared(
  host: string,
  port: number,
  receive: Parameters<typeof openDatagrams>[1],
): Promise<DatagramSocket | undefined> {
  const broadcast = networks().find(({ address }) => address === host)?.broadcast;
  if (broadcast === undefined) return undefined;
  try {
    return await openDatagrams({ host: broadcast, port }, receive);
  } catch {
    return undefined; // systems where the first one hears it
  }
}

function isQuery(bytes: Uint8Array, key: Uint8Array): boolean {
  if (bytes.byteLength !== DATAGRAM_BYTES || !startsWith(bytes, QUERY_MARK)) return false;
  const end = DATAGRAM_BYTES - KEY_BYTES;
  return equalInConstantTime(bytes.subarray(end), codeOf(key, bytes.subarray(0, end)));
}

function answerKey(key: SharedKey, query: Uint8Array): Uint8Array {
  return key.derive("answer", query.subarray(MARK_BYTES, MARK_BYTES + KEY_BYTES));
}

function startsWith(bytes: Uint8Array, mark: Uint8Array): boolean {
  return mark.every((byte, i) => bytes[i] === byte);
}

/** A search that goes on. It does not keep the program alive. */
export interface Search {
  /** Where it asks, for messages. */
  readonly asked: readonly string[];
  /** Ends it. */
  close(): Promise<void>;
}

/**
 * Asks for servers, a few times within {@linkcode SEARCH_MS}, and listens for answers until it is closed.
 *
 * @param heard Is called with each genuine answer, and the address it came from; several times for a server.
 * @param over Is called at the end of the search.
 * @throws {Error} If datagrams are not permitted.
 */
export async function searchServers(
  port: number,
  key: SharedKey,
  heard: (told: Told, host: string) => void,
  over: () => void,
): Promise<Search> {
  const query = new Uint8Array(DATAGRAM_BYTES);
  query.set(QUERY_MARK);
  query.set(randomBytes(KEY_BYTES), MARK_BYTES);
  const end = DATAGRAM_BYTES - KEY_BYTES;
  query.set(codeOf(key.derive("query"), query.subarray(0, end)), end);
  const readingKey = answerKey(key, query);
  const asked = ["127.0.0.1", ...networks().map(({ broadcast }) => broadcast)];
  const socket = await openDatagrams({ host: "0.0.0.0", port: 0 }, (answer, { host }) => {
    const told = readAnswer(answer, readingKey);
    if (told) heard(told, host);
  });
  const ask = (): void => asked.forEach((host) => socket.send(query, { host, port }));
  let next = 0;
  let elapsed = 0;
  let looked = performance.now();
  const stop = every(TICK_MS, () => {
    // Time in which this program was busy or asleep does not count: answers that came meanwhile are still to be read.
    const now = performance.now();
    elapsed += Math.min(now - looked, 2 * TICK_MS);
    looked = now;
    if (elapsed >= ASK_AT_MS[next]) {
      next++;
      ask();
    }
    if (elapsed < SEARCH_MS) return;
    stop();
    over();
  });
  next++;
  ask();
  return {
    asked,
    close() {
      stop();
      return socket.close();
    },
  };
}

function readAnswer(bytes: Uint8Array, key: Uint8Array): Told | undefined {
  if (bytes.byteLength !== DATAGRAM_BYTES || !startsWith(bytes, ANSWER_MARK)) return undefined;
  const iv = bytes.subarray(MARK_BYTES, MARK_BYTES + IV_BYTES);
  try {
    const told = JSON.parse(
      new TextDecoder().decode(decrypt(key, iv, bytes.subarray(MARK_BYTES + IV_BYTES))),
    );
    const { id, hostname, port } = told;
    return typeof id === "string" && typeof hostname === "string" && Number.isInteger(port)
      ? told
      : undefined;
  } catch {
    return undefined; // forged, or made for another query
  }
}
