/**
 * The flags that describe a batch job. They stand apart from what is done with them, which other verbs need not load.
 */
import type { Flag } from "./flags.ts";

/** The flags that describe a job. */
export const DESCRIPTION_FLAGS: Record<string, Flag> = {
  nodes: { value: "N", help: "Nodes; also N:ppn=P, for P ranks on each" },
  tasks: { value: "N", help: "Ranks in all" },
  "tasks-per-node": { value: "N", help: "Ranks on each node" },
  cpus: { value: "N", help: "Cores for each rank" },
  memory: { value: "SIZE", help: "Memory on each node: 512M, 4G" },
  gpus: { value: "N", help: "Accelerators on each node" },
  walltime: { value: "TIME", help: "When it is ended: 1:30:00, 90m, 2h" },
  queue: { value: "NAME", help: "Queue, or partition" },
  account: { value: "NAME", help: "Account or project that is charged" },
  qos: { value: "NAME", help: "Quality of service" },
  array: {
    value: "RANGE",
    help: "Run it once for each index, which is in $PATHOS_TASK: 0-9, 1,4,7, 0-9:3; 0-99%4 runs 4 at once",
  },
  after: {
    value: "WHEN:ID,...",
    many: true,
    help: "Start when these jobs have ended well (ok), badly (notok), in any way (any), or started (started)",
  },
  env: { value: "NAME=VALUE", many: true, help: "Set a variable for it; may be given several times" },
  mail: { value: "WHEN,...", help: "Write when it begins, ends, fails: begin,end,fail" },
  "mail-to": { value: "ADDRESS", help: "Where to (default: the address that the scheduler has)" },
  signal: { value: "NAME@TIME", help: "Warn it by a signal, that long before its walltime is over: USR1@2m" },
  requeue: { negatable: true, help: "May be started again after a node failed (default: the cluster's)" },
  hold: { help: "Let it wait until it is released" },
  name: { value: "NAME", help: "Its name" },
  workdir: { value: "FOLDER", help: "Run it in this folder (default: the one it is submitted from)" },
  stdout: {
    value: "FILE",
    help:
      "Its output, with {job} for its id and {task} for the index (default: NAME-{job}.out, NAME-{job}-{task}.out)",
  },
  stderr: { value: "FILE", help: "What it says on standard error (default: the same file)" },
  shell: { value: "PATH", help: "Shell that runs the script (default: /bin/sh)" },
  option: {
    value: "TEXT",
    many: true,
    help: "One more option of the scheduler, as in its scripts: --option=--constraint=haswell",
  },
};
