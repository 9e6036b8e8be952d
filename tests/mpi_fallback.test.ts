/** The communicator without an MPI library: over TCP and through files. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { execFileSync } from "node:child_process";
import { connect } from "node:net";
import process from "node:process";
import { EVERYTHING } from "./fixtures/mpi_everything.ts";
import {
  runScript,
  runtime,
  RUNTIMES,
  type ScriptOptions,
  type ScriptResult,
  tempDir,
  test,
  until,
} from "./harness.ts";
import { MPIS, PRELUDE, runRanks } from "./mpi.ts";
import { processesWith } from "./processes.ts";

const WAYS = [
  { way: "tcp", said: /^pathos: \d ranks talk over TCP on this machine: PATHOS_MPI=tcp asks for it\n$/ },
  {
    way: "files",
    said: /^pathos: \d ranks talk through files in \S+, which is slow: PATHOS_MPI=files asks for it\n$/,
  },
];

const EXIT = `const exit = globalThis.Deno ? Deno.exit : process.exit;`;
const TIRED = /rank 1 of \d on \S+ ends the MPI job by an error:\nError: rank one is tired\n\s+at /;

/** All ranks make the same plan of messages; each sends its own at once, and receives in an order of its own what is for it. */
const SHUFFLE = `
  const dice = (seed) => (n) => (seed = Math.imul(seed, 1664525) + 1013904223 >>> 0, Math.floor(seed / 2 ** 32 * n));
  const groups = [comm, comm.dup(), comm.split(0, -rank)];
  const lengths = [0, 1, 100, 5000, 65536, 65537, 200_000, 1_000_000];
  for (let round = 0; round < 5; round++) {
    const d = dice(round), mine = dice(100 * rank + round);
    const plan = Array.from({ length: 60 }, () => ({
      from: d(size), to: d(size), tag: d(3), group: d(3), length: lengths[d(8)], fill: d(256),
    }));
    const place = (world, group) => group === 2 ? size - 1 - world : world;
    const sends = plan.filter(({ from }) => from === rank).map(({ to, tag, group, length, fill }) =>
      groups[group].isend(new Uint8Array(length).fill(fill), place(to, group), tag)
    );
    const lists = new Map();
    for (const message of plan.filter(({ to }) => to === rank)) {
      const key = [message.from, message.tag, message.group].join();
      lists.set(key, [...lists.get(key) ?? [], message]);
    }
    while (lists.size > 0) {
      const [key, list] = [...lists][mine(lists.size)];
      const { from, tag, group, length, fill } = list.shift();
      if (list.length === 0) lists.delete(key);
      const there = groups[group], source = place(from, group), way = mine(4);
      let got = new Uint8Array(length);
      if (way === 0) same(there.recv(got, source, tag), { source, tag, count: length });
      else if (way === 1) got = there.recvBytes(source, tag).value;
      else if (way === 2) {
        const coming = there.irecv(got, source, tag);
        while (!coming.test());
      } else {
        same(there.probe(source, tag).count, length);
        await there.recvAsync(got, source, tag);
      }
      ok(got.length === length && got.every((byte) => byte === fill), key);
    }
    sends.forEach((send) => send.wait());
  }
  console.log("every one came");
`;

/** Runs a script as these ranks of a job that no launcher starts. */
function runByHand(
  ranks: number[],
  size: number,
  folder: string,
  code: string,
  options: (rank: number) => ScriptOptions = () => ({}),
): Promise<ScriptResult[]> {
  return Promise.all(ranks.map((rank) => {
    const { env, ...more } = options(rank);
    return runScript(PRELUDE + code, {
      ...more,
      env: { PATHOS_RANK: `${rank}`, PATHOS_SIZE: `${size}`, PATHOS_RENDEZVOUS: folder, ...env },
    });
  }));
}

function upTo(size: number): number[] {
  return Array.from({ length: size }, (_, rank) => rank);
}

/** The invitation of a job by hand, when it is there. */
function meeting(
  folder: string,
  size: number,
): { path: string; token: string; addresses: { host: string; port: number }[] } {
  const path = `${folder}/mpi-pathos-of-${size}/meeting`;
  return { path, ...JSON.parse(readFileSync(path, "utf8")) };
}

function nothingIn(folder: string): void {
  assertEquals(readdirSync(folder), []);
}

for (const { way, said } of WAYS) {
  const env = { PATHOS_MPI: way };

  for (const [i, { name, program }] of MPIS.entries()) {
    const ranks = 2 + 2 * i;
    test.needs(
      [program],
      `${way}: ${ranks} ranks under mpirun of ${name} do everything without the library`,
      async () => {
        using folder = tempDir();
        const { code, stdout, stderr } = await runRanks(MPIS[i], ranks, EVERYTHING, {
          env: { ...env, PATHOS_RENDEZVOUS: folder.path },
        });
        assertEquals([stdout.trim(), code], ["all well", 0], stderr);
        assertMatch(stderr, said);
        nothingIn(folder.path);
      },
    );
  }

  for (const size of [2, 4]) {
    test(`${way}: ${size} ranks that were started by hand do everything`, async () => {
      using folder = tempDir();
      const results = await runByHand(upTo(size), size, folder.path, EVERYTHING, () => ({ env }));
      assertEquals(
        results.map(({ code }) => code),
        upTo(size).map(() => 0),
        results.map(({ stderr }) => stderr).join(),
      );
      assertEquals(results.map(({ stdout }) => stdout).join("").trim(), "all well");
      assertMatch(results[0].stderr, said);
      assertEquals(results.slice(1).map(({ stderr }) => stderr).join(""), "", "only rank 0 says it");
      nothingIn(folder.path);
    });
  }

  test(`${way}: what is refused is an exception after which one can go on`, async () => {
    using folder = tempDir();
    const [, { stdout, stderr, code }] = await runByHand(
      [0, 1],
      2,
      folder.path,
      `
      const said = (call) => { try { call(); } catch (error) { return error.name + ": " + error.message; } return "nothing"; };
      const lines = [
        said(() => comm.send(new Int8Array(1), 99)),
        said(() => comm.send("value", 0, -5)),
        said(() => comm.bcast(1, 7)),
      ];
      for (const length of [10, 1e5]) { // one that goes at once, and one that has to be granted
        if (rank === 0) comm.send(new Int32Array(length), 1);
        else lines.push(said(() => comm.recv(new Int32Array(2), 0)));
      }
      lines.push(said(() => comm.recv(new Int8Array(1), rank)));
      const alone = comm.split(rank);
      lines.push(said(() => alone.recv(new Int8Array(1))));
      lines.push(JSON.stringify(comm.allgather(rank)));
      if (rank === 1) console.log(lines.join("\\n"));
      const { name, family, version } = comm.library;
      if (rank === 1) console.log(name, family, version.length > 10);
    `,
      () => ({ env }),
    );
    assertEquals([stderr, code], ["", 0]);
    const lines = stdout.trim().split("\n");
    assertEquals(lines.length, 9, stdout);
    assertEquals(lines[0], "MpiError: MPI_Send failed: invalid rank: there is no rank 99 in a group of 2");
    assertMatch(lines[1], /^MpiError: MPI_Send failed: invalid tag -5/);
    assertMatch(lines[2], /^MpiError: MPI_Bcast failed: invalid root: there is no rank 7/);
    assertMatch(
      lines[3],
      /^MpiError: MPI_Recv failed: message truncated: 40 bytes .* rank 0 do not go into an array of 8/,
    );
    assertMatch(lines[4], /^MpiError: MPI_Recv failed: message truncated: 400000 bytes/);
    assertMatch(lines[5], /^MpiError: MPI_Recv failed: a rank waits for a message from itself/);
    assertMatch(
      lines[6],
      /^MpiError: MPI_Recv failed: a rank waits for a message in a group of which it is alone/,
    );
    assertEquals(lines.slice(7), ["[0,1]", `${way} pathos true`]);
  });

  test(`${way}: ranks that flood each other before they receive do not wait for each other for ever`, async () => {
    using folder = tempDir();
    const count = way === "tcp" ? 1000 : 100;
    const results = await runByHand(
      [0, 1],
      2,
      folder.path,
      `
      const data = new Uint8Array(60_000), other = 1 - rank;
      for (let i = 0; i < ${count}; i++) comm.send(data.fill(i), other, i % 3);
      const large = [1, 2, 3].map((i) => comm.isend(new Float64Array(300_000).fill(i), other, 10));
      let wrong = 0;
      for (const tag of [2, 0, 1]) {
        for (let i = tag; i < ${count}; i += 3) {
          const { value } = comm.recvBytes(other, tag);
          if (value.length !== 60_000 || value[0] !== i % 256 || value[59_999] !== i % 256) wrong++;
        }
      }
      for (const i of [1, 2, 3]) {
        const into = new Float64Array(300_000);
        comm.recv(into, other, 10);
        if (!into.every((x) => x === i)) wrong++;
      }
      for (const request of large) request.wait();
      const value = comm.isend({ text: "ä".repeat(200_000), rank }, other, 11);
      const came = comm.recv(other, 11);
      value.wait();
      if (came.rank !== other || came.text.length !== 200_000) wrong++;
      console.log("wrong:", wrong);
    `,
      () => ({ env }),
    );
    assertEquals(results.map(({ stdout, code }) => [stdout.trim(), code]), [["wrong: 0", 0], [
      "wrong: 0",
      0,
    ]]);
  });

  test(`${way}: messages of all lengths keep their order, however they are received`, async () => {
    using folder = tempDir();
    const results = await runByHand([0, 1, 2], 3, folder.path, SHUFFLE, () => ({ env }));
    for (const { stdout, stderr, code } of results) {
      assertEquals([stdout, code], ["every one came\n", 0], stderr);
    }
  });

  test(`${way}: a rank that throws ends the job, also ranks that wait for other things or for nothing`, async () => {
    using folder = tempDir();
    const mark = crypto.randomUUID(), start = performance.now();
    const results = await runByHand(
      [0, 1, 2, 3],
      4,
      folder.path,
      `
      comm.barrier();
      if (rank === 0) comm.recv(new Int8Array(1), 3);
      if (rank === 1) throw new Error("rank one is tired");
      if (rank === 2) await new Promise((resolve) => setTimeout(resolve, 25_000));
      if (rank === 3) for (const end = performance.now() + 25_000; performance.now() < end;);
    `,
      () => ({ env: { ...env, PATHOS_TEST_MARK: mark } }),
    );
    assertEquals(results.map(({ expired }) => expired), [false, false, false, false]);
    assertEquals(results.slice(0, 3).map(({ code }) => code), [1, 1, 1]);
    assertEquals(results[3].signal, "SIGKILL", "it never calls MPI");
    assertMatch(results[1].stderr, TIRED);
    assert(performance.now() - start < 20_000);
    assertEquals(processesWith(`PATHOS_TEST_MARK=${mark}`), []);
    nothingIn(folder.path);
  });

  test(`${way}: a rank that is killed is an error in those that wait for it, which names it`, async () => {
    using folder = tempDir();
    let killed = 0;
    const [first, , third] = await runByHand(
      [0, 1, 2],
      3,
      folder.path,
      `
      comm.barrier();
      if (rank === 1) process.kill(process.pid, "SIGKILL");
      let error;
      try { comm.recv(new Int8Array(1), rank === 0 ? 1 : ANY_SOURCE, 5); } catch (e) { error = e; }
      console.log(error.name, error.call, error.message);
      if (rank === 0) comm.send("we two go on", 2);
      else console.log(comm.recv(0));
    `,
      (rank) => ({ env, onStart: (pid) => void (rank === 1 && (killed = pid)) }),
    );
    for (const { stdout } of [first, third]) {
      assertMatch(stdout, /^MpiError MPI_Recv MPI_Recv failed: rank 1 \(process \d+ on \S+\) is lost/);
    }
    assert(first.stdout.includes(`process ${killed} `));
    assertEquals(third.stdout.trim().split("\n")[1], "we two go on");
    assertEquals([first.code, third.code], [0, 0], first.stderr + third.stderr);
    nothingIn(folder.path);
  });

  test(`${way}: a rank that is killed ends the job of those who do not expect that`, async () => {
    using folder = tempDir();
    const results = await runByHand(
      [0, 1, 2],
      3,
      folder.path,
      `
      comm.barrier();
      if (rank === 1) process.kill(process.pid, "SIGKILL");
      if (rank === 0) comm.barrier();
      if (rank === 2) await new Promise((resolve) => setTimeout(resolve, 25_000));
    `,
      () => ({ env }),
    );
    assertEquals(results.map(({ expired }) => expired), [false, false, false]);
    assertEquals([results[0].code, results[2].code], [1, 1]);
    assertMatch(
      results[0].stderr + results[2].stderr,
      /ends the MPI job by an error:\nMpiError: .* rank 1 .* is lost/,
    );
    nothingIn(folder.path);
  });

  test(`${way}: a rank that is killed while the others wait for its end is an error too`, async () => {
    using folder = tempDir();
    const results = await runByHand(
      [0, 1, 2],
      3,
      folder.path,
      `
      comm.barrier();
      if (rank === 1) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        process.kill(process.pid, "SIGKILL");
      }
      if (rank === 2) comm.finalize();
    `,
      () => ({ env }),
    );
    assertEquals([results[0].code, results[2].code], [1, 1]);
    for (const { stderr } of [results[0], results[2]]) {
      assertMatch(stderr, /MpiError: MPI_Finalize failed: rank 1 \(process \d+ on \S+\) is lost/);
    }
    nothingIn(folder.path);
  });

  test(`${way}: the exit status of a rank that exits alone, or aborts, is that of all`, async () => {
    using folder = tempDir();
    const wait = `comm.recv(new Int8Array(1), ANY_SOURCE, ANY_TAG);`;
    const exits = await runByHand(
      [0, 1],
      2,
      folder.path,
      `${EXIT} if (rank === 1) exit(3); ${wait}`,
      () => ({ env }),
    );
    const aborts = await runByHand(
      [0, 1],
      2,
      folder.path,
      `if (rank === 0) comm.abort(7); ${wait}`,
      () => ({ env }),
    );
    const ends = await runByHand([0, 1], 2, folder.path, `${EXIT} comm.barrier(); exit(0);`, () => ({ env }));
    assertEquals([exits, aborts, ends].map((results) => results.map(({ code }) => code)), [[3, 3], [7, 7], [
      0,
      0,
    ]]);
    nothingIn(folder.path);
  });

  test(`${way}: who waits for a rank that has ended gets an error instead of waiting for ever`, async () => {
    using folder = tempDir();
    const results = await runByHand(
      [0, 1],
      2,
      folder.path,
      `
      if (rank === 0) comm.recv(new Int8Array(1), 1);
    `,
      () => ({ env }),
    );
    assertEquals(results.map(({ code }) => code), [1, 1]);
    assertMatch(
      results[0].stderr,
      /MpiError: MPI_Recv failed: rank 1 has ended MPI, and sends nothing any more/,
    );
  });

  test(`${way}: ranks that do not come are named`, async () => {
    using folder = tempDir();
    const limit = () => ({ env: { ...env, PATHOS_RENDEZVOUS_TIMEOUT: "5000" } });
    const [without1and3, without0] = await Promise.all([
      runByHand([0, 2], 4, folder.path, "", limit),
      runByHand([1], 2, folder.path, "", limit),
    ]);
    for (const { code, stderr } of without1and3) {
      assertEquals(code, 1);
      assertMatch(
        stderr,
        /MpiError: MPI_Init_thread failed: ranks 1, 3 have not come within 5 s, of 4 that meet in /,
      );
      assertMatch(stderr, /PATHOS_RENDEZVOUS_TIMEOUT/);
    }
    assertEquals(without0[0].code, 1);
    assertMatch(without0[0].stderr, /rank 0 has not come within 5 s/);
    nothingIn(folder.path);
  });

  test(`${way}: what an earlier job has left is not taken for this one`, async () => {
    using folder = tempDir();
    const wait = runByHand([0], 2, folder.path, "", () => ({
      env,
      onStart: async (pid) => {
        await until(() => existsSync(`${folder.path}/mpi-pathos-of-2/meeting`), 30_000);
        process.kill(pid, "SIGKILL");
      },
    }));
    await wait;
    const { token } = meeting(folder.path, 2);
    const late = runByHand([1], 2, folder.path, "", () => ({ env }));
    // most likely it has now seen what was left; that it comes later would be no failure
    await new Promise((resolve) => setTimeout(resolve, 500));
    const [first] = await runByHand([0], 2, folder.path, `console.log(comm.size)`, () => ({ env }));
    assertEquals([first.stdout.trim(), first.code], ["2", 0], first.stderr);
    assertEquals((await late)[0].code, 0);
    assert(!existsSync(`${folder.path}/mpi-pathos-of-2/meeting`), token);
  });

  test(`${way}: a rank that comes twice ends both`, async () => {
    using folder = tempDir();
    const results = await runByHand([1, 1, 0], 3, folder.path, "", () => ({ env }));
    assertEquals(results.map(({ code }) => code), [1, 1, 1]);
    assertMatch(
      results.map(({ stderr }) => stderr).join(),
      /rank 1 has come twice to .*: two jobs .* PATHOS_JOB=name/,
    );
  });

  test(`${way}: a file or folder that others may write or read is refused`, async () => {
    using folder = tempDir();
    const job = `${folder.path}/mpi-pathos-of-2`;
    mkdirSync(job, { mode: 0o700 });
    writeFileSync(`${job}/meeting`, "{}");
    chmodSync(`${job}/meeting`, 0o644);
    const [file] = await runByHand([1], 2, folder.path, "", () => ({ env }));
    assertMatch(
      file.stderr,
      /MpiError: .*meeting has the mode 644, but only this user may read and write it \(mode 600\)/,
    );
    chmodSync(job, 0o755);
    const [open] = await runByHand([0], 2, folder.path, "", () => ({ env }));
    assertMatch(open.stderr, /MpiError: .*mpi-pathos-of-2 has the mode 755, but only this user/);
    if (process.getuid?.() !== 0) return;
    chmodSync(job, 0o700);
    chownSync(job, 12345, 12345);
    const [foreign] = await runByHand([0], 2, folder.path, "", () => ({ env }));
    assertMatch(foreign.stderr, /mpi-pathos-of-2 belongs to the user with number 12345/);
  });
}

test("tcp: the invitation is private, leads to the loopback address only, and whoever does not know the secret is turned away", async () => {
  using folder = tempDir();
  const job = runByHand(
    [0],
    2,
    folder.path,
    `console.log(comm.recv(1))`,
    () => ({ env: { PATHOS_MPI: "tcp" } }),
  );
  const path = `${folder.path}/mpi-pathos-of-2/meeting`;
  await until(() => existsSync(path), 30_000);
  const { token, addresses } = meeting(folder.path, 2);
  assertEquals([statSync(path).mode & 0o777, statSync(`${folder.path}/mpi-pathos-of-2`).mode & 0o777], [
    0o600,
    0o700,
  ]);
  assertEquals(addresses.map(({ host }) => host), ["127.0.0.1"]);
  assert(token.length >= 32);
  const answer = (text: string) =>
    new Promise<string>((resolve) => {
      const socket = connect(addresses[0].port, "127.0.0.1", () => socket.write(text));
      let heard = "";
      socket.on("data", (bytes) => heard += bytes).on("error", () => {}).on("close", () => resolve(heard));
    });
  for (const words of [{ token: "x".repeat(token.length), rank: 1 }, { rank: 1 }, { token, rank: 7 }, null]) {
    assertEquals(await answer(`${JSON.stringify(words)}\n`), "");
  }
  assertEquals(await answer("GET / HTTP/1.1\r\n\r\n"), "");
  assertEquals(await answer("x".repeat(100_000)), "");
  const [other] = await runByHand(
    [1],
    2,
    folder.path,
    `comm.send("came through", 0)`,
    () => ({ env: { PATHOS_MPI: "tcp" } }),
  );
  const [first] = await job;
  assertEquals(
    [first.stdout.trim(), first.code, other.code],
    ["came through", 0, 0],
    first.stderr + other.stderr,
  );
});

for (const mpi of MPIS) {
  test.needs(
    [mpi.program],
    `${mpi.name}: where no library can be loaded the ranks talk over TCP, also below a script`,
    async () => {
      using folder = tempDir();
      const env = { PATHOS_MPI_LIB: "/nowhere/libmpi.so", PATHOS_RENDEZVOUS: folder.path };
      const code =
        `const sum = comm.allreduce(rank, "sum"); if (rank === 0) console.log(sum, comm.library.name)`;
      const script = {
        ...mpi,
        words: (ranks: number) => [...mpi.words(ranks), "sh", "-c", `"$@"; exit $?`, "sh"],
      };
      // two jobs at the same time do not meet each other
      for (
        const { stdout, stderr, code: status } of await Promise.all([
          runRanks(mpi, 3, code, { env }),
          runRanks(script, 3, code, { env }),
        ])
      ) {
        assertEquals([stdout.trim(), status], ["3 tcp", 0], stderr);
        assertMatch(
          stderr,
          /^pathos: 3 ranks talk over TCP on this machine: no MPI library can be loaded\n$/,
        );
      }
      nothingIn(folder.path);
    },
  );
}

test("where C functions cannot be called the ranks talk through files", async () => {
  using folder = tempDir();
  const results = await runByHand(
    [0, 1],
    2,
    folder.path,
    `console.log(comm.allreduce(rank + 1, "sum"), comm.library.name)`,
    () => ({
      permissions: ["--allow-env", "--allow-read", "--allow-write"],
      flags: { node: ["--require", "./without.cjs"] },
      files: {
        "without.cjs": `const module_ = require("node:module"), load = module_._load;
        module_._load = (name, ...rest) => { if (name === "koffi") throw new Error("not installed"); return load(name, ...rest); };`,
      },
    }),
  );
  assertEquals(
    results.map(({ stdout, code }) => [stdout.trim(), code]),
    [["3 files", 0], ["3 files", 0]],
    results[0].stderr,
  );
  assertMatch(
    results[0].stderr,
    runtime === "deno" ? /may not call C functions \(--allow-ffi\)/ : /Node cannot call C functions alone/,
  );
  assertEquals(results[1].stderr, "");
  nothingIn(folder.path);
});

test("without a launcher and a library there is one rank, which needs no permission and says nothing", async () => {
  const { stdout, stderr, code } = await runScript(
    `${PRELUDE}
    const sent = comm.isend({ to: "myself" }, 0, 3), into = new Int32Array(2);
    const coming = comm.irecv(into, 0, 4);
    comm.send(Int32Array.of(1, 2), 0, 4);
    console.log(rank, size, comm.recv(0, 3).to, coming.wait().count, into[1], comm.allreduce(5, "sum"), comm.bcast([1])[0],
      comm.split(0).size, comm.iprobe(), comm.library.name);
    comm.barrier();`,
    { env: { PATHOS_MPI_LIB: "/nowhere/libmpi.so" }, permissions: ["--allow-env"] },
  );
  assertEquals([stdout.trim(), stderr, code], ["0 1 myself 2 2 5 1 1 undefined none", "", 0]);
});

test("an error after the end of MPI ends the program as always", async () => {
  for (
    const code of [
      `throw new Error("late")`,
      `await Promise.reject(new Error("late"))`,
      `setTimeout(() => { throw new Error("late") })`,
    ]
  ) {
    const { code: status, stderr } = await runScript(`${PRELUDE} comm.finalize(); ${code};`, {
      env: { PATHOS_MPI: "tcp" },
    });
    assertEquals(status, 1);
    assertMatch(stderr, /Error: late/);
    assert(!stderr.includes("MPI job"));
  }
});

test("what PATHOS_MPI asks for and cannot be had is an error", async () => {
  const script = `import { world } from "@pathos/pathos/mpi"; world();`;
  const library = await runScript(script, {
    env: { PATHOS_MPI: "mpi", PATHOS_MPI_LIB: "/nowhere/libmpi.so" },
  });
  assertMatch(
    library.stderr,
    /NoMpiError: no MPI library can be loaded:\n\s+\/nowhere\/libmpi.so: cannot open/,
  );
  const nonsense = await runScript(script, { env: { PATHOS_MPI: "udp" } });
  assertMatch(nonsense.stderr, /TypeError: PATHOS_MPI=udp: it is "mpi" \(a library\), "tcp" or "files"/);
  const sizeless = await runScript(script, { env: { PATHOS_RANK: "1" } });
  assertMatch(
    sizeless.stderr,
    /PATHOS_RANK is set, but not how many ranks there are: set PATHOS_RANK and PATHOS_SIZE/,
  );
  assertEquals([library.code, nonsense.code, sizeless.code], [1, 1, 1]);
});

test.node(
  "ranks of one job may run in Deno and in Node",
  "the package is installed for both there",
  async () => {
    using folder = tempDir();
    if (RUNTIMES.length < 2) return;
    const results = await runByHand(
      [0, 1, 2, 3],
      4,
      folder.path,
      EVERYTHING,
      (rank) => ({ runtime: RUNTIMES[rank % 2] }),
    );
    assertEquals(results.map(({ code }) => code), [0, 0, 0, 0], results.map(({ stderr }) => stderr).join());
  },
);

test.needs(["ip", "unshare"], "ranks on several machines meet by a folder that they share", async () => {
  using folder = tempDir();
  using network = twoMachines();
  const code =
    `console.log(comm.allgather(comm.host).join(), comm.allreduce(new Float64Array(1e5).fill(rank), "sum")[5], comm.library.version)`;
  const results = await runByHand(
    [0, 1, 2, 3],
    4,
    folder.path,
    code,
    (rank) => ({ within: network.within(rank % 2) }),
  );
  for (const { stdout, stderr, code } of results) {
    assertEquals(
      [stdout.trim(), code],
      ["near,far,near,far 6 pathos without MPI: TCP between machines", 0],
      stderr,
    );
  }
  nothingIn(folder.path);
}, { notHere: process.getuid?.() === 0 ? undefined : "network namespaces need root" });

/** Two network namespaces, connected by a cable, each with a host name. */
function twoMachines(): { within(machine: number): string[]; [Symbol.dispose](): void } {
  const mark = crypto.randomUUID().slice(0, 6), names = [`pn${mark}a`, `pn${mark}b`];
  const ip = (line: string) => execFileSync("ip", line.split(" "));
  for (const name of names) {
    ip(`netns add ${name}`);
    ip(`-n ${name} link set lo up`);
  }
  ip(`link add v${mark}a netns ${names[0]} type veth peer name v${mark}b netns ${names[1]}`);
  for (const [i, letter] of ["a", "b"].entries()) {
    ip(`-n ${names[i]} address add 10.203.7.${i + 1}/24 dev v${mark}${letter}`);
    ip(`-n ${names[i]} link set v${mark}${letter} up`);
  }
  return {
    within: (machine) => [
      ...["ip", "netns", "exec", names[machine], "unshare", "--uts", "sh", "-c"],
      `hostname ${["near", "far"][machine]}; exec "$@"`,
      "sh",
    ],
    [Symbol.dispose]() {
      for (const name of names) ip(`netns del ${name}`);
    },
  };
}
