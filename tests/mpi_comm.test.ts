/** The communicator, in jobs of real ranks: Open MPI and MPICH. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { rankFromEnv } from "@pathos/pathos/mpi";
import { EVERYTHING } from "./fixtures/mpi_everything.ts";
import { runScript, test, until } from "./harness.ts";
import { MPIS, runRanks } from "./mpi.ts";
import { processesWith } from "./processes.ts";

/** Exits the process, in words of either runtime. */
const EXIT = `const exit = globalThis.Deno ? Deno.exit : process.exit;`;

for (const mpi of MPIS) {
  const { name, program, library } = mpi;

  for (const ranks of [2, 4]) {
    test.needs(
      [program],
      `${name}: ${ranks} ranks send, receive, scatter, gather and reduce arrays and values`,
      async () => {
        const { code, stdout, stderr } = await runRanks(mpi, ranks, EVERYTHING);
        assertEquals([stdout.trim(), stderr, code], ["all well", "", 0]);
      },
    );
  }

  test.needs(
    [program],
    `${name}: what MPI refuses is an exception with its text, after which one can go on`,
    async () => {
      const { code, stdout, stderr } = await runRanks(
        mpi,
        2,
        `
      const said = (call) => { try { call(); } catch (error) { return error.name + ": " + error.message; } return "nothing"; };
      const lines = [];
      lines.push(said(() => comm.send(new Int8Array(1), 99)));
      lines.push(said(() => comm.send("value", 0, -5)));
      if (rank === 0) comm.send(new Int32Array(10), 1);
      else lines.push(said(() => comm.recv(new Int32Array(2), 0)));
      if (rank === 0) comm.send(new Int32Array(10), 1);
      else lines.push(said(() => comm.recv(0)));
      if (rank === 0) comm.send({ a: "value" }, 1);
      else lines.push(said(() => comm.recv(new Int32Array(100), 0)));
      lines.push(said(() => comm.bcast(new Int32Array(rank + 1))));
      lines.push(said(() => comm.allreduce("text", "sum")));
      lines.push(said(() => comm.allreduce(1, "median")));
      lines.push(said(() => comm.alltoall(new Int8Array(3))));
      if (rank === 1) console.log(JSON.stringify(lines));
      comm.finalize();
      comm.finalize();
      if (rank === 1) console.log(JSON.stringify([said(() => comm.barrier())]));
    `,
      );
      assertEquals([stderr, code], ["", 0]);
      const lines: string[] = stdout.trim().split("\n").flatMap((line) => JSON.parse(line));
      assertEquals(lines.length, 10, stdout);
      assertMatch(lines[0], /^MpiError: MPI_Send failed: .*rank/is);
      assertMatch(lines[1], /^MpiError: MPI_Send failed: .*tag/is);
      assertMatch(lines[2], /^MpiError: MPI_Recv failed: .*truncated/is);
      assertMatch(
        lines[3],
        /^CorruptDataError: the message with tag 0 from rank 0 \(40 bytes\) is .* an array: receive it with recv\(array/,
      );
      assertMatch(lines[4], /^CorruptDataError: the message with tag 0 from rank 0 is a serialized value/);
      assertEquals(
        lines[5],
        "RangeError: bcast brought Int32Array(1) from rank 0, which does not go into Int32Array(2)",
      );
      assertMatch(lines[6], /^TypeError: "sum" reduces numbers.*give a function/);
      assertMatch(lines[7], /^TypeError: there is no reduction "median"/);
      assertMatch(lines[8], /^RangeError: alltoall: an array of 3 does not make 2 equal parts/);
      assertMatch(lines[9], /^NoMpiError: MPI_Barrier cannot be called any more/);
    },
  );

  for (
    const [how, code] of [
      ["throws", `throw new Error("rank one is tired")`],
      ["throws in a timer", `setTimeout(() => { throw new Error("rank one is tired") }, 10)`],
      [
        "leaves a rejection",
        `await null; Promise.reject(new Error("rank one is tired")); await new Promise((r) => setTimeout(r, 60_000))`,
      ],
    ]
  ) {
    test.needs(
      [program],
      `${name}: a rank that ${how} ends the job, with its error, and no rank is left`,
      async () => {
        const start = performance.now(), mark = crypto.randomUUID();
        const { stderr, code: status, expired } = await runRanks(
          mpi,
          4,
          `if (rank === 1) { ${code} } else comm.recv(new Int8Array(1), 1);`,
          { env: { PATHOS_TEST_MARK: mark } },
        );
        assertEquals(expired, false);
        assertEquals(status === 0, false);
        assertMatch(
          stderr,
          /rank 1 of 4 on \S+ ends the MPI job by an error:\nError: rank one is tired\n\s+at /,
        );
        assertEquals(performance.now() - start < 10_000, true);
        await until(() => processesWith(`PATHOS_TEST_MARK=${mark}`).length === 0, 30_000, "no rank is left");
      },
    );
  }

  test.needs([program], `${name}: an error that the program handles does not end the job`, async () => {
    const { stdout, stderr, code } = await runRanks(
      mpi,
      2,
      `
      if (globalThis.Deno) addEventListener("error", (event) => event.preventDefault());
      else process.on("uncaughtException", () => {});
      setTimeout(() => { throw new Error("handled") }, 1);
      await new Promise((resolve) => setTimeout(resolve, 30));
      comm.barrier();
      if (rank === 0) console.log("still here");
    `,
    );
    assertEquals([stdout.trim(), stderr, code], ["still here", "", 0]);
  });

  test.needs(
    [program],
    `${name}: the exit status of a rank that exits alone, or aborts, is that of the job`,
    async () => {
      const wait = `comm.recv(new Int8Array(1), ANY_SOURCE, ANY_TAG);`;
      const exits = await runRanks(mpi, 2, `${EXIT} if (rank === 1) exit(3); ${wait}`);
      const aborts = await runRanks(mpi, 2, `if (rank === 0) comm.abort(7); ${wait}`);
      assertEquals([exits.code, aborts.code], [3, 7]);
    },
  );

  test.needs([program], `${name}: a program that exits with status 0 anywhere ends well`, async () => {
    const { code, stderr } = await runRanks(mpi, 2, `${EXIT} comm.barrier(); exit(0);`);
    assertEquals([code, stderr], [0, ""]);
  });

  test.needs([program], `${name}: a rank that is killed ends the job`, async () => {
    const { code, expired } = await runRanks(
      mpi,
      2,
      `if (rank === 1) process.kill(process.pid, "SIGKILL"); comm.recv(new Int8Array(1), 1 - rank);`,
    );
    assertEquals([code === 0, expired], [false, false]);
  });

  test.needs(
    [program],
    `${name}: small arrays that messages are on their way to survive the collection of garbage`,
    async () => {
      const { stdout, stderr, code } = await runRanks(
        mpi,
        2,
        `
      let wrong = 0;
      for (let round = 0; round < 20; round++) {
        const cells = Array.from({ length: 50 }, () => new Int32Array(2));
        const requests = cells.map((cell, i) => comm.irecv(cell, 1 - rank, i));
        for (let i = 0; i < 20_000; i++) new Int32Array(2); // fills the young generation
        gc();
        comm.barrier();
        cells.forEach((_, i) => comm.isend(Int32Array.of(i, round), 1 - rank, i));
        gc();
        requests.forEach((request) => request.wait());
        wrong += cells.filter((cell, i) => cell[0] !== i || cell[1] !== round).length;
      }
      comm.barrier();
      if (rank === 0) console.log("wrong:", wrong);
    `,
        { flags: { deno: ["--v8-flags=--expose-gc"], node: ["--expose-gc"] } },
      );
      assertEquals([stdout.trim(), stderr, code], ["wrong: 0", "", 0]);
    },
  );

  test.needs([program], `${name}: a library that is not the launcher's is said to be so`, async () => {
    const other = MPIS.find((one) => one !== mpi)!;
    const { code, stderr } = await runRanks(mpi, 2, "", { env: { PATHOS_MPI_LIB: other.library } });
    assertEquals(code === 0, false);
    assertMatch(
      stderr,
      /NoMpiError: this is rank \d of 2 by its launcher \((openmpi|mpich)\), but lib\S+ \(.*\) knows of no other rank/,
    );
    assertStringIncludes(stderr, "PATHOS_MPI_LIB=");
  });

  test.needs([program], `${name}: without a launcher there is one rank`, async () => {
    const { stdout, code, stderr } = await runScript(
      `import { world } from "@pathos/pathos/mpi";
       const comm = world();
       console.log(comm.rank, comm.size, comm.allreduce(5, "sum"), comm.library.name);`,
      { env: { PATHOS_MPI_LIB: library, OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" } },
    );
    assertEquals([stdout.trim(), stderr, code], [`0 1 5 ${library}`, "", 0]);
  });
}

test("without an MPI library that is asked for the error says what to install and what to set", async () => {
  const { stderr, code } = await runScript(
    `import { world } from "@pathos/pathos/mpi"; world();`,
    { env: { PATHOS_MPI: "mpi", PATHOS_MPI_LIB: "/nowhere/libmpi.so" } },
  );
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /NoMpiError: no MPI library can be loaded:\n\s+\/nowhere\/libmpi.so: cannot open shared object file/,
  );
  assertStringIncludes(stderr, "Debian: openmpi-bin or mpich");
});

test.deno(
  "without permission for foreign functions the error names it",
  "Node has no permissions",
  async () => {
    const { stderr, code } = await runScript(`import { world } from "@pathos/pathos/mpi"; world();`, {
      permissions: ["--allow-env"],
      env: { PATHOS_MPI: "mpi" },
    });
    assertEquals(code, 1);
    assertStringIncludes(stderr, "--allow-ffi");
  },
);

test("importing mpi/ loads no library", async () => {
  const { stdout, code } = await runScript(
    `import { world } from "@pathos/pathos/mpi";
     import { readFileSync } from "node:fs";
     console.log(typeof world, /libmpi|koffi/.test(readFileSync("/proc/self/maps", "utf8")));`,
  );
  assertEquals([stdout.trim(), code], ["function false", 0]);
});

test("the rank is read from the variables of each launcher", () => {
  const rank = (variables: Record<string, string>) => rankFromEnv((name) => variables[name]);
  const slurm = { SLURM_PROCID: "3", SLURM_NTASKS: "8", SLURM_LOCALID: "1" };
  assertEquals(rank({}), undefined);
  assertEquals(rank(slurm), undefined, "a batch script is no rank");
  assertEquals(rank({ ...slurm, SLURM_STEP_ID: "0" }), { rank: 3, size: 8, localRank: 1, launcher: "slurm" });
  assertEquals(rank({ ...slurm, SLURM_STEP_ID: "0", SLURM_STEP_NUM_TASKS: "4", PMIX_RANK: "3" }), {
    rank: 3,
    size: 4,
    localRank: 1,
    launcher: "slurm",
    family: "openmpi",
  });
  assertEquals(rank({ ...slurm, SLURM_STEP_ID: "0", PMI_RANK: "3" })?.family, "mpich");
  // mpirun in an allocation inherits the allocation's variables
  assertEquals(
    rank({
      ...slurm,
      SLURM_STEP_ID: "0",
      OMPI_COMM_WORLD_RANK: "0",
      OMPI_COMM_WORLD_SIZE: "2",
      PMIX_RANK: "0",
    }),
    { rank: 0, size: 2, launcher: "openmpi", family: "openmpi" },
  );
  assertEquals(rank({ PMI_RANK: "1", PMI_SIZE: "2", MPI_LOCALRANKID: "1" }), {
    rank: 1,
    size: 2,
    localRank: 1,
    launcher: "mpich",
    family: "mpich",
  });
  assertEquals(rank({ FLUX_TASK_RANK: "2", FLUX_JOB_SIZE: "4" })?.launcher, "flux");
  assertEquals(rank({ JSM_NAMESPACE_RANK: "2", JSM_NAMESPACE_SIZE: "4" })?.size, 4);
  assertEquals(rank({ PALS_RANKID: "5", PMI_SIZE: "6", PMI_RANK: "5" })?.launcher, "pals");
  assertEquals(rank({ ALPS_APP_PE: "5" })?.rank, 5);
  assertEquals(rank({ MV2_COMM_WORLD_RANK: "1", MV2_COMM_WORLD_SIZE: "2" })?.family, "mpich");
  assertEquals(rank({ OMPI_COMM_WORLD_RANK: "no number" }), undefined);
});
