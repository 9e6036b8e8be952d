/**
 * One computation at a time for a key, among all processes and threads that share an archive. Whoever wants to compute takes
 * the key's flight first; the others wait until the archive has the result, or the flight is free and they take it.
 *
 * Protocol. A flight is a file in the folder `<meeting>-flights`, named by a hash of the key, and it is held by who has
 * an exclusive flock on it: the system takes that away from a process which dies, however it dies. Who has got the lock
 * asks whether the path still leads to the locked file, and begins again if it does not; the holder alone removes the file,
 * before it unlocks. So nobody ever holds a flight by a file that a third one cannot find. A holder that was killed leaves an
 * empty file, which the next one locks and removes.
 *
 * Signs of life. The file's time of change is when the holder took it, and an asynchronous holder renews it every third of
 * the lease. A synchronous one cannot. A holder without a sign of life for a lease no longer blocks: those who wait then
 * compute too, without the flight.
 *
 * What it does not do: a flight saves work and is not a lock that correctness may rest on. Where it cannot be had
 * (no permission for the folder, a full disk, no flock, too many at once in this thread) the caller computes without it.
 */
import {
  builtin,
  type DiskFile,
  every,
  makeFolder,
  newPause,
  openDiskFile,
  sleepSync,
  systemCode,
} from "../runtime/mod.ts";
import { sha256 } from "../serialize/wire.ts";

/** How a wait ended: somebody else's result was found, or it is the caller's turn to compute, and to end the flight then. */
export type Turn<T> = { found: T; flight?: undefined } | { found?: undefined; flight: Flight };

/** A flight that is held. */
export interface Flight {
  /** Gives signs of life from now on, until it ends: for a holder that lets the event loop run. */
  keepAlive(lease: number): void;
  /** Ends it. */
  end(): void | Promise<void>;
}

/** Tries to take a flight, again and again. */
export interface Attempt {
  /** The flight, or undefined while another has it. */
  take(): Flight | undefined | Promise<Flight | undefined>;
  /** Milliseconds since the holder's last sign of life. */
  silence(): number;
  /** Gives up, or lets go of what is not needed by the flight. */
  close(): void;
}

const NO_FLIGHT: Flight = { keepAlive() {}, end() {} };

/** Flights that one thread holds at most, each an open file: beyond this the others compute without. */
const MOST_FLIGHTS = 200;

/** The flights that this thread holds: waiting for one of them without letting the event loop run would never end. */
const mine = new Set<string>();

/** Waits, blocking the thread, for another's result or for the caller's turn. `look` looks into the archive. */
export function turnSync<T>(attempt: FileAttempt, lease: number, look: () => T | undefined): Turn<T> {
  if (attempt.isMine()) return { flight: NO_FLIGHT };
  try {
    for (const pause of pauses()) {
      const turn = turnAtOnce(attempt, look);
      if (turn !== undefined) return turn;
      if (attempt.silence() > lease) break;
      sleepSync(pause);
    }
    return { flight: NO_FLIGHT };
  } finally {
    attempt.close();
  }
}

/** What can be had without waiting; undefined if another has the flight and no result yet: the attempt is then still open. */
export function turnAtOnce<T>(attempt: FileAttempt, look: () => T | undefined): Turn<T> | undefined {
  const flight = attempt.take();
  try {
    const found = look();
    if (found === undefined) return flight && { flight };
    flight?.end();
    attempt.close();
    return { found };
  } catch (error) {
    flight?.end();
    throw error;
  }
}

/** Waits for another's result or for the caller's turn. `look` looks into the archive. */
export async function turn<T>(
  attempt: Attempt,
  lease: number,
  look: () => T | undefined | Promise<T | undefined>,
): Promise<Turn<T>> {
  const sleeper = newPause();
  try {
    for (const pause of pauses()) {
      const flight = await attempt.take();
      try {
        const found = await look();
        if (found === undefined && flight !== undefined) return { flight };
        await flight?.end();
        if (found !== undefined) return { found };
      } catch (error) {
        await flight?.end();
        throw error;
      }
      if (attempt.silence() > lease) break;
      await sleeper.wait(pause);
    }
    return { flight: NO_FLIGHT };
  } finally {
    attempt.close();
  }
}

/** Milliseconds between looks: often at first, since most computations are short. */
function* pauses(): Generator<number> {
  for (let pause = 1;; pause = Math.min(50, pause * 1.5)) yield pause;
}

/** The folder of the flights of who meets at a path. */
export function flightsOf(meeting: string): string {
  return `${meeting}-flights`;
}

/** Attempts at the flight of a key in an archive whose users meet at a path. */
export class FileAttempt implements Attempt {
  readonly #folder: string;
  readonly #path: string;
  #file: DiskFile | undefined;

  constructor(meeting: string, key: string) {
    this.#folder = flightsOf(meeting);
    this.#path = `${this.#folder}/${sha256(key).slice(0, 40)}`;
  }

  /** Whether this thread holds the flight. */
  isMine(): boolean {
    return mine.has(this.#path);
  }

  take(): Flight | undefined {
    if (mine.size >= MOST_FLIGHTS) return NO_FLIGHT;
    try {
      for (;;) {
        const file = this.#file ??= this.#open();
        if (!file.tryLock(true)) return undefined;
        if (file.isCurrent()) {
          const flight = new FileFlight(file);
          this.#file = undefined;
          return flight;
        }
        this.close();
      }
    } catch {
      return NO_FLIGHT; // see above: what cannot be had is done without; the archive itself will tell what is wrong
    }
  }

  silence(): number {
    try {
      return Date.now() - fs().statSync(this.#path).mtimeMs;
    } catch (error) {
      return systemCode(error) === "ENOENT" ? 0 : Infinity; // it has just ended, or cannot be seen
    }
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  #open(): DiskFile {
    try {
      return openDiskFile(this.#path, { create: "missing" });
    } catch (error) {
      if (systemCode(error) !== "ENOENT") throw error;
      makeFolder(this.#folder);
      return openDiskFile(this.#path, { create: "missing" });
    }
  }
}

class FileFlight implements Flight {
  #stop = () => {};

  constructor(readonly file: DiskFile) {
    this.#sign();
    mine.add(file.path);
  }

  keepAlive(lease: number): void {
    if (lease === Infinity) return;
    this.#stop = every(lease / 3, () => {
      try {
        this.#sign();
      } catch {
        this.#stop(); // the others then pass over this flight, in time
      }
    });
  }

  end(): void {
    this.#stop();
    mine.delete(this.file.path);
    try {
      fs().unlinkSync(this.file.path);
    } catch {
      // gone with the archive, or for good in a folder that can no longer be written: unlocked it is in nobody's way
    } finally {
      this.file.close();
    }
  }

  /** Cutting an empty file to nothing changes its time and needs no space. */
  #sign(): void {
    this.file.truncate(0);
  }
}

/** Attempts at the flight of a key in an archive behind a network, which ends the flight of a holder that is gone. */
export class RemoteAttempt implements Attempt {
  readonly #since = performance.now();

  constructor(readonly hold: () => Promise<(() => Promise<void>) | null>) {}

  async take(): Promise<Flight | undefined> {
    let release: (() => Promise<void>) | null;
    try {
      release = await this.hold();
    } catch {
      return NO_FLIGHT; // as with files
    }
    if (release === null) return undefined;
    const end = () =>
      release().catch(() => {
        // the connection is lost, and with it the hold
      });
    return { keepAlive() {}, end };
  }

  silence(): number {
    return performance.now() - this.#since;
  }

  close(): void {}
}

interface Fs {
  statSync(path: string): { mtimeMs: number };
  unlinkSync(path: string): void;
}

const fs = () => builtin<Fs>("node:fs");
