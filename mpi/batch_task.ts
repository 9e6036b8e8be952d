/**
 * One task of a batch map, where the scheduler runs it: the main program of a process that gives the task's chunks to
 * worker processes (map/worker_main.ts) one at a time and keeps their answers in the folder of the map. It never looks
 * into functions and values.
 *
 * What was answered is written out soon at first, then after ever longer pauses, at most `save` milliseconds; before it
 * ends; and when it is told to end. A task that is started again, in the same attempt or a later one, goes on with what
 * nothing is known of; a later attempt runs what failed in an earlier one again, too. So however a task ends, only what
 * was not written is lost, and nothing is run that has a result already.
 *
 * At the warning before the walltime it begins nothing new, gives what runs half of the time that is left, writes all
 * out, and asks the scheduler to run it again; unless nothing was finished since it started, for then it would go
 * on like that for ever.
 */
import {
  cpuCount,
  env,
  every,
  hostname,
  listFolder,
  newToken,
  onSignal,
  openDiskFile,
  readFile,
  replaceFile,
  spawn,
  stderr,
  stdout,
} from "../runtime/mod.ts";
import { type Child, startChild } from "../map/child.ts";
import type { FromWorker, ToWorker } from "../map/protocol.ts";
import { packMessage, unpackMessage } from "../map/wire.ts";
import { type AnswerNote, type LossNote, openWork, packNote, readNotes } from "./batch_format.ts";

/** What a task is told, as JSON in its first argument. Its index is in the environment, as `PATHOS_TASK`. */
export interface TaskPlan {
  folder: string;
  /** From 1. */
  attempt: number;
  /** The tasks, by index from 1, where the indices are not the tasks' own numbers. */
  tasks?: readonly number[];
  /** Processes. */
  workers: number;
  /** Longest time between two parts, in milliseconds. */
  save: number;
  /** The scheduler's warning, and how long before the end it comes, in milliseconds. */
  warning?: { signal: string; before: number };
  /** What puts a job back into the queue, and the variable with the last word of that. */
  requeue?: { argv: readonly string[]; variable: string };
}

/** Exit codes: all items have results; some failed; it was ended before it was finished. */
export const EXIT = { done: 0, failed: 1, unfinished: 75, terminated: 143 } as const;

/** What was answered is written out after so many milliseconds at the earliest, and at the latest with so many bytes. */
const SOON_MS = 1000;
const MUCH = 16 << 20;

type Run = Extract<ToWorker, { do: "run" }>;

interface PendingChunk {
  start: number;
  count: number;
  message: readonly Uint8Array[];
}

/** Runs a task. Gives the code to exit with. */
export async function runTask(program: string, plan: TaskPlan): Promise<number> {
  const index = Number(env("PATHOS_TASK"));
  const task = plan.tasks ? plan.tasks[index - 1] : index;
  const { code, chunks } = readWork(plan.folder, task);
  const known = readParts(plan.folder, task, plan.attempt);
  const writer = newWriter(plan, task);
  const pending = chunks.filter(({ start }) => !known.has(start));
  let failed = [...known.values()].includes(true);
  let answered = 0;

  const answer = (chunk: PendingChunk, message: readonly Uint8Array[], bad: boolean): void => {
    failed ||= bad;
    answered++;
    const { start, count } = chunk;
    writer.add(packNote({ say: "answer", start, count, failed: bad } satisfies AnswerNote, message));
  };
  const lose = (chunk: PendingChunk, loss: Omit<LossNote, "say" | "start" | "count">): void => {
    failed = true;
    answered++;
    const { start, count } = chunk;
    writer.add(packNote({ say: "loss", start, count, ...loss } satisfies LossNote));
  };

  let draining = false;
  const next = (): PendingChunk | undefined => draining ? undefined : pending.shift();
  const count = Math.max(1, Math.min(plan.workers, pending.length));
  const share = Math.max(1, Math.floor(cpuCount() / count));
  const workers = Array.from({ length: count }, (_, i) =>
    newWorker(program, {
      first: [
        packMessage(
          {
            do: "begin",
            name: `worker ${i + 1}`,
            share,
            sharing: false,
            takesCode: false,
            control: false,
          } satisfies ToWorker,
          [],
        ),
        ...code,
      ],
      next,
      answer,
      lose,
    }));

  const told = new Promise<"warned" | "terminated">((resolve) => {
    onSignal("SIGTERM", () => resolve("terminated"));
    if (plan.warning) onSignal(`SIG${plan.warning.signal}`, () => resolve("warned"));
  });
  const done = Promise.all(workers.map((worker) => worker.done)).then(() => "done" as const);
  const stopSaving = every(SOON_MS / 4, () => writer.saveIfTime());
  let end: "done" | "warned" | "terminated" = await Promise.race([done, told]);
  if (end === "warned") {
    draining = true;
    writer.save();
    stderr.write("pathos: warned that the time is nearly over: nothing new is begun\n");
    const left = new Promise<void>((resolve) => setTimeout(resolve, plan.warning!.before / 2));
    await Promise.race([done, left]);
    if (pending.length === 0 && workers.every((worker) => worker.idle())) end = "done";
  }
  stopSaving();
  writer.save();
  if (end === "done") return failed ? EXIT.failed : EXIT.done;
  for (const worker of workers) worker.kill();
  if (end === "terminated") return EXIT.terminated;
  if (answered === 0) {
    stderr.write(
      "pathos: nothing was finished since this run began, so it is not queued again: give it more walltime\n",
    );
  } else if (plan.requeue) await requeue(plan.requeue);
  return EXIT.unfinished;
}

function readWork(folder: string, task: number): { code: Uint8Array[][]; chunks: PendingChunk[] } {
  const file = openDiskFile(`${folder}/work.bin`, { readOnly: true });
  try {
    const work = openWork((at, length) => {
      const bytes = new Uint8Array(length);
      return bytes.subarray(0, file.read(bytes, at));
    });
    const section = work.head.tasks[task - 1];
    if (!section) throw new Error(`there is no task ${task} in ${folder}; PATHOS_TASK says which`);
    return {
      code: work.messages(work.head.code),
      chunks: work.messages(section).map((message) => {
        const { start, count } = unpackMessage<Run>(message.slice(0, 1)).message;
        return { start, count, message };
      }),
    };
  } finally {
    file.close();
  }
}

/** The chunks, by their first item, that need not be run, and whether they failed. */
function readParts(folder: string, task: number, attempt: number): Map<number, boolean> {
  const known = new Map<number, boolean>();
  for (const { name } of listFolder(`${folder}/out`)) {
    if (!name.startsWith(`${task}.`) || !name.endsWith(".part")) continue;
    let same = false;
    for (const { note } of readNotes(readFile(`${folder}/out/${name}`))) {
      if (note.say === "part") same = note.attempt === attempt;
      else if (note.say === "answer" && !note.failed) known.set(note.start, false);
      else if (same && !known.has(note.start)) known.set(note.start, true);
    }
  }
  return known;
}

/** Writes parts; a part that is there is whole, and on the disk. */
function newWriter({ folder, attempt, save: most }: TaskPlan, task: number) {
  const began = performance.now();
  const node = env("SLURMD_NODENAME") ?? hostname();
  const prefix = `${task}.${attempt}.${newToken(48)}`;
  let number = 0;
  let waiting: Uint8Array[] = [];
  let bytes = 0;
  let last = began;
  const save = (): void => {
    if (waiting.length === 0) return;
    const name = `${prefix}.${++number}.${bytes}.part`;
    const pieces = [packNote({ say: "part", name, task, attempt, node }), ...waiting];
    replaceFile(`${folder}/out/${name}`, (neighbour) => {
      const file = openDiskFile(neighbour, { create: "new", mode: 0o600 });
      try {
        let at = 0;
        for (const piece of pieces) {
          file.write(piece, at);
          at += piece.byteLength;
        }
        file.sync();
      } finally {
        file.close();
      }
    });
    waiting = [];
    bytes = 0;
    last = performance.now();
  };
  return {
    add(note: Uint8Array): void {
      waiting.push(note);
      bytes += note.byteLength;
      if (bytes > MUCH) save();
    },
    save,
    saveIfTime(): void {
      const now = performance.now();
      if (now - last >= Math.min(most, Math.max(SOON_MS, (now - began) / 10))) save();
    },
  };
}

interface WorkerParts {
  /** What every process is told first. */
  first: readonly (readonly Uint8Array[])[];
  next(): PendingChunk | undefined;
  answer(chunk: PendingChunk, message: readonly Uint8Array[], failed: boolean): void;
  lose(chunk: PendingChunk, loss: Omit<LossNote, "say" | "start" | "count">): void;
}

/** Goes through chunks with a process, and another one when that is lost, until there are none left. */
function newWorker(program: string, { first, next, answer, lose }: WorkerParts) {
  let child: Child | undefined;
  let current: PendingChunk | undefined;
  let finish: () => void;
  const done = new Promise<void>((resolve) => finish = resolve);

  const proceed = (): void => {
    current = next();
    if (!current) {
      void (child ? child.end() : Promise.resolve()).then(finish);
      return;
    }
    child ??= start();
    child.send(current.message);
  };

  const start = (): Child => {
    const started: Child = startChild(program, {
      permissions: "inherit",
      maxMemory: undefined,
      noConfig: true,
    }, {
      message(parts) {
        const { message } = unpackMessage<FromWorker>(parts.slice(0, 1));
        if (message.say === "output") print(message.stream, message.text);
        else if (current && (message.say === "done" || message.say === "refused")) {
          answer(current, parts, message.say === "refused" || message.failures.length > 0);
          proceed();
        }
      },
      output: print,
      died({ reason, signal, exitCode, stderr: said }) {
        if (child !== started) return;
        child = undefined;
        if (!current) return;
        lose(current, { reason, signal, exitCode, stderr: said });
        proceed();
      },
    });
    for (const message of first) started.send(message);
    return started;
  };

  proceed();
  return {
    done,
    idle: () => current === undefined,
    kill(): void {
      const killed = child;
      child = undefined;
      void killed?.kill();
    },
  };
}

function print(stream: "stdout" | "stderr", line: string): void {
  if (stream === "stderr") stderr.write(`${line}\n`);
  else void stdout.write(`${line}\n`);
}

/** Puts this job back into the queue, which ends it. */
async function requeue(
  { argv: [command, ...args], variable }: NonNullable<TaskPlan["requeue"]>,
): Promise<void> {
  const id = env(variable);
  if (id === undefined) {
    return void stderr.write(`pathos: ${variable} is not set, so it is not queued again\n`);
  }
  let said = "";
  const note = (bytes: Uint8Array): void => void (said += new TextDecoder().decode(bytes));
  try {
    const code = await new Promise<number | null>((resolve) =>
      spawn(command, [...args, id], {}, { stdout: note, stderr: note, exit: ({ code }) => resolve(code) })
    );
    if (code !== 0) stderr.write(`pathos: ${command} ended with code ${code}: ${said}\n`);
  } catch (error) {
    stderr.write(`pathos: ${command} cannot be run here: ${(error as Error).message}\n`);
  }
}
