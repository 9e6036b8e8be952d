/**
 * From a link to a connection that is authenticated both ways: the host by known_hosts, failing closed, and
 * we by what we have, in the order of ssh: keys of the agent and of files, a password, answers to the host's
 * questions. What was tried, and why it did not do, is in the error.
 */
import { builtin } from "../runtime/mod.ts";
import { SshError, type SshFailure } from "./connection.ts";
import type { Host, Prompt, Secret } from "./host.ts";
import { fingerprint, type KnownKey, knownKeys } from "./known_hosts.ts";
import { judge, nameOf, offer } from "./ssh2_host_key.ts";
import { identities, type Identity } from "./ssh2_identities.ts";
import type { Link } from "./ssh2_link.ts";
import type { Settings } from "./ssh2_settings.ts";
import type { Agent, AuthHandler, AuthTry, Client, ClientError, ParsedKey, Ssh2 } from "./ssh2_types.ts";

/** How often a prompt is answered before the host's patience is not tried any more. */
const PROMPTS = 3;

/** In ssh's words, by which shared.ts knows that it may try again. */
const TURNED_AWAY = "Connection closed by the host before the login was done: does sshd run on that port, " +
  "and is it not too busy (MaxStartups)?";

/**
 * Logs in.
 *
 * @throws {SshError} `"host-key"`, `"authentication"`, `"unreachable"`, `"timeout"` or `"setup"`; the link is closed.
 */
export function login(ssh2: Ssh2, link: Link, host: Host, settings: Settings): Promise<Client> {
  const client = new ssh2.Client();
  const notes: string[] = [];
  const error = (message: string, failure: SshFailure, cause?: unknown) =>
    new SshError(`${host.name}: ${message}`, { failure, host: host.name, cause });
  return new Promise((resolve, reject) => {
    let refusal: SshError | undefined;
    let settled = false;
    const settle = (end: () => void) => {
      settled = true;
      clock.stop();
      end();
    };
    const fail = (reason: SshError) => {
      if (settled) return;
      settle(() => reject(reason));
      link.close();
    };
    const clock = stopwatch(host.connectTimeout, () => {
      fail(
        error(
          `the login took longer than ${host.connectTimeout} ms (connectTimeout sets the limit)`,
          "timeout",
        ),
      );
    });
    client.on("ready", () => settle(() => resolve(client)));
    client.on("close", () => {
      fail(refusal ?? error(TURNED_AWAY, "unreachable"));
    });
    client.on("change password", () => {
      fail(error("the password has expired: log in with ssh and change it", "authentication"));
    });
    client.on("error", (cause) => {
      if (settled) return;
      if (cause.level === "agent") notes.push(cause.message); // one key less: the next is tried
      else fail(refusal ?? explain(cause, error, notes));
    });
    let known: KnownKey[];
    try {
      known = knownKeys(settings.knownHosts, nameOf(settings));
      client.connect({
        sock: link.stream,
        username: settings.user,
        readyTimeout: 0,
        strictVendor: false,
        algorithms: offer(known),
        hostVerifier(key) {
          refusal = judge(host, settings, known, key);
          return refusal === undefined;
        },
        authHandler: authenticator(ssh2, host, settings, clock, notes),
      });
    } catch (cause) {
      fail(cause instanceof SshError ? cause : error((cause as Error).message, "setup", cause));
    }
  });
}

/** Calls `expire` when it has run for that long; waiting for a person does not count. */
function stopwatch(milliseconds: number, expire: () => void) {
  let timer = setTimeout(expire, milliseconds);
  const stop = () => clearTimeout(timer);
  return {
    stop,
    async without<T>(work: () => T | Promise<T>): Promise<T> {
      stop();
      try {
        return await work();
      } finally {
        timer = setTimeout(expire, milliseconds);
      }
    },
  };
}

type MakeError = (message: string, failure: SshFailure, cause?: unknown) => SshError;

function explain(cause: ClientError, error: MakeError, notes: string[]): SshError {
  if (cause.message.startsWith("All configured authentication methods failed")) {
    return error(`the login was refused${notes.length > 0 ? `: ${notes.join("; ")}` : ""}`, "authentication");
  }
  if (/no matching/i.test(cause.message)) {
    const message =
      `${cause.message}: the host offers nothing that npm:ssh2 can do here; use transport "openssh"`;
    return error(message, "setup", cause);
  }
  if (cause.message.startsWith("Too many authentication failures")) {
    return error(
      `the host broke off after too many tries: name the right key as identity (${notes.join("; ")})`,
      "authentication",
    );
  }
  if (/^Connection lost before handshake|ECONNRESET|EPIPE/.test(cause.message)) {
    return error(TURNED_AWAY, "unreachable", cause);
  }
  return error(`the login failed: ${cause.message}`, "unreachable", cause);
}

type Stopwatch = ReturnType<typeof stopwatch>;

/** Chooses one try after the other, from what the host still accepts. */
function authenticator(
  ssh2: Ssh2,
  host: Host,
  settings: Settings,
  clock: Stopwatch,
  notes: string[],
): AuthHandler {
  const { user: username } = settings;
  const secret = (value: Secret) => clock.without(typeof value === "string" ? () => value : value);
  const ask = async (prompts: readonly Prompt[]): Promise<string[]> =>
    host.prompt ? [...await clock.without(() => host.prompt!(prompts))] : [];
  const tried: string[] = [];
  let keys: "untried" | "tried" | "done" = "untried";
  let passwordsTried = 0, questionsTried = 0;

  async function choose(left: readonly string[]): Promise<AuthTry | false> {
    if (left.includes("publickey") && keys === "untried") {
      const found = await identities(ssh2, host, settings, secret, notes);
      keys = found.length > 0 ? "tried" : "done";
      tried.push(...found.map(({ source }) => source));
      if (found.length > 0) return { type: "agent", username, agent: keyring(ssh2, found) };
    }
    if (keys === "tried") {
      keys = "done";
      return { type: "none", username }; // ssh2 does not tell what is left after a key
    }
    if (tried.length > 0) {
      const accepted = !left.includes("publickey");
      notes.push(accepted ? "a key was accepted but does not suffice" : `not accepted: ${tried.join(", ")}`);
      tried.length = 0;
    }
    if (left.includes("password") && host.password !== undefined && passwordsTried === 0) {
      passwordsTried++;
      notes.push("the password was not accepted");
      return { type: "password", username, password: await secret(host.password) };
    }
    const questions = host.prompt ? PROMPTS : host.password === undefined ? 0 : 1;
    if (left.includes("keyboard-interactive") && questionsTried < questions) {
      questionsTried++;
      if (questionsTried === 1) notes.push("the answers to its questions were not accepted");
      return { type: "keyboard-interactive", username, prompt: answer };
    }
    if (left.includes("password") && host.prompt && passwordsTried < PROMPTS) {
      passwordsTried++;
      if (passwordsTried === 1) notes.push("the password was not accepted");
      const [password] = await ask([{ text: `${username}@${host.name}'s password: `, echo: false }]);
      if (password !== undefined) return { type: "password", username, password };
    }
    notes.push(`the host accepts ${left.join(", ") || "nothing more"}`);
    return false;
  }

  const answer: Extract<AuthTry, { type: "keyboard-interactive" }>["prompt"] = (
    _name,
    _instructions,
    _language,
    prompts,
    reply,
  ) => {
    const asked = prompts.map(({ prompt, echo }) => ({ text: prompt, echo: echo ?? false }));
    // without somebody to ask, the one hidden question is taken for the password
    const given = host.prompt
      ? ask(asked)
      : host.password !== undefined && asked.length === 1 && !asked[0].echo
      ? secret(host.password).then((password) => [password])
      : Promise.resolve([]);
    given.catch((reason: Error) => {
      notes.push(`its question could not be answered: ${reason.message}`);
      return [];
    }).then((answers) => reply(asked.map((_, index) => answers[index] ?? "")));
  };

  return (left, _partial, next) => {
    if (left === null) return next({ type: "none", username }); // tells what the host accepts
    choose(left).catch((reason: Error): false => {
      notes.push(reason.message);
      return false;
    }).then(next);
  };
}

/** Our keys as the kind of agent that ssh2 knows, so that each is opened only when the host accepts it. */
function keyring(ssh2: Ssh2, keys: readonly Identity[]): Agent {
  const { Buffer } = builtin<{ Buffer: { from(bytes: Uint8Array): Uint8Array } }>("node:buffer");
  const byPrint = new Map(keys.map((key) => [fingerprint(key.publicKey), key]));
  return new class extends ssh2.BaseAgent {
    override getIdentities(done: Parameters<Agent["getIdentities"]>[0]): void {
      const parsed = keys.map(({ publicKey }) => ssh2.utils.parseKey(Buffer.from(publicKey)));
      done(null, parsed.filter((key): key is ParsedKey => !(key instanceof Error)));
    }
    override sign(
      key: ParsedKey,
      data: Uint8Array,
      { hash }: { hash?: string },
      done: Parameters<Agent["sign"]>[3],
    ): void {
      const identity = byPrint.get(fingerprint(key.getPublicSSH()))!;
      identity.sign(data, hash).then((signature) => done(null, Buffer.from(signature)), (reason: Error) => {
        done(new Error(`${identity.source}: ${reason.message}`));
      });
    }
  }();
}
