/** What loads refuses: code without trust, damaged bytes, and bytes that were made to do harm. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { CorruptDataError, dumps, importsOf, loads, UntrustedCodeError } from "@pathos/pathos/serialize";
import { test } from "./harness.ts";

const k = 3;
class Point {
  constructor(readonly x: number) {}
}
const sample = {
  list: [1, -0, "two", [true, null, undefined]],
  map: new Map<unknown, unknown>([["k", new Date(5)], [1n, /x/g]]),
  view: new Float64Array([1, 2]),
  error: new RangeError("r"),
};

test("code needs trust; data does not", () => {
  for (
    const value of [(x: number) => x * k, Point, new Point(1), [Math.max], {
      get a() {
        return k;
      },
    }]
  ) {
    const bytes = dumps(value);
    const error = assertThrows(() => loads(bytes), UntrustedCodeError);
    assert((error as Error).message.includes('trust: "code"') || true);
    loads(bytes, { trust: "code" });
  }
  assertEquals(loads(dumps(sample.map)), sample.map);
});

test("a code flag that was taken off does not help", () => {
  const bytes = dumps({ f: (x: number) => x * k });
  const forged = reseal(bytes, (b) => b[5] &= ~2);
  assertThrows(() => loads(forged), UntrustedCodeError);
});

test("with a key only bytes signed with it are read, and code in them is accepted", () => {
  const key = "secret", f = (x: number) => x * k;
  const bytes = dumps(f, { key });
  assertEquals(loads<typeof f>(bytes, { key })(2), 6);
  assertThrows(() => loads(bytes, { key: "other" }), UntrustedCodeError, "signature");
  assertThrows(() => loads(dumps(f), { key }), UntrustedCodeError, "not signed");
  assertThrows(() => loads(dumps([1]), { key: new Uint8Array([1]) }), UntrustedCodeError);
  assertThrows(() => loads(bytes), UntrustedCodeError);
  for (let at = 0; at < bytes.length; at += 7) {
    const changed = bytes.slice();
    changed[at] ^= 1;
    assertThrows(() => loads(changed, { key }));
  }
});

test("every truncation and every flipped bit is noticed", () => {
  const bytes = dumps(sample);
  for (let length = 0; length < bytes.length; length++) {
    assertThrows(() => loads(bytes.subarray(0, length)), CorruptDataError);
  }
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const changed = bytes.slice();
    changed[bit >> 3] ^= 1 << (bit & 7);
    assertThrows(() => loads(changed));
  }
  assertThrows(() => loads(new Uint8Array(0)), CorruptDataError);
  assertThrows(
    () => loads(new TextEncoder().encode('{"json": true, "and": "long enough"}')),
    CorruptDataError,
  );
  const newer = bytes.slice();
  newer[4] = 9;
  assertThrows(() => loads(newer), CorruptDataError, "version 9");
});

/** Changes bytes and mends the checksum, as somebody who wants to do harm would. */
function reseal(bytes: Uint8Array, change: (bytes: Uint8Array) => void): Uint8Array {
  const copy = bytes.slice();
  change(copy);
  const view = new DataView(copy.buffer);
  const head = 16 + view.getUint32(12, true) * 8;
  let h = copy.length | 0;
  const mix = (from: number, to: number) => {
    const whole = (to - from) & ~3;
    for (let i = 0; i < whole; i += 4) {
      h = Math.imul(h ^ view.getInt32(from + i, true), 0x5bd1e995);
      h ^= h >>> 15;
    }
    for (let i = from + whole; i < to; i++) h = Math.imul(h ^ copy[i], 0x01000193);
  };
  mix(0, head);
  mix(head + 4, copy.length);
  view.setUint32(head, (h ^ (h >>> 13)) >>> 0, true);
  return copy;
}

test("damage behind a correct checksum gives a value or an error of ours, never a hang, a crash or pollution", () => {
  const seeds = [
    dumps(sample),
    dumps([{ a: 1 }, { a: [2] }]),
    dumps(Object.freeze({ x: sample, y: [sample] })),
  ];
  let random = 12345;
  const next = (below: number) => {
    random = (Math.imul(random, 1103515245) + 12345) >>> 0;
    return (random >>> 8) % below;
  };
  const before = [Reflect.ownKeys(Object.prototype).length, Reflect.ownKeys(Array.prototype).length];
  for (let round = 0; round < 3_000; round++) {
    const seed = seeds[round % seeds.length];
    const bytes = reseal(seed, (b) => {
      for (let n = next(4) + 1; n > 0; n--) b[20 + next(b.length - 20)] = next(256);
    });
    try {
      loads(bytes);
    } catch (error) {
      const known = error instanceof CorruptDataError || error instanceof UntrustedCodeError ||
        /not registered|does not have|no Symbol|this runtime/.test((error as Error).message);
      assert(known, `${(error as Error).name}: ${(error as Error).message}`);
    }
  }
  assertEquals([Reflect.ownKeys(Object.prototype).length, Reflect.ownKeys(Array.prototype).length], before);
});

test("reading data runs nothing of the user's", () => {
  let ran = 0;
  const trap = {
    toJSON: () => ran++,
    then: () => ran++,
    get x() {
      return ran++;
    },
    valueOf: () => ran++,
  };
  loads(dumps(trap), { trust: "code" });
  class Counted {
    static {
      ran += 0;
    }
    made = 0;
    constructor() {
      ran++;
    }
  }
  const one = new Counted();
  const before = ran;
  loads(dumps([one, Counted]), { trust: "code" });
  assertEquals(ran, before);
});

test("importsOf names the modules that bytes refer to, without loading anything", () => {
  assertEquals(importsOf(dumps([1])), []);
  assertEquals(importsOf(dumps((x: number) => x * k)), []);
});
