/**
 * `pathos portpicker`: a free TCP port, here or on a host.
 */
import { stderr, stdout } from "../runtime/mod.ts";
import { randomPort } from "../ssh/ports.ts";
import { type Parsed, UsageError, type Verb } from "./flags.ts";
import { failureOn, HOST_FLAGS, HOST_FORMS, hostNamed } from "./remote.ts";

/** The verb `portpicker`. */
export const portpickerVerb: Verb = {
  name: "portpicker",
  summary: "Print a free TCP port of this machine or a host",
  usage: "portpicker [flags]",
  about: `
Prints a port on which nobody listens; the system chooses it. Somebody may take it the next moment: where a
program can listen on port 0 and tell which it got, as pathos serve and pathos tunnel do, let it.
${HOST_FORMS}`,
  flags: {
    host: { value: "HOST", help: "A port of this host (default: of this machine)" },
    ...HOST_FLAGS,
  },
  more: `
Exit status: 0 there is one, 1 the host cannot be reached, 2 a mistake in the command line.`,
  examples: [
    ["A port here", "pathos portpicker"],
    ["A port there", "pathos portpicker --host me@cluster"],
  ],
  run,
};

async function run(args: Parsed): Promise<number> {
  const name = args.text("host");
  if (args.positional.length > 0) {
    throw new UsageError(`portpicker takes flags only; did you mean --host ${args.positional[0]}?`);
  }
  const host = name === undefined ? undefined : hostNamed(name, args);
  try {
    await stdout.write(`${await randomPort({ host })}\n`);
    return 0;
  } catch (error) {
    if (!host) throw error;
    stderr.write(`pathos portpicker: ${failureOn(host, error)}\n`);
    return 1;
  }
}
