/**
 * What the archives in HDF5 files do besides what all archives do (cache_archives.test.ts): what other programs read in them and
 * write into them, the log beside the file, damage, processes that are killed, and disks that are full.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { File, ready } from "h5wasm/node";
import { HdfArchive, HdfDirArchive, type HdfOptions } from "@pathos/pathos/cache";
import { message, walk } from "./archives.ts";
import { runScript, tempDir, test, until } from "./harness.ts";

/** Uses an archive in a file of its own. */
function inFile(use: (path: string, open: <V>(options?: HdfOptions) => HdfArchive<string, V>) => void): void {
  using folder = tempDir();
  const path = join(folder.path, "archive.h5");
  const opened: { close(): void }[] = [];
  try {
    use(path, <V>(options?: HdfOptions) => {
      const archive = new HdfArchive<string, V>(path, options);
      opened.push(archive);
      return archive;
    });
  } finally {
    for (const archive of opened) {
      try {
        archive.close();
      } catch {
        // a test has damaged its file
      }
    }
  }
}

/** Changes a file as another program would, by h5wasm's own means. */
async function otherProgram<T>(path: string, mode: "r" | "w" | "a", use: (file: File) => T): Promise<T> {
  await ready;
  const file = new File(path, mode);
  try {
    return use(file);
  } finally {
    file.close();
  }
}

const dump = (...args: string[]): string => execFileSync("h5dump", args, { encoding: "utf8" });

const ARRAYS = [
  Int8Array.of(-1, 2),
  Uint8ClampedArray.of(1, 255),
  Uint8Array.of(0, 255),
  Int16Array.of(-300),
  Uint16Array.of(65_535),
  Int32Array.of(-70_000),
  Uint32Array.of(4e9),
  BigInt64Array.of(-(2n ** 60n)),
  BigUint64Array.of(2n ** 64n - 1n),
  Float32Array.of(0.5, -Infinity),
  Float64Array.of(Math.PI, NaN, -0),
  [1, 2.5],
];

for (const kind of ["HdfArchive", "HdfDirArchive"] as const) {
  const open = (path: string, options?: HdfOptions) =>
    kind === "HdfArchive" ? new HdfArchive(path, options) : new HdfDirArchive(path, options);

  test(`${kind} keeps numbers, texts and arrays of every kind as they are`, () => {
    using folder = tempDir();
    const path = join(folder.path, "archive");
    const values = [
      ...ARRAYS,
      ...ARRAYS.map((array) => array.slice(0, 0)),
      "",
      "ä\0 ",
      0.1,
      -0,
      new Uint8Array(2e6),
    ];
    for (const compression of [0, 6]) {
      const options = { serialized: false, compression };
      const archive = open(path, options);
      values.forEach((value, i) => archive.set(i, value));
      for (const [i, value] of values.entries()) assertEquals(archive.get(i), value);
      archive.close();
      using again = open(path, options);
      for (const [i, value] of values.entries()) assertEquals(again.get(i), value);
      assertEquals(again.entry(10)?.size, 24);
      again.drop();
    }
  });

  test(`${kind} says which values have no place in HDF5, and how to keep them`, () => {
    using folder = tempDir();
    using archive = open(join(folder.path, "archive"), { serialized: false });
    for (
      const value of ["\ud800", new (class Own extends DataView<ArrayBuffer> {})(new ArrayBuffer(8)), {
        x: 1,
      }]
    ) {
      assertMatch(message(() => archive.set("a", value)), /"a".*serialized/);
    }
    assertEquals(archive.has("a"), false);
  });

  test.needs(
    ["h5dump"],
    `${kind} shows other programs numbers as numbers, and arrays compressed by gzip`,
    () => {
      using folder = tempDir();
      const path = join(folder.path, "run.h5");
      using archive = open(path, { serialized: false, compression: 4 });
      archive.set("pressure/1", Float64Array.from({ length: 10_000 }, (_, i) => i % 7), {
        tags: ["raw"],
        ttl: 1e6,
      })
        .set("steps", 1000).set("title", "Run 7").set("ids", Int32Array.of(-1, 7));
      if (archive instanceof HdfArchive) archive.flush();
      const file = (key: string) =>
        kind === "HdfArchive" ? path : join(path, `${key.replace("/", "%2f")}.h5`);
      const shown = (key: string) => dump("-d", `/${key.replace("/", "%2F")}`, "-p", "-w", "200", file(key));
      assertMatch(
        shown("pressure/1"),
        /H5T_IEEE_F64LE[^]*\( 10000 \)[^]*DEFLATE \{ LEVEL 4 \}[^]*\(0\): 0, 1, 2, 3, 4, 5, 6, 0,/,
      );
      assertMatch(
        shown("pressure/1"),
        /ATTRIBUTE "expires"[^]*ATTRIBUTE "stored"[^]*ATTRIBUTE "tags"[^]*"\["raw"\]"/,
      );
      assertMatch(shown("steps"), /H5T_IEEE_F64LE[^]*SCALAR[^]*\(0\): 1000\n/);
      assertMatch(shown("title"), /H5T_STRING[^]*H5T_CSET_UTF8[^]*\(0\): "Run 7"/);
      assertMatch(shown("ids"), /H5T_STD_I32LE[^]*\(0\): -1, 7\n/);
      assert(statSync(file("pressure/1")).size < 20_000);
    },
  );
}

test("HdfArchive is read by other programs once it is flushed or closed", async () => {
  using folder = tempDir();
  const path = join(folder.path, "run.h5");
  using archive = new HdfArchive<string, unknown>(path, { serialized: false });
  const seen = () =>
    otherProgram(
      path,
      "r",
      (file) => file.keys().map((key) => [key, (file.get(key) as { value: unknown }).value]),
    );
  archive.set("a", "text").set("b", Float32Array.of(1.5));
  assert(!existsSync(path));
  archive.flush();
  assertEquals(await seen(), [["a", "text"], ["b", Float32Array.of(1.5)]]);
  archive.set("c", 3).set("a", "another").delete("b");
  assertEquals((await seen()).length, 2);
  archive.close();
  assertEquals(await seen(), [["c", 3], ["a", "another"]]);
});

test("HdfArchive takes what another program adds for entries, and says what it cannot read", async () => {
  using folder = tempDir();
  const path = join(folder.path, "run.h5");
  const open = () => new HdfArchive<string, unknown>(path, { serialized: false });
  open().set("ours", 1).close();
  await otherProgram(path, "a", (file) => {
    file.create_dataset({ name: "counts", data: [1, 2, 3], dtype: "<i" });
    file.create_dataset({ name: "many", data: BigInt64Array.of(7n), dtype: "<q", shape: [] });
    file.create_dataset({ name: "label", data: "wörds", dtype: "S", shape: [] });
    file.create_dataset({ name: "fixed", data: "abc", dtype: "S8", shape: [] });
  });
  using archive = open();
  assertEquals(
    [...archive],
    [["ours", 1], ["counts", Int32Array.of(1, 2, 3)], ["many", 7], ["label", "wörds"], ["fixed", "abc"]],
  );
  archive.delete("ours"); // writes the file anew
  archive.close();
  await otherProgram(path, "a", (file) => {
    file.create_group("grüppe");
    file.create_dataset({ name: "matrix", data: [1, 2, 3, 4], shape: [2, 2], dtype: "<d" });
  });
  using again = open();
  assertEquals(again.get("counts"), Int32Array.of(1, 2, 3));
  assertMatch(message(() => again.get("matrix")), /"matrix" cannot be read .*run\.h5: it has 2 dimensions/);
  assertMatch(message(() => again.get("grüppe")), /"grüppe" cannot be read from .*run\.h5: not a dataset/);
  again.set("more", 1).flush(); // what is only added to is not read
  again.delete("counts");
  const before = readFileSync(path);
  assertMatch(
    message(() => again.close()),
    /cannot be brought up to date: .*(matrix|grüppe).*safe in .*run\.h5-log/,
  );
  assertEquals(readFileSync(path), before);
  using last = open();
  assertEquals([last.has("counts"), last.get("more")], [false, 1]);
  unlinkSync(`${path}-log`);
});

test("HdfArchive refuses files of others, damaged ones and those of a newer version, and leaves them as they are", async () => {
  using folder = tempDir();
  const path = join(folder.path, "archive.h5");
  const refused = (expected: RegExp, file = path) => {
    const before = readFileSync(file);
    const error = assertThrows(() => new HdfArchive(path), Error);
    assertMatch(error.message, expected);
    assertStringIncludes(error.message, file);
    assertEquals(readFileSync(file), before);
  };
  await otherProgram(path, "w", (file) => file.create_dataset({ name: "theirs", data: [1, 2] }));
  refused(/of another program/);
  await otherProgram(path, "w", (file) => file.create_attribute("pathos", "entries 2", [], "S9"));
  refused(/newer version/);
  unlinkSync(path);
  const archive = new HdfArchive<string, unknown>(path);
  for (let i = 0; i < 100; i++) archive.set(`k${i}`, "x".repeat(100));
  archive.close();
  const whole = readFileSync(path);
  for (
    const bytes of [
      whole.subarray(0, whole.length - 100),
      whole.subarray(0, 20),
      new Uint8Array(),
      "years of work",
    ]
  ) {
    writeFileSync(path, bytes);
    refused(/not an HDF5 file, or is damaged/);
  }
  writeFileSync(path, whole);
  const log = readFileSync(`${path}-log`);
  writeFileSync(`${path}-log`, "years of work");
  refused(/is not the log/, `${path}-log`);
  writeFileSync(`${path}-log`, log);
  assertThrows(() => new HdfArchive(folder.path), Error, "is a folder");
  using again = new HdfArchive<string, unknown>(path);
  assertEquals(again.size, 100);
});

test("HdfArchive does not mix the changes of one file with another, nor lose them when the file is moved away", () =>
  inFile((path, open) => {
    open<number>().set("a", 1).close();
    const first = readFileSync(path);
    const archive = open<number>();
    archive.set("b", 2);
    const log = readFileSync(`${path}-log`);
    archive.close();
    writeFileSync(`${path}-log`, log); // as after a crash just before the log was emptied
    using again = open<number>();
    assertEquals([...again], [["a", 1], ["b", 2]]);
    again.set("a", 3).close();
    writeFileSync(`${path}-log`, log);
    assertMatch(message(() => open()), /not the file to which the changes in .*-log belong/);
    unlinkSync(path);
    assertMatch(message(() => open()), /is gone, and .*-log holds changes/);
    writeFileSync(path, first);
    assertEquals([...open<number>()], [["a", 1], ["b", 2]]);
  }));

test("HdfArchive opens a file that was copied or removed without its log", () =>
  inFile((path, open) => {
    open<number>().set("a", 1).close();
    const archive = open<number>();
    copyFileSync(path, `${path}.copy`);
    unlinkSync(path);
    assertEquals(open<number>().size, 0);
    assertEquals(archive.get("a"), undefined);
    copyFileSync(`${path}.copy`, path);
    unlinkSync(`${path}-log`);
    assertEquals(open<number>().set("b", 2).get("a"), 1);
  }));

test("HdfArchive shows what another has written, folded or dropped, whatever it holds open", () =>
  inFile((path, open) => {
    const [one, two] = [open<number>(), open<number>()];
    for (let i = 0; i < 3; i++) {
      one.set(`a${i}`, i);
      assertEquals(two.get(`a${i}`), i);
      two.flush();
      two.delete(`a${i}`);
      assertEquals(one.has(`a${i}`), false);
      two.set("x", i);
      one.flush();
      assertEquals([one.get("x"), two.get("x"), two.size], [i, i, 1]);
    }
    one.drop();
    assertEquals(readdirSync(join(path, "..")), []);
    assertEquals(two.size, 0);
    two.set("new", 1);
    assertEquals(open<number>().get("new"), 1);
  }));

test("HdfArchive takes back what a failed transaction wrote, and an inner one alone", () =>
  inFile((path, open) => {
    const archive = open<number>();
    archive.set("a", 1).set("b", 2);
    archive.flush();
    const size = statSync(`${path}-log`).size;
    assertThrows(
      () =>
        archive.transaction(() => {
          archive.set("a", 5).set("c", 5).delete("b");
          archive.clear();
          throw new Error("no");
        }),
      Error,
      "no",
    );
    assertEquals([...archive].sort(), [["a", 1], ["b", 2]]);
    assertEquals(statSync(`${path}-log`).size, size);
    archive.transaction(() => {
      archive.set("a", 6);
      assertThrows(() =>
        archive.transaction(() => {
          archive.set("a", 7).set("b", 7);
          throw new Error("no");
        })
      );
      archive.set("d", 8);
      assertThrows(() => archive.flush(), Error, "in a transaction");
    });
    assertEquals([...open<number>()], [["b", 2], ["a", 6], ["d", 8]]);
  }));

test("HdfArchive brings the file up to date by itself when the log has become large", () =>
  inFile((path, open) => {
    const archive = open<Uint8Array>();
    for (let i = 0; i < 9; i++) archive.set("same", new Uint8Array(8 << 20).fill(i));
    assert(statSync(path).size > 8 << 20);
    assert(statSync(`${path}-log`).size < 16 << 20);
    assertEquals(archive.get("same")?.[1000], 8);
  }));

test("HdfArchive: nothing is lost when several processes write and close at once", async () => {
  using folder = tempDir();
  const path = join(folder.path, "archive.h5");
  const code = `
    import process from "node:process";
    import { HdfArchive } from "@pathos/pathos/cache";
    const [path, who] = process.argv.slice(2);
    for (let round = 0; round < 3; round++) {
      const archive = new HdfArchive(path);
      for (let i = 0; i < 12; i++) {
        archive.set(who + round + "-" + i, i);
        archive.set("shared", who);
        if (archive.get(who + round + "-" + i) !== i) throw new Error("not what was written");
      }
      archive.close();
    }`;
  const runs = await Promise.all(["a", "b", "c"].map((who) => runScript(code, { args: [path, who] })));
  assertEquals(runs.map(({ code, stderr }) => [code, stderr]), Array(3).fill([0, ""]));
  using archive = new HdfArchive<string, number>(path);
  assertEquals(archive.size, 109);
  for (const [key, value] of archive) if (key !== "shared") assertEquals(Number(key.split("-")[1]), value);
  assertEquals(await otherProgram(path, "r", (file) => file.keys().length), 109);
});

test("HdfArchive: a kill at any time loses nothing that was written, and leaves a whole HDF5 file", async () => {
  using folder = tempDir();
  const path = join(folder.path, "archive.h5");
  const code = `
    import { writeSync } from "node:fs";
    import process from "node:process";
    import { HdfArchive } from "@pathos/pathos/cache";
    const archive = new HdfArchive(process.argv[2]);
    for (let i = archive.get("last") ?? 0;; i++) {
      archive.transaction(() => archive.set("k" + i, String(i).repeat(1000)).set("last", i));
      if (i % 5 === 4) archive.flush();
      writeSync(1, i + "\\n");
    }`;
  for (let round = 0; round < 5; round++) {
    const { stdout } = await runScript(code, {
      args: [path],
      onStart: async (pid) => {
        const size = () => existsSync(path) ? statSync(path).size : 0;
        const before = size();
        await until(() => size() > before, 30_000);
        await new Promise((resolve) => setTimeout(resolve, 20 + 17 * round));
        process.kill(pid, "SIGKILL");
      },
    });
    const acknowledged = Number(stdout.trimEnd().split("\n").at(-1));
    await otherProgram(path, "r", (file) => assert(file.keys().length > 1));
    using archive = new HdfArchive<string, unknown>(path);
    const last = archive.get("last") as number;
    assert(last === acknowledged || last === acknowledged + 1, `${last} after ${acknowledged}`);
    for (let i = 0; i <= last; i++) assertEquals(archive.get(`k${i}`), String(i).repeat(1000));
  }
  assertEquals(readdirSync(folder.path).filter((name) => name.endsWith(".tmp")), []);
});

test.needs(["mount"], "HdfArchive: a full disk leaves what was there, and says so", () => {
  using folder = tempDir();
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k", "none", folder.path]);
  try {
    const path = join(folder.path, "archive.h5");
    const archive = new HdfArchive<string, unknown>(path);
    archive.set("a", 1).set("b", 2);
    archive.flush();
    assertMatch(
      message(() => archive.set("a", new Uint8Array(1 << 20))),
      /archive\.h5 cannot be written: the disk is full/,
    );
    assertEquals([...archive], [["a", 1], ["b", 2]]);
    archive.set("c", new Uint8Array(130_000).fill(7));
    const notCopied = message(() => archive.flush());
    assertMatch(notCopied, /archive\.h5 cannot be brought up to date: .*the disk is full/);
    assertEquals([...walk(folder.path)].filter(([path]) => path.endsWith(".tmp")), []);
    assertEquals(archive.get("c"), new Uint8Array(130_000).fill(7));
    archive.delete("a"); // so that all is written anew, by HDF5
    const notWritten = message(() => archive.close());
    assertMatch(
      notWritten,
      /archive\.h5 cannot be brought .*: No space left.* the changes are safe in .*archive\.h5-log/,
    );
    assertEquals([...walk(folder.path)].length, 2);
    execFileSync("mount", ["-o", "remount,ro", folder.path]);
    const reader = new HdfArchive<string, unknown>(path);
    assertEquals([reader.get("b"), (reader.get("c") as Uint8Array).length], [2, 130_000]);
    assertStringIncludes(message(() => reader.set("a", 2)), "read-only");
    assertEquals(reader.size, 2);
    reader.close();
    execFileSync("mount", ["-o", "remount,rw,size=4m", folder.path]);
    using again = new HdfArchive<string, unknown>(path);
    again.set("a", 3).close();
    assertEquals(statSync(`${path}-log`).size, 64);
  } finally {
    execFileSync("umount", [folder.path]);
  }
}, { notHere: process.getuid?.() === 0 ? undefined : "only root may mount" });

test("HdfDirArchive refuses another program's HDF5 file under an entry's name, and a folder of another kind", async () => {
  using folder = tempDir();
  const path = join(folder.path, "fields");
  using archive = new HdfDirArchive<string, number>(path);
  archive.set("a", 1).set("b", 2);
  await otherProgram(join(path, "a.h5"), "w", (file) => file.create_dataset({ name: "a", data: [1] }));
  assertMatch(message(() => archive.get("a")), /a\.h5 is an HDF5 file of another program/);
  copyFileSync(join(path, "b.h5"), join(path, "a.h5"));
  assertMatch(message(() => archive.get("a")), /a\.h5 is damaged: it holds the entry of another key/);
  assertEquals([...archive], [["b", 2]]);
  archive.set("a", 3);
  assertEquals(archive.get("a"), 3);
});

test("HDF5 archives say so where h5wasm is not as expected, and can be made ready by waiting", async () => {
  const real = import.meta.resolve("h5wasm/node");
  const code = `
    import { pathToFileURL } from "node:url";
    const url = pathToFileURL(process.argv[2]);
    globalThis[Symbol.for("pathos.packages")] = { "h5wasm/node": new URL("hdf5_hl.js", url).href };
    const { HdfArchive } = await import("@pathos/pathos/cache");
    try {
      new HdfArchive("archive.h5");
    } catch (error) {
      console.log(error.message);
    }
    await HdfArchive.ready();
    const archive = new HdfArchive("archive.h5", { serialized: false });
    archive.set("a", Float32Array.of(0.5)).flush();
    console.log(archive.get("a")[0]);
    archive.drop();`;
  using folder = tempDir();
  const changed = join(folder.path, "hdf5_util.js");
  writeFileSync(changed, "export default class Changed {}");
  writeFileSync(join(folder.path, "hdf5_hl.js"), `export { ready } from ${JSON.stringify(real)};`);
  const { stdout, stderr } = await runScript(`import process from "node:process";${code}`, {
    args: [changed],
  });
  assertEquals(stderr, "");
  const [said, value] = stdout.trimEnd().split("\n");
  assertMatch(said, /hdf5_util\.js is not as version 0\.10\.3 of h5wasm is .*await HdfArchive\.ready\(\)/);
  assertEquals(value, "0.5");
});
