/**
 * A Slurm cluster for tests: the real daemons in a folder of their own, on loopback, without systemd and cgroups, as the
 * user of the tests. Each node is a slurmd of its own. One shell keeps them all and ends them when its standard input
 * does, and removes the folder, so that nothing is left even of tests that were killed. This file is only for tests.
 *
 * @module
 */
import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { homedir, hostname, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { ending, firstLine, hold } from "./keeper.ts";

/** What the rig runs, and where Debian has it. */
export const SLURM_PROGRAMS = ["munged", "slurmctld", "slurmd", "sbatch", "srun"] as const;

/** What it runs besides, to keep accounts. */
export const ACCOUNTING_PROGRAMS = [
  "slurmdbd",
  "mariadbd",
  "mariadb-install-db",
  "my_print_defaults",
] as const;

/** What `srun --mpi=pmix` needs besides. */
export const PMIX_PROGRAMS = ["libpmix.so"] as const;

/** What a cluster may have. */
export interface SlurmOptions {
  /** Default: 1. */
  nodes?: number;
  /** Of each node. Default: 2. */
  cpus?: number;
  /** Whether it keeps accounts, in a MariaDB of its own, so that sacct tells of jobs. Default: false. */
  accounting?: boolean;
  /**
   * Whether each node has a `/tmp` of its own, in which there are only its own files, the folder of the cluster, the
   * current folder and the user's; and its own name and shared memory. Needs root: see {@linkcode whyNoSeparateTmp}. Default: false.
   */
  separateTmp?: boolean;
}

/** A running cluster. */
export interface SlurmCluster {
  /** Its folder. Each node's own temporary folder is `tmp/n1`, and so on. */
  folder: string;
  /** What programs must have in their environment to find it. */
  env: { SLURM_CONF: string };
  /** Process id of the controller. */
  controller(): number;
  /** Starts the controller anew, which then knows of no job that has ended, as it would some minutes later. */
  forget(): Promise<void>;
  /** The end of the daemons' logs. */
  log(): string;
  /** Cancels its jobs, ends the daemons, and removes the folder. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Why nodes cannot have a `/tmp` of their own here, if so. */
export function whyNoSeparateTmp(): string | undefined {
  if (process.getuid?.() !== 0) return "file systems of one's own need root";
  const { status } = spawnSync("unshare", ["--mount", "--uts", "--propagation", "private", "true"]);
  return status === 0 ? undefined : "this machine gives no file systems of one's own";
}

/** Starts a cluster; resolves when all nodes are idle. */
export async function startSlurm(
  { nodes = 1, cpus = 2, accounting = false, separateTmp = false }: SlurmOptions = {},
): Promise<SlurmCluster> {
  const folder = mkdtempSync(join(tmpdir(), "pathos-slurm-"));
  chmodSync(folder, 0o755);
  const names = Array.from({ length: nodes }, (_, i) => `n${i + 1}`);
  for (const name of ["run", "state", "log", ...names.flatMap((n) => [`spool/${n}`, `tmp/${n}`])]) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  writeFileSync(join(folder, "munge.key"), randomBytes(128), { mode: 0o400 });
  const conf = join(folder, "slurm.conf");
  const ports = await freePorts(nodes + 2);
  const settings = accounting ? accounts(folder, ports[nodes + 1]) : {};
  writeFileSync(conf, configuration(folder, names, cpus, ports, settings));
  if (accounting) writeDatabaseSettings(folder, ports[nodes + 1]);
  const shared = separateTmp
    ? [folder, process.cwd(), homedir()].filter((path) => path.startsWith("/tmp/"))
    : [];
  writeFileSync(join(folder, "hosts"), `127.0.0.1 localhost ${names.join(" ")}\n`);
  const keeper = spawn("sh", ["-c", KEEPER, "keeper", folder, ...names], {
    stdio: ["pipe", "pipe", "inherit"],
    env: {
      ...process.env,
      SLURM_CONF: conf,
      PATH: `${process.env.PATH}:/usr/sbin:/sbin`,
      ACCOUNTING: accounting ? "yes" : "",
      SEPARATE_TMP: separateTmp ? "yes" : "",
      SHARED: shared.join("\n"),
      OWN_TMP,
    },
    detached: true,
  });
  const log = () =>
    readdirSync(join(folder, "log")).map((name) =>
      `== ${name}\n${readFileSync(join(folder, "log", name), "utf8").slice(-2000)}`
    ).join("\n");
  const stop = ending(keeper);
  const said = await firstLine(keeper);
  if (!said.startsWith("ready")) {
    const logs = log();
    await stop();
    throw new Error(`the Slurm of the tests did not start: ${said}\n${logs}`);
  }
  hold(keeper, false);
  const controller = () => Number(readFileSync(join(folder, "run", "slurmctld.pid"), "utf8"));
  const forget = async () => {
    const done = join(folder, "run", "forgot");
    keeper.stdin!.write("forget\n");
    while (!existsSync(done)) await new Promise((resolve) => setTimeout(resolve, 20));
    rmSync(done);
  };
  return { folder, env: { SLURM_CONF: conf }, controller, forget, log, stop, [Symbol.asyncDispose]: stop };
}

/** Runs the daemon of the node `$2` with the folder `$1` for its `/tmp`, and a name and shared memory of its own. */
const OWN_TMP = `
printf '%s\\n' "$SHARED" | while read -r path; do
  [ "$path" ] && mkdir -p "$1/\${path#/tmp/}" && mount --bind "$path" "$1/\${path#/tmp/}"
done
hostname "$2" && mount --bind "$3/hosts" /etc/hosts && mount -t tmpfs none /dev/shm
mount --rbind "$1" /tmp && cd / && exec slurmd -D -N "$2"
`;

/** Starts the daemons in the foreground, says "ready", and ends jobs and daemons at the end of its input. */
const KEEPER = `
cd "$1"; folder=$1; shift
end() {
  kill -CONT $pids 2>/dev/null
  kill $pids 2>/dev/null
  wait
  cd / && rm -rf "$folder"
}
give_up() { # says why, and ends when it has been read
  echo "$1"
  exec 1>&-
  cat >/dev/null
  end
  exit 1
}
munged --foreground --force --socket="$folder/run/munge.sock" --key-file="$folder/munge.key" \\
  --pid-file="$folder/run/munge.pid" --seed-file="$folder/run/munge.seed" --num-threads=2 >log/munge.log 2>&1 &
pids=$!
for try in $(seq 200); do [ -S run/munge.sock ] && break; sleep 0.02; done
if [ "$ACCOUNTING" ]; then
  # the socket says who is there: no passwords, and no port
  mariadb-install-db --no-defaults --datadir="$folder/db" --auth-root-authentication-method=socket \\
    --auth-root-socket-user="$(id -un)" --user="$(id -un)" --skip-test-db >log/install.log 2>&1
  export MYSQL_UNIX_PORT="$folder/run/db.sock"
  mariadbd --no-defaults --datadir="$folder/db" --socket="$MYSQL_UNIX_PORT" --skip-networking \\
    --pid-file="$folder/run/db.pid" --user="$(id -un)" --innodb-buffer-pool-size=64M >log/db.log 2>&1 &
  pids="$pids $!"
  for try in $(seq 600); do [ -S "$MYSQL_UNIX_PORT" ] && break; sleep 0.05; done
  [ -S "$MYSQL_UNIX_PORT" ] || give_up "no database"
  slurmdbd -D >/dev/null 2>&1 & pids="$pids $!"
  for try in $(seq 600); do sacctmgr -n show cluster >/dev/null 2>&1 && break; sleep 0.05; done
  sacctmgr -i -Q add cluster test >/dev/null || give_up "no accounts"
fi
slurmctld -D -c >/dev/null 2>&1 & controller=$!
pids="$pids $controller"
# a slurmd that comes before it tries again only after a second
for try in $(seq 1000); do grep -q "Running as primary" log/slurmctld.log 2>/dev/null && break; sleep 0.01; done
for node; do
  if [ "$SEPARATE_TMP" ]; then
    unshare --mount --uts --propagation private \\
      sh -c "$OWN_TMP" node "$folder/tmp/$node" "$node" "$folder" >"log/$node.start" 2>&1 &
  else slurmd -D -N "$node" >/dev/null 2>&1 &
  fi
  pids="$pids $!"
done
idle() {
  for try in $(seq 1000); do
    [ "$(sinfo -h -N -t idle -o %N 2>/dev/null | wc -l)" -ge "$1" ] && break
    sleep 0.01
  done
}
idle $#
[ "$try" -lt 1000 ] && echo ready || echo "no idle nodes"
exec 1>&-
while read -r word; do # the one word it may be told is "forget"
  kill $controller && wait $controller
  slurmctld -D -c >/dev/null 2>&1 & controller=$!
  pids="$pids $controller"
  idle $#
  touch run/forgot
done
scancel --quiet --user="$(id -un)" 2>/dev/null
for try in $(seq 100); do [ -z "$(squeue -h 2>/dev/null)" ] && break; sleep 0.05; done
end
`;

function accounts(folder: string, port: number): Record<string, string | number> {
  return {
    AccountingStorageType: "accounting_storage/slurmdbd",
    AccountingStorageHost: "127.0.0.1",
    AccountingStoragePort: port,
    AccountingStoragePass: `${folder}/run/munge.sock`, // without it, the system's own munge would be asked
    JobAcctGatherFrequency: 5,
  };
}

function writeDatabaseSettings(folder: string, port: number): void {
  const user = userInfo().username;
  const settings: Record<string, string | number> = {
    AuthType: "auth/munge",
    AuthInfo: `socket=${folder}/run/munge.sock`,
    DbdHost: "localhost",
    DbdAddr: "127.0.0.1",
    DbdPort: port,
    SlurmUser: user,
    LogFile: `${folder}/log/slurmdbd.log`,
    PidFile: `${folder}/run/slurmdbd.pid`,
    StorageType: "accounting_storage/mysql",
    StorageHost: "localhost",
    StorageUser: user,
    StorageLoc: "slurm_acct_db",
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
  writeFileSync(join(folder, "slurmdbd.conf"), lines.join(""), { mode: 0o600 });
}

function configuration(
  folder: string,
  nodes: string[],
  cpus: number,
  ports: number[],
  more: Record<string, string | number>,
): string {
  const host = hostname().split(".")[0], user = userInfo().username;
  const settings: Record<string, string | number> = {
    ClusterName: "test",
    SlurmctldHost: `${host}(127.0.0.1)`,
    SlurmUser: user,
    SlurmdUser: user,
    SlurmctldPort: ports[0],
    AuthType: "auth/munge",
    AuthInfo: `socket=${folder}/run/munge.sock`,
    CredType: "cred/munge",
    CommunicationParameters: "NoInAddrAny,NoCtldInAddrAny",
    StateSaveLocation: `${folder}/state`,
    SlurmdSpoolDir: `${folder}/spool/%n`,
    SlurmctldPidFile: `${folder}/run/slurmctld.pid`,
    SlurmdPidFile: `${folder}/run/%n.pid`,
    SlurmctldLogFile: `${folder}/log/slurmctld.log`,
    SlurmdLogFile: `${folder}/log/%n.log`,
    TmpFS: `${folder}/tmp/%n`, // pmix keeps a folder there, which the nodes of one machine must not share
    ProctrackType: "proctrack/linuxproc",
    TaskPlugin: "task/none",
    JobAcctGatherType: "jobacct_gather/linux",
    SelectType: "select/cons_tres",
    SelectTypeParameters: "CR_Core_Memory",
    DefMemPerCPU: 16,
    SchedulerType: "sched/backfill",
    SchedulerParameters: "bf_interval=1,sched_interval=1,sched_min_interval=0",
    SwitchType: "switch/none",
    ReturnToService: 2,
    OverTimeLimit: 0,
    KillWait: 2,
    MinJobAge: 300,
    SlurmdParameters: "config_overrides",
    ...more,
  };
  const memory = 256 * cpus;
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}`);
  nodes.forEach((name, i) =>
    lines.push(
      `NodeName=${name} NodeHostname=${host} NodeAddr=127.0.0.1 Port=${
        ports[i + 1]
      } CPUs=${cpus} RealMemory=${memory} State=UNKNOWN`,
    )
  );
  lines.push("PartitionName=main Nodes=ALL Default=YES MaxTime=60 State=UP");
  lines.push("PartitionName=short Nodes=ALL MaxTime=1 State=UP");
  return `${lines.join("\n")}\n`;
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () =>
      new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
        const server = createServer().once("error", reject).listen(0, "127.0.0.1", () => resolve(server));
      })),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
