// `deno task bench remote`: our pool over ssh beside what can be made by hand with ssh, and beside others who run work
// over ssh, all through one private sshd on loopback. In each section the contenders have processes of their own and
// take turns within a repetition. Needs `ssh` and `sshd`; uses /usr/bin/python3 with dask, GNU parallel and root (for a
// network with delay and loss) where they are there. Takes some 12 minutes; `--quick` takes two and is for development
// only. Targets are printed beside the figures, not asserted.
import { parseArgs } from "@std/cli";
import { startSshd } from "../tests/sshd.ts";
import { callTargets, measureCalls } from "./remote/calls.ts";
import { copyTargets, measureCopies } from "./remote/copy.ts";
import { measureMix, mixTargets } from "./remote/mix.ts";
import { openNetwork } from "./remote/network.ts";
import { dask, peerVersions } from "./remote/peers.ts";
import { sshVersion } from "./remote/rig.ts";
import { measureStart, startTargets } from "./remote/start.ts";
import { type Section, type Target, targetLines } from "./table.ts";
import { measureTrivial, trivialTargets } from "./remote/trivial.ts";
import { measureWire } from "./remote/wire.ts";

const PARTS = ["calls", "trivial", "start", "copy", "mix", "wire"] as const;

const HELP = `deno task bench remote [--quick] [--only a,b] [--no-peers] [--network netns|proxy] [--json FILE]

  --quick         fewer items and repetitions, for development
  --only LIST     parts: ${PARTS.join(", ")}
  --no-peers      without dask and GNU parallel
  --network KIND  what makes distances; by default a network namespace for root, else a proxy
  --json FILE     writes all figures, every repetition included
`;

const args = parseArgs(Deno.args, {
  boolean: ["quick", "help", "peers"],
  string: ["only", "json", "network"],
  negatable: ["peers"],
  default: { peers: true },
  unknown(arg: string) {
    console.error(`there is no ${JSON.stringify(arg)} here\n\n${HELP}`);
    Deno.exit(2);
  },
});
if (args.help) {
  console.log(HELP);
  Deno.exit(0);
}
const { quick, peers } = args;
const parts = PARTS.filter((part) => !args.only || args.only.split(",").includes(part));
const { network: kind } = args;
if (parts.length === 0 || (kind !== undefined && kind !== "netns" && kind !== "proxy")) {
  console.error(HELP);
  Deno.exit(2);
}

const sections: Section[] = [];
const targets: Target[] = [];
const loadBefore = Deno.loadavg()[0];
const begin = performance.now();

async function part(name: typeof PARTS[number], measure: () => Promise<void>): Promise<void> {
  if (!parts.includes(name)) return;
  const start = performance.now();
  await measure();
  console.error(`measured ${name} in ${((performance.now() - start) / 1000).toFixed(0)} s`);
}

async function onLoopback(): Promise<void> {
  const sshd = await startSshd();
  try {
    await part("calls", async () => {
      const work = quick
        ? { calls: 400, repetitions: 2, bytes: 1000 }
        : { calls: 1500, repetitions: 7, bytes: 1000 };
      const section = await measureCalls(sshd, work, peers ? [dask(sshd)] : []);
      sections.push(section);
      targets.push(...callTargets(section));
    });
    await part("trivial", async () => {
      const work = quick
        ? { items: 10_000, daskItems: 300, jobs: 8, repetitions: 2, peers }
        : { items: 10_000, daskItems: 2000, jobs: 500, repetitions: 5, peers };
      const section = await measureTrivial(sshd, work);
      sections.push(section);
      targets.push(...trivialTargets(section));
    });
    await part("start", async () => {
      const section = await measureStart(sshd, { repetitions: quick ? 2 : 7, peers });
      sections.push(section);
      targets.push(...startTargets(section));
    });
    await part("copy", async () => {
      const measured = await measureCopies(sshd, { repetitions: quick ? 1 : 5 });
      sections.push(measured.cold, measured.open);
      targets.push(...copyTargets(measured));
    });
  } finally {
    await sshd.stop();
  }
}

async function overDistances(): Promise<void> {
  const network = await openNetwork(kind as "netns" | "proxy" | undefined);
  try {
    await part("mix", async () => {
      const work = quick
        ? { tasks: 2000, repetitions: 1, trips: [40] }
        : { tasks: 2000, repetitions: 7, trips: [20, 40] };
      const measured = await measureMix(network, work);
      sections.push(measured.mix, measured.stall);
      targets.push(...mixTargets(measured));
    });
    await part("wire", async () => {
      const lossy = { trip: 30, loss: 1 };
      const distances = quick ? [lossy] : [{ trip: 0, loss: 0 }, { trip: 30, loss: 0 }, lossy];
      sections.push(await measureWire(network, { distances, repetitions: quick ? 1 : 3 }));
    });
  } finally {
    await network.stop();
  }
}

const distant = (part: typeof PARTS[number]) => part === "mix" || part === "wire";
if (!parts.every(distant)) await onLoopback();
if (parts.some(distant)) await overDistances();

const versions = [await sshVersion(), `Deno ${Deno.version.deno}`, ...(peers ? [await peerVersions()] : [])];
console.log(
  `median/best of each; ${navigator.hardwareConcurrency} cores; load average ${
    loadBefore.toFixed(1)
  } before, ` +
    `${Deno.loadavg()[0].toFixed(1)} after; ${((performance.now() - begin) / 1000).toFixed(0)} s` +
    `${quick ? "; quick run, not for conclusions" : ""}\n${versions.join("; ")}\n`,
);
for (const section of sections) console.log(`${section.lines().join("\n")}\n`);
if (targets.length > 0) console.log(targetLines(targets).join("\n"));
if (args.json) {
  await Deno.writeTextFile(args.json, JSON.stringify({ quick, versions, sections, targets }, null, 1) + "\n");
}
