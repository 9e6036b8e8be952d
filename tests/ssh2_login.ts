/**
 * What the tests of logging in by npm:ssh2 share.
 *
 * @module
 */
import { assertRejects } from "@std/assert";
import { execFileSync } from "node:child_process";
import { SshError } from "../ssh/connection.ts";
import { Host, type HostOptions } from "../ssh/host.ts";
import { connectSsh2 } from "../ssh/ssh2.ts";

/** Connects and runs a command; gives its output. */
export async function said(where: HostOptions, command = "echo in"): Promise<string> {
  const connection = await connectSsh2(new Host(where));
  try {
    return await new Promise<string>((resolve, reject) => {
      let text = "";
      connection.run(command, {
        stdout: (bytes) => void (text += new TextDecoder().decode(bytes)),
        stderr() {},
        exit: (end) => end instanceof SshError ? reject(end) : resolve(text.trim()),
      });
    });
  } finally {
    await connection.close();
  }
}

/** Expects that connecting fails. */
export function failure(where: HostOptions): Promise<SshError> {
  return assertRejects(() => said(where), SshError);
}

/** Runs ssh-keygen. */
export function keygen(...args: string[]): string {
  return execFileSync("ssh-keygen", ["-q", ...args], { encoding: "utf8" });
}
