/**
 * Which MPI there is: a library, or where none can be loaded one of our own, over TCP or, where not even C functions can be called,
 * through files. `PATHOS_MPI=mpi`, `tcp` or `files` in the environment asks for one of them, and fails if it cannot be had.
 *
 * The ways without a library need no launcher of MPI either: whatever starts the ranks sets `PATHOS_RANK` and `PATHOS_SIZE`. They are slower
 * than a library (a short message takes some 20 us over TCP), and rank 0 says on standard error that it is so, and why. A rank that is
 * alone needs neither.
 */
import { env, every, stderr } from "../runtime/mod.ts";
import { openSockets, type Sockets } from "../runtime/socket.ts";
import { MpiError } from "./errors.ts";
import { FALLBACK_ABI, FALLBACK_HANDLES, fallbackFunctions } from "./fallback_calls.ts";
import { Engine } from "./fallback_engine.ts";
import { cannotMeet, openMeeting, type Way } from "./fallback_meeting.ts";
import { MpiFailure } from "./fallback_types.ts";
import { fileTransport } from "./file_transport.ts";
import { Libmpi, loadLibmpi } from "./libmpi.ts";
import type { RankEnv } from "./rank_env.ts";
import { meetByTcp } from "./tcp_meeting.ts";
import { tcpTransport } from "./tcp_transport.ts";

/** How often a program that does not call MPI looks whether the others are still there, in milliseconds. */
const LOOK_MS = 500;

/**
 * Loads a library, or does without.
 *
 * @throws {NoMpiError} If there is no library, and `PATHOS_MPI` asks for one.
 * @throws {MpiError} If the other ranks are not there.
 */
export function openMpi(place: RankEnv | undefined): Libmpi {
  const forced = env("PATHOS_MPI") || undefined;
  if (forced !== undefined && !["mpi", "tcp", "files"].includes(forced)) {
    throw new TypeError(`PATHOS_MPI=${forced}: it is "mpi" (a library), "tcp" or "files"`);
  }
  if (forced === "mpi") return loadLibmpi(place);
  const reasons: string[] = [];
  if (forced !== undefined) reasons.push(`PATHOS_MPI=${forced} asks for it`);
  else if (place?.launcher === "pathos") {
    reasons.push("no launcher of MPI started the ranks (PATHOS_RANK is set)");
  } else {
    try {
      return loadLibmpi(place);
    } catch (error) {
      reasons.push(inShort(error));
    }
  }
  const size = sizeOf(place);
  if (!place || size === 1) return alone();
  const found = forced === "files" ? undefined : trySockets(forced === "tcp", reasons);
  return found ? overTcp(place, size, found, reasons) : throughFiles(place, size, reasons);
}

function sizeOf(place: RankEnv | undefined): number {
  if (!place) return 1;
  const { launcher, size, rank } = place;
  if (size === undefined) {
    const what = launcher === "pathos"
      ? "PATHOS_RANK is set"
      : `the launcher (${launcher}) started this as rank ${rank}`;
    throw cannotMeet(`${what}, but not how many ranks there are: set PATHOS_RANK and PATHOS_SIZE for each`);
  }
  if (rank < size) return size;
  throw cannotMeet(`there is no rank ${rank} of ${size}: ranks are numbered from 0`);
}

function trySockets(forced: boolean, reasons: string[]): Sockets | undefined {
  try {
    return openSockets();
  } catch (error) {
    if (forced) throw error;
    const reason = inShort(error);
    if (!reasons.includes(reason)) reasons.push(reason);
    return undefined;
  }
}

function alone(): Libmpi {
  return binding("none", new Engine(0, 1, undefined), "pathos without MPI: one rank");
}

function overTcp(place: RankEnv, size: number, sockets: Sockets, reasons: readonly string[]): Libmpi {
  const connected = meetByTcp(openMeeting(place, size), sockets);
  const where = connected.near ? "on this machine" : "between machines";
  say(place, `${size} ranks talk over TCP ${where}`, reasons);
  const engine = new Engine(place.rank, size, tcpTransport(sockets, connected));
  return binding("tcp", engine, `pathos without MPI: TCP ${where}`);
}

function throughFiles(place: RankEnv, size: number, reasons: readonly string[]): Libmpi {
  const meeting = openMeeting(place, size), transport = fileTransport(meeting);
  say(place, `${size} ranks talk through files in ${meeting.folder}, which is slow`, reasons);
  return binding("files", new Engine(place.rank, size, transport), "pathos without MPI: files");
}

function say({ rank }: RankEnv, what: string, reasons: readonly string[]): void {
  if (rank === 0) stderr.write(`pathos: ${what}: ${reasons.join("; ")}\n`);
}

/** An error as a clause. */
function inShort(error: unknown): string {
  const { name, message } = error as Error;
  if (name === "NotCapable") return "this program may not call C functions (--allow-ffi)";
  return message.split("\n")[0].replace(/[:.]$/, "");
}

function binding(name: Way | "none", engine: Engine, version: string): Libmpi {
  if (name !== "none") watch(engine);
  return new Libmpi({
    name,
    family: "pathos",
    abi: FALLBACK_ABI,
    handle: FALLBACK_HANDLES,
    inPlace: null,
    call: fallbackFunctions(engine, version),
  });
}

/** A program that waits for other things than MPI hears within a second that a rank has aborted, or is lost: that is an error nobody caught. */
function watch(engine: Engine): void {
  const stop = every(LOOK_MS, () => {
    if (engine.over) return stop();
    try {
      engine.tell();
    } catch (error) {
      stop();
      if (!(error instanceof MpiFailure)) throw error;
      throw new MpiError("the watch over the other ranks", error.kind, error.kind, error.message);
    }
  });
}
