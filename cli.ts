#!/usr/bin/env -S deno run -A
/**
 * The `pathos` command: finds the verb, gives it its arguments, and turns what it throws into one message and
 * an exit status. What the verbs are, each tells itself (`cli/map.ts`).
 *
 * ```sh
 * deno run -A jsr:@pathos/pathos/cli map ./work.ts:analyse 'data/*.csv' > out.jsonl
 * ```
 *
 * @module
 */
import config from "./deno.json" with { type: "json" };
import { cacheVerb } from "./cli/cache.ts";
import { connectVerb } from "./cli/connect.ts";
import { copyVerb } from "./cli/copy.ts";
import { envVerb } from "./cli/env.ts";
import { execVerb } from "./cli/exec.ts";
import { findVerb } from "./cli/find.ts";
import { parseFlags, UsageError, type Verb } from "./cli/flags.ts";
import { overview, verbHelp } from "./cli/help.ts";
import { hostsVerb } from "./cli/hosts.ts";
import { jobVerb } from "./cli/job.ts";
import { mapVerb } from "./cli/map.ts";
import { mpiVerb } from "./cli/mpi.ts";
import { didYouMean } from "./cli/nearest.ts";
import { cannotWrite } from "./cli/output.ts";
import { portpickerVerb } from "./cli/portpicker.ts";
import { isRemoteFailure } from "./cli/remote.ts";
import { serveVerb } from "./cli/serve.ts";
import { tunnelVerb } from "./cli/tunnel.ts";
import { whichVerb } from "./cli/which.ts";
import { UnserializableError } from "./serialize/mod.ts";
import { exit, guarded, programArgs, runtimeName, runtimeVersion, stderr, stdout } from "./runtime/mod.ts";

const VERBS: readonly Verb[] = [
  mapVerb,
  serveVerb,
  connectVerb,
  hostsVerb,
  execVerb,
  copyVerb,
  tunnelVerb,
  portpickerVerb,
  jobVerb,
  mpiVerb,
  cacheVerb,
  findVerb,
  whichVerb,
  envVerb,
];

async function main([first, ...rest]: string[]): Promise<number> {
  if (first === "--version") {
    await print(`pathos ${config.version} (${runtimeName} ${runtimeVersion()})\n`);
    return 0;
  }
  if (first === undefined || first === "--help" || first === "-h" || (first === "help" && !rest.length)) {
    await print(overview(VERBS, config.version));
    return 0;
  }
  if (first === "help") {
    await print(verbHelp(verbNamed(rest[0])));
    return 0;
  }
  const verb = verbNamed(first);
  const args = parseFlags(verb, rest);
  if (args.on("help")) {
    await print(verbHelp(verb));
    return 0;
  }
  return await verb.run(args);
}

function verbNamed(name: string): Verb {
  const verb = VERBS.find((verb) => verb.name === name);
  if (verb) return verb;
  if (name.startsWith("-")) {
    const meant = didYouMean(name, ["--help", "--version"]) || "; flags of a verb go behind it";
    throw new UsageError(`there is no flag ${name} before the verb${meant}`);
  }
  const meant = didYouMean(name, [...VERBS.map((verb) => verb.name), "help"]);
  throw new UsageError(`there is no verb ${name}${meant || "; pathos help lists the verbs"}`);
}

async function print(text: string): Promise<void> {
  await stdout.write(text).catch((error) => {
    if (error.code !== "EPIPE") throw cannotWrite(error); // else the reader has seen enough
  });
}

/** The message of an error; what is not the user's mistake shows where it comes from. */
function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const toldAlready = error instanceof UsageError || error instanceof UnserializableError ||
    isRemoteFailure(error);
  if (toldAlready) return error.message;
  const cause = error.cause === undefined ? "" : `\n  caused by ${explain(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}

const verbs = programArgs();
const status = await main(verbs).catch((error) => {
  const verb = VERBS.some(({ name }) => name === verbs[0]) ? ` ${verbs[0]}` : "";
  stderr.write(`pathos${verb}: ${explain(error)}\n`);
  return 2;
});
await guarded(); // so that what was just started ends with this process too
exit(status);
