/**
 * A Slurm array from a laptop: at which share of open sites does water find its way through a square grid? The function
 * below is sent to the cluster as it stands here; its results come back over one ssh connection. Stop the program
 * whenever you like: what it prints first goes on where it was.
 *
 *     deno run -A examples/mpi_slurm.ts me@cluster --walltime 10     # your cluster's login node; minutes
 *     deno run -A examples/mpi_slurm.ts me@cluster --again FOLDER    # go on after this program ended
 *     deno run -A examples/mpi_slurm.ts                              # a private Slurm and sshd on this machine stand in
 */
import { slurm } from "@pathos/pathos/mpi";
import type { HostLike } from "@pathos/pathos/mpi";
import { parseArgs } from "node:util";
import { startSlurm } from "../tests/slurm.ts";
import { startSshd } from "../tests/sshd.ts";

const { values: options, positionals: [login] } = parseArgs({
  allowPositionals: true,
  options: {
    size: { type: "string", default: "200" },
    samples: { type: "string", default: "400" },
    tasks: { type: "string", default: "4" },
    walltime: { type: "string" },
    again: { type: "string" },
  },
});
const size = Number(options.size);
const samples = Number(options.samples);

/** The share of `samples` grids, with this share of their sites open, that water runs through from top to bottom. */
function percolation(share: number): number {
  let through = 0;
  for (let sample = 0; sample < samples; sample++) {
    const dry = Uint8Array.from({ length: size * size }, () => Math.random() < share ? 1 : 0);
    const wet: number[] = [];
    const enter = (site: number) => {
      if (dry[site] === 1) wet.push(site);
      dry[site] = 0;
    };
    for (let x = 0; x < size; x++) enter(x);
    let lowest = 0;
    for (let site = wet.pop(); site !== undefined; site = wet.pop()) {
      const x = site % size, y = (site - x) / size;
      lowest = Math.max(lowest, y);
      if (x > 0) enter(site - 1);
      if (x < size - 1) enter(site + 1);
      if (y > 0) enter(site - size);
      if (y < size - 1) enter(site + size);
    }
    if (lowest === size - 1) through++;
  }
  return through / samples;
}

/** A cluster with two nodes and a login node, on this machine. */
async function standIn() {
  const cluster = await startSlurm({ nodes: 2, cpus: 2 });
  const sshd = await startSshd({ env: { ...cluster.env } });
  return {
    host: sshd.host() as HostLike,
    async stop() {
      await sshd.stop();
      await cluster.stop();
    },
  };
}

const { host, stop } = login === undefined ? await standIn() : { host: login, stop: () => Promise.resolve() };
try {
  const cluster = slurm({ host });
  const shares = Array.from({ length: 16 }, (_, i) => 0.55 + i / 200);
  const run = options.again === undefined
    ? await cluster.map(percolation, shares, {
      tasks: Number(options.tasks),
      name: "percolation",
      job: options.walltime === undefined ? {} : { walltime: Number(options.walltime) * 60_000 },
    })
    : await cluster.reattach<number>(options.again);
  console.log(`job ${run.id}; go on with --again ${run.folder}`);
  for await (const { index, error } of run) if (error) console.log(`${shares[index]}: ${error.message}`);
  if ((await run.resubmit()).length > 0) console.log(`what had no result runs again as job ${run.id}`);
  const found = await run.results();
  found.forEach((p, i) =>
    console.log(`${shares[i].toFixed(3)} ${p.toFixed(3)} ${"#".repeat(Math.round(50 * p))}`)
  );
  const above = found.findIndex((p) => p >= 0.5);
  console.log(
    `half of the grids let water through from about ${
      shares[above]?.toFixed(3)
    } on (endless ones from 0.593)`,
  );
  await run.remove();
} finally {
  await stop();
}
