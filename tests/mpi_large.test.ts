/** Arrays of megabytes, whose memory is moved into huge pages while they go through MPI. */
import { assertEquals } from "@std/assert";
import { test } from "./harness.ts";
import { MPIS, runRanks } from "./mpi.ts";

for (const mpi of MPIS) {
  test.needs(
    [mpi.program],
    `${mpi.name}: large arrays, new, filled and parts of others, go through MPI again and again unchanged`,
    async () => {
      const { code, stdout, stderr } = await runRanks(
        mpi,
        2,
        `
      const n = 700_001, other = 1 - rank;
      const whole = Float64Array.from({ length: 3 * n }, (_, i) => i * (rank + 1));
      const part = whole.subarray(n, 2 * n), expected = Float64Array.from(part, (x) => x / (rank + 1) * (other + 1));
      for (let round = 0; round < 8; round++) {
        const into = new Float64Array(n);
        comm.sendrecv(part, other, into, other);
        ok(into.every((x, i) => x === expected[i]), "sendrecv " + round);
        const sum = comm.allreduce(part, "sum");
        ok(sum.every((x, i) => x === part[i] + expected[i]), "allreduce " + round);
        const all = comm.allgather(part);
        same(all.length, 2 * n);
        ok(all.subarray(other * n, (other + 1) * n).every((x, i) => x === expected[i]), "allgather " + round);
        if (rank === 0) comm.send(part, 1);
        else same(comm.recvBytes(0).value.byteLength, part.byteLength);
        part[round] += 1;
        expected[round] += 1;
      }
      ok(whole.every((x, i) => x === i * (rank + 1) + (i >= n && i < n + 8 ? 1 : 0)), "what is around the part");
      if (rank === 0) console.log("all well");
    `,
      );
      assertEquals([stdout.trim(), stderr, code], ["all well", "", 0]);
    },
  );
}
