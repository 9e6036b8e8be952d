/**
 * `@memoized()`: the standard decorator for methods and getters, instance and static. Each instance has a cache of its own, which goes with
 * it, unless results are to be shared by what the instances are (`self: "key"`, the way of archives) or without regard to
 * them (`self: "ignore"`).
 */
import {
  type AsyncMemoizeOptions,
  type Callable,
  memoize,
  type Memoized,
  type MemoizeOptions,
  type MemoMethods,
} from "./memoize.ts";

/** Options of {@linkcode memoized}: those of `memoize`, and what `this` has to do with the result. */
export interface MemoizedOptions<F extends Callable = Callable> extends Omit<MemoizeOptions<F>, "self"> {
  /**
   * `"instance"`: each instance has its own cache, in memory. `"key"`: one cache for all, where the class and the fields of `this` are part
   * of the key: equal instances share results, also in other processes. `"ignore"`: one cache for all, and results do not
   * depend on `this`. Default: `"key"` with an archive, else `"instance"`.
   */
  self?: "instance" | "key" | "ignore";
}

/** The same over an archive behind a network; for methods that give promises. */
export interface AsyncMemoizedOptions<F extends Callable = Callable>
  extends Omit<AsyncMemoizeOptions<F>, "self"> {
  /** See {@linkcode MemoizedOptions.self}. */
  self?: "key" | "ignore";
}

/** What a decorator is told of a method or getter. */
export type MemoizedContext = { readonly kind: string; readonly name: string | symbol };

/** The memoized function behind a decorated method or getter, for an object. */
const behind: WeakMap<Callable, (self: object) => Memoized<Callable>> = new WeakMap();

/**
 * Memoizes a method or getter.
 *
 * @param options As those of `memoize`.
 * @returns The decorator.
 * @throws {TypeError} If it decorates something else, or each instance shall have a cache and there is an archive, where instances have no
 * place of their own.
 * @example
 * ```ts
 * import { memoized, memoOf } from "@pathos/pathos/cache";
 * import { assertEquals } from "@std/assert";
 *
 * class Grid {
 *   constructor(readonly width: number) {}
 *
 *   @memoized()
 *   column(x: number): number[] {
 *     return Array.from({ length: this.width }, (_, y) => x * y);
 *   }
 * }
 * const [small, large] = [new Grid(2), new Grid(3)];
 * assertEquals(small.column(5), [0, 5]);
 * assertEquals(large.column(5), [0, 5, 10]);
 * assertEquals(small.column(5), [0, 5]);
 * assertEquals(memoOf(small, "column").info().hit, 1);
 * ```
 */
export function memoized<F extends Callable>(
  options?: MemoizedOptions<F>,
): <G extends F>(method: G, context: MemoizedContext) => G;
/**
 * The same over an archive behind a network.
 *
 * @param options With the archive.
 * @returns The decorator.
 */
export function memoized<F extends (...args: never[]) => Promise<unknown>>(
  options: AsyncMemoizedOptions<F>,
): <G extends F>(method: G, context: MemoizedContext) => G;
export function memoized(
  options: MemoizedOptions | AsyncMemoizedOptions = {},
): (method: Callable, context: MemoizedContext) => Callable {
  return (method, { kind, name }) => {
    if (kind !== "method" && kind !== "getter") {
      throw new TypeError(
        `@memoized() is for methods and getters, and ${
          String(name)
        } is a ${kind}; memoize(fn) is for functions`,
      );
    }
    const { self = options.archive ? "key" : "instance", ...rest } = options;
    const make = (self: "key" | "ignore") =>
      memoize(method, { name: String(name), ...rest as MemoizeOptions, self });
    if (self === "instance") {
      if (options.archive) {
        throw new TypeError(
          `@memoized(): an archive cannot tell one instance from another except by its fields: for ${
            String(name)
          } choose ` +
            'self: "key", or self: "ignore"',
        );
      }
      return perInstance(method, () => make("ignore"));
    }
    const shared = make(self);
    behind.set(shared, () => shared);
    return shared;
  };
}

function perInstance(method: Callable, make: () => Memoized<Callable>): Callable {
  const caches: WeakMap<object, Memoized<Callable>> = new WeakMap();
  const of = (self: object) => {
    let cache = caches.get(self);
    if (cache === undefined) caches.set(self, cache = make());
    return cache;
  };
  function memoizedMethod(this: unknown, ...args: unknown[]): unknown {
    const isObject = (typeof this === "object" && this !== null) || typeof this === "function";
    return Reflect.apply(isObject ? of(this) : method, this, args);
  }
  Object.defineProperties(memoizedMethod, {
    name: { value: method.name, configurable: true },
    length: { value: method.length, configurable: true },
  });
  behind.set(memoizedMethod, of);
  return memoizedMethod;
}

/** The function behind a property: a method, or a getter. */
export type MethodOf<T, K extends keyof T> = T[K] extends Callable ? T[K] : () => T[K];

/**
 * What can be asked of a memoized method or getter: `memoOf(object, "name").info()`.
 *
 * @typeParam T The object's type.
 * @typeParam K The property.
 * @param object The instance; for static methods the class.
 * @param name The method or getter.
 * @returns Its counters and caches, those of this instance where each has its own.
 * @throws {TypeError} If it is not decorated with {@linkcode memoized}.
 * @example
 * ```ts
 * import { memoized, memoOf } from "@pathos/pathos/cache";
 * import { assertEquals } from "@std/assert";
 *
 * class Circle {
 *   constructor(public radius: number) {}
 *
 *   @memoized()
 *   get area(): number {
 *     return Math.PI * this.radius ** 2;
 *   }
 * }
 * const circle = new Circle(1);
 * assertEquals(circle.area, Math.PI);
 * circle.radius = 2;
 * assertEquals(circle.area, Math.PI); // of the old radius
 * memoOf(circle, "area").clear();
 * assertEquals(circle.area, 4 * Math.PI);
 * ```
 */
export function memoOf<T extends object, K extends keyof T>(
  object: T,
  name: K,
): MemoMethods<MethodOf<T, K>> {
  let holder: object | null = object;
  while (holder !== null && !Object.hasOwn(holder, name)) holder = Object.getPrototypeOf(holder);
  const property = holder === null ? undefined : Object.getOwnPropertyDescriptor(holder, name);
  const found = behind.get(property?.get ?? property?.value)?.(object);
  if (found === undefined) throw new TypeError(`${String(name)} is not decorated with @memoized()`);
  const { info, clear, load, dump, archive, archived, invalidate, key, lookup, wrapped } = found;
  return {
    ...{ info, clear, load, dump, archive, archived, invalidate, wrapped },
    key: (...args: never[]) => Reflect.apply(key, object, args),
    lookup: (...args: never[]) => Reflect.apply(lookup, object, args),
    get prefix() {
      return found.prefix;
    },
  } as MemoMethods<Callable> as MemoMethods<MethodOf<T, K>>;
}
