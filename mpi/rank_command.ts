/** How the ranks of a job that a pool starts are called: how many, by which launcher, with which program. */
import { knowingItself, newProgram, type Program } from "../map/bring.ts";
import { ServerRefusal } from "../map/session_client.ts";
import { quote, SshError } from "../ssh/mod.ts";
import { launchers } from "./launchers.ts";
import type { MpiPoolOptions } from "./mpi_pool.ts";
import { parseNodes } from "./nodes.ts";
import { RANK_SYMBOL } from "./rank_ready.ts";

/** What a pool needs to know of its job of ranks. */
export interface RankJob {
  /** Ranks in all. */
  tasks: number;
  /** Workers among them. */
  workers: number;
  onall: boolean;
}

let script: Program | undefined;

/** The program of the ranks; its text is large, and loaded when it is needed. */
export async function rankProgram(): Promise<Program> {
  const { RANK_PROGRAM } = await import("./rank_bundle.ts");
  return script ??= newProgram("rank", knowingItself(RANK_SYMBOL, RANK_PROGRAM));
}

/** Starts the ranks without a launcher of MPI, on one machine: they then talk over TCP (fallback.ts). `$0` is how many. */
const BY_HAND = `export PATHOS_SIZE=$0 PATHOS_JOB=$$
i=1
while [ $i -lt $0 ]; do
  PATHOS_RANK=$i "$@" </dev/null &
  i=$((i + 1))
done
export PATHOS_RANK=0
exec "$@"`;

/** More ranks than cores, and root, are refused by Open MPI unless these are set. */
export const ALLOW = {
  OMPI_ALLOW_RUN_AS_ROOT: "1",
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1",
  OMPI_MCA_rmaps_base_oversubscribe: "1",
  PRTE_MCA_rmaps_default_mapping_policy: ":oversubscribe",
};

/** The words of the launcher before the command of the ranks, for a shell, and lines that must come before. */
export function launcherWords(
  { tasks }: RankJob,
  { launcher, nodes }: MpiPoolOptions,
): { before: string; words: string } {
  if (launcher === undefined) {
    const before = `l=$(command -v mpirun || command -v mpiexec || :)
if [ -n "$l" ]; then set -- "$l" -n ${tasks}
elif [ -n "$SLURM_JOB_ID" ] && command -v srun >/dev/null; then set -- srun --ntasks ${tasks}
else set -- sh -c ${quote(BY_HAND)} ${tasks}
fi
`;
    return { before, words: '"$@"' };
  }
  const launch = typeof launcher === "function" ? launcher : launchers[launcher];
  const { nodes: count, tasksPerNode } = nodes === undefined ? { nodes: undefined } : parseNodes(nodes);
  const byNode = tasksPerNode === undefined || ["openmpi", "mpich", "intelmpi"].includes(String(launcher))
    ? {}
    : { nodes: count, tasksPerNode };
  const command = launch({ command: ["@"], tasks, ...byNode });
  const variables = Object.entries(command.env).map(([name, value]) => `export ${name}=${quote(value)}\n`)
    .join("");
  return { before: variables, words: quote(command.argv.slice(0, -1)) };
}

/** Refuses a launcher that there is none of. */
export function checkLauncher(launcher: MpiPoolOptions["launcher"]): void {
  if (launcher === undefined || typeof launcher === "function" || Object.hasOwn(launchers, launcher)) return;
  const names = Object.keys(launchers).join(", ");
  throw new TypeError(
    `there is no launcher ${JSON.stringify(launcher)}: it must be a function or one of ${names}`,
  );
}

/** A job that does not start would not start again either; that its host is not reached may pass. */
export function final(error: unknown): unknown {
  if (error instanceof SshError || (error as Error)?.name === "AbortError") return error;
  return new ServerRefusal((error as Error).message, { cause: error });
}
