/**
 * known_hosts files as the ssh2 backend reads and writes them, compared with what ssh-keygen says of the same files.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { execFileSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import {
  addKnownKey,
  fingerprint,
  judgeHostKey,
  keyType,
  knownHostName,
  knownKeys,
} from "../ssh/known_hosts.ts";
import { tempDir, test } from "./harness.ts";

interface Key {
  /** As in a known_hosts file: type and base64. */
  text: string;
  bytes: Uint8Array;
}

function key(type: string, fill: number): Key {
  const name = new TextEncoder().encode(type);
  const bytes = new Uint8Array([
    0,
    0,
    0,
    name.length,
    ...name,
    0,
    0,
    0,
    32,
    ...new Uint8Array(32).fill(fill),
  ]);
  return { text: `${type} ${btoa(String.fromCharCode(...bytes))}`, bytes };
}

const ONE = key("ssh-ed25519", 1), TWO = key("ssh-ed25519", 2), RSA = key("ssh-rsa", 3);

/** What is thought of a key shown by a host, with these known_hosts lines. */
function verdict(lines: string, shown: Key, hostname: string, port = 22): string {
  using folder = tempDir();
  const file = `${folder.path}/known_hosts`;
  writeFileSync(file, lines);
  const found = judgeHostKey(knownKeys([file], knownHostName(hostname, port)), shown.bytes);
  const line = "line" in found ? ` by line ${found.line.line}` : "";
  return found.status + line;
}

test("a key that a line gives the host is known, under any of its names and in any case", () => {
  const lines = `# a comment\n\nalpha,10.0.0.1 ${ONE.text} comment of mine\n`;
  assertEquals(verdict(lines, ONE, "alpha"), "known");
  assertEquals(verdict(lines, ONE, "ALPHA"), "known");
  assertEquals(verdict(lines, ONE, "10.0.0.1"), "known");
  assertEquals(verdict(lines, ONE, "beta"), "unknown");
  assertEquals(verdict(lines, ONE, "alph"), "unknown");
});

test("a port other than 22 has keys of its own", () => {
  const lines = `[alpha]:2222 ${ONE.text}\nalpha ${TWO.text}\n`;
  assertEquals(verdict(lines, ONE, "alpha", 2222), "known");
  assertEquals(verdict(lines, ONE, "alpha"), "changed by line 2");
  assertEquals(verdict(lines, TWO, "alpha"), "known");
  assertEquals(verdict(`[::1]:2222 ${ONE.text}\n`, ONE, "::1", 2222), "known");
});

test("wildcards match, negation excludes, and brackets are no wildcard", () => {
  const lines = `*.example.org,!bad.example.org,10.0.?.1 ${ONE.text}\n[*.example.org]:99 ${TWO.text}\n`;
  assertEquals(verdict(lines, ONE, "good.example.org"), "known");
  assertEquals(verdict(lines, ONE, "bad.example.org"), "unknown");
  assertEquals(verdict(lines, ONE, "exampleXorg"), "unknown");
  assertEquals(verdict(lines, ONE, "10.0.7.1"), "known");
  assertEquals(verdict(lines, ONE, "10.0.77.1"), "unknown");
  assertEquals(verdict(lines, TWO, "x.example.org", 99), "known");
});

test("a different key of the same type is a change, one of another type is not", () => {
  const lines = `alpha ${ONE.text}\n`;
  assertEquals(verdict(lines, TWO, "alpha"), "changed by line 1");
  assertEquals(verdict(lines, RSA, "alpha"), "unknown");
  assertEquals(verdict(`${lines}alpha ${TWO.text}\n`, TWO, "alpha"), "known");
});

test("a revoked key is refused even where another line knows it", () => {
  const lines = `alpha ${ONE.text}\n@revoked * ${ONE.text}\n`;
  assertEquals(verdict(lines, ONE, "alpha"), "revoked by line 2");
  assertEquals(verdict(lines, TWO, "alpha"), "changed by line 1");
});

test("a certificate authority is no key of the host, but is told", () => {
  using folder = tempDir();
  const file = `${folder.path}/known_hosts`;
  writeFileSync(file, `@cert-authority *.example.org ${ONE.text}\n`);
  const found = judgeHostKey(knownKeys([file], "a.example.org"), ONE.bytes);
  assert(found.status === "unknown");
  assertEquals(found.others.map(({ marker, line }) => [marker, line]), [["cert-authority", 1]]);
});

test("lines that make no sense are passed over", () => {
  const bad = ["alpha", "alpha ssh-ed25519", "alpha ssh-ed25519 not*base64", "@strange alpha " + ONE.text];
  const salt = ["|1|%%%|abc " + ONE.text, "|2|AAAA|BBBB " + ONE.text, "|1|AAAA " + ONE.text];
  assertEquals(verdict([...bad, ...salt, `alpha ${TWO.text}`].join("\r\n"), TWO, "alpha"), "known");
});

test.needs(["ssh-keygen"], "names that ssh-keygen has hashed are recognized", () => {
  using folder = tempDir();
  const file = `${folder.path}/known_hosts`;
  writeFileSync(file, `alpha ${ONE.text}\n[beta]:2222 ${TWO.text}\n`);
  execFileSync("ssh-keygen", ["-H", "-f", file], { stdio: "ignore" });
  assert(!readFileSync(file, "utf8").includes("alpha"));
  assertEquals(judgeHostKey(knownKeys([file], "alpha"), ONE.bytes).status, "known");
  assertEquals(judgeHostKey(knownKeys([file], knownHostName("beta", 2222)), TWO.bytes).status, "known");
  assertEquals(judgeHostKey(knownKeys([file], "beta"), TWO.bytes).status, "unknown");
});

test("several files count together, those that are not there do not", () => {
  using folder = tempDir();
  const [a, b] = [`${folder.path}/a`, `${folder.path}/b`];
  writeFileSync(a, `alpha ${RSA.text}\n`);
  writeFileSync(b, `alpha ${ONE.text}\n`);
  const known = knownKeys([`${folder.path}/none`, a, b], "alpha");
  assertEquals(known.map(({ file, type }) => [file, type]), [[a, "ssh-rsa"], [b, "ssh-ed25519"]]);
  assertEquals(judgeHostKey(known, ONE.bytes).status, "known");
});

test.needs(["ssh-keygen"], "an added key is found again, by us and by ssh-keygen, hashed or not", () => {
  using folder = tempDir();
  for (const hashed of [false, true]) {
    const file = `${folder.path}/new/${hashed}/known_hosts`;
    addKnownKey(file, "[alpha]:2222", ONE.bytes, hashed);
    writeFileSync(file, readFileSync(file, "utf8").trimEnd()); // an editor that leaves the last line open
    addKnownKey(file, "beta", TWO.bytes, hashed);
    assertEquals(readFileSync(file, "utf8").includes("alpha"), !hashed);
    assertEquals(judgeHostKey(knownKeys([file], "[alpha]:2222"), ONE.bytes).status, "known");
    assertEquals(judgeHostKey(knownKeys([file], "beta"), TWO.bytes).status, "known");
    for (const name of ["[alpha]:2222", "beta"]) {
      assertMatch(execFileSync("ssh-keygen", ["-F", name, "-f", file], { encoding: "utf8" }), /found: line/);
    }
    assertEquals(statSync(file).mode & 0o777, 0o600);
    assertEquals(statSync(`${folder.path}/new/${hashed}`).mode & 0o777, 0o700);
  }
});

test.needs(["ssh-keygen"], "a key's type and fingerprint are those that ssh-keygen tells", () => {
  using folder = tempDir();
  const file = `${folder.path}/key`;
  execFileSync("ssh-keygen", ["-q", "-t", "ecdsa", "-N", "", "-f", file]);
  const said = execFileSync("ssh-keygen", ["-l", "-f", file], { encoding: "utf8" });
  const [type, base64] = readFileSync(`${file}.pub`, "utf8").split(" ");
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  assertEquals(keyType(bytes), type);
  assertEquals(fingerprint(bytes), said.split(" ")[1]);
});
