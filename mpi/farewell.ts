/**
 * What has to be said to the other ranks before MPI ends in this process: while it still can be. Each is called with the
 * exit status, once, and may end the process itself.
 */
import { stderr } from "../runtime/mod.ts";
import type { Communicator } from "./communicator.ts";

const farewells = new Set<(code: number) => void>();

/** Calls before MPI is ended because the program ends. */
export function beforeFinalize(say: (code: number) => void): void {
  farewells.add(say);
}

/** Says all of it. */
export function sayFarewells(code: number): void {
  for (const say of farewells) say(code);
  farewells.clear();
}

/** Ends the job with these words if the program of this rank ends before it may: the others would wait for it for ever. */
export function mustStay(comm: Communicator, mayGo: () => boolean, meanwhile: string): void {
  beforeFinalize((code) => {
    if (mayGo()) return;
    stderr.write(
      `rank ${comm.rank} of ${comm.size} on ${comm.host} ends the MPI job: its program ended (exit status ${code}) ${meanwhile}\n`,
    );
    comm.abort(code === 0 ? 1 : code);
  });
}
