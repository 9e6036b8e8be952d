/**
 * Passwords and questions of a host, for the ssh2 backend. A real sshd would need an account of its own for them, so
 * the host is the server of npm:ssh2 in this process.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import type { Duplex } from "node:stream";
import { inspect } from "node:util";
import ssh2 from "ssh2";
import { Host, type HostOptions, type Prompt } from "../ssh/host.ts";
import { tempDir, test } from "./harness.ts";
import { failure, keygen, said } from "./ssh2_login.ts";

/** A try to log in, as the server of npm:ssh2 tells it. */
interface AuthContext {
  method: string;
  username: string;
  password: string;
  accept(): void;
  reject(methods?: string[], partial?: boolean): void;
  prompt(prompts: { prompt: string; echo: boolean }[], answered: (answers: string[]) => void): void;
}

/** As much as is used of the package's server, which has no types. */
interface Emitter {
  on(event: string, listener: (...args: never[]) => void): this;
}
type ServerStream = Duplex & { stderr: Duplex; exit(code: number): void };

/** Runs the ssh server of npm:ssh2, which asks `accept` about each try to log in and runs commands by sh. */
async function serving(
  accept: (context: AuthContext) => void,
  body: (where: HostOptions) => Promise<void>,
): Promise<void> {
  using folder = tempDir();
  const key = `${folder.path}/host`;
  keygen("-t", "ed25519", "-N", "", "-f", key);
  const ends: Promise<void>[] = [];
  const listener = new ssh2.Server({ hostKeys: [readFileSync(key)] }, (client: Emitter) => {
    client.on("error", () => {});
    client.on("authentication", accept);
    client.on(
      "session",
      (acceptSession: () => Emitter) =>
        acceptSession().on(
          "exec",
          (acceptExec: () => ServerStream, _: unknown, { command }: { command: string }) => {
            const stream = acceptExec();
            const child = spawn("/bin/sh", ["-c", command], { detached: true });
            stream.pipe(child.stdin);
            child.stdout.pipe(stream, { end: false });
            child.stderr.pipe(stream.stderr, { end: false });
            ends.push(
              new Promise<void>((resolve) =>
                child.on("close", (code) => {
                  stream.exit(code ?? 1);
                  stream.end();
                  resolve();
                })
              ),
            );
            stream.on("close", () => child.stdin.end());
          },
        ),
    );
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address();
  const knownHosts = `${folder.path}/known_hosts`;
  writeFileSync(knownHosts, `[127.0.0.1]:${port} ${readFileSync(`${key}.pub`, "utf8")}`);
  try {
    await body({ host: "me@127.0.0.1", port, config: "/dev/null", identity: "/dev/null", knownHosts });
  } finally {
    await new Promise<void>((resolve) => listener.close(() => resolve()));
    await Promise.all(ends);
  }
}

test.needs(["ssh-keygen"], "a password opens the door, given or fetched, and is shown nowhere", async () => {
  const accept = (context: AuthContext) =>
    context.method === "password" && context.password === "s3cret"
      ? context.accept()
      : context.reject(["password", "publickey"]);
  await serving(accept, async (where) => {
    assertEquals(await said({ ...where, password: "s3cret" }), "in");
    assertEquals(await said({ ...where, password: () => Promise.resolve("s3cret") }), "in");
    const wrong = await failure({ ...where, password: "wr0ng" });
    assertEquals(wrong.failure, "authentication");
    assertMatch(wrong.message, /the password was not accepted; the host accepts password, publickey/);
    assert(!inspect(wrong, { depth: 9 }).includes("wr0ng"));
    const host = new Host({ ...where, password: "s3cret", passphrase: "s3cret" });
    for (
      const text of [
        inspect(host, { depth: 9, showHidden: true }),
        JSON.stringify(host),
        String(host),
        host.key,
      ]
    ) {
      assert(!text.includes("s3cret"), text);
    }
    const failing = await failure({
      ...where,
      password: () => Promise.reject(new Error("the vault is shut")),
    });
    assertMatch(failing.message, /the vault is shut/);
  });
});

test.needs(
  ["ssh-keygen"],
  "the host's questions are answered by the prompt, as often as it has patience",
  async () => {
    let asked: Prompt[][] = [];
    const accept = (context: AuthContext) => {
      if (context.method !== "keyboard-interactive") return context.reject(["keyboard-interactive"]);
      context.prompt(
        [{ prompt: "Code: ", echo: true }, { prompt: "Pin: ", echo: false }],
        ([code, pin]) =>
          code === "42" && pin === "s3cret" ? context.accept() : context.reject(["keyboard-interactive"]),
      );
    };
    await serving(accept, async (where) => {
      const answers = [["41", ""], ["42", "s3cret"]];
      const prompt = async (prompts: readonly Prompt[]) => {
        asked.push([...prompts]);
        await new Promise((resolve) => setTimeout(resolve, 400)); // a person takes longer than the limit
        return answers.shift() ?? [];
      };
      assertEquals(await said({ ...where, prompt, connectTimeout: 1_000 }), "in");
      const questions = [{ text: "Code: ", echo: true }, { text: "Pin: ", echo: false }];
      assertEquals(asked, [questions, questions]);
      asked = [];
      const refused = await failure({ ...where, prompt });
      assertEquals(asked.length, 3);
      assertEquals(refused.failure, "authentication");
      assertMatch(refused.message, /the answers to its questions were not accepted/);
    });
  },
);

test.needs(
  ["ssh-keygen"],
  "a password answers the one hidden question of a host that accepts only questions",
  async () => {
    const accept = (context: AuthContext) => {
      if (context.method !== "keyboard-interactive") return context.reject(["keyboard-interactive"]);
      context.prompt(
        [{ prompt: "Password: ", echo: false }],
        ([answer]) => answer === "s3cret" ? context.accept() : context.reject(["keyboard-interactive"]),
      );
    };
    await serving(accept, async (where) => assertEquals(await said({ ...where, password: "s3cret" }), "in"));
  },
);

test.needs(["ssh-keygen"], "a host that wants a password after a key gets both", async () => {
  using folder = tempDir();
  const identity = `${folder.path}/id`;
  keygen("-t", "ed25519", "-N", "", "-f", identity);
  let keys = 0;
  const accept = (context: AuthContext) => {
    if (context.method === "publickey" && ++keys <= 2) {
      // the first try asks whether the key would do, the second proves it
      return keys === 1 ? context.accept() : context.reject(["password"], true);
    }
    if (keys >= 2 && context.method === "password" && context.password === "s3cret") return context.accept();
    context.reject(keys >= 2 ? ["password"] : ["publickey"]);
  };
  await serving(accept, async (where) => {
    assertEquals(await said({ ...where, identity, password: "s3cret" }), "in");
  });
});
