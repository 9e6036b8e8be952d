/**
 * How the ssh2 backend gets to a host and in: reachability, host keys, private keys in every format, agents, jump
 * hosts. Passwords and questions are in ssh_ssh2_password.test.ts.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import process from "node:process";
import { inspect } from "node:util";
import type { HostOptions } from "../ssh/host.ts";
import { runtime, tempDir, test } from "./harness.ts";
import { failure, keygen, said } from "./ssh2_login.ts";
import { type Sshd, SSHD_PROGRAMS, startSshd } from "./sshd.ts";

const NEEDED = [...SSHD_PROGRAMS, "ssh-add", "ssh-agent", "openssl"];

/** Connects with nothing but what is given: no alias, no key, no known host of the user's. */
function bare(sshd: Sshd, changes: Partial<HostOptions> = {}): HostOptions {
  return {
    host: "127.0.0.1",
    port: sshd.port,
    config: "/dev/null",
    identity: sshd.identity,
    knownHosts: sshd.knownHosts,
    ...changes,
  };
}

test.needs(NEEDED, "a host that cannot be reached is told by why", async () => {
  const silent = createServer((socket) => void socket.resume());
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const { port } = silent.address() as { port: number };
  const config = "/dev/null";
  const late = await failure({ host: "127.0.0.1", port, config, connectTimeout: 300 });
  assertEquals(late.failure, "timeout");
  assertMatch(late.message, /127\.0\.0\.1: .*300 ms/);
  await new Promise((resolve) => silent.close(resolve));
  const refused = await failure({ host: "127.0.0.1", port, config });
  assertEquals(refused.failure, "unreachable");
  assertMatch(refused.message, /127\.0\.0\.1 refuses connections to port \d+: does sshd run there/);
  const unknown = await failure({ host: "no-such-host.invalid", config });
  assertEquals([unknown.failure, unknown.host], ["unreachable", "no-such-host.invalid"]);
  assertMatch(unknown.message, /the name no-such-host.invalid is not known/);
});

test.needs(
  NEEDED,
  "a server that speaks no ssh, or turns us away as a busy sshd does, is told so",
  async () => {
    const server = createServer((socket) => void socket.resume().end("Exceeded MaxStartups\r\n"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const { failure: kind, message } = await failure({ host: "127.0.0.1", port, config: "/dev/null" });
    assertEquals(kind, "unreachable");
    assertMatch(message, /closed by the host before the login was done.*MaxStartups/);
    await new Promise((resolve) => server.close(resolve));
  },
);

test.needs(
  NEEDED,
  "a host whose key is not known is refused, with its fingerprint and what to do",
  async () => {
    await using sshd = await startSshd();
    const knownHosts = `${sshd.folder}/empty`;
    const { failure: kind, message } = await failure(bare(sshd, { knownHosts }));
    assertEquals(kind, "host-key");
    const [, fingerprint] = keygen("-l", "-f", `${sshd.folder}/host_ed25519.pub`).split(" ");
    assert(message.includes(fingerprint), message);
    assertMatch(
      message,
      new RegExp(`ssh-keyscan -p ${sshd.port} 127.0.0.1" to ${knownHosts}, or set acceptNew`),
    );
    assert(!existsSync(knownHosts));
  },
);

test.needs(
  NEEDED,
  "with acceptNew an unknown key is remembered, and a changed one refused all the same",
  async () => {
    await using sshd = await startSshd();
    const knownHosts = `${sshd.folder}/new/known_hosts`;
    assertEquals(await said(bare(sshd, { knownHosts, acceptNew: true })), "in");
    assertMatch(
      readFileSync(knownHosts, "utf8"),
      new RegExp(`^\\[127.0.0.1\\]:${sshd.port} ssh-ed25519 \\S+\n$`),
    );
    assertEquals(await said(bare(sshd, { knownHosts })), "in");
    const other = readFileSync(`${sshd.folder}/id_ed25519.pub`, "utf8");
    writeFileSync(knownHosts, `# one\n[127.0.0.1]:${sshd.port} ${other}`);
    const { failure: kind, message } = await failure(bare(sshd, { knownHosts, acceptNew: true }));
    assertEquals(kind, "host-key");
    assert(message.includes(`its key is not the one that ${knownHosts}:2 knows`), message);
  },
);

test.needs(
  NEEDED,
  "a revoked key is refused, and so is one that only a certificate authority vouches for",
  async () => {
    await using sshd = await startSshd();
    const line = readFileSync(sshd.knownHosts, "utf8");
    appendFileSync(sshd.knownHosts, `@revoked * ${line.split(" ").slice(1).join(" ")}`);
    const revoked = await failure(sshd.host());
    assertEquals(revoked.failure, "host-key");
    assert(revoked.message.includes(`revoked by ${sshd.knownHosts}:2`), revoked.message);
    writeFileSync(sshd.knownHosts, `@cert-authority ${line}`);
    const certified = await failure(sshd.host());
    assertEquals(certified.failure, "host-key");
    assertMatch(certified.message, /known_hosts:1 wants its key certified.*use transport "openssh"/);
  },
);

test.needs(NEEDED, "a host known by one type of key is asked for that type", async () => {
  await using sshd = await startSshd({ keys: ["ed25519", "ecdsa", "rsa"] });
  const lines = readFileSync(sshd.knownHosts, "utf8").trim().split("\n");
  for (const line of lines) {
    writeFileSync(sshd.knownHosts, `${line}\n`);
    assertEquals(await said(sshd.host()), "in", line.split(" ")[1]);
  }
  execFileSync("ssh-keygen", ["-H", "-f", sshd.knownHosts], { stdio: "ignore" });
  assertEquals(await said(sshd.host()), "in", "hashed");
});

test.needs(
  NEEDED,
  "keys in every format open the door, with their passphrases where they have some",
  async () => {
    await using sshd = await startSshd();
    const path = (name: string) => `${sshd.folder}/${name}`;
    const kinds = [["-t", "rsa", "-b", "2048"], ["-t", "ecdsa", "-b", "256"], ["-t", "ecdsa", "-b", "384"], [
      "-t",
      "ecdsa",
      "-b",
      "521",
    ], ["-t", "ed25519"]];
    const files: string[] = [];
    for (const [i, kind] of kinds.entries()) {
      // ssh-keygen writes Ed25519 in its own format alone
      for (const format of kind[1] === "ed25519" ? ["RFC4716"] : ["RFC4716", "PEM", "PKCS8"]) {
        for (const passphrase of ["", "secret"]) {
          const name = path(`k${i}-${format}-${passphrase}`);
          keygen(...kind, "-m", format, "-N", passphrase, "-f", name);
          files.push(name);
        }
      }
    }
    for (const passphrase of ["", "secret"]) {
      const name = path(`openssl-${passphrase}`);
      const encrypt = passphrase ? ["-aes256", "-pass", `pass:${passphrase}`] : [];
      execFileSync("openssl", ["genpkey", "-algorithm", "ed25519", ...encrypt, "-out", name], {
        stdio: "ignore",
      });
      const der = execFileSync("openssl", [
        "pkey",
        "-in",
        name,
        "-passin",
        "pass:secret",
        "-pubout",
        "-outform",
        "DER",
      ]);
      const blob = concatenated(
        [0, 0, 0, 11, ...new TextEncoder().encode("ssh-ed25519"), 0, 0, 0, 32],
        der.subarray(-32),
      );
      writeFileSync(`${name}.pub`, `ssh-ed25519 ${blob}\n`);
      files.push(name);
    }
    for (const file of files) appendFileSync(path("authorized_keys"), readFileSync(`${file}.pub`, "utf8"));
    for (const identity of files) {
      const passphrase = identity.endsWith("secret") ? { passphrase: () => Promise.resolve("secret") } : {};
      assertEquals(await said(bare(sshd, { identity, ...passphrase })), "in", identity);
    }
  },
  { timeout: 120_000 },
);

function concatenated(head: number[], tail: Uint8Array): string {
  return btoa(String.fromCharCode(...head, ...tail));
}

test.needs(NEEDED, "elliptic curve keys work whatever the length of their number", async () => {
  await using sshd = await startSshd();
  const identities = Array.from({ length: 6 }, (_, i) => `${sshd.folder}/ec${i}`);
  for (const file of identities) {
    keygen("-t", "ecdsa", "-N", "", "-f", file);
    appendFileSync(`${sshd.folder}/authorized_keys`, readFileSync(`${file}.pub`, "utf8"));
  }
  for (const identity of identities) assertEquals(await said(bare(sshd, { identity })), "in");
});

test.needs(NEEDED, "why a key did not do is in the error, and no passphrase", async () => {
  await using sshd = await startSshd();
  const identity = `${sshd.folder}/locked`;
  keygen("-t", "ed25519", "-N", "secret", "-f", identity);
  appendFileSync(`${sshd.folder}/authorized_keys`, readFileSync(`${identity}.pub`, "utf8"));
  const none = await failure(bare(sshd, { identity }));
  assertEquals(none.failure, "authentication");
  assertMatch(none.message, /locked: it is encrypted, and no passphrase was given/);
  const wrong = await failure(bare(sshd, { identity, passphrase: "wr0ng" }));
  assertMatch(wrong.message, /locked: it cannot be opened: is the passphrase right\?/);
  assert(!inspect(wrong, { depth: 9 }).includes("wr0ng"));
  const stranger = `${sshd.folder}/stranger`;
  keygen("-t", "ed25519", "-N", "", "-f", stranger);
  const refused = await failure(bare(sshd, { identity: stranger }));
  assertEquals(refused.failure, "authentication");
  assertMatch(refused.message, /not accepted: .*stranger; the host accepts publickey/);
  const missing = await failure(bare(sshd, { identity: `${sshd.folder}/nowhere` }));
  assertMatch(missing.message, /nowhere cannot be read/);
});

test.needs(NEEDED, "the agent's keys are used, also for files whose passphrase only it knows", async () => {
  await using sshd = await startSshd();
  const agent = `${sshd.folder}/agent`;
  const daemon = spawn("ssh-agent", ["-D", "-a", agent], { stdio: "ignore" });
  try {
    while (!existsSync(agent)) await new Promise((resolve) => setTimeout(resolve, 10));
    const env = { ...process.env, SSH_AUTH_SOCK: agent };
    const empty = await failure(bare(sshd, { identity: [], agent }));
    assertEquals(empty.failure, "authentication");
    execFileSync("ssh-add", ["-q", sshd.identity], { env, stdio: "ignore" });
    assertEquals(await said(bare(sshd, { identity: [], agent })), "in");
    const locked = `${sshd.folder}/locked`;
    keygen("-t", "rsa", "-b", "2048", "-N", "", "-f", locked);
    execFileSync("ssh-add", ["-q", locked], { env, stdio: "ignore" });
    keygen("-p", "-P", "", "-N", "secret", "-f", locked);
    writeFileSync(`${sshd.folder}/authorized_keys`, readFileSync(`${locked}.pub`, "utf8"));
    assertEquals(await said(bare(sshd, { identity: locked, agent })), "in");
  } finally {
    daemon.kill();
  }
  const gone = await failure(bare(sshd, { identity: [], agent: `${sshd.folder}/nobody` }));
  assertMatch(gone.message, /the agent at .*nobody does not answer/);
});

test.needs(
  NEEDED,
  "aliases, jump hosts and proxy commands of ssh_config lead where ssh would go",
  async () => {
    await using far = await startSshd();
    await using near = await startSshd();
    const config = `${far.folder}/config`;
    const target = (name: string, sshd: Sshd, more: string) =>
      `Host ${name}\n  HostName 127.0.0.1\n  Port ${sshd.port}\n  IdentityFile ${sshd.identity}\n` +
      `  UserKnownHostsFile ${sshd.knownHosts}\n  IdentitiesOnly yes\n${more}\n`;
    writeFileSync(
      config,
      [
        target("near", near, ""),
        target("far", far, "  ProxyJump near"),
        target("further", near, "  ProxyJump near,far"),
        target("piped", far, `  ProxyCommand ssh -F ${config} -W %h:%p near`),
        target("nowhere", far, "  ProxyCommand echo no such way >&2; exit 1"),
        target("circle", far, "  ProxyJump circle"),
        target("aside", far, "  HostKeyAlias named"),
      ].join(""),
    );
    const port = 'echo "$SSH_CONNECTION" | cut -d" " -f4';
    const logins = () => near.log().match(/Accepted publickey/g)!.length;
    assertEquals(await said({ host: "near", config }, port), `${near.port}`);
    assertEquals(logins(), 1);
    assertEquals(await said({ host: "far", config }, port), `${far.port}`);
    assertEquals(logins(), 2);
    assertEquals(await said({ host: "further", config }, port), `${near.port}`);
    assertEquals(await said({ host: "piped", config }, port), `${far.port}`);
    assertMatch(
      (await failure({ host: "nowhere", config })).message,
      /ProxyCommand ended, saying: no such way/,
    );
    assertEquals((await failure({ host: "circle", config })).failure, "setup");
    assertMatch((await failure({ host: "aside", config })).message, /names named\./);
    appendFileSync(far.knownHosts, readFileSync(far.knownHosts, "utf8").replace(/^\S+/, "named"));
    assertEquals(await said({ host: "aside", config }, port), `${far.port}`);
    const broken = await failure({ host: "near", config: `${far.folder}/no_config` });
    assertEquals(broken.failure, "setup");
  },
);

test.needs(
  NEEDED,
  "without an ssh program a host is what its name says, with ssh's own defaults",
  async () => {
    await using sshd = await startSshd();
    const { PATH, HOME } = process.env;
    using home = tempDir();
    mkdirSync(`${home.path}/.ssh`);
    copyFileSync(sshd.knownHosts, `${home.path}/.ssh/known_hosts`);
    copyFileSync(sshd.identity, `${home.path}/.ssh/id_ed25519`);
    Object.assign(process.env, { PATH: home.path, HOME: home.path });
    try {
      assertEquals(await said({ host: "127.0.0.1", port: sshd.port }), "in");
      const { failure: kind, message } = await failure(sshd.host());
      assertEquals(kind, "setup");
      assertMatch(message, /only an ssh program can read .*ssh_config/);
    } finally {
      Object.assign(process.env, { PATH, HOME });
    }
  },
);

test.needs(NEEDED, "a host that offers only what cannot be done here is refused in words", async () => {
  await using sshd = await startSshd({ extraConfig: "KexAlgorithms ecdh-sha2-nistp521" });
  if (runtime === "node") assertEquals(await said(sshd.host()), "in");
  else {
    const { failure: kind, message } = await failure(sshd.host());
    assertEquals(kind, "setup");
    assertMatch(message, /no matching key exchange algorithm.*use transport "openssh"/);
  }
});

test.needs(NEEDED, "a host that would compress is not asked to", async () => {
  await using sshd = await startSshd({ extraConfig: "Compression yes" });
  assertEquals(await said(sshd.host()), "in");
});
