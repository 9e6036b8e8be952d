/**
 * Classes that the program itself says how to write and read (`register`), a closed table looked up by name.
 */

/** How instances of a registered class are written and read. */
export interface Registration<T, D> {
  /** Stable name on both sides. Default: the name of the class. */
  name?: string;
  /** Turns an instance into data. */
  dump(instance: T): D;
  /** Makes an instance from the data. */
  load(data: D): T;
}

/** A class that instances can be recognised by. */
// deno-lint-ignore no-explicit-any
export type RegisteredClass<T> = abstract new (...args: any[]) => T;

type Entry = Required<Registration<unknown, unknown>>;

const byPrototype = new Map<object, Entry>();
const byName = new Map<string, Entry>();

/**
 * Says how instances of a class are written and read, for classes that hold what cannot travel (a connection, a handle) or
 * that receive untrusted data. The receiver must register the class under the same name; no trust is needed to load it.
 * Applies to direct instances only, not to those of subclasses. The data is a graph of its own: it does not share
 * objects with what surrounds it.
 *
 * @typeParam T The class's instances.
 * @typeParam D Their data: anything `dumps` takes.
 * @param Class The class.
 * @param registration `dump` and `load`, and a `name` if the class's own may change (by minifying, say).
 * @throws {TypeError} If another class has that name already, or the class has no name.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { dumps, loads, register } from "@pathos/pathos/serialize";
 *
 * class Celsius {
 *   constructor(readonly degrees: number) {}
 * }
 * register(Celsius, { dump: (t) => t.degrees, load: (d) => new Celsius(d) });
 * const back = loads<Celsius>(dumps(new Celsius(21)));
 * assertEquals(back instanceof Celsius, true);
 * assertEquals(back.degrees, 21);
 * ```
 */
export function register<T extends object, D>(
  Class: RegisteredClass<T>,
  registration: Registration<T, D>,
): void {
  const name = registration.name ?? Class.name;
  if (typeof Class !== "function" || name === "") {
    throw new TypeError("register takes a class with a name, or options.name");
  }
  const previous = byName.get(name);
  if (previous && byPrototype.get(Class.prototype) !== previous) {
    throw new TypeError(
      `another class is registered as "${name}": give one of them another name with { name }`,
    );
  }
  const entry: Entry = {
    name,
    dump: registration.dump as Entry["dump"],
    load: registration.load as Entry["load"],
  };
  byName.set(name, entry);
  byPrototype.set(Class.prototype, entry);
}

/** The registration that applies to objects with this prototype. */
export function registrationFor(prototype: object | null): Entry | undefined {
  return prototype && byPrototype.size ? byPrototype.get(prototype) : undefined;
}

/** The registration of this name. */
export function registrationNamed(name: string): Entry | undefined {
  return byName.get(name);
}
