"""The Python contenders, driven like contender.mjs: a JSON request on stdin, a JSON reply on stdout."""
import functools
import json
import os
import random
import sys
import tempfile
import time
import traceback

HOT = 50


def one(x):
    return 2 * x


def two(x, _name):
    return 2 * x


class LruCache:
    def hits(self, args):
        return functools.lru_cache(100)(one if args == 1 else two)


class Diskcache:
    """Its own settings: WAL, synchronous=NORMAL, values above 32 KiB in files."""

    def hits(self, args):
        import diskcache

        self.cache = diskcache.Cache(tempfile.mkdtemp(dir=os.environ["BENCH_FOLDER"]))
        return self.cache.memoize()(one if args == 1 else two)

    def open(self, folder):
        import diskcache

        cache = diskcache.Cache(folder + "/c")
        self.put, self.get, self.close = cache.set, cache.get, cache.close

        def put_all(items):
            with cache.transact():
                for key, value in items:
                    cache.set(key, value)

        self.put_all = put_all
        return self


class Klepto:
    def __init__(self, kind=None):
        self.kind = kind

    def hits(self, args):
        from klepto import lru_cache

        return lru_cache(maxsize=100)(one if args == 1 else two)

    def open(self, folder):
        if self.kind == "sqltable-plain":
            sys.modules["sqlalchemy"] = None  # as if it were not installed: klepto uses sqlite3 then
        from klepto import archives

        if self.kind.startswith("sqltable"):
            archive = archives.sqltable_archive("sqlite:///" + folder + "/c.db?table=t", cached=False)
        else:
            archive = archives.dir_archive(folder + "/c", cached=False)
        self.put, self.get = archive.__setitem__, archive.__getitem__
        self.put_all = lambda items: archive.update(dict(items))
        self.close = lambda: None
        return self


ROWS = {
    "lru_cache": LruCache,
    "diskcache": Diskcache,
    "klepto": Klepto,
    "klepto-sqltable": lambda: Klepto("sqltable"),
    "klepto-sqltable-plain": lambda: Klepto("sqltable-plain"),
    "klepto-dir": lambda: Klepto("dir"),
}


def measure_hits(contender, request):
    calls, args = request["calls"], request["args"]
    fn = contender.hits(args)
    xs = [i + 0.5 for i in range(HOT)]
    names = ["name %d" % (i % 7) for i in range(HOT)]
    pairs = list(zip(xs, names))

    def run(rounds):
        total = 0.0
        for _ in range(rounds):
            if args == 1:
                for x in xs:
                    total += fn(x)
            else:
                for x, name in pairs:
                    total += fn(x, name)
        return total

    run(2)
    begin = time.perf_counter()
    total = run(calls // HOT)
    seconds = time.perf_counter() - begin
    expected = calls / HOT * 2 * sum(xs)
    if abs(total - expected) > 1:
        raise ValueError("the sum is %r and not %r" % (total, expected))
    return {"figures": {"hit": calls / seconds}}


def measure_store(contender, request):
    values = [bytes([i % 251]) * request["bytes"] for i in range(request["entries"])]
    items = [("key %d" % i, value) for i, value in enumerate(values)]
    blobs = [bytes([i + 1]) * request["blobBytes"] for i in range(request["blobs"])]
    order = [key for key, _ in items]
    random.Random(12345).shuffle(order)
    figures = {}
    store = contender.open(request["folder"])

    def timed(what, count, work):
        if count:
            begin = time.perf_counter()
            work()
            figures[what] = count / (time.perf_counter() - begin)

    def puts(prefix, some):
        for i, value in enumerate(some):
            store.put(prefix + str(i), value)

    def gets(keys, size):
        for key in keys:
            value = store.get(key)
            if len(value) != size:
                raise ValueError("%s has %d bytes and not %d" % (key, len(value), size))

    timed("batch", len(items), lambda: store.put_all(items))
    timed("put", request["singles"], lambda: puts("single ", values[: request["singles"]]))
    few = order[: request.get("reads", len(order))]
    timed("get", len(few), lambda: gets(few, request["bytes"]))
    gets(few, request["bytes"])
    timed("get again", len(few), lambda: gets(few, request["bytes"]))
    timed("put 1 MB", len(blobs), lambda: puts("blob ", blobs))
    timed("get 1 MB", len(blobs), lambda: gets(["blob %d" % i for i in range(len(blobs))], request["blobBytes"]))
    store.close()
    return {"figures": figures}


def main():
    # Replies go to a private copy of stdout: what libraries print must not mix with them.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        try:
            measure = measure_hits if request["part"] == "hit" else measure_store
            reply = measure(ROWS[sys.argv[1]](), request)
        except Exception:
            reply = {"error": traceback.format_exc()}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
