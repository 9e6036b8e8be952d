"""mpi4py as one rank of two, used as its tutorial does. `mpi4py_ranks.py PART WORK`: rank 0 prints the figures of every batch as one
line of JSON."""
import json
import sys
from time import perf_counter

from mpi4py import MPI

comm = MPI.COMM_WORLD
rank = comm.rank
other = 1 - rank


def batches(work, batch):
    """Milliseconds of each of so many batches, which both ranks begin together."""
    found = []
    for i in range(work["warm"] + work["count"]):
        comm.Barrier()
        begin = perf_counter()
        batch()
        if i >= work["warm"]:
            found.append((perf_counter() - begin) * 1000)
    return found


def ping_pong(length, trips, work):
    """Round trips of an array between the two ranks; milliseconds one way, of each batch."""
    data = numpy.ones(length)
    into = numpy.empty(length)

    def batch():
        if rank == 0:
            for _ in range(trips):
                comm.Send(data, other)
                comm.Recv(into, other)
        else:
            for _ in range(trips):
                comm.Recv(into, other)
                comm.Send(data, other)

    return [ms / trips / 2 for ms in batches(work, batch)]


def check(found, expected, what):
    if found != expected:
        raise ValueError(f"{what}: {found} and not {expected}")


def messages(work):
    def bandwidth(size, trips):
        return [size / ms / 1e6 for ms in ping_pong(size // 8, trips, work["large"])]

    return {
        "8 B, us": [ms * 1000 for ms in ping_pong(1, work["trips"], work["small"])],
        "1 MB, GB/s": bandwidth(2**20, 16),
        "16 MB, GB/s": bandwidth(2**24, 2),
    }


def allreduce(work):
    data = numpy.full(1_000_000, rank + 1.0)
    into = numpy.empty(1_000_000)
    given = batches(work["large"], lambda: comm.Allreduce(data, into))
    check(into[999_999], 3, "allreduce")

    def new():
        fresh = numpy.empty(1_000_000)
        comm.Allreduce(data, fresh)
        check(fresh[999_999], 3, "allreduce")

    def one():
        for i in range(work["trips"]):
            comm.allreduce(i)

    return {
        "1M into, ms": given,
        "1M new, ms": batches(work["large"], new),
        "one number, us": [ms / work["trips"] * 1000 for ms in batches(work["small"], one)],
    }


def scatter(work):
    n = work["items"]
    numbers = list(range(n))
    floats = numpy.arange(n, dtype=float)

    def rate(found):
        return [n / ms * 1000 for ms in found]

    def values():
        halves = [numbers[: n // 2], numbers[n // 2 :]] if rank == 0 else None
        parts = comm.gather([x * 2 + 1 for x in comm.scatter(halves)])
        if rank == 0:
            check([x for part in parts for x in part][n - 1], 2 * n - 1, "the last of the values")

    def typed():
        part = numpy.empty(n // 2)
        comm.Scatter(floats if rank == 0 else None, part)
        part = part * 2 + 1
        whole = numpy.empty(n) if rank == 0 else None
        comm.Gather(part, whole)
        if rank == 0:
            check(whole[n - 1], 2 * n - 1, "the last of the floats")

    return {
        "values, items/s": rate(batches(work["large"], values)),
        "floats, items/s": rate(batches(work["large"], typed)),
    }


def start(_):
    check(comm.allreduce(rank + 1), 3, "allreduce")
    return {}


part = sys.argv[1]
if part != "start":
    import numpy  # a program that does without it starts faster
figures = globals()[part](json.loads(sys.argv[2]))
if rank == 0:
    print(json.dumps(figures))
