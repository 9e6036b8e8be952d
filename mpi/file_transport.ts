/**
 * Streams of bytes between ranks through files, for where not even sockets can be waited for: slow, but all it needs is a folder that all
 * ranks may write to. Below the job's folder each job has one with the name of its secret, and in it each rank
 *
 * - a file `rank-N`, which tells who it is, and which it keeps locked as long as it lives: the system takes the lock away when it
 *   dies, however it dies;
 * - a folder `N`, in which others put what is for it: files `SENDER.NUMBER`, written under another name and then renamed. It takes
 *   them in the order of their numbers, and removes them.
 *
 * Who ends removes what is its own; the last one who does, or who finds that nobody else lives, removes all.
 */
import {
  type DiskFile,
  exists,
  listFolder,
  makeFolder,
  newToken,
  openDiskFile,
  readFile,
  removeEmptyFolder,
  removeFile,
  removeTree,
  sleepSync,
  systemCode,
  writeFile,
} from "../runtime/mod.ts";
import type { Transport } from "./fallback_types.ts";
import {
  again,
  cannotMeet,
  endMeeting,
  invite,
  isCurrent,
  killNear,
  type Meeting,
  missing,
  myself,
  type Person,
  readInvitation,
  replaced,
  sayPerson,
} from "./fallback_meeting.ts";

/** Bytes of a message that goes without being granted, and of one file. */
const EAGER = 2 ** 16, LARGEST = 2 ** 24;
/** So many files may wait for one rank from another; they are counted each time so many have been written. */
const BACKLOG = 512, COUNT_EACH = 64;
/** Milliseconds: between looks at who lives, and the longest pause between looks for files. */
const LOOK_MS = 500, LONGEST_PAUSE = 5;

/** The folder of one job that meets, and what is in it. */
interface Session {
  path: string;
  /** The file of a rank. */
  file(rank: number): string;
  /** The folder of a rank. */
  inbox(rank: number): string;
  /** This rank's file, locked. */
  mine: DiskFile;
  size: number;
  rank: number;
}

/** Meets the other ranks. @throws {MpiError} If they do not come. */
export function fileTransport(meeting: Meeting): Transport {
  const session = meeting.rank === 0 ? receiveAll(meeting) : come(meeting);
  const people: Person[] = JSON.parse(new TextDecoder().decode(readFile(`${session.path}/go`)));
  return streams(meeting, session, people);
}

function enter(meeting: Meeting, token: string): Session {
  const { rank, size, folder } = meeting, path = `${folder}/${token}`;
  const session = {
    path,
    rank,
    size,
    file: (rank: number) => `${path}/rank-${rank}`,
    inbox: (rank: number) => `${path}/${rank}`,
  };
  makeFolder(session.inbox(rank), 0o700);
  let mine: DiskFile;
  try {
    mine = openDiskFile(session.file(rank), { create: "new", mode: 0o600 });
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
    const text =
      `rank ${rank} has come twice to ${folder}: two jobs at the same time need folders or names of their own: ` +
      "PATHOS_RENDEZVOUS=/path, PATHOS_JOB=name";
    writeFile(`${path}/error`, new TextEncoder().encode(text));
    throw cannotMeet(text);
  }
  again(() => mine.tryLock(true) || undefined); // somebody may just be looking whether it is locked
  mine.write(new TextEncoder().encode(JSON.stringify(myself())), 0);
  return { ...session, mine };
}

/** Throws if somebody has left an error for all. */
function throwError({ path }: Session): void {
  if (exists(`${path}/error`)) throw cannotMeet(new TextDecoder().decode(readFile(`${path}/error`)));
}

/** Who a rank is; undefined if it has not come, or is about to. */
function person(path: string): Person | undefined {
  try {
    const bytes = readFile(path);
    return bytes.length === 0 ? undefined : JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    if (systemCode(error) === "ENOENT" || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Whether a rank that has come is still there. */
function lives(path: string): boolean {
  let file: DiskFile;
  try {
    file = openDiskFile(path, { readOnly: true });
  } catch (error) {
    if (systemCode(error) === "ENOENT") return false;
    throw error;
  }
  try {
    return !file.tryLock(false);
  } finally {
    file.close();
  }
}

function receiveAll(meeting: Meeting): Session {
  const token = newToken(), session = enter(meeting, token);
  const others = Array.from({ length: meeting.size - 1 }, (_, i) => i + 1);
  let looked = performance.now();
  try {
    invite(meeting, { way: "files", size: meeting.size, token, addresses: [], ...myself() });
    again(() => {
      const absent = others.filter((rank) => !person(session.file(rank)));
      if (absent.length === 0) return true;
      const now = performance.now();
      if (now > meeting.deadline) throw missing(meeting, absent);
      if (now - looked < LOOK_MS) return undefined;
      looked = now;
      if (!isCurrent(meeting, token)) throw replaced(meeting);
      throwError(session);
      const ended = others.find((rank) => !absent.includes(rank) && !lives(session.file(rank)));
      if (ended === undefined) return undefined;
      throw cannotMeet(
        `rank ${ended} (${sayPerson(person(session.file(ended))!)}) has ended before all ranks had met`,
      );
    });
    const people = [0, ...others].map((rank) => person(session.file(rank)));
    writeFile(`${session.path}/go`, new TextEncoder().encode(JSON.stringify(people)));
  } catch (error) {
    const text = (error as Error).message.replace(/^MPI_\w+ failed: /, "");
    writeFile(`${session.path}/error`, new TextEncoder().encode(text));
    leave(meeting, session);
    throw error;
  } finally {
    endMeeting(meeting, token);
  }
  return session;
}

function come(meeting: Meeting): Session {
  const token = again(() => {
    const found = readInvitation(meeting, "files");
    if (found && lives(`${meeting.folder}/${found.token}/rank-0`)) return found.token;
    if (performance.now() < meeting.deadline) return undefined;
    endMeeting(meeting, undefined);
    throw missing(meeting, [0]);
  }, 50);
  const session = enter(meeting, token);
  let looked = performance.now();
  try {
    again(() => {
      if (exists(`${session.path}/go`)) return true;
      if (performance.now() - looked < LOOK_MS) return undefined;
      looked = performance.now();
      const alone = !lives(session.file(0));
      throwError(session);
      if (alone && !exists(`${session.path}/go`)) {
        throw cannotMeet("rank 0 has ended before all ranks had met");
      }
      return undefined;
    });
  } catch (error) {
    leave(meeting, session);
    throw error;
  }
  return session;
}

/** Removes what is this rank's own, and all if nobody else is there. */
function leave(meeting: Meeting, { path, mine, rank, size, file, inbox }: Session): void {
  try {
    removeFile(file(rank));
    mine.close();
    removeTree(inbox(rank));
    for (let other = 0; other < size; other++) if (other !== rank && lives(file(other))) return;
    removeTree(path);
    removeEmptyFolder(meeting.folder);
  } catch (error) {
    if (!["ENOENT", "ENOTEMPTY", "EBUSY"].includes(systemCode(error) ?? "")) throw error; // another one removes it too
  }
}

/** What has come from one rank: files up to a number, of which the next is read. */
interface Inflow {
  next: number;
  last: number;
  bytes: Uint8Array;
  ended: boolean;
}

function streams(meeting: Meeting, session: Session, people: readonly Person[]): Transport {
  const { rank: self, inbox, file } = session, mine = inbox(self);
  const flows: Inflow[] = people.map(() => ({ next: 1, last: 0, bytes: new Uint8Array(0), ended: false }));
  const written = people.map(() => 0), held = new Set<number>(), ready: number[] = [];
  let looked = performance.now();

  const seeWhatCame = (): void => {
    for (const { name } of listFolder(mine)) {
      const [, from, number] = /^(\d+)\.(\d+)$/.exec(name) ?? [];
      if (from && flows[Number(from)].last < Number(number)) flows[Number(from)].last = Number(number);
    }
  };
  const isHeld = (rank: number): boolean => {
    try {
      return listFolder(inbox(rank)).filter(({ name }) => name.startsWith(`${self}.`)).length >= BACKLOG;
    } catch (error) {
      if (systemCode(error) === "ENOENT") return false; // it has ended
      throw error;
    }
  };
  /** Whether there is more of what has come from a rank. */
  const fetch = (flow: Inflow, from: number): boolean => {
    if (flow.bytes.length > 0) return true;
    if (flow.next > flow.last) return false;
    const path = `${mine}/${from}.${flow.next}`;
    try {
      flow.bytes = readFile(path);
    } catch (error) {
      if (systemCode(error) === "ENOENT") return false; // a later one is seen already
      throw error;
    }
    flow.next++;
    removeFile(path);
    return true;
  };
  return {
    eager: EAGER,
    write(rank, bytes) {
      if (held.has(rank)) return 0;
      const part = bytes.length > LARGEST ? bytes.subarray(0, LARGEST) : bytes;
      try {
        writeFile(`${inbox(rank)}/${self}.${written[rank] + 1}`, part);
      } catch (error) {
        if (systemCode(error) !== "ENOENT") throw error;
        return bytes.length; // it has ended, which `read` tells
      }
      written[rank]++;
      if (written[rank] % COUNT_EACH === 0 && isHeld(rank)) held.add(rank);
      return part.length;
    },
    read(rank, into) {
      const flow = flows[rank];
      let count = 0;
      while (count < into.length && fetch(flow, rank)) {
        const part = flow.bytes.subarray(0, into.length - count);
        into.set(part, count);
        count += part.length;
        flow.bytes = flow.bytes.subarray(part.length);
      }
      return count === 0 && flow.ended ? -1 : count;
    },
    poll(milliseconds, open, full) {
      const end = performance.now() + milliseconds;
      for (let pause = 0.05;; pause = Math.min(LONGEST_PAUSE, pause * 1.5)) {
        if (performance.now() - looked > LOOK_MS) {
          for (const rank of open) if (!lives(file(rank))) flows[rank].ended = true;
          looked = performance.now();
        }
        seeWhatCame();
        ready.length = 0;
        for (const rank of open) {
          const { next, last, bytes, ended } = flows[rank];
          if (held.has(rank) && !isHeld(rank)) held.delete(rank);
          if (bytes.length > 0 || next <= last || ended || (full.has(rank) && !held.has(rank))) {
            ready.push(rank);
          }
        }
        const rest = end - performance.now();
        if (ready.length > 0 || rest <= 0) return ready;
        sleepSync(Math.min(pause, rest));
      }
    },
    kill: (rank) => killNear(people[rank]),
    describe: (rank) => sayPerson(people[rank]),
    close: () => leave(meeting, session),
  };
}
