// Our own caches, used as anybody would. Runs in Deno from the checkout, in Node from the npm package.
import * as cache from "@pathos/pathos/cache";
import { serve } from "./contender.mjs";

const archive = (open) => ({
  open(folder, mode) {
    const archive = open(folder, mode);
    return {
      putAll: (entries) => archive.update(entries),
      put: (key, value) => archive.set(key, value),
      get: (key) => archive.get(key),
      close: () => archive.drop(),
    };
  },
});

serve({
  "memoize": {
    hits: (args) => args === 1 ? cache.memoize((x) => 2 * x) : cache.memoize((x, _name) => 2 * x),
  },
  "sql": archive((folder, mode) => new cache.SqlArchive(`${folder}/c.sqlite`, { mode })),
  "sqltable": archive((folder, mode) =>
    new cache.SqlTableArchive(`${folder}/c.sqlite`, { mode, table: "t" })
  ),
  "dir": archive((folder) => new cache.DirArchive(`${folder}/c`)),
  "hdf": archive((folder) => new cache.HdfArchive(`${folder}/c.h5`)),
});
