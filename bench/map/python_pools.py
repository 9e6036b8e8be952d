"""The Python contenders, driven like contender.mjs: a JSON request on stdin, a JSON reply on stdout.

Two worker processes each. A library is imported only when it is asked for. The driver calibrates
`spin` for Python apart, so that an item takes as many milliseconds as it does in JavaScript.
"""
import json
import os
import sys
import time
import traceback

import jobs

WORKERS = 2


def pool_rows(chunksize):
    """multiprocessing.Pool: `chunksize` None is its own default."""
    from multiprocessing import Pool

    def start():
        pool = Pool(WORKERS)
        return lambda fn, kind: lambda xs: pool.map(fn, xs, chunksize)

    return start


def executor_rows(chunksize_of):
    from concurrent.futures import ProcessPoolExecutor

    def start():
        pool = ProcessPoolExecutor(WORKERS)
        return lambda fn, kind: lambda xs: list(pool.map(fn, xs, chunksize=chunksize_of(kind, len(xs))))

    return start


def serial_rows():
    return lambda: lambda fn, kind: lambda xs: [fn(x) for x in xs]


def joblib_rows():
    from joblib import Parallel, delayed

    def start():
        parallel = Parallel(n_jobs=WORKERS).__enter__()
        return lambda fn, kind: lambda xs: parallel(delayed(fn)(x) for x in xs)

    return start


def dask_rows(by_hand):
    from distributed import Client

    chunk_fns = {jobs.trivial: jobs.trivial_chunk, jobs.spin: jobs.spin_chunk, jobs.nap: jobs.nap_chunk}
    sizes = {"trivial": 10_000, "spin": 25, "nap": 25}

    def start():
        client = Client(n_workers=WORKERS, threads_per_worker=1, processes=True, dashboard_address=None)

        def runner(fn, kind):
            def each(xs):
                return client.gather(client.map(fn, xs, pure=False))

            def chunked(xs):
                size = min(sizes[kind], max(1, len(xs) // 8))
                chunks = [xs[i:i + size] for i in range(0, len(xs), size)]
                done = client.gather(client.map(chunk_fns[fn], chunks, pure=False))
                return [value for chunk in done for value in chunk]

            return chunked if by_hand and kind in sizes else each

        return runner

    return start


def best_chunksize(kind, n):
    return {"trivial": max(1, min(5000, n // 8)), "spin": 25, "nap": 25}.get(kind, 1)


ROWS = {
    "serial": serial_rows,
    "pool": lambda: pool_rows(None),
    "pool-1": lambda: pool_rows(1),
    "executor": lambda: executor_rows(best_chunksize),
    "executor-1": lambda: executor_rows(lambda kind, n: 1),
    "joblib": joblib_rows,
    "dask": lambda: dask_rows(False),
    "dask-chunks": lambda: dask_rows(True),
}

# column: (kind, job); "one" marks items that are worth a message each.
COLUMNS = {
    "a": ("trivial", jobs.trivial),
    "b": ("spin", jobs.spin),
    "b-nap": ("nap", jobs.nap),
    "c": ("one", jobs.spin),
    "c-nap": ("one", jobs.nap),
    "d": ("one", jobs.touch),
}


def calibrate():
    best = float("inf")
    for _ in range(7):
        start = time.perf_counter()
        jobs.spin(200_000)
        best = min(best, time.perf_counter() - start)
    return {"stepsPerMs": 200_000 / (best * 1000)}


class Contender:
    """One row: the library imported by `load`, its pool opened by `open`, one request a method call."""

    def __init__(self, name):
        self.rows = ROWS[name]
        self.start_pool = None
        self.runner = None

    def load(self):
        self.start_pool = self.start_pool or self.rows()

    def open(self):
        self.load()
        self.runner = self.runner or self.start_pool()

    def start(self, _request):
        begin = time.perf_counter()
        self.open()
        self.runner(jobs.trivial, "one")([1, 2])
        return {"ms": (time.perf_counter() - begin) * 1000}

    def warm(self, _request):
        self.open()
        self.runner(jobs.nap, "one")([5] * 20)
        return {}

    def extra(self, _request):
        return calibrate()

    def measure(self, request):
        self.open()
        kind, job = COLUMNS[request["column"]]
        items = self.input(job, request)
        run = self.runner(job, kind)
        begin = time.perf_counter()
        output = run(items)
        ms = (time.perf_counter() - begin) * 1000
        check = sum(len(x) + x[0] for x in output) if job is jobs.touch else sum(output)
        return {"ms": ms, "items": len(items), "check": check}

    def input(self, job, request):
        n = request.get("n", 0)
        if job is jobs.trivial:
            return list(range(n))
        if job is jobs.touch:
            return [bytes([i + 1]) * request["bytes"] for i in range(n)]
        weights = request.get("weights") or [1] * n
        if job is jobs.nap:
            return weights
        return [round(ms * request["stepsPerMs"]) for ms in weights]


def main():
    # Replies go to a private copy of stdout: what libraries or workers print must not mix with them.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    contender = Contender(sys.argv[1])
    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        try:
            if request["command"] == "load":
                contender.load()
                reply = {}
            else:
                reply = getattr(contender, request["command"])(request)
        except Exception:
            reply = {"error": traceback.format_exc()}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
