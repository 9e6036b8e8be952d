/**
 * How ranks come to be connected with each other over TCP, each with each. Rank 0 listens and invites (fallback_meeting.ts); the others come
 * and show the secret. When all are there it tells who they are; each opens a door, rank 0 tells where, and each
 * calls at the doors of the ranks below it, with the secret. Whoever does not show it is turned away and keeps nobody waiting.
 *
 * Rank 0 listens on the loopback address, and so do all if everybody came that way: then no other machine can reach any of
 * them. A rank that finds rank 0 on another machine leaves a note in the folder (`far-RANK`); then rank 0 listens on the addresses
 * of its machine too, and each rank where it could be reached by that way.
 */
import { exists, listFolder, makeFolder, networks, newToken, removeFile, writeFile } from "../runtime/mod.ts";
import type { Sockets } from "../runtime/socket.ts";
import {
  again,
  cannotMeet,
  endMeeting,
  type Invitation,
  invite,
  isCurrent,
  machine,
  type Meeting,
  missing,
  myself,
  type Person,
  readInvitation,
  replaced,
  sameSecret,
} from "./fallback_meeting.ts";
import { awaitAny, newTalk, type Talk, type Words } from "./tcp_talk.ts";

/** The ranks, connected. */
export interface Connected {
  /** A socket for each rank but this one. */
  fds: (number | undefined)[];
  people: Person[];
  /** Whether all are on this machine. */
  near: boolean;
}

interface Door {
  host: string;
  port: number;
}

const LOOPBACK = "127.0.0.1";
/** Milliseconds: for who has connected to say who it is; for a connection to be made; after which loopback is taken to lead nowhere. */
const PATIENCE = 5_000, DIAL = 3_000, LOST_ON_LOOPBACK = 2_000;

/** Meets the other ranks. @throws {MpiError} If they do not come, or cannot be reached. */
export function meetByTcp(meeting: Meeting, sockets: Sockets): Connected {
  return meeting.rank === 0 ? receiveAll(meeting, sockets) : come(meeting, sockets);
}

function receiveAll(meeting: Meeting, sockets: Sockets): Connected {
  const { size, folder } = meeting, token = newToken();
  const listeners: number[] = [], addresses: Door[] = [], strangers = new Set<ReturnType<typeof newTalk>>();
  const talks: (Talk | undefined)[] = Array(size), people: Person[] = [myself()];
  const open = (host: string) => {
    const { fd, port } = sockets.listen(host);
    listeners.push(fd);
    addresses.push({ host, port });
  };
  const publish = () => invite(meeting, { way: "tcp", size, token, addresses, ...people[0] });
  const here = () => talks.filter((talk) => talk !== undefined);
  let far = false;
  /** Looks for notes, and whether the invitation still stands. */
  const lookAround = () => {
    const names = exists(folder)
      ? listFolder(folder).map(({ name }) => name).filter((name) => /^far-\d+$/.test(name))
      : [];
    if (names.length > 0 && !far) {
      far = true;
      for (const { address } of networks()) if (!address.startsWith("127.")) open(address);
      publish();
    }
    for (const name of names) removeFile(`${folder}/${name}`);
    if (!isCurrent(meeting, token)) throw replaced(meeting);
  };
  try {
    open(LOOPBACK);
    publish();
    for (let looked = performance.now(); here().length < size - 1;) {
      awaitAny(sockets, [...listeners, ...[...strangers, ...here()].map(({ fd }) => fd)], 50);
      for (const listener of listeners) {
        for (let fd = sockets.accept(listener); fd !== undefined; fd = sockets.accept(listener)) {
          strangers.add(newTalk(sockets, fd));
        }
      }
      for (const talk of strangers) {
        const words = talk.hear(), late = performance.now() - talk.since > PATIENCE;
        if (words === undefined && !late) continue;
        strangers.delete(talk);
        const rank = words && sameSecret(words.token, token) ? Number(words.rank) : 0;
        if (!(rank > 0 && rank < size)) {
          talk.close();
          continue;
        }
        if (talks[rank]) {
          const error =
            `rank ${rank} has come twice to ${folder}: two jobs at the same time need folders or names of ` +
            "their own: PATHOS_RENDEZVOUS=/path, PATHOS_JOB=name";
          talk.say({ error });
          talk.close();
          throw cannotMeet(error);
        }
        talk.trust();
        talk.say({ welcome: true });
        talks[rank] = talk;
        people[rank] = words!.person as Person;
      }
      talks.forEach((talk, rank) => mustBeThere(talk?.hear(), rank, people));
      const now = performance.now();
      if (now > meeting.deadline) {
        throw missing(
          meeting,
          Array.from({ length: size }, (_, rank) => rank).filter((rank) => rank > 0 && !talks[rank]),
        );
      }
      if (now - looked > 100) {
        lookAround();
        looked = now;
      }
    }
    const reached = here().map(({ fd }) => sockets.address(fd, "here"));
    const outside = reached.find((address) => !address.startsWith("127."));
    const tell = (words: Words) => here().forEach((talk) => talk.say(words));
    tell({ people, outside });
    const doors = hearAll(sockets, talks, people).map((words) => words?.door);
    tell({ doors });
    hearAll(sockets, talks, people);
    endMeeting(meeting, token);
    tell({ go: true });
    return { fds: talks.map((talk) => talk?.fd), people, near: outside === undefined };
  } catch (error) {
    for (const talk of here()) {
      talk.say({ error: plain(error) });
      talk.close();
    }
    throw error;
  } finally {
    for (const talk of strangers) talk.close();
    listeners.forEach(sockets.close);
    endMeeting(meeting, token);
  }
}

/** The text of an error of MPI without the name of the call. */
function plain(error: unknown): string {
  return (error as Error).message.replace(/^MPI_\w+ failed: /, "");
}

function mustBeThere(words: Words | undefined | null, rank: number, people: readonly Person[]): void {
  if (words?.error) throw cannotMeet(String(words.error));
  if (words !== null) return;
  const { host, pid } = people[rank];
  throw cannotMeet(`rank ${rank} (process ${pid} on ${host}) has ended before all ranks had met`);
}

/** Hears from each of them. */
function hearAll(
  sockets: Sockets,
  talks: readonly (Talk | undefined)[],
  people: readonly Person[],
): (Words | undefined)[] {
  const heard: (Words | undefined)[] = talks.map(() => undefined);
  for (const end = performance.now() + 3 * PATIENCE;;) {
    const open: number[] = [];
    talks.forEach((talk, rank) => {
      if (!talk || heard[rank]) return;
      const words = talk.hear();
      mustBeThere(words, rank, people);
      if (words) heard[rank] = words;
      else open.push(talk.fd);
    });
    if (open.length === 0) return heard;
    if (performance.now() > end) {
      throw cannotMeet(
        `rank ${heard.findIndex((words, rank) => talks[rank] && !words)} has come, and says nothing more`,
      );
    }
    awaitAny(sockets, open, 100);
  }
}

function come(meeting: Meeting, sockets: Sockets): Connected {
  const { rank, size } = meeting;
  const { talk, token } = reachFirst(meeting, sockets);
  const fds: (number | undefined)[] = Array(size);
  let listener: number | undefined;
  fds[0] = talk.fd;
  try {
    const { people, outside } = listen(meeting, sockets, talk) as { people: Person[]; outside?: string };
    const mine = sockets.address(talk.fd, "here");
    const host = outside === undefined ? LOOPBACK : mine.startsWith("127.") ? outside : mine;
    const door = sockets.listen(host);
    listener = door.fd;
    talk.say({ door: { host, port: door.port } });
    const { doors } = listen(meeting, sockets, talk) as { doors: Door[] };
    for (let below = 1; below < rank; below++) {
      const { host, port } = doors[below], fd = sockets.dial(host, port, DIAL);
      if (fd === undefined) {
        throw cannotMeet(
          `rank ${rank} on ${machine()} does not reach rank ${below} at ${host}:${port}: is there a firewall between them?`,
        );
      }
      fds[below] = fd;
      newTalk(sockets, fd).say({ token, rank });
    }
    answer(meeting, sockets, listener, token, fds, talk);
    talk.say({ ready: true });
    listen(meeting, sockets, talk);
    return { fds, people, near: outside === undefined };
  } catch (error) {
    talk.say({ error: plain(error) });
    for (const fd of fds) if (fd !== undefined) sockets.close(fd);
    throw error;
  } finally {
    if (listener !== undefined) sockets.close(listener);
  }
}

/** Finds rank 0. */
function reachFirst(meeting: Meeting, sockets: Sockets): { talk: Talk; token: string } {
  const { rank, size, folder, deadline } = meeting;
  let last: Invitation | undefined, since = 0, noted = false;
  try {
    return again(() => {
      const found = readInvitation(meeting, "tcp");
      if (performance.now() > deadline) throw found ? unanswered(meeting, found) : missing(meeting, [0]);
      if (!found) return undefined;
      if (found.token !== last?.token) since = performance.now();
      last = found;
      for (const { host, port } of found.addresses) {
        if (host === LOOPBACK && found.host !== machine()) continue;
        const fd = sockets.dial(host, port, Math.min(DIAL, deadline - performance.now()));
        if (fd === undefined) continue;
        const talk = newTalk(sockets, fd);
        talk.trust();
        talk.say({ token: found.token, rank, size, person: myself() });
        const welcome = firstWords(sockets, talk);
        if (welcome?.error) throw cannotMeet(String(welcome.error));
        if (welcome) return { talk, token: found.token };
        talk.close();
      }
      const lost = found.host !== machine() || performance.now() - since > LOST_ON_LOOPBACK;
      if (lost && !noted) {
        noted = true;
        makeFolder(folder, 0o700);
        writeFile(`${folder}/far-${rank}`, new Uint8Array(0), { mode: 0o600 });
      }
      return undefined;
    }, 50);
  } finally {
    if (noted) removeFile(`${folder}/far-${rank}`);
    if (performance.now() > deadline) endMeeting(meeting, undefined);
  }
}

function firstWords(sockets: Sockets, talk: Talk): Words | undefined {
  for (const end = performance.now() + PATIENCE; performance.now() < end; awaitAny(sockets, [talk.fd], 100)) {
    const words = talk.hear();
    if (words !== undefined) return words ?? undefined;
  }
  return undefined;
}

function unanswered(meeting: Meeting, { addresses, host }: Invitation): Error {
  const where = addresses.map(({ host, port }) => `${host}:${port}`).join(", ");
  return cannotMeet(
    `rank 0 on ${host} does not answer at ${where} within ${
      meeting.timeout / 1000
    } s: either ${meeting.path} is left from ` +
      "an earlier job and rank 0 of this one was not started, or a firewall is between the machines",
  );
}

/** The next words of rank 0, which may be waiting for others. */
function listen(meeting: Meeting, sockets: Sockets, talk: Talk): Words {
  for (
    const end = Math.max(meeting.deadline, performance.now()) + 4 * PATIENCE;;
    awaitAny(sockets, [talk.fd], 100)
  ) {
    const words = talk.hear();
    if (words?.error) throw cannotMeet(String(words.error));
    if (words) return words;
    if (words === null) throw cannotMeet("rank 0 has ended before all ranks had met");
    if (performance.now() > end) throw cannotMeet("rank 0 says nothing more");
  }
}

/** Opens the door to all ranks above. */
function answer(
  { rank, size }: Meeting,
  sockets: Sockets,
  listener: number,
  token: string,
  fds: (number | undefined)[],
  first: Talk,
): void {
  const strangers = new Set<Talk>();
  const end = performance.now() + 2 * PATIENCE;
  for (let expected = size - 1 - rank; expected > 0;) {
    awaitAny(sockets, [listener, first.fd, ...[...strangers].map(({ fd }) => fd)], 100);
    for (let fd = sockets.accept(listener); fd !== undefined; fd = sockets.accept(listener)) {
      strangers.add(newTalk(sockets, fd));
    }
    for (const talk of strangers) {
      const words = talk.hear();
      if (words === undefined && performance.now() - talk.since < PATIENCE) continue;
      strangers.delete(talk);
      const other = words && sameSecret(words.token, token) ? Number(words.rank) : 0;
      if (other > rank && other < size && fds[other] === undefined) {
        fds[other] = talk.fd;
        expected--;
      } else talk.close();
    }
    const words = expected > 0 ? first.hear() : undefined;
    if (words === null) throw cannotMeet("rank 0 has ended before all ranks had met");
    if (words?.error) throw cannotMeet(String(words.error));
    if (performance.now() < end) continue;
    const absent = fds.findIndex((fd, other) => other > rank && fd === undefined);
    throw cannotMeet(`rank ${absent} does not call at the door of rank ${rank} on ${machine()}`);
  }
  for (const talk of strangers) talk.close();
}
