/**
 * `pathos mpi`: maps on MPI ranks, after pyina's scripts, and a look at the ranks there are. What it does is loaded when it is called.
 */
import { type Flag, isGiven, type Parsed, UsageError, type Verb } from "./flags.ts";
import { MAP_FLAGS, mapWords, WORDS_ABOUT } from "./map.ts";
import { didYouMean } from "./nearest.ts";
import { chooseRanks, RANK_FLAGS, type Strategy } from "./rank_pool.ts";
import { HOST_FLAGS, HOST_FORMS } from "./remote.ts";

const FLAGS: Record<string, Flag> = {
  nodes: {
    value: "N[:ppn=P]",
    help:
      "N ranks, or N nodes with P ranks on each (default: those of the allocation, else one for each core)",
  },
  ...RANK_FLAGS,
  ...HOST_FLAGS,
  output: {
    value: "FILE",
    help: "Where the results go (default: standard output); the file of --resume is added to",
  },
  ...MAP_FLAGS,
};

const MAPS: Record<string, Strategy> = { ezpool: "pool", ezscatter: "scatter" };
const ACTIONS = ["world", ...Object.keys(MAPS)];
const WORLD_FLAGS = ["nodes", "launcher", "workdir"];

/** The verb `mpi`. */
export const mpiVerb: Verb = {
  name: "mpi",
  summary: "Run a function over many inputs on MPI ranks; list the ranks",
  usage: "mpi ezpool|ezscatter FILE[:EXPORT] INPUT... [flags] | mpi world [--nodes N]",
  about: `
Maps over MPI ranks, and a look at them:
  ezpool     gives the items to the ranks piece by piece, to whoever is free
  ezscatter  gives each rank an equal part of them
  world      prints a line for each rank: its number, host and MPI library
By itself each of them starts the ranks, here, on a host or in a batch job. Started by mpirun or srun, as
mpirun -n 4 pathos mpi ezpool ..., it uses those: rank 0 deals and the others work.
${WORDS_ABOUT}
${HOST_FORMS}`,
  flags: FLAGS,
  more: `
Exit status: 0 all is done, 1 an item failed or the ranks could not be started, 2 a mistake in the command line or the inputs, 130 Ctrl-C.`,
  examples: [
    ["Which ranks would there be?", "pathos mpi world --nodes 4"],
    ["A map on four ranks", "pathos mpi ezpool ./work.ts:analyse 'data/*.csv' --nodes 4 --output out.jsonl"],
    [
      "In an allocation, on all its ranks",
      "srun pathos mpi ezscatter ./work.ts:analyse ./cases.ts:all > out.jsonl",
    ],
    [
      "In a batch job of a cluster, from here",
      "pathos mpi ezpool ./work.ts:analyse ./cases.ts:all --host me@cluster --scheduler slurm --nodes 4:ppn=16 --walltime 1h",
    ],
  ],
  run,
};

async function run(args: Parsed): Promise<number> {
  const [name, ...words] = args.positional;
  if (name === "world") {
    const wrong = Object.keys(FLAGS).find((flag) => !WORLD_FLAGS.includes(flag) && isGiven(args, flag));
    if (wrong !== undefined) throw new UsageError(`mpi world takes no --${wrong}`);
    if (words.length > 0) throw new UsageError(`mpi world takes no arguments, and got ${words[0]}`);
    const { mpiWorld } = await import("./mpi_world.ts");
    return await mpiWorld(args);
  }
  if (!Object.hasOwn(MAPS, name ?? "")) {
    const what = name === undefined ? "mpi needs to know what to do" : `mpi cannot ${name}`;
    throw new UsageError(`${what}${didYouMean(name ?? "", ACTIONS)}; it can ${ACTIONS.join(", ")}`);
  }
  const choice = chooseRanks(args, args.text("nodes"), MAPS[name]);
  return await mapWords(words, args, choice, `mpi ${name}`, args.text("output"));
}
