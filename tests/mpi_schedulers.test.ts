/**
 * Launchers and schedulers as data: what is written for them and read from them, against texts made after the vendors'
 * manuals (each dialect names them). The programs themselves are not needed here; Slurm is run in mpi_slurm.test.ts.
 */
import {
  checkJob,
  formatNodes,
  isOver,
  type JobDescription,
  JobError,
  launchers,
  lsfDialect,
  moabDialect,
  mpiFlavour,
  openpbsDialect,
  parseNodes,
  Scheduler,
  type SchedulerDialect,
  SchedulerError,
  sgeDialect,
  slurmDialect,
  torqueDialect,
} from "@pathos/pathos/mpi";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { tempDir, test } from "./harness.ts";

const MINUTE = 60_000, GB = 1024 ** 3;
const sge = sgeDialect({ parallelEnvironment: "mpi" });
const ALL: readonly SchedulerDialect[] = [
  slurmDialect,
  openpbsDialect,
  torqueDialect,
  moabDialect,
  lsfDialect,
  sge,
];

const said = (stdout: string, code = 0, stderr = "") => ({ code, stdout, stderr });
/** id, status, exit code, signal. */
const brief = (dialect: SchedulerDialect, stdout: string) =>
  dialect.parseStatus(said(stdout)).map(({ id, status, exitCode, signal }) => [id, status, exitCode, signal]);

test("node strings: pyina's forms come apart and together again", () => {
  const forms = [
    "4",
    "4:ppn=2",
    "2:fat",
    "2:fat:ppn=8",
    "1,partition=short",
    "3:core4-256:ppn=4,partition=p.1",
  ];
  for (const form of forms) assertEquals(formatNodes(parseNodes(form)), form);
  assertEquals(parseNodes("3:core4-256:ppn=4,partition=p.1"), {
    nodes: 3,
    type: "core4-256",
    tasksPerNode: 4,
    partition: "p.1",
  });
  assertEquals(parseNodes(4), { nodes: 4 });
});

test("node strings: what is not one is refused with the form", () => {
  for (
    const bad of [
      "",
      "0",
      "-1",
      "1.5",
      "4:ppn=0",
      "4:ppn=",
      "4:ppn=2:ppn=3",
      "4:a:b",
      "4,p=x",
      "4,partition=",
      "x",
      "4;rm",
    ]
  ) {
    assertThrows(() => parseNodes(bad), RangeError, "N[:TYPE]");
  }
  assertThrows(() => parseNodes(NaN), RangeError);
});

test("launchers: the same request in each one's words", () => {
  const request = {
    command: ["./solve", "in put"],
    nodes: 2,
    tasksPerNode: 3,
    cpusPerTask: 4,
    env: { SECRET: "x y" },
    workdir: "/data",
  };
  const words = (name: keyof typeof launchers) => launchers[name](request).argv.join(" ");
  assertEquals(
    words("openmpi"),
    "mpirun -n 6 --map-by ppr:3:node:PE=4 --wdir /data -x SECRET ./solve in put",
  );
  assertEquals(words("mpich"), "mpiexec -n 6 -ppn 3 -bind-to core:4 -wdir /data ./solve in put");
  assertEquals(words("intelmpi"), "mpiexec.hydra -n 6 -ppn 3 -wdir /data ./solve in put");
  assertEquals(
    words("srun"),
    "srun --nodes 2 --ntasks 6 --ntasks-per-node 3 --cpus-per-task 4 --chdir /data ./solve in put",
  );
  assertEquals(words("aprun"), "aprun -n 6 -N 3 -d 4 ./solve in put");
  assertEquals(
    words("jsrun"),
    "jsrun --nrs 6 --tasks_per_rs 1 --cpu_per_rs 4 --rs_per_host 3 --chdir /data ./solve in put",
  );
  assertEquals(words("flux"), "flux run -N 2 -n 6 -c 4 --cwd=/data ./solve in put");
  assertEquals(launchers.serial({ ...request, nodes: 1, tasksPerNode: 1 }), {
    argv: ["./solve", "in put"],
    env: { SECRET: "x y" },
    cwd: "/data",
  });
  assertEquals(launchers.aprun(request).cwd, "/data");
  for (const name of ["openmpi", "mpich", "srun", "aprun", "jsrun", "flux"] as const) {
    assertEquals(launchers[name](request).env, { SECRET: "x y" });
    assert(!words(name).includes("x y"), `${name}: values are not on the command line`);
  }
  assertEquals(launchers.intelmpi(request).env.I_MPI_PIN_DOMAIN, "4");
});

test("launchers: nothing is added that was not asked for", () => {
  const command = ["prog"];
  assertEquals(launchers.openmpi({ command }).argv, ["mpirun", "prog"]);
  assertEquals(launchers.mpich({ command, tasks: 4 }).argv, ["mpiexec", "-n", "4", "prog"]);
  assertEquals(launchers.srun({ command }, { mpi: "pmix" }).argv, ["srun", "--mpi=pmix", "prog"]);
  assertEquals(
    launchers.openmpi({ command, tasks: 4 }, {
      program: "mpirun.openmpi",
      oversubscribe: true,
      allowRoot: true,
    }).argv,
    ["mpirun.openmpi", "-n", "4", "--oversubscribe", "--allow-run-as-root", "prog"],
  );
});

test("launchers: what cannot be is refused", () => {
  const command = ["prog"];
  assertThrows(() => launchers.srun({ command: [] }), RangeError, "empty");
  assertThrows(() => launchers.srun({ command, tasks: 0 }), RangeError, "tasks is 0");
  assertThrows(
    () => launchers.openmpi({ command, tasks: 9, nodes: 2, tasksPerNode: 4 }),
    RangeError,
    "do not fit",
  );
  assertThrows(() => launchers.serial({ command, tasks: 2 }), RangeError, "mpirun");
});

test("launchers: mpirun's flavour is known by its version", () => {
  assertEquals(mpiFlavour("mpirun (Open MPI) 5.0.2\n\nReport bugs to ..."), "openmpi");
  assertEquals(mpiFlavour("Intel(R) MPI Library for Linux* OS, Version 2021.11 Build 20231005"), "intelmpi");
  assertEquals(
    mpiFlavour("HYDRA build details:\n    Version:                                 4.0.2\n"),
    "mpich",
  );
  assertEquals(mpiFlavour("something else"), undefined);
});

const FULL: JobDescription = {
  name: "solve",
  command: ["./solve", "in put"],
  nodes: 2,
  tasksPerNode: 4,
  cpus: 2,
  memory: 8 * GB,
  gpus: 1,
  walltime: 90 * MINUTE,
  queue: "long",
  account: "proj",
  dependencies: [{ after: "any", jobs: ["11", "12"] }],
  array: { indices: [1, 2, 3, 4], limit: 2 },
  environment: { A: "1 2" },
  mail: { on: ["begin", "end", "fail"], to: "me@here.org" },
  workdir: "/data",
  stdout: "out.txt",
  requeue: true,
};

const END = `export A='1 2'\nexec ./solve 'in put'\n`;

test("slurm: the script", () => {
  const more: JobDescription = { ...FULL, qos: "high", signal: { name: "USR1", before: MINUTE }, hold: true };
  assertEquals(
    slurmDialect.script({ ...more, stderr: "err {job} {task}", options: ["--constraint=haswell"] }),
    `#!/bin/sh
#SBATCH --job-name=solve
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=2
#SBATCH --mem=8388608K
#SBATCH --gpus-per-node=1
#SBATCH --time=01:30:00
#SBATCH --partition=long
#SBATCH --account=proj
#SBATCH --qos=high
#SBATCH --dependency=afterany:11:12
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --array=1-4%2
#SBATCH --mail-type=BEGIN,END,FAIL
#SBATCH --mail-user=me@here.org
#SBATCH --chdir=/data
#SBATCH --output=out.txt
#SBATCH --error="err %A %a"
#SBATCH --requeue
#SBATCH --signal=B:USR1@60
#SBATCH --hold
#SBATCH --constraint=haswell
export PATHOS_TASK="$SLURM_ARRAY_TASK_ID"
${END}`,
  );
});

test("openpbs: the script", () => {
  assertEquals(
    openpbsDialect.script(FULL),
    `#!/bin/sh
#PBS -N solve
#PBS -l walltime=01:30:00
#PBS -q long
#PBS -A proj
#PBS -W depend=afterany:11:12
#PBS -m bea
#PBS -M me@here.org
#PBS -o /data/out.txt
#PBS -j oe
#PBS -r y
#PBS -l select=2:ncpus=8:mpiprocs=4:ompthreads=2:mem=8388608kb:ngpus=1
#PBS -l place=scatter
#PBS -J 1-4%2
cd /data || exit
export PATHOS_TASK="$PBS_ARRAY_INDEX"
${END}`,
  );
  const select = (job: Partial<JobDescription>) =>
    /select=(\S+)/.exec(openpbsDialect.script({ command: "x", ...job }))?.[1];
  assertEquals(select({ nodes: 3, tasks: 8 }), "2:ncpus=3:mpiprocs=3+1:ncpus=2:mpiprocs=2");
  assertEquals(select({ tasks: 8 }), "8:ncpus=1:mpiprocs=1");
  assertEquals(select({ memory: GB }), "1:mem=1048576kb");
  assertEquals(select({ nodes: 2 }), "2");
  assertEquals(select({ cpus: 4 }), "1:ncpus=4");
  assertEquals(select({}), undefined);
});

test("torque and moab: the scripts", () => {
  const torque = torqueDialect.script({ ...FULL, array: { indices: [1, 2, 5], limit: 2 }, qos: "high" });
  assertEquals(
    torque.split("\n").slice(10, 16),
    [
      "#PBS -r y",
      "#PBS -l nodes=2:ppn=8:gpus=1",
      "#PBS -l mem=16777216kb",
      "#PBS -W x=QOS:high",
      "#PBS -t 1-2,5%2",
      "cd /data || exit",
    ],
  );
  assertStringIncludes(torque, 'PATHOS_TASK="$PBS_ARRAYID"');
  const moab = moabDialect.script({ ...FULL, qos: "high" });
  assertStringIncludes(moab, "#PBS -l qos=high\n#PBS -t solve.[1-4]%2\n#PBS -V\n");
  assertStringIncludes(moab, 'PATHOS_TASK="$MOAB_JOBARRAYINDEX"');
  assertStringIncludes(torqueDialect.script({ command: "x", tasks: 6, cpus: 2 }), "#PBS -l procs=12\n");
  // Torque has words of its own for waiting for an array, the others have not
  const waiting: JobDescription = {
    command: "x",
    dependencies: [{ after: "ok", jobs: ["1.s", "2[].s"] }, { after: "any", jobs: ["3[].s"] }],
  };
  assertStringIncludes(
    torqueDialect.script(waiting),
    "#PBS -W depend=afterok:1.s,afterokarray:2[].s,afteranyarray:3[].s\n",
  );
  assertStringIncludes(
    openpbsDialect.script(waiting),
    "#PBS -W depend=afterok:1.s:2[].s,afterany:3[].s\n",
  );
});

test("lsf: the script", () => {
  assertEquals(
    lsfDialect.script({
      ...FULL,
      qos: "gold",
      stderr: "err.{job}.{task}",
      signal: { name: "USR1", before: 90_000 },
    }),
    `#!/bin/sh
#BSUB -J "solve[1-4]%2"
#BSUB -n 8
#BSUB -R "span[ptile=4]"
#BSUB -R "rusage[mem=8388608KB/host]"
#BSUB -R "affinity[core(2)]"
#BSUB -gpu "num=1/host"
#BSUB -W 1:30
#BSUB -q long
#BSUB -P proj
#BSUB -sla gold
#BSUB -w "ended(11) && ended(12)"
#BSUB -B
#BSUB -N
#BSUB -u me@here.org
#BSUB -cwd /data
#BSUB -o out.txt
#BSUB -e err.%J.%I
#BSUB -r
#BSUB -wa USR1
#BSUB -wt 2
export PATHOS_TASK="$LSB_JOBINDEX"
cd /data || exit
${END}`,
  );
});

test("grid engine: the script", () => {
  assertEquals(
    sge.script({ ...FULL, stderr: "e.{job}.{task}" }),
    `#!/bin/sh
#$ -S /bin/sh
#$ -N solve
#$ -pe mpi 16
#$ -l h_rt=01:30:00,h_vmem=8388608K,gpu=1
#$ -q long
#$ -A proj
#$ -hold_jid 11,12
#$ -t 1-4:1
#$ -tc 2
#$ -m bea
#$ -M me@here.org
#$ -wd /data
#$ -o out.txt
#$ -e e.$JOB_ID.$TASK_ID
#$ -r y
export PATHOS_TASK="$SGE_TASK_ID"
${END}`,
  );
});

test("schedulers: no walltime, memory or anything else is invented", () => {
  const bare = /^#(SBATCH|PBS|BSUB|\$) (?!-S |-cwd)/m;
  for (const dialect of ALL) {
    const { argv, stdin } = dialect.submit({ command: "true" });
    assert(!bare.test(stdin), `${dialect.name}: ${stdin}`);
    assert(argv.length <= 2, argv.join(" "));
  }
});

test("schedulers: every script is a script of sh that does what it says", () => {
  using folder = tempDir();
  const value = `a'b "c" $HOME \`id\` \\ \n end`;
  const path = join(folder.path, "with space");
  for (const dialect of ALL) {
    execFileSync("rm", ["-rf", path]);
    execFileSync("mkdir", [path]);
    const script = dialect.script({
      command: ["sh", "-c", 'printf "%s|%s" "$VALUE" "$PATHOS_TASK" >"$1"; pwd >>"$1"', "sh", "it's"],
      environment: { VALUE: value },
      workdir: path,
      array: { indices: [1, 2, 3] },
    });
    const index = {
      SLURM_ARRAY_TASK_ID: "2",
      PBS_ARRAY_INDEX: "2",
      PBS_ARRAYID: "2",
      MOAB_JOBARRAYINDEX: "2",
    };
    // Slurm and Grid Engine change the folder themselves
    const env = { PATH: "/usr/bin:/bin", LSB_JOBINDEX: "2", SGE_TASK_ID: "2", ...index };
    execFileSync("sh", ["-s"], { input: script, env, cwd: path });
    assertEquals(readFileSync(join(path, "it's"), "utf8"), `${value}|2${path}\n`, dialect.name);
  }
});

test("pbs: output files with the job's id are opened by the script", () => {
  using folder = tempDir();
  const env = {
    PATH: "/usr/bin:/bin",
    PBS_O_WORKDIR: folder.path,
    PBS_JOBID: "123[4].server.org",
    PBS_ARRAY_INDEX: "4",
  };
  const job: JobDescription = {
    command: "echo out; echo err >&2",
    stdout: "o {job}-{task}",
    array: { indices: [4, 5] },
  };
  execFileSync("sh", ["-s"], { input: openpbsDialect.script(job), env });
  assertEquals(readFileSync(join(folder.path, "o 123-4"), "utf8"), "out\nerr\n");
  execFileSync("sh", ["-s"], { input: openpbsDialect.script({ ...job, stderr: "e-{job}" }), env });
  assertEquals(readFileSync(join(folder.path, "e-123"), "utf8"), "err\n");
  execFileSync("sh", ["-s"], {
    input: moabDialect.script(job),
    env: { ...env, MOAB_JOBID: "Moab.4[4]", MOAB_JOBARRAYINDEX: "4" },
  });
  assert(existsSync(join(folder.path, "o Moab.4-4")));
  assertEquals(openpbsDialect.jobNumber("123[].server.org"), "123");
});

test("schedulers: what one of them cannot say is refused, never dropped", () => {
  const cannot = (dialect: SchedulerDialect, job: Partial<JobDescription>, words: string) =>
    void assertThrows(() => dialect.script({ command: "x", ...job }), JobError, words);
  cannot(openpbsDialect, { qos: "high" }, "no qos");
  cannot(openpbsDialect, { array: { indices: [1, 2, 5] } }, "1-2,5 are not one range");
  cannot(openpbsDialect, { tasks: 4, memory: GB }, "give nodes");
  cannot(openpbsDialect, { array: { indices: [1, 2] }, requeue: false }, "not rerunnable");
  cannot(torqueDialect, { tasks: 4, gpus: 1 }, "give nodes");
  cannot(torqueDialect, { name: "1st" }, "begin with a letter");
  cannot(torqueDialect, { signal: { name: "USR1", before: 1 } }, "signal");
  cannot(lsfDialect, { array: { indices: [0, 1] } }, "counts from 1");
  cannot(sgeDialect(), { tasks: 4 }, "parallel environment");
  cannot(sge, { array: { indices: [1, 2, 5] } }, "not one range");
  cannot(sge, { dependencies: [{ after: "ok", jobs: ["1"] }] }, 'after "ok"');
  cannot(sge, { qos: "x" }, "no qos");
  assertStringIncludes(openpbsDialect.script({ command: "x", array: { indices: [5] } }), "-J 5-6:2\n");
  assertStringIncludes(openpbsDialect.script({ command: "x", array: { indices: [2, 4, 6] } }), "-J 2-6:2\n");
});

test("jobs: a description that makes no sense is refused with the field and the rule", () => {
  const refused = (job: Partial<JobDescription>, words: string) =>
    void assertThrows(() => checkJob({ command: "x", ...job }), JobError, words);
  refused({ command: "" }, "command");
  refused({ nodes: 0 }, "nodes is 0");
  refused({ cpus: 1.5 }, "cpus is 1.5");
  refused({ memory: -1 }, "bytes");
  refused({ walltime: 0 }, "milliseconds");
  refused({ name: "a b" }, "name");
  refused({ name: "x\n#SBATCH --uid=0" }, "name");
  refused({ queue: "a\nb" }, "queue");
  refused({ stdout: 'a"b' }, "stdout");
  refused({ stdout: "x-{task}" }, "array");
  refused({ workdir: "/a\n#SBATCH -x" }, "workdir");
  refused({ options: ["-a\nrm -rf /"] }, "options");
  refused({ nodes: 2, tasks: 9, tasksPerNode: 4 }, "do not fit");
  refused({ nodes: 4, tasks: 2 }, "4 nodes");
  refused({ array: { indices: [] } }, "array.indices");
  refused({ array: { indices: [1, 1] } }, "twice");
  refused({ array: { indices: [-1] } }, "from 0");
  refused({ array: { indices: [1], limit: 0 } }, "array.limit");
  refused({ environment: { "A B": "" } }, "no name");
  refused({ dependencies: [{ after: "ok", jobs: [] }] }, "dependencies");
  refused({ dependencies: [{ after: "ok", jobs: ["1,2"] }] }, "no job id");
  refused({ signal: { name: "SIGUSR1", before: 1 } }, "without SIG");
});

test("schedulers: the id is found among other words, and a refusal is an error with them", () => {
  const ids: [SchedulerDialect, string, string][] = [
    [slurmDialect, "4711\n", "4711"],
    [slurmDialect, "sbatch: a site's greeting\n4711;cluster\n", "4711"],
    [openpbsDialect, "123.server.org\n", "123.server.org"],
    [openpbsDialect, "Welcome\n123[].server\n", "123[].server"],
    [torqueDialect, "123[].server\n", "123[].server"],
    [moabDialect, "\nMoab.4\n", "Moab.4"],
    [moabDialect, "\n5214\n", "5214"],
    [
      lsfDialect,
      "Cannot connect to LSF. Please wait ...\nJob <806> is submitted to queue <normal>.\n",
      "806",
    ],
    [sge, "42\n", "42"],
    [sge, "42.1-10:1\n", "42"],
  ];
  for (const [dialect, text, id] of ids) assertEquals(dialect.parseSubmit(said(text)), id);
  for (const dialect of ALL) {
    const error = assertThrows(
      () => dialect.parseSubmit(said("", 1, "no such queue: x")),
      SchedulerError,
      "no such queue: x",
    );
    assertEquals(error.failure, "rejected");
    assertThrows(() => dialect.parseSubmit(said("")), SchedulerError);
  }
});

test("schedulers: a server that does not answer is told from a job that is not known", () => {
  const down: [SchedulerDialect, string][] = [
    [slurmDialect, "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"],
    [openpbsDialect, "Connection refused\nqstat: cannot connect to server pbs (errno=15010)"],
    [torqueDialect, "qstat: cannot connect to server mgt (errno=111) Connection refused"],
    [lsfDialect, "LSF is down. Please wait ..."],
    [
      sge,
      'error: commlib error: got select error (Connection refused)\nerror: unable to send message to qmaster using port 6444 on host "m": got send error',
    ],
  ];
  for (const [dialect, text] of down) {
    const error = assertThrows(() => dialect.parseStatus(said("", 1, text)), SchedulerError);
    assertEquals([dialect.name, error.failure], [dialect.name, "unreachable"]);
  }
  const forgotten: [SchedulerDialect, string][] = [
    [slurmDialect, "slurm_load_jobs error: Invalid job id specified"],
    [slurmDialect, "Slurm accounting storage is disabled"],
    [openpbsDialect, "qstat: Unknown Job Id 99.server"],
    [torqueDialect, "qstat: Unknown Job Id 99.server"],
    [moabDialect, "ERROR:  cannot locate job '99'"],
    [lsfDialect, "Job <99> is not found"],
    [sge, "error: job id 99 not found"],
  ];
  for (const [dialect, text] of forgotten) assertEquals(dialect.parseStatus(said("", 1, text)), []);
});

test("slurm: states from squeue and sacct", () => {
  // squeue --Format: the exit code is a status of wait(2), fields are padded
  assertEquals(
    brief(
      slurmDialect,
      [
        "12_0    |COMPLETED   |0    |None              |0 |n1      |job",
        "12_1    |FAILED      |512  |NonZeroExitCode   |0 |n2      |job",
        "12_2    |RUNNING     |0    |None              |0 |n1      |job",
        "13      |PENDING     |0    |JobHeldUser       |0 |        |a|b",
        "14      |PENDING     |0    |BeginTime         |1 |        |job",
        "15      |PENDING     |0    |Resources         |0 |        |job",
        "16      |TIMEOUT     |15   |TimeLimit         |0 |n1      |job",
        "17      |OUT_OF_MEMORY|9   |OutOfMemory       |0 |n1      |job",
        "18      |NODE_FAIL   |1    |NodeDown          |0 |n1      |job",
        "19      |CANCELLED   |15   |None              |0 |n1      |job",
        "20      |SUSPENDED   |0    |None              |0 |n1      |job",
        "21      |NEW_STATE   |0    |None              |0 |n1      |job",
      ].join("\n"),
    ),
    [
      ["12_0", "completed", 0, undefined],
      ["12_1", "failed", 2, undefined],
      ["12_2", "running", undefined, undefined],
      ["13", "held", undefined, undefined],
      ["14", "requeued", undefined, undefined],
      ["15", "pending", undefined, undefined],
      ["16", "timeout", undefined, 15],
      ["17", "out-of-memory", undefined, 9],
      ["18", "node-fail", undefined, undefined],
      ["19", "cancelled", undefined, 15],
      ["20", "suspended", undefined, undefined],
      ["21", "unknown", undefined, undefined],
    ],
  );
  assertEquals(slurmDialect.parseStatus(said("13|PENDING|0|JobHeldUser|0||a|b"))[0].name, "a|b");
  // sacct --parsable2: code:signal, "CANCELLED by uid", tasks that wait are one line
  assertEquals(
    brief(
      slurmDialect,
      "30|COMPLETED|0:0|None|n1|x\n31|CANCELLED by 1000|0:15|None|n1|x\n32|FAILED|3:0|None|n1|x\n" +
        "33_[4-5,9%2]|PENDING|0:0|None|None assigned|x\n34|OUT_OF_MEMORY|0:125|None|n1|x\n",
    ),
    [
      ["30", "completed", 0, undefined],
      ["31", "cancelled", undefined, 15],
      ["32", "failed", 3, undefined],
      ["33_4", "pending", undefined, undefined],
      ["33_5", "pending", undefined, undefined],
      ["33_9", "pending", undefined, undefined],
      ["34", "out-of-memory", undefined, 125],
    ],
  );
});

const QSTAT = (id: string, lines: string[]) =>
  `Job Id: ${id}\n${lines.map((line) => `    ${line}\n`).join("")}\n`;

test("openpbs: states from qstat -x -f", () => {
  const limits = ["Resource_List.walltime = 00:02:00"];
  assertEquals(
    brief(
      openpbsDialect,
      [
        QSTAT("1.s", ["Job_Name = a", "job_state = Q"]),
        QSTAT("2.s", ["job_state = Q", "run_count = 1"]),
        QSTAT("3.s", ["job_state = H"]),
        QSTAT("4.s", ["job_state = R", "run_count = 1"]),
        QSTAT("5.s", ["job_state = F", "Exit_status = 0", "substate = 92"]),
        QSTAT("6.s", ["job_state = F", "Exit_status = 3", "substate = 93"]),
        QSTAT("7.s", ["job_state = F", "Exit_status = -29"]),
        QSTAT("8.s", ["job_state = F", "Exit_status = -27"]),
        QSTAT("9.s", ["job_state = F", "Exit_status = 271", "resources_used.walltime = 00:00:10", ...limits]),
        QSTAT("10.s", [
          "job_state = F",
          "Exit_status = 271",
          "resources_used.walltime = 00:02:09",
          ...limits,
        ]),
        QSTAT("11.s", ["job_state = F", "substate = 91"]),
        QSTAT("12.s", ["job_state = S"]),
        QSTAT("13[].s", ["job_state = B", "array = True"]),
        QSTAT("13[1].s", ["job_state = X", "Exit_status = 0"]),
        QSTAT("13[2].s", ["job_state = R"]),
        QSTAT("14[].s", ["job_state = Q"]),
      ].join(""),
    ),
    [
      ["1.s", "pending", undefined, undefined],
      ["2.s", "requeued", undefined, undefined],
      ["3.s", "held", undefined, undefined],
      ["4.s", "running", undefined, undefined],
      ["5.s", "completed", 0, undefined],
      ["6.s", "failed", 3, undefined],
      ["7.s", "timeout", -29, undefined],
      ["8.s", "out-of-memory", -27, undefined],
      ["9.s", "cancelled", undefined, 15],
      ["10.s", "timeout", undefined, 15],
      ["11.s", "cancelled", undefined, undefined],
      ["12.s", "suspended", undefined, undefined],
      ["13[1].s", "completed", 0, undefined],
      ["13[2].s", "running", undefined, undefined],
      ["14[].s", "pending", undefined, undefined],
    ],
  );
  const [task] = openpbsDialect.parseStatus(said(QSTAT("13[2].s", ["job_state = R"])));
  assertEquals([task.job, task.task], ["13[].s", 2]);
  // jobs that the server has forgotten do not hide the others
  const some = { code: 35, stdout: QSTAT("1.s", ["job_state = R"]), stderr: "qstat: Unknown Job Id 2.s" };
  assertEquals(openpbsDialect.parseStatus(some).length, 1);
});

test("torque: states from qstat -f, with the manual's example of a job that could not start", () => {
  const text = `Job Id: 179.host
    Job_Name = STDIN
    Job_Owner = user@host
    job_state = C
    queue = batchq
    exec_host = node1/0
    Variable_List = PBS_O_HOME=/home/user,PBS_O_LOGNAME=user,
\tPBS_O_PATH=/usr/bin,PBS_O_SHELL=/bin/bash
    sched_hint = Post job file processing error; job 179.host on host node1/0Ba
\td UID for job execution
    exit_status = -1

`;
  const [state] = torqueDialect.parseStatus(said(text));
  assertEquals(state, {
    id: "179.host",
    job: "179.host",
    status: "failed",
    raw: "C",
    exitCode: -1,
    name: "STDIN",
    nodes: "node1/0",
  });
  assertEquals(
    brief(
      torqueDialect,
      ["-11", "-10", "0", "2"].map((exit, i) => QSTAT(`${i}.h`, ["job_state = C", `exit_status = ${exit}`]))
        .join("") +
        QSTAT("7[3].h", ["job_state = R"]),
    ),
    [
      ["0.h", "timeout", -11, undefined],
      ["1.h", "out-of-memory", -10, undefined],
      ["2.h", "completed", 0, undefined],
      ["3.h", "failed", 2, undefined],
      ["7[3].h", "running", undefined, undefined],
    ],
  );
});

test("moab: states from checkjob", () => {
  const completed = `job 546324

AName: submit-stats.sh
State: Completed Completion Code: 0  Time: Fri Jun 10 15:35:08
Creds:  user:training01  group:trainingc  class:batch  qos:community
WallTime:   00:01:31 of 2:00:00
SubmitTime: Fri Jun 10 15:33:04
`;
  assertEquals(moabDialect.parseStatus(said(completed)), [
    {
      id: "546324",
      job: "546324",
      status: "completed",
      raw: "Completed",
      exitCode: 0,
      name: "submit-stats.sh",
    },
  ]);
  const other = (state: string, more = "") =>
    brief(moabDialect, `job 7\n\nAName: x\nState: ${state}\n${more}`)[0].slice(1);
  assertEquals(other("Idle"), ["pending", undefined, undefined]);
  assertEquals(other("Idle", "Holds:          User\n"), ["held", undefined, undefined]);
  assertEquals(other("BatchHold"), ["held", undefined, undefined]);
  assertEquals(other("Running"), ["running", undefined, undefined]);
  assertEquals(other("Removed Completion Code: 271  Time: x"), ["cancelled", undefined, 15]);
  assertEquals(other("Completed ", "Completion Code: 3  Time: Fri Jun 10 15:35:08\n"), [
    "failed",
    3,
    undefined,
  ]);
  assertEquals(other("Idle  EState: Running"), ["pending", undefined, undefined]);
  assertEquals(other("Completed Completion Code: 2  Time: x"), ["failed", 2, undefined]);
  const array =
    `job Moab.1[]\n\nJob Array Info:\n  Name: Moab.1\n\n  1 : Moab.1[1] : Completed\n  2 : Moab.1[2] : Running\n\n  Sub-jobs:           2\n    Active:           1 ( 50.0% )\n\nState: Idle\n`;
  assertEquals(
    moabDialect.parseStatus(said(array)).map(({ id, job, task, status }) => [id, job, task, status]),
    [
      ["Moab.1[1]", "Moab.1", 1, "completed"],
      ["Moab.1[2]", "Moab.1", 2, "running"],
    ],
  );
});

test("lsf: states from bjobs -json", () => {
  const record = (job: string, stat: string, exit = "", why = "", index = "0") => ({
    JOBID: job,
    JOBINDEX: index,
    STAT: stat,
    EXIT_CODE: exit,
    EXIT_REASON: why,
    PEND_REASON: stat === "PEND" ? "New job is waiting for scheduling;" : "",
    JOB_NAME: "x",
    EXEC_HOST: "",
  });
  const records = [
    record("1", "PEND"),
    record("2", "PSUSP"),
    record("3", "RUN"),
    record("4", "USUSP"),
    record("5", "DONE"),
    record("6", "EXIT", "3"),
    record("7", "EXIT", "140", "TERM_RUNLIMIT: job killed after reaching LSF run time limit"),
    record("8", "EXIT", "137", "TERM_MEMLIMIT: job killed after reaching LSF memory usage limit"),
    record("9", "EXIT", "130", "TERM_OWNER: job killed by owner"),
    record("10", "RUN", "", "", "4"),
    { JOBID: "11", ERROR: "Job <11> is not found" },
  ];
  const text = `Cannot connect to LSF. Please wait ...\n${
    JSON.stringify({ COMMAND: "bjobs", JOBS: records.length, RECORDS: records })
  }`;
  assertEquals(brief(lsfDialect, text), [
    ["1", "pending", undefined, undefined],
    ["2", "held", undefined, undefined],
    ["3", "running", undefined, undefined],
    ["4", "suspended", undefined, undefined],
    ["5", "completed", 0, undefined],
    ["6", "failed", 3, undefined],
    ["7", "timeout", 140, 12],
    ["8", "out-of-memory", 137, 9],
    ["9", "cancelled", 130, 2],
    ["10[4]", "running", undefined, undefined],
  ]);
  assertEquals(lsfDialect.parseStatus(said(text))[0].reason, "New job is waiting for scheduling;");
});

test("grid engine: states from qstat -xml and qacct", () => {
  const job = (id: number, letters: string, tasks = "") =>
    `<job_list state="x"><JB_job_number>${id}</JB_job_number><JB_name>a&amp;b</JB_name><state>${letters}</state>` +
    `<queue_name></queue_name><slots>1</slots>${tasks && `<tasks>${tasks}</tasks>`}</job_list>`;
  const letters = ["qw", "hqw", "r", "t", "Rr", "s", "S", "T", "Eqw", "dr", "Rq", "hRwq", "hr"];
  const xml = `<?xml version='1.0'?>\n<job_info>\n<queue_info>${
    letters.map((l, i) => job(i + 1, l)).join("\n")
  }\n${job(50, "qw", "3-7:2")}</queue_info></job_info>`;
  const states = sge.parseStatus(said(xml));
  assertEquals(states.map(({ status }) => status).slice(0, letters.length), [
    "pending",
    "held",
    "running",
    "running",
    "running",
    "suspended",
    "suspended",
    "suspended",
    "failed",
    "running",
    "requeued",
    "held",
    "running",
  ]);
  assertEquals(states.slice(letters.length).map(({ id, task }) => [id, task]), [["50.3", 3], ["50.5", 5], [
    "50.7",
    7,
  ]]);
  assertEquals(states[0].name, "a&b");
  const account = (task: string, failed: string, exit: number, more = "") =>
    `==============================================================\nqname        all.q\nhostname     n1\n` +
    `jobname      x\njobnumber    60\ntaskid       ${task}\nfailed       ${failed}\n` +
    `exit_status  ${exit}${exit > 128 ? "                  (Killed)" : ""}\nru_wallclock 12s\n${more}`;
  assertEquals(
    brief(
      sge,
      account("undefined", "0", 0) + account("1", "0", 3) +
        account("2", "37  : qmaster enforced h_rt, h_cpu, or h_vmem limit", 137) +
        account("3", "100 : assumedly after job", 137, "category     -l h_rt=12\n") +
        account("4", "100 : assumedly after job", 137) +
        // one that ran twice
        account("5", "25  : rescheduling", 0) + account("6", "25  : rescheduling", 0) + account("5", "0", 7),
    ),
    [
      ["60", "completed", 0, undefined],
      ["60.1", "failed", 3, undefined],
      ["60.2", "timeout", 137, 9],
      ["60.3", "timeout", 137, 9],
      ["60.4", "failed", 137, 9],
      ["60.5", "failed", 7, undefined],
      ["60.6", "requeued", undefined, undefined],
    ],
  );
});

test("schedulers: commands that act on jobs", () => {
  const lines = (dialect: SchedulerDialect) =>
    (["cancel", "hold", "release", "requeue"] as const).map((what) => dialect[what](["1", "2"]).join(" "));
  assertEquals(lines(slurmDialect), [
    "scancel 1 2",
    "scontrol hold 1,2",
    "scontrol release 1,2",
    "scontrol requeue 1,2",
  ]);
  assertEquals(lines(openpbsDialect), ["qdel 1 2", "qhold 1 2", "qrls 1 2", "qrerun 1 2"]);
  assertEquals(lines(torqueDialect), lines(openpbsDialect));
  assertEquals(lines(moabDialect), [
    "mjobctl -c 1,2",
    "mjobctl -h user 1,2",
    "mjobctl -u user 1,2",
    "mjobctl -R 1,2",
  ]);
  // brackets make a regular expression of an id
  assertEquals(moabDialect.cancel(["Moab.1[3]", "Moab.2"]).join(" "), "mjobctl -c ^Moab\\.1\\[3\\]$,Moab.2");
  assertEquals(lines(lsfDialect), ["bkill 1 2", "bstop 1 2", "bresume 1 2", "brequeue 1 2"]);
  assertEquals(lines(sge), ["qdel 1 2", "qhold 1 2", "qrls 1 2", "qmod -rj 1 2"]);
  assertEquals(
    ALL.map((dialect) =>
      dialect.taskId(dialect === openpbsDialect || dialect === torqueDialect ? "1[].s" : "1", 3)
    ),
    ["1_3", "1[3].s", "1[3].s", "1[3]", "1[3]", "1.3"],
  );
  assert(isOver("timeout") && !isOver("unknown") && !isOver("requeued"));
});

test("waiting: what a scheduler forgets keeps its end, and what it never tells of is unknown", async () => {
  const gone = { code: 1, stdout: "", stderr: "slurm_load_jobs error: Invalid job id specified" };
  const queue = [
    said("12_0|RUNNING|0|None|0|n1|x\n12_1|COMPLETED|0|None|0|n1|x\n12_2|RUNNING|0|None|0|n1|x"),
    said("12_0|RUNNING|0|None|0|n1|x\n12_2|RUNNING|0|None|0|n1|x"),
    said("12_0|FAILED|256|NonZeroExitCode|0|n1|x"),
    gone,
  ];
  const slurm = new Scheduler(slurmDialect, {
    patience: 100,
    polling: [10, 20],
    run: ([program]) =>
      Promise.resolve(
        program === "sacct"
          ? said("", 1, "Slurm accounting storage is disabled")
          : queue.length > 1
          ? queue.shift()!
          : queue[0],
      ),
  });
  const states = await slurm.wait("12", { timeout: 5_000 });
  assertEquals(states.map(({ id, status, exitCode }) => [id, status, exitCode]), [
    ["12_0", "failed", 1],
    ["12_1", "completed", 0],
    ["12_2", "unknown", undefined],
  ]);
});

test("waiting: tasks that have left the queue are looked for in the accounts", async () => {
  const asked: string[] = [];
  const account = (task: number, exit: number) =>
    `${"=".repeat(20)}\njobnumber    7\ntaskid       ${task}\nfailed       0\nexit_status  ${exit}\n`;
  const list = (tasks: string) =>
    `<job_info><job_list><JB_job_number>7</JB_job_number><state>r</state><tasks>${tasks}</tasks></job_list></job_info>`;
  let looks = 0;
  const scheduler = new Scheduler(sge, {
    polling: [10, 20],
    run: (argv) => {
      asked.push(argv.join(" "));
      if (argv[0] === "qstat") {
        return Promise.resolve(said(++looks === 1 ? list("1-2") : "<job_info></job_info>"));
      }
      return Promise.resolve(
        looks === 1 ? said("", 1, "error: job id 7 not found") : said(account(1, 0) + account(2, 4)),
      );
    },
  });
  const states = await scheduler.wait("7", { timeout: 5_000 });
  assertEquals(states.map(({ id, status, exitCode }) => [id, status, exitCode]), [
    ["7.1", "completed", 0],
    ["7.2", "failed", 4],
  ]);
  assert(asked.includes("qacct -j 7"));
});
