/**
 * Who computes what belongs at a key, one holder at a time among all programs that use a table: advisory locks of one session
 * of the server, which is kept while anything is held. The server frees them when the session ends, however its holder ended.
 *
 * Poolers that give a session's statements to several connections (PgBouncer in transaction mode) do not keep such locks.
 */
import { sha256 } from "../serialize/wire.ts";
import type { KeptSession, PostgresClient } from "./postgres_client.ts";

/** A host that lost its power or its network says no farewell: the server then finds out within half a minute. */
const KEEPALIVE = ["idle = 15", "interval = 5", "count = 3"].map((what) => ({
  text: `set tcp_keepalives_${what}`,
}));

/** One hold of a key. */
interface Hold {
  readonly key: string;
  readonly lock: string;
  readonly session: KeptSession;
}

/** What one archive holds. */
export class Holds {
  readonly #client: PostgresClient;
  readonly #held = new Map<string, Hold>();
  #session?: KeptSession;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(client: PostgresClient) {
    this.#client = client;
  }

  /** Takes a key of a table (its number), unless another has it: what ends the hold, or null. */
  take(table: string, key: string): Promise<(() => Promise<void>) | null> {
    return this.#inTurn(async () => {
      // A session gets its own locks again: whether this one holds the key is not the server's to say.
      if (this.#held.get(key)?.session.alive()) return null;
      const lock = lockOf(table, key);
      for (let known = this.#session !== undefined;; known = false) {
        const session = this.#session ??= await this.#client.keep("holding a key", KEEPALIVE);
        try {
          const { rows } = await session.run({
            text: "select pg_try_advisory_lock($1::bigint)",
            values: [lock],
          });
          if (rows[0][0] !== "t") return null;
          const hold = { key, lock, session };
          this.#held.set(key, hold);
          return () => this.#inTurn(() => this.#end(hold));
        } catch (error) {
          if (!known || session.alive()) throw error; // else it was lost since the last hold
        } finally {
          this.#giveBackUnused(session);
        }
      }
    });
  }

  /** Ends all holds. */
  endAll(): Promise<void> {
    return this.#inTurn(async () => {
      for (const hold of this.#held.values()) await this.#end(hold);
    });
  }

  async #end(hold: Hold): Promise<void> {
    if (this.#held.get(hold.key) !== hold) return;
    this.#held.delete(hold.key);
    const { lock, session } = hold;
    try {
      if (session.alive()) {
        await session.run({ text: "select pg_advisory_unlock($1::bigint)", values: [lock] });
      }
    } catch (error) {
      if (session.alive()) throw error; // else the server has freed it
    } finally {
      this.#giveBackUnused(session);
    }
  }

  #giveBackUnused(session: KeptSession): void {
    const held = [...this.#held.values()].filter((hold) => hold.session === session);
    if (session.alive() && held.length > 0) return;
    for (const { key } of held) this.#held.delete(key);
    if (this.#session === session) this.#session = undefined;
    session.giveBack();
  }

  /** A connection answers one question at a time. */
  #inTurn<T>(body: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(body);
    this.#turn = result.catch(() => {});
    return result;
  }
}

/** The number of a key's lock: 64 bits of a hash of table and key. */
function lockOf(table: string, key: string): string {
  const hash = sha256(`${table} ${key}`).slice(0, 16);
  return String(BigInt.asIntN(64, BigInt(`0x${hash}`)));
}
