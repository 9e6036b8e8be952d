// Caches from npm, with what each has: lru-cache and fast-memoize in memory, keyv with its sqlite adapter on disk.
import { serve } from "./contender.mjs";

serve({
  "lru-cache": {
    async hits(args) {
      const { LRUCache } = await import("lru-cache");
      const known = new LRUCache({ max: 100 });
      const call = (key, x) => {
        let value = known.get(key);
        if (value === undefined) known.set(key, value = 2 * x);
        return value;
      };
      return args === 1 ? (x) => call(x, x) : (x, name) => call(`${x} ${name}`, x);
    },
  },
  "fast-memoize": {
    async hits(args) {
      const { default: memoize } = await import("fast-memoize");
      return args === 1 ? memoize((x) => 2 * x) : memoize((x, _name) => 2 * x);
    },
  },
  "keyv": {
    bytes: (array) => Buffer.from(array.buffer),
    async open(folder) {
      const { default: Keyv } = await import("keyv");
      const { default: KeyvSqlite } = await import("@keyv/sqlite");
      const keyv = new Keyv({ store: new KeyvSqlite(`sqlite://${folder}/c.sqlite`) });
      return {
        async: true,
        putAll: (entries) => keyv.setMany(entries.map(([key, value]) => ({ key, value }))),
        put: (key, value) => keyv.set(key, value),
        get: (key) => keyv.get(key),
        close: () => keyv.disconnect(),
      };
    },
  },
});
