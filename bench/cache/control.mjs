// What nobody can be faster than, more or less: a Map, and files that are just written and read.
import { readFileSync, writeFileSync } from "node:fs";
import { serve } from "./contender.mjs";

serve({
  "map": {
    hits(args) {
      const known = new Map();
      if (args === 1) {
        return (x) => {
          let value = known.get(x);
          if (value === undefined) known.set(x, value = 2 * x);
          return value;
        };
      }
      return (x, name) => {
        let inner = known.get(x);
        if (inner === undefined) known.set(x, inner = new Map());
        let value = inner.get(name);
        if (value === undefined) inner.set(name, value = 2 * x);
        return value;
      };
    },
  },
  "files": {
    open: (folder) => ({
      put: (key, value) => writeFileSync(`${folder}/${key}`, value),
      get: (key) => readFileSync(`${folder}/${key}`),
    }),
  },
});
