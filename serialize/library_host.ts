/**
 * What the script of a traveller (travellers.ts) may use of this folder, by file. The bundle of such a script (tasks/library.ts)
 * takes these for the files that it imports, so that there is one registry and one codec in a program.
 */
import * as dumps from "./dumps.ts";
import * as encode from "./encode.ts";
import * as errors from "./errors.ts";
import * as inspector from "./inspector.ts";
import * as intrinsics from "./intrinsics.ts";
import * as loaded from "./loaded.ts";
import * as registry from "./registry.ts";
import * as syntax from "./syntax.ts";
import * as travellers from "./travellers.ts";
import * as wire from "./wire.ts";

/** The files, under their names. */
export function libraryHost(): Readonly<Record<string, unknown>> {
  return {
    "dumps.ts": dumps,
    "encode.ts": encode,
    "errors.ts": errors,
    "inspector.ts": inspector,
    "intrinsics.ts": intrinsics,
    "loaded.ts": loaded,
    "registry.ts": registry,
    "syntax.ts": syntax,
    "travellers.ts": travellers,
    "wire.ts": wire,
  };
}
