"""The work of every Python contender: the same jobs as jobs.mjs, in a module that worker processes can import."""
import time


def trivial(x):
    return x * 2 + 1


def trivial_chunk(xs):
    return [x * 2 + 1 for x in xs]


def spin(steps):
    x = 1
    for _ in range(steps):
        x = (x * 1664525 + 1013904223) & 0xFFFFFFFF
    return x


def spin_chunk(chunk):
    return [spin(steps) for steps in chunk]


def nap(ms):
    start = time.perf_counter()
    time.sleep(ms / 1000)
    return (time.perf_counter() - start) * 1000


def nap_chunk(chunk):
    return [nap(ms) for ms in chunk]


def touch(payload):
    return payload
