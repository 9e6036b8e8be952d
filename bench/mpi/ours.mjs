// Our communicator as one rank of two, used as anybody would. `ours.mjs PART WORK`: rank 0 prints the figures of every batch as
// one line of JSON. Runs in Deno from the checkout, in Node from the npm package. mpi4py_ranks.py and control.c do the same.
import process from "node:process";
import { world } from "@pathos/pathos/mpi/world";

const comm = world(), { rank } = comm, other = 1 - rank;
const [part, work] = [process.argv[2], JSON.parse(process.argv[3])];

/** Milliseconds of each of so many batches, which both ranks begin together; `warm` more go before them. */
function batches({ count, warm }, batch) {
  const found = [];
  for (let i = 0; i < warm + count; i++) {
    comm.barrier();
    const begin = performance.now();
    batch();
    if (i >= warm) found.push(performance.now() - begin);
  }
  return found;
}

/** Round trips of an array between the two ranks; milliseconds one way, of each batch. */
function pingPong(length, trips, work) {
  const data = new Float64Array(length).fill(1), into = new Float64Array(length);
  const found = batches(work, () => {
    for (let i = 0; i < trips; i++) {
      if (rank === 0) {
        comm.send(data, other);
        comm.recv(into, other);
      } else {
        comm.recv(into, other);
        comm.send(data, other);
      }
    }
  });
  return found.map((ms) => ms / trips / 2);
}

function check(found, expected, what) {
  if (found !== expected) throw new Error(`${what}: ${found} and not ${expected}`);
}

const PARTS = {
  messages() {
    const bandwidth = (bytes, trips, work) => pingPong(bytes / 8, trips, work).map((ms) => bytes / ms / 1e6);
    return {
      "8 B, us": pingPong(1, work.trips, work.small).map((ms) => ms * 1000),
      "1 MB, GB/s": bandwidth(2 ** 20, 16, work.large),
      "16 MB, GB/s": bandwidth(2 ** 24, 2, work.large),
    };
  },
  allreduce() {
    const data = new Float64Array(1e6).fill(rank + 1), into = new Float64Array(1e6);
    const given = batches(work.large, () => comm.allreduce(data, "sum", into));
    check(into[999_999], 3, "allreduce");
    let last;
    const fresh = batches(work.large, () => last = comm.allreduce(data, "sum"));
    check(last[999_999], 3, "allreduce");
    const one = batches(work.small, () => {
      for (let i = 0; i < work.trips; i++) comm.allreduce(i, "sum");
    });
    return {
      "1M into, ms": given,
      "1M new, ms": fresh,
      "one number, us": one.map((ms) => ms / work.trips * 1000),
    };
  },
  scatter() {
    const n = work.items, rate = (found) => found.map((ms) => n / ms * 1000);
    const numbers = Array.from({ length: n }, (_, i) => i);
    const values = batches(work.large, () => {
      const halves = rank === 0 ? [numbers.slice(0, n / 2), numbers.slice(n / 2)] : undefined;
      const parts = comm.gather(comm.scatter(halves).map((x) => x * 2 + 1));
      if (rank === 0) check([].concat(...parts)[n - 1], 2 * n - 1, "the last of the values");
    });
    const floats = Float64Array.from(numbers);
    const typed = batches(work.large, () => {
      const part = comm.scatter(rank === 0 ? floats : null, new Float64Array(n / 2));
      for (let i = 0; i < part.length; i++) part[i] = part[i] * 2 + 1;
      const all = comm.gather(part);
      if (rank === 0) check(all[n - 1], 2 * n - 1, "the last of the floats");
    });
    return { "values, items/s": rate(values), "floats, items/s": rate(typed) };
  },
  tcp() {
    return { "8 B, us": pingPong(1, work.trips / 20, work.small).map((ms) => ms * 1000) };
  },
  start() {
    check(comm.allreduce(rank + 1, "sum"), 3, "allreduce");
    return {};
  },
};

const figures = PARTS[part]();
if (rank === 0) console.log(JSON.stringify(figures));
