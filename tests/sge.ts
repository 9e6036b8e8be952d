/**
 * A Grid Engine for tests: the real daemons in a folder of their own, without systemd. They trust whoever reaches their
 * ports, so they live in a network of their own, in which there is only this machine, under a fixed name; programs
 * enter it through small scripts in `bin`. One shell keeps it all: when its standard input ends, so do the daemons and
 * every job, and the folder is removed, so that nothing is left even of tests that were killed. This file is only for
 * tests.
 *
 * @module
 */
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { ending, firstLine, hold } from "./keeper.ts";

/** What the rig runs. */
export const SGE_PROGRAMS = ["sge_qmaster", "sge_execd", "qacct", "unshare", "nsenter", "ip"] as const;

/** The parallel environment of the cluster. */
export const PARALLEL_ENVIRONMENT = "mpi";

const APART = ["--mount", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"];
const PROGRAMS = ["qsub", "qstat", "qdel", "qhold", "qrls", "qmod", "qacct", "qconf", "qalter"];
const DEBIAN = "/var/lib/gridengine", BINARIES = "/usr/lib/gridengine", TEMPLATES = "/usr/share/gridengine";
const HOST = "node1";

/** A running cluster of one node. */
export interface SgeCluster {
  /** Its folder. */
  folder: string;
  /** What programs must have in their environment to find it. */
  env: { PATH: string };
  /** The end of the daemons' logs. */
  log(): string;
  /** Ends the daemons and all jobs, and removes the folder. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Why there can be no such cluster here, if so. */
export function whyNoSge(): string | undefined {
  if (process.getuid?.() !== 0) return "a network of its own needs root";
  const { status } = spawnSync("unshare", [...APART, "true"]);
  return status === 0 ? undefined : "this machine gives no network of its own";
}

/** Starts a cluster; resolves when its node takes jobs. */
export async function startSge({ slots = 4 } = {}): Promise<SgeCluster> {
  const folder = mkdtempSync(join(tmpdir(), "pathos-sge-"));
  chmodSync(folder, 0o755);
  for (const name of ["root/default/common", "bin", "spool/qmaster/job_scripts", "spool/execd"]) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  for (const name of ["bin", "lib", "util", "utilbin"]) {
    symlinkSync(join(DEBIAN, name), join(folder, "root", name));
  }
  for (const [name, text] of Object.entries(files(folder))) writeFileSync(join(folder, name), text);
  const keeper = spawn(
    "unshare",
    [...APART, "sh", "-c", KEEPER, "keeper", folder, `${slots}`],
    { stdio: ["pipe", "pipe", "inherit"], env: { ...process.env, ...settings(folder) }, detached: true },
  );
  for (const program of PROGRAMS) {
    writeFileSync(join(folder, "bin", program), entrance(folder, keeper.pid!, program), { mode: 0o755 });
  }
  const logs = ["spool/qmaster/messages", `spool/execd/${HOST}/messages`, "log"];
  const log = () => logs.map((name) => `== ${name}\n${readIf(join(folder, name)).slice(-2000)}`).join("\n");
  const stop = ending(keeper);
  const said = await firstLine(keeper);
  if (!said.startsWith("ready")) {
    const lines = log();
    await stop();
    throw new Error(`the Grid Engine of the tests did not start: ${said}\n${lines}`);
  }
  hold(keeper, false);
  const env = { PATH: `${join(folder, "bin")}:${process.env.PATH}` };
  return { folder, env, log, stop, [Symbol.asyncDispose]: stop };
}

/** The first process of its namespace: all others end with it. */
const KEEPER = `
cd "$1"; folder=$1; PATH="${BINARIES}:$PATH:/usr/sbin:/sbin"
export LD_LIBRARY_PATH=${BINARIES}
{
  hostname ${HOST} && ip link set lo up && mount --bind hosts /etc/hosts
  spoolinit classic libspoolc "$folder/root/default/common;$folder/spool/qmaster" init
  spooldefaults complexes ${TEMPLATES}/util/resources/centry
  spooldefaults usersets ${TEMPLATES}/util/resources/usersets
  spooldefaults managers root
  ${BINARIES}/sge_qmaster
  for try in $(seq 600); do qconf -as ${HOST} && break; sleep 0.05; done
  qconf -ssconf | sed 's/^\\(schedule_interval\\) .*/\\1 0:0:1/; s/^\\(flush_[a-z]*_sec\\) .*/\\1 1/' >schedule
  qconf -Msconf schedule
  qconf -Ap ${TEMPLATES}/util/resources/pe/mpi
  qconf -sq | sed "s/^qname .*/qname all.q/; s/^hostlist .*/hostlist ${HOST}/; s/^slots .*/slots $2/
    s/^pe_list .*/pe_list ${PARALLEL_ENVIRONMENT}/; s/^load_thresholds .*/load_thresholds NONE/" >queue
  qconf -Aq queue
  ${BINARIES}/sge_execd
  for try in $(seq 400); do qstat -f | grep -q 'lx-[a-z0-9]* *$' && break; sleep 0.05; done
} >log 2>&1
[ "$try" -lt 400 ] && echo ready || echo "no node"
exec 1>&-
cat >/dev/null
cd / && kill -9 -1
for try in $(seq 100); do rm -rf "$folder" && break; sleep 0.02; done
`;

/** Runs a program in the namespaces of the cluster, in the folder at hand. */
function entrance(folder: string, pid: number, program: string): string {
  const proc = `/proc/${pid}/ns`;
  const names = Object.entries(settings(folder)).map(([name, value]) => `${name}=${value}`).join(" ");
  return `#!/bin/sh
exec nsenter --mount=${proc}/mnt --net=${proc}/net --uts=${proc}/uts --pid=${proc}/pid_for_children -- \\
  env ${names} sh -c 'cd "$0" && exec "$@"' "$PWD" ${BINARIES}/${program} "$@"
`;
}

function settings(folder: string): Record<string, string> {
  return {
    SGE_ROOT: join(folder, "root"),
    SGE_CELL: "default",
    SGE_QMASTER_PORT: "6444",
    SGE_EXECD_PORT: "6445",
  };
}

function files(folder: string): Record<string, string> {
  const common = "root/default/common";
  const configuration = changed(readFileSync(join(TEMPLATES, "default-configuration"), "utf8"), {
    execd_spool_dir: join(folder, "spool/execd"),
    mailer: "/bin/true",
    administrator_mail: "none",
    min_uid: "0",
    min_gid: "0",
    load_report_time: "00:00:01",
    reporting_params: "accounting=true reporting=false flush_time=00:00:01 accounting_flush_time=00:00:00 " +
      "joblog=false sharelog=00:00:00",
  });
  return {
    hosts: `127.0.0.1 ${HOST} localhost\n`,
    [`${common}/act_qmaster`]: `${HOST}\n`,
    [`${common}/bootstrap`]: lines({
      admin_user: "none",
      default_domain: "none",
      ignore_fqdn: "true",
      spooling_method: "classic",
      spooling_lib: "libspoolc",
      spooling_params: `${join(folder, common)};${join(folder, "spool/qmaster")}`,
      binary_path: BINARIES,
      qmaster_spool_dir: join(folder, "spool/qmaster"),
      security_mode: "none",
      listener_threads: "2",
      worker_threads: "2",
      scheduler_threads: "1",
    }),
    [`${common}/configuration`]: configuration,
  };
}

function lines(values: Readonly<Record<string, string>>): string {
  return Object.entries(values).map(([name, value]) => `${name} ${value}\n`).join("");
}

function changed(text: string, values: Readonly<Record<string, string>>): string {
  return text.split("\n").map((line) => {
    const name = line.split(/\s/)[0];
    return name in values ? `${name} ${values[name]}` : line;
  }).join("\n");
}

function readIf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
