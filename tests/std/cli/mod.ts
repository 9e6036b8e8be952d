// Stand-in for JSR's @std/cli, for machines that cannot reach JSR: the part of it that this project uses.
export { type Args, parseArgs, type ParseOptions } from "./parse_args.ts";
