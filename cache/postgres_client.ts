/**
 * Connections to a PostgreSQL server through `npm:pg`, which is loaded when the first is needed: a few at a time, closed
 * when idle, none of which keeps the program alive. A call whose connection is lost is made again while the server is
 * away, within a limit; who must not be called twice says so. Errors name host, port, database and user, what is likely
 * wrong and what to do. No error, name or inspection shows the password.
 */
import { importPackage } from "./packages.ts";
import { newPause } from "../runtime/mod.ts";

/** What pg's Client offers that is used here. */
interface Client {
  query(query: Statement & Raw): Promise<{ rows: string[][]; rowCount: number | null }>;
  on(event: "error", listener: (error: Error) => void): void;
  removeListener(event: "error", listener: (error: Error) => void): void;
  release(error?: Error): void;
  ref(): void;
  unref(): void;
}

interface Pool {
  connect(): Promise<Client>;
  on(event: "connect" | "remove", listener: (client: Client) => void): void;
  on(event: "error", listener: (error: Error) => void): void;
  end(): Promise<void>;
}

type ClientClass = new (options: Record<string, unknown>) => object;

interface Pg {
  Client: ClientClass;
  Pool: new (options: Record<string, unknown>, client: ClientClass) => Pool;
}

/** All columns come as PostgreSQL writes them, as texts. */
interface Raw {
  rowMode: "array";
  types: { getTypeParser(): (text: string) => string };
}

const RAW: Raw = { rowMode: "array", types: { getTypeParser: () => (text) => text } };

/** A statement with its parameters; one with a name is parsed once by each connection. */
export interface Statement {
  name?: string;
  text: string;
  values?: unknown[];
}

/** What a statement gave: rows of texts, and how many rows it gave or changed. */
export interface Result {
  rows: (string | null)[][];
  count: number;
}

/** One connection, for a while. */
export interface Session {
  run(statement: Statement): Promise<Result>;
}

/** A session that is kept until it is given back. */
export interface KeptSession extends Session {
  /** Whether the server still knows it. */
  alive(): boolean;
  giveBack(): void;
}

/** What is wrong between this program and a PostgreSQL server, or with a table. */
export class PostgresError extends Error {
  /** `"PostgresError"`. */
  override readonly name = "PostgresError";
  /** SQLSTATE of the server such as `"28P01"`, or code of the system such as `"ECONNREFUSED"`; empty if there is none. */
  readonly code: string;

  /** Makes one from a message that says server, problem and remedy, a code, and the client's own error. */
  constructor(message: string, code: string = "", cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** How {@linkcode PostgresClient} connects. */
export interface ClientSettings {
  /** Connections at a time. */
  connections: number;
  /** Milliseconds for which a connection, an answer, or the return of a lost server is waited for. */
  timeout: number;
}

let loading: Promise<Pg> | undefined;

function loadPg(): Promise<Pg> {
  loading ??= importPackage("pg", () => import("pg")).then((module) => module.default as unknown as Pg);
  loading.catch(() => loading = undefined);
  return loading;
}

/** Milliseconds after which an idle connection is closed. */
const IDLE = 10_000;

/** The server at a URL. */
export class PostgresClient {
  readonly #url: string;
  readonly #name: string;
  readonly #settings: ClientSettings;
  #pool?: Promise<Pool>;
  #connected = false;
  #closing?: Promise<void>;
  readonly #clients = new Set<Client>();
  readonly #running = new Set<Promise<unknown>>();

  /** `name` stands in errors. */
  constructor(url: URL, name: string, settings: ClientSettings) {
    this.#url = url.href;
    this.#name = name;
    this.#settings = settings;
  }

  /**
   * Runs `body` with a connection. It is run again when the connection was lost or a deadlock was resolved at its
   * expense; with `once` only if it cannot have had an effect. `doing` says in errors what fails.
   */
  use<T>(doing: string, body: (session: Session) => Promise<T>, once = false): Promise<T> {
    return this.#track(() =>
      this.#again(async (begun) => {
        const client = await this.#connect(doing);
        begun();
        let failure: Error | undefined;
        try {
          return await body({ run: (statement) => this.#runOn(client, doing, statement) });
        } catch (error) {
          if (error instanceof PostgresError && !answered(error)) failure = error;
          throw error;
        } finally {
          client.release(failure); // one that failed otherwise than by the server's answer is of no more use
        }
      }, once)
    );
  }

  /** A connection of its own until it is given back, on which these statements were run. */
  keep(doing: string, first: readonly Statement[]): Promise<KeptSession> {
    return this.#track(() =>
      this.#again(async () => {
        const client = await this.#connect(doing);
        let failure: Error | undefined, given = false;
        const fail = (error: Error) => failure ??= error;
        client.on("error", fail);
        const session: KeptSession = {
          alive: () => !failure,
          run: (statement) =>
            this.#track(async () => {
              client.ref();
              try {
                return await this.#runOn(client, doing, statement);
              } catch (error) {
                if (!answered(error as PostgresError)) fail(error as Error);
                throw error;
              } finally {
                if (!given) client.unref();
              }
            }),
          giveBack: () => {
            if (given) return;
            given = true;
            client.removeListener("error", fail);
            client.release(failure);
          },
        };
        try {
          for (const statement of first) await session.run(statement);
          return session;
        } catch (error) {
          session.giveBack();
          throw error;
        }
      }, false)
    );
  }

  /** Calls `attempt` until it succeeds, there is no hope, or time is up. */
  async #again<T>(attempt: (begun: () => void) => Promise<T>, once: boolean): Promise<T> {
    const start = performance.now();
    for (let wait = 10;; wait = Math.min(2 * wait, 500)) {
      let begun = false;
      try {
        return await attempt(() => begun = true);
      } catch (error) {
        const code = codeOf(error);
        const undone = code === "40001" || code === "40P01";
        const away = error instanceof PostgresError && lost(error) && (this.#connected || code === "57P03");
        const left = this.#settings.timeout - (performance.now() - start);
        if (!(undone || (away && !(once && begun))) || left <= wait) throw error;
      }
      await newPause().wait(wait * (0.5 + Math.random()));
    }
  }

  /** Ends all connections once the calls under way have ended. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
    const pool = await this.#pool?.catch(() => undefined);
    if (!pool) return;
    for (const client of this.#clients) client.ref(); // or the program would end before its farewell is through
    const allGone = new Promise<void>((resolve) => {
      const look = () => this.#clients.size === 0 && resolve();
      pool.on("remove", look);
      look();
    });
    await pool.end();
    await allGone; // the pool's own end does not wait for the sockets
  }

  #track<T>(call: () => Promise<T>): Promise<T> {
    if (this.#closing) {
      return Promise.reject(new Error(`${this.#name}: this archive was closed; open it again to use it`));
    }
    const running = call();
    this.#running.add(running);
    const done = () => void this.#running.delete(running);
    running.then(done, done);
    return running;
  }

  async #connect(doing: string): Promise<Client> {
    try {
      const client = await (await (this.#pool ??= this.#open())).connect();
      this.#connected = true;
      return client;
    } catch (error) {
      throw this.#told(doing, error);
    }
  }

  async #runOn(client: Client, doing: string, statement: Statement): Promise<Result> {
    try {
      const { rows, rowCount } = await client.query({ ...statement, ...RAW });
      return { rows, count: rowCount ?? 0 };
    } catch (error) {
      throw this.#told(doing, error);
    }
  }

  async #open(): Promise<Pool> {
    try {
      const { Client, Pool } = await loadPg();
      const { connections: max, timeout } = this.#settings;
      // A limit on the pool itself would also count the time that calls wait for each other.
      class Limited extends Client {
        constructor(options: Record<string, unknown>) {
          super({ ...options, connectionTimeoutMillis: timeout });
        }
      }
      const pool = new Pool({
        connectionString: this.#url,
        max,
        idleTimeoutMillis: IDLE,
        allowExitOnIdle: true,
        keepAlive: true,
        query_timeout: timeout,
        application_name: "pathos",
      }, Limited);
      pool.on("connect", (client) => {
        this.#clients.add(client);
        client.on("error", () => {}); // the call under way fails with it; without a listener the program would, too
      });
      pool.on("remove", (client) => this.#clients.delete(client));
      pool.on("error", () => {}); // an idle connection was lost, and is replaced by the next call that needs one
      return pool;
    } catch (error) {
      this.#pool = undefined;
      throw error;
    }
  }

  #told(doing: string, error: unknown): PostgresError {
    const code = codeOf(error);
    const said = (error as Error).message || (error as AggregateError).errors?.join("; ") || String(error);
    const hint = HINTS[code] ?? (lost(error as Error) ? HINTS.lost : hintOf(said));
    return new PostgresError(
      `${this.#name}: ${doing} failed: ${said}${code ? ` (${code})` : ""}${hint ? `; ${hint}` : ""}`,
      code,
      error,
    );
  }
}

/** Runs `body` in a transaction, which is undone if it throws. */
export async function transaction<T>(session: Session, body: () => Promise<T>): Promise<T> {
  await session.run({ text: "begin" });
  try {
    const result = await body();
    await session.run({ text: "commit" });
    return result;
  } catch (error) {
    if (!(error instanceof PostgresError) || answered(error)) await session.run({ text: "rollback" });
    throw error;
  }
}

/** A URL without its passwords. */
export function withoutPassword(url: URL): URL {
  const shown = new URL(url);
  shown.password = "";
  for (const name of ["password", "sslpassword"]) shown.searchParams.delete(name);
  return shown;
}

/** The code that the server or the system gave to an error. */
export function codeOf(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === "string" ? code : "";
}

/** Whether the connection was lost, or is not to be had now. */
function lost(error: Error): boolean {
  const { message } = (error instanceof PostgresError ? error.cause ?? error : error) as Error;
  return /^08|^57P0[123]$|^ECONN|^EPIPE$|^ETIMEDOUT$|^ENOENT$|^EHOST|^ENET/.test(codeOf(error)) ||
    /^(Connection terminated|Client has encountered a connection error|timeout expired|Query read timeout)/
      .test(message);
}

/** Whether it is the server that says so, and the connection is as good as before. */
function answered(error: PostgresError): boolean {
  return /^(?!E)[0-9A-Z]{5}$/.test(error.code) && !lost(error);
}

const HINTS: Record<string, string> = {
  ECONNREFUSED: "nothing listens there: is the server running, and are host and port right?",
  ENOENT: "there is no such socket: is the server running, and are folder and port right?",
  EACCES: "this user may not use that socket",
  ENOTFOUND: "no such host is known: is its name right?",
  EAI_AGAIN: "the host's name cannot be looked up: is the name right, and the network up?",
  "28P01": "are user and password right? The password can be in the URL, in PGPASSWORD or in ~/.pgpass",
  "28000": "the server's pg_hba.conf does not let this user in from here, or there is no such user",
  "3D000": "create the database (createdb), or name another in the URL",
  "42501": "the user needs the right to use this table, or to create it",
  "53100": "the server's disk is full: free space there",
  "53300": "the server takes no more connections: give the archives fewer (option connections)",
  "57P03": "the server starts or stops: try again later",
  lost: "the connection was lost, and the server did not come back in time (option timeout)",
};

function hintOf(message: string): string {
  if (/password must be a (non-empty )?string/.test(message)) {
    return "the server wants a password: in the URL, in PGPASSWORD or in ~/.pgpass";
  }
  if (/^Requires (net|env|read|sys) access/.test(message)) {
    return "Deno needs --allow-net and --allow-env for it";
  }
  return "";
}
