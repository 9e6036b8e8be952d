// Copying over ssh: ours beside scp, and beside raw ssh (`ssh host cat`, `tar | ssh host tar`), which is what no tool can
// do much better. Cold includes connecting. The second table has a connection that is open already: scp's through
// ControlMaster, ours because a program keeps one for each host. Files lie in memory where the machine allows it, so that
// the tools are measured and not the disk.
import { copy, disconnect, Host } from "../../ssh/mod.ts";
import type { Sshd } from "../../tests/sshd.ts";
import { newSection, type Section, type Target, target } from "../table.ts";

const LARGE = 100_000_000;
const MANY = 2_000;
const COLUMNS = ["100 MB there", "100 MB back", `${MANY} files there`, `${MANY} files back`] as const;

/** How much of it to do. */
export interface CopyWork {
  repetitions: number;
}

/** Measures ms to copy a large file and many small ones, both ways: cold, and over an open connection. */
export async function measureCopies(
  sshd: Sshd,
  { repetitions }: CopyWork,
): Promise<{ cold: Section; open: Section }> {
  const columns = COLUMNS.map((title) => ({ title, better: "less" as const }));
  const cold = newSection("copying, cold (ms)", columns);
  const open = newSection("copying, connection open (ms)", columns);
  const root = await Deno.makeTempDir({ dir: await inMemory(), prefix: "pathos-bench-" });
  cold.notes.push(
    `random bytes; ${MANY} files of 1 to 4 kB in 20 folders; files in ${root.replace(/\/[^/]*$/, "")}`,
  );
  open.notes.push("scp and ssh over a ControlMaster connection");
  const master = new Master(sshd);
  try {
    await makeFiles(root);
    const host = new Host(sshd.host());
    const at = (path: string) => ({ host, path: `${root}/${path}` });
    const ours = [
      () => copy(`${root}/large`, at("out")),
      () => copy(at("large"), `${root}/out`),
      () => copy(`${root}/many`, at("out")),
      () => copy(at("many"), `${root}/out`),
    ];
    for (let i = -1; i < repetitions; i++) { // the first to warm up
      for (const [column, title] of COLUMNS.entries()) {
        const measure = async (section: Section, row: string, work: () => Promise<unknown>) => {
          await Deno.remove(`${root}/out`, { recursive: true }).catch(() => {});
          const start = performance.now();
          await work();
          if (i >= 0) section.add(row, title, performance.now() - start);
          await verify(root, column < 2);
        };
        await disconnect();
        await measure(cold, "pathos copy", ours[column]);
        await measure(open, "pathos copy", ours[column]);
        await disconnect();
        await measure(cold, "scp", () => run("scp", scp(sshd, root, column)));
        await measure(cold, "raw ssh", () => raw(`ssh -F ${sshd.config} host1`, root, column));
        await master.start();
        await measure(open, "scp", () => run("scp", [...master.options, ...scp(sshd, root, column)]));
        await measure(
          open,
          "raw ssh",
          () => raw(`ssh ${master.options.join(" ")} -F ${sshd.config} host1`, root, column),
        );
        await master.stop();
      }
    }
  } finally {
    await master.stop();
    await disconnect();
    await Deno.remove(root, { recursive: true });
  }
  return { cold, open };
}

/** What the project set itself. */
export function copyTargets({ cold, open }: { cold: Section; open: Section }): Target[] {
  const ratio = (what: string, section: Section, column: string, bound: number) =>
    target(
      what,
      ">=",
      bound,
      section.median("scp", column) / section.median("pathos copy", column),
      section.best("scp", column) / section.best("pathos copy", column),
    );
  return [
    ratio("100 MB there, times scp, cold", cold, COLUMNS[0], 0.95),
    ratio("100 MB back, times scp, cold", cold, COLUMNS[1], 0.95),
    ratio(`${MANY} small files there, times scp -r, cold`, cold, COLUMNS[2], 5),
    ratio(`${MANY} small files back, times scp -r, cold`, cold, COLUMNS[3], 5),
    ratio(`${MANY} small files there, times scp -r, open`, open, COLUMNS[2], 5),
    ratio(`${MANY} small files back, times scp -r, open`, open, COLUMNS[3], 5),
  ];
}

/** A folder in memory if there is one with room for all of it. */
async function inMemory(): Promise<string | undefined> {
  try {
    const { stdout } = await new Deno.Command("df", { args: ["-Pk", "/dev/shm"] }).output();
    const free = Number(new TextDecoder().decode(stdout).split("\n")[1].trim().split(/\s+/)[3]);
    return free * 1024 > 5 * LARGE ? "/dev/shm" : undefined;
  } catch {
    return undefined;
  }
}

async function makeFiles(root: string): Promise<void> {
  const bytes = (length: number) => {
    const made = new Uint8Array(length);
    for (let at = 0; at < length; at += 65_536) crypto.getRandomValues(made.subarray(at, at + 65_536));
    return made;
  };
  await Deno.writeFile(`${root}/large`, bytes(LARGE));
  for (let i = 0; i < MANY; i++) {
    const folder = `${root}/many/${i % 20}`;
    await Deno.mkdir(folder, { recursive: true });
    await Deno.writeFile(`${folder}/file ${i}`, bytes(1000 + i * 7919 % 3000));
  }
}

/** A benchmark of what did not arrive would be worth nothing. */
async function verify(root: string, large: boolean): Promise<void> {
  await run("sh", ["-c", large ? 'cmp "$0/large" "$0/out"' : 'diff -rq "$0/many" "$0/out"', root]);
}

function scp(sshd: Sshd, root: string, column: number): string[] {
  const source = `${root}/${column < 2 ? "large" : "many"}`;
  const places = column % 2 ? [`host1:${source}`, `${root}/out`] : [source, `host1:${root}/out`];
  return ["-F", sshd.config, "-q", "-r", ...places];
}

function raw(ssh: string, root: string, column: number): Promise<void> {
  const line = [
    `${ssh} 'cat >${root}/out' <${root}/large`,
    `${ssh} 'cat ${root}/large' >${root}/out`,
    `tar -cf - -C ${root}/many . | ${ssh} 'mkdir ${root}/out && tar -xf - -C ${root}/out'`,
    `mkdir ${root}/out && ${ssh} 'tar -cf - -C ${root}/many .' | tar -xf - -C ${root}/out`,
  ][column];
  return run("sh", ["-c", line]);
}

/** A ControlMaster connection. */
class Master {
  readonly options: string[];
  readonly #sshd: Sshd;
  #process: Deno.ChildProcess | undefined;

  constructor(sshd: Sshd) {
    this.#sshd = sshd;
    this.options = ["-o", `ControlPath=${sshd.folder}/bench.sock`];
  }

  async start(): Promise<void> {
    this.#process = new Deno.Command("ssh", {
      args: ["-F", this.#sshd.config, "-M", ...this.options, "host1", "echo; exec cat"],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    await this.#process.stdout.getReader().read();
  }

  async stop(): Promise<void> {
    if (!this.#process) return;
    this.#process.kill("SIGTERM");
    await this.#process.stdin.close().catch(() => {});
    await this.#process.status;
    this.#process = undefined;
  }
}

async function run(program: string, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args, stdout: "null", stderr: "piped" })
    .output();
  if (!success) throw new Error(`${program} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
}
