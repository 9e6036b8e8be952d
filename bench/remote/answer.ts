// The other end of bench/contender.ts in Deno: answers requests, JSON lines on standard input, one at a time. The end of
// the input ends it at once, whatever it is at, so that a benchmark that was killed leaves nothing behind.

/** What a contender can do, by the `command` of a request. */
export type Commands = Record<string, (request: never) => unknown>;

/** Answers until standard input ends. A command that throws answers with `error`, and the contender goes on. */
export async function answer(commands: Commands): Promise<never> {
  const text = Deno.stdin.readable.pipeThrough(
    new TextDecoderStream() as TransformStream<Uint8Array, string>,
  );
  let rest = "";
  let last = Promise.resolve();
  for await (const piece of text) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop()!;
    for (const line of lines) last = last.then(async () => say(await reply(commands, line)));
  }
  Deno.exit(0);
}

async function reply(commands: Commands, line: string): Promise<unknown> {
  try {
    const request = JSON.parse(line);
    return await commands[request.command](request as never) ?? {};
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

function say(value: unknown): void {
  Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(value) + "\n"));
}
