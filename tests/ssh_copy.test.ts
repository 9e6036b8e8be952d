/** Copies between here and hosts, against a private sshd: what arrives, what must not, and what is left behind. */
import { Copier, copy, CopyError, type CopyProgress, disconnect, Host, parsePlace } from "@pathos/pathos/ssh";
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import process from "node:process";
import { processesBelow, tempDir, test, until } from "./harness.ts";
import { type Sshd, SSHD_PROGRAMS, type SshdOptions, startSshd } from "./sshd.ts";

/** A server, a host that leads to it, and a folder on either side. */
interface Stage {
  sshd: Sshd;
  host: Host;
  /** A folder here. */
  here: string;
  /** A folder on the host, seen from here. */
  there: string;
  /** A place on the host. */
  at(path: string): { host: Host; path: string };
}

/** How the host is reached: by either client, or by the first as a host that offers SFTP and nothing else. */
type Way = "openssh" | "ssh2" | "sftp";

async function withStage(
  way: Way,
  body: (stage: Stage) => Promise<void>,
  options?: SshdOptions,
): Promise<void> {
  await using sshd = await startSshd(
    way === "sftp" ? { extraConfig: "ForceCommand internal-sftp" } : options,
  );
  using folder = tempDir();
  const host = new Host({ ...sshd.host(), transport: way === "ssh2" ? "ssh2" : "openssh" });
  const [here, there] = [`${folder.path}/here`, `${folder.path}/there`];
  mkdirSync(here);
  mkdirSync(there);
  try {
    await body({ sshd, host, here, there, at: (path) => ({ host, path: `${there}/${path}` }) });
  } finally {
    await disconnect();
  }
  await until(() => sshd.processes().length === 0, 30_000, "nothing is left on the host");
  await until(() => sshHere().length === 0, 30_000, "no ssh runs here");
}

function on(ways: readonly Way[]): (name: string, body: (stage: Stage) => Promise<void>) => void {
  return (name, body) => {
    for (const way of ways) test.needs(SSHD_PROGRAMS, `${way}: ${name}`, () => withStage(way, body));
  };
}
const any = on(["openssh", "ssh2", "sftp"]);
const openssh = on(["openssh"]);

const MIB = 1024 * 1024;
const WHEN = new Date("2021-03-04T05:06:07Z");

/** Names below a folder with what is there, one line each; parts of copies included. */
function listing(root: string): string[] {
  const lines: string[] = [];
  const visit = (path: string) => {
    for (const name of readdirSync(`${root}/${path}`).sort()) {
      const below = path ? `${path}/${name}` : name;
      const stats = lstatSync(`${root}/${below}`);
      if (stats.isSymbolicLink()) lines.push(`${below} -> ${readlinkSync(`${root}/${below}`)}`);
      else if (stats.isDirectory()) {
        lines.push(`${below}/ ${(stats.mode & 0o777).toString(8)}`);
        visit(below);
      } else {
        const text = stats.size < 100 ? readFileSync(`${root}/${below}`, "utf8") : `${stats.size} bytes`;
        lines.push(`${below} ${(stats.mode & 0o777).toString(8)} ${stats.mtime.toISOString()} ${text}`);
      }
    }
  };
  visit("");
  return lines;
}

/** A folder with a bit of everything. */
function makeTree(root: string): void {
  mkdirSync(`${root}/sub/deep`, { recursive: true });
  mkdirSync(`${root}/empty folder`);
  const files: Record<string, string> = {
    "plain.txt": "plain",
    "with space": "1",
    'it\'s "quoted"': "2",
    "new\nline": "3",
    "-rf": "4",
    "$HOME `id` ;&|": "5",
    "back\\slash": "6",
    "sub/ünïcödé 漢字 🦕": "7",
    "sub/deep/.hidden": "8",
    "sub/deep/10:30.log": "9",
    "sub/empty": "",
    [`sub/${"long".repeat(60)}`]: "10",
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(`${root}/${name}`, text);
  symlinkSync("plain.txt", `${root}/link`);
  symlinkSync("../nowhere", `${root}/sub/dangling`);
  chmodSync(`${root}/plain.txt`, 0o640);
  chmodSync(`${root}/-rf`, 0o755);
  chmodSync(`${root}/sub/deep`, 0o750);
  for (const name of Object.keys(files)) utimesSync(`${root}/${name}`, WHEN, WHEN);
}

const failure = async (work: Promise<unknown>): Promise<CopyError> =>
  await assertRejects(() => work, CopyError);
const parts = (folder: string) => listing(folder).filter((line) => line.includes("pathos-part"));

test("a place is read as scp reads it, and as an address", () => {
  const read = (place: string) => {
    const { host, path } = parsePlace(place);
    return [host, path];
  };
  assertEquals(read("data/x"), [undefined, "data/x"]);
  assertEquals(read("./a:b"), [undefined, "./a:b"]);
  assertEquals(read("/a:b"), [undefined, "/a:b"]);
  assertEquals(read("me@web1:data"), ["me@web1", "data"]);
  assertEquals(read("web1:"), ["web1", "."]);
  assertEquals(read("web1:~/a b"), ["web1", "a b"]);
  assertEquals(read("me@[::1]:/x:y"), ["me@[::1]", "/x:y"]);
  assertEquals(read("ssh://me@web1:2222/a%20b"), ["ssh://me@web1:2222", "/a b"]);
  assertEquals(read("ssh://web1/~/a"), ["ssh://web1", "a"]);
  assertEquals(parsePlace({ path: "a:b" }), { host: undefined, path: "a:b" });
  assertThrows(() => parsePlace(":x"), TypeError, "no host");
  assertThrows(() => parsePlace(""), TypeError, "empty");
  assertThrows(() => parsePlace("a\0b"), TypeError, "NUL");
});

any(
  "a folder with every kind of name arrives as it is, there and back and from host to host",
  async (stage) => {
    const { here, there, at } = stage;
    makeTree(`${here}/tree`);
    const report = await copy(`${here}/tree`, at("copy"), { checksum: true });
    assertEquals([report.files, report.skipped], [12, []]);
    assertEquals(listing(`${there}/copy`), listing(`${here}/tree`));
    await copy(at("copy"), at("again"), { checksum: true });
    assertEquals(listing(`${there}/again`), listing(`${here}/tree`));
    await copy(at("again"), `${here}/back`, { checksum: true });
    assertEquals(listing(`${here}/back`), listing(`${here}/tree`));
    await copy(`${here}/back`, `${here}/local`, { checksum: true });
    assertEquals(listing(`${here}/local`), listing(`${here}/tree`));
    assertEquals([...parts(here), ...parts(there)], []);
  },
);

any(
  "files of all sizes arrive byte by byte, with modes and times or without",
  async ({ here, there, at }) => {
    const size = process.platform === "linux" ? 20 * MIB + 7 : 1;
    const sizes = { zero: 0, one: 1, block: 512, large: size };
    for (const [name, size] of Object.entries(sizes)) {
      const bytes = randomBytes(size);
      writeFileSync(`${here}/${name}`, bytes, { mode: 0o700 });
      utimesSync(`${here}/${name}`, WHEN, WHEN);
      await copy(`${here}/${name}`, at(name));
      await copy(at(name), `${here}/${name}.back`, { onProgress() {} });
      await copy(at(name), `${here}/${name}.new`, { preserve: false });
      assert(readFileSync(`${there}/${name}`).equals(bytes), name);
      assert(readFileSync(`${here}/${name}.back`).equals(bytes), name);
      assert(readFileSync(`${here}/${name}.new`).equals(bytes), name);
      const { mode, mtime } = statSync(`${here}/${name}.back`);
      assertEquals([mode & 0o777, mtime], [0o700, WHEN]);
      const fresh = statSync(`${here}/${name}.new`);
      assertEquals(fresh.mode & 0o777, 0o777 & ~process.umask());
      assert(fresh.mtime.getTime() > Date.now() - 60_000);
    }
    await copy(`${here}/one`, at("plain"), { preserve: false });
    assert(statSync(`${there}/plain`).mtime.getTime() > Date.now() - 60_000);
  },
);

openssh("the target is a folder, a name or too much to ask, as with scp", async ({ here, there, at }) => {
  writeFileSync(`${here}/a`, "a");
  writeFileSync(`${here}/b`, "b");
  mkdirSync(`${here}/folder`);
  writeFileSync(`${here}/folder/c`, "c");
  mkdirSync(`${there}/in`);
  await copy(`${here}/a`, at("in"));
  await copy(`${here}/a`, at("in/"));
  await copy(`${here}/a`, at("in/other"));
  await copy([`${here}/a`, `${here}/b`, `${here}/folder`], at("in"));
  await copy(`${here}/folder/.`, at("in"));
  await copy(`${here}/folder`, at("new/"));
  const names = (folder: string) => readdirSync(folder).sort();
  assertEquals(names(`${there}/in`), ["a", "b", "c", "folder", "other"]);
  assertEquals(names(`${there}/new`), ["c"]);
  for (const target of [at, (path: string) => `${here}/${path}`]) {
    const missing = await failure(copy(`${here}/a`, target("none/")));
    assertStringIncludes(
      missing.message,
      "asks for a folder".replace("asks", typeof target("x") === "string" ? "ask" : "asks"),
    );
    assertEquals((await failure(copy([`${here}/a`, `${here}/b`], target("none")))).failure, "not-found");
    assertEquals((await failure(copy(`${here}/a`, target("no/such/place")))).failure, "not-found");
  }
  assertEquals(
    (await failure(copy(`${here}/folder`, at("x"), { recursive: false }))).message.includes("recursive"),
    true,
  );
  assertEquals((await failure(copy(`${here}/folder`, at("in/a")))).failure, "in-the-way");
  mkdirSync(`${there}/in/dir/a`, { recursive: true });
  assertEquals((await failure(copy(`${here}/a`, at("in/dir")))).failure, "in-the-way");
  assertEquals([...parts(here), ...parts(there)], []);
});

any(
  "a folder merges into one that exists, and refuses as a whole what is in the way",
  async ({ here, there, at }) => {
    makeTree(`${here}/tree`);
    for (
      const [root, to, from] of [[`${there}/m`, at("m"), `${here}/tree/.`], [
        `${here}/m`,
        `${here}/m`,
        at("m/."),
      ]] as const
    ) {
      mkdirSync(`${root}/sub`, { recursive: true });
      writeFileSync(`${root}/sub/own`, "own");
      writeFileSync(`${root}/plain.txt`, "old");
      const before = listing(root);
      const kept = await failure(copy(from, to, { overwrite: false }));
      assertEquals(kept.failure, "in-the-way");
      assertEquals(listing(root), before);
      await copy(from, to);
      assertEquals(listing(root).filter((line) => !line.startsWith("sub/own")), listing(`${here}/tree`));
      assertEquals(readFileSync(`${root}/sub/own`, "utf8"), "own");
    }
    mkdirSync(`${there}/clash/plain.txt`, { recursive: true });
    const clash = await failure(copy(`${here}/tree/.`, at("clash")));
    assertEquals(clash.failure, "in-the-way");
    assertStringIncludes(clash.message, "plain.txt");
    assertEquals(readdirSync(`${there}/clash`), ["plain.txt"]);
  },
);

any("nothing is written through a link that is in the target", async ({ here, there, at }) => {
  mkdirSync(`${here}/tree/sub`, { recursive: true });
  writeFileSync(`${here}/tree/sub/x`, "x");
  writeFileSync(`${here}/tree/file`, "new");
  for (
    const [root, to, from] of [[there, at("t"), `${here}/tree/.`], [
      here,
      `${here}/t`,
      at("source/."),
    ]] as const
  ) {
    mkdirSync(`${root}/t`);
    mkdirSync(`${root}/outside`);
    writeFileSync(`${root}/victim`, "old");
    symlinkSync("../outside", `${root}/t/sub`);
    symlinkSync("../victim", `${root}/t/file`);
    if (root === here) execFileSync("cp", ["-r", `${here}/tree`, `${there}/source`]);
    const refused = await failure(copy(from, to));
    assertEquals([refused.failure, refused.message.includes("link")], ["in-the-way", true]);
    execFileSync("rm", [`${root}/t/sub`]);
    await copy(from, to);
    assertEquals([readFileSync(`${root}/victim`, "utf8"), readdirSync(`${root}/outside`)], ["old", []]);
    assertEquals(readFileSync(`${root}/t/file`, "utf8"), "new");
    assert(!lstatSync(`${root}/t/file`).isSymbolicLink());
  }
});

openssh(
  "links are kept or followed, hard links stay one file, sockets are left out by name",
  async ({ here, there, at }) => {
    mkdirSync(`${there}/tree`);
    writeFileSync(`${there}/tree/a`, "a");
    execFileSync("ln", [`${there}/tree/a`, `${there}/tree/b`]);
    symlinkSync("a", `${there}/tree/l`);
    execFileSync("mkfifo", [`${there}/tree/pipe`]);
    const report = await copy(at("tree"), `${here}/kept`, { checksum: true });
    assertEquals(report.skipped.map((path) => path.split("/").pop()), ["pipe"]);
    assertEquals(readlinkSync(`${here}/kept/l`), "a");
    assertEquals(statSync(`${here}/kept/a`).ino, statSync(`${here}/kept/b`).ino);
    await copy(at("tree"), `${here}/followed`, { links: "follow", checksum: true });
    assertEquals(lstatSync(`${here}/followed/l`).isFile(), true);
    execFileSync("mkfifo", [`${here}/kept/pipe`]);
    assertEquals((await copy(`${here}/kept`, at("up"), { links: "follow" })).skipped.length, 1);
    assertEquals(lstatSync(`${there}/up/l`).isFile(), true);
    symlinkSync("..", `${here}/kept/circle`);
    assertStringIncludes(
      (await failure(copy(`${here}/kept`, at("x"), { links: "follow" }))).message,
      "circle",
    );
  },
);

any(
  "names that are not valid UTF-8 come here, merge, and go on to other hosts unchanged",
  async ({ here, there, at }) => {
    const names = (folder: string) =>
      execFileSync("sh", ["-c", 'cd "$0" && find . | LC_ALL=C sort | od -An -c', folder], {
        encoding: "utf8",
      });
    execFileSync("sh", [
      "-c",
      `mkdir -p "$0/tree/sub" && cd "$0/tree" && d=$(printf 'd\\377') f=$(printf 'f\\376 x')
    mkdir "$d" && echo 1 >"$d/$f" && echo 2 >"$d/plain" && echo 3 >"sub/$f" && ln -s "$f" "sub/link"`,
      there,
    ]);
    await copy(at("tree"), `${here}/tree`, { checksum: true });
    assertEquals(names(`${here}/tree`), names(`${there}/tree`));
    await copy(at("tree"), at("copy"), { checksum: true });
    assertEquals(names(`${there}/copy`), names(`${there}/tree`));
    mkdirSync(`${here}/merged/sub`, { recursive: true });
    await copy(at("tree/."), `${here}/merged`);
    assertEquals(names(`${here}/merged`), names(`${there}/tree`));
    const upwards = await failure(copy(`${here}/tree`, at("x")));
    assertStringIncludes(upwards.message, "not valid UTF-8");
    assertEquals([...readdirSync(here), ...readdirSync(there)].sort(), ["copy", "merged", "tree", "tree"]);
  },
);

/** Programs on the host that stand in for its own: shell scripts by name. */
function withPrograms(
  name: string,
  programs: () => Record<string, string>,
  body: (stage: Stage) => Promise<void>,
): void {
  for (const transport of ["openssh", "ssh2"] as const) {
    test.needs(SSHD_PROGRAMS, `${transport}: ${name}`, async () => {
      using bin = tempDir();
      const env = { PATH: `${bin.path}:${process.env.PATH}` };
      await withStage(transport, (stage) => {
        for (const [program, script] of Object.entries(programs())) {
          writeFileSync(`${bin.path}/${program}`, `#!/bin/sh\nPATH=\${PATH#*:}\n${script}\n`, {
            mode: 0o755,
          });
        }
        return body(stage);
      }, { env });
    });
  }
}

const ATTACKS = {
  absolute: "touch x && tar -cPf - --no-recursion --transform 's|^x|/tmp/pathos-escape|' . x",
  upwards: "touch x && tar -cPf - --no-recursion --transform 's|^x|./../pathos-escape|' . x",
  through:
    "ln -s /tmp l && touch x && tar -cPf - --no-recursion --transform 's|^x|./l/pathos-escape|' . ./l x",
  replaced: "ln -s /tmp l && mkdir x && tar -cPf - --no-recursion --transform 's|^x|./l|' . ./l x",
  hard: "touch x && ln x y && tar -cPf - --no-recursion --transform 's|^x|/etc/passwd|;s|^y|./y|' . x y",
};
for (const [name, attack] of Object.entries(ATTACKS)) {
  withPrograms(
    `what a host sends that leads outside is refused (${name})`,
    () => ({ tar: `cd "$(mktemp -d)" && ${attack}; rm -rf "$PWD"` }),
    async ({ here, there, at }) => {
      mkdirSync(`${there}/d`);
      const error = await failure(copy(at("d"), `${here}/d`));
      assertEquals(error.failure, "unsafe", error.message);
      assertStringIncludes(error.message, "host1:");
      assertEquals([readdirSync(here), existsSync("/tmp/pathos-escape")], [[], false]);
    },
  );
}

withPrograms(
  "a checksum finds what was changed on the way, and nothing of it stays",
  () => ({
    cat: 'if [ "$1" = -- ]; then exec <"$2"; fi; tr a b',
    tar: 'case $1 in -x*) tar "$@" && echo changed >tree/file ;; *) tar "$@" | tr a b ;; esac',
  }),
  async ({ here, there, at }) => {
    for (const root of [here, there]) {
      mkdirSync(`${root}/tree`);
      writeFileSync(`${root}/tree/file`, "a".repeat(1000));
    }
    const checksum = true;
    for (
      const work of [
        () => copy(`${here}/tree/file`, at("out"), { checksum }),
        () => copy(`${here}/tree`, at("out"), { checksum }),
        () => copy(at("tree/file"), `${here}/out`, { checksum }),
      ]
    ) {
      const error = await failure(work());
      assertEquals([error.failure, readdirSync(here), readdirSync(there)], ["mismatch", ["tree"], ["tree"]]);
      assertStringIncludes(error.message, "SHA-256");
    }
    await copy(`${here}/tree/file`, at("out")); // unasked, nobody looks
    assertEquals(readFileSync(`${there}/out`, "utf8"), "b".repeat(1000));
  },
);

for (const transport of ["openssh", "ssh2"] as const) {
  test.needs(
    SSHD_PROGRAMS,
    `${transport}: a host without tar is copied to over SFTP, or says what it lacks`,
    async () => {
      using bin = tempDir();
      execFileSync("sh", ["-c", 'ln -sf /usr/bin/* /bin/* "$0" && rm "$0/tar"', bin.path]);
      await withStage(transport, async ({ here, there, at }) => {
        makeTree(`${here}/tree`);
        const error = await failure(copy(`${here}/tree`, at("tree"), { protocol: "stream" }));
        assertEquals(error.failure, "unsupported");
        assertStringIncludes(error.message, "there is no tar on the host");
        assertEquals(readdirSync(there), []);
        await copy(`${here}/tree`, at("tree"));
        await copy(at("tree"), `${here}/back`, { checksum: true });
        assertEquals(listing(`${here}/back`), listing(`${here}/tree`));
      }, { env: { PATH: bin.path } });
    },
  );
}

test.needs(SSHD_PROGRAMS, "a host that offers neither a shell nor SFTP says so", async () => {
  for (const transport of ["openssh", "ssh2"] as const) {
    await using sshd = await startSshd({ extraConfig: "ForceCommand exit 1" });
    const host = new Host({ ...sshd.host(), transport });
    const error = await assertRejects(() => copy({ host, path: "x" }, "y"), Error);
    assertStringIncludes(error.message, "host1: no command could be run");
    await disconnect();
  }
});

any("what is missing, closed or read-only is told with file and host", async ({ here, there, at }) => {
  writeFileSync(`${here}/a`, "a");
  const none = await failure(copy(at("no such"), `${here}/x`));
  assertEquals(none.failure, "not-found");
  assertStringIncludes(none.message, `host1:${there}/no such`);
  const local = await failure(copy(`${here}/no such`, at("x")));
  assertEquals([local.failure, local.message.includes(`${here}/no such`)], ["not-found", true]);
  const closed = await failure(copy(`${here}/a`, { host: at("").host, path: "/proc/a" }));
  assertStringIncludes(closed.message, "host1:/proc/a");
  const special = await failure(copy({ host: at("").host, path: "/dev/null" }, `${here}/x`));
  assertStringIncludes(special.message, "neither a file nor a folder");
  assertEquals(readdirSync(here), ["a"]);
});

/** Runs `body` on a small or read-only file system of its own, where one can be mounted. */
function onFileSystem(
  name: string,
  options: string,
  body: (stage: Stage, mounted: string) => Promise<void>,
): void {
  const title = `openssh: ${name}`;
  if (process.getuid?.() !== 0) return test.needs(["root to mount a file system"], title, () => {});
  test.needs([...SSHD_PROGRAMS, "mount", "umount"], title, () =>
    withStage("openssh", async (stage) => {
      const mounted = `${stage.there}/mounted`;
      mkdirSync(mounted);
      execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", mounted]);
      try {
        await body(stage, mounted);
      } finally {
        execFileSync("umount", [mounted]);
      }
    }));
}

onFileSystem(
  "a full disk is named, on either side, and nothing stays on it",
  "size=4m",
  async ({ here, there, at }, mounted) => {
    mkdirSync(`${here}/tree`);
    for (const root of [`${here}/tree`, there]) writeFileSync(`${root}/large`, randomBytes(6 * MIB));
    mkdirSync(`${there}/tree`);
    writeFileSync(`${there}/tree/large`, randomBytes(6 * MIB));
    for (
      const work of [
        () => copy(`${here}/tree/large`, at("mounted")),
        () => copy(`${here}/tree/large`, at("mounted"), { onProgress() {} }),
        () => copy(`${here}/tree`, at("mounted")),
        () => copy(at("large"), mounted),
        () => copy(at("large"), mounted, { onProgress() {} }),
        () => copy(at("tree"), mounted),
        () => copy(at("tree"), at("mounted")),
      ]
    ) {
      const error = await failure(work());
      assertEquals(error.failure, "full", error.message);
      assertStringIncludes(error.message, "mounted");
      await until(() => readdirSync(mounted).length === 0, 30_000, "the disk is empty again");
    }
  },
);

onFileSystem("a read-only file system is named", "ro", async ({ here, there, at }, mounted) => {
  writeFileSync(`${here}/a`, "a");
  writeFileSync(`${there}/a`, "a");
  mkdirSync(`${here}/tree`);
  for (
    const work of [
      () => copy(`${here}/a`, at("mounted")),
      () => copy(`${here}/tree`, at("mounted")),
      () => copy(at("a"), mounted),
    ]
  ) {
    const error = await failure(work());
    assertEquals([error.failure, error.message.includes("read-only")], ["permission", true], error.message);
  }
});

/** The ssh processes below this one. */
const sshHere = () => processesBelow(process.pid).filter(({ command }) => /^ssh /.test(command));

/** Waits until something of a copy has arrived in a folder. */
async function arrives(folder: string, least = 1): Promise<void> {
  await until(() =>
    readdirSync(folder).some((name) =>
      name.includes("pathos-part") && sizeBelow(`${folder}/${name}`) >= least
    )
  );
}

function sizeBelow(path: string): number {
  try {
    const stats = lstatSync(path);
    return stats.isDirectory()
      ? readdirSync(path).reduce((sum, name) => sum + sizeBelow(`${path}/${name}`), 0)
      : stats.size;
  } catch {
    return 0;
  }
}

openssh(
  "after a kill -9 of ssh nothing stays but what may be resumed, and that is",
  async ({ here, there, at }) => {
    writeFileSync(`${there}/probe`, "");
    writeFileSync(`${here}/large`, randomBytes(MIB));
    for (let i = 0; i < 8; i++) writeFileSync(`${here}/large`, readFileSync(`${here}/large`), { flag: "a" }); // 256 MiB
    for (
      const [work, folder] of [
        [(resume: boolean) => copy(`${here}/large`, at("copy"), { resume }), there],
        [(resume: boolean) => copy(at("copy"), `${here}/back`, { resume }), here],
      ] as const
    ) {
      for (const resume of [false, true]) {
        const copying = failure(work(resume));
        await arrives(folder, 16 * MIB);
        for (const { pid } of sshHere()) process.kill(pid, "SIGKILL");
        const error = await copying;
        assertEquals(error.failure, "connection", error.message);
        assertStringIncludes(error.message, "host1");
        const left = () => readdirSync(folder).filter((name) => name.includes("pathos-part"));
        await until(() => left().length === (resume ? 1 : 0), 30_000, `what is left is ${left()}`);
        await until(() => sshHere().length === 0);
        await until(() => copy(at("probe"), `${here}/probe`).then(() => true, () => false));
      }
      const { resumed, bytes } = await work(true);
      assert(resumed >= 16 * MIB && resumed < bytes, `${resumed} of ${bytes}`);
      assertEquals([bytes, parts(folder)], [256 * MIB, []]);
    }
    execFileSync("cmp", [`${here}/large`, `${here}/back`]);
  },
);

any(
  "a part is continued only if it is the beginning of the source, also in folders",
  async ({ here, there, at }) => {
    const bytes = randomBytes(20 * MIB);
    mkdirSync(`${here}/tree`);
    writeFileSync(`${here}/tree/large`, bytes);
    writeFileSync(`${here}/tree/small`, "small");
    const resume = true;
    writeFileSync(`${there}/.large.pathos-part`, bytes.subarray(0, 5 * MIB));
    assertEquals((await copy(`${here}/tree/large`, at(""), { resume, checksum: true })).resumed, 5 * MIB);
    writeFileSync(`${there}/.large.pathos-part`, randomBytes(5 * MIB));
    assertEquals((await copy(`${here}/tree/large`, at(""), { resume, checksum: true })).resumed, 0);
    mkdirSync(`${there}/out`);
    writeFileSync(`${there}/out/.large.pathos-part`, bytes.subarray(0, 7 * MIB));
    const up = await copy(`${here}/tree/.`, at("out"), { resume, checksum: true });
    assertEquals([up.resumed, up.files, up.bytes], [7 * MIB, 2, 20 * MIB + 5]);
    mkdirSync(`${here}/back`);
    writeFileSync(`${here}/back/.large.pathos-part`, bytes.subarray(0, 9 * MIB));
    const down = await copy(at("out/."), `${here}/back`, { resume, checksum: true });
    assertEquals([down.resumed, down.files, down.bytes], [9 * MIB, 2, 20 * MIB + 5]);
    assertEquals(readdirSync(`${here}/back`), ["large", "small"]);
    assert(readFileSync(`${here}/back/large`).equals(bytes));
  },
);

any("an aborted copy leaves nothing, in any direction", async ({ here, there, at }) => {
  mkdirSync(`${here}/tree`);
  mkdirSync(`${there}/tree`);
  for (const root of [here, there]) {
    writeFileSync(`${root}/tree/large`, "");
    truncateSync(`${root}/tree/large`, 2048 * MIB);
  }
  const before = [readdirSync(here), readdirSync(there)];
  for (
    const [from, to, folder] of [
      [`${here}/tree/large`, at("copy"), there],
      [`${here}/tree`, at("copy"), there],
      [at("tree/large"), `${here}/copy`, here],
      [at("tree"), `${here}/copy`, here],
      [at("tree"), at("copy"), there],
      [`${here}/tree`, `${here}/copy`, here],
    ] as const
  ) {
    const stop = new AbortController();
    const copying = assertRejects(() => copy(from, to, { signal: stop.signal }), DOMException, "enough");
    await arrives(folder, MIB);
    stop.abort(new DOMException("enough", "AbortError"));
    await copying;
    await until(() => parts(folder).length === 0, 30_000, "no part is left");
    assertEquals([readdirSync(here), readdirSync(there)], before);
  }
  await assertRejects(() => copy("a", "b", { signal: AbortSignal.abort() }), DOMException);
});

any("progress only grows and ends with the totals", async ({ here, at }) => {
  makeTree(`${here}/tree`);
  writeFileSync(`${here}/tree/large`, randomBytes(30 * MIB));
  for (const [from, to] of [[`${here}/tree`, at("copy")], [at("copy"), `${here}/back`]] as const) {
    const seen: CopyProgress[] = [];
    const report = await copy(from, to, { onProgress: (progress) => seen.push(progress) });
    assert(seen.length >= 2);
    for (let i = 1; i < seen.length; i++) {
      assert(seen[i].bytes >= seen[i - 1].bytes && seen[i].files >= seen[i - 1].files);
    }
    const { bytes, files, totalBytes, totalFiles } = seen.at(-1)!;
    assertEquals([bytes, files], [report.bytes, report.files]);
    assertEquals([totalBytes, totalFiles], [report.bytes, report.files]);
    assertEquals([seen[0].totalBytes, seen[0].totalFiles], [report.bytes, 13]);
  }
});

openssh(
  "several targets are copied to at once, and each tells how it ended",
  async ({ sshd, here, there, at }) => {
    writeFileSync(`${here}/a`, "a");
    const second = new Host(sshd.host(2));
    const targets = [at("1"), { host: second, path: `${there}/2` }, at("no/such/folder"), `${here}/4`];
    const outcomes = await copy(`${here}/a`, targets, { limit: 2 });
    assertEquals(outcomes.map(({ report }) => report?.files), [1, 1, undefined, 1]);
    assertEquals(outcomes.map(({ target }) => target), targets);
    assert(outcomes[2].error instanceof CopyError);
    assertEquals([readdirSync(there).sort(), readdirSync(here).sort()], [["1", "2"], ["4", "a"]]);
  },
);

openssh("paths on a host are relative to the home folder", async ({ sshd, host, here }) => {
  writeFileSync(`${here}/a`, "a");
  await copy(`${here}/a`, { host, path: "" });
  await copy(`${here}/a`, { host, path: "~/b" });
  await copy(`${here}/a`, { host, path: "-c" });
  assertEquals(readdirSync(sshd.home).filter((name) => !name.startsWith(".")).sort(), ["-c", "a", "b"]);
  await copy({ host, path: "-c" }, `${here}/c`);
  assertEquals(readFileSync(`${here}/c`, "utf8"), "a");
});

test("a folder is not copied into itself", async () => {
  using folder = tempDir();
  mkdirSync(`${folder.path}/a/b`, { recursive: true });
  for (const target of ["a", "a/b", "a/b/c"]) {
    const error = await failure(copy(`${folder.path}/a`, `${folder.path}/${target}`));
    assertStringIncludes(error.message, "itself");
  }
  assertEquals(readdirSync(`${folder.path}/a`), ["b"]);
});

openssh("a Copier is configured once, launched, and killed", async ({ here, there, at }) => {
  writeFileSync(`${here}/a`, "a");
  const copier = new Copier({ source: `${here}/a` });
  assertThrows(() => copier.launch(), TypeError, "destination");
  copier.config({ destination: at("a") });
  assertEquals((await copier.launch().response()).files, 1);
  assertEquals([copier.running, readFileSync(`${there}/a`, "utf8")], [false, "a"]);
  truncateSync(`${here}/a`, 2048 * MIB);
  copier.config({ destination: at("b") });
  copier.launch();
  assertThrows(() => copier.launch(), Error, "already");
  await arrives(there);
  await copier.kill();
  await assertRejects(() => copier.response(), DOMException);
  await until(() => readdirSync(there).join() === "a");
});
