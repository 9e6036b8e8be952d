/**
 * The memory of a memoized function: results by key, and who goes when a limit of the policy is reached (memory_order.ts).
 * A look-up costs one `Map.get` and, with an order, a few pointer writes. Nothing here knows about time: slots carry their
 * expiry, and who asks compares. Limits are kept at every moment; a value larger than the limit of bytes is not taken at all.
 */
import type { ArchiveKey } from "./types.ts";
import type { MemoryKey } from "./keyer.ts";
import { type Bucket, type Order, orderOf } from "./memory_order.ts";
import type { Form } from "./shelf.ts";
import type { Policy } from "./policy.ts";

/** One result in memory. The fields from `before` on belong to the order. */
export class Slot {
  readonly key: MemoryKey;
  readonly form: Form | "error";
  /** What the function gave: a value, what its promise came to, what it threw, or what its iterator gave. */
  readonly value: unknown;
  /** Makes what a caller gets; without it every caller gets `shown`. */
  readonly show: ((value: unknown) => unknown) | undefined;
  readonly shown: unknown;
  /** Fresh until then: milliseconds since 1970. */
  readonly expires: number;
  /** Milliseconds after that during which it may be used while a fresh one is made. */
  readonly grace: number;
  readonly tags: readonly string[];
  /** Its key in archives. */
  readonly address: () => ArchiveKey;
  /** Bytes by `sizeOf`; 0 where nothing limits them. */
  size = 0;
  /** Whether the archive has it. */
  kept = false;
  /** After a refresh that failed: when the next may be tried. */
  patience = 0;

  before: Slot | undefined = undefined;
  after: Slot | undefined = undefined;
  bucket: Bucket | undefined = undefined;
  index = -1;

  constructor(fields: SlotFields) {
    this.key = fields.key;
    this.form = fields.form;
    this.value = fields.value;
    this.show = fields.show;
    this.shown = fields.shown;
    this.expires = fields.expires;
    this.grace = fields.grace;
    this.tags = fields.tags;
    this.address = fields.address;
  }
}

/** What a slot is made of. */
export type SlotFields = Pick<
  Slot,
  "key" | "form" | "value" | "show" | "shown" | "expires" | "grace" | "tags" | "address"
>;

/** Results by key, within the limits of a policy. */
export class Memory {
  readonly slots: Map<MemoryKey, Slot> = new Map();
  /** Bytes of all values, where the policy limits them. */
  bytes = 0;
  readonly #order: Order;

  /**
   * @param policy Limits, and who goes.
   * @param purge Whether a full memory is emptied altogether instead.
   * @param sizeOf Bytes of a value; asked only where the policy limits bytes.
   * @param leaving Told of each slot that a limit removes, before it goes.
   */
  constructor(
    readonly policy: Policy,
    private readonly purge: boolean,
    private readonly sizeOf: (value: unknown) => number,
    private readonly leaving: (slot: Slot) => void,
  ) {
    this.#order = orderOf(policy.name);
  }

  get size(): number {
    return this.slots.size;
  }

  /** The slot of a key, which counts as a use. */
  use(key: MemoryKey): Slot | undefined {
    const slot = this.slots.get(key);
    if (slot !== undefined) this.#order.use(slot);
    return slot;
  }

  /** Takes a slot in, in place of what has its key, and lets others go until it fits. False if it can never fit. */
  add(slot: Slot): boolean {
    this.remove(slot.key);
    const { count, bytes } = this.policy;
    if (bytes !== Infinity) slot.size = this.sizeOf(slot.value);
    if (count < 1 || slot.size > bytes) return false;
    while (this.slots.size + 1 > count || this.bytes + slot.size > bytes) this.#makeRoom();
    this.slots.set(slot.key, slot);
    this.bytes += slot.size;
    this.#order.add(slot);
    return true;
  }

  /** Removes a slot; true if there was one. */
  remove(key: MemoryKey): boolean {
    const slot = this.slots.get(key);
    if (slot === undefined) return false;
    this.slots.delete(key);
    this.bytes -= slot.size;
    this.#order.remove(slot);
    return true;
  }

  /** Removes the slots that carry a tag; gives their number. */
  removeTagged(tag: string): number {
    let number = 0;
    for (const slot of this.slots.values()) {
      if (slot.tags.includes(tag) && this.remove(slot.key)) number++;
    }
    return number;
  }

  /** Removes all. */
  clear(): void {
    this.slots.clear();
    this.bytes = 0;
    this.#order.clear();
  }

  #makeRoom(): void {
    if (this.purge) {
      for (const slot of this.slots.values()) this.leaving(slot);
      this.clear();
      return;
    }
    const slot = this.#order.victim() ?? this.slots.values().next().value!;
    this.leaving(slot);
    this.remove(slot.key);
  }
}
