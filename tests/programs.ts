/**
 * Which programs and libraries of the operating system are here. This file is only for tests and for the task that runs them.
 *
 * @module
 */
import { existsSync } from "node:fs";
import process from "node:process";

/** Where what the tests need may be: on the path, with the daemons, and where Slurm looks for the library of PMIx. */
function folders(): string[] {
  const machine = process.arch === "arm64" ? "aarch64" : "x86_64";
  return [
    ...(process.env.PATH ?? "").split(":"),
    "/usr/sbin",
    "/sbin",
    `/usr/lib/${machine}-linux-gnu/pmix2/lib`,
  ];
}

/** Those of the programs (or libraries, such as `libpmix.so`) that are not here. */
export function missing(programs: readonly string[]): string[] {
  return programs.filter((program) => !folders().some((folder) => existsSync(`${folder}/${program}`)));
}
