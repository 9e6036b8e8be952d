/**
 * How memoized functions get to workers: with the function, the options and the archive, not with what is in memory. Each
 * worker remembers for itself; an archive is what they share.
 */
import { defineTraveller, type Traveller, travels } from "../serialize/travellers.ts";
import type { CodeFunction } from "../serialize/types.ts";
import { mention, noteMemoized } from "./identity.ts";
import { libraryScript } from "./library_script.ts";

/** What a memoized function is rebuilt from. `memoize` itself goes by its name (travel.ts). */
export interface MemoParts {
  memoize(fn: CodeFunction, options: object): CodeFunction;
  fn: CodeFunction;
  options: object;
  archived: boolean;
}

const parts = new WeakMap<CodeFunction, () => MemoParts>();

const traveller: Traveller<CodeFunction, MemoParts> = {
  name: "pathos/memoized",
  parts: (memoized) => parts.get(memoized)!(),
  essence: mention,
  make() {
    // what is to be remembered is not there yet: `finish` says what this calls
    let inner: CodeFunction = () => {};
    const shell = function (this: unknown, ...args: unknown[]) {
      return Reflect.apply(inner, this, args);
    };
    finishers.set(shell, (memoized) => inner = memoized);
    return shell;
  },
  finish(shell, { memoize, fn, options, archived }) {
    const memoized = memoize(fn, options);
    if (!archived) (memoized as CodeFunction & { archived(on: boolean): void }).archived(false);
    Object.defineProperties(shell, Object.getOwnPropertyDescriptors(memoized));
    finishers.get(shell)!(memoized);
    noteMemoized(shell, fn, options);
    memoTravels(shell, parts.get(memoized)!);
  },
  script: libraryScript,
};

const finishers = new WeakMap<CodeFunction, (memoized: CodeFunction) => void>();

/** Lets a memoized function travel; `current` gives its parts as they are when it does. */
export function memoTravels<F extends CodeFunction>(memoized: F, current: () => MemoParts): F {
  parts.set(memoized, current);
  return travels(memoized, traveller as unknown as Traveller<F, MemoParts>);
}

defineTraveller(traveller);
