// `deno run -A bench/soak_mpi.ts [RUNS]`: pools of ranks, started again and again while both cores are kept busy by others, to find
// what stands still once in a long while. Every run is an MPI job of 2 to 4 ranks that maps with chunks of one item, with large
// values, and with errors; Open MPI and MPICH take turns. A run that takes more than LIMIT_MS counts as one that stands still: what
// its processes are at is printed before they are ended. The exit status tells whether there was one, or a wrong result.
import { processesBelow } from "../tests/processes.ts";

const LIMIT_MS = 120_000;
const LAUNCHERS = [["mpirun.openmpi", "--oversubscribe"], ["mpiexec.mpich"]];

const PROGRAM = `
import { MpiPool } from ${JSON.stringify(new URL("../mpi/mod.ts", import.meta.url).href)};
const range = (n) => Array.from({ length: n }, (_, i) => i);
for (let round = 0; round < 3; round++) {
  const pool = new MpiPool();
  const sum = (values) => values.reduce((a, b) => a + b, 0);
  if (sum(await pool.with({ chunkSize: 1 }).map((x) => x * 2, range(3000))) !== 8997000) throw new Error("wrong sum");
  const large = await pool.with({ chunkSize: 1 }).map((n) => new Float64Array(n).fill(1), range(20).map((n) => n * 10_000));
  if (sum(large.map(({ length }) => length)) !== 1_900_000) throw new Error("wrong lengths");
  const failed = await pool.map((x) => { if (x === 77) throw new RangeError("77"); return x; }, range(100)).catch((e) => e.index);
  if (failed !== 77) throw new Error("wrong failure");
  let taken = 0;
  for await (const _ of pool.imap(async (x) => x, range(500))) if (++taken === 50) break;
  pool.close();
  await pool.join();
}
`;

const runs = Number(Deno.args[0] ?? 200);
const folder = await Deno.makeTempDir({ prefix: "pathos-soak-" });
await Deno.writeTextFile(`${folder}/soak.ts`, PROGRAM);
const config = new URL("../deno.json", import.meta.url).pathname;
const load = [1, 2].map(() => new Deno.Command("sh", { args: ["-c", "while :; do :; done"] }).spawn());
const times: number[] = [];
let bad = 0;
try {
  for (let run = 0; run < runs; run++) {
    const [program, ...words] = LAUNCHERS[run % LAUNCHERS.length];
    const ranks = 2 + run % 3;
    const began = performance.now();
    const child = new Deno.Command(program, {
      args: [
        ...words,
        "-n",
        `${ranks}`,
        Deno.execPath(),
        "run",
        "-A",
        "--quiet",
        "--config",
        config,
        `${folder}/soak.ts`,
      ],
      env: { OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      for (const { pid, command } of processesBelow(child.pid)) {
        const state = Deno.readTextFileSync(`/proc/${pid}/status`).match(/State:.*/)?.[0];
        console.error(
          `run ${run}: ${pid} ${state} ${Deno.readTextFileSync(`/proc/${pid}/wchan`)} ${command}`,
        );
        Deno.kill(pid, "SIGKILL");
      }
      child.kill("SIGKILL");
    }, LIMIT_MS);
    const { code, stderr, stdout } = await child.output();
    clearTimeout(timer);
    times.push(performance.now() - began);
    if (late || code !== 0) {
      bad++;
      console.error(
        `run ${run}: ${program}, ${ranks} ranks: ${
          late ? `stood still for ${LIMIT_MS} ms` : `exit code ${code}`
        }`,
      );
      console.error(new TextDecoder().decode(stderr) + new TextDecoder().decode(stdout));
    }
  }
} finally {
  for (const busy of load) {
    busy.kill("SIGKILL");
    await busy.status;
  }
  await Deno.remove(folder, { recursive: true });
}
times.sort((a, b) => a - b);
const second = (at: number): string => (times[Math.floor(at * (times.length - 1))] / 1000).toFixed(1);
console.log(
  `${runs} runs: ${bad} bad; seconds ${second(0)} at least, ${second(0.5)} median, ${second(1)} at most`,
);
Deno.exit(bad > 0 ? 1 : 0);
