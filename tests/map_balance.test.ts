/** The policy for the size of chunks, without workers: what it promises for unequal ones. */
import { assert, assertEquals } from "@std/assert";
import { chunkSize, type Lane, record } from "../map/balance.ts";
import { test } from "./harness.ts";

const lane = (items: number, time: number, latency = 0.1, inFlight = 0): Lane => ({
  items,
  time,
  latency,
  inFlight,
  away: false,
});

test("the first chunk of an unknown worker is one item, and only one", () => {
  const fresh = lane(0, 0);
  assertEquals(chunkSize(fresh, [fresh], 1000), 1);
  assertEquals(chunkSize({ ...fresh, inFlight: 1 }, [fresh], 1000), 0);
});

test("short items travel in chunks of some milliseconds", () => {
  const lanes = [lane(1000, 10), lane(1000, 10)]; // 100 items a millisecond
  const size = chunkSize(lanes[0], lanes, 1_000_000);
  assert(size >= 400 && size <= 1000, `${size} items`);
  assert(chunkSize(lanes[0], lanes, undefined) <= 1000);
});

test("long items travel alone", () => {
  const lanes = [lane(10, 100), lane(10, 100)];
  assertEquals(chunkSize(lanes[0], lanes, 100), 1);
  assertEquals(chunkSize({ ...lanes[0], inFlight: 2 }, lanes, 100), 0);
});

test("a worker twice as fast gets about twice as much", () => {
  const fast = lane(200, 100);
  const slow = lane(100, 100);
  const sizes = [fast, slow].map((one) => chunkSize(one, [fast, slow], 30));
  assert(sizes[0] >= 1.5 * sizes[1] && sizes[0] <= 2.5 * sizes[1], `${sizes}`);
});

test("a far worker gets nothing when the near ones finish before its answer could be back", () => {
  const near = [lane(1000, 100), lane(1000, 100)];
  const far = lane(1000, 100, 50, 1);
  assertEquals(chunkSize(far, [...near, far], 20), 0);
});

test("chunks get smaller towards the end, and all items are given out", () => {
  const lanes = [lane(500, 500), lane(500, 500)];
  let left = 64;
  const sizes: number[] = [];
  while (left > 0) {
    const size = chunkSize(lanes[sizes.length % 2], lanes, left);
    assert(size >= 1 && size <= left);
    sizes.push(size);
    left -= size;
  }
  assert(sizes[0] > sizes[sizes.length - 1]);
  assertEquals(sizes[sizes.length - 1], 1);
});

test("what was measured long ago fades", () => {
  const changing = lane(1000, 10);
  for (let i = 0; i < 30; i++) record(changing, 1, 10);
  assert(changing.items / changing.time < 0.2);
});
